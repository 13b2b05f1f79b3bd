import { For, Show } from 'solid-js';

import type { Session } from '../api/schema';
import { clockTime, list, word } from '../format';
import { t } from '../text';
import { SessionMark } from './chips';
import { Time } from './text';

export function Sessions(props: { sessions: Session[] }) {
  return (
    <section class="card" aria-labelledby="sessions-title">
      <h2 id="sessions-title">{t().sessions.title}</h2>
      <Show when={props.sessions.length > 0} fallback={<p class="quiet">{t().sessions.empty}</p>}>
        <ul class="sessions">
          <For each={props.sessions}>
            {(session) => (
              <li>
                <p class="marks">
                  <SessionMark state={session.state} />
                  <a href={`/devices/${session.device}`}>{t().device.title(session.device)}</a>
                  <Time atMs={session.started_at_ms} />
                </p>
                <Show when={session.end_reason}>
                  {(reason) => <p class="quiet">{t().events.session_ended(word(t().endReasons, reason()))}</p>}
                </Show>
                <Show when={session.state !== 'ended' && session.phrase}>
                  {(phrase) => (
                    <dl class="consent">
                      <dt>{t().sessions.compare}</dt>
                      <dd class="phrase">
                        <b lang="en">{phrase().en}</b> <span lang="zh">{phrase().zh}</span>
                      </dd>
                    </dl>
                  )}
                </Show>
                <Consents session={session} />
              </li>
            )}
          </For>
        </ul>
      </Show>
    </section>
  );
}

function Consents(props: { session: Session }) {
  const names = (capabilities: string[]) => list(capabilities.map((name) => word(t().capabilities, name)));
  const unanswered = () => (props.session.state === 'ended' ? t().sessions.noAnswer : t().sessions.waiting);
  return (
    <For each={props.session.consents} fallback={<p class="quiet">{unanswered()}</p>}>
      {(consent) => (
        <dl class="consent">
          <Show when={consent.granted.length > 0}>
            <dt>✓ {t().sessions.allowed}</dt>
            <dd>
              {names(consent.granted)}
              <Show when={consent.grant_ends_at_ms}>
                {(end) => <span class="quiet"> ({t().sessions.until(clockTime(end()))})</span>}
              </Show>
            </dd>
          </Show>
          <Show when={consent.refused.length > 0}>
            <dt>✕ {t().sessions.refused}</dt>
            <dd>{names(consent.refused)}</dd>
          </Show>
          <Show when={consent.shown_sha256}>
            {(hash) => (
              <dd>
                <details>
                  <summary>{t().sessions.shown}</summary>
                  <code>{hash()}</code>
                </details>
              </dd>
            )}
          </Show>
        </dl>
      )}
    </For>
  );
}
