// What pages of settings and of customers are made of: cards with rows that can be added, changed and removed.
import { type JSX, Show } from 'solid-js';

import { mayConfigure } from '../session';
import { d } from '../text/desk';
import { Field } from './field';
import { Problem } from './problem';
import { Foreign } from './text';

/** A card with a button to add something, for whoever may configure the desk, or as `may` says. */
export function Section(props: { id: string; title: string; hint?: string; error?: unknown; may?: boolean; add?: string; onAdd?: () => void; children: JSX.Element }) {
  return (
    <section class="card" aria-labelledby={`${props.id}-title`}>
      <div class="queue-head">
        <h2 id={`${props.id}-title`}>{props.title}</h2>
        <Show when={(props.may ?? mayConfigure()) && props.add}>
          <button type="button" onClick={() => props.onAdd?.()}>{props.add}</button>
        </Show>
      </div>
      <Show when={props.hint}>
        <p class="quiet">{props.hint}</p>
      </Show>
      <Problem error={props.error} />
      {props.children}
    </section>
  );
}

/** An item with what can be done about it. */
export function Row(props: { children: JSX.Element; may?: boolean; actions: JSX.Element }) {
  return (
    <li class="item">
      <span>{props.children}</span>
      <Show when={props.may ?? mayConfigure()}>
        <span class="buttons">{props.actions}</span>
      </Show>
    </li>
  );
}

/** What was removed, and how to have it back. */
export function Gone(props: { name: string | undefined; undo: () => void }) {
  return (
    <Show when={props.name}>
      {(name) => (
        <p role="status">
          <Foreign text={d().removed(name())} /> <button type="button" onClick={() => props.undo()}>{d().undo}</button>
        </p>
      )}
    </Show>
  );
}

export function NameField(props: { value: string; problem: string | undefined }) {
  return (
    <Field label={d().name} problem={props.problem}>
      {(given) => <input {...given} name="name" dir="auto" required maxLength={200} autocomplete="off" autofocus value={props.value} />}
    </Field>
  );
}
