//! Every table as plain rows: what a backup takes along and what a restore puts back, alike on both databases.
//!
//! The index of words is not among them: it is made again from the rows.

use std::collections::BTreeSet;

use data_encoding::BASE64;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use sea_orm::sea_query::{ColumnType, Nullable};
use sea_orm::{
    AccessMode, ColumnTrait as _, ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    EntityTrait, IdenStatic as _, IsolationLevel, Iterable as _, PrimaryKeyToColumn as _, QueryResult, Statement,
    StreamTrait as _, TransactionTrait as _, TryGetable, Value,
};
use sea_orm_migration::MigratorTrait as _;

use super::entity::*;
use super::migration::Migrator;
use super::{Actor, DatabaseLocation, Store, StoreError, connect};

/// A table of the store.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// Its name in the database.
    pub(crate) name: &'static str,
    /// Its columns; a row has its cells in this order.
    pub(crate) columns: Vec<Column>,
    key: &'static str,
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// Its name in the database.
    pub(crate) name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Integer,
    Text,
    Bytes,
}

/// One value of a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Cell {
    /// No value.
    Null,
    /// A number, a time, or a key.
    Integer(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Cell {
    /// The JSON form: bytes are an object `{"base64": TEXT}`, all else is itself.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Integer(number) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Bytes(bytes) => serde_json::json!({ "base64": BASE64.encode(bytes) }),
        }
    }

    /// The cell of a JSON form; nothing when it is of no cell.
    pub(crate) fn from_json(value: &serde_json::Value) -> Option<Self> {
        match value {
            serde_json::Value::Null => Some(Self::Null),
            serde_json::Value::Number(number) => number.as_i64().map(Self::Integer),
            serde_json::Value::String(text) => Some(Self::Text(text.clone())),
            serde_json::Value::Object(object) if object.len() == 1 => {
                let text = object.get("base64")?.as_str()?;
                BASE64.decode(text.as_bytes()).ok().map(Self::Bytes)
            }
            _ => None,
        }
    }
}

/// Every table, each after those that its rows refer to.
pub(crate) fn tables() -> Vec<Table> {
    vec![
        of::<organization::Entity>(),
        of::<contact::Entity>(),
        of::<product::Entity>(),
        of::<user::Entity>(),
        of::<device::Entity>(),
        of::<group::Entity>(),
        of::<group_member::Entity>(),
        of::<assignment_rule::Entity>(),
        of::<ticket::Entity>(),
        of::<invite::Entity>(),
        of::<session::Entity>(),
        of::<consent::Entity>(),
        of::<report::Entity>(),
        of::<finding::Entity>(),
        of::<event::Entity>(),
        of::<article::Entity>(),
        of::<resolution::Entity>(),
        of::<ticket_tag::Entity>(),
        of::<ticket_link::Entity>(),
        of::<attachment::Entity>(),
        of::<setting::Entity>(),
        of::<checklist::Entity>(),
        of::<checklist_item::Entity>(),
        of::<macro_row::Entity>(),
        of::<time_entry::Entity>(),
        of::<overview::Entity>(),
        of::<revocation::Entity>(),
        of::<rule_pack::Entity>(),
        of::<sign_in::Entity>(),
        of::<link::Entity>(),
        of::<throttle::Entity>(),
        of::<totp_seed::Entity>(),
        of::<recovery_code::Entity>(),
        of::<passkey::Entity>(),
        of::<api_token::Entity>(),
        of::<spent_challenge::Entity>(),
        of::<answer::Entity>(),
        of::<audit_line::Entity>(),
        of::<audit_end::Entity>(),
    ]
}

fn of<E: EntityTrait>() -> Table {
    let columns = E::Column::iter().map(|column| {
        let kind = match column.def().get_column_type() {
            ColumnType::Text | ColumnType::String(_) | ColumnType::Char(_) => Kind::Text,
            ColumnType::Blob | ColumnType::Binary(_) | ColumnType::VarBinary(_) => Kind::Bytes,
            _ => Kind::Integer,
        };
        Column { name: column.as_str(), kind }
    });
    let key = E::PrimaryKey::iter().map(|key| key.into_column().as_str()).next();
    Table { name: E::default().table_name(), columns: columns.collect(), key: key.unwrap_or("id") }
}

impl Store {
    /// The store as it is now; what is written from here on does not show in it.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Snapshot::of(self.reader()).await
    }

    /// Writes into the audit that the desk's data are taken away, before they are.
    pub(crate) async fn note_backup(&self, actor: &Actor, recipients: &[String]) -> Result<(), StoreError> {
        let mut write = self.write(actor).await?;
        write.audit("desk.backup", "desk", serde_json::json!({ "recipients": recipients })).await?;
        write.commit().await
    }

    /// Writes into the audit that the desk goes on from a backup of the time `made_at_ms`.
    pub(crate) async fn note_restore(&self, made_at_ms: i64) -> Result<(), StoreError> {
        let mut write = self.write(&Actor::Local).await?;
        write.audit("desk.restore", "desk", serde_json::json!({ "made_at_ms": made_at_ms })).await?;
        write.commit().await
    }
}

