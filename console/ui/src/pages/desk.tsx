// What a desk decides for itself: groups, rules, priorities, checklists, macros.
import { For, Show, createResource, createSignal } from 'solid-js';

import { api } from '../api/client';
import type { AssignmentRule, Channel, Checklist, Group, Level, Macro, Priority, PriorityMatrix, PutRule, Steps, TicketState, Visibility } from '../api/schema';
import { Field } from '../parts/field';
import { FormDialog, type Texts } from '../parts/form-dialog';
import { Edits, Gone, NameField, Row, Section, removals } from '../parts/section';
import { Select } from '../parts/select';
import { Foreign } from '../parts/text';
import { word } from '../format';
import { mayConfigure } from '../session';
import { t } from '../text';
import { d } from '../text/desk';

export default function DeskPage() {
  const [groups, { refetch }] = createResource(() => api.groups());
  return (
    <section class="page">
      <h1>{d().title}</h1>
      <div class="settings">
        <Groups groups={groups.error ? [] : (groups.latest ?? [])} error={groups.error as unknown} refetch={refetch} />
        <Rules groups={groups.error ? [] : (groups.latest ?? [])} />
        <Matrix />
        <Checklists />
        <Macros groups={groups.error ? [] : (groups.latest ?? [])} />
      </div>
    </section>
  );
}

function Groups(props: { groups: Group[]; error: unknown; refetch: () => unknown }) {
  const [doing, setDoing] = createSignal<Group | 'add'>();
  const [users] = createResource(async () => (await api.users()).items);
  const workers = () => (users.error ? [] : (users() ?? [])).filter((user) => user.role !== 'auditor');
  return (
    <Section id="groups" title={d().groups} hint={d().groupsHint} error={props.error} add={d().addGroup} onAdd={() => setDoing('add')}>
      <ul class="stack">
        <For each={props.groups}>
          {(group) => (
            <Row actions={<button type="button" class="plain" onClick={() => setDoing(group)}>{d().edit}</button>}>
              <strong>
                <Foreign text={group.name} />
              </strong>
              <span class="quiet"> · {group.members.length > 0 ? <Foreign text={group.members.join(', ')} /> : d().noMembers}</span>
            </Row>
          )}
        </For>
      </ul>
      <Show when={doing()} keyed>
        {(doing) => {
          const [members, setMembers] = createSignal(doing === 'add' ? [] : doing.members);
          return (
            <FormDialog
              title={doing === 'add' ? d().addGroup : d().changeGroup(doing.name)}
              submit={d().save}
              names={['name', 'members']}
              close={() => setDoing(undefined)}
              send={async (text) => {
                const group = { name: text('name'), members: members() };
                if (doing === 'add') await api.addGroup(group);
                else await api.changeGroup(doing.id, group);
                await props.refetch();
              }}
            >
              {(problem) => (
                <>
                  <NameField value={doing === 'add' ? '' : doing.name} problem={problem('name')} />
                  <fieldset class="bare">
                    <legend>{d().members}</legend>
                    <For each={workers()}>
                      {(user) => (
                        <label class="check">
                          <input
                            type="checkbox"
                            checked={members().includes(user.name)}
                            onChange={(event) =>
                              setMembers(event.currentTarget.checked ? [...members(), user.name] : members().filter((name) => name !== user.name))
                            }
                          />
                          <Foreign text={user.name} />
                        </label>
                      )}
                    </For>
                    <Show when={problem('members')}>{(text) => <p class="problem" role="alert">{text()}</p>}</Show>
                  </fieldset>
                </>
              )}
            </FormDialog>
          );
        }}
      </Show>
    </Section>
  );
}

