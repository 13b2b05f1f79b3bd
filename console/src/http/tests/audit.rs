//! Who did what, and who looked at what: a line for each.

use belay_protocol::saved::{SavedReport, signed_bytes};

use super::*;
use crate::store::{DeviceId, UserId};

/// What the examples are about: one of everything, made through the store.
struct Scene {
    world: World,
    cookie: String,
    number: String,
    device: DeviceId,
    other: UserId,
}

const PASSWORD: &str = "correct horse battery";

impl Scene {
    async fn open() -> Self {
        let world = World::open().await;
        let link = world.store.add_user(&Actor::Local, &Line::truncating("ada"), Role::Admin).await.unwrap();
        let (token, _) = world.store.set_up(&link.token, PASSWORD, &Visitor::default()).await.unwrap();
        let other = world.store.add_user(&Actor::Local, &Line::truncating("eva"), Role::Admin).await.unwrap().user.id;
        let cookie = format!("belay={}", token.reveal());
        let number = world.open_ticket(&cookie).await["number"].as_str().unwrap().to_owned();
        import(&world, number.parse().unwrap(), 1, &report(BEFORE_MS, 0.5, vec![])).await;
        let device = world.store.list_devices(None, None, 1).await.unwrap().remove(0).id;
        Self { world, cookie, number, device, other }
    }

    fn send(&self, method: &Method, path: &str, body: &Value) -> Request<Body> {
        let request = request(method, path, &self.cookie).header(header::CONTENT_TYPE, "application/json");
        request.header(header::IF_MATCH, "\"1\"").body(body.to_string().into()).unwrap()
    }

    /// A link to another ticket.
    async fn link(&self) -> Value {
        json!({ "kind": "duplicate_of", "to": self.world.open_ticket(&self.cookie).await["number"] })
    }

    /// The path of something that is made in a list.
    async fn made(&self, list: &str, body: &Value) -> String {
        let (status, made) = self.world.ask(post(list, &self.cookie, body)).await;
        assert_eq!(status, 201, "{made}");
        format!("{list}/{}", made["id"])
    }

    /// The path of a company.
    async fn company(&self) -> String {
        self.made("/api/v1/organizations", &json!({ "name": "Westwind" })).await
    }

    /// The path of a product of it.
    async fn product(&self) -> String {
        self.made(&format!("{}/products", self.company().await), &json!({ "name": "Drucker" })).await
    }

    /// Two people of it.
    async fn people(&self) -> [Value; 2] {
        let list = format!("{}/contacts", self.company().await);
        let (_, one) = self.world.ask(post(&list, &self.cookie, &json!({ "name": "Ada" }))).await;
        let (_, other) = self.world.ask(post(&list, &self.cookie, &json!({ "name": "Bo" }))).await;
        [one["id"].clone(), other["id"].clone()]
    }

    /// The path of something to be done on the ticket.
    async fn item(&self) -> String {
        let list = format!("/api/v1/tickets/{}/checklist", self.number);
        let (_, items) = self.world.ask(post(&list, &self.cookie, &json!({ "items": ["look"] }))).await;
        format!("{list}/{}", items[0]["id"])
    }

