import { Show, createEffect, createSignal, on } from 'solid-js';

import { api } from '../api/client';
import { Field } from '../parts/field';
import { Problem, explain } from '../parts/problem';
import { Logo } from '../parts/shell';
import { clearToken, route, token } from '../router';
import { ended, signedIn, stayAsBefore } from '../session';
import { t } from '../text';

export function SignIn() {
  const [error, setError] = createSignal<unknown>();
  const [linkFailed, setLinkFailed] = createSignal<unknown>();
  const [sending, setSending] = createSignal(false);
  let form!: HTMLFormElement;

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
          signedIn(who);
        })
        .catch(async (error: unknown) => {
          setLinkFailed(error);
          await stayAsBefore();
          clearToken();
        })
        .finally(() => setSending(false));
    }),
  );

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const values = new FormData(form);
    setSending(true);
    setError(undefined);
    setLinkFailed(undefined);
    try {
      signedIn(await api.signIn(String(values.get('name')).trim(), String(values.get('password'))));
    } catch (error) {
      setError(error);
      form.querySelector<HTMLInputElement>('[name=password]')?.select();
    } finally {
      setSending(false);
    }
  };

  return (
    <section class="card sign-in">
      <Logo />
      <Show when={!(token() && sending())} fallback={<p role="status">{t().signIn.byLink}</p>}>
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
        <form ref={form} onSubmit={(event) => void submit(event)}>
          <Field label={t().signIn.name}>
            {(given) => (
              <input {...given} name="name" autocomplete="username" autocapitalize="none" spellcheck={false} required autofocus />
            )}
          </Field>
          <Field label={t().signIn.password}>
            {(given) => <input {...given} name="password" type="password" autocomplete="current-password" required />}
          </Field>
          <Problem error={error()} />
          <button type="submit" class="primary" disabled={sending()}>{t().signIn.submit}</button>
        </form>
        <p class="hint">{t().signIn.help}</p>
      </Show>
    </section>
  );
}
