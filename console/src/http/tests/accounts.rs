//! Accounts over the API: sign-ins, second factors, passkeys, fresh proofs, tokens of programs, the first admin.

use super::*;
use crate::passkey::soft::SoftPasskey;
use crate::store::{IDLE_LIFE, STEP_UP_LIFE, UserId};
use crate::totp::Seed;

const PASSWORD: &str = "correct horse battery";
const OTHER_PASSWORD: &str = "staple battery horse";

/// The cookie that an answer sets.
fn cookie_of(response: &Response<Body>) -> String {
    let cookie = response.headers().get(header::SET_COOKIE).expect("the answer signs in");
    cookie.to_str().unwrap().split(';').next().unwrap().to_owned()
}

impl World {
    /// A user with a password, signed in by setting it.
    pub(super) async fn user(&self, name: &str, role: Role) -> (UserId, String) {
        let link = self.store.add_user(&Actor::Local, &Line::truncating(name), role).await.unwrap();
        let set_up = json!({ "token": link.token.reveal(), "password": PASSWORD });
        let response = self.send(post("/api/v1/setup", "", &set_up)).await;
        (link.user.id, cookie_of(&response))
    }

    /// The problem that answers a request; a success is not read, because a live stream would never end.
    async fn refusal(&self, request: Request<Body>) -> (u16, Value) {
        let response = self.send(request).await;
        let status = response.status();
        if status.is_success() { (status.as_u16(), Value::Null) } else { read(response).await }
    }

    async fn sign_in(&self, name: &str) -> Response<Body> {
        self.send(post("/api/v1/session", "", &json!({ "name": name, "password": PASSWORD }))).await
    }

    async fn is_signed_in(&self, cookie: &str) -> bool {
        self.send(get("/api/v1/session", cookie)).await.status() == 200
    }

    pub(super) async fn enrol(&self, cookie: &str) -> (Seed, Value) {
        let (status, begun) = self.ask(post("/api/v1/account/totp", cookie, &Value::Null)).await;
        assert_eq!(status, 201, "{begun}");
        assert!(begun["uri"].as_str().unwrap().starts_with("otpauth://totp/Nordwind%20Help:"), "{begun}");
        assert!(begun["qr_path"].as_str().unwrap().starts_with("M4 4h1v1h-1z"), "{begun}");
        let secret = begun["secret"].as_str().unwrap();
        let seed = Seed::kept(data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap());
        let code = json!({ "code": seed.code(self.clock.now()) });
        let (status, codes) = self.ask(post("/api/v1/account/totp/confirm", cookie, &code)).await;
        assert_eq!((status, codes["codes"].as_array().unwrap().len()), (200, 10), "{codes}");
        self.clock.advance(Duration::from_secs(30));
        (seed, codes["codes"].clone())
    }

    pub(super) async fn passkey(&self, cookie: &str) -> (SoftPasskey, Value) {
        let mut passkey = SoftPasskey::new("http://localhost:8080");
        let (status, begun) = self.ask(post("/api/v1/account/passkeys/begin", cookie, &Value::Null)).await;
        assert_eq!(status, 200, "{begun}");
        let made = passkey.register(&begun["options"]);
        let new = json!({ "name": "Phone", "challenge": begun["challenge"], "credential": made });
        let (status, added) = self.ask(post("/api/v1/account/passkeys", cookie, &new)).await;
        assert_eq!(status, 201, "{added}");
        (passkey, added)
    }

    async fn assertion(&self, passkey: &mut SoftPasskey) -> Value {
        let (_, begun) = self.ask(post("/api/v1/session/passkey/begin", "", &Value::Null)).await;
        json!({ "challenge": begun["challenge"], "credential": passkey.sign(&begun["options"]) })
    }

    pub(super) async fn token(&self, cookie: &str, actions: &[&str]) -> (String, i64) {
        let new = json!({ "name": "Import", "actions": actions, "days": 30 });
        let (status, made) = self.ask(post("/api/v1/account/tokens", cookie, &new)).await;
        assert_eq!(status, 201, "{made}");
        (made["token"].as_str().unwrap().to_owned(), made["id"].as_i64().unwrap())
    }
}

fn code(answer: &(u16, Value)) -> (u16, Option<&str>) {
    (answer.0, answer.1["code"].as_str())
}

fn with(method: Method, path: &str, cookie: &str) -> Request<Body> {
    request(&method, path, cookie).body(Body::empty()).unwrap()
}

