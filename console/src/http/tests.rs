//! The API through its router, refusals first.

use std::net::{IpAddr, Ipv4Addr};

use axum::body::Body;
use axum::http::{Request, Response, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use belay_protocol::report::Report as Facts;
use belay_protocol::signed_pack::PackId;
use belay_relay::identity::Identity;

use super::*;
use crate::changes::tests::{mount, report, withheld};
use crate::clock::{Clock, UnixMillis};
use crate::policy::{Role, allows};
use crate::secret::ServerKey;
use crate::store::{Actor, DatabaseLocation, Line, NewPack, StoreSettings, Visitor};
use crate::ticket::TicketState;

mod accounts;
mod ask;
mod audit;
mod backups;
mod customer;
mod join;
mod life;
mod metrics;
mod tools;

struct World {
    store: Store,
    router: Router,
    clock: Clock,
    organization: Identity,
    directory: tempfile::TempDir,
}

const PAGE: Asset = Asset { bytes: b"<!doctype html>", content_type: "text/html", etag: "\"1\"", immutable: false };

impl World {
    async fn open() -> Self {
        Self::open_as("http://localhost:8080", None).await
    }

    async fn open_as(base_url: &str, first_admin: Option<Token>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::manual(UnixMillis(1_767_225_600_000));
        let settings = StoreSettings {
            database: DatabaseLocation::Sqlite(directory.path().join("belay.sqlite")),
            blobs: directory.path().join("blobs"),
            key: ServerKey::generate(),
            clock: clock.clone(),
        };
        let store = Store::open(settings).await.unwrap();
        let organization = Identity::generate().unwrap();
        let data = DataDirectory::at(directory.path().join("data"));
        let name = crate::data::DeskName { name: Line::truncating("Nordwind Help"), help_host: None };
        data.initialize(&name, clock.now()).unwrap();
        let profile = Profile {
            data: Some(data),
            backup_folder: Some(directory.path().join("backups")),
            name: "Nordwind Help".into(),
            organization: organization.organization_key(),
            relays: vec![format!("relay.example.com:4433#{}", belay_protocol::RelayKey([6; 32])).parse().unwrap()],
            help_host: "help.example.com".into(),
            base_url: base_url.into(),
            trusted_proxies: vec!["10.0.0.1".parse().unwrap()],
            agents: Some(directory.path().join("agents")),
        };
        let assets: AssetSource = |path| (path == "index.html").then_some(PAGE);
        let router = router(store.clone(), profile, assets, first_admin, CancellationToken::new());
        Self { store, router, clock, organization, directory }
    }

    /// The cookie of a new user with `role`.
    async fn cookie(&self, role: Role) -> String {
        let name = format!("{role}-{}", rand::random::<u32>());
        self.store.add_user(&Actor::Local, &Line::truncating(name.as_str()), role).await.unwrap();
        let link = self.store.mint_sign_in(&Actor::Local, &name).await.unwrap();
        let (token, _) = self.store.sign_in_by_link(&link.token, &Visitor::default()).await.unwrap();
        format!("belay={}", token.reveal())
    }

    async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn ask(&self, request: Request<Body>) -> (u16, Value) {
        read(self.send(request).await).await
    }

    async fn open_ticket(&self, cookie: &str) -> Value {
        let (status, ticket) = self.ask(post("/api/v1/tickets", cookie, &ticket())).await;
        assert_eq!(status, 201, "{ticket}");
        ticket
    }
}

async fn read(response: Response<Body>) -> (u16, Value) {
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

fn ticket() -> Value {
    json!({ "title": "Disk is full", "customer": "Nordwind" })
}

fn request(method: &Method, path: &str, cookie: &str) -> axum::http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .extension(Arrival::Plain(IpAddr::V4(Ipv4Addr::LOCALHOST)))
        .header(header::HOST, "localhost:8080")
        .header(header::ORIGIN, "http://localhost:8080")
        .header(header::COOKIE, cookie)
}

fn get(path: &str, cookie: &str) -> Request<Body> {
    request(&Method::GET, path, cookie).body(Body::empty()).unwrap()
}

fn post(path: &str, cookie: &str, body: &Value) -> Request<Body> {
    let request = request(&Method::POST, path, cookie).header(header::CONTENT_TYPE, "application/json");
    request.body(body.to_string().into()).unwrap()
}

fn patch(path: &str, cookie: &str, tag: Option<&str>, body: &Value) -> Request<Body> {
    let mut request = request(&Method::PATCH, path, cookie).header(header::CONTENT_TYPE, "application/json");
    if let Some(tag) = tag {
        request = request.header(header::IF_MATCH, tag);
    }
    request.body(body.to_string().into()).unwrap()
}

#[tokio::test]
async fn every_described_operation_is_in_a_table_and_the_other_way_round() {
    let description = serde_json::to_value(described_routes().into_openapi()).unwrap();
    let mut described: Vec<(String, String)> = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        described.extend(methods.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())));
    }
    // Pages for people are no operations.
    let undescribed =
        ["/agents/{name}", "/ask", "/api/docs", "/api/docs.css", "/api/v1/openapi.json", "/customer.css", "/join"];
    let public = PUBLIC.iter().filter(|(_, path)| !undescribed.contains(path) && !path.starts_with("/s/"));
    let listed =
        public.map(|(method, path)| (method, *path)).chain(ROUTES.iter().map(|(method, path, _)| (method, *path)));
    let mut listed: Vec<(String, String)> =
        listed.map(|(method, path)| (method.to_string(), path.to_owned())).collect();
    described.sort();
    listed.sort();
    assert_eq!(described, listed);
}

