//! Codes: redeemed once, and guessed in vain.

use belay_protocol::DeviceKey;
use belay_protocol::invite::{Code, InviteSecret};

use super::*;
use crate::ticket::TicketState;

conformance! {
    a_code_starts_one_session_on_its_ticket
    wrong_used_expired_replaced_and_closed_look_the_same
    the_same_device_gets_its_session_back_until_it_ends_or_the_code_expires
    a_closed_ticket_takes_no_invite
    a_repeated_request_gets_the_same_code
    guessing_is_slowed_per_device_across_a_restart
    guessing_is_slowed_per_source
    the_secret_is_exempt_from_the_delay_and_a_wrong_secret_is_refused
    a_flood_slows_the_desk_but_locks_nobody_out
    the_database_holds_no_code
}

const DEVICE: DeviceKey = DeviceKey([1; 32]);
const OTHER: DeviceKey = DeviceKey([2; 32]);

async fn mint(world: &World, ticket: &Ticket) -> Minted {
    world.store.mint_invite(&Actor::Local, ticket.number, None).await.unwrap()
}

/// A code that nobody was given.
fn wrong_code(right: Code) -> Code {
    Code::from_number(u32::from(right) / 10 + 1)
}

async fn refusal(world: &World, ticket: &Ticket) -> String {
    let events = world.store.list_events(Some(ticket.number), EventId(0), 100).await.unwrap();
    let last = events.into_iter().rfind(|event| event.kind == EventKind::InviteRefused).unwrap();
    last.payload["reason"].as_str().unwrap().to_owned()
}

async fn a_code_starts_one_session_on_its_ticket(world: World) {
    let ticket = world.ticket().await;
    let minted = mint(&world, &ticket).await;
    let redeemed = world.store.redeem_invite(&DEVICE, minted.code, Some(&minted.secret), None, None).await.unwrap();
    assert_eq!((redeemed.ticket.number, redeemed.resumed), (ticket.number, false));
    let session = world.store.session(redeemed.session).await.unwrap().unwrap();
    assert_eq!((session.ticket, session.state), (ticket.number, SessionState::Live));
    assert_eq!(session.requested, ["survey"]);
    assert_eq!(world.store.list_devices(None, None, 9).await.unwrap()[0].key, DEVICE.to_string());
}

async fn wrong_used_expired_replaced_and_closed_look_the_same(world: World) {
    let ticket = world.ticket().await;
    let replaced = mint(&world, &ticket).await;
    let used = mint(&world, &ticket).await;
    let not_valid = async |device: &DeviceKey, code| {
        let result = world.store.redeem_invite(device, code, None, None, None).await;
        assert!(matches!(result, Err(RedeemError::NotValid)), "{result:?}");
    };
    not_valid(&DeviceKey([10; 32]), wrong_code(used.code)).await;
    not_valid(&DeviceKey([11; 32]), replaced.code).await;
    assert_eq!(refusal(&world, &ticket).await, "replaced");
    world.store.redeem_invite(&DEVICE, used.code, None, None, None).await.unwrap();
    not_valid(&OTHER, used.code).await;
    assert_eq!(refusal(&world, &ticket).await, "used");
    let expired = mint(&world, &ticket).await;
    world.clock.advance(CODE_LIFE);
    not_valid(&DeviceKey([12; 32]), expired.code).await;
    assert_eq!(refusal(&world, &ticket).await, "expired");
    let closed = mint(&world, &ticket).await;
    world.change(ticket.number, super::closed(Closing::Withdrawn)).await.unwrap();
    not_valid(&DeviceKey([13; 32]), closed.code).await;
    assert_eq!(refusal(&world, &ticket).await, "ticket_takes_no_sessions");
    assert_eq!(world.store.list_sessions(None, None, 9).await.unwrap().len(), 1);
}

