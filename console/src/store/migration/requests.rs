//! What a customer says who asks for help without anybody at the telephone.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::text_null;

/// Only adds.
pub(super) struct Requests;

impl MigrationName for Requests {
    fn name(&self) -> &str {
        "m2026_10_requests"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Requests {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for mut column in [text_null("reach"), text_null("language")] {
            manager.alter_table(Table::alter().table("tickets").add_column(&mut column).to_owned()).await?;
        }
        Ok(())
    }
}
