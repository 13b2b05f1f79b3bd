//! Users, their passwords, one-time links and sign-ins.
//!
//! Tokens are stored as hashes. An unknown user costs the same hash and gets the same answer as a wrong password.

use std::sync::LazyLock;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
};
use serde_json::json;

use super::entity::{link, user};
use super::second_factor::{SecondFactor, code_bucket};
use super::sign_ins::{end_sign_ins, insert_sign_in};
use super::throttle::{self, Consequence};
use super::write::Write;
use super::{Actor, Line, LinkPurpose, SignInBy, SignInId, SignedIn, Store, StoreError, User, UserId, Visitor, groups};
use crate::clock::UnixMillis;
use crate::password::{self, PASSWORD_MAX_BYTES, PasswordFault};
use crate::policy::Role;
use crate::secret::Token;

/// Why a user or a link was not made, or a link not used.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Somebody has the name.
    #[error("there is already a user with this name")]
    NameTaken,
    /// A name is a word without white space.
    #[error("a name has 1 to 64 characters and no white space")]
    BadName,
    /// There is no such user.
    #[error("there is no such user")]
    NoUser,
    /// The user has no such sign-in.
    #[error("there is no such sign-in")]
    NoSignIn,
    /// The link was used, has expired, or never existed.
    #[error("the link is not valid or has expired")]
    LinkNotValid,
    /// The password cannot be chosen.
    #[error(transparent)]
    BadPassword(#[from] PasswordFault),
    /// Nobody could manage users any more.
    #[error("this is the last admin: make another user admin first")]
    LastAdmin,
    /// The link did its work, and its user has a second factor to sign in with.
    #[error("the password is set; sign in with it and a code of the authenticator app, or a recovery code")]
    SecondFactor {
        /// What the code is to be sent with, within five minutes.
        challenge: String,
    },
    /// The link did its work, and its user has passkeys to sign in with.
    #[error("the password is set; sign in with one of the account's passkeys")]
    PasskeyAsked,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for AccountError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// Why somebody was not signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Unknown user or wrong password: not told which.
    #[error("the name or the password is wrong")]
    Wrong,
    /// Too many failures for this account or from this source.
    #[error("too many failed attempts: try again in {} seconds", retry_after.as_secs().max(1))]
    SlowDown {
        /// When the next attempt will be looked at.
        retry_after: Duration,
    },
    /// So many failures that the account takes no password for a while. It says the same of a name that nobody has.
    #[error(
        "too many wrong passwords: this account takes no password for {} minutes. A one-time link from an admin works at \
         once, and so does `belay-console user unlock NAME` on the desk's own machine",
        retry_after.as_secs().div_ceil(60).max(1)
    )]
    Locked {
        /// When passwords are looked at again.
        retry_after: Duration,
    },
    /// The same for one-time codes, of which passwords know nothing.
    #[error(
        "too many wrong codes: this account takes no code for {} minutes. A passkey works at once",
        retry_after.as_secs().div_ceil(60).max(1)
    )]
    CodesLocked {
        /// When codes are looked at again.
        retry_after: Duration,
    },
    /// The password is right, and a second factor is asked for.
    #[error("this account has a second factor: send a code of the authenticator app, or a recovery code")]
    SecondFactor {
        /// What the code is to be sent with, within five minutes.
        challenge: String,
    },
    /// A code is asked for where the password was sent.
    #[error("this account has a second factor: send a code of the authenticator app, or a recovery code")]
    CodeAsked,
    /// The account has passkeys, and the password alone does not do.
    #[error("this account has passkeys: use one of them, the password alone is not enough")]
    PasskeyAsked,
    /// A one-time code is wrong, or was used.
    #[error("the code is wrong or was used: wait for the next one, and check the clock of the device that shows it")]
    WrongCode,
    /// A challenge has expired, was used, or is somebody else's.
    #[error("that took too long, or was done already: sign in again")]
    ChallengeNotValid,
    /// The passkey is not known here, or what it signed is not what was asked.
    #[error("this passkey is not known here")]
    UnknownPasskey,
    /// The passkey's counter went backwards.
    #[error("this passkey may have been copied, and was refused: sign in another way, and register a new one")]
    ClonedPasskey,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SignInError {
    /// The same for codes, where it was told of passwords.
    pub(super) fn of_codes(self) -> Self {
        match self {
            Self::Locked { retry_after } => Self::CodesLocked { retry_after },
            other => other,
        }
    }
}

