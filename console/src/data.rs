//! The data directory: the desk's keys, its name, its database, and the lock that lets one process write them.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use belay_protocol::bounded::Name;
use belay_protocol::delegation::Delegation;
use belay_protocol::limits::{DELEGATION_MAX_DAYS, RULES_DELEGATION_MAX_DAYS};
use belay_protocol::signed_pack::RulesDelegation;
use belay_protocol::{ConsoleKey, OrganizationKey};
use belay_relay::identity::{Identity, IdentityError};

use crate::clock::UnixMillis;
use crate::rules::Signer;
use crate::secret::{ServerKey, ServerKeyError, write_private};
use crate::store::DatabaseLocation;

/// Where everything of a desk is kept.
#[derive(Clone, Debug)]
pub struct DataDirectory(PathBuf);

/// The directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// There is a desk in it already.
    #[error("{} already holds a desk: its keys are never made twice", .0.display())]
    AlreadyInitialized(PathBuf),
    /// There is no desk in it.
    #[error("{} holds no desk yet: run `belay-console init --data {}`", .0.display(), .0.display())]
    NotInitialized(PathBuf),
    /// Another process writes it.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// A file in it does not make sense.
    #[error("{} cannot be understood: restore it from a backup", .0.display())]
    Malformed(PathBuf),
    /// The organization key is kept elsewhere, and its word for this console has run out.
    #[error("the organization's delegation to this console has expired: bring organization.key back and start again")]
    DelegationExpired,
    /// The organization key is kept elsewhere, and its word for the key that signs rules is missing or has run out.
    #[error("the organization key is not here to let a key sign rules: bring organization.key back and try again")]
    RulesDelegationMissing,
    /// A key could not be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The server key could not be used.
    #[error(transparent)]
    ServerKey(#[from] ServerKeyError),
    /// The system refused.
    #[error(transparent)]
    File(#[from] io::Error),
}

/// How a desk is called.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeskName {
    /// Its name for itself.
    pub name: Name,
    /// The host whose `.well-known/belay` is this console's, if it has one.
    pub help_host: Option<Name>,
}

/// An initialized data directory, held by this process alone until it is dropped.
#[derive(Debug)]
pub struct Held {
    /// The directory.
    pub directory: DataDirectory,
    /// How the desk is called.
    pub desk: DeskName,
    /// The console's own key.
    pub identity: Arc<Identity>,
    /// The organization's word for it.
    pub delegation: Delegation,
    /// The key of the store's keyed hashes.
    pub server_key: ServerKey,
    _lock: File,
}

impl DataDirectory {
    /// Names a directory, which need not exist.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The default database.
    pub fn database(&self) -> PathBuf {
        self.0.join("belay.sqlite")
    }

    /// Where the rows are: at a PostgreSQL URL, or in the directory.
    pub(crate) fn location(&self, url: Option<&str>) -> DatabaseLocation {
        match url {
            Some(url) => DatabaseLocation::Postgres(url.to_owned()),
            None => DatabaseLocation::Sqlite(self.database()),
        }
    }

    /// The folder of the blobs.
    pub fn blobs(&self) -> PathBuf {
        self.0.join("blobs")
    }

    /// The key that the audit's end is sealed with, among others.
    pub fn server_key(&self) -> PathBuf {
        self.0.join(SERVER_KEY)
    }

    /// The socket of the command line.
    pub fn socket(&self) -> PathBuf {
        self.0.join("console.sock")
    }

    fn desk_file(&self) -> PathBuf {
        self.0.join(DESK)
    }

    /// Whether a desk was made in it.
    pub fn is_initialized(&self) -> bool {
        self.desk_file().exists()
    }

    /// Makes a desk: directory, keys, delegation. The desk's name is written last, so that an initialization that was
    /// interrupted can be run again and finds the keys it made.
    pub fn initialize(&self, desk: &DeskName, now: UnixMillis) -> Result<Held, DataError> {
        use std::os::unix::fs::DirBuilderExt as _;

        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let lock = self.lock()?;
        if self.is_initialized() {
            return Err(DataError::AlreadyInitialized(self.0.clone()));
        }
        let organization = Identity::load_or_create(&self.0.join(ORGANIZATION_KEY))?;
        let console = Identity::load_or_create(&self.0.join(CONSOLE_KEY))?;
        ServerKey::load_or_create(&self.server_key())?;
        self.write_delegation(&organization, console.console_key(), now)?;
        write_private(&self.desk_file(), &json(desk))?;
        self.hold(lock, now)
    }

    /// Takes the directory for this process.
    pub fn open(&self, now: UnixMillis) -> Result<Held, DataError> {
        // A directory that may not be looked into is not an empty one.
        if !self.desk_file().try_exists()? {
            return Err(DataError::NotInitialized(self.0.clone()));
        }
        let lock = self.lock()?;
        self.hold(lock, now)
    }

    fn hold(&self, lock: File, now: UnixMillis) -> Result<Held, DataError> {
        let desk = self.read_json(&self.desk_file())?;
        let identity = Identity::load(&self.0.join(CONSOLE_KEY))?;
        let server_key = ServerKey::load_or_create(&self.server_key())?;
        let delegation = self.current_delegation(identity.console_key(), now)?;
        Ok(Held { directory: self.clone(), desk, identity: Arc::new(identity), delegation, server_key, _lock: lock })
    }