/// A database at one instant.
pub(crate) struct Snapshot {
    tx: DatabaseTransaction,
    backend: DbBackend,
}

/// Begins to look at a database as it is now, whatever is written meanwhile.
pub(super) async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    // SQLite's snapshots need no level: the first look fixes them.
    let (isolation, access) = match db.get_database_backend() {
        DbBackend::Postgres => (Some(IsolationLevel::RepeatableRead), Some(AccessMode::ReadOnly)),
        _ => (None, None),
    };
    db.begin_with_config(isolation, access).await
}

impl Snapshot {
    async fn of(db: &DatabaseConnection) -> Result<Self, StoreError> {
        Ok(Self { tx: begin(db).await?, backend: db.get_database_backend() })
    }

    /// The steps that have made the schema, oldest first.
    pub(crate) async fn steps(&self) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT version FROM seaql_migrations";
        let rows = self.tx.query_all_raw(Statement::from_string(self.backend, sql)).await?;
        let names: Result<Vec<String>, _> = rows.iter().map(|row| get(row, 0)).collect();
        let names = names?;
        let known = known_steps().into_iter().filter(|step| names.contains(step));
        Ok(known.collect())
    }

    /// The names of the blobs that rows speak of, each once.
    pub(crate) async fn blobs(&self) -> Result<BoxStream<'_, Result<String, StoreError>>, StoreError> {
        let sql = "SELECT blob FROM reports UNION SELECT blob FROM attachments";
        let rows = self.tx.stream_raw(Statement::from_string(self.backend, sql)).await?;
        Ok(rows.map_err(StoreError::from).map(|row| row.and_then(|row| get(&row, 0))).boxed())
    }

    /// The rows of a table by its key, with the cells of these columns.
    pub(crate) async fn rows<'a>(
        &'a self,
        table: &Table,
        columns: &'a [Column],
    ) -> Result<BoxStream<'a, Result<Vec<Cell>, StoreError>>, StoreError> {
        // By the bytes of a text key: the same order on every database.
        let has_text_key = table.columns.iter().any(|column| column.name == table.key && column.kind == Kind::Text);
        let order = match self.backend {
            _ if !has_text_key => "",
            DbBackend::Postgres => " COLLATE \"C\"",
            _ => " COLLATE BINARY",
        };
        let sql = format!("SELECT {} FROM \"{}\" ORDER BY \"{}\"{order}", names(columns), table.name, table.key);
        let statement = Statement::from_string(self.backend, sql);
        let rows = self.tx.stream_raw(statement).await?;
        Ok(rows.map_err(StoreError::from).map(|row| row.and_then(|row| cells(&row, columns))).boxed())
    }
}

fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| format!("\"{}\"", column.name)).collect::<Vec<_>>().join(", ")
}

fn cells(row: &QueryResult, columns: &[Column]) -> Result<Vec<Cell>, StoreError> {
    let cell = |(at, column): (usize, &Column)| {
        let cell = match column.kind {
            Kind::Integer => get::<Option<i64>>(row, at)?.map(Cell::Integer),
            Kind::Text => get::<Option<String>>(row, at)?.map(Cell::Text),
            Kind::Bytes => get::<Option<Vec<u8>>>(row, at)?.map(Cell::Bytes),
        };
        Ok(cell.unwrap_or(Cell::Null))
    };
    columns.iter().enumerate().map(cell).collect()
}

fn get<T: TryGetable>(row: &QueryResult, at: usize) -> Result<T, StoreError> {
    row.try_get_by_index(at).map_err(StoreError::from)
}

/// Every step that this version knows, oldest first.
pub(crate) fn known_steps() -> Vec<String> {
    Migrator::migrations().iter().map(|step| step.name().to_owned()).collect()
}

/// A new database that is being filled with the rows of a backup.
pub(crate) struct Blank {
    db: DatabaseConnection,
}

impl Blank {
    /// Makes the schema that `steps` steps made; nothing when there is something in the database already.
    pub(crate) async fn make(location: &DatabaseLocation, steps: usize) -> Result<Option<Self>, StoreError> {
        let (reader, db) = connect(location).await?;
        drop(reader);
        if !table_names(&db).await?.is_empty() {
            db.close().await?;
            return Ok(None);
        }
        Migrator::up(&db, Some(u32::try_from(steps).unwrap_or(u32::MAX))).await?;
        // Some steps write rows of their own.
        let there = table_names(&db).await?;
        for table in tables().iter().rev().filter(|table| there.contains(table.name)) {
            db.execute_unprepared(&format!("DELETE FROM \"{}\"", table.name)).await?;
        }
        Ok(Some(Self { db }))
    }

