//! A ticket's life over the API.

use super::*;

/// Changes the ticket at `path` as it is now.
async fn change(world: &World, path: &str, cookie: &str, body: &Value) -> (u16, Value) {
    let (_, ticket) = world.ask(get(path, cookie)).await;
    let tag = format!("\"{}\"", ticket["version"]);
    world.ask(patch(path, cookie, Some(&tag), body)).await
}

async fn open(world: &World, cookie: &str) -> String {
    let opened = world.open_ticket(cookie).await;
    format!("/api/v1/tickets/{}", opened["number"].as_str().unwrap())
}

#[tokio::test]
async fn a_ticket_goes_through_its_life_and_each_refusal_names_what_is_missing() {
    let world = World::open().await;
    let cookie = world.cookie(Role::Technician).await;
    let path = open(&world, &cookie).await;
    let refused = async |body: Value, status: u16, code: &str, field: Option<&str>| {
        let (actual, problem) = change(&world, &path, &cookie, &body).await;
        let told = (actual, problem["code"].as_str(), problem["field"].as_str());
        assert_eq!(told, (status, Some(code), field), "{body}: {problem}");
    };
    refused(json!({"state": "resolved"}), 422, "resolution_required", Some("resolution")).await;
    let empty = json!({"state": "resolved", "resolution": {"cause": " ", "fix": "x", "prevention": "x"}});
    refused(empty, 422, "invalid_field", Some("resolution.cause")).await;
    let cut = json!({"state": "resolved", "resolution": {"cause": "x", "fix": "x"}});
    refused(cut, 422, "invalid_field", Some("resolution")).await;
    refused(json!({"state": "closed"}), 409, "wrong_closing", Some("closing")).await;
    refused(json!({"state": "closed", "closing": "silence"}), 422, "invalid_field", Some("closing")).await;
    refused(json!({"state": "pending_reminder"}), 422, "invalid_field", Some("pending_until_ms")).await;
    refused(json!({"pending_until_ms": 1}), 422, "invalid_field", Some("pending_until_ms")).await;
    refused(json!({"priority": "p1"}), 422, "invalid_field", Some("priority_reason")).await;
    refused(json!({"owner": null}), 422, "reason_required", Some("reason")).await;
    refused(json!({"group": "Nowhere", "reason": "x"}), 422, "invalid_field", Some("group")).await;
    refused(json!({"state": "merged"}), 409, "illegal_move", Some("state")).await;

    let how = json!({"cause": "dust", "fix": "cleaned", "prevention": "filter"});
    let (status, resolved) = change(&world, &path, &cookie, &json!({"state": "resolved", "resolution": how})).await;
    assert_eq!((status, &resolved["resolution"]["cause"]), (200, &json!("dust")), "{resolved}");
    refused(json!({"state": "closed"}), 409, "not_verified", None).await;
    let verify = format!("{path}/verify");
    for body in [json!({}), json!({"words": "x", "report": 1}), json!({"words": " "}), json!({"report": 7})] {
        let (status, problem) = world.ask(post(&verify, &cookie, &body)).await;
        assert_eq!((status, &problem["code"]), (422, &json!("invalid_field")), "{body}: {problem}");
    }
    let (status, verified) = world.ask(post(&verify, &cookie, &json!({"words": "Ada: it is quiet"}))).await;
    assert_eq!((status, &verified["resolution"]["verified"]["as"]), (200, &json!("person")), "{verified}");
    let (status, closed) = change(&world, &path, &cookie, &json!({"state": "closed"})).await;
    assert_eq!((status, &closed["closed_as"]), (200, &json!("verified")), "{closed}");
    let (status, reopened) = change(&world, &path, &cookie, &json!({"state": "open"})).await;
    assert_eq!((status, &reopened["resolution"]), (200, &Value::Null), "{reopened}");
}

