//! Errors as RFC 9457 problem details: English text for people, a stable `code` for programs, the field that is wrong.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::life::Refused;
use crate::passkey::NoName;
use crate::password::PasswordFault;
use crate::store::{
    AccountError, ApiTokenError, AttachError, AuditError, ChangeError, ChangePasswordError, ChecklistError,
    ContactError, FactorError, GroupError, ImportError, MacroError, MergeError, MintError, OnceError,
    OrganizationError, OverviewError, PasskeyError, RevokeError, SignInError, StoreError, ThreadError, TimeError,
    VerifyError,
};
use crate::ticket::TicketState;

/// The body of every answer that is not a success (`application/problem+json`).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the code says what is wrong.
    #[serde(rename = "type")]
    kind: Kind,
    /// What went wrong, in a few words that depend on the status alone.
    title: &'static str,
    /// The HTTP status again.
    status: u16,
    /// Stable name of the problem, for programs and for translations.
    pub(crate) code: &'static str,
    /// One English sentence about this case.
    detail: Box<str>,
    /// The field, header or parameter that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<Box<str>>,
    /// The states the ticket may move to.
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<&'static [TicketState]>,
    /// The version the ticket is at.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_version: Option<i64>,
    /// What the second factor is to be sent with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    challenge: Option<Box<Challenge>>,
    /// After how many seconds to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u32>,
}

/// In a box of its own: every handler's result has room for a problem, and few problems have one.
#[derive(Clone, Debug, Serialize)]
struct Challenge(String);

/// RFC 9457's type of problems that are told apart by their status and code alone.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
enum Kind {
    #[serde(rename = "about:blank")]
    AboutBlank,
}

impl Problem {
    /// A problem with a stable code and a sentence.
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: Kind::AboutBlank,
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code,
            detail: detail.into().into(),
            field: None,
            allowed: None,
            current_version: None,
            challenge: None,
            retry_after_s: None,
        }
    }

    /// A value in the request that cannot be used.
    pub(crate) fn field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            field: Some(field.into().into()),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", detail)
        }
    }

    /// Something that the request must say in this case.
    fn missing(field: &'static str, code: &'static str, detail: String) -> Self {
        Self { code, ..Self::field(field, detail) }
    }

    /// Something else has the name already.
    fn name_taken(detail: String) -> Self {
        Self { field: Some("name".into()), ..Self::new(StatusCode::CONFLICT, "name_taken", detail) }
    }

    /// The thing is not there, or the caller may not know that it is.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here.")
    }

    fn second_factor(challenge: String, detail: String) -> Self {
        Self {
            challenge: Some(Box::new(Challenge(challenge))),
            ..Self::new(StatusCode::UNAUTHORIZED, "second_factor_required", detail)
        }
    }

    fn slow_down(code: &'static str, detail: String, retry_after: Duration) -> Self {
        // Rounded up: who waits as long as told must not be early.
        let seconds = retry_after.as_millis().div_ceil(1_000).max(1);
        Self {
            retry_after_s: Some(u32::try_from(seconds).unwrap_or(u32::MAX)),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, code, detail)
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        // What the database said stays in the log: it may hold personal data and table names.
        tracing::error!(error = format!("{:#}", anyhow::Error::new(error)), "the store failed");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "store_failed",
            "The console could not read or save its records. Nothing was changed; please try again.",
        )
    }
}

