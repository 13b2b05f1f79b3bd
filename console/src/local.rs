//! The command line's way to the console: the running server's socket, or the database itself when none runs.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::{BodyExt as _, Limited};
/// The method of a request.
pub use hyper::Method;
use hyper::body::{Buf as _, Incoming};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tower::ServiceExt as _;

use crate::clock::Clock;
use crate::console::{Offline, OpenError};
use crate::data::{DataDirectory, DataError};
use crate::http::{Arrival, SAVED_REPORT};
use crate::number::TicketNumber;
use crate::store::StoreError;

/// A console that answers requests of its own account.
pub enum Local {
    /// The server that runs.
    Running(UnixStream),
    /// No server runs, and this process holds the directory.
    Offline(Box<Offline>),
}

/// A request was not answered.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The console could not be reached or opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The directory is held by somebody who does not listen on its socket.
    #[error("{0} is held by a process that does not answer: it may just be starting or stopping, so try again")]
    Silent(String),
    /// The connection broke, or what came is not an answer of a console.
    #[error("the running console did not answer: {0}")]
    NoAnswer(String),
    /// The console refused.
    #[error("{detail}")]
    Refused {
        /// The problem's stable code.
        code: String,
        /// Its sentence.
        detail: String,
    },
    /// What was answered could not be written down.
    #[error(transparent)]
    File(io::Error),
    /// The store did not close.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Local {
    /// Reaches the console of a data directory.
    pub async fn reach(data: &DataDirectory, database: Option<String>, clock: Clock) -> Result<Self, LocalError> {
        if !data.is_initialized() {
            return Err(OpenError::from(DataError::NotInitialized(data.path().to_owned())).into());
        }
        match UnixStream::connect(data.socket()).await {
            Ok(stream) => return Ok(Self::Running(stream)),
            // No socket, or one that a killed server left behind: the lock tells whether somebody holds the directory.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {}
            Err(error) => return Err(LocalError::NoAnswer(error.to_string())),
        }
        match Offline::open(data, database, clock).await {
            Ok(offline) => Ok(Self::Offline(Box::new(offline))),
            Err(OpenError::Data(DataError::InUse(path))) => Err(LocalError::Silent(path.display().to_string())),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends requests and reads their JSON answers. A running server's connection carries one request after another.
    pub async fn ask(self, requests: &[LocalRequest]) -> Result<Vec<Value>, LocalError> {
        Ok(self.ask_both(requests).await?.0)
    }

    /// Sends one request, and says whether something was made of it, or whether that was there before.
    pub async fn make(self, request: LocalRequest) -> Result<(Value, Outcome), LocalError> {
        let (mut answers, statuses) = self.ask_both(&[request]).await?;
        let made = statuses.last() == Some(&StatusCode::CREATED.as_u16());
        Ok((answers.remove(0), if made { Outcome::Made } else { Outcome::ThereBefore }))
    }

    /// Writes the answer to a request into `file` as it comes, however long it is.
    pub async fn save(self, request: LocalRequest, file: &mut (impl io::Write + Send)) -> Result<(), LocalError> {
        match self {
            Self::Running(stream) => {
                let (mut sender, connection) = connect(stream).await?;
                let response = send(&mut sender, request.build(&[])).await?;
                write_body(response.status().as_u16(), response.into_body(), file).await?;
                drop(sender);
                let _ = connection.await;
            }
            Self::Offline(offline) => {
                let mut request = request.build(&[]);
                request.extensions_mut().insert(Arrival::Socket);
                let Ok(response) = offline.router.clone().oneshot(request).await;
                write_body(response.status().as_u16(), response.into_body(), file).await?;
                offline.close().await?;
            }
        }
        Ok(())
    }

    /// The answers, and the status of each.
    async fn ask_both(self, requests: &[LocalRequest]) -> Result<(Vec<Value>, Vec<u16>), LocalError> {
        match self {
            Self::Running(stream) => ask_running(stream, requests).await,
            Self::Offline(offline) => {
                let (mut answers, mut statuses) = (Vec::with_capacity(requests.len()), Vec::new());
                for request in requests {
                    let mut request = request.build(&answers);
                    request.extensions_mut().insert(Arrival::Socket);
                    let Ok(response) = offline.router.clone().oneshot(request).await;
                    statuses.push(response.status().as_u16());
                    answers.push(read(response.status().as_u16(), response.into_body()).await?);
                }
                offline.close().await?;
                Ok((answers, statuses))
            }
        }
    }
}

/// What came of a request to make something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was made.
    Made,
    /// It was there before.
    ThereBefore,
}

/// One request of a command.
pub struct LocalRequest {
    /// The method.
    pub method: Method,
    /// The path.
    pub path: LocalPath,
    /// The body.
    pub body: LocalBody,
}

