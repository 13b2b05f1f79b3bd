import { Match, Show, Switch, createSignal } from 'solid-js';
import { createStore } from 'solid-js/store';

import { api, onceKey } from '../api/client';
import type { Event, MintedInvite, Ticket } from '../api/schema';
import { now, remaining } from '../format';
import { onKeys } from '../keys';
import { t } from '../text';
import { Copyable } from './copyable';
import { Problem } from './problem';

/** Codes that this page got. The console shows a code once, so leaving the ticket must not lose it. */
const [codes, setCodes] = createStore<Record<string, MintedInvite>>({});

/** The digits of a code that this page got for a ticket, as they are read aloud, while they are good. */
export function codeOf(number: string): string | undefined {
  const invite = codes[number];
  return invite && now() < invite.expires_at_ms ? invite.spoken : undefined;
}

/** Gets a code for a ticket and keeps it for its page. */
export async function getCode(number: string): Promise<void> {
  setCodes(number, await api.mintInvite(number, onceKey()));
}

export function CodePanel(props: { ticket: Ticket; events: Event[] }) {
  const [error, setError] = createSignal<unknown>();
  const [asking, setAsking] = createSignal(false);
  const invite = () => codes[props.ticket.number];
  const takesSessions = () => props.ticket.state !== 'closed' && props.ticket.state !== 'merged';

  const get = async () => {
    if (asking() || !takesSessions()) return;
    setAsking(true);
    setError(undefined);
    try {
      await getCode(props.ticket.number);
    } catch (error) {
      setError(error);
    } finally {
      setAsking(false);
    }
  };
  onKeys({ c: () => void get() });

  /** What happened to the shown code, by the ticket's log. */
  const fate = (): 'good' | 'expired' | 'used' | 'replaced' => {
    const shown = invite();
    if (!shown) return 'good';
    const minted = props.events.findLastIndex(
      (event) => event.kind === 'invite_minted' && event.payload['expires_at_ms'] === shown.expires_at_ms,
    );
    if (minted >= 0) {
      const later = props.events.slice(minted + 1);
      const next = later.find((event) => event.kind === 'session_started' || event.kind === 'invite_minted');
      if (next) return next.kind === 'session_started' ? 'used' : 'replaced';
    }
    return now() < shown.expires_at_ms ? 'good' : 'expired';
  };

  return (
    <section class="card code" aria-labelledby="code-title">
      <h2 id="code-title">{t().code.title}</h2>
      <Switch>
        <Match when={!takesSessions()}>
          <p class="quiet">{t().code.notNow}</p>
        </Match>
        <Match when={invite()} keyed>
          {(invite) => (
            <>
              <Show when={fate() === 'good'} fallback={<Fate fate={fate()} />}>
                <p class="hint">{t().code.read}</p>
                <p class="digits">{invite.spoken}</p>
                <p class="hint">{t().code.expiresIn(remaining(invite.expires_at_ms))}</p>
                <Show when={invite.link}>
                  {(link) => <Copyable label={t().code.link} button={t().code.copyLink} text={link()} short />}
                </Show>
                <Copyable label={t().code.command} button={t().code.copyCommand} text={invite.command} />
              </Show>
              <button type="button" disabled={asking()} onClick={() => void get()}>
                {t().code.another} <kbd>c</kbd>
              </button>
            </>
          )}
        </Match>
        <Match when={true}>
          <p class="hint">{t().code.text}</p>
          <button type="button" class="primary" disabled={asking()} onClick={() => void get()}>
            {t().code.get} <kbd>c</kbd>
          </button>
        </Match>
      </Switch>
      <Problem error={error()} />
      <p class="unseen" role="status">
        {invite() && fate() === 'good' ? `${t().code.read}: ${invite()?.spoken}` : ''}
      </p>
    </section>
  );
}

function Fate(props: { fate: 'good' | 'expired' | 'used' | 'replaced' }) {
  return (
    <p class="note" role="status">
      {props.fate === 'used' ? t().code.used : props.fate === 'replaced' ? t().code.replaced : t().code.expired}
    </p>
  );
}