impl From<OnceError> for Problem {
    fn from(error: OnceError) -> Self {
        Self {
            field: Some("Idempotency-Key".into()),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", sentence(error))
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        let detail = sentence(&error);
        match error {
            ChangeError::NoTicket => Self::not_found(),
            ChangeError::Stale { current } => Self {
                current_version: Some(current),
                ..Self::new(StatusCode::PRECONDITION_FAILED, "stale_version", detail)
            },
            ChangeError::Refused(refused) => refused.into(),
            ChangeError::NeedsResolution => Self::missing("resolution", "resolution_required", detail),
            ChangeError::NeedsReason => Self::missing("reason", "reason_required", detail),
            ChangeError::NoSuchGroup => Self::field("group", detail),
            ChangeError::BadTags => Self::field("tags", detail),
            ChangeError::NoSuchOwner => Self::field("owner", detail),
            ChangeError::Store(error) => error.into(),
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let detail = sentence(&refused);
        let conflict = |code| Self::new(StatusCode::CONFLICT, code, detail.clone());
        match refused {
            Refused::NoSuchMove { from, .. } => {
                Self { allowed: Some(from.next()), field: Some("state".into()), ..conflict("illegal_move") }
            }
            Refused::NoDate => Self::field("pending_until_ms", detail),
            Refused::NothingToVerify(_) => conflict("nothing_to_verify"),
            Refused::WrongClosing(_) => Self { field: Some("closing".into()), ..conflict("wrong_closing") },
            Refused::NotVerified => conflict("not_verified"),
            Refused::TooLate => conflict("reopen_window_over"),
        }
    }
}

impl From<VerifyError> for Problem {
    fn from(error: VerifyError) -> Self {
        let detail = sentence(&error);
        match error {
            VerifyError::NoTicket => Self::not_found(),
            VerifyError::Refused(refused) => refused.into(),
            VerifyError::NoReport => Self::field("report", detail),
            VerifyError::TooOld => Self::missing("report", "report_too_old", detail),
            VerifyError::NothingFailed => Self::new(StatusCode::CONFLICT, "nothing_failed_before", detail),
            VerifyError::StillFailing { .. } => Self::new(StatusCode::CONFLICT, "still_failing", detail),
            VerifyError::Store(error) => error.into(),
        }
    }
}

impl From<MergeError> for Problem {
    fn from(error: MergeError) -> Self {
        let detail = sentence(&error);
        match error {
            MergeError::NoTicket => Self::not_found(),
            MergeError::NoTarget => Self::field("into", detail),
            MergeError::Refused(refused) => refused.into(),
            MergeError::SessionOpen => Self::new(StatusCode::CONFLICT, "session_open", detail),
            MergeError::Store(error) => error.into(),
        }
    }
}

impl From<ThreadError> for Problem {
    fn from(error: ThreadError) -> Self {
        let detail = sentence(&error);
        match error {
            ThreadError::NoTicket | ThreadError::NoLink => Self::not_found(),
            ThreadError::Merged => Self::new(StatusCode::CONFLICT, "ticket_merged", detail),
            ThreadError::NoOther => Self::field("to", detail),
            ThreadError::TooManyLinks => Self::new(StatusCode::CONFLICT, "too_many", detail),
            ThreadError::Once(error) => error.into(),
            ThreadError::Store(error) => error.into(),
        }
    }
}

impl From<AttachError> for Problem {
    fn from(error: AttachError) -> Self {
        let detail = sentence(&error);
        match error {
            AttachError::NoTicket => Self::not_found(),
            AttachError::Merged => Self::new(StatusCode::CONFLICT, "ticket_merged", detail),
            AttachError::TooMany => Self::new(StatusCode::CONFLICT, "too_many", detail),
            AttachError::Store(error) => error.into(),
        }
    }
}

impl From<GroupError> for Problem {
    fn from(error: GroupError) -> Self {
        let detail = sentence(&error);
        match error {
            GroupError::NoGroup => Self::field("group", detail),
            GroupError::NameTaken => Self::name_taken(detail),
            GroupError::NoMember(_) => Self::field("members", detail),
            GroupError::TooMany => Self::new(StatusCode::CONFLICT, "too_many", detail),
            GroupError::Store(error) => error.into(),
        }
    }
}

impl From<ChecklistError> for Problem {
    fn from(error: ChecklistError) -> Self {
        let detail = sentence(&error);
        match error {
            ChecklistError::NoTicket | ChecklistError::NotThere => Self::not_found(),
            ChecklistError::Merged => Self::new(StatusCode::CONFLICT, "ticket_merged", detail),
            ChecklistError::NameTaken => Self::name_taken(detail),
            ChecklistError::TooMany => Self::new(StatusCode::CONFLICT, "too_many", detail),
            ChecklistError::Store(error) => error.into(),
        }
    }
}

impl From<OrganizationError> for Problem {
    fn from(error: OrganizationError) -> Self {
        let detail = sentence(&error);
        match error {
            OrganizationError::NotThere => Self::not_found(),
            OrganizationError::NoParent | OrganizationError::Circle | OrganizationError::TooDeep => {
                Self::field("parent", detail)
            }
            OrganizationError::NameTaken => Self::name_taken(detail),
            OrganizationError::TooMany => Self::new(StatusCode::CONFLICT, "too_many", detail),
            OrganizationError::Store(error) => error.into(),
        }
    }
}

impl From<ContactError> for Problem {
    fn from(error: ContactError) -> Self {
        let detail = sentence(&error);
        match error {
            ContactError::NotThere => Self::not_found(),
            ContactError::NameTaken => Self::name_taken(detail),
            ContactError::Same | ContactError::AnotherCompany => Self::field("into", detail),
            ContactError::Merged => Self::new(StatusCode::CONFLICT, "contact_merged", detail),
            ContactError::NotMerged => Self::new(StatusCode::CONFLICT, "contact_not_merged", detail),
            ContactError::Store(error) => error.into(),
        }
    }
}

impl From<MacroError> for Problem {
    fn from(error: MacroError) -> Self {
        let detail = sentence(&error);
        match error {
            MacroError::NotThere => Self::not_found(),
            MacroError::NameTaken => Self::name_taken(detail),
            MacroError::TooMany => Self::new(StatusCode::CONFLICT, "too_many", detail),
            MacroError::BadStep(step) => Self::field("steps", step),
            MacroError::Change(error) => error.into(),
            MacroError::Checklist(error) => error.into(),
            MacroError::Store(error) => error.into(),
        }
    }
}

impl From<TimeError> for Problem {
    fn from(error: TimeError) -> Self {
        let detail = sentence(&error);
        match error {
            TimeError::NoTicket | TimeError::NotThere => Self::not_found(),
            TimeError::NoSuchUser => Self::field("user", detail),
            TimeError::BadLength => Self::field("minutes", detail),
            TimeError::InTheFuture => Self::field("started_at_ms", detail),
            TimeError::TooMany => Self::new(StatusCode::CONFLICT, "too_many", detail),
            TimeError::Store(error) => error.into(),
        }
    }
}

impl From<OverviewError> for Problem {
    fn from(error: OverviewError) -> Self {
        let detail = sentence(&error);
        match error {
            OverviewError::NotThere => Self::not_found(),
            OverviewError::TooMany => Self::new(StatusCode::CONFLICT, "too_many", detail),
            OverviewError::Store(error) => error.into(),
        }
    }
}

impl From<MintError> for Problem {
    fn from(error: MintError) -> Self {
        let detail = sentence(&error);
        match error {
            MintError::NoTicket => Self::not_found(),
            MintError::TakesNoSessions(_) => Self::new(StatusCode::CONFLICT, "ticket_takes_no_sessions", detail),
            MintError::Once(error) => error.into(),
            MintError::Store(error) => error.into(),
        }
    }
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        let detail = sentence(&error);
        match error {
            ImportError::NoTicket => Self::not_found(),
            ImportError::Revoked => Self::new(StatusCode::CONFLICT, "device_revoked", detail),
            ImportError::Store(error) => error.into(),
        }
    }
}

impl From<RevokeError> for Problem {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::NoDevice => Self::not_found(),
            RevokeError::Once(error) => error.into(),
            RevokeError::Store(error) => error.into(),
        }
    }
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        let detail = sentence(&error);
        match error {
            AccountError::NameTaken => Self::name_taken(detail),
            AccountError::BadName => Self { code: "bad_name", ..Self::field("name", detail) },
            AccountError::NoUser | AccountError::NoSignIn => Self::not_found(),
            AccountError::LastAdmin => Self::new(StatusCode::CONFLICT, "last_admin", detail),
            AccountError::SecondFactor { challenge } => Self::second_factor(challenge, detail),
            AccountError::PasskeyAsked => Self::new(StatusCode::UNAUTHORIZED, "passkey_required", detail),
            AccountError::LinkNotValid => Self::new(StatusCode::UNAUTHORIZED, "link_not_valid", detail),
            AccountError::BadPassword(PasswordFault::Length) => Self::field("password", detail),
            AccountError::BadPassword(PasswordFault::Guessed) => {
                Self { code: "password_guessed", ..Self::field("password", detail) }
            }
            AccountError::Store(error) => error.into(),
        }
    }
}

