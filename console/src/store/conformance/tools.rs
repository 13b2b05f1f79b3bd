//! The priority matrix, checklists, macros, time entries and overviews.

use belay_protocol::DeviceKey;

use super::*;
use crate::ticket::{Priority, PriorityMatrix};

conformance! {
    an_edited_matrix_judges_what_is_judged_from_then_on
    a_checklist_is_kept_used_and_worked_through
    a_macro_takes_all_its_steps_or_none
    a_macro_fills_in_names_once
    a_session_leaves_the_time_during_which_its_device_was_there
    time_is_written_down_changed_and_taken_away
    overviews_are_ones_own_or_everybodys
    a_merged_ticket_takes_its_list_and_its_time_along
}

fn line(text: &str) -> Line {
    Line::truncating(text)
}

fn lines(texts: &[&str]) -> Vec<Line> {
    texts.iter().map(|text| line(text)).collect()
}

async fn an_edited_matrix_judges_what_is_judged_from_then_on(mut world: World) {
    assert_eq!(world.store.priority_matrix().await.unwrap(), PriorityMatrix::default());
    let before = world.ticket().await;
    assert_eq!(before.priority, Priority::High);
    let mut matrix = PriorityMatrix::default();
    matrix.medium.high = Priority::Low;
    world.store.set_priority_matrix(&Actor::Local, matrix).await.unwrap();
    world.restart().await;
    assert_eq!(world.store.priority_matrix().await.unwrap(), matrix);
    assert_eq!(world.ticket().await.priority, Priority::Low);
    let title = TicketChange { title: Some(line("Another title")), ..Default::default() };
    assert_eq!(world.change(before.number, title).await.unwrap().priority, Priority::High, "nobody judged it again");
    let judged = TicketChange { urgency: Some(Level::Low), ..Default::default() };
    world.change(before.number, judged).await.unwrap();
    let judged = TicketChange { urgency: Some(Level::High), ..Default::default() };
    assert_eq!(world.change(before.number, judged).await.unwrap().priority, Priority::Low);
    // Nothing was changed, and nothing is told of it.
    let lines = world.store.audit_lines_after(0, 999).await.unwrap().len();
    world.store.set_priority_matrix(&Actor::Local, matrix).await.unwrap();
    assert_eq!(world.store.audit_lines_after(0, 999).await.unwrap().len(), lines);
}

