//! The session as two state machines without clock, socket or async: what each side may send and accept, and when.
//!
//! | agent is | and may | console is | and may |
//! |---|---|---|---|
//! | `Greeted` | learn who the desk is | `Introducing` | say who the desk is |
//! | `Introduced` | send the code | `Waiting` | receive a code |
//! | `Redeeming` | learn whether it was right | `Checking` | admit or refuse |
//! | `Deciding` | consent or decline | `Admitted` | receive the customer's answer |
//! | `Sending` | send the approved report | `Receiving` | receive exactly the offered bytes |
//! | | learn that it is on disk | `Filing` | acknowledge, once it is on disk |
//! | `Open` | leave | `Open` | end the session |
//! | `Closed` | nothing | `Closed` | nothing |
//!
//! From `Admitted` to `Open` the console may also name further relays, which an agent takes from `Deciding` to `Open`;
//! neither changes its state by it.
//!
//! Beside that, between `Deciding` and `Open` and once in a session, rules may be renewed: the agent says which it has, the
//! console offers newer ones or says that it has none, the agent takes them, and exactly the offered bytes come.
//!
//! Invariants: no code is sent before the desk's introduction; no report is offered without a grant for the survey, and
//! none is accepted without an offer; nothing follows an end. There is no way to ask for anything that was not granted,
//! because grants are held by the agent.

use sha2::{Digest, Sha256};

use crate::bounded::BoundedVec;
use crate::consent::{Capability, Grant};
use crate::limits::{REPORT_MAX_BYTES, RULE_PACK_MAX_BYTES, RULES_PART_MAX_BYTES};
use crate::message::{
    Admitted, AgentMessage, Consent, ConsoleMessage, EndReason, Introduction, Redeem, Refusal, ReportId, ReportOffer,
};
use crate::signed_pack::{PackId, PackOffer};
use crate::well_known::{MAX_RELAYS, WellKnownRelay};

/// The peer did something that the table does not allow. The connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A message out of its turn.
    #[error("the other side sent a message out of its turn")]
    OutOfTurn,
    /// A report is offered without a grant for it, or larger than allowed.
    #[error("the other side offered a report that was not granted or is too large")]
    Offer,
    /// The report's bytes are not the ones that were offered.
    #[error("the report that arrived is not the one that the customer approved")]
    OtherReport,
}

/// Our own program asked for a step that the table does not allow now: the other side was faster, or a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this step of the session is not possible now")]
pub struct NotNow;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AgentState {
    Greeted,
    Introduced,
    Redeeming,
    Deciding,
    Sending(ReportId),
    Open,
    Closed,
}

/// The agent's side of a session.
#[derive(Debug)]
pub struct AgentSession {
    state: AgentState,
    grants: Vec<Grant>,
    rules: AgentRules,
}

/// How far the renewal of rules is, seen by the agent.
#[derive(Debug)]
enum AgentRules {
    NotAsked,
    Asked,
    Offered(Box<PackOffer>),
    Arriving { size_bytes: usize, bytes: Vec<u8> },
    Settled,
}

/// What a message from the console means for the agent.
#[derive(Debug, PartialEq, Eq)]
pub enum AgentEvent {
    /// Check the delegation, then send the code.
    DeskIntroduced(Introduction),
    /// Ask the customer.
    Asked(Admitted),
    /// Tell the customer; the session is over.
    Refused(Refusal),
    /// The report is on disk at the desk.
    Filed,
    /// These relays may be used as well while the session lasts.
    AlsoAt(BoundedVec<WellKnownRelay, MAX_RELAYS>),
    /// The session is over.
    Ended(EndReason),
    /// Nothing else to learn about rules: the desk has no newer ones.
    NoNewerRules,
    /// Check the offer, then take the rules or leave them.
    RulesOffered(Box<PackOffer>),
    /// A part of the rules has come, and others follow.
    RulesComing,
    /// All bytes of the rules, as many as were offered. Whether they are the ones is the caller's to check.
    RulesCame(Vec<u8>),
}

impl Default for AgentSession {
    fn default() -> Self {
        Self { state: AgentState::Greeted, grants: Vec::new(), rules: AgentRules::NotAsked }
    }
}

