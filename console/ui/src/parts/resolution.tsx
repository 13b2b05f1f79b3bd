import { Match, Show, Switch, createSignal } from 'solid-js';

import { api } from '../api/client';
import type { Report, Ticket, User, VerifyTicket } from '../api/schema';
import { clockTime } from '../format';
import { mayWork } from '../session';
import { t } from '../text';
import { Field } from './field';
import { FormDialog } from './form-dialog';
import { actor } from './log';
import { Select } from './select';
import { Foreign, Time } from './text';

/** How a ticket was resolved, and whether that holds. */
export function ResolutionCard(props: { ticket: Ticket; reports: Report[]; users: User[]; done: (ticket: Ticket) => void }) {
  const [asking, setAsking] = createSignal(false);
  return (
    <Show when={props.ticket.resolution}>
      {(resolution) => (
        <section class="card stack resolution" aria-labelledby="resolution-title">
          <h2 id="resolution-title">{t().resolution.title}</h2>
          <dl class="facts">
            <Text label={t().resolution.cause} text={resolution().cause} />
            <Text label={t().resolution.fix} text={resolution().fix} />
            <Text label={t().resolution.prevention} text={resolution().prevention} />
          </dl>
          <p class="quiet">
            {t().resolution.by(actor(resolution().resolved_by, props.users))} <Time atMs={resolution().resolved_at_ms} />
          </p>
          <Switch>
            <Match when={resolution().verified}>
              {(verified) => (
                <p>
                  <span class="chip state-resolved">{t().resolution.verified}</span>{' '}
                  <Switch>
                    <Match when={verified().report}>{(report) => t().resolution.byReport(report())}</Match>
                    <Match when={verified().words}>{(words) => <Foreign text={words()} />}</Match>
                  </Switch>{' '}
                  <Time atMs={verified().at_ms} />
                </p>
              )}
            </Match>
            <Match when={props.ticket.state === 'resolved'}>
              <p>{t().resolution.unverified}</p>
              <Show when={mayWork()}>
                <button type="button" onClick={() => setAsking(true)}>{t().resolution.verify}</button>
              </Show>
            </Match>
          </Switch>
          <Show when={resolution().score}>
            {(score) => (
              <p>
                {t().resolution.score(score())} <Foreign text={resolution().comment} />
              </p>
            )}
          </Show>
          <Show when={asking()}>
            <Verify ticket={props.ticket} reports={props.reports} close={() => setAsking(false)} done={props.done} />
          </Show>
        </section>
      )}
    </Show>
  );
}

function Text(props: { label: string; text: string }) {
  return (
    <div>
      <dt>{props.label}</dt>
      <dd class="prose" dir="auto">
        <Foreign text={props.text} />
      </dd>
    </div>
  );
}

function Verify(props: { ticket: Ticket; reports: Report[]; close: () => void; done: (ticket: Ticket) => void }) {
  const since = props.ticket.resolution?.resolved_at_ms ?? 0;
  const reports = props.reports.filter((report) => (report.taken_at_ms ?? report.received_at_ms) > since);
  const [report, setReport] = createSignal(reports[0] ? String(reports[0].id) : '');
  const options = Object.fromEntries([
    ...reports.map((report) => [String(report.id), t().resolution.reportOf(clockTime(report.received_at_ms))]),
    ['', t().resolution.aPerson],
  ]);
  return (
    <FormDialog
      title={t().resolution.verify}
      submit={t().resolution.confirm}
      names={['report', 'words']}
      close={props.close}
      send={async (text) => {
        const how: VerifyTicket = report() ? { report: Number(report()) } : { words: text('words') };
        props.done(await api.verify(props.ticket.number, how));
      }}
    >
      {(problem) => (
        <>
          <Show when={reports.length === 0}>
            <p class="hint">{t().resolution.noReport}</p>
          </Show>
          <Show when={reports.length > 0}>
            <fieldset class="bare">
              <Select name="report" label={t().resolution.how} options={options} chosen={report()} problem={problem('report')} onChoose={setReport} />
            </fieldset>
          </Show>
          <Show when={report() === ''}>
            <Field label={t().resolution.words} hint={t().resolution.wordsHint} problem={problem('words')}>
              {(given) => <textarea {...given} name="words" dir="auto" rows={2} required maxLength={2_000} />}
            </Field>
          </Show>
        </>
      )}
    </FormDialog>
  );
}