    /// Adds rows with the cells of these columns: all of them, or none.
    pub(crate) async fn insert(&self, table: &Table, columns: &[Column], rows: &[Vec<Cell>]) -> Result<(), StoreError> {
        let backend = self.db.get_database_backend();
        let tx = self.db.begin().await?;
        for rows in rows.chunks((VALUES_MAX / columns.len().max(1)).max(1)) {
            let mut next = 0;
            let places: Vec<String> = rows
                .iter()
                .map(|row| {
                    let places: Vec<String> = row
                        .iter()
                        .map(|_| {
                            next += 1;
                            if backend == DbBackend::Postgres { format!("${next}") } else { "?".to_owned() }
                        })
                        .collect();
                    format!("({})", places.join(", "))
                })
                .collect();
            let sql = format!("INSERT INTO \"{}\" ({}) VALUES {}", table.name, names(columns), places.join(", "));
            let values = rows.iter().flat_map(|row| row.iter().zip(columns).map(|(cell, column)| column.value(cell)));
            tx.execute_raw(Statement::from_sql_and_values(backend, sql, values.collect::<Vec<_>>())).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Lets new rows be numbered after those that were put in.
    pub(crate) async fn settle(&self) -> Result<(), StoreError> {
        if self.db.get_database_backend() != DbBackend::Postgres {
            return Ok(());
        }
        let there = table_names(&self.db).await?;
        for table in tables().iter().filter(|table| there.contains(table.name)) {
            let key = table.columns.iter().find(|column| column.name == table.key);
            if key.is_none_or(|key| key.kind != Kind::Integer) {
                continue;
            }
            let (name, key) = (table.name, table.key);
            // A key without a sequence has no place to set: the function answers nothing and nothing happens.
            self.db
                .execute_unprepared(&format!(
                    "SELECT setval(pg_get_serial_sequence('\"{name}\"', '{key}'), (SELECT MAX(\"{key}\") FROM \"{name}\")) \
                     WHERE pg_get_serial_sequence('\"{name}\"', '{key}') IS NOT NULL \
                     AND EXISTS (SELECT 1 FROM \"{name}\")"
                ))
                .await?;
        }
        Ok(())
    }

    /// The database as it is now.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Snapshot::of(&self.db).await
    }

    /// Lets go of the database.
    pub(crate) async fn close(self) -> Result<(), StoreError> {
        Ok(self.db.close().await?)
    }
}

impl Column {
    fn value(&self, cell: &Cell) -> Value {
        match (cell, self.kind) {
            (Cell::Integer(number), _) => (*number).into(),
            (Cell::Text(text), _) => text.as_str().into(),
            (Cell::Bytes(bytes), _) => bytes.clone().into(),
            (Cell::Null, Kind::Integer) => <i64 as Nullable>::null(),
            (Cell::Null, Kind::Text) => <String as Nullable>::null(),
            (Cell::Null, Kind::Bytes) => <Vec<u8> as Nullable>::null(),
        }
    }

    /// Whether `cell` can stand in this column.
    pub(crate) fn takes(&self, cell: &Cell) -> bool {
        match cell {
            Cell::Null => true,
            Cell::Integer(_) => self.kind == Kind::Integer,
            Cell::Text(_) => self.kind == Kind::Text,
            Cell::Bytes(_) => self.kind == Kind::Bytes,
        }
    }
}

/// Everything in a database that has a name there: tables, and on SQLite what belongs to them.
async fn table_names(db: &DatabaseConnection) -> Result<BTreeSet<String>, StoreError> {
    let sql = match db.get_database_backend() {
        DbBackend::Postgres => {
            "SELECT table_name::TEXT FROM information_schema.tables WHERE table_schema = current_schema()"
        }
        _ => "SELECT name FROM sqlite_master",
    };
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    rows.iter().map(|row| get(row, 0)).collect()
}

/// Values of one statement: SQLite takes 32,766, PostgreSQL twice as many.
const VALUES_MAX: usize = 30_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_goes_to_json_and_back() {
        for cell in [
            Cell::Null,
            Cell::Integer(i64::MIN),
            Cell::Integer(i64::MAX),
            Cell::Text("工单 \u{0}\"".to_owned()),
            Cell::Text("{\"base64\":\"AA==\"}".to_owned()),
            Cell::Bytes(vec![0, 255]),
            Cell::Bytes(Vec::new()),
        ] {
            let text = cell.to_json().to_string();
            assert_eq!(Cell::from_json(&serde_json::from_str(&text).unwrap()), Some(cell));
        }
        for wrong in ["1.5", "true", "[]", "{}", r#"{"base64":"*"}"#, r#"{"base64":"","more":1}"#, "1e30"] {
            assert_eq!(Cell::from_json(&serde_json::from_str(wrong).unwrap()), None, "{wrong}");
        }
    }
}