/// The web console's types are made from the checked-in description. After a change of the API:
/// `BELAY_REFRESH=1 cargo test -p belay-console checked_in_description && npm --prefix console/ui run api`
#[test]
fn the_checked_in_description_is_the_one_that_is_served() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/ui/openapi.json");
    let served = serde_json::to_value(described_routes().into_openapi()).unwrap();
    let served = format!("{}\n", serde_json::to_string_pretty(&served).unwrap());
    if std::env::var_os("BELAY_REFRESH").is_some() {
        fs_err::write(path, served).unwrap();
        return;
    }
    let same = fs_err::read_to_string(path).unwrap() == served;
    assert!(same, "console/ui/openapi.json is out of date; the comment of this test says how to refresh it");
}

#[test]
fn the_described_words_are_the_ones_that_are_sent() {
    let description = serde_json::to_value(described_routes().into_openapi()).unwrap();
    let described = |name: &str| description["components"]["schemas"][name]["enum"].clone();
    let sent = |words: &[&str]| json!(words);
    let states: Vec<&str> = TicketState::ALL.iter().map(|state| state.as_str()).collect();
    assert_eq!(described("TicketState"), sent(&states));
    assert_eq!(described("Priority"), sent(&["p1", "p2", "p3", "p4"]));
    assert_eq!(described("Role"), sent(&["technician", "supervisor", "admin", "auditor"]));
    assert_eq!(described("Severity"), sent(&["ok", "info", "warn", "crit", "unknown"]));
}

#[tokio::test]
async fn every_route_asks_for_a_sign_in_and_for_the_right_role() {
    let world = World::open().await;
    for (method, path, action) in ROUTES {
        let path = path.replace("{number}", "BL-10001-1").replace("{id}", "1");
        let (status, problem) = world.ask(request(method, &path, "").body(Body::empty()).unwrap()).await;
        assert_eq!((status, problem["code"].as_str()), (401, Some("not_signed_in")), "{method} {path}");
        for role in Role::ALL {
            let cookie = world.cookie(*role).await;
            let response = world.send(request(method, &path, &cookie).body(Body::empty()).unwrap()).await;
            let refused = response.status() == StatusCode::FORBIDDEN;
            assert_eq!(refused, !allows(*role, *action), "{role} {method} {path}: {}", response.status());
        }
    }
}

