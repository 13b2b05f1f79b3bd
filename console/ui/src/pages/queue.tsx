import { For, Show, createEffect, createMemo, createResource, createSignal, on, onCleanup } from 'solid-js';
import { createStore, reconcile } from 'solid-js/store';

import { ApiError, api } from '../api/client';
import type { Event, SessionState, Ticket, TicketState } from '../api/schema';
import { age, foreign, titleOf } from '../format';
import { onKeys } from '../keys';
import { listen, streamReady } from '../live';
import { PriorityMark, SessionMark, StateMark } from '../parts/chips';
import { Field } from '../parts/field';
import { FormDialog } from '../parts/form-dialog';
import { Problem } from '../parts/problem';
import { Foreign } from '../parts/text';
import { navigate, query } from '../router';
import { mayConfigure, mayWork, me } from '../session';
import { t } from '../text';

type View = 'active' | 'mine' | 'all';

const ACTIVE: TicketState[] = ['new', 'open', 'pending_customer', 'pending_vendor', 'pending_reminder'];

export function Queue(props: { openTicket: () => void }) {
  const view = (): View => {
    const named = query().get('view');
    return named === 'mine' || named === 'all' ? named : 'active';
  };
  const [tickets, setTickets] = createStore<{ items: Ticket[] }>({ items: [] });
  const [sessions, setSessions] = createStore<Record<string, SessionState>>({});
  const [cursor, setCursor] = createSignal<string | null>();
  const [loaded, setLoaded] = createSignal(false);
  const [error, setError] = createSignal<unknown>();
  const [words, setWords] = createSignal(query().get('q') ?? '');
  const [fresh, setFresh] = createSignal<string>();
  let filter!: HTMLInputElement;
  let list: HTMLOListElement | undefined;
  let generation = 0;

  const conditions = (): Record<string, string> => ({
    ...(view() === 'all' ? {} : { state: ACTIVE.join(',') }),
    ...(view() === 'mine' ? { owner: me()?.name ?? '' } : {}),
    sort: 'pressing',
    limit: '200',
  });

  const load = async (after?: string) => {
    const mine = (generation += 1);
    try {
      await streamReady();
      const asked = words().trim();
      const from = after ? { cursor: after } : {};
      const [page, live] = await Promise.all([
        asked ? api.search({ q: asked, limit: '200', ...from }) : api.tickets({ ...conditions(), ...from }),
        after ? undefined : api.sessions(),
      ]);
      if (mine !== generation) return;
      setTickets('items', reconcile(after ? [...tickets.items, ...page.items] : page.items, { key: 'number' }));
      if (live) {
        const states: Record<string, SessionState> = {};
        // Newest first: of two sessions of one ticket the newer one counts.
        for (const session of live.items) if (session.state !== 'ended') states[session.ticket] ??= session.state;
        setSessions(reconcile(states));
      }
      setCursor(page.next_cursor);
      setLoaded(true);
      setError(undefined);
    } catch (error) {
      if (mine === generation) setError(error);
    }
  };

  createEffect(on(view, () => void load()));
  // Somebody who types has not come to an end with every letter.
  let typing: ReturnType<typeof setTimeout> | undefined;
  onCleanup(() => clearTimeout(typing));
  createEffect(
    on(
      words,
      () => {
        clearTimeout(typing);
        typing = setTimeout(() => void load(), SETTLE_MS);
      },
      { defer: true },
    ),
  );

  const belongs = (ticket: Ticket) =>
    (view() === 'all' || ACTIVE.includes(ticket.state)) && (view() !== 'mine' || ticket.owner === me()?.name);

  const refresh = async (number: string) => {
    try {
      const ticket = await api.ticket(number);
      const at = tickets.items.findIndex((known) => known.number === number);
      // Whether its words still fit, only the console can say.
      if (words().trim()) return void load();
      if (!belongs(ticket)) setTickets('items', (items) => items.filter((known) => known.number !== number));
      else if (at < 0) setTickets('items', (items) => [ticket, ...items]);
      else setTickets('items', at, reconcile(ticket));
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) setError(error);
    }
  };

  // Several events about one ticket within a moment are one reason to read it again.
  const waiting = new Map<string, ReturnType<typeof setTimeout>>();
  onCleanup(() => waiting.forEach(clearTimeout));
  const noteSession = (event: Event) => {
    const states: Partial<Record<Event['kind'], SessionState | undefined>> = {
      session_started: 'live',
      session_resumed: 'live',
      session_interrupted: 'interrupted',
      session_ended: undefined,
    };
    if (event.kind in states) setSessions(event.ticket, states[event.kind] as SessionState);
  };
  listen({
    event: (event) => {
      noteSession(event);
      setFresh(event.ticket);
      clearTimeout(waiting.get(event.ticket));
      waiting.set(event.ticket, setTimeout(() => void refresh(event.ticket), SETTLE_MS));
    },
    missed: () => void load(),
  });

  const shown = createMemo(() =>
    tickets.items
      .filter(belongs)
      .sort((a, b) => a.priority.localeCompare(b.priority) || a.created_at_ms - b.created_at_ms),
  );

  const address = (view: View, words: string) => {
    const parameters = new URLSearchParams();
    if (view !== 'active') parameters.set('view', view);
    if (words) parameters.set('q', words);
    const text = parameters.toString();
    return text ? `/?${text}` : '/';
  };
  const search = (words: string) => {
    setWords(words);
    navigate(address(view(), words), 'replace');
  };
  // The address may change by the browser's own buttons.
  createEffect(on(() => query().get('q') ?? '', (words) => setWords(words), { defer: true }));

  const step = (by: number) => {
    const links = [...(list?.querySelectorAll<HTMLElement>('a') ?? [])];
    const at = links.indexOf(document.activeElement as HTMLElement);
    const next = at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + by));
    links[next]?.focus();
  };
  onKeys({
    j: () => step(1),
    k: () => step(-1),
    '/': () => filter.focus(),
  });

  return (
    <section class="page">
      <div class="queue-head">
        <h1>{t().queue.title}</h1>
        <nav class="views" aria-label={t().queue.viewsLabel}>
          <For each={['active', 'mine', 'all'] as const}>
            {(name) => (
              <a href={address(name, words())} aria-current={view() === name ? 'page' : undefined}>
                {t().queue.views[name]}
              </a>
            )}
          </For>
        </nav>
        <Overviews query={address(view(), words()).split('?')[1] ?? ''} />
        <label class="filter">
          <span class="unseen">{t().queue.filter}</span>
          <input
            ref={filter}
            type="search"
            dir="auto"
            placeholder={t().queue.filterHint}
            value={words()}
            onInput={(event) => search(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === 'Escape') filter.blur();
              if (event.key === 'ArrowDown' || event.key === 'Enter') {
                event.preventDefault();
                list?.querySelector<HTMLElement>('a')?.focus();
              }
            }}
          />
        </label>
        <span class="quiet count" role="status">{loaded() ? t().queue.count(shown().length) : ''}</span>
      </div>
      <Problem error={error()} />
      <Show when={loaded()} fallback={<Show when={!error()}><p class="quiet">{t().loading}</p></Show>}>
        <Show when={shown().length > 0} fallback={<Empty view={view()} filtered={words() !== ''} openTicket={props.openTicket} />}>
          <div class="queue-labels" aria-hidden="true">
            <span>{t().queue.priority}</span>
            <span>{t().queue.ticket}</span>
            <span>{t().queue.session}</span>
            <span>{t().queue.state}</span>
            <span>{t().queue.owner}</span>
            <span>{t().queue.age}</span>
          </div>
          <ol class="queue" ref={list}>
            <For each={shown()}>
              {(ticket) => (
                <li classList={{ fresh: fresh() === ticket.number }}>
                  <PriorityMark priority={ticket.priority} />
                  <div class="what">
                    <a href={`/tickets/${ticket.number}`}>
                      <span class="number">{ticket.number}</span> <bdi class="title" classList={{ quiet: !ticket.title }}>{titleOf(ticket)}</bdi>
                    </a>
                    <span class="customer">
                      <Foreign text={ticket.customer || t().ticket.unknown} />
                      <Show when={ticket.contact}>
                        {' · '}
                        <Foreign text={ticket.contact} />
                      </Show>
                    </span>
                  </div>
                  <span class="session">
                    <Show when={sessions[ticket.number]}>{(state) => <SessionMark state={state()} />}</Show>
                  </span>
                  <StateMark state={ticket.state} />
                  <span class="owner">
                    <span class="unseen">{t().queue.owner}: </span>
                    <bdi classList={{ quiet: !ticket.owner }}>{ticket.owner ? foreign(ticket.owner) : t().nobody}</bdi>
                  </span>
                  <span class="age">
                    <span class="unseen">{t().queue.age}: </span>
                    {age(ticket.created_at_ms)}
                  </span>
                </li>
              )}
            </For>
          </ol>
        </Show>
        <Show when={cursor()}>
          {(cursor) => <button type="button" onClick={() => void load(cursor())}>{t().more}</button>}
        </Show>
      </Show>
    </section>
  );
}

