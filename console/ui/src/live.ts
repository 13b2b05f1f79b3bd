// One stream of events for the whole page. The browser reconnects by itself with Last-Event-ID; what it gives up on, such
// as a proxy's error, is reopened here after the last known event.
import { createSignal, onCleanup } from 'solid-js';

import { api } from './api/client';
import type { Event } from './api/schema';

export type LiveState = 'connecting' | 'live' | 'lost';

type Listener = { event(event: Event): void; missed(): void };

const [liveState, setLiveState] = createSignal<LiveState>('connecting');
const [latest, setLatest] = createSignal<Event | undefined>();

export { latest, liveState };

const listeners = new Set<Listener>();
let source: EventSource | undefined;
let lastId: string | undefined;
let opened = false;
let retry: ReturnType<typeof setTimeout> | undefined;
let delayMs = 0;
let markReady: () => void = () => {};
let ready: Promise<void> = Promise.resolve();

/** Calls `event` for each event, and `missed` when some may have passed unseen. */
export function listen(listener: Listener): void {
  listeners.add(listener);
  onCleanup(() => listeners.delete(listener));
}

/** Resolves when the stream is open, so that nothing falls between a first look and the stream; at the latest soon. */
export function streamReady(): Promise<void> {
  return ready;
}

export function startLive(): void {
  stopLive();
  ready = new Promise((resolve) => {
    markReady = resolve;
    setTimeout(resolve, READY_MAX_MS);
  });
  open();
}

export function stopLive(): void {
  clearTimeout(retry);
  source?.close();
  source = undefined;
  lastId = undefined;
  opened = false;
  delayMs = 0;
  setLiveState('connecting');
}

function open(): void {
  const stream = new EventSource(lastId ? `/api/v1/events?after=${encodeURIComponent(lastId)}` : '/api/v1/events');
  source = stream;
  stream.onopen = () => {
    delayMs = 0;
    setLiveState('live');
    markReady();
    // Without a known event the console starts with the next one: look again at what happened in between.
    if (opened && lastId === undefined) for (const listener of listeners) listener.missed();
    opened = true;
  };
  stream.onmessage = (message: MessageEvent<string>) => {
    lastId = message.lastEventId;
    const event = JSON.parse(message.data) as Event;
    setLatest(event);
    for (const listener of listeners) listener.event(event);
  };
  stream.onerror = () => {
    setLiveState('lost');
    if (stream.readyState !== EventSource.CLOSED || source !== stream) return;
    stream.close();
    delayMs = Math.min(RETRY_MAX_MS, delayMs * 2 || RETRY_FIRST_MS);
    retry = setTimeout(() => void reopen(stream), delayMs * (0.75 + Math.random() / 2));
  };
}

async function reopen(closed: EventSource): Promise<void> {
  // Says whether the sign-in has ended; a stream cannot tell why it was refused.
  await api.me().catch(() => undefined);
  if (source === closed) open();
}

const READY_MAX_MS = 1_500;
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 15_000;