async fn a_checklist_is_kept_used_and_worked_through(world: World) {
    let store = &world.store;
    let keep =
        async |id, name, items: &[&str]| store.keep_checklist(&Actor::Local, id, &line(name), &lines(items)).await;
    let kept = keep(None, "New laptop", &["join domain", "安装打印机"]).await.unwrap();
    assert!(matches!(keep(None, "New laptop", &["x"]).await, Err(ChecklistError::NameTaken)));
    let changed = keep(Some(kept.id), "New laptop", &["join domain", "安装打印机", "mail"]).await.unwrap();
    assert_eq!(store.list_checklists().await.unwrap(), std::slice::from_ref(&changed));
    assert!(matches!(keep(Some(ChecklistId(99)), "Other", &["x"]).await, Err(ChecklistError::NotThere)));
    let ticket = world.ticket().await;
    let items = store.use_checklist(&Actor::Local, ticket.number, changed.id).await.unwrap();
    assert_eq!(items.iter().map(|item| item.text.as_str()).collect::<Vec<_>>(), changed.items);
    let done = store.tick_checklist_item(&Actor::Local, ticket.number, items[1].id, true).await.unwrap();
    assert_eq!((done.done_by.as_deref(), done.done_at_ms), (Some("local"), Some(world.clock.now())));
    // Done twice is done once, and who was first stays.
    let again = store.tick_checklist_item(&Actor::System, ticket.number, items[1].id, true).await.unwrap();
    assert_eq!(again, done);
    let undone = store.tick_checklist_item(&Actor::Local, ticket.number, items[1].id, false).await.unwrap();
    assert_eq!((undone.done_at_ms, undone.done_by), (None, None));
    store.remove_checklist_item(&Actor::Local, ticket.number, items[0].id).await.unwrap();
    assert_eq!(store.list_checklist_items(ticket.number).await.unwrap().len(), 2);
    // An item is reached through its own ticket alone.
    let other = world.ticket().await;
    let refused = store.tick_checklist_item(&Actor::Local, other.number, items[1].id, true).await;
    assert!(matches!(refused, Err(ChecklistError::NotThere)), "{refused:?}");
    store.forget_checklist(&Actor::Local, changed.id).await.unwrap();
    assert!(matches!(store.forget_checklist(&Actor::Local, changed.id).await, Err(ChecklistError::NotThere)));
    assert_eq!(store.list_checklist_items(ticket.number).await.unwrap().len(), 2, "what is on a ticket stays");
    let many: Vec<String> = (0..99).map(|at| at.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let refused = store.add_checklist_items(&Actor::Local, ticket.number, &lines(&many)).await;
    assert!(matches!(refused, Err(ChecklistError::TooMany)), "{refused:?}");
    assert_eq!(store.list_checklist_items(ticket.number).await.unwrap().len(), 2, "all of them or none");
    store.add_checklist_items(&Actor::Local, ticket.number, &lines(&many[..98])).await.unwrap();
}

async fn a_macro_takes_all_its_steps_or_none(world: World) {
    let store = &world.store;
    let ada = world.present("ada").await;
    let actor = Actor::User(ada);
    let ticket = world.ticket().await;
    let steps = Steps {
        state: Some(TicketState::PendingCustomer),
        wake_after_hours: Some(48),
        take: true,
        impact: Some(Level::Low),
        tags: lines(&["Waiting", "call"]),
        article: Some(MacroArticle { visibility: Visibility::Public, body: "Please restart it.".try_into().unwrap() }),
        checklist: lines(&["call back"]),
        ..Steps::default()
    };
    let kept = store.keep_macro(&Actor::Local, None, &line("Ask to restart"), &steps).await.unwrap();
    assert_eq!(store.list_macros().await.unwrap(), std::slice::from_ref(&kept));
    let stale = store.run_macro(&actor, ticket.number, ticket.version + 1, kept.id).await;
    assert!(matches!(stale, Err(MacroError::Change(ChangeError::Stale { .. }))), "{stale:?}");
    let ran = store.run_macro(&actor, ticket.number, ticket.version, kept.id).await.unwrap();
    assert_eq!((ran.state, ran.owner.as_deref(), ran.impact), (TicketState::PendingCustomer, Some("ada"), Level::Low));
    assert_eq!(ran.pending_until_ms, Some(world.clock.now().plus(Duration::from_secs(48 * 3_600))));
    assert_eq!(ran.tags, ["call", "waiting"]);
    assert!(ran.version > ticket.version);
    let said = store.list_articles(ticket.number, ArticleId(0), 9).await.unwrap();
    assert_eq!((said.len(), said[0].visibility), (1, Visibility::Public));
    assert_eq!(store.list_checklist_items(ticket.number).await.unwrap().len(), 1);

    // Where one step is refused, nothing of it is done.
    let closed = world.change(ticket.number, closed(Closing::Spam)).await;
    let closed = match closed {
        Ok(closed) => closed,
        Err(_) => world.change(ticket.number, to(TicketState::Open)).await.unwrap(),
    };
    let moved = store.run_macro(&actor, ticket.number, closed.version, kept.id).await;
    if closed.state == TicketState::Closed {
        assert!(matches!(moved, Err(MacroError::Change(ChangeError::Refused(_)))), "{moved:?}");
        assert_eq!(store.list_articles(ticket.number, ArticleId(0), 9).await.unwrap().len(), 1);
        assert_eq!(store.list_checklist_items(ticket.number).await.unwrap().len(), 1);
    }

    let bad = [
        Steps::default(),
        Steps { state: Some(TicketState::Resolved), ..Steps::default() },
        Steps { state: Some(TicketState::PendingReminder), ..Steps::default() },
        Steps { wake_after_hours: Some(1), take: true, ..Steps::default() },
        Steps { state: Some(TicketState::PendingCustomer), wake_after_hours: Some(0), ..Steps::default() },
    ];
    for steps in bad {
        let refused = store.keep_macro(&Actor::Local, None, &line("Bad"), &steps).await;
        assert!(matches!(refused, Err(MacroError::BadStep(_))), "{steps:?}: {refused:?}");
    }
    let nowhere = Steps { group: Some(line("Nowhere")), ..Steps::default() };
    let refused = store.keep_macro(&Actor::Local, None, &line("Bad"), &nowhere).await;
    assert!(matches!(refused, Err(MacroError::Change(ChangeError::NoSuchGroup))), "{refused:?}");
    let taken = store.keep_macro(&Actor::Local, None, &line("Ask to restart"), &kept.steps).await;
    assert!(matches!(taken, Err(MacroError::NameTaken)), "{taken:?}");
    store.forget_macro(&Actor::Local, kept.id).await.unwrap();
    let gone = store.run_macro(&actor, ticket.number, closed.version, kept.id).await;
    assert!(matches!(gone, Err(MacroError::NotThere)), "{gone:?}");
}

async fn a_macro_fills_in_names_once(world: World) {
    let ada = world.present("ada").await;
    let new = NewTicket { contact: Some(line("{me} {number}")), ..new_ticket("Slow") };
    let ticket = world.store.open_ticket(&Actor::Local, new, None).await.unwrap().unwrap();
    let body = "Dear {contact} of {customer}, {number} {title} {unknown} { {me}";
    let article = Some(MacroArticle { visibility: Visibility::Internal, body: body.try_into().unwrap() });
    let steps = Steps { article, ..Steps::default() };
    let kept = world.store.keep_macro(&Actor::Local, None, &line("Greet"), &steps).await.unwrap();
    let ran = world.store.run_macro(&Actor::User(ada), ticket.number, ticket.version, kept.id).await.unwrap();
    assert_eq!((ran.version, ran.state), (ticket.version + 1, TicketState::New));
    let said = world.store.list_articles(ticket.number, ArticleId(0), 9).await.unwrap();
    let expected = format!("Dear {{me}} {{number}} of Nordwind Logistik, {} Slow {{unknown}} {{ ada", ticket.number);
    assert_eq!(said[0].body, expected);
}

async fn a_session_leaves_the_time_during_which_its_device_was_there(world: World) {
    let store = &world.store;
    let ada = world.present("ada").await;
    let ticket = world.ticket().await;
    let owner = TicketChange { owner: Some(Some(line("ada"))), reason: Some(line("hers")), ..Default::default() };
    world.change(ticket.number, owner).await.unwrap();
    let device = DeviceKey([1; 32]);
    let minted = store.mint_invite(&Actor::Local, ticket.number, None).await.unwrap();
    let started = world.clock.now();
    let session = store.redeem_invite(&device, minted.code, None, None, None).await.unwrap().session;
    world.clock.advance(Duration::from_secs(600));
    store.interrupt_session(session).await.unwrap();
    world.clock.advance(Duration::from_secs(7_200));
    assert!(store.list_time_entries(ticket.number).await.unwrap().is_empty());
    store.end_session(&Actor::System, session, EndReason::Done).await.unwrap();
    let entries = store.list_time_entries(ticket.number).await.unwrap();
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];
    assert_eq!((entry.seconds, entry.started_at_ms, entry.session), (600, started, Some(session)));
    assert_eq!(entry.user.as_deref(), Some("ada"));
    let change = TimeChange { seconds: Some(300), note: Some(line("half of it was lunch")), ..Default::default() };
    let changed = store.change_time_entry(&Actor::User(ada), ticket.number, entry.id, change).await.unwrap();
    assert_eq!((changed.seconds, changed.note.as_str(), changed.session), (300, "half of it was lunch", Some(session)));
}

