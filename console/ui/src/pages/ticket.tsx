import { For, Show, Suspense, createMemo, createSignal, lazy, onMount } from 'solid-js';
import { createStore, reconcile } from 'solid-js/store';

import { ApiError, api } from '../api/client';
import type { Article, Attachment, ChangeTicket, Event, Group, Report, Session, Ticket, TicketLink, User } from '../api/schema';
import { age, titleOf, word } from '../format';
import { onKeys } from '../keys';
import { listen, streamReady } from '../live';
import { PriorityMark, SessionMark, StateMark } from '../parts/chips';
import { CodePanel } from '../parts/code';
import { Links } from '../parts/links';
import { Log } from '../parts/log';
import { Moves, closedAs } from '../parts/moves';
import { Problem, explain } from '../parts/problem';
import { Reports } from '../parts/reports';
import { ResolutionCard } from '../parts/resolution';
import { Sessions } from '../parts/sessions';
import { StatusLink } from '../parts/status-link';
import { Foreign, Time } from '../parts/text';
import { Thread } from '../parts/thread';
import { navigate, query } from '../router';
import { mayWork, me } from '../session';
import { t } from '../text';
import { NotFound } from './not-found';

// Fetched beside the ticket itself, which is read first.
const Work = lazy(() => import('../parts/work'));

type Page = {
  ticket: Ticket | undefined;
  articles: Article[];
  attachments: Attachment[];
  links: TicketLink[];
  events: Event[];
  sessions: Session[];
  reports: Report[];
  users: User[];
  groups: Group[];
};

const EMPTY: Page = { ticket: undefined, articles: [], attachments: [], links: [], events: [], sessions: [], reports: [], users: [], groups: [] };

export function TicketPage(props: { number: string }) {
  const [page, setPage] = createStore<Page>({ ...EMPTY });
  const [error, setError] = createSignal<unknown>();
  const [changeError, setChangeError] = createSignal<unknown>();
  const number = props.number;
  /** Grows whenever the list of things to do or the time spent may have changed. */
  const [turn, setTurn] = createSignal(0);

  const read = {
    ticket: async () => setPage('ticket', reconcile(await api.ticket(number))),
    articles: async () => setPage('articles', reconcile(await api.articles(number), { key: 'id' })),
    attachments: async () => setPage('attachments', reconcile(await api.attachments(number), { key: 'id' })),
    links: async () => setPage('links', reconcile(await api.links(number), { key: 'id' })),
    groups: async () => setPage('groups', reconcile(await api.groups(), { key: 'id' })),
    events: async () => setPage('events', reconcile(await api.eventsOfTicket(number), { key: 'id' })),
    sessions: async () => setPage('sessions', reconcile((await api.sessionsOfTicket(number)).items, { key: 'id' })),
    reports: async () => setPage('reports', reconcile((await api.reportsOfTicket(number)).items, { key: 'id' })),
    users: async () => setPage('users', (await api.users()).items),
  };
  const readAll = async () => {
    try {
      await streamReady();
      const parts = [read.ticket(), read.articles(), read.attachments(), read.links(), read.events(), read.sessions(), read.reports()];
      await Promise.all(parts);
      setError(undefined);
      await Promise.all([read.users(), read.groups()]);
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
      if (['checklist_changed', 'time_recorded', 'ticket_merged', 'session_ended'].includes(event.kind)) setTurn(turn() + 1);
      if (event.kind === 'article_added') again(read.articles);
      if (event.kind === 'attachment_added') again(read.attachments);
      if (event.kind === 'ticket_linked') again(read.links);
      if (event.kind === 'ticket_merged') again(read.articles, read.attachments, read.sessions, read.reports);
    },
  });

  /** Changes the ticket as it was read. Who asks hears of a refusal; a ticket that has moved on is read again. */
  const change = async (change: ChangeTicket) => {
    const ticket = page.ticket;
    if (!ticket || Object.keys(change).length === 0) return;
    setChangeError(undefined);
    try {
      setPage('ticket', reconcile(await api.changeTicket({ ...ticket }, change)));
    } catch (error) {
      if (error instanceof ApiError && error.status === 412) again(read.ticket);
      throw error;
    }
  };
  const changeAtOnce = (asked: ChangeTicket) => change(asked).catch(setChangeError);
  const take = () => {
    const name = me()?.name;
    const ticket = page.ticket;
    if (!name || !mayWork() || !ticket || ticket.owner === name) return;
    // From a colleague it is taken with a word; from the group without.
    void changeAtOnce(ticket.owner ? { owner: name, reason: t().ticket.tookOver } : { owner: name });
  };
  const note = (ticket: Ticket) => setPage('ticket', reconcile(ticket));
  /** The company's page, with the tickets of whoever asks. */
  const history = () => {
    const ticket = page.ticket;
    if (ticket?.customer) navigate(customerPath(ticket));
  };
  onKeys({ t: take, h: history });

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
                <bdi>{titleOf(ticket())}</bdi>
              </h1>
              <Show when={ticket().merged_into}>
                {(into) => (
                  <p>
                    {t().ticket.mergedInto} <a href={`/tickets/${into()}`}>{into()}</a>
                  </p>
                )}
              </Show>
            </header>
            <div class="ticket-side">
              <Show when={mayWork()}>
                <CodePanel ticket={ticket()} events={page.events} />
              </Show>
              <section class="card" aria-labelledby="facts-title">
                <h2 id="facts-title">{t().ticket.facts}</h2>
                <TicketFacts ticket={ticket()} />
                <Show when={mayWork()}>
                  <Moves
                    ticket={ticket()}
                    users={page.users}
                    groups={page.groups}
                    take={take}
                    step={(state) => void changeAtOnce({ state })}
                    change={change}
                    read={note}
                    editing={query().has('edit')}
                  />
                </Show>
                <Show when={changeError()}>
                  {(error) => (
                    <p class="problem" role="alert">
                      {(error() as ApiError).status === 412 ? t().ticket.stale : explain(error())}
                    </p>
                  )}
                </Show>
              </section>
              <Show when={mayWork()}>
                <StatusLink number={number} />
              </Show>
              <Suspense>
                <Work ticket={ticket()} users={page.users} turn={turn()} read={note} />
              </Suspense>
              <Links number={number} links={page.links} read={read.links} />
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
              <ResolutionCard ticket={ticket()} reports={page.reports} users={page.users} done={note} />
              <Reports reports={page.reports} />
              <Thread
                ticket={ticket()}
                articles={page.articles}
                attachments={page.attachments}
                attached={read.attachments}
                users={page.users}
                said={(article) =>
                  !page.articles.some((known) => known.id === article.id) && setPage('articles', page.articles.length, article)
                }
              />
              <Log events={page.events} users={page.users} />
            </div>
          </article>
        )}
      </Show>
    </Show>
  );
}

