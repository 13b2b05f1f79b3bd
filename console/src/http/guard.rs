//! The guard in front of every route: who asks, from where, and whether that is allowed.
//!
//! Routes are named in one table. A route that is not in it is refused, whatever handler it has.

use std::net::IpAddr;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::problem::Problem;
use super::{Api, FIRST_ADMIN, PUBLIC, ROUTES};
use crate::clock::UnixMillis;
use crate::policy::{Action, Role, allows, fits_a_token, is_a_look, is_for_the_machine, needs_fresh_proof};
use crate::secret::Token;
use crate::store::{Actor, Line, Look, SignedIn, Visitor};

/// How a request arrived; every listener says so for its requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// Over the Unix socket that only the console's own account can open.
    Socket,
    /// Over plain HTTP, from this address.
    Plain(IpAddr),
    /// Over TLS, from this address.
    Tls(IpAddr),
}

/// Who makes a request, after the guard has let it in.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) actor: Actor,
    pub(crate) role: Role,
    /// The sign-in, except over the local socket.
    pub(crate) signed_in: Option<(SignedIn, Token)>,
    /// The token of the program that asks, if one does, with what it is for.
    pub(crate) program: Option<(Vec<Action>, Token)>,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(not_signed_in)
    }
}

/// Where a request comes from, as far as that is known.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// Whether the browser's connection is encrypted.
    pub(crate) secure: bool,
    /// Client address, or its /64 for IPv6: what failures are counted by; and what the browser calls itself.
    pub(crate) visitor: Visitor,
}

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let missing = || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "bug", "The request passed no guard.");
        parts.extensions.get::<Self>().cloned().ok_or_else(missing)
    }
}

/// Adds the headers that every answer carries, also the refusals.
pub(super) async fn add_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
    // What does not say otherwise is not kept by anybody.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                                       connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; \
                                       frame-ancestors 'none'";

