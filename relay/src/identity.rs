//! Ed25519 identities: one key pair each for a device, a console, a relay and an organization.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use belay_protocol::delegation::{Delegation, Signature};
use belay_protocol::signed_pack::{PackProof, RulesDelegation};
use belay_protocol::{ConsoleKey, DeviceKey, OrganizationKey, RelayKey, RulesKey};

use crate::private_file;

/// A private key with its public half. The private half never leaves this type except into its file and into TLS.
pub struct Identity {
    pair: Ed25519KeyPair,
    pkcs8: PrivatePkcs8KeyDer<'static>,
    public: [u8; 32],
}

/// Why a key file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file could not be read or written.
    #[error("the key file {path} cannot be used: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others on this machine can read the key.
    #[error("the key file {path} can be read by others: run `chmod 600 {path}`", path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no Ed25519 key in PKCS#8 PEM.
    #[error("{path} is not an Ed25519 private key in PKCS#8 PEM: restore it from a backup", path = path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// No randomness: the operating system refused.
    #[error("no key could be made, because the system gave no randomness")]
    NoRandomness,
}

impl Identity {
    /// Makes a new key pair.
    pub fn generate() -> Result<Self, IdentityError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| IdentityError::NoRandomness)?;
        let pkcs8 = pair.to_pkcs8().map_err(|_| IdentityError::NoRandomness)?;
        Self::from_pkcs8(PrivatePkcs8KeyDer::from(pkcs8.as_ref().to_vec())).ok_or(IdentityError::NoRandomness)
    }

    /// Reads the key in `path`.
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        let file = |source| IdentityError::File { path: path.to_owned(), source };
        refuse_exposed(path, &fs::metadata(path).map_err(file)?)?;
        let mut pem = fs::read(path).map_err(file)?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(&pem).ok().and_then(|der| Self::from_pkcs8(der.clone_key()));
        zeroize::Zeroize::zeroize(&mut pem);
        key.ok_or_else(|| IdentityError::NotAKey { path: path.to_owned() })
    }

    /// Reads the key in `path`, or makes one there with mode 0600 if there is no file. Two programs that start at the
    /// same time end up with the same key.
    pub fn load_or_create(path: &Path) -> Result<Self, IdentityError> {
        match fs::exists(path) {
            Ok(true) => return Self::load(path),
            Ok(false) => {}
            Err(source) => return Err(IdentityError::File { path: path.to_owned(), source }),
        }
        let new = Self::generate()?;
        match new.create(path) {
            Ok(()) => Ok(new),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::load(path),
            Err(source) => Err(IdentityError::File { path: path.to_owned(), source }),
        }
    }

    /// Writes the key to a temporary name first, so that no half-written key is ever found under `path`.
    fn create(&self, path: &Path) -> io::Result<()> {
        let draft = path.with_extension(format!("new-{}", std::process::id()));
        let body = data_encoding::BASE64.encode(self.pkcs8.secret_pkcs8_der());
        let draft_file = private_file::options().write(true).create_new(true).open(&draft);
        let written = draft_file.and_then(|mut file| {
            file.write_all(format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n").as_bytes())?;
            file.sync_all()
        });
        // A hard link fails where the name exists; a rename would replace another program's key.
        let linked = written.and_then(|()| fs::hard_link(&draft, path));
        let _ = fs::remove_file(&draft);
        linked
    }

    fn from_pkcs8(pkcs8: PrivatePkcs8KeyDer<'static>) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.secret_pkcs8_der()).ok()?;
        let public = pair.public_key().as_ref().try_into().ok()?;
        Some(Self { pair, pkcs8, public })
    }

    /// The 32 bytes of the public key.
    pub const fn public_key(&self) -> &[u8; 32] {
        &self.public
    }

    /// The public key, for an agent's identity.
    pub const fn device_key(&self) -> DeviceKey {
        DeviceKey(self.public)
    }

    /// The public key, for a console's identity.
    pub const fn console_key(&self) -> ConsoleKey {
        ConsoleKey(self.public)
    }

    /// The public key, for an organization's identity.
    pub const fn organization_key(&self) -> OrganizationKey {
        OrganizationKey(self.public)
    }

    /// The public key, for a relay's identity.
    pub const fn relay_key(&self) -> RelayKey {
        RelayKey(self.public)
    }

    /// Signs `message` with Ed25519 (RFC 8032).
    pub fn sign(&self, message: &[u8]) -> Signature {
        let signature = self.pair.sign(message);
        Signature::from_bytes(signature.as_ref().try_into().expect("an Ed25519 signature has 64 bytes"))
    }

    /// Lets `console` speak for this organization until `not_after_unix_ms`.
    pub fn delegate(&self, console: ConsoleKey, not_after_unix_ms: i64) -> Delegation {
        let organization = self.organization_key();
        let signature = self.sign(&Delegation::signed_bytes(&organization, &console, not_after_unix_ms));
        Delegation { organization, console, not_after_unix_ms, signature }
    }

    /// The public key, for an identity that signs rule packs.
    pub const fn rules_key(&self) -> RulesKey {
        RulesKey(self.public)
    }

    /// Lets `signer` sign rule packs for this organization until `not_after_unix_ms`.
    pub fn delegate_rules(&self, signer: RulesKey, not_after_unix_ms: i64) -> RulesDelegation {
        let organization = self.organization_key();
        let signature = self.sign(&RulesDelegation::signed_bytes(&organization, &signer, not_after_unix_ms));
        RulesDelegation { organization, signer, not_after_unix_ms, signature }
    }

    /// Signs the rule pack whose file has this SHA-256, as the organization of `delegation` lets this key.
    pub fn sign_pack(&self, delegation: RulesDelegation, text_sha256: &[u8; 32]) -> PackProof {
        let signature = self.sign(&PackProof::signed_bytes(&delegation.organization, text_sha256));
        PackProof { delegation, signature }
    }

    /// The private key for TLS.
    pub(crate) fn tls_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.pkcs8.clone_key())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", DeviceKey(self.public).short())
    }
}