    /// A request that succeeds, for each route that changes something. A new one needs its own here.
    async fn example(&self, method: &Method, path: &str) -> Option<Request<Body>> {
        let (number, device, other) = (&self.number, self.device, self.other);
        let reason = json!({ "reason": "because" });
        let none = Value::Null;
        let at = |path: &str, body: &Value| Some(self.send(method, path, body));
        match (method.as_str(), path) {
            ("DELETE", "/api/v1/session") => at(path, &none),
            ("POST", "/api/v1/tickets") => at(path, &ticket()),
            ("PATCH", "/api/v1/tickets/{number}") => {
                at(&format!("/api/v1/tickets/{number}"), &json!({ "title": "Another title" }))
            }
            ("POST", "/api/v1/tickets/{number}/articles") => {
                at(&format!("/api/v1/tickets/{number}/articles"), &json!({ "visibility": "internal", "body": "heard" }))
            }
            ("POST", "/api/v1/tickets/{number}/attachments") => {
                let mut request =
                    self.send(method, &format!("/api/v1/tickets/{number}/attachments?name=log.txt"), &none);
                request.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
                Some(request)
            }
            ("POST", "/api/v1/tickets/{number}/links") => {
                at(&format!("/api/v1/tickets/{number}/links"), &self.link().await)
            }
            ("DELETE", "/api/v1/tickets/{number}/links/{id}") => {
                let made = post(&format!("/api/v1/tickets/{number}/links"), &self.cookie, &self.link().await);
                let (_, link) = self.world.ask(made).await;
                at(&format!("/api/v1/tickets/{number}/links/{}", link["id"]), &none)
            }
            ("POST", "/api/v1/tickets/{number}/verify") => {
                let path = format!("/api/v1/tickets/{number}");
                let how = json!({ "cause": "dust", "fix": "cleaned", "prevention": "filter" });
                let resolve = json!({ "state": "resolved", "resolution": how });
                let resolved = self.world.ask(self.send(&Method::PATCH, &path, &resolve)).await;
                assert_eq!(resolved.0, 200, "{}", resolved.1);
                at(&format!("{path}/verify"), &json!({ "words": "Ada: it is quiet" }))
            }
            ("POST", "/api/v1/tickets/{number}/merge") => {
                at(&format!("/api/v1/tickets/{number}/merge"), &json!({ "into": self.link().await["to"] }))
            }
            ("POST", "/api/v1/tickets/{number}/follow-up") => {
                at(&format!("/api/v1/tickets/{number}/follow-up"), &ticket())
            }
            ("POST", "/api/v1/groups") => at(path, &json!({ "name": "Network" })),
            ("PATCH", "/api/v1/groups/{id}") => {
                let (_, groups) = self.world.ask(get("/api/v1/groups", &self.cookie)).await;
                at(&format!("/api/v1/groups/{}", groups[0]["id"]), &json!({ "name": "First line" }))
            }
            ("PUT", "/api/v1/assignment-rules") => at(path, &json!([{ "word": "VPN", "group": "Support" }])),
            ("POST", "/api/v1/tickets/{number}/invites") => {
                at(&format!("/api/v1/tickets/{number}/invites"), &json!({}))
            }
            ("POST", "/api/v1/tickets/{number}/reports") => {
                let mut request = self.send(method, &format!("/api/v1/tickets/{number}/reports"), &none);
                request.headers_mut().insert(header::CONTENT_TYPE, SAVED_REPORT.parse().unwrap());
                *request.body_mut() = saved().into();
                Some(request)
            }
            ("POST", "/api/v1/devices/{id}/revoke") => at(&format!("/api/v1/devices/{device}/revoke"), &reason),
            ("POST", "/api/v1/devices/{id}/restore") => {
                let revoke = post(&format!("/api/v1/devices/{device}/revoke"), &self.cookie, &reason);
                assert_eq!(self.world.ask(revoke).await.0, 200);
                at(&format!("/api/v1/devices/{device}/restore"), &none)
            }
            ("POST", "/api/v1/rules") => {
                let text = crate::rules::tests::version(2);
                let proof = crate::rules::tests::signer(&self.world.organization).sign(&text);
                at(path, &json!({ "text": text, "proof": proof }))
            }
            ("POST", "/api/v1/rules/rerun") => at(path, &json!({})),
            ("PUT", "/api/v1/priority-matrix") => {
                let (_, mut matrix) = self.world.ask(get(path, &self.cookie)).await;
                matrix["low"]["low"] = json!("p1");
                at(path, &matrix)
            }
            ("POST", "/api/v1/organizations") => at(path, &json!({ "name": "Südwind" })),
            ("PATCH", "/api/v1/organizations/{id}") => at(&self.company().await, &json!({ "name": "Ostwind" })),
            ("POST", "/api/v1/organizations/{id}/contacts") => {
                at(&format!("{}/contacts", self.company().await), &json!({ "name": "Bo" }))
            }
            ("POST", "/api/v1/organizations/{id}/products") => {
                at(&format!("{}/products", self.company().await), &json!({ "name": "Drucker" }))
            }
            ("PUT", "/api/v1/organizations/{id}/products/{product}") => {
                at(&self.product().await, &json!({ "name": "Plotter" }))
            }
            ("DELETE", "/api/v1/organizations/{id}/products/{product}") => at(&self.product().await, &none),
            ("PATCH", "/api/v1/contacts/{id}") => {
                at(&format!("/api/v1/contacts/{}", self.people().await[0]), &json!({ "name": "Cy" }))
            }
            ("POST", "/api/v1/contacts/{id}/merge") => {
                let [from, into] = self.people().await;
                at(&format!("/api/v1/contacts/{from}/merge"), &json!({ "into": into }))
            }
            ("DELETE", "/api/v1/contacts/{id}/merge") => {
                let [from, into] = self.people().await;
                let merge = format!("/api/v1/contacts/{from}/merge");
                assert_eq!(self.world.ask(post(&merge, &self.cookie, &json!({ "into": into }))).await.0, 200);
                at(&merge, &none)
            }
            ("POST", "/api/v1/checklists") => at(path, &json!({ "name": "Laptop", "items": ["mail"] })),
            ("PUT", "/api/v1/checklists/{id}") => at(
                &self.made("/api/v1/checklists", &json!({ "name": "a", "items": ["x"] })).await,
                &json!({ "name": "b", "items": ["y"] }),
            ),
            ("DELETE", "/api/v1/checklists/{id}") => {
                at(&self.made("/api/v1/checklists", &json!({ "name": "a", "items": ["x"] })).await, &none)
            }
            ("POST", "/api/v1/tickets/{number}/checklist") => {
                at(&format!("/api/v1/tickets/{number}/checklist"), &json!({ "items": ["look"] }))
            }
            ("PATCH", "/api/v1/tickets/{number}/checklist/{id}") => at(&self.item().await, &json!({ "done": true })),
            ("DELETE", "/api/v1/tickets/{number}/checklist/{id}") => at(&self.item().await, &none),
            ("POST", "/api/v1/macros") => at(path, &json!({ "name": "Take", "steps": { "take": true } })),
            ("PUT", "/api/v1/macros/{id}") => {
                let made = self.made("/api/v1/macros", &json!({ "name": "a", "steps": { "take": true } })).await;
                at(&made, &json!({ "name": "b", "steps": { "impact": "low" } }))
            }
            ("DELETE", "/api/v1/macros/{id}") => {
                at(&self.made("/api/v1/macros", &json!({ "name": "a", "steps": { "take": true } })).await, &none)
            }
            ("POST", "/api/v1/tickets/{number}/macros/{id}") => {
                let made = self.made("/api/v1/macros", &json!({ "name": "a", "steps": { "tags": ["x"] } })).await;
                let id = made.rsplit('/').next().unwrap().to_owned();
                let (_, now) = self.world.ask(get(&format!("/api/v1/tickets/{number}"), &self.cookie)).await;
                let mut request = self.send(method, &format!("/api/v1/tickets/{number}/macros/{id}"), &none);
                request.headers_mut().insert(header::IF_MATCH, format!("\"{}\"", now["version"]).parse().unwrap());
                Some(request)
            }
            ("POST", "/api/v1/tickets/{number}/time-entries") => {
                at(&format!("/api/v1/tickets/{number}/time-entries"), &json!({ "minutes": 5 }))
            }
            ("PATCH", "/api/v1/tickets/{number}/time-entries/{id}") => {
                let times = format!("/api/v1/tickets/{number}/time-entries");
                at(&self.made(&times, &json!({ "minutes": 5 })).await, &json!({ "minutes": 6 }))
            }
            ("DELETE", "/api/v1/tickets/{number}/time-entries/{id}") => {
                let times = format!("/api/v1/tickets/{number}/time-entries");
                at(&self.made(&times, &json!({ "minutes": 5 })).await, &none)
            }
            ("POST", "/api/v1/overviews") => at(path, &json!({ "name": "Mine", "query": "state=open" })),
            ("DELETE", "/api/v1/overviews/{id}") => {
                at(&self.made("/api/v1/overviews", &json!({ "name": "Mine", "query": "" })).await, &none)
            }
            ("POST", "/api/v1/backups") => {
                let (_, recipient) = crate::backup::new_identity(self.world.clock.now());
                let mut request = self.send(method, path, &json!({ "recipients": [recipient.to_string()] }));
                request.extensions_mut().insert(Arrival::Socket);
                Some(request)
            }
            ("POST", "/api/v1/users") => at(path, &json!({ "name": "new", "role": "technician" })),
            ("POST", "/api/v1/users/{id}/reset") => at(&format!("/api/v1/users/{other}/reset"), &none),
            ("POST", "/api/v1/users/{id}/unlock") => at(&format!("/api/v1/users/{other}/unlock"), &reason),
            ("POST", "/api/v1/users/{id}/reset-factors") => {
                at(&format!("/api/v1/users/{other}/reset-factors"), &reason)
            }
            ("PATCH", "/api/v1/users/{id}") => at(&format!("/api/v1/users/{other}"), &json!({ "role": "auditor" })),
            ("DELETE", "/api/v1/users/{id}/sign-ins") => at(&format!("/api/v1/users/{other}/sign-ins"), &none),
            ("DELETE", "/api/v1/sign-ins/{id}") => {
                let (_, own) = self.world.ask(get("/api/v1/sign-ins", &self.cookie)).await;
                at(&format!("/api/v1/sign-ins/{}", own["items"][0]["id"]), &none)
            }
            ("POST", "/api/v1/session/password") => {
                at(path, &json!({ "old": PASSWORD, "password": "staple battery horse" }))
            }
            ("POST", "/api/v1/session/step-up") => at(path, &json!({ "password": PASSWORD })),
            ("POST", "/api/v1/account/totp") => at(path, &none),
            ("POST", "/api/v1/account/totp/confirm") => {
                let (_, begun) = self.world.ask(post("/api/v1/account/totp", &self.cookie, &none)).await;
                let secret = data_encoding::BASE32_NOPAD.decode(begun["secret"].as_str().unwrap().as_bytes()).unwrap();
                at(path, &json!({ "code": crate::totp::Seed::kept(secret).code(self.world.clock.now()) }))
            }
            ("DELETE", "/api/v1/account/totp") => {
                self.world.ask(post("/api/v1/account/totp", &self.cookie, &none)).await;
                at(path, &none)
            }
            ("POST", "/api/v1/account/recovery-codes") => {
                self.world.enrol(&self.cookie).await;
                at(path, &none)
            }
            // Nothing is changed before the browser has answered.
            ("POST", "/api/v1/account/passkeys/begin") => None,
            ("POST", "/api/v1/account/passkeys") => {
                let (_, begun) = self.world.ask(post("/api/v1/account/passkeys/begin", &self.cookie, &none)).await;
                let made = crate::passkey::soft::SoftPasskey::new("http://localhost:8080").register(&begun["options"]);
                at(path, &json!({ "name": "Phone", "challenge": begun["challenge"], "credential": made }))
            }
            ("DELETE", "/api/v1/account/passkeys/{id}") => {
                let (_, added) = self.world.passkey(&self.cookie).await;
                at(&format!("/api/v1/account/passkeys/{}", added["id"]), &none)
            }
            ("POST", "/api/v1/account/tokens") => {
                at(path, &json!({ "name": "Import", "actions": ["read_desk"], "days": 1 }))
            }
            ("DELETE", "/api/v1/account/tokens/{id}") => {
                let (_, id) = self.world.token(&self.cookie, &["read_desk"]).await;
                at(&format!("/api/v1/account/tokens/{id}"), &none)
            }
            (method, path) => panic!("{method} {path} changes something and has no example here"),
        }
    }
}

