//! The console as a relying party of passkeys (WebAuthn level 3): which name its passkeys are bound to.

use webauthn_rs::prelude::Url;
use webauthn_rs::{Webauthn, WebauthnBuilder};

/// What passkeys are made for and checked against.
#[derive(Debug)]
pub struct RelyingParty(pub(crate) Webauthn);

/// Passkeys cannot be used at this address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("passkeys are bound to a name, and this console is reached by an IP address: open it by its host name")]
pub struct NoName;

impl RelyingParty {
    /// The relying party at `base_url`, which people know as `name`.
    pub fn at(base_url: &str, name: &str) -> Result<Self, NoName> {
        let url = Url::parse(base_url).map_err(|_| NoName)?;
        let host = url.domain().ok_or(NoName)?;
        let builder = WebauthnBuilder::new(host, &url).map_err(|_| NoName)?;
        builder.rp_name(name).build().map(Self).map_err(|_| NoName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_no_name() {
        for url in ["https://192.0.2.7", "http://127.0.0.1:8080", "https://[2001:db8::1]:8443", "", "nonsense"] {
            assert!(RelyingParty::at(url, "Nordwind").is_err(), "{url}");
        }
        for url in ["http://localhost:8080", "https://help.example.com", "https://help.example.com:8443"] {
            assert!(RelyingParty::at(url, "Nordwind").is_ok(), "{url}");
        }
    }
}

/// An authenticator made of software, for tests that play the browser and the person before it.
#[cfg(test)]
pub(crate) mod soft {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
    use data_encoding::BASE64URL_NOPAD;
    use serde_json::{Value, json};

    use crate::secret::sha256;

    /// One passkey; its fields are what an attacker may change.
    pub(crate) struct SoftPasskey {
        pub(crate) origin: String,
        pub(crate) counter: u32,
        pub(crate) verifies_its_user: bool,
        pub(crate) key: EcdsaKeyPair,
        pub(crate) id: [u8; 32],
        pub(crate) handle: String,
    }

    const PRESENT: u8 = 0x01;
    const VERIFIED: u8 = 0x04;
    const WITH_KEY: u8 = 0x40;

    impl SoftPasskey {
        pub(crate) fn new(origin: &str) -> Self {
            let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
            let (id, handle) = (rand::random(), String::new());
            Self { origin: origin.to_owned(), counter: 1, verifies_its_user: true, key, id, handle }
        }

        /// Answers the options of a registration.
        pub(crate) fn register(&mut self, options: &Value) -> Value {
            let options = &options["publicKey"];
            self.handle = options["user"]["id"].as_str().unwrap().to_owned();
            let mut data = self.authenticator_data(options["rp"]["id"].as_str().unwrap(), WITH_KEY);
            data.extend([0; 16]);
            data.extend([0, 32]);
            data.extend(self.id);
            // A COSE key: elliptic curve, ES256, P-256, and the point.
            let point = self.key.public_key().as_ref();
            data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
            data.extend(&point[1..33]);
            data.extend([0x22, 0x58, 0x20]);
            data.extend(&point[33..]);
            let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
            object.push(u8::try_from(data.len()).unwrap());
            object.extend(data);
            let client = self.client_data("webauthn.create", options);
            let response = json!({
                "attestationObject": BASE64URL_NOPAD.encode(&object),
                "clientDataJSON": BASE64URL_NOPAD.encode(client.as_bytes()),
                "transports": ["internal"],
            });
            self.credential(response)
        }

        /// Answers the options of a sign-in.
        pub(crate) fn sign(&mut self, options: &Value) -> Value {
            let options = &options["publicKey"];
            // One that does not count stays at zero.
            self.counter += u32::from(self.counter > 0);
            let data = self.authenticator_data(options["rpId"].as_str().unwrap(), 0);
            let client = self.client_data("webauthn.get", options);
            let signed = [data.as_slice(), &sha256(client.as_bytes())].concat();
            let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
            let response = json!({
                "authenticatorData": BASE64URL_NOPAD.encode(&data),
                "clientDataJSON": BASE64URL_NOPAD.encode(client.as_bytes()),
                "signature": BASE64URL_NOPAD.encode(signature.as_ref()),
                "userHandle": self.handle,
            });
            self.credential(response)
        }

        fn authenticator_data(&self, party: &str, flags: u8) -> Vec<u8> {
            let flags = flags | PRESENT | if self.verifies_its_user { VERIFIED } else { 0 };
            [sha256(party.as_bytes()).as_slice(), &[flags], &self.counter.to_be_bytes()].concat()
        }

        fn client_data(&self, kind: &str, options: &Value) -> String {
            json!({ "type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": false })
                .to_string()
        }

        fn credential(&self, response: Value) -> Value {
            let id = BASE64URL_NOPAD.encode(&self.id);
            json!({
                "id": id, "rawId": id, "type": "public-key", "response": response,
                "clientExtensionResults": {}, "authenticatorAttachment": "platform",
            })
        }
    }
}
