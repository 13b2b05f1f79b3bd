import { For, Show, createSignal, onMount } from 'solid-js';

import { api } from '../api/client';
import type { Device } from '../api/schema';
import { listen, streamReady } from '../live';
import { Problem } from '../parts/problem';
import { Revoke } from '../parts/revoke';
import { Foreign, Time } from '../parts/text';
import { mayRevoke } from '../session';
import { t } from '../text';

export function Devices() {
  const [devices, setDevices] = createSignal<Device[]>();
  const [cursor, setCursor] = createSignal<string>();
  const [error, setError] = createSignal<unknown>();

  const [revoking, setRevoking] = createSignal<Device>();

  const changed = (device: Device) => {
    setDevices((known) => known?.map((other) => (other.id === device.id ? device : other)));
  };
  const restore = async (device: Device) => {
    try {
      changed(await api.restoreDevice(device.id));
      setError(undefined);
    } catch (error) {
      setError(error);
    }
  };
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
                      <a href={`/devices/${device.id}`}>{t().device.title(device.id)}</a>
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
                      <Show when={device.revoked}>
                        {(revoked) => (
                          <div class="wide">
                            <dt>{t().devices.revoked}</dt>
                            <dd>
                              <Time atMs={revoked().at_ms} /> <Foreign text={revoked().reason} />
                            </dd>
                          </div>
                        )}
                      </Show>
                    </dl>
                    <Show when={mayRevoke()}>
                      <div class="buttons">
                        <Show
                          when={device.revoked}
                          fallback={
                            <button type="button" onClick={() => setRevoking(device)}>
                              {t().devices.revoke}
                            </button>
                          }
                        >
                          <button type="button" onClick={() => void restore(device)}>
                            {t().devices.restore}
                          </button>
                        </Show>
                      </div>
                    </Show>
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
      <Show when={revoking()} keyed>
        {(device) => <Revoke device={device} close={() => setRevoking(undefined)} revoked={changed} />}
      </Show>
    </section>
  );
}
