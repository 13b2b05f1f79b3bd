//! The server key, keyed hashes of codes, and tokens of which the store sees only a hash.

use std::fmt;
use std::io::Write as _;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The secret in the data directory without which the database's hashes of nine-digit codes cannot be searched, sealed
/// answers cannot be read and the audit's end cannot be moved.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ServerKey([u8; 32]);

/// The server key's file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ServerKeyError {
    /// The file could not be read or written.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// The file holds something else.
    #[error("{0} does not hold a server key of 32 bytes")]
    Malformed(String),
}

impl ServerKey {
    /// Draws a new key.
    pub fn generate() -> Self {
        Self(rand::random())
    }

    /// Reads the key, or draws one and writes it with mode 0600, flushed to the disk before it is used.
    pub fn load_or_create(path: &Path) -> Result<Self, ServerKeyError> {
        match Self::load(path) {
            Err(ServerKeyError::File(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                let key = Self::generate();
                write_private(path, &key.0)?;
                Ok(key)
            }
            loaded => loaded,
        }
    }

    /// Reads a key that is there.
    pub fn load(path: &Path) -> Result<Self, ServerKeyError> {
        let mut bytes = fs_err::read(path)?;
        let key = bytes.as_slice().try_into().map(Self);
        bytes.zeroize();
        key.map_err(|_| ServerKeyError::Malformed(path.display().to_string()))
    }

    /// HMAC-SHA256 of `message` under this key; `purpose` keeps the hashes of different things apart.
    pub(crate) fn mac(&self, purpose: &'static str, message: &[u8]) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &self.0));
        context.update(purpose.as_bytes());
        context.update(&[0]);
        context.update(message);
        context.sign().as_ref().to_vec()
    }

    /// Encrypts `plain` so that only somebody with this key and `context` reads it.
    pub(crate) fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut sealed = plain.to_vec();
        self.sealing_key(context)
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
            .expect("AES-256-GCM seals anything shorter than 64 GiB");
        [nonce.as_slice(), &sealed].concat()
    }

    /// Decrypts what [`ServerKey::seal`] made with the same context; `None` when it was anything else.
    pub(crate) fn unseal(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut body = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.sealing_key(context).open_in_place(nonce, Aad::empty(), &mut body).ok()?.len();
        body.truncate(length);
        Some(body)
    }

    fn sealing_key(&self, context: &[u8]) -> LessSafeKey {
        let key = UnboundKey::new(&AES_256_GCM, &self.mac("seal", context)).expect("an HMAC-SHA256 is 32 bytes long");
        LessSafeKey::new(key)
    }
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerKey(..)")
    }
}

/// Writes a file that only its owner may read, all of it or nothing, and flushes file and directory to the disk.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let partial = path.with_extension("partial");
    let mut file = create_private(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs_err::rename(&partial, path)?;
    flush_folder_of(path)
}

/// Makes a file that only its owner may read, empty whatever it held before.
pub(crate) fn create_private(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;

    std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Flushes the name of a file to the disk.
pub(crate) fn flush_folder_of(path: &Path) -> std::io::Result<()> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => fs_err::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// A bearer token of 256 random bits: shown once, stored only as a hash.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Token(String);

impl Token {
    /// Draws a new token.
    pub fn generate() -> Self {
        let bytes: [u8; 32] = rand::random();
        Self(BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
    }

    /// Draws a new token for a program: with a prefix that scanners of leaked secrets find, and a checksum that tells a
    /// mistyped one from a revoked one.
    pub(crate) fn generate_for_program() -> Self {
        let body = Self::generate();
        Self(format!("{PROGRAM_PREFIX}{}{}", body.0, checksum(&body.0)))
    }

    /// Whether this can be a token of a program at all.
    pub(crate) fn is_well_formed_for_program(&self) -> bool {
        let body = self.0.strip_prefix(PROGRAM_PREFIX).filter(|rest| rest.is_ascii());
        body.and_then(|rest| rest.split_at_checked(TOKEN_CHARS)).is_some_and(|(body, sum)| checksum(body) == sum)
    }

    /// Takes a token that somebody presented. Anything may be presented; it is only ever hashed.
    pub fn presented(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The token's text, for the one moment in which it is shown.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What the store keeps. A plain hash suffices: 256 random bits cannot be searched.
    pub(crate) fn hash(&self) -> Vec<u8> {
        sha256(self.0.as_bytes()).to_vec()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

fn checksum(body: &str) -> String {
    BASE32_NOPAD.encode(&sha256(body.as_bytes())[..5]).to_ascii_lowercase()
}

const PROGRAM_PREFIX: &str = "belay_";

/// 256 bits in base32.
const TOKEN_CHARS: usize = 52;

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Whether two byte strings are equal, in a time that does not say where they differ.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_server_key_is_kept_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.key");
        let first = ServerKey::load_or_create(&path).unwrap();
        let second = ServerKey::load_or_create(&path).unwrap();
        assert_eq!(first.mac("test", b"x"), second.mac("test", b"x"));
        assert_ne!(first.mac("test", b"x"), first.mac("other", b"x"));
        assert_eq!(fs_err::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs_err::write(&path, b"short").unwrap();
        assert!(matches!(ServerKey::load_or_create(&path), Err(ServerKeyError::Malformed(_))));
    }

    #[test]
    fn what_is_sealed_opens_only_with_its_context() {
        let key = ServerKey::generate();
        let sealed = key.seal(b"a", b"418205977");
        assert_eq!(key.unseal(b"a", &sealed).as_deref(), Some(b"418205977".as_slice()));
        assert_eq!(key.unseal(b"b", &sealed), None);
        assert_eq!(ServerKey::generate().unseal(b"a", &sealed), None);
        assert_eq!(key.unseal(b"a", &sealed[..5]), None);
    }

    #[test]
    fn a_programs_token_carries_its_checksum() {
        let token = Token::generate_for_program();
        assert!(token.reveal().starts_with("belay_") && token.is_well_formed_for_program());
        let mistyped = token.reveal().replacen(|c: char| c.is_ascii_digit(), "x", 1);
        for wrong in ["", "belay_", "belay_é", &mistyped, &token.reveal()[6..], &format!("{}a", token.reveal())] {
            assert!(!Token::presented(wrong).is_well_formed_for_program(), "{wrong}");
        }
    }

    #[test]
    fn secrets_do_not_show_in_debug() {
        let token = Token::generate();
        assert!(!format!("{token:?}").contains(token.reveal()));
        assert_eq!(format!("{:?}", ServerKey::generate()), "ServerKey(..)");
    }
}
