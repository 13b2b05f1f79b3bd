//! The audit under the hands of somebody with the database but not the server key.

use futures_util::TryStreamExt as _;

use super::*;
use crate::audit::Broken;

conformance! {
    every_change_leaves_a_line_and_the_chain_holds
    tampering_is_named_by_its_first_bad_line
    concurrent_writers_make_one_chain
    an_export_is_whole_and_vouched_for_by_the_key_alone
}

async fn every_change_leaves_a_line_and_the_chain_holds(world: World) {
    assert_eq!(world.store.verify_audit().await.unwrap(), 0);
    let ticket = world.ticket().await;
    assert_eq!(world.store.verify_audit().await.unwrap(), 1);
    world.store.mint_invite(&Actor::Local, ticket.number, None).await.unwrap();
    assert_eq!(world.store.verify_audit().await.unwrap(), 2);
    let lines = world.store.audit_lines_after(0, 10).await.unwrap();
    assert!(lines[1].contains("\"invite.mint\"") && lines[1].contains("\"local\""), "{}", lines[1]);
}

async fn tampering_is_named_by_its_first_bad_line(world: World) {
    for _ in 0..5 {
        world.ticket().await;
    }
    let check = async |sql: &str, undo: &str, expected: Broken| {
        world.tamper(sql).await;
        match world.store.verify_audit().await {
            Err(AuditError::Broken(broken)) => assert_eq!(broken, expected, "{sql}"),
            other => panic!("{sql}: {other:?}"),
        }
        world.tamper(undo).await;
        assert_eq!(world.store.verify_audit().await.unwrap(), 5, "{undo}");
    };
    check(
        "UPDATE audit_lines SET text = replace(text, 'local', 'l0cal') WHERE seq = 3",
        "UPDATE audit_lines SET text = replace(text, 'l0cal', 'local') WHERE seq = 3",
        Broken::Line { seq: 3 },
    )
    .await;
    check(
        "UPDATE audit_lines SET seq = 100 - seq WHERE seq IN (2, 98)",
        "UPDATE audit_lines SET seq = 100 - seq WHERE seq IN (2, 98)",
        Broken::Line { seq: 2 },
    )
    .await;
    check(
        "UPDATE audit_lines SET seq = -5 WHERE seq = 5",
        "UPDATE audit_lines SET seq = 5 WHERE seq = -5",
        Broken::Line { seq: 1 },
    )
    .await;
    check("UPDATE audit_ends SET lines = 4", "UPDATE audit_ends SET lines = 5", Broken::EndForged).await;
    world.tamper("DELETE FROM audit_lines WHERE seq = 5").await;
    let cut = world.store.verify_audit().await;
    assert!(matches!(cut, Err(AuditError::Broken(Broken::Cut { found: 4, expected: 5 }))), "{cut:?}");
    world.tamper("DELETE FROM audit_ends").await;
    assert!(matches!(world.store.verify_audit().await, Err(AuditError::Broken(Broken::EndForged))));
}

async fn concurrent_writers_make_one_chain(world: World) {
    let writers = (0..20).map(|_| {
        let store = world.store.clone();
        tokio::spawn(async move { store.open_ticket(&Actor::Local, new_ticket("Many"), None).await.unwrap().unwrap() })
    });
    let writers: Vec<_> = writers.collect();
    let mut events = world.store.events_after(EventId(0));
    let mut last = EventId(0);
    for writer in writers {
        writer.await.unwrap();
        let event = events.next().await.unwrap();
        assert!(event.id > last);
        last = event.id;
    }
    assert_eq!(world.store.verify_audit().await.unwrap(), 20);
}

async fn an_export_is_whole_and_vouched_for_by_the_key_alone(world: World) {
    let export = async || world.store.export_audit().try_collect::<String>().await.unwrap();
    let check = |file: &str| crate::audit::verify_export(file.as_bytes(), &world.settings.key);
    assert_eq!(check(&export().await).unwrap(), 0);
    // More lines than are read at once.
    for n in 0..501 {
        world.store.add_user(&Actor::Local, &Line::truncating(format!("u{n}")), Role::Auditor).await.unwrap();
    }
    let file = export().await;
    assert_eq!(check(&file).unwrap(), 1_002);
    assert!(check(&file.replacen("user.add", "user.bad", 1)).is_err());
    world.tamper("DELETE FROM audit_lines WHERE seq = 1002").await;
    assert!(world.store.export_audit().try_collect::<String>().await.is_err());
}
