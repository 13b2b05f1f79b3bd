//! Devices that are shut out and let in again.

use belay_protocol::DeviceKey;

use super::*;

conformance! {
    a_revoked_device_loses_its_sessions_and_a_code_of_it_looks_wrong
    a_restored_device_gets_in_with_a_new_code
    a_revocation_outlives_a_restart_and_keeps_its_first_reason
    who_watches_hears_of_changes_only
    a_repeated_revocation_does_not_undo_what_came_after_it
    an_unknown_device_is_not_revoked
}

const DEVICE: DeviceKey = DeviceKey([1; 32]);
const OTHER: DeviceKey = DeviceKey([2; 32]);

async fn session(world: &World, key: &DeviceKey) -> Session {
    let ticket = world.ticket().await;
    let minted = world.store.mint_invite(&Actor::Local, ticket.number, None).await.unwrap();
    let redeemed = world.store.redeem_invite(key, minted.code, None, None, None).await.unwrap();
    world.store.session(redeemed.session).await.unwrap().unwrap()
}

async fn revoke(world: &World, id: DeviceId, reason: &str) -> Device {
    world.store.revoke_device(&Actor::Local, id, &Line::truncating(reason), None).await.unwrap()
}

async fn restore(world: &World, id: DeviceId) -> Device {
    world.store.restore_device(&Actor::Local, id, None).await.unwrap()
}

async fn last_audit(world: &World) -> String {
    world.store.audit_lines_after(0, 1_000).await.unwrap().pop().unwrap()
}

async fn a_revoked_device_loses_its_sessions_and_a_code_of_it_looks_wrong(world: World) {
    let (live, paused, other) =
        (session(&world, &DEVICE).await, session(&world, &DEVICE).await, session(&world, &OTHER).await);
    world.store.interrupt_session(paused.id).await.unwrap();
    let ticket = world.ticket().await;
    let minted = world.store.mint_invite(&Actor::Local, ticket.number, None).await.unwrap();

    let revoked = revoke(&world, live.device, "stolen").await;
    let expected = Revocation { at_ms: world.clock.now(), by: "local".into(), reason: "stolen".into() };
    assert_eq!(revoked.revoked, Some(expected));
    assert_eq!(world.store.device(live.device).await.unwrap().unwrap(), revoked);
    assert_eq!(world.store.revoked_devices().await.unwrap(), [DEVICE].into());
    for ended in [live, paused] {
        let now = world.store.session(ended.id).await.unwrap().unwrap();
        assert_eq!((now.state, now.end_reason.as_deref()), (SessionState::Ended, Some("technician")));
        let events = world.store.list_events(Some(ended.ticket), EventId(0), 99).await.unwrap();
        assert_eq!(events.last().unwrap().kind, EventKind::SessionEnded);
    }
    assert_eq!(world.store.session(other.id).await.unwrap().unwrap().state, SessionState::Live);

    // With the secret or without, until it is slowed down like everybody who guesses.
    for secret in [None, Some(&minted.secret), None, Some(&minted.secret), Some(&minted.secret)] {
        let refused = world.store.redeem_invite(&DEVICE, minted.code, secret, None, None).await;
        assert!(matches!(refused, Err(RedeemError::NotValid)), "{refused:?}");
    }
    let slowed = world.store.redeem_invite(&DEVICE, minted.code, Some(&minted.secret), None, None).await;
    assert!(matches!(slowed, Err(RedeemError::SlowDown { .. })), "{slowed:?}");
    assert!(last_audit(&world).await.contains("device_revoked"));
    assert!(world.store.redeem_invite(&OTHER, minted.code, None, None, None).await.is_ok(), "the code is not used up");
}

async fn a_restored_device_gets_in_with_a_new_code(world: World) {
    let first = session(&world, &DEVICE).await;
    revoke(&world, first.device, "stolen").await;
    assert!(last_audit(&world).await.contains("session.end"));
    assert_eq!(restore(&world, first.device).await.revoked, None);
    assert!(last_audit(&world).await.contains("device.restore"));
    assert!(world.store.revoked_devices().await.unwrap().is_empty());
    let second = session(&world, &DEVICE).await;
    assert_eq!((second.device, second.state), (first.device, SessionState::Live));
    // And once more: each revocation is a row of its own.
    revoke(&world, first.device, "stolen again").await;
    restore(&world, first.device).await;
    assert_eq!(world.store.session(second.id).await.unwrap().unwrap().state, SessionState::Ended);
}

async fn a_revocation_outlives_a_restart_and_keeps_its_first_reason(mut world: World) {
    let device = session(&world, &DEVICE).await.device;
    let first = revoke(&world, device, "stolen").await;
    world.restart().await;
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(revoke(&world, device, "another").await, first);
    assert_eq!(world.store.revoked_devices().await.unwrap(), [DEVICE].into());
}

async fn who_watches_hears_of_changes_only(world: World) {
    let device = session(&world, &DEVICE).await.device;
    let mut watching = world.store.revocations();
    let mut heard = || {
        let changed = watching.has_changed().unwrap();
        watching.mark_unchanged();
        changed
    };
    restore(&world, device).await;
    assert!(!heard());
    revoke(&world, device, "stolen").await;
    assert!(heard());
    revoke(&world, device, "stolen").await;
    assert!(!heard());
    restore(&world, device).await;
    assert!(heard());
}

async fn a_repeated_revocation_does_not_undo_what_came_after_it(world: World) {
    let device = session(&world, &DEVICE).await.device;
    let once = Once::new(&Actor::Local, "key", b"revoke");
    let reason = Line::truncating("stolen");
    let first = world.store.revoke_device(&Actor::Local, device, &reason, Some(&once)).await.unwrap();
    restore(&world, device).await;
    let again = world.store.revoke_device(&Actor::Local, device, &reason, Some(&once)).await.unwrap();
    assert_eq!(again, first);
    assert!(world.store.revoked_devices().await.unwrap().is_empty());
}

async fn an_unknown_device_is_not_revoked(world: World) {
    let revoked = world.store.revoke_device(&Actor::Local, DeviceId(9), &Line::truncating("x"), None).await;
    assert!(matches!(revoked, Err(RevokeError::NoDevice)));
    let restored = world.store.restore_device(&Actor::Local, DeviceId(9), None).await;
    assert!(matches!(restored, Err(RevokeError::NoDevice)));
}
