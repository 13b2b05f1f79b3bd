//! One session with one device, from the greeting to the end.
//!
//! The order of things is [`ConsoleSession`]'s; this module moves messages and bytes and keeps the store in step. A
//! report is acknowledged when the store has it on the disk, and not before.

use std::time::Duration;

use belay_protocol::bounded::{BoundedVec, Name, Text};
use belay_protocol::consent::Capability;
use belay_protocol::limits::{FRAME_MAX_BYTES, HANDSHAKE_DEADLINE};
use belay_protocol::message::{
    self, Admitted, AgentMessage, Consent, ConsoleMessage, Redeem, Refusal, ReportOffer, StreamHeader,
};
use belay_protocol::report::Report;
use belay_protocol::session::{ConsoleEvent, ConsoleSession, Violation};
use belay_protocol::signed_pack::PackId;
use belay_protocol::{DeviceKey, codec};
use belay_relay::client::{Arrival, Link, Phase, Session};
use belay_relay::close::Close;
use belay_relay::stream::{self, Arrivals, Sender, StreamError};
use tokio::sync::{broadcast, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::clock::UnixMillis;
use crate::desk::Shared;
use crate::rules;
use crate::store::{
    Actor, EndReason, FileError, NewConsent, PublishedPack, RedeemError, Redeemed, SessionError, SessionId, StoreError,
};
use crate::ticket::TicketState;

/// Time in which the bytes of a consented report must arrive, without pauses; a session that is stuck longer is better
/// begun again.
const REPORT_DEADLINE: Duration = Duration::from_secs(120);

/// Time for the last message of a session to reach the device.
const LAST_WORD: Duration = Duration::from_secs(2);

/// Time for a device to hear that its visit was ended here. Longer, because its link may be lost without our knowledge,
/// and it is told when it comes back.
const FAREWELL: Duration = Duration::from_secs(60);

/// Why a session ended other than by agreement.
#[derive(Debug, thiserror::Error)]
enum Broken {
    /// The link is gone; the device may come back.
    #[error("the connection was lost")]
    Lost,
    /// The device did what it must not.
    #[error("the device broke the protocol: {0}")]
    Protocol(String),
    /// The store failed; nothing was acknowledged.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<StreamError> for Broken {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Lost => Self::Lost,
            error => Self::Protocol(error.to_string()),
        }
    }
}

impl From<Violation> for Broken {
    fn from(violation: Violation) -> Self {
        Self::Protocol(violation.to_string())
    }
}

impl From<SessionError> for Broken {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Store(error) => error.into(),
            // Somebody ended it in the meantime; what the device says now has no place any more.
            SessionError::NoSession | SessionError::Ended => Self::Protocol(error.to_string()),
        }
    }
}

/// Serves what a link brings: a session until its end, or the next link of one that is being served.
pub(crate) async fn serve(shared: &Shared, link: Link, stop: &CancellationToken) {
    let arrived = timeout(HANDSHAKE_DEADLINE, async {
        match shared.resumables.arrive(link.clone()).await? {
            Arrival::Fresh(session) => Talk::begin(shared, session).await.map(Some),
            Arrival::Resumed | Arrival::Refused => Ok(None),
        }
    });
    let mut talk = match arrived.await {
        Ok(Ok(Some(talk))) => talk,
        Ok(Ok(None)) => return,
        Ok(Err(error)) => {
            tracing::debug!(%error, "no session");
            link.close(if matches!(error, StreamError::Version(_)) { Close::Version } else { Close::Violation });
            return;
        }
        Err(_) => {
            link.close(Close::TooSlow);
            return;
        }
    };
    drop(link);
    let redeemed = match talk.redeem(shared).await {
        Ok(Some(redeemed)) => redeemed,
        Ok(None) => {
            talk.finish(Close::NotAdmitted, LAST_WORD, stop).await;
            return;
        }
        Err(broken) => {
            talk.break_off(&broken, stop).await;
            return;
        }
    };
    tracing::Span::current().record("ticket", redeemed.ticket.number.to_string());
    tracing::info!(resumed = redeemed.resumed, "admitted");
    let visit = shared.begin_visit(redeemed.session);
    let ended = tokio::select! {
        ended = talk.converse(shared, &redeemed, stop) => ended,
        () = visit.cancelled() => Ok(Ended::Succeeded),
    };
    shared.end_visit(redeemed.session, &visit);
    let (id, actor) = (redeemed.session, Actor::Device(talk.device()));
    let recorded = match &ended {
        Ok(Ended::By(reason)) => shared.store.end_session(&actor, id, *reason).await,
        Ok(Ended::Elsewhere | Ended::Stopping | Ended::Succeeded) => Ok(()),
        Err(Broken::Protocol(_)) => shared.store.end_session(&actor, id, EndReason::Protocol).await,
        Err(Broken::Lost | Broken::Store(_)) => shared.store.interrupt_session(id).await,
    };
    if let Err(error) = recorded {
        tracing::error!(%error, "the end of a session could not be recorded");
    }
    match ended {
        Ok(Ended::Succeeded) => talk.transport.close(Close::Replaced),
        Ok(Ended::Elsewhere) => talk.finish(Close::Done, FAREWELL, stop).await,
        Ok(_) => talk.finish(Close::Done, LAST_WORD, stop).await,
        Err(broken) => talk.break_off(&broken, stop).await,
    }
}

