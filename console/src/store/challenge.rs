//! Challenges that a client carries: sealed under the server key, good for five minutes, and for one answer.
//!
//! Nothing is stored until a challenge was answered, so that strangers who ask for challenges cost no room.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::entity::spent_challenge;
use super::write::Write;
use super::{Store, StoreError};
use crate::clock::UnixMillis;
use crate::secret::sha256;

#[derive(Serialize, Deserialize)]
struct Sealed<T> {
    until: i64,
    value: T,
}

impl Store {
    /// Seals `value` into a challenge for `purpose`.
    pub(super) fn seal_challenge<T: Serialize>(&self, purpose: &str, value: T) -> Result<String, StoreError> {
        let until = self.inner.clock.now().plus(CHALLENGE_LIFE).0;
        let plain = serde_json::to_vec(&Sealed { until, value }).map_err(|error| DbErr::Json(error.to_string()))?;
        Ok(BASE64URL_NOPAD.encode(&self.inner.key.seal(context(purpose).as_bytes(), &plain)))
    }

    /// What was sealed for `purpose`; nothing when this is no challenge of this server, or has expired.
    pub(super) fn open_challenge<T: DeserializeOwned>(&self, purpose: &str, challenge: &str) -> Option<T> {
        let sealed = BASE64URL_NOPAD.decode(challenge.as_bytes()).ok()?;
        let plain = self.inner.key.unseal(context(purpose).as_bytes(), &sealed)?;
        let Sealed { until, value } = serde_json::from_slice(&plain).ok()?;
        (self.inner.clock.now() < UnixMillis(until)).then_some(value)
    }
}

impl Write {
    /// Uses a challenge up; `false` when it was used before.
    pub(super) async fn spend(&self, challenge: &str) -> Result<bool, DbErr> {
        let over = spent_challenge::Column::ExpiresAt.lte(self.now.0);
        spent_challenge::Entity::delete_many().filter(over).exec(&self.tx).await?;
        let row = spent_challenge::ActiveModel {
            sha256: Set(sha256(challenge.as_bytes()).to_vec()),
            expires_at: Set(self.now.plus(CHALLENGE_LIFE).0),
        };
        let once = OnConflict::column(spent_challenge::Column::Sha256).do_nothing().to_owned();
        let inserted = spent_challenge::Entity::insert(row).on_conflict(once).exec_without_returning(&self.tx).await?;
        Ok(inserted > 0)
    }
}

fn context(purpose: &str) -> String {
    format!("challenge/{purpose}")
}

/// Long enough to find the phone.
const CHALLENGE_LIFE: Duration = Duration::from_secs(5 * 60);