impl From<DbErr> for SignInError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// Why a password was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangePasswordError {
    /// The old one was not proved.
    #[error(transparent)]
    Old(#[from] SignInError),
    /// The new one cannot be chosen.
    #[error(transparent)]
    New(#[from] AccountError),
}

impl From<StoreError> for ChangePasswordError {
    fn from(error: StoreError) -> Self {
        Self::New(error.into())
    }
}

impl From<DbErr> for ChangePasswordError {
    fn from(error: DbErr) -> Self {
        Self::New(error.into())
    }
}

/// A one-time link, shown once.
#[derive(Debug)]
pub struct MintedLink {
    /// Whom it is for.
    pub user: User,
    /// What it is good for.
    pub purpose: LinkPurpose,
    /// The part of the link that must not reach a log.
    pub token: Token,
    /// When it stops working.
    pub expires_at: UnixMillis,
}

/// What a sign-in presents.
#[derive(Debug)]
pub struct SignIn<'a> {
    /// The name as typed.
    pub name: &'a str,
    /// The password as typed.
    pub password: &'a str,
    /// Where it is made from.
    pub visitor: &'a Visitor,
}

impl Store {
    /// Creates a user and the link by which they set their password.
    pub async fn add_user(&self, actor: &Actor, name: &Line, role: Role) -> Result<MintedLink, AccountError> {
        check_name(name)?;
        let mut write = self.write(actor).await?;
        if user::Entity::find().filter(user::Column::Name.eq(name.as_str())).one(&write.tx).await?.is_some() {
            return Err(AccountError::NameTaken);
        }
        let row = new_user(&write, name, role, None);
        let row = row.insert(&write.tx).await?;
        if role != Role::Auditor {
            groups::join_first(&write, UserId(row.id)).await?;
        }
        write.audit("user.add", format!("user:{}", row.id), json!({ "role": role })).await?;
        let minted = insert_link(&mut write, row, LinkPurpose::SetUp, SET_UP_LIFE).await?;
        write.commit().await?;
        Ok(minted)
    }

    /// How many users there are.
    pub async fn count_users(&self) -> Result<u64, StoreError> {
        Ok(user::Entity::find().count(self.reader()).await?)
    }

    /// All users, by name.
    pub async fn list_users(&self) -> Result<Vec<User>, StoreError> {
        let rows = user::Entity::find().order_by_asc(user::Column::Name).all(self.reader()).await?;
        let buckets = rows.iter().map(|row| account_bucket(&row.name));
        let locked = throttle::locked(self.reader(), buckets, self.inner.clock.now()).await?;
        let user = |row: user::Model| {
            let locked_until_ms = locked.get(&account_bucket(&row.name)).copied();
            User { locked_until_ms, ..row.into() }
        };
        Ok(rows.into_iter().map(user).collect())
    }

    /// Makes a link that signs `name` in once, without a password.
    pub async fn mint_sign_in(&self, actor: &Actor, name: &str) -> Result<MintedLink, AccountError> {
        let mut write = self.write(actor).await?;
        let row = user::Entity::find().filter(user::Column::Name.eq(name)).one(&write.tx).await?;
        let minted =
            insert_link(&mut write, row.ok_or(AccountError::NoUser)?, LinkPurpose::SignIn, SIGN_IN_LIFE).await?;
        write.commit().await?;
        Ok(minted)
    }

    /// Makes a link by which a user sets another password. The old one works until the link is used.
    pub async fn mint_reset(&self, actor: &Actor, id: UserId) -> Result<MintedLink, AccountError> {
        let mut write = self.write(actor).await?;
        let row = user::Entity::find_by_id(id.0).one(&write.tx).await?.ok_or(AccountError::NoUser)?;
        let minted = insert_link(&mut write, row, LinkPurpose::SetUp, SET_UP_LIFE).await?;
        write.commit().await?;
        Ok(minted)
    }

