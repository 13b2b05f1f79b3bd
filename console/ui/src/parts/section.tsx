// What pages of settings and of customers are made of: cards with rows that can be added, changed and removed.
import { type JSX, Show, createSignal } from 'solid-js';

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

/** Things of a list that are removed with one click and can be had back, until the next one is removed. */
export function removals<T extends { name: string }>(list: {
  forget: (one: T) => Promise<unknown>;
  restore: (one: T) => Promise<unknown>;
  read: () => unknown;
}) {
  const [gone, setGone] = createSignal<T>();
  const [error, setError] = createSignal<unknown>();
  const act = async (action: Promise<unknown>, left: T | undefined) => {
    setError(undefined);
    await action.then(() => setGone(() => left)).catch(setError);
    await list.read();
  };
  return {
    gone,
    error,
    remove: (one: T) => void act(list.forget(one), one),
    undo: () => {
      const one = gone();
      if (one) void act(list.restore(one), undefined);
    },
  };
}

/** Buttons to change something and to remove it. */
export function Edits(props: { name: string; change: () => void; remove: () => void }) {
  return (
    <>
      <button type="button" class="plain" onClick={() => props.change()}>{d().edit}</button>
      <button type="button" class="plain" aria-label={`${d().remove}: ${props.name}`} onClick={() => props.remove()}>✕</button>
    </>
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
