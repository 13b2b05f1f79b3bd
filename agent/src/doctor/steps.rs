//! The machine's own network, and the desk's host.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use belay_protocol::report::{DeskPath, Fact, Https, Network, PlainHttp, Raw, SectionName};
use belay_protocol::{Language, Phrase};
use belay_relay::client::Proxy;
use belay_relay::net::Net;
use tokio::time::timeout;

use super::words::*;
use super::{Check, Meeting, Patient, Target, Verdict};
use crate::desk::{self, WellKnownError};
use crate::join::JoinError;
use crate::probe::desk_path::Desk;
use crate::survey::{Look, look_at};
use crate::terminal::plain;

/// What there is to see before anybody is asked for a desk.
pub(super) struct Seen {
    pub(super) checks: Vec<Check>,
    /// What stands in the way to the desk.
    pub(super) obstacle: Option<Check>,
    pub(super) clock: Option<Check>,
}

pub(super) async fn network(patient: &Patient) -> Seen {
    let language = patient.language;
    let host = patient.target.host();
    // To a desk on this very machine there is no way to look at.
    let is_far = !patient.insecure_http && !desk::is_loopback(host);
    let desk = (is_far && patient.proxy.is_ok()).then(|| Desk::new(host.to_owned(), patient.any_proxy().cloned()));
    let look = Look { language, desk, ..Look::default() };
    let (survey, name) = tokio::join!(look_at(SectionName::Network, &look, None), name(patient, host));
    let network = survey.network;
    let mut checks = Vec::new();
    checks.extend(is_far.then(|| way_out(&network, language)));
    if patient.proxy.is_err() {
        let (step, said) = (PROXY.text(language), NOT_A_PROXY.text(language));
        checks.push(Check::bad(PROXY_ID, step, said, SET_PROXY.text(language)));
    } else if let Some(proxy) = patient.proxy_for(host) {
        checks.push(through(&*patient.net, proxy, language).await);
    }
    checks.extend(name);
    let path = network.desk.known();
    Seen {
        checks,
        obstacle: path.and_then(|path| obstacle(path, language)),
        clock: path.and_then(|path| clock(path, language)),
    }
}

/// Whether somebody listens where the proxy is said to be.
async fn through(net: &dyn Net, proxy: &Proxy, language: Language) -> Check {
    let (id, step, values) = (PROXY_ID, PROXY.text(language), [("proxy", &*plain(&proxy.host_port()))]);
    let reach = async {
        for address in net.resolve(&proxy.host, proxy.port).await.ok()? {
            if net.connect(address).await.is_ok() {
                return Some(());
            }
        }
        None
    };
    match timeout(PROXY_DEADLINE, reach).await {
        Ok(Some(())) => Check::new(id, step, Verdict::Good, THROUGH_PROXY.fill(language, &values)),
        Ok(None) | Err(_) => Check::bad(id, step, PROXY_SILENT.fill(language, &values), PROXY_ADDRESS.text(language)),
    }
}

pub(super) const PROXY_ID: &str = "proxy";

/// A proxy stands in the same network.
const PROXY_DEADLINE: Duration = Duration::from_secs(3);

fn way_out(network: &Network<Raw>, language: Language) -> Check {
    let (id, step) = ("network", NETWORK.text(language));
    match &network.default_routes {
        Fact::Known(routes) => match routes.first() {
            Some(route) => {
                let interface = plain(route.interface.reveal());
                Check::new(id, step, Verdict::Good, WAY_OUT.fill(language, &[("interface", &interface)]))
            }
            None => Check::bad(id, step, NO_WAY_OUT.text(language), CONNECT.text(language)),
        },
        Fact::Unknown(_) => Check::new(id, step, Verdict::Unknown, NOT_SEEN.text(language)),
    }
}

