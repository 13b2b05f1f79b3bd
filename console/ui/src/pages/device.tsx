import { For, Show, createSignal, onMount } from 'solid-js';

import { type ApiError, api } from '../api/client';
import type { Device, Report, Series } from '../api/schema';
import { listen, streamReady } from '../live';
import { Compare } from '../parts/changes';
import { OverTime } from '../parts/over-time';
import { Problem } from '../parts/problem';
import { EarlierReport } from '../parts/reports';
import { Foreign, Time } from '../parts/text';
import { query } from '../router';
import { t } from '../text';
import { NotFound } from './not-found';

/** A machine and all that it has reported. */
export function DevicePage(props: { id: number }) {
  const id = props.id;
  const [device, setDevice] = createSignal<Device>();
  const [series, setSeries] = createSignal<Series>();
  const [reports, setReports] = createSignal<Report[]>([]);
  const [cursor, setCursor] = createSignal<string>();
  const [error, setError] = createSignal<unknown>();

  const read = async () => {
    try {
      await streamReady();
      const [device, series, page] = await Promise.all([api.device(id), api.seriesOfDevice(id), api.reportsOfDevice(id)]);
      setSeries(series);
      setReports(page.items);
      setCursor(page.next_cursor ?? undefined);
      setDevice(device);
      setError(undefined);
    } catch (error) {
      setError(error);
    }
  };
  const more = async (after: string) => {
    try {
      const page = await api.reportsOfDevice(id, after);
      setReports((known) => [...known, ...page.items]);
      setCursor(page.next_cursor ?? undefined);
    } catch (error) {
      setError(error);
    }
  };
  onMount(() => void read());
  // An event names the device only where a file was carried here; any other report may be of this one.
  listen({ event: (event) => event.kind === 'report_filed' && void read(), missed: () => void read() });

  const chosen = (name: string): number | undefined => {
    const value = Number(query().get(name) ?? Number.NaN);
    return series()?.reports.some((one) => one.report === value) ? value : undefined;
  };
  const atMs = (report: Report): number =>
    series()?.reports.find((one) => one.report === report.id)?.at_ms ?? report.received_at_ms;
  // They come in the order in which they were filed.
  const latestFirst = () => [...reports()].sort((a, b) => atMs(b) - atMs(a));
  const missing = () => (error() as ApiError | undefined)?.status === 404;

  return (
    <Show when={!missing()} fallback={<NotFound />}>
      <section class="page">
        <h1>{t().device.title(id)}</h1>
        <Problem error={error()} />
        <Show when={device()} fallback={<Show when={!error()}><p class="quiet">{t().loading}</p></Show>}>
          {(device) => (
            <>
              <DeviceFacts device={device()} />
              <Show when={series()?.reports.length ? series() : undefined} fallback={<p class="empty">{t().device.noReports}</p>}>
                {(series) => (
                  <>
                    <section class="over-time" aria-labelledby="over-time-title">
                      <h2 id="over-time-title">{t().device.overTime}</h2>
                      <OverTime series={series()} />
                    </section>
                    <Compare device={id} reports={series().reports} since={chosen('since')} report={chosen('report')} />
                    <section class="card" aria-labelledby="list-title">
                      <h2 id="list-title">{t().device.list}</h2>
                      <ul class="filed">
                        <For each={latestFirst()}>
                          {(report) => (
                            <li>
                              <Show when={report.ticket}>
                                {(ticket) => (
                                  <a class="number" href={`/tickets/${ticket()}`} aria-label={`${t().device.ticket} ${ticket()}`}>
                                    {ticket()}
                                  </a>
                                )}
                              </Show>
                              <EarlierReport report={report} atMs={atMs(report)} />
                            </li>
                          )}
                        </For>
                      </ul>
                      <Show when={cursor()}>
                        {(cursor) => <button type="button" onClick={() => void more(cursor())}>{t().more}</button>}
                      </Show>
                    </section>
                  </>
                )}
              </Show>
            </>
          )}
        </Show>
      </section>
    </Show>
  );
}

function DeviceFacts(props: { device: Device }) {
  return (
    <dl class="facts device-facts">
      <div>
        <dt>{t().devices.customer}</dt>
        <dd>
          <Foreign text={props.device.customer ?? t().none} />
        </dd>
      </div>
      <div>
        <dt>{t().devices.lastSeen}</dt>
        <dd>
          <Time atMs={props.device.last_seen_at_ms} />
        </dd>
      </div>
      <Show when={props.device.revoked}>
        {(revoked) => (
          <div>
            <dt>{t().devices.revoked}</dt>
            <dd>
              <Time atMs={revoked().at_ms} /> <Foreign text={revoked().reason} />
            </dd>
          </div>
        )}
      </Show>
    </dl>
  );
}
