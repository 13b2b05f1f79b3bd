import { For } from 'solid-js';

import { Field } from './field';

/** A labelled choice of words. */
export function Select(props: {
  name: string;
  label: string;
  options: Record<string, string>;
  chosen?: string | undefined;
  problem?: string | undefined;
  onChoose?: (value: string) => void;
}) {
  return (
    <Field label={props.label} problem={props.problem}>
      {(given) => (
        <select {...given} name={props.name} onInput={(event) => props.onChoose?.(event.currentTarget.value)}>
          <For each={Object.entries(props.options)}>
            {([value, name]) => <option value={value} selected={value === props.chosen}>{name}</option>}
          </For>
        </select>
      )}
    </Field>
  );
}
