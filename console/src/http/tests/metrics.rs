//! The figures for monitoring.

use super::*;

#[tokio::test]
async fn figures_are_had_with_a_token_for_them_and_name_nobody() {
    let world = World::open().await;
    let (status, problem) = world.ask(get("/metrics", "")).await;
    assert_eq!((status, problem["code"].as_str()), (401, Some("not_signed_in")));
    let (_, cookie) = world.user("ada", Role::Supervisor).await;
    let ticket = world.open_ticket(&cookie).await;
    world.ask(get(&format!("/api/v1/tickets/{}", ticket["number"].as_str().unwrap()), &cookie)).await;
    world.ask(get("/no/such/page", &cookie)).await;
    world.ask(request(&Method::from_bytes(b"BREW").unwrap(), "/api/v1/tickets", "").body(Body::empty()).unwrap()).await;
    let read = async |token: &str| {
        let request = request(&Method::GET, "/metrics", "").header(header::AUTHORIZATION, format!("Bearer {token}"));
        let response = world.send(request.body(Body::empty()).unwrap()).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    let (token, _) = world.token(&cookie, &["read_metrics"]).await;
    let (status, text) = read(&token).await;
    assert_eq!(status, 200, "{text}");
    for line in [
        "belay_console_tickets{state=\"new\"} 1",
        "belay_console_tickets{state=\"closed\"} 0",
        "belay_console_requests_total{method=\"GET\",route=\"/api/v1/tickets/{number}\",status=\"200\"} 1",
        "belay_console_requests_total{method=\"GET\",route=\"files\",status=\"200\"} 1",
        "belay_console_requests_total{method=\"other\",route=\"/api/v1/tickets\",status=\"405\"} 1",
        "belay_console_backup_age_seconds -1",
        "belay_console_live_streams 0",
        "belay_console_accounts_locked 0",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} in {text}");
    }
    assert!(!text.contains("Nordwind") && !text.contains("ada"), "{text}");
    let (other, _) = world.token(&cookie, &["read_desk"]).await;
    assert_eq!(read(&other).await.0, 403);
}

#[tokio::test]
async fn a_locked_account_an_open_stream_and_a_backup_show() {
    let world = World::open().await;
    let (_, cookie) = world.user("ada", Role::Auditor).await;
    world.user("eva", Role::Technician).await;
    for _ in 0..10 {
        let wrong = json!({ "name": "eva", "password": "wrong" });
        world.ask(post("/api/v1/session", "", &wrong)).await;
        world.clock.advance(Duration::from_secs(5 * 60));
        let live = world.send(get("/api/v1/session", &cookie)).await;
        assert_eq!(live.status(), 200);
    }
    std::fs::create_dir(world.directory.path().join("backups")).unwrap();
    std::fs::write(world.directory.path().join("backups/belay-20260101T000000Z.age"), "").unwrap();
    let stream = world.send(get("/api/v1/events", &cookie)).await;
    let text = async || {
        let response = world.send(get("/metrics", &cookie)).await;
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    };
    let shown = text().await;
    for line in
        ["belay_console_live_streams 1", "belay_console_accounts_locked 1", "belay_console_backup_age_seconds 3000"]
    {
        assert!(shown.lines().any(|known| known == line), "{line} in {shown}");
    }
    drop(stream);
    assert!(text().await.contains("belay_console_live_streams 0"));
}
