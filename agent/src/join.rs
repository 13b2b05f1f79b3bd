//! Joining a ticket's session: from the invite to the report that the customer approved.

mod error;
mod meeting;

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use belay_protocol::bounded::BoundedVec;
use belay_protocol::consent::{Capability, Grant};
use belay_protocol::id::hex;
use belay_protocol::invite::{Code, Invite, is_host_and_port};
use belay_protocol::lang::Phrase;
use belay_protocol::limits::FRAME_MAX_BYTES;
use belay_protocol::message::{Admitted, Consent, PeerRoute, ReportId, ReportOffer, StreamHeader};
use belay_protocol::phrase::KeyWords;
use belay_protocol::report::{Fact, SectionName};
use belay_protocol::session::AgentEvent;
use belay_protocol::{Language, codec};
use belay_relay::client::{Client, ClientOptions, DialError, Phase, Proxy, Session};
use belay_relay::clock::unix_ms;
use belay_relay::identity::Identity;
use belay_relay::net::Net;
use belay_relay::stream;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::consent::ledger::{Answered, Entry, Ledger};
use crate::consent::prompt::{self, Manner};
use crate::consent::{Answer, Approved, DeskStanding, Request};
use crate::data_file;
use crate::desk::{self, Verification};
use crate::paths::DEVICE_KEY;
use crate::probe::desk_path::Desk;
use crate::probe::relay_path::{self, Both, Relays};
use crate::redact::{Redacted, redact, redact_keeping};
use crate::rulebook::Rulebook;
use crate::survey::{self, Look, NoSuchTree, Smart, Survey};
use crate::terminal::{Colour, plain};

pub use error::JoinError;
pub use meeting::Invitation;
use meeting::{Meeting, Renewal, Talk, Way};

/// What the customer asked for on the command line.
#[derive(Debug, Clone)]
pub struct JoinOptions {
    /// The invite as typed: a link, or a help address.
    pub invite: String,
    /// The code as typed, beside a help address.
    pub code: Option<String>,
    /// The most that may be allowed, whatever the desk asks for; `None` leaves it to the question.
    pub grant: Option<Vec<Capability>>,
    /// The customer has agreed beforehand.
    pub yes: bool,
    /// The language of what is shown.
    pub language: Language,
    /// Whether a desk on this very machine may be asked by plain HTTP.
    pub insecure_http: bool,
    /// Directory of the device's key and the consent ledger.
    pub data: PathBuf,
    /// Where sockets come from.
    pub net: Arc<dyn Net>,
    /// The HTTP proxy of the network, for the help address and for the way to a relay where UDP does not get through.
    pub proxy: Option<Proxy>,
    /// A captured tree to look at instead of this machine.
    pub root: Option<PathBuf>,
    /// Whether the page may be coloured.
    pub colour: Colour,
    /// Whether every value is shown before the question.
    pub show: bool,
    /// Sections that are not sent unless they are put back.
    pub without: Vec<SectionName>,
    /// Whether smartmontools are asked for the health of disks: that starts a program.
    pub smart: Smart,
    /// Certificates whose end is looked at as well.
    pub certificates: Vec<String>,
    /// How long an approved report is tried to be delivered: time for a desk or a relay to be restarted.
    pub patience: Duration,
}

/// The person in front of the machine.
pub struct Person {
    /// What they type.
    pub answers: Box<dyn BufRead + Send>,
    /// What they see.
    pub page: Box<dyn Write + Send>,
}

/// How joining ended.
#[derive(Debug)]
pub enum Joined {
    /// The desk has on its disk what the customer approved.
    Filed(Receipt),
    /// The customer did not agree, or nothing that may be allowed was asked for. Nothing was sent.
    Refused,
}

/// What was sent.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Receipt {
    /// The ticket.
    pub ticket: String,
    /// The desk's name for itself.
    pub desk: String,
    /// Whether its domain vouches for it.
    pub is_verified: bool,
    /// Size of the report.
    pub report_bytes: usize,
    /// SHA-256 of the report, in hexadecimal.
    pub report_sha256: String,
}

