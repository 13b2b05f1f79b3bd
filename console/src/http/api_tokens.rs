//! Tokens by which one's own programs use the API.

use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::guard::Caller;
use super::problem::Problem;
use super::request::{Json, Named};
use super::tickets::not_blank;
use super::{Api, Page};
use crate::policy::Action;
use crate::store::{ApiTokenId, ApiTokenView, Line};

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewApiToken {
    /// What to call it, such as the program that uses it.
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    name: Line,
    /// What it may do, of what its maker may do.
    actions: Vec<Action>,
    /// For how many days, at most 365.
    #[schema(minimum = 1, maximum = 365)]
    days: u32,
}

/// A new token. Its text is told this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct MintedApiToken {
    #[serde(flatten)]
    about: ApiTokenView,
    /// To be sent as `Authorization: Bearer`.
    token: String,
}

/// Lists one's own live tokens, newest first.
#[utoipa::path(get, path = "/api/v1/account/tokens", operation_id = "own_tokens", tag = "account",
    responses((status = 200, body = Page<ApiTokenView>), (status = 404, body = Problem)))]
pub(crate) async fn list(State(api): State<Api>, caller: Caller) -> Result<Answer<Page<ApiTokenView>>, Problem> {
    let items = api.store.list_api_tokens(caller.own_sign_in()?.user.id).await?;
    Ok(Answer(Page { items, next_cursor: None }))
}

/// Makes a token. It may do what was chosen here for as long as its maker may, and never more.
#[utoipa::path(post, path = "/api/v1/account/tokens", operation_id = "mint_token", tag = "account",
    request_body = NewApiToken,
    responses((status = 201, body = MintedApiToken), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn mint(
    State(api): State<Api>,
    caller: Caller,
    Json { value, .. }: Json<NewApiToken>,
) -> Result<(StatusCode, Answer<MintedApiToken>), Problem> {
    not_blank("name", Some(&value.name))?;
    let life = Duration::from_secs(u64::from(value.days) * 24 * 60 * 60);
    let maker = &caller.own_sign_in()?.user;
    let (token, about) = api.store.mint_api_token(maker, &value.name, value.actions, life).await?;
    Ok((StatusCode::CREATED, Answer(MintedApiToken { about, token: token.reveal().to_owned() })))
}

/// Ends a token of one's own.
#[utoipa::path(delete, path = "/api/v1/account/tokens/{id}", operation_id = "revoke_token", tag = "account",
    params(("id" = i64, Path)), responses((status = 204), (status = 404, body = Problem)))]
pub(crate) async fn revoke(
    State(api): State<Api>,
    caller: Caller,
    Named(id): Named<i64>,
) -> Result<StatusCode, Problem> {
    api.store.revoke_api_token(caller.own_sign_in()?.user.id, ApiTokenId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
