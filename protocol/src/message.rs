//! The messages of a session (agent and console, end to end) and of the control plane (either of them and a relay).
//!
//! Every enum here is append-only: the position of a variant is its wire form, and a released message is never edited.
//! Golden bytes in the tests hold this.

use serde::{Deserialize, Serialize};

use crate::bounded::{BoundedVec, Name, Text};
use crate::consent::{Capability, Grant};
use crate::delegation::Delegation;
use crate::id::{DeviceKey, OrganizationKey, RouteSalt};
use crate::invite::{Code, InviteSecret};
use crate::lang::Language;
use crate::limits::{MAX_CAPABILITIES, RULES_PART_MAX_BYTES};
use crate::signed_pack::{PackId, PackOffer};
use crate::well_known::{MAX_RELAYS, WellKnownRelay};

/// The id that an agent draws for a report, so that sending it again after a lost answer does not file it twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct ReportId(pub [u8; 16]);

/// The id of a session, drawn by the console.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct SessionId(pub [u8; 16]);

/// From the agent to the console.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum AgentMessage {
    /// The customer's code.
    Redeem(Redeem),
    /// The customer agreed.
    Consent(Consent),
    /// The customer did not agree; nothing was sent.
    Decline,
    /// The agent leaves; the session is over.
    Bye,
    /// The rules by which the agent judges, once, after the code was accepted: asks for newer ones.
    Rules(PackId),
    /// The offered rules may come.
    TakeRules,
}

/// A code on its way to the console that minted it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Redeem {
    /// The nine digits.
    pub code: Code,
    /// The secret beside the code, when the customer opened a link.
    pub secret: Option<InviteSecret>,
    /// Version of the agent.
    pub agent_version: Name,
    /// `linux-x86_64` and the like.
    pub platform: Name,
    /// The customer's language.
    pub language: Language,
}

/// The customer's answer when it is yes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Consent {
    /// What is allowed, each with its end.
    pub grants: BoundedVec<Grant, MAX_CAPABILITIES>,
    /// The report that follows on a stream of its own; `None` when the survey was not allowed.
    pub report: Option<ReportOffer>,
}

/// What will arrive as the approved report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReportOffer {
    /// Its id.
    pub id: ReportId,
    /// Its size.
    pub size_bytes: u32,
    /// SHA-256 of exactly the bytes that the customer saw.
    pub sha256: [u8; 32],
}

/// From the console to the agent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ConsoleMessage {
    /// Who the desk is; the first message, before the code is sent.
    Introduction(Introduction),
    /// The code was right.
    Admitted(Admitted),
    /// The code was not accepted.
    Refused(Refusal),
    /// The report is on disk.
    Filed(ReportId),
    /// The console ends the session.
    Ended(EndReason),
    /// Where else the desk can be met in this session, after the code was accepted; a link names one relay only. A later
    /// list takes the place of an earlier one. What is not written properly is ignored.
    Relays(BoundedVec<WellKnownRelay, MAX_RELAYS>),
    /// The desk has no newer rules.
    NoNewerRules,
    /// The desk has newer rules. They come when the agent takes them.
    NewerRules(Box<PackOffer>),
    /// The next bytes of the rules that were taken.
    RulesPart(BoundedVec<u8, RULES_PART_MAX_BYTES>),
}

/// Who a desk says it is. Only the delegation is proof; the name and the host are claims.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Introduction {
    /// The organization's word for the console.
    pub delegation: Delegation,
    /// The desk's name for itself.
    pub desk_name: Name,
    /// The host whose `.well-known/belay` is said to hold the organization key.
    pub desk_host: Name,
}

/// What the customer is asked to agree to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Admitted {
    /// The session.
    pub session: SessionId,
    /// The ticket's number.
    pub ticket: Name,
    /// The ticket's title.
    pub title: Text,
    /// Who asks; empty when nobody has taken the ticket yet.
    pub technician: Name,
    /// What is asked for.
    pub requested: BoundedVec<Capability, MAX_CAPABILITIES>,
}

