//! Meeting a desk: through a relay to the console, and making sure that it is the right one.

use std::path::Path;
use std::time::Duration;

use belay_protocol::bounded::Name;
use belay_protocol::consent::Capability;
use belay_protocol::invite::{Code, InviteSecret, RelayAddress};
use belay_protocol::limits::HANDSHAKE_DEADLINE;
use belay_protocol::message::{
    Admitted, AgentMessage, ConsoleMessage, Introduction, PeerRoute, Redeem, Refusal, RelayRefusal,
};
use belay_protocol::rules::PackRefusal;
use belay_protocol::session::{AgentEvent, AgentSession};
use belay_protocol::well_known::WellKnownRelay;
use belay_protocol::{ConsoleKey, Language, OrganizationKey};
use belay_relay::client::{
    Client, FurtherRelays, InUse, Link, Notice, Registration, RelayError, Role, SamePeer, Session,
};
use belay_relay::clock::unix_ms;
use belay_relay::close::Close;
use belay_relay::identity::verify_delegation;
use belay_relay::stream::{self, Arrivals, Sender, StreamError};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::JoinError;
use crate::rulebook::Rulebook;

/// What an invite comes down to, in either of its forms.
#[derive(Debug, Clone)]
pub struct Invitation {
    /// Where to meet, at one at least: a link names one relay, a help address all of them.
    pub relays: Vec<RelayAddress>,
    /// Whom to meet.
    pub organization: OrganizationKey,
    /// The code.
    pub code: Code,
    /// The secret beside it, in a link.
    pub secret: Option<InviteSecret>,
    /// The host that vouches for the organization key.
    pub host: String,
}

/// A way to a desk: registered with the nearest relay, on the lookout for the desk.
pub(super) struct Way {
    client: Client,
    registration: Registration,
    /// The relays as the customer reads them.
    relays: String,
    desk: Option<PeerRoute>,
    at_desk: watch::Sender<bool>,
}

impl Way {
    /// Registers with the nearest relay of the invitation and asks for the desk. That no relay can be used at first is an
    /// error; later failures are waited out, and so is a relay that is full, until `deadline`: `full` is called with the
    /// time that it asks for.
    pub(super) async fn open(
        client: Client,
        invitation: &Invitation,
        deadline: Instant,
        mut full: impl FnMut(Duration),
    ) -> Result<Self, JoinError> {
        let relays: Vec<String> = invitation.relays.iter().map(RelayAddress::host_port).collect();
        let relays = relays.join(", ");
        let mut registration = client.register_nearest(invitation.relays.clone(), Role::Agent);
        loop {
            match registration.notice().await {
                Some(Notice::Up) => break,
                Some(Notice::Down(source)) => match source.retry_after() {
                    Some(wait) if Instant::now() + wait < deadline => full(wait),
                    _ => return Err(JoinError::Relay { relay: relays, source }),
                },
                _ => return Err(JoinError::Lost("the registration ended".to_owned())),
            }
        }
        registration.reach(invitation.organization).await;
        Ok(Self { client, registration, relays, desk: None, at_desk: watch::Sender::new(false) })
    }

    /// Waits until `deadline` for the relay to connect us to a console of the desk, which may come back in the meantime.
    pub(super) async fn desk(&mut self, deadline: Instant) -> Result<PeerRoute, JoinError> {
        if let Some(desk) = self.desk {
            return Ok(desk);
        }
        let mut last = JoinError::NotConnected(RelayRefusal::DeskOffline);
        loop {
            match timeout_at(deadline, self.registration.notice()).await {
                Err(_) => return Err(last),
                Ok(None) => return Err(JoinError::Lost("the registration ended".to_owned())),
                Ok(Some(notice)) => {
                    self.note(&notice);
                    last = match notice {
                        Notice::Opened { peer, .. } => return Ok(peer),
                        Notice::Refused(refusal) => JoinError::NotConnected(refusal),
                        Notice::Down(source) => JoinError::Relay { relay: self.relays.clone(), source },
                        _ => continue,
                    };
                    if !last.is_passing() {
                        return Err(last);
                    }
                }
            }
        }
    }

