import { For, Show, createSignal } from 'solid-js';

import { evidenceOf } from '../api/client';
import type { Finding, Report, Severity } from '../api/schema';
import { figure, foreign, list } from '../format';
import { factLabel, language, t } from '../text';
import { SeverityMark } from './chips';
import { Facts } from './facts';
import { Foreign, Time } from './text';

/** What needs a person first comes first; what could not be looked at comes before what is merely worth knowing. */
const RANK: Severity[] = ['crit', 'warn', 'unknown', 'info', 'ok'];

export function Reports(props: { reports: Report[] }) {
  const earlier = () => props.reports.slice(1);
  return (
    <section class="reports" aria-labelledby="reports-title">
      <h2 id="reports-title">{t().reports.title}</h2>
      <Show when={props.reports[0]} fallback={<p class="card quiet">{t().reports.empty}</p>}>
        {(report) => <ReportView report={report()} />}
      </Show>
      <Show when={earlier().length > 0}>
        <details class="card earlier">
          <summary>{t().reports.earlier(earlier().length)}</summary>
          <For each={earlier()}>{(report) => <EarlierReport report={report} />}</For>
        </details>
      </Show>
    </section>
  );
}

/** How many findings of each severity, in words. */
export function countsText(counts: Partial<Record<string, unknown>>): string {
  const parts = RANK.flatMap((severity) => {
    const count = counts[severity];
    return typeof count === 'number' && count > 0 ? [t().reports.counts[severity](count)] : [];
  });
  return parts.length > 0 ? list(parts) : t().events.nothingFound;
}

function countsOf(findings: Finding[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const finding of findings) counts[finding.severity] = (counts[finding.severity] ?? 0) + 1;
  return counts;
}

/** Whether an empty list of findings means that nothing was found, and not that nothing was said. */
function isJudged(report: Report): boolean {
  return report.withheld.every((one) => one.section !== 'findings');
}

function summaryOf(report: Report): string {
  return isJudged(report) ? countsText(countsOf(report.findings)) : t().events.findingsWithheld;
}

function EarlierReport(props: { report: Report }) {
  const [open, setOpen] = createSignal(false);
  return (
    <details onToggle={(event) => event.currentTarget.open && setOpen(true)}>
      <summary>
        <Time atMs={props.report.received_at_ms} />: {summaryOf(props.report)}
      </summary>
      <Show when={open()}>
        <ReportView report={props.report} />
      </Show>
    </details>
  );
}

function ReportView(props: { report: Report }) {
  const findings = () =>
    [...props.report.findings].sort((a, b) => RANK.indexOf(a.severity) - RANK.indexOf(b.severity));
  return (
    <div class="report">
      <p class="quiet">
        {t().reports.from} <Time atMs={props.report.received_at_ms} /> · {summaryOf(props.report)}
      </p>
      <Show when={props.report.withheld.length > 0}>
        <p class="card">{t().reports.withheld(list(props.report.withheld.map((one) => factLabel(one.section))))}</p>
      </Show>
      <Show when={findings().length > 0} fallback={<Show when={isJudged(props.report)}><p class="card">{t().reports.good}</p></Show>}>
        <ul class="findings">
          <For each={findings()}>{(finding) => <FindingView finding={finding} />}</For>
        </ul>
      </Show>
      <Facts report={props.report.id} />
    </div>
  );
}

function FindingView(props: { finding: Finding }) {
  const chinese = () => language() === 'zh';
  const finding = () => props.finding;
  return (
    <li class={`card finding finding-${finding().severity}`}>
      <p class="marks">
        <SeverityMark severity={finding().severity} />
        <Show when={finding().subject}>
          <Foreign text={finding().subject} class="mono subject" />
        </Show>
      </p>
      <h3>
        <Foreign text={chinese() ? finding().title_zh : finding().title_en} />
      </h3>
      <p class="remedy">
        <Foreign text={chinese() ? finding().remedy_zh : finding().remedy_en} />
      </p>
      <Show when={evidenceOf(finding()).length > 0}>
        <dl class="evidence" aria-label={t().reports.evidence}>
          <For each={evidenceOf(finding())}>
            {(evidence) => (
              <div>
                <dt>
                  <Foreign text={(chinese() ? evidence.label?.zh : evidence.label?.en) ?? evidence.name} />
                </dt>
                <dd>
                  <strong>{figure(evidence.value, evidence.unit)}</strong>
                  <Show when={evidence.threshold}>
                    {(threshold) => (
                      <span class="quiet">
                        {' '}
                        {t().reports.threshold} {figure(threshold(), evidence.unit)}
                      </span>
                    )}
                  </Show>
                </dd>
              </div>
            )}
          </For>
        </dl>
      </Show>
      <details class="why">
        <summary>{t().reports.source}</summary>
        <For each={[...new Set(evidenceOf(finding()).map((evidence) => evidence.source))]}>
          {(source) => (
            <p>
              <Foreign text={source} />
            </p>
          )}
        </For>
        <p class="quiet">
          {t().reports.rule} <code>{foreign(finding().rule_id)}</code>
        </p>
      </details>
    </li>
  );
}
