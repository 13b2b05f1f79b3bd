//! The second factor beside a password: one-time codes of an authenticator app, and recovery codes for the day it is lost.

use data_encoding::BASE32_NOPAD;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _,
    IntoActiveModel as _, PaginatorTrait as _, QueryFilter as _,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::accounts::{short_hash, source_bucket};
use super::entity::{passkey, recovery_code, sign_in, totp_seed, user};
use super::sign_ins::insert_sign_in;
use super::write::Write;
use super::{
    AccountError, Actor, Factors, Line, SignInBy, SignInError, SignedIn, Store, StoreError, User, UserId, Visitor,
};
use crate::clock::UnixMillis;
use crate::secret::{Token, same, sha256};
use crate::totp::Seed;

/// Why a second factor was not changed.
#[derive(Debug, thiserror::Error)]
pub enum FactorError {
    /// There is a confirmed one.
    #[error("there is an authenticator app already: remove it first")]
    Exists,
    /// None was begun, or none is there.
    #[error("there is no authenticator app")]
    Missing,
    /// The code is not the one of this moment, or was used.
    #[error("the code is wrong or was used: wait for the next one, and check the clock of the device that shows it")]
    WrongCode,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for FactorError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// A seed to be typed or scanned into an authenticator app, shown once.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// The seed in base32.
    pub secret: String,
    /// The same as an `otpauth` address.
    pub uri: String,
}

