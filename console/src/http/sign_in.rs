//! Signing in and out, and setting the first password.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::guard::{Caller, Origin, clear_cookie, set_cookie};
use super::problem::Problem;
use super::request::Json;
use crate::clock::UnixMillis;
use crate::policy::Role;
use crate::secret::{Token, same};
use crate::store::{Line, SignIn, SignedIn};

/// Name and password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    /// The sign-in name.
    name: String,
    /// The password.
    #[schema(format = Password)]
    password: String,
}

/// A one-time sign-in link's token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OneTime {
    /// The part of the link after `#`.
    token: String,
}

/// A set-up link's token and the password to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetUp {
    /// The part of the link after `#`.
    token: String,
    /// At least 12 characters.
    #[schema(format = Password, min_length = 12)]
    password: String,
}

/// Who is signed in.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    /// The sign-in name; `local` over the local socket.
    name: String,
    /// What it may do.
    role: Role,
    /// When the sign-in ends at the latest.
    ends_at_ms: Option<UnixMillis>,
    /// Until when it may do what asks for a fresh proof of its user.
    stepped_up_until_ms: Option<UnixMillis>,
}

impl From<SignedIn> for Me {
    fn from(signed_in: SignedIn) -> Self {
        Self {
            stepped_up_until_ms: signed_in.stepped_up_until(),
            name: signed_in.user.name,
            role: signed_in.user.role,
            ends_at_ms: Some(signed_in.ends_at),
        }
    }
}

/// Says who is signed in.
#[utoipa::path(get, path = "/api/v1/session", tag = "sign-in",
    responses((status = 200, body = Me), (status = 401, body = Problem)))]
pub(crate) async fn me(caller: Caller) -> Answer<Me> {
    let local = Me { name: "local".to_owned(), role: caller.role, ends_at_ms: None, stepped_up_until_ms: None };
    Answer(caller.signed_in.map_or(local, |(signed_in, _)| signed_in.into()))
}

/// Signs in by name and password; the answer sets the cookie. Where a second factor is asked for, it is the problem
/// `second_factor_required` with a `challenge` for `POST /api/v1/session/second-factor`; where the account has passkeys and
/// no authenticator app, it is `passkey_required`.
#[utoipa::path(post, path = "/api/v1/session", tag = "sign-in", request_body = Credentials,
    responses((status = 200, body = Me), (status = 401, body = Problem), (status = 429, body = Problem)))]
pub(crate) async fn sign_in(
    State(api): State<Api>,
    origin: Origin,
    Json { value, .. }: Json<Credentials>,
) -> Result<Response, Problem> {
    let attempt = SignIn { name: &value.name, password: &value.password, visitor: &origin.visitor };
    Ok(signed_in(&origin, api.store.sign_in(attempt).await?))
}

/// Signs out.
#[utoipa::path(delete, path = "/api/v1/session", tag = "sign-in",
    responses((status = 204), (status = 401, body = Problem)))]
pub(crate) async fn sign_out(State(api): State<Api>, caller: Caller, origin: Origin) -> Result<Response, Problem> {
    if let Some((_, token)) = &caller.signed_in {
        api.store.sign_out(token).await?;
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, clear_cookie(&origin))]).into_response())
}

/// Signs in by a one-time link.
#[utoipa::path(post, path = "/api/v1/session/link", tag = "sign-in", request_body = OneTime,
    responses((status = 200, body = Me), (status = 401, body = Problem)))]
pub(crate) async fn sign_in_by_link(
    State(api): State<Api>,
    origin: Origin,
    Json { value, .. }: Json<OneTime>,
) -> Result<Response, Problem> {
    Ok(signed_in(&origin, api.store.sign_in_by_link(&Token::presented(&value.token), &origin.visitor).await?))
}

/// Sets the first password by a set-up link and signs in.
#[utoipa::path(post, path = "/api/v1/setup", tag = "sign-in", request_body = SetUp,
    responses((status = 200, body = Me), (status = 401, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn set_up(
    State(api): State<Api>,
    origin: Origin,
    Json { value, .. }: Json<SetUp>,
) -> Result<Response, Problem> {
    let token = Token::presented(&value.token);
    Ok(signed_in(&origin, api.store.set_up(&token, &value.password, &origin.visitor).await?))
}

/// The first admin of a desk.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FirstAdmin {
    /// The one-time secret that the console has printed at its start.
    secret: String,
    /// The sign-in name: 1 to 64 characters without white space.
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    name: Line,
    /// At least 12 characters.
    #[schema(format = Password, min_length = 12)]
    password: String,
}

/// Makes the first admin of a desk that has no user yet, and signs them in. Afterwards this route is not there.
#[utoipa::path(post, path = "/api/v1/first-admin", tag = "sign-in", request_body = FirstAdmin,
    responses((status = 200, body = Me), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn first_admin(
    State(api): State<Api>,
    origin: Origin,
    Json { value, .. }: Json<FirstAdmin>,
) -> Result<Response, Problem> {
    let printed = api.first_admin.as_ref().ok_or_else(Problem::not_found)?;
    if !same(&printed.hash(), &Token::presented(&value.secret).hash()) {
        let detail = "This is not the secret that the console has printed when it was last started.";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "wrong_secret", detail));
    }
    Ok(signed_in(&origin, api.store.add_first_admin(&value.name, &value.password, &origin.visitor).await?))
}

pub(super) fn signed_in(origin: &Origin, (token, signed_in): (Token, SignedIn)) -> Response {
    ([(header::SET_COOKIE, set_cookie(origin, &token))], Answer(Me::from(signed_in))).into_response()
}
