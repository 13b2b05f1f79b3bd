//! Groups, and which tickets go to them.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Api;
use super::guard::Caller;
use super::problem::Problem;
use super::request::{Json, Named};
use super::tickets::not_blank;
use crate::assignment::AssignmentRule;
use crate::store::{Group, GroupId, Line, NewAssignmentRule};
use crate::ticket::Channel;

/// A group to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddGroup {
    /// Its name.
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    name: Line,
    /// Sign-in names of its members.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    members: Vec<Line>,
}

/// Changes to a group; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeGroup {
    /// A new name.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    name: Option<Line>,
    /// Sign-in names of all members, in place of those before.
    #[schema(value_type = Option<Vec<String>>)]
    members: Option<Vec<Line>>,
}

/// A rule that sends tickets to a group. What is left out does not matter to it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutRule {
    /// The customer company, exactly.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    customer: Option<Line>,
    /// How the ticket arrived.
    channel: Option<Channel>,
    /// A word in the title, the description or the product, in any case.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    word: Option<Line>,
    /// The name of the group.
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    group: Line,
}

/// Lists the groups; the first takes what no rule sends elsewhere.
#[utoipa::path(get, path = "/api/v1/groups", tag = "groups", responses((status = 200, body = Vec<Group>)))]
pub(crate) async fn list(State(api): State<Api>) -> Result<Answer<Vec<Group>>, Problem> {
    Ok(Answer(api.store.list_groups().await?))
}

/// Makes a group.
#[utoipa::path(post, path = "/api/v1/groups", tag = "groups", request_body = AddGroup,
    responses((status = 201, body = Group), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn add(
    State(api): State<Api>,
    caller: Caller,
    Json { value, .. }: Json<AddGroup>,
) -> Result<(StatusCode, Answer<Group>), Problem> {
    not_blank("name", Some(&value.name))?;
    let group = api.store.add_group(&caller.actor, &value.name, &value.members).await?;
    Ok((StatusCode::CREATED, Answer(group)))
}

/// Renames a group or replaces its members.
#[utoipa::path(patch, path = "/api/v1/groups/{id}", tag = "groups", request_body = ChangeGroup,
    params(("id" = i64, Path)),
    responses((status = 200, body = Group), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn change(
    State(api): State<Api>,
    Named(id): Named<i64>,
    caller: Caller,
    Json { value, .. }: Json<ChangeGroup>,
) -> Result<Answer<Group>, Problem> {
    not_blank("name", value.name.as_ref())?;
    let changed = api.store.change_group(&caller.actor, GroupId(id), value.name.as_ref(), value.members.as_deref());
    Ok(Answer(changed.await?))
}

/// Lists the assignment rules in their order.
#[utoipa::path(get, path = "/api/v1/assignment-rules", tag = "groups",
    responses((status = 200, body = Vec<AssignmentRule>)))]
pub(crate) async fn rules(State(api): State<Api>) -> Result<Answer<Vec<AssignmentRule>>, Problem> {
    Ok(Answer(api.store.list_assignment_rules().await?))
}

/// Puts new assignment rules in place of all; the first that fits a new ticket decides.
#[utoipa::path(put, path = "/api/v1/assignment-rules", tag = "groups", request_body = Vec<PutRule>,
    responses((status = 200, body = Vec<AssignmentRule>), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn replace_rules(
    State(api): State<Api>,
    caller: Caller,
    Json { value, .. }: Json<Vec<PutRule>>,
) -> Result<Answer<Vec<AssignmentRule>>, Problem> {
    let mut rules = Vec::with_capacity(value.len());
    for PutRule { customer, channel, word, group } in value {
        not_blank("customer", customer.as_ref())?;
        not_blank("word", word.as_ref())?;
        rules.push(NewAssignmentRule { customer, channel, word, group });
    }
    Ok(Answer(api.store.replace_assignment_rules(&caller.actor, &rules).await?))
}