/// What `belay-agent survey --save` writes.
fn saved() -> Vec<u8> {
    let device = Identity::generate().unwrap();
    let bytes = report(BEFORE_MS + 1, 0.5, vec![]).encode().unwrap();
    let signature = device.sign(&signed_bytes(&crate::secret::sha256(&bytes)));
    SavedReport { device: device.device_key(), signature, report: bytes }.encode()
}

/// Lines about anything but looks.
async fn actions(world: &World) -> usize {
    let lines = world.store.audit_lines_after(0, 10_000).await.unwrap();
    lines.iter().filter(|line| !line.contains("\"action\":\"look\"")).count()
}

#[tokio::test]
async fn every_changing_route_leaves_a_line() {
    for (method, path, action) in ROUTES.iter().filter(|(method, _, _)| *method != Method::GET) {
        let scene = Scene::open().await;
        let Some(request) = scene.example(method, path).await else { continue };
        let before = actions(&scene.world).await;
        let response = scene.world.send(request).await;
        let status = response.status();
        let response = match status.is_success() {
            true => response,
            false => panic!("{method} {path}: {:?}", read(response).await),
        };
        // What goes on behind the head is waited for.
        let _ = read(response).await;
        // A look through POST, because its question is long, is told as one.
        if !crate::policy::is_a_look(*action) {
            assert!(actions(&scene.world).await > before, "{method} {path}");
        }
    }
}

