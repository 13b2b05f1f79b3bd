//! Asking for help without a telephone: the customer's web form, and the same for agents as JSON.
//!
//! Whoever asks is not known here. What they say of themselves stands on the ticket as their word; it changes nothing
//! about a company or a person that the desk knows.

use askama::Template;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::{Form, Json as Answer};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use belay_protocol::Text;
use belay_protocol::lang::{Language, Phrase};

use super::super::Api;
use super::super::guard::Origin;
use super::super::problem::Problem;
use super::super::request::{Json, Params, once};
use super::words::ask::*;
use super::words::{OTHER_LANGUAGE, SEND, TOO_MUCH};
use super::{Done, HEADERS, Linked, Notice, Shown, Speech, answer, other};
use crate::clock::UnixMillis;
use crate::number::TicketNumber;
use crate::store::{About, Actor, CustomerError, Line, MintError, NewTicket, Once, WORDS_MAX_BYTES};
use crate::ticket::{Channel, Level, Spoken};

/// A request for help, as somebody makes it whom the desk does not know.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewRequest {
    /// Who asks.
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    name: Line,
    /// Their company; the person's own name when not said.
    #[schema(value_type = Option<String>, max_length = 256)]
    company: Option<Line>,
    /// Where they can be reached: a telephone number, an address of mail.
    #[schema(value_type = Option<String>, max_length = 256)]
    reach: Option<Line>,
    /// One line that says what is wrong.
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    title: Line,
    /// What else helps to understand it.
    #[serde(default)]
    #[schema(value_type = String, max_length = 8192)]
    description: Text<WORDS_MAX_BYTES>,
    /// Who is affected; `me` when not said.
    #[serde(default)]
    affected: Affected,
    /// Whether work goes on; `hardly` when not said.
    #[serde(default)]
    work: Work,
    /// The day on which it was first seen, as YYYY-MM-DD.
    #[schema(value_type = Option<String>, format = Date)]
    since: Option<Date>,
    /// What it is about: a program, a machine.
    #[schema(value_type = Option<String>, max_length = 256)]
    product: Option<Line>,
    /// The language in which they want to be answered.
    language: Option<Spoken>,
    /// How it comes: `agent`, `web` or `api`, which is meant when nothing is said.
    channel: Option<Channel>,
    /// Whether a code is wanted by which the asking machine may be looked at.
    #[serde(default)]
    invite: bool,
}

/// Who is affected by a trouble.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::http) enum Affected {
    /// Whoever asks.
    #[default]
    Me,
    /// Several people.
    Several,
    /// The whole company.
    Everybody,
}

/// Whether work goes on.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::http) enum Work {
    /// It does.
    Goes,
    /// With difficulty.
    #[default]
    Hardly,
    /// It stands still.
    Stands,
}

/// What became of a request.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Requested {
    /// The ticket's number.
    #[schema(value_type = String, example = "BL-10001-4")]
    number: TicketNumber,
    /// The page on which the customer sees how it stands and can write. Whoever has it is the customer.
    status_url: String,
    /// The nine digits by which the asking machine joins, if they were wanted.
    #[schema(example = "418205977")]
    code: Option<String>,
}

impl NewRequest {
    fn into_new(self) -> Result<NewTicket, &'static str> {
        let channel = self.channel.unwrap_or(Channel::Api);
        if !matches!(channel, Channel::Agent | Channel::Web | Channel::Api) {
            return Err("channel");
        }
        let lines = [
            ("name", Some(&self.name)),
            ("company", self.company.as_ref()),
            ("reach", self.reach.as_ref()),
            ("title", Some(&self.title)),
            ("product", self.product.as_ref()),
        ];
        for (field, line) in lines {
            if line.is_some_and(|line| line.chars().any(char::is_control)) {
                return Err(field);
            }
        }
        let is_blank = |line: &Line| line.trim().is_empty();
        if let Some((field, _)) =
            [("name", &self.name), ("title", &self.title)].into_iter().find(|(_, line)| is_blank(line))
        {
            return Err(field);
        }
        let said = |line: Option<Line>| line.filter(|line| !is_blank(line));
        let since = self.since.and_then(|day| day.to_zoned(TimeZone::UTC).ok());
        Ok(NewTicket {
            title: self.title,
            customer: said(self.company).unwrap_or_else(|| self.name.clone()),
            contact: Some(self.name),
            description: Text::truncating(self.description.into_string()),
            channel,
            impact: match self.affected {
                Affected::Me => Level::Low,
                Affected::Several => Level::Medium,
                Affected::Everybody => Level::High,
            },
            urgency: match self.work {
                Work::Goes => Level::Low,
                Work::Hardly => Level::Medium,
                Work::Stands => Level::High,
            },
            about: About {
                scope: None,
                first_seen_at: since.map(|since| UnixMillis(since.timestamp().as_millisecond())),
                product: said(self.product),
                product_version: None,
                reach: said(self.reach),
                language: self.language,
            },
        })
    }
}

