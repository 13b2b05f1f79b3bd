// Generated from openapi.json by `npm run api`. Do not edit.

/** Something a signed-in user can ask for. Every route names exactly one. */
export type Action = "use_own_sign_in" | "read_desk" | "work_on_tickets" | "invite_customers" | "revoke_devices" | "publish_rules" | "configure_desk" | "manage_users" | "read_users" | "read_audit" | "secure_own_account" | "export_audit" | "back_up" | "read_metrics";

/** Something to be said on a ticket. */
export type AddArticle = {
  /** Plain text with line breaks. */
  body: string;
  /** `public` for the customer, too; `internal` for the desk alone. */
  visibility: Visibility;
};

/** Somebody to be made known. */
export type AddContact = {
  language?: Spoken | null;
  /** The name. */
  name: string;
  /** Where they are reached: a telephone number, an address of mail. */
  reach?: string | null;
};

/** A group to be made. */
export type AddGroup = {
  /** Sign-in names of its members. */
  members?: string[];
  /** Its name. */
  name: string;
};

/** Things to be done on a ticket: those of a checklist, or others. */
export type AddItems = {
  checklist?: ChecklistId | null;
  /** What is to be done, in order. */
  items?: string[] | null;
};

/** A company to be made known. */
export type AddOrganization = {
  /** Its name. */
  name: string;
  parent?: OrganizationId | null;
};

/** An overview to be kept. */
export type AddOverview = {
  /** Its name. */
  name: string;
  /** The query of the queue's address, without a question mark. */
  query: string;
  /** Whether everybody at the desk sees it; for who may configure the desk. */
  shared?: boolean;
};

/** Time to be written down. */
export type AddTime = {
  /** How long it was, in minutes. */
  minutes: number;
  /** What it was for. */
  note?: string;
  started_at_ms?: UnixMillis | null;
  /** Whose time, by sign-in name; one's own when not said. */
  user?: string | null;
};

/** A user to be created. */
export type AddUser = {
  /** The sign-in name: 1 to 64 characters without white space. */
  name: string;
  /** What they may do. */
  role: Role;
};

/** Who is affected by a trouble. */
export type Affected = "me" | "several" | "everybody";

/** A browser's answer to a challenge. */
export type Answered = {
  /** The challenge. */
  challenge: string;
  /** The credential as `toJSON()` gives it. */
  credential: Record<string, unknown>;
};

/** A token of a program. */
export type ApiTokenId = number;

/** A live token of a program, without its text. */
export type ApiTokenView = {
  /** What it is for, as far as its maker may do it. */
  actions: Action[];
  /** When it was made. */
  created_at_ms: UnixMillis;
  /** When it stops working. */
  expires_at_ms: UnixMillis;
  /** Its id, by which the audit names it. */
  id: ApiTokenId;
  last_used_at_ms?: UnixMillis | null;
  /** What its maker calls it. */
  name: string;
};

/** Something that was said on a ticket. */
export type Article = {
  /** Who said it: `user:3`. */
  author: string;
  /** Its text: plain, with line breaks. */
  body: string;
  /** The ticket it was said on, before that one was merged into this. */
  came_from?: string | null;
  /** When. */
  created_at_ms: UnixMillis;
  /** Its id. */
  id: ArticleId;
  /** Who may read it. */
  visibility: Visibility;
};

/** An article of a ticket's thread. */
export type ArticleId = number;

/** A rule that sends tickets to a group. What is `None` does not matter to it. */
export type AssignmentRule = {
  channel?: Channel | null;
  /** The customer company, exactly. */
  customer?: string | null;
  /** Where such tickets go. */
  group: GroupId;
  /** Its id. */
  id: RuleId;
  /** Rules are tried by position, smallest first. */
  position: number;
  /** A word in the title, the description or the product, in any case. */
  word?: string | null;
};

/** A file on a ticket. */
export type Attachment = {
  /** Who put it there: `user:3`. */
  added_by: string;
  /** When. */
  created_at_ms: UnixMillis;
  /** Its id. */
  id: AttachmentId;
  /** Its media type. */
  media_type: string;
  /** Its name, without a path. */
  name: string;
  /** SHA-256 of its content, in hexadecimal. */
  sha256: string;
  /** Its size. */
  size_bytes: number;
  /** Who may have it. */
  visibility: Visibility;
};

/** A file on a ticket. */
export type AttachmentId = number;

/** A line of the audit, as it was written. */
export type AuditText = {
  /** The JSON line: exactly the bytes that the next line's `prev` is the SHA-256 of. */
  text: string;
};

/** The result of walking the audit's chain. */
export type AuditVerified = {
  /** Lines of the audit, all of them as they were written. */
  lines: number;
};

/** The priorities of one impact. */
export type ByUrgency = {
  /** Where it hurts now. */
  high: Priority;
  /** Where it can wait. */
  low: Priority;
  /** Where it hurts today. */
  medium: Priority;
};

/** Changes to what is known of somebody; what is left out stays. */
export type ChangeContact = {
  language?: Spoken | null;
  /** Another name. */
  name?: string | null;
  /** Where they are reached; `null` when that is not known. */
  reach?: string | null;
};

