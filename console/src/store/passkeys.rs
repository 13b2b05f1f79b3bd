//! Passkeys: keys of a user's own devices, each guarded by a PIN, a finger or a face, so that one is two factors by itself.
//!
//! They stay good while an account takes no password: nobody can guess a signature.

use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use webauthn_rs::prelude::{
    CredentialID, DiscoverableAuthentication, Passkey, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Uuid, WebauthnError,
};

use super::accounts::source_bucket;
use super::entity::{passkey, user};
use super::second_factor::verify_sign_in;
use super::sign_ins::insert_sign_in;
use super::throttle::{self, Consequence};
use super::write::Write;
use super::{Actor, Line, PasskeyId, PasskeyView, SignInBy, SignInError, SignedIn, Store, StoreError, UserId, Visitor};
use crate::clock::UnixMillis;
use crate::passkey::RelyingParty;
use crate::secret::Token;

/// Why a passkey was not registered or removed.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// The user has as many as one may have.
    #[error("there are {PASSKEYS_MAX} passkeys already: remove one first")]
    TooMany,
    /// Somebody has registered it.
    #[error("this passkey is registered already")]
    Known,
    /// What the browser sent is not the answer to the challenge.
    #[error("the passkey was not accepted: begin again")]
    Refused,
    /// The user has no such passkey.
    #[error("there is no such passkey")]
    Missing,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for PasskeyError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// A ceremony that a browser is to go through.
#[derive(Debug)]
pub struct Ceremony {
    /// To be sent back with the browser's answer, within five minutes.
    pub challenge: String,
    /// What the browser is given, as WebAuthn's JSON.
    pub options: Value,
}

#[derive(Serialize, Deserialize)]
struct Registering {
    user: i64,
    state: PasskeyRegistration,
}

impl Store {
    /// Begins to register a passkey for a user.
    pub async fn begin_passkey(&self, party: &RelyingParty, of: UserId) -> Result<Ceremony, PasskeyError> {
        let user = user::Entity::find_by_id(of.0).one(self.reader()).await?.ok_or(PasskeyError::Missing)?;
        let known = passkey::Entity::find().filter(passkey::Column::UserId.eq(of.0)).all(self.reader()).await?;
        if known.len() as u64 >= PASSKEYS_MAX {
            return Err(PasskeyError::TooMany);
        }
        let known = known.into_iter().map(|row| CredentialID::from(row.credential_id)).collect();
        let begun = party.0.start_passkey_registration(self.handle(of.0), &user.name, &user.name, Some(known));
        let (options, state) = begun.map_err(|error| refused(&error))?;
        let mut options = serde_json::to_value(options).map_err(|error| DbErr::Json(error.to_string()))?;
        // Found by the browser itself at a sign-in, so that no name has to be asked for, and none can be tried out.
        options["publicKey"]["authenticatorSelection"]["residentKey"] = json!("required");
        options["publicKey"]["authenticatorSelection"]["requireResidentKey"] = json!(true);
        let challenge = self.seal_challenge(REGISTER, Registering { user: of.0, state })?;
        Ok(Ceremony { challenge, options })
    }

