//! Which company belongs to which, what is known of people, and the products that a company has.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, big_pk_auto, text, text_null};

use super::{index, refers, table};

/// Only adds.
pub(super) struct People;

impl MigrationName for People {
    fn name(&self) -> &str {
        "m2026_13_people"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for People {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = [
            ("organizations", big_integer_null("parent_id")),
            ("contacts", text_null("reach")),
            ("contacts", text_null("language")),
            ("contacts", big_integer_null("merged_into_id")),
            ("contacts", text_null("merge")),
        ];
        for (table, mut column) in columns {
            manager.alter_table(Table::alter().table(table).add_column(&mut column).to_owned()).await?;
        }
        let mut products = table(
            "products",
            vec![
                big_pk_auto("id"),
                big_integer("organization_id"),
                text("name"),
                text_null("version"),
                text_null("note"),
                big_integer_null("licence_until"),
                big_integer("created_at"),
            ],
        );
        refers(&mut products, "products", "organization_id", "organizations");
        manager.create_table(products).await?;
        for index in [
            index("products_of_organization", "products", &["organization_id", "id"]),
            index("organizations_below", "organizations", &["parent_id"]),
            index("tickets_of_contact", "tickets", &["contact_id"]),
            index("tickets_of_organization", "tickets", &["organization_id"]),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
