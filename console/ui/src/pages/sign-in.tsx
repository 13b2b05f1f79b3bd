import { Show, createEffect, createSignal, on } from 'solid-js';

import { ApiError, api } from '../api/client';
import { Field } from '../parts/field';
import { Form } from '../parts/form';
import { Problem, explain } from '../parts/problem';
import { Logo } from '../parts/shell';
import { Code } from '../parts/step-up';
import { askPasskey, passkeysWork } from '../passkeys';
import { clearToken, route, token } from '../router';
import { challenge, ended, setChallenge, signedIn, stayAsBefore } from '../session';
import { t } from '../text';

export function SignIn() {
  const [error, setError] = createSignal<unknown>();
  const [linkFailed, setLinkFailed] = createSignal<unknown>();
  const [sending, setSending] = createSignal(false);
  const signIn = (who: Parameters<typeof signedIn>[0]) => {
    setChallenge(undefined);
    signedIn(who);
  };

  // A link opened while this page is shown arrives as a new token.
  createEffect(
    on(token, (token) => {
      if (!token || route().page !== 'sign-in') return;
      setLinkFailed(undefined);
      setSending(true);
      api
        .signInByLink(token)
        .then((who) => {
          clearToken();
          signIn(who);
        })
        .catch(async (error: unknown) => {
          setLinkFailed(error);
          await stayAsBefore();
          clearToken();
        })
        .finally(() => setSending(false));
    }),
  );

  const byPassword = async (text: (name: string) => string) => {
    setError(undefined);
    setLinkFailed(undefined);
    try {
      signIn(await api.signIn(text('name').trim(), text('password')));
    } catch (error) {
      const asked = error instanceof ApiError ? error.problem?.challenge : undefined;
      if (asked) return setChallenge(asked);
      document.querySelector<HTMLInputElement>('.sign-in [name=password]')?.select();
      throw error;
    }
  };

  const byCode = async (text: (name: string) => string) => {
    try {
      signIn(await api.signInByCode(challenge() ?? '', text('code')));
    } catch (error) {
      const over = error instanceof ApiError && error.problem?.code === 'challenge_not_valid';
      if (!over) throw error;
      setChallenge(undefined);
      setError(error);
    }
  };

  const byPasskey = async () => {
    setError(undefined);
    setSending(true);
    try {
      const begun = await api.beginPasskeySignIn();
      signIn(await api.signInByPasskey(begun.challenge, await askPasskey(begun)));
    } catch (error) {
      setError(error);
    } finally {
      setSending(false);
    }
  };

  return (
    <section class="card sign-in">
      <Logo />
      <Show when={!(token() && sending())} fallback={<p role="status">{t().signIn.byLink}</p>}>
        <Show
          when={challenge()}
          fallback={
            <>
              <h1>{t().signIn.title}</h1>
              <Show when={ended()}>
                <p class="note" role="status">{t().signIn.again}</p>
              </Show>
              <Show when={linkFailed()}>
                {(failed) => (
                  <p class="problem" role="alert">
                    {(failed() as { status?: number }).status === 401 ? t().signIn.linkFailed : explain(failed())}
                  </p>
                )}
              </Show>
              <Form submit={t().signIn.submit} send={byPassword}>
                <Field label={t().signIn.name}>
                  {(given) => (
                    <input {...given} name="name" autocomplete="username" autocapitalize="none" spellcheck={false} required autofocus />
                  )}
                </Field>
                <Field label={t().signIn.password}>
                  {(given) => <input {...given} name="password" type="password" autocomplete="current-password" required />}
                </Field>
              </Form>
              <Problem error={error()} />
              <Show when={passkeysWork()}>
                <button type="button" disabled={sending()} onClick={() => void byPasskey()}>{t().signIn.byPasskey}</button>
              </Show>
              <p class="hint">{t().signIn.help}</p>
              {/* A page of the server's own, for customers who have typed the desk's address. */}
              <p class="hint"><a href="/join" target="_self">{t().signIn.join}</a></p>
            </>
          }
        >
          <h1>{t().signIn.codeTitle}</h1>
          <Form submit={t().signIn.submit} send={byCode} cancel={() => setChallenge(undefined)}>
            <Code />
          </Form>
        </Show>
      </Show>
    </section>
  );
}
