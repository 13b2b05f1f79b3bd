//! The customer's status page: rendered here, without a script, in the customer's language.
//!
//! Whoever has the link may read what is public about this one ticket, write, and say whether it is fixed. The link is
//! a secret in the address: pages tell no other site where they were left for, and no search engine may keep them.

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use belay_protocol::Text;
use belay_protocol::lang::{Language, Phrase};

use super::Api;
use super::problem::Problem;
use super::request::Params;
use crate::clock::UnixMillis;
use crate::number::TicketNumber;
use crate::store::{
    Actor, Article, CustomerError, GoesOn, Report, Score, Session, SessionState, Severity, StoreError, Ticket,
    WORDS_MAX_BYTES,
};
use crate::ticket::TicketState;

pub(super) mod ask;
pub(super) mod join;
mod words;

use words::*;

/// A ticket that the caller is the customer of, by the link.
pub(super) struct Linked {
    number: TicketNumber,
    key: String,
}

impl FromRequestParts<Api> for Linked {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Response> {
        let path = Path::<(TicketNumber, String)>::from_request_parts(parts, api).await;
        match path {
            Ok(Path((number, key))) if api.store.is_status_key(number, &key) => Ok(Self { number, key }),
            _ => Err(unknown_link(preferred(&parts.headers))),
        }
    }
}

impl Linked {
    fn path(&self) -> String {
        path(self.number, &self.key)
    }
}

/// Where the status page of a ticket is, behind the console's own address.
pub(super) fn path(number: TicketNumber, key: &str) -> String {
    format!("/s/{number}/{key}")
}

/// What was done before the page was shown, and in which language it is wanted.
#[derive(Deserialize)]
pub(super) struct Shown {
    done: Option<Done>,
    lang: Option<String>,
}

impl Shown {
    /// The chosen language, to go on in; nothing where the browser's own is good.
    fn chosen(&self) -> Option<Language> {
        self.lang.as_deref().map(Language::from_locale)
    }
}

/// What the customer has just done.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Done {
    Written,
    Fixed,
    NotFixed,
    FollowUp,
    Scored,
    Asked,
}

/// The customer's words.
#[derive(Deserialize)]
pub(super) struct Words {
    words: Text<WORDS_MAX_BYTES>,
}

/// How content the customer is.
#[derive(Deserialize)]
pub(super) struct Scored {
    score: u8,
    #[serde(default)]
    words: Text<WORDS_MAX_BYTES>,
}

/// The pages' style.
pub(super) async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("../../templates/customer.css"))
}

/// Shows how a ticket stands.
pub(super) async fn show(
    State(api): State<Api>,
    linked: Linked,
    headers: HeaderMap,
    Params(shown): Params<Shown>,
) -> Result<Response, Problem> {
    let speech = Speech::of(&headers, &shown);
    let notice = shown.done.map(|done| Notice { class: "notice", text: done.phrase().text(speech.language) });
    page(&api, &linked, speech, notice, StatusCode::OK).await
}

/// Writes into the thread.
pub(super) async fn write(
    State(api): State<Api>,
    linked: Linked,
    headers: HeaderMap,
    Params(shown): Params<Shown>,
    form: Result<Form<Words>, FormRejection>,
) -> Result<Response, Problem> {
    let done = match said(form) {
        Ok(words) => api.store.customer_writes(linked.number, words).await.map(|()| Done::Written).map_err(Wrong::from),
        Err(wrong) => Err(wrong),
    };
    answer(&api, &linked, Speech::of(&headers, &shown), done).await
}

/// Takes the word that it is fixed.
pub(super) async fn fixed(
    State(api): State<Api>,
    linked: Linked,
    headers: HeaderMap,
    Params(shown): Params<Shown>,
) -> Result<Response, Problem> {
    let done = api.store.customer_confirms(linked.number).await.map(|()| Done::Fixed).map_err(Wrong::from);
    answer(&api, &linked, Speech::of(&headers, &shown), done).await
}

/// Takes the word that it is not fixed. When that is a new ticket by now, its page is shown.
pub(super) async fn not_fixed(
    State(api): State<Api>,
    linked: Linked,
    headers: HeaderMap,
    Params(shown): Params<Shown>,
    form: Result<Form<Words>, FormRejection>,
) -> Result<Response, Problem> {
    let goes_on = match said(form) {
        Ok(words) => api.store.customer_objects(linked.number, words).await.map_err(Wrong::from),
        Err(wrong) => Err(wrong),
    };
    match goes_on {
        Ok(GoesOn::In(number)) => {
            let opened = Linked { number, key: api.store.status_key(number) };
            answer(&api, &opened, Speech::of(&headers, &shown), Ok(Done::FollowUp)).await
        }
        other => answer(&api, &linked, Speech::of(&headers, &shown), other.map(|_| Done::NotFixed)).await,
    }
}

