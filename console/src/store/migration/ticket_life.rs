//! A ticket's whole life: groups, the thread, how it was resolved, tags and links.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, big_pk_auto, text, text_null, text_uniq};

use super::{index, refers, table};

/// Only adds, so that the console before it can go on with the same database.
pub(super) struct TicketLife;

impl MigrationName for TicketLife {
    fn name(&self) -> &str {
        "m2026_05_ticket_life"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for TicketLife {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in groups().into_iter().chain(thread()) {
            manager.create_table(table).await?;
        }
        let added = [
            big_integer_null("group_id"),
            text_null("priority_reason"),
            text_null("scope"),
            big_integer_null("first_seen_at"),
            text_null("product"),
            text_null("product_version"),
            big_integer_null("pending_until"),
            big_integer_null("promised_at"),
            big_integer_null("closed_at"),
            text_null("closed_as"),
            big_integer_null("merged_into_id"),
        ];
        // One column a statement: SQLite adds no more at once.
        for mut column in added {
            manager.alter_table(Table::alter().table("tickets").add_column(&mut column).to_owned()).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        for statement in FIRST_GROUP {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

/// Everybody who works on tickets is in the first group, which holds what no rule sends elsewhere.
const FIRST_GROUP: [&str; 3] = [
    "INSERT INTO \"groups\" (name, created_at) VALUES ('Support', 0)",
    "INSERT INTO group_members (group_id, user_id) SELECT (SELECT MIN(id) FROM \"groups\"), id FROM users WHERE role <> 'auditor'",
    // What was closed before is closed since it was last touched.
    "UPDATE tickets SET closed_at = updated_at WHERE state = 'closed'",
];

fn groups() -> [TableCreateStatement; 3] {
    let groups = table("groups", vec![big_pk_auto("id"), text_uniq("name"), big_integer("created_at")]);
    let mut members = table(
        "group_members",
        vec![big_pk_auto("id"), big_integer("group_id"), big_integer("user_id"), big_integer_null("last_assigned_at")],
    );
    refers(&mut members, "group_members", "group_id", "groups");
    refers(&mut members, "group_members", "user_id", "users");
    let mut rules = table(
        "assignment_rules",
        vec![
            big_pk_auto("id"),
            big_integer("position"),
            text_null("customer"),
            text_null("channel"),
            text_null("word"),
            big_integer("group_id"),
        ],
    );
    refers(&mut rules, "assignment_rules", "group_id", "groups");
    [groups, members, rules]
}

fn thread() -> [TableCreateStatement; 4] {
    let mut articles = table(
        "articles",
        vec![
            big_pk_auto("id"),
            big_integer("ticket_id"),
            text("visibility"),
            text("author"),
            text("body"),
            big_integer("created_at"),
            big_integer_null("came_from_id"),
        ],
    );
    refers(&mut articles, "articles", "ticket_id", "tickets");
    let mut resolutions = table(
        "resolutions",
        vec![
            big_pk_auto("id"),
            big_integer("ticket_id"),
            big_integer_null("live_ticket_id").unique_key().to_owned(),
            text("cause"),
            text("fix"),
            text("prevention"),
            text("resolved_by"),
            big_integer("resolved_at"),
            text_null("verified_as"),
            text_null("verified_by"),
            big_integer_null("verified_at"),
            big_integer_null("report_id"),
            text_null("words"),
            big_integer_null("score"),
            text_null("comment"),
            big_integer_null("scored_at"),
        ],
    );
    refers(&mut resolutions, "resolutions", "ticket_id", "tickets");
    let mut tags = table("ticket_tags", vec![big_pk_auto("id"), big_integer("ticket_id"), text("tag")]);
    refers(&mut tags, "ticket_tags", "ticket_id", "tickets");
    let mut links = table(
        "ticket_links",
        vec![big_pk_auto("id"), big_integer("from_id"), big_integer("to_id"), text("kind"), big_integer("created_at")],
    );
    refers(&mut links, "ticket_links", "from_id", "tickets");
    refers(&mut links, "ticket_links", "to_id", "tickets");
    [articles, resolutions, tags, links]
}

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        index("group_members_once", "group_members", &["group_id", "user_id"]).unique().to_owned(),
        index("articles_of_ticket", "articles", &["ticket_id", "id"]),
        index("resolutions_of_ticket", "resolutions", &["ticket_id"]),
        index("ticket_tags_once", "ticket_tags", &["ticket_id", "tag"]).unique().to_owned(),
        index("tickets_by_tag", "ticket_tags", &["tag", "ticket_id"]),
        index("ticket_links_once", "ticket_links", &["from_id", "to_id", "kind"]).unique().to_owned(),
        index("ticket_links_back", "ticket_links", &["to_id"]),
        index("tickets_by_wake", "tickets", &["pending_until"]),
        index("tickets_by_pressure", "tickets", &["state", "priority", "serial"]),
        index("tickets_by_owner", "tickets", &["owner_id", "state"]),
    ]
}
