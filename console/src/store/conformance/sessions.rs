//! Sessions, consents and reports.

use belay_protocol::DeviceKey;
use belay_protocol::consent::Capability;
use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::number::TicketNumber;
use crate::secret::sha256;

conformance! {
    a_report_and_its_findings_are_filed_under_the_ticket
    a_finding_comes_back_whole
    reports_of_one_device_are_listed_apart
    a_report_filed_again_is_stored_once
    a_report_that_was_carried_here_is_filed_once_and_not_for_a_revoked_device
    a_report_that_was_cut_or_changed_is_refused
    an_ended_session_takes_nothing_more
    a_consent_is_recorded
    live_sessions_are_interrupted_by_a_restart
    a_damaged_blob_is_not_served
}

const DEVICE: DeviceKey = DeviceKey([1; 32]);

async fn live_session(world: &World) -> (Ticket, SessionId) {
    let ticket = world.ticket().await;
    let minted = world.store.mint_invite(&Actor::Local, ticket.number, None).await.unwrap();
    let redeemed = world.store.redeem_invite(&DEVICE, minted.code, None, None, None).await.unwrap();
    (ticket, redeemed.session)
}

pub(super) fn finding(severity: Severity) -> NewFinding {
    NewFinding {
        rule_id: "disk.space".into(),
        subject: "/var".into(),
        severity,
        confidence: Confidence::Medium,
        title_en: "/var is 96 % full".into(),
        title_zh: "/var 已用 96 %".into(),
        remedy_en: "Delete old logs".into(),
        remedy_zh: "删除旧日志".into(),
        evidence: json!([{"name": "used", "value": 96, "unit": "%", "threshold": 95, "source": "statvfs"}]),
        fixes: vec!["shorten-journal".into(), "of-a-newer-pack".into()],
        docs: "space".into(),
        fingerprint: "disk.space:/var".into(),
    }
}

async fn file(world: &World, session: SessionId, id: u8, bytes: &'static [u8]) -> Result<Filed, FileError> {
    let findings = vec![finding(Severity::Ok), finding(Severity::Crit)];
    world
        .store
        .file_report(
            session,
            [id; 16],
            Bytes::from_static(bytes),
            sha256(bytes),
            NewContents { findings, ok: 2, pending: 1, ..Default::default() },
        )
        .await
}

async fn a_report_and_its_findings_are_filed_under_the_ticket(world: World) {
    let (ticket, session) = live_session(&world).await;
    let filed = file(&world, session, 1, b"report").await.unwrap();
    assert!(filed.new);
    let reports = world.store.list_reports(Some(ticket.number), None, 9).await.unwrap();
    assert_eq!((reports.len(), reports[0].size_bytes), (1, 6));
    let severities: Vec<Severity> = reports[0].findings.iter().map(|finding| finding.severity).collect();
    assert_eq!(severities, [Severity::Crit, Severity::Ok]);
    assert_eq!(reports[0].findings[0].title_zh, "/var 已用 96 %");
    assert_eq!(reports[0].findings[0].evidence[0]["threshold"], 95);
    assert_eq!(world.store.report_bytes(filed.report).await.unwrap().unwrap(), "report");
}

async fn a_finding_comes_back_whole(mut world: World) {
    let (ticket, session) = live_session(&world).await;
    let filed = file(&world, session, 1, b"report").await.unwrap();
    world.restart().await;
    let report = world.store.report(filed.report).await.unwrap().unwrap();
    assert_eq!((report.ok, report.pending, report.ticket), (Some(2), Some(1), Some(ticket.number)));
    let found = &report.findings[0];
    assert_eq!((found.confidence, found.docs.as_deref()), (Some(Confidence::Medium), Some("space")));
    assert_eq!(found.fixes[0].title_zh.as_deref(), Some("删除较早的系统日志"));
    assert_eq!(found.fixes[1], Fix { name: "of-a-newer-pack".into(), title_en: None, title_zh: None });

    let withheld = vec![Withheld { section: "findings".into(), reason: "by_person".into() }];
    let contents = NewContents { withheld, ..Default::default() };
    let bytes = Bytes::from_static(b"other");
    let filed = world.store.file_report(session, [2; 16], bytes, sha256(b"other"), contents).await.unwrap();
    let report = world.store.report(filed.report).await.unwrap().unwrap();
    assert_eq!((report.ok, report.pending), (None, None), "what was not judged is not fine");
}