/// What somebody who is signed in proves themselves by once more.
#[derive(Clone, Copy, Debug)]
pub enum Proof<'a> {
    /// The password; refused when there is an authenticator app or a passkey.
    Password(&'a str),
    /// A one-time code or a recovery code.
    Code(&'a str),
}

/// What an account asks for beside its password.
pub(super) enum SecondFactor {
    /// Nothing.
    NotAsked,
    /// A one-time code or a recovery code, to be sent with this challenge.
    Code { challenge: String },
    /// One of its passkeys, which does without the password.
    Passkey,
}

/// What stands between a right password and a sign-in.
#[derive(Serialize, Deserialize)]
struct HalfSignedIn {
    user: i64,
    source: String,
    /// Another password ends what the old one began.
    password_sha256: [u8; 32],
}

impl Store {
    /// Draws a seed for a user's authenticator app. It counts from its confirmation on; until then another may be drawn.
    pub async fn begin_totp(&self, of: UserId, desk: &str) -> Result<Enrolment, FactorError> {
        let mut write = self.write(&Actor::User(of)).await?;
        if seed_of(&write.tx, of.0).await?.is_some_and(|row| row.confirmed_at.is_some()) {
            return Err(FactorError::Exists);
        }
        let user = user::Entity::find_by_id(of.0).one(&write.tx).await?.ok_or(FactorError::Missing)?;
        let seed = Seed::generate();
        let unusable = || StoreError::Unreadable(format!("the name of user {of}"));
        let enrolment = Enrolment { secret: seed.to_base32(), uri: seed.uri(desk, &user.name).ok_or_else(unusable)? };
        totp_seed::Entity::delete_by_id(of.0).exec(&write.tx).await?;
        let row = totp_seed::ActiveModel {
            user_id: Set(of.0),
            sealed: Set(self.inner.key.seal(&seed_context(of.0), seed.bytes())),
            created_at: Set(write.now.0),
            ..Default::default()
        };
        totp_seed::Entity::insert(row).exec_without_returning(&write.tx).await?;
        write.audit("second_factor.begin", format!("user:{of}"), json!({})).await?;
        write.commit().await?;
        Ok(enrolment)
    }

    /// Makes the seed count, once the app has shown a code of it. The recovery codes are told this once.
    pub async fn confirm_totp(&self, of: UserId, code: &str) -> Result<Vec<String>, FactorError> {
        let mut write = self.write(&Actor::User(of)).await?;
        let row = seed_of(&write.tx, of.0).await?.ok_or(FactorError::Missing)?;
        if row.confirmed_at.is_some() {
            return Err(FactorError::Exists);
        }
        let step = self.seed(&row)?.step_of(code, write.now).ok_or(FactorError::WrongCode)?;
        let mut row = row.into_active_model();
        row.confirmed_at = Set(Some(write.now.0));
        row.last_step = Set(Some(step));
        row.update(&write.tx).await?;
        write.audit("second_factor.confirm", format!("user:{of}"), json!({})).await?;
        let codes = self.draw_recovery_codes(&mut write, of).await?;
        write.commit().await?;
        Ok(codes)
    }

    /// Replaces the recovery codes, told this once.
    pub async fn renew_recovery_codes(&self, of: UserId) -> Result<Vec<String>, FactorError> {
        let mut write = self.write(&Actor::User(of)).await?;
        confirmed_seed(&write.tx, of.0).await?.ok_or(FactorError::Missing)?;
        let codes = self.draw_recovery_codes(&mut write, of).await?;
        write.commit().await?;
        Ok(codes)
    }

    async fn draw_recovery_codes(&self, write: &mut Write, of: UserId) -> Result<Vec<String>, DbErr> {
        forget_recovery_codes(write, of.0).await?;
        let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| recovery_code()).collect();
        let row = |code: &String| recovery_code::ActiveModel {
            code_mac: Set(self.recovery_mac(of.0, code)),
            user_id: Set(of.0),
        };
        recovery_code::Entity::insert_many(codes.iter().map(row)).exec_without_returning(&write.tx).await?;
        write.audit("recovery_codes.draw", format!("user:{of}"), json!({})).await?;
        Ok(codes)
    }

    /// Takes the authenticator app and the recovery codes off an account.
    pub async fn remove_totp(&self, of: UserId) -> Result<(), FactorError> {
        let mut write = self.write(&Actor::User(of)).await?;
        seed_of(&write.tx, of.0).await?.ok_or(FactorError::Missing)?;
        forget_totp(&write, of.0).await?;
        write.audit("second_factor.remove", format!("user:{of}"), json!({})).await?;
        Ok(write.commit().await?)
    }

    /// Takes every factor but the password off an account whose user has lost them.
    pub async fn reset_factors(&self, actor: &Actor, of: UserId, reason: &Line) -> Result<User, AccountError> {
        let mut write = self.write(actor).await?;
        let user = user::Entity::find_by_id(of.0).one(&write.tx).await?.ok_or(AccountError::NoUser)?;
        forget_totp(&write, of.0).await?;
        write.forget_failures(&code_bucket(user.id)).await?;
        let passkeys = passkey::Entity::delete_many().filter(passkey::Column::UserId.eq(of.0));
        let passkeys = passkeys.exec(&write.tx).await?.rows_affected;
        let details = json!({ "reason": reason.as_str(), "passkeys": passkeys });
        write.audit("second_factor.reset", format!("user:{of}"), details).await?;
        write.commit().await?;
        Ok(user.into())
    }

    /// What a user proves themselves by.
    pub async fn factors(&self, of: UserId) -> Result<Factors, StoreError> {
        let db = self.reader();
        let user = user::Entity::find_by_id(of.0).one(db).await?;
        let codes = recovery_code::Entity::find().filter(recovery_code::Column::UserId.eq(of.0));
        let passkeys = passkey::Entity::find().filter(passkey::Column::UserId.eq(of.0));
        Ok(Factors {
            password: user.is_some_and(|user| user.password_hash.is_some()),
            totp: confirmed_seed(db, of.0).await?.is_some(),
            recovery_codes: codes.count(db).await?,
            passkeys: passkeys.count(db).await?,
        })
    }

    /// What a right password alone does not do for this user.
    pub(super) async fn half_signed_in(
        &self,
        write: &Write,
        user: &user::Model,
        visitor: &Visitor,
    ) -> Result<SecondFactor, StoreError> {
        if confirmed_seed(&write.tx, user.id).await?.is_none() {
            // Otherwise a guessed password would open what its user has shut with a key.
            return Ok(match has_passkeys(&write.tx, user.id).await? {
                true => SecondFactor::Passkey,
                false => SecondFactor::NotAsked,
            });
        }
        let half =
            HalfSignedIn { user: user.id, source: visitor.source.clone(), password_sha256: password_sha256(user) };
        Ok(SecondFactor::Code { challenge: self.seal_challenge(SECOND_FACTOR, half)? })
    }

    /// Completes a sign-in whose password was right, by a one-time code or a recovery code.
    pub async fn answer_second_factor(
        &self,
        challenge: &str,
        code: &str,
        visitor: &Visitor,
    ) -> Result<(Token, SignedIn), SignInError> {
        let half: HalfSignedIn = self.open_challenge(SECOND_FACTOR, challenge).ok_or(SignInError::ChallengeNotValid)?;
        if half.source != visitor.source {
            return Err(SignInError::ChallengeNotValid);
        }
        let (codes, source) = (code_bucket(half.user), source_bucket(visitor));
        self.count_attempt(&codes, &source).await.map_err(SignInError::of_codes)?;
        let mut write = self.write(&Actor::System).await?;
        let user = user::Entity::find_by_id(half.user).one(&write.tx).await?;
        let user = user.filter(|user| same(&password_sha256(user), &half.password_sha256));
        let user = user.ok_or(SignInError::ChallengeNotValid)?;
        if !self.use_code(&write, user.id, code).await? {
            return refuse_code(write, user.id).await;
        }
        if !write.spend(challenge).await? {
            return Err(SignInError::ChallengeNotValid);
        }
        write.forget_failures(&codes).await?;
        write.take_back_failure(&source).await?;
        let signed_in = insert_sign_in(&mut write, user, SignInBy::SecondFactor, visitor).await?;
        write.commit().await?;
        Ok(signed_in)
    }

    /// Takes a fresh proof of who sits at a sign-in.
    pub async fn step_up(
        &self,
        signed_in: &SignedIn,
        proof: Proof<'_>,
        visitor: &Visitor,
    ) -> Result<UnixMillis, SignInError> {
        let (of, source) = (signed_in.user.id, source_bucket(visitor));
        let has_codes = confirmed_seed(self.reader(), of.0).await?.is_some();
        let has_passkeys = has_passkeys(self.reader(), of.0).await?;
        match proof {
            Proof::Password(_) if has_codes => Err(SignInError::CodeAsked),
            Proof::Password(_) if has_passkeys => Err(SignInError::PasskeyAsked),
            Proof::Password(password) => {
                let user = self.prove_password(of, password, visitor).await?;
                let mut write = self.write(&Actor::User(of)).await?;
                write.forget_failures(&super::accounts::account_bucket(&user.name)).await?;
                write.take_back_failure(&source).await?;
                verify_sign_in(&mut write, signed_in, "password").await?;
                let now = write.now;
                write.commit().await?;
                Ok(now)
            }
            Proof::Code(code) => {
                let codes = code_bucket(of.0);
                self.count_attempt(&codes, &source).await.map_err(SignInError::of_codes)?;
                let mut write = self.write(&Actor::User(of)).await?;
                if !self.use_code(&write, of.0, code).await? {
                    return refuse_code(write, of.0).await;
                }
                write.forget_failures(&codes).await?;
                write.take_back_failure(&source).await?;
                verify_sign_in(&mut write, signed_in, "code").await?;
                let now = write.now;
                write.commit().await?;
                Ok(now)
            }
        }
    }

    /// Uses up a one-time code or a recovery code, if it is a good one.
    async fn use_code(&self, write: &Write, of: i64, code: &str) -> Result<bool, StoreError> {
        let Some(row) = confirmed_seed(&write.tx, of).await? else {
            return Ok(false);
        };
        if let Some(step) = self.seed(&row)?.step_of(code, write.now) {
            // RFC 6238, section 5.2: a step is good once, and so is every step before it.
            if row.last_step.is_some_and(|last| step <= last) {
                return Ok(false);
            }
            let mut row = row.into_active_model();
            row.last_step = Set(Some(step));
            row.update(&write.tx).await?;
            return Ok(true);
        }
        let used = recovery_code::Entity::delete_by_id(self.recovery_mac(of, code)).exec(&write.tx).await?;
        Ok(used.rows_affected > 0)
    }

    fn seed(&self, row: &totp_seed::Model) -> Result<Seed, StoreError> {
        let plain = self.inner.key.unseal(&seed_context(row.user_id), &row.sealed);
        let unreadable = || StoreError::Unreadable(format!("the sealed seed of user {}", row.user_id));
        plain.map(Seed::kept).ok_or_else(unreadable)
    }

    /// Keyed, because fifty random bits alone could be searched by somebody with the database.
    fn recovery_mac(&self, of: i64, code: &str) -> Vec<u8> {
        let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
        self.inner.key.mac("recovery-code", format!("{of}:{}", plain.to_ascii_lowercase()).as_bytes())
    }
}

