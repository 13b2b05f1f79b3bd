// One metric over time as a line. Where a report does not say, the line is broken; a report alone is a dot.
import { For, Show } from 'solid-js';

import type { Metric, MetricKind, SeriesReport } from '../api/schema';
import { factFigure, foreign, number } from '../format';
import { locale, t } from '../text';

/** How a value of a metric reads. */
export function reading(metric: MetricKind, value: number | null | undefined): string {
  if (value === null || value === undefined) return t().device.notSaid;
  if (isTime(metric)) return factFigure('rtt_ms', value);
  return metric === 'load_per_cpu' ? number(value, 2) : `${number(value)} %`;
}

const isTime = (metric: MetricKind) => metric === 'relay_rtt_ms' || metric === 'relay_jitter_ms';

/** A metric's name with what it is of. */
export function nameOf(metric: Metric): string {
  const name = t().device.metrics[metric.metric] ?? metric.metric;
  return metric.subject ? `${name} ${foreign(metric.subject)}` : name;
}

export function Plot(props: { metric: Metric; reports: SeriesReport[]; chosen: number; choose: (at: number) => void }) {
  const kind = () => props.metric.metric;
  const known = () => props.metric.values.filter((value) => value !== null);
  const top = () => scaleTop(props.metric);
  const x = (at: number) => across(props.reports, at);
  const y = (value: number) => TOP + (1 - Math.min(1, value / top())) * HEIGHT;
  const limits = () =>
    (['warn', 'crit'] as const).flatMap((level) => {
      const limit = props.metric[level];
      return typeof limit === 'number' ? [{ level, limit }] : [];
    });
  const point = (event: PointerEvent & { currentTarget: SVGSVGElement }) => {
    const box = event.currentTarget.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * VIEW_WIDTH;
    const distances = props.reports.map((_, index) => Math.abs(x(index) - at));
    props.choose(distances.indexOf(Math.min(...distances)));
  };
  const label = () => {
    const read = (value: number) => reading(kind(), value);
    const gaps = props.metric.values.length - known().length;
    return t().device.plot(nameOf(props.metric), read(Math.min(...known())), read(Math.max(...known())), gaps);
  };

  return (
    <figure class="card plot">
      <figcaption>
        <span>
          {t().device.metrics[kind()]} <bdi class="mono">{foreign(props.metric.subject)}</bdi>
        </span>
        <strong classList={{ quiet: props.metric.values[props.chosen] === null }}>
          {reading(kind(), props.metric.values[props.chosen])}
        </strong>
      </figcaption>
      <svg viewBox={`0 0 ${VIEW_WIDTH} ${VIEW_HEIGHT}`} role="img" aria-label={label()} onPointerMove={point} onPointerDown={point}>
        <For each={[0, top() / 2, top()]}>
          {(value) => (
            <>
              <line class="grid" x1={LEFT} x2={LEFT + WIDTH} y1={y(value)} y2={y(value)} />
              <text x={LEFT - 5} y={y(value) + 3.5} text-anchor="end">{tickText(kind(), value)}</text>
            </>
          )}
        </For>
        <For each={limits().filter(({ limit }) => limit <= top())}>
          {({ level, limit }) => <line class={`limit limit-${level}`} x1={LEFT} x2={LEFT + WIDTH} y1={y(limit)} y2={y(limit)} />}
        </For>
        <line class="cursor" x1={x(props.chosen)} x2={x(props.chosen)} y1={TOP} y2={TOP + HEIGHT} />
        <For each={pieces(props.metric.values)}>
          {(piece) => (
            <polyline class="line" points={piece.map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(' ')} />
          )}
        </For>
        <For each={props.metric.values}>
          {(value, at) => (
            <Show
              when={value !== null}
              fallback={<path class="gap" d={`M${x(at()) - 2.5} ${TOP + HEIGHT - 5}l5 5m0 -5l-5 5`} />}
            >
              <circle class="dot" classList={{ chosen: at() === props.chosen }} cx={x(at())} cy={y(value ?? 0)} r={at() === props.chosen ? 4 : 2.2} />
            </Show>
          )}
        </For>
        <For each={timeTicks(props.reports)}>
          {([at, anchor, text]) => (
            <text x={at} y={VIEW_HEIGHT - 4} text-anchor={anchor}>{text}</text>
          )}
        </For>
      </svg>
      <Show when={limits().length > 0}>
        <p class="hint limits">
          <For each={limits()}>
            {({ level, limit }) => (
              <span class={`key key-${level}`}>
                {t().device.limits[kind() === 'memory_available_percent' ? 'below' : 'above'][level](reading(kind(), limit))}
              </span>
            )}
          </For>
        </p>
      </Show>
    </figure>
  );
}

/** Stretches of known values that follow each other, each value with its place. */
function pieces(values: (number | null)[]): [number, number][][] {
  const pieces: [number, number][][] = [];
  let open: [number, number][] | undefined;
  for (const [at, value] of values.entries()) {
    if (value === null) {
      open = undefined;
    } else {
      if (!open) pieces.push((open = []));
      open.push([at, value]);
    }
  }
  return pieces;
}

/** Where a report stands on the time axis; one alone in the middle. */
function across(reports: SeriesReport[], at: number): number {
  const time = (index: number) => reports[index]?.at_ms ?? 0;
  const span = time(reports.length - 1) - time(0);
  return LEFT + (span > 0 ? (time(at) - time(0)) / span : 0.5) * WIDTH;
}

/** The first and the last moment, as dates or, within a day, as times. */
function timeTicks(reports: SeriesReport[]): [number, 'start' | 'middle' | 'end', string][] {
  const [first, last] = [reports[0]?.at_ms ?? 0, reports.at(-1)?.at_ms ?? 0];
  const style: Intl.DateTimeFormatOptions =
    last - first > DAY_MS ? { year: 'numeric', month: 'short', day: 'numeric' } : { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' };
  const text = (at: number) => new Date(at).toLocaleString(locale(), style);
  if (text(first) === text(last)) return [[LEFT + WIDTH / 2, 'middle', text(first)]];
  return [
    [LEFT, 'start', text(first)],
    [LEFT + WIDTH, 'end', text(last)],
  ];
}

/** The upper end of the scale: all of it for shares, and a round figure above the values for the rest. */
function scaleTop(metric: Metric): number {
  if (metric.metric === 'load_per_cpu' || metric.metric.startsWith('relay_')) {
    const highest = Math.max(...metric.values.map((value) => value ?? 0), LEAST_TOP[metric.metric] ?? 1);
    const step = 10 ** Math.floor(Math.log10(highest));
    return ([1, 2, 5, 10].find((times) => times * step >= highest) ?? 10) * step;
  }
  return 100;
}

function tickText(metric: MetricKind, value: number): string {
  if (isTime(metric)) return `${number(value)} ms`;
  return metric === 'load_per_cpu' ? number(value, 1) : `${number(value)} %`;
}

/** So that noise around nothing does not fill the plot. */
const LEAST_TOP: Partial<Record<MetricKind, number>> = { load_per_cpu: 1, relay_rtt_ms: 10, relay_jitter_ms: 10, relay_loss_percent: 10 };

const DAY_MS = 86_400_000;
const [VIEW_WIDTH, VIEW_HEIGHT] = [340, 132];
const [LEFT, TOP, WIDTH, HEIGHT] = [47, 8, 285, 100];
