use proptest::prelude::*;

use super::*;
use crate::bounded::{BoundedVec, Name, Text};
use crate::delegation::{Delegation, Signature};
use crate::id::{ConsoleKey, OrganizationKey, RulesKey};
use crate::invite::Code;
use crate::lang::Language;
use crate::message::SessionId;
use crate::signed_pack::{PackProof, RulesDelegation};

const REPORT: &[u8] = b"what the customer saw";

fn introduction() -> Introduction {
    let delegation = Delegation {
        organization: OrganizationKey([1; 32]),
        console: ConsoleKey([2; 32]),
        not_after_unix_ms: 0,
        signature: Signature::from_bytes(&[0; 64]),
    };
    Introduction { delegation, desk_name: Name::truncating("Desk"), desk_host: Name::truncating("localhost") }
}

fn redeem() -> Redeem {
    Redeem {
        code: Code::from_number(1),
        secret: None,
        agent_version: Name::default(),
        platform: Name::default(),
        language: Language::English,
    }
}

fn admitted() -> Admitted {
    Admitted {
        session: SessionId([0; 16]),
        ticket: Name::default(),
        title: Text::default(),
        technician: Name::default(),
        requested: vec![Capability::Survey].try_into().unwrap(),
    }
}

fn offer() -> ReportOffer {
    ReportOffer { id: ReportId([7; 16]), size_bytes: REPORT.len() as u32, sha256: Sha256::digest(REPORT).into() }
}

fn consent(grants: &[Capability], report: Option<ReportOffer>) -> Consent {
    let grants = grants.iter().map(|&capability| Grant { capability, until_unix_ms: 1_000 });
    Consent { grants: BoundedVec::truncating(grants).0, report }
}

/// Both sides, brought to the moment at which the customer decides.
fn deciding() -> (AgentSession, ConsoleSession) {
    let (mut agent, mut console) = (AgentSession::default(), ConsoleSession::default());
    agent.receive(console.introduce(introduction()).unwrap()).unwrap();
    console.receive(agent.redeem(redeem()).unwrap()).unwrap();
    agent.receive(console.admit(admitted()).unwrap()).unwrap();
    (agent, console)
}

fn pack_offer(size_bytes: u32) -> PackOffer {
    let delegation = RulesDelegation {
        organization: OrganizationKey([1; 32]),
        signer: RulesKey([2; 32]),
        not_after_unix_ms: 0,
        signature: Signature::from_bytes(&[0; 64]),
    };
    let proof = PackProof { delegation, signature: Signature::from_bytes(&[0; 64]) };
    PackOffer { pack: PackId { id: Name::truncating("base"), version: 2 }, size_bytes, sha256: [0; 32], proof }
}

#[test]
fn newer_rules_are_asked_for_offered_taken_and_come_in_parts() {
    let (mut agent, mut console) = deciding();
    let has = PackId { id: Name::truncating("base"), version: 1 };
    assert_eq!(console.receive(agent.ask_for_rules(has.clone()).unwrap()), Ok(ConsoleEvent::RulesAsked(has.clone())));
    assert!(agent.ask_for_rules(has).is_err() && agent.take_rules().is_err());
    let text = vec![7; RULES_PART_MAX_BYTES + 1];
    let offer = pack_offer(u32::try_from(text.len()).unwrap());
    let offered = console.answer_rules(Some(offer.clone())).unwrap();
    assert_eq!(agent.receive(offered), Ok(AgentEvent::RulesOffered(Box::new(offer))));
    assert!(console.rules_parts(&text).is_err(), "nothing comes that was not taken");
    assert_eq!(console.receive(agent.take_rules().unwrap()), Ok(ConsoleEvent::RulesTaken));
    let mut parts = console.rules_parts(&text).unwrap().into_iter();
    assert_eq!(agent.receive(parts.next().unwrap()), Ok(AgentEvent::RulesComing));
    assert_eq!(agent.receive(parts.next().unwrap()), Ok(AgentEvent::RulesCame(text)));
    assert!(parts.next().is_none() && !agent.is_closed());
}

