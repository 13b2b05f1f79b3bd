import { For, Show, createResource, createSignal } from 'solid-js';

import { api } from '../api/client';
import type { Role, User, UserLink } from '../api/schema';
import { Copyable } from '../parts/copyable';
import { Dialog } from '../parts/dialog';
import { Field } from '../parts/field';
import { FormDialog } from '../parts/form-dialog';
import { Problem } from '../parts/problem';
import { SignIns } from '../parts/sign-ins';
import { proved } from '../parts/step-up';
import { Foreign, Time } from '../parts/text';
import { mayManageUsers } from '../session';
import { t } from '../text';

type Doing = { kind: 'add' } | { kind: 'unlock' | 'factors' | 'sign-ins'; user: User };

export function Users() {
  const [users, { refetch }] = createResource(async () => (await api.users()).items);
  const [doing, setDoing] = createSignal<Doing>();
  const [link, setLink] = createSignal<UserLink>();
  const [error, setError] = createSignal<unknown>();
  const close = () => setDoing(undefined);
  const change = async (action: () => Promise<unknown>) => {
    setError(undefined);
    try {
      await proved(action);
    } catch (error) {
      setError(error);
    }
    // Also after a refusal, so that a role that was not changed is shown as it is.
    await refetch();
  };
  const reset = (user: User) => change(async () => setLink(await api.resetUser(user.id)));
  const shown = () => (users.error ? undefined : users.latest);

  return (
    <section class="page">
      <div class="queue-head">
        <h1>{t().users.title}</h1>
        <Show when={mayManageUsers()}>
          <button type="button" onClick={() => setDoing({ kind: 'add' })}>{t().users.add}</button>
        </Show>
      </div>
      <Problem error={error() ?? (users.error as unknown)} />
      <Show when={link()}>
        {(link) => (
          <div role="status">
            <Copyable label={t().users.linkOnce(link().user.name)} button={t().users.copyLink} text={link().link} />
          </div>
        )}
      </Show>
      <Show when={shown()} fallback={<p class="quiet">{t().loading}</p>}>
        <ul class="devices">
          <For each={shown()}>
            {(user) => (
              <li class="card">
                <h2>
                  <Foreign text={user.name} />
                </h2>
                <dl class="facts">
                  <div>
                    <dt>{t().users.role}</dt>
                    <dd>
                      <Show when={mayManageUsers()} fallback={t().roles[user.role]}>
                        <RoleChoice
                          label={t().users.roleOf(user.name)}
                          role={user.role}
                          choose={(role) => void change(() => api.changeUser(user.id, role))}
                        />
                      </Show>
                    </dd>
                  </div>
                  <div>
                    <dt>{t().users.since}</dt>
                    <dd>
                      <Time atMs={user.created_at_ms} />
                    </dd>
                  </div>
                  <Show when={!user.is_set_up}>
                    <div class="wide">
                      <dt>{t().users.state}</dt>
                      <dd>{t().users.notSetUp}</dd>
                    </div>
                  </Show>
                  <Show when={user.locked_until_ms}>
                    {(until) => (
                      <div class="wide">
                        <dt>{t().users.state}</dt>
                        <dd>
                          {t().users.locked} <Time atMs={until()} />
                        </dd>
                      </div>
                    )}
                  </Show>
                </dl>
                <Show when={mayManageUsers()}>
                  <div class="buttons">
                    <button type="button" onClick={() => void reset(user)}>{t().users.reset}</button>
                    <button type="button" onClick={() => setDoing({ kind: 'unlock', user })}>{t().users.unlock}</button>
                    <button type="button" onClick={() => setDoing({ kind: 'factors', user })}>{t().users.factors}</button>
                    <button type="button" onClick={() => setDoing({ kind: 'sign-ins', user })}>{t().users.signIns}</button>
                  </div>
                </Show>
              </li>
            )}
          </For>
        </ul>
      </Show>
      <Show when={doing()} keyed>
        {(doing) => {
          if (doing.kind === 'add') {
            return (
              <FormDialog
                title={t().users.add}
                submit={t().users.addSubmit}
                names={['name']}
                close={close}
                send={async (text) => {
                  setLink(await proved(() => api.addUser(text('name'), text('role') as Role)));
                  await refetch();
                }}
              >
                {(problem) => (
                  <>
                    <Field label={t().signIn.name} hint={t().users.nameHint} problem={problem('name')}>
                      {(given) => (
                        <input {...given} name="name" autocapitalize="none" spellcheck={false} required maxLength={64} autocomplete="off" autofocus />
                      )}
                    </Field>
                    <RoleChoice label={t().users.role} role="technician" />
                  </>
                )}
              </FormDialog>
            );
          }
          const { kind, user } = doing;
          if (kind === 'sign-ins') {
            return (
              <Dialog title={t().users.signInsOf(user.name)} close={close}>
                <SignIns user={user.id} />
              </Dialog>
            );
          }
          const texts = kind === 'unlock' ? t().users.unlocking : t().users.takingFactors;
          const act = kind === 'unlock' ? api.unlockUser : api.resetFactors;
          return (
            <FormDialog
              title={texts.title(user.name)}
              submit={texts.submit}
              names={['reason']}
              close={close}
              send={async (text) => {
                await proved(() => act(user.id, text('reason')));
                await refetch();
              }}
            >
              {(problem) => (
                <>
                  <p>{texts.text}</p>
                  <Field label={t().devices.reason} problem={problem('reason')}>
                    {(given) => <input {...given} name="reason" dir="auto" required maxLength={80} autocomplete="off" autofocus />}
                  </Field>
                </>
              )}
            </FormDialog>
          );
        }}
      </Show>
    </section>
  );
}

function RoleChoice(props: { label: string; role: Role; choose?: (role: Role) => void }) {
  const roles = () => Object.entries(t().roles) as [Role, string][];
  return (
    <select
      name="role"
      aria-label={props.label}
      value={props.role}
      onChange={(event) => props.choose?.(event.currentTarget.value as Role)}
    >
      <For each={roles()}>{([id, name]) => <option value={id} selected={id === props.role}>{name}</option>}</For>
    </select>
  );
}
