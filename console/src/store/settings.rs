//! What the desk has decided for itself.

use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait as _};
use serde_json::json;

use super::entity::setting;
use super::{Actor, Store, StoreError};
use crate::ticket::PriorityMatrix;

impl Store {
    /// Which priority follows from impact and urgency.
    pub async fn priority_matrix(&self) -> Result<PriorityMatrix, StoreError> {
        matrix(self.reader()).await
    }

    /// Puts another matrix in place. Tickets that are there keep their priority until impact or urgency change.
    pub async fn set_priority_matrix(&self, actor: &Actor, new: PriorityMatrix) -> Result<(), StoreError> {
        let write = self.write(actor).await?;
        let before = matrix(&write.tx).await?;
        if before == new {
            return Ok(());
        }
        let value = serde_json::to_string(&new).unwrap_or_default();
        let row = setting::ActiveModel { name: Set(PRIORITY_MATRIX.to_owned()), value: Set(value) };
        let upsert = OnConflict::column(setting::Column::Name).update_column(setting::Column::Value).to_owned();
        setting::Entity::insert(row).on_conflict(upsert).exec_without_returning(&write.tx).await?;
        let mut write = write;
        write.audit("desk.priority-matrix", "desk", json!([before, new])).await?;
        write.commit().await
    }
}

pub(super) async fn matrix(db: &impl ConnectionTrait) -> Result<PriorityMatrix, StoreError> {
    match setting::Entity::find_by_id(PRIORITY_MATRIX.to_owned()).one(db).await? {
        Some(row) => serde_json::from_str(&row.value)
            .map_err(|_| StoreError::Unreadable(format!("the setting {PRIORITY_MATRIX}"))),
        None => Ok(PriorityMatrix::default()),
    }
}

const PRIORITY_MATRIX: &str = "priority-matrix";