async fn time_is_written_down_changed_and_taken_away(world: World) {
    let store = &world.store;
    let ada = Actor::User(world.present("ada").await);
    let number = world.ticket().await.number;
    let new = |seconds| NewTimeEntry { user: None, started_at: None, seconds, note: line("telephone") };
    let entry = store.add_time_entry(&ada, number, new(900)).await.unwrap();
    assert_eq!((entry.user.as_deref(), entry.seconds), (Some("ada"), 900));
    assert_eq!(entry.started_at_ms.plus(Duration::from_secs(900)), world.clock.now());
    for seconds in [0, -1, 24 * 3_600 + 1] {
        let refused = store.add_time_entry(&ada, number, new(seconds)).await;
        assert!(matches!(refused, Err(TimeError::BadLength)), "{seconds}: {refused:?}");
    }
    let future = NewTimeEntry { started_at: Some(UnixMillis(world.clock.now().0 + 1)), ..new(60) };
    assert!(matches!(store.add_time_entry(&ada, number, future).await, Err(TimeError::InTheFuture)));
    let nobody = NewTimeEntry { user: Some(line("nobody")), ..new(60) };
    assert!(matches!(store.add_time_entry(&ada, number, nobody).await, Err(TimeError::NoSuchUser)));
    let other = world.ticket().await.number;
    let refused = store.remove_time_entry(&ada, other, entry.id).await;
    assert!(matches!(refused, Err(TimeError::NotThere)), "{refused:?}");
    let same = store.change_time_entry(&ada, number, entry.id, TimeChange::default()).await.unwrap();
    assert_eq!(same, entry);
    store.remove_time_entry(&ada, number, entry.id).await.unwrap();
    assert!(store.list_time_entries(number).await.unwrap().is_empty());
}