/// Opens a ticket for somebody whom the desk does not know, and answers with its number and its page. With `invite`, also
/// with a code by which the asking machine may be looked at, if its customer agrees there.
#[utoipa::path(post, path = "/api/v1/requests", tag = "requests", request_body = NewRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request safe for a day.")),
    responses(
        (status = 201, body = Requested),
        (status = 409, body = Problem),
        (status = 422, body = Problem),
        (status = 429, body = Problem),
    ))]
pub(in crate::http) async fn request(
    State(api): State<Api>,
    origin: Origin,
    headers: HeaderMap,
    body: Json<NewRequest>,
) -> Result<impl IntoResponse, Problem> {
    let once = once(&headers, &Actor::Customer, "request", &body.bytes)?;
    let wants_code = body.value.invite;
    let new = body.value.into_new().map_err(|field| {
        let detail = match field {
            "channel" => "channel is agent, web or api.".to_owned(),
            field => format!("{field} is one line that says something."),
        };
        Problem::field(field, detail)
    })?;
    let ticket = api.store.customer_asks(&origin.visitor.source, new, once.as_ref()).await?;
    let code = match wants_code {
        true => match api.store.mint_invite(&Actor::Customer, ticket.number, None).await {
            Ok(minted) => Some(minted.code.digits()),
            Err(MintError::Store(error)) => return Err(error.into()),
            // Somebody at the desk was faster, and the ticket is closed.
            Err(_) => None,
        },
        false => None,
    };
    let opened = Linked { number: ticket.number, key: api.store.status_key(ticket.number) };
    let status_url = format!("{}{}", api.profile.base_url, opened.path());
    Ok((StatusCode::CREATED, Answer(Requested { number: ticket.number, status_url, code })))
}

impl From<CustomerError> for Problem {
    fn from(error: CustomerError) -> Self {
        match error {
            CustomerError::Store(error) => error.into(),
            CustomerError::TooMany => {
                let detail = "Many requests came from this address within a quarter of an hour: please telephone.";
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail)
            }
            CustomerError::Reused => {
                let detail = "This Idempotency-Key was used for another request.";
                Self::new(StatusCode::CONFLICT, "idempotency_key_reused", detail)
            }
            CustomerError::NoTicket
            | CustomerError::Merged
            | CustomerError::NotResolved
            | CustomerError::ScoredAlready => Self::not_found(),
        }
    }
}

/// The form's fields as they were typed; what is wrong is said, and all of it stays there.
#[derive(Clone, Deserialize)]
pub(in crate::http) struct Typed {
    name: String,
    #[serde(default)]
    company: String,
    #[serde(default)]
    reach: String,
    title: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    affected: String,
    #[serde(default)]
    work: String,
    #[serde(default)]
    since: String,
    #[serde(default)]
    product: String,
    /// Names this form, so that a second press of the button sends nothing twice.
    #[serde(default)]
    once: String,
    /// No person sees this field: who fills it in is a program.
    #[serde(default)]
    website: String,
}

impl Typed {
    fn blank() -> Self {
        let once: u128 = rand::random();
        Self {
            name: String::new(),
            company: String::new(),
            reach: String::new(),
            title: String::new(),
            description: String::new(),
            affected: "me".to_owned(),
            work: "hardly".to_owned(),
            since: String::new(),
            product: String::new(),
            once: format!("{once:032x}"),
            website: String::new(),
        }
    }