    fn note(&mut self, notice: &Notice) {
        match notice {
            Notice::Opened { peer, .. } => self.desk = Some(*peer),
            Notice::Gone(peer) if self.desk == Some(*peer) => self.desk = None,
            _ => {}
        }
        self.at_desk.send_if_modified(|at_desk| std::mem::replace(at_desk, self.desk.is_some()) != self.desk.is_some());
    }

    /// Whether the relay has connected us to a console, and every change.
    pub(super) fn at_desk(&self) -> watch::Receiver<bool> {
        self.at_desk.subscribe()
    }

    /// The way to the relay that was found last.
    pub(super) fn in_use(&self) -> Option<InUse> {
        self.registration.in_use()
    }

    /// Says whether the console is still the one that the relay has last connected us to.
    pub(super) fn is_there(&self, desk: &PeerRoute) -> bool {
        self.desk == Some(*desk)
    }

    /// Talks with the console until that is done, or the relay says that the console has gone: then nobody is left to
    /// wait for.
    pub(super) async fn while_there<T>(
        &mut self,
        desk: &PeerRoute,
        talking: impl Future<Output = Result<T, JoinError>>,
    ) -> Result<T, JoinError> {
        tokio::select! {
            biased;
            talked = talking => talked,
            () = self.desk_gone(desk) => Err(JoinError::Lost("the desk has gone".to_owned())),
        }
    }

    /// The next notice that the console we talk to has gone; never returns otherwise.
    async fn desk_gone(&mut self, desk: &PeerRoute) {
        loop {
            let Some(notice) = self.registration.notice().await else { std::future::pending().await };
            self.note(&notice);
            match notice {
                Notice::Gone(peer) if peer == *desk => return,
                // The same organization under a new route: the console was restarted.
                Notice::Opened { peer, .. } if peer != *desk => return,
                Notice::Slowed(_) => tracing::warn!("slowed by the relay's budget"),
                Notice::Down(error) => tracing::warn!(%error, "the relay was lost; trying again"),
                _ => {}
            }
        }
    }

    /// Talks with the console in a session that outlives its links, until that is done or the session cannot come back. A
    /// console that is gone at the relay may return, to this relay or another: that is for the session to find out.
    pub(super) async fn until_given_up<T>(
        &mut self,
        desk: &PeerRoute,
        talking: impl Future<Output = Result<T, JoinError>>,
    ) -> Result<T, JoinError> {
        tokio::select! {
            biased;
            talked = talking => talked,
            given_up = self.given_up(desk) => Err(given_up),
        }
    }

    /// Why a session with this console cannot come back; never returns otherwise. Cancel-safe.
    pub(super) async fn given_up(&mut self, desk: &PeerRoute) -> JoinError {
        loop {
            // The same organization under a new route: the console was restarted and knows of no session.
            if self.desk.is_some_and(|other| other != *desk) {
                return JoinError::Lost("the desk was restarted".to_owned());
            }
            let Some(notice) = self.registration.notice().await else { std::future::pending().await };
            self.note(&notice);
            match notice {
                Notice::Refused(refusal) => {
                    let refused = JoinError::NotConnected(refusal);
                    if !refused.is_passing() {
                        return refused;
                    }
                }
                Notice::Slowed(_) => tracing::warn!("slowed by the relay's budget"),
                Notice::Down(error) => tracing::warn!(%error, "the relay was lost; trying again"),
                _ => {}
            }
        }
    }

    /// Opens a session with the console and makes sure that it speaks for the organization of the invitation.
    pub(super) async fn meet(&mut self, desk: &PeerRoute, invitation: &Invitation) -> Result<Meeting, JoinError> {
        let (client, further) = (self.client.clone(), self.registration.further_relays());
        let meeting = async {
            let link = client.dial(desk).await?;
            let way_back = SamePeer { client: client.clone(), peer: *desk };
            let met = timeout(HANDSHAKE_DEADLINE, Meeting::begin(link.clone(), way_back, further, invitation)).await;
            let met = met.unwrap_or_else(|_| Err(JoinError::Lost("no greeting in time".to_owned())));
            if met.is_err() {
                link.close(Close::Done);
            }
            met
        };
        let met = self.while_there(desk, meeting).await;
        if matches!(met, Err(JoinError::Dial(_))) {
            // The console may have been restarted: ask the relay again.
            self.desk = None;
            self.registration.reach(invitation.organization).await;
        }
        met
    }