/** Changes to a group; what is left out stays. */
export type ChangeGroup = {
  /** Sign-in names of all members, in place of those before. */
  members?: string[] | null;
  /** A new name. */
  name?: string | null;
};

/** Changes to a company; what is left out stays. */
export type ChangeOrganization = {
  /** Another name. */
  name?: string | null;
  /** The company it belongs to; `null` for none. */
  parent?: number | null;
};

/** Changes to a ticket; what is left out stays. */
export type ChangeTicket = {
  closing?: Closing | null;
  /** The person who asked; `null` for nobody. */
  contact?: string | null;
  /** The right customer company; created when unknown. */
  customer?: string | null;
  /** A new description. */
  description?: string | null;
  first_seen_at_ms?: UnixMillis | null;
  /** The name of the group that answers for it from now on. */
  group?: string | null;
  impact?: Level | null;
  language?: Spoken | null;
  /** The sign-in name of the new owner; `null` for nobody: the group holds it. */
  owner?: string | null;
  pending_until_ms?: UnixMillis | null;
  priority?: Priority | null;
  /** Why the priority is not the matrix's. */
  priority_reason?: string | null;
  /** What it is about; empty for unknown. */
  product?: string | null;
  /** Which version of it; empty for unknown. */
  product_version?: string | null;
  /** By when the customer is promised to hear something; `null` for no promise. */
  promised_at_ms?: number | null;
  /** Where the person who asked can be reached; empty for unknown. */
  reach?: string | null;
  /** Why it is handed over; needed when it is taken from its owner or its group. */
  reason?: string | null;
  resolution?: ResolveTicket | null;
  /** Who or what is affected; empty for unknown. */
  scope?: string | null;
  state?: TicketState | null;
  /** All tags, in place of those before; capital letters become small ones. */
  tags?: string[] | null;
  /** A new title. */
  title?: string | null;
  urgency?: Level | null;
};

/** Changes to an entry; what is left out stays. */
export type ChangeTime = {
  /** How long it was, in minutes. */
  minutes?: number | null;
  /** What it was for. */
  note?: string | null;
  /** Whose time it was, by sign-in name. */
  user?: string | null;
};

/** What to change about a user. */
export type ChangeUser = {
  /** What they may do from now on. */
  role: Role;
};

/** What changed from one report to a later one. */
export type Changes = {
  /** Facts, by section and in the order of the report. */
  facts: FactChange[];
  findings?: FindingChanges | null;
  /** Further changed facts that did not fit. */
  left_out: number;
  /** Sections that cannot be compared, because at least one of the two reports is without. */
  not_compared: NotCompared[];
  /** Differences that are not listed because they say nothing. */
  passing: Passing[];
  /** The report that is looked at. */
  report: StoredReportId;
  /** The report that it is compared with. */
  since: StoredReportId;
};

/** How a ticket reached the desk. */
export type Channel = "phone" | "web" | "api" | "agent" | "local";

/** A checklist that the desk keeps. */
export type Checklist = {
  /** Its id. */
  id: ChecklistId;
  /** What is to be done, in order. */
  items: string[];
  /** Its name. */
  name: string;
};

/** A checklist that the desk keeps. */
export type ChecklistId = number;

/** Something to be done on a ticket. */
export type ChecklistItem = {
  done_at_ms?: UnixMillis | null;
  /** Who has done it. */
  done_by?: string | null;
  /** Its id. */
  id: ChecklistItemId;
  /** What is to be done. */
  text: string;
};

/** Something to be done on a ticket. */
export type ChecklistItemId = number;

/** Why a ticket is closed. */
export type Closing = "verified" | "silence" | "spam" | "withdrawn";

/** How sure a rule can be of a finding. */
export type Confidence = "high" | "medium" | "low";

/** A recorded answer. */
export type Consent = {
  grant_ends_at_ms?: UnixMillis | null;
  /** Names of what was permitted. */
  granted: string[];
  /** When the answer arrived. */
  recorded_at_ms: UnixMillis;
  /** Names of what was refused. */
  refused: string[];
  /** SHA-256 of what the customer was shown, in hexadecimal. */
  shown_sha256?: string | null;
};

/** Somebody who asks for help. */
export type Contact = {
  /** Since when the desk knows them. */
  created_at_ms: UnixMillis;
  /** Its id. */
  id: ContactId;
  language?: Spoken | null;
  merged_into?: ContactId | null;
  /** The name. */
  name: string;
  /** The company. */
  organization: OrganizationId;
  /** Where they are reached: a telephone number, an address of mail. */
  reach?: string | null;
};

/** Somebody of a customer company. */
export type ContactId = number;

/** Name and password. */
export type Credentials = {
  /** The sign-in name. */
  name: string;
  /** The password. */
  password: string;
};

/** A known machine. */
export type Device = {
  /** The customer it belongs to. */
  customer?: string | null;
  /** When it first redeemed a code. */
  first_seen_at_ms: UnixMillis;
  /** Its id. */
  id: DeviceId;
  /** Its public key. */
  key: string;
  /** When it last did anything. */
  last_seen_at_ms: UnixMillis;
  revoked?: Revocation | null;
};

