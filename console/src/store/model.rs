//! What the store takes and gives: plain values without database types.

use std::collections::BTreeMap;

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use belay_protocol::consent::Capability;
use belay_protocol::invite::{Code, InviteSecret};
use belay_protocol::lang::Phrase;
use belay_protocol::signed_pack::{PackId, PackProof};
use belay_protocol::{DeviceKey, Text};

use crate::clock::UnixMillis;
use crate::life::Closing;
use crate::number::TicketNumber;
use crate::policy::{Action, Role};
use crate::ticket::{Channel, Level, Priority, Spoken, TicketState, stored_enum};

macro_rules! row_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

row_id!(
    /// A session.
    SessionId
);
row_id!(
    /// A report as stored; the sender's own id of it is another.
    StoredReportId
);
row_id!(
    /// A user of the desk.
    UserId
);
row_id!(
    /// A sign-in of a user.
    SignInId
);
row_id!(
    /// A passkey of a user.
    PasskeyId
);
row_id!(
    /// A token of a program.
    ApiTokenId
);
row_id!(
    /// A known device.
    DeviceId
);
row_id!(
    /// An event; later events have larger ids, across all tickets.
    EventId
);

row_id!(
    /// A group that tickets belong to.
    GroupId
);
row_id!(
    /// An assignment rule.
    RuleId
);
row_id!(
    /// An article of a ticket's thread.
    ArticleId
);
row_id!(
    /// A file on a ticket.
    AttachmentId
);
row_id!(
    /// A link between two tickets.
    LinkId
);
row_id!(
    /// A customer company.
    OrganizationId
);
row_id!(
    /// Somebody of a customer company.
    ContactId
);
row_id!(
    /// A product of a customer company.
    ProductId
);
row_id!(
    /// A checklist that the desk keeps.
    ChecklistId
);
row_id!(
    /// Something to be done on a ticket.
    ChecklistItemId
);
row_id!(
    /// A macro.
    MacroId
);
row_id!(
    /// Time spent on a ticket.
    TimeEntryId
);
row_id!(
    /// A filter of the queue.
    OverviewId
);

/// Who does something, as the audit and the event log name them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Actor {
    /// A signed-in user.
    User(UserId),
    /// A program with a token, and whose token it is.
    Program(ApiTokenId, UserId),
    /// A device in a session or knocking for one.
    Device(DeviceKey),
    /// The customer of a ticket, on its status page.
    Customer,
    /// Somebody with the console's own account on its machine, through the command line.
    Local,
    /// The console itself.
    System,
}

impl Actor {
    /// The user who acts, also through a program.
    pub const fn user(&self) -> Option<UserId> {
        match self {
            Self::User(id) | Self::Program(_, id) => Some(*id),
            Self::Device(_) | Self::Customer | Self::Local | Self::System => None,
        }
    }
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Program(token, user) => write!(f, "token:{token} of user:{user}"),
            Self::Device(key) => write!(f, "device:{key}"),
            Self::Customer => f.write_str("customer"),
            Self::Local => f.write_str("local"),
            Self::System => f.write_str("system"),
        }
    }
}

/// Bytes of a ticket's description.
pub const DESCRIPTION_MAX_BYTES: usize = 64 * 1024;

/// A title, a name: one line of at most 256 bytes.
pub type Line = belay_protocol::bounded::Name;

/// A ticket to be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTicket {
    /// One line that says what is wrong.
    pub title: Line,
    /// The customer company; it is created when the desk does not know it.
    pub customer: Line,
    /// The person who asked, created with the company when unknown.
    pub contact: Option<Line>,
    /// What is known so far.
    pub description: Text<DESCRIPTION_MAX_BYTES>,
    /// How it arrived.
    pub channel: Channel,
    /// How much is affected.
    pub impact: Level,
    /// How soon it hurts.
    pub urgency: Level,
    /// What else was said at once.
    pub about: About,
}