    /// Lets an account that is delayed or locked take passwords again at once.
    pub async fn unlock(&self, actor: &Actor, id: UserId, reason: &Line) -> Result<User, AccountError> {
        let mut write = self.write(actor).await?;
        let row = user::Entity::find_by_id(id.0).one(&write.tx).await?.ok_or(AccountError::NoUser)?;
        write.forget_failures(&account_bucket(&row.name)).await?;
        write.forget_failures(&code_bucket(row.id)).await?;
        write.audit("user.unlock", format!("user:{}", row.id), json!({ "reason": reason.as_str() })).await?;
        write.commit().await?;
        Ok(row.into())
    }

    /// Sets the password by a set-up link, which is used up by it, and signs the user in, unless a second factor is asked for.
    /// Whoever was signed in by the old password is signed out, and its failures are forgotten.
    pub async fn set_up(
        &self,
        token: &Token,
        password: &str,
        visitor: &Visitor,
    ) -> Result<(Token, SignedIn), AccountError> {
        password::has_length(password)?;
        // Asked before the hash is made, so that strangers without a link cannot keep the hashers busy.
        let link = find_link(self.reader(), token, LinkPurpose::SetUp, self.inner.clock.now()).await?;
        let user = user::Entity::find_by_id(link.user_id).one(self.reader()).await?.ok_or(AccountError::NoUser)?;
        self.judge(password, user.name).await?;
        let hash = self.hash_password(password.to_owned()).await?;
        let mut write = self.write(&Actor::System).await?;
        let link = find_link(&write.tx, token, LinkPurpose::SetUp, write.now).await?;
        let user = use_link(&write, link).await?;
        let user = set_password(&write, user, hash, None).await?;
        write.audit("user.set_up", format!("user:{}", user.id), json!({})).await?;
        let refused = match self.half_signed_in(&write, &user, visitor).await? {
            SecondFactor::NotAsked => None,
            SecondFactor::Code { challenge } => Some(AccountError::SecondFactor { challenge }),
            SecondFactor::Passkey => Some(AccountError::PasskeyAsked),
        };
        if let Some(refused) = refused {
            write.commit().await?;
            return Err(refused);
        }
        let signed_in = insert_sign_in(&mut write, user, SignInBy::SetUp, visitor).await?;
        write.commit().await?;
        Ok(signed_in)
    }

    /// Creates the first admin of a desk that has no user yet, and signs them in.
    pub async fn add_first_admin(
        &self,
        name: &Line,
        password: &str,
        visitor: &Visitor,
    ) -> Result<(Token, SignedIn), AccountError> {
        check_name(name)?;
        self.judge(password, name.as_str().to_owned()).await?;
        let hash = self.hash_password(password.to_owned()).await?;
        let mut write = self.write(&Actor::System).await?;
        if user::Entity::find().count(&write.tx).await? > 0 {
            return Err(AccountError::NoUser);
        }
        let row = new_user(&write, name, Role::Admin, Some(hash)).insert(&write.tx).await?;
        write.audit("user.add_first", format!("user:{}", row.id), json!({ "role": row.role })).await?;
        let signed_in = insert_sign_in(&mut write, row, SignInBy::SetUp, visitor).await?;
        write.commit().await?;
        Ok(signed_in)
    }

    /// Sets another password for somebody who knows the old one, and ends their other sign-ins.
    pub async fn change_password(
        &self,
        signed_in: &SignedIn,
        old: &str,
        new: &str,
        visitor: &Visitor,
    ) -> Result<(), ChangePasswordError> {
        // Judged before the old one is proved, which counts as an attempt until the change is made.
        self.judge(new, signed_in.user.name.clone()).await?;
        let user = self.prove_password(signed_in.user.id, old, visitor).await?;
        let hash = self.hash_password(new.to_owned()).await?;
        let mut write = self.write(&Actor::User(signed_in.user.id)).await?;
        let user = set_password(&write, user, hash, Some(signed_in.id)).await?;
        write.take_back_failure(&source_bucket(visitor)).await?;
        write.audit("user.change_password", format!("user:{}", user.id), json!({})).await?;
        Ok(write.commit().await?)
    }

