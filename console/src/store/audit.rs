//! Reading and checking the audit.

use futures_util::TryStreamExt as _;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, TransactionTrait as _,
};

use super::entity::{audit_end, audit_line};
use super::write::AUDIT_END;
use super::{Store, StoreError};
use crate::audit::{Broken, End, Verifier};

/// The audit could not be vouched for.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Somebody changed it.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Walks the whole audit and says how many lines it has.
    pub async fn verify_audit(&self) -> Result<i64, AuditError> {
        let repeatable = sea_orm::IsolationLevel::RepeatableRead;
        // One snapshot, so that lines written meanwhile are not taken for forged ones. SQLite's snapshots need no level.
        let isolation = match self.reader().get_database_backend() {
            sea_orm::DbBackend::Postgres => Some(repeatable),
            _ => None,
        };
        let snapshot = self.reader().begin_with_config(isolation, None).await.map_err(StoreError::from)?;
        let mut verifier = Verifier::default();
        let mut lines = audit_line::Entity::find()
            .order_by_asc(audit_line::Column::Seq)
            .stream(&snapshot)
            .await
            .map_err(StoreError::from)?;
        while let Some(row) = lines.try_next().await.map_err(StoreError::from)? {
            verifier.line(&row.text, &row.hash)?;
        }
        drop(lines);
        let end = audit_end::Entity::find_by_id(AUDIT_END).one(&snapshot).await.map_err(StoreError::from)?;
        Ok(verifier.finish(end.map(End::from).as_ref(), &self.inner.key)?)
    }

    /// The texts of at most `limit` lines after `seq`, oldest first: the audit as JSON lines.
    pub async fn audit_lines_after(&self, seq: i64, limit: u64) -> Result<Vec<String>, StoreError> {
        let rows = audit_line::Entity::find()
            .filter(audit_line::Column::Seq.gt(seq))
            .order_by_asc(audit_line::Column::Seq)
            .limit(limit)
            .all(self.reader())
            .await?;
        Ok(rows.into_iter().map(|row| row.text).collect())
    }
}
