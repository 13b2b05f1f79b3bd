//! A request that is sent again because its answer was lost gets the same answer, and nothing is done twice.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::entity::answer;
use super::write::Write;
use super::{Actor, Store, StoreError};
use crate::secret::{same, sha256};

/// Names one request of one user, so that it happens once. Remembered for a day.
///
/// The answer may hold a code, of which the store otherwise keeps only a keyed hash. It is therefore sealed under the
/// server key and the request's own key, of which again only a keyed hash is kept.
#[derive(Clone, Debug)]
pub struct Once {
    context: Vec<u8>,
    request_sha256: [u8; 32],
}

/// A remembered request could not be answered again.
#[derive(Debug, thiserror::Error)]
pub enum OnceError {
    /// The key was used for another request.
    #[error("this Idempotency-Key was used for another request")]
    OtherRequest,
}

impl Once {
    /// Names a request by the user's key for it and by what it asks; the same key with other contents is a mistake.
    pub fn new(actor: &Actor, key: &str, request: &[u8]) -> Self {
        Self { context: format!("{actor}\0{key}").into_bytes(), request_sha256: sha256(request) }
    }
}

impl Store {
    /// The answer that `once` got before, if it did.
    pub(super) async fn recall<T: DeserializeOwned>(
        &self,
        write: &Write,
        once: &Once,
    ) -> Result<Option<Result<T, OnceError>>, StoreError> {
        let key = self.inner.key.mac("once", &once.context);
        let Some(row) = answer::Entity::find_by_id(key).one(&write.tx).await? else {
            return Ok(None);
        };
        if row.created_at + REMEMBERED_MS <= write.now.0 {
            return Ok(None);
        }
        if !same(&row.request_sha256, &once.request_sha256) {
            return Ok(Some(Err(OnceError::OtherRequest)));
        }
        let plain = self.inner.key.unseal(&once.context, &row.sealed);
        let value = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
        value.map(|value| Some(Ok(value))).ok_or_else(|| StoreError::Unreadable("a remembered answer".to_owned()))
    }

    /// Remembers the answer within the change it is for.
    pub(super) async fn remember<T: Serialize>(&self, write: &Write, once: &Once, value: &T) -> Result<(), StoreError> {
        let plain = serde_json::to_vec(value).map_err(|error| DbErr::Json(error.to_string()))?;
        let old = answer::Column::CreatedAt.lte(write.now.0 - REMEMBERED_MS);
        answer::Entity::delete_many().filter(old).exec(&write.tx).await?;
        let row = answer::ActiveModel {
            key_mac: Set(self.inner.key.mac("once", &once.context)),
            request_sha256: Set(once.request_sha256.to_vec()),
            sealed: Set(self.inner.key.seal(&once.context, &plain)),
            created_at: Set(write.now.0),
        };
        answer::Entity::insert(row).exec_without_returning(&write.tx).await?;
        Ok(())
    }
}

/// Longer than any client retries.
const REMEMBERED_MS: i64 = Duration::from_secs(24 * 60 * 60).as_millis() as i64;
