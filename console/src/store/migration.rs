//! The schema, step by step. A released step is never edited: a later one changes what it made.
//!
//! Every step runs in a transaction, so that a process killed in the middle of one leaves the schema before it.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, big_integer_uniq, big_pk_auto, blob, blob_null, text, text_null, text_uniq,
};

mod accounts;
mod attachments;
mod people;
mod requests;
mod search;
mod taken;
mod ticket_life;
mod tools;

/// All steps, oldest first.
pub(crate) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(FirstSchema),
            Box::new(Revocations),
            Box::new(RulePacks),
            Box::new(WholeFindings),
            Box::new(ticket_life::TicketLife),
            Box::new(search::Search),
            Box::new(attachments::Attachments),
            Box::new(accounts::Accounts),
            Box::new(requests::Requests),
            Box::new(tools::Tools),
            Box::new(taken::Taken),
            Box::new(people::People),
        ]
    }
}

struct FirstSchema;

impl MigrationName for FirstSchema {
    fn name(&self) -> &str {
        "m2026_01_first_schema"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for FirstSchema {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [people(), desk(), sessions(), findings(), accounts(), record()].into_iter().flatten() {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

struct RulePacks;

impl MigrationName for RulePacks {
    fn name(&self) -> &str {
        "m2026_03_rule_packs"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for RulePacks {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let rule_packs = table(
            "rule_packs",
            vec![
                big_pk_auto("id"),
                text("name"),
                big_integer("version"),
                text("text"),
                text("proof"),
                text("published_by"),
                big_integer("published_at"),
            ],
        );
        manager.create_table(rule_packs).await?;
        let mut once = Index::create();
        once.name("rule_packs_once").table("rule_packs").col("name").col("version").unique();
        manager.create_index(once).await
    }
}

struct Revocations;

impl MigrationName for Revocations {
    fn name(&self) -> &str {
        "m2026_02_revocations"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Revocations {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut revocations = table(
            "revocations",
            vec![
                big_pk_auto("id"),
                big_integer("device_id"),
                big_integer_null("live_device_id").unique_key().to_owned(),
                text("reason"),
                text("revoked_by"),
                big_integer("revoked_at"),
                text_null("restored_by"),
                big_integer_null("restored_at"),
            ],
        );
        refers(&mut revocations, "revocations", "device_id", "devices");
        manager.create_table(revocations).await?;
        let mut of_device = Index::create();
        of_device.name("sessions_of_device").table("sessions").col("device_id").col("state");
        manager.create_index(of_device).await
    }
}

/// The rest of what a finding says, and what stands beside the findings. Only adds, so that the console before it can go on
/// with the same database.
struct WholeFindings;

impl MigrationName for WholeFindings {
    fn name(&self) -> &str {
        "m2026_04_whole_findings"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for WholeFindings {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let added = [
            ("findings", text_null("confidence")),
            ("findings", text_null("fixes")),
            ("findings", text_null("docs")),
            ("reports", big_integer_null("ok")),
            ("reports", big_integer_null("pending")),
        ];
        // One column a statement: SQLite adds no more at once.
        for (table, mut column) in added {
            manager.alter_table(Table::alter().table(table).add_column(&mut column).to_owned()).await?;
        }
        let mut of_device = Index::create();
        of_device.name("reports_of_device").table("reports").col("device_id").col("id");
        manager.create_index(of_device).await
    }
}

fn table(name: &'static str, columns: Vec<ColumnDef>) -> TableCreateStatement {
    let mut table = Table::create();
    table.table(name);
    for mut column in columns {
        table.col(&mut column);
    }
    table
}

/// Makes `column` name a row of `target` by its id.
fn refers(table: &mut TableCreateStatement, name: &'static str, column: &'static str, target: &'static str) {
    table.foreign_key(ForeignKey::create().from(name, column).to(target, "id"));
}

fn people() -> Vec<TableCreateStatement> {
    let organizations = table("organizations", vec![big_pk_auto("id"), text_uniq("name"), big_integer("created_at")]);
    let mut contacts = table(
        "contacts",
        vec![big_pk_auto("id"), big_integer("organization_id"), text("name"), big_integer("created_at")],
    );
    refers(&mut contacts, "contacts", "organization_id", "organizations");
    let users = table(
        "users",
        vec![big_pk_auto("id"), text_uniq("name"), text("role"), text_null("password_hash"), big_integer("created_at")],
    );
    let mut devices = table(
        "devices",
        vec![
            big_pk_auto("id"),
            blob("key").unique_key().to_owned(),
            big_integer_null("organization_id"),
            big_integer("first_seen_at"),
            big_integer("last_seen_at"),
        ],
    );
    refers(&mut devices, "devices", "organization_id", "organizations");
    vec![organizations, contacts, users, devices]
}

fn desk() -> Vec<TableCreateStatement> {
    let mut tickets = table(
        "tickets",
        vec![
            big_pk_auto("id"),
            big_integer_uniq("serial"),
            text("title"),
            text("description"),
            big_integer("organization_id"),
            big_integer_null("contact_id"),
            text("state"),
            text("impact"),
            text("urgency"),
            text("priority"),
            big_integer_null("owner_id"),
            text("channel"),
            big_integer("version"),
            big_integer("created_at"),
            big_integer("updated_at"),
        ],
    );
    refers(&mut tickets, "tickets", "organization_id", "organizations");
    refers(&mut tickets, "tickets", "contact_id", "contacts");
    refers(&mut tickets, "tickets", "owner_id", "users");
    let mut invites = table(
        "invites",
        vec![
            big_pk_auto("id"),
            big_integer("ticket_id"),
            big_integer_null("live_ticket_id").unique_key().to_owned(),
            blob("code_mac"),
            blob("secret_mac"),
            text("capabilities"),
            big_integer("created_at"),
            big_integer("expires_at"),
            big_integer_null("replaced_at"),
            big_integer_null("redeemed_at"),
            big_integer_null("redeemed_by"),
            big_integer_null("session_id"),
        ],
    );
    refers(&mut invites, "invites", "ticket_id", "tickets");
    refers(&mut invites, "invites", "redeemed_by", "devices");
    vec![tickets, invites]
}

fn sessions() -> Vec<TableCreateStatement> {
    let mut sessions = table(
        "sessions",
        vec![
            big_pk_auto("id"),
            big_integer("ticket_id"),
            big_integer("device_id"),
            big_integer_null("invite_id"),
            text("state"),
            text("capabilities"),
            text_null("phrase"),
            big_integer("started_at"),
            big_integer_null("ended_at"),
            text_null("end_reason"),
        ],
    );
    refers(&mut sessions, "sessions", "ticket_id", "tickets");
    refers(&mut sessions, "sessions", "device_id", "devices");
    refers(&mut sessions, "sessions", "invite_id", "invites");
    let mut consents = table(
        "consents",
        vec![
            big_pk_auto("id"),
            big_integer("session_id"),
            text("granted"),
            text("refused"),
            big_integer_null("grant_ends_at"),
            blob_null("shown_sha256"),
            big_integer("recorded_at"),
        ],
    );
    refers(&mut consents, "consents", "session_id", "sessions");
    vec![sessions, consents]
}

fn findings() -> Vec<TableCreateStatement> {
    let mut reports = table(
        "reports",
        vec![
            big_pk_auto("id"),
            big_integer("device_id"),
            blob("report_id"),
            big_integer_null("session_id"),
            big_integer_null("ticket_id"),
            blob("sha256"),
            big_integer("size_bytes"),
            text("blob"),
            text("withheld"),
            big_integer("received_at"),
        ],
    );
    refers(&mut reports, "reports", "device_id", "devices");
    refers(&mut reports, "reports", "session_id", "sessions");
    refers(&mut reports, "reports", "ticket_id", "tickets");
    let mut findings = table(
        "findings",
        vec![
            big_pk_auto("id"),
            big_integer("report_id"),
            big_integer_null("ticket_id"),
            big_integer("device_id"),
            text("rule_id"),
            text("subject"),
            text("severity"),
            text("title_en"),
            text("title_zh"),
            text("remedy_en"),
            text("remedy_zh"),
            text("evidence"),
            text("fingerprint"),
            big_integer("created_at"),
        ],
    );
    refers(&mut findings, "findings", "report_id", "reports");
    refers(&mut findings, "findings", "ticket_id", "tickets");
    refers(&mut findings, "findings", "device_id", "devices");
    let mut events = table(
        "events",
        vec![
            big_pk_auto("id"),
            big_integer("ticket_id"),
            text("kind"),
            text("actor"),
            text("payload"),
            big_integer("at"),
        ],
    );
    refers(&mut events, "events", "ticket_id", "tickets");
    vec![reports, findings, events]
}

fn accounts() -> Vec<TableCreateStatement> {
    let mut sign_ins = table(
        "sign_ins",
        vec![
            big_pk_auto("id"),
            big_integer("user_id"),
            blob("token_hash").unique_key().to_owned(),
            big_integer("created_at"),
            big_integer("last_used_at"),
            big_integer_null("ended_at"),
        ],
    );
    refers(&mut sign_ins, "sign_ins", "user_id", "users");
    let mut links = table(
        "links",
        vec![
            big_pk_auto("id"),
            big_integer("user_id"),
            text("purpose"),
            blob("token_hash").unique_key().to_owned(),
            big_integer("created_at"),
            big_integer("expires_at"),
            big_integer_null("used_at"),
        ],
    );
    refers(&mut links, "links", "user_id", "users");
    let throttles = table(
        "throttles",
        vec![
            text("bucket").primary_key().to_owned(),
            big_integer("failures"),
            big_integer("window_ends_at"),
            big_integer("blocked_until"),
        ],
    );
    vec![sign_ins, links, throttles]
}

fn record() -> Vec<TableCreateStatement> {
    let answers = table(
        "answers",
        vec![
            blob("key_mac").primary_key().to_owned(),
            blob("request_sha256"),
            blob("sealed"),
            big_integer("created_at"),
        ],
    );
    let audit_lines =
        table("audit_lines", vec![big_integer("seq").primary_key().to_owned(), text("text"), text("hash")]);
    let audit_ends = table(
        "audit_ends",
        vec![big_integer("id").primary_key().to_owned(), big_integer("lines"), text("hash"), blob("mac")],
    );
    vec![answers, audit_lines, audit_ends]
}

fn index(name: &'static str, table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(name).table(table);
    for column in columns {
        index.col(*column);
    }
    index
}

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        index("contacts_of_organization", "contacts", &["organization_id", "name"]).unique().to_owned(),
        index("reports_once", "reports", &["device_id", "report_id"]).unique().to_owned(),
        index("tickets_by_state", "tickets", &["state", "serial"]),
        index("invites_by_code", "invites", &["code_mac"]),
        index("sessions_of_ticket", "sessions", &["ticket_id"]),
        index("sessions_by_state", "sessions", &["state"]),
        index("consents_of_session", "consents", &["session_id"]),
        index("reports_of_ticket", "reports", &["ticket_id"]),
        index("findings_of_report", "findings", &["report_id"]),
        index("findings_of_ticket", "findings", &["ticket_id"]),
        index("events_of_ticket", "events", &["ticket_id", "id"]),
        index("throttles_by_end", "throttles", &["window_ends_at"]),
        index("answers_by_age", "answers", &["created_at"]),
    ]
}