/// Joins the session of an invite. Cancelling `cut` ends it at once, whatever is under way, and the desk is told.
pub async fn join(options: JoinOptions, mut person: Person, cut: CancellationToken) -> Result<Joined, JoinError> {
    let language = options.language;
    // Looking takes about as long as connecting. Nothing leaves the machine before the question is answered.
    let data_dir = Some(options.data.clone());
    let desk = desk_to_look_for(&options);
    let look = Look {
        root: options.root.clone(),
        language,
        desk,
        data_dir,
        smart: options.smart,
        certificates: options.certificates.clone(),
        ..Look::default()
    };
    let looking = tokio::spawn(async move { survey::look(&look, |_| {}).await });

    let invitation = invitation(&options).await?;
    let host = plain(&invitation.host);
    tell(&mut person, &CONNECTING.fill(language, &[("host", &host)]));
    let verifying = verify_in_background(&invitation, &options);
    let client = start_client(&options)?;
    let full = |wait: Duration| {
        let seconds = wait.as_secs().max(1).to_string();
        tell(&mut person, &FULL.fill(language, &[("seconds", &seconds)]));
    };
    let opening = Way::open(client, &invitation, Instant::now() + options.patience, full);
    let mut way = tokio::select! {
        way = opening => way?,
        () = cut.cancelled() => return Err(JoinError::Cut),
    };
    let measuring = measure_in_background(&way, &options);
    let mut visit = Visit { options: &options, invitation: &invitation, way: &mut way };
    let joined = tokio::select! {
        joined = visit.run(&mut person, looking, verifying, measuring) => joined,
        () = cut.cancelled() => Err(JoinError::Cut),
    };
    way.close().await;
    joined
}

/// One visit to a desk.
struct Visit<'a> {
    options: &'a JoinOptions,
    invitation: &'a Invitation,
    way: &'a mut Way,
}

/// What the customer approved, ready to be sent as often as it takes.
struct Approval {
    admitted: Admitted,
    consent: Consent,
    report: Approved,
}