/// What helps to judge a trouble, as far as somebody has said it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct About {
    /// Who or what is affected.
    pub scope: Option<Line>,
    /// When the trouble was first seen.
    pub first_seen_at: Option<UnixMillis>,
    /// What it is about: a program, a machine.
    pub product: Option<Line>,
    /// Which version of it.
    pub product_version: Option<Line>,
    /// Where the person who asked can be reached: a telephone number, an address of mail.
    pub reach: Option<Line>,
    /// The language in which they are answered.
    pub language: Option<Spoken>,
}

/// Changes to a ticket; what is `None` stays.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TicketChange {
    /// A new title.
    pub title: Option<Line>,
    /// A new description.
    pub description: Option<Text<DESCRIPTION_MAX_BYTES>>,
    /// The right company, when the wrong one or none was known; the contact is then one of this company.
    pub customer: Option<Line>,
    /// The person who asked, or `Some(None)` for nobody.
    pub contact: Option<Option<Line>>,
    /// A move to another state.
    pub state: Option<TicketState>,
    /// When a pending ticket wakes up.
    pub pending_until: Option<UnixMillis>,
    /// What a move to resolved brings along.
    pub resolution: Option<NewResolution>,
    /// Why it is closed; as verified when not said.
    pub closing: Option<Closing>,
    /// A new impact; the priority follows.
    pub impact: Option<Level>,
    /// A new urgency; the priority follows.
    pub urgency: Option<Level>,
    /// A priority against the matrix with the reason for it, or `Some(None)` for the matrix's.
    pub priority: Option<Option<(Priority, Line)>>,
    /// A new group by its name.
    pub group: Option<Line>,
    /// A new owner by sign-in name, or `Some(None)` for nobody: the group then holds the ticket.
    pub owner: Option<Option<Line>>,
    /// Why the ticket goes to another owner or group.
    pub reason: Option<Line>,
    /// What helps to judge the trouble; what is `None` stays.
    pub about: About,
    /// By when the customer was promised to hear something, or `Some(None)` when nothing is promised.
    pub promised_at: Option<Option<UnixMillis>>,
    /// All tags, replacing those before.
    pub tags: Option<Vec<Line>>,
}

/// How a trouble was ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewResolution {
    /// What was wrong.
    pub cause: Text<WORDS_MAX_BYTES>,
    /// What was done.
    pub fix: Text<WORDS_MAX_BYTES>,
    /// What keeps it from coming back.
    pub prevention: Text<WORDS_MAX_BYTES>,
}

/// Bytes of what is said in a few sentences: a cause, a comment.
pub const WORDS_MAX_BYTES: usize = 8 * 1024;

stored_enum! {
    /// Whose word it is that a fix holds.
    VerifiedBy {
        /// A report was made after the fix, and what had failed does not fail in it.
        Report = "report",
        /// A technician was told so by a person.
        Person = "person",
        /// The customer said so on the status page.
        Customer = "customer",
    }
}

/// How it is known that a fix holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verification {
    /// By what a report does not show any more.
    Report(StoredReportId),
    /// By what a person said: who, and in which words.
    Person(Text<WORDS_MAX_BYTES>),
}

/// How a ticket was resolved.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Resolution {
    /// What was wrong.
    pub cause: String,
    /// What was done.
    pub fix: String,
    /// What keeps it from coming back.
    pub prevention: String,
    /// Who resolved it: `user:3`.
    pub resolved_by: String,
    /// When.
    pub resolved_at_ms: UnixMillis,
    /// Missing until somebody looked whether the fix holds.
    pub verified: Option<Verified>,
    /// How content the customer is, from 1 to 5.
    pub score: Option<i64>,
    /// What the customer says to it.
    pub comment: Option<String>,
}

/// That a fix holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Verified {
    /// Whose word it is.
    #[serde(rename = "as")]
    pub by: VerifiedBy,
    /// Who recorded it.
    pub recorded_by: String,
    /// When.
    pub at_ms: UnixMillis,
    /// The report that shows it.
    pub report: Option<StoredReportId>,
    /// What was said.
    pub words: Option<String>,
}

stored_enum! {
    /// Who may read an article.
    Visibility {
        /// The customer, too.
        Public = "public",
        /// The desk alone.
        Internal = "internal",
    }
}

/// Bytes of an article's text.
pub const ARTICLE_MAX_BYTES: usize = 64 * 1024;