#[tokio::test]
async fn every_changing_route_refuses_foreign_pages() {
    let world = World::open().await;
    let cookie = world.cookie(Role::Admin).await;
    let routes =
        ROUTES.iter().map(|(method, path, _)| (method, *path)).chain(PUBLIC.iter().map(|(m, path)| (m, *path)));
    for (method, path) in routes.filter(|(method, _)| *method != Method::GET) {
        let path = path.replace("{number}", "BL-10001-1");
        let build = |change: fn(&mut axum::http::HeaderMap)| {
            let mut request = request(method, &path, &cookie).body(Body::empty()).unwrap();
            change(request.headers_mut());
            request
        };
        let foreign = build(|headers| {
            headers.insert(header::ORIGIN, "https://evil.example".parse().unwrap());
        });
        let other_port = build(|headers| {
            headers.insert(header::ORIGIN, "http://localhost:8081".parse().unwrap());
        });
        let opaque = build(|headers| {
            headers.insert(header::ORIGIN, "null".parse().unwrap());
        });
        let silent = build(|headers| {
            headers.remove(header::ORIGIN);
        });
        let cross_site = build(|headers| {
            headers.insert("sec-fetch-site", "same-site".parse().unwrap());
        });
        for refused in [foreign, other_port, opaque, silent, cross_site] {
            let (status, problem) = world.ask(refused).await;
            assert_eq!((status, problem["code"].as_str()), (403, Some("foreign_origin")), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_request_that_came_the_wrong_way_is_refused() {
    let world = World::open().await;
    let health = |arrival: Option<Arrival>, host: &str| {
        let mut request = Request::get("/api/v1/health").header(header::HOST, host).body(Body::empty()).unwrap();
        if let Some(arrival) = arrival {
            request.extensions_mut().insert(arrival);
        }
        request
    };
    let loopback = Some(Arrival::Plain(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    let elsewhere = Some(Arrival::Plain("192.0.2.7".parse().unwrap()));
    let proxy = Some(Arrival::Plain("10.0.0.1".parse().unwrap()));
    let tls = Some(Arrival::Tls("192.0.2.7".parse().unwrap()));
    for (arrival, host, expected) in [
        (loopback, "localhost:8080", 200),
        (loopback, "[::1]:8080", 200),
        (loopback, "help.example.com", 200),
        (loopback, "evil.example:8080", 421),
        (elsewhere, "localhost", 403),
        (proxy, "anything.example", 200),
        (tls, "help.example.com", 200),
        (None, "localhost", 403),
    ] {
        assert_eq!(world.ask(health(arrival, host)).await.0, expected, "{arrival:?} {host}");
    }
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let world = World::open().await;
    for path in ["/", "/api/v1/health", "/api/v1/tickets", "/api/nothing", "/api/docs", "/.well-known/belay"] {
        let response = world.send(get(path, "")).await;
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"), "{path}");
        assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        assert_eq!(response.headers()[header::REFERRER_POLICY], "no-referrer", "{path}");
        assert_eq!(response.headers()["cross-origin-opener-policy"], "same-origin", "{path}");
        let kept = response.headers()[header::CACHE_CONTROL].to_str().unwrap();
        assert_eq!(kept == "no-store", path.starts_with("/api"), "{path}: {kept}");
    }
}

#[tokio::test]
async fn a_ticket_is_opened_read_and_changed() {
    let world = World::open().await;
    let cookie = world.cookie(Role::Technician).await;
    let opened = world.open_ticket(&cookie).await;
    let path = format!("/api/v1/tickets/{}", opened["number"].as_str().unwrap());
    assert_eq!(world.ask(get(&path, &cookie)).await, (200, opened.clone()));
    assert_eq!(opened["channel"], "api");

    assert!(opened["owner"].is_string(), "whoever is there gets it: {opened}");

    let change = json!({ "state": "open", "impact": "high" });
    let (status, problem) = world.ask(patch(&path, &cookie, None, &change)).await;
    assert_eq!((status, problem["code"].as_str()), (428, Some("if_match_required")));
    let (status, changed) = world.ask(patch(&path, &cookie, Some("\"1\""), &change)).await;
    assert_eq!((status, &changed["state"], &changed["priority"]), (200, &json!("open"), &json!("p2")), "{changed}");
    let (status, problem) = world.ask(patch(&path, &cookie, Some("\"1\""), &change)).await;
    assert_eq!((status, &problem["code"], &problem["current_version"]), (412, &json!("stale_version"), &json!(2)));

    let (status, problem) = world.ask(patch(&path, &cookie, Some("\"2\""), &json!({ "state": "new" }))).await;
    assert_eq!((status, &problem["code"]), (409, &json!("illegal_move")));
    assert!(problem["allowed"].as_array().unwrap().contains(&json!("closed")), "{problem}");
    let close = json!({ "state": "closed", "closing": "spam" });
    let (status, _) = world.ask(patch(&path, &cookie, Some("\"2\""), &close)).await;
    assert_eq!(status, 200);
    let (status, problem) = world.ask(post(&format!("{path}/invites"), &cookie, &json!({}))).await;
    assert_eq!((status, &problem["code"]), (409, &json!("ticket_takes_no_sessions")));

    let (_, log) = world.ask(get(&format!("{path}/events"), &cookie)).await;
    assert_eq!(log["items"].as_array().unwrap().len(), 3);
    assert_eq!(world.ask(get("/api/v1/tickets/BL-10001-0", &cookie)).await.0, 404);
}

#[tokio::test]
async fn a_bad_body_is_refused_by_the_name_of_its_field() {
    let world = World::open().await;
    let cookie = world.cookie(Role::Technician).await;
    let check = async |body: &str, status: u16, field: Option<&str>| {
        let request =
            request(&Method::POST, "/api/v1/tickets", &cookie).header(header::CONTENT_TYPE, "application/json");
        let (actual, problem) = world.ask(request.body(body.to_owned().into()).unwrap()).await;
        assert_eq!((actual, problem["field"].as_str()), (status, field), "{body}: {problem}");
    };
    check(r#"{"title": 7, "customer": "x"}"#, 422, Some("title")).await;
    check(r#"{"title": "x"}"#, 422, Some("customer")).await;
    check(r#"{"title": " ", "customer": "x"}"#, 422, Some("title")).await;
    check(r#"{"title": "a\u0007b", "customer": "x"}"#, 422, Some("title")).await;
    check(r#"{"title": "x", "customer": "x", "impact": "huge"}"#, 422, Some("impact")).await;
    check(r#"{"title": "x", "customer": "x", "colour": "red"}"#, 422, Some("colour")).await;
    check(&format!(r#"{{"title": "{}", "customer": "x"}}"#, "x".repeat(257)), 422, Some("title")).await;
    check("{", 400, None).await;
    check(r#"{"title": "x", "customer": "x"} {}"#, 400, None).await;
    check(&" ".repeat(request::BODY_MAX_BYTES + 1), 413, None).await;
    let plain = request(&Method::POST, "/api/v1/tickets", &cookie).header(header::CONTENT_TYPE, "text/plain");
    assert_eq!(world.ask(plain.body(ticket().to_string().into()).unwrap()).await.0, 415);
    for (query, field) in [("limit=0", "limit"), ("limit=201", "limit"), ("cursor=x", "cursor"), ("state=x", "state")] {
        let (status, problem) = world.ask(get(&format!("/api/v1/tickets?{query}"), &cookie)).await;
        assert_eq!((status, problem["field"].as_str()), (422, Some(field)), "{query}");
    }
}

#[tokio::test]
async fn a_repeated_request_is_answered_again_and_done_once() {
    let world = World::open().await;
    let cookie = world.cookie(Role::Technician).await;
    let keyed = |path: &str, key: &str, body: &Value| {
        let mut request = post(path, &cookie, body);
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        request
    };
    let (_, first) = world.ask(keyed("/api/v1/tickets", "a", &ticket())).await;
    let (status, again) = world.ask(keyed("/api/v1/tickets", "a", &ticket())).await;
    assert_eq!((status, &again), (201, &first));
    let (status, problem) = world.ask(keyed("/api/v1/tickets", "a", &json!({"title": "y", "customer": "x"}))).await;
    assert_eq!((status, &problem["code"]), (422, &json!("idempotency_key_reused")));
    let invites = format!("/api/v1/tickets/{}/invites", first["number"].as_str().unwrap());
    let (_, minted) = world.ask(keyed(&invites, "b", &json!({}))).await;
    assert_eq!(world.ask(keyed(&invites, "b", &json!({}))).await.1, minted);
    assert_ne!(world.ask(keyed(&invites, "c", &json!({}))).await.1["code"], minted["code"]);
    let link: belay_protocol::invite::Invite = minted["link"].as_str().unwrap().parse().unwrap();
    assert_eq!((link.code.digits(), link.desk.as_str()), (minted["code"].as_str().unwrap().into(), "help.example.com"));
    assert_eq!(world.ask(keyed("/api/v1/tickets", "", &ticket())).await.0, 422);
}

#[tokio::test]
async fn lists_page_by_cursor() {
    let world = World::open().await;
    let cookie = world.cookie(Role::Technician).await;
    for _ in 0..3 {
        world.open_ticket(&cookie).await;
    }
    let (_, first) = world.ask(get("/api/v1/tickets?limit=2&state=new,open", &cookie)).await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let (_, second) = world.ask(get(&format!("/api/v1/tickets?limit=2&cursor={cursor}"), &cookie)).await;
    assert_eq!((first["items"].as_array().unwrap().len(), second["items"].as_array().unwrap().len()), (2, 1));
    assert_eq!(second["next_cursor"], Value::Null);
}

#[tokio::test]
async fn a_password_is_set_by_link_and_signs_in_and_out() {
    let world = World::open().await;
    let admin = world.cookie(Role::Admin).await;
    let (status, added) = world.ask(post("/api/v1/users", &admin, &json!({"name": "eva", "role": "technician"}))).await;
    assert_eq!(status, 201, "{added}");
    let token = added["link"].as_str().unwrap().strip_prefix("http://localhost:8080/setup#").unwrap();
    let set_up = json!({ "token": token, "password": "correct horse battery" });
    let short = json!({ "token": token, "password": "elevenchars" });
    assert_eq!(world.ask(post("/api/v1/setup", "", &short)).await.1["field"], "password");
    let response = world.send(post("/api/v1/setup", "", &set_up)).await;
    let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("belay=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
    assert_eq!(world.ask(post("/api/v1/setup", "", &set_up)).await.0, 401);

    let wrong = json!({ "name": "eva", "password": "wrong wrong wrong" });
    let unknown = json!({ "name": "nobody", "password": "wrong wrong wrong" });
    let (wrong, unknown) =
        (world.ask(post("/api/v1/session", "", &wrong)).await, world.ask(post("/api/v1/session", "", &unknown)).await);
    assert_eq!(wrong.0, 401);
    assert_eq!(wrong, unknown);

    let right = json!({ "name": "eva", "password": "correct horse battery" });
    let response = world.send(post("/api/v1/session", "", &right)).await;
    let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(world.ask(get("/api/v1/session", &cookie)).await.1["name"], "eva");
    let out = request(&Method::DELETE, "/api/v1/session", &cookie).body(Body::empty()).unwrap();
    assert_eq!(world.send(out).await.status(), 204);
    assert_eq!(world.ask(get("/api/v1/session", &cookie)).await.0, 401);
    assert_eq!(world.ask(get("/api/v1/session", "belay=x")).await.0, 401);
}

#[tokio::test]
async fn over_tls_the_cookie_is_bound_to_its_host() {
    let world = World::open().await;
    world.store.add_user(&Actor::Local, &Line::truncating("ada"), Role::Admin).await.unwrap();
    let link = world.store.mint_sign_in(&Actor::Local, "ada").await.unwrap();
    let mut request = post("/api/v1/session/link", "", &json!({ "token": link.token.reveal() }));
    request.extensions_mut().insert(Arrival::Tls("192.0.2.7".parse().unwrap()));
    let response = world.send(request).await;
    let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("__Host-belay=") && cookie.ends_with("; Secure"), "{cookie}");
    // The same token under the other name is not looked at.
    let pair = cookie.split(';').next().unwrap();
    assert_eq!(world.ask(get("/api/v1/session", pair)).await.0, 401);
}

#[tokio::test]
async fn failed_sign_ins_are_slowed_with_retry_after() {
    let world = World::open().await;
    let wrong = json!({ "name": "ada", "password": "wrong wrong wrong" });
    for _ in 0..5 {
        assert_eq!(world.ask(post("/api/v1/session", "", &wrong)).await.0, 401);
    }
    let response = world.send(post("/api/v1/session", "", &wrong)).await;
    assert_eq!((response.status().as_u16(), &response.headers()[header::RETRY_AFTER]), (429, &"15".parse().unwrap()));
    world.clock.advance(Duration::from_secs(15));
    assert_eq!(world.ask(post("/api/v1/session", "", &wrong)).await.0, 401);
}

#[tokio::test]
async fn live_events_resume_and_end_with_the_sign_in() {
    let world = World::open().await;
    let cookie = world.cookie(Role::Technician).await;
    let first = world.open_ticket(&cookie).await;
    world.open_ticket(&cookie).await;
    let mut request = get("/api/v1/events", &cookie);
    request.headers_mut().insert("last-event-id", "1".parse().unwrap());
    let mut body = world.send(request).await.into_body();
    let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
    let text = String::from_utf8(frame.to_vec()).unwrap();
    assert!(text.contains("id: 2\n") && text.contains("ticket_opened"), "{text}");
    assert!(!text.contains(first["number"].as_str().unwrap()), "{text}");
    world.open_ticket(&cookie).await;
    assert!(String::from_utf8_lossy(&body.frame().await.unwrap().unwrap().into_data().unwrap()).contains("id: 3\n"));
    world.clock.advance(Duration::from_secs(15 * 60));
    assert!(body.frame().await.is_none());
    let mut bad = get("/api/v1/events", &world.cookie(Role::Technician).await);
    bad.headers_mut().insert("last-event-id", "x".parse().unwrap());
    assert_eq!(world.ask(bad).await.0, 422);
}

#[tokio::test]
async fn the_desk_says_who_it_is() {
    let world = World::open().await;
    let (_, known) = world.ask(get("/.well-known/belay", "")).await;
    assert_eq!(known["name"], "Nordwind Help");
    assert_eq!(known["organization"], world.organization.organization_key().to_string());
    assert_eq!(known["relays"][0]["address"], "relay.example.com:4433");
    let (_, description) = world.ask(get("/api/v1/openapi.json", "")).await;
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    let page = world.send(get("/api/docs", "")).await.into_body().collect().await.unwrap().to_bytes();
    let page = String::from_utf8(page.to_vec()).unwrap();
    assert!(page.contains("/api/v1/tickets/{number}/invites") && page.contains("id=\"Ticket\""));
    assert!(!page.contains("<script") && !page.contains("style="));
}

#[tokio::test]
async fn pages_of_the_web_console_fall_back_and_the_api_does_not() {
    let world = World::open().await;
    for (path, expected) in [
        ("/", 200),
        ("/tickets/BL-10001-1", 200),
        ("/missing.js", 404),
        ("/api/v1/tickts", 404),
        ("/api", 404),
        ("/.well-known/other", 404),
    ] {
        assert_eq!(world.send(get(path, "")).await.status().as_u16(), expected, "{path}");
    }
    let mut cached = get("/", "");
    cached.headers_mut().insert(header::IF_NONE_MATCH, "\"1\"".parse().unwrap());
    assert_eq!(world.send(cached).await.status(), 304);
}

/// Ten minutes before the clock of a world begins: surveys of files were made a little later.
const BEFORE_MS: i64 = 1_767_225_000_000;

/// Files a report that was carried here for the device with this key, and says its id.
async fn import(world: &World, number: crate::number::TicketNumber, device: u8, facts: &Facts) -> i64 {
    let (key, bytes) = (belay_protocol::DeviceKey([device; 32]), facts.encode().unwrap());
    let contents = crate::contents::of(&key, facts);
    world.store.import_report(&Actor::Local, number, &key, bytes.into(), contents).await.unwrap().report.0
}

#[tokio::test]
async fn a_devices_reports_are_listed_and_plotted_with_gaps() {
    let world = World::open().await;
    let cookie = world.cookie(Role::Auditor).await;
    let number = world.open_ticket(&world.cookie(Role::Technician).await).await["number"].as_str().unwrap().parse();
    let number = number.unwrap();
    let (first, last) =
        (report(BEFORE_MS + 1, 0.5, vec![mount("/", 40)]), report(BEFORE_MS + 3, 5.0, vec![mount("/", 60)]));
    let undated = report(3, 0.5, vec![mount("/", 50)]);
    for facts in [first, withheld(BEFORE_MS + 2, "disk"), last, undated] {
        import(&world, number, 1, &facts).await;
    }
    import(&world, number, 2, &report(4, 0.5, vec![])).await;

    let (status, page) = world.ask(get("/api/v1/devices/1/reports?limit=2", &cookie)).await;
    assert_eq!((status, page["items"].as_array().unwrap().len()), (200, 2), "{page}");
    assert_eq!((&page["items"][0]["session"], &page["items"][0]["ok"]), (&Value::Null, &json!(3)));
    let rest = format!("/api/v1/devices/1/reports?cursor={}", page["next_cursor"].as_str().unwrap());
    assert_eq!(world.ask(get(&rest, &cookie)).await.1["items"].as_array().unwrap().len(), 2);

    let (status, series) = world.ask(get("/api/v1/devices/1/series", &cookie)).await;
    assert_eq!(status, 200, "{series}");
    assert_eq!(series["metrics"][0]["metric"], "disk_used_percent");
    assert_eq!(series["metrics"][0]["values"], json!([40.0, null, 60.0]));
    assert_eq!((&series["metrics"][0]["warn"], &series["metrics"][0]["crit"]), (&json!(95.0), &json!(97.0)));
    let read: Vec<_> = series["reports"].as_array().unwrap().iter().map(|report| &report["at_ms"]).collect();
    let times = [1, 2, 3].map(|ms| json!(BEFORE_MS + ms));
    assert_eq!((read, &series["more"]), (times.iter().collect(), &json!(false)));
    assert_eq!(series["undated"], 1);
    for path in ["/api/v1/devices/9/series", "/api/v1/devices/9/reports", "/api/v1/devices/x/series"] {
        assert_eq!(world.ask(get(path, &cookie)).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn two_reports_of_one_device_are_compared_and_others_are_refused() {
    let world = World::open().await;
    let cookie = world.cookie(Role::Technician).await;
    let number = world.open_ticket(&cookie).await["number"].as_str().unwrap().parse().unwrap();
    let first = import(&world, number, 1, &report(1, 0.5, vec![mount("/", 40)])).await;
    let second = import(&world, number, 1, &report(2, 0.5, vec![mount("/", 60)])).await;
    let other = import(&world, number, 2, &report(3, 0.5, vec![])).await;
    let path = |since: &str| format!("/api/v1/reports/{second}/changes{since}");
    let (status, changes) = world.ask(get(&path(&format!("?since={first}")), &cookie)).await;
    assert_eq!(status, 200, "{changes}");
    let fact = &changes["facts"][0];
    assert_eq!((&fact["before"], &fact["after"], &fact["section"]), (&json!(40), &json!(60), &json!("disk")));
    let (_, shown) = world.ask(get(&format!("/api/v1/reports/{second}/facts"), &cookie)).await;
    assert_eq!(shown.pointer(fact["path"].as_str().unwrap()), Some(&json!(60)));
    for since in [format!("?since={other}"), "?since=99".into()] {
        let (status, problem) = world.ask(get(&path(&since), &cookie)).await;
        assert_eq!((status, problem["field"].as_str()), (422, Some("since")), "{since}");
    }
    assert_eq!(world.ask(get(&path(""), &cookie)).await.0, 422);
    assert_eq!(world.ask(get(&format!("/api/v1/reports/99/changes?since={first}"), &cookie)).await.0, 404);
}

#[tokio::test]
async fn the_documentation_that_a_finding_names_is_shown() {
    let world = World::open().await;
    let cookie = world.cookie(Role::Technician).await;
    let (status, docs) = world.ask(get("/api/v1/rules/docs/space", &cookie)).await;
    assert_eq!((status, docs["title_en"].as_str()), (200, Some("Room on disks")), "{docs}");
    assert_eq!(world.ask(get("/api/v1/rules/docs/nothing", &cookie)).await.0, 404);
    // Newer rules bring their own, and rules that an upgrade of the console has overtaken bring none.
    for (number, title) in [(1, "Room on disks"), (2, "Room, second"), (3, "Room, third")] {
        let organization = Identity::generate().unwrap();
        let text = crate::rules::tests::version(number).replacen(
            "Room on disks",
            if number == 1 { "Room, first" } else { title },
            1,
        );
        let pack = PackId { version: number, ..Pack::base().pack_id() };
        let proof = crate::rules::tests::signer(&organization).sign(&text);
        world.store.publish_pack(&Actor::Local, NewPack { pack, text, proof }).await.unwrap();
        for _ in 0..2 {
            let (_, docs) = world.ask(get("/api/v1/rules/docs/space", &cookie)).await;
            assert_eq!(docs["title_en"], json!(title), "{number}");
        }
    }
}

#[tokio::test]
async fn a_series_ends_at_its_limit_and_says_that_there_is_more() {
    let world = World::open().await;
    let cookie = world.cookie(Role::Technician).await;
    let number = world.open_ticket(&cookie).await["number"].as_str().unwrap().parse().unwrap();
    let limit = i64::try_from(crate::series::SERIES_MAX_REPORTS).unwrap();
    for (newest, more) in [(limit, false), (limit + 1, true)] {
        let first = if more { limit + 1 } else { 1 };
        for at in first..=newest {
            import(&world, number, 1, &report(BEFORE_MS + at, 0.5, vec![mount("/", 40)])).await;
        }
        let (status, series) = world.ask(get("/api/v1/devices/1/series", &cookie)).await;
        assert_eq!((status, &series["more"]), (200, &json!(more)));
        let times = series["reports"].as_array().unwrap();
        assert_eq!((times.len() as i64, &times[0]["at_ms"]), (limit, &json!(BEFORE_MS + newest - limit + 1)));
        assert_eq!(series["metrics"][0]["values"], json!(vec![40.0; times.len()]));
    }
}

#[tokio::test]
async fn the_audit_is_verified_over_the_api() {
    let world = World::open().await;
    let cookie = world.cookie(Role::Auditor).await;
    let (_, lines) = world.ask(get("/api/v1/audit", &cookie)).await;
    let (status, verified) = world.ask(get("/api/v1/audit/verify", &cookie)).await;
    assert_eq!(status, 200);
    // The look at the lines may have its own by now.
    let written = lines["items"].as_array().unwrap().len() as i64;
    assert!((written..=written + 1).contains(&verified["lines"].as_i64().unwrap()), "{lines} {verified}");
}

#[tokio::test]
async fn a_device_is_revoked_and_restored_by_those_who_may() {
    let world = World::open().await;
    let cookie = world.cookie(Role::Supervisor).await;
    let number = world.open_ticket(&cookie).await["number"].as_str().unwrap().parse().unwrap();
    let minted = world.store.mint_invite(&Actor::Local, number, None).await.unwrap();
    let key = belay_protocol::DeviceKey([1; 32]);
    world.store.redeem_invite(&key, minted.code, None, None, None).await.unwrap();
    let (_, page) = world.ask(get("/api/v1/devices", &cookie)).await;
    assert_eq!(page["items"][0]["revoked"], Value::Null);
    let path = format!("/api/v1/devices/{}", page["items"][0]["id"]);
    let (revoke, restore) = (format!("{path}/revoke"), format!("{path}/restore"));

    let (status, problem) = world.ask(post(&revoke, &cookie, &json!({ "reason": " " }))).await;
    assert_eq!((status, problem["field"].as_str()), (422, Some("reason")));
    let (status, _) = world.ask(post("/api/v1/devices/99/revoke", &cookie, &json!({ "reason": "stolen" }))).await;
    assert_eq!(status, 404);
    let (status, device) = world.ask(post(&revoke, &cookie, &json!({ "reason": "stolen" }))).await;
    assert_eq!((status, device["revoked"]["reason"].as_str()), (200, Some("stolen")));
    assert!(device["revoked"]["by"].as_str().unwrap().starts_with("user:"), "{device}");
    assert_eq!(world.ask(get(&path, &cookie)).await.1, device);
    let (_, sessions) = world.ask(get("/api/v1/sessions", &cookie)).await;
    assert_eq!(sessions["items"][0]["end_reason"], "technician");
    let (status, device) = world.ask(post(&restore, &cookie, &Value::Null)).await;
    assert_eq!((status, &device["revoked"]), (200, &Value::Null));
}