impl Visit<'_> {
    async fn run(
        &mut self,
        person: &mut Person,
        looking: JoinHandle<Result<Survey, NoSuchTree>>,
        verifying: JoinHandle<Verification>,
        measuring: AbortOnDropHandle<Option<Both>>,
    ) -> Result<Joined, JoinError> {
        let language = self.options.language;
        let (desk, meeting) = self.first_meeting().await?;
        let verification = verifying.await.map_err(|error| JoinError::local(&error))?;
        if verification == Verification::Contradicted {
            return Err(JoinError::Impostor(self.invitation.host.clone()));
        }
        let is_verified = verification == Verification::Verified;
        let standing = self.standing(&verification);
        let (name, phrase) = (meeting.introduction.desk_name.clone(), meeting.session.phrase());
        let redeeming = meeting.redeem(self.invitation, language);
        let (mut talk, session, admitted) = self.way.while_there(&desk, redeeming).await?;

        let grants = self.grants(&admitted);
        let (survey, rulebook) = tokio::join!(looking, self.rulebook(person, &mut talk));
        let survey = survey.map_err(|error| JoinError::local(&error))?;
        let survey = survey.map_err(|error| JoinError::local(&error))?;
        let rulebook = Arc::new(rulebook?);
        let tried = measuring.await.map_err(|error| JoinError::local(&error))?;
        let redacted = prepare(survey, tried, Arc::clone(&rulebook), &session, self.way, self.options)?;
        rulebook.keep(redacted.standing());
        let request = Request {
            desk: name.to_string(),
            standing,
            technician: Some(admitted.technician.to_string()).filter(|technician| !technician.is_empty()),
            ticket: format!("{} {}", admitted.ticket, admitted.title),
            phrase: phrase.text(language),
            grants,
            language,
        };
        // A refusal is about what was shown first.
        let hash = *redacted.without(&self.options.without).map_err(|error| JoinError::local(&error))?.sha256();
        let answer = if request.grants.is_empty() {
            tell(person, NOTHING_ALLOWED.text(language));
            Answer::Refused
        } else {
            self.ask(person, redacted, request, &desk, &mut talk).await?
        };
        let Answer::Approved { report, grants } = answer else {
            self.note_answer(&admitted, Answered::Refused, &[], &hash)?;
            if let Ok(decline) = talk.session.decline() {
                let _ = talk.send(&decline).await;
            }
            talk.leave(&session).await;
            tell(person, DECLINED.text(language));
            return Ok(Joined::Refused);
        };
        let answered = if self.options.yes { Answered::ApprovedInAdvance } else { Answered::Approved };
        self.note_answer(&admitted, answered, &grants, report.sha256())?;

        tell(person, SENDING.text(language));
        let receipt = Receipt {
            ticket: plain(&admitted.ticket),
            desk: plain(&name),
            is_verified,
            report_bytes: report.bytes().len(),
            report_sha256: hex(report.sha256()),
        };
        let offer = ReportOffer {
            id: ReportId(rand::random()),
            size_bytes: u32::try_from(report.bytes().len()).map_err(|error| JoinError::local(&error))?,
            sha256: *report.sha256(),
        };
        let consent = Consent { grants: BoundedVec::truncating(grants).0, report: Some(offer) };
        let approval = Approval { admitted, consent, report };
        let (talk, session) = self.deliver(person, &approval, desk, talk, session).await?;
        talk.leave(&session).await;
        tell(person, &SENT.fill(language, &[("desk", &receipt.desk), ("ticket", &receipt.ticket)]));
        Ok(Joined::Filed(receipt))
    }

    /// What the survey is judged by: the newest rules that the desk has and this machine can trust.
    async fn rulebook(&self, person: &mut Person, talk: &mut Talk) -> Result<Rulebook, JoinError> {
        let (data, organization) = (&self.options.data, &self.invitation.organization);
        let language = self.options.language;
        // A captured tree is another machine: what was seen here says nothing about it.
        let here = self.options.root.is_none();
        let rulebook = if here { Rulebook::in_data_dir(data) } else { Rulebook::default() };
        let mut rulebook = rulebook.of_desk(data, organization);
        match talk.renew_rules(&mut rulebook, data, organization).await {
            Ok(Renewal::None) => {}
            Ok(Renewal::Renewed(version)) => {
                tell(person, &RULES_RENEWED.fill(language, &[("version", &version.to_string())]));
            }
            Ok(Renewal::Refused(refusal)) => {
                tracing::warn!(%refusal, "the desk's rules are refused");
                tell(person, &RULES_REFUSED.fill(language, &[("why", &plain(&refusal.sentence(language)))]));
            }
            // Whoever is lost may come back; the rules in use do until then.
            Err(error) if error.is_passing() => tracing::info!(%error, "no newer rules"),
            Err(error) => return Err(error),
        }
        Ok(rulebook)
    }

    /// Meets the desk for the first time. One that goes while it is being met, as at a restart, may come back.
    async fn first_meeting(&mut self) -> Result<(PeerRoute, Meeting), JoinError> {
        let deadline = Instant::now() + FIRST_PATIENCE;
        loop {
            let desk = self.way.desk(deadline).await?;
            match self.way.meet(&desk, self.invitation).await {
                Err(error) if !self.way.is_there(&desk) && error.is_passing() && Instant::now() < deadline => {
                    tracing::info!(%error, "the desk was lost; trying again");
                    sleep(PAUSE).await;
                }
                // What was never there cannot be lost.
                Err(JoinError::Lost(_)) => return Err(JoinError::Dial(DialError::NoAnswer)),
                met => return Ok((desk, met?)),
            }
        }
    }

    /// Asks the person, on a thread where waiting for a key is fine. The desk may end the session in the meantime.
    async fn ask(
        &mut self,
        person: &mut Person,
        redacted: Redacted,
        request: Request,
        desk: &PeerRoute,
        talk: &mut Talk,
    ) -> Result<Answer, JoinError> {
        let JoinOptions { yes, colour, show, without, .. } = self.options.clone();
        // The thread needs both; the person gets them back with the answer.
        let answers = std::mem::replace(&mut person.answers, Box::new(std::io::empty()));
        let page = std::mem::replace(&mut person.page, Box::new(std::io::sink()));
        let mut asked = Person { answers, page };
        let mut asking = tokio::task::spawn_blocking(move || {
            let manner = Manner { colour, now_unix_ms: unix_ms(), show, without };
            let answer = if yes {
                prompt::agree_in_advance(&redacted, &request, &manner, &mut asked.page)
            } else {
                prompt::ask(&redacted, &request, &manner, &mut asked.answers, &mut asked.page)
            };
            (answer, asked)
        });
        let mut may_end = true;
        loop {
            tokio::select! {
                answered = &mut asking => {
                    let (answer, asked) = answered.map_err(|error| JoinError::local(&error))?;
                    *person = asked;
                    return answer.map_err(|error| JoinError::local(&error));
                }
                event = talk.next(), if may_end => match event {
                    Ok(AgentEvent::Ended(reason)) => {
                        let error = JoinError::Ended(reason);
                        // A desk that restarts may be back when the answer is there.
                        if !error.is_passing() {
                            return Err(error);
                        }
                        may_end = false;
                    }
                    Ok(_) => return Err(JoinError::Protocol("a message during the question".to_owned())),
                    // The connection may be picked up again when there is something to send.
                    Err(_) => may_end = false,
                },
                given_up = self.way.given_up(desk), if may_end => {
                    if !given_up.is_passing() {
                        return Err(given_up);
                    }
                    may_end = false;
                }
            }
        }
    }

    /// Sends what was approved until the desk has it, through lost connections and a restarted desk.
    async fn deliver(
        &mut self,
        person: &mut Person,
        approval: &Approval,
        desk: PeerRoute,
        talk: Talk,
        session: Session,
    ) -> Result<(Talk, Session), JoinError> {
        let deadline = Instant::now() + self.options.patience;
        let mut current = Some((desk, talk, session));
        let mut has_told = false;
        loop {
            let failed = match current.take() {
                Some((desk, mut talk, session)) => {
                    let (language, phases, at_desk) = (self.options.language, session.phases(), self.way.at_desk());
                    let sending = self.send_once(approval, &desk, &mut talk, &session, deadline);
                    match telling_pauses(person, language, phases, at_desk, sending).await {
                        Ok(()) => return Ok((talk, session)),
                        Err(error) => {
                            session.close(belay_relay::close::Close::Done);
                            error
                        }
                    }
                }
                None => match self.come_back(approval, deadline).await {
                    Ok(back) => {
                        current = Some(back);
                        continue;
                    }
                    Err(error) => error,
                },
            };
            if !failed.is_passing() {
                return Err(failed);
            }
            if Instant::now() >= deadline {
                tracing::warn!(error = %failed, "the report is not confirmed");
                return Err(JoinError::NotConfirmed);
            }
            tracing::info!(error = %failed, "the connection was lost; trying again");
            if !has_told {
                tell(person, WAITING.text(self.options.language));
                has_told = true;
            }
            sleep(PAUSE).await;
        }
    }

    /// Meets the desk again with the same code, which the desk knows to be this device's.
    async fn come_back(
        &mut self,
        approval: &Approval,
        deadline: Instant,
    ) -> Result<(PeerRoute, Talk, Session), JoinError> {
        let desk = self.way.desk(deadline).await?;
        let meeting = self.way.meet(&desk, self.invitation).await?;
        let redeeming = meeting.redeem(self.invitation, self.options.language);
        let (talk, session, admitted) = match self.way.while_there(&desk, redeeming).await {
            // The session ended or the code expired in between: whether the report arrived is not known.
            Err(JoinError::CodeRefused) => return Err(JoinError::NotConfirmed),
            other => other?,
        };
        // The consent was given for one ticket.
        if admitted.ticket != approval.admitted.ticket {
            return Err(JoinError::Protocol("the code now belongs to another ticket".to_owned()));
        }
        Ok((desk, talk, session))
    }

    async fn send_once(
        &mut self,
        approval: &Approval,
        desk: &PeerRoute,
        talk: &mut Talk,
        session: &Session,
        deadline: Instant,
    ) -> Result<(), JoinError> {
        let consent = talk
            .session
            .consent(approval.consent.clone())
            .map_err(|_| JoinError::Lost("the session was over before the answer".to_owned()))?;
        if !talk.permits(Capability::Survey) {
            return Err(JoinError::Local(EXPIRED.text(self.options.language).to_owned()));
        }
        talk.send(&consent).await?;
        let sending = send_report(session, &approval.consent, &approval.report);
        let confirmed = async {
            sending.await?;
            match talk.next().await? {
                AgentEvent::Filed => Ok(()),
                AgentEvent::Ended(reason) => Err(JoinError::Ended(reason)),
                _ => Err(JoinError::Protocol("a confirmation was expected".to_owned())),
            }
        };
        let confirmed = timeout_at(deadline, self.way.until_given_up(desk, confirmed)).await;
        confirmed.unwrap_or_else(|_| Err(JoinError::Lost("no confirmation in time".to_owned())))
    }

    fn standing(&self, verification: &Verification) -> DeskStanding {
        match verification {
            Verification::Verified => DeskStanding::Verified { domain: self.invitation.host.clone() },
            other => {
                tracing::info!(?other, "the desk is not verified");
                let words = KeyWords::of(&self.invitation.organization);
                DeskStanding::Unverified { key_words: words.text(self.options.language) }
            }
        }
    }

    /// What is asked for and may be allowed, each with its end.
    fn grants(&self, admitted: &Admitted) -> Vec<Grant> {
        let until_unix_ms = unix_ms() + GRANT_LIFE_MS;
        let may = |capability: &Capability| self.options.grant.as_ref().is_none_or(|most| most.contains(capability));
        let offered = admitted.requested.iter().filter(|capability| OFFERED.contains(capability));
        offered.filter(|c| may(c)).map(|&capability| Grant { capability, until_unix_ms }).collect()
    }

    fn note_answer(
        &self,
        admitted: &Admitted,
        answered: Answered,
        grants: &[Grant],
        report_sha256: &[u8; 32],
    ) -> Result<(), JoinError> {
        let organization = &self.invitation.organization;
        let entry = Entry::new(unix_ms(), organization, plain(&admitted.ticket), answered, grants, report_sha256);
        Ledger::in_data_dir(&self.options.data)
            .and_then(|ledger| ledger.append(&entry))
            .map_err(|error| JoinError::local(&error))
    }
}

