import { For, Show, createEffect, createSignal, on } from 'solid-js';

import { api } from '../api/client';
import type { Changes, FactChange, Finding, NotCompared, PassingReason, SeriesReport, Step } from '../api/schema';
import { foreign, list, when, word } from '../format';
import { navigate } from '../router';
import { factLabel, t } from '../text';
import { SeverityMark } from './chips';
import { line } from './facts';
import { titleOf } from './finding';
import { Problem } from './problem';

/** Two reports to choose, and what changed between them once they are in the address. */
export function Compare(props: { device: number; reports: SeriesReport[]; since: number | undefined; report: number | undefined }) {
  let since!: HTMLSelectElement;
  let report!: HTMLSelectElement;
  const [changes, setChanges] = createSignal<Changes>();
  const [error, setError] = createSignal<unknown>();
  const timeOf = (id: number) => when(props.reports.find((one) => one.report === id)?.at_ms ?? 0);
  const optionText = (one: SeriesReport) => `${when(one.at_ms)}${one.from_file ? ` ${t().reports.fromFile}` : ''}`;
  const latestFirst = () => [...props.reports].reverse();

  createEffect(
    on([() => props.since, () => props.report], async ([since, report]) => {
      setChanges(undefined);
      setError(undefined);
      if (since === undefined || report === undefined) return;
      try {
        const answer = await api.changes(report, since);
        // Somebody may have chosen others meanwhile.
        if (answer.since === props.since && answer.report === props.report) setChanges(answer);
      } catch (error) {
        setError(error);
      }
    }),
  );
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    navigate(`/devices/${props.device}?since=${since.value}&report=${report.value}`);
  };
  const Options = (own: { selected: number | undefined }) => (
    <For each={latestFirst()}>
      {(one) => (
        <option value={one.report} selected={one.report === own.selected}>
          {optionText(one)}
        </option>
      )}
    </For>
  );

  return (
    <section class="card compare" aria-labelledby="compare-title">
      <h2 id="compare-title">{t().changes.title}</h2>
      <Show when={props.reports.length > 1} fallback={<p class="quiet">{t().device.oneReport}</p>}>
        <form onSubmit={submit}>
          <label>
            {t().changes.from}
            <select ref={since}>
              <Options selected={props.since ?? props.reports.at(-2)?.report} />
            </select>
          </label>
          <label>
            {t().changes.with}
            <select ref={report}>
              <Options selected={props.report ?? props.reports.at(-1)?.report} />
            </select>
          </label>
          <button type="submit" class="primary">
            {t().changes.compare}
          </button>
        </form>
      </Show>
      <Problem error={error()} />
      <div role="status">
        <Show when={changes()}>
          {(changes) => <h3>{t().changes.between(timeOf(changes().since), timeOf(changes().report))}</h3>}
        </Show>
      </div>
      <Show when={changes()}>{(changes) => <ChangesView changes={changes()} />}</Show>
    </section>
  );
}

function ChangesView(props: { changes: Changes }) {
  const findings = () => props.changes.findings;
  const sections = () => [...new Set(props.changes.facts.map((fact) => fact.section))];
  const isQuiet = () => {
    const found = findings();
    const same = !found || found.appeared.length + found.gone.length + found.changed.length + found.undecided.length === 0;
    return same && props.changes.facts.length === 0 && props.changes.not_compared.length === 0;
  };
  return (
    <div class="changes">
      <Show when={findings()} fallback={<p>{t().changes.findingsMissing}</p>}>
        {(found) => (
          <>
            <FindingList title={t().changes.appeared} sign="+" findings={found().appeared} />
            <FindingList title={t().changes.gone} sign="−" findings={found().gone} />
            <FindingList
              title={t().changes.changed}
              sign="~"
              findings={found().changed.map((change) => change.after)}
              before={found().changed.map((change) => change.before)}
            />
            <FindingList title={t().changes.undecided} sign="?" findings={found().undecided} />
            <p class="quiet">{t().changes.findingsSame(found().same)}</p>
          </>
        )}
      </Show>
      <For each={sections()}>
        {(section) => <SectionView section={section} facts={props.changes.facts.filter((fact) => fact.section === section)} />}
      </For>
      <Show when={props.changes.left_out > 0}>
        <p>{t().changes.leftOut(props.changes.left_out)}</p>
      </Show>
      <Show when={isQuiet()}>
        <p>{t().changes.nothing}</p>
      </Show>
      <For each={props.changes.not_compared}>{(one) => <p class="quiet">{notComparedText(one)}</p>}</For>
      <Passing changes={props.changes} />
    </div>
  );
}