/// How a session ended by agreement.
#[derive(Debug)]
enum Ended {
    /// By the device's word, for this reason.
    By(EndReason),
    /// The store knows already: a technician ended it, closed the ticket or revoked the device.
    Elsewhere,
    /// The console stops; the device may come back.
    Stopping,
    /// The device has come back with its code, and another conversation has taken this session over.
    Succeeded,
}

/// The conversation on the session's first channel.
struct Talk {
    transport: Session,
    session: ConsoleSession,
    sender: Sender<ConsoleMessage>,
    arrivals: Arrivals<AgentMessage>,
    /// The rules that the device may take.
    offered: Option<PublishedPack>,
}

impl Talk {
    async fn begin(shared: &Shared, transport: Session) -> Result<Self, StreamError> {
        let (send, recv) = transport.open_channel().map_err(|_| StreamError::Lost)?;
        let (mut sender, receiver) = stream::halves::<ConsoleMessage, AgentMessage>(send, recv);
        let mut session = ConsoleSession::default();
        let introduction =
            session.introduce(shared.introduction.clone()).expect("a new session begins with the introduction");
        sender.send(&introduction).await?;
        Ok(Self { transport, session, sender, arrivals: receiver.arrivals(), offered: None })
    }

    /// Takes the code. `None` when it was not good, and then the device has been told; the answer to a good one is
    /// [`Talk::converse`]'s, because from here on the store must learn how the session goes on.
    async fn redeem(&mut self, shared: &Shared) -> Result<Option<Redeemed>, Broken> {
        let (device, phrase) = (&self.device(), self.transport.phrase());
        let event = timeout(HANDSHAKE_DEADLINE, self.next_event()).await.map_err(|_| Broken::Lost)??;
        let ConsoleEvent::Redeem(Redeem { code, secret, .. }) = event else {
            return Err(Broken::Protocol("a code was expected".to_owned()));
        };
        if secret.is_none() {
            tokio::time::sleep(shared.store.guess_pace().await?).await;
        }
        let source = shared.source_of(device);
        let refusal = match shared.store.redeem_invite(device, code, secret.as_ref(), source, Some(&phrase)).await {
            Ok(redeemed) => return Ok(Some(redeemed)),
            Err(RedeemError::NotValid) => Refusal::NotValid,
            Err(RedeemError::SlowDown { retry_after }) => {
                Refusal::SlowDown { retry_after_ms: u32::try_from(retry_after.as_millis()).unwrap_or(u32::MAX) }
            }
            Err(RedeemError::Store(error)) => {
                tracing::error!(%error, "a code could not be looked up");
                Refusal::Unavailable
            }
        };
        let refused = self.session.refuse(refusal).map_err(|_| Broken::Lost)?;
        self.sender.send(&refused).await?;
        Ok(None)
    }