impl AgentSession {
    /// Takes a message of the console.
    pub fn receive(&mut self, message: ConsoleMessage) -> Result<AgentEvent, Violation> {
        if let ConsoleMessage::NoNewerRules | ConsoleMessage::NewerRules(_) | ConsoleMessage::RulesPart(_) = message {
            return self.receive_rules(message);
        }
        let (state, event) = match (self.state, message) {
            (AgentState::Greeted, ConsoleMessage::Introduction(desk)) => {
                (AgentState::Introduced, AgentEvent::DeskIntroduced(desk))
            }
            (AgentState::Redeeming, ConsoleMessage::Admitted(asked)) => {
                (AgentState::Deciding, AgentEvent::Asked(asked))
            }
            (AgentState::Redeeming, ConsoleMessage::Refused(why)) => (AgentState::Closed, AgentEvent::Refused(why)),
            (AgentState::Sending(sent), ConsoleMessage::Filed(filed)) if sent == filed => {
                (AgentState::Open, AgentEvent::Filed)
            }
            (
                state @ (AgentState::Deciding | AgentState::Sending(_) | AgentState::Open),
                ConsoleMessage::Relays(relays),
            ) => (state, AgentEvent::AlsoAt(relays)),
            (state, ConsoleMessage::Ended(why)) if state != AgentState::Closed => {
                (AgentState::Closed, AgentEvent::Ended(why))
            }
            _ => {
                self.close();
                return Err(Violation::OutOfTurn);
            }
        };
        if state == AgentState::Closed {
            self.close();
        }
        self.state = state;
        Ok(event)
    }

    /// Takes a message about rules.
    fn receive_rules(&mut self, message: ConsoleMessage) -> Result<AgentEvent, Violation> {
        if self.is_closed() {
            return Err(Violation::OutOfTurn);
        }
        let (rules, event) = match (std::mem::replace(&mut self.rules, AgentRules::Settled), message) {
            (AgentRules::Asked, ConsoleMessage::NoNewerRules) => (AgentRules::Settled, AgentEvent::NoNewerRules),
            (AgentRules::Asked, ConsoleMessage::NewerRules(offer)) => {
                (AgentRules::Offered(offer.clone()), AgentEvent::RulesOffered(offer))
            }
            (AgentRules::Arriving { size_bytes, mut bytes }, ConsoleMessage::RulesPart(part))
                if !part.is_empty() && bytes.len() + part.len() <= size_bytes =>
            {
                bytes.extend_from_slice(&part);
                match bytes.len() == size_bytes {
                    true => (AgentRules::Settled, AgentEvent::RulesCame(bytes)),
                    false => (AgentRules::Arriving { size_bytes, bytes }, AgentEvent::RulesComing),
                }
            }
            _ => {
                self.close();
                return Err(Violation::OutOfTurn);
            }
        };
        self.rules = rules;
        Ok(event)
    }

    /// Says which rules the agent has, and asks for newer ones; once in a session, after the code was accepted.
    pub fn ask_for_rules(&mut self, has: PackId) -> Result<AgentMessage, NotNow> {
        match (self.state, &self.rules) {
            (AgentState::Deciding, AgentRules::NotAsked) => {
                self.rules = AgentRules::Asked;
                Ok(AgentMessage::Rules(has))
            }
            _ => Err(NotNow),
        }
    }

    /// Takes the rules that are offered. The caller has checked the offer; one of nothing or of too much is never taken.
    pub fn take_rules(&mut self) -> Result<AgentMessage, NotNow> {
        let AgentRules::Offered(offer) = &self.rules else { return Err(NotNow) };
        let size_bytes = usize::try_from(offer.size_bytes).unwrap_or(usize::MAX);
        if self.is_closed() || size_bytes == 0 || size_bytes > RULE_PACK_MAX_BYTES {
            return Err(NotNow);
        }
        self.rules = AgentRules::Arriving { size_bytes, bytes: Vec::new() };
        Ok(AgentMessage::TakeRules)
    }

    /// Sends the code. The caller has checked the desk's delegation.
    pub fn redeem(&mut self, redeem: Redeem) -> Result<AgentMessage, NotNow> {
        if self.state != AgentState::Introduced {
            return Err(NotNow);
        }
        self.state = AgentState::Redeeming;
        Ok(AgentMessage::Redeem(redeem))
    }

    /// Sends the customer's yes. An offer without a grant for the survey is not possible.
    pub fn consent(&mut self, consent: Consent) -> Result<AgentMessage, NotNow> {
        if self.state != AgentState::Deciding || !offer_is_granted(&consent) {
            return Err(NotNow);
        }
        self.state = consent.report.map_or(AgentState::Open, |offer| AgentState::Sending(offer.id));
        self.grants = consent.grants.to_vec();
        Ok(AgentMessage::Consent(consent))
    }

    /// Sends the customer's no.
    pub fn decline(&mut self) -> Result<AgentMessage, NotNow> {
        if self.state != AgentState::Deciding {
            return Err(NotNow);
        }
        self.close();
        Ok(AgentMessage::Decline)
    }

