// Single-key shortcuts. They can be switched off, because dictation software types whole words at a page.
import { createSignal, onCleanup } from 'solid-js';

import { recall, remember } from './storage';

const [enabled, setEnabledSignal] = createSignal(recall('keys') !== 'off');

export { enabled as keysEnabled };

export function setKeysEnabled(on: boolean): void {
  remember('keys', on ? 'on' : 'off');
  setEnabledSignal(on);
}

/** Runs an action for a key while the current component lives. Not while somebody types or a dialog is open. */
export function onKeys(actions: Record<string, () => void>): void {
  const press = (event: KeyboardEvent) => {
    const action = actions[event.key];
    if (!action || !enabled() || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target as HTMLElement | null;
    if (event.isComposing || target?.closest?.('input, textarea, select, [contenteditable]')) return;
    // Not the target's dialog: after one was closed, the focus stays in it until the next frame.
    if (document.querySelector('dialog[open]')) return;
    event.preventDefault();
    action();
  };
  document.addEventListener('keydown', press);
  onCleanup(() => document.removeEventListener('keydown', press));
}
