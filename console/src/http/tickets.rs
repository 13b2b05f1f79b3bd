//! Tickets and the codes minted for them.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use belay_protocol::Text;
use belay_protocol::invite::Invite;

use super::guard::Caller;
use super::problem::Problem;
use super::request::{Json, Named, Paging, Params, once};
use super::{Api, Page, Profile};
use crate::clock::UnixMillis;
use crate::number::TicketNumber;
use crate::store::{DESCRIPTION_MAX_BYTES, Event, EventId, Line, NewTicket, Ticket, TicketChange, TicketFilter};
use crate::ticket::{Channel, Level, TicketState};

/// A ticket to be opened.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenTicket {
    /// One line that says what is wrong.
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    title: Line,
    /// The customer company; created when unknown.
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    customer: Line,
    /// The person who asked.
    #[schema(value_type = Option<String>, max_length = 256)]
    contact: Option<Line>,
    /// What is known so far.
    #[serde(default)]
    #[schema(value_type = String, max_length = 65536)]
    description: Text<DESCRIPTION_MAX_BYTES>,
    /// How it arrived; `api` when not said, `local` from the command line.
    channel: Option<Channel>,
    /// How much is affected; `medium` when not said.
    impact: Option<Level>,
    /// How soon it hurts; `medium` when not said.
    urgency: Option<Level>,
}

/// Changes to a ticket; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeTicket {
    /// A new title.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    title: Option<Line>,
    /// A new description.
    #[schema(value_type = Option<String>, max_length = 65536)]
    description: Option<Text<DESCRIPTION_MAX_BYTES>>,
    /// A move to one of the ticket's `next_states`.
    state: Option<TicketState>,
    /// A new impact.
    impact: Option<Level>,
    /// A new urgency.
    urgency: Option<Level>,
    /// The sign-in name of the new owner; `null` for nobody.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 256)]
    owner: Option<Option<Line>>,
}

/// Tells a `null` from a field that is not there.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Line>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Which tickets.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// States, separated by commas.
    state: Option<String>,
    /// The sign-in name of the owner.
    owner: Option<String>,
    /// The customer company.
    customer: Option<String>,
}

/// A code for a customer. It is shown once.
#[derive(Serialize, ToSchema)]
pub(crate) struct MintedInvite {
    /// The ticket.
    #[schema(value_type = String, example = "BL-10001-4")]
    ticket: TicketNumber,
    /// The nine digits.
    #[schema(example = "418205977")]
    code: String,
    /// The digits in groups, as they are read aloud.
    #[schema(example = "418 205 977")]
    spoken: String,
    /// The link that carries everything; missing when the console has no relay.
    link: Option<String>,
    /// What a customer with the agent types.
    #[schema(example = "belay-agent join help.example.com 418205977")]
    command: String,
    /// When it stops working.
    expires_at_ms: UnixMillis,
}

/// Lists tickets, newest first.
#[utoipa::path(get, path = "/api/v1/tickets", tag = "tickets", params(Filter, Paging),
    responses((status = 200, body = Page<Ticket>), (status = 422, body = Problem)))]
pub(crate) async fn list(
    State(api): State<Api>,
    Params(filter): Params<Filter>,
    Params(paging): Params<Paging>,
) -> Result<Answer<Page<Ticket>>, Problem> {
    let words = filter.state.iter().flat_map(|list| list.split(',')).filter(|word| !word.is_empty());
    let states: Result<Vec<TicketState>, _> = words.map(str::parse).collect();
    let states = states.map_err(|_| Problem::field("state", "state lists states of tickets, separated by commas."))?;
    let (limit, before) = (paging.limit()?, paging.number()?);
    let filter = TicketFilter { states, owner: filter.owner, customer: filter.customer, before };
    let tickets = api.store.list_tickets(&filter, limit as u64 + 1).await?;
    Ok(Answer(Page::cut(tickets, limit, |ticket| ticket.number.serial())))
}

/// Opens a ticket. With `Idempotency-Key`, sent twice it is opened once.
#[utoipa::path(post, path = "/api/v1/tickets", tag = "tickets", request_body = OpenTicket,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless")),
    responses((status = 201, body = Ticket), (status = 422, body = Problem)))]
pub(crate) async fn open(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Json { value, bytes }: Json<OpenTicket>,
) -> Result<Response, Problem> {
    not_blank("title", Some(&value.title))?;
    not_blank("customer", Some(&value.customer))?;
    not_blank("contact", value.contact.as_ref())?;
    let once = once(&headers, &caller.actor, "tickets", &bytes)?;
    let unsaid = if caller.actor == crate::store::Actor::Local { Channel::Local } else { Channel::Api };
    let new = NewTicket {
        title: value.title,
        customer: value.customer,
        contact: value.contact,
        description: value.description,
        channel: value.channel.unwrap_or(unsaid),
        impact: value.impact.unwrap_or(Level::Medium),
        urgency: value.urgency.unwrap_or(Level::Medium),
    };
    let ticket = api.store.open_ticket(&caller.actor, new, once.as_ref()).await??;
    let location = format!("/api/v1/tickets/{}", ticket.number);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], tagged(ticket)).into_response())
}

