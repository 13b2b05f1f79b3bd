// What the device shared, section by section. The shape is the report's own: `{known: …}` or `{unknown: {kind, …}}` at every
// fact. What this page does not know yet is shown all the same, under its own name.
import { For, Match, Show, Switch, createSignal } from 'solid-js';

import { api } from '../api/client';
import { bytes, factFigure, foreign, number } from '../format';
import { factLabel, factWord, t } from '../text';
import { Problem } from './problem';

type Object_ = Record<string, unknown>;

const isObject = (value: unknown): value is Object_ => typeof value === 'object' && value !== null && !Array.isArray(value);

export function Facts(props: { report: number }) {
  const [facts, setFacts] = createSignal<Object_>();
  const [error, setError] = createSignal<unknown>();

  const load = async () => {
    if (facts()) return;
    setError(undefined);
    try {
      setFacts(await api.facts(props.report));
    } catch (error) {
      setError(error);
    }
  };
  const sections = (): [string, unknown][] => {
    const list = facts()?.['sections'];
    const sections = (Array.isArray(list) ? list : []).flatMap((section) => (isObject(section) ? Object.entries(section) : []));
    // The findings are shown above, in the reader's language.
    return sections.filter(([name]) => name !== 'findings');
  };

  return (
    <details class="card shared" onToggle={(event) => event.currentTarget.open && void load()}>
      <summary>{t().facts.title}</summary>
      <Problem error={error()} />
      <Show when={facts()} fallback={<Show when={!error()}><p class="quiet">{t().loading}</p></Show>}>
        {(facts) => (
          <>
            <For each={sections()}>
              {([name, content]) => (
                <Show when={name !== 'withheld'} fallback={<Withheld content={content} />}>
                  <details class="section" open={name === 'system'}>
                    <summary>{factLabel(name)}</summary>
                    <Value name={name} value={content} />
                  </details>
                </Show>
              )}
            </For>
            <details class="section">
              <summary>{factLabel('header')}</summary>
              <Value name="header" value={facts()['header']} />
            </details>
          </>
        )}
      </Show>
    </details>
  );
}

function Withheld(props: { content: unknown }) {
  const content = () => (isObject(props.content) ? props.content : {});
  return (
    <p class="section">
      <strong>{factLabel(String(content()['section']))}</strong>: {t().facts.withheld} ({factWord(String(content()['reason']))})
    </p>
  );
}

/** One value: a line of text, a table, or a list of named values. */
function Value(props: { name: string; value: unknown }) {
  const known = () => unwrap(props.value);
  return (
    <Switch fallback={<span>{line(props.name, props.value)}</span>}>
      <Match when={isTable(known()) && (known() as Object_[])}>{(rows) => <Table name={props.name} rows={rows()} />}</Match>
      <Match when={isObject(known()) && short(props.name, known() as Object_) === undefined && !reason(known()) && (known() as Object_)}>
        {(object) => (
          <dl class="known">
            <For each={linesFirst(object())}>
              {([key, value]) => (
                <div classList={{ wide: isBlock(key, value) }}>
                  <dt>{factLabel(key)}</dt>
                  <dd>
                    <Value name={key} value={value} />
                  </dd>
                </div>
              )}
            </For>
          </dl>
        )}
      </Match>
    </Switch>
  );
}

function Table(props: { name: string; rows: Object_[] }) {
  const columns = () => [...new Set(props.rows.flatMap((row) => Object.keys(row)))];
  return (
    <div class="scroll" tabindex="0" role="region" aria-label={factLabel(props.name)}>
      <table>
        <thead>
          <tr>
            <For each={columns()}>{(key) => <th scope="col">{factLabel(key)}</th>}</For>
          </tr>
        </thead>
        <tbody>
          <For each={props.rows}>
            {(row) => (
              <tr>
                <For each={columns()}>
                  {(key) => (
                    <td>
                      <bdi>{line(key, row[key], 'brief')}</bdi>
                    </td>
                  )}
                </For>
              </tr>
            )}
          </For>
        </tbody>
      </table>
    </div>
  );
}

function unwrap(value: unknown): unknown {
  return isObject(value) && 'known' in value && Object.keys(value).length === 1 ? value['known'] : value;
}

type Length = 'full' | 'brief';

/** Why a fact could not be had, in words; nothing for a fact that is known. */
function reason(value: unknown, length: Length = 'full'): string | undefined {
  if (!isObject(value) || !isObject(value['unknown'])) return undefined;
  const { kind, source, os_error: code } = value['unknown'];
  const parts = [factWord(String(kind))];
  if (length === 'full' && typeof source === 'string' && source) parts.push(foreign(source));
  if (length === 'full' && typeof code === 'number') parts.push(t().facts.osError(code));
  return `${t().facts.unknown}: ${parts.join(', ')}`;
}

/** Values of one line before tables and groups, so that the lines stand together. */
function linesFirst(object: Object_): [string, unknown][] {
  return Object.entries(object).sort((a, b) => Number(isBlock(...a)) - Number(isBlock(...b)));
}

function isTable(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(isObject);
}

function isBlock(key: string, value: unknown): boolean {
  const known = unwrap(value);
  return isTable(known) || (isObject(known) && !reason(known) && short(key, known) === undefined);
}

/** Small objects that read better as one line. */
function short(name: string, value: Object_): string | undefined {
  const figure = (key: string) => Number(value[key]);
  const text = (key: string) => foreign(factWord(String(value[key] ?? '')));
  switch (name) {
    case 'os':
      return text('name');
    case 'kernel':
      return `${text('release')} (${text('architecture')})`;
    case 'load':
      return [figure('one_minute'), figure('five_minutes'), figure('fifteen_minutes')].map((load) => number(load, 2)).join(' · ');
    case 'space':
      return `${number(figure('used_percent'))} %, ${bytes(figure('used_bytes'))} / ${bytes(figure('size_bytes'))}`;
    case 'inodes':
      return `${number(figure('used_percent'))} %`;
    case 'probe':
    case 'system_resolver':
      return `${text('outcome')}, ${factFigure('took_us', figure('took_us'))}`;
    case 'counters': {
      const pair = (kind: string) => `${number(figure(`rx_${kind}`), 0)} / ${number(figure(`tx_${kind}`), 0)}`;
      return `${pair('errors')} · ${pair('dropped')}`;
    }
    default:
      return undefined;
  }
}

/** Any value as one line of text. */
export function line(name: string, value: unknown, length: Length = 'full'): string {
  const why = reason(value, length);
  if (why) return why;
  const known = unwrap(value);
  if (known === null || known === undefined || known === '') return '–';
  if (typeof known === 'number') return factFigure(name, known);
  if (typeof known === 'boolean') return known ? '✓' : '✕';
  if (typeof known === 'string') return foreign(factWord(known));
  if (Array.isArray(known)) return known.length === 0 ? t().facts.empty : known.map((item) => line(name, item)).join(', ');
  const object = known as Object_;
  return short(name, object) ?? Object.entries(object).map(([key, item]) => `${factLabel(key)} ${line(key, item)}`).join(', ');
}
