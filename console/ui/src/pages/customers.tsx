// Customer companies, found by their own names and by those of their people.
import { For, Show, createEffect, createResource, createSignal, on, onCleanup } from 'solid-js';

import { people } from '../api/people';
import type { FoundContact, ListedOrganization } from '../api/schema';
import { onKeys } from '../keys';
import { CompanyForm } from '../parts/company-form';
import { Problem } from '../parts/problem';
import { Foreign } from '../parts/text';
import { navigate, query } from '../router';
import { mayWork } from '../session';
import { d } from '../text/desk';
import { p } from '../text/people';

type Found = { companies: ListedOrganization[]; cursor: string | undefined; people: FoundContact[] };

export default function Customers() {
  let field!: HTMLInputElement;
  const wanted = () => query().get('q')?.trim() ?? '';
  const [adding, setAdding] = createSignal(false);
  const [more, setMore] = createSignal<ListedOrganization[]>([]);
  const [cursor, setCursor] = createSignal<string>();
  const [error, setError] = createSignal<unknown>();
  const [found, { refetch }] = createResource(wanted, async (words): Promise<Found> => {
    const [companies, found] = await Promise.all([people.organizations(words), words ? people.contacts(words) : []]);
    return { companies: companies.items, cursor: companies.next_cursor ?? undefined, people: found };
  });
  createEffect(on(found, (found) => {
    setMore([]);
    setCursor(found?.cursor);
  }));
  let waiting: ReturnType<typeof setTimeout> | undefined;
  onCleanup(() => clearTimeout(waiting));
  const search = (words: string) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => navigate(words.trim() ? `/customers?${new URLSearchParams({ q: words.trim() })}` : '/customers', 'replace'), 150);
  };
  const next = async (after: string) => {
    try {
      const page = await people.organizations(wanted(), after);
      setMore([...more(), ...page.items]);
      setCursor(page.next_cursor ?? undefined);
    } catch (error) {
      setError(error);
    }
  };
  onKeys({ '/': () => field.focus() });
  const shown = () => (found.error ? undefined : found.latest);
  const companies = () => [...(shown()?.companies ?? []), ...more()];

  return (
    <section class="page">
      <div class="queue-head">
        <h1>{p().title}</h1>
        <Show when={mayWork()}>
          <button type="button" onClick={() => setAdding(true)}>{p().add}</button>
        </Show>
      </div>
      <label class="filter">
        <span class="unseen">{p().find}</span>
        <input
          ref={field}
          type="search"
          dir="auto"
          placeholder={p().find}
          value={wanted()}
          onInput={(event) => search(event.currentTarget.value)}
        />
      </label>
      <Problem error={error() ?? (found.error as unknown)} />
      <Show when={shown()} fallback={<Show when={!found.error}><p class="quiet">{d().loading}</p></Show>}>
        <Show when={(shown()?.people.length ?? 0) > 0}>
          <section class="card" aria-labelledby="people-title">
            <h2 id="people-title">{p().people}</h2>
            <ul class="stack">
              <For each={shown()?.people}>
                {(person) => (
                  <li class="item">
                    <span>
                      <a href={`/customers/${person.organization}?contact=${person.id}`}>
                        <Foreign text={person.name} />
                      </a>
                      <span class="quiet"> · <Foreign text={person.organization_name} /></span>
                      <Show when={person.reach}>{(reach) => <span class="quiet"> · <Foreign text={reach()} /></span>}</Show>
                    </span>
                  </li>
                )}
              </For>
            </ul>
          </section>
        </Show>
        <section class="card" aria-labelledby="companies-title">
          <h2 id="companies-title">{p().companies}</h2>
          <ul class="stack">
            <For each={companies()} fallback={<li class="quiet">{wanted() ? p().nothing : p().empty}</li>}>
              {(company) => (
                <li class="item">
                  <span>
                    <a href={`/customers/${company.id}`}>
                      <Foreign text={company.name || '—'} />
                    </a>
                    <Show when={company.parent_name}>{(parent) => <span class="quiet"> · <Foreign text={parent()} /></span>}</Show>
                  </span>
                  <Show when={company.open_tickets > 0}>
                    <span class="quiet">{p().open(company.open_tickets)}</span>
                  </Show>
                </li>
              )}
            </For>
          </ul>
          <Show when={cursor()}>{(after) => <button type="button" onClick={() => void next(after())}>{p().more}</button>}</Show>
        </section>
      </Show>
      <Show when={adding()}>
        <CompanyForm
          close={() => setAdding(false)}
          saved={(company) => {
            void refetch();
            navigate(`/customers/${company.id}`);
          }}
        />
      </Show>
    </section>
  );
}