#[test]
fn rules_out_of_turn_or_beyond_their_offer_end_the_session() {
    let part = |bytes: usize| ConsoleMessage::RulesPart(vec![7; bytes].try_into().unwrap());
    let asking = |size_bytes| {
        let (mut agent, mut console) = deciding();
        console.receive(agent.ask_for_rules(pack_offer(0).pack).unwrap()).unwrap();
        agent.receive(console.answer_rules(Some(pack_offer(size_bytes))).unwrap()).unwrap();
        agent
    };
    let (mut agent, mut console) = deciding();
    assert_eq!(agent.receive(ConsoleMessage::NoNewerRules), Err(Violation::OutOfTurn));
    assert_eq!(console.receive(AgentMessage::TakeRules), Err(Violation::OutOfTurn));
    let mut agent = asking(2);
    assert_eq!(agent.receive(part(1)), Err(Violation::OutOfTurn), "it was not taken");
    let mut agent = asking(2);
    agent.take_rules().unwrap();
    agent.leave();
    assert_eq!(agent.receive(part(2)), Err(Violation::OutOfTurn), "nothing follows an end");
    for bytes in [0, 3] {
        let mut agent = asking(2);
        agent.take_rules().unwrap();
        assert_eq!(agent.receive(part(bytes)), Err(Violation::OutOfTurn));
        assert!(agent.is_closed());
    }
    let too_large = u32::try_from(RULE_PACK_MAX_BYTES + 1).unwrap();
    assert!(asking(0).take_rules().is_err() && asking(too_large).take_rules().is_err());
}

#[test]
fn a_report_goes_from_consent_to_acknowledgement() {
    let (mut agent, mut console) = deciding();
    let yes = agent.consent(consent(&[Capability::Survey], Some(offer()))).unwrap();
    assert!(matches!(console.receive(yes), Ok(ConsoleEvent::Consented(_))));
    console.awaits_report(offer().id).unwrap();
    for piece in REPORT.chunks(4) {
        console.receive_report(piece).unwrap();
    }
    assert_eq!(console.finish_report().unwrap(), (offer(), REPORT.to_vec()));
    assert_eq!(agent.receive(console.filed().unwrap()), Ok(AgentEvent::Filed));
    assert!(agent.permits(Capability::Survey, 999) && !agent.permits(Capability::Survey, 1_000));
    assert_eq!(console.receive(agent.leave().unwrap()), Ok(ConsoleEvent::Left));
    assert!(agent.is_closed() && console.is_closed() && !agent.permits(Capability::Survey, 0));
}

#[test]
fn a_report_without_a_grant_for_it_is_not_sent_and_not_accepted() {
    let (mut agent, mut console) = deciding();
    let ungranted = consent(&[Capability::Terminal], Some(offer()));
    assert_eq!(agent.consent(ungranted.clone()), Err(NotNow));
    assert_eq!(console.receive(AgentMessage::Consent(ungranted)), Err(Violation::Offer));
    let (_, mut console) = deciding();
    let huge = ReportOffer { size_bytes: REPORT_MAX_BYTES as u32 + 1, ..offer() };
    let huge = AgentMessage::Consent(consent(&[Capability::Survey], Some(huge)));
    assert_eq!(console.receive(huge), Err(Violation::Offer));
}

#[test]
fn other_bytes_than_the_offered_ones_are_refused() {
    let receiving = || {
        let (_, mut console) = deciding();
        console.receive(AgentMessage::Consent(consent(&[Capability::Survey], Some(offer())))).unwrap();
        console
    };
    let mut console = receiving();
    assert_eq!(console.awaits_report(ReportId([8; 16])), Err(Violation::OutOfTurn));
    console.receive_report(&REPORT[1..]).unwrap();
    assert_eq!(console.finish_report(), Err(Violation::OtherReport), "too short");
    let mut console = receiving();
    console.receive_report(REPORT).unwrap();
    assert_eq!(console.receive_report(b"x"), Err(Violation::OtherReport), "too long");
    let mut console = receiving();
    console.receive_report(&REPORT.to_ascii_uppercase()).unwrap();
    assert_eq!(console.finish_report(), Err(Violation::OtherReport), "other bytes");
    assert_eq!(console.filed(), Err(NotNow));
}

#[test]
fn no_report_is_accepted_before_consent_or_after_a_decline() {
    let (mut agent, mut console) = deciding();
    assert_eq!(console.awaits_report(offer().id), Err(Violation::OutOfTurn));
    assert_eq!(console.receive(agent.decline().unwrap()), Ok(ConsoleEvent::Declined));
    assert_eq!(console.receive_report(REPORT), Err(Violation::OutOfTurn));
    assert_eq!(agent.consent(consent(&[], None)), Err(NotNow));
}

#[test]
fn the_code_is_not_sent_before_the_introduction() {
    assert_eq!(AgentSession::default().redeem(redeem()), Err(NotNow));
}

fn relays() -> BoundedVec<WellKnownRelay, MAX_RELAYS> {
    vec![WellKnownRelay { address: Name::truncating("h:1"), key: Name::truncating("k") }].try_into().unwrap()
}

