import { For, Match, Show, Switch, createSignal } from 'solid-js';

import { api, consoleNow, onceKey } from '../api/client';
import type { ChangeTicket, Closing, Group, Priority, Ticket, TicketState, User } from '../api/schema';
import { localInput, word } from '../format';
import { navigate } from '../router';
import { me } from '../session';
import { t } from '../text';
import { codeOf } from './code';
import { Field } from './field';
import { FormDialog } from './form-dialog';
import { Select } from './select';

type Change = (change: ChangeTicket) => Promise<void>;
type Asked = 'edit' | 'assign' | 'follow-up' | TicketState;

/** Everything that can be done to a ticket. What a step needs is asked for before it is taken. */
export function Moves(props: {
  ticket: Ticket;
  users: User[];
  groups: Group[];
  take: () => void;
  /** Takes a step that needs nothing; a refusal is shown by the page. */
  step: (state: TicketState) => void;
  /** Makes a change and throws its refusal, for a dialog to show. */
  change: Change;
  read: (ticket: Ticket) => void;
  editing: boolean;
}) {
  const [asked, setAsked] = createSignal<Asked | undefined>(props.editing ? 'edit' : undefined);
  const close = () => setAsked(undefined);
  const states = () => props.ticket.next_states;
  const go = (state: TicketState) => {
    if (state === 'open' || (state === 'closed' && props.ticket.state === 'resolved')) props.step(state);
    else setAsked(state);
  };
  const isWorkable = () => props.ticket.state !== 'merged';
  return (
    <div class="actions">
      <Show when={states().length > 0}>
        <div class="moves" role="group" aria-label={t().ticket.moveTo}>
          <For each={states()}>
            {(state) => (
              <button type="button" onClick={() => go(state)}>
                {state === 'open' && props.ticket.state !== 'new' ? openWord(props.ticket.state) : t().moves[state]}
              </button>
            )}
          </For>
        </div>
      </Show>
      <div class="moves">
        <Show when={isWorkable() && props.ticket.owner !== me()?.name}>
          <button type="button" onClick={() => props.take()}>
            {t().ticket.take} <kbd>t</kbd>
          </button>
        </Show>
        <Show when={isWorkable()}>
          <button type="button" onClick={() => setAsked('assign')}>{t().ticket.assign}</button>
          <button type="button" onClick={() => setAsked('edit')}>{t().ticket.edit}</button>
        </Show>
        <Show when={props.ticket.state === 'closed'}>
          <button type="button" onClick={() => setAsked('follow-up')}>{t().ticket.followUp}</button>
        </Show>
      </div>
      <Switch>
        <Match when={asked() === 'edit'}>
          <Edit ticket={props.ticket} change={props.change} close={close} />
        </Match>
        <Match when={asked() === 'assign'}>
          <Assign ticket={props.ticket} users={props.users} groups={props.groups} change={props.change} close={close} />
        </Match>
        <Match when={asked() === 'follow-up'}>
          <FollowUp ticket={props.ticket} close={close} />
        </Match>
        <Match when={asked() === 'resolved'}>
          <Resolve change={props.change} close={close} />
        </Match>
        <Match when={asked() === 'closed'}>
          <Close change={props.change} close={close} />
        </Match>
        <Match when={asked() === 'merged'}>
          <Merge ticket={props.ticket} read={props.read} close={close} />
        </Match>
        <Match when={asked()}>
          {(state) => <Wait state={state() as TicketState} change={props.change} close={close} />}
        </Match>
      </Switch>
    </div>
  );
}

function openWord(from: TicketState): string {
  return from === 'resolved' || from === 'closed' ? t().moves.reopen : t().moves.open;
}

function Resolve(props: { change: Change; close: () => void }) {
  const names = ['cause', 'fix', 'prevention'] as const;
  return (
    <FormDialog
      title={t().moves.resolved}
      submit={t().moves.resolved}
      names={names.map((name) => `resolution.${name}`)}
      close={props.close}
      send={(text) =>
        props.change({
          state: 'resolved',
          resolution: { cause: text('cause'), fix: text('fix'), prevention: text('prevention') },
        })
      }
    >
      {(problem) => (
        <For each={names}>
          {(name) => (
            <Field label={t().resolution[name]} hint={t().resolution.hints[name]} problem={problem(`resolution.${name}`)}>
              {(given) => <textarea {...given} name={name} dir="auto" rows={2} required maxLength={2_000} />}
            </Field>
          )}
        </For>
      )}
    </FormDialog>
  );
}