function Rules(props: { groups: Group[] }) {
  const [rules, { mutate }] = createResource(() => api.rules());
  const [adding, setAdding] = createSignal(false);
  const [error, setError] = createSignal<unknown>();
  const [before, setBefore] = createSignal<AssignmentRule[]>();
  const shown = () => (rules.error ? [] : (rules.latest ?? []));
  const nameOf = (id: number) => props.groups.find((group) => group.id === id)?.name ?? '';
  const asPut = ({ customer, channel, word, group }: AssignmentRule): PutRule => ({
    group: nameOf(group),
    ...(customer ? { customer } : {}),
    ...(channel ? { channel } : {}),
    ...(word ? { word } : {}),
  });
  const put = async (next: PutRule[]) => mutate(await api.putRules(next));
  const change = async (next: PutRule[]) => {
    setError(undefined);
    const old = shown();
    try {
      await put(next);
      setBefore(old);
    } catch (error) {
      setError(error);
    }
  };
  const undo = () => {
    const old = before();
    setBefore(undefined);
    if (old) void put(old.map(asPut)).catch(setError);
  };
  const said = (rule: AssignmentRule) =>
    d().rule([rule.customer ?? '', rule.channel ? word(t().channels, rule.channel) : '', rule.word ? `“${rule.word}”` : ''].filter(Boolean), nameOf(rule.group));
  return (
    <Section id="rules" title={d().rules} hint={d().rulesHint} error={error() ?? (rules.error as unknown)} add={d().addRule} onAdd={() => setAdding(true)}>
      <Show when={before()}>
        <p role="status">
          {d().saved} <button type="button" onClick={undo}>{d().undo}</button>
        </p>
      </Show>
      <ol class="stack">
        <For each={shown()} fallback={<li class="quiet">{d().noRules}</li>}>
          {(rule, at) => (
            <Row
              actions={
                <>
                  <Show when={at() > 0}>
                    <button
                      type="button"
                      class="plain"
                      aria-label={`${d().up}: ${said(rule)}`}
                      onClick={() => {
                        const next = shown().map(asPut);
                        next.splice(at() - 1, 0, ...next.splice(at(), 1));
                        void change(next);
                      }}
                    >
                      ↑
                    </button>
                  </Show>
                  <button type="button" class="plain" aria-label={`${d().remove}: ${said(rule)}`} onClick={() => void change(shown().filter((other) => other !== rule).map(asPut))}>
                    ✕
                  </button>
                </>
              }
            >
              <Foreign text={said(rule)} />
            </Row>
          )}
        </For>
      </ol>
      <Show when={adding()}>
        <FormDialog
          title={d().addRule}
          submit={d().save}
          names={['customer', 'word', 'group', 'channel']}
          close={() => setAdding(false)}
          send={async (text) => {
            const rule: PutRule = {
              group: text('group'),
              ...(text('customer') ? { customer: text('customer') } : {}),
              ...(text('channel') ? { channel: text('channel') as Channel } : {}),
              ...(text('word') ? { word: text('word') } : {}),
            };
            const old = shown();
            await put([...old.map(asPut), rule]);
            setBefore(old);
          }}
        >
          {(problem) => (
            <>
              <Field label={d().customer} problem={problem('customer')}>
                {(given) => <input {...given} name="customer" dir="auto" maxLength={200} autocomplete="off" autofocus />}
              </Field>
              <Select name="channel" label={d().channel} options={{ '': d().any, ...t().channels }} chosen="" />
              <Field label={d().word} problem={problem('word')}>
                {(given) => <input {...given} name="word" dir="auto" maxLength={200} autocomplete="off" />}
              </Field>
              <Select name="group" label={d().group} options={groupOptions(props.groups)} problem={problem('group')} />
            </>
          )}
        </FormDialog>
      </Show>
    </Section>
  );
}

const LEVELS: Level[] = ['low', 'medium', 'high'];