    /// Registers the passkey that a browser has made.
    pub async fn add_passkey(
        &self,
        party: &RelyingParty,
        of: UserId,
        name: &Line,
        challenge: &str,
        answer: &RegisterPublicKeyCredential,
    ) -> Result<PasskeyView, PasskeyError> {
        let begun: Option<Registering> = self.open_challenge(REGISTER, challenge);
        let begun = begun.filter(|begun| begun.user == of.0).ok_or(PasskeyError::Refused)?;
        let made = party.0.finish_passkey_registration(answer, &begun.state).map_err(|error| refused(&error))?;
        let mut write = self.write(&Actor::User(of)).await?;
        if !write.spend(challenge).await? {
            return Err(PasskeyError::Refused);
        }
        let owned = passkey::Entity::find().filter(passkey::Column::UserId.eq(of.0)).count(&write.tx).await?;
        if owned >= PASSKEYS_MAX {
            return Err(PasskeyError::TooMany);
        }
        let id = made.cred_id().to_vec();
        let known = passkey::Entity::find().filter(passkey::Column::CredentialId.eq(id.clone()));
        if known.one(&write.tx).await?.is_some() {
            return Err(PasskeyError::Known);
        }
        let row = passkey::ActiveModel {
            user_id: Set(of.0),
            name: Set(name.as_str().to_owned()),
            credential_id: Set(id),
            credential: Set(to_json(&made)?),
            created_at: Set(write.now.0),
            ..Default::default()
        };
        let row = row.insert(&write.tx).await?;
        write.audit("passkey.add", format!("user:{of}"), json!({ "passkey": row.id })).await?;
        write.commit().await?;
        Ok(row.into())
    }

    /// The passkeys of a user, oldest first.
    pub async fn list_passkeys(&self, of: UserId) -> Result<Vec<PasskeyView>, StoreError> {
        let rows = passkey::Entity::find().filter(passkey::Column::UserId.eq(of.0));
        let rows = rows.order_by_asc(passkey::Column::Id).all(self.reader()).await?;
        Ok(rows.into_iter().map(PasskeyView::from).collect())
    }

    /// Takes a passkey off its user's account.
    pub async fn remove_passkey(&self, of: UserId, id: PasskeyId) -> Result<(), PasskeyError> {
        let mut write = self.write(&Actor::User(of)).await?;
        let gone = passkey::Entity::delete_by_id(id.0).filter(passkey::Column::UserId.eq(of.0));
        if gone.exec(&write.tx).await?.rows_affected == 0 {
            return Err(PasskeyError::Missing);
        }
        write.audit("passkey.remove", format!("user:{of}"), json!({ "passkey": id })).await?;
        Ok(write.commit().await?)
    }

    /// Begins a sign-in, or a fresh proof, by whichever passkey the browser finds.
    pub fn begin_passkey_sign_in(&self, party: &RelyingParty) -> Result<Ceremony, PasskeyError> {
        let (options, state) = party.0.start_discoverable_authentication().map_err(|error| refused(&error))?;
        let options = serde_json::to_value(options).map_err(|error| DbErr::Json(error.to_string()))?;
        Ok(Ceremony { challenge: self.seal_challenge(SIGN_IN, state)?, options })
    }

    /// Signs in by a passkey, also while the account takes no password.
    pub async fn sign_in_by_passkey(
        &self,
        party: &RelyingParty,
        challenge: &str,
        answer: &PublicKeyCredential,
        visitor: &Visitor,
    ) -> Result<(Token, SignedIn), SignInError> {
        let mut write = self.write(&Actor::System).await?;
        match self.prove_passkey(&write, party, challenge, answer, visitor).await {
            Ok(user) => {
                let signed_in = insert_sign_in(&mut write, user, SignInBy::Passkey, visitor).await?;
                write.commit().await?;
                Ok(signed_in)
            }
            Err(refused) => refuse(write, refused, visitor).await,
        }
    }

    /// Takes a passkey as the fresh proof of who sits at a sign-in.
    pub async fn step_up_by_passkey(
        &self,
        party: &RelyingParty,
        signed_in: &SignedIn,
        challenge: &str,
        answer: &PublicKeyCredential,
        visitor: &Visitor,
    ) -> Result<UnixMillis, SignInError> {
        let mut write = self.write(&Actor::User(signed_in.user.id)).await?;
        let proved = self.prove_passkey(&write, party, challenge, answer, visitor).await;
        let is_own =
            |user: user::Model| if user.id == signed_in.user.id.0 { Ok(()) } else { Err(SignInError::UnknownPasskey) };
        if let Err(refused) = proved.and_then(is_own) {
            return refuse(write, refused, visitor).await;
        }
        verify_sign_in(&mut write, signed_in, "passkey").await?;
        let now = write.now;
        write.commit().await?;
        Ok(now)
    }