async fn send_report(session: &Session, consent: &Consent, report: &Approved) -> Result<(), JoinError> {
    let Some(offer) = consent.report else { return Ok(()) };
    let broken = |error: &dyn std::fmt::Display| JoinError::Lost(error.to_string());
    // Nothing is said in the other direction.
    let (mut channel, _) = session.open_channel().map_err(|error| broken(&error))?;
    let header = codec::encode(&StreamHeader::Report(offer.id), FRAME_MAX_BYTES).map_err(|error| broken(&error))?;
    stream::write_frame(&mut channel, &header, FRAME_MAX_BYTES).await.map_err(|error| broken(&error))?;
    channel.write_all(report.bytes()).await.map_err(|error| broken(&error))?;
    channel.finish();
    Ok(())
}

/// Does something that may take as long as a pause of the session, or an absence of the desk at the relay, and tells the
/// person of each.
async fn telling_pauses<T>(
    person: &mut Person,
    language: Language,
    mut phases: watch::Receiver<Phase>,
    mut at_desk: watch::Receiver<bool>,
    doing: impl Future<Output = T>,
) -> T {
    let mut doing = std::pin::pin!(doing);
    let mut is_paused = false;
    loop {
        let (phase, is_at_desk) = (*phases.borrow_and_update(), *at_desk.borrow_and_update());
        let was_paused = is_paused;
        is_paused = phase == Phase::Paused || !is_at_desk;
        match phase {
            Phase::Live | Phase::Paused if is_paused && !was_paused => tell(person, PAUSED.text(language)),
            Phase::Live if was_paused && !is_paused => tell(person, RESUMED.text(language)),
            _ => {}
        }
        tokio::select! {
            done = &mut doing => return done,
            Ok(()) = phases.changed() => {}
            Ok(()) = at_desk.changed() => {}
        }
    }
}

