import { For, Show, createEffect, createMemo, createSignal, on } from 'solid-js';

import { api, type Unlisted } from '../api/client';
import type { Finding, Report, Severity } from '../api/schema';
import { list } from '../format';
import { factLabel, t } from '../text';
import { Facts } from './facts';
import { FindingView } from './finding';
import { Problem } from './problem';
import { Time } from './text';

/** What needs a person first comes first; what could not be looked at comes before what is merely worth knowing. */
export const RANK: Severity[] = ['crit', 'warn', 'unknown', 'info', 'ok'];

const UNKNOWN = RANK.indexOf('unknown');

/** Findings of one rule and severity that a report lists; the others it counts (`FINDINGS_ALIKE_MAX` of the protocol). */
const ALIKE_MAX = 16;

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

function countsOf(report: Report, unlisted: Unlisted[]): Record<string, unknown> {
  const counts: Record<string, number> = {};
  const add = (severity: string, count: number) => (counts[severity] = (counts[severity] ?? 0) + count);
  for (const finding of report.findings) add(finding.severity, 1);
  for (const alike of unlisted) add(alike.severity, alike.count);
  return { ...counts, ok: report.ok, pending: report.pending };
}

function isAlike(one: Finding, other: Finding): boolean {
  return one.rule_id === other.rule_id && one.severity === other.severity;
}

/** Whether there may be findings that the report counts and does not list. */
function isCut(report: Report): boolean {
  return report.findings.some((one) => report.findings.filter((other) => isAlike(one, other)).length >= ALIKE_MAX);
}

/** Whether an empty list of findings means that nothing was found, and not that nothing was said. */
function isJudged(report: Report): boolean {
  return report.withheld.every((one) => one.section !== 'findings');
}

/** How many findings there are; without `unlisted`, which only the report's bytes tell, of some that there are at least so many. */
function summaryOf(report: Report, unlisted?: Unlisted[]): string {
  if (!isJudged(report)) return t().events.findingsWithheld;
  const counts = countsText(countsOf(report, unlisted ?? []));
  return unlisted === undefined && isCut(report) ? t().reports.atLeast(counts) : counts;
}

/** How a report came, unless it came in a session. */
function Origin(props: { report: Report }) {
  return <Show when={props.report.session == null}> {t().reports.fromFile}</Show>;
}

/** When the device was looked at, as well as that is known. */
function atOf(props: { report: Report; atMs?: number | undefined }): number {
  return props.atMs ?? props.report.taken_at_ms ?? props.report.received_at_ms;
}

/** A report as one line that opens. `atMs` is when the device was looked at, where that is known better than when it came. */
export function EarlierReport(props: { report: Report; atMs?: number | undefined }) {
  const [open, setOpen] = createSignal(false);
  return (
    <details onToggle={(event) => event.currentTarget.open && setOpen(true)}>
      <summary>
        <Time atMs={atOf(props)} />
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
  const [unlisted, setUnlisted] = createSignal<Unlisted[]>();
  const [error, setError] = createSignal<unknown>();
  // The list of reports comes again and again; a report in it stays as it is.
  const cut = createMemo(() => (isCut(props.report) ? props.report.id : undefined));
  createEffect(
    on(cut, async (report) => {
      setUnlisted(undefined);
      setError(undefined);
      if (report === undefined) return;
      try {
        const told = await api.unlistedOf(report);
        if (report === cut()) setUnlisted(told);
      } catch (error) {
        if (report === cut()) setError(error);
      }
    }),
  );
  const unknownCount = () =>
    (unlisted() ?? []).reduce((sum, one) => sum + (one.severity === 'unknown' ? one.count : 0), unknown().length);
  return (
    <div class="report">
      <p class="quiet">
        {t().reports.from} <Time atMs={atOf(props)} />
        <Origin report={props.report} />
        {/* What was carried here in a file is older than its filing. */}
        <Show when={atOf(props) !== props.report.received_at_ms}>
          , {t().reports.filed} <Time atMs={props.report.received_at_ms} />
        </Show>{' '}
        · {summaryOf(props.report, unlisted())}
      </p>
      <Problem error={error()} />
      <Show when={props.report.withheld.length > 0}>
        <p class="card">{t().reports.withheld(list(props.report.withheld.map((one) => factLabel(one.section))))}</p>
      </Show>
      <Show when={findings().length > 0} fallback={<Show when={isJudged(props.report)}><p class="card">{t().reports.good}</p></Show>}>
        <Findings findings={findings().filter((finding) => RANK.indexOf(finding.severity) < UNKNOWN)} unlisted={unlisted()} />
        {/* Each says what would lift it, but a machine with little to look at has dozens: they wait behind one line. */}
        <Show when={unknown().length > 0}>
          <details class="card">
            <summary>{t().reports.counts.unknown(unknownCount())}</summary>
            <Findings findings={unknown()} unlisted={unlisted()} />
          </details>
        </Show>
        <Findings findings={findings().filter((finding) => RANK.indexOf(finding.severity) > UNKNOWN)} unlisted={unlisted()} />
      </Show>
      <Facts report={props.report.id} />
    </div>
  );
}

function Findings(props: { findings: Finding[]; unlisted: Unlisted[] | undefined }) {
  /** How many more there are like the one at `at`, which is the last of its kind; 0 where it is not. */
  const moreAt = (at: number): number => {
    const [finding, next] = [props.findings[at], props.findings[at + 1]];
    if (!finding || (next && isAlike(finding, next))) return 0;
    return props.unlisted?.find((one) => one.rule === finding.rule_id && one.severity === finding.severity)?.count ?? 0;
  };
  return (
    <Show when={props.findings.length > 0}>
      <ul class="findings">
        <For each={props.findings}>
          {(finding, at) => (
            <>
              <FindingView finding={finding} />
              <Show when={moreAt(at())}>{(more) => <li class="quiet">{t().reports.alike(more())}</li>}</Show>
            </>
          )}
        </For>
      </ul>
    </Show>
  );
}