    /// The delegation, renewed in time while the organization key is here.
    fn current_delegation(&self, console: ConsoleKey, now: UnixMillis) -> Result<Delegation, DataError> {
        let path = self.0.join(DELEGATION);
        let current: Option<Delegation> = if path.exists() { Some(self.read_json(&path)?) } else { None };
        let left = current.map(|current| UnixMillis(current.not_after_unix_ms).since(now)).unwrap_or_default();
        let key = self.0.join(ORGANIZATION_KEY);
        match current {
            Some(current) if current.console == console && left > RENEW_WITH_LESS_THAN => Ok(current),
            _ if key.exists() => self.write_delegation(&Identity::load(&key)?, console, now),
            Some(current) if current.console == console && !left.is_zero() => {
                tracing::warn!(days = left.as_secs() / 86_400, "bring organization.key back to renew the delegation");
                Ok(current)
            }
            _ => Err(DataError::DelegationExpired),
        }
    }

    fn write_delegation(&self, by: &Identity, to: ConsoleKey, now: UnixMillis) -> Result<Delegation, DataError> {
        let delegation = by.delegate(to, now.plus(DELEGATION_LIFE).0);
        write_private(&self.0.join(DELEGATION), &json(&delegation))?;
        Ok(delegation)
    }

    /// How the desk is called.
    pub(crate) fn desk_name(&self) -> Result<DeskName, DataError> {
        self.read_json(&self.desk_file())
    }

    /// The key that customers pin.
    pub(crate) fn organization(&self) -> Result<OrganizationKey, DataError> {
        let delegation: Delegation = self.read_json(&self.0.join(DELEGATION))?;
        Ok(delegation.organization)
    }

