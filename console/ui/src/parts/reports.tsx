import { For, Show, createSignal } from 'solid-js';

import type { Finding, Report, Severity } from '../api/schema';
import { list } from '../format';
import { factLabel, t } from '../text';
import { Facts } from './facts';
import { FindingView } from './finding';
import { Time } from './text';

/** What needs a person first comes first; what could not be looked at comes before what is merely worth knowing. */
export const RANK: Severity[] = ['crit', 'warn', 'unknown', 'info', 'ok'];

const UNKNOWN = RANK.indexOf('unknown');

/** The same in sentences, with what is not in order but not for long enough. */
const COUNTED = [...RANK, 'pending'] as const;

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
  const parts = COUNTED.flatMap((kind) => {
    const count = counts[kind];
    return typeof count === 'number' && count > 0 ? [t().reports.counts[kind](count)] : [];
  });
  return parts.length > 0 ? list(parts) : t().events.nothingFound;
}

function countsOf(report: Report): Record<string, unknown> {
  const counts: Record<string, number> = {};
  for (const finding of report.findings) counts[finding.severity] = (counts[finding.severity] ?? 0) + 1;
  return { ...counts, ok: report.ok, pending: report.pending };
}

/** Whether an empty list of findings means that nothing was found, and not that nothing was said. */
function isJudged(report: Report): boolean {
  return report.withheld.every((one) => one.section !== 'findings');
}

function summaryOf(report: Report): string {
  return isJudged(report) ? countsText(countsOf(report)) : t().events.findingsWithheld;
}

/** How a report came, unless it came in a session. */
function Origin(props: { report: Report }) {
  return <Show when={props.report.session == null}> {t().reports.fromFile}</Show>;
}

/** A report as one line that opens. `atMs` is when the device was looked at, where that is known better than when it came. */
export function EarlierReport(props: { report: Report; atMs?: number | undefined }) {
  const [open, setOpen] = createSignal(false);
  return (
    <details onToggle={(event) => event.currentTarget.open && setOpen(true)}>
      <summary>
        <Time atMs={props.atMs ?? props.report.received_at_ms} />
        <Origin report={props.report} />: {summaryOf(props.report)}
      </summary>
      <Show when={open()}>
        <ReportView report={props.report} atMs={props.atMs} />
      </Show>
    </details>
  );
}

function ReportView(props: { report: Report; atMs?: number | undefined }) {
  const findings = () =>
    [...props.report.findings].sort((a, b) => RANK.indexOf(a.severity) - RANK.indexOf(b.severity));
  const unknown = () => findings().filter((finding) => finding.severity === 'unknown');
  return (
    <div class="report">
      <p class="quiet">
        {t().reports.from} <Time atMs={props.atMs ?? props.report.received_at_ms} />
        <Origin report={props.report} />
        {/* What was carried here in a file is older than its filing. */}
        <Show when={props.atMs !== undefined && props.atMs !== props.report.received_at_ms}>
          , {t().reports.filed} <Time atMs={props.report.received_at_ms} />
        </Show>{' '}
        · {summaryOf(props.report)}
      </p>
      <Show when={props.report.withheld.length > 0}>
        <p class="card">{t().reports.withheld(list(props.report.withheld.map((one) => factLabel(one.section))))}</p>
      </Show>
      <Show when={findings().length > 0} fallback={<Show when={isJudged(props.report)}><p class="card">{t().reports.good}</p></Show>}>
        <Findings findings={findings().filter((finding) => RANK.indexOf(finding.severity) < UNKNOWN)} />
        {/* Each says what would lift it, but a machine with little to look at has dozens: they wait behind one line. */}
        <Show when={unknown().length > 0}>
          <details class="card">
            <summary>{t().reports.counts.unknown(unknown().length)}</summary>
            <Findings findings={unknown()} />
          </details>
        </Show>
        <Findings findings={findings().filter((finding) => RANK.indexOf(finding.severity) > UNKNOWN)} />
      </Show>
      <Facts report={props.report.id} />
    </div>
  );
}

function Findings(props: { findings: Finding[] }) {
  return (
    <Show when={props.findings.length > 0}>
      <ul class="findings">
        <For each={props.findings}>{(finding) => <FindingView finding={finding} />}</For>
      </ul>
    </Show>
  );
}
