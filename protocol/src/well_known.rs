//! What a desk publishes at `https://HOST/.well-known/belay`, as JSON: who it is and where it can be met. The domain, by
//! WebPKI, vouches for the organization key.

use serde::{Deserialize, Serialize};

use crate::bounded::{BoundedVec, Name};
use crate::id::{OrganizationKey, RelayKey};
use crate::invite::RelayAddress;

/// The path under which the document is served.
pub const PATH: &str = "/.well-known/belay";

/// Bytes of the document; a larger one is refused.
pub const MAX_BYTES: u64 = 16 * 1024;

/// Relays that a document may list.
pub const MAX_RELAYS: usize = 16;

/// The document. Fields that later versions add are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WellKnown {
    /// The desk's name.
    pub name: Name,
    /// The organization key in its text form.
    pub organization: Name,
    /// Where the desk can be met.
    pub relays: BoundedVec<WellKnownRelay, MAX_RELAYS>,
}

/// One relay of the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WellKnownRelay {
    /// `HOST:PORT`.
    pub address: Name,
    /// The relay's key in its text form.
    pub key: Name,
}

impl From<&RelayAddress> for WellKnownRelay {
    fn from(relay: &RelayAddress) -> Self {
        Self { address: Name::truncating(relay.host_port()), key: Name::truncating(relay.key.to_string()) }
    }
}

impl WellKnown {
    /// The document of a desk.
    pub fn new(name: Name, organization: &OrganizationKey, relays: &[RelayAddress]) -> Self {
        let relays = relays.iter().map(WellKnownRelay::from);
        Self {
            name,
            organization: Name::truncating(organization.to_string()),
            relays: BoundedVec::truncating(relays).0,
        }
    }

    /// The organization key, if it is one.
    pub fn organization(&self) -> Option<OrganizationKey> {
        self.organization.parse().ok()
    }

    /// The relays that are written properly, in their order.
    pub fn relays(&self) -> Vec<RelayAddress> {
        self.relays.iter().filter_map(WellKnownRelay::address).collect()
    }
}

impl WellKnownRelay {
    /// The relay, if it is written properly.
    pub fn address(&self) -> Option<RelayAddress> {
        let key: RelayKey = self.key.parse().ok()?;
        format!("{}#{key}", self.address).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_reads_back_and_ignores_what_it_does_not_know() {
        let relays = [RelayAddress { host: "::1".into(), port: 443, key: RelayKey([5; 32]) }];
        let document = WellKnown::new(Name::truncating("Desk"), &OrganizationKey([4; 32]), &relays);
        let mut json: serde_json::Value = serde_json::to_value(&document).unwrap();
        json["later"] = serde_json::json!({"a": 1});
        let read: WellKnown = serde_json::from_value(json).unwrap();
        assert_eq!(read, document);
        assert_eq!(read.organization(), Some(OrganizationKey([4; 32])));
        assert_eq!(read.relays(), relays);
    }

    #[test]
    fn a_relay_that_is_not_written_properly_is_left_out() {
        let json = r#"{"name":"x","organization":"y","relays":[{"address":"a","key":"b"}]}"#;
        let read: WellKnown = serde_json::from_str(json).unwrap();
        assert_eq!((read.organization(), read.relays()), (None, vec![]));
    }
}
