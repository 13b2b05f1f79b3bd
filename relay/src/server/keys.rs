//! The relay's keys: its identity, and the secrets that must survive a restart so that peers recognize it.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::{hkdf, hmac};
use quinn::{ConnectionId, ConnectionIdGenerator};
use quinn_proto::InvalidCid;
use rand::Rng;

use belay_protocol::RouteId;

use crate::identity::{Identity, IdentityError};

/// What a relay keeps in its data directory.
#[derive(Debug)]
pub struct RelayKeys {
    /// Its identity.
    pub identity: Arc<Identity>,
    /// Signs stateless resets: after a restart, ends that still talk to the old process learn at once that it is gone.
    pub(super) reset: Arc<hmac::Key>,
    /// Marks our own connection ids, so that resets are sent for those alone.
    pub(super) connection_ids: ControlIds,
    source: hmac::Key,
}

impl RelayKeys {
    /// Reads the keys in `data`, or makes them there.
    pub fn load_or_create(data: &Path) -> Result<Self, IdentityError> {
        let identity = Identity::load_or_create(&data.join("relay.key"))?;
        let seed = identity.sign(b"belay relay secrets 1\0").to_bytes();
        let secrets = hkdf::Salt::new(hkdf::HKDF_SHA256, b"belay relay").extract(&seed);
        let derive = |label: &'static str| -> [u8; 32] {
            let mut key = [0; 32];
            secrets
                .expand(&[label.as_bytes()], hkdf::HKDF_SHA256)
                .and_then(|okm| okm.fill(&mut key))
                .expect("HKDF-SHA256 gives 32 bytes");
            key
        };
        Ok(Self {
            identity: Arc::new(identity),
            reset: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &derive("stateless reset"))),
            connection_ids: ControlIds { key: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &derive("connection ids"))) },
            source: hmac::Key::new(hmac::HMAC_SHA256, &derive("source prefix")),
        })
    }

    /// Where an agent comes from, for limiting guesses: the same for the same network (IPv4 /24, IPv6 /56), and not the
    /// address.
    pub fn attest_source(&self, address: IpAddr) -> [u8; 16] {
        let tag = hmac::sign(&self.source, &source_prefix(address));
        std::array::from_fn(|index| tag.as_ref()[index])
    }
}

/// The network that an address belongs to, as far as limits are concerned: IPv4 /24, IPv6 /56, each with zeros behind.
pub(super) fn source_prefix(address: IpAddr) -> [u8; 8] {
    let mut prefix = [0; 8];
    match address.to_canonical() {
        IpAddr::V4(v4) => prefix[..3].copy_from_slice(&v4.octets()[..3]),
        // The last byte tells the families apart.
        IpAddr::V6(v6) => {
            prefix[..7].copy_from_slice(&v6.octets()[..7]);
            prefix[7] = 6;
        }
    }
    prefix
}

/// Ids of control connections at the relay's end: four random bytes and four that mark them as ours.
#[derive(Debug, Clone)]
pub(super) struct ControlIds {
    key: Arc<hmac::Key>,
}

/// Random bytes of an id; the rest is the mark.
const NONCE_BYTES: usize = 4;

impl ControlIds {
    fn mark(&self, nonce: &[u8]) -> [u8; RouteId::LEN - NONCE_BYTES] {
        let tag = hmac::sign(&self.key, nonce);
        std::array::from_fn(|index| tag.as_ref()[index])
    }
}

impl ControlIds {
    /// Says whether this relay, or its former life, has issued an id.
    pub(super) fn issued(&self, id: &[u8]) -> bool {
        id.split_at_checked(NONCE_BYTES).is_some_and(|(nonce, mark)| mark == self.mark(nonce))
    }
}

impl ConnectionIdGenerator for ControlIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; RouteId::LEN];
        rand::rng().fill_bytes(&mut id[..NONCE_BYTES]);
        let mark = self.mark(&id[..NONCE_BYTES]);
        id[NONCE_BYTES..].copy_from_slice(&mark);
        ConnectionId::new(&id)
    }

    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        if self.issued(id) { Ok(()) } else { Err(InvalidCid) }
    }

    fn cid_len(&self) -> usize {
        RouteId::LEN
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_survive_a_restart_and_sources_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let first = RelayKeys::load_or_create(dir.path()).unwrap();
        let second = RelayKeys::load_or_create(dir.path()).unwrap();
        let id = first.connection_ids.clone().generate_cid();
        assert!(second.connection_ids.validate(&id).is_ok());
        let other = RelayKeys::load_or_create(tempfile::tempdir().unwrap().path()).unwrap();
        assert!(other.connection_ids.validate(&id).is_err());
        let attest = |text: &str| first.attest_source(text.parse().unwrap());
        assert_eq!(attest("192.0.2.1"), second.attest_source("192.0.2.200".parse().unwrap()));
        assert_eq!(attest("192.0.2.1"), attest("::ffff:192.0.2.1"));
        assert_ne!(attest("192.0.2.1"), attest("192.0.3.1"));
        assert_eq!(attest("2001:db8:0:1::1"), attest("2001:db8:0:2::1"));
        assert_ne!(attest("2001:db8::1"), attest("2001:db9::1"));
    }
}
