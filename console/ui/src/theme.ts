import { createSignal } from 'solid-js';

import { recall, remember } from './storage';

export type Theme = 'system' | 'light' | 'dark';

const chosen = recall('theme');
const [theme, setThemeSignal] = createSignal<Theme>(chosen === 'light' || chosen === 'dark' ? chosen : 'system');

export { theme };

export function setTheme(to: Theme): void {
  remember('theme', to);
  setThemeSignal(to);
  if (to === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = to;
}
