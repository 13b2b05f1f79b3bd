import { For, Show } from 'solid-js';

import { foreign } from '../format';
import { liveState } from '../live';
import { route } from '../router';
import { mayWork, me, signOut } from '../session';
import { LANGUAGES, language, setLanguage, t } from '../text';
import { type Theme, setTheme, theme } from '../theme';

export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
      <path class="logo-body" d="M11 4h8a8 8 0 0 1 8 8v2M27 20a8 8 0 0 1-8 8h-4A10 10 0 0 1 5 18v-8a6 6 0 0 1 6-6" />
      <path class="logo-gate" d="m27 14-3 6" />
    </svg>
  );
}

export function Header(props: { openTicket: () => void; takeCall: () => void }) {
  const current = (...pages: string[]) => (pages.includes(route().page) ? 'page' : undefined);
  return (
    <header class="top">
      <a class="brand" href="/" aria-label={t().product}>
        <Logo />
        <span>{t().product}</span>
      </a>
      <nav aria-label={t().nav.label}>
        <a href="/" aria-current={current('queue')}>{t().nav.queue}</a>
        <a href="/customers" aria-current={current('customers', 'customer')}>{t().nav.customers}</a>
        <a href="/devices" aria-current={current('devices', 'device')}>{t().nav.devices}</a>
        <a href="/users" aria-current={current('users')}>{t().nav.users}</a>
        <a href="/desk" aria-current={current('desk')}>{t().nav.desk}</a>
      </nav>
      <span class={`live live-${liveState()}`} role="status" title={t().live.hint}>
        {t().live[liveState()]}
      </span>
      <Show when={mayWork()}>
        <button type="button" onClick={() => props.takeCall()}>
          {t().nav.call} <kbd>p</kbd>
        </button>
        <button type="button" class="primary" onClick={() => props.openTicket()}>
          {t().nav.newTicket} <kbd>n</kbd>
        </button>
      </Show>
      <a class="who" href="/account" aria-current={current('account')}>
        <span class="unseen">{t().nav.signedInAs} </span>
        <bdi>{foreign(me()?.name ?? '')}</bdi>
      </a>
      <button type="button" onClick={() => void signOut().catch(() => {})}>{t().nav.signOut}</button>
    </header>
  );
}

export function Footer(props: { showKeys: () => void }) {
  const themes: Theme[] = ['system', 'light', 'dark'];
  return (
    <footer class="bottom" aria-label={t().settings.label}>
      <Choice
        label={t().settings.language}
        options={LANGUAGES.map(({ id, name, tag }) => ({ id, name, tag }))}
        chosen={language()}
        choose={setLanguage}
      />
      <Choice
        label={t().settings.theme}
        options={themes.map((id) => ({ id, name: t().settings[id] }))}
        chosen={theme()}
        choose={setTheme}
      />
      <span class="spacer" />
      <button type="button" class="plain" onClick={() => props.showKeys()}>
        {t().settings.shortcuts} <kbd>?</kbd>
      </button>
      <a href="/api/docs">{t().settings.api}</a>
    </footer>
  );
}

function Choice<Id extends string>(props: {
  label: string;
  options: readonly { id: Id; name: string; tag?: string }[];
  chosen: Id;
  choose: (id: Id) => void;
}) {
  return (
    <div class="choice" role="group" aria-label={props.label}>
      <For each={props.options}>
        {(option) => (
          <button
            type="button"
            lang={option.tag}
            aria-pressed={props.chosen === option.id}
            onClick={() => props.choose(option.id)}
          >
            {option.name}
          </button>
        )}
      </For>
    </div>
  );
}