/// Lines about looks, once the writer has written what was in the queue.
async fn looks(world: World) -> Vec<Value> {
    let reader = world.store.clone();
    // An export's line is behind all others, and is waited for.
    assert!(reader.note_look_at_once(crate::store::Look::new(&Actor::System, "", "the end")).await);
    let lines = reader.audit_lines_after(0, 10_000).await.unwrap();
    let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["action"] == "look" && line["subject"] != "the end").collect()
}

#[tokio::test]
async fn every_look_that_succeeds_leaves_a_line_and_no_other_does() {
    for (_, path, action) in ROUTES.iter().filter(|(method, _, _)| *method == Method::GET) {
        let scene = Scene::open().await;
        let id = if path.starts_with("/api/v1/users") { scene.other.0 } else { 1 };
        let asked = path.replace("{number}", &scene.number).replace("{id}", &id.to_string());
        let asked = if asked.contains("/docs/1") { asked.replace("/docs/1", "/docs/space") } else { asked };
        let response = scene.world.send(get(&asked, &scene.cookie)).await;
        let succeeded = response.status().is_success();
        drop(response);
        let missing = scene.world.send(get("/api/v1/tickets/BL-10001-0", &scene.cookie)).await;
        assert_eq!(missing.status(), 404);
        let looks = looks(scene.world).await;
        let told: Vec<_> = looks.iter().map(|look| (&look["details"]["route"], &look["subject"])).collect();
        match crate::policy::is_a_look(*action) && succeeded {
            true => assert_eq!(told, [(&json!(path), &json!(asked))], "{path}"),
            false => assert!(told.is_empty(), "{path}: {told:?}"),
        }
    }
}

#[tokio::test]
async fn a_page_that_asks_every_second_is_one_look_a_minute() {
    let scene = Scene::open().await;
    for _ in 0..70 {
        assert_eq!(scene.world.send(get("/api/v1/tickets", &scene.cookie)).await.status(), 200);
        scene.world.clock.advance(Duration::from_secs(1));
    }
    let looks = looks(scene.world).await;
    let repeated: Vec<_> = looks.iter().map(|look| &look["details"]["repeated_before"]).collect();
    assert_eq!(repeated, [&Value::Null, &json!(59)]);
    assert!(looks.iter().all(|look| look["actor"].as_str().unwrap().starts_with("user:")));
}
