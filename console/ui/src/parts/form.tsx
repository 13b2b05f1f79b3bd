import { type JSX, Show, createSignal } from 'solid-js';

import { t } from '../text';
import { Problem } from './problem';

/** A form that sends its values once at a time, and says below them what went wrong. */
export function Form(props: {
  submit: string;
  send: (text: (name: string) => string) => Promise<unknown>;
  cancel?: () => void;
  children: JSX.Element;
}) {
  const [error, setError] = createSignal<unknown>();
  const [sending, setSending] = createSignal(false);
  let form!: HTMLFormElement;

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (sending()) return;
    const values = new FormData(form);
    setSending(true);
    setError(undefined);
    try {
      await props.send((name) => String(values.get(name) ?? ''));
      form.reset();
    } catch (error) {
      setError(error);
    } finally {
      setSending(false);
    }
  };

  return (
    <form ref={form} onSubmit={(event) => void submit(event)}>
      {props.children}
      <Problem error={error()} />
      <div class="buttons">
        <button type="submit" class="primary" disabled={sending()}>{props.submit}</button>
        <Show when={props.cancel}>
          {(cancel) => <button type="button" onClick={() => cancel()()}>{t().cancel}</button>}
        </Show>
      </div>
    </form>
  );
}