/// Whether the desk's host has an address; nothing for one that is an address, or that the proxy looks up.
async fn name(patient: &Patient, host: &str) -> Option<Check> {
    let (language, name) = (patient.language, desk::name_of(host));
    if name.parse::<IpAddr>().is_ok() || patient.proxy_for(host).is_some() {
        return None;
    }
    let began = Instant::now();
    let resolved = timeout(NAME_DEADLINE, patient.net.resolve(name, HTTPS_PORT)).await;
    let (step, shown, ms) = (NAMES.text(language), plain(name), began.elapsed().as_millis().to_string());
    let why = match resolved {
        Ok(Ok(addresses)) if !addresses.is_empty() => {
            let said = RESOLVED.fill(language, &[("host", &shown), ("ms", &ms)]);
            return Some(Check::new("name", step, Verdict::Good, said));
        }
        Ok(Ok(_)) => Https::NoName.phrase().text(language).to_owned(),
        Ok(Err(error)) if is_silence(&error) => NAME_SERVERS_SILENT.text(language).to_owned(),
        Ok(Err(_)) => Https::NoName.phrase().text(language).to_owned(),
        Err(_) => Https::TimedOut.phrase().text(language).to_owned(),
    };
    let said = NOT_RESOLVED.fill(language, &[("host", &shown), ("why", &plain(&why))]);
    Some(Check::bad("name", step, said, CHECK_NAME.text(language)))
}

const HTTPS_PORT: u16 = 443;

/// Whether a resolver says that no name server has answered. The standard library has no kind for it, so that it is known by
/// the words of glibc ("Temporary failure in name resolution") and of musl ("Try again") for `EAI_AGAIN`, and by the number of
/// Windows, `WSATRY_AGAIN`.
fn is_silence(error: &io::Error) -> bool {
    const TRY_AGAIN_ON_WINDOWS: i32 = 11_002;
    if error.raw_os_error() == Some(TRY_AGAIN_ON_WINDOWS) {
        return true;
    }
    let said = error.to_string();
    said.contains("lookup address") && (said.contains("Temporary failure") || said.ends_with("Try again"))
}

/// The resolver asks each server for 5 s, and twice (resolv.conf(5)); most people have left by then.
const NAME_DEADLINE: Duration = Duration::from_secs(10);

/// What stands in the way to the desk; nothing when somebody answered, whose document says more.
fn obstacle(path: &DeskPath, language: Language) -> Option<Check> {
    let step = DESK.text(language);
    if path.plain_http == Fact::Known(PlainHttp::Portal) {
        return Some(Check::bad("desk", step, PORTAL.text(language), SIGN_IN.text(language)));
    }
    let remedy = match path.https {
        Https::Answered | Https::WrongAnswer => return None,
        Https::WrongTime => SET_CLOCK,
        Https::ProxyPassword => PROXY_NAME,
        Https::NoName => CHECK_NAME,
        Https::WrongName => CHECK_ADDRESS,
        Https::ConnectionRefused | Https::TimedOut | Https::Untrusted | Https::Failed => ASK_NETWORK,
    };
    let values = [("host", &*plain(&path.host)), ("why", path.https.phrase().text(language))];
    Some(Check::bad("desk", step, WRONG.fill(language, &values), remedy.text(language)))
}

/// Judged as by the rule `clock-against-desk`: five minutes are a warning, and a day breaks certificates.
fn clock(path: &DeskPath, language: Language) -> Option<Check> {
    let ahead_seconds = *path.clock_ahead_seconds.known()?;
    let step = CLOCK.text(language);
    let off_seconds = ahead_seconds.unsigned_abs();
    if off_seconds <= CLOCK_WARN_SECONDS {
        return Some(Check::new("clock", step, Verdict::Good, CLOCK_RIGHT.text(language)));
    }
    let verdict = if off_seconds > CLOCK_BAD_SECONDS { Verdict::Bad } else { Verdict::Warning };
    let said = CLOCK_WRONG.fill(language, &[("seconds", &ahead_seconds.to_string())]);
    Some(Check { verdict, ..Check::bad("clock", step, said, SET_CLOCK.text(language)) })
}

const CLOCK_WARN_SECONDS: u64 = 300;
const CLOCK_BAD_SECONDS: u64 = 86_400;