    /// Gives a user another role; what they may do changes at once.
    pub async fn change_role(&self, actor: &Actor, id: UserId, role: Role) -> Result<User, AccountError> {
        let mut write = self.write(actor).await?;
        let row = user::Entity::find_by_id(id.0).one(&write.tx).await?.ok_or(AccountError::NoUser)?;
        let admins = user::Entity::find().filter(user::Column::Role.eq(Role::Admin)).count(&write.tx).await?;
        if row.role == Role::Admin && role != Role::Admin && admins <= 1 {
            return Err(AccountError::LastAdmin);
        }
        let before = row.role;
        let mut row = row.into_active_model();
        row.role = Set(role);
        let row = row.update(&write.tx).await?;
        write.audit("user.change_role", format!("user:{id}"), json!({ "from": before, "to": role })).await?;
        write.commit().await?;
        Ok(row.into())
    }

    /// Signs in by a one-time link, which is used up by it.
    pub async fn sign_in_by_link(&self, token: &Token, visitor: &Visitor) -> Result<(Token, SignedIn), AccountError> {
        let mut write = self.write(&Actor::System).await?;
        let link = find_link(&write.tx, token, LinkPurpose::SignIn, write.now).await?;
        let user = use_link(&write, link).await?;
        let signed_in = insert_sign_in(&mut write, user, SignInBy::Link, visitor).await?;
        write.commit().await?;
        Ok(signed_in)
    }

    /// Signs in by name and password. The token goes into the user's cookie; only its hash is kept.
    pub async fn sign_in(&self, attempt: SignIn<'_>) -> Result<(Token, SignedIn), SignInError> {
        let (account, source) = (account_bucket(attempt.name), source_bucket(attempt.visitor));
        let found = user::Entity::find().filter(user::Column::Name.eq(attempt.name)).one(self.reader()).await?;
        let user = self.check_attempt(attempt.name, found, attempt.password, attempt.visitor).await?;
        let mut write = self.write(&Actor::System).await?;
        write.forget_failures(&account).await?;
        write.take_back_failure(&source).await?;
        let refused = match self.half_signed_in(&write, &user, attempt.visitor).await? {
            SecondFactor::NotAsked => None,
            SecondFactor::Code { challenge } => Some(("sign_in.ask_code", SignInError::SecondFactor { challenge })),
            SecondFactor::Passkey => Some(("sign_in.ask_passkey", SignInError::PasskeyAsked)),
        };
        if let Some((action, refused)) = refused {
            write.audit(action, format!("user:{}", user.id), json!({})).await?;
            write.commit().await?;
            return Err(refused);
        }
        let signed_in = insert_sign_in(&mut write, user, SignInBy::Password, attempt.visitor).await?;
        write.commit().await?;
        Ok(signed_in)
    }

    /// The user of that id, if the password is theirs. Failures count as those of signing in do.
    pub(super) async fn prove_password(
        &self,
        of: UserId,
        password: &str,
        visitor: &Visitor,
    ) -> Result<user::Model, SignInError> {
        let user = user::Entity::find_by_id(of.0).one(self.reader()).await?.ok_or(SignInError::Wrong)?;
        let name = user.name.clone();
        self.check_attempt(&name, Some(user), password, visitor).await
    }

