//! Why a support desk can or cannot be reached: the way there, step by step, each with what to do about it.
//!
//! Nothing about this machine is sent to anybody. At the relay it shows a key that is made for this and forgotten, so that
//! no desk learns which device has looked, and no code of a link is used up.

mod relays;
mod steps;
mod words;

use std::sync::Arc;

use belay_protocol::invite::{Invite, RelayAddress};
use belay_protocol::{Language, OrganizationKey, Phrase};
use belay_relay::client::{NotAProxy, Proxy};
use belay_relay::net::Net;
use serde::Serialize;

use crate::desk::name_of;
use crate::join::{JoinError, help_host, is_link};

/// What is to be reached.
#[derive(Debug, Clone)]
pub enum Target {
    /// The desk of a help address.
    Help(String),
    /// The desk of an invite, with the relays in it.
    Invite(Box<Invite>),
}

impl Target {
    /// Understands what a customer would give to `join`.
    pub fn parse(text: &str) -> Result<Self, JoinError> {
        if is_link(text) {
            return Ok(Self::Invite(Box::new(text.parse()?)));
        }
        help_host(text).map(Self::Help)
    }

    fn host(&self) -> &str {
        match self {
            Self::Help(host) => host,
            Self::Invite(invite) => &invite.desk,
        }
    }
}

/// Who cannot reach whom, perhaps.
#[derive(Debug, Clone)]
pub struct Patient {
    /// What is to be reached.
    pub target: Target,
    /// The HTTP proxy of the network, or that what is set is none.
    pub proxy: Result<Option<Proxy>, NotAProxy>,
    /// Whether a desk on this very machine may be asked by plain HTTP.
    pub insecure_http: bool,
    /// The language of the person.
    pub language: Language,
    /// Where sockets come from.
    pub net: Arc<dyn Net>,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It works.
    Good,
    /// Something is wrong that does not stand in the way.
    Warning,
    /// Support cannot be reached because of it.
    Bad,
    /// It was not tried, or says nothing.
    Unknown,
}

/// One step of the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable name of the step, for machines.
    pub id: &'static str,
    /// The step in the person's language.
    pub step: String,
    /// How it went.
    pub verdict: Verdict,
    /// What was seen.
    pub said: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Where the desk can be met, once that is known.
struct Meeting {
    relays: Vec<RelayAddress>,
    organization: OrganizationKey,
}

impl Patient {
    /// The proxy, unless `host` is reached without it.
    fn proxy_for(&self, host: &str) -> Option<&Proxy> {
        self.any_proxy().filter(|proxy| !self.insecure_http && proxy.is_for(name_of(host)))
    }

    fn any_proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref().ok().and_then(Option::as_ref)
    }
}

impl Check {
    fn new(id: &'static str, step: impl Into<String>, verdict: Verdict, said: impl Into<String>) -> Self {
        Self { id, step: step.into(), verdict, said: said.into(), remedy: None }
    }

    fn bad(id: &'static str, step: impl Into<String>, said: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..Self::new(id, step, Verdict::Bad, said) }
    }
}

/// Looks at every step; `begins` hears of each before it is tried.
pub async fn examine(patient: &Patient, begins: impl Fn(Phrase)) -> Vec<Check> {
    begins(words::NETWORK);
    let seen = steps::network(patient).await;
    let mut checks = seen.checks;
    let mut document = None;
    // Through a proxy that is not there nobody is asked, and no relay either.
    if patient.proxy.is_err() {
        return checks;
    }
    if !checks.iter().any(|check| check.id == steps::PROXY_ID && check.verdict == Verdict::Bad) {
        begins(words::DESK);
        let (desk, answered) = steps::desk(patient).await;
        document = answered;
        // What stands in the way says more than that nobody answered.
        checks.push(match seen.obstacle.filter(|_| document.is_none()) {
            Some(obstacle) => Check { verdict: desk.verdict, ..obstacle },
            None => desk,
        });
        checks.extend(seen.clock);
    }
    let meeting = match &patient.target {
        Target::Invite(invite) => {
            Some(Meeting { relays: invite.relays().cloned().collect(), organization: invite.organization })
        }
        Target::Help(_) => document,
    };
    let Some(meeting) = meeting else { return checks };
    begins(words::RELAY);
    let tried = relays::try_all(patient, &meeting.relays).await;
    checks.extend(tried.checks);
    if let Some((relay, ways)) = tried.reached {
        begins(words::SUPPORT);
        checks.push(relays::support(patient, &relay, ways, meeting.organization).await);
    }
    checks
}

#[cfg(test)]
mod tests {
    use belay_relay::net::SystemNet;

    use super::*;

    #[tokio::test]
    async fn what_is_no_http_proxy_is_a_step_of_its_own_behind_which_nobody_is_asked() {
        for language in [Language::English, Language::Chinese] {
            let patient = Patient {
                target: Target::parse("127.0.0.1:1").unwrap(),
                proxy: Proxy::parse("socks5://proxy:1080").map(Some),
                insecure_http: true,
                language,
                net: Arc::new(SystemNet),
            };
            let checks = examine(&patient, |_| ()).await;
            let [check] = checks.as_slice() else { panic!("{checks:?}") };
            assert_eq!((check.id, check.verdict), ("proxy", Verdict::Bad));
            assert!(check.said.contains("SOCKS") && check.remedy.as_ref().unwrap().contains("http://"), "{check:?}");
        }
    }
}