/// Notes how content the customer is.
pub(super) async fn score(
    State(api): State<Api>,
    linked: Linked,
    headers: HeaderMap,
    Params(shown): Params<Shown>,
    form: Result<Form<Scored>, FormRejection>,
) -> Result<Response, Problem> {
    let scored = form.ok().and_then(|Form(form)| Some((Score::new(form.score)?, form.words)));
    let done = match scored {
        Some((score, comment)) => {
            let noted = api.store.customer_scores(linked.number, score, comment).await;
            noted.map(|()| Done::Scored).map_err(Wrong::from)
        }
        None => Err(Wrong::Said(StatusCode::UNPROCESSABLE_ENTITY, NO_SCORE)),
    };
    answer(&api, &linked, Speech::of(&headers, &shown), done).await
}

/// What the customer is told instead of what they wanted.
enum Wrong {
    Said(StatusCode, Phrase),
    Store(StoreError),
}

impl From<CustomerError> for Wrong {
    fn from(error: CustomerError) -> Self {
        match error {
            CustomerError::NoTicket => Self::Said(StatusCode::NOT_FOUND, UNKNOWN_LINK),
            CustomerError::Merged => Self::Said(StatusCode::CONFLICT, GOES_ON_ELSEWHERE),
            CustomerError::TooMany | CustomerError::Reused => Self::Said(StatusCode::TOO_MANY_REQUESTS, TOO_MUCH),
            CustomerError::NotResolved => Self::Said(StatusCode::CONFLICT, NOT_RESOLVED),
            CustomerError::ScoredAlready => Self::Said(StatusCode::CONFLICT, SCORED_ALREADY),
            CustomerError::Store(error) => Self::Store(error),
        }
    }
}

/// The words of a form in which something is said.
fn said(form: Result<Form<Words>, FormRejection>) -> Result<Text<WORDS_MAX_BYTES>, Wrong> {
    let words = form.ok().map(|Form(form)| form.words).filter(|words| !words.trim().is_empty());
    words.ok_or(Wrong::Said(StatusCode::UNPROCESSABLE_ENTITY, NO_WORDS))
}

/// Goes back to the page, which a reload then does not send again; or says on it why nothing was done.
async fn answer(api: &Api, linked: &Linked, speech: Speech, done: Result<Done, Wrong>) -> Result<Response, Problem> {
    match done {
        Ok(done) => {
            Ok(Redirect::to(&format!("{}?done={}{}", linked.path(), done.word(), speech.query('&'))).into_response())
        }
        Err(Wrong::Said(status, phrase)) => {
            let notice = Notice { class: "wrong", text: phrase.text(speech.language) };
            page(api, linked, speech, Some(notice), status).await
        }
        Err(Wrong::Store(error)) => Err(error.into()),
    }
}

/// The language of a page, and whether somebody chose it there.
#[derive(Clone, Copy)]
struct Speech {
    language: Language,
    chosen: Option<Language>,
}

impl Speech {
    fn of(headers: &HeaderMap, shown: &Shown) -> Self {
        let chosen = shown.chosen();
        Self { language: chosen.unwrap_or_else(|| preferred(headers)), chosen }
    }

    /// What keeps a chosen language across a form or a link, behind `mark`: `?`, or `&` where another parameter is first.
    fn query(self, mark: char) -> String {
        self.chosen.map(|language| format!("{mark}lang={}", language.tag())).unwrap_or_default()
    }
}

/// The language that a page offers beside its own.
fn other(language: Language) -> Language {
    if language == Language::English { Language::Chinese } else { Language::English }
}

/// Chinese for whose browser asks for it first; English for everybody else.
fn preferred(headers: &HeaderMap) -> Language {
    let preferred = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Language::from_locale(preferred.unwrap_or_default())
}

#[derive(Template)]
#[template(path = "status.html")]
struct StatusPage {
    language: Language,
    other: Language,
    desk: String,
    path: String,
    /// What keeps a chosen language across a form.
    query: String,
    number: TicketNumber,
    title: String,
    notice: Option<Notice>,
    steps: [Step; 4],
    state: &'static str,
    promised: Option<String>,
    fix: Option<String>,
    asks: bool,
    may_confirm: bool,
    may_score: bool,
    may_write: bool,
    said: Vec<Said>,
    sessions: Vec<Visit>,
}

struct Notice {
    class: &'static str,
    text: &'static str,
}

struct Step {
    name: &'static str,
    is_reached: bool,
    is_current: bool,
}

struct Said {
    who: String,
    is_own: bool,
    at: String,
    text: String,
}

struct Visit {
    text: String,
    findings: Vec<String>,
}

impl StatusPage {
    fn say(&self, phrase: &Phrase) -> &'static str {
        phrase.text(self.language)
    }

    fn say_other(&self) -> &'static str {
        OTHER_LANGUAGE.text(self.language)
    }
}

