//! Databases that an earlier console has made.

use super::*;

conformance! {
    findings_of_the_first_schema_are_read_and_know_nothing_of_what_came_later
    a_sign_in_from_before_second_factors_goes_on_and_proves_nothing_fresh
}

/// What the console before `m2026_04_whole_findings` wrote for one report with one finding.
const EARLIER_ROWS: [&str; 5] = [
    "INSERT INTO organizations (id, name, created_at) VALUES (1, 'Nordwind', 0)",
    "INSERT INTO devices (id, key, organization_id, first_seen_at, last_seen_at) VALUES (1, {key}, 1, 0, 0)",
    "INSERT INTO reports (id, device_id, report_id, sha256, size_bytes, blob, withheld, received_at)
        VALUES (1, 1, {key}, {key}, 1, 'aa/aa', '[]', 0)",
    "INSERT INTO findings (id, report_id, device_id, rule_id, subject, severity, title_en, title_zh, remedy_en, remedy_zh,
        evidence, fingerprint, created_at) VALUES (1, 1, 1, 'disk-space', '/', 'warn', 'full', '满', '', '', '[]', 'x', 0)",
    "DELETE FROM seaql_migrations WHERE version = 'm2026_04_whole_findings'",
];

async fn findings_of_the_first_schema_are_read_and_know_nothing_of_what_came_later(mut world: World) {
    let is_sqlite = matches!(world.settings.database, DatabaseLocation::Sqlite(_));
    let key = if is_sqlite { "x'01'" } else { "'\\x01'::bytea" };
    for column in ["confidence", "fixes", "docs"] {
        world.tamper(&format!("ALTER TABLE findings DROP COLUMN {column}")).await;
    }
    for column in ["ok", "pending"] {
        world.tamper(&format!("ALTER TABLE reports DROP COLUMN {column}")).await;
    }
    world.tamper("DROP INDEX reports_of_device").await;
    for row in EARLIER_ROWS {
        world.tamper(&row.replace("{key}", key)).await;
    }
    world.restart().await;
    let report = world.store.report(StoredReportId(1)).await.unwrap().unwrap();
    assert_eq!((report.ok, report.pending, report.session, report.ticket), (None, None, None, None));
    let finding = &report.findings[0];
    assert_eq!((finding.confidence, &finding.docs, finding.fixes.as_slice()), (None, &None, &[] as &[Fix]));
    assert_eq!(finding.severity, Severity::Warn);
}

/// Takes away what `m2026_06_accounts` has made.
const WITHOUT_ACCOUNTS: [&str; 11] = [
    "DROP INDEX sign_ins_of_user",
    "ALTER TABLE sign_ins DROP COLUMN \"by\"",
    "ALTER TABLE sign_ins DROP COLUMN source",
    "ALTER TABLE sign_ins DROP COLUMN agent",
    "ALTER TABLE sign_ins DROP COLUMN verified_at",
    "DROP TABLE totp_seeds",
    "DROP TABLE recovery_codes",
    "DROP TABLE passkeys",
    "DROP TABLE api_tokens",
    "DROP TABLE spent_challenges",
    "DELETE FROM seaql_migrations WHERE version = 'm2026_06_accounts'",
];

async fn a_sign_in_from_before_second_factors_goes_on_and_proves_nothing_fresh(mut world: World) {
    let user = world.present("ada").await;
    let link = world.store.mint_sign_in(&Actor::Local, "ada").await.unwrap();
    let (token, _) = world.store.sign_in_by_link(&link.token, &Visitor::default()).await.unwrap();
    for step in WITHOUT_ACCOUNTS {
        world.tamper(step).await;
    }
    world.restart().await;
    let signed_in = world.store.signed_in(&token).await.unwrap().unwrap();
    assert_eq!((signed_in.user.id, signed_in.stepped_up_until()), (user, None));
    let listed = world.store.list_sign_ins(user, &Actor::User(user)).await.unwrap();
    assert!(listed.len() == 2 && listed.iter().all(|sign_in| sign_in.by.is_none() && sign_in.agent.is_none()));
    let factors = world.store.factors(user).await.unwrap();
    assert_eq!(factors, Factors { password: false, totp: false, recovery_codes: 0, passkeys: 0 });
}