impl From<SignInError> for Problem {
    fn from(error: SignInError) -> Self {
        let detail = sentence(&error);
        match error {
            SignInError::Wrong => Self::new(StatusCode::UNAUTHORIZED, "wrong_name_or_password", detail),
            SignInError::SlowDown { retry_after } => Self::slow_down("slow_down", detail, retry_after),
            SignInError::Locked { retry_after } => Self::slow_down("account_locked", detail, retry_after),
            SignInError::CodesLocked { retry_after } => Self::slow_down("codes_locked", detail, retry_after),
            SignInError::SecondFactor { challenge } => Self::second_factor(challenge, detail),
            SignInError::CodeAsked => Self { code: "code_asked", ..Self::field("code", detail) },
            SignInError::PasskeyAsked => Self::new(StatusCode::UNAUTHORIZED, "passkey_required", detail),
            SignInError::WrongCode => Self::new(StatusCode::UNAUTHORIZED, "wrong_code", detail),
            SignInError::ChallengeNotValid => Self::new(StatusCode::UNAUTHORIZED, "challenge_not_valid", detail),
            SignInError::UnknownPasskey => Self::new(StatusCode::UNAUTHORIZED, "unknown_passkey", detail),
            SignInError::ClonedPasskey => Self::new(StatusCode::UNAUTHORIZED, "cloned_passkey", detail),
            SignInError::Store(error) => error.into(),
        }
    }
}