async fn reports_of_one_device_are_listed_apart(world: World) {
    let (ticket, session) = live_session(&world).await;
    for (id, bytes) in [(1, b"one" as &[u8]), (2, b"two"), (3, b"three")] {
        file(&world, session, id, bytes).await.unwrap();
    }
    let other = DeviceKey([2; 32]);
    let bytes = Bytes::from_static(b"carried");
    let carried = world.store.import_report(&Actor::Local, ticket.number, &other, bytes, NewContents::default()).await;
    let carried = world.store.report(carried.unwrap().report).await.unwrap().unwrap();

    let newest = world.store.list_reports_of_device(DeviceId(1), None, 2).await.unwrap();
    let older = world.store.list_reports_of_device(DeviceId(1), Some(newest[1].id), 2).await.unwrap();
    let ids: Vec<i64> = newest.iter().chain(&older).map(|report| report.id.0).collect();
    assert_eq!(ids, [3, 2, 1]);
    let heads = world.store.report_heads(DeviceId(1), 2).await.unwrap();
    assert_eq!(heads.iter().map(|head| (head.id.0, head.from_file)).collect::<Vec<_>>(), [(3, false), (2, false)]);
    let heads = world.store.report_heads(carried.device, 9).await.unwrap();
    assert_eq!(heads.iter().map(|head| (head.id, head.from_file)).collect::<Vec<_>>(), [(carried.id, true)]);
}

async fn a_report_filed_again_is_stored_once(mut world: World) {
    let (ticket, session) = live_session(&world).await;
    let first = file(&world, session, 1, b"report").await.unwrap();
    world.restart().await;
    let again = file(&world, session, 1, b"report").await.unwrap();
    assert_eq!((again.new, again.report), (false, first.report));
    // The answer may have been lost just before the end of the session.
    world.store.end_session(&Actor::System, session, EndReason::Done).await.unwrap();
    assert!(!file(&world, session, 1, b"report").await.unwrap().new);
    assert!(matches!(file(&world, session, 1, b"other").await, Err(FileError::IdReused)));
    assert_eq!(world.store.list_reports(Some(ticket.number), None, 9).await.unwrap().len(), 1);
}

async fn a_report_that_was_carried_here_is_filed_once_and_not_for_a_revoked_device(mut world: World) {
    let ticket = world.ticket().await;
    let unlisted = std::collections::BTreeMap::from([(Severity::Warn, 40), (Severity::Crit, 2)]);
    let contents = || NewContents {
        findings: vec![finding(Severity::Warn)],
        ok: 3,
        unlisted: unlisted.clone(),
        taken_at: Some(UnixMillis(5)),
        ..Default::default()
    };
    let import = async |world: &World, number, bytes: &'static [u8]| {
        world.store.import_report(&Actor::Local, number, &DEVICE, Bytes::from_static(bytes), contents()).await
    };
    let unknown = TicketNumber::from_serial(9);
    assert!(matches!(import(&world, unknown, b"report").await, Err(ImportError::NoTicket)));
    let first = import(&world, ticket.number, b"report").await.unwrap();
    world.restart().await;
    let again = import(&world, ticket.number, b"report").await.unwrap();
    assert_eq!((first.new, again.new, again.report), (true, false, first.report));
    let report = world.store.report(first.report).await.unwrap().unwrap();
    assert_eq!((report.session, report.findings.len(), report.taken_at_ms), (None, 1, Some(UnixMillis(5))));
    let events = world.store.list_events(Some(ticket.number), EventId(0), 9).await.unwrap();
    let filed = &events.iter().find(|event| event.kind == EventKind::ReportFiled).unwrap().payload["findings"];
    assert_eq!(
        (&filed["warn"], &filed["crit"], &filed["ok"]),
        (&json!(41), &json!(2), &json!(3)),
        "what is not listed counts"
    );
    assert_eq!(world.store.report_bytes(first.report).await.unwrap().unwrap(), "report");
    // One that came in a session is known by its bytes as well.
    let (_, session) = live_session(&world).await;
    let sent = file(&world, session, 1, b"sent").await.unwrap();
    assert_eq!(import(&world, ticket.number, b"sent").await.unwrap().report, sent.report);

    world.store.revoke_device(&Actor::Local, report.device, &Line::truncating("stolen"), None).await.unwrap();
    assert!(matches!(import(&world, ticket.number, b"later").await, Err(ImportError::Revoked)));
    assert_eq!(world.store.list_reports(Some(ticket.number), None, 9).await.unwrap().len(), 1);
}

