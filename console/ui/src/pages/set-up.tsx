import { Show } from 'solid-js';

import { ApiError, api } from '../api/client';
import { Field } from '../parts/field';
import { Form } from '../parts/form';
import { NewPassword, chosen } from '../parts/new-password';
import { Logo } from '../parts/shell';
import { clearToken, navigate, token } from '../router';
import { setChallenge, signedIn } from '../session';
import { t } from '../text';

/** Sets the password of a user who has opened their set-up link. */
export function SetUp() {
  const send = async (text: (name: string) => string) => {
    try {
      const who = await api.setUp(token() ?? '', chosen(text));
      clearToken();
      signedIn(who);
    } catch (error) {
      const asked = error instanceof ApiError ? error.problem?.challenge : undefined;
      if (!asked) throw error;
      // The password is set; the second factor is still asked for.
      clearToken();
      setChallenge(asked);
      navigate('/sign-in', 'replace');
    }
  };

  return (
    <section class="card sign-in">
      <Logo />
      <h1>{t().setUp.title}</h1>
      <Show when={token()} fallback={<p class="note">{t().setUp.linkMissing}</p>}>
        <Form submit={t().setUp.submit} send={send}>
          <NewPassword autofocus />
        </Form>
      </Show>
    </section>
  );
}

/** Makes the first admin of a desk that has no user yet. */
export function FirstAdmin() {
  const send = async (text: (name: string) => string) => {
    const who = await api.firstAdmin(token() ?? '', text('name').trim(), chosen(text));
    clearToken();
    signedIn(who);
  };

  return (
    <section class="card sign-in">
      <Logo />
      <h1>{t().firstAdmin.title}</h1>
      <Show when={token()} fallback={<p class="note">{t().firstAdmin.linkMissing}</p>}>
        <p>{t().firstAdmin.text}</p>
        <Form submit={t().firstAdmin.submit} send={send}>
          <Field label={t().signIn.name}>
            {(given) => (
              <input {...given} name="name" autocomplete="username" autocapitalize="none" spellcheck={false} required autofocus maxLength={64} />
            )}
          </Field>
          <NewPassword />
        </Form>
      </Show>
    </section>
  );
}
