//! Filters of the queue that people keep: their own, and those that everybody sees.

use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, Condition, DbErr, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::entity::overview;
use super::{Actor, Line, OverviewId, Store, StoreError, UserId};

/// A filter of the queue that somebody keeps.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Overview {
    /// Its id.
    pub id: OverviewId,
    /// Its name.
    pub name: String,
    /// The query of the queue's address, as the web console writes it.
    pub query: String,
    /// Whether everybody at the desk sees it.
    pub is_shared: bool,
}

/// Why an overview was not kept or forgotten.
#[derive(Debug, thiserror::Error)]
pub enum OverviewError {
    /// There is no such overview, or it is somebody else's.
    #[error("there is no such overview")]
    NotThere,
    /// More than fit on a screen.
    #[error("a person keeps at most {OVERVIEWS_MAX} overviews, and a desk as many that everybody sees")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for OverviewError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// The overviews that `user` sees: those that everybody does, then their own, each by name.
    pub async fn list_overviews(&self, user: Option<UserId>) -> Result<Vec<Overview>, StoreError> {
        let own = user.map(|user| overview::Column::UserId.eq(user.0));
        let seen = Condition::any().add(overview::Column::UserId.is_null()).add_option(own);
        let mut rows =
            overview::Entity::find().filter(seen).order_by_asc(overview::Column::Name).all(self.reader()).await?;
        rows.sort_by_key(|row| row.user_id.is_some());
        Ok(rows.into_iter().map(Overview::from).collect())
    }

    /// Keeps a filter for its user, or for everybody.
    pub async fn keep_overview(
        &self,
        actor: &Actor,
        user: Option<UserId>,
        name: &Line,
        query: &str,
    ) -> Result<Overview, OverviewError> {
        let mut write = self.write(actor).await?;
        let of = match user {
            Some(user) => overview::Column::UserId.eq(user.0),
            None => overview::Column::UserId.is_null(),
        };
        if overview::Entity::find().filter(of).count(&write.tx).await? >= OVERVIEWS_MAX {
            return Err(OverviewError::TooMany);
        }
        let row = overview::ActiveModel {
            user_id: Set(user.map(|user| user.0)),
            name: Set(name.as_str().to_owned()),
            query: Set(query.to_owned()),
            created_at: Set(write.now.0),
            ..Default::default()
        };
        let row = row.insert(&write.tx).await?;
        write.audit("overview.keep", format!("overview:{}", row.id), json!({ "shared": user.is_none() })).await?;
        write.commit().await?;
        Ok(row.into())
    }

    /// Forgets an overview of `user`; with `may_shared`, also one that everybody sees.
    pub async fn forget_overview(
        &self,
        actor: &Actor,
        user: Option<UserId>,
        may_shared: bool,
        id: OverviewId,
    ) -> Result<(), OverviewError> {
        let mut write = self.write(actor).await?;
        let row = overview::Entity::find_by_id(id.0).one(&write.tx).await?;
        let is_theirs = |row: &overview::Model| match row.user_id {
            Some(owner) => Some(owner) == user.map(|user| user.0),
            None => may_shared,
        };
        let row = row.filter(is_theirs).ok_or(OverviewError::NotThere)?;
        overview::Entity::delete_by_id(row.id).exec(&write.tx).await?;
        write.audit("overview.forget", format!("overview:{id}"), json!({})).await?;
        write.commit().await?;
        Ok(())
    }
}

impl From<overview::Model> for Overview {
    fn from(row: overview::Model) -> Self {
        Self { id: OverviewId(row.id), name: row.name, query: row.query, is_shared: row.user_id.is_none() }
    }
}

const OVERVIEWS_MAX: u64 = 50;
