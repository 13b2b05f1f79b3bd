import { For, Show, createResource, createSignal } from 'solid-js';

import { type Page, api } from '../api/client';
import type { Action, ApiTokenView, PasskeyView, TotpSeed } from '../api/schema';
import { now } from '../format';
import { Copyable } from '../parts/copyable';
import { Field } from '../parts/field';
import { Form } from '../parts/form';
import { NewPassword, chosen } from '../parts/new-password';
import { Problem } from '../parts/problem';
import { SignIns } from '../parts/sign-ins';
import { proved } from '../parts/step-up';
import { Foreign, Time } from '../parts/text';
import { makePasskey, passkeysWork } from '../passkeys';
import { me } from '../session';
import { t } from '../text';

/** One's own account: what proves it, where it is signed in, and which programs act for it. */
export function Account() {
  const [factors, { refetch }] = createResource(() => api.factors());
  return (
    <section class="page account">
      <h1>{t().account.title}</h1>
      <p class="quiet">
        <Foreign text={me()?.name} />, {t().roles[me()?.role ?? 'technician']}
      </p>
      <Problem error={factors.error as unknown} />
      <Show when={!factors.error && factors.latest}>
        {(factors) => (
          <>
            <App has={factors().totp} codes={factors().recovery_codes} changed={() => void refetch()} />
            <Passkeys />
            <Show when={factors().password}>
              <Password />
            </Show>
          </>
        )}
      </Show>
      <section class="card">
        <h2>{t().account.signIns}</h2>
        <SignIns own />
      </section>
      <Tokens />
    </section>
  );
}

function App(props: { has: boolean; codes: number; changed: () => void }) {
  const [seed, setSeed] = createSignal<TotpSeed>();
  const [codes, setCodes] = createSignal<string[]>();
  const [error, setError] = createSignal<unknown>();
  const doing = (action: () => Promise<void>) => {
    setError(undefined);
    proved(action).catch(setError);
  };
  const begin = () => doing(async () => void setSeed(await api.beginTotp()));
  const renew = () => doing(async () => void setCodes((await api.renewRecoveryCodes()).codes));
  const remove = () =>
    doing(async () => {
      await api.removeTotp();
      setCodes(undefined);
      props.changed();
    });
  const confirm = async (text: (name: string) => string) => {
    const confirmed = await proved(() => api.confirmTotp(text('code')));
    setSeed(undefined);
    setCodes(confirmed.codes);
    props.changed();
  };

  return (
    <section class="card">
      <h2>{t().account.app}</h2>
      <p>{props.has ? t().account.appOn(props.codes) : t().account.appOff}</p>
      <Show when={codes()}>
        {(codes) => (
          <div class="note">
            <p>{t().account.codesOnce}</p>
            <ul class="codes mono">
              <For each={codes()}>{(code) => <li>{code}</li>}</For>
            </ul>
          </div>
        )}
      </Show>
      <Show when={seed()}>
        {(seed) => (
          <>
            <p>{t().account.scan}</p>
            <svg class="qr" viewBox={`0 0 ${seed().qr_side} ${seed().qr_side}`} role="img" aria-label={t().account.square}>
              <path d={seed().qr_path} />
            </svg>
            <Copyable label={t().account.typeSeed} button={t().account.copySeed} text={seed().secret} />
            <Form submit={t().account.confirm} send={confirm} cancel={() => setSeed(undefined)}>
              <Field label={t().account.shownCode}>
                {(given) => (
                  <input {...given} name="code" class="mono" inputmode="numeric" autocomplete="one-time-code" required maxLength={7} />
                )}
              </Field>
            </Form>
          </>
        )}
      </Show>
      <Problem error={error()} />
      <Show when={!seed()}>
        <div class="buttons">
          <Show when={props.has} fallback={<button type="button" onClick={begin}>{t().account.setUpApp}</button>}>
            <button type="button" onClick={renew}>{t().account.renewCodes}</button>
            <button type="button" onClick={remove}>{t().account.removeApp}</button>
          </Show>
        </div>
      </Show>
    </section>
  );
}