function Matrix() {
  const [matrix, { mutate }] = createResource(() => api.priorityMatrix());
  const [before, setBefore] = createSignal<PriorityMatrix>();
  const [error, setError] = createSignal<unknown>();
  const put = async (next: PriorityMatrix) => {
    setError(undefined);
    const old = matrix.latest;
    try {
      mutate(await api.putPriorityMatrix(next));
      setBefore(old);
    } catch (error) {
      setError(error);
    }
  };
  const shown = () => (matrix.error ? undefined : matrix.latest);
  return (
    <Section id="matrix" title={d().matrix} hint={d().matrixHint} error={error() ?? (matrix.error as unknown)}>
      <Show when={before()}>
        {(old) => (
          <p role="status">
            {d().saved}{' '}
            <button
              type="button"
              onClick={() => {
                const wanted = old();
                void put(wanted).then(() => setBefore(undefined));
              }}
            >
              {d().undo}
            </button>
          </p>
        )}
      </Show>
      <Show when={shown()}>
        {(matrix) => (
          <table class="matrix">
            <thead>
              <tr>
                <th scope="col">{d().impact} \ {d().urgency}</th>
                <For each={LEVELS}>{(urgency) => <th scope="col">{word(t().urgencies, urgency)}</th>}</For>
              </tr>
            </thead>
            <tbody>
              <For each={LEVELS}>
                {(impact) => (
                  <tr>
                    <th scope="row">{word(t().impacts, impact)}</th>
                    <For each={LEVELS}>
                      {(urgency) => (
                        <td>
                          <select
                            aria-label={d().matrixCell(word(t().impacts, impact), word(t().urgencies, urgency))}
                            disabled={!mayConfigure()}
                            onChange={(event) =>
                              void put({ ...matrix(), [impact]: { ...matrix()[impact], [urgency]: event.currentTarget.value as Priority } })
                            }
                          >
                            <For each={Object.entries(t().priorities)}>
                              {([value, name]) => <option value={value} selected={value === matrix()[impact][urgency]}>{name}</option>}
                            </For>
                          </select>
                        </td>
                      )}
                    </For>
                  </tr>
                )}
              </For>
            </tbody>
          </table>
        )}
      </Show>
    </Section>
  );
}

function Checklists() {
  const [lists, { refetch }] = createResource(() => api.checklists());
  const [doing, setDoing] = createSignal<Checklist | 'add'>();
  const shown = () => (lists.error ? [] : (lists.latest ?? []));
  const { gone, error, remove, undo } = removals<Checklist>({
    forget: ({ id }) => api.forgetChecklist(id),
    restore: ({ name, items }) => api.addChecklist({ name, items }),
    read: refetch,
  });
  return (
    <Section id="checklists" title={d().checklists} error={error() ?? (lists.error as unknown)} add={d().addChecklist} onAdd={() => setDoing('add')}>
      <Gone name={gone()?.name} undo={undo} />
      <ul class="stack">
        <For each={shown()} fallback={<li class="quiet">{d().noChecklists}</li>}>
          {(list) => (
            <Row actions={<Edits name={list.name} change={() => setDoing(list)} remove={() => remove(list)} />}>
              <strong>
                <Foreign text={list.name} />
              </strong>
              <span class="quiet"> · {list.items.length}</span>
            </Row>
          )}
        </For>
      </ul>
      <Show when={doing()} keyed>
        {(doing) => (
          <FormDialog
            title={d().addChecklist}
            submit={d().save}
            names={['name', 'items']}
            close={() => setDoing(undefined)}
            send={async (text) => {
              const list = { name: text('name'), items: lines(text('items')) };
              if (doing === 'add') await api.addChecklist(list);
              else await api.putChecklist(doing.id, list);
              await refetch();
            }}
          >
            {(problem) => (
              <>
                <NameField value={doing === 'add' ? '' : doing.name} problem={problem('name')} />
                <Field label={d().items} problem={problem('items')}>
                  {(given) => <textarea {...given} name="items" rows={6} dir="auto" required value={doing === 'add' ? '' : doing.items.join('\n')} />}
                </Field>
              </>
            )}
          </FormDialog>
        )}
      </Show>
    </Section>
  );
}