/// Adds what was tried of the way to the relay and what the session knows about it, and redacts.
fn prepare(
    mut survey: Survey,
    tried: Option<Both>,
    rulebook: Arc<Rulebook>,
    session: &Session,
    way: &Way,
    options: &JoinOptions,
) -> Result<Redacted, JoinError> {
    if let Some(in_use) = way.in_use() {
        // The way may have changed to another relay since.
        let tried = tried.filter(|tried| tried.is_of(&in_use.relay));
        let tried = tried.unwrap_or_else(|| Both::untried(in_use.relay.clone()));
        survey.network.relay = Fact::Known(tried.in_session(&in_use, &session.link().path()));
    }
    // The names in a captured tree are another machine's.
    let redacted = match options.root {
        Some(_) => redact(survey, rulebook),
        None => redact_keeping(survey, rulebook, &options.data),
    };
    redacted.map_err(|error| JoinError::local(&error))
}

/// What an invite comes down to. A help address is asked for its desk here; a link carries everything.
async fn invitation(options: &JoinOptions) -> Result<Invitation, JoinError> {
    if is_link(&options.invite) {
        let invite: Invite = options.invite.parse()?;
        return Ok(Invitation {
            relays: invite.relays().cloned().collect(),
            organization: invite.organization,
            code: invite.code,
            secret: Some(invite.secret),
            host: invite.desk,
        });
    }
    let code: Code = options.code.as_deref().ok_or(JoinError::NoInvite)?.parse()?;
    let host = help_host(&options.invite)?;
    let (asked, insecure_http, proxy) = (host.clone(), options.insecure_http, options.proxy.clone());
    let document = tokio::task::spawn_blocking(move || desk::fetch(&asked, insecure_http, proxy.as_ref()))
        .await
        .map_err(|error| JoinError::local(&error))?
        .map_err(|source| JoinError::HelpHost { host: plain(&host), source })?;
    let organization = document
        .organization()
        .ok_or_else(|| JoinError::HelpHost { host: plain(&host), source: desk::WellKnownError::NotADesk })?;
    let relays = document.relays();
    if relays.is_empty() {
        return Err(JoinError::NoRelay(plain(&host)));
    }
    Ok(Invitation { relays, organization, code, secret: None, host })
}