/// Why a code was not accepted. Wrong, used and expired codes and codes of closed tickets look the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Refusal {
    /// Not valid or expired.
    NotValid,
    /// Too many wrong codes; the next is looked at after this time.
    SlowDown {
        /// Milliseconds to wait.
        retry_after_ms: u32,
    },
    /// The desk cannot work now, for example because its disk is full.
    Unavailable,
}

/// Why a console ended a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum EndReason {
    /// A technician ended it.
    ByTechnician,
    /// The ticket was closed.
    TicketClosed,
    /// The desk is shutting down.
    DeskStops,
    /// The report could not be stored; the desk says so rather than lose it silently.
    CannotStore,
    /// The agent broke the protocol.
    Violation,
}

/// The first frame of a stream that an agent opens beside the first one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum StreamHeader {
    /// The bytes of the offered report follow, to the end of the stream.
    Report(ReportId),
}

/// From an agent or a console to a relay.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ToRelay {
    /// The first message: the salt of the route id and, from a console, the organization it speaks for.
    Register {
        /// The route id is derived from it and from the key of this connection.
        salt: RouteSalt,
        /// Present for consoles.
        desk: Option<Delegation>,
    },
    /// Asks for a console of this organization.
    Reach {
        /// The organization.
        organization: OrganizationKey,
    },
    /// The session with this peer is over; the relay forgets the pair.
    Leave {
        /// The peer.
        peer: PeerRoute,
    },
    /// Asks for the very console that a session is open with, after a change of relay or a restart of it.
    Rejoin {
        /// The console.
        peer: PeerRoute,
    },
    /// Asks for a sign of life. The relay answers it, and looks at where it came from.
    Probe {
        /// Chosen by the sender; comes back.
        number: u32,
    },
    /// Answers a [`Nonce`], from the address that is to be confirmed.
    Confirmed {
        /// The nonce.
        nonce: Nonce,
    },
    /// From a console: this device is not to reach its organization any more, on top of what was said before.
    Deny {
        /// The device.
        device: DeviceKey,
    },
    /// From a console: a part of the whole list of denied devices. The last part puts the new list in force.
    DenyList {
        /// Devices.
        devices: BoundedVec<DeviceKey, DENIED_PER_MESSAGE>,
        /// Whether another part follows.
        more: bool,
    },
}

/// What a relay sends to an address that a control connection's packets have begun to come from, alone in a datagram
/// outside QUIC; sessions follow once it is answered from there. Random, for one use. QUIC would send it, or repeat it,
/// to the former address, where an answer proves nothing.
pub type Nonce = [u8; 16];

/// Devices in one part of a deny list: half a frame.
pub const DENIED_PER_MESSAGE: usize = 1_024;

/// Relays that a relay names when it stops.
pub const MAX_ELSEWHERE: usize = 4;

/// The key of a peer and the salt of its route id, from which its route id follows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct PeerRoute {
    /// The peer's public key, as proved to the relay. The other end proves it again, end to end.
    pub key: [u8; 32],
    /// The peer's salt.
    pub salt: RouteSalt,
}

impl PeerRoute {
    /// The peer's route id.
    pub fn route(&self) -> crate::RouteId {
        crate::RouteId::derive(&self.key, &self.salt)
    }
}

/// From a relay to an agent or a console.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum FromRelay {
    /// Registration is done.
    Registered,
    /// Not admitted or not possible. After this answer to `Register` the relay closes the connection.
    Refused(RelayRefusal),
    /// A pair is open: packets between the two are forwarded from now on.
    Opened {
        /// The other end.
        peer: PeerRoute,
        /// For consoles: a keyed hash of the agent's source prefix, so that guesses can be limited without knowing
        /// addresses.
        source: Option<[u8; 16]>,
    },
    /// The other end has gone, or its pair was closed.
    Gone {
        /// The other end.
        peer: PeerRoute,
    },
    /// The pair's byte budget bites: packets of this session are being dropped.
    Slowed {
        /// The other end.
        peer: PeerRoute,
    },
    /// The answer to [`ToRelay::Probe`].
    Probed {
        /// The number of the probe.
        number: u32,
    },
    /// The relay is going to stop.
    Draining {
        /// Where else one may go, besides what one knows.
        elsewhere: BoundedVec<WellKnownRelay, MAX_ELSEWHERE>,
    },
    /// What the relay's clock shows, once, right after [`FromRelay::Registered`]. It judges delegations by it.
    Clock {
        /// Milliseconds since 1970 UTC.
        unix_ms: i64,
    },
}

