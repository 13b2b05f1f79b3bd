//! Finding tickets by words: an index that is written in the transaction of each change.

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbBackend, DbErr, EntityTrait as _, FromQueryResult, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, Statement, Value,
};

use super::entity::{article, contact, organization, resolution, ticket, ticket_tag};
use super::{Actor, Store, StoreError, Ticket, tickets};
use crate::number::TicketNumber;
use crate::search::{Wanted, wanted, words};

impl Store {
    /// At most `limit` tickets older than `before` that have all words of `query`, newest first. A query without a word
    /// finds nothing.
    pub async fn search_tickets(
        &self,
        query: &str,
        before: Option<TicketNumber>,
        limit: u64,
    ) -> Result<Vec<Ticket>, StoreError> {
        let wanted = wanted(query);
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let before = match before {
            Some(number) => tickets::find(self.reader(), number).await?.map_or(0, |row| row.id),
            None => i64::MAX,
        };
        let backend = self.reader().get_database_backend();
        let (sql, words) = match backend {
            DbBackend::Postgres => (
                "SELECT ticket_id AS id FROM search_docs WHERE words @@ $1::tsquery AND ticket_id < $2 \
                 ORDER BY ticket_id DESC LIMIT $3",
                joined(wanted.iter().map(postgres_word), " & "),
            ),
            _ => (
                "SELECT rowid AS id FROM search_docs WHERE search_docs MATCH ? AND rowid < ? \
                 ORDER BY rowid DESC LIMIT ?",
                joined(wanted.iter().map(sqlite_word), " AND "),
            ),
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let statement = Statement::from_sql_and_values(backend, sql, [words.into(), before.into(), limit.into()]);
        let found = FoundRow::find_by_statement(statement).all(self.reader()).await?;
        let rows = ticket::Entity::find().filter(ticket::Column::Id.is_in(found.into_iter().map(|row| row.id)));
        let rows = rows.order_by_desc(ticket::Column::Id).all(self.reader()).await?;
        tickets::assemble_all(self.reader(), rows).await
    }

    /// Writes the words of tickets that have none yet: those of an older console.
    pub(super) async fn index_what_is_missing(&self) -> Result<(), StoreError> {
        let sql = match self.reader().get_database_backend() {
            DbBackend::Postgres => {
                "SELECT id FROM tickets WHERE id NOT IN (SELECT ticket_id FROM search_docs) LIMIT 500"
            }
            _ => "SELECT id FROM tickets WHERE id NOT IN (SELECT rowid FROM search_docs) LIMIT 500",
        };
        loop {
            let write = self.write(&Actor::System).await?;
            let statement = Statement::from_string(write.tx.get_database_backend(), sql);
            let missing = FoundRow::find_by_statement(statement).all(&write.tx).await?;
            if missing.is_empty() {
                return Ok(());
            }
            tracing::info!(tickets = missing.len(), "writing the words of tickets that have none yet");
            for row in missing {
                index(&write.tx, row.id).await?;
            }
            write.commit().await?;
        }
    }
}

#[derive(FromQueryResult)]
struct FoundRow {
    id: i64,
}

/// Writes the words of a ticket in place of those before.
pub(super) async fn index(db: &impl ConnectionTrait, id: i64) -> Result<(), DbErr> {
    let Some(row) = ticket::Entity::find_by_id(id).one(db).await? else { return Ok(()) };
    let number = TicketNumber::from_serial(row.serial).to_string();
    let organization = organization::Entity::find_by_id(row.organization_id).one(db).await?;
    let contact = contact::Entity::find().filter(contact::Column::Id.eq(row.contact_id)).one(db).await?;
    let tags = ticket_tag::Entity::find().filter(ticket_tag::Column::TicketId.eq(id)).all(db).await?;
    let articles = article::Entity::find().filter(article::Column::TicketId.eq(id));
    let articles = articles.order_by_desc(article::Column::Id).limit(ARTICLES_INDEXED).all(db).await?;
    let resolutions = resolution::Entity::find().filter(resolution::Column::TicketId.eq(id)).all(db).await?;
    let texts = [number.as_str(), &row.title, &row.description]
        .into_iter()
        .chain([&row.scope, &row.product, &row.product_version].into_iter().flatten().map(String::as_str))
        .chain(organization.iter().map(|row| row.name.as_str()))
        .chain(contact.iter().map(|row| row.name.as_str()))
        .chain(tags.iter().map(|row| row.tag.as_str()))
        .chain(resolutions.iter().flat_map(|row| [row.cause.as_str(), &row.fix, &row.prevention]))
        .chain(articles.iter().map(|row| row.body.as_str()));
    let words = joined(words(texts).into_iter(), " ");
    let backend = db.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => {
            "INSERT INTO search_docs (ticket_id, words) VALUES ($1, array_to_tsvector(string_to_array($2, ' '))) \
             ON CONFLICT (ticket_id) DO UPDATE SET words = EXCLUDED.words"
        }
        _ => "INSERT OR REPLACE INTO search_docs (rowid, words) VALUES (?, ?)",
    };
    db.execute_raw(Statement::from_sql_and_values(backend, sql, [Value::from(id), words.into()])).await?;
    Ok(())
}

fn joined(parts: impl Iterator<Item = String>, by: &str) -> String {
    parts.collect::<Vec<_>>().join(by)
}

// Words are letters and digits alone, so that none ends its quotes.
fn postgres_word(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Word(word) => format!("'{word}'"),
        Wanted::Beginning(word) => format!("'{word}':*"),
    }
}

fn sqlite_word(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Word(word) => format!("\"{word}\""),
        Wanted::Beginning(word) => format!("\"{word}\"*"),
    }
}

/// The newest articles of a ticket that are found by their words.
const ARTICLES_INDEXED: u64 = 1_000;