async fn the_same_device_gets_its_session_back_until_it_ends_or_the_code_expires(mut world: World) {
    let ticket = world.ticket().await;
    let minted = mint(&world, &ticket).await;
    let first = world.store.redeem_invite(&DEVICE, minted.code, None, None, None).await.unwrap();
    world.restart().await;
    let state = async |world: &World| world.store.session(first.session).await.unwrap().unwrap().state;
    assert_eq!(state(&world).await, SessionState::Interrupted);
    let again = world.store.redeem_invite(&DEVICE, minted.code, None, None, None).await.unwrap();
    assert_eq!((again.session, again.resumed), (first.session, true));
    assert_eq!(state(&world).await, SessionState::Live);

    world.store.end_session(&Actor::System, first.session, EndReason::Done).await.unwrap();
    let ended = world.store.redeem_invite(&DEVICE, minted.code, None, None, None).await;
    assert!(matches!(ended, Err(RedeemError::NotValid)));

    let minted = mint(&world, &ticket).await;
    world.store.redeem_invite(&DEVICE, minted.code, None, None, None).await.unwrap();
    world.clock.advance(CODE_LIFE - Duration::from_millis(1));
    assert!(world.store.redeem_invite(&DEVICE, minted.code, None, None, None).await.is_ok());
    world.clock.advance(Duration::from_millis(1));
    let expired = world.store.redeem_invite(&DEVICE, minted.code, None, None, None).await;
    assert!(matches!(expired, Err(RedeemError::NotValid)));
}

async fn a_closed_ticket_takes_no_invite(world: World) {
    let ticket = world.ticket().await;
    let mint = async || world.store.mint_invite(&Actor::Local, ticket.number, None).await;
    world.change(ticket.number, closed(Closing::Spam)).await.unwrap();
    assert!(matches!(mint().await, Err(MintError::TakesNoSessions(TicketState::Closed))));
    world.change(ticket.number, to(TicketState::Open)).await.unwrap();
    assert!(mint().await.is_ok());
    world.store.merge_ticket(&Actor::Local, ticket.number, world.ticket().await.number).await.unwrap();
    assert!(matches!(mint().await, Err(MintError::TakesNoSessions(TicketState::Merged))));
    let unknown = "10999".to_owned();
    let number = (0..10).find_map(|check| format!("{unknown}{check}").parse().ok()).unwrap();
    assert!(matches!(world.store.mint_invite(&Actor::Local, number, None).await, Err(MintError::NoTicket)));
}

async fn a_repeated_request_gets_the_same_code(world: World) {
    let ticket = world.ticket().await;
    let once = Once::new(&Actor::Local, "mint", b"");
    let first = world.store.mint_invite(&Actor::Local, ticket.number, Some(&once)).await.unwrap();
    let second = world.store.mint_invite(&Actor::Local, ticket.number, Some(&once)).await.unwrap();
    assert_eq!(first, second);
    assert!(world.store.redeem_invite(&DEVICE, second.code, Some(&second.secret), None, None).await.is_ok());
}

async fn guess(world: &World, device: &DeviceKey, code: Code, source: Option<[u8; 16]>) -> Result<(), RedeemError> {
    world.store.redeem_invite(device, code, None, source, None).await.map(|_| ())
}

async fn guessing_is_slowed_per_device_across_a_restart(mut world: World) {
    let ticket = world.ticket().await;
    let right = mint(&world, &ticket).await.code;
    for _ in 0..5 {
        assert!(matches!(guess(&world, &DEVICE, wrong_code(right), None).await, Err(RedeemError::NotValid)));
    }
    world.restart().await;
    let slowed = guess(&world, &DEVICE, right, None).await;
    let Err(RedeemError::SlowDown { retry_after }) = slowed else { panic!("{slowed:?}") };
    assert_eq!(retry_after, Duration::from_secs(15));
    // Another device is not slowed by it.
    assert!(matches!(guess(&world, &OTHER, wrong_code(right), None).await, Err(RedeemError::NotValid)));
    world.clock.advance(retry_after);
    assert!(matches!(guess(&world, &DEVICE, wrong_code(right), None).await, Err(RedeemError::NotValid)));
    let slowed = guess(&world, &DEVICE, right, None).await;
    assert!(
        matches!(slowed, Err(RedeemError::SlowDown { retry_after }) if retry_after == Duration::from_secs(30)),
        "{slowed:?}"
    );
    world.clock.advance(Duration::from_secs(30));
    assert!(guess(&world, &DEVICE, right, None).await.is_ok());
}

