//! What people at the desk make for themselves: checklists, macros, time entries, overviews, and settings.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, big_pk_auto, text, text_null, text_uniq};

use super::{index, refers, table};

/// Only adds.
pub(super) struct Tools;

impl MigrationName for Tools {
    fn name(&self) -> &str {
        "m2026_11_tools"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Tools {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            manager.create_table(table).await?;
        }
        for index in [
            index("checklist_items_of_ticket", "checklist_items", &["ticket_id", "id"]),
            index("time_entries_of_ticket", "time_entries", &["ticket_id", "id"]),
            index("overviews_of_user", "overviews", &["user_id"]),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn tables() -> Vec<TableCreateStatement> {
    let settings = table("settings", vec![text("name").primary_key().to_owned(), text("value")]);
    let checklists =
        table("checklists", vec![big_pk_auto("id"), text_uniq("name"), text("items"), big_integer("created_at")]);
    let mut items = table(
        "checklist_items",
        vec![
            big_pk_auto("id"),
            big_integer("ticket_id"),
            text("text"),
            big_integer("created_at"),
            big_integer_null("done_at"),
            text_null("done_by"),
        ],
    );
    refers(&mut items, "checklist_items", "ticket_id", "tickets");
    let macros = table("macros", vec![big_pk_auto("id"), text_uniq("name"), text("steps"), big_integer("created_at")]);
    let mut entries = table(
        "time_entries",
        vec![
            big_pk_auto("id"),
            big_integer("ticket_id"),
            big_integer_null("user_id"),
            big_integer_null("session_id").unique_key().to_owned(),
            big_integer("started_at"),
            big_integer("seconds"),
            text("note"),
            big_integer("created_at"),
        ],
    );
    refers(&mut entries, "time_entries", "ticket_id", "tickets");
    refers(&mut entries, "time_entries", "user_id", "users");
    refers(&mut entries, "time_entries", "session_id", "sessions");
    let mut overviews = table(
        "overviews",
        vec![big_pk_auto("id"), big_integer_null("user_id"), text("name"), text("query"), big_integer("created_at")],
    );
    refers(&mut overviews, "overviews", "user_id", "users");
    vec![settings, checklists, items, macros, entries, overviews]
}
