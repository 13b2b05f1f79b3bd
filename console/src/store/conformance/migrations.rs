//! Databases that an earlier console has made.

use super::*;

conformance! {
    findings_of_the_first_schema_are_read_and_know_nothing_of_what_came_later
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
