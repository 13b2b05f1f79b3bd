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
use super::{Api, Page, Profile, customer};
use crate::clock::UnixMillis;
use crate::life::Closing;
use crate::number::TicketNumber;
use crate::store::{
    About, Actor, ContactId, DESCRIPTION_MAX_BYTES, Event, EventId, Line, NewResolution, NewTicket, Ticket,
    TicketChange, TicketFilter, TicketOrder, WORDS_MAX_BYTES,
};
use crate::ticket::{Channel, Level, Priority, Spoken, TicketState};

/// A ticket to be opened.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenTicket {
    /// One line that says what is wrong; only a telephone call may begin without it.
    #[serde(default)]
    #[schema(value_type = String, max_length = 256)]
    title: Line,
    /// The customer company; created when unknown. Only a telephone call may begin without it.
    #[serde(default)]
    #[schema(value_type = String, max_length = 256)]
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
    /// Who or what is affected.
    #[schema(value_type = Option<String>, max_length = 256)]
    scope: Option<Line>,
    /// When the trouble was first seen.
    first_seen_at_ms: Option<UnixMillis>,
    /// What it is about: a program, a machine.
    #[schema(value_type = Option<String>, max_length = 256)]
    product: Option<Line>,
    /// Which version of it.
    #[schema(value_type = Option<String>, max_length = 256)]
    product_version: Option<Line>,
    /// Where the person who asked can be reached: a telephone number, an address of mail.
    #[schema(value_type = Option<String>, max_length = 256)]
    reach: Option<Line>,
    /// The language in which they are answered.
    language: Option<Spoken>,
}

impl OpenTicket {
    fn into_new(self, unsaid: Channel) -> Result<NewTicket, Problem> {
        let channel = self.channel.unwrap_or(unsaid);
        // The number and the code exist before the caller's first word is written down.
        if channel != Channel::Phone {
            not_blank("title", Some(&self.title))?;
            not_blank("customer", Some(&self.customer))?;
        }
        let lines = [
            ("title", Some(&self.title)),
            ("customer", Some(&self.customer)),
            ("scope", self.scope.as_ref()),
            ("product", self.product.as_ref()),
            ("product_version", self.product_version.as_ref()),
            ("reach", self.reach.as_ref()),
        ];
        lines.into_iter().try_for_each(|(field, value)| one_line(field, value))?;
        not_blank("contact", self.contact.as_ref())?;
        Ok(NewTicket {
            title: self.title,
            customer: self.customer,
            contact: self.contact,
            description: self.description,
            channel,
            impact: self.impact.unwrap_or(Level::Medium),
            urgency: self.urgency.unwrap_or(Level::Medium),
            about: About {
                scope: self.scope,
                first_seen_at: self.first_seen_at_ms,
                product: self.product,
                product_version: self.product_version,
                reach: self.reach,
                language: self.language,
            },
        })
    }
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
    /// The right customer company; created when unknown.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    customer: Option<Line>,
    /// The person who asked; `null` for nobody.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 256)]
    contact: Option<Option<Line>>,
    /// A move to one of the ticket's `next_states`; a merge has a route of its own.
    state: Option<TicketState>,
    /// When a pending ticket wakes up; `pending_reminder` is nothing without it.
    pending_until_ms: Option<UnixMillis>,
    /// How it was resolved; a move to `resolved` needs it.
    resolution: Option<ResolveTicket>,
    /// Why it is closed: `verified` when not said.
    closing: Option<Closing>,
    /// A new impact.
    impact: Option<Level>,
    /// A new urgency.
    urgency: Option<Level>,
    /// A priority against the matrix, with `priority_reason`; `null` for the matrix's.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Priority>)]
    priority: Option<Option<Priority>>,
    /// Why the priority is not the matrix's.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    priority_reason: Option<Line>,
    /// The name of the group that answers for it from now on.
    #[schema(value_type = Option<String>, max_length = 256)]
    group: Option<Line>,
    /// The sign-in name of the new owner; `null` for nobody: the group holds it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 256)]
    owner: Option<Option<Line>>,
    /// Why it is handed over; needed when it is taken from its owner or its group.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    reason: Option<Line>,
    /// Who or what is affected; empty for unknown.
    #[schema(value_type = Option<String>, max_length = 256)]
    scope: Option<Line>,
    /// When the trouble was first seen.
    first_seen_at_ms: Option<UnixMillis>,
    /// What it is about; empty for unknown.
    #[schema(value_type = Option<String>, max_length = 256)]
    product: Option<Line>,
    /// Which version of it; empty for unknown.
    #[schema(value_type = Option<String>, max_length = 256)]
    product_version: Option<Line>,
    /// Where the person who asked can be reached; empty for unknown.
    #[schema(value_type = Option<String>, max_length = 256)]
    reach: Option<Line>,
    /// The language in which they are answered.
    language: Option<Spoken>,
    /// By when the customer is promised to hear something; `null` for no promise.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<i64>)]
    promised_at_ms: Option<Option<UnixMillis>>,
    /// All tags, in place of those before; capital letters become small ones.
    #[schema(value_type = Option<Vec<String>>, max_items = 32)]
    tags: Option<Vec<Line>>,
}

