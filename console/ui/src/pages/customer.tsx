// A customer company: its place among others, its people, products, devices and tickets.
import { For, Show, createResource, createSignal } from 'solid-js';

import { ApiError, api } from '../api/client';
import { people } from '../api/people';
import type { Contact, Product, Spoken, WholeOrganization } from '../api/schema';
import { localInput, titleOf, word } from '../format';
import { PriorityMark, StateMark } from '../parts/chips';
import { CompanyForm } from '../parts/company-form';
import { Field } from '../parts/field';
import { FormDialog } from '../parts/form-dialog';
import { Problem } from '../parts/problem';
import { Edits, Gone, NameField, Row, Section, removals } from '../parts/section';
import { Select } from '../parts/select';
import { Foreign, Time } from '../parts/text';
import { query } from '../router';
import { mayWork } from '../session';
import { locale, t } from '../text';
import { d } from '../text/desk';
import { p } from '../text/people';
import { NotFound } from './not-found';

export default function Customer(props: { id: number }) {
  const [whole, { refetch }] = createResource(() => people.organization(props.id));
  const [changing, setChanging] = createSignal(false);
  const shown = () => (whole.error ? undefined : whole.latest);
  const missing = () => (whole.error as ApiError | undefined)?.status === 404;
  return (
    <Show when={!missing()} fallback={<NotFound />}>
      <section class="page">
        <Problem error={whole.error as unknown} />
        <Show when={shown()} fallback={<Show when={!whole.error}><p class="quiet">{d().loading}</p></Show>}>
          {(company) => (
            <>
              <Show when={company().above.length > 0}>
                <p class="marks">
                  <For each={company().above}>
                    {(above) => (
                      <span>
                        <a href={`/customers/${above.id}`}>
                          <Foreign text={above.name} />
                        </a>{' '}
                        ›
                      </span>
                    )}
                  </For>
                </p>
              </Show>
              <div class="queue-head">
                <h1>
                  <Foreign text={company().name || '—'} />
                </h1>
                <Show when={mayWork()}>
                  <button type="button" onClick={() => setChanging(true)}>{d().edit}</button>
                </Show>
              </div>
              <div class="settings">
                <People company={company()} refetch={refetch} />
                <Tickets company={company()} />
                <Products company={company()} refetch={refetch} />
                <Show when={company().below.length > 0}>
                  <section class="card" aria-labelledby="below-title">
                    <h2 id="below-title">{p().below}</h2>
                    <ul class="stack">
                      <For each={company().below}>
                        {(below) => (
                          <li class="item">
                            <a href={`/customers/${below.id}`}>
                              <Foreign text={below.name} />
                            </a>
                          </li>
                        )}
                      </For>
                    </ul>
                  </section>
                </Show>
                <Devices id={props.id} />
              </div>
              <Show when={changing()}>
                <CompanyForm
                  company={company()}
                  above={company().above.at(-1)}
                  close={() => setChanging(false)}
                  saved={() => void refetch()}
                />
              </Show>
            </>
          )}
        </Show>
      </section>
    </Show>
  );
}