/** Filters that were kept: a link each, and a button that keeps the present one. */
function Overviews(props: { query: string }) {
  const [kept, { refetch }] = createResource(() => api.overviews());
  const [naming, setNaming] = createSignal(false);
  const [error, setError] = createSignal<unknown>();
  const shown = () => (kept.error ? [] : (kept.latest ?? []));
  const current = () => shown().find((overview) => overview.query === props.query);
  const forget = async (id: number) => {
    setError(undefined);
    await api.forgetOverview(id).catch(setError);
    await refetch();
  };
  return (
    <>
      <nav class="views" aria-label={t().queue.overviews}>
        <For each={shown()}>
          {(overview) => (
            <a href={overview.query ? `/?${overview.query}` : '/'} aria-current={current()?.id === overview.id ? 'page' : undefined}>
              <Foreign text={overview.name} />
            </a>
          )}
        </For>
      </nav>
      <Show when={mayWork() && props.query && !current()}>
        <button type="button" class="plain" onClick={() => setNaming(true)}>{t().queue.keep}</button>
      </Show>
      <Show when={mayWork() && current() && (!current()?.is_shared || mayConfigure())}>
        <button type="button" class="plain" onClick={() => void forget(current()?.id ?? 0)}>{t().queue.forget}</button>
      </Show>
      <Problem error={error()} />
      <Show when={naming()}>
        <FormDialog
          title={t().queue.keep}
          submit={t().queue.keepSubmit}
          names={['name', 'query']}
          close={() => setNaming(false)}
          send={async (text) => {
            await api.addOverview({ name: text('name'), query: props.query, shared: text('shared') === 'yes' });
            await refetch();
          }}
        >
          {(problem) => (
            <>
              <Field label={t().queue.overviewName} problem={problem('name')}>
                {(given) => <input {...given} name="name" dir="auto" required maxLength={80} autocomplete="off" autofocus />}
              </Field>
              <Show when={mayConfigure()}>
                <label class="check">
                  <input type="checkbox" name="shared" value="yes" /> {t().queue.shared}
                </label>
              </Show>
            </>
          )}
        </FormDialog>
      </Show>
    </>
  );
}

function Empty(props: { view: View; filtered: boolean; openTicket: () => void }) {
  return (
    <div class="empty">
      <Show when={!props.filtered && props.view !== 'mine'} fallback={<p>{props.filtered ? t().queue.emptyFilter : t().queue.emptyMine}</p>}>
        <h2>{t().queue.emptyTitle}</h2>
        <p>{t().queue.emptyText}</p>
        <ol class="steps">
          <For each={t().queue.emptySteps}>{(step) => <li>{step}</li>}</For>
        </ol>
        <Show when={mayWork()}>
          <button type="button" class="primary" onClick={() => props.openTicket()}>
            {t().nav.newTicket} <kbd>n</kbd>
          </button>
        </Show>
      </Show>
    </div>
  );
}

const SETTLE_MS = 120;
