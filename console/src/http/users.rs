//! The desk's users: who they are, and the ways back in.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::guard::Caller;
use super::problem::Problem;
use super::request::{Json, Named};
use super::tickets::not_blank;
use super::{Api, Page};
use crate::clock::UnixMillis;
use crate::policy::Role;
use crate::store::{Line, MintedLink, User, UserId};

/// A user to be created.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddUser {
    /// The sign-in name: 1 to 64 characters without white space.
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    name: Line,
    /// What they may do.
    role: Role,
}

/// A user and the link by which they set their password. The link is shown once.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserLink {
    /// The user.
    user: User,
    /// To be opened by the user; the part after `#` never reaches a server's log.
    link: String,
    /// When it stops working.
    expires_at_ms: UnixMillis,
}

/// Lists the users by name.
#[utoipa::path(get, path = "/api/v1/users", operation_id = "users", tag = "users",
    responses((status = 200, body = Page<User>)))]
pub(crate) async fn list(State(api): State<Api>) -> Result<Answer<Page<User>>, Problem> {
    Ok(Answer(Page { items: api.store.list_users().await?, next_cursor: None }))
}

/// Creates a user and their one-time set-up link.
#[utoipa::path(post, path = "/api/v1/users", operation_id = "add_user", tag = "users",
    request_body = AddUser,
    responses((status = 201, body = UserLink), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn add(
    State(api): State<Api>,
    caller: Caller,
    Json { value, .. }: Json<AddUser>,
) -> Result<Response, Problem> {
    let minted = api.store.add_user(&caller.actor, &value.name, value.role).await?;
    Ok((StatusCode::CREATED, Answer(UserLink::new(&api, minted))).into_response())
}

/// What to change about a user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeUser {
    /// What they may do from now on.
    role: Role,
}

/// Gives a user another role. What their sign-ins and tokens may do changes at once.
#[utoipa::path(patch, path = "/api/v1/users/{id}", operation_id = "change_user", tag = "users", params(("id" = i64, Path)),
    request_body = ChangeUser,
    responses((status = 200, body = User), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn change(
    State(api): State<Api>,
    caller: Caller,
    Named(id): Named<i64>,
    Json { value, .. }: Json<ChangeUser>,
) -> Result<Answer<User>, Problem> {
    Ok(Answer(api.store.change_role(&caller.actor, UserId(id), value.role).await?))
}

/// Makes a one-time link by which a user sets another password; until it is used, the old one works.
#[utoipa::path(post, path = "/api/v1/users/{id}/reset", operation_id = "reset_user", tag = "users", params(("id" = i64, Path)),
    responses((status = 201, body = UserLink), (status = 404, body = Problem)))]
pub(crate) async fn reset(State(api): State<Api>, caller: Caller, Named(id): Named<i64>) -> Result<Response, Problem> {
    let minted = api.store.mint_reset(&caller.actor, UserId(id)).await?;
    Ok((StatusCode::CREATED, Answer(UserLink::new(&api, minted))).into_response())
}

/// Why an account is unlocked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unlock {
    /// For the audit.
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    reason: Line,
}

/// Lets an account take passwords again that too many wrong ones have delayed or locked.
#[utoipa::path(post, path = "/api/v1/users/{id}/unlock", operation_id = "unlock_user", tag = "users", params(("id" = i64, Path)),
    request_body = Unlock,
    responses((status = 200, body = User), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn unlock(
    State(api): State<Api>,
    caller: Caller,
    Named(id): Named<i64>,
    Json { value, .. }: Json<Unlock>,
) -> Result<Answer<User>, Problem> {
    not_blank("reason", Some(&value.reason))?;
    Ok(Answer(api.store.unlock(&caller.actor, UserId(id), &value.reason).await?))
}

impl UserLink {
    fn new(api: &Api, minted: MintedLink) -> Self {
        let link = api.profile.set_up_link(&minted.token);
        Self { user: minted.user, link, expires_at_ms: minted.expires_at }
    }
}
