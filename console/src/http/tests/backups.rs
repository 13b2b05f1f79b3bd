//! Taking the desk away.

use super::*;
use crate::backup::new_identity;

fn from_the_machine(body: &Value) -> Request<Body> {
    let mut request = post("/api/v1/backups", "", body);
    request.extensions_mut().insert(Arrival::Socket);
    request
}

#[tokio::test]
async fn the_desk_is_taken_away_on_its_own_machine_alone_and_only_encrypted() {
    let world = World::open().await;
    let (_, recipient) = new_identity(world.clock.now());
    let body = json!({ "recipients": [recipient.to_string()] });
    let admin = world.cookie(Role::Admin).await;
    let (status, problem) = world.ask(post("/api/v1/backups", &admin, &body)).await;
    assert_eq!((status, problem["code"].as_str()), (403, Some("not_allowed")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("own machine"), "{problem}");

    let response = world.send(from_the_machine(&body)).await;
    assert_eq!(response.status(), 200);
    let backup = response.into_body().collect().await.unwrap().to_bytes();
    assert!(backup.starts_with(b"age-encryption.org/v1\n-> X25519 "));
    let lines = world.store.audit_lines_after(0, 1_000).await.unwrap();
    let line = lines.iter().find(|line| line.contains("\"action\":\"desk.backup\"")).unwrap();
    assert!(line.contains("\"actor\":\"local\"") && line.contains(&recipient.to_string()), "{line}");

    for recipients in [json!([]), json!(["age1xyz"]), json!([""]), json!(vec![recipient.to_string(); 17])] {
        let (status, problem) = world.ask(from_the_machine(&json!({ "recipients": recipients }))).await;
        assert_eq!((status, problem["field"].as_str()), (422, Some("recipients")), "{problem}");
    }
}

#[tokio::test]
async fn a_backup_that_fails_on_its_way_does_not_end_like_one() {
    let world = World::open().await;
    let (_, recipient) = new_identity(world.clock.now());
    // The files of the desk are read after the answer has begun.
    std::fs::write(world.directory.path().join("data/desk.json"), "{").unwrap();
    let response = world.send(from_the_machine(&json!({ "recipients": [recipient.to_string()] }))).await;
    assert!(response.into_body().collect().await.is_err());
}