/// Notes that the user of a sign-in has proved themselves.
pub(super) async fn verify_sign_in(write: &mut Write, signed_in: &SignedIn, by: &str) -> Result<(), DbErr> {
    let row =
        sign_in::ActiveModel { id: Set(signed_in.id.0), verified_at: Set(Some(write.now.0)), ..Default::default() };
    row.update(&write.tx).await?;
    write.audit("sign_in.step_up", format!("user:{}", signed_in.user.id), json!({ "by": by })).await
}

async fn has_passkeys(db: &impl ConnectionTrait, of: i64) -> Result<bool, DbErr> {
    Ok(passkey::Entity::find().filter(passkey::Column::UserId.eq(of)).count(db).await? > 0)
}

async fn refuse_code<T>(mut write: Write, of: i64) -> Result<T, SignInError> {
    write.audit("second_factor.refuse", format!("user:{of}"), json!({})).await?;
    write.commit().await?;
    Err(SignInError::WrongCode)
}

async fn seed_of(db: &impl ConnectionTrait, of: i64) -> Result<Option<totp_seed::Model>, DbErr> {
    totp_seed::Entity::find_by_id(of).one(db).await
}

async fn confirmed_seed(db: &impl ConnectionTrait, of: i64) -> Result<Option<totp_seed::Model>, DbErr> {
    Ok(seed_of(db, of).await?.filter(|row| row.confirmed_at.is_some()))
}

