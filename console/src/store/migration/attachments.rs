//! Files on a ticket.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_pk_auto, blob, text};

use super::{index, refers, table};

/// Only adds.
pub(super) struct Attachments;

impl MigrationName for Attachments {
    fn name(&self) -> &str {
        "m2026_09_attachments"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Attachments {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut attachments = table(
            "attachments",
            vec![
                big_pk_auto("id"),
                big_integer("ticket_id"),
                text("name"),
                text("media_type"),
                text("visibility"),
                big_integer("size_bytes"),
                blob("sha256"),
                text("blob"),
                text("added_by"),
                big_integer("created_at"),
            ],
        );
        refers(&mut attachments, "attachments", "ticket_id", "tickets");
        manager.create_table(attachments).await?;
        manager.create_index(index("attachments_of_ticket", "attachments", &["ticket_id", "id"])).await
    }
}