/// Something to be said on a ticket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewArticle {
    /// Who may read it.
    pub visibility: Visibility,
    /// Its text: plain, with line breaks.
    pub body: Text<ARTICLE_MAX_BYTES>,
}

/// Something that was said on a ticket.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Article {
    /// Its id.
    pub id: ArticleId,
    /// Who may read it.
    pub visibility: Visibility,
    /// Who said it: `user:3`.
    pub author: String,
    /// Its text: plain, with line breaks.
    pub body: String,
    /// When.
    pub created_at_ms: UnixMillis,
    /// The ticket it was said on, before that one was merged into this.
    #[schema(value_type = Option<String>, example = "BL-10001-4")]
    pub came_from: Option<TicketNumber>,
}

/// Bytes of one file on a ticket.
pub const ATTACHMENT_MAX_BYTES: usize = 10 * 1024 * 1024;

/// A file to be put on a ticket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewAttachment {
    /// Its name, without a path.
    pub name: Line,
    /// Its media type, one of [`MEDIA_TYPES`].
    pub media_type: &'static str,
    /// Who may have it.
    pub visibility: Visibility,
    /// Its content.
    pub bytes: bytes::Bytes,
}

/// Types of files that a ticket takes: pictures, texts and what logs are packed in. None is ever shown by the console
/// itself; a browser saves them.
pub const MEDIA_TYPES: &[&str] = &[
    "application/gzip",
    "application/json",
    "application/octet-stream",
    "application/pdf",
    "application/zip",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "text/csv",
    "text/plain",
];

/// A file on a ticket.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Attachment {
    /// Its id.
    pub id: AttachmentId,
    /// Its name, without a path.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// Who may have it.
    pub visibility: Visibility,
    /// Its size.
    pub size_bytes: i64,
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: String,
    /// Who put it there: `user:3`.
    pub added_by: String,
    /// When.
    pub created_at_ms: UnixMillis,
}

stored_enum! {
    /// What a ticket is to another.
    LinkKind {
        /// The same trouble, told again.
        DuplicateOf = "duplicate_of",
        /// The trouble is back, or something of it remained.
        FollowUpOf = "follow_up_of",
        /// They have to do with each other.
        RelatedTo = "related_to",
    }
}

/// A link between two tickets, as it is read from the first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TicketLink {
    /// Its id.
    pub id: LinkId,
    /// The ticket that is something.
    #[schema(value_type = String, example = "BL-10002-2")]
    pub from: TicketNumber,
    /// What it is.
    pub kind: LinkKind,
    /// To which ticket.
    #[schema(value_type = String, example = "BL-10001-4")]
    pub to: TicketNumber,
    /// The title of the other one.
    pub title: String,
    /// The state of the other one.
    pub state: TicketState,
}

/// A group with the names of its members.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// Its name.
    pub name: String,
    /// Sign-in names, in their order.
    pub members: Vec<String>,
}

/// One problem of one customer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Ticket {
    /// The number people read aloud.
    #[schema(value_type = String, example = "BL-10001-4")]
    pub number: TicketNumber,
    /// One line that says what is wrong; empty while that is not known.
    pub title: String,
    /// What is known so far.
    pub description: String,
    /// The customer company; empty while that is not known.
    pub customer: String,
    /// The customer company's id.
    pub customer_id: OrganizationId,
    /// The person who asked.
    pub contact: Option<String>,
    /// That person's id.
    pub contact_id: Option<ContactId>,
    /// Where it is in its life.
    pub state: TicketState,
    /// The states it may move to from here.
    pub next_states: Vec<TicketState>,
    /// How much is affected.
    pub impact: Level,
    /// How soon it hurts.
    pub urgency: Level,
    /// From impact and urgency, unless somebody had a reason for another.
    pub priority: Priority,
    /// Why the priority is not the matrix's.
    pub priority_reason: Option<String>,
    /// The group that answers for it.
    pub group: String,
    /// The sign-in name of the owner; nobody while the group holds it.
    pub owner: Option<String>,
    /// How it arrived.
    pub channel: Channel,
    /// Who or what is affected.
    pub scope: Option<String>,
    /// When the trouble was first seen.
    pub first_seen_at_ms: Option<UnixMillis>,
    /// What it is about: a program, a machine.
    pub product: Option<String>,
    /// Which version of it.
    pub product_version: Option<String>,
    /// Where the person who asked can be reached, as they said it: a telephone number, an address of mail.
    pub reach: Option<String>,
    /// The language in which they are answered.
    pub language: Option<Spoken>,
    /// When a pending ticket wakes up.
    pub pending_until_ms: Option<UnixMillis>,
    /// By when the customer was promised to hear something.
    pub promised_at_ms: Option<UnixMillis>,
    /// How it was resolved, while that holds.
    pub resolution: Option<Resolution>,
    /// When it was closed.
    pub closed_at_ms: Option<UnixMillis>,
    /// Why it was closed; missing where an older console has closed it.
    pub closed_as: Option<Closing>,
    /// Where it goes on.
    #[schema(value_type = Option<String>, example = "BL-10001-4")]
    pub merged_into: Option<TicketNumber>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Grows with every change; the entity tag of `If-Match`.
    pub version: i64,
    /// When it was opened.
    pub created_at_ms: UnixMillis,
    /// When it was last changed, by a person or by a session.
    pub updated_at_ms: UnixMillis,
}