    /// Leaves, whatever the state; `None` if the session is over already.
    pub fn leave(&mut self) -> Option<AgentMessage> {
        let was_open = self.state != AgentState::Closed;
        self.close();
        was_open.then_some(AgentMessage::Bye)
    }

    /// Says whether the customer allows `capability` at this moment. Nothing is allowed once the session is over.
    pub fn permits(&self, capability: Capability, now_unix_ms: i64) -> bool {
        self.grants.iter().any(|grant| grant.permits(capability, now_unix_ms))
    }

    /// Says whether the session is over.
    pub fn is_closed(&self) -> bool {
        self.state == AgentState::Closed
    }

    fn close(&mut self) {
        self.state = AgentState::Closed;
        self.grants.clear();
    }
}

#[derive(Debug)]
enum ConsoleState {
    Introducing,
    Waiting,
    Checking,
    Admitted,
    Receiving(Incoming),
    Filing(ReportId),
    Open,
    Closed,
}

#[derive(Debug)]
struct Incoming {
    offer: ReportOffer,
    bytes: Vec<u8>,
}

/// The console's side of a session.
#[derive(Debug)]
pub struct ConsoleSession {
    state: ConsoleState,
    rules: ConsoleRules,
}

/// How far the renewal of rules is, seen by the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConsoleRules {
    NotAsked,
    Asked,
    Offered,
    Taken,
}

/// What a message from the agent means for the console.
#[derive(Debug, PartialEq, Eq)]
pub enum ConsoleEvent {
    /// Look the code up, then admit or refuse.
    Redeem(Redeem),
    /// The customer agreed; if a report is offered its bytes follow.
    Consented(Consent),
    /// The customer declined; the session is over.
    Declined,
    /// The agent left; the session is over.
    Left,
    /// Offer newer rules than these, or say that there are none.
    RulesAsked(PackId),
    /// Send the rules that were offered.
    RulesTaken,
}

impl Default for ConsoleSession {
    fn default() -> Self {
        Self { state: ConsoleState::Introducing, rules: ConsoleRules::NotAsked }
    }
}

impl ConsoleSession {
    /// Says who the desk is.
    pub fn introduce(&mut self, introduction: Introduction) -> Result<ConsoleMessage, NotNow> {
        let ConsoleState::Introducing = self.state else { return Err(NotNow) };
        self.state = ConsoleState::Waiting;
        Ok(ConsoleMessage::Introduction(introduction))
    }

    /// Takes a message of the agent.
    pub fn receive(&mut self, message: AgentMessage) -> Result<ConsoleEvent, Violation> {
        let message = match (self.rules, &message) {
            (ConsoleRules::NotAsked, AgentMessage::Rules(has)) if self.is_admitted() => {
                self.rules = ConsoleRules::Asked;
                return Ok(ConsoleEvent::RulesAsked(has.clone()));
            }
            (ConsoleRules::Offered, AgentMessage::TakeRules) if self.is_admitted() => {
                self.rules = ConsoleRules::Taken;
                return Ok(ConsoleEvent::RulesTaken);
            }
            _ => message,
        };
        let (state, event) = match (&self.state, message) {
            (ConsoleState::Waiting, AgentMessage::Redeem(redeem)) => {
                (ConsoleState::Checking, ConsoleEvent::Redeem(redeem))
            }
            (ConsoleState::Admitted, AgentMessage::Consent(consent)) => {
                if !offer_is_granted(&consent) {
                    self.state = ConsoleState::Closed;
                    return Err(Violation::Offer);
                }
                let state = match consent.report {
                    Some(offer) => ConsoleState::Receiving(Incoming { offer, bytes: Vec::new() }),
                    None => ConsoleState::Open,
                };
                (state, ConsoleEvent::Consented(consent))
            }
            (ConsoleState::Admitted, AgentMessage::Decline) => (ConsoleState::Closed, ConsoleEvent::Declined),
            (ConsoleState::Introducing | ConsoleState::Closed, _) => return Err(self.violated(Violation::OutOfTurn)),
            (_, AgentMessage::Bye) => (ConsoleState::Closed, ConsoleEvent::Left),
            _ => return Err(self.violated(Violation::OutOfTurn)),
        };
        self.state = state;
        Ok(event)
    }

    /// Accepts the code.
    pub fn admit(&mut self, admitted: Admitted) -> Result<ConsoleMessage, NotNow> {
        let ConsoleState::Checking = self.state else { return Err(NotNow) };
        self.state = ConsoleState::Admitted;
        Ok(ConsoleMessage::Admitted(admitted))
    }

