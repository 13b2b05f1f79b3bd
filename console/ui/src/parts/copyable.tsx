import { createSignal } from 'solid-js';

import { t } from '../text';

/** A text with a button that copies it; a `short` one shows its beginning only. */
export function Copyable(props: { label: string; button: string; text: string; short?: boolean }) {
  const [result, setResult] = createSignal<'copied' | 'failed'>();
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(props.text);
      setResult('copied');
      setTimeout(() => setResult(undefined), COPIED_SHOWN_MS);
    } catch {
      setResult('failed');
    }
  };
  return (
    <div class="copyable">
      <span class="hint">{props.label}</span>
      <button type="button" aria-label={props.button} onClick={() => void copy()}>
        {result() === 'copied' ? `✓ ${t().copied}` : t().copy}
      </button>
      <code class={props.short ? 'short' : undefined}>{props.text}</code>
      <span role="status" class="hint">{result() === 'failed' ? t().code.copyFailed : ''}</span>
      <span role="status" class="unseen">{result() === 'copied' ? t().copied : ''}</span>
    </div>
  );
}

const COPIED_SHOWN_MS = 3_000;
