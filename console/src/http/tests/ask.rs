//! Asking for help without being known.

use super::*;

const FORM: &str = "name=Ada+L.&company=Nordwind&reach=%2B49+30+123&title=The+printer+is+silent&description=since%0D%0Ayesterday\
                    &affected=everybody&work=stands&since=2025-12-30&product=Printer&website=";

async fn page(response: Response<Body>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn form(body: &str, from: [u8; 4]) -> Request<Body> {
    let mut request = request(&Method::POST, "/ask?lang=zh", "");
    request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let mut request = request.body(body.to_owned().into()).unwrap();
    request.extensions_mut().insert(Arrival::Tls(IpAddr::V4(Ipv4Addr::from(from))));
    request
}

/// Where the form leads to.
async fn ask(world: &World, body: &str) -> String {
    let response = world.send(form(body, [192, 0, 2, 1])).await;
    assert_eq!(response.status(), 303, "{}", page(response).await.1);
    response.headers()[header::LOCATION].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_form_becomes_a_ticket_with_a_page_of_its_own() {
    let world = World::open().await;
    let (status, blank) = page(world.send(get("/ask", "")).await).await;
    assert!(status == 200 && blank.contains("name=\"title\"") && !blank.contains("<script"), "{blank}");
    let (_, chinese) = page(world.send(get("/ask?lang=zh", "")).await).await;
    assert!(chinese.contains("请求帮助") && chinese.contains("action=\"/ask?lang=zh-Hans\""), "{chinese}");

    let place = ask(&world, &format!("{FORM}&once=1")).await;
    assert!(place.ends_with("?done=asked&lang=zh-Hans"), "{place}");
    let (status, shown) = page(world.send(get(&place, "")).await).await;
    assert!(status == 200 && shown.contains("The printer is silent") && shown.contains("谢谢"), "{shown}");
    let cookie = world.cookie(Role::Technician).await;
    let number = place.split('/').nth(2).unwrap();
    let (_, ticket) = world.ask(get(&format!("/api/v1/tickets/{number}"), &cookie)).await;
    let text = |field: &str| ticket[field].as_str().unwrap_or_default().to_owned();
    assert_eq!([text("customer"), text("contact"), text("reach")], ["Nordwind", "Ada L.", "+49 30 123"]);
    assert_eq!([text("channel"), text("impact"), text("urgency")], ["web", "high", "high"]);
    assert_eq!([text("language"), text("description")], ["zh", "since\nyesterday"]);
    assert_eq!(ticket["first_seen_at_ms"], 1_767_052_800_000_i64);

    // The second press of a button, and a reload, ask nothing new.
    assert_eq!(ask(&world, &format!("{FORM}&once=1")).await, place);
    assert_ne!(ask(&world, &format!("{FORM}&once=2")).await, place);
}

#[tokio::test]
async fn what_is_wrong_is_said_and_nothing_typed_is_lost() {
    let world = World::open().await;
    let long = "x".repeat(300);
    for (body, field) in [
        (FORM.replace("The+printer+is+silent", "++"), "title"),
        (FORM.replace("Ada+L.", ""), "name"),
        (FORM.replace("Ada+L.", "%00%07"), "name"),
        (FORM.replace("2025-12-30", "yesterday"), "since"),
        (FORM.replace("Nordwind", &long), "company"),
        (FORM.replace("since%0D%0Ayesterday", &long.repeat(40)), "description"),
    ] {
        let (status, again) = page(world.send(form(&body, [192, 0, 2, 2])).await).await;
        assert!(status == 422 && again.contains("role=\"alert\""), "{field}: {status} {again}");
        let marked = again.split(&format!("id=\"{field}\"")).nth(1).unwrap().split('>').next().unwrap();
        assert!(marked.contains("notice"), "{field}: {marked}");
        assert!(again.contains("+49 30 123") && again.contains("value=\"stands\" checked"), "{field}: {again}");
    }
    let hostile = FORM.replace("Nordwind", "%3Cscript%3Ealert(1)%3C/script%3E").replace("Ada+L.", "");
    let (_, again) = page(world.send(form(&hostile, [192, 0, 2, 2])).await).await;
    assert!(!again.contains("<script"), "{again}");
    let (status, _) = page(world.send(form("title=x", [192, 0, 2, 2])).await).await;
    assert_eq!(status, 422);
    // What no person sees was filled in.
    let (status, _) = page(world.send(form(&format!("{FORM}buy"), [192, 0, 2, 2])).await).await;
    assert_eq!(status, 429);
    assert!(world.store.list_tickets(&Default::default(), 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn one_address_asks_ten_times_in_a_quarter_of_an_hour_and_others_are_not_held_up() {
    let world = World::open().await;
    for at in 0..10 {
        ask(&world, &format!("{FORM}&once={at}")).await;
    }
    let (status, told) = page(world.send(form(&format!("{FORM}&once=more"), [192, 0, 2, 1])).await).await;
    assert!(status == 429 && told.contains("The printer is silent"), "{told}");
    // What was sent before may be sent again.
    ask(&world, &format!("{FORM}&once=3")).await;
    assert_eq!(world.send(form(&format!("{FORM}&once=other"), [192, 0, 2, 3])).await.status(), 303);
    world.clock.advance(Duration::from_secs(15 * 60 + 1));
    ask(&world, &format!("{FORM}&once=later")).await;
}

#[tokio::test]
async fn an_agent_asks_and_gets_a_code_with_the_number() {
    let world = World::open().await;
    let body = json!({ "name": "Ada", "title": "Slow", "language": "zh", "channel": "agent", "invite": true });
    let send = async |body: &Value, key: &str| {
        let mut request = post("/api/v1/requests", "", body);
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        world.ask(request).await
    };
    let (status, asked) = send(&body, "a").await;
    assert_eq!(status, 201, "{asked}");
    assert!(asked["code"].as_str().unwrap().len() == 9 && asked["status_url"].as_str().unwrap().contains("/s/BL-"));
    let (_, again) = send(&body, "a").await;
    assert_eq!(again["number"], asked["number"]);
    let (status, refused) = send(&json!({ "name": "Ada", "title": "Other" }), "a").await;
    assert_eq!((status, refused["code"].as_str()), (409, Some("idempotency_key_reused")));
    let (_, quiet) = send(&json!({ "name": "Ada", "title": "Other" }), "b").await;
    assert_eq!(quiet["code"], Value::Null);
    let cookie = world.cookie(Role::Technician).await;
    let ticket = async |answer: &Value| {
        world.ask(get(&format!("/api/v1/tickets/{}", answer["number"].as_str().unwrap()), &cookie)).await.1
    };
    let of_agent = ticket(&asked).await;
    assert_eq!([&of_agent["channel"], &of_agent["customer"]], ["agent", "Ada"]);
    assert_eq!(ticket(&quiet).await["channel"], "api");
    for (body, field) in [
        (json!({ "name": " ", "title": "x" }), "name"),
        (json!({ "name": "x", "title": "a\nb" }), "title"),
        (json!({ "name": "x" }), "title"),
        (json!({ "name": "x", "title": "x", "since": "soon" }), "since"),
        (json!({ "name": "x", "title": "x", "priority": "p1" }), "priority"),
        (json!({ "name": "x", "title": "x", "channel": "phone" }), "channel"),
    ] {
        let (status, refused) = world.ask(post("/api/v1/requests", "", &body)).await;
        assert_eq!((status, refused["field"].as_str()), (422, Some(field)), "{refused}");
    }
}

/// Somebody who says that they are Ada of Nordwind is not believed: what the desk knows of Ada stays.
#[tokio::test]
async fn a_stranger_changes_nothing_that_the_desk_knows() {
    let world = World::open().await;
    let cookie = world.cookie(Role::Technician).await;
    let known = json!({ "title": "Disk", "customer": "Nordwind", "contact": "Ada L.", "reach": "the right number" });
    let (_, known) = world.ask(post("/api/v1/tickets", &cookie, &known)).await;
    ask(&world, FORM).await;
    let path = format!("/api/v1/tickets/{}", known["number"].as_str().unwrap());
    assert_eq!(world.ask(get(&path, &cookie)).await.1, known);
}