    /// Does not accept the code.
    pub fn refuse(&mut self, refusal: Refusal) -> Result<ConsoleMessage, NotNow> {
        let ConsoleState::Checking = self.state else { return Err(NotNow) };
        self.state = ConsoleState::Closed;
        Ok(ConsoleMessage::Refused(refusal))
    }

    /// Checks that a stream which claims to carry report `id` is awaited.
    pub fn awaits_report(&self, id: ReportId) -> Result<(), Violation> {
        match &self.state {
            ConsoleState::Receiving(incoming) if incoming.offer.id == id && incoming.bytes.is_empty() => Ok(()),
            _ => Err(Violation::OutOfTurn),
        }
    }

    /// Takes the next bytes of the report; more than were offered are refused.
    pub fn receive_report(&mut self, piece: &[u8]) -> Result<(), Violation> {
        let ConsoleState::Receiving(incoming) = &mut self.state else {
            return Err(self.violated(Violation::OutOfTurn));
        };
        if incoming.bytes.len() + piece.len() > incoming.offer.size_bytes as usize {
            return Err(self.violated(Violation::OtherReport));
        }
        incoming.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// The stream of the report has ended: its bytes, if they are the ones that were offered.
    pub fn finish_report(&mut self) -> Result<(ReportOffer, Vec<u8>), Violation> {
        let ConsoleState::Receiving(incoming) = &mut self.state else {
            return Err(self.violated(Violation::OutOfTurn));
        };
        let (offer, bytes) = (incoming.offer, std::mem::take(&mut incoming.bytes));
        if bytes.len() != offer.size_bytes as usize || Sha256::digest(&bytes).as_slice() != offer.sha256 {
            return Err(self.violated(Violation::OtherReport));
        }
        self.state = ConsoleState::Filing(offer.id);
        Ok((offer, bytes))
    }

    /// Acknowledges the report. The caller has it on disk.
    pub fn filed(&mut self) -> Result<ConsoleMessage, NotNow> {
        let ConsoleState::Filing(id) = self.state else { return Err(NotNow) };
        self.state = ConsoleState::Open;
        Ok(ConsoleMessage::Filed(id))
    }

    /// Names further relays. The code has been accepted.
    pub fn also_at(&self, relays: BoundedVec<WellKnownRelay, MAX_RELAYS>) -> Result<ConsoleMessage, NotNow> {
        if self.is_admitted() { Ok(ConsoleMessage::Relays(relays)) } else { Err(NotNow) }
    }

    /// Answers what the agent said about its rules.
    pub fn answer_rules(&mut self, newer: Option<PackOffer>) -> Result<ConsoleMessage, NotNow> {
        if self.rules != ConsoleRules::Asked || !self.is_admitted() {
            return Err(NotNow);
        }
        self.rules = if newer.is_some() { ConsoleRules::Offered } else { ConsoleRules::Taken };
        Ok(newer.map_or(ConsoleMessage::NoNewerRules, |offer| ConsoleMessage::NewerRules(Box::new(offer))))
    }

    /// The messages that carry the rules which the agent has taken.
    pub fn rules_parts(&self, bytes: &[u8]) -> Result<Vec<ConsoleMessage>, NotNow> {
        if self.rules != ConsoleRules::Taken || !self.is_admitted() {
            return Err(NotNow);
        }
        let part = |part: &[u8]| ConsoleMessage::RulesPart(BoundedVec::truncating(part.iter().copied()).0);
        Ok(bytes.chunks(RULES_PART_MAX_BYTES).map(part).collect())
    }

    /// Whether the code was accepted and the session is not over.
    fn is_admitted(&self) -> bool {
        matches!(
            self.state,
            ConsoleState::Admitted | ConsoleState::Receiving(_) | ConsoleState::Filing(_) | ConsoleState::Open
        )
    }

    /// Ends the session, whatever the state; `None` if it is over already.
    pub fn end(&mut self, reason: EndReason) -> Option<ConsoleMessage> {
        match std::mem::replace(&mut self.state, ConsoleState::Closed) {
            ConsoleState::Closed => None,
            _ => Some(ConsoleMessage::Ended(reason)),
        }
    }

    /// Says whether the session is over.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, ConsoleState::Closed)
    }

    fn violated(&mut self, violation: Violation) -> Violation {
        self.state = ConsoleState::Closed;
        violation
    }
}

fn offer_is_granted(consent: &Consent) -> bool {
    consent.report.is_none_or(|offer| {
        offer.size_bytes as usize <= REPORT_MAX_BYTES
            && consent.grants.iter().any(|grant| grant.capability == Capability::Survey)
    })
}

#[cfg(test)]
mod tests;