/// Shows a ticket; its `ETag` is what `If-Match` takes.
#[utoipa::path(get, path = "/api/v1/tickets/{number}", tag = "tickets", params(("number" = String, Path)),
    responses((status = 200, body = Ticket), (status = 404, body = Problem)))]
pub(crate) async fn show(State(api): State<Api>, Named(number): Named<TicketNumber>) -> Result<Response, Problem> {
    api.store.ticket(number).await?.map(tagged).ok_or_else(Problem::not_found)
}

/// Changes a ticket that nobody changed since it was read.
#[utoipa::path(patch, path = "/api/v1/tickets/{number}", tag = "tickets", request_body = ChangeTicket,
    params(("number" = String, Path), ("If-Match" = String, Header, description = "The ticket's ETag")),
    responses((status = 200, body = Ticket), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem), (status = 428, body = Problem)))]
pub(crate) async fn change(
    State(api): State<Api>,
    Named(number): Named<TicketNumber>,
    caller: Caller,
    headers: HeaderMap,
    Json { value, .. }: Json<ChangeTicket>,
) -> Result<Response, Problem> {
    not_blank("title", value.title.as_ref())?;
    let version = expected_version(&headers)?;
    let change = TicketChange {
        title: value.title,
        description: value.description,
        state: value.state,
        impact: value.impact,
        urgency: value.urgency,
        owner: value.owner,
    };
    Ok(tagged(api.store.change_ticket(&caller.actor, number, version, change).await?))
}

/// Mints a code for a ticket; the ticket's earlier code stops working.
#[utoipa::path(post, path = "/api/v1/tickets/{number}/invites", tag = "tickets",
    params(("number" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless")),
    responses((status = 201, body = MintedInvite), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn mint_invite(
    State(api): State<Api>,
    Named(number): Named<TicketNumber>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let once = once(&headers, &caller.actor, &format!("invites/{number}"), b"")?;
    let minted = api.store.mint_invite(&caller.actor, number, once.as_ref()).await?;
    let help = &api.profile.help_host;
    let link = api.profile.relays.split_first().map(|(relay, further_relays)| {
        let invite = Invite {
            relay: relay.clone(),
            further_relays: further_relays.to_vec(),
            code: minted.code,
            desk: help.clone(),
            organization: api.profile.organization,
            secret: minted.secret.clone(),
        };
        invite.to_string()
    });
    let invite = MintedInvite {
        ticket: minted.ticket,
        code: minted.code.digits(),
        spoken: minted.code.to_string(),
        link,
        command: format!("belay-agent join {help} {}{}", minted.code.digits(), plain_http(&api.profile)),
        expires_at_ms: minted.expires_at,
    };
    Ok((StatusCode::CREATED, Answer(invite)).into_response())
}

/// What an agent must be told to ask a desk that is served by plain HTTP, which is possible on its own machine only.
fn plain_http(profile: &Profile) -> &'static str {
    if profile.base_url.starts_with("http://") { " --insecure-http" } else { "" }
}

/// Lists the log of a ticket, oldest first.
#[utoipa::path(get, path = "/api/v1/tickets/{number}/events", tag = "tickets",
    params(("number" = String, Path), Paging),
    responses((status = 200, body = Page<Event>), (status = 404, body = Problem)))]
pub(crate) async fn events(
    State(api): State<Api>,
    Named(number): Named<TicketNumber>,
    Params(paging): Params<Paging>,
) -> Result<Answer<Page<Event>>, Problem> {
    known(&api, number).await?;
    let (limit, after) = (paging.limit()?, EventId(paging.id()?.unwrap_or(0)));
    let events = api.store.list_events(Some(number), after, limit as u64 + 1).await?;
    Ok(Answer(Page::cut(events, limit, |event| event.id.0)))
}

/// Answers 404 for a ticket that is not there.
pub(super) async fn known(api: &Api, number: TicketNumber) -> Result<(), Problem> {
    api.store.ticket(number).await?.map(|_| ()).ok_or_else(Problem::not_found)
}

fn tagged(ticket: Ticket) -> Response {
    let tag = HeaderValue::from_str(&format!("\"{}\"", ticket.version)).expect("a number is visible ASCII");
    ([(header::ETAG, tag)], Answer(ticket)).into_response()
}

fn expected_version(headers: &HeaderMap) -> Result<i64, Problem> {
    let Some(tag) = headers.get(header::IF_MATCH) else {
        let detail = "Send the ticket's ETag in If-Match, so that nobody's change is overwritten.";
        return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, "if_match_required", detail));
    };
    let version = tag.to_str().ok().and_then(|tag| tag.trim().trim_matches('"').parse().ok());
    version.ok_or_else(|| Problem::field("If-Match", "If-Match is not an ETag that this ticket had."))
}

/// Refuses an empty line and one with control characters.
pub(super) fn not_blank(field: &'static str, value: Option<&Line>) -> Result<(), Problem> {
    match value {
        Some(text) if text.trim().is_empty() => Err(Problem::field(field, format!("{field} must not be empty."))),
        Some(text) if text.chars().any(char::is_control) => {
            Err(Problem::field(field, format!("{field} is one line without control characters.")))
        }
        _ => Ok(()),
    }
}