    /// From the customer's answer to the end.
    async fn converse(
        &mut self,
        shared: &Shared,
        redeemed: &Redeemed,
        stop: &CancellationToken,
    ) -> Result<Ended, Broken> {
        let mut events = shared.store.live_events();
        self.transport.admit(&shared.resumables);
        let mut phases = self.transport.phases();
        let mut may_go_on = true;
        let admitted = self.session.admit(admitted(redeemed)).map_err(|_| Broken::Lost)?;
        self.sender.send(&admitted).await?;
        // The one relay of a link may die; a device that came by a single one learns of the others.
        if shared.relays.len() > 1 {
            let relays = self.session.also_at(shared.relays.clone()).map_err(|_| Broken::Lost)?;
            self.sender.send(&relays).await?;
        }
        let departure = shared.departure_of(&self.device());
        // What happened to the session between its code and the first event that is heard here.
        if let Some(reason) = end_by_store(shared, redeemed).await {
            self.end(reason).await;
            return Ok(Ended::Elsewhere);
        }
        loop {
            tokio::select! {
                // A pause and a resume come before whatever the device says after them.
                biased;
                () = departure.cancelled() => return Err(Broken::Lost),
                () = stop.cancelled() => {
                    self.end(message::EndReason::DeskStops).await;
                    return Ok(Ended::Stopping);
                }
                reason = ended_elsewhere(shared, &mut events, redeemed) => {
                    self.end(reason).await;
                    return Ok(Ended::Elsewhere);
                }
                Ok(()) = phases.changed() => {
                    may_go_on = *phases.borrow_and_update() == Phase::Live;
                    if !may_go_on {
                        continue;
                    }
                    if let Some(reason) = end_by_store(shared, redeemed).await {
                        self.end(reason).await;
                        return Ok(Ended::Elsewhere);
                    }
                }
                event = self.next_event(), if may_go_on || is_over(&phases) => match event? {
                    ConsoleEvent::Consented(consent) => {
                        let id = redeemed.session;
                        shared.store.record_consent(id, answer(redeemed, &consent)).await?;
                        if consent.report.is_some() {
                            let transport = self.transport.clone();
                            let (offer, bytes) = tokio::select! {
                                received = self.receive_report() => received?,
                                () = transport.live_for(REPORT_DEADLINE) => return Err(Broken::Lost),
                                () = departure.cancelled() => return Err(Broken::Lost),
                                () = stop.cancelled() => {
                                    self.end(message::EndReason::DeskStops).await;
                                    return Ok(Ended::Stopping);
                                }
                            };
                            if phases.has_changed().unwrap_or(true)
                                && let Some(reason) = end_by_store(shared, redeemed).await
                            {
                                self.end(reason).await;
                                return Ok(Ended::Elsewhere);
                            }
                            self.file(shared, id, offer, bytes).await?;
                        }
                    }
                    ConsoleEvent::Declined => {
                        let nothing = Consent { grants: BoundedVec::new(), report: None };
                        shared.store.record_consent(redeemed.session, answer(redeemed, &nothing)).await?;
                        return Ok(Ended::By(EndReason::Customer));
                    }
                    ConsoleEvent::Left => return Ok(Ended::By(EndReason::Done)),
                    ConsoleEvent::RulesAsked(has) => self.offer_rules(shared, &has).await?,
                    ConsoleEvent::RulesTaken => self.send_rules().await?,
                    ConsoleEvent::Redeem(_) => return Err(Broken::Protocol("a second code".to_owned())),
                }
            }
        }
    }

    /// Offers the newest rules when they are newer than those that the device has.
    async fn offer_rules(&mut self, shared: &Shared, has: &PackId) -> Result<(), Broken> {
        let now = shared.store.clock().now().0;
        let newest = shared.store.newest_pack(&has.id).await?;
        // A device would refuse what the signer may not sign any more.
        self.offered = newest
            .filter(|newest| newest.pack.version > has.version && newest.proof.delegation.not_after_unix_ms > now);
        let offer = self.offered.as_ref().map(|newest| rules::offer(newest.pack.clone(), &newest.text, newest.proof));
        let answer = self.session.answer_rules(offer).map_err(|_| Broken::Lost)?;
        Ok(self.sender.send(&answer).await?)
    }

    /// Sends the rules that the device has taken.
    async fn send_rules(&mut self) -> Result<(), Broken> {
        let Some(offered) = self.offered.take() else { return Ok(()) };
        for part in self.session.rules_parts(offered.text.as_bytes()).map_err(|_| Broken::Lost)? {
            self.sender.send(&part).await?;
        }
        Ok(())
    }

    /// The report's bytes, from a channel of their own.
    async fn receive_report(&mut self) -> Result<(ReportOffer, Vec<u8>), Broken> {
        let (_, mut channel) = self.transport.accept_channel().await.map_err(|_| Broken::Lost)?;
        let header = stream::read_frame(&mut channel, FRAME_MAX_BYTES).await?.ok_or(StreamError::Ended)?;
        let StreamHeader::Report(id) = codec::decode(&header, FRAME_MAX_BYTES).map_err(StreamError::from)?;
        self.session.awaits_report(id)?;
        loop {
            match channel.read_chunk(FRAME_MAX_BYTES).await {
                Ok(Some(chunk)) => self.session.receive_report(&chunk)?,
                Ok(None) => return Ok(self.session.finish_report()?),
                Err(_) => return Err(Broken::Lost),
            }
        }
    }

    async fn file(&mut self, shared: &Shared, id: SessionId, offer: ReportOffer, bytes: Vec<u8>) -> Result<(), Broken> {
        let report = Report::decode(&bytes).map_err(|error| Broken::Protocol(error.to_string()))?;
        let contents = crate::contents::of(&self.device(), &report);
        let filed =
            shared.store.file_report(id, offer.id.0, bytes.into(), offer.sha256, contents).await.map_err(|error| {
                match error {
                    FileError::Session(error) => error.into(),
                    other => Broken::Protocol(other.to_string()),
                }
            })?;
        tracing::info!(new = filed.new, bytes = offer.size_bytes, "report filed");
        let acknowledged = self.session.filed().map_err(|_| Broken::Lost)?;
        Ok(self.sender.send(&acknowledged).await?)
    }

