//! What people at the desk make for themselves: the priority matrix, checklists, macros, and overviews of the queue.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Api;
use super::guard::Caller;
use super::problem::Problem;
use super::request::{Json, Named};
use super::tickets::{expected_version, known, not_blank, tagged};
use crate::number::TicketNumber;
use crate::policy::{Action, allows};
use crate::store::{
    Checklist, ChecklistId, ChecklistItem, ChecklistItemId, Line, Macro, MacroId, Overview, OverviewId, Steps, Ticket,
};
use crate::ticket::PriorityMatrix;

/// A checklist to be kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutChecklist {
    /// Its name.
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    name: Line,
    /// What is to be done, in order.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 100)]
    items: Vec<Line>,
}

/// Things to be done on a ticket: those of a checklist, or others.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddItems {
    /// One of the desk's checklists.
    checklist: Option<ChecklistId>,
    /// What is to be done, in order.
    #[schema(value_type = Option<Vec<String>>, min_items = 1, max_items = 100)]
    items: Option<Vec<Line>>,
}

/// Whether something is done.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TickItem {
    /// Whether it is.
    done: bool,
}

/// A macro to be kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutMacro {
    /// Its name; also the reason that a hand-over by it gives.
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    name: Line,
    /// What it does.
    steps: Steps,
}

/// An overview to be kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddOverview {
    /// Its name.
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    name: Line,
    /// The query of the queue's address, without a question mark.
    #[schema(max_length = 1024)]
    query: String,
    /// Whether everybody at the desk sees it; for who may configure the desk.
    #[serde(default)]
    shared: bool,
}

/// Which priority follows from impact and urgency.
#[utoipa::path(get, path = "/api/v1/priority-matrix", tag = "desk", responses((status = 200, body = PriorityMatrix)))]
pub(crate) async fn matrix(State(api): State<Api>) -> Result<Answer<PriorityMatrix>, Problem> {
    Ok(Answer(api.store.priority_matrix().await?))
}

/// Puts another matrix in place. Tickets that are there keep their priority until impact or urgency change.
#[utoipa::path(put, path = "/api/v1/priority-matrix", tag = "desk", request_body = PriorityMatrix,
    responses((status = 200, body = PriorityMatrix), (status = 422, body = Problem)))]
pub(crate) async fn put_matrix(
    State(api): State<Api>,
    caller: Caller,
    Json { value, .. }: Json<PriorityMatrix>,
) -> Result<Answer<PriorityMatrix>, Problem> {
    api.store.set_priority_matrix(&caller.actor, value).await?;
    Ok(Answer(value))
}

/// Lists the desk's checklists by name.
#[utoipa::path(get, path = "/api/v1/checklists", tag = "checklists", responses((status = 200, body = Vec<Checklist>)))]
pub(crate) async fn checklists(State(api): State<Api>) -> Result<Answer<Vec<Checklist>>, Problem> {
    Ok(Answer(api.store.list_checklists().await?))
}

