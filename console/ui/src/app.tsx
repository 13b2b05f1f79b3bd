import { ErrorBoundary, Match, Show, Suspense, Switch, createEffect, createMemo, createSignal, lazy, onMount } from 'solid-js';

import { api, onceKey } from './api/client';
import { latest } from './live';
import { onKeys } from './keys';
import { NotFound } from './pages/not-found';
import { Queue } from './pages/queue';
import { FirstAdmin, SetUp } from './pages/set-up';
import { SignIn } from './pages/sign-in';
import { TicketPage } from './pages/ticket';
import { getCode } from './parts/code';
import { NewTicket } from './parts/new-ticket';
import { Problem } from './parts/problem';
import { Footer, Header } from './parts/shell';
import { Shortcuts } from './parts/shortcuts';
import { StepUp } from './parts/step-up';
import { sentence } from './parts/log';
import { type Route, navigate, route, token } from './router';
import { findOut, mayWork, me } from './session';
import { t, tag } from './text';

// What few people open every minute is fetched when it is opened.
const Account = lazy(async () => ({ default: (await import('./pages/account')).Account }));
const Devices = lazy(async () => ({ default: (await import('./pages/devices')).Devices }));
const DevicePage = lazy(async () => ({ default: (await import('./pages/device')).DevicePage }));
const Customers = lazy(() => import('./pages/customers'));
const Customer = lazy(() => import('./pages/customer'));
const DeskPage = lazy(() => import('./pages/desk'));
const Users = lazy(async () => ({ default: (await import('./pages/users')).Users }));

export function App() {
  const [opening, setOpening] = createSignal(false);
  const [showingKeys, setShowingKeys] = createSignal(false);
  const [failure, setFailure] = createSignal<unknown>();
  const [callError, setCallError] = createSignal<unknown>();

  const look = () => {
    setFailure(undefined);
    findOut().catch(setFailure);
  };
  // A one-time link signs in by itself, so who was here before does not matter.
  onMount(() => {
    if (!token()) look();
  });

  createEffect(() => {
    document.documentElement.lang = tag();
  });
  createEffect(() => {
    const at = route();
    document.title = me() ? `${placeName(at)} · ${t().product}` : t().product;
  });
  // Whoever is signed in has no business on the sign-in page.
  createEffect(() => {
    if (me() && ['sign-in', 'set-up', 'first-admin'].includes(route().page) && !token()) navigate('/', 'replace');
  });

  onKeys({
    '?': () => setShowingKeys(true),
    n: () => me() && mayWork() && setOpening(true),
    p: () => me() && mayWork() && void takeCall(),
    q: () => me() && navigate('/'),
  });

  /** A call comes in: its ticket and its code are there before a word is typed. */
  let calling = false;
  const takeCall = async () => {
    if (calling) return;
    calling = true;
    try {
      const { number } = await api.openTicket({ channel: 'phone' }, onceKey());
      await getCode(number);
      navigate(`/tickets/${number}?edit`);
    } catch (error) {
      setCallError(error);
    } finally {
      calling = false;
    }
  };

  const number = createMemo(() => {
    const at = route();
    return at.page === 'ticket' ? at.number : undefined;
  });

  const device = createMemo(() => {
    const at = route();
    return at.page === 'device' ? at.id : undefined;
  });

  const customer = createMemo(() => {
    const at = route();
    return at.page === 'customer' ? at.id : undefined;
  });

  return (
    <ErrorBoundary fallback={(error: unknown) => <Broken error={error} />}>
      <a class="skip" href="#content" onClick={(event) => {
        event.preventDefault();
        document.querySelector<HTMLElement>('#content')?.focus();
      }}>
        {t().skip}
      </a>
      <Show when={me()}>
        <Header openTicket={() => setOpening(true)} takeCall={() => void takeCall()} />
        <Problem error={callError()} />
      </Show>
      <main id="content" tabindex="-1" classList={{ centred: !me() }}>
        <Suspense fallback={<p class="quiet">{t().loading}</p>}>
          <Switch>
            <Match when={route().page === 'set-up' && !me()}>
              <SetUp />
            </Match>
            <Match when={route().page === 'first-admin' && !me()}>
              <FirstAdmin />
            </Match>
            <Match when={failure()}>
              <Problem error={failure()} />
              <p>
                <button type="button" onClick={look}>{t().retry}</button>
              </p>
            </Match>
            <Match when={me() === null || (token() && !me())}>
              <SignIn />
            </Match>
            <Match when={me() === undefined}>
              <p class="quiet">{t().loading}</p>
            </Match>
            <Match when={route().page === 'queue'}>
              <Queue openTicket={() => setOpening(true)} />
            </Match>
            <Match when={number()} keyed>
              {(number) => <TicketPage number={number} />}
            </Match>
            <Match when={device()} keyed>
              {(id) => <DevicePage id={id} />}
            </Match>
            <Match when={route().page === 'devices'}>
              <Devices />
            </Match>
            <Match when={route().page === 'customers'}>
              <Customers />
            </Match>
            <Match when={customer()} keyed>
              {(id) => <Customer id={id} />}
            </Match>
            <Match when={route().page === 'account'}>
              <Account />
            </Match>
            <Match when={route().page === 'users'}>
              <Users />
            </Match>
            <Match when={route().page === 'desk'}>
              <DeskPage />
            </Match>
            <Match when={true}>
              <NotFound />
            </Match>
          </Switch>
        </Suspense>
      </main>
      <Footer showKeys={() => setShowingKeys(true)} />
      <p class="unseen" aria-live="polite">
        <Show when={me() ? latest() : undefined}>{(event) => `${event().ticket}: ${sentence(event(), [])}`}</Show>
      </p>
      <StepUp />
      <Show when={me() && opening()}>
        <NewTicket close={() => setOpening(false)} />
      </Show>
      <Show when={showingKeys()}>
        <Shortcuts close={() => setShowingKeys(false)} />
      </Show>
    </ErrorBoundary>
  );
}

function placeName(at: Route): string {
  switch (at.page) {
    case 'ticket':
      return at.number;
    case 'device':
      return t().device.title(at.id);
    case 'devices':
      return t().nav.devices;
    case 'account':
      return t().account.title;
    case 'users':
      return t().users.title;
    case 'customers':
    case 'customer':
      return t().nav.customers;
    case 'desk':
      return t().nav.desk;
    default:
      return t().nav.queue;
  }
}

function Broken(props: { error: unknown }) {
  console.error(props.error);
  return (
    <main id="content" class="centred">
      <p class="problem" role="alert">{t().problems.bug}</p>
    </main>
  );
}
