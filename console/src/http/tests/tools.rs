//! What people at the desk make for themselves.

use super::*;

#[tokio::test]
async fn what_cannot_be_used_is_named() {
    let world = World::open().await;
    let cookie = world.cookie(Role::Admin).await;
    let number = world.open_ticket(&cookie).await["number"].as_str().unwrap().to_owned();
    let long = "x".repeat(1_025);
    let ticket = |rest: &str| format!("/api/v1/tickets/{number}/{rest}");
    for (path, body, status, field) in [
        ("/api/v1/checklists".to_owned(), json!({ "name": " ", "items": ["x"] }), 422, "name"),
        ("/api/v1/checklists".to_owned(), json!({ "name": "x", "items": [] }), 422, "items"),
        ("/api/v1/checklists".to_owned(), json!({ "name": "x", "items": ["a\nb"] }), 422, "items"),
        (ticket("checklist"), json!({}), 422, "items"),
        (ticket("checklist"), json!({ "checklist": 1, "items": ["x"] }), 422, "items"),
        ("/api/v1/macros".to_owned(), json!({ "name": "x", "steps": {} }), 422, "steps"),
        ("/api/v1/macros".to_owned(), json!({ "name": "x", "steps": { "state": "closed" } }), 422, "steps"),
        ("/api/v1/macros".to_owned(), json!({ "name": "x", "steps": { "shout": true } }), 422, "steps.shout"),
        ("/api/v1/macros".to_owned(), json!({ "name": "x", "steps": { "tags": [" "] } }), 422, "steps.tags"),
        ("/api/v1/macros".to_owned(), json!({ "name": "x", "steps": { "group": "none" } }), 422, "group"),
        (ticket("time-entries"), json!({ "minutes": 0 }), 422, "minutes"),
        (ticket("time-entries"), json!({ "minutes": 1441 }), 422, "minutes"),
        (ticket("time-entries"), json!({ "minutes": 1, "user": "nobody" }), 422, "user"),
        (ticket("time-entries"), json!({ "minutes": 1, "started_at_ms": i64::MAX }), 422, "started_at_ms"),
        ("/api/v1/overviews".to_owned(), json!({ "name": "x", "query": long }), 422, "query"),
        ("/api/v1/overviews".to_owned(), json!({ "name": "", "query": "" }), 422, "name"),
    ] {
        let (answered, problem) = world.ask(post(&path, &cookie, &body)).await;
        assert_eq!((answered, problem["field"].as_str()), (status, Some(field)), "{path} {body}: {problem}");
    }
    let matrix = json!({ "low": { "low": "p9", "medium": "p1", "high": "p1" } });
    let mut put = post("/api/v1/priority-matrix", &cookie, &matrix);
    *put.method_mut() = Method::PUT;
    assert_eq!(world.ask(put).await.1["field"], "low.low");
    for path in [ticket("checklist"), ticket("time-entries"), ticket("macros/1")] {
        let path = path.replace(&number, "BL-99999-9");
        let (status, _) = world.ask(post(&path, &cookie, &json!({ "minutes": 1 }))).await;
        assert!(status == 404 || status == 422 || status == 428, "{path}: {status}");
    }
}

#[tokio::test]
async fn an_overview_for_everybody_is_made_by_who_may_configure_the_desk() {
    let world = World::open().await;
    let (technician, supervisor) = (world.cookie(Role::Technician).await, world.cookie(Role::Supervisor).await);
    let shared = json!({ "name": "Urgent", "query": "sort=pressing", "shared": true });
    assert_eq!(world.ask(post("/api/v1/overviews", &technician, &shared)).await.0, 403);
    let (status, made) = world.ask(post("/api/v1/overviews", &supervisor, &shared)).await;
    assert_eq!((status, made["is_shared"].as_bool()), (201, Some(true)));
    let own = json!({ "name": "Mine", "query": "owner=me" });
    let (_, own) = world.ask(post("/api/v1/overviews", &technician, &own)).await;
    let (_, seen) = world.ask(get("/api/v1/overviews", &technician)).await;
    assert_eq!(seen.as_array().unwrap().len(), 2);
    let (_, seen) = world.ask(get("/api/v1/overviews", &supervisor)).await;
    assert_eq!(seen.as_array().unwrap().len(), 1, "{seen}");
    let forget = async |id: &Value, cookie: &str| {
        world
            .ask(request(&Method::DELETE, &format!("/api/v1/overviews/{id}"), cookie).body(Body::empty()).unwrap())
            .await
            .0
    };
    assert_eq!(forget(&made["id"], &technician).await, 404);
    assert_eq!(forget(&own["id"], &supervisor).await, 404);
    assert_eq!(forget(&made["id"], &supervisor).await, 204);
    assert_eq!(forget(&own["id"], &technician).await, 204);
}
