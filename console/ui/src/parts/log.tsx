import { For, Show } from 'solid-js';

import type { Event, User } from '../api/schema';
import { clockTime, foreign, list, minutesText, word } from '../format';
import { t } from '../text';
import { countsText } from './reports';
import { Time } from './text';

/** The ticket's log as sentences, newest first. */
export function Log(props: { events: Event[]; users: User[] }) {
  return (
    <section class="card" aria-labelledby="log-title">
      <h2 id="log-title">{t().log.title}</h2>
      <Show when={props.events.length > 0} fallback={<p class="quiet">{t().log.empty}</p>}>
        <ol class="log" reversed>
          <For each={[...props.events].reverse()}>
            {(event) => (
              <li class={`event-${event.kind}`} data-kind={event.kind}>
                <p>
                  <bdi>{sentence(event, props.users)}</bdi>
                </p>
                <Time atMs={event.at_ms} />
              </li>
            )}
          </For>
        </ol>
      </Show>
    </section>
  );
}

/** An event as one sentence in the chosen language. */
export function sentence(event: Event, users: User[]): string {
  const texts = t().events;
  const who = actor(event.actor, users);
  const { payload } = event;
  const device = typeof payload['device'] === 'number' ? `${t().sessions.device} ${payload['device']}` : t().log.device;
  switch (event.kind) {
    case 'ticket_opened':
      return texts.ticket_opened(who, word(t().channels, String(payload['channel'])));
    case 'ticket_changed':
      return changes(event, who, users);
    case 'article_added':
      return texts.article_added(who, word(t().visibilities, String(payload['visibility'])));
    case 'attachment_added':
      return texts.attachment_added(who, foreign(String(payload['name'] ?? '')));
    case 'ticket_resolved':
      return texts.ticket_resolved(who, foreign(String(payload['cause'] ?? '')));
    case 'ticket_verified':
      return payload['report'] == null
        ? texts.ticket_verified(who, foreign(String(payload['words'] ?? '')))
        : texts.verified_by_report(who, String(payload['report']));
    case 'ticket_merged':
      return payload['into'] == null
        ? texts.merged_from(who, String(payload['from']))
        : texts.merged_into(who, String(payload['into']));
    case 'ticket_linked':
      return linked(event, who);
    case 'customer_scored':
      return texts.customer_scored(String(payload['score']));
    case 'reminder_fired':
      return texts.reminder_fired(word(t().states, String(payload['was'])));
    case 'invite_minted':
      return texts.invite_minted(who, clockTime(Number(payload['expires_at_ms'])));
    case 'invite_refused': {
      const reasons: Record<string, string> = t().refusals;
      return texts.invite_refused(reasons[String(payload['reason'])] ?? t().refusals.other);
    }
    case 'session_started':
      return texts.session_started(device);
    case 'session_resumed':
      return texts.session_resumed(device);
    case 'session_interrupted':
      return texts.session_interrupted;
    case 'session_ended':
      return texts.session_ended(word(t().endReasons, String(payload['reason'])));
    case 'consent_recorded': {
      const granted = capabilities(payload['granted']);
      const refused = capabilities(payload['refused']);
      const first = granted ? texts.consent(granted) : texts.consentNone;
      return refused ? `${first} ${texts.consentRefused(refused)}` : first;
    }
    case 'report_filed':
      return texts.report_filed(
        leavesOutFindings(payload['withheld'])
          ? texts.findingsWithheld
          : countsText((payload['findings'] ?? {}) as Record<string, unknown>),
      );
    case 'checklist_changed':
      return payload['done'] === true
        ? texts.checklist_done(who, foreign(String(payload['text'] ?? '')))
        : texts.checklist_changed(who);
    case 'time_recorded':
      return texts.time_recorded(who, minutesText(Number(payload['seconds'])));
    default:
      return foreign(String(event.kind));
  }
}

function leavesOutFindings(withheld: unknown): boolean {
  return Array.isArray(withheld) && withheld.some((one: { section?: unknown } | null) => one?.section === 'findings');
}

function changes(event: Event, who: string, users: User[]): string {
  const texts = t().events;
  const sentences: string[] = [];
  const others: string[] = [];
  const pair = (value: unknown): [unknown, unknown] => (Array.isArray(value) ? [value[0], value[1]] : [undefined, undefined]);
  for (const [field, value] of Object.entries(event.payload)) {
    const [from, to] = pair(value);
    if (field === 'reason') {
      continue;
    } else if (field === 'state') {
      sentences.push(texts.moved(who, word(t().states, String(from)), word(t().states, String(to))));
    } else if (field === 'owner') {
      const own = event.actor === `user:${String(to)}`;
      sentences.push(to === null ? texts.unassigned(who) : own ? texts.took(who) : texts.assigned(who, user(to, users)));
    } else {
      others.push(word(t().fields, field));
    }
  }
  if (others.length > 0) sentences.push(texts.changed(who, list(others)));
  const reason = event.payload['reason'];
  if (reason) sentences.push(texts.because(foreign(String(reason))));
  return sentences.join(' ');
}

function linked(event: Event, who: string): string {
  const { removed, kind, to, from } = event.payload;
  if (removed) return t().events.unlinked(who);
  const kinds: Record<string, string> = to ? t().links.kinds : t().links.back;
  return t().events.linked(who, word(kinds, String(kind)), String(to ?? from));
}

function capabilities(names: unknown): string {
  return Array.isArray(names) ? list(names.map((name) => word(t().capabilities, String(name)))) : '';
}

/** Who did something, by name where the name is known. */
export function actor(actor: string, users: User[]): string {
  const [kind, id] = actor.split(':');
  switch (kind) {
    case 'user':
      return user(Number(id), users);
    case 'device':
      return t().log.device;
    case 'customer':
      return t().log.customer;
    case 'local':
      return t().log.local;
    case 'system':
      return t().log.console;
    default:
      return t().log.somebody;
  }
}

function user(id: unknown, users: User[]): string {
  const known = users.find((user) => user.id === id);
  return known ? foreign(known.name) : t().log.somebody;
}
