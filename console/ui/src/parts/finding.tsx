import { For, Show, createSignal } from 'solid-js';

import { api, evidenceOf } from '../api/client';
import type { DocsView, Finding } from '../api/schema';
import { figure, foreign, word } from '../format';
import { language, t } from '../text';
import { SeverityMark } from './chips';
import { Problem } from './problem';
import { Foreign } from './text';

/** A finding's title in the chosen language. */
export function titleOf(finding: Finding): string {
  return language() === 'zh' ? finding.title_zh : finding.title_en;
}

export function FindingView(props: { finding: Finding }) {
  const chinese = () => language() === 'zh';
  const finding = () => props.finding;
  return (
    <li class={`card finding finding-${finding().severity}`}>
      <p class="marks">
        <SeverityMark severity={finding().severity} />
        <Show when={finding().severity !== 'unknown' && finding().confidence}>
          {(confidence) => (
            <span class={`confidence confidence-${confidence()}`}>{word(t().confidences, confidence())}</span>
          )}
        </Show>
        <Show when={finding().subject}>
          <Foreign text={finding().subject} class="mono subject" />
        </Show>
      </p>
      <h3>
        <Foreign text={titleOf(finding())} />
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
                      <span class="quiet"> {t().reports.limit(figure(threshold(), evidence.unit))}</span>
                    )}
                  </Show>
                </dd>
              </div>
            )}
          </For>
        </dl>
      </Show>
      <Show when={finding().fixes.length > 0}>
        <p class="fixes">
          <span class="quiet">{t().reports.fixes}</span>
          <For each={finding().fixes}>
            {(fix) => (
              <span class="chip" title={foreign(fix.name)}>
                <Foreign text={(chinese() ? fix.title_zh : fix.title_en) ?? fix.name} />
              </span>
            )}
          </For>
        </p>
      </Show>
      <Show when={finding().docs}>{(docs) => <Docs docs={docs()} />}</Show>
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

/** Sections that were read, each once: many findings name the same. */
const sections = new Map<string, Promise<DocsView>>();

function docsOf(name: string): Promise<DocsView> {
  const known = sections.get(name);
  if (known) return known;
  const asked = api.ruleDocs(name);
  sections.set(name, asked);
  asked.catch(() => sections.delete(name));
  return asked;
}

/** A link, or a section of the rules' documentation, which is read when somebody wants it. */
function Docs(props: { docs: string }) {
  const [section, setSection] = createSignal<DocsView>();
  const [error, setError] = createSignal<unknown>();
  const load = async () => {
    if (section()) return;
    setError(undefined);
    try {
      setSection(await docsOf(props.docs));
    } catch (error) {
      setError(error);
    }
  };
  const text = (section: DocsView) => (language() === 'zh' ? section.text_zh : section.text_en);
  return (
    <Show
      when={!props.docs.startsWith('https://')}
      fallback={
        <p class="why">
          <a href={props.docs} target="_blank" rel="noopener noreferrer">
            {t().reports.docs}
          </a>
        </p>
      }
    >
      <details class="why" onToggle={(event) => event.currentTarget.open && void load()}>
        <summary>{t().reports.docs}</summary>
        <Problem error={error()} />
        <Show when={section()} fallback={<Show when={!error()}><p class="quiet">{t().loading}</p></Show>}>
          {(section) => (
            <p dir="auto">
              {/* What stands between backticks is to be typed. */}
              <For each={text(section()).split('`')}>
                {(part, at) => (at() % 2 === 1 ? <code>{foreign(part)}</code> : <>{foreign(part)}</>)}
              </For>
            </p>
          )}
        </Show>
      </details>
    </Show>
  );
}