/// How a trouble was ended. Each is a sentence or a few.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResolveTicket {
    /// What was wrong.
    #[schema(value_type = String, min_length = 1, max_length = 8192)]
    cause: Text<WORDS_MAX_BYTES>,
    /// What was done.
    #[schema(value_type = String, min_length = 1, max_length = 8192)]
    fix: Text<WORDS_MAX_BYTES>,
    /// What keeps it from coming back.
    #[schema(value_type = String, min_length = 1, max_length = 8192)]
    prevention: Text<WORDS_MAX_BYTES>,
}

impl ChangeTicket {
    fn into_change(self) -> Result<TicketChange, Problem> {
        not_blank("title", self.title.as_ref())?;
        not_blank("customer", self.customer.as_ref())?;
        not_blank("contact", self.contact.as_ref().and_then(Option::as_ref))?;
        not_blank("reason", self.reason.as_ref())?;
        not_blank("priority_reason", self.priority_reason.as_ref())?;
        for (field, value) in [
            ("scope", &self.scope),
            ("product", &self.product),
            ("product_version", &self.product_version),
            ("reach", &self.reach),
        ] {
            one_line(field, value.as_ref())?;
        }
        for tag in self.tags.iter().flatten() {
            not_blank("tags", Some(tag))?;
        }
        let goes_to = |states: &[TicketState]| self.state.is_some_and(|state| states.contains(&state));
        let pending = [TicketState::PendingCustomer, TicketState::PendingVendor, TicketState::PendingReminder];
        // What belongs to a move that is not made would be lost without a word.
        let strays = [
            ("pending_until_ms", self.pending_until_ms.is_some() && !goes_to(&pending)),
            ("resolution", self.resolution.is_some() && !goes_to(&[TicketState::Resolved])),
            ("closing", self.closing.is_some() && !goes_to(&[TicketState::Closed])),
        ];
        if let Some((field, _)) = strays.into_iter().find(|(_, is_stray)| *is_stray) {
            return Err(Problem::field(field, format!("{field} goes with a move to its state only.")));
        }
        if self.closing == Some(Closing::Silence) {
            let detail = "Only the console closes a ticket because nobody objects.";
            return Err(Problem::field("closing", detail));
        }
        let priority = match (self.priority, self.priority_reason) {
            (None, None) => None,
            (Some(None), None) => Some(None),
            (Some(Some(priority)), Some(reason)) => Some(Some((priority, reason))),
            (Some(Some(_)), None) => {
                return Err(Problem::field("priority_reason", "Say why the priority is not the matrix's."));
            }
            (_, Some(_)) => return Err(Problem::field("priority", "priority_reason goes with a priority.")),
        };
        Ok(TicketChange {
            title: self.title,
            description: self.description,
            customer: self.customer,
            contact: self.contact,
            state: self.state,
            pending_until: self.pending_until_ms,
            resolution: self.resolution.map(ResolveTicket::into_new).transpose()?,
            closing: self.closing,
            impact: self.impact,
            urgency: self.urgency,
            priority,
            group: self.group,
            owner: self.owner,
            reason: self.reason,
            about: About {
                scope: self.scope,
                first_seen_at: self.first_seen_at_ms,
                product: self.product,
                product_version: self.product_version,
                reach: self.reach,
                language: self.language,
            },
            promised_at: self.promised_at_ms,
            tags: self.tags,
        })
    }
}

