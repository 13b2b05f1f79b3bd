// Pages by address, with the History API.
import { createSignal } from 'solid-js';

export type Route =
  | { page: 'queue' }
  | { page: 'ticket'; number: string }
  | { page: 'devices' }
  | { page: 'device'; id: number }
  | { page: 'sign-in' }
  | { page: 'set-up' }
  | { page: 'first-admin' }
  | { page: 'account' }
  | { page: 'users' }
  | { page: 'desk' }
  | { page: 'customers' }
  | { page: 'customer'; id: number }
  | { page: 'unknown' };

const [address, setAddress] = createSignal(location.pathname + location.search);

/** A one-time token from the address, taken out of it and of the history before anything else happens. */
const [token, setToken] = createSignal(takeToken());

export { token };

export const route = (): Route => parse(address().split('?')[0] ?? '/');

export const query = (): URLSearchParams => new URLSearchParams(address().split('?')[1] ?? '');

export function navigate(to: string, how: 'push' | 'replace' = 'push'): void {
  if (how === 'replace') history.replaceState(null, '', to);
  else history.pushState(null, '', to);
  const before = address().split('?')[0];
  setAddress(to);
  if (before !== to.split('?')[0]) {
    scrollTo(0, 0);
    // Where a page load would put the reader: at the page's heading.
    queueMicrotask(() => document.querySelector<HTMLElement>('#content')?.focus({ preventScroll: true }));
  }
}

export function startRouter(): void {
  addEventListener('popstate', () => setAddress(location.pathname + location.search));
  addEventListener('hashchange', () => {
    const taken = takeToken();
    if (taken) setToken(taken);
  });
  addEventListener('click', (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) {
      return;
    }
    const link = (event.target as Element | null)?.closest?.('a');
    if (!link || link.target || link.hasAttribute('download') || link.origin !== location.origin) return;
    if (link.pathname.startsWith('/api/') || link.hash) return;
    event.preventDefault();
    navigate(link.pathname + link.search);
  });
}

function parse(path: string): Route {
  const parts = path.split('/').filter(Boolean);
  if (parts.length === 0) return { page: 'queue' };
  if (parts.length === 1 && parts[0] === 'devices') return { page: 'devices' };
  if (parts.length === 2 && parts[0] === 'devices' && /^\d{1,15}$/.test(parts[1] ?? '')) return { page: 'device', id: Number(parts[1]) };
  if (parts.length === 1 && parts[0] === 'customers') return { page: 'customers' };
  if (parts.length === 2 && parts[0] === 'customers' && /^\d{1,15}$/.test(parts[1] ?? '')) return { page: 'customer', id: Number(parts[1]) };
  if (parts.length === 1 && parts[0] === 'sign-in') return { page: 'sign-in' };
  if (parts.length === 1 && parts[0] === 'setup') return { page: 'set-up' };
  if (parts.length === 1 && parts[0] === 'first-admin') return { page: 'first-admin' };
  if (parts.length === 1 && parts[0] === 'account') return { page: 'account' };
  if (parts.length === 1 && parts[0] === 'users') return { page: 'users' };
  if (parts.length === 1 && parts[0] === 'desk') return { page: 'desk' };
  if (parts.length === 2 && parts[0] === 'tickets') return { page: 'ticket', number: decode(parts[1] ?? '') };
  return { page: 'unknown' };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function takeToken(): string | undefined {
  const path = location.pathname;
  if (!['/sign-in', '/setup', '/first-admin'].includes(path) || location.hash.length < 2) return undefined;
  const taken = location.hash.slice(1);
  history.replaceState(null, '', path);
  return taken;
}

/** Forgets the token, after it was used or refused. */
export function clearToken(): void {
  setToken(undefined);
}