/// Refuses requests that came the wrong way, and notes where the others are from.
pub(super) async fn check_way(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let arrival = request.extensions().get::<Arrival>().copied();
    match way(&api, arrival, request.headers(), request.uri().authority()) {
        Ok((secure, source)) => {
            let visitor = Visitor { source, agent: agent(request.headers()) };
            request.extensions_mut().insert(Origin { secure, visitor });
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Whether the browser's connection is encrypted, and where it comes from.
fn way(
    api: &Api,
    arrival: Option<Arrival>,
    headers: &HeaderMap,
    target: Option<&Authority>,
) -> Result<(bool, String), Problem> {
    let misdirected =
        || Problem::new(StatusCode::MISDIRECTED_REQUEST, "unknown_host", "This console is not known by that name.");
    let trusted = api.profile.trusted_proxies.as_slice();
    match arrival {
        Some(Arrival::Socket) => Ok((false, "local".to_owned())),
        Some(Arrival::Tls(peer)) => Ok((true, source_of(peer))),
        Some(Arrival::Plain(peer)) if trusted.contains(&peer.to_canonical()) => {
            let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
            // The proxy appends the address it saw; what stands before it was sent by the client.
            let client = text("x-forwarded-for").and_then(|list| list.rsplit(',').next()?.trim().parse().ok());
            let secure = text("x-forwarded-proto").is_some_and(|proto| proto.eq_ignore_ascii_case("https"));
            Ok((secure, source_of(client.unwrap_or(peer))))
        }
        Some(Arrival::Plain(peer)) if peer.to_canonical().is_loopback() => {
            // A page of another site can make its own name point here; its requests then carry that name.
            let host = host_of(headers, target).ok_or_else(misdirected)?;
            let name = host.host().trim_start_matches('[').trim_end_matches(']');
            let known = LOOPBACK_NAMES.contains(&name) || api.profile.is_own_name(name);
            if known { Ok((false, source_of(peer))) } else { Err(misdirected()) }
        }
        _ => {
            let detail = "Plain HTTP is only for this machine and for the trusted proxy. Use HTTPS.";
            Err(Problem::new(StatusCode::FORBIDDEN, "plain_http", detail))
        }
    }
}

const LOOPBACK_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

fn host_of(headers: &HeaderMap, target: Option<&Authority>) -> Option<Authority> {
    let header = headers.get(header::HOST).and_then(|value| value.to_str().ok()?.parse().ok());
    header.or_else(|| target.cloned())
}

/// The address by which failures are counted: one customer of an access provider has a /64.
fn source_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// Lets a request through to its route when the table and the policy allow it.
pub(super) async fn authorize(
    State(api): State<Api>,
    matched: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    match admit(&api, matched.as_ref().map(MatchedPath::as_str), &parts).await {
        Ok(Some((caller, route, action))) => {
            let look = is_a_look(action).then(|| Look::new(&caller.actor, route, parts.uri.path()));
            parts.extensions.insert(caller);
            let response = next.run(Request::from_parts(parts, body)).await;
            match look {
                Some(look) if response.status().is_success() => note(&api, look, action, response).await,
                _ => response,
            }
        }
        Ok(None) => next.run(Request::from_parts(parts, body)).await,
        Err(problem) => problem.into_response(),
    }
}

async fn admit(
    api: &Api,
    path: Option<&str>,
    request: &Parts,
) -> Result<Option<(Caller, &'static str, Action)>, Problem> {
    // Whoever may read may also ask for the head alone.
    let method = if request.method == Method::HEAD { &Method::GET } else { &request.method };
    let is_local = request.extensions.get::<Arrival>() == Some(&Arrival::Socket);
    let is_safe = matches!(*method, Method::GET | Method::OPTIONS);
    let bearer = bearer(&request.headers);
    // No page of another site can send a token: browsers ask before they send that header, and are not answered.
    let is_program = bearer.is_some() && path.is_some_and(|path| route(method, path).is_some());
    if !is_safe && !is_local && !is_program {
        check_same_origin(&request.headers, request.uri.authority())?;
    }
    let Some(path) = path else {
        // No route: the fallback answers with the web console's files, which are public.
        return if is_safe { Ok(None) } else { Err(Problem::not_found()) };
    };
    if path == FIRST_ADMIN && !first_admin_is_awaited(api).await? {
        return Err(Problem::not_found());
    }
    if PUBLIC.iter().any(|(known, at)| known == method && *at == path) {
        return Ok(None);
    }
    let Some((path, action)) = route(method, path) else {
        let exists = ROUTES.iter().any(|(_, at, _)| *at == path) || PUBLIC.iter().any(|(_, at)| *at == path);
        let refused = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Not with this method.");
        return Err(if exists { refused } else { Problem::not_found() });
    };
    let caller = match bearer {
        _ if is_local => Caller { actor: Actor::Local, role: Role::Admin, signed_in: None, program: None },
        Some(token) => program(api, token).await?,
        None => signed_in_caller(api, request).await?,
    };
    caller.check(action, api.store.clock().now())?;
    Ok(Some((caller, path, action)))
}

fn route(method: &Method, path: &str) -> Option<(&'static str, Action)> {
    ROUTES.iter().find(|(known, at, _)| known == method && *at == path).map(|(_, at, action)| (*at, *action))
}

/// Has a look noted before its answer goes out: in a moment as a rule, and at once for what is taken away in one piece.
async fn note(api: &Api, look: Look, action: Action, response: Response) -> Response {
    if action != Action::ExportAudit {
        api.store.note_look(look).await;
        return response;
    }
    if api.store.note_look_at_once(look).await {
        return response;
    }
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "The console is stopping. Please try again.")
        .into_response()
}

/// Whether this console was started for a desk without users, and still waits for the first.
async fn first_admin_is_awaited(api: &Api) -> Result<bool, Problem> {
    Ok(api.first_admin.is_some() && api.store.count_users().await? == 0)
}

impl Caller {
    /// Refuses what the policy does not allow, or not now.
    fn check(&self, action: Action, now: UnixMillis) -> Result<(), Problem> {
        let refused = |detail: String| Err(Problem::new(StatusCode::FORBIDDEN, "not_allowed", detail));
        if is_for_the_machine(action) {
            let elsewhere = "This is done on the console's own machine, by belay-console.";
            return if self.actor == Actor::Local { Ok(()) } else { refused(elsewhere.to_owned()) };
        }
        if !allows(self.role, action) {
            return refused(format!("The role {} does not allow this.", self.role));
        }
        if let Some((actions, _)) = &self.program {
            let given = actions.contains(&action) && fits_a_token(action);
            return if given { Ok(()) } else { refused("The token was not made for this.".to_owned()) };
        }
        let is_fresh = |signed_in: &SignedIn| signed_in.stepped_up_until().is_some_and(|until| now < until);
        match &self.signed_in {
            Some((signed_in, _)) if needs_fresh_proof(action) && !is_fresh(signed_in) => {
                let detail = "This asks for a fresh proof of who sits there: POST /api/v1/session/step-up.";
                Err(Problem::new(StatusCode::FORBIDDEN, "step_up_required", detail))
            }
            _ => Ok(()),
        }
    }
}

async fn signed_in_caller(api: &Api, request: &Parts) -> Result<Caller, Problem> {
    let secure = request.extensions.get::<Origin>().is_some_and(|origin| origin.secure);
    let token = cookie(&request.headers, cookie_name(secure)).ok_or_else(not_signed_in)?;
    let signed_in = api.store.signed_in(&token).await?.ok_or_else(not_signed_in)?;
    let (actor, role) = (Actor::User(signed_in.user.id), signed_in.user.role);
    Ok(Caller { actor, role, signed_in: Some((signed_in, token)), program: None })
}

async fn program(api: &Api, token: Token) -> Result<Caller, Problem> {
    let refused = || {
        let detail = "The token is mistyped, has expired, or was revoked.";
        Problem::new(StatusCode::UNAUTHORIZED, "token_not_valid", detail)
    };
    let used = api.store.use_api_token(&token).await?.ok_or_else(refused)?;
    let actor = Actor::Program(used.id, used.user.id);
    Ok(Caller { actor, role: used.user.role, signed_in: None, program: Some((used.actions, token)) })
}

/// The token that a program sends. Whoever sends one is asked for nothing else.
fn bearer(headers: &HeaderMap) -> Option<Token> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Token::presented(token.trim()))
}

