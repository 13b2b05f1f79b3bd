//! Keys and ids as types of their own, with the one text form people and files see.
//!
//! A key is written as 52 characters of lower-case base32 (RFC 4648, section 6, without padding).

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A key's text was not 52 characters of base32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a key: expected 52 letters a to z and digits 2 to 7")]
pub struct NotAKey;

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The 32 bytes of the Ed25519 public key.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The first eight characters of the text form: enough for a log line, not for a decision.
            pub fn short(&self) -> String {
                let mut text = self.to_string();
                text.truncate(8);
                text
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = NotAKey;

            fn from_str(text: &str) -> Result<Self, NotAKey> {
                let bytes = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).map_err(|_| NotAKey)?;
                bytes.try_into().map(Self).map_err(|_| NotAKey)
            }
        }
    };
}

key!(
    /// The public key by which a device is known.
    DeviceKey
);
key!(
    /// The public key of one console; an organization key vouches for it with a delegation.
    ConsoleKey
);
key!(
    /// The public key that customers pin: who the desk is.
    OrganizationKey
);
key!(
    /// The public key that signs an organization's rule packs; the organization key vouches for it.
    RulesKey
);
key!(
    /// The public key of a relay.
    RelayKey
);

/// Random bytes that an endpoint draws at its start, so that its route id is not a name for it across starts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct RouteSalt(pub [u8; 16]);

/// The eight bytes at the front of every session connection id an endpoint issues, by which relays route packets to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RouteId(pub [u8; 8]);

impl RouteId {
    /// Bytes of a route id.
    pub const LEN: usize = 8;

    /// The route id of `public_key` for this start: the first eight bytes of SHA-256(public key, salt). A relay computes
    /// it for itself, so that nobody can take another's.
    pub fn derive(public_key: &[u8; 32], salt: &RouteSalt) -> Self {
        let digest = Sha256::new().chain_update(public_key).chain_update(salt.0).finalize();
        let mut id = [0; Self::LEN];
        id.copy_from_slice(&digest[..Self::LEN]);
        Self(id)
    }
}

impl fmt::Display for RouteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for RouteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RouteId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_text_form() {
        let key = RelayKey(std::array::from_fn(|i| i as u8));
        let text = key.to_string();
        assert_eq!(text.len(), 52);
        assert_eq!(text.parse(), Ok(key));
        assert_eq!(text.to_uppercase().parse(), Ok(key));
    }

    #[test]
    fn other_texts_are_not_keys() {
        for text in ["", "a", &"a".repeat(51), &"a".repeat(53), &"1".repeat(52), &"磁".repeat(52)] {
            assert_eq!(text.parse::<RelayKey>(), Err(NotAKey), "{text}");
        }
    }

    #[test]
    fn a_route_id_depends_on_key_and_salt() {
        let salt = RouteSalt([7; 16]);
        let id = RouteId::derive(&[1; 32], &salt);
        assert_eq!(id, RouteId::derive(&[1; 32], &salt));
        assert_ne!(id, RouteId::derive(&[2; 32], &salt));
        assert_ne!(id, RouteId::derive(&[1; 32], &RouteSalt([8; 16])));
    }
}
