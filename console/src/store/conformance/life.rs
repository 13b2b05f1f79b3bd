//! A ticket from its opening to its end.

use belay_protocol::DeviceKey;

use super::sessions::finding;
use super::*;
use crate::life::{REOPEN_WINDOW, Refused, SILENCE_LIMIT};

conformance! {
    a_ticket_is_resolved_verified_closed_and_opened_again
    a_report_verifies_only_what_it_shows
    what_is_pending_wakes_once_also_after_a_restart
    silence_closes_what_is_resolved
    a_merged_ticket_lives_on_in_the_other
}

async fn import(
    world: &World,
    number: TicketNumber,
    device: &DeviceKey,
    bytes: u8,
    contents: NewContents,
) -> StoredReportId {
    let filed = world.store.import_report(&Actor::Local, number, device, vec![bytes].into(), contents).await;
    filed.unwrap().report
}

async fn a_ticket_is_resolved_verified_closed_and_opened_again(world: World) {
    let number = world.ticket().await.number;
    let bare = world.change(number, to(TicketState::Resolved)).await;
    assert!(matches!(bare, Err(ChangeError::NeedsResolution)), "{bare:?}");
    let resolved = world.change(number, resolved()).await.unwrap();
    let resolution = resolved.resolution.unwrap();
    assert_eq!((resolution.fix.as_str(), &resolution.verified), ("rotated and compressed", &None));
    let unverified = world.change(number, to(TicketState::Closed)).await;
    assert!(matches!(unverified, Err(ChangeError::Refused(Refused::NotVerified))), "{unverified:?}");
    let words = Verification::Person("Frau Huber: it prints again".try_into().unwrap());
    let verified = world.store.verify_ticket(&Actor::Local, number, words.clone()).await.unwrap();
    let proof = verified.resolution.unwrap().verified.unwrap();
    assert_eq!((proof.by, proof.words.as_deref()), (VerifiedBy::Person, Some("Frau Huber: it prints again")));
    let closed = world.change(number, to(TicketState::Closed)).await.unwrap();
    assert_eq!((closed.closed_as, closed.closed_at_ms), (Some(Closing::Verified), Some(world.clock.now())));
    assert!(closed.resolution.is_some());
    let again = world.store.verify_ticket(&Actor::Local, number, words).await;
    assert!(matches!(again, Err(VerifyError::Refused(Refused::NothingToVerify(TicketState::Closed)))), "{again:?}");

    world.clock.advance(REOPEN_WINDOW);
    let reopened = world.change(number, to(TicketState::Open)).await.unwrap();
    assert_eq!((reopened.resolution, reopened.closed_at_ms, reopened.closed_as), (None, None, None));
    world.change(number, super::closed(Closing::Withdrawn)).await.unwrap();
    world.clock.advance(REOPEN_WINDOW + Duration::from_millis(1));
    let late = world.change(number, to(TicketState::Open)).await;
    assert!(matches!(late, Err(ChangeError::Refused(Refused::TooLate))), "{late:?}");
    let kinds: Vec<_> = world.store.list_events(Some(number), EventId(0), 99).await.unwrap();
    assert!(kinds.iter().any(|event| event.kind == EventKind::TicketVerified));
    assert_eq!(kinds.iter().filter(|event| event.kind == EventKind::TicketResolved).count(), 1);
}

async fn a_report_verifies_only_what_it_shows(world: World) {
    let number = world.ticket().await.number;
    let key = DeviceKey([1; 32]);
    let sound = async |id: u8, severity| {
        let contents = NewContents { findings: vec![finding(severity)], ..Default::default() };
        import(&world, number, &key, id, contents).await
    };
    let verify = async |report| world.store.verify_ticket(&Actor::Local, number, Verification::Report(report)).await;
    let first = sound(1, Severity::Crit).await;
    world.change(number, resolved()).await.unwrap();
    let refused = verify(first).await;
    assert!(matches!(refused, Err(VerifyError::TooOld)), "{refused:?}");
    world.clock.advance(Duration::from_secs(1));
    for (id, severity) in [(2, Severity::Crit), (3, Severity::Unknown)] {
        let refused = verify(sound(id, severity).await).await;
        assert!(matches!(refused, Err(VerifyError::StillFailing { .. })), "{severity}: {refused:?}");
    }
    let withheld = vec![Withheld { section: "findings".into(), reason: "by_person".into() }];
    let silent = NewContents { withheld, ..Default::default() };
    let refused = verify(import(&world, number, &key, 4, silent).await).await;
    assert!(matches!(refused, Err(VerifyError::StillFailing { .. })), "{refused:?}");
    let other = import(&world, number, &DeviceKey([2; 32]), 5, NewContents::default()).await;
    assert!(matches!(verify(other).await, Err(VerifyError::NothingFailed)), "another machine says nothing");
    assert!(matches!(verify(StoredReportId(999)).await, Err(VerifyError::NoReport)));
    let elsewhere = world.ticket().await.number;
    let foreign = import(&world, elsewhere, &key, 6, NewContents::default()).await;
    assert!(matches!(verify(foreign).await, Err(VerifyError::NoReport)));
    // A file that was carried here late tells of the time before the fix.
    let before = NewContents { taken_at: Some(UnixMillis(world.clock.now().0 - 3_600_000)), ..Default::default() };
    let carried = import(&world, number, &key, 8, before).await;
    assert!(matches!(verify(carried).await, Err(VerifyError::TooOld)));
    // A clock that is ahead makes nothing newer than its filing.
    let ahead = NewContents { taken_at: Some(UnixMillis(i64::MAX)), ..Default::default() };
    let good = import(&world, number, &key, 7, ahead).await;
    assert_eq!(world.store.report(good).await.unwrap().unwrap().taken_at_ms, Some(world.clock.now()));
    let verified = verify(good).await.unwrap().resolution.unwrap().verified.unwrap();
    assert_eq!((verified.by, verified.report), (VerifiedBy::Report, Some(good)));
}