/// A request of a program: no cookie, no origin.
fn by_program(method: Method, path: &str, token: &str, body: &Value) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .extension(Arrival::Plain(IpAddr::V4(Ipv4Addr::LOCALHOST)))
        .header(header::HOST, "localhost:8080")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.to_string().into())
        .unwrap()
}

#[tokio::test]
async fn ones_sign_ins_are_listed_and_ended_and_their_streams_with_them() {
    let world = World::open().await;
    let (id, first) = world.user("ada", Role::Technician).await;
    let mut request = post("/api/v1/session", "", &json!({ "name": "ada", "password": PASSWORD }));
    request.headers_mut().insert(header::USER_AGENT, "x".repeat(900).parse().unwrap());
    let second = cookie_of(&world.send(request).await);
    let (_, listed) = world.ask(get("/api/v1/sign-ins", &second)).await;
    let items = listed["items"].as_array().unwrap();
    assert_eq!((items[0]["current"].as_bool(), items[1]["current"].as_bool()), (Some(true), Some(false)), "{listed}");
    assert_eq!((items[0]["source"].as_str(), items[0]["by"].as_str()), (Some("127.0.0.1"), Some("password")));
    assert_eq!(items[0]["agent"].as_str().unwrap().len(), 200);

    // An admin is told of both, and not where they are.
    let (_, admin) = world.user("eva", Role::Admin).await;
    let path = format!("/api/v1/users/{id}/sign-ins");
    let (_, told) = world.ask(get(&path, &admin)).await;
    assert_eq!((told["items"].as_array().unwrap().len(), &told["items"][0]["source"]), (2, &Value::Null), "{told}");

    let mut stream = world.send(get("/api/v1/events", &first)).await.into_body();
    let ended = format!("/api/v1/sign-ins/{}", items[1]["id"]);
    assert_eq!(world.send(with(Method::DELETE, &ended, &second)).await.status(), 204);
    assert!(stream.frame().await.is_none() && !world.is_signed_in(&first).await);
    assert_eq!(world.send(with(Method::DELETE, &ended, &second)).await.status(), 404);
    // Somebody else's is not there, also not for an admin.
    let foreign = format!("/api/v1/sign-ins/{}", items[0]["id"]);
    assert_eq!(world.send(with(Method::DELETE, &foreign, &admin)).await.status(), 404);

    let mut stream = world.send(get("/api/v1/events", &second)).await.into_body();
    assert_eq!(world.send(with(Method::DELETE, &path, &admin)).await.status(), 204);
    assert!(stream.frame().await.is_none() && !world.is_signed_in(&second).await);
    assert!(world.is_signed_in(&admin).await);
}

#[tokio::test]
async fn a_second_factor_is_asked_for_and_answered_once() {
    let world = World::open().await;
    let (_, cookie) = world.user("ada", Role::Technician).await;
    let (seed, codes) = world.enrol(&cookie).await;
    let response = world.sign_in("ada").await;
    assert!(!response.headers().contains_key(header::SET_COOKIE));
    let asked = read(response).await;
    assert_eq!(code(&asked), (401, Some("second_factor_required")));
    let answer = |code: &str| json!({ "challenge": asked.1["challenge"], "code": code });
    let wrong = world.ask(post("/api/v1/session/second-factor", "", &answer("000000"))).await;
    assert_eq!(code(&wrong), (401, Some("wrong_code")));
    let right = answer(&seed.code(world.clock.now()));
    let response = world.send(post("/api/v1/session/second-factor", "", &right)).await;
    assert!(world.is_signed_in(&cookie_of(&response)).await);
    let again = world.ask(post("/api/v1/session/second-factor", "", &answer(codes[0].as_str().unwrap()))).await;
    assert_eq!(code(&again), (401, Some("challenge_not_valid")));
    let (_, factors) = world.ask(get("/api/v1/account/factors", &cookie)).await;
    assert_eq!(factors, json!({ "password": true, "totp": true, "recovery_codes": 10, "passkeys": 0 }));
    let twice = world.ask(post("/api/v1/account/totp", &cookie, &Value::Null)).await;
    assert_eq!(code(&twice), (409, Some("second_factor_exists")));
    assert_eq!(world.send(with(Method::DELETE, "/api/v1/account/totp", &cookie)).await.status(), 204);
    assert_eq!(world.sign_in("ada").await.status(), 200);
}