impl ResolveTicket {
    fn into_new(self) -> Result<NewResolution, Problem> {
        for (field, text) in [
            ("resolution.cause", &self.cause),
            ("resolution.fix", &self.fix),
            ("resolution.prevention", &self.prevention),
        ] {
            not_empty(field, text)?;
        }
        Ok(NewResolution { cause: self.cause, fix: self.fix, prevention: self.prevention })
    }
}

/// Tells a `null` from a field that is not there.
pub(super) fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
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
    /// The id of the person who asked.
    contact: Option<ContactId>,
    /// The name of the group.
    group: Option<String>,
    /// A tag.
    tag: Option<String>,
    /// The order: `newest` when not said.
    sort: Option<Sort>,
}

/// The order of a list of tickets.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sort {
    /// Newest first.
    #[default]
    Newest,
    /// By priority, and the oldest of each first.
    Pressing,
}

/// The cursor of a list by priority: the priority and the number of the page's last ticket.
fn pressing_cursor(cursor: &str) -> Result<(Priority, TicketNumber), Problem> {
    let wrong = || Problem::field("cursor", "cursor is not one that this list gave.");
    let (priority, serial) = cursor.split_once('.').ok_or_else(wrong)?;
    let serial = serial.parse().map_err(|_| wrong())?;
    Ok((priority.parse().map_err(|_| wrong())?, TicketNumber::from_serial(serial)))
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

/// Lists tickets, newest first or by priority.
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
    let limit = paging.limit()?;
    let sort = filter.sort.unwrap_or_default();
    let order = match sort {
        Sort::Newest => TicketOrder::Newest(paging.number()?),
        Sort::Pressing => TicketOrder::Pressing(paging.cursor.as_deref().map(pressing_cursor).transpose()?),
    };
    let filter = TicketFilter {
        states,
        owner: filter.owner,
        customer: filter.customer,
        contact: filter.contact,
        group: filter.group,
        tag: filter.tag,
        order,
    };
    let tickets = api.store.list_tickets(&filter, limit as u64 + 1).await?;
    Ok(Answer(Page::cut(tickets, limit, |ticket| match sort {
        Sort::Newest => ticket.number.serial().to_string(),
        Sort::Pressing => format!("{}.{}", ticket.priority, ticket.number.serial()),
    })))
}

/// What to look for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Query {
    /// Words that a ticket must all have, anywhere: in its texts, its thread, its customer, its number. The beginning of
    /// a word is enough; Chinese is found without spaces.
    #[param(min_length = 1, max_length = 500)]
    q: String,
}

/// Finds tickets by words, newest first.
#[utoipa::path(get, path = "/api/v1/search", tag = "tickets", params(Query, Paging),
    responses((status = 200, body = Page<Ticket>), (status = 422, body = Problem)))]
pub(crate) async fn search(
    State(api): State<Api>,
    Params(query): Params<Query>,
    Params(paging): Params<Paging>,
) -> Result<Answer<Page<Ticket>>, Problem> {
    if query.q.len() > QUERY_MAX_BYTES {
        return Err(Problem::field("q", format!("q has at most {QUERY_MAX_BYTES} bytes.")));
    }
    let (limit, before) = (paging.limit()?, paging.number()?);
    let tickets = api.store.search_tickets(&query.q, before, limit as u64 + 1).await?;
    Ok(Answer(Page::cut(tickets, limit, |ticket| ticket.number.serial())))
}

