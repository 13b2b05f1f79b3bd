//! When a report that was carried here in a file was made.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::big_integer_null;

/// Only adds.
pub(super) struct Taken;

impl MigrationName for Taken {
    fn name(&self) -> &str {
        "m2026_12_taken"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Taken {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut column = big_integer_null("taken_at");
        manager.alter_table(Table::alter().table("reports").add_column(&mut column).to_owned()).await
    }
}