/** A known device. */
export type DeviceId = number;

/** What other rules would say about a stored report. */
export type Difference = {
  /** Findings that would be there as well. */
  appeared: Told[];
  /** Findings whose severity would be another; the one they would have. */
  changed: Told[];
  /** Findings that would not be there. */
  gone: Told[];
};

/** A report about which the rules would say something else. */
export type DifferentReport = Difference & {
  /** Its device. */
  device: DeviceId;
  /** When it came. */
  received_at_ms: UnixMillis;
  /** The report. */
  report: StoredReportId;
};

/** A section of the rules' documentation. */
export type DocsView = {
  /** What is behind the findings, how to see it, and what helps for good; in English. */
  text_en: string;
  /** The same in Chinese. */
  text_zh: string;
  /** Its heading in English. */
  title_en: string;
  /** Its heading in Chinese. */
  title_zh: string;
};

/** One entry of a ticket's log. */
export type Event = {
  /** Who did it. */
  actor: string;
  /** When. */
  at_ms: UnixMillis;
  /** Its id, which is also the event id of the live stream. */
  id: EventId;
  /** What happened. */
  kind: EventKind;
  /** What else there is to know, by kind. */
  payload: Record<string, unknown>;
  /** The ticket. */
  ticket: string;
};

/** An event; later events have larger ids, across all tickets. */
export type EventId = number;

/** What an event on a ticket says. */
export type EventKind = "ticket_opened" | "ticket_changed" | "article_added" | "attachment_added" | "ticket_resolved" | "ticket_verified" | "ticket_merged" | "ticket_linked" | "customer_scored" | "reminder_fired" | "invite_minted" | "invite_refused" | "session_started" | "session_resumed" | "session_interrupted" | "session_ended" | "consent_recorded" | "report_filed" | "checklist_changed" | "time_recorded";

/** A fact that changed. */
export type FactChange = {
  /** What it is; missing when it is not there any more. */
  after?: unknown;
  /** What it was; missing when it was not there. */
  before?: unknown;
  /** Where it stands, as a JSON pointer (RFC 6901) into `/api/v1/reports/{id}/facts` of the later report; for what is gone, of the earlier one. */
  path: string;
  /** The section it belongs to. */
  section: string;
  /** The same below the section for people: fields, and what names an item of a list. */
  steps: Step[];
};

/** What a user can prove themselves by. */
export type Factors = {
  /** Passkeys. */
  passkeys: number;
  /** Whether a password is set. */
  password: boolean;
  /** Recovery codes that were not used. */
  recovery_codes: number;
  /** Whether an authenticator app is set up: then the password alone signs nobody in. */
  totp: boolean;
};

/** A stored finding. */
export type Finding = {
  confidence?: Confidence | null;
  /** An `https` link, or the name of a section at `/api/v1/rules/docs/{name}`. */
  docs?: string | null;
  /** An array of `{name, label, value, unit, threshold, source}`. */
  evidence: (Record<string, unknown>)[];
  /** The same for the same trouble on the same device. */
  fingerprint: string;
  /** What a technician may ask for, best first. */
  fixes: Fix[];
  /** What to do, in English. */
  remedy_en: string;
  /** What to do, in Chinese. */
  remedy_zh: string;
  /** The rule that made it. */
  rule_id: string;
  /** How bad it is. */
  severity: Severity;
  /** What it is about. */
  subject: string;
  /** The judgement in English. */
  title_en: string;
  /** The judgement in Chinese. */
  title_zh: string;
};

/** One finding in both reports. */
export type FindingChange = {
  /** As it is. */
  after: Finding;
  /** As it was. */
  before: Finding;
};

/** How findings changed, each list worst first. */
export type FindingChanges = {
  /** Only in the later report. */
  appeared: Finding[];
  /** In both, with another severity or another title. */
  changed: FindingChange[];
  /** Only in the earlier report. */
  gone: Finding[];
  /** How many are in both and the same. */
  same: number;
  /** Only in one report, where nobody can say whether they are in the other: they are about a section that it is without. */
  undecided: Finding[];
};

/** The first admin of a desk. */
export type FirstAdmin = {
  /** The sign-in name: 1 to 64 characters without white space. */
  name: string;
  /** At least 12 characters. */
  password: string;
  /** The one-time secret that the console has printed at its start. */
  secret: string;
};

/** A fix that a rule names. */
export type Fix = {
  /** Its name. */
  name: string;
  /** What it does, in English; missing for a fix that this console does not know. */
  title_en?: string | null;
  /** What it does, in Chinese. */
  title_zh?: string | null;
};

/** Somebody with the company, as a search finds them. */
export type FoundContact = Contact & {
  /** The company's name. */
  organization_name: string;
};

/** A group with the names of its members. */
export type Group = {
  /** Its id. */
  id: GroupId;
  /** Sign-in names, in their order. */
  members: string[];
  /** Its name. */
  name: string;
};

/** A group that tickets belong to. */
export type GroupId = number;