/// What a browser calls itself, as one bounded line.
fn agent(headers: &HeaderMap) -> Line {
    let text = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Line::truncating(text.chars().filter(|c| !c.is_control()).take(AGENT_MAX_CHARS).collect::<String>())
}

/// Browsers use about 130.
const AGENT_MAX_CHARS: usize = 200;

fn not_signed_in() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "not_signed_in", "Please sign in.")
}

/// Refuses a changing request that a page of another site may have sent. Browsers always say where such a request comes
/// from; a program says it with `Origin`.
fn check_same_origin(headers: &HeaderMap, target: Option<&Authority>) -> Result<(), Problem> {
    let refused = || {
        let detail = "Requests that change something must carry this console's own address in Origin.";
        Problem::new(StatusCode::FORBIDDEN, "foreign_origin", detail)
    };
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if site.is_some_and(|site| site != b"same-origin") {
        return Err(refused());
    }
    match headers.get(header::ORIGIN) {
        Some(origin) => {
            let host = host_of(headers, target).ok_or_else(refused)?;
            let origin = origin.to_str().unwrap_or_default();
            let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            let same = authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host.as_str()));
            if same { Ok(()) } else { Err(refused()) }
        }
        None if site.is_some() => Ok(()),
        None => Err(refused()),
    }
}

/// The name of the sign-in cookie. Browsers keep `__Host-` for encrypted pages of exactly this host.
fn cookie_name(secure: bool) -> &'static str {
    if secure { "__Host-belay" } else { "belay" }
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<Token> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| Token::presented(value))
}

/// The header that gives a browser its sign-in.
pub(super) fn set_cookie(origin: &Origin, token: &Token) -> HeaderValue {
    cookie_header(origin, token.reveal(), "")
}

/// The header that takes it away again.
pub(super) fn clear_cookie(origin: &Origin) -> HeaderValue {
    cookie_header(origin, "", "; Max-Age=0")
}

fn cookie_header(origin: &Origin, value: &str, end: &str) -> HeaderValue {
    let secure = if origin.secure { "; Secure" } else { "" };
    let name = cookie_name(origin.secure);
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{end}");
    let mut header = HeaderValue::from_str(&text).expect("a token is base32");
    header.set_sensitive(true);
    header
}