/// A freshly minted code, shown once: the store keeps only keyed hashes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Minted {
    /// The ticket it is for.
    pub ticket: TicketNumber,
    /// The nine digits.
    pub code: Code,
    /// The 128 bits beside it in a link.
    pub secret: InviteSecret,
    /// When it stops working.
    pub expires_at: UnixMillis,
}

/// What a device gets for a good code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redeemed {
    /// The session, new or the same as before the device came back.
    pub session: SessionId,
    /// Whether the session existed before.
    pub resumed: bool,
    /// The ticket it is for.
    pub ticket: Ticket,
    /// What the desk asks the customer to permit.
    pub requested: Vec<Capability>,
}

stored_enum! {
    /// Where a session is in its life.
    SessionState {
        /// A device is connected.
        Live = "live",
        /// The connection was lost or the console stopped; the device may come back.
        Interrupted = "interrupted",
        /// Over.
        Ended = "ended",
    }
}

stored_enum! {
    /// Why a session ended.
    EndReason {
        /// All was done.
        Done = "done",
        /// The customer ended it or refused.
        Customer = "customer",
        /// The technician ended it.
        Technician = "technician",
        /// A peer broke the protocol.
        Protocol = "protocol",
        /// It was interrupted and nobody came back.
        Lost = "lost",
    }
}

/// The use of a link for one ticket.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The ticket.
    #[schema(value_type = String, example = "BL-10001-4")]
    pub ticket: TicketNumber,
    /// The device.
    pub device: DeviceId,
    /// Where it is in its life.
    pub state: SessionState,
    /// What the desk asked for.
    #[schema(value_type = Vec<String>)]
    pub requested: Vec<String>,
    /// The customer's answers, oldest first.
    pub consents: Vec<Consent>,
    /// The words that the customer sees; the same as here, unless somebody sits in between.
    pub phrase: Option<SpokenPhrase>,
    /// When the code was redeemed.
    pub started_at_ms: UnixMillis,
    /// When it ended.
    pub ended_at_ms: Option<UnixMillis>,
    /// Why it ended.
    pub end_reason: Option<String>,
}

/// Words of a session's connection, for comparing on the phone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SpokenPhrase {
    /// In English.
    pub en: String,
    /// In Simplified Chinese.
    pub zh: String,
}

/// The customer's answer, as the agent reported it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewConsent {
    /// What the customer permitted.
    pub granted: Vec<Capability>,
    /// What was asked for and not permitted.
    pub refused: Vec<Capability>,
    /// When the permission ends, by the device's clock.
    pub grant_ends_at: Option<UnixMillis>,
    /// SHA-256 of the bytes that the consent sheet was rendered from.
    pub shown_sha256: Option<[u8; 32]>,
}