async fn guessing_is_slowed_per_source(world: World) {
    let ticket = world.ticket().await;
    let right = mint(&world, &ticket).await.code;
    for n in 0..25 {
        // Five colleagues' worth of mistakes cost the others of an office nothing.
        let device = DeviceKey([100 + n; 32]);
        let refused = guess(&world, &device, wrong_code(right), Some([7; 16])).await;
        assert!(matches!(refused, Err(RedeemError::NotValid)), "{n}: {refused:?}");
    }
    assert!(matches!(guess(&world, &DEVICE, right, Some([7; 16])).await, Err(RedeemError::SlowDown { .. })));
    assert!(guess(&world, &DEVICE, right, Some([8; 16])).await.is_ok());
}

async fn the_secret_is_exempt_from_the_delay_and_a_wrong_secret_is_refused(world: World) {
    let ticket = world.ticket().await;
    let minted = mint(&world, &ticket).await;
    for _ in 0..5 {
        let _ = guess(&world, &DEVICE, wrong_code(minted.code), None).await;
    }
    let wrong = InviteSecret([9; 16]);
    let other = world.store.redeem_invite(&OTHER, minted.code, Some(&wrong), None, None).await;
    assert!(matches!(other, Err(RedeemError::NotValid)));
    assert_eq!(refusal(&world, &ticket).await, "wrong_secret");
    let slowed = world.store.redeem_invite(&DEVICE, minted.code, Some(&wrong), None, None).await;
    assert!(matches!(slowed, Err(RedeemError::SlowDown { .. })));
    assert!(world.store.redeem_invite(&DEVICE, minted.code, Some(&minted.secret), None, None).await.is_ok());
}

async fn a_flood_slows_the_desk_but_locks_nobody_out(world: World) {
    let ticket = world.ticket().await;
    let right = mint(&world, &ticket).await.code;
    assert_eq!(world.store.guess_pace().await.unwrap(), Duration::ZERO);
    for n in 0..100u8 {
        let mut device = [0; 32];
        device[0] = n;
        let _ = guess(&world, &DeviceKey(device), wrong_code(right), None).await;
    }
    assert!(world.store.guess_pace().await.unwrap() > Duration::ZERO);
    let lines = world.store.audit_lines_after(0, 1_000).await.unwrap();
    assert_eq!(lines.iter().filter(|line| line.contains("\"invite.alarm\"")).count(), 1);
    assert!(guess(&world, &DeviceKey([200; 32]), right, None).await.is_ok());
    world.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(world.store.guess_pace().await.unwrap(), Duration::ZERO);
}

async fn the_database_holds_no_code(world: World) {
    let ticket = world.ticket().await;
    let once = Once::new(&Actor::Local, "mint", b"");
    let minted = world.store.mint_invite(&Actor::Local, ticket.number, Some(&once)).await.unwrap();
    let lines = world.store.audit_lines_after(0, 100).await.unwrap().join("\n");
    let events = format!("{:?}", world.store.list_events(None, EventId(0), 100).await.unwrap());
    assert!(!lines.contains(&minted.code.digits()) && !events.contains(&minted.code.digits()));
    let DatabaseLocation::Sqlite(path) = &world.settings.database else { return };
    world.tamper("PRAGMA wal_checkpoint(TRUNCATE)").await;
    let file = std::fs::read(path).unwrap();
    let holds = |needle: &[u8]| file.windows(needle.len()).any(|window| window == needle);
    assert!(holds(b"Disk is full"));
    assert!(!holds(minted.code.digits().as_bytes()) && !holds(&minted.secret.0));
}