/// The desk whose way is looked at while it is being met; none for one on this very machine, where there is no way.
fn desk_to_look_for(options: &JoinOptions) -> Option<Desk> {
    let host = match options.invite.parse::<Invite>() {
        Ok(invite) => invite.desk,
        Err(_) => help_host(&options.invite).ok()?,
    };
    let is_far = !options.insecure_http && !desk::is_loopback(&host);
    is_far.then(|| Desk { deadline: DESK_DEADLINE, ..Desk::new(host, options.proxy.clone()) })
}

/// Three round trips by satellite. Meeting the desk takes as long, so that nobody waits for it.
const DESK_DEADLINE: Duration = Duration::from_secs(2);

/// Whether what the customer gave is meant to be an invite link.
pub(crate) fn is_link(text: &str) -> bool {
    text.trim().get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("belay:"))
}

/// The host of a help address as typed, or of a page of that host as copied.
pub(crate) fn help_host(text: &str) -> Result<String, JoinError> {
    let address = text.trim();
    let address = address.split_once("://").map_or(address, |(scheme, rest)| {
        if ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) { rest } else { address }
    });
    let host = address.split(['/', '?', '#']).next().unwrap_or_default();
    match is_host_and_port(host) {
        true => Ok(host.to_owned()),
        false if text.trim().is_empty() => Err(JoinError::NoInvite),
        false => Err(JoinError::NotAHost(plain(text.trim()).chars().take(SHOWN_CHARS).collect())),
    }
}

/// What is repeated of something that was typed.
const SHOWN_CHARS: usize = 64;

/// A link's host is asked while the relay is being reached. In the other form the host has been asked already.
fn verify_in_background(invitation: &Invitation, options: &JoinOptions) -> JoinHandle<Verification> {
    let (host, organization) = (invitation.host.clone(), invitation.organization);
    let has_been_asked = invitation.secret.is_none();
    let (insecure_http, proxy) = (options.insecure_http, options.proxy.clone());
    tokio::task::spawn_blocking(move || {
        if has_been_asked {
            return Verification::Verified;
        }
        desk::verify(&host, &organization, insecure_http, proxy.as_ref())
    })
}

fn start_client(options: &JoinOptions) -> Result<Client, JoinError> {
    let unusable = |source| JoinError::Data { dir: options.data.clone(), source };
    if !data_file::answers(&options.data) {
        return Err(unusable(None));
    }
    std::fs::create_dir_all(&options.data).map_err(|error| unusable(Some(error)))?;
    let identity =
        Identity::load_or_create(&options.data.join(DEVICE_KEY)).map_err(|error| JoinError::local(&error))?;
    let client = ClientOptions {
        keep_alive: CONTROL_KEEP_ALIVE,
        proxy: options.proxy.clone(),
        ..ClientOptions::new(Arc::clone(&options.net))
    };
    Client::start(Arc::new(identity), client).map_err(|error| JoinError::local(&error))
}

