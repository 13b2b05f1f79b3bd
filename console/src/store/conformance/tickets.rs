//! Tickets and their events.

use super::*;
use crate::life::Refused;
use crate::number::TicketNumber;
use crate::ticket::Priority;

conformance! {
    a_ticket_comes_back_as_it_was_opened
    numbers_follow_each_other
    a_change_needs_the_version_it_was_made_for
    an_illegal_move_is_refused
    what_else_is_known_comes_back_and_can_be_taken_back
    a_priority_against_the_matrix_stays_until_it_is_taken_back
    tags_are_small_once_and_bounded
    a_repeated_request_opens_one_ticket
    lists_page_and_filter
    the_most_pressing_come_first_and_page_without_a_gap
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

async fn an_illegal_move_is_refused(world: World) {
    let ticket = world.ticket().await;
    world.change(ticket.number, to(TicketState::Open)).await.unwrap();
    for target in [TicketState::New, TicketState::Merged] {
        let refused = world.change(ticket.number, to(target)).await;
        assert!(matches!(refused, Err(ChangeError::Refused(Refused::NoSuchMove { .. }))), "{refused:?}");
    }
    let owner = TicketChange { owner: Some(Some(Line::truncating("nobody"))), ..Default::default() };
    let refused = world.change(ticket.number, owner).await;
    assert!(matches!(refused, Err(ChangeError::NoSuchOwner)), "{refused:?}");
}

async fn what_else_is_known_comes_back_and_can_be_taken_back(world: World) {
    let about = About {
        scope: Some(Line::truncating("all tills")),
        first_seen_at: Some(UnixMillis(1_767_000_000_000)),
        product: Some(Line::truncating("Till")),
        product_version: Some(Line::truncating("4.2")),
        reach: Some(Line::truncating("+49 30 123")),
        language: Some(Spoken::Chinese),
    };
    let new = NewTicket { about, ..new_ticket("Tills stand still") };
    let opened = world.store.open_ticket(&Actor::Local, new, None).await.unwrap().unwrap();
    assert_eq!((opened.scope.as_deref(), opened.product_version.as_deref()), (Some("all tills"), Some("4.2")));
    assert_eq!(opened.first_seen_at_ms, Some(UnixMillis(1_767_000_000_000)));
    assert_eq!((opened.reach.as_deref(), opened.language), (Some("+49 30 123"), Some(Spoken::Chinese)));
    let change = TicketChange {
        about: About { scope: Some(Line::truncating("")), reach: Some(Line::truncating("")), ..About::default() },
        customer: Some(Line::truncating("Südwind")),
        contact: Some(Some(Line::truncating("Bo"))),
        promised_at: Some(Some(UnixMillis(1_767_300_000_000))),
        ..Default::default()
    };
    let changed = world.change(opened.number, change).await.unwrap();
    assert_eq!((changed.scope, changed.product.as_deref()), (None, Some("Till")));
    assert_eq!((changed.reach, changed.language), (None, Some(Spoken::Chinese)));
    assert_eq!((changed.customer.as_str(), changed.contact.as_deref()), ("Südwind", Some("Bo")));
    assert_eq!(changed.promised_at_ms, Some(UnixMillis(1_767_300_000_000)));
    // The contact of another company is nobody here.
    let moved = TicketChange { customer: Some(Line::truncating("Nordwind")), ..Default::default() };
    assert_eq!(world.change(opened.number, moved).await.unwrap().contact, None);
}

async fn a_priority_against_the_matrix_stays_until_it_is_taken_back(world: World) {
    let ticket = world.ticket().await;
    let set = |priority| TicketChange { priority: Some(priority), ..Default::default() };
    let why = Line::truncating("the owner is on the phone");
    let changed = world.change(ticket.number, set(Some((Priority::Critical, why)))).await.unwrap();
    assert_eq!(changed.priority, Priority::Critical);
    let impact = TicketChange { impact: Some(Level::Low), ..Default::default() };
    let changed = world.change(ticket.number, impact).await.unwrap();
    assert_eq!((changed.priority, changed.priority_reason.is_some()), (Priority::Critical, true));
    let changed = world.change(ticket.number, set(None)).await.unwrap();
    assert_eq!((changed.priority, changed.priority_reason), (Priority::of(Level::Low, Level::High), None));
}

async fn tags_are_small_once_and_bounded(world: World) {
    let ticket = world.ticket().await;
    let tags = |tags: &[&str]| TicketChange {
        tags: Some(tags.iter().map(|tag| Line::truncating(*tag)).collect()),
        ..Default::default()
    };
    let changed = world.change(ticket.number, tags(&["VPN", "vpn ", "打印机"])).await.unwrap();
    assert_eq!(changed.tags, ["vpn", "打印机"]);
    let same = world.change(ticket.number, tags(&["打印机", "vpn"])).await.unwrap();
    assert_eq!(same.version, changed.version, "nothing changed");
    let found = TicketFilter { tag: Some("VPN".into()), ..Default::default() };
    assert_eq!(world.store.list_tickets(&found, 9).await.unwrap().len(), 1);
    assert!(matches!(world.change(ticket.number, tags(&[" "])).await, Err(ChangeError::BadTags)));
    let many: Vec<String> = (0..33).map(|tag| tag.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(matches!(world.change(ticket.number, tags(&many)).await, Err(ChangeError::BadTags)));
    assert_eq!(world.change(ticket.number, tags(&many[1..])).await.unwrap().tags.len(), 32);
    assert!(world.change(ticket.number, tags(&[])).await.unwrap().tags.is_empty());
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
    let order = TicketOrder::Newest(Some(newest[1].number));
    let rest = world.store.list_tickets(&TicketFilter { order, ..Default::default() }, 2).await.unwrap();
    assert_eq!(newest.len() + rest.len(), 3);
    assert!(rest[0].number < newest[1].number);
    let closed = TicketFilter { states: vec![TicketState::Closed], ..Default::default() };
    assert!(world.store.list_tickets(&closed, 2).await.unwrap().is_empty());
    let stranger = TicketFilter { customer: Some("Stranger".into()), ..Default::default() };
    assert!(world.store.list_tickets(&stranger, 2).await.unwrap().is_empty());
    let known = TicketFilter { customer: Some("Nordwind Logistik".into()), ..Default::default() };
    assert_eq!(world.store.list_tickets(&known, 9).await.unwrap().len(), 3);
}

async fn the_most_pressing_come_first_and_page_without_a_gap(world: World) {
    let mut expected = Vec::new();
    for (impact, urgency) in [
        (Level::Low, Level::Low),
        (Level::High, Level::High),
        (Level::Medium, Level::Medium),
        (Level::High, Level::High),
    ] {
        let new = NewTicket { impact, urgency, ..new_ticket("x") };
        let opened = world.store.open_ticket(&Actor::Local, new, None).await.unwrap().unwrap();
        expected.push((opened.priority, opened.number));
    }
    expected.sort();
    let mut after = None;
    for expected in expected {
        let filter = TicketFilter { order: TicketOrder::Pressing(after), ..Default::default() };
        let page = world.store.list_tickets(&filter, 1).await.unwrap();
        assert_eq!((page[0].priority, page[0].number), expected);
        after = Some(expected);
    }
    let filter = TicketFilter { order: TicketOrder::Pressing(after), ..Default::default() };
    assert!(world.store.list_tickets(&filter, 1).await.unwrap().is_empty());
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
