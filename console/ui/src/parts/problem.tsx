import { Show } from 'solid-js';

import { ApiError } from '../api/client';
import { foreign } from '../format';
import { language, t } from '../text';

/** What went wrong, as one sentence in the chosen language; English details for what has no translation. */
export function explain(error: unknown): string {
  const texts = t().problems;
  if (error instanceof Refused) return error.say();
  if (error instanceof DOMException) return error.name === 'SecurityError' ? texts.passkeys_need_a_name : texts.noPasskey;
  if (!(error instanceof ApiError)) return texts.bug;
  const problem = error.problem;
  if (!problem) return error.status === 0 ? texts.network : texts.store_failed;
  switch (problem.code) {
    case 'slow_down':
      return texts.slow_down(problem.retry_after_s ?? 1);
    case 'account_locked':
      return texts.account_locked(Math.ceil((problem.retry_after_s ?? 1) / 60));
    case 'codes_locked':
      return texts.codes_locked(Math.ceil((problem.retry_after_s ?? 1) / 60));
    case 'wrong_code':
    case 'code_asked':
    case 'challenge_not_valid':
    case 'second_factor_required':
    case 'second_factor_exists':
    case 'unknown_passkey':
    case 'cloned_passkey':
    case 'passkey_known':
    case 'passkey_refused':
    case 'passkeys_need_a_name':
    case 'wrong_password':
    case 'wrong_secret':
    case 'step_up_required':
    case 'token_not_valid':
    case 'too_many':
    case 'last_admin':
    case 'name_taken':
    case 'name_too_long':
    case 'stopping':
    case 'password_guessed':
    case 'wrong_name_or_password':
    case 'link_not_valid':
    case 'not_allowed':
    case 'not_found':
    case 'stale_version':
    case 'illegal_move':
    case 'ticket_takes_no_sessions':
    case 'store_failed':
      return texts[problem.code];
    case 'invalid_field':
      if (problem.field === 'password') return texts.password;
      if (problem.field === 'name') return texts.name;
      if (problem.field === 'actions') return texts.actions;
      return language() === 'en' ? foreign(problem.detail) : texts.oneLine;
    default:
      return foreign(problem.detail);
  }
}

/** What this page refuses by itself, in words that follow the chosen language. */
export class Refused extends Error {
  constructor(readonly say: () => string) {
    super(say());
  }
}

/** The field that a problem names, or nothing. */
export function fieldOf(error: unknown): string | undefined {
  return error instanceof ApiError ? (error.problem?.field ?? undefined) : undefined;
}

export function Problem(props: { error: unknown; id?: string }) {
  return (
    <Show when={props.error}>
      <p class="problem" role="alert" id={props.id}>
        {explain(props.error)}
      </p>
    </Show>
  );
}
