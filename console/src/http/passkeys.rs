//! Passkeys: signing in by one, and those of one's own account.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use webauthn_rs::prelude::PublicKeyCredential;

use super::guard::{Caller, Origin};
use super::problem::Problem;
use super::request::{Json, Named};
use super::sign_in::{Me, signed_in};
use super::tickets::not_blank;
use super::{Api, Page};
use crate::passkey::RelyingParty;
use crate::store::{Ceremony, Line, PasskeyId, PasskeyView};

/// What a browser is to do with a passkey.
#[derive(Serialize, ToSchema)]
pub(crate) struct PasskeyChallenge {
    /// To be sent back with the browser's answer, within five minutes.
    challenge: String,
    /// `publicKey` is what `navigator.credentials` takes, as WebAuthn's JSON.
    #[schema(value_type = Object)]
    options: Value,
}

impl From<Ceremony> for PasskeyChallenge {
    fn from(Ceremony { challenge, options }: Ceremony) -> Self {
        Self { challenge, options }
    }
}

/// A browser's answer to a challenge.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answered {
    /// The challenge.
    pub(super) challenge: String,
    /// The credential as `toJSON()` gives it.
    #[schema(value_type = Object)]
    credential: Value,
}

impl Answered {
    pub(super) fn assertion(&self) -> Result<PublicKeyCredential, Problem> {
        parse(&self.credential)
    }
}

fn parse<T: DeserializeOwned>(credential: &Value) -> Result<T, Problem> {
    T::deserialize(credential).map_err(|error| Problem::field("credential", error.to_string()))
}

/// The relying party that this console is, if it has a name.
pub(super) fn party(api: &Api) -> Result<&RelyingParty, Problem> {
    api.party.as_ref().as_ref().map_err(|error| (*error).into())
}

/// Begins to sign in by a passkey, or to prove oneself by one. It says nothing about who has which.
#[utoipa::path(post, path = "/api/v1/session/passkey/begin", operation_id = "begin_passkey_sign_in", tag = "sign-in",
    responses((status = 200, body = PasskeyChallenge), (status = 409, body = Problem)))]
pub(crate) async fn begin_sign_in(State(api): State<Api>) -> Result<Answer<PasskeyChallenge>, Problem> {
    Ok(Answer(api.store.begin_passkey_sign_in(party(&api)?)?.into()))
}

/// Signs in by a passkey, also while the account takes no password; the answer sets the cookie.
#[utoipa::path(post, path = "/api/v1/session/passkey", operation_id = "sign_in_by_passkey", tag = "sign-in",
    request_body = Answered,
    responses((status = 200, body = Me), (status = 401, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem), (status = 429, body = Problem)))]
pub(crate) async fn sign_in(
    State(api): State<Api>,
    origin: Origin,
    Json { value, .. }: Json<Answered>,
) -> Result<Response, Problem> {
    let (party, credential) = (party(&api)?, value.assertion()?);
    let done = api.store.sign_in_by_passkey(party, &value.challenge, &credential, &origin.visitor).await?;
    Ok(signed_in(&origin, done))
}

/// Lists one's own passkeys.
#[utoipa::path(get, path = "/api/v1/account/passkeys", operation_id = "own_passkeys", tag = "account",
    responses((status = 200, body = Page<PasskeyView>), (status = 404, body = Problem)))]
pub(crate) async fn list(State(api): State<Api>, caller: Caller) -> Result<Answer<Page<PasskeyView>>, Problem> {
    let items = api.store.list_passkeys(caller.own_sign_in()?.user.id).await?;
    Ok(Answer(Page { items, next_cursor: None }))
}

/// Begins to register a passkey.
#[utoipa::path(post, path = "/api/v1/account/passkeys/begin", operation_id = "begin_passkey", tag = "account",
    responses((status = 200, body = PasskeyChallenge), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn begin(State(api): State<Api>, caller: Caller) -> Result<Answer<PasskeyChallenge>, Problem> {
    let own = caller.own_sign_in()?;
    Ok(Answer(api.store.begin_passkey(party(&api)?, own.user.id).await?.into()))
}

/// A passkey that a browser has made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPasskey {
    /// What to call it, such as the device it is on.
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    name: Line,
    /// The challenge.
    challenge: String,
    /// The credential as `toJSON()` gives it.
    #[schema(value_type = Object)]
    credential: Value,
}

/// Registers a passkey.
#[utoipa::path(post, path = "/api/v1/account/passkeys", operation_id = "add_passkey", tag = "account",
    request_body = NewPasskey,
    responses((status = 201, body = PasskeyView), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn add(
    State(api): State<Api>,
    caller: Caller,
    Json { value, .. }: Json<NewPasskey>,
) -> Result<(StatusCode, Answer<PasskeyView>), Problem> {
    not_blank("name", Some(&value.name))?;
    let (own, credential) = (caller.own_sign_in()?, parse(&value.credential)?);
    let added = api.store.add_passkey(party(&api)?, own.user.id, &value.name, &value.challenge, &credential).await?;
    Ok((StatusCode::CREATED, Answer(added)))
}

/// Removes a passkey of one's own.
#[utoipa::path(delete, path = "/api/v1/account/passkeys/{id}", operation_id = "remove_passkey", tag = "account",
    params(("id" = i64, Path)), responses((status = 204), (status = 404, body = Problem)))]
pub(crate) async fn remove(
    State(api): State<Api>,
    caller: Caller,
    Named(id): Named<i64>,
) -> Result<StatusCode, Problem> {
    api.store.remove_passkey(caller.own_sign_in()?.user.id, PasskeyId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