#[tokio::test]
async fn a_telephone_call_has_its_ticket_before_the_first_word() {
    let world = World::open().await;
    let cookie = world.cookie(Role::Technician).await;
    let (status, call) = world.ask(post("/api/v1/tickets", &cookie, &json!({"channel": "phone"}))).await;
    assert_eq!((status, &call["title"], &call["customer"]), (201, &json!(""), &json!("")), "{call}");
    let path = format!("/api/v1/tickets/{}", call["number"].as_str().unwrap());
    let (status, invite) = world.ask(post(&format!("{path}/invites"), &cookie, &json!({}))).await;
    assert_eq!((status, invite["code"].as_str().map(str::len)), (201, Some(9)));
    let said = json!({"title": "No sound", "customer": "Nordwind", "contact": "Ada", "product": "Till"});
    let (status, said) = change(&world, &path, &cookie, &said).await;
    assert_eq!((status, &said["customer"], &said["product"]), (200, &json!("Nordwind"), &json!("Till")), "{said}");
    let (status, problem) = world.ask(post("/api/v1/tickets", &cookie, &json!({"channel": "web"}))).await;
    assert_eq!((status, &problem["field"]), (422, &json!("title")), "only a call begins without a word");
}

#[tokio::test]
async fn articles_links_and_merging_work_over_the_api() {
    let world = World::open().await;
    let cookie = world.cookie(Role::Technician).await;
    let (path, other) = (open(&world, &cookie).await, open(&world, &cookie).await);
    let number = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    let articles = format!("{path}/articles");
    for (body, field) in [
        (json!({"visibility": "public", "body": "\n "}), "body"),
        (json!({"visibility": "secret", "body": "x"}), "visibility"),
        (json!({"body": "x"}), "visibility"),
        (json!({"visibility": "public", "body": "x".repeat(65_537)}), "body"),
    ] {
        let (status, problem) = world.ask(post(&articles, &cookie, &body)).await;
        assert_eq!((status, problem["field"].as_str()), (422, Some(field)), "{problem}");
    }
    let said = json!({"visibility": "internal", "body": "<script>alert(1)</script>"});
    let (status, article) = world.ask(post(&articles, &cookie, &said)).await;
    assert_eq!((status, &article["body"]), (201, &said["body"]), "text is text");
    let (_, listed) = world.ask(get(&articles, &cookie)).await;
    assert_eq!(listed["items"], json!([article]));

    let link = json!({"kind": "duplicate_of", "to": number(&other)});
    let (status, link) = world.ask(post(&format!("{path}/links"), &cookie, &link)).await;
    assert_eq!(status, 201, "{link}");
    let own = json!({"kind": "duplicate_of", "to": number(&path)});
    let (status, problem) = world.ask(post(&format!("{path}/links"), &cookie, &own)).await;
    assert_eq!((status, problem["field"].as_str()), (422, Some("to")), "{problem}");
    let (_, back) = world.ask(get(&format!("{other}/links"), &cookie)).await;
    assert_eq!(back[0]["from"], json!(number(&path)));
    let gone = format!("{other}/links/{}", link["id"]);
    let delete = || request(&Method::DELETE, &gone, &cookie).body(Body::empty()).unwrap();
    assert_eq!(world.send(delete()).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(world.ask(delete()).await.0, 404);

    let merge = json!({"into": number(&other)});
    let (status, merged) = world.ask(post(&format!("{path}/merge"), &cookie, &merge)).await;
    assert_eq!((status, &merged["merged_into"]), (200, &json!(number(&other))), "{merged}");
    let (status, problem) = world.ask(post(&format!("{path}/merge"), &cookie, &merge)).await;
    assert_eq!((status, &problem["code"]), (409, &json!("illegal_move")), "{problem}");
    let (status, problem) = world.ask(post(&articles, &cookie, &said)).await;
    assert_eq!((status, &problem["code"]), (409, &json!("ticket_merged")), "{problem}");
    let follow = json!({"title": "Again", "customer": "Nordwind"});
    let (status, follow) = world.ask(post(&format!("{other}/follow-up"), &cookie, &follow)).await;
    assert_eq!(status, 201, "{follow}");
}

#[tokio::test]
async fn groups_and_rules_are_set_by_those_who_lead() {
    let world = World::open().await;
    let cookie = world.cookie(Role::Supervisor).await;
    let (_, groups) = world.ask(get("/api/v1/groups", &cookie)).await;
    assert_eq!(groups[0]["name"], "Support");
    let (status, group) = world.ask(post("/api/v1/groups", &cookie, &json!({"name": "Network"}))).await;
    assert_eq!(status, 201, "{group}");
    let (status, problem) = world.ask(post("/api/v1/groups", &cookie, &json!({"name": "Network"}))).await;
    assert_eq!((status, &problem["code"]), (409, &json!("name_taken")));
    let members = json!({"members": ["nobody"]});
    let (status, problem) = world.ask(patch(&format!("/api/v1/groups/{}", group["id"]), &cookie, None, &members)).await;
    assert_eq!((status, problem["field"].as_str()), (422, Some("members")), "{problem}");
    let put = |rules: Value| {
        let request = request(&Method::PUT, "/api/v1/assignment-rules", &cookie);
        request.header(header::CONTENT_TYPE, "application/json").body(rules.to_string().into()).unwrap()
    };
    let (status, rules) = world.ask(put(json!([{"word": "VPN", "group": "Network"}]))).await;
    assert_eq!((status, &rules[0]["word"]), (200, &json!("VPN")), "{rules}");
    let (status, problem) = world.ask(put(json!([{"word": " ", "group": "Network"}]))).await;
    assert_eq!((status, problem["field"].as_str()), (422, Some("word")), "{problem}");
    let call = json!({"title": "No vpn", "customer": "Nordwind"});
    let (_, ticket) = world.ask(post("/api/v1/tickets", &cookie, &call)).await;
    assert_eq!(ticket["group"], "Network", "{ticket}");
    let (_, found) = world.ask(get("/api/v1/tickets?group=Network", &cookie)).await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_is_taken_by_type_and_size_and_handed_out_for_saving_alone() {
    let world = World::open().await;
    let cookie = world.cookie(Role::Technician).await;
    let path = open(&world, &cookie).await;
    let put = |query: &str, media_type: &str, bytes: Vec<u8>| {
        let request = request(&Method::POST, &format!("{path}/attachments?{query}"), &cookie);
        request.header(header::CONTENT_TYPE, media_type).body(bytes.into()).unwrap()
    };
    let refused = async |request, status: u16, code: &str| {
        let (actual, problem) = world.ask(request).await;
        assert_eq!((actual, problem["code"].as_str()), (status, Some(code)), "{problem}");
    };
    for media_type in ["text/html", "image/svg+xml", "application/xhtml+xml", "text/javascript", ""] {
        refused(put("name=x", media_type, b"x".to_vec()), 415, "type_not_taken").await;
    }
    refused(put("name=x", "text/plain", Vec::new()), 422, "invalid_field").await;
    refused(put("name=x", "text/plain", vec![0; 10 * 1024 * 1024 + 1]), 413, "body_too_large").await;
    for name in ["", "name=", "name=..", "name=a%2Fb", "name=a%5Cb", "name=a%0Ab", "name=x&visibility=secret"] {
        refused(put(name, "text/plain", b"x".to_vec()), 422, "invalid_field").await;
    }
    let name = "name=%E6%97%A5%E5%BF%97%22.txt&visibility=public";
    let (status, added) = world.ask(put(name, "text/plain; charset=utf-8", b"<script>".to_vec())).await;
    assert_eq!((status, added["name"].as_str(), &added["visibility"]), (201, Some("日志\".txt"), &json!("public")));
    let response = world.send(get(&format!("/api/v1/attachments/{}", added["id"]), &cookie)).await;
    let header = |name| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-disposition"), "attachment; filename*=UTF-8''%E6%97%A5%E5%BF%97%22.txt");
    assert_eq!((header("content-type").as_str(), header("x-content-type-options").as_str()), ("text/plain", "nosniff"));
    assert!(header("content-security-policy").starts_with("sandbox;"));
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(bytes.as_ref(), b"<script>");
}