async fn a_report_that_was_cut_or_changed_is_refused(world: World) {
    let (ticket, session) = live_session(&world).await;
    let refused = world
        .store
        .file_report(session, [1; 16], Bytes::from_static(b"repor"), sha256(b"report"), NewContents::default())
        .await;
    assert!(matches!(refused, Err(FileError::WrongHash)));
    assert!(world.store.list_reports(Some(ticket.number), None, 9).await.unwrap().is_empty());
}

async fn an_ended_session_takes_nothing_more(world: World) {
    let (_, session) = live_session(&world).await;
    world.store.end_session(&Actor::System, session, EndReason::Customer).await.unwrap();
    let before = world.store.newest_event().await.unwrap();
    world.store.end_session(&Actor::System, session, EndReason::Done).await.unwrap();
    world.store.interrupt_session(session).await.unwrap();
    assert_eq!(world.store.newest_event().await.unwrap(), before);
    assert!(matches!(file(&world, session, 1, b"x").await, Err(FileError::Session(SessionError::Ended))));
    assert!(matches!(file(&world, SessionId(999), 1, b"x").await, Err(FileError::Session(SessionError::NoSession))));
    let ended = world.store.session(session).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.end_reason.as_deref()), (SessionState::Ended, Some("customer")));
}

async fn a_consent_is_recorded(world: World) {
    let (_, session) = live_session(&world).await;
    let answer = NewConsent {
        granted: vec![Capability::Survey],
        refused: vec![Capability::Terminal],
        grant_ends_at: Some(UnixMillis(5)),
        shown_sha256: Some([3; 32]),
    };
    world.store.record_consent(session, answer).await.unwrap();
    let stored = world.store.session(session).await.unwrap().unwrap().consents.remove(0);
    assert_eq!((stored.granted, stored.refused), (vec!["survey".to_owned()], vec!["terminal".to_owned()]));
    assert_eq!(stored.shown_sha256.unwrap(), "03".repeat(32));
}

async fn live_sessions_are_interrupted_by_a_restart(mut world: World) {
    let (ticket, session) = live_session(&world).await;
    world.restart().await;
    assert_eq!(world.store.session(session).await.unwrap().unwrap().state, SessionState::Interrupted);
    let events = world.store.list_events(Some(ticket.number), EventId(0), 99).await.unwrap();
    assert_eq!(events.last().unwrap().kind, EventKind::SessionInterrupted);
    assert!(file(&world, session, 1, b"late").await.unwrap().new);
}

async fn a_damaged_blob_is_not_served(world: World) {
    let (_, session) = live_session(&world).await;
    let filed = file(&world, session, 1, b"report").await.unwrap();
    let hex = data_encoding::HEXLOWER.encode(&sha256(b"report"));
    let path = world.settings.blobs.join(&hex[..2]).join(&hex);
    std::fs::write(&path, b"tampered").unwrap();
    assert!(world.store.report_bytes(filed.report).await.is_err());
}