    /// Counts an attempt and looks at its password. Success leaves the count to the caller's own change.
    async fn check_attempt(
        &self,
        name: &str,
        found: Option<user::Model>,
        password: &str,
        visitor: &Visitor,
    ) -> Result<user::Model, SignInError> {
        self.count_attempt(&account_bucket(name), &source_bucket(visitor)).await?;
        let stored = found.as_ref().and_then(|user| user.password_hash.clone());
        let password_is_right = self.check_password(stored, password).await?;
        match found.filter(|_| password_is_right) {
            Some(user) => Ok(user),
            None => {
                let mut write = self.write(&Actor::System).await?;
                // What was typed as a name may be a password: it is not written down.
                write.audit("sign_in.refuse", "desk", json!({ "account": short_hash(name) })).await?;
                write.commit().await?;
                Err(SignInError::Wrong)
            }
        }
    }

    /// Counts an attempt as a failure before its password is looked at, so that a thousand attempts at the same time are
    /// a thousand attempts; success takes it back.
    pub(super) async fn count_attempt(&self, account: &str, source: &str) -> Result<(), SignInError> {
        let write = self.write(&Actor::System).await?;
        if let Some(block) = throttle::block(&write.tx, account, write.now).await? {
            let retry_after = block.remaining;
            return Err(match block.failures >= throttle::LOCK_FAILURES {
                true => SignInError::Locked { retry_after },
                false => SignInError::SlowDown { retry_after },
            });
        }
        if let Some(retry_after) = throttle::wait(&write.tx, source, write.now).await? {
            return Err(SignInError::SlowDown { retry_after });
        }
        write.count_failure(account, Consequence::LockAfter(throttle::FREE_FAILURES)).await?;
        write.count_failure(source, Consequence::DelayAfter(SOURCE_FREE_FAILURES)).await?;
        write.commit().await?;
        Ok(())
    }

    /// Refuses a password that somebody called `name` may not choose.
    async fn judge(&self, password: &str, name: String) -> Result<(), AccountError> {
        password::has_length(password)?;
        let chosen = password.to_owned();
        Ok(self.on_a_hasher(move || password::judge(&chosen, &[&name])).await??)
    }

    async fn hash_password(&self, password: String) -> Result<String, StoreError> {
        self.on_a_hasher(move || {
            let hash = ARGON2.hash_password(password.as_bytes());
            hash.map(|hash| hash.to_string()).map_err(|error| StoreError::File(std::io::Error::other(error)))
        })
        .await?
    }

    /// Checks against the stored hash, or against one of nobody's password so that the time does not tell.
    async fn check_password(&self, stored: Option<String>, password: &str) -> Result<bool, StoreError> {
        if password.len() > PASSWORD_MAX_BYTES {
            return Ok(false);
        }
        let password = password.to_owned();
        self.on_a_hasher(move || {
            // Made here also for a known user, so that the first attempt of all does not tell either.
            let nobodys: &str = &NOBODYS_HASH;
            let text = stored.as_deref().unwrap_or(nobodys);
            let matches =
                PasswordHash::new(text).is_ok_and(|hash| ARGON2.verify_password(password.as_bytes(), &hash).is_ok());
            matches && stored.is_some()
        })
        .await
    }

    async fn on_a_hasher<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
        let place = self.inner.hashing.clone().acquire_owned().await;
        let place = place.map_err(|error| StoreError::File(std::io::Error::other(error)))?;
        let hashing = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(place);
            done
        });
        hashing.await.map_err(|error| StoreError::File(std::io::Error::other(error)))
    }
}

fn check_name(name: &Line) -> Result<(), AccountError> {
    let fits = (1..=64).contains(&name.chars().count()) && !name.chars().any(|c| c.is_whitespace() || c.is_control());
    if fits { Ok(()) } else { Err(AccountError::BadName) }
}

fn new_user(write: &Write, name: &Line, role: Role, password_hash: Option<String>) -> user::ActiveModel {
    user::ActiveModel {
        name: Set(name.as_str().to_owned()),
        role: Set(role),
        password_hash: Set(password_hash),
        created_at: Set(write.now.0),
        ..Default::default()
    }
}

/// Sets a password, forgets the old one's failures, and ends what it began, except for one sign-in that is kept.
async fn set_password(
    write: &Write,
    user: user::Model,
    hash: String,
    kept: Option<SignInId>,
) -> Result<user::Model, DbErr> {
    let mut row = user.into_active_model();
    row.password_hash = Set(Some(hash));
    let user = row.update(&write.tx).await?;
    write.forget_failures(&account_bucket(&user.name)).await?;
    end_sign_ins(write, user.id, kept).await?;
    Ok(user)
}

