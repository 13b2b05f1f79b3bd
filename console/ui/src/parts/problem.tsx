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
    case 'passkey_required':
    case 'unknown_passkey':
    case 'cloned_passkey':
    case 'passkey_known':
    case 'passkey_refused':
    case 'passkeys_need_a_name':
    case 'wrong_password':
    case 'wrong_secret':
    case 'step_up_required':
    case 'token_not_valid':
    case 'limit_reached':
    case 'bad_name':
    case 'last_admin':
    case 'name_too_long':
    case 'stopping':
    case 'password_guessed':
    case 'wrong_name_or_password':
    case 'link_not_valid':
    case 'not_allowed':
    case 'not_found':
    case 'stale_version':
    case 'illegal_move':
    case 'not_verified':
    case 'wrong_closing':
    case 'nothing_to_verify':
    case 'reopen_window_over':
    case 'resolution_required':
    case 'reason_required':
    case 'report_too_old':
    case 'nothing_failed_before':
    case 'still_failing':
    case 'session_open':
    case 'ticket_merged':
    case 'too_many':
    case 'type_not_taken':
    case 'body_too_large':
    case 'name_taken':
    case 'ticket_takes_no_sessions':
    case 'store_failed':
      return texts[problem.code];
    case 'invalid_field':
      if (problem.field === 'password') return texts.password;
      if (problem.field === 'actions') return texts.actions;
      return language() === 'en' ? foreign(problem.detail) : (fields()[problem.field ?? ''] ?? texts.oneLine);
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

/** What to do about a field, where a refusal's own sentence is in English only. */
function fields(): Record<string, string> {
  const texts = t().problems.fields;
  return {
    pending_until_ms: texts.date,
    into: texts.ticket,
    to: texts.ticket,
    owner: texts.person,
    members: texts.person,
    tags: texts.tags,
    report: texts.report,
    priority_reason: t().problems.required,
  };
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