    /// The desk's own files, with their names: what it cannot be made again without.
    pub(crate) fn kept_files(&self) -> Result<Vec<(&'static str, Vec<u8>)>, DataError> {
        let mut files = Vec::new();
        for name in KEPT {
            match fs_err::read(self.0.join(name)) {
                Ok(content) => files.push((name, content)),
                // The organization key may be kept elsewhere, and no rules may have been signed yet.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(files)
    }

    /// Whether `name` is one of the desk's own files.
    pub(crate) fn keeps(name: &str) -> bool {
        KEPT.contains(&name)
    }

    /// Whether `name` is the file that makes a desk of a directory, and is written when all else is there.
    pub(crate) fn is_last(name: &str) -> bool {
        name == DESK
    }

    /// Makes the directory; whether there is nothing in it.
    pub(crate) fn make_empty(&self) -> Result<bool, DataError> {
        use std::os::unix::fs::DirBuilderExt as _;

        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        Ok(fs_err::read_dir(&self.0)?.next().is_none())
    }

    /// Writes files of the desk as they were.
    pub(crate) fn put_back<'a>(&self, files: impl Iterator<Item = &'a (String, Vec<u8>)>) -> Result<(), DataError> {
        for (name, content) in files {
            write_private(&self.0.join(name), content)?;
        }
        Ok(())
    }

    /// The key that signs rule packs. It is made when it is first asked for, while the organization key is here to vouch
    /// for it, and needs no console: the lock is not taken.
    pub fn rules_signer(&self, now: UnixMillis) -> Result<Signer, DataError> {
        if !self.desk_file().try_exists()? {
            return Err(DataError::NotInitialized(self.0.clone()));
        }
        let key = Identity::load_or_create(&self.0.join(RULES_KEY))?;
        let path = self.0.join(RULES_DELEGATION);
        let current: Option<RulesDelegation> = if path.exists() { Some(self.read_json(&path)?) } else { None };
        let current = current.filter(|current| current.signer == key.rules_key());
        let left = current.map(|current| UnixMillis(current.not_after_unix_ms).since(now)).unwrap_or_default();
        let organization = self.0.join(ORGANIZATION_KEY);
        let delegation = match current {
            Some(current) if left > RENEW_RULES_WITH_LESS_THAN => current,
            _ if organization.exists() => {
                let until = now.plus(RULES_DELEGATION_LIFE).0;
                let delegation = Identity::load(&organization)?.delegate_rules(key.rules_key(), until);
                write_private(&path, &json(&delegation))?;
                delegation
            }
            Some(current) if !left.is_zero() => current,
            _ => return Err(DataError::RulesDelegationMissing),
        };
        Ok(Signer { key, delegation })
    }

    fn lock(&self) -> Result<File, DataError> {
        let file = File::options().write(true).create(true).truncate(false).open(self.0.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(DataError::InUse(self.0.clone())),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    fn read_json<T: serde::de::DeserializeOwned>(&self, path: &Path) -> Result<T, DataError> {
        let bytes = fs_err::read(path)?;
        serde_json::from_slice(&bytes).map_err(|_| DataError::Malformed(path.to_owned()))
    }
}

impl Held {
    /// The key that customers pin.
    pub fn organization(&self) -> OrganizationKey {
        self.delegation.organization
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("names and keys have a JSON form")
}

const DESK: &str = "desk.json";
const ORGANIZATION_KEY: &str = "organization.key";
const CONSOLE_KEY: &str = "console.key";
const SERVER_KEY: &str = "server.key";
const DELEGATION: &str = "delegation.json";
const RULES_KEY: &str = "rules.key";
const RULES_DELEGATION: &str = "rules-delegation.json";

/// What a backup takes along beside the database and the blobs.
const KEPT: [&str; 7] = [ORGANIZATION_KEY, CONSOLE_KEY, SERVER_KEY, DELEGATION, RULES_KEY, RULES_DELEGATION, DESK];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const DELEGATION_LIFE: Duration = Duration::from_secs(DAY.as_secs() * DELEGATION_MAX_DAYS.unsigned_abs());

const RULES_DELEGATION_LIFE: Duration = Duration::from_secs(DAY.as_secs() * RULES_DELEGATION_MAX_DAYS.unsigned_abs());

/// What is published today should be offered for half a year.
const RENEW_RULES_WITH_LESS_THAN: Duration = Duration::from_secs(DAY.as_secs() * 183);

/// A console that is restarted once a month never runs out.
const RENEW_WITH_LESS_THAN: Duration = Duration::from_secs(DAY.as_secs() * 45);

#[cfg(test)]
impl DataDirectory {
    /// The console's key, without taking the directory.
    pub(crate) fn open_identity(&self) -> Identity {
        Identity::load(&self.0.join(CONSOLE_KEY)).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_767_225_600_000);

    fn desk() -> DeskName {
        DeskName { name: Name::truncating("Nordwind"), help_host: None }
    }

    #[test]
    fn a_desk_is_made_once_and_held_by_one() {
        let parent = tempfile::tempdir().unwrap();
        let directory = DataDirectory::at(parent.path().join("data"));
        assert!(matches!(directory.open(NOW), Err(DataError::NotInitialized(_))));
        let held = directory.initialize(&desk(), NOW).unwrap();
        assert_eq!(fs_err::metadata(directory.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(matches!(directory.open(NOW), Err(DataError::InUse(_))));
        let organization = held.organization();
        drop(held);
        assert!(matches!(directory.initialize(&desk(), NOW), Err(DataError::AlreadyInitialized(_))));
        assert_eq!(directory.open(NOW).unwrap().organization(), organization);
    }

    #[test]
    fn an_interrupted_initialization_is_finished_with_the_same_keys() {
        let parent = tempfile::tempdir().unwrap();
        let directory = DataDirectory::at(parent.path());
        let organization = directory.initialize(&desk(), NOW).unwrap().organization();
        fs_err::remove_file(directory.desk_file()).unwrap();
        fs_err::remove_file(directory.path().join(DELEGATION)).unwrap();
        assert_eq!(directory.initialize(&desk(), NOW).unwrap().organization(), organization);
    }

    #[test]
    fn rules_are_signed_by_a_key_of_their_own_that_needs_the_organization_key_once_in_a_while() {
        let parent = tempfile::tempdir().unwrap();
        let directory = DataDirectory::at(parent.path());
        assert!(matches!(directory.rules_signer(NOW), Err(DataError::NotInitialized(_))));
        let held = directory.initialize(&desk(), NOW).unwrap();
        let first = directory.rules_signer(NOW).unwrap();
        assert_ne!(first.key.public_key(), held.identity.public_key());
        assert_eq!(first.delegation.organization, held.organization());
        assert_eq!(directory.rules_signer(NOW.plus(DAY)).unwrap().delegation, first.delegation);
        let renewed = directory.rules_signer(NOW.plus(DAY * 200)).unwrap().delegation;
        assert_eq!((renewed.signer, renewed == first.delegation), (first.delegation.signer, false));
        fs_err::remove_file(directory.path().join(ORGANIZATION_KEY)).unwrap();
        assert_eq!(directory.rules_signer(NOW.plus(DAY * 500)).unwrap().delegation, renewed);
        let late = directory.rules_signer(NOW.plus(DAY * 566));
        assert!(matches!(late, Err(DataError::RulesDelegationMissing)));
    }

    #[test]
    fn a_delegation_is_renewed_while_the_organization_key_is_here() {
        let parent = tempfile::tempdir().unwrap();
        let directory = DataDirectory::at(parent.path());
        let first = directory.initialize(&desk(), NOW).unwrap().delegation;
        assert_eq!(directory.open(NOW.plus(DAY)).unwrap().delegation, first);
        let renewed = directory.open(NOW.plus(DAY * 60)).unwrap().delegation;
        assert!(renewed.not_after_unix_ms > first.not_after_unix_ms);
        fs_err::remove_file(directory.path().join(ORGANIZATION_KEY)).unwrap();
        let near_the_end = NOW.plus(DAY * 149);
        assert_eq!(directory.open(near_the_end).unwrap().delegation, renewed);
        assert!(matches!(directory.open(NOW.plus(DAY * 150)), Err(DataError::DelegationExpired)));
    }
}