async fn what_is_pending_wakes_once_also_after_a_restart(mut world: World) {
    let ticket = world.ticket().await;
    let number = ticket.number;
    let until = world.clock.now().plus(Duration::from_secs(60));
    let wait = TicketChange { pending_until: Some(until), ..to(TicketState::PendingReminder) };
    world.change(number, wait).await.unwrap();
    world.clock.advance(Duration::from_secs(59));
    assert_eq!(world.store.do_what_is_due().await.unwrap(), 0);
    world.clock.advance(Duration::from_secs(3_600));
    world.restart().await;
    assert_eq!(world.store.do_what_is_due().await.unwrap(), 1);
    assert_eq!(world.store.do_what_is_due().await.unwrap(), 0);
    let woken = world.store.ticket(number).await.unwrap().unwrap();
    assert_eq!((woken.state, woken.pending_until_ms), (TicketState::Open, None));
    let events = world.store.list_events(Some(number), EventId(0), 99).await.unwrap();
    assert_eq!(events.iter().filter(|event| event.kind == EventKind::ReminderFired).count(), 1);
    // Whoever is answered before the date is not woken any more.
    let until = world.clock.now().plus(Duration::from_secs(60));
    let wait = TicketChange { pending_until: Some(until), ..to(TicketState::PendingCustomer) };
    world.change(number, wait).await.unwrap();
    world.change(number, to(TicketState::Open)).await.unwrap();
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(world.store.do_what_is_due().await.unwrap(), 0);
}

async fn silence_closes_what_is_resolved(world: World) {
    let (silent, reopened) = (world.ticket().await.number, world.ticket().await.number);
    world.change(silent, resolved()).await.unwrap();
    world.change(reopened, resolved()).await.unwrap();
    world.change(reopened, to(TicketState::Open)).await.unwrap();
    world.clock.advance(SILENCE_LIMIT - Duration::from_millis(1));
    assert_eq!(world.store.do_what_is_due().await.unwrap(), 0);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.store.do_what_is_due().await.unwrap(), 1);
    assert_eq!(world.store.do_what_is_due().await.unwrap(), 0);
    let closed = world.store.ticket(silent).await.unwrap().unwrap();
    assert_eq!((closed.state, closed.closed_as), (TicketState::Closed, Some(Closing::Silence)));
    assert_eq!(world.store.ticket(reopened).await.unwrap().unwrap().state, TicketState::Open);
}

async fn a_merged_ticket_lives_on_in_the_other(world: World) {
    let (old, target) = (world.ticket().await.number, world.ticket().await.number);
    let article = NewArticle { visibility: Visibility::Public, body: "again".try_into().unwrap() };
    world.store.add_article(&Actor::Local, old, article.clone(), None).await.unwrap();
    let tags = TicketChange { tags: Some(vec![Line::truncating("vpn")]), ..Default::default() };
    world.change(old, tags.clone()).await.unwrap();
    world.change(target, tags).await.unwrap();
    let report = import(&world, old, &DeviceKey([1; 32]), 1, NewContents::default()).await;
    let minted = world.store.mint_invite(&Actor::Local, old, None).await.unwrap();

    let merge = async |into| world.store.merge_ticket(&Actor::Local, old, into).await;
    assert!(matches!(merge(old).await, Err(MergeError::NoTarget)));
    let done = world.ticket().await.number;
    world.change(done, super::closed(Closing::Spam)).await.unwrap();
    assert!(matches!(merge(done).await, Err(MergeError::NoTarget)));
    let live = world.ticket().await.number;
    let code = world.store.mint_invite(&Actor::Local, live, None).await.unwrap().code;
    world.store.redeem_invite(&DeviceKey([3; 32]), code, None, None, None).await.unwrap();
    let open = world.store.merge_ticket(&Actor::Local, live, target).await;
    assert!(matches!(open, Err(MergeError::SessionOpen)), "{open:?}");

    let merged = merge(target).await.unwrap();
    assert_eq!((merged.state, merged.merged_into), (TicketState::Merged, Some(target)));
    assert!(matches!(merge(target).await, Err(MergeError::Refused(_))), "it is final");
    let articles = world.store.list_articles(target, ArticleId(0), 9).await.unwrap();
    assert_eq!((articles.len(), articles[0].came_from), (1, Some(old)));
    assert_eq!(world.store.list_reports(Some(target), None, 9).await.unwrap()[0].id, report);
    assert_eq!(world.store.ticket(target).await.unwrap().unwrap().tags, ["vpn"]);
    let refused = world.store.redeem_invite(&DeviceKey([4; 32]), minted.code, None, None, None).await;
    assert!(matches!(refused, Err(RedeemError::NotValid)), "{refused:?}");
    let refused = world.store.add_article(&Actor::Local, old, article, None).await;
    assert!(matches!(refused, Err(ThreadError::Merged)), "{refused:?}");
    world.store.verify_audit().await.unwrap();
}
