import { createSignal } from 'solid-js';

import { recall, remember } from './storage';
import { en } from './text/en';
import { factLabels, factWords } from './text/facts';
import { zh } from './text/zh';

export type Language = 'en' | 'zh';

export const LANGUAGES: readonly { id: Language; tag: string; name: string }[] = [
  { id: 'en', tag: 'en', name: 'English' },
  { id: 'zh', tag: 'zh-Hans', name: '中文' },
];

const [language, setLanguageSignal] = createSignal<Language>(firstLanguage());

export { language };

/** The texts in the chosen language. */
export const t = (): typeof en => (language() === 'zh' ? zh : en);

/** The chosen language as a BCP 47 tag. */
export const tag = (): string => (language() === 'zh' ? 'zh-Hans' : 'en');

/** The same with the reader's region where the browser names one: it decides how times and figures look. */
export const locale = (): string => navigator.languages.find((own) => own.startsWith(language())) ?? tag();

export function setLanguage(chosen: Language): void {
  remember('language', chosen);
  setLanguageSignal(chosen);
}

/** A fact's name for people. */
export function factLabel(key: string): string {
  return factLabels[key]?.[language()] ?? key.replaceAll('_', ' ');
}

/** A fact's value for people, when it is one of the known words. */
export function factWord(word: string): string {
  return factWords[word]?.[language()] ?? word;
}

function firstLanguage(): Language {
  const chosen = recall('language');
  if (chosen === 'en' || chosen === 'zh') return chosen;
  return navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en';
}
