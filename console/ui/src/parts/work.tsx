// What is to be done on a ticket, the time spent on it, and steps that are taken together.
import { For, Show, createResource, createSignal } from 'solid-js';

import { api } from '../api/client';
import type { ChecklistItem, Ticket, TimeEntry, User } from '../api/schema';
import { minutesText } from '../format';
import { mayWork } from '../session';
import { d } from '../text/desk';
import { actor } from './log';
import { Field } from './field';
import { FormDialog } from './form-dialog';
import { Problem } from './problem';
import { Foreign, Time } from './text';

/** The checklist, the time and the macros of a ticket. `turn` changes when one of them may have changed elsewhere. */
export default function Work(props: { ticket: Ticket; users: User[]; turn: number; read: (ticket: Ticket) => void }) {
  const isOpen = () => mayWork() && props.ticket.state !== 'merged';
  return (
    <>
      <Show when={isOpen()}>
        <Macros ticket={props.ticket} read={props.read} />
      </Show>
      <Checklist number={props.ticket.number} users={props.users} turn={props.turn} isOpen={isOpen()} />
      <TimeSpent number={props.ticket.number} turn={props.turn} isOpen={mayWork()} />
    </>
  );
}

function Macros(props: { ticket: Ticket; read: (ticket: Ticket) => void }) {
  const [macros] = createResource(() => api.macros());
  const [said, setSaid] = createSignal('');
  const [error, setError] = createSignal<unknown>();
  const run = async (id: number) => {
    const chosen = macros()?.find((one) => one.id === id);
    if (!chosen) return;
    setError(undefined);
    setSaid('');
    try {
      props.read(await api.runMacro(props.ticket, id));
      setSaid(d().macroRan(chosen.name));
    } catch (error) {
      setError(error);
    }
  };
  return (
    <Show when={(macros.error ? [] : macros())?.length}>
      <section class="card" aria-labelledby="macros-title">
        <h2 id="macros-title">{d().runMacro}</h2>
        <div class="moves">
          <For each={macros()}>
            {(one) => (
              <button type="button" onClick={() => void run(one.id)}>
                <Foreign text={one.name} />
              </button>
            )}
          </For>
        </div>
        <Problem error={error()} />
        <p class="quiet" role="status">{said()}</p>
      </section>
    </Show>
  );
}

function Checklist(props: { number: string; users: User[]; turn: number; isOpen: boolean }) {
  const [items, { refetch, mutate }] = createResource(
    () => [props.number, props.turn] as const,
    ([number]) => api.checklistOf(number),
  );
  const [kept] = createResource(() => (props.isOpen ? api.checklists() : Promise.resolve([])));
  const [error, setError] = createSignal<unknown>();
  const [text, setText] = createSignal('');
  const act = async (action: () => Promise<unknown>) => {
    setError(undefined);
    try {
      await action();
      await refetch();
    } catch (error) {
      setError(error);
      await refetch();
    }
  };
  const tick = (item: ChecklistItem, done: boolean) => act(() => api.tickItem(props.number, item.id, done));
  const add = (event: SubmitEvent) => {
    event.preventDefault();
    const wanted = text().trim();
    if (!wanted) return;
    setText('');
    void act(async () => mutate(await api.addItems(props.number, { items: [wanted] })));
  };
  const shown = () => (items.error ? [] : (items.latest ?? []));
  const done = () => shown().filter((item) => item.done_at_ms != null).length;
  return (
    <section class="card" aria-labelledby="checklist-title">
      <h2 id="checklist-title">
        {d().checklist} <Show when={shown().length > 0}><span class="quiet">{d().done(done(), shown().length)}</span></Show>
      </h2>
      <Problem error={error() ?? (items.error as unknown)} />
      <ul class="stack">
        <For each={shown()} fallback={<li class="quiet">{d().noItems}</li>}>
          {(item) => (
            <li class="item">
              <label class="check">
                <input
                  type="checkbox"
                  checked={item.done_at_ms != null}
                  disabled={!props.isOpen}
                  onChange={(event) => void tick(item, event.currentTarget.checked)}
                />
                <span>
                  <Foreign text={item.text} />
                  <Show when={item.done_by}>
                    {(who) => <span class="quiet"> · {d().doneBy(actor(who(), props.users))}</span>}
                  </Show>
                </span>
              </label>
              <Show when={props.isOpen}>
                <button type="button" class="plain" aria-label={`${d().remove}: ${item.text}`} onClick={() => void act(() => api.removeItem(props.number, item.id))}>
                  ✕
                </button>
              </Show>
            </li>
          )}
        </For>
      </ul>
      <Show when={props.isOpen}>
        <form class="inline" onSubmit={add}>
          <input aria-label={d().addItem} placeholder={d().addItem} dir="auto" maxLength={200} value={text()} onInput={(event) => setText(event.currentTarget.value)} />
          <button type="submit">{d().addItemButton}</button>
        </form>
        <Show when={(kept.error ? [] : kept())?.length}>
          <label class="inline">
            <span>{d().useChecklist}</span>
            <select
              onChange={(event) => {
                const id = Number(event.currentTarget.value);
                event.currentTarget.value = '';
                if (id) void act(async () => mutate(await api.addItems(props.number, { checklist: id })));
              }}
            >
              <option value="">{d().choose}</option>
              <For each={kept()}>{(list) => <option value={list.id}>{list.name}</option>}</For>
            </select>
          </label>
        </Show>
      </Show>
    </section>
  );
}

