import { type JSX, Show, createSignal } from 'solid-js';

import { ApiError } from '../api/client';
import { t } from '../text';
import { Dialog } from './dialog';
import { Problem, explain, fieldOf } from './problem';

/** What a form's fields ask of it: the text of one by its name, without blanks around it. */
export type Texts = (name: string) => string;

/**
 * A dialog with fields that are sent at once. A refusal that names one of `names` is shown beside that field, by the
 * function that `children` gets; any other below them. It closes when the sending succeeds.
 */
export function FormDialog(props: {
  title: string;
  submit: string;
  names: string[];
  close: () => void;
  send: (text: Texts) => Promise<void>;
  children: (problem: (name: string) => string | undefined) => JSX.Element;
}) {
  const [error, setError] = createSignal<unknown>();
  const [sending, setSending] = createSignal(false);
  let form!: HTMLFormElement;

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const values = new FormData(form);
    setSending(true);
    setError(undefined);
    try {
      await props.send((name) => String(values.get(name) ?? '').trim());
      props.close();
    } catch (error) {
      setError(error);
    } finally {
      setSending(false);
    }
  };

  const problem = (name: string) => (fieldOf(error()) === name ? explain(error()) : undefined);
  const isElsewhere = () => error() !== undefined && !props.names.includes(fieldOf(error()) ?? '');
  const isStale = () => error() instanceof ApiError && (error() as ApiError).status === 412;

  return (
    <Dialog title={props.title} close={props.close}>
      <form ref={form} onSubmit={(event) => void submit(event)}>
        {props.children(problem)}
        <Show when={isElsewhere()}>
          <Show when={isStale()} fallback={<Problem error={error()} />}>
            <p class="problem" role="alert">{t().ticket.stale}</p>
          </Show>
        </Show>
        <div class="buttons">
          <button type="submit" class="primary" disabled={sending()}>{props.submit}</button>
          <button type="button" onClick={() => props.close()}>{t().cancel}</button>
        </div>
      </form>
    </Dialog>
  );
}