#[tokio::test]
async fn a_passkey_is_registered_signs_in_and_is_removed() {
    let world = World::open().await;
    let (_, cookie) = world.user("ada", Role::Technician).await;
    let (mut passkey, added) = world.passkey(&cookie).await;
    let answered = world.assertion(&mut passkey).await;
    let response = world.send(post("/api/v1/session/passkey", "", &answered)).await;
    assert_eq!(world.ask(get("/api/v1/session", &cookie_of(&response))).await.1["name"], "ada");
    let nonsense = json!({ "challenge": "x", "credential": {} });
    let refused = world.ask(post("/api/v1/session/passkey", "", &nonsense)).await;
    assert_eq!((refused.0, &refused.1["field"]), (422, &json!("credential")));
    assert_eq!(world.ask(get("/api/v1/account/passkeys", &cookie)).await.1["items"][0]["name"], "Phone");
    let path = format!("/api/v1/account/passkeys/{}", added["id"]);
    assert_eq!(world.send(with(Method::DELETE, &path, &cookie)).await.status(), 204);
    let answered = world.assertion(&mut passkey).await;
    let refused = world.ask(post("/api/v1/session/passkey", "", &answered)).await;
    assert_eq!(code(&refused), (401, Some("unknown_passkey")));
}

#[tokio::test]
async fn passkeys_say_that_they_need_a_name() {
    let world = World::open_as("http://127.0.0.1:8080", None).await;
    let refused = world.ask(post("/api/v1/session/passkey/begin", "", &Value::Null)).await;
    assert_eq!(code(&refused), (409, Some("passkeys_need_a_name")));
    assert!(refused.1["detail"].as_str().unwrap().contains("host name"), "{}", refused.1);
}

#[tokio::test]
async fn what_is_about_people_asks_for_a_fresh_proof() {
    let world = World::open().await;
    let (_, cookie) = world.user("ada", Role::Admin).await;
    let add = json!({ "name": "eva", "role": "technician" });
    world.clock.advance(STEP_UP_LIFE);
    for (method, path, action) in ROUTES.iter().filter(|(_, path, _)| *path != "/api/v1/session") {
        let path = path.replace("{id}", "99").replace("{number}", "BL-10001-1");
        let (status, problem) = world.refusal(with(method.clone(), &path, &cookie)).await;
        let is_asked = (status, problem["code"].as_str()) == (403, Some("step_up_required"));
        let asks = matches!(action, Action::ManageUsers | Action::SecureOwnAccount | Action::ExportAudit);
        assert_eq!(is_asked, asks, "{method} {path}: {problem}");
    }
    let step_up = async |body: Value| world.ask(post("/api/v1/session/step-up", &cookie, &body)).await;
    assert_eq!(code(&step_up(json!({ "password": "wrong" })).await), (401, Some("wrong_name_or_password")));
    assert_eq!(step_up(json!({})).await.0, 422);
    assert_eq!(step_up(json!({ "password": PASSWORD, "code": "1" })).await.0, 422);
    let (status, until) = step_up(json!({ "password": PASSWORD })).await;
    assert_eq!((status, until["until_ms"].as_i64()), (200, Some(world.clock.now().plus(STEP_UP_LIFE).0)));
    assert_eq!(world.ask(post("/api/v1/users", &cookie, &add)).await.0, 201);
    let (_, me) = world.ask(get("/api/v1/session", &cookie)).await;
    assert_eq!(me["stepped_up_until_ms"], until["until_ms"]);

    // With an app, the password is not enough; a passkey is.
    let (seed, _) = world.enrol(&cookie).await;
    let (mut passkey, _) = world.passkey(&cookie).await;
    assert_eq!(code(&step_up(json!({ "password": PASSWORD })).await), (422, Some("code_asked")));
    world.clock.advance(STEP_UP_LIFE);
    assert_eq!(world.ask(post("/api/v1/account/recovery-codes", &cookie, &Value::Null)).await.0, 403);
    assert_eq!(step_up(json!({ "code": seed.code(world.clock.now()) })).await.0, 200);
    assert_eq!(world.ask(post("/api/v1/account/recovery-codes", &cookie, &Value::Null)).await.0, 200);
    world.clock.advance(STEP_UP_LIFE);
    let answered = world.assertion(&mut passkey).await;
    assert_eq!(step_up(json!({ "passkey": answered })).await.0, 200);
}