function Passkeys() {
  const [error, setError] = createSignal<unknown>();
  const [passkeys, { refetch }] = createResource(() => listed(api.passkeys(), setError));
  const add = async (text: (name: string) => string) => {
    const begun = await proved(() => api.beginPasskey());
    await api.addPasskey(text('name').trim(), begun.challenge, await makePasskey(begun));
    await refetch();
  };
  const remove = async (passkey: PasskeyView) => {
    setError(undefined);
    try {
      await proved(() => api.removePasskey(passkey.id));
      await refetch();
    } catch (error) {
      setError(error);
    }
  };
  return (
    <section class="card">
      <h2>{t().account.passkeys}</h2>
      <p>{t().account.passkeysText}</p>
      <ul class="rows">
        <For each={passkeys.latest}>
          {(passkey) => (
            <li>
              <span>
                <Foreign text={passkey.name} />
                <span class="hint">
                  {passkey.last_used_at_ms ? (
                    <>
                      {t().account.lastUsed} <Time atMs={passkey.last_used_at_ms} />
                    </>
                  ) : (
                    t().account.neverUsed
                  )}
                </span>
              </span>
              <button type="button" onClick={() => void remove(passkey)}>{t().account.remove}</button>
            </li>
          )}
        </For>
      </ul>
      <Problem error={error()} />
      <Show when={passkeysWork()} fallback={<p class="note">{t().account.noPasskeys}</p>}>
        <Form submit={t().account.addPasskey} send={add}>
          <Field label={t().account.passkeyName}>
            {(given) => <input {...given} name="name" dir="auto" required maxLength={60} autocomplete="off" />}
          </Field>
        </Form>
      </Show>
    </section>
  );
}

function Password() {
  const [done, setDone] = createSignal(false);
  const send = async (text: (name: string) => string) => {
    setDone(false);
    await api.changePassword(text('old'), chosen(text));
    setDone(true);
  };
  return (
    <section class="card">
      <h2>{t().account.password}</h2>
      <Show when={!done()} fallback={<p class="note" role="status">{t().account.passwordChanged}</p>}>
        <details>
          <summary>{t().account.changePassword}</summary>
          <Form submit={t().account.changePassword} send={send}>
            <Field label={t().account.oldPassword}>
              {(given) => <input {...given} name="old" type="password" autocomplete="current-password" required />}
            </Field>
            <NewPassword />
          </Form>
        </details>
      </Show>
    </section>
  );
}

/** What a program may be given, if its maker may do it. */
const ACTIONS: readonly Action[] = [
  'read_desk',
  'work_on_tickets',
  'invite_customers',
  'revoke_devices',
  'publish_rules',
  'configure_desk',
  'read_users',
  'read_audit',
];

function Tokens() {
  const [made, setMade] = createSignal<string>();
  const [error, setError] = createSignal<unknown>();
  const [tokens, { refetch }] = createResource(() => listed(api.tokens(), setError));
  const mint = async (text: (name: string) => string) => {
    const actions = ACTIONS.filter((action) => text(action) === 'on');
    const token = await proved(() => api.mintToken(text('name').trim(), actions, Number(text('days'))));
    setMade(token.token);
    await refetch();
  };
  const revoke = async (token: ApiTokenView) => {
    setError(undefined);
    try {
      await proved(() => api.revokeToken(token.id));
      await refetch();
    } catch (error) {
      setError(error);
    }
  };
  return (
    <section class="card">
      <h2>{t().account.tokens}</h2>
      <p>{t().account.tokensText}</p>
      <ul class="rows">
        <For each={tokens.latest}>
          {(token) => (
            <li>
              <span>
                <Foreign text={token.name} />
                <span class="hint">
                  {token.actions.map((action) => t().actions[action]).join(', ')}
                  <br />
                  {t().account.expires(Math.max(1, Math.round((token.expires_at_ms - now()) / DAY_MS)))}
                  {'; '}
                  {token.last_used_at_ms ? (
                    <>
                      {t().account.lastUsed} <Time atMs={token.last_used_at_ms} />
                    </>
                  ) : (
                    t().account.neverUsed
                  )}
                </span>
              </span>
              <button type="button" onClick={() => void revoke(token)}>{t().account.revoke}</button>
            </li>
          )}
        </For>
      </ul>
      <Problem error={error()} />
      <Show when={made()}>
        {(made) => (
          <div role="status">
            <Copyable label={t().account.tokenOnce} button={t().account.copyToken} text={made()} />
          </div>
        )}
      </Show>
      <details>
        <summary>{t().account.newToken}</summary>
        <Form submit={t().account.makeToken} send={mint}>
          <Field label={t().account.tokenName}>
            {(given) => <input {...given} name="name" dir="auto" required maxLength={60} autocomplete="off" />}
          </Field>
          <fieldset>
            <legend>{t().account.tokenActions}</legend>
            <For each={ACTIONS}>
              {(action) => (
                <label class="check">
                  <input type="checkbox" name={action} checked={action === 'read_desk'} />
                  {t().actions[action]}
                </label>
              )}
            </For>
          </fieldset>
          <Field label={t().account.tokenDays}>
            {(given) => <input {...given} name="days" type="number" min={1} max={365} value={90} required />}
          </Field>
        </Form>
      </details>
    </section>
  );
}

/** The items of a list; none when it could not be read, which is then told. */
async function listed<T>(page: Promise<Page<T>>, failed: (error: unknown) => void): Promise<T[]> {
  try {
    return (await page).items;
  } catch (error) {
    failed(error);
    return [];
  }
}

const DAY_MS = 24 * 60 * 60 * 1000;
