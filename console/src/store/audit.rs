//! Reading and checking the audit.

use futures_util::{Stream, TryStreamExt as _, stream};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};

use super::entity::{audit_end, audit_line};
use super::write::AUDIT_END;
use super::{Store, StoreError, copy};
use crate::audit::{Broken, End, Verifier, genesis};

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
        // One snapshot, so that lines written meanwhile are not taken for forged ones.
        let snapshot = copy::begin(self.reader()).await.map_err(StoreError::from)?;
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

    /// The audit as it stands when the first of it is read: its lines, and its sealed end as the last.
    pub fn export_audit(&self) -> impl Stream<Item = Result<String, StoreError>> + Send + use<> {
        let begun = (self.clone(), None, 0);
        stream::try_unfold(begun, |(store, end, written)| async move {
            let end = match end {
                Some(end) => end,
                None => store.audit_end().await?,
            };
            if written > end.lines {
                return Ok(None);
            }
            if written == end.lines {
                let text = format!("{}\n", end.to_text());
                return Ok(Some((text, (store, Some(end), written + 1))));
            }
            // Lines are only ever added, so that those up to the end are the ones it was sealed over.
            let left = u64::try_from(end.lines - written).unwrap_or(0);
            let lines = store.audit_lines_after(written, left.min(EXPORT_PAGE)).await?;
            if lines.is_empty() {
                return Err(StoreError::Unreadable(format!("the audit after line {written}")));
            }
            let written = written + lines.len() as i64;
            let text = lines.iter().map(|line| format!("{line}\n")).collect();
            Ok(Some((text, (store, Some(end), written))))
        })
    }

    async fn audit_end(&self) -> Result<End, StoreError> {
        let end = audit_end::Entity::find_by_id(AUDIT_END).one(self.reader()).await?;
        Ok(end.map_or_else(|| End::sealed(&self.inner.key, 0, genesis()), End::from))
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

const EXPORT_PAGE: u64 = 500;
