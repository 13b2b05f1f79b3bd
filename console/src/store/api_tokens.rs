//! Tokens of programs: a part of their maker's rights, checked at each use against what the maker may do now.

use std::time::Duration;

use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
};
use serde_json::json;

use super::entity::{api_token, user};
use super::{Actor, ApiTokenId, ApiTokenView, Line, Store, StoreError, User, UserId};
use crate::clock::UnixMillis;
use crate::policy::{Action, allows, fits_a_token};
use crate::secret::Token;

/// The longest life of a token.
pub const API_TOKEN_MAX_LIFE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Why a token was not made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum ApiTokenError {
    /// The maker may not do it, or no token may.
    #[error("a token cannot be given {0:?}")]
    NotAllowed(Action),
    /// It could do nothing.
    #[error("a token is for at least one action")]
    NoAction,
    /// It would expire too late, or has.
    #[error("a token lives for at least a minute and at most a year")]
    BadLife,
    /// The user has as many as one may have.
    #[error("there are {API_TOKENS_MAX} live tokens already: revoke one first")]
    TooMany,
    /// The user has no such live token.
    #[error("there is no such token")]
    Missing,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for ApiTokenError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// A live token that was presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiTokenUse {
    /// The token.
    pub id: ApiTokenId,
    /// Its maker, as they are now.
    pub user: User,
    /// What it is for.
    pub actions: Vec<Action>,
}

impl Store {
    /// Makes a token for `maker`. Its text is told this once.
    pub async fn mint_api_token(
        &self,
        maker: &User,
        name: &Line,
        mut actions: Vec<Action>,
        life: Duration,
    ) -> Result<(Token, ApiTokenView), ApiTokenError> {
        actions.sort_unstable();
        actions.dedup();
        if actions.is_empty() {
            return Err(ApiTokenError::NoAction);
        }
        if !(API_TOKEN_MIN_LIFE..=API_TOKEN_MAX_LIFE).contains(&life) {
            return Err(ApiTokenError::BadLife);
        }
        let mut write = self.write(&Actor::User(maker.id)).await?;
        let maker = user::Entity::find_by_id(maker.id.0).one(&write.tx).await?.ok_or(ApiTokenError::Missing)?;
        let denied = actions.iter().find(|action| !allows(maker.role, **action) || !fits_a_token(**action));
        if let Some(action) = denied {
            return Err(ApiTokenError::NotAllowed(*action));
        }
        let live = api_token::Entity::find().filter(api_token::Column::UserId.eq(maker.id));
        let live = live.filter(api_token::Column::RevokedAt.is_null());
        if live.filter(api_token::Column::ExpiresAt.gt(write.now.0)).count(&write.tx).await? >= API_TOKENS_MAX {
            return Err(ApiTokenError::TooMany);
        }
        let token = Token::generate_for_program();
        let row = api_token::ActiveModel {
            user_id: Set(maker.id),
            name: Set(name.as_str().to_owned()),
            token_hash: Set(token.hash()),
            actions: Set(serde_json::to_string(&actions).map_err(|error| DbErr::Json(error.to_string()))?),
            created_at: Set(write.now.0),
            expires_at: Set(write.now.plus(life).0),
            ..Default::default()
        };
        let row = row.insert(&write.tx).await?;
        let details = json!({ "actions": actions, "expires_at_ms": row.expires_at });
        write.audit("api_token.mint", format!("token:{}", row.id), details).await?;
        write.commit().await?;
        Ok((token, row.try_into()?))
    }

    /// The live tokens of a user, newest first.
    pub async fn list_api_tokens(&self, of: UserId) -> Result<Vec<ApiTokenView>, StoreError> {
        let rows = api_token::Entity::find()
            .filter(api_token::Column::UserId.eq(of.0))
            .filter(api_token::Column::RevokedAt.is_null())
            .filter(api_token::Column::ExpiresAt.gt(self.inner.clock.now().0))
            .order_by_desc(api_token::Column::Id)
            .all(self.reader())
            .await?;
        rows.into_iter().map(ApiTokenView::try_from).collect()
    }

    /// Ends a token of a user.
    pub async fn revoke_api_token(&self, of: UserId, id: ApiTokenId) -> Result<(), ApiTokenError> {
        let mut write = self.write(&Actor::User(of)).await?;
        let row = api_token::Entity::find_by_id(id.0).one(&write.tx).await?;
        let row = row.filter(|row| row.user_id == of.0 && row.revoked_at.is_none()).ok_or(ApiTokenError::Missing)?;
        let mut row = row.into_active_model();
        row.revoked_at = Set(Some(write.now.0));
        row.update(&write.tx).await?;
        write.audit("api_token.revoke", format!("token:{id}"), json!({})).await?;
        Ok(write.commit().await?)
    }

    /// The use of a token that somebody presented, if it is live and its maker is still there; notes that it was used.
    pub async fn use_api_token(&self, token: &Token) -> Result<Option<ApiTokenUse>, StoreError> {
        let Some((row, maker)) = self.live_api_token(token).await? else {
            return Ok(None);
        };
        let used = ApiTokenUse { id: ApiTokenId(row.id), user: maker.into(), actions: actions_of(&row)? };
        let now = self.inner.clock.now();
        // As with sign-ins, to the minute.
        if row.last_used_at.is_none_or(|at| now.since(UnixMillis(at)) >= USE_NOTED_EVERY) {
            let write = self.write(&Actor::User(used.user.id)).await?;
            let mut row = row.into_active_model();
            row.last_used_at = Set(Some(write.now.0));
            row.update(&write.tx).await?;
            write.commit().await?;
        }
        Ok(Some(used))
    }

    /// The token's use, without noting it: for streams that stay open.
    pub async fn is_api_token_live(&self, token: &Token) -> Result<bool, StoreError> {
        Ok(self.live_api_token(token).await?.is_some())
    }

    async fn live_api_token(&self, token: &Token) -> Result<Option<(api_token::Model, user::Model)>, StoreError> {
        if !token.is_well_formed_for_program() {
            return Ok(None);
        }
        let found = api_token::Entity::find().filter(api_token::Column::TokenHash.eq(token.hash()));
        let now = self.inner.clock.now().0;
        let is_live = |row: &api_token::Model| row.revoked_at.is_none() && row.expires_at > now;
        let Some(row) = found.one(self.reader()).await?.filter(is_live) else {
            return Ok(None);
        };
        let maker = user::Entity::find_by_id(row.user_id).one(self.reader()).await?;
        Ok(maker.map(|maker| (row, maker)))
    }
}

fn actions_of(row: &api_token::Model) -> Result<Vec<Action>, StoreError> {
    serde_json::from_str(&row.actions).map_err(|_| StoreError::Unreadable(format!("token {}", row.id)))
}

impl TryFrom<api_token::Model> for ApiTokenView {
    type Error = StoreError;

    fn try_from(row: api_token::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: ApiTokenId(row.id),
            actions: actions_of(&row)?,
            name: row.name,
            created_at_ms: UnixMillis(row.created_at),
            expires_at_ms: UnixMillis(row.expires_at),
            last_used_at_ms: row.last_used_at.map(UnixMillis),
        })
    }
}

const API_TOKEN_MIN_LIFE: Duration = Duration::from_secs(60);

/// More programs than one person answers for.
const API_TOKENS_MAX: u64 = 50;

const USE_NOTED_EVERY: Duration = Duration::from_secs(60);