/// Keeps a new checklist.
#[utoipa::path(post, path = "/api/v1/checklists", tag = "checklists", request_body = PutChecklist,
    responses((status = 201, body = Checklist), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn add_checklist(
    State(api): State<Api>,
    caller: Caller,
    Json { value, .. }: Json<PutChecklist>,
) -> Result<(StatusCode, Answer<Checklist>), Problem> {
    check_items("items", &value.items)?;
    not_blank("name", Some(&value.name))?;
    let kept = api.store.keep_checklist(&caller.actor, None, &value.name, &value.items).await?;
    Ok((StatusCode::CREATED, Answer(kept)))
}

/// Puts other words into a checklist. What stands on tickets stays as it is.
#[utoipa::path(put, path = "/api/v1/checklists/{id}", tag = "checklists", request_body = PutChecklist,
    params(("id" = i64, Path)),
    responses((status = 200, body = Checklist), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn put_checklist(
    State(api): State<Api>,
    Named(id): Named<i64>,
    caller: Caller,
    Json { value, .. }: Json<PutChecklist>,
) -> Result<Answer<Checklist>, Problem> {
    check_items("items", &value.items)?;
    not_blank("name", Some(&value.name))?;
    let id = Some(ChecklistId(id));
    Ok(Answer(api.store.keep_checklist(&caller.actor, id, &value.name, &value.items).await?))
}

/// Forgets a checklist. What stands on tickets stays there.
#[utoipa::path(delete, path = "/api/v1/checklists/{id}", tag = "checklists", params(("id" = i64, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(crate) async fn forget_checklist(
    State(api): State<Api>,
    Named(id): Named<i64>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    api.store.forget_checklist(&caller.actor, ChecklistId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists what is to be done on a ticket.
#[utoipa::path(get, path = "/api/v1/tickets/{number}/checklist", tag = "checklists", params(("number" = String, Path)),
    responses((status = 200, body = Vec<ChecklistItem>), (status = 404, body = Problem)))]
pub(crate) async fn items(
    State(api): State<Api>,
    Named(number): Named<TicketNumber>,
) -> Result<Answer<Vec<ChecklistItem>>, Problem> {
    known(&api, number).await?;
    Ok(Answer(api.store.list_checklist_items(number).await?))
}

/// Puts things to be done on a ticket; answers with all of them.
#[utoipa::path(post, path = "/api/v1/tickets/{number}/checklist", tag = "checklists", request_body = AddItems,
    params(("number" = String, Path)),
    responses((status = 201, body = Vec<ChecklistItem>), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn add_items(
    State(api): State<Api>,
    Named(number): Named<TicketNumber>,
    caller: Caller,
    Json { value, .. }: Json<AddItems>,
) -> Result<(StatusCode, Answer<Vec<ChecklistItem>>), Problem> {
    let items = match (value.checklist, value.items) {
        (Some(id), None) => api.store.use_checklist(&caller.actor, number, id).await?,
        (None, Some(items)) => {
            check_items("items", &items)?;
            api.store.add_checklist_items(&caller.actor, number, &items).await?
        }
        _ => return Err(Problem::field("items", "Name either a checklist or items.")),
    };
    Ok((StatusCode::CREATED, Answer(items)))
}

/// Marks something as done, or as not done after all.
#[utoipa::path(patch, path = "/api/v1/tickets/{number}/checklist/{id}", tag = "checklists", request_body = TickItem,
    params(("number" = String, Path), ("id" = i64, Path)),
    responses((status = 200, body = ChecklistItem), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn tick_item(
    State(api): State<Api>,
    Named((number, id)): Named<(TicketNumber, i64)>,
    caller: Caller,
    Json { value, .. }: Json<TickItem>,
) -> Result<Answer<ChecklistItem>, Problem> {
    let ticked = api.store.tick_checklist_item(&caller.actor, number, ChecklistItemId(id), value.done).await?;
    Ok(Answer(ticked))
}

/// Takes something off a ticket's list.
#[utoipa::path(delete, path = "/api/v1/tickets/{number}/checklist/{id}", tag = "checklists",
    params(("number" = String, Path), ("id" = i64, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn remove_item(
    State(api): State<Api>,
    Named((number, id)): Named<(TicketNumber, i64)>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    api.store.remove_checklist_item(&caller.actor, number, ChecklistItemId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the desk's macros by name.
#[utoipa::path(get, path = "/api/v1/macros", tag = "macros", responses((status = 200, body = Vec<Macro>)))]
pub(crate) async fn macros(State(api): State<Api>) -> Result<Answer<Vec<Macro>>, Problem> {
    Ok(Answer(api.store.list_macros().await?))
}

/// Keeps a new macro.
#[utoipa::path(post, path = "/api/v1/macros", tag = "macros", request_body = PutMacro,
    responses((status = 201, body = Macro), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn add_macro(
    State(api): State<Api>,
    caller: Caller,
    Json { value, .. }: Json<PutMacro>,
) -> Result<(StatusCode, Answer<Macro>), Problem> {
    check_macro(&value)?;
    let kept = api.store.keep_macro(&caller.actor, None, &value.name, &value.steps).await?;
    Ok((StatusCode::CREATED, Answer(kept)))
}

/// Puts other steps into a macro.
#[utoipa::path(put, path = "/api/v1/macros/{id}", tag = "macros", request_body = PutMacro, params(("id" = i64, Path)),
    responses((status = 200, body = Macro), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn put_macro(
    State(api): State<Api>,
    Named(id): Named<i64>,
    caller: Caller,
    Json { value, .. }: Json<PutMacro>,
) -> Result<Answer<Macro>, Problem> {
    check_macro(&value)?;
    Ok(Answer(api.store.keep_macro(&caller.actor, Some(MacroId(id)), &value.name, &value.steps).await?))
}

/// Forgets a macro.
#[utoipa::path(delete, path = "/api/v1/macros/{id}", tag = "macros", params(("id" = i64, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(crate) async fn forget_macro(
    State(api): State<Api>,
    Named(id): Named<i64>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    api.store.forget_macro(&caller.actor, MacroId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes all steps of a macro on a ticket, or none. Needs the ticket's ETag in `If-Match`.
#[utoipa::path(post, path = "/api/v1/tickets/{number}/macros/{id}", tag = "macros",
    params(("number" = String, Path), ("id" = i64, Path), ("If-Match" = String, Header, description = "The ticket's ETag")),
    responses((status = 200, body = Ticket), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem), (status = 428, body = Problem)))]
pub(crate) async fn run_macro(
    State(api): State<Api>,
    Named((number, id)): Named<(TicketNumber, i64)>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let version = expected_version(&headers)?;
    Ok(tagged(api.store.run_macro(&caller.actor, number, version, MacroId(id)).await?))
}

/// Lists the overviews of the queue: those that everybody sees, then one's own.
#[utoipa::path(get, path = "/api/v1/overviews", tag = "overviews", responses((status = 200, body = Vec<Overview>)))]
pub(crate) async fn overviews(State(api): State<Api>, caller: Caller) -> Result<Answer<Vec<Overview>>, Problem> {
    Ok(Answer(api.store.list_overviews(caller.actor.user()).await?))
}

/// Keeps an overview of the queue.
#[utoipa::path(post, path = "/api/v1/overviews", tag = "overviews", request_body = AddOverview,
    responses((status = 201, body = Overview), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn add_overview(
    State(api): State<Api>,
    caller: Caller,
    Json { value, .. }: Json<AddOverview>,
) -> Result<(StatusCode, Answer<Overview>), Problem> {
    not_blank("name", Some(&value.name))?;
    if value.query.len() > QUERY_MAX_BYTES || value.query.chars().any(char::is_control) {
        let detail = format!("query is one line of at most {QUERY_MAX_BYTES} bytes.");
        return Err(Problem::field("query", detail));
    }
    let own = caller.actor.user();
    let user = match (value.shared, own) {
        (true, _) if !may_share(&caller) => {
            let detail = format!("The role {} does not make overviews for everybody.", caller.role);
            return Err(Problem::new(StatusCode::FORBIDDEN, "not_allowed", detail));
        }
        (true, _) => None,
        (false, Some(user)) => Some(user),
        (false, None) => return Err(Problem::field("shared", "Only a user has overviews of their own.")),
    };
    let kept = api.store.keep_overview(&caller.actor, user, &value.name, &value.query).await?;
    Ok((StatusCode::CREATED, Answer(kept)))
}

/// Forgets an overview: one's own, or one that everybody sees, for who may configure the desk.
#[utoipa::path(delete, path = "/api/v1/overviews/{id}", tag = "overviews", params(("id" = i64, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(crate) async fn forget_overview(
    State(api): State<Api>,
    Named(id): Named<i64>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    let (user, may_share) = (caller.actor.user(), may_share(&caller));
    api.store.forget_overview(&caller.actor, user, may_share, OverviewId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn may_share(caller: &Caller) -> bool {
    let of_program = caller.program.as_ref().is_none_or(|(actions, _)| actions.contains(&Action::ConfigureDesk));
    allows(caller.role, Action::ConfigureDesk) && of_program
}

fn check_items(field: &'static str, items: &[Line]) -> Result<(), Problem> {
    if items.is_empty() {
        return Err(Problem::field(field, "A checklist has at least one item."));
    }
    items.iter().try_for_each(|item| not_blank(field, Some(item)))
}

fn check_macro(put: &PutMacro) -> Result<(), Problem> {
    not_blank("name", Some(&put.name))?;
    put.steps.tags.iter().try_for_each(|tag| not_blank("steps.tags", Some(tag)))?;
    put.steps.checklist.iter().try_for_each(|item| not_blank("steps.checklist", Some(item)))?;
    match &put.steps.article {
        Some(article) => super::tickets::not_empty("steps.article.body", &article.body),
        None => Ok(()),
    }
}

const QUERY_MAX_BYTES: usize = 1024;
