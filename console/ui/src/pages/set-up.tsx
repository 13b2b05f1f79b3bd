import { Show, createSignal } from 'solid-js';

import { api } from '../api/client';
import { Field } from '../parts/field';
import { Problem, explain, fieldOf } from '../parts/problem';
import { Logo } from '../parts/shell';
import { clearToken, token } from '../router';
import { signedIn } from '../session';
import { t } from '../text';

const PASSWORD_MIN_CHARS = 12;

export function SetUp() {
  const [error, setError] = createSignal<unknown>();
  const [differ, setDiffer] = createSignal(false);
  const [sending, setSending] = createSignal(false);
  const [password, setPassword] = createSignal('');
  const missing = () => PASSWORD_MIN_CHARS - [...password()].length;
  let form!: HTMLFormElement;

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const values = new FormData(form);
    const chosen = String(values.get('password'));
    setError(undefined);
    setDiffer(chosen !== values.get('repeat'));
    if (differ() || missing() > 0) return;
    setSending(true);
    try {
      const who = await api.setUp(token() ?? '', chosen);
      clearToken();
      signedIn(who);
    } catch (error) {
      setError(error);
    } finally {
      setSending(false);
    }
  };

  const short = () => {
    if (fieldOf(error()) === 'password') return explain(error());
    return password() && missing() > 0 ? t().setUp.short(missing()) : undefined;
  };

  return (
    <section class="card sign-in">
      <Logo />
      <h1>{t().setUp.title}</h1>
      <Show when={token()} fallback={<p class="note">{t().setUp.linkMissing}</p>}>
        <form ref={form} onSubmit={(event) => void submit(event)}>
          <Field label={t().setUp.password} hint={short() ?? t().setUp.text}>
            {(given) => (
              <input
                {...given}
                name="password"
                type="password"
                autocomplete="new-password"
                required
                autofocus
                onInput={(event) => setPassword(event.currentTarget.value)}
              />
            )}
          </Field>
          <Field label={t().setUp.repeat} problem={differ() ? t().setUp.differ : undefined}>
            {(given) => <input {...given} name="repeat" type="password" autocomplete="new-password" required />}
          </Field>
          <Show when={fieldOf(error()) !== 'password'}>
            <Problem error={error()} />
          </Show>
          <button type="submit" class="primary" disabled={sending() || missing() > 0}>{t().setUp.submit}</button>
        </form>
      </Show>
    </section>
  );
}
