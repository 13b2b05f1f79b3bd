import { For, Show, createSignal } from 'solid-js';

import { api } from '../api/client';
import type { LinkKind, TicketLink } from '../api/schema';
import { titleOf } from '../format';
import { mayWork } from '../session';
import { t } from '../text';
import { StateMark } from './chips';
import { Field } from './field';
import { FormDialog } from './form-dialog';
import { Problem } from './problem';
import { Select } from './select';

/** The tickets that this one has to do with, read from either end. */
export function Links(props: { number: string; links: TicketLink[]; read: () => Promise<unknown> }) {
  const [adding, setAdding] = createSignal(false);
  const [error, setError] = createSignal<unknown>();
  const other = (link: TicketLink) => (link.from === props.number ? link.to : link.from);
  const says = (link: TicketLink) =>
    link.from === props.number ? t().links.kinds[link.kind] : t().links.back[link.kind];
  const remove = async (link: TicketLink) => {
    setError(undefined);
    try {
      await api.unlink(props.number, link.id);
      await props.read();
    } catch (error) {
      setError(error);
    }
  };
  return (
    <Show when={mayWork() || props.links.length > 0}>
      <section class="card" aria-labelledby="links-title">
        <h2 id="links-title">{t().links.title}</h2>
        <ul class="links">
          <For each={props.links}>
            {(link) => (
              <li>
                <span class="quiet">{says(link)}</span>{' '}
                <a href={`/tickets/${other(link)}`}>
                  <span class="number">{other(link)}</span> <bdi>{titleOf(link)}</bdi>
                </a>{' '}
                <StateMark state={link.state} />
                <Show when={mayWork()}>
                  <button type="button" class="plain" aria-label={t().links.remove(other(link))} onClick={() => void remove(link)}>
                    ✕
                  </button>
                </Show>
              </li>
            )}
          </For>
        </ul>
        <Problem error={error()} />
        <Show when={mayWork()}>
          <button type="button" onClick={() => setAdding(true)}>{t().links.add}</button>
        </Show>
        <Show when={adding()}>
          <FormDialog
            title={t().links.add}
            submit={t().links.add}
            names={['to']}
            close={() => setAdding(false)}
            send={async (text) => {
              await api.link(props.number, { kind: text('kind') as LinkKind, to: text('to') });
              await props.read();
            }}
          >
            {(problem) => (
              <>
                <Select name="kind" label={t().links.this} options={t().links.kinds} />
                <Field label={t().links.other} problem={problem('to')}>
                  {(given) => <input {...given} name="to" required maxLength={20} autocomplete="off" placeholder="BL-10001-4" />}
                </Field>
              </>
            )}
          </FormDialog>
        </Show>
      </section>
    </Show>
  );
}