/** Whether the console works. */
export type Health = {
  /** `ok`. */
  status: string;
};

/** RFC 9457's type of problems that are told apart by their status and code alone. */
export type Kind = "about:blank";

/** How much is affected (impact), or how soon it hurts (urgency). */
export type Level = "low" | "medium" | "high";

/** A link between two tickets. */
export type LinkId = number;

/** What a ticket is to another. */
export type LinkKind = "duplicate_of" | "follow_up_of" | "related_to";

/** Another ticket, and what this one is to it. */
export type LinkTicket = {
  /** What this ticket is. */
  kind: LinkKind;
  /** To which ticket. */
  to: string;
};

/** A customer company in a list. */
export type ListedOrganization = Organization & {
  /** Its tickets that are not closed. */
  open_tickets: number;
  /** The name of the company it belongs to. */
  parent_name?: string | null;
};

/** A macro of the desk. */
export type Macro = {
  /** Its id. */
  id: MacroId;
  /** Its name. */
  name: string;
  /** What it does. */
  steps: Steps;
};

/** What a macro says. */
export type MacroArticle = {
  /** Plain text. */
  body: string;
  /** `public` for the customer, too; `internal` for the desk alone. */
  visibility: Visibility;
};

/** A macro. */
export type MacroId = number;

/** Who is signed in. */
export type Me = {
  ends_at_ms?: UnixMillis | null;
  /** The sign-in name; `local` over the local socket. */
  name: string;
  /** What it may do. */
  role: Role;
  stepped_up_until_ms?: UnixMillis | null;
};

/** Into whom somebody is merged. */
export type MergeContact = {
  /** The one whose other name this is. */
  into: ContactId;
};

/** The ticket that another one goes on in. */
export type MergeTicket = {
  /** Its number. */
  into: string;
};

/** One metric over the reports of a series. */
export type Metric = {
  /** From where on a rule calls it critical. */
  crit?: number | null;
  /** What is measured. */
  metric: MetricKind;
  /** Of what; empty for the machine as a whole. */
  subject: string;
  /** A value for each report, oldest first; nothing where the report does not say. */
  values: (number | null)[];
  /** From where on a rule warns, or up to where for memory that is available. */
  warn?: number | null;
};

/** What is measured. */
export type MetricKind = "disk_used_percent" | "memory_available_percent" | "swap_used_percent" | "load_per_cpu" | "relay_rtt_ms" | "relay_loss_percent" | "relay_jitter_ms";

/** A new token. Its text is told this once. */
export type MintedApiToken = ApiTokenView & {
  /** To be sent as `Authorization: Bearer`. */
  token: string;
};

/** A code for a customer. It is shown once. */
export type MintedInvite = {
  /** The nine digits. */
  code: string;
  /** What a customer with the agent types. */
  command: string;
  /** When it stops working. */
  expires_at_ms: UnixMillis;
  /** The link that carries everything; missing when the console has no relay. */
  link?: string | null;
  /** The digits in groups, as they are read aloud. */
  spoken: string;
  /** The ticket. */
  ticket: string;
};

/** A token to be made. */
export type NewApiToken = {
  /** What it may do, of what its maker may do. */
  actions: Action[];
  /** For how many days, at most 365. */
  days: number;
  /** What to call it, such as the program that uses it. */
  name: string;
};

/** Who may read the backup. */
export type NewBackup = {
  /** Public halves of age identities (`age1...`), 1 to 16. */
  recipients: string[];
};

/** A passkey that a browser has made. */
export type NewPasskey = {
  /** The challenge. */
  challenge: string;
  /** The credential as `toJSON()` gives it. */
  credential: Record<string, unknown>;
  /** What to call it, such as the device it is on. */
  name: string;
};

/** The old password and the one to take its place. */
export type NewPassword = {
  /** The password until now. */
  old: string;
  /** At least 12 characters. */
  password: string;
};

/** A request for help, as somebody makes it whom the desk does not know. */
export type NewRequest = {
  /** Who is affected; `me` when not said. */
  affected?: Affected;
  channel?: Channel | null;
  /** Their company; the person's own name when not said. */
  company?: string | null;
  /** What else helps to understand it. */
  description?: string;
  /** Whether a code is wanted by which the asking machine may be looked at. */
  invite?: boolean;
  language?: Spoken | null;
  /** Who asks. */
  name: string;
  /** What it is about: a program, a machine. */
  product?: string | null;
  /** Where they can be reached: a telephone number, an address of mail. */
  reach?: string | null;
  /** The day on which it was first seen, as YYYY-MM-DD. */
  since?: string | null;
  /** One line that says what is wrong. */
  title: string;
  /** Whether work goes on; `hardly` when not said. */
  work?: Work;
};

/** A section that one of the reports is without. */
export type NotCompared = {
  /** Whether the later report has it. */
  is_sent: boolean;
  /** Which. */
  section: string;
  /** Whether the earlier report has it. */
  was_sent: boolean;
};

/** A one-time sign-in link's token. */
export type OneTime = {
  /** The part of the link after `#`. */
  token: string;
};

/** A one-time code. */
export type OneTimeCode = {
  /** Six digits of the authenticator app. */
  code: string;
};

