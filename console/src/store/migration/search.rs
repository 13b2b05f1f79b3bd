//! The index of words, in the form of each database.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// Only adds. The words of tickets that are there already are written when the store is opened.
pub(super) struct Search;

impl MigrationName for Search {
    fn name(&self) -> &str {
        "m2026_08_search"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Search {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let statements: &[&str] = match manager.get_database_backend() {
            DbBackend::Postgres => &[
                "CREATE TABLE search_docs (ticket_id BIGINT PRIMARY KEY REFERENCES tickets (id), words TSVECTOR NOT NULL)",
                "CREATE INDEX search_words ON search_docs USING GIN (words)",
            ],
            // Words are made by the application: the tokenizer only cuts at spaces. Neither places nor texts are kept.
            _ => {
                &["CREATE VIRTUAL TABLE search_docs USING fts5(words, content='', contentless_delete=1, detail=none, \
                    tokenize='unicode61 remove_diacritics 0')"]
            }
        };
        for statement in statements {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}
