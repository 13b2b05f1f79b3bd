//! What is said on a ticket, and which other tickets it has to do with.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use belay_protocol::Text;

use super::guard::Caller;
use super::problem::Problem;
use super::request::{Json, Named, Paging, Params, once};
use super::tickets::{known, not_empty, tagged};
use super::{Api, Page};
use crate::number::TicketNumber;
use crate::store::{
    ARTICLE_MAX_BYTES, Article, ArticleId, LinkId, LinkKind, NewArticle, StoredReportId, Ticket, TicketLink,
    Verification, Visibility, WORDS_MAX_BYTES,
};

/// Something to be said on a ticket.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddArticle {
    /// `public` for the customer, too; `internal` for the desk alone.
    visibility: Visibility,
    /// Plain text with line breaks.
    #[schema(value_type = String, min_length = 1, max_length = 65536)]
    body: Text<ARTICLE_MAX_BYTES>,
}

/// Another ticket, and what this one is to it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkTicket {
    /// What this ticket is.
    kind: LinkKind,
    /// To which ticket.
    #[schema(value_type = String, example = "BL-10001-4")]
    to: TicketNumber,
}

/// The ticket that another one goes on in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MergeTicket {
    /// Its number.
    #[schema(value_type = String, example = "BL-10001-4")]
    into: TicketNumber,
}

/// How it is known that a fix holds: by a report that was made after it, or by a person's words.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyTicket {
    /// A report of this ticket that does not show any more what had failed.
    report: Option<StoredReportId>,
    /// Who said that it works, and in which words.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 8192)]
    words: Option<Text<WORDS_MAX_BYTES>>,
}

/// Lists what was said on a ticket, oldest first.
#[utoipa::path(get, path = "/api/v1/tickets/{number}/articles", tag = "tickets",
    params(("number" = String, Path), Paging),
    responses((status = 200, body = Page<Article>), (status = 404, body = Problem)))]
pub(crate) async fn articles(
    State(api): State<Api>,
    Named(number): Named<TicketNumber>,
    Params(paging): Params<Paging>,
) -> Result<Answer<Page<Article>>, Problem> {
    known(&api, number).await?;
    let (limit, after) = (paging.limit()?, ArticleId(paging.id()?.unwrap_or(0)));
    let articles = api.store.list_articles(number, after, limit as u64 + 1).await?;
    Ok(Answer(Page::cut(articles, limit, |article| article.id.0)))
}

/// Says something on a ticket. With `Idempotency-Key`, sent twice it is said once.
#[utoipa::path(post, path = "/api/v1/tickets/{number}/articles", tag = "tickets", request_body = AddArticle,
    params(("number" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless")),
    responses((status = 201, body = Article), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn add_article(
    State(api): State<Api>,
    Named(number): Named<TicketNumber>,
    caller: Caller,
    headers: HeaderMap,
    Json { value, bytes }: Json<AddArticle>,
) -> Result<(StatusCode, Answer<Article>), Problem> {
    not_empty("body", &value.body)?;
    let once = once(&headers, &caller.actor, &format!("articles/{number}"), &bytes)?;
    let new = NewArticle { visibility: value.visibility, body: value.body };
    let article = api.store.add_article(&caller.actor, number, new, once.as_ref()).await?;
    Ok((StatusCode::CREATED, Answer(article)))
}

/// Lists the links of a ticket in both directions.
#[utoipa::path(get, path = "/api/v1/tickets/{number}/links", tag = "tickets", params(("number" = String, Path)),
    responses((status = 200, body = Vec<TicketLink>), (status = 404, body = Problem)))]
pub(crate) async fn links(
    State(api): State<Api>,
    Named(number): Named<TicketNumber>,
) -> Result<Answer<Vec<TicketLink>>, Problem> {
    known(&api, number).await?;
    Ok(Answer(api.store.list_links(number).await?))
}

/// Links a ticket to another. Said twice it is said once.
#[utoipa::path(post, path = "/api/v1/tickets/{number}/links", tag = "tickets", request_body = LinkTicket,
    params(("number" = String, Path)),
    responses((status = 201, body = TicketLink), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn add_link(
    State(api): State<Api>,
    Named(number): Named<TicketNumber>,
    caller: Caller,
    Json { value, .. }: Json<LinkTicket>,
) -> Result<(StatusCode, Answer<TicketLink>), Problem> {
    let link = api.store.link_tickets(&caller.actor, number, value.kind, value.to).await?;
    Ok((StatusCode::CREATED, Answer(link)))
}

/// Takes a link away, from either of its ends.
#[utoipa::path(delete, path = "/api/v1/tickets/{number}/links/{id}", tag = "tickets",
    params(("number" = String, Path), ("id" = i64, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(crate) async fn remove_link(
    State(api): State<Api>,
    Named((number, id)): Named<(TicketNumber, i64)>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    api.store.unlink_tickets(&caller.actor, number, LinkId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Records that a fix holds.
#[utoipa::path(post, path = "/api/v1/tickets/{number}/verify", tag = "tickets", request_body = VerifyTicket,
    params(("number" = String, Path)),
    responses((status = 200, body = Ticket), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn verify(
    State(api): State<Api>,
    Named(number): Named<TicketNumber>,
    caller: Caller,
    Json { value, .. }: Json<VerifyTicket>,
) -> Result<Response, Problem> {
    let verification = match (value.report, value.words) {
        (Some(report), None) => Verification::Report(report),
        (None, Some(words)) => {
            not_empty("words", &words)?;
            Verification::Person(words)
        }
        _ => return Err(Problem::field("report", "Name either a report or a person's words.")),
    };
    Ok(tagged(api.store.verify_ticket(&caller.actor, number, verification).await?))
}

/// Lets a ticket go on in another one. It is final.
#[utoipa::path(post, path = "/api/v1/tickets/{number}/merge", tag = "tickets", request_body = MergeTicket,
    params(("number" = String, Path)),
    responses((status = 200, body = Ticket), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn merge(
    State(api): State<Api>,
    Named(number): Named<TicketNumber>,
    caller: Caller,
    Json { value, .. }: Json<MergeTicket>,
) -> Result<Response, Problem> {
    Ok(tagged(api.store.merge_ticket(&caller.actor, number, value.into).await?))
}