const customerPath = ({ customer_id, contact_id }: Ticket) =>
  `/customers/${customer_id}${contact_id == null ? '' : `?contact=${contact_id}`}`;

function TicketFacts(props: { ticket: Ticket }) {
  const ticket = () => props.ticket;
  const lines = () =>
    [
      [t().ticket.contact, ticket().contact],
      [t().edit.reach, ticket().reach],
      [t().edit.language, ticket().language ? word(t().languages, ticket().language ?? '') : ''],
      [t().edit.product, [ticket().product, ticket().product_version].filter(Boolean).join(' ')],
      [t().edit.scope, ticket().scope],
      [t().ticket.group, ticket().group],
      [t().ticket.owner, ticket().owner ?? t().nobody],
      [t().ticket.impact, word(t().impacts, ticket().impact)],
      [t().ticket.urgency, word(t().urgencies, ticket().urgency)],
      [t().edit.priority_reason, ticket().priority_reason],
      [t().ticket.channel, word(t().channels, ticket().channel)],
      [t().ticket.closedAs, closedAs(ticket())],
      [t().edit.tags, ticket().tags.join(', ')],
    ] as const;
  const times = () =>
    [
      [t().edit.first_seen, ticket().first_seen_at_ms],
      [t().ticket.opened, ticket().created_at_ms],
      [t().edit.promised, ticket().promised_at_ms],
      [t().ticket.wakes, ticket().pending_until_ms],
      [t().ticket.closed, ticket().closed_at_ms],
    ] as const;
  return (
    <dl class="facts">
      <div>
        <dt>{t().ticket.customer}</dt>
        <dd>
          <Show when={ticket().customer} fallback={t().ticket.unknown}>
            <a href={customerPath(ticket())}>
              <Foreign text={ticket().customer} />
            </a>
          </Show>
        </dd>
      </div>
      <For each={lines().filter(([, text]) => text)}>
        {([label, text]) => (
          <div>
            <dt>{label}</dt>
            <dd>
              <Foreign text={text} />
            </dd>
          </div>
        )}
      </For>
      <For each={times().filter(([, at]) => at != null)}>
        {([label, at]) => (
          <div>
            <dt>{label}</dt>
            <dd>
              <Time atMs={at as number} />
              <Show when={at === ticket().created_at_ms}>
                {' '}
                <span class="quiet">({age(ticket().created_at_ms)})</span>
              </Show>
            </dd>
          </div>
        )}
      </For>
    </dl>
  );
}
