import { Show, createResource, createSignal } from 'solid-js';

import { ApiError, api } from '../api/client';
import { askPasskey, passkeysWork } from '../passkeys';
import { t } from '../text';
import { Dialog } from './dialog';
import { Field } from './field';
import { Form } from './form';
import { Problem } from './problem';

type Asked = { proved: () => void; refused: (error: unknown) => void; error: unknown };

const [asked, setAsked] = createSignal<Asked>();

/** Does what may ask for a fresh proof of who sits here: asks for it, and does it again. */
export async function proved<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof ApiError) || error.problem?.code !== 'step_up_required') throw error;
    await new Promise<void>((resolve, refused) => setAsked({ proved: resolve, refused, error }));
    return action();
  }
}

/** The dialog of [proved]; once on the page. */
export function StepUp() {
  return <Show when={asked()} keyed>{(asked) => <Proof asked={asked} />}</Show>;
}

function Proof(props: { asked: Asked }) {
  const [factors] = createResource(() => api.factors().catch(() => undefined));
  const [error, setError] = createSignal<unknown>();
  // Beside a passkey the password alone proves nothing.
  const byPasskeyAlone = () => Boolean(factors()?.passkeys && !factors()?.totp);
  const done = () => {
    setAsked(undefined);
    props.asked.proved();
  };
  const close = () => {
    setAsked(undefined);
    props.asked.refused(props.asked.error);
  };
  const byPasskey = async () => {
    setError(undefined);
    try {
      const begun = await api.beginPasskeySignIn();
      await api.stepUp({ passkey: { challenge: begun.challenge, credential: await askPasskey(begun) } });
      done();
    } catch (error) {
      setError(error);
    }
  };

  return (
    <Dialog title={t().stepUp.title} close={close}>
      <p>{t().stepUp.text}</p>
      <Show when={!factors.loading} fallback={<p class="quiet">{t().loading}</p>}>
        <Show when={!byPasskeyAlone()}>
          <Form
            submit={t().stepUp.submit}
            cancel={close}
            send={async (text) => {
              await api.stepUp(factors()?.totp ? { code: text('code') } : { password: text('password') });
              done();
            }}
          >
            <Show
              when={factors()?.totp}
              fallback={
                <Field label={t().signIn.password}>
                  {(given) => (
                    <input {...given} name="password" type="password" autocomplete="current-password" required autofocus />
                  )}
                </Field>
              }
            >
              <Code />
            </Show>
          </Form>
        </Show>
        <Show when={byPasskeyAlone() && !passkeysWork()}>
          <p class="note">{t().account.noPasskeys}</p>
        </Show>
        <Problem error={error()} />
        <div class="buttons">
          <Show when={factors()?.passkeys && passkeysWork()}>
            <button type="button" onClick={() => void byPasskey()}>{t().signIn.byPasskey}</button>
          </Show>
          <Show when={byPasskeyAlone()}>
            <button type="button" onClick={close}>{t().cancel}</button>
          </Show>
        </div>
      </Show>
    </Dialog>
  );
}

/** Where a one-time code or a recovery code is typed. */
export function Code() {
  return (
    <Field label={t().signIn.code} hint={t().signIn.codeHint}>
      {(given) => (
        <input
          {...given}
          name="code"
          class="mono"
          autocomplete="one-time-code"
          autocapitalize="none"
          spellcheck={false}
          required
          maxLength={20}
          autofocus
        />
      )}
    </Field>
  );
}
