//! One's own account: its sign-ins, its password, and the fresh proof that some actions ask for.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::guard::{Caller, Origin};
use super::passkeys::{self, Answered};
use super::problem::Problem;
use super::request::{Json, Named};
use super::{Api, Page};
use crate::clock::UnixMillis;
use crate::store::{Factors, Proof, SignInId, SignInView, SignedIn, UserId};

/// A live sign-in of one's own.
#[derive(Serialize, ToSchema)]
pub(crate) struct OwnSignIn {
    #[serde(flatten)]
    sign_in: SignInView,
    /// Whether it is the one that asks.
    current: bool,
}

/// Lists one's own live sign-ins, newest first.
#[utoipa::path(get, path = "/api/v1/sign-ins", operation_id = "own_sign_ins", tag = "account",
    responses((status = 200, body = Page<OwnSignIn>), (status = 404, body = Problem)))]
pub(crate) async fn sign_ins(State(api): State<Api>, caller: Caller) -> Result<Answer<Page<OwnSignIn>>, Problem> {
    let own = caller.own_sign_in()?;
    let sign_ins = api.store.list_sign_ins(own.user.id, &caller.actor).await?;
    let items = sign_ins.into_iter().map(|sign_in| OwnSignIn { current: sign_in.id == own.id, sign_in }).collect();
    Ok(Answer(Page { items, next_cursor: None }))
}

/// Ends one of one's own sign-ins; what it still streams ends within two seconds.
#[utoipa::path(delete, path = "/api/v1/sign-ins/{id}", operation_id = "end_own_sign_in", tag = "account",
    params(("id" = i64, Path)), responses((status = 204), (status = 404, body = Problem)))]
pub(crate) async fn end_sign_in(
    State(api): State<Api>,
    caller: Caller,
    Named(id): Named<i64>,
) -> Result<StatusCode, Problem> {
    let own = caller.own_sign_in()?;
    api.store.end_sign_in(&caller.actor, own.user.id, SignInId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the live sign-ins of a user, newest first, without where they come from.
#[utoipa::path(get, path = "/api/v1/users/{id}/sign-ins", operation_id = "sign_ins_of_user", tag = "users",
    params(("id" = i64, Path)), responses((status = 200, body = Page<SignInView>)))]
pub(crate) async fn sign_ins_of_user(
    State(api): State<Api>,
    caller: Caller,
    Named(id): Named<i64>,
) -> Result<Answer<Page<SignInView>>, Problem> {
    let items = api.store.list_sign_ins(UserId(id), &caller.actor).await?;
    Ok(Answer(Page { items, next_cursor: None }))
}

/// Ends every sign-in of a user; what they still stream ends within two seconds.
#[utoipa::path(delete, path = "/api/v1/users/{id}/sign-ins", operation_id = "end_sign_ins_of_user", tag = "users",
    params(("id" = i64, Path)), responses((status = 204), (status = 404, body = Problem)))]
pub(crate) async fn end_sign_ins_of_user(
    State(api): State<Api>,
    caller: Caller,
    Named(id): Named<i64>,
) -> Result<StatusCode, Problem> {
    api.store.end_all_sign_ins(&caller.actor, UserId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The old password and the one to take its place.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPassword {
    /// The password until now.
    #[schema(format = Password)]
    old: String,
    /// At least 12 characters.
    #[schema(format = Password, min_length = 12)]
    password: String,
}

/// Sets another password for oneself. One's other sign-ins end.
#[utoipa::path(post, path = "/api/v1/session/password", operation_id = "change_password", tag = "account",
    request_body = NewPassword,
    responses((status = 204), (status = 401, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
pub(crate) async fn change_password(
    State(api): State<Api>,
    caller: Caller,
    origin: Origin,
    Json { value, .. }: Json<NewPassword>,
) -> Result<StatusCode, Problem> {
    let own = caller.own_sign_in()?;
    api.store.change_password(own, &value.old, &value.password, &origin.visitor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A fresh proof of who sits there: exactly one of the fields.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepUp {
    /// The password, where there is no authenticator app.
    #[schema(format = Password)]
    password: Option<String>,
    /// A code of the authenticator app, or a recovery code.
    code: Option<String>,
    /// A passkey's answer to a challenge of `POST /api/v1/session/passkey/begin`.
    passkey: Option<Answered>,
}

/// Until when the sign-in may do what asks for a fresh proof.
#[derive(Serialize, ToSchema)]
pub(crate) struct SteppedUp {
    /// Ten minutes from now.
    until_ms: UnixMillis,
}

/// Proves once more who sits there. User management, exports and changes of one's own factors ask for it.
#[utoipa::path(post, path = "/api/v1/session/step-up", operation_id = "step_up", tag = "account", request_body = StepUp,
    responses((status = 200, body = SteppedUp), (status = 401, body = Problem), (status = 422, body = Problem),
        (status = 429, body = Problem)))]
pub(crate) async fn step_up(
    State(api): State<Api>,
    caller: Caller,
    origin: Origin,
    Json { value, .. }: Json<StepUp>,
) -> Result<Answer<SteppedUp>, Problem> {
    let own = caller.own_sign_in()?;
    let (store, visitor) = (&api.store, &origin.visitor);
    let at = match (&value.password, &value.code, &value.passkey) {
        (Some(password), None, None) => store.step_up(own, Proof::Password(password), visitor).await?,
        (None, Some(code), None) => store.step_up(own, Proof::Code(code), visitor).await?,
        (None, None, Some(answered)) => {
            let (party, credential) = (passkeys::party(&api)?, answered.assertion()?);
            store.step_up_by_passkey(party, own, &answered.challenge, &credential, visitor).await?
        }
        _ => return Err(Problem::field("password", "Send exactly one of password, code and passkey.")),
    };
    Ok(Answer(SteppedUp { until_ms: at.plus(crate::store::STEP_UP_LIFE) }))
}

/// What one can prove oneself by.
#[utoipa::path(get, path = "/api/v1/account/factors", operation_id = "own_factors", tag = "account",
    responses((status = 200, body = Factors), (status = 404, body = Problem)))]
pub(crate) async fn factors(State(api): State<Api>, caller: Caller) -> Result<Answer<Factors>, Problem> {
    Ok(Answer(api.store.factors(caller.own_sign_in()?.user.id).await?))
}

impl Caller {
    /// The sign-in that asks. The command line has none, and nothing of its own.
    pub(super) fn own_sign_in(&self) -> Result<&SignedIn, Problem> {
        self.signed_in.as_ref().map(|(signed_in, _)| signed_in).ok_or_else(Problem::not_found)
    }
}