#[test]
fn further_relays_are_named_and_taken_from_the_admission_to_the_end() {
    let mut console = ConsoleSession::default();
    assert_eq!(console.also_at(relays()), Err(NotNow));
    console.introduce(introduction()).unwrap();
    console.receive(AgentMessage::Redeem(redeem())).unwrap();
    assert_eq!(console.also_at(relays()), Err(NotNow), "the code may be wrong");
    let mut agent = AgentSession::default();
    assert_eq!(agent.receive(ConsoleMessage::Relays(relays())), Err(Violation::OutOfTurn));

    let (mut agent, mut console) = deciding();
    let name = |agent: &mut AgentSession, console: &ConsoleSession| {
        let named = console.also_at(relays()).unwrap();
        assert_eq!(agent.receive(named), Ok(AgentEvent::AlsoAt(relays())));
    };
    name(&mut agent, &console);
    console.receive(agent.consent(consent(&[Capability::Survey], Some(offer()))).unwrap()).unwrap();
    name(&mut agent, &console);
    console.receive_report(REPORT).unwrap();
    console.finish_report().unwrap();
    name(&mut agent, &console);
    agent.receive(console.filed().unwrap()).unwrap();
    name(&mut agent, &console);
    console.end(EndReason::ByTechnician).unwrap();
    assert_eq!(console.also_at(relays()), Err(NotNow));
}

/// The table of the module's documentation, as one number a state.
#[derive(Debug, Clone, Copy)]
struct Model {
    agent: u8,
}

const MODEL_CLOSED: u8 = 9;

impl Model {
    /// The agent's next state for a message of the console, `None` where the table has no line.
    fn receive(self, message: &ConsoleMessage) -> Option<u8> {
        match (self.agent, message) {
            (MODEL_CLOSED, _) => None,
            (0, ConsoleMessage::Introduction(_)) => Some(1),
            (2, ConsoleMessage::Admitted(_)) => Some(3),
            (2, ConsoleMessage::Refused(_)) => Some(MODEL_CLOSED),
            (4, ConsoleMessage::Filed(id)) if *id == offer().id => Some(5),
            (3..=5, ConsoleMessage::Relays(_)) => Some(self.agent),
            (_, ConsoleMessage::Ended(_)) => Some(MODEL_CLOSED),
            _ => None,
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Receive(ConsoleMessage),
    Redeem,
    Consent(bool),
    Decline,
    Leave,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        Just(Step::Receive(ConsoleMessage::Introduction(introduction()))),
        Just(Step::Receive(ConsoleMessage::Admitted(admitted()))),
        Just(Step::Receive(ConsoleMessage::Refused(Refusal::NotValid))),
        Just(Step::Receive(ConsoleMessage::Filed(offer().id))),
        Just(Step::Receive(ConsoleMessage::Filed(ReportId([1; 16])))),
        Just(Step::Receive(ConsoleMessage::Relays(relays()))),
        Just(Step::Receive(ConsoleMessage::Ended(EndReason::ByTechnician))),
        Just(Step::Redeem),
        any::<bool>().prop_map(Step::Consent),
        Just(Step::Decline),
        Just(Step::Leave),
    ];
    prop::collection::vec(step, 0..12)
}

proptest! {
    #[test]
    fn the_agent_follows_its_table(steps in steps()) {
        let mut agent = AgentSession::default();
        let mut model = Model { agent: 0 };
        for step in steps {
            let (possible, next) = match &step {
                Step::Receive(message) => {
                    let next = model.receive(message);
                    prop_assert_eq!(agent.receive(message.clone()).is_ok(), next.is_some());
                    // A violation closes the session.
                    (true, next.unwrap_or(MODEL_CLOSED))
                }
                Step::Redeem => {
                    prop_assert_eq!(agent.redeem(redeem()).is_ok(), model.agent == 1);
                    (model.agent == 1, 2)
                }
                Step::Consent(with_report) => {
                    let yes = consent(&[Capability::Survey], with_report.then(offer));
                    prop_assert_eq!(agent.consent(yes).is_ok(), model.agent == 3);
                    (model.agent == 3, if *with_report { 4 } else { 5 })
                }
                Step::Decline => {
                    prop_assert_eq!(agent.decline().is_ok(), model.agent == 3);
                    (model.agent == 3, MODEL_CLOSED)
                }
                Step::Leave => {
                    prop_assert_eq!(agent.leave().is_some(), model.agent != MODEL_CLOSED);
                    (true, MODEL_CLOSED)
                }
            };
            if possible {
                model.agent = next;
            }
            prop_assert_eq!(agent.is_closed(), model.agent == MODEL_CLOSED);
            prop_assert_eq!(agent.permits(Capability::Survey, 0), matches!(model.agent, 4 | 5));
        }
    }
}
