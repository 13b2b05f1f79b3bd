//! Sign-ins: how long they hold, who looks at them, and how they end.

use std::time::Duration;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use serde_json::json;

use super::entity::{sign_in, user};
use super::write::Write;
use super::{AccountError, Actor, Line, SignInBy, SignInId, SignInView, Store, StoreError, User, UserId};
use crate::clock::UnixMillis;
use crate::secret::Token;

/// A sign-in that is not used for this long is over.
pub const IDLE_LIFE: Duration = Duration::from_secs(15 * 60);

/// A sign-in is over after this long, used or not.
pub const ABSOLUTE_LIFE: Duration = Duration::from_secs(8 * 60 * 60);

/// How long a proof of who sits there is good for what asks for a fresh one.
pub const STEP_UP_LIFE: Duration = Duration::from_secs(10 * 60);

/// Where a sign-in is made from, as far as the console can tell.
#[derive(Clone, Debug, Default)]
pub struct Visitor {
    /// Client address or its /64: what failures are counted by. Any stable text.
    pub source: String,
    /// What the browser calls itself; it proves nothing.
    pub agent: Line,
}

/// A user with a live sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// The sign-in.
    pub id: SignInId,
    /// The user.
    pub user: User,
    /// When the sign-in ends at the latest.
    pub ends_at: UnixMillis,
    /// When its user last proved who they are.
    pub verified_at: Option<UnixMillis>,
}

impl SignedIn {
    /// Until when it may do what asks for a fresh proof of its user.
    pub fn stepped_up_until(&self) -> Option<UnixMillis> {
        self.verified_at.map(|at| at.plus(STEP_UP_LIFE))
    }
}

impl Store {
    /// The user of a sign-in token, if it is still good; notes that it was used.
    pub async fn signed_in(&self, token: &Token) -> Result<Option<SignedIn>, StoreError> {
        let now = self.inner.clock.now();
        let Some((sign_in, user)) = self.live_sign_in(token, now).await? else {
            return Ok(None);
        };
        let signed_in = SignedIn::new(&sign_in, user.clone());
        // Noted at most once a minute: an exact time is not worth a write per request.
        if now.since(UnixMillis(sign_in.last_used_at)) >= USE_NOTED_EVERY {
            let write = self.write(&Actor::User(UserId(user.id))).await?;
            let mut row = sign_in.into_active_model();
            row.last_used_at = Set(write.now.0);
            row.update(&write.tx).await?;
            write.commit().await?;
        }
        Ok(Some(signed_in))
    }

    /// Whether a sign-in token is still good, without using it: for streams that stay open.
    pub async fn is_signed_in(&self, token: &Token) -> Result<bool, StoreError> {
        Ok(self.live_sign_in(token, self.inner.clock.now()).await?.is_some())
    }

    pub(super) async fn live_sign_in(
        &self,
        token: &Token,
        now: UnixMillis,
    ) -> Result<Option<(sign_in::Model, user::Model)>, StoreError> {
        let by_hash = sign_in::Entity::find().filter(sign_in::Column::TokenHash.eq(token.hash()));
        let Some(sign_in) = by_hash.one(self.reader()).await?.filter(|sign_in| is_live(sign_in, now)) else {
            return Ok(None);
        };
        let user = user::Entity::find_by_id(sign_in.user_id).one(self.reader()).await?;
        Ok(user.map(|user| (sign_in, user)))
    }

    /// The live sign-ins of a user, newest first. Their addresses are told to nobody but the user.
    pub async fn list_sign_ins(&self, of: UserId, viewer: &Actor) -> Result<Vec<SignInView>, StoreError> {
        let now = self.inner.clock.now();
        let rows = sign_in::Entity::find()
            .filter(sign_in::Column::UserId.eq(of.0))
            .filter(sign_in::Column::EndedAt.is_null())
            .order_by_desc(sign_in::Column::Id)
            .limit(SIGN_INS_SHOWN)
            .all(self.reader())
            .await?;
        let is_own = *viewer == Actor::User(of);
        let view = |row: sign_in::Model| SignInView {
            id: SignInId(row.id),
            by: row.by,
            agent: row.agent,
            source: row.source.filter(|_| is_own),
            created_at_ms: UnixMillis(row.created_at),
            last_used_at_ms: UnixMillis(row.last_used_at),
        };
        Ok(rows.into_iter().filter(|row| is_live(row, now)).map(view).collect())
    }