function Wait(props: { state: TicketState; change: Change; close: () => void }) {
  const needsDate = () => props.state === 'pending_reminder';
  return (
    <FormDialog
      title={t().states[props.state]}
      submit={t().moves.wait}
      names={['pending_until_ms']}
      close={props.close}
      send={(text) => {
        const until = Date.parse(text('until'));
        return props.change({ state: props.state, ...(Number.isFinite(until) ? { pending_until_ms: until } : {}) });
      }}
    >
      {(problem) => (
        <Field label={needsDate() ? t().moves.until : t().moves.untilAtMost} hint={t().moves.untilHint} problem={problem('pending_until_ms')}>
          {(given) => (
            <input
              {...given}
              name="until"
              type="datetime-local"
              required={needsDate()}
              min={localInput(consoleNow())}
              value={needsDate() ? localInput(consoleNow() + DAY_MS) : ''}
            />
          )}
        </Field>
      )}
    </FormDialog>
  );
}

function Close(props: { change: Change; close: () => void }) {
  return (
    <FormDialog
      title={t().moves.closed}
      submit={t().moves.closed}
      names={['closing']}
      close={props.close}
      send={(text) => props.change({ state: 'closed', closing: text('closing') as Closing })}
    >
      {(problem) => (
        <>
          <p class="hint">{t().moves.closeHint}</p>
          <Select
            name="closing"
            label={t().moves.why}
            options={{ withdrawn: t().closings.withdrawn, spam: t().closings.spam }}
            problem={problem('closing')}
          />
        </>
      )}
    </FormDialog>
  );
}

function Merge(props: { ticket: Ticket; read: (ticket: Ticket) => void; close: () => void }) {
  return (
    <FormDialog
      title={t().moves.merged}
      submit={t().moves.merged}
      names={['into']}
      close={props.close}
      send={async (text) => props.read(await api.merge(props.ticket.number, text('into')))}
    >
      {(problem) => (
        <Field label={t().moves.into} hint={t().moves.mergeHint} problem={problem('into')}>
          {(given) => <input {...given} name="into" required maxLength={20} autocomplete="off" placeholder="BL-10001-4" />}
        </Field>
      )}
    </FormDialog>
  );
}

function Assign(props: { ticket: Ticket; users: User[]; groups: Group[]; change: Change; close: () => void }) {
  const people = () => props.users.filter((user) => user.role !== 'auditor').map((user) => [user.name, user.name]);
  const owners = () => Object.fromEntries([['', t().nobody], ...people()]) as Record<string, string>;
  const groups = () => Object.fromEntries(props.groups.map((group) => [group.name, group.name]));
  const [group, setGroup] = createSignal(props.ticket.group);
  return (
    <FormDialog
      title={t().ticket.assign}
      submit={t().ticket.assign}
      names={['group', 'owner', 'reason']}
      close={props.close}
      send={(text) => {
        const change: ChangeTicket = {};
        if (group() !== props.ticket.group) change.group = group();
        // Whose turn it is in another group, that group knows.
        else if (text('owner') !== (props.ticket.owner ?? '')) change.owner = text('owner') || null;
        if (text('reason')) change.reason = text('reason');
        return props.change(change);
      }}
    >
      {(problem) => (
        <>
          <Select name="group" label={t().ticket.group} options={groups()} chosen={props.ticket.group} problem={problem('group')} onChoose={setGroup} />
          <Show when={group() === props.ticket.group} fallback={<p class="hint">{t().ticket.groupDecides}</p>}>
            <Select name="owner" label={t().ticket.owner} options={owners()} chosen={props.ticket.owner ?? ''} problem={problem('owner')} />
          </Show>
          <Field label={t().ticket.reason} hint={t().ticket.reasonHint} problem={problem('reason')}>
            {(given) => <input {...given} name="reason" dir="auto" maxLength={200} autocomplete="off" />}
          </Field>
        </>
      )}
    </FormDialog>
  );
}

/** Lines that can be changed as they are; what else a ticket has, has a step of its own. */
const LINE_ROWS = [['title'], ['customer', 'contact'], ['reach'], ['product', 'product_version'], ['scope']] as const;
const LINES = LINE_ROWS.flat();