async fn overviews_are_ones_own_or_everybodys(world: World) {
    let store = &world.store;
    let (ada, bo) = (world.present("ada").await, world.present("bo").await);
    let keep =
        async |user, name: &str| store.keep_overview(&Actor::Local, user, &line(name), "state=open").await.unwrap();
    let (own, shared) = (keep(Some(ada), "Mine").await, keep(None, "Zeitig").await);
    assert_eq!(store.list_overviews(Some(ada)).await.unwrap(), [shared.clone(), own.clone()]);
    assert_eq!(store.list_overviews(Some(bo)).await.unwrap(), std::slice::from_ref(&shared));
    for (user, may_shared, id) in [(bo, true, own.id), (bo, false, shared.id)] {
        let refused = store.forget_overview(&Actor::Local, Some(user), may_shared, id).await;
        assert!(matches!(refused, Err(OverviewError::NotThere)), "{refused:?}");
    }
    store.forget_overview(&Actor::Local, Some(ada), false, own.id).await.unwrap();
    store.forget_overview(&Actor::Local, Some(bo), true, shared.id).await.unwrap();
    for at in 0..50 {
        keep(Some(ada), &at.to_string()).await;
    }
    let more = store.keep_overview(&Actor::Local, Some(ada), &line("more"), "").await;
    assert!(matches!(more, Err(OverviewError::TooMany)), "{more:?}");
}

async fn a_merged_ticket_takes_its_list_and_its_time_along(world: World) {
    let store = &world.store;
    let (old, target) = (world.ticket().await.number, world.ticket().await.number);
    store.add_checklist_items(&Actor::Local, old, &lines(&["look"])).await.unwrap();
    let new = NewTimeEntry { user: None, started_at: None, seconds: 60, note: line("") };
    store.add_time_entry(&Actor::Local, old, new).await.unwrap();
    store.merge_ticket(&Actor::Local, old, target).await.unwrap();
    assert_eq!(store.list_checklist_items(target).await.unwrap().len(), 1);
    assert_eq!(store.list_time_entries(target).await.unwrap().len(), 1);
    let late = store.add_checklist_items(&Actor::Local, old, &lines(&["late"])).await;
    assert!(matches!(late, Err(ChecklistError::Merged)), "{late:?}");
}
