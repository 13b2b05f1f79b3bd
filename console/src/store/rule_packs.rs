//! Rule packs that the desk has published. None is changed or deleted: a newer version takes the place of an older one.

use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};
use serde_json::json;

use belay_protocol::bounded::Name;
use belay_protocol::signed_pack::{PackId, PackProof};

use super::entity::rule_pack;
use super::{Actor, NewPack, PublishedPack, Store, StoreError};
use crate::clock::UnixMillis;

/// Why a pack was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// This version or a higher one is published.
    #[error("version {published} is published already: raise the version in the pack")]
    NotNewer {
        /// The version that is published.
        published: u32,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for PublishError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Publishes a pack. The caller has checked it; that it is newer is checked again here, where nobody comes between.
    pub async fn publish_pack(&self, actor: &Actor, new: NewPack) -> Result<PublishedPack, PublishError> {
        let mut write = self.write(actor).await?;
        let newest = newest(new.pack.id.as_str()).one(&write.tx).await?;
        if let Some(newest) = newest
            && newest.version >= i64::from(new.pack.version)
        {
            return Err(PublishError::NotNewer { published: u32::try_from(newest.version).unwrap_or(u32::MAX) });
        }
        let row = rule_pack::ActiveModel {
            name: Set(new.pack.id.to_string()),
            version: Set(i64::from(new.pack.version)),
            text: Set(new.text),
            proof: Set(json!(new.proof).to_string()),
            published_by: Set(actor.to_string()),
            published_at: Set(write.now.0),
            ..Default::default()
        };
        let row = row.insert(&write.tx).await?;
        let details = json!({ "version": new.pack.version, "signer": new.proof.delegation.signer.to_string() });
        write.audit("rules.publish", format!("rules/{}", new.pack.id), details).await?;
        write.commit().await?;
        Ok(published(row)?)
    }

    /// The newest published pack of that name.
    pub async fn newest_pack(&self, name: &str) -> Result<Option<PublishedPack>, StoreError> {
        newest(name).one(self.reader()).await?.map(published).transpose()
    }

    /// The published packs, newest first.
    pub async fn list_packs(&self, limit: u64) -> Result<Vec<PublishedPack>, StoreError> {
        let rows = rule_pack::Entity::find().order_by_desc(rule_pack::Column::Id).limit(limit);
        rows.all(self.reader()).await?.into_iter().map(published).collect()
    }
}

fn newest(name: &str) -> sea_orm::Select<rule_pack::Entity> {
    let of_name = rule_pack::Entity::find().filter(rule_pack::Column::Name.eq(name));
    of_name.order_by_desc(rule_pack::Column::Version).limit(1)
}

fn published(row: rule_pack::Model) -> Result<PublishedPack, StoreError> {
    let unreadable = || StoreError::Unreadable(format!("rule pack {} version {}", row.name, row.version));
    let proof: PackProof = serde_json::from_str(&row.proof).map_err(|_| unreadable())?;
    let version = u32::try_from(row.version).map_err(|_| unreadable())?;
    let pack = PackId { id: Name::try_from(row.name.clone()).map_err(|_| unreadable())?, version };
    Ok(PublishedPack { pack, text: row.text, proof, by: row.published_by, at_ms: UnixMillis(row.published_at) })
}
