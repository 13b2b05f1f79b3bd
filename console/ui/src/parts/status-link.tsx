import { Show, createSignal } from 'solid-js';

import { api } from '../api/client';
import { t } from '../text';
import { Copyable } from './copyable';
import { Problem } from './problem';

/** The address of the customer's page, fetched when somebody wants to send it. */
export function StatusLink(props: { number: string }) {
  const [url, setUrl] = createSignal<string>();
  const [error, setError] = createSignal<unknown>();
  const get = async () => {
    setError(undefined);
    try {
      setUrl((await api.statusLink(props.number)).url);
    } catch (error) {
      setError(error);
    }
  };
  return (
    <section class="card stack" aria-labelledby="status-title">
      <h2 id="status-title">{t().code.status}</h2>
      <p class="hint">{t().code.statusHint}</p>
      <Show when={url()} fallback={<button type="button" onClick={() => void get()}>{t().code.getStatus}</button>}>
        {(url) => <Copyable label={t().code.status} button={t().code.copyLink} text={url()} short />}
      </Show>
      <Problem error={error()} />
    </section>
  );
}