function People(props: { company: WholeOrganization; refetch: () => unknown }) {
  const [doing, setDoing] = createSignal<Contact | 'add'>();
  const [merging, setMerging] = createSignal<Contact>();
  const [error, setError] = createSignal<unknown>();
  const present = () => props.company.contacts.filter((contact) => contact.merged_into == null);
  const nameOf = (id: number) => props.company.contacts.find((contact) => contact.id === id)?.name ?? '';
  const undo = async (contact: Contact) => {
    setError(undefined);
    await people.undoMerge(contact.id).catch(setError);
    await props.refetch();
  };
  return (
    <Section may={mayWork()} id="people" title={p().people} add={p().addPerson} onAdd={() => setDoing('add')} error={error()}>
      <ul class="stack">
        <For each={present()} fallback={<li class="quiet">{p().noPeople}</li>}>
          {(contact) => (
            <Row
              may={mayWork()}
              actions={
                <>
                  <Show when={present().length > 1}>
                    <button type="button" class="plain" onClick={() => setMerging(contact)}>{p().merge}</button>
                  </Show>
                  <button type="button" class="plain" onClick={() => setDoing(contact)}>{d().edit}</button>
                </>
              }
            >
              <a href={`/customers/${props.company.id}?contact=${contact.id}`}>
                <Foreign text={contact.name} />
              </a>
              <Show when={contact.reach}>{(reach) => <span class="quiet"> · <Foreign text={reach()} /></span>}</Show>
              <Show when={contact.language}>{(spoken) => <span class="quiet"> · {word(t().languages, spoken())}</span>}</Show>
            </Row>
          )}
        </For>
        <For each={props.company.contacts.filter((contact) => contact.merged_into != null)}>
          {(contact) => (
            <li class="item quiet">
              <Foreign text={p().merged(contact.name, nameOf(contact.merged_into ?? 0))} />
              <Show when={mayWork()}>
                <button type="button" class="plain" onClick={() => void undo(contact)}>{d().undo}</button>
              </Show>
            </li>
          )}
        </For>
      </ul>
      <Show when={doing()} keyed>
        {(doing) => (
          <FormDialog
            title={doing === 'add' ? p().addPerson : p().changePerson(doing.name)}
            submit={d().save}
            names={['name', 'reach']}
            close={() => setDoing(undefined)}
            send={async (text) => {
              const known = { name: text('name'), reach: text('reach') || null, language: (text('language') || null) as Spoken | null };
              if (doing === 'add') await people.addContact(props.company.id, known);
              else await people.changeContact(doing.id, known);
              await props.refetch();
            }}
          >
            {(problem) => (
              <>
                <NameField value={doing === 'add' ? '' : doing.name} problem={problem('name')} />
                <Field label={p().reach} problem={problem('reach')}>
                  {(given) => <input {...given} name="reach" maxlength="256" value={doing === 'add' ? '' : (doing.reach ?? '')} />}
                </Field>
                <Select
                  name="language"
                  label={p().language}
                  options={{ '': p().anyLanguage, ...t().languages }}
                  chosen={doing === 'add' ? '' : (doing.language ?? '')}
                />
              </>
            )}
          </FormDialog>
        )}
      </Show>
      <Show when={merging()} keyed>
        {(from) => (
          <FormDialog
            title={p().mergeTitle(from.name)}
            submit={p().mergeButton}
            names={['into']}
            close={() => setMerging(undefined)}
            send={async (text) => {
              await people.mergeContact(from.id, Number(text('into')));
              await props.refetch();
            }}
          >
            {(problem) => (
              <>
                <p class="quiet">{p().mergeHint}</p>
                <Select
                  name="into"
                  label={p().mergeInto}
                  options={Object.fromEntries(present().filter(({ id }) => id !== from.id).map(({ id, name }) => [String(id), name]))}
                  problem={problem('into')}
                />
              </>
            )}
          </FormDialog>
        )}
      </Show>
    </Section>
  );
}