    /// The user whose passkey has answered the challenge. Counter and challenge are used up within the caller's change.
    async fn prove_passkey(
        &self,
        write: &Write,
        party: &RelyingParty,
        challenge: &str,
        answer: &PublicKeyCredential,
        visitor: &Visitor,
    ) -> Result<user::Model, SignInError> {
        if let Some(retry_after) = throttle::wait(&write.tx, &source_bucket(visitor), write.now).await? {
            return Err(SignInError::SlowDown { retry_after });
        }
        let state: DiscoverableAuthentication =
            self.open_challenge(SIGN_IN, challenge).ok_or(SignInError::ChallengeNotValid)?;
        let (handle, id) =
            party.0.identify_discoverable_authentication(answer).map_err(|_| SignInError::UnknownPasskey)?;
        let row = passkey::Entity::find().filter(passkey::Column::CredentialId.eq(id)).one(&write.tx).await?;
        let row = row.filter(|row| self.handle(row.user_id) == handle).ok_or(SignInError::UnknownPasskey)?;
        let unreadable = |_| StoreError::Unreadable(format!("passkey {}", row.id));
        let mut known: Passkey = serde_json::from_str(&row.credential).map_err(unreadable)?;
        let checked = party.0.finish_discoverable_authentication_v2(answer, state, &known);
        let checked = checked.map_err(|error| match error {
            WebauthnError::CredentialPossibleCompromise => SignInError::ClonedPasskey,
            error => {
                tracing::debug!(%error, "a passkey was refused");
                SignInError::UnknownPasskey
            }
        })?;
        if !write.spend(challenge).await? {
            return Err(SignInError::ChallengeNotValid);
        }
        known.update_credential(&checked);
        let user = user::Entity::find_by_id(row.user_id).one(&write.tx).await?.ok_or(SignInError::UnknownPasskey)?;
        let mut row = row.into_active_model();
        row.credential = Set(to_json(&known)?);
        row.last_used_at = Set(Some(write.now.0));
        row.update(&write.tx).await?;
        Ok(user)
    }

    /// What an authenticator knows a user by. Not the id itself, which would tell how many users there are.
    fn handle(&self, of: i64) -> Uuid {
        let mac = self.inner.key.mac("user-handle", of.to_string().as_bytes());
        Uuid::from_slice(&mac[..16]).expect("an HMAC-SHA256 is 32 bytes long")
    }
}

/// Writes down that a passkey was refused, and counts it against the place it came from.
async fn refuse<T>(mut write: Write, refused: SignInError, visitor: &Visitor) -> Result<T, SignInError> {
    if matches!(refused, SignInError::UnknownPasskey | SignInError::ClonedPasskey) {
        let cloned = matches!(refused, SignInError::ClonedPasskey);
        write
            .count_failure(&source_bucket(visitor), Consequence::DelayAfter(super::accounts::SOURCE_FREE_FAILURES))
            .await?;
        write.audit("passkey.refuse", "desk", json!({ "possibly_cloned": cloned })).await?;
        write.commit().await?;
    }
    Err(refused)
}

fn refused(error: &WebauthnError) -> PasskeyError {
    tracing::debug!(%error, "a passkey was refused");
    PasskeyError::Refused
}

fn to_json(passkey: &Passkey) -> Result<String, DbErr> {
    serde_json::to_string(passkey).map_err(|error| DbErr::Json(error.to_string()))
}

impl From<passkey::Model> for PasskeyView {
    fn from(row: passkey::Model) -> Self {
        Self {
            id: PasskeyId(row.id),
            name: row.name,
            created_at_ms: UnixMillis(row.created_at),
            last_used_at_ms: row.last_used_at.map(UnixMillis),
        }
    }
}

const REGISTER: &str = "passkey-register";
const SIGN_IN: &str = "passkey-sign-in";

/// More devices than anybody signs in from.
const PASSKEYS_MAX: u64 = 20;