    async fn next_event(&mut self) -> Result<ConsoleEvent, Broken> {
        // An end without a word is a lost agent.
        let message = self.arrivals.next().await?.ok_or(Broken::Lost)?;
        Ok(self.session.receive(message)?)
    }

    fn device(&self) -> DeviceKey {
        DeviceKey(self.transport.peer_key())
    }

    /// Tells the device that the session is over. During a pause the word is kept for the device that comes back.
    async fn end(&mut self, reason: message::EndReason) {
        if let Some(word) = self.session.end(reason) {
            let _ = timeout(LAST_WORD, self.sender.send(&word)).await;
        }
    }

    /// Waits until the device has everything, then closes. A pause does not count, because the device may come back to
    /// hear it; but a console that stops waits for nobody.
    async fn finish(self, close: Close, patience: Duration, stop: &CancellationToken) {
        let stopped = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_WORD).await;
        };
        tokio::select! {
            () = self.sender.finish() => {}
            () = self.transport.live_for(patience) => {}
            () = stopped => {}
        }
        self.transport.close(close);
    }

    async fn break_off(mut self, broken: &Broken, stop: &CancellationToken) {
        let (reason, close) = match broken {
            Broken::Lost => {
                tracing::info!("interrupted");
                self.transport.close(Close::Done);
                return;
            }
            Broken::Protocol(why) => {
                tracing::warn!(why, "the device broke the protocol");
                (message::EndReason::Violation, Close::Violation)
            }
            Broken::Store(error) => {
                tracing::error!(%error, "a session's data could not be stored");
                (message::EndReason::CannotStore, Close::Done)
            }
        };
        // The session may have closed itself at the violation; the device is told all the same.
        let word = self.session.end(reason).unwrap_or(ConsoleMessage::Ended(reason));
        let _ = timeout(LAST_WORD, self.sender.send(&word)).await;
        self.finish(close, LAST_WORD, stop).await;
    }
}

fn is_over(phases: &watch::Receiver<Phase>) -> bool {
    matches!(*phases.borrow(), Phase::Over(_))
}

/// Waits until a technician ends the session, closes its ticket or revokes its device.
async fn ended_elsewhere(
    shared: &Shared,
    events: &mut broadcast::Receiver<crate::store::Event>,
    redeemed: &Redeemed,
) -> message::EndReason {
    loop {
        match events.recv().await {
            Ok(event) if event.ticket == redeemed.ticket.number => {}
            Ok(_) => continue,
            // Events were missed: what the store says now covers them.
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
        if let Some(reason) = end_by_store(shared, redeemed).await {
            return reason;
        }
    }
}

async fn end_by_store(shared: &Shared, redeemed: &Redeemed) -> Option<message::EndReason> {
    let ticket = shared.store.ticket(redeemed.ticket.number).await.ok()??;
    if matches!(ticket.state, TicketState::Closed | TicketState::Merged) {
        if let Err(error) = shared.store.end_session(&Actor::System, redeemed.session, EndReason::Done).await {
            tracing::error!(%error, "the end of a session could not be recorded");
        }
        return Some(message::EndReason::TicketClosed);
    }
    let session = shared.store.session(redeemed.session).await.ok()??;
    (session.state == crate::store::SessionState::Ended).then_some(message::EndReason::ByTechnician)
}

fn admitted(redeemed: &Redeemed) -> Admitted {
    let mut session = [0; 16];
    session[8..].copy_from_slice(&redeemed.session.0.to_be_bytes());
    Admitted {
        session: message::SessionId(session),
        ticket: Name::truncating(redeemed.ticket.number.to_string()),
        title: Text::truncating(redeemed.ticket.title.clone()),
        technician: Name::truncating(redeemed.ticket.owner.clone().unwrap_or_default()),
        requested: BoundedVec::truncating(redeemed.requested.iter().copied()).0,
    }
}

fn answer(redeemed: &Redeemed, consent: &Consent) -> NewConsent {
    let granted: Vec<Capability> = consent.grants.iter().map(|grant| grant.capability).collect();
    NewConsent {
        refused: redeemed.requested.iter().copied().filter(|capability| !granted.contains(capability)).collect(),
        granted,
        grant_ends_at: consent.grants.iter().map(|grant| UnixMillis(grant.until_unix_ms)).max(),
        shown_sha256: consent.report.map(|offer| offer.sha256),
    }
}