/// Says whether `signature` over `message` was made by the owner of `public_key`.
pub fn is_signed_by(public_key: &[u8; 32], message: &[u8], signature: &Signature) -> bool {
    UnparsedPublicKey::new(&ED25519, public_key).verify(message, &signature.to_bytes()).is_ok()
}

/// Why a delegation does not make a console speak for an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DelegationError {
    /// It names another console than the one that presented it.
    #[error("the delegation is for another console")]
    OtherConsole,
    /// It is signed by another organization than the one expected, or not properly signed at all.
    #[error("the delegation is not signed by this organization")]
    NotSigned,
    /// It has ended.
    #[error("the delegation has expired")]
    Expired,
}

/// Checks that `organization` lets `console` speak for it at `now_unix_ms`.
pub fn verify_delegation(
    delegation: &Delegation,
    organization: &OrganizationKey,
    console: &ConsoleKey,
    now_unix_ms: i64,
) -> Result<(), DelegationError> {
    if delegation.console != *console {
        return Err(DelegationError::OtherConsole);
    }
    let signed = Delegation::signed_bytes(organization, console, delegation.not_after_unix_ms);
    if delegation.organization != *organization || !is_signed_by(&organization.0, &signed, &delegation.signature) {
        return Err(DelegationError::NotSigned);
    }
    if now_unix_ms >= delegation.not_after_unix_ms {
        return Err(DelegationError::Expired);
    }
    Ok(())
}

fn refuse_exposed(path: &Path, metadata: &fs::Metadata) -> Result<(), IdentityError> {
    const GROUP_AND_OTHERS: u32 = 0o077;
    match private_file::mode(metadata) {
        Some(mode) if mode & GROUP_AND_OTHERS != 0 => Err(IdentityError::Exposed { path: path.to_owned() }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("device.key");
        let made = Identity::load_or_create(&path).unwrap();
        assert_eq!(Identity::load_or_create(&path).unwrap().public_key(), made.public_key());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left behind");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("device.key");
        Identity::load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Identity::load(&path), Err(IdentityError::Exposed { .. })));
    }

    #[test]
    fn a_damaged_key_file_is_named_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("device.key");
        Identity::load_or_create(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let damaged = text.replacen("MF", "XX", 1);
        let damaged = if damaged == text { text[..40].to_owned() } else { damaged };
        fs::write(&path, &damaged).unwrap();
        assert!(matches!(Identity::load_or_create(&path), Err(IdentityError::NotAKey { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
    }

    #[test]
    fn only_the_named_console_of_the_named_organization_is_delegated_and_only_until_its_end() {
        let (organization, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let console = Identity::generate().unwrap().console_key();
        let delegation = organization.delegate(console, 1_000);
        let other_console = other.console_key();
        let verify = |d: &Delegation, o: &Identity, c, now| verify_delegation(d, &o.organization_key(), c, now);
        assert_eq!(verify(&delegation, &organization, &console, 999), Ok(()));
        assert_eq!(verify(&delegation, &organization, &console, 1_000), Err(DelegationError::Expired));
        assert_eq!(verify(&delegation, &other, &console, 0), Err(DelegationError::NotSigned));
        assert_eq!(verify(&delegation, &organization, &other_console, 0), Err(DelegationError::OtherConsole));
        let stretched = Delegation { not_after_unix_ms: 2_000, ..delegation };
        assert_eq!(verify(&stretched, &organization, &console, 1_500), Err(DelegationError::NotSigned));
        let renamed = Delegation { organization: other.organization_key(), ..delegation };
        assert_eq!(verify(&renamed, &other, &console, 0), Err(DelegationError::NotSigned));
    }
}
