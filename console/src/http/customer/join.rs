//! The page that a customer on the phone opens first: what will happen, the program for their system, and what to do with
//! the code that they were told.
//!
//! The code is read only for typing mistakes. Whether it is good is told by a session alone, where guesses are counted.

use askama::Template;
use axum::Form;
use axum::body::Body;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use tokio::task::spawn_blocking;
use tokio_util::io::ReaderStream;

use belay_protocol::invite::{Code, NotACode};
use belay_protocol::lang::{Language, Phrase};

use super::super::Api;
use super::super::problem::Problem;
use super::super::request::Params;
use super::words::ask::ASK_US;
use super::words::join::*;
use super::{HEADERS, Notice, Shown, Speech, other};
use crate::builds::{Build, System};

/// The code as it was typed.
#[derive(Deserialize)]
pub(in crate::http) struct Typed {
    code: String,
}

/// Asks for the code.
pub(in crate::http) async fn show(
    State(api): State<Api>,
    headers: HeaderMap,
    Params(shown): Params<Shown>,
) -> Result<Response, Problem> {
    page(&api, &headers, Speech::of(&headers, &shown), Asked::Nothing, StatusCode::OK).await
}

/// Takes the code and says what to do with it.
pub(in crate::http) async fn enter(
    State(api): State<Api>,
    headers: HeaderMap,
    Params(shown): Params<Shown>,
    form: Result<Form<Typed>, FormRejection>,
) -> Result<Response, Problem> {
    let speech = Speech::of(&headers, &shown);
    match form.map_err(|_| NotACode::Length).and_then(|Form(typed)| typed.code.parse()) {
        Ok(code) => page(&api, &headers, speech, Asked::For(code), StatusCode::OK).await,
        Err(wrong) => page(&api, &headers, speech, Asked::Wrongly(wrong), StatusCode::UNPROCESSABLE_ENTITY).await,
    }
}

/// Hands out a build or its signature: the same bytes to everybody.
pub(in crate::http) async fn download(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let path = api.builds.path_of(&name).ok_or_else(Problem::not_found)?;
    let file = tokio::fs::File::open(path).await.map_err(|error| unreadable(&error))?;
    let length = file.metadata().await.map_err(|error| unreadable(&error))?.len();
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", saved_as(&name))),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file))))
}

/// What was asked of the page.
enum Asked {
    Nothing,
    For(Code),
    Wrongly(NotACode),
}

#[derive(Template)]
#[template(path = "join.html")]
struct JoinPage {
    language: Language,
    other: Language,
    desk: String,
    host: String,
    query: String,
    notice: Option<Notice>,
    code: Option<ShownCode>,
    /// The builds for the visitor's system, or all of them where that is not known.
    offered: Vec<Offer>,
    further: Vec<Offer>,
}

struct ShownCode {
    /// In groups of three, as it is read aloud.
    spaced: String,
    digits: String,
}

struct Offer {
    system: &'static str,
    architecture: String,
    name: String,
    saved_as: String,
    size: String,
    sha256: String,
    signature: Option<String>,
    is_windows: bool,
}

impl JoinPage {
    fn say(&self, phrase: &Phrase) -> &'static str {
        phrase.text(self.language)
    }

    fn say_other(&self) -> &'static str {
        super::OTHER_LANGUAGE.text(self.language)
    }

    fn is_for_windows(&self) -> bool {
        self.offered.first().is_some_and(|build| build.is_windows)
    }

    fn fill(&self, phrase: &Phrase, name: &str, value: &str) -> String {
        phrase.fill(self.language, &[(name, value)])
    }
}

async fn page(
    api: &Api,
    headers: &HeaderMap,
    speech: Speech,
    asked: Asked,
    status: StatusCode,
) -> Result<Response, Problem> {
    let language = speech.language;
    let builds = std::sync::Arc::clone(&api.builds);
    let listed = spawn_blocking(move || builds.list()).await;
    let listed = listed.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    let listed = listed.map_err(|error| unreadable(&error))?;
    let browser = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let system = browser.and_then(System::of_browser);
    let (mut offered, mut further): (Vec<_>, Vec<_>) =
        listed.into_iter().partition(|build| system.is_none_or(|system| system == build.system));
    if offered.is_empty() {
        std::mem::swap(&mut offered, &mut further);
    }
    let notice = match &asked {
        Asked::Wrongly(wrong) => {
            let phrase = match wrong {
                NotACode::Length => NINE_DIGITS,
                NotACode::Check => MISTYPED,
            };
            Some(Notice { class: "wrong", text: phrase.text(language) })
        }
        Asked::Nothing | Asked::For(_) => None,
    };
    let code = match asked {
        Asked::For(code) => Some(ShownCode { spaced: code.to_string(), digits: code.digits() }),
        Asked::Nothing | Asked::Wrongly(_) => None,
    };
    let page = JoinPage {
        language,
        other: other(language),
        desk: api.profile.name.clone(),
        host: api.profile.help_host.clone(),
        query: speech.query('?'),
        notice,
        code,
        offered: offered.into_iter().map(Offer::of).collect(),
        further: further.into_iter().map(Offer::of).collect(),
    };
    Ok((status, HEADERS, Html(page.render().unwrap_or_default())).into_response())
}

impl Offer {
    fn of(build: Build) -> Self {
        Self {
            system: build.system.name(),
            saved_as: saved_as(&build.name).to_owned(),
            is_windows: build.system == System::Windows,
            architecture: build.architecture,
            size: megabytes(build.bytes),
            sha256: build.sha256,
            signature: build.signature,
            name: build.name,
        }
    }
}

/// The name under which a browser keeps a build, short enough to be typed. Signatures keep theirs.
fn saved_as(name: &str) -> &str {
    match name {
        _ if name.ends_with(".exe") => "belay-agent.exe",
        _ if name.contains('.') => name,
        _ => "belay-agent",
    }
}

fn megabytes(bytes: u64) -> String {
    const MEGABYTE: f64 = 1e6;
    format!("{:.1} MB", bytes as f64 / MEGABYTE)
}

fn unreadable(error: &std::io::Error) -> Problem {
    tracing::error!(%error, "the agent's builds cannot be read: look at the directory that --agents names");
    let detail = "The programs for customers cannot be read at the moment.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "builds_unreadable", detail)
}
