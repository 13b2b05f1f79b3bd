import { createSignal } from 'solid-js';

import { recall, remember } from './storage';
import type { en } from './text/en';
import type * as Facts from './text/facts';

export type Language = 'en' | 'zh';

export const LANGUAGES: readonly { id: Language; tag: string; name: string }[] = [
  { id: 'en', tag: 'en', name: 'English' },
  { id: 'zh', tag: 'zh-Hans', name: '中文' },
];

const [language, setLanguageSignal] = createSignal<Language>(firstLanguage());

export { language };

const TABLES: Record<Language, () => Promise<typeof en>> = {
  en: () => import('./text/en').then((texts) => texts.en),
  zh: () => import('./text/zh').then((texts) => texts.zh),
};

const tables: Partial<Record<Language, typeof en>> = {};

async function load(wanted: Language): Promise<void> {
  tables[wanted] ??= await TABLES[wanted]();
}

const [facts, setFacts] = createSignal<typeof Facts>();

/** Fetches what the first page needs to speak; the names of facts follow, for the pages that show any. */
export async function loadTexts(): Promise<void> {
  await load(language());
  import('./text/facts').then(setFacts, () => {});
}

/** The texts in the chosen language. Nothing is rendered before they are there. */
export const t = (): typeof en => tables[language()] as typeof en;

/** The chosen language as a BCP 47 tag. */
export const tag = (): string => (language() === 'zh' ? 'zh-Hans' : 'en');

/** The same with the reader's region where the browser names one: it decides how times and figures look. */
export const locale = (): string => navigator.languages.find((own) => own.startsWith(language())) ?? tag();

/** Changes the language as soon as its texts are there; without a connection to fetch them it stays. */
export function setLanguage(chosen: Language): void {
  load(chosen).then(
    () => {
      remember('language', chosen);
      setLanguageSignal(chosen);
    },
    () => {},
  );
}

/** A fact's name for people. */
export function factLabel(key: string): string {
  return facts()?.factLabels[key]?.[language()] ?? key.replaceAll('_', ' ');
}

/** A fact's value for people, when it is one of the known words. */
export function factWord(word: string): string {
  return facts()?.factWords[word]?.[language()] ?? word;
}

function firstLanguage(): Language {
  const chosen = recall('language');
  if (chosen === 'en' || chosen === 'zh') return chosen;
  return navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en';
}