    /// The request, or the field that cannot be used.
    fn request(&self, language: Language) -> Result<NewRequest, &'static str> {
        let line = |field: &'static str, text: &str| Line::try_from(text.trim()).map_err(|_| field);
        let optional = |field: &'static str, text: &str| match text.trim() {
            "" => Ok(None),
            text => line(field, text).map(Some),
        };
        Ok(NewRequest {
            name: line("name", &self.name)?,
            company: optional("company", &self.company)?,
            reach: optional("reach", &self.reach)?,
            title: line("title", &self.title)?,
            description: Text::try_from(self.description.replace("\r\n", "\n")).map_err(|_| "description")?,
            affected: match self.affected.as_str() {
                "several" => Affected::Several,
                "everybody" => Affected::Everybody,
                _ => Affected::Me,
            },
            work: match self.work.as_str() {
                "goes" => Work::Goes,
                "stands" => Work::Stands,
                _ => Work::Hardly,
            },
            since: match self.since.trim() {
                "" => None,
                day => Some(day.parse().map_err(|_| "since")?),
            },
            product: optional("product", &self.product)?,
            language: Some(language.into()),
            channel: Some(Channel::Web),
            invite: false,
        })
    }
}

/// Shows the form.
pub(in crate::http) async fn show(
    State(api): State<Api>,
    headers: HeaderMap,
    Params(shown): Params<Shown>,
) -> Response {
    page(&api, Speech::of(&headers, &shown), Typed::blank(), None, StatusCode::OK)
}

/// Takes the form, and goes on to the page of the ticket.
pub(in crate::http) async fn send(
    State(api): State<Api>,
    origin: Origin,
    headers: HeaderMap,
    Params(shown): Params<Shown>,
    form: Result<Form<Typed>, FormRejection>,
) -> Result<Response, Problem> {
    let speech = Speech::of(&headers, &shown);
    let Ok(Form(typed)) = form else {
        return Ok(page(&api, speech, Typed::blank(), Some(("", TOO_LONG)), StatusCode::UNPROCESSABLE_ENTITY));
    };
    let again = |wrong, status| Ok(page(&api, speech, typed.clone(), Some(wrong), status));
    if !typed.website.is_empty() {
        return again(("", TOO_MUCH), StatusCode::TOO_MANY_REQUESTS);
    }
    let new = typed.request(speech.language).and_then(NewRequest::into_new);
    let new = match new {
        Ok(new) => new,
        Err(field) => return again((field, wrong(field)), StatusCode::UNPROCESSABLE_ENTITY),
    };
    // Whatever stands in the field, it names at most one request of one address.
    let key = format!("{} {}", origin.visitor.source, typed.once);
    let once = Once::new(&Actor::Customer, &key, b"form");
    match api.store.customer_asks(&origin.visitor.source, new, Some(&once)).await {
        Ok(ticket) => {
            let opened = Linked { number: ticket.number, key: api.store.status_key(ticket.number) };
            answer(&api, &opened, speech, Ok(Done::Asked)).await
        }
        Err(CustomerError::TooMany) => again(("", TOO_MUCH), StatusCode::TOO_MANY_REQUESTS),
        Err(error) => Err(error.into()),
    }
}

#[derive(Template)]
#[template(path = "ask.html")]
struct AskPage {
    language: Language,
    other: Language,
    desk: String,
    query: String,
    notice: Option<Notice>,
    /// The field that is wrong.
    wrong: &'static str,
    typed: Typed,
}

impl AskPage {
    fn say(&self, phrase: &Phrase) -> &'static str {
        phrase.text(self.language)
    }

    fn say_other(&self) -> &'static str {
        OTHER_LANGUAGE.text(self.language)
    }

    fn is_wrong(&self, field: &str) -> bool {
        self.wrong == field
    }
}

fn page(
    api: &Api,
    speech: Speech,
    typed: Typed,
    wrong: Option<(&'static str, Phrase)>,
    status: StatusCode,
) -> Response {
    let language = speech.language;
    let page = AskPage {
        language,
        other: other(language),
        desk: api.profile.name.clone(),
        query: speech.query('?'),
        notice: wrong.map(|(_, phrase)| Notice { class: "wrong", text: phrase.text(language) }),
        wrong: wrong.map_or("", |(field, _)| field),
        typed,
    };
    (status, HEADERS, Html(page.render().unwrap_or_default())).into_response()
}