/** A ticket to be opened. */
export type OpenTicket = {
  channel?: Channel | null;
  /** The person who asked. */
  contact?: string | null;
  /** The customer company; created when unknown. Only a telephone call may begin without it. */
  customer?: string;
  /** What is known so far. */
  description?: string;
  first_seen_at_ms?: UnixMillis | null;
  impact?: Level | null;
  language?: Spoken | null;
  /** What it is about: a program, a machine. */
  product?: string | null;
  /** Which version of it. */
  product_version?: string | null;
  /** Where the person who asked can be reached: a telephone number, an address of mail. */
  reach?: string | null;
  /** Who or what is affected. */
  scope?: string | null;
  /** One line that says what is wrong; only a telephone call may begin without it. */
  title?: string;
  urgency?: Level | null;
};

/** A customer company. */
export type Organization = {
  /** Since when the desk knows it. */
  created_at_ms: UnixMillis;
  /** Its id. */
  id: OrganizationId;
  /** Its name. */
  name: string;
  parent?: OrganizationId | null;
};

/** A customer company. */
export type OrganizationId = number;

/** A filter of the queue that somebody keeps. */
export type Overview = {
  /** Its id. */
  id: OverviewId;
  /** Whether everybody at the desk sees it. */
  is_shared: boolean;
  /** Its name. */
  name: string;
  /** The query of the queue's address, as the web console writes it. */
  query: string;
};

/** A filter of the queue. */
export type OverviewId = number;

/** A live sign-in of one's own. */
export type OwnSignIn = SignInView & {
  /** Whether it is the one that asks. */
  current: boolean;
};

/** The packs of the desk. */
export type PackList = {
  /** Newest first. */
  items: PackView[];
};

/** A pack that the desk has published. */
export type PackView = {
  /** Its name. */
  id: string;
  /** Until when devices take it over; what they have they keep. */
  offered_until_ms: UnixMillis;
  /** When. */
  published_at_ms: UnixMillis;
  /** Who published it. */
  published_by: string;
  /** The key that signed it. */
  signer: string;
  /** Bytes of its file. */
  size_bytes: number;
  /** Its version. */
  version: number;
};

/** Differences of one kind of fact that say nothing. */
export type Passing = {
  /** How many differ. */
  differing: number;
  /** The fact: its section and fields with dots between. */
  fact: string;
  /** Why it is not listed. */
  reason: PassingReason;
};

/** Why a difference says nothing. */
export type PassingReason = "counts" | "moment" | "plotted";

/** What a browser is to do with a passkey. */
export type PasskeyChallenge = {
  /** To be sent back with the browser's answer, within five minutes. */
  challenge: string;
  /** `publicKey` is what `navigator.credentials` takes, as WebAuthn's JSON. */
  options: Record<string, unknown>;
};

/** A passkey of a user. */
export type PasskeyId = number;

/** A passkey of a user. */
export type PasskeyView = {
  /** When it was registered. */
  created_at_ms: UnixMillis;
  /** Its id. */
  id: PasskeyId;
  last_used_at_ms?: UnixMillis | null;
  /** What its user calls it. */
  name: string;
};

/** How pressing a ticket is, by impact and urgency. */
export type Priority = "p1" | "p2" | "p3" | "p4";

/** Which priority follows from impact and urgency. */
export type PriorityMatrix = {
  /** Where all of the customer is affected. */
  high: ByUrgency;
  /** Where little is affected. */
  low: ByUrgency;
  /** Where a group is affected. */
  medium: ByUrgency;
};

/** The body of every answer that is not a success (`application/problem+json`). */
export type Problem = {
  /** The states the ticket may move to. */
  allowed?: TicketState[] | null;
  /** What the second factor is to be sent with. */
  challenge?: string | null;
  /** Stable name of the problem, for programs and for translations. */
  code: string;
  /** The version the ticket is at. */
  current_version?: number | null;
  /** One English sentence about this case. */
  detail: string;
  /** The field, header or parameter that is wrong. */
  field?: string | null;
  /** After how many seconds to try again. */
  retry_after_s?: number | null;
  /** The HTTP status again. */
  status: number;
  /** What went wrong, in a few words that depend on the status alone. */
  title: string;
  /** Always `about:blank`: the code says what is wrong. */
  type: Kind;
};

/** A product that a company has. */
export type Product = {
  /** Its id. */
  id: ProductId;
  licence_until_ms?: UnixMillis | null;
  /** Its name. */
  name: string;
  /** What else is to be known of it, as a serial number. */
  note?: string | null;
  /** Which version of it. */
  version?: string | null;
};

/** A product of a customer company. */
export type ProductId = number;

/** A pack with the organization's word for it. */
export type PublishPack = {
  /** What `belay-console rules sign` has written. */
  proof: unknown;
  /** The pack's file. */
  text: string;
};

/** A checklist to be kept. */
export type PutChecklist = {
  /** What is to be done, in order. */
  items: string[];
  /** Its name. */
  name: string;
};