    /// Closes every connection; desk and relay are told.
    pub(super) async fn close(self) {
        self.client.close().await;
    }
}

/// A conversation with a desk that has proved to be the right one.
pub(super) struct Meeting {
    pub(super) session: Session,
    pub(super) introduction: Introduction,
    talk: Talk,
    way_back: SamePeer,
}

impl Meeting {
    async fn begin(
        link: Link,
        way_back: SamePeer,
        further: FurtherRelays,
        invitation: &Invitation,
    ) -> Result<Self, JoinError> {
        let session = Session::begin(link).await.map_err(lost)?;
        // The desk opens the conversation: a stranger may open nothing.
        let (send, recv) = session.accept_channel().await.map_err(|error| JoinError::Lost(error.to_string()))?;
        let (sender, receiver) = stream::halves::<AgentMessage, ConsoleMessage>(send, recv);
        let mut talk = Talk { session: AgentSession::default(), further, sender, arrivals: receiver.arrivals() };
        let AgentEvent::DeskIntroduced(introduction) = talk.next().await? else {
            return Err(JoinError::Protocol("an introduction was expected".to_owned()));
        };
        // The relay has told which console this is; only the organization's signature makes it the desk.
        let console = ConsoleKey(session.peer_key());
        verify_delegation(&introduction.delegation, &invitation.organization, &console, unix_ms()).map_err(
            |error| {
                tracing::warn!(%error, "the desk's delegation is not good");
                JoinError::NotTheDesk
            },
        )?;
        Ok(Self { session, introduction, talk, way_back })
    }

    /// Presents the code.
    pub(super) async fn redeem(
        self,
        invitation: &Invitation,
        language: Language,
    ) -> Result<(Talk, Session, Admitted), JoinError> {
        let Self { session, mut talk, way_back, .. } = self;
        let redeem = Redeem {
            code: invitation.code,
            secret: invitation.secret.clone(),
            agent_version: Name::truncating(env!("CARGO_PKG_VERSION")),
            platform: Name::truncating(concat_platform()),
            language,
        };
        let message = talk.session.redeem(redeem).map_err(|_| JoinError::Protocol("out of turn".to_owned()))?;
        talk.send(&message).await?;
        let answer = timeout(CODE_DEADLINE, talk.next()).await;
        match answer.map_err(|_| JoinError::Lost("no answer to the code".to_owned()))?? {
            AgentEvent::Asked(admitted) => {
                // From here on the desk keeps the session too.
                session.outlive_links(way_back);
                Ok((talk, session, admitted))
            }
            AgentEvent::Refused(Refusal::NotValid) => Err(JoinError::CodeRefused),
            AgentEvent::Refused(Refusal::SlowDown { retry_after_ms }) => {
                Err(JoinError::SlowDown { seconds: retry_after_ms.div_ceil(1000) })
            }
            AgentEvent::Refused(Refusal::Unavailable) => Err(JoinError::DeskUnavailable),
            AgentEvent::Ended(reason) => Err(JoinError::Ended(reason)),
            _ => Err(JoinError::Protocol("an answer to the code was expected".to_owned())),
        }
    }
}

/// The messages of a session with the machine that checks their order.
pub(super) struct Talk {
    pub(super) session: AgentSession,
    further: FurtherRelays,
    sender: Sender<AgentMessage>,
    arrivals: Arrivals<ConsoleMessage>,
}

impl Talk {
    pub(super) async fn send(&mut self, message: &AgentMessage) -> Result<(), JoinError> {
        self.sender.send(message).await.map_err(lost)
    }