    /// Ends a sign-in by its token. An unknown token changes nothing.
    pub async fn sign_out(&self, token: &Token) -> Result<(), StoreError> {
        let Some((sign_in, user)) = self.live_sign_in(token, self.inner.clock.now()).await? else {
            return Ok(());
        };
        let mut write = self.write(&Actor::User(UserId(user.id))).await?;
        end_sign_in(&mut write, sign_in).await?;
        write.commit().await
    }

    /// Ends one sign-in of a user. What is over already, or somebody else's, is not there.
    pub async fn end_sign_in(&self, actor: &Actor, of: UserId, id: SignInId) -> Result<(), AccountError> {
        let mut write = self.write(actor).await?;
        let row = sign_in::Entity::find_by_id(id.0).one(&write.tx).await?;
        let row = row.filter(|row| row.user_id == of.0 && is_live(row, write.now)).ok_or(AccountError::NoSignIn)?;
        end_sign_in(&mut write, row).await?;
        Ok(write.commit().await?)
    }

    /// Ends every sign-in of a user.
    pub async fn end_all_sign_ins(&self, actor: &Actor, of: UserId) -> Result<(), AccountError> {
        let mut write = self.write(actor).await?;
        user::Entity::find_by_id(of.0).one(&write.tx).await?.ok_or(AccountError::NoUser)?;
        let ended = end_sign_ins(&write, of.0, None).await?;
        write.audit("sign_in.end_all", format!("user:{of}"), json!({ "ended": ended })).await?;
        Ok(write.commit().await?)
    }
}

impl SignedIn {
    fn new(row: &sign_in::Model, user: user::Model) -> Self {
        Self {
            id: SignInId(row.id),
            user: user.into(),
            ends_at: UnixMillis(row.created_at).plus(ABSOLUTE_LIFE),
            verified_at: row.verified_at.map(UnixMillis),
        }
    }
}

fn is_live(row: &sign_in::Model, now: UnixMillis) -> bool {
    let idle_end = UnixMillis(row.last_used_at).plus(IDLE_LIFE);
    row.ended_at.is_none() && now < idle_end && now < UnixMillis(row.created_at).plus(ABSOLUTE_LIFE)
}

async fn end_sign_in(write: &mut Write, row: sign_in::Model) -> Result<(), DbErr> {
    let (id, subject) = (row.id, format!("user:{}", row.user_id));
    let mut row = row.into_active_model();
    row.ended_at = Set(Some(write.now.0));
    row.update(&write.tx).await?;
    write.audit("sign_in.end", subject, json!({ "sign_in": id })).await
}

/// Begins a sign-in, whose user has just proved who they are.
pub(super) async fn insert_sign_in(
    write: &mut Write,
    user: user::Model,
    by: SignInBy,
    visitor: &Visitor,
) -> Result<(Token, SignedIn), StoreError> {
    let over = sign_in::Column::CreatedAt.lte(write.now.0 - ABSOLUTE_LIFE.as_millis() as i64);
    sign_in::Entity::delete_many().filter(over).exec(&write.tx).await?;
    let token = Token::generate();
    let row = sign_in::ActiveModel {
        user_id: Set(user.id),
        token_hash: Set(token.hash()),
        created_at: Set(write.now.0),
        last_used_at: Set(write.now.0),
        by: Set(Some(by)),
        source: Set(Some(visitor.source.clone())),
        agent: Set(Some(visitor.agent.as_str().to_owned())),
        verified_at: Set(Some(write.now.0)),
        ..Default::default()
    };
    let row = row.insert(&write.tx).await?;
    write.audit("sign_in.start", format!("user:{}", user.id), json!({ "by": by, "sign_in": row.id })).await?;
    Ok((token, SignedIn::new(&row, user)))
}

/// Ends the sign-ins of a user, except for one that is kept, and says how many those were.
pub(super) async fn end_sign_ins(write: &Write, user: i64, kept: Option<SignInId>) -> Result<u64, DbErr> {
    let live = sign_in::Entity::update_many().col_expr(sign_in::Column::EndedAt, Expr::value(write.now.0));
    let mut live = live.filter(sign_in::Column::UserId.eq(user)).filter(sign_in::Column::EndedAt.is_null());
    if let Some(kept) = kept {
        live = live.filter(sign_in::Column::Id.ne(kept.0));
    }
    Ok(live.exec(&write.tx).await?.rows_affected)
}

/// More browsers than anybody has open at once.
const SIGN_INS_SHOWN: u64 = 100;

const USE_NOTED_EVERY: Duration = Duration::from_secs(60);