/** A macro to be kept. */
export type PutMacro = {
  /** Its name; also the reason that a hand-over by it gives. */
  name: string;
  /** What it does. */
  steps: Steps;
};

/** A product to be kept. */
export type PutProduct = {
  licence_until_ms?: UnixMillis | null;
  /** Its name. */
  name: string;
  /** What else is to be known of it, as a serial number. */
  note?: string | null;
  /** Which version of it. */
  version?: string | null;
};

/** A rule that sends tickets to a group. What is left out does not matter to it. */
export type PutRule = {
  channel?: Channel | null;
  /** The customer company, exactly. */
  customer?: string | null;
  /** The name of the group. */
  group: string;
  /** A word in the title, the description or the product, in any case. */
  word?: string | null;
};

/** Codes for the day the authenticator app is lost; each works once. They are told this once. */
export type RecoveryCodes = {
  /** Ten of them. */
  codes: string[];
};

/** A stored report without its bytes. */
export type Report = {
  /** The device it is from. */
  device: DeviceId;
  /** What the rules found in it, worst first. */
  findings: Finding[];
  /** Its id here. */
  id: StoredReportId;
  /** How many subjects were in order; missing when nothing was judged or an older console has stored it. */
  ok?: number | null;
  /** How many are not in order, but not for as long as their rules ask. */
  pending?: number | null;
  /** When it was stored. */
  received_at_ms: UnixMillis;
  /** The sender's id of it, in hexadecimal. */
  report_id: string;
  session?: SessionId | null;
  /** SHA-256 of its bytes, in hexadecimal. */
  sha256: string;
  /** Its size. */
  size_bytes: number;
  taken_at_ms?: UnixMillis | null;
  /** The ticket it was filed under. */
  ticket?: string | null;
  /** The sections that the customer left out or that could not be redacted. While `findings` is among them, an empty list of findings says nothing. */
  withheld: Withheld[];
};

/** What became of a request. */
export type Requested = {
  /** The nine digits by which the asking machine joins, if they were wanted. */
  code?: string | null;
  /** The ticket's number. */
  number: string;
  /** The page on which the customer sees how it stands and can write. Whoever has it is the customer. */
  status_url: string;
};

/** What the rules would say. */
export type Reran = {
  /** Reports about which the rules would say something else, oldest first. */
  different: DifferentReport[];
  /** How many reports were judged, the newest of those asked for. */
  judged: number;
  /** How many older ones were left out is not counted; whether there are any. */
  more: boolean;
  /** The pack's name. */
  pack: string;
  /** Reports that this console cannot read. */
  unreadable: StoredReportId[];
  /** Its version. */
  version: number;
};

/** Which reports to judge again, and by what. */
export type Rerun = {
  /** Only reports of this device. */
  device?: string | null;
  /** A pack's file, signed or not; without it the newest published one, or the one that comes with the console. */
  text?: string | null;
  /** Only reports of this ticket. */
  ticket?: string | null;
};

/** Why the factors of an account are taken off. */
export type ResetFactors = {
  /** For the audit. */
  reason: string;
};

/** How a ticket was resolved. */
export type Resolution = {
  /** What was wrong. */
  cause: string;
  /** What the customer says to it. */
  comment?: string | null;
  /** What was done. */
  fix: string;
  /** What keeps it from coming back. */
  prevention: string;
  /** When. */
  resolved_at_ms: UnixMillis;
  /** Who resolved it: `user:3`. */
  resolved_by: string;
  /** How content the customer is, from 1 to 5. */
  score?: number | null;
  verified?: Verified | null;
};

/** How a trouble was ended. Each is a sentence or a few. */
export type ResolveTicket = {
  /** What was wrong. */
  cause: string;
  /** What was done. */
  fix: string;
  /** What keeps it from coming back. */
  prevention: string;
};

/** Why a device is shut out. */
export type Revocation = {
  /** Since when. */
  at_ms: UnixMillis;
  /** Who did it. */
  by: string;
  /** Why, in one line. */
  reason: string;
};

/** Why a device is to be shut out. */
export type RevokeDevice = {
  /** One line for whoever wonders later. */
  reason: string;
};

/** What a user is at the desk. */
export type Role = "technician" | "supervisor" | "admin" | "auditor";

/** An assignment rule. */
export type RuleId = number;

export type SavedBody = string;

/** A challenge of `second_factor_required` with its answer. */
export type SecondFactor = {
  /** The challenge, good for five minutes. */
  challenge: string;
  /** Six digits of the authenticator app, or a recovery code. */
  code: string;
};

/** A device's figures over its newest reports. */
export type Series = {
  /** The metrics; each has one value for each report. */
  metrics: Metric[];
  /** Whether there are older reports. */
  more: boolean;
  /** File systems that are not followed, because there are too many. */
  mounts_left_out: number;
  /** The reports, oldest first. */
  reports: SeriesReport[];
  /** Reports that are left out, because the device's clock was far from right and nothing else tells when they were made. */
  undated: number;
};

