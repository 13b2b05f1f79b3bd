import { For, Show, createMemo, createSignal, onMount } from 'solid-js';
import { createStore, reconcile } from 'solid-js/store';

import { ApiError, api } from '../api/client';
import type { ChangeTicket, Event, Report, Session, Ticket, TicketState, User } from '../api/schema';
import { age, word } from '../format';
import { onKeys } from '../keys';
import { listen, streamReady } from '../live';
import { PriorityMark, SessionMark, StateMark } from '../parts/chips';
import { CodePanel } from '../parts/code';
import { Log } from '../parts/log';
import { Problem, explain } from '../parts/problem';
import { Reports } from '../parts/reports';
import { Sessions } from '../parts/sessions';
import { Foreign, Time } from '../parts/text';
import { mayWork, me } from '../session';
import { t } from '../text';
import { NotFound } from './not-found';

type Page = { ticket: Ticket | undefined; events: Event[]; sessions: Session[]; reports: Report[]; users: User[] };

export function TicketPage(props: { number: string }) {
  const [page, setPage] = createStore<Page>({ ticket: undefined, events: [], sessions: [], reports: [], users: [] });
  const [error, setError] = createSignal<unknown>();
  const [changeError, setChangeError] = createSignal<unknown>();
  const number = props.number;

  const read = {
    ticket: async () => setPage('ticket', reconcile(await api.ticket(number))),
    events: async () => setPage('events', reconcile(await api.eventsOfTicket(number), { key: 'id' })),
    sessions: async () => setPage('sessions', reconcile((await api.sessionsOfTicket(number)).items, { key: 'id' })),
    reports: async () => setPage('reports', reconcile((await api.reportsOfTicket(number)).items, { key: 'id' })),
    users: async () => setPage('users', (await api.users()).items),
  };
  const readAll = async () => {
    try {
      await streamReady();
      await Promise.all([read.ticket(), read.events(), read.sessions(), read.reports()]);
      setError(undefined);
      await read.users();
    } catch (error) {
      setError(error);
    }
  };
  onMount(() => void readAll());
  const again = (...reads: (() => Promise<unknown>)[]) => {
    for (const read of reads) read().catch(setError);
  };

  listen({
    missed: () => void readAll(),
    event: (event) => {
      if (event.ticket !== number) return;
      if (!page.events.some((known) => known.id === event.id)) setPage('events', page.events.length, event);
      again(read.ticket);
      if (event.kind.startsWith('session_') || event.kind === 'consent_recorded') again(read.sessions);
      if (event.kind === 'report_filed') again(read.reports);
    },
  });

  const change = async (change: ChangeTicket) => {
    const ticket = page.ticket;
    if (!ticket) return;
    setChangeError(undefined);
    try {
      setPage('ticket', reconcile(await api.changeTicket({ ...ticket }, change)));
    } catch (error) {
      setChangeError(error);
      if (error instanceof ApiError && error.status === 412) again(read.ticket);
    }
  };
  const take = () => {
    const name = me()?.name;
    if (name && mayWork() && page.ticket && page.ticket.owner !== name) void change({ owner: name });
  };
  onKeys({ t: take });

  const live = createMemo(() => page.sessions.find((session) => session.state !== 'ended'));
  const missing = () => (error() as ApiError | undefined)?.status === 404;

  return (
    <Show when={!missing()} fallback={<NotFound />}>
      <Problem error={error()} />
      <Show when={page.ticket} fallback={<Show when={!error()}><p class="quiet">{t().loading}</p></Show>}>
        {(ticket) => (
          <article class="ticket">
            <header class="ticket-head">
              <p class="marks">
                <span class="number">{ticket().number}</span>
                <StateMark state={ticket().state} />
                <PriorityMark priority={ticket().priority} />
                <Show when={live()}>{(session) => <SessionMark state={session().state} />}</Show>
              </p>
              <h1>
                <Foreign text={ticket().title} />
              </h1>
            </header>
            <div class="ticket-side">
              <Show when={mayWork()}>
                <CodePanel ticket={ticket()} events={page.events} />
              </Show>
              <section class="card" aria-labelledby="facts-title">
                <h2 id="facts-title">{t().ticket.facts}</h2>
                <TicketFacts ticket={ticket()} />
                <Show when={mayWork()}>
                  <Actions ticket={ticket()} users={page.users} take={take} change={change} />
                </Show>
                <Show when={changeError()}>
                  {(error) => (
                    <p class="problem" role="alert">
                      {(error() as ApiError).status === 412 ? t().ticket.stale : explain(error())}
                    </p>
                  )}
                </Show>
              </section>
              <Sessions sessions={page.sessions} />
            </div>
            <div class="ticket-main">
              <Show when={ticket().description}>
                <section class="card" aria-labelledby="description-title">
                  <h2 id="description-title">{t().ticket.description}</h2>
                  <p class="prose" dir="auto">
                    <Foreign text={ticket().description} />
                  </p>
                </section>
              </Show>
              <Reports reports={page.reports} />
              <Log events={page.events} users={page.users} />
            </div>
          </article>
        )}
      </Show>
    </Show>
  );
}