function Edit(props: { ticket: Ticket; change: Change; close: () => void }) {
  const ticket = { ...props.ticket };
  const matrix = () => (ticket.priority_reason ? ticket.priority : '');
  const [priority, setPriority] = createSignal<string>(matrix());
  const send = (text: (name: string) => string) => {
    const change: ChangeTicket = {};
    for (const line of LINES) {
      if (text(line) === (ticket[line] ?? '')) continue;
      if (line === 'contact') change.contact = text(line) || null;
      else change[line] = text(line);
    }
    if (text('language') !== (ticket.language ?? '')) change.language = text('language') as NonNullable<ChangeTicket['language']>;
    if (text('description') !== ticket.description.trim()) change.description = text('description');
    if (text('impact') !== ticket.impact) change.impact = text('impact') as ChangeTicket['impact'] & string;
    if (text('urgency') !== ticket.urgency) change.urgency = text('urgency') as ChangeTicket['urgency'] & string;
    if (priority() !== matrix() || text('priority_reason') !== (ticket.priority_reason ?? '')) {
      change.priority = (priority() || null) as Priority | null;
      if (priority()) change.priority_reason = text('priority_reason');
    }
    const [first, promised] = [Date.parse(text('first_seen')), Date.parse(text('promised'))];
    if (Number.isFinite(first) && localInput(ticket.first_seen_at_ms) !== text('first_seen')) change.first_seen_at_ms = first;
    if (localInput(ticket.promised_at_ms) !== text('promised')) change.promised_at_ms = Number.isFinite(promised) ? promised : null;
    const tags = text('tags').split(/[,，、]/).map((tag) => tag.trim()).filter(Boolean);
    if (tags.join() !== ticket.tags.join()) change.tags = tags;
    return props.change(change);
  };
  return (
    <FormDialog
      title={t().ticket.edit}
      submit={t().ticket.save}
      names={[...LINES, 'description', 'priority_reason', 'tags', 'first_seen_at_ms', 'promised_at_ms']}
      close={props.close}
      send={send}
    >
      {(problem) => (
        <>
          <Show when={codeOf(ticket.number)}>
            {(code) => (
              <p class="spoken">
                {t().code.read} <strong class="mono">{code()}</strong>
              </p>
            )}
          </Show>
          <For each={LINE_ROWS}>
            {(row) => (
              <div class="fields">
                <For each={row}>
                  {(line) => (
                    <Field label={t().edit[line]} problem={problem(line)}>
                      {(given) => (
                        <input
                          {...given}
                          name={line}
                          dir="auto"
                          maxLength={200}
                          autocomplete="off"
                          autofocus={line === 'title'}
                          value={ticket[line] ?? ''}
                        />
                      )}
                    </Field>
                  )}
                </For>
              </div>
            )}
          </For>
          <Field label={t().ticket.description} problem={problem('description')}>
            {(given) => <textarea {...given} name="description" dir="auto" rows={3} maxLength={20_000} value={ticket.description} />}
          </Field>
          <div class="fields">
            <Select
              name="language"
              label={t().edit.language}
              options={ticket.language ? t().languages : { '': t().ticket.unknown, ...t().languages }}
              chosen={ticket.language ?? ''}
            />
            <Select name="impact" label={t().ticket.impact} options={t().impacts} chosen={ticket.impact} />
            <Select name="urgency" label={t().ticket.urgency} options={t().urgencies} chosen={ticket.urgency} />
            <Select
              name="priority"
              label={t().edit.priority}
              options={{ '': t().edit.byMatrix, ...t().priorities }}
              chosen={matrix()}
              onChoose={setPriority}
            />
          </div>
          <Show when={priority() !== ''}>
            <Field label={t().edit.priority_reason} problem={problem('priority_reason')}>
              {(given) => (
                <input {...given} name="priority_reason" dir="auto" required maxLength={200} value={ticket.priority_reason ?? ''} />
              )}
            </Field>
          </Show>
          <div class="fields">
            <Field label={t().edit.first_seen} problem={problem('first_seen_at_ms')}>
              {(given) => <input {...given} name="first_seen" type="datetime-local" value={localInput(ticket.first_seen_at_ms)} />}
            </Field>
            <Field label={t().edit.promised} problem={problem('promised_at_ms')}>
              {(given) => <input {...given} name="promised" type="datetime-local" value={localInput(ticket.promised_at_ms)} />}
            </Field>
          </div>
          <Field label={t().edit.tags} hint={t().edit.tagsHint} problem={problem('tags')}>
            {(given) => <input {...given} name="tags" dir="auto" maxLength={2_000} autocomplete="off" value={ticket.tags.join(', ')} />}
          </Field>
        </>
      )}
    </FormDialog>
  );
}

function FollowUp(props: { ticket: Ticket; close: () => void }) {
  const key = onceKey();
  return (
    <FormDialog
      title={t().ticket.followUp}
      submit={t().newTicket.submit}
      names={['title', 'description']}
      close={props.close}
      send={async (text) => {
        const { customer, contact = null, product = null, product_version = null, impact, urgency } = props.ticket;
        const next = { customer, contact, product, product_version, impact, urgency };
        const opened = await api.followUp(
          props.ticket.number,
          { ...next, title: text('title'), description: text('description'), channel: 'phone' },
          key,
        );
        navigate(`/tickets/${opened.number}`);
      }}
    >
      {(problem) => (
        <>
          <p class="hint">{t().ticket.followUpHint(props.ticket.number)}</p>
          <Field label={t().newTicket.what} problem={problem('title')}>
            {(given) => <input {...given} name="title" dir="auto" required maxLength={200} autocomplete="off" value={props.ticket.title} />}
          </Field>
          <Field label={t().newTicket.description} problem={problem('description')}>
            {(given) => <textarea {...given} name="description" dir="auto" rows={3} maxLength={20_000} />}
          </Field>
        </>
      )}
    </FormDialog>
  );
}

/** The word for a closed ticket's reason, where it has one. */
export function closedAs(ticket: Ticket): string | undefined {
  return ticket.closed_as ? word(t().closings, ticket.closed_as) : undefined;
}

const DAY_MS = 24 * 60 * 60 * 1_000;