/** One report of a series. */
export type SeriesReport = {
  /** When the device was looked at: when the report came, or, for one that was carried here in a file, what the device's clock said, and never later than when it came. */
  at_ms: UnixMillis;
  /** Whether it was carried here in a file. */
  from_file: boolean;
  /** Whether this version of the console can read it; if not, it says nothing. */
  is_readable: boolean;
  /** Its id. */
  report: StoredReportId;
};

/** The use of a link for one ticket. */
export type Session = {
  /** The customer's answers, oldest first. */
  consents: Consent[];
  /** The device. */
  device: DeviceId;
  /** Why it ended. */
  end_reason?: string | null;
  ended_at_ms?: UnixMillis | null;
  /** Its id. */
  id: SessionId;
  phrase?: SpokenPhrase | null;
  /** What the desk asked for. */
  requested: string[];
  /** When the code was redeemed. */
  started_at_ms: UnixMillis;
  /** Where it is in its life. */
  state: SessionState;
  /** The ticket. */
  ticket: string;
};

/** A session. */
export type SessionId = number;

/** Where a session is in its life. */
export type SessionState = "live" | "interrupted" | "ended";

/** A set-up link's token and the password to set. */
export type SetUp = {
  /** At least 12 characters. */
  password: string;
  /** The part of the link after `#`. */
  token: string;
};

/** How bad a finding is. `unknown` means that it could not be looked at, never that it is fine. */
export type Severity = "ok" | "info" | "warn" | "crit" | "unknown";

/** What a user signed in by. */
export type SignInBy = "password" | "second_factor" | "passkey" | "link" | "set_up";

/** A sign-in of a user. */
export type SignInId = number;

/** A live sign-in of a user. */
export type SignInView = {
  /** What the browser calls itself, cut to one line. */
  agent?: string | null;
  by?: SignInBy | null;
  /** When it was begun. */
  created_at_ms: UnixMillis;
  /** Its id. */
  id: SignInId;
  /** When it was last used, to the minute. */
  last_used_at_ms: UnixMillis;
  /** Where it came from; told to its user alone. */
  source?: string | null;
};

/** A language in which a customer is answered. */
export type Spoken = "en" | "zh";

/** Words of a session's connection, for comparing on the phone. */
export type SpokenPhrase = {
  /** In English. */
  en: string;
  /** In Simplified Chinese. */
  zh: string;
};

/** The address of a ticket's status page. */
export type StatusLink = {
  /** Whoever has it may read what is public about the ticket and answer for its customer. */
  url: string;
};

/** One step of the way to a fact. */
export type Step = {
  /** A field. */
  field: string;
} | {
  /** An item of a list, by what names it; text from the device. */
  item: string;
};

/** A fresh proof of who sits there: exactly one of the fields. */
export type StepUp = {
  /** A code of the authenticator app, or a recovery code. */
  code?: string | null;
  passkey?: Answered | null;
  /** The password, where there is no authenticator app. */
  password?: string | null;
};

/** Until when the sign-in may do what asks for a fresh proof. */
export type SteppedUp = {
  /** Ten minutes from now. */
  until_ms: UnixMillis;
};

/** Steps that are often taken together. What is left out is not touched. */
export type Steps = {
  article?: MacroArticle | null;
  /** Things to be done, put on the ticket. */
  checklist?: string[];
  /** The name of the group that it goes to. */
  group?: string | null;
  impact?: Level | null;
  state?: TicketState | null;
  /** Tags to add. */
  tags?: string[];
  /** Whether whoever runs it becomes the owner. */
  take?: boolean;
  urgency?: Level | null;
  /** After how many hours a pending ticket wakes up. */
  wake_after_hours?: number | null;
};

/** A report as stored; the sender's own id of it is another. */
export type StoredReportId = number;

/** Whether something is done. */
export type TickItem = {
  /** Whether it is. */
  done: boolean;
};

/** One problem of one customer. */
export type Ticket = {
  /** How it arrived. */
  channel: Channel;
  closed_as?: Closing | null;
  closed_at_ms?: UnixMillis | null;
  /** The person who asked. */
  contact?: string | null;
  contact_id?: ContactId | null;
  /** When it was opened. */
  created_at_ms: UnixMillis;
  /** The customer company; empty while that is not known. */
  customer: string;
  /** The customer company's id. */
  customer_id: OrganizationId;
  /** What is known so far. */
  description: string;
  first_seen_at_ms?: UnixMillis | null;
  /** The group that answers for it. */
  group: string;
  /** How much is affected. */
  impact: Level;
  language?: Spoken | null;
  /** Where it goes on. */
  merged_into?: string | null;
  /** The states it may move to from here. */
  next_states: TicketState[];
  /** The number people read aloud. */
  number: string;
  /** The sign-in name of the owner; nobody while the group holds it. */
  owner?: string | null;
  pending_until_ms?: UnixMillis | null;
  /** From impact and urgency, unless somebody had a reason for another. */
  priority: Priority;
  /** Why the priority is not the matrix's. */
  priority_reason?: string | null;
  /** What it is about: a program, a machine. */
  product?: string | null;
  /** Which version of it. */
  product_version?: string | null;
  promised_at_ms?: UnixMillis | null;
  /** Where the person who asked can be reached, as they said it: a telephone number, an address of mail. */
  reach?: string | null;
  resolution?: Resolution | null;
  /** Who or what is affected. */
  scope?: string | null;
  /** Where it is in its life. */
  state: TicketState;
  /** Words to find it by. */
  tags: string[];
  /** One line that says what is wrong; empty while that is not known. */
  title: string;
  /** When it was last changed, by a person or by a session. */
  updated_at_ms: UnixMillis;
  /** How soon it hurts. */
  urgency: Level;
  /** Grows with every change; the entity tag of `If-Match`. */
  version: number;
};