/// Why a relay refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RelayRefusal {
    /// The relay does not serve this organization.
    UnknownOrganization,
    /// No console of this organization is connected to the relay.
    DeskOffline,
    /// The delegation is wrong or has expired.
    Delegation,
    /// A limit of the relay is reached.
    Full {
        /// Milliseconds after which another try makes sense.
        retry_after_ms: u32,
    },
    /// The message does not fit the moment.
    Violation,
    /// The organization does not want to hear of this device.
    Denied,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec;
    use crate::delegation::Signature;
    use crate::id::{ConsoleKey, RulesKey};
    use crate::limits::FRAME_MAX_BYTES;
    use crate::signed_pack::{PackProof, RulesDelegation};

    fn golden<T: Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(value: T, hex: &str) {
        let bytes = codec::encode(&value, FRAME_MAX_BYTES).unwrap();
        assert_eq!(data_encoding::HEXLOWER.encode(&bytes), hex, "{value:?}");
        assert_eq!(codec::decode::<T>(&bytes, FRAME_MAX_BYTES).unwrap(), value);
    }

    fn name(text: &str) -> Name {
        Name::truncating(text)
    }

    /// A line that changes here is a break with every agent in the field.
    #[test]
    fn released_messages_keep_their_bytes() {
        let id = ReportId([0xab; 16]);
        let ab = "ab".repeat(16);
        golden(
            AgentMessage::Redeem(Redeem {
                code: Code::from_number(41_820_597),
                secret: None,
                agent_version: name("0.1.0"),
                platform: name("linux"),
                language: Language::Chinese,
            }),
            "00fc1751ed180005302e312e30056c696e757801",
        );
        let grants = vec![Grant { capability: Capability::Survey, until_unix_ms: 1000 }].try_into().unwrap();
        let report = Some(ReportOffer { id, size_bytes: 300, sha256: [0xcd; 32] });
        golden(
            AgentMessage::Consent(Consent { grants, report }),
            &format!("010100fbd00701{ab}fb2c01{}", "cd".repeat(32)),
        );
        golden(AgentMessage::Decline, "02");
        golden(AgentMessage::Bye, "03");
        let pack = PackId { id: name("base"), version: 2 };
        golden(AgentMessage::Rules(pack.clone()), "04046261736502");
        golden(AgentMessage::TakeRules, "05");
        let delegation = Delegation {
            organization: OrganizationKey([1; 32]),
            console: ConsoleKey([2; 32]),
            not_after_unix_ms: -1,
            signature: Signature::from_bytes(&[3; 64]),
        };
        let signed = format!("{}{}01{}", "01".repeat(32), "02".repeat(32), "03".repeat(64));
        golden(
            ConsoleMessage::Introduction(Introduction { delegation, desk_name: name("Desk"), desk_host: name("h") }),
            &format!("00{signed}044465736b0168"),
        );
        golden(
            ConsoleMessage::Admitted(Admitted {
                session: SessionId([0xab; 16]),
                ticket: name("7"),
                title: Text::truncating("t"),
                technician: name(""),
                requested: Capability::ALL.to_vec().try_into().unwrap(),
            }),
            &format!("01{ab}0137017400{}", "06000102030405"),
        );
        golden(ConsoleMessage::Refused(Refusal::NotValid), "0200");
        golden(ConsoleMessage::Refused(Refusal::SlowDown { retry_after_ms: 5 }), "020105");
        golden(ConsoleMessage::Refused(Refusal::Unavailable), "0202");
        golden(ConsoleMessage::Filed(id), &format!("03{ab}"));
        golden(ConsoleMessage::Ended(EndReason::ByTechnician), "0400");
        golden(ConsoleMessage::Ended(EndReason::Violation), "0404");
        let relays = vec![WellKnownRelay { address: name("h:1"), key: name("k") }].try_into().unwrap();
        golden(ConsoleMessage::Relays(relays), "050103683a31016b");
        golden(ConsoleMessage::NoNewerRules, "06");
        let rules = RulesDelegation {
            organization: OrganizationKey([1; 32]),
            signer: RulesKey([2; 32]),
            not_after_unix_ms: -1,
            signature: Signature::from_bytes(&[3; 64]),
        };
        let proof = PackProof { delegation: rules, signature: Signature::from_bytes(&[4; 64]) };
        let offer = PackOffer { pack, size_bytes: 300, sha256: [5; 32], proof };
        let proof = format!("{}{}01{}{}", "01".repeat(32), "02".repeat(32), "03".repeat(64), "04".repeat(64));
        golden(ConsoleMessage::NewerRules(Box::new(offer)), &format!("07046261736502fb2c01{}{proof}", "05".repeat(32)));
        golden(ConsoleMessage::RulesPart(vec![7, 8].try_into().unwrap()), "08020708");
        golden(StreamHeader::Report(id), &format!("00{ab}"));
        let salt = RouteSalt([9; 16]);
        let peer = PeerRoute { key: [8; 32], salt };
        let route = format!("{}{}", "08".repeat(32), "09".repeat(16));
        golden(ToRelay::Register { salt, desk: None }, &format!("00{}00", "09".repeat(16)));
        golden(ToRelay::Register { salt, desk: Some(delegation) }, &format!("00{}01{signed}", "09".repeat(16)));
        golden(ToRelay::Reach { organization: OrganizationKey([1; 32]) }, &format!("01{}", "01".repeat(32)));
        golden(ToRelay::Leave { peer }, &format!("02{route}"));
        golden(ToRelay::Rejoin { peer }, &format!("03{route}"));
        golden(ToRelay::Probe { number: 7 }, "0407");
        golden(ToRelay::Confirmed { nonce: [9; 16] }, &format!("05{}", "09".repeat(16)));
        let device = DeviceKey([7; 32]);
        golden(ToRelay::Deny { device }, &format!("06{}", "07".repeat(32)));
        let devices = vec![device].try_into().unwrap();
        golden(ToRelay::DenyList { devices, more: true }, &format!("0701{}01", "07".repeat(32)));
        golden(FromRelay::Registered, "00");
        golden(FromRelay::Refused(RelayRefusal::UnknownOrganization), "0100");
        golden(FromRelay::Refused(RelayRefusal::DeskOffline), "0101");
        golden(FromRelay::Refused(RelayRefusal::Delegation), "0102");
        golden(FromRelay::Refused(RelayRefusal::Full { retry_after_ms: 5 }), "010305");
        golden(FromRelay::Refused(RelayRefusal::Violation), "0104");
        golden(FromRelay::Opened { peer, source: None }, &format!("02{route}00"));
        golden(FromRelay::Gone { peer }, &format!("03{route}"));
        golden(FromRelay::Slowed { peer }, &format!("04{route}"));
        golden(FromRelay::Probed { number: 7 }, "0507");
        let elsewhere = vec![WellKnownRelay { address: name("h:1"), key: name("k") }].try_into().unwrap();
        golden(FromRelay::Draining { elsewhere }, "060103683a31016b");
        golden(FromRelay::Clock { unix_ms: 1 }, "0702");
        golden(FromRelay::Refused(RelayRefusal::Denied), "0105");
    }

    #[test]
    fn a_code_with_a_wrong_check_digit_is_malformed() {
        let good = u32::from(Code::from_number(1));
        let bytes = codec::encode(&(good + 1), 16).unwrap();
        assert!(codec::decode::<Code>(&bytes, 16).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoders_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = codec::decode::<AgentMessage>(&bytes, FRAME_MAX_BYTES);
            let _ = codec::decode::<ConsoleMessage>(&bytes, FRAME_MAX_BYTES);
            let _ = codec::decode::<ToRelay>(&bytes, FRAME_MAX_BYTES);
            let _ = codec::decode::<FromRelay>(&bytes, FRAME_MAX_BYTES);
            let _ = codec::decode::<StreamHeader>(&bytes, FRAME_MAX_BYTES);
        }
    }
}
