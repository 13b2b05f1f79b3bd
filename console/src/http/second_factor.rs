//! The authenticator app of an account, and the sign-in that asks for its code.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use qrcodegen::{QrCode, QrCodeEcc};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use utoipa::ToSchema;

use super::Api;
use super::guard::{Caller, Origin};
use super::problem::Problem;
use super::request::{Json, Named};
use super::sign_in::{Me, signed_in};
use super::tickets::not_blank;
use crate::store::{Line, User, UserId};

/// A seed for an authenticator app, shown once.
#[derive(Serialize, ToSchema)]
pub(crate) struct TotpSeed {
    /// The seed as it is typed.
    secret: String,
    /// The same as an `otpauth` address.
    uri: String,
    /// The address as a square code: black modules as the data of an SVG path, one unit a module.
    qr_path: String,
    /// The square's side in modules, with its quiet edge.
    qr_side: i32,
}

/// A one-time code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OneTimeCode {
    /// Six digits of the authenticator app.
    code: String,
}

/// Codes for the day the authenticator app is lost; each works once. They are told this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecoveryCodes {
    /// Ten of them.
    codes: Vec<String>,
}

/// A challenge of `second_factor_required` with its answer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecondFactor {
    /// The challenge, good for five minutes.
    challenge: String,
    /// Six digits of the authenticator app, or a recovery code.
    code: String,
}

/// Completes a sign-in whose password was right; the answer sets the cookie.
#[utoipa::path(post, path = "/api/v1/session/second-factor", operation_id = "sign_in_by_code", tag = "sign-in",
    request_body = SecondFactor,
    responses((status = 200, body = Me), (status = 401, body = Problem), (status = 429, body = Problem)))]
pub(crate) async fn answer(
    State(api): State<Api>,
    origin: Origin,
    Json { value, .. }: Json<SecondFactor>,
) -> Result<Response, Problem> {
    let done = api.store.answer_second_factor(&value.challenge, &value.code, &origin.visitor).await?;
    Ok(signed_in(&origin, done))
}

/// Draws a seed for an authenticator app; it counts once a code of it was sent.
#[utoipa::path(post, path = "/api/v1/account/totp", operation_id = "begin_totp", tag = "account",
    responses((status = 201, body = TotpSeed), (status = 409, body = Problem)))]
pub(crate) async fn begin(State(api): State<Api>, caller: Caller) -> Result<(StatusCode, Answer<TotpSeed>), Problem> {
    let enrolment = api.store.begin_totp(caller.own_sign_in()?.user.id, &api.profile.name).await?;
    let (qr_path, qr_side) = draw(&enrolment.uri).ok_or_else(|| {
        let detail = "The desk's name is too long for a square code. Choose a shorter one.";
        Problem::new(StatusCode::CONFLICT, "name_too_long", detail)
    })?;
    Ok((StatusCode::CREATED, Answer(TotpSeed { secret: enrolment.secret, uri: enrolment.uri, qr_path, qr_side })))
}

/// Sets the authenticator app up, by a code that it shows.
#[utoipa::path(post, path = "/api/v1/account/totp/confirm", operation_id = "confirm_totp", tag = "account",
    request_body = OneTimeCode,
    responses((status = 200, body = RecoveryCodes), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn confirm(
    State(api): State<Api>,
    caller: Caller,
    Json { value, .. }: Json<OneTimeCode>,
) -> Result<Answer<RecoveryCodes>, Problem> {
    let codes = api.store.confirm_totp(caller.own_sign_in()?.user.id, &value.code).await?;
    Ok(Answer(RecoveryCodes { codes }))
}

/// Removes the authenticator app and the recovery codes.
#[utoipa::path(delete, path = "/api/v1/account/totp", operation_id = "remove_totp", tag = "account",
    responses((status = 204), (status = 404, body = Problem)))]
pub(crate) async fn remove(State(api): State<Api>, caller: Caller) -> Result<StatusCode, Problem> {
    api.store.remove_totp(caller.own_sign_in()?.user.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Draws new recovery codes; the old ones stop working.
#[utoipa::path(post, path = "/api/v1/account/recovery-codes", operation_id = "renew_recovery_codes", tag = "account",
    responses((status = 200, body = RecoveryCodes), (status = 404, body = Problem)))]
pub(crate) async fn renew(State(api): State<Api>, caller: Caller) -> Result<Answer<RecoveryCodes>, Problem> {
    let codes = api.store.renew_recovery_codes(caller.own_sign_in()?.user.id).await?;
    Ok(Answer(RecoveryCodes { codes }))
}

/// Why the factors of an account are taken off.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetFactors {
    /// For the audit.
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    reason: Line,
}

/// Takes authenticator app, recovery codes and passkeys off the account of a user who has lost them.
#[utoipa::path(post, path = "/api/v1/users/{id}/reset-factors", operation_id = "reset_factors", tag = "users",
    params(("id" = i64, Path)), request_body = ResetFactors,
    responses((status = 200, body = User), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn reset(
    State(api): State<Api>,
    caller: Caller,
    Named(id): Named<i64>,
    Json { value, .. }: Json<ResetFactors>,
) -> Result<Answer<User>, Problem> {
    not_blank("reason", Some(&value.reason))?;
    Ok(Answer(api.store.reset_factors(&caller.actor, UserId(id), &value.reason).await?))
}

/// A text as a square code.
fn draw(text: &str) -> Option<(String, i32)> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let mut path = String::new();
    for (x, y) in (0..code.size()).flat_map(|y| (0..code.size()).map(move |x| (x, y))) {
        if code.get_module(x, y) {
            let _ = write!(path, "M{} {}h1v1h-1z", x + QUIET_MODULES, y + QUIET_MODULES);
        }
    }
    Some((path, code.size() + 2 * QUIET_MODULES))
}

/// ISO/IEC 18004: four modules of nothing around the code.
const QUIET_MODULES: i32 = 4;
