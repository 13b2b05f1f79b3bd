//! The customer's status page.

use super::*;

struct Customer {
    world: World,
    cookie: String,
    ticket: String,
    path: String,
}

impl Customer {
    async fn new() -> Self {
        let world = World::open().await;
        let cookie = world.cookie(Role::Technician).await;
        let opened = world.open_ticket(&cookie).await;
        let ticket = format!("/api/v1/tickets/{}", opened["number"].as_str().unwrap());
        let (status, link) = world.ask(get(&format!("{ticket}/status-link"), &cookie)).await;
        assert_eq!(status, 200, "{link}");
        let path = link["url"].as_str().unwrap().split_once("/s/").unwrap().1;
        Self { path: format!("/s/{path}"), world, cookie, ticket }
    }

    async fn say(&self, visibility: &str, body: &str) {
        let body = json!({ "visibility": visibility, "body": body });
        let (status, _) = self.world.ask(post(&format!("{}/articles", self.ticket), &self.cookie, &body)).await;
        assert_eq!(status, 201);
    }

    async fn change(&self, body: &Value) {
        let (_, ticket) = self.world.ask(get(&self.ticket, &self.cookie)).await;
        let tag = format!("\"{}\"", ticket["version"]);
        let (status, problem) = self.world.ask(patch(&self.ticket, &self.cookie, Some(&tag), body)).await;
        assert_eq!(status, 200, "{problem}");
    }

    async fn read(&self, address: &str, language: &str) -> (u16, String) {
        let mut request = get(address, "");
        request.headers_mut().insert(header::ACCEPT_LANGUAGE, language.parse().unwrap());
        self.page(request).await
    }

    /// Sends a form as the page's own would be.
    async fn send(&self, form: &str, body: &str) -> (u16, String) {
        let request = request(&Method::POST, &format!("{}/{form}", self.path), "");
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.page(request.body(body.to_owned().into()).unwrap()).await
    }

    /// The status, and the page or where it leads.
    async fn page(&self, request: Request<Body>) -> (u16, String) {
        let response = self.world.send(request).await;
        let status = response.status().as_u16();
        if let Some(to) = response.headers().get(header::LOCATION) {
            return (status, to.to_str().unwrap().to_owned());
        }
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

#[tokio::test]
async fn the_page_shows_what_is_public_in_the_readers_language_and_no_note() {
    let customer = Customer::new().await;
    customer.say("public", "Please <b>wait</b> \u{202e}").await;
    customer.say("internal", "difficult-person").await;
    let (status, page) = customer.read(&customer.path, "de,en;q=0.5").await;
    assert_eq!(status, 200);
    assert!(page.contains("Please &#60;b&#62;wait") && !page.contains("<b>wait"), "{page}");
    assert!(!page.contains('\u{202e}') && !page.contains("difficult-person"), "{page}");
    assert!(page.contains("We are working on it.") && !page.contains("<script"), "{page}");
    let (_, page) = customer.read(&customer.path, "zh-CN,zh;q=0.9,en;q=0.8").await;
    assert!(page.contains("lang=\"zh-Hans\"") && page.contains("我们正在处理。"), "{page}");
    let (_, page) = customer.read(&format!("{}?lang=en", customer.path), "zh-CN").await;
    assert!(page.contains("We are working on it."), "{page}");
    let response = customer.world.send(get(&customer.path, "")).await;
    assert_eq!(response.headers()[header::REFERRER_POLICY], "same-origin");
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn a_link_that_was_not_made_here_says_nothing() {
    let customer = Customer::new().await;
    let other = customer.world.open_ticket(&customer.cookie).await;
    let (_, key) = customer.path.rsplit_once('/').unwrap();
    let others = format!("/s/{}/{key}", other["number"].as_str().unwrap());
    let cut = customer.path[..customer.path.len() - 1].to_owned();
    let mut pages = Vec::new();
    for address in [others.as_str(), &cut, "/s/BL-99999-9/aaaa", "/s/nonsense/aaaa"] {
        let (status, page) = customer.read(address, "en").await;
        assert_eq!(status, 404, "{address}");
        pages.push(page);
    }
    pages.dedup();
    assert_eq!(pages.len(), 1, "a wrong number looks like a wrong key");
    let posted = request(&Method::POST, &format!("{others}/fixed"), "").body(Body::empty()).unwrap();
    assert_eq!(customer.page(posted).await.0, 404);
}

#[tokio::test]
async fn a_customer_answers_says_no_then_yes_and_scores_once() {
    let customer = Customer::new().await;
    let done = |word: &str| (303, format!("{}?done={word}", customer.path));
    assert_eq!(customer.send("write", "words=It+is+the+%E8%93%9D+one").await, done("written"));
    let (_, page) = customer.read(&format!("{}?done=written", customer.path), "en").await;
    assert!(page.contains("Thank you, we have it.") && page.contains("It is the 蓝 one"), "{page}");
    for (body, wrong) in [("words=+", "a few words"), ("", "a few words"), ("nothing=x", "a few words")] {
        let (status, page) = customer.send("write", body).await;
        assert!(status == 422 && page.contains(wrong), "{body}: {page}");
    }
    let long = format!("words={}", "x".repeat(9_000));
    assert_eq!(customer.send("write", &long).await.0, 422);
    let (status, to) = customer.send("write?lang=zh-Hans", "words=x").await;
    assert_eq!((status, to), (303, format!("{}?done=written&lang=zh-Hans", customer.path)), "a chosen language stays");
    let (status, page) = customer.send("fixed", "").await;
    assert!(status == 409 && page.contains("nothing to confirm"), "{page}");

    let how = json!({ "cause": "secret cause", "fix": "cleaned it", "prevention": "secret plan" });
    let resolve = json!({ "state": "resolved", "resolution": how });
    customer.change(&resolve).await;
    let (_, page) = customer.read(&customer.path, "en").await;
    assert!(page.contains("cleaned it") && page.contains("Is it fixed?") && !page.contains("secret"), "{page}");
    assert_eq!(customer.send("not-fixed", "words=it+beeps").await, done("not-fixed"));
    customer.change(&resolve).await;
    assert_eq!(customer.send("fixed", "").await, done("fixed"));
    for body in ["score=0", "score=6", "score=x", ""] {
        assert_eq!(customer.send("score", body).await.0, 422, "{body}");
    }
    assert_eq!(customer.send("score", "score=4&words=quick").await, done("scored"));
    let (status, page) = customer.send("score", "score=1").await;
    assert!(status == 409 && page.contains("told us already"), "{page}");
    let (_, ticket) = customer.world.ask(get(&customer.ticket, &customer.cookie)).await;
    assert_eq!((&ticket["state"], &ticket["resolution"]["score"]), (&json!("closed"), &json!(4)), "{ticket}");
    assert_eq!(ticket["resolution"]["comment"], "quick");
}

#[tokio::test]
async fn an_auditor_is_not_given_the_customers_voice() {
    let customer = Customer::new().await;
    let auditor = customer.world.cookie(Role::Auditor).await;
    let (status, _) = customer.world.ask(get(&format!("{}/status-link", customer.ticket), &auditor)).await;
    assert_eq!(status, 403);
}