#[tokio::test]
async fn the_local_socket_proves_nothing_and_has_no_account() {
    let world = World::open().await;
    let local = |method: Method, path: &str, body: &Value| {
        let request = Request::builder().method(method).uri(path).extension(Arrival::Socket);
        let request = request.header(header::HOST, "console").header(header::CONTENT_TYPE, "application/json");
        request.body(Body::from(body.to_string())).unwrap()
    };
    let add = json!({ "name": "eva", "role": "technician" });
    assert_eq!(world.ask(local(Method::POST, "/api/v1/users", &add)).await.0, 201);
    for path in ["/api/v1/sign-ins", "/api/v1/account/tokens", "/api/v1/account/factors"] {
        assert_eq!(world.ask(local(Method::GET, path, &Value::Null)).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn a_program_does_what_its_token_and_its_maker_may() {
    let world = World::open().await;
    let (id, cookie) = world.user("ada", Role::Supervisor).await;
    let (token, number) = world.token(&cookie, &["read_desk", "work_on_tickets"]).await;
    let (status, opened) = world.ask(by_program(Method::POST, "/api/v1/tickets", &token, &ticket())).await;
    assert_eq!((status, opened["channel"].as_str()), (201, Some("api")), "{opened}");
    let lines = world.store.audit_lines_after(0, 1_000).await.unwrap();
    let actor = format!("\"actor\":\"token:{number} of user:{id}\",\"action\":\"ticket.open\"");
    assert!(lines.iter().any(|line| line.contains(&actor)), "{lines:?}");

    // Every other route is refused, also those that its maker may use.
    for (method, path, action) in ROUTES {
        let path = path.replace("{number}", "BL-10001-1").replace("{id}", "1");
        let (status, problem) = world.refusal(by_program(method.clone(), &path, &token, &Value::Null)).await;
        let refused = (status, problem["code"].as_str()) == (403, Some("not_allowed"));
        let given = matches!(action, Action::ReadDesk | Action::WorkOnTickets);
        assert_eq!(refused, !given, "{method} {path}: {status} {problem}");
    }
    let more = json!({ "name": "x", "actions": ["manage_users"], "days": 1 });
    assert_eq!(world.ask(post("/api/v1/account/tokens", &cookie, &more)).await.1["field"], "actions");
    let longer = json!({ "name": "x", "actions": ["read_desk"], "days": 366 });
    assert_eq!(world.ask(post("/api/v1/account/tokens", &cookie, &longer)).await.1["field"], "days");

    // What the maker may no longer do, the program may not either.
    world.store.add_user(&Actor::Local, &Line::truncating("eva"), Role::Admin).await.unwrap();
    world.store.change_role(&Actor::Local, id, Role::Auditor).await.unwrap();
    let refused = world.ask(by_program(Method::POST, "/api/v1/tickets", &token, &ticket())).await;
    assert_eq!(code(&refused), (403, Some("not_allowed")));
    assert_eq!(world.ask(by_program(Method::GET, "/api/v1/tickets", &token, &Value::Null)).await.0, 200);

    let mut stream = world.send(by_program(Method::GET, "/api/v1/events", &token, &Value::Null)).await.into_body();
    let path = format!("/api/v1/account/tokens/{number}");
    assert_eq!(world.send(with(Method::DELETE, &path, &cookie)).await.status(), 204);
    assert!(stream.frame().await.is_none());
    let refused = world.ask(by_program(Method::GET, "/api/v1/tickets", &token, &Value::Null)).await;
    assert_eq!(code(&refused), (401, Some("token_not_valid")));
}

#[tokio::test]
async fn a_token_is_no_way_around_the_check_of_where_a_page_is_from() {
    let world = World::open().await;
    let (_, cookie) = world.user("ada", Role::Supervisor).await;
    let foreign = |path: &str, body: &Value| {
        let mut request = post(path, &cookie, body);
        request.headers_mut().insert(header::ORIGIN, "https://evil.example".parse().unwrap());
        request.headers_mut().insert(header::AUTHORIZATION, "Bearer belay_x".parse().unwrap());
        request
    };
    // Whoever sends a token is known by it alone, whatever cookie comes along.
    assert_eq!(code(&world.ask(foreign("/api/v1/tickets", &ticket())).await), (401, Some("token_not_valid")));
    let credentials = json!({ "name": "ada", "password": PASSWORD });
    assert_eq!(code(&world.ask(foreign("/api/v1/session", &credentials)).await), (403, Some("foreign_origin")));
}

#[tokio::test]
async fn the_first_admin_is_made_by_the_printed_secret_and_then_the_way_is_gone() {
    let secret = Token::generate();
    let world = World::open_as("http://localhost:8080", Some(secret.clone())).await;
    let make = |secret: &str| json!({ "secret": secret, "name": "ada", "password": PASSWORD });
    let wrong = world.ask(post(FIRST_ADMIN, "", &make("wrong"))).await;
    assert_eq!(code(&wrong), (401, Some("wrong_secret")));
    let response = world.send(post(FIRST_ADMIN, "", &make(secret.reveal()))).await;
    assert_eq!(world.ask(get("/api/v1/session", &cookie_of(&response))).await.1["role"], "admin");
    assert_gone(&world, &make(secret.reveal())).await;
}

#[tokio::test]
async fn a_desk_with_users_has_no_way_to_a_first_admin() {
    let world = World::open().await;
    assert_gone(&world, &json!({ "secret": "", "name": "ada", "password": PASSWORD })).await;
    // Nor has one whose users came by the command line after the start.
    let secret = Token::generate();
    let world = World::open_as("http://localhost:8080", Some(secret.clone())).await;
    world.user("eva", Role::Technician).await;
    assert_gone(&world, &json!({ "secret": secret.reveal(), "name": "ada", "password": PASSWORD })).await;
}

/// Asks under every spelling; each is answered like a path that has never been.
async fn assert_gone(world: &World, body: &Value) {
    let spellings = [
        "/api/v1/first-admin",
        "/api/v1/first-admin/",
        "/api/v1//first-admin",
        "//api/v1/first-admin",
        "/api/v1/./first-admin",
        "/api/v1/x/../first-admin",
        "/api/v1/First-Admin",
        "/API/V1/FIRST-ADMIN",
        "/api/v1/first%2Dadmin",
        "/api/v1/first-admi%6E",
        "/api/v1/%66irst-admin",
        "/api%2Fv1%2Ffirst-admin",
        "/api/v1/first-admin?x=1",
        "/api/v1/first-admin;x=1",
        "/api/v1/first-admin%00",
        "/api/v1/first-admin%20",
    ];
    let users = world.store.count_users().await.unwrap();
    for path in spellings {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS, Method::GET] {
            let ask = async |path: &str| {
                let request = request(&method, path, "").header(header::CONTENT_TYPE, "application/json");
                world.ask(request.body(body.to_string().into()).unwrap()).await
            };
            let never = ask(&path.replace("irst", "urst").replace("IRST", "URST")).await;
            assert_eq!(ask(path).await, never, "{method} {path}");
        }
    }
    assert_eq!(world.store.count_users().await.unwrap(), users);
}

#[tokio::test]
async fn a_password_is_changed_by_its_user_and_ends_the_others() {
    let world = World::open().await;
    let (_, cookie) = world.user("ada", Role::Technician).await;
    let other = cookie_of(&world.sign_in("ada").await);
    let change = async |old: &str, new: &str| {
        world.ask(post("/api/v1/session/password", &cookie, &json!({ "old": old, "password": new }))).await
    };
    assert_eq!(code(&change("wrong", OTHER_PASSWORD).await), (401, Some("wrong_password")));
    assert_eq!(code(&change(PASSWORD, "passwordpassword").await), (422, Some("password_guessed")));
    assert_eq!(change(PASSWORD, OTHER_PASSWORD).await.0, 204);
    assert!(world.is_signed_in(&cookie).await && !world.is_signed_in(&other).await);
    assert_eq!(world.sign_in("ada").await.status(), 401);
}

#[tokio::test]
async fn a_role_is_changed_and_the_last_admin_stays() {
    let world = World::open().await;
    let (id, admin) = world.user("ada", Role::Admin).await;
    let (other, technician) = world.user("eva", Role::Technician).await;
    let change = async |id: UserId, role: &str| {
        world.ask(patch(&format!("/api/v1/users/{id}"), &admin, None, &json!({ "role": role }))).await
    };
    assert_eq!(code(&change(id, "auditor").await), (409, Some("last_admin")));
    assert_eq!(world.ask(get("/api/v1/audit", &technician)).await.0, 403);
    assert_eq!(change(other, "auditor").await.1["role"], "auditor");
    assert_eq!(world.ask(get("/api/v1/audit", &technician)).await.0, 200);
    world.clock.advance(IDLE_LIFE);
    assert!(!world.is_signed_in(&admin).await);
}