/// A recorded answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Consent {
    /// Names of what was permitted.
    pub granted: Vec<String>,
    /// Names of what was refused.
    pub refused: Vec<String>,
    /// When the permission ends.
    pub grant_ends_at_ms: Option<UnixMillis>,
    /// SHA-256 of what the customer was shown, in hexadecimal.
    pub shown_sha256: Option<String>,
    /// When the answer arrived.
    pub recorded_at_ms: UnixMillis,
}

stored_enum! {
    /// How bad a finding is. `unknown` means that it could not be looked at, never that it is fine.
    Severity {
        /// Looked at and fine.
        Ok = "ok",
        /// Worth knowing.
        Info = "info",
        /// Will hurt.
        Warn = "warn",
        /// Hurts now.
        Crit = "crit",
        /// Could not look.
        Unknown = "unknown",
    }
}

stored_enum! {
    /// How sure a rule can be of a finding.
    Confidence {
        /// The machine itself says so.
        High = "high",
        /// A threshold that is right for most machines.
        Medium = "medium",
        /// A sign that often has a harmless reason.
        Low = "low",
    }
}

/// A judgement on facts, to be stored with its report.
#[derive(Clone, PartialEq, Debug)]
pub struct NewFinding {
    /// The rule that made it.
    pub rule_id: String,
    /// What it is about: a mount, an interface.
    pub subject: String,
    /// How bad it is.
    pub severity: Severity,
    /// How sure the rule can be.
    pub confidence: Confidence,
    /// The judgement in English.
    pub title_en: String,
    /// The judgement in Chinese.
    pub title_zh: String,
    /// What to do, in English.
    pub remedy_en: String,
    /// What to do, in Chinese.
    pub remedy_zh: String,
    /// A JSON array of `{name, label, value, unit, threshold, source}`.
    pub evidence: Value,
    /// Names of fixes that a technician may ask for.
    pub fixes: Vec<String>,
    /// A link, or the name of a section of the rules' documentation; empty when there is none.
    pub docs: String,
    /// The same for the same trouble on the same device, whenever it is looked at.
    pub fingerprint: String,
}

/// A rule pack to be published. The caller has checked it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewPack {
    /// Which one.
    pub pack: PackId,
    /// Its file.
    pub text: String,
    /// The organization's word for it.
    pub proof: PackProof,
}

/// A rule pack that was published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublishedPack {
    /// Which one.
    pub pack: PackId,
    /// Its file.
    pub text: String,
    /// The organization's word for it.
    pub proof: PackProof,
    /// Who published it.
    pub by: String,
    /// When.
    pub at_ms: UnixMillis,
}

/// What a report's bytes come down to for the desk.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct NewContents {
    /// The judgements.
    pub findings: Vec<NewFinding>,
    /// How many subjects were in order.
    pub ok: u32,
    /// How many are not, but not for as long as their rules ask.
    pub pending: u32,
    /// What is not there.
    pub withheld: Vec<Withheld>,
    /// Judgements that are counted and not listed, because there were too many of one kind.
    pub unlisted: BTreeMap<Severity, u32>,
    /// When the device was looked at, by its own clock.
    pub taken_at: Option<UnixMillis>,
}

impl NewContents {
    /// Whether rules were applied, so that the counts say something.
    pub fn is_judged(&self) -> bool {
        self.withheld.iter().all(|withheld| withheld.section != "findings")
    }
}

/// A section that was looked at and is not in the report. Nothing follows from its absence.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Withheld {
    /// The section: `findings`, `disk` and so on.
    pub section: String,
    /// `by_person` or `redaction_failed`.
    pub reason: String,
}

/// A stored finding.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// The rule that made it.
    pub rule_id: String,
    /// What it is about.
    pub subject: String,
    /// How bad it is.
    pub severity: Severity,
    /// How sure the rule can be; missing in findings that an older console has stored.
    pub confidence: Option<Confidence>,
    /// The judgement in English.
    pub title_en: String,
    /// The judgement in Chinese.
    pub title_zh: String,
    /// What to do, in English.
    pub remedy_en: String,
    /// What to do, in Chinese.
    pub remedy_zh: String,
    /// An array of `{name, label, value, unit, threshold, source}`.
    #[schema(value_type = Vec<Object>)]
    pub evidence: Value,
    /// What a technician may ask for, best first.
    pub fixes: Vec<Fix>,
    /// An `https` link, or the name of a section at `/api/v1/rules/docs/{name}`.
    pub docs: Option<String>,
    /// The same for the same trouble on the same device.
    pub fingerprint: String,
}

