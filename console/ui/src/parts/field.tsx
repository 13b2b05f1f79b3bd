import { type JSX, Show, createUniqueId } from 'solid-js';

type Given = { id: string; 'aria-describedby': string | undefined; 'aria-invalid': 'true' | undefined };

/** A labelled input with its hint and, beside it, what is wrong with it. */
export function Field(props: {
  label: string;
  hint?: string | undefined;
  problem?: string | undefined;
  children: (given: Given) => JSX.Element;
}) {
  const id = createUniqueId();
  const given: Given = {
    id,
    get 'aria-describedby'() {
      const ids = [props.hint ? `${id}-hint` : '', props.problem ? `${id}-problem` : ''].filter(Boolean).join(' ');
      return ids || undefined;
    },
    get 'aria-invalid'() {
      return props.problem ? ('true' as const) : undefined;
    },
  };
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      {props.children(given)}
      <Show when={props.hint}>
        <p class="hint" id={`${id}-hint`}>{props.hint}</p>
      </Show>
      <Show when={props.problem}>
        <p class="problem" role="alert" id={`${id}-problem`}>{props.problem}</p>
      </Show>
    </div>
  );
}