async fn page(
    api: &Api,
    linked: &Linked,
    speech: Speech,
    notice: Option<Notice>,
    status: StatusCode,
) -> Result<Response, Problem> {
    let language = speech.language;
    let Some(ticket) = api.store.ticket(linked.number).await? else { return Ok(unknown_link(language)) };
    let articles = api.store.public_articles(linked.number).await?;
    let sessions = api.store.list_sessions(Some(linked.number), None, SESSIONS_SHOWN).await?;
    let reports = api.store.list_reports(Some(linked.number), None, SESSIONS_SHOWN).await?;
    let page = StatusPage {
        language,
        other: other(language),
        desk: api.profile.name.clone(),
        path: linked.path(),
        query: speech.query('?'),
        number: linked.number,
        notice,
        steps: steps(ticket.state, language),
        state: state_phrase(ticket.state).text(language),
        promised: promised(&ticket, language),
        asks: matches!(ticket.state, TicketState::Resolved | TicketState::Closed),
        may_confirm: ticket.state == TicketState::Resolved,
        may_score: ticket.resolution.as_ref().is_some_and(|resolution| resolution.score.is_none()),
        may_write: ticket.state != TicketState::Merged,
        said: articles.into_iter().map(|article| read(article, &api.profile.name, language)).collect(),
        sessions: sessions.iter().map(|session| visit(session, &reports, language)).collect(),
        fix: ticket.resolution.map(|resolution| plain(&resolution.fix)),
        title: plain(&ticket.title),
    };
    Ok((status, HEADERS, Html(page.render().unwrap_or_default())).into_response())
}

fn steps(state: TicketState, language: Language) -> [Step; 4] {
    let at = match state {
        TicketState::New => 0,
        TicketState::Open
        | TicketState::PendingCustomer
        | TicketState::PendingVendor
        | TicketState::PendingReminder => 1,
        TicketState::Resolved => 2,
        TicketState::Closed | TicketState::Merged => 3,
    };
    let mut place = 0;
    STEPS.map(|name| {
        let step = Step { name: name.text(language), is_reached: place <= at, is_current: place == at };
        place += 1;
        step
    })
}

fn promised(ticket: &Ticket, language: Language) -> Option<String> {
    let is_over = matches!(ticket.state, TicketState::Resolved | TicketState::Closed | TicketState::Merged);
    let at = ticket.promised_at_ms.filter(|_| !is_over)?;
    Some(PROMISED.fill(language, &[("time", &time(at))]))
}

fn read(article: Article, desk: &str, language: Language) -> Said {
    let is_own = article.author == Actor::Customer.to_string();
    Said {
        who: if is_own { YOU.text(language).to_owned() } else { desk.to_owned() },
        is_own,
        at: time(article.created_at_ms),
        text: plain(&article.body),
    }
}

/// One session, with what was found in its reports.
fn visit(session: &Session, reports: &[Report], language: Language) -> Visit {
    let phrase = if session.state == SessionState::Ended { SESSION_ENDED } else { SESSION_OPEN };
    let own = reports.iter().filter(|report| report.session == Some(session.id));
    let findings = own.flat_map(|report| &report.findings);
    let findings = findings.filter(|finding| matches!(finding.severity, Severity::Warn | Severity::Crit));
    let title = |finding: &crate::store::Finding| match language {
        Language::English => plain(&finding.title_en),
        Language::Chinese => plain(&finding.title_zh),
    };
    Visit {
        text: phrase.fill(language, &[("time", &time(session.started_at_ms))]),
        findings: findings.take(FINDINGS_SHOWN).map(title).collect(),
    }
}

/// The page for a link that was not made here. It does not tell a wrong number from a wrong key.
fn unknown_link(language: Language) -> Response {
    let text = format!(
        "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\"><title>Belay</title>\
         <link rel=\"stylesheet\" href=\"/customer.css\"></head><body><main><h1>{}</h1></main></body></html>",
        language.tag(),
        UNKNOWN_LINK.text(language)
    );
    (StatusCode::NOT_FOUND, HEADERS, Html(text)).into_response()
}

/// A moment on the desk's own clock, with its distance from UTC: the page does not know the reader's.
fn time(at: UnixMillis) -> String {
    let moment = Timestamp::from_millisecond(at.0).unwrap_or_default().to_zoned(TimeZone::system());
    moment.strftime("%Y-%m-%d %H:%M (UTC%:z)").to_string()
}

/// Text of people and devices without characters that turn a page's words around or are not seen.
fn plain(text: &str) -> String {
    let is_hidden = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if is_hidden(c) { '\u{fffd}' } else { c }).collect()
}

const HEADERS: [(header::HeaderName, HeaderValue); 1] =
    // A form of this page must say where it is from, which `no-referrer` would forbid; no other site learns the link.
    [(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"))];

/// Sessions and reports on a status page: the newest.
const SESSIONS_SHOWN: u64 = 20;

/// Findings of a session on a status page: the worst come first.
const FINDINGS_SHOWN: usize = 20;