/// A fix that a rule names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Fix {
    /// Its name.
    pub name: String,
    /// What it does, in English; missing for a fix that this console does not know.
    pub title_en: Option<String>,
    /// What it does, in Chinese.
    pub title_zh: Option<String>,
}

impl Fix {
    /// The fix of that name.
    pub fn named(name: String) -> Self {
        let phrase = belay_protocol::rules::fix_phrase(&name);
        let title = |of: fn(Phrase) -> &'static str| phrase.map(|phrase| of(phrase).to_owned());
        Self { title_en: title(|phrase| phrase.en), title_zh: title(|phrase| phrase.zh), name }
    }
}

/// The answer to a filed report. Either way the report is on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Filed {
    /// Whether this call stored it; `false` when it was there before.
    pub new: bool,
    /// Its id here.
    pub report: StoredReportId,
}

/// A stored report without its bytes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// Its id here.
    pub id: StoredReportId,
    /// The sender's id of it, in hexadecimal.
    pub report_id: String,
    /// The device it is from.
    pub device: DeviceId,
    /// The session it arrived in; missing for one that was carried here in a file.
    pub session: Option<SessionId>,
    /// The ticket it was filed under.
    #[schema(value_type = Option<String>, example = "BL-10001-4")]
    pub ticket: Option<TicketNumber>,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Its size.
    pub size_bytes: i64,
    /// When it was stored.
    pub received_at_ms: UnixMillis,
    /// When it was made, by the device's clock and at the latest when it was stored: of one that was carried here in a file.
    pub taken_at_ms: Option<UnixMillis>,
    /// What the rules found in it, worst first.
    pub findings: Vec<Finding>,
    /// How many subjects were in order; missing when nothing was judged or an older console has stored it.
    pub ok: Option<i64>,
    /// How many are not in order, but not for as long as their rules ask.
    pub pending: Option<i64>,
    /// The sections that the customer left out or that could not be redacted. While `findings` is among them, an empty
    /// list of findings says nothing.
    pub withheld: Vec<Withheld>,
}

/// A stored report without what it says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReportHead {
    /// Its id here.
    pub id: StoredReportId,
    /// Whether it was carried here in a file.
    pub from_file: bool,
    /// When it was stored.
    pub received_at: UnixMillis,
}

/// A known machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// Its public key.
    pub key: String,
    /// The customer it belongs to.
    pub customer: Option<String>,
    /// When it first redeemed a code.
    pub first_seen_at_ms: UnixMillis,
    /// When it last did anything.
    pub last_seen_at_ms: UnixMillis,
    /// Present while the device is shut out: no code of it is good, and no relay connects it.
    pub revoked: Option<Revocation>,
}

/// Why a device is shut out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Revocation {
    /// Since when.
    pub at_ms: UnixMillis,
    /// Who did it.
    pub by: String,
    /// Why, in one line.
    pub reason: String,
}

stored_enum! {
    /// What an event on a ticket says.
    EventKind {
        /// The ticket was opened.
        TicketOpened = "ticket_opened",
        /// Some of it was changed; the payload lists what, with old and new.
        TicketChanged = "ticket_changed",
        /// Somebody said something; the payload holds the article's id and who may read it.
        ArticleAdded = "article_added",
        /// A file was put on it; the payload holds its name and who may have it.
        AttachmentAdded = "attachment_added",
        /// It was resolved; the payload says how.
        TicketResolved = "ticket_resolved",
        /// The resolution holds; the payload says whose word that is.
        TicketVerified = "ticket_verified",
        /// Another ticket goes on in this one, or this one in another.
        TicketMerged = "ticket_merged",
        /// It was linked to another ticket, or the link was taken away.
        TicketLinked = "ticket_linked",
        /// The customer said how content they are; the payload holds the score.
        CustomerScored = "customer_scored",
        /// The date it waited for has come.
        ReminderFired = "reminder_fired",
        /// A code was minted; an earlier one stopped working.
        InviteMinted = "invite_minted",
        /// A device presented a code of this ticket that was not good any more; the payload says why.
        InviteRefused = "invite_refused",
        /// A device redeemed a code.
        SessionStarted = "session_started",
        /// The same device came back.
        SessionResumed = "session_resumed",
        /// The connection was lost.
        SessionInterrupted = "session_interrupted",
        /// The session is over.
        SessionEnded = "session_ended",
        /// The customer answered.
        ConsentRecorded = "consent_recorded",
        /// A report with its findings was stored.
        ReportFiled = "report_filed",
        /// Something to be done was added, done, or taken off.
        ChecklistChanged = "checklist_changed",
        /// Time was written down, changed, or taken away.
        TimeRecorded = "time_recorded",
    }
}