function TicketFacts(props: { ticket: Ticket }) {
  const ticket = () => props.ticket;
  return (
    <dl class="facts">
      <div>
        <dt>{t().ticket.customer}</dt>
        <dd>
          <Foreign text={ticket().customer} />
        </dd>
      </div>
      <Show when={ticket().contact}>
        <div>
          <dt>{t().ticket.contact}</dt>
          <dd>
            <Foreign text={ticket().contact} />
          </dd>
        </div>
      </Show>
      <div>
        <dt>{t().ticket.owner}</dt>
        <dd>
          <Foreign text={ticket().owner ?? t().nobody} />
        </dd>
      </div>
      <div>
        <dt>{t().ticket.impact}</dt>
        <dd>{word(t().impacts, ticket().impact)}</dd>
      </div>
      <div>
        <dt>{t().ticket.urgency}</dt>
        <dd>{word(t().urgencies, ticket().urgency)}</dd>
      </div>
      <div>
        <dt>{t().ticket.channel}</dt>
        <dd>{word(t().channels, ticket().channel)}</dd>
      </div>
      <div>
        <dt>{t().ticket.opened}</dt>
        <dd>
          <Time atMs={ticket().created_at_ms} /> <span class="quiet">({age(ticket().created_at_ms)})</span>
        </dd>
      </div>
    </dl>
  );
}

function Actions(props: { ticket: Ticket; users: User[]; take: () => void; change: (change: ChangeTicket) => Promise<void> }) {
  // A merge needs the ticket to merge into, which has a dialog of its own kind; it is no plain move.
  const states = () => props.ticket.next_states.filter((state) => state !== 'merged');
  const owners = () => props.users.filter((user) => user.role !== 'auditor' && user.name !== props.ticket.owner);
  return (
    <div class="actions">
      <Show when={states().length > 0}>
        <Picker
          label={t().ticket.moveTo}
          button={t().ticket.move}
          options={states().map((state) => [state, t().states[state]] as const)}
          pick={(state) => props.change({ state: state as TicketState })}
        />
      </Show>
      <Show when={owners().length > 1 || (owners().length === 1 && owners()[0]?.name !== me()?.name)}>
        <Picker
          label={t().ticket.owner}
          button={t().ticket.assign}
          options={owners().map((user) => [user.name, user.name] as const)}
          pick={(owner) => props.change({ owner })}
        />
      </Show>
      <Show when={props.ticket.owner !== me()?.name}>
        <button type="button" onClick={() => props.take()}>
          {t().ticket.take} <kbd>t</kbd>
        </button>
      </Show>
    </div>
  );
}

function Picker(props: {
  label: string;
  button: string;
  options: (readonly [string, string])[];
  pick: (value: string) => Promise<void>;
}) {
  let select!: HTMLSelectElement;
  return (
    <div class="picker">
      <select ref={select} aria-label={props.label}>
        <For each={props.options}>{([value, name]) => <option value={value}>{name}</option>}</For>
      </select>
      <button type="button" onClick={() => void props.pick(select.value)}>{props.button}</button>
    </div>
  );
}