function Products(props: { company: WholeOrganization; refetch: () => unknown }) {
  const [doing, setDoing] = createSignal<Product | 'add'>();
  const day = (atMs: number) => new Intl.DateTimeFormat(locale(), { dateStyle: 'medium' }).format(atMs);
  const asPut = ({ name, version, note, licence_until_ms }: Product) => ({ name, version: version ?? null, note: note ?? null, licence_until_ms: licence_until_ms ?? null });
  const { gone, error, remove, undo } = removals<Product>({
    forget: ({ id }) => people.forgetProduct(props.company.id, id),
    restore: (product) => people.addProduct(props.company.id, asPut(product)),
    read: () => props.refetch(),
  });
  return (
    <Section may={mayWork()} id="products" title={p().products} add={p().addProduct} onAdd={() => setDoing('add')} error={error()}>
      <Gone name={gone()?.name} undo={undo} />
      <ul class="stack">
        <For each={props.company.products} fallback={<li class="quiet">{p().noProducts}</li>}>
          {(product) => (
            <Row
              may={mayWork()}
              actions={<Edits name={product.name} change={() => setDoing(product)} remove={() => remove(product)} />}
            >
              <strong>
                <Foreign text={[product.name, product.version].filter(Boolean).join(' ')} />
              </strong>
              <Show when={product.note}>{(note) => <span class="quiet"> · <Foreign text={note()} /></span>}</Show>
              <Show when={product.licence_until_ms}>
                {(until) => (
                  <Show when={until() < Date.now()} fallback={<span class="quiet"> · {p().ends(day(until()))}</span>}>
                    {' '}
                    <span class="problem">{p().ended(day(until()))}</span>
                  </Show>
                )}
              </Show>
            </Row>
          )}
        </For>
      </ul>
      <Show when={doing()} keyed>
        {(doing) => (
          <FormDialog
            title={doing === 'add' ? p().addProduct : p().changeProduct(doing.name)}
            submit={d().save}
            names={['name', 'version', 'note']}
            close={() => setDoing(undefined)}
            send={async (text) => {
              const until = text('licence');
              // The day counts to its end, where the desk is.
              const put = { name: text('name'), version: text('version') || null, note: text('note') || null, licence_until_ms: until ? new Date(`${until}T23:59:59`).getTime() : null };
              if (doing === 'add') await people.addProduct(props.company.id, put);
              else await people.putProduct(props.company.id, doing.id, put);
              await props.refetch();
            }}
          >
            {(problem) => (
              <>
                <NameField value={doing === 'add' ? '' : doing.name} problem={problem('name')} />
                <Field label={p().version} problem={problem('version')}>
                  {(given) => <input {...given} name="version" maxlength="256" value={doing === 'add' ? '' : (doing.version ?? '')} />}
                </Field>
                <Field label={p().note} problem={problem('note')}>
                  {(given) => <input {...given} name="note" maxlength="256" value={doing === 'add' ? '' : (doing.note ?? '')} />}
                </Field>
                <Field label={p().licence}>
                  {(given) => <input {...given} name="licence" type="date" value={doing === 'add' ? '' : localInput(doing.licence_until_ms).slice(0, 10)} />}
                </Field>
              </>
            )}
          </FormDialog>
        )}
      </Show>
    </Section>
  );
}

function Tickets(props: { company: WholeOrganization }) {
  const contact = () => props.company.contacts.find(({ id }) => String(id) === query().get('contact'));
  const wanted = (): Record<string, string> => (contact() ? { contact: String(contact()?.id) } : { customer: props.company.name });
  const [tickets] = createResource(wanted, async (wanted) => (await api.tickets(wanted)).items);
  const title = () => {
    const person = contact();
    return person ? p().historyOf(person.name) : p().tickets;
  };
  return (
    <Section may={mayWork()} id="tickets" title={title()} error={tickets.error as unknown}>
      <Show when={contact()}>
        <p>
          <a href={`/customers/${props.company.id}`}>{p().everybody}</a>
        </p>
      </Show>
      <ul class="stack">
        <For each={tickets.error ? [] : (tickets.latest ?? [])} fallback={<li class="quiet">{tickets.loading ? d().loading : p().noTickets}</li>}>
          {(ticket) => (
            <li class="item">
              <span>
                <a class="number" href={`/tickets/${ticket.number}`}>{ticket.number}</a> <Foreign text={titleOf(ticket)} />
              </span>
              <span class="marks">
                <StateMark state={ticket.state} />
                <PriorityMark priority={ticket.priority} />
                <Time atMs={ticket.created_at_ms} />
              </span>
            </li>
          )}
        </For>
      </ul>
    </Section>
  );
}

function Devices(props: { id: number }) {
  const [devices] = createResource(() => people.devicesOf(props.id));
  return (
    <Section may={mayWork()} id="devices" title={p().devices} error={devices.error as unknown}>
      <ul class="stack">
        <For each={devices.error ? [] : (devices.latest?.items ?? [])} fallback={<li class="quiet">{devices.loading ? d().loading : p().noDevices}</li>}>
          {(device) => (
            <li class="item">
              <a href={`/devices/${device.id}`}>{p().device(device.id)}</a>
              <span class="quiet">
                {p().lastSeen} <Time atMs={device.last_seen_at_ms} />
              </span>
            </li>
          )}
        </For>
      </ul>
    </Section>
  );
}