impl From<ChangePasswordError> for Problem {
    fn from(error: ChangePasswordError) -> Self {
        match error {
            ChangePasswordError::Old(SignInError::Wrong) => {
                Self::new(StatusCode::UNAUTHORIZED, "wrong_password", "The old password is wrong.")
            }
            ChangePasswordError::Old(error) => error.into(),
            ChangePasswordError::New(error) => error.into(),
        }
    }
}

impl From<FactorError> for Problem {
    fn from(error: FactorError) -> Self {
        let detail = sentence(&error);
        match error {
            FactorError::Exists => Self::new(StatusCode::CONFLICT, "second_factor_exists", detail),
            FactorError::Missing => Self::not_found(),
            FactorError::WrongCode => Self { code: "wrong_code", ..Self::field("code", detail) },
            FactorError::Store(error) => error.into(),
        }
    }
}

impl From<NoName> for Problem {
    fn from(error: NoName) -> Self {
        Self::new(StatusCode::CONFLICT, "passkeys_need_a_name", sentence(error))
    }
}

impl From<PasskeyError> for Problem {
    fn from(error: PasskeyError) -> Self {
        let detail = sentence(&error);
        match error {
            PasskeyError::TooMany => Self::new(StatusCode::CONFLICT, "limit_reached", detail),
            PasskeyError::Known => Self::new(StatusCode::CONFLICT, "passkey_known", detail),
            PasskeyError::Refused => Self { code: "passkey_refused", ..Self::field("credential", detail) },
            PasskeyError::Missing => Self::not_found(),
            PasskeyError::Store(error) => error.into(),
        }
    }
}

impl From<ApiTokenError> for Problem {
    fn from(error: ApiTokenError) -> Self {
        let detail = sentence(&error);
        match error {
            ApiTokenError::NotAllowed(_) | ApiTokenError::NoAction => Self::field("actions", detail),
            ApiTokenError::BadLife => Self::field("days", detail),
            ApiTokenError::TooMany => Self::new(StatusCode::CONFLICT, "limit_reached", detail),
            ApiTokenError::Missing => Self::not_found(),
            ApiTokenError::Store(error) => error.into(),
        }
    }
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Broken(broken) => Self::new(StatusCode::CONFLICT, "audit_broken", sentence(broken)),
            AuditError::Store(error) => error.into(),
        }
    }
}

/// An error's text with a capital letter and a full stop.
fn sentence(error: impl std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map(|first| format!("{}{}.", first.to_uppercase(), letters.as_str())).unwrap_or_default()
}
