import { createSignal } from 'solid-js';

import { t } from '../text';
import { Field } from './field';
import { Refused } from './problem';

const PASSWORD_MIN_CHARS = 12;

/** A password to be chosen, typed twice. */
export function NewPassword(props: { autofocus?: boolean }) {
  const [password, setPassword] = createSignal('');
  const missing = () => PASSWORD_MIN_CHARS - [...password()].length;
  const short = () => (password() && missing() > 0 ? t().setUp.short(missing()) : undefined);
  return (
    <>
      <Field label={t().setUp.password} hint={short() ?? t().setUp.text}>
        {(given) => (
          <input
            {...given}
            name="password"
            type="password"
            autocomplete="new-password"
            required
            autofocus={props.autofocus ?? false}
            onInput={(event) => setPassword(event.currentTarget.value)}
          />
        )}
      </Field>
      <Field label={t().setUp.repeat}>
        {(given) => <input {...given} name="repeat" type="password" autocomplete="new-password" required />}
      </Field>
    </>
  );
}

/** The password that was chosen, unless it is too short or was typed in two ways. */
export function chosen(text: (name: string) => string): string {
  const password = text('password');
  if (password !== text('repeat')) throw new Refused(() => t().setUp.differ);
  if ([...password].length < PASSWORD_MIN_CHARS) throw new Refused(() => t().problems.password);
  return password;
}
