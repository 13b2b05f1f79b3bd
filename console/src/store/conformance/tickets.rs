//! Tickets and their events.

use super::*;
use crate::number::TicketNumber;
use crate::ticket::{Priority, TicketState};

conformance! {
    a_ticket_comes_back_as_it_was_opened
    numbers_follow_each_other
    a_change_needs_the_version_it_was_made_for
    an_illegal_move_is_refused_with_the_allowed_ones
    a_repeated_request_opens_one_ticket
    lists_page_and_filter
    events_are_replayed_and_then_live
    a_failed_change_leaves_no_event
    reopening_keeps_everything
}

async fn a_ticket_comes_back_as_it_was_opened(world: World) {
    let opened = world.ticket().await;
    assert_eq!(opened.priority, Priority::High);
    assert_eq!((opened.customer.as_str(), opened.contact.as_deref()), ("Nordwind Logistik", Some("Ada")));
    assert_eq!(world.store.ticket(opened.number).await.unwrap(), Some(opened));
    assert_eq!(world.store.ticket(TicketNumber::from_serial(7)).await.unwrap(), None);
}

async fn numbers_follow_each_other(world: World) {
    let (first, second) = tokio::join!(world.ticket(), world.ticket());
    let mut serials = [first.number.serial(), second.number.serial()];
    serials.sort_unstable();
    assert_eq!(serials, [TicketNumber::FIRST.serial(), TicketNumber::FIRST.serial() + 1]);
}

async fn a_change_needs_the_version_it_was_made_for(world: World) {
    let ticket = world.ticket().await;
    let change = TicketChange { title: Some(Line::truncating("Disk /var is full")), ..Default::default() };
    let changed =
        world.store.change_ticket(&Actor::Local, ticket.number, ticket.version, change.clone()).await.unwrap();
    assert_eq!((changed.version, changed.title.as_str()), (2, "Disk /var is full"));
    let stale = world.store.change_ticket(&Actor::Local, ticket.number, ticket.version, change.clone()).await;
    assert!(matches!(stale, Err(ChangeError::Stale { current: 2 })), "{stale:?}");
    // A change that changes nothing is not a new version.
    let same = world.store.change_ticket(&Actor::Local, ticket.number, 2, change).await.unwrap();
    assert_eq!(same.version, 2);
}

async fn an_illegal_move_is_refused_with_the_allowed_ones(world: World) {
    let ticket = world.ticket().await;
    let to = |state| TicketChange { state: Some(state), ..Default::default() };
    let merged = world.store.change_ticket(&Actor::Local, ticket.number, 1, to(TicketState::Merged)).await.unwrap();
    assert_eq!(merged.state, TicketState::Merged);
    let refused = world.store.change_ticket(&Actor::Local, ticket.number, 2, to(TicketState::Open)).await;
    assert!(matches!(refused, Err(ChangeError::IllegalMove { allowed: &[], .. })), "{refused:?}");
    let owner = TicketChange { owner: Some(Some(Line::truncating("nobody"))), ..Default::default() };
    let refused = world.store.change_ticket(&Actor::Local, ticket.number, 2, owner).await;
    assert!(matches!(refused, Err(ChangeError::NoSuchOwner)), "{refused:?}");
}

async fn a_repeated_request_opens_one_ticket(world: World) {
    let once = Once::new(&Actor::Local, "key-1", b"body");
    let open = || world.store.open_ticket(&Actor::Local, new_ticket("Once"), Some(&once));
    let first = open().await.unwrap().unwrap();
    assert_eq!(open().await.unwrap().unwrap(), first);
    let other = Once::new(&Actor::Local, "key-1", b"another body");
    let refused = world.store.open_ticket(&Actor::Local, new_ticket("Other"), Some(&other)).await.unwrap();
    assert!(matches!(refused, Err(OnceError::OtherRequest)));
    let elsewhere = Once::new(&Actor::User(UserId(1)), "key-1", b"body");
    let second = world.store.open_ticket(&Actor::Local, new_ticket("Once"), Some(&elsewhere)).await.unwrap().unwrap();
    assert_ne!(second.number, first.number);
    world.clock.advance(Duration::from_secs(25 * 60 * 60));
    assert_ne!(open().await.unwrap().unwrap().number, first.number);
}

async fn lists_page_and_filter(world: World) {
    for _ in 0..3 {
        world.ticket().await;
    }
    let filter = TicketFilter::default();
    let newest = world.store.list_tickets(&filter, 2).await.unwrap();
    let before = Some(newest[1].number);
    let rest = world.store.list_tickets(&TicketFilter { before, ..Default::default() }, 2).await.unwrap();
    assert_eq!(newest.len() + rest.len(), 3);
    assert!(rest[0].number < newest[1].number);
    let closed = TicketFilter { states: vec![TicketState::Closed], ..Default::default() };
    assert!(world.store.list_tickets(&closed, 2).await.unwrap().is_empty());
    let stranger = TicketFilter { customer: Some("Stranger".into()), ..Default::default() };
    assert!(world.store.list_tickets(&stranger, 2).await.unwrap().is_empty());
    let known = TicketFilter { customer: Some("Nordwind Logistik".into()), ..Default::default() };
    assert_eq!(world.store.list_tickets(&known, 9).await.unwrap().len(), 3);
}

async fn events_are_replayed_and_then_live(world: World) {
    let first = world.ticket().await;
    let mut events = world.store.events_after(EventId(0));
    let replayed = events.next().await.unwrap();
    assert_eq!((replayed.ticket, replayed.kind), (first.number, EventKind::TicketOpened));
    let second = world.ticket().await;
    let live = events.next().await.unwrap();
    assert_eq!(live.ticket, second.number);
    assert!(live.id > replayed.id);
    let mut resumed = world.store.events_after(replayed.id);
    assert_eq!(resumed.next().await.unwrap(), live);
    assert_eq!(world.store.newest_event().await.unwrap(), live.id);
}

async fn a_failed_change_leaves_no_event(world: World) {
    let ticket = world.ticket().await;
    let before = world.store.newest_event().await.unwrap();
    let lines = world.store.verify_audit().await.unwrap();
    let change = TicketChange { title: Some(Line::truncating("x")), ..Default::default() };
    assert!(world.store.change_ticket(&Actor::Local, ticket.number, 9, change).await.is_err());
    assert_eq!(world.store.newest_event().await.unwrap(), before);
    assert_eq!(world.store.verify_audit().await.unwrap(), lines);
}

async fn reopening_keeps_everything(mut world: World) {
    let ticket = world.ticket().await;
    world.restart().await;
    assert_eq!(world.store.ticket(ticket.number).await.unwrap(), Some(ticket.clone()));
    assert_eq!(world.ticket().await.number.serial(), ticket.number.serial() + 1);
    assert_eq!(world.store.list_events(Some(ticket.number), EventId(0), 9).await.unwrap().len(), 1);
}