impl EventKind {
    /// Whether the ticket may be found by other words afterwards.
    pub(super) const fn may_change_words(self) -> bool {
        matches!(
            self,
            Self::TicketOpened | Self::TicketChanged | Self::TicketResolved | Self::TicketMerged | Self::ArticleAdded
        )
    }
}

/// One entry of a ticket's log.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its id, which is also the event id of the live stream.
    pub id: EventId,
    /// The ticket.
    #[schema(value_type = String, example = "BL-10001-4")]
    pub ticket: TicketNumber,
    /// What happened.
    pub kind: EventKind,
    /// Who did it.
    pub actor: String,
    /// What else there is to know, by kind.
    #[schema(value_type = Object)]
    pub payload: Value,
    /// When.
    pub at_ms: UnixMillis,
}

stored_enum! {
    /// What a one-time link is good for.
    LinkPurpose {
        /// Setting the first password.
        SetUp = "set_up",
        /// Signing in once.
        SignIn = "sign_in",
    }
}

/// A user of the desk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// The sign-in name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whether a password was set.
    pub is_set_up: bool,
    /// Until when the account takes no password, after too many wrong ones; a list of users tells it.
    pub locked_until_ms: Option<UnixMillis>,
    /// When it was created.
    pub created_at_ms: UnixMillis,
}

stored_enum! {
    /// What a user signed in by.
    SignInBy {
        /// The password alone, because there is no second factor.
        Password = "password",
        /// The password and a one-time code.
        SecondFactor = "second_factor",
        /// A passkey.
        Passkey = "passkey",
        /// A one-time link.
        Link = "link",
        /// A link that has set a password.
        SetUp = "set_up",
    }
}

/// A live sign-in of a user.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SignInView {
    /// Its id.
    pub id: SignInId,
    /// What the user signed in by; missing when an older console has noted nothing.
    pub by: Option<SignInBy>,
    /// What the browser calls itself, cut to one line.
    pub agent: Option<String>,
    /// Where it came from; told to its user alone.
    pub source: Option<String>,
    /// When it was begun.
    pub created_at_ms: UnixMillis,
    /// When it was last used, to the minute.
    pub last_used_at_ms: UnixMillis,
}

/// What a user can prove themselves by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Factors {
    /// Whether a password is set.
    pub password: bool,
    /// Whether an authenticator app is set up: then the password alone signs nobody in.
    pub totp: bool,
    /// Recovery codes that were not used.
    pub recovery_codes: u64,
    /// Passkeys.
    pub passkeys: u64,
}

/// A passkey of a user.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PasskeyView {
    /// Its id.
    pub id: PasskeyId,
    /// What its user calls it.
    pub name: String,
    /// When it was registered.
    pub created_at_ms: UnixMillis,
    /// When it last signed in.
    pub last_used_at_ms: Option<UnixMillis>,
}

/// A live token of a program, without its text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ApiTokenView {
    /// Its id, by which the audit names it.
    pub id: ApiTokenId,
    /// What its maker calls it.
    pub name: String,
    /// What it is for, as far as its maker may do it.
    pub actions: Vec<Action>,
    /// When it was made.
    pub created_at_ms: UnixMillis,
    /// When it stops working.
    pub expires_at_ms: UnixMillis,
    /// When it was last used, to the minute.
    pub last_used_at_ms: Option<UnixMillis>,
}