/// Bytes of a search: more than anybody types.
const QUERY_MAX_BYTES: usize = 500;

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
    let once = once(&headers, &caller.actor, "tickets", &bytes)?;
    let new = value.into_new(unsaid_channel(&caller))?;
    let ticket = api.store.open_ticket(&caller.actor, new, once.as_ref()).await??;
    Ok(opened(ticket))
}

/// Opens a ticket for a trouble that is back after this one was closed, or for what remained of it.
#[utoipa::path(post, path = "/api/v1/tickets/{number}/follow-up", tag = "tickets", request_body = OpenTicket,
    params(("number" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless")),
    responses((status = 201, body = Ticket), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn open_follow_up(
    State(api): State<Api>,
    Named(number): Named<TicketNumber>,
    caller: Caller,
    headers: HeaderMap,
    Json { value, bytes }: Json<OpenTicket>,
) -> Result<Response, Problem> {
    let once = once(&headers, &caller.actor, &format!("follow-up/{number}"), &bytes)?;
    let new = value.into_new(unsaid_channel(&caller))?;
    Ok(opened(api.store.open_follow_up(&caller.actor, number, new, once.as_ref()).await?))
}

fn unsaid_channel(caller: &Caller) -> Channel {
    if caller.actor != Actor::Local { Channel::Api } else { Channel::Local }
}

fn opened(ticket: Ticket) -> Response {
    let location = format!("/api/v1/tickets/{}", ticket.number);
    (StatusCode::CREATED, [(header::LOCATION, location)], tagged(ticket)).into_response()
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
    let version = expected_version(&headers)?;
    let change = value.into_change()?;
    Ok(tagged(api.store.change_ticket(&caller.actor, number, version, change).await?))
}

/// The address of a ticket's status page.
#[derive(Serialize, ToSchema)]
pub(crate) struct StatusLink {
    /// Whoever has it may read what is public about the ticket and answer for its customer.
    url: String,
}

/// Says where the customer of a ticket can follow it.
#[utoipa::path(get, path = "/api/v1/tickets/{number}/status-link", tag = "tickets",
    params(("number" = String, Path)),
    responses((status = 200, body = StatusLink), (status = 404, body = Problem)))]
pub(crate) async fn status_link(
    State(api): State<Api>,
    Named(number): Named<TicketNumber>,
) -> Result<Answer<StatusLink>, Problem> {
    known(&api, number).await?;
    let path = customer::path(number, &api.store.status_key(number));
    Ok(Answer(StatusLink { url: format!("{}{path}", api.profile.base_url) }))
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

pub(super) fn tagged(ticket: Ticket) -> Response {
    let tag = HeaderValue::from_str(&format!("\"{}\"", ticket.version)).expect("a number is visible ASCII");
    ([(header::ETAG, tag)], Answer(ticket)).into_response()
}

pub(super) fn expected_version(headers: &HeaderMap) -> Result<i64, Problem> {
    let Some(tag) = headers.get(header::IF_MATCH) else {
        let detail = "Send the ticket's ETag in If-Match, so that nobody's change is overwritten.";
        return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, "if_match_required", detail));
    };
    let version = tag.to_str().ok().and_then(|tag| tag.trim().trim_matches('"').parse().ok());
    version.ok_or_else(|| Problem::field("If-Match", "If-Match is not an ETag that this ticket had."))
}

/// Refuses an empty line and one with control characters.
pub(super) fn not_blank(field: &'static str, value: Option<&Line>) -> Result<(), Problem> {
    value.map_or(Ok(()), |text| not_empty(field, text))?;
    one_line(field, value)
}

/// Refuses a text in which nothing is said.
pub(super) fn not_empty(field: &'static str, text: &str) -> Result<(), Problem> {
    let is_empty = text.trim().is_empty();
    if is_empty { Err(Problem::field(field, format!("{field} must not be empty."))) } else { Ok(()) }
}

/// Refuses a line with control characters.
pub(super) fn one_line(field: &'static str, value: Option<&Line>) -> Result<(), Problem> {
    if value.is_some_and(|text| text.chars().any(char::is_control)) {
        return Err(Problem::field(field, format!("{field} is one line without control characters.")));
    }
    Ok(())
}