function TimeSpent(props: { number: string; turn: number; isOpen: boolean }) {
  const [entries, { refetch }] = createResource(
    () => [props.number, props.turn] as const,
    ([number]) => api.timeOf(number),
  );
  const [doing, setDoing] = createSignal<TimeEntry | 'add'>();
  const [error, setError] = createSignal<unknown>();
  const shown = () => (entries.error ? [] : (entries.latest ?? []));
  const total = () => shown().reduce((sum, entry) => sum + entry.seconds, 0);
  const remove = async (entry: TimeEntry) => {
    setError(undefined);
    await api.removeTime(props.number, entry.id).catch(setError);
    await refetch();
  };
  return (
    <section class="card" aria-labelledby="time-title">
      <h2 id="time-title">
        {d().time} <Show when={total() > 0}><span class="quiet">{d().total(minutesText(total()))}</span></Show>
      </h2>
      <Problem error={error() ?? (entries.error as unknown)} />
      <ul class="stack">
        <For each={shown()} fallback={<li class="quiet">{d().noTime}</li>}>
          {(entry) => (
            <li class="item">
              <span>
                <strong>{minutesText(entry.seconds)}</strong> <Foreign text={entry.user ?? d().nobody} />
                <Show when={entry.note}>
                  {(note) => (
                    <>
                      {' · '}
                      <Foreign text={note()} />
                    </>
                  )}
                </Show>
                <span class="quiet">
                  {' · '}
                  <Show when={entry.session}>{(session) => <>{d().ofSession(session())} · </>}</Show>
                  <Time atMs={entry.started_at_ms} />
                </span>
              </span>
              <Show when={props.isOpen}>
                <span class="buttons">
                  <button type="button" class="plain" onClick={() => setDoing(entry)}>{d().edit}</button>
                  <button type="button" class="plain" aria-label={`${d().remove}: ${minutesText(entry.seconds)}`} onClick={() => void remove(entry)}>
                    ✕
                  </button>
                </span>
              </Show>
            </li>
          )}
        </For>
      </ul>
      <Show when={props.isOpen}>
        <button type="button" onClick={() => setDoing('add')}>{d().addTime}</button>
      </Show>
      <Show when={doing()} keyed>
        {(doing) => (
          <FormDialog
            title={doing === 'add' ? d().addTime : d().changeTime}
            submit={d().save}
            names={['minutes', 'note']}
            close={() => setDoing(undefined)}
            send={async (text) => {
              const entry = { minutes: Number(text('minutes')), note: text('note') };
              if (doing === 'add') await api.addTime(props.number, entry);
              else await api.changeTime(props.number, doing.id, entry);
              await refetch();
            }}
          >
            {(problem) => (
              <>
                <Field label={d().minutes} problem={problem('minutes')}>
                  {(given) => (
                    <input {...given} name="minutes" type="number" min={1} max={1440} required autofocus value={doing === 'add' ? 15 : Math.max(1, Math.round(doing.seconds / 60))} />
                  )}
                </Field>
                <Field label={d().note} problem={problem('note')}>
                  {(given) => <input {...given} name="note" dir="auto" maxLength={200} autocomplete="off" value={doing === 'add' ? '' : doing.note} />}
                </Field>
              </>
            )}
          </FormDialog>
        )}
      </Show>
    </section>
  );
}
