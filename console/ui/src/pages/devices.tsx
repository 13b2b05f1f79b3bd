import { For, Show, createSignal, onMount } from 'solid-js';

import { api } from '../api/client';
import type { Device } from '../api/schema';
import { listen, streamReady } from '../live';
import { Problem } from '../parts/problem';
import { Foreign, Time } from '../parts/text';
import { t } from '../text';

export function Devices() {
  const [devices, setDevices] = createSignal<Device[]>();
  const [cursor, setCursor] = createSignal<string>();
  const [error, setError] = createSignal<unknown>();

  const load = async (after?: string) => {
    try {
      const page = await api.devices(after);
      setDevices((known) => (after ? [...(known ?? []), ...page.items] : page.items));
      setCursor(page.next_cursor ?? undefined);
      setError(undefined);
    } catch (error) {
      setError(error);
    }
  };
  onMount(() => void streamReady().then(() => load()));
  listen({
    event: (event) => {
      if (event.kind === 'session_started' || event.kind === 'session_resumed') void load();
    },
    missed: () => void load(),
  });

  return (
    <section class="page">
      <h1>{t().devices.title}</h1>
      <Problem error={error()} />
      <Show when={devices()} fallback={<p class="quiet">{t().loading}</p>}>
        {(devices) => (
          <Show when={devices().length > 0} fallback={<p class="empty">{t().devices.empty}</p>}>
            <ul class="devices">
              <For each={devices()}>
                {(device) => (
                  <li class="card">
                    <h2>
                      {t().devices.device} {device.id}
                    </h2>
                    <dl class="facts">
                      <div>
                        <dt>{t().devices.customer}</dt>
                        <dd>
                          <Foreign text={device.customer ?? t().none} />
                        </dd>
                      </div>
                      <div>
                        <dt>{t().devices.lastSeen}</dt>
                        <dd>
                          <Time atMs={device.last_seen_at_ms} />
                        </dd>
                      </div>
                      <div>
                        <dt>{t().devices.firstSeen}</dt>
                        <dd>
                          <Time atMs={device.first_seen_at_ms} />
                        </dd>
                      </div>
                      <div class="wide">
                        <dt>{t().devices.key}</dt>
                        <dd class="mono">{device.key}</dd>
                      </div>
                    </dl>
                  </li>
                )}
              </For>
            </ul>
            <Show when={cursor()}>
              {(cursor) => <button type="button" onClick={() => void load(cursor())}>{t().more}</button>}
            </Show>
          </Show>
        )}
      </Show>
    </section>
  );
}