/// The body of a request.
pub enum LocalBody {
    /// None.
    Empty,
    /// A JSON value.
    Json(Value),
    /// A file that `belay-agent survey --save` has written.
    SavedReport(Bytes),
}

/// The path of a request.
pub enum LocalPath {
    /// A path that is known beforehand.
    Known(String),
    /// A path that depends on the answers to the requests before.
    After(fn(&[Value]) -> String),
}

impl LocalRequest {
    /// A request whose path is known.
    pub fn new(method: Method, path: impl Into<String>, body: Option<Value>) -> Self {
        let body = body.map_or(LocalBody::Empty, LocalBody::Json);
        Self { method, path: LocalPath::Known(path.into()), body }
    }

    /// Files a saved report under a ticket.
    pub fn import(ticket: TicketNumber, file: Bytes) -> Self {
        let path = LocalPath::Known(format!("/api/v1/tickets/{ticket}/reports"));
        Self { method: Method::POST, path, body: LocalBody::SavedReport(file) }
    }

    fn build(&self, answers: &[Value]) -> Request<Body> {
        let path = match &self.path {
            LocalPath::Known(path) => path.clone(),
            LocalPath::After(make) => make(answers),
        };
        let (media_type, body) = match &self.body {
            LocalBody::Empty => ("application/json", Body::empty()),
            LocalBody::Json(value) => ("application/json", Body::from(value.to_string())),
            LocalBody::SavedReport(file) => (SAVED_REPORT, Body::from(file.clone())),
        };
        Request::builder()
            .method(self.method.clone())
            .uri(path)
            .header(header::HOST, "console")
            .header(header::CONTENT_TYPE, media_type)
            .body(body)
            .expect("paths of commands are made of numbers and escaped text")
    }
}

type Sender = hyper::client::conn::http1::SendRequest<Body>;
type Connection = hyper::client::conn::http1::Connection<TokioIo<UnixStream>, Body>;

async fn connect(stream: UnixStream) -> Result<(Sender, tokio::task::JoinHandle<hyper::Result<()>>), LocalError> {
    let connected: hyper::Result<(Sender, Connection)> =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = connected.map_err(no_answer)?;
    Ok((sender, tokio::spawn(connection)))
}

async fn send(sender: &mut Sender, request: Request<Body>) -> Result<hyper::Response<Incoming>, LocalError> {
    let sending = async {
        sender.ready().await?;
        sender.send_request(request).await
    };
    tokio::time::timeout(ANSWER_DEADLINE, sending).await.map_err(|_| too_long())?.map_err(no_answer)
}

fn no_answer(error: impl std::fmt::Display) -> LocalError {
    LocalError::NoAnswer(error.to_string())
}

fn too_long() -> LocalError {
    no_answer("it took too long")
}

async fn ask_running(stream: UnixStream, requests: &[LocalRequest]) -> Result<(Vec<Value>, Vec<u16>), LocalError> {
    let (mut sender, connection) = connect(stream).await?;
    let (mut answers, mut statuses) = (Vec::with_capacity(requests.len()), Vec::new());
    for request in requests {
        let response = send(&mut sender, request.build(&answers)).await?;
        statuses.push(response.status().as_u16());
        answers.push(read(response.status().as_u16(), response.into_body()).await?);
    }
    drop(sender);
    let _ = connection.await;
    Ok((answers, statuses))
}

async fn write_body<B>(status: u16, body: B, file: &mut (impl io::Write + Send)) -> Result<(), LocalError>
where
    B: hyper::body::Body + Unpin,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if !(200..300).contains(&status) {
        return read(status, body).await.map(drop);
    }
    let mut body = body;
    while let Some(frame) = tokio::time::timeout(ANSWER_DEADLINE, body.frame()).await.map_err(|_| too_long())? {
        if let Ok(mut data) = frame.map_err(|error| no_answer(error.into()))?.into_data() {
            file.write_all(&data.copy_to_bytes(data.remaining())).map_err(LocalError::File)?;
        }
    }
    file.flush().map_err(LocalError::File)
}

async fn read<B>(status: u16, body: B) -> Result<Value, LocalError>
where
    B: hyper::body::Body,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let body = Limited::new(body, ANSWER_MAX_BYTES).collect().await;
    let bytes = body.map_err(|error| LocalError::NoAnswer(error.to_string()))?.to_bytes();
    let answer: Value = serde_json::from_slice(&bytes).map_err(|error| LocalError::NoAnswer(error.to_string()))?;
    if (200..300).contains(&status) {
        return Ok(answer);
    }
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    Err(LocalError::Refused { code: text("code"), detail: text("detail") })
}

const ANSWER_DEADLINE: Duration = Duration::from_secs(60);
const ANSWER_MAX_BYTES: usize = 64 * 1024 * 1024;