/// Asks the desk's host for its document.
pub(super) async fn desk(patient: &Patient) -> (Check, Option<Meeting>) {
    let (language, host) = (patient.language, patient.target.host().to_owned());
    let (asked, insecure_http, proxy) = (host.clone(), patient.insecure_http, patient.any_proxy().cloned());
    let began = Instant::now();
    let fetched = tokio::task::spawn_blocking(move || desk::fetch(&asked, insecure_http, proxy.as_ref())).await;
    let (step, shown, ms) = (DESK.text(language), plain(&host), began.elapsed().as_millis().to_string());
    let fill = |phrase: Phrase| phrase.fill(language, &[("host", &shown), ("ms", &ms)]);
    let document = match fetched.unwrap_or(Err(WellKnownError::NotADesk)) {
        Ok(document) => document,
        Err(error) => return (not_fetched(patient, &shown, error), None),
    };
    let wrong = |said: Phrase, remedy: Phrase| (Check::bad("desk", step, fill(said), remedy.text(language)), None);
    let relays = document.relays();
    match (document.organization(), &patient.target) {
        (None, _) => wrong(NOT_A_DESK, CHECK_ADDRESS),
        (Some(organization), Target::Invite(invite)) if invite.organization != organization => {
            wrong(ANOTHER_KEY, CALL_SUPPORT)
        }
        (Some(_), _) if relays.is_empty() => wrong(NO_RELAYS, CALL_SUPPORT),
        (Some(organization), _) => {
            (Check::new("desk", step, Verdict::Good, fill(ANSWERED)), Some(Meeting { relays, organization }))
        }
    }
}

fn not_fetched(patient: &Patient, host: &str, error: WellKnownError) -> Check {
    let language = patient.language;
    let remedy = match &error {
        WellKnownError::NotADesk | WellKnownError::InsecureHost => CHECK_ADDRESS,
        WellKnownError::ProxyPassword | WellKnownError::WrongProxyPassword => PROXY_NAME,
        WellKnownError::Certificate(_) => SET_CLOCK,
        WellKnownError::Request(_) if desk::is_loopback(patient.target.host()) => START_HERE,
        WellKnownError::Request(_) => ASK_NETWORK,
    };
    let said = match error {
        WellKnownError::NotADesk => NOT_A_DESK.fill(language, &[("host", host)]),
        source => JoinError::HelpHost { host: host.to_owned(), source }.sentence(language),
    };
    // Who has a link needs the host only to be sure whose it is.
    let verdict = if matches!(patient.target, Target::Help(_)) { Verdict::Bad } else { Verdict::Warning };
    Check { verdict, ..Check::bad("desk", DESK.text(language), said, remedy.text(language)) }
}

#[cfg(test)]
mod tests {
    use belay_relay::net::SystemNet;

    use super::*;

    #[test]
    fn silent_name_servers_are_told_from_a_name_that_is_not_there_on_every_system() {
        let told =
            |words: &str| is_silence(&io::Error::other(format!("failed to lookup address information: {words}")));
        assert!(told("Temporary failure in name resolution") && told("Try again"));
        assert!(is_silence(&io::Error::from_raw_os_error(11_002)));
        assert!(!told("Name or service not known") && !told("Name does not resolve"));
        assert!(!is_silence(&io::Error::from_raw_os_error(11_001)) && !is_silence(&io::Error::other("Try again")));
    }

    #[tokio::test]
    async fn a_proxy_is_good_only_where_somebody_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let check = async |proxy: &str| through(&SystemNet, &Proxy::parse(proxy).unwrap(), Language::English).await;
        assert_eq!(check(&address).await.verdict, Verdict::Good);
        drop(listener);
        assert!(Proxy::parse("127.0.0.1:99999").is_err());
        for proxy in [address.as_str(), "garbage"] {
            let silent = check(proxy).await;
            assert_eq!(silent.verdict, Verdict::Bad, "{proxy}");
            assert!(silent.said.contains(proxy) && silent.remedy.is_some());
        }
    }
}