/// Both ways to the relay that was found are tried while the desk is being met.
fn measure_in_background(way: &Way, options: &JoinOptions) -> AbortOnDropHandle<Option<Both>> {
    let relays = Relays {
        relays: way.in_use().map(|in_use| in_use.relay).into_iter().collect(),
        net: Arc::clone(&options.net),
        proxy: options.proxy.clone(),
        deadline: relay_path::DEADLINE,
    };
    AbortOnDropHandle::new(tokio::spawn(relay_path::nearest(relays)))
}

/// A page that cannot be written to is a terminal that has gone; what happens is in the log as well.
fn tell(person: &mut Person, line: &str) {
    tracing::debug!(line);
    let _ = writeln!(person.page, "{line}").and_then(|()| person.page.flush());
}

/// What this agent can do; a desk may ask for more.
const OFFERED: [Capability; 1] = [Capability::Survey];

/// How long a grant holds.
const GRANT_LIFE_MS: i64 = 60 * 60 * 1000;

/// The patience of a customer on the phone.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long a desk that is not there is waited for: after a relay's restart it comes back within seconds.
const FIRST_PATIENCE: Duration = Duration::from_secs(10);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// A person is waiting, so that the restart of a relay should be noticed within seconds.
const CONTROL_KEEP_ALIVE: Duration = Duration::from_secs(5);

const CONNECTING: Phrase =
    Phrase { en: "Connecting to the support desk at {host} ...", zh: "正在连接支持台 {host} ……" };
const FULL: Phrase = Phrase {
    en: "The relay is full at the moment; trying again in {seconds} seconds ...",
    zh: "中继服务器当前已满，{seconds} 秒后重试……",
};
const SENDING: Phrase = Phrase { en: "Sending ...", zh: "正在发送……" };
const WAITING: Phrase = Phrase {
    en: "The connection was lost; waiting for the support desk to come back ...",
    zh: "连接已中断，正在等待支持台恢复……",
};
const PAUSED: Phrase = Phrase {
    en: "The connection was lost; the session is paused until it is back ...",
    zh: "连接已中断，会话暂停，正在等待恢复……",
};
const RESUMED: Phrase =
    Phrase { en: "The connection is back; the session goes on.", zh: "连接已恢复，会话继续。" };
const SENT: Phrase = Phrase {
    en: "Done: {desk} has your report for ticket {ticket}. The connection is closed; nothing else was sent.",
    zh: "完成：{desk} 已收到工单 {ticket} 的报告。连接已关闭，未发送其他内容。",
};
const RULES_RENEWED: Phrase = Phrase {
    en: "Your support desk gave newer rules (version {version}); they are signed and used from now on.",
    zh: "支持台提供了更新的检查规则（版本 {version}），签名有效，即日起使用。",
};
const RULES_REFUSED: Phrase = Phrase {
    en: "Your support desk offered rules that are not used: {why}. The rules in use stay.",
    zh: "支持台提供的检查规则未被采用：{why}。继续使用现有规则。",
};
const DECLINED: Phrase =
    Phrase { en: "You did not agree. Nothing was sent.", zh: "您未同意。未发送任何内容。" };
const NOTHING_ALLOWED: Phrase = Phrase {
    en: "The desk asked for nothing that you allow with --grant.",
    zh: "支持台的请求均不在 --grant 允许的范围内。",
};
const EXPIRED: Phrase = Phrase {
    en: "Your permission has ended before the report could be sent. Nothing was sent; please run the command again.",
    zh: "在报告发送之前许可已到期。未发送任何内容，请重新运行命令。",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_addresses_are_read_as_people_type_them() {
        for (typed, host) in [
            ("help.example.com", Some("help.example.com")),
            (" https://help.example.com/ ", Some("help.example.com")),
            ("localhost:8080", Some("localhost:8080")),
            ("[::1]:8080", Some("[::1]:8080")),
            ("", None),
            ("https://", None),
            ("help.example.com/path", Some("help.example.com")),
            ("HTTPS://help.example.com:8443/join?code=1#x", Some("help.example.com:8443")),
            ("ftp://help.example.com", None),
            ("help.example.com:99999", None),
            ("help example com", None),
            ("user@help.example.com", None),
            ("帮助.example.com", None),
        ] {
            assert_eq!(help_host(typed).ok().as_deref(), host, "{typed}");
        }
    }
}