/** A link between two tickets, as it is read from the first. */
export type TicketLink = {
  /** The ticket that is something. */
  from: string;
  /** Its id. */
  id: LinkId;
  /** What it is. */
  kind: LinkKind;
  /** The state of the other one. */
  state: TicketState;
  /** The title of the other one. */
  title: string;
  /** To which ticket. */
  to: string;
};

/** Where a ticket is in its life. [`TicketState::next`] is the table of moves. */
export type TicketState = "new" | "open" | "pending_customer" | "pending_vendor" | "pending_reminder" | "resolved" | "closed" | "merged";

/** Time that somebody has spent on a ticket. */
export type TimeEntry = {
  /** Its id. */
  id: TimeEntryId;
  /** What it was for. */
  note: string;
  /** How long it was, in seconds. */
  seconds: number;
  session?: SessionId | null;
  /** When it began. */
  started_at_ms: UnixMillis;
  /** The sign-in name of who has spent it; missing where a session ended on a ticket that nobody owned. */
  user?: string | null;
};

/** Time spent on a ticket. */
export type TimeEntryId = number;

/** A finding in a few words. */
export type Told = {
  /** The rule. */
  rule: string;
  /** How bad it is. */
  severity: string;
  /** What it is about. */
  subject: string;
  /** What is wrong, in English. */
  title_en: string;
  /** What is wrong, in Chinese. */
  title_zh: string;
  /** How bad it was; only where it changed. */
  was?: string | null;
};

/** A seed for an authenticator app, shown once. */
export type TotpSeed = {
  /** The address as a square code: black modules as the data of an SVG path, one unit a module. */
  qr_path: string;
  /** The square's side in modules, with its quiet edge. */
  qr_side: number;
  /** The seed as it is typed. */
  secret: string;
  /** The same as an `otpauth` address. */
  uri: string;
};

/** A moment, in milliseconds since 1970-01-01T00:00:00Z. It is stored as a plain integer on every database. */
export type UnixMillis = number;

/** Why an account is unlocked. */
export type Unlock = {
  /** For the audit. */
  reason: string;
};

/** A user of the desk. */
export type User = {
  /** When it was created. */
  created_at_ms: UnixMillis;
  /** Its id. */
  id: UserId;
  /** Whether a password was set. */
  is_set_up: boolean;
  locked_until_ms?: UnixMillis | null;
  /** The sign-in name. */
  name: string;
  /** What it may do. */
  role: Role;
};

/** A user of the desk. */
export type UserId = number;

/** A user and the link by which they set their password. The link is shown once. */
export type UserLink = {
  /** When it stops working. */
  expires_at_ms: UnixMillis;
  /** To be opened by the user; the part after `#` never reaches a server's log. */
  link: string;
  /** The user. */
  user: User;
};

/** That a fix holds. */
export type Verified = {
  /** Whose word it is. */
  as: VerifiedBy;
  /** When. */
  at_ms: UnixMillis;
  /** Who recorded it. */
  recorded_by: string;
  report?: StoredReportId | null;
  /** What was said. */
  words?: string | null;
};

/** Whose word it is that a fix holds. */
export type VerifiedBy = "report" | "person" | "customer";

/** How it is known that a fix holds: by a report that was made after it, or by a person's words. */
export type VerifyTicket = {
  report?: StoredReportId | null;
  /** Who said that it works, and in which words. */
  words?: string | null;
};

/** Who may read an article. */
export type Visibility = "public" | "internal";

/** What a desk says about itself to the world. */
export type WellKnown = {
  /** The desk's name for itself; it proves nothing. */
  name: string;
  /** The organization key that customers pin. */
  organization: string;
  /** Where the desk can be met. */
  relays: WellKnownRelay[];
};

/** A relay of the desk. */
export type WellKnownRelay = {
  /** `HOST:PORT`. */
  address: string;
  /** The key that the relay must prove. */
  key: string;
};

/** A customer company with all that the desk knows of it, but its tickets and devices. */
export type WholeOrganization = Organization & {
  /** The companies above it, the uppermost first. */
  above: Organization[];
  /** The companies right below it by name. */
  below: Organization[];
  /** Its people by name, those included that were merged into others. */
  contacts: Contact[];
  /** Its products by name. */
  products: Product[];
};

/** A section that was looked at and is not in the report. Nothing follows from its absence. */
export type Withheld = {
  /** `by_person` or `redaction_failed`. */
  reason: string;
  /** The section: `findings`, `disk` and so on. */
  section: string;
};

/** Whether work goes on. */
export type Work = "goes" | "hardly" | "stands";
