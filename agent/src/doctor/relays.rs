//! The relays, each by UDP and by TCP, and whether support is there.

use std::time::Duration;

use belay_protocol::invite::RelayAddress;
use belay_protocol::message::RelayRefusal;
use belay_protocol::{Language, OrganizationKey, Phrase};
use belay_relay::client::{Client, Notice, ProxyError, Registration, RelayError, Role, Ways};
use futures_util::future::join_all;
use tokio::time::timeout;

use super::words::*;
use super::{Check, Patient, Verdict};
use crate::desk;
use crate::join::JoinError;
use crate::probe::relay_path::stranger;
use crate::terminal::plain;

/// What came of trying the relays.
pub(super) struct Tried {
    pub(super) checks: Vec<Check>,
    /// One that answered, and how.
    pub(super) reached: Option<(RelayAddress, Ways)>,
}

/// The time to a relay and back on a way, or why that is none.
type Outcome = Result<Duration, RelayError>;

/// Tries each relay by UDP and by TCP, all at once.
pub(super) async fn try_all(patient: &Patient, relays: &[RelayAddress]) -> Tried {
    let tries = relays.iter().take(RELAYS_MAX).map(|relay| async move {
        let (udp, tcp) = tokio::join!(reach(patient, relay, Ways::Udp), reach(patient, relay, Ways::Tunnel));
        (relay, udp, tcp)
    });
    let tried = join_all(tries).await;
    let way = |udp: &Outcome, tcp: &Outcome| match (udp, tcp) {
        (Ok(_), _) => Some(Ways::Udp),
        (_, Ok(_)) => Some(Ways::Tunnel),
        _ => None,
    };
    let reached = tried.iter().find_map(|(relay, udp, tcp)| Some(((*relay).clone(), way(udp, tcp)?)));
    // One relay of several is enough.
    let lost = if reached.is_some() { Verdict::Warning } else { Verdict::Bad };
    let checks = tried.into_iter().flat_map(|(relay, udp, tcp)| judge(relay, udp, tcp, lost, patient.language));
    Tried { checks: checks.collect(), reached }
}

/// Each is tried in two ways at the same time.
const RELAYS_MAX: usize = 8;

/// Time for one way to one relay, a little more than the client gives itself; and for the desk to be found there.
const DEADLINE: Duration = Duration::from_secs(12);

fn judge(relay: &RelayAddress, udp: Outcome, tcp: Outcome, lost: Verdict, language: Language) -> [Check; 2] {
    let (shown, host, port) = (plain(&relay.host_port()), plain(&relay.host), relay.port.to_string());
    let fill = |phrase: Phrase, why: &str| {
        phrase.fill(language, &[("relay", &*shown), ("host", &*host), ("port", &*port), ("why", why), ("ms", why)])
    };
    let by_udp = |verdict, said| Check::new("relay_udp", fill(RELAY_UDP, ""), verdict, said);
    let by_tcp = |verdict, said| Check::new("relay_tcp", fill(RELAY_TCP, ""), verdict, said);
    let answers = |took: Duration| fill(RELAY_ANSWERS, &took.as_millis().to_string());
    match (udp, tcp) {
        (Ok(udp), Ok(tcp)) => [by_udp(Verdict::Good, answers(udp)), by_tcp(Verdict::Good, answers(tcp))],
        (Ok(udp), Err(error)) => {
            tracing::info!(%error, "no tunnel");
            [by_udp(Verdict::Good, answers(udp)), by_tcp(Verdict::Unknown, fill(TCP_NOT_NEEDED, ""))]
        }
        (Err(_), Ok(tcp)) => {
            let blocked = by_udp(Verdict::Warning, fill(UDP_BLOCKED, ""));
            [Check { remedy: Some(fill(LET_UDP, "")), ..blocked }, by_tcp(Verdict::Good, answers(tcp))]
        }
        (Err(udp), Err(tcp)) => {
            let [udp, tcp] = [udp, tcp].map(|error| {
                let remedy = fill(remedy(&error, &relay.host), "");
                (JoinError::Relay { relay: shown.clone(), source: error }.sentence(language), Some(remedy))
            });
            [Check { remedy: udp.1, ..by_udp(lost, udp.0) }, Check { remedy: tcp.1, ..by_tcp(lost, tcp.0) }]
        }
    }
}

fn remedy(error: &RelayError, host: &str) -> Phrase {
    match error {
        RelayError::WrongKey => NEW_LINK,
        RelayError::Proxy(ProxyError::NoCredentials | ProxyError::WrongCredentials) => PROXY_NAME,
        RelayError::Resolve(_) => CHECK_NAME,
        _ if desk::is_here(host) => START_HERE,
        _ => LET_RELAY,
    }
}

/// Asks a relay some questions with a key that nobody knows.
async fn reach(patient: &Patient, relay: &RelayAddress, ways: Ways) -> Outcome {
    let client = stranger(&patient.net, patient.any_proxy().cloned(), ways)?;
    let measured = client.measure(relay.clone(), DEADLINE).await;
    client.close().await;
    measured.map(|measured| measured.median().unwrap_or(measured.took))
}

fn register(patient: &Patient, relay: &RelayAddress, ways: Ways) -> Result<(Client, Registration), RelayError> {
    let client = stranger(&patient.net, patient.any_proxy().cloned(), ways)?;
    let registration = client.register(relay.clone(), Role::Agent);
    Ok((client, registration))
}

/// Whether the desk is connected to a relay that was reached.
pub(super) async fn support(
    patient: &Patient,
    relay: &RelayAddress,
    ways: Ways,
    organization: OrganizationKey,
) -> Check {
    let (language, step) = (patient.language, SUPPORT.text(patient.language));
    let bad = |said: Phrase, remedy: Phrase| Check::bad("support", step, said.text(language), remedy.text(language));
    let Ok((client, mut registration)) = register(patient, relay, ways) else { return bad(SUPPORT_AWAY, CALL_THEM) };
    registration.reach(organization).await;
    let asked = timeout(DEADLINE, async {
        loop {
            match registration.notice().await {
                Some(Notice::Opened { .. }) => return Ok(()),
                Some(Notice::Refused(refusal)) => return Err(Some(refusal)),
                Some(Notice::Down(_)) | None => return Err(None),
                Some(_) => {}
            }
        }
    });
    let asked = asked.await.unwrap_or(Err(None));
    client.close().await;
    match asked {
        Ok(()) => Check::new("support", step, Verdict::Good, SUPPORT_THERE.text(language)),
        Err(Some(RelayRefusal::UnknownOrganization)) => bad(SUPPORT_UNKNOWN, CALL_SUPPORT),
        Err(_) => bad(SUPPORT_AWAY, CALL_THEM),
    }
}