function Macros(props: { groups: Group[] }) {
  const [macros, { refetch }] = createResource(() => api.macros());
  const [doing, setDoing] = createSignal<Macro | 'add'>();
  const shown = () => (macros.error ? [] : (macros.latest ?? []));
  const { gone, error, remove, undo } = removals<Macro>({
    forget: ({ id }) => api.forgetMacro(id),
    restore: ({ name, steps }) => api.addMacro({ name, steps }),
    read: refetch,
  });
  return (
    <Section id="macros" title={d().macros} error={error() ?? (macros.error as unknown)} add={d().addMacro} onAdd={() => setDoing('add')}>
      <Gone name={gone()?.name} undo={undo} />
      <ul class="stack">
        <For each={shown()} fallback={<li class="quiet">{d().noMacros}</li>}>
          {(one) => (
            <Row actions={<Edits name={one.name} change={() => setDoing(one)} remove={() => remove(one)} />}>
              <strong>
                <Foreign text={one.name} />
              </strong>
            </Row>
          )}
        </For>
      </ul>
      <Show when={doing()} keyed>
        {(doing) => {
          const steps: Steps = doing === 'add' ? {} : doing.steps;
          const pending = { pending_customer: t().states.pending_customer, pending_vendor: t().states.pending_vendor, pending_reminder: t().states.pending_reminder };
          return (
            <FormDialog
              title={d().addMacro}
              submit={d().save}
              names={['name', 'steps.article.body', 'steps.tags']}
              close={() => setDoing(undefined)}
              send={async (text) => {
                const put = { name: text('name'), steps: stepsOf(text) };
                if (doing === 'add') await api.addMacro(put);
                else await api.putMacro(doing.id, put);
                await refetch();
              }}
            >
              {(problem) => (
                <>
                  <NameField value={doing === 'add' ? '' : doing.name} problem={problem('name')} />
                  <div class="fields">
                    <Select name="state" label={d().state} options={{ '': d().keep, open: t().states.open, ...pending }} chosen={steps.state ?? ''} />
                    <Field label={d().wakeAfter}>
                      {(given) => <input {...given} name="wake" type="number" min={1} max={8784} value={steps.wake_after_hours ?? ''} />}
                    </Field>
                  </div>
                  <label class="check">
                    <input type="checkbox" name="take" value="yes" checked={steps.take ?? false} /> {d().take}
                  </label>
                  <div class="fields">
                    <Select name="group" label={d().group} options={{ '': d().keep, ...groupOptions(props.groups) }} chosen={steps.group ?? ''} />
                    <Select name="impact" label={d().impact} options={{ '': d().keep, ...t().impacts }} chosen={steps.impact ?? ''} />
                    <Select name="urgency" label={d().urgency} options={{ '': d().keep, ...t().urgencies }} chosen={steps.urgency ?? ''} />
                  </div>
                  <Field label={d().article} hint={d().articleHint} problem={problem('steps.article.body')}>
                    {(given) => <textarea {...given} name="body" rows={4} dir="auto" maxLength={20_000} value={steps.article?.body ?? ''} />}
                  </Field>
                  <Select name="visibility" label={d().visibility} options={t().visibilities} chosen={steps.article?.visibility ?? 'public'} />
                  <Field label={d().tags} problem={problem('steps.tags')}>
                    {(given) => <input {...given} name="tags" dir="auto" maxLength={2_000} autocomplete="off" value={(steps.tags ?? []).join(', ')} />}
                  </Field>
                  <Field label={d().items}>
                    {(given) => <textarea {...given} name="items" rows={3} dir="auto" value={(steps.checklist ?? []).join('\n')} />}
                  </Field>
                </>
              )}
            </FormDialog>
          );
        }}
      </Show>
    </Section>
  );
}

function stepsOf(text: Texts): Steps {
  const tags = text('tags').split(/[,，、]/).map((tag) => tag.trim()).filter(Boolean);
  const checklist = lines(text('items'));
  return {
    ...(text('state') ? { state: text('state') as TicketState } : {}),
    ...(text('wake') ? { wake_after_hours: Number(text('wake')) } : {}),
    ...(text('take') ? { take: true } : {}),
    ...(text('group') ? { group: text('group') } : {}),
    ...(text('impact') ? { impact: text('impact') as Level } : {}),
    ...(text('urgency') ? { urgency: text('urgency') as Level } : {}),
    ...(tags.length > 0 ? { tags } : {}),
    ...(text('body') ? { article: { visibility: text('visibility') as Visibility, body: text('body') } } : {}),
    ...(checklist.length > 0 ? { checklist } : {}),
  };
}

function groupOptions(groups: Group[]): Record<string, string> {
  return Object.fromEntries(groups.map((group) => [group.name, group.name]));
}

function lines(text: string): string[] {
  return text.split('\n').map((line) => line.trim()).filter(Boolean);
}
