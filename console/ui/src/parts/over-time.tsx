import { For, Index, Show, createEffect, createSignal, on } from 'solid-js';

import type { Series } from '../api/schema';
import { list, when } from '../format';
import { t } from '../text';
import { Plot, nameOf, reading } from './plot';
import { Time } from './text';

/** A device's figures as one small plot each, with a common cursor, and the same as a table. */
export function OverTime(props: { series: Series }) {
  const reports = () => props.series.reports;
  const newest = () => reports().length - 1;
  const [chosen, setChosen] = createSignal(newest());
  createEffect(on(newest, setChosen, { defer: true }));
  const says = (values: (number | null)[]) => values.some((value) => value !== null);
  const shown = () => props.series.metrics.filter((metric) => says(metric.values));
  const silent = () => props.series.metrics.filter((metric) => !says(metric.values));
  const chosenText = () => t().device.chosen(when(reports()[chosen()]?.at_ms ?? 0), chosen() + 1, reports().length);

  return (
    <>
      <Show when={reports().length > 1}>
        <label class="scrubber">
          <span>{t().device.shown}</span>
          <input
            type="range"
            min={0}
            max={newest()}
            value={chosen()}
            aria-valuetext={chosenText()}
            onInput={(event) => setChosen(event.currentTarget.valueAsNumber)}
          />
          <output>{chosenText()}</output>
        </label>
      </Show>
      <div class="plots">
        <Index each={shown()}>
          {(metric) => <Plot metric={metric()} reports={reports()} chosen={chosen()} choose={setChosen} />}
        </Index>
      </div>
      <p class="hint">
        <Show when={silent().length > 0}>{t().device.nowhere(list(silent().map(nameOf)))} </Show>
        <Show when={props.series.mounts_left_out > 0}>{t().device.mountsLeftOut(props.series.mounts_left_out)} </Show>
        <Show when={props.series.undated > 0}>{t().device.undated(props.series.undated)} </Show>
        <Show when={props.series.more}>{t().device.older}</Show>
      </p>
      <details class="as-table">
        <summary>{t().device.table}</summary>
        <div class="scroll" tabindex="0" role="region" aria-label={t().device.overTime}>
          <table>
            <thead>
              <tr>
                <th scope="col">{t().device.report}</th>
                <For each={shown()}>
                  {(metric) => (
                    <th scope="col">
                      <bdi>{nameOf(metric)}</bdi>
                    </th>
                  )}
                </For>
              </tr>
            </thead>
            <tbody>
              <For each={reports().map((_, index) => newest() - index)}>
                {(at) => (
                  <tr>
                    <th scope="row">
                      <Time atMs={reports()[at]?.at_ms ?? 0} />
                      <Show when={reports()[at]?.from_file}> {t().reports.fromFile}</Show>
                    </th>
                    <For each={shown()}>
                      {(metric) => (
                        <td classList={{ quiet: metric.values[at] === null }}>{reading(metric.metric, metric.values[at])}</td>
                      )}
                    </For>
                  </tr>
                )}
              </For>
            </tbody>
          </table>
        </div>
      </details>
    </>
  );
}