function FindingList(props: { title: string; sign: string; findings: Finding[]; before?: Finding[] }) {
  return (
    <Show when={props.findings.length > 0}>
      <h4>{props.title}</h4>
      <ul class="changed-findings">
        <For each={props.findings}>
          {(finding, at) => (
            <li>
              <span class="sign" aria-hidden="true">
                {props.sign}
              </span>
              <SeverityMark severity={finding.severity} />
              <bdi>{foreign(titleOf(finding))}</bdi>
              <Show when={props.before?.[at()]}>
                {(before) => (
                  <span class="quiet">
                    {t().changes.was(word(t().severities, before().severity), foreign(titleOf(before())))}
                  </span>
                )}
              </Show>
            </li>
          )}
        </For>
      </ul>
    </Show>
  );
}

function SectionView(props: { section: string; facts: FactChange[] }) {
  return (
    <>
      <h4>
        {factLabel(props.section)} <span class="quiet">{t().changes.count(props.facts.length)}</span>
      </h4>
      <div class="scroll" tabindex="0" role="region" aria-label={factLabel(props.section)}>
        <table>
          <thead>
            <tr>
              <th scope="col">{t().changes.fact}</th>
              <th scope="col">{t().changes.before}</th>
              <th scope="col">{t().changes.after}</th>
            </tr>
          </thead>
          <tbody>
            <For each={props.facts}>
              {(fact) => (
                <tr>
                  <th scope="row">
                    <bdi>{stepsText(fact.steps)}</bdi>
                  </th>
                  <td>{valueText(fact, fact.before)}</td>
                  <td>{valueText(fact, fact.after)}</td>
                </tr>
              )}
            </For>
          </tbody>
        </table>
      </div>
    </>
  );
}

function Passing(props: { changes: Changes }) {
  const count = () => props.changes.passing.reduce((sum, one) => sum + one.differing, 0);
  const reasons = () => [...new Set(props.changes.passing.map((one) => one.reason))];
  const labels = (reason: PassingReason) =>
    props.changes.passing
      .filter((one) => one.reason === reason)
      .map((one) => one.fact.split('.').map(factLabel).join(' › '));
  return (
    <Show when={count() > 0}>
      <details>
        <summary>{t().changes.passing(count())}</summary>
        <dl class="passing">
          <For each={reasons()}>
            {(reason) => (
              <>
                <dt>{t().changes.reasons[reason]}</dt>
                <dd>{list(labels(reason))}</dd>
              </>
            )}
          </For>
        </dl>
      </details>
    </Show>
  );
}

function notComparedText(one: NotCompared): string {
  const texts = t().changes.notCompared;
  const section = factLabel(one.section);
  if (one.was_sent) return texts.only_before(section);
  return one.is_sent ? texts.only_after(section) : texts.neither(section);
}

function stepsText(steps: Step[]): string {
  return steps.map((step) => ('field' in step ? factLabel(step.field) : foreign(step.item))).join(' › ');
}

function valueText(fact: FactChange, value: unknown) {
  if (value === undefined) return <span class="quiet">{t().changes.notThere}</span>;
  const field = fact.steps.findLast((step) => 'field' in step);
  return <bdi>{line(field && 'field' in field ? field.field : '', value)}</bdi>;
}