impl From<user::Model> for User {
    fn from(row: user::Model) -> Self {
        Self {
            id: UserId(row.id),
            name: row.name,
            role: row.role,
            is_set_up: row.password_hash.is_some(),
            locked_until_ms: None,
            created_at_ms: UnixMillis(row.created_at),
        }
    }
}

async fn insert_link(
    write: &mut Write,
    user: user::Model,
    purpose: LinkPurpose,
    life: Duration,
) -> Result<MintedLink, StoreError> {
    let token = Token::generate();
    let expires_at = write.now.plus(life);
    let row = link::ActiveModel {
        user_id: Set(user.id),
        purpose: Set(purpose),
        token_hash: Set(token.hash()),
        created_at: Set(write.now.0),
        expires_at: Set(expires_at.0),
        ..Default::default()
    };
    link::Entity::insert(row).exec_without_returning(&write.tx).await?;
    write.audit("link.mint", format!("user:{}", user.id), json!({ "purpose": purpose })).await?;
    Ok(MintedLink { user: user.into(), purpose, token, expires_at })
}

async fn find_link(
    db: &impl sea_orm::ConnectionTrait,
    token: &Token,
    purpose: LinkPurpose,
    now: UnixMillis,
) -> Result<link::Model, AccountError> {
    let link = link::Entity::find().filter(link::Column::TokenHash.eq(token.hash())).one(db).await?;
    let good = |link: &link::Model| link.purpose == purpose && link.used_at.is_none() && link.expires_at > now.0;
    link.filter(good).ok_or(AccountError::LinkNotValid)
}

async fn use_link(write: &Write, link: link::Model) -> Result<user::Model, AccountError> {
    let user = user::Entity::find_by_id(link.user_id).one(&write.tx).await?.ok_or(AccountError::NoUser)?;
    let mut row = link.into_active_model();
    row.used_at = Set(Some(write.now.0));
    row.update(&write.tx).await?;
    Ok(user)
}

/// What failures of an account are counted under. Names that nobody has are counted too, or the answer would tell which
/// exist.
pub(super) fn account_bucket(name: &str) -> String {
    format!("{ACCOUNT_BUCKETS}{}", short_hash(name))
}

/// How the names of the buckets of accounts begin.
pub(super) const ACCOUNT_BUCKETS: &str = "sign-in/name/";

/// What failures from one place are counted under.
pub(super) fn source_bucket(visitor: &Visitor) -> String {
    format!("sign-in/source/{}", short_hash(&visitor.source))
}

/// Failures of one source address that cost nothing: an office behind one address mistypes together, and one person's ten
/// wrong passwords are not to keep the colleagues out.
pub(super) const SOURCE_FREE_FAILURES: i64 = 30;

/// Sixteen hexadecimal digits that stand for a text which should not be written down.
pub(super) fn short_hash(text: &str) -> String {
    data_encoding::HEXLOWER.encode(&crate::secret::sha256(text.as_bytes())[..8])
}

/// OWASP's Password Storage Cheat Sheet (2025): argon2id with 19 MiB, two passes, one lane.
static ARGON2: LazyLock<Argon2<'static>> = LazyLock::new(|| {
    let params = Params::new(19 * 1024, 2, 1, None).expect("argon2 takes 19 MiB, two passes and one lane");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
});

/// A hash that no password has been checked against successfully: its password is 256 random bits.
static NOBODYS_HASH: LazyLock<String> = LazyLock::new(|| {
    let password: [u8; 32] = rand::random();
    ARGON2.hash_password(&password).map(|hash| hash.to_string()).unwrap_or_default()
});

/// Long enough to send the link to a colleague and for them to come to work.
const SET_UP_LIFE: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// Long enough to click the link that was printed.
const SIGN_IN_LIFE: Duration = Duration::from_secs(15 * 60);