async fn forget_recovery_codes(write: &Write, of: i64) -> Result<(), DbErr> {
    let codes = recovery_code::Entity::delete_many().filter(recovery_code::Column::UserId.eq(of));
    codes.exec(&write.tx).await.map(drop)
}

async fn forget_totp(write: &Write, of: i64) -> Result<(), DbErr> {
    totp_seed::Entity::delete_by_id(of).exec(&write.tx).await?;
    forget_recovery_codes(write, of).await
}

/// Five letters and digits, a dash, and five more: fifty bits.
fn recovery_code() -> String {
    let bytes: [u8; 7] = rand::random();
    let text = BASE32_NOPAD.encode(&bytes).to_ascii_lowercase();
    let (first, rest) = text.split_at(RECOVERY_HALF_CHARS);
    format!("{first}-{}", rest.chars().take(RECOVERY_HALF_CHARS).collect::<String>())
}

/// Failures of codes are counted apart from those of passwords, which a right password would forget.
pub(super) fn code_bucket(of: i64) -> String {
    format!("sign-in/code/{}", short_hash(&of.to_string()))
}

fn seed_context(of: i64) -> Vec<u8> {
    format!("totp/{of}").into_bytes()
}

fn password_sha256(user: &user::Model) -> [u8; 32] {
    sha256(user.password_hash.as_deref().unwrap_or_default().as_bytes())
}

const SECOND_FACTOR: &str = "second-factor";

const RECOVERY_CODES: usize = 10;

const RECOVERY_HALF_CHARS: usize = 5;