    /// The next event but for further relays, which are noted, and rules, which nobody waits for any more. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<AgentEvent, JoinError> {
        loop {
            match self.next_with_rules().await? {
                AgentEvent::NoNewerRules
                | AgentEvent::RulesOffered(_)
                | AgentEvent::RulesComing
                | AgentEvent::RulesCame(_) => {}
                event => return Ok(event),
            }
        }
    }

    /// Asks the desk for newer rules than those of `rulebook`, and takes them into use when they are good. The refusal
    /// of what is not is an outcome like another; only a session that is over is an error. Cancelled, it may be half way
    /// through a message, so that it must not be.
    pub(super) async fn renew_rules(
        &mut self,
        rulebook: &mut Rulebook,
        dir: &Path,
        organization: &OrganizationKey,
    ) -> Result<Renewal, JoinError> {
        let ask = self.session.ask_for_rules(rulebook.pack().pack_id());
        self.send(&ask.map_err(|_| JoinError::Protocol("out of turn".to_owned()))?).await?;
        let deadline = Instant::now() + RULES_DEADLINE;
        let mut offered = None;
        loop {
            let Ok(event) = timeout_at(deadline, self.next_with_rules()).await else { return Ok(Renewal::None) };
            match event? {
                AgentEvent::NoNewerRules => return Ok(Renewal::None),
                AgentEvent::RulesOffered(offer) => {
                    if let Err(refusal) = rulebook.check_offer(&offer, organization, unix_ms()) {
                        return Ok(Renewal::Refused(refusal));
                    }
                    let take = self.session.take_rules();
                    self.send(&take.map_err(|_| JoinError::Protocol("an offer of no rules".to_owned()))?).await?;
                    offered = Some(offer);
                }
                AgentEvent::RulesComing => {}
                AgentEvent::RulesCame(bytes) => {
                    let Some(offer) = &offered else {
                        return Err(JoinError::Protocol("rules that were not offered".to_owned()));
                    };
                    return Ok(match rulebook.renew(dir, offer, &bytes, organization, unix_ms()) {
                        Ok(()) => Renewal::Renewed(offer.pack.version),
                        Err(refusal) => Renewal::Refused(refusal),
                    });
                }
                AgentEvent::Ended(reason) => return Err(JoinError::Ended(reason)),
                _ => return Err(JoinError::Protocol("a message before the question".to_owned())),
            }
        }
    }

    async fn next_with_rules(&mut self) -> Result<AgentEvent, JoinError> {
        loop {
            let message = self.arrivals.next().await.map_err(lost)?;
            let message = message.ok_or_else(|| JoinError::Lost("the desk ended the conversation".to_owned()))?;
            let event = self.session.receive(message);
            match event.map_err(|violation| JoinError::Protocol(violation.to_string()))? {
                // They are met with the keys named here, and the session is the desk's own whoever forwards it.
                AgentEvent::AlsoAt(relays) => {
                    self.further.also_at(relays.iter().filter_map(WellKnownRelay::address).collect());
                }
                event => return Ok(event),
            }
        }
    }

    /// Says goodbye and waits until the desk has heard it.
    pub(super) async fn leave(mut self, session: &Session) {
        if let Some(bye) = self.session.leave() {
            let _ = self.sender.send(&bye).await;
        }
        let _ = timeout(GOODBYE, self.sender.finish()).await;
        // The desk closes once it has recorded the end.
        let _ = timeout(GOODBYE, session.closed()).await;
        session.close(Close::Done);
    }

    /// Says whether the desk could still allow `capability`; used before each action.
    pub(super) fn permits(&self, capability: Capability) -> bool {
        self.session.permits(capability, unix_ms())
    }
}

/// What came of asking for newer rules.
pub(super) enum Renewal {
    /// The desk has none, or did not say so in time.
    None,
    /// The rules of this version are in use now.
    Renewed(u32),
    /// What was offered is not used.
    Refused(PackRefusal),
}

/// Time for newer rules to come; the survey they are for takes about as long. Without them the rules in use do.
const RULES_DEADLINE: Duration = Duration::from_secs(3);

/// Time for the desk to look a code up, with the pause it makes while it is being guessed at.
const CODE_DEADLINE: Duration = Duration::from_secs(20);

/// Time for a goodbye to be heard.
const GOODBYE: Duration = Duration::from_secs(2);

fn lost(error: StreamError) -> JoinError {
    match error {
        StreamError::Lost | StreamError::Ended => JoinError::Lost(error.to_string()),
        StreamError::Version(_) => {
            JoinError::Relay { relay: "the desk".to_owned(), source: RelayError::Protocol(error) }
        }
        error => JoinError::Protocol(error.to_string()),
    }
}

fn concat_platform() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}
