//! The agent's builds that customers are offered: files of a directory that the desk's operator fills.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use belay_protocol::id::hex;

/// A system that agents run on, as a file's name and a browser tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    /// Windows.
    Windows,
    /// macOS.
    Mac,
    /// Linux.
    Linux,
}

impl System {
    /// Its name, the same in every language.
    pub fn name(self) -> &'static str {
        match self {
            Self::Windows => "Windows",
            Self::Mac => "macOS",
            Self::Linux => "Linux",
        }
    }

    /// What a browser says that it runs on; nothing for telephones, tablets and what does not say.
    pub fn of_browser(user_agent: &str) -> Option<Self> {
        let says = |word: &str| user_agent.contains(word);
        // An iPad that asks for desktop pages calls itself a Macintosh, and nothing here could tell.
        match () {
            () if says("Android") || says("iPhone") || says("iPad") => None,
            () if says("Windows NT") => Some(Self::Windows),
            () if says("Mac OS X") || says("Macintosh") => Some(Self::Mac),
            () if says("Linux") && !says("CrOS") => Some(Self::Linux),
            () => None,
        }
    }

    /// The system of a target triple.
    fn of_target(target: &str) -> Option<Self> {
        [("-windows", Self::Windows), ("-darwin", Self::Mac), ("-linux", Self::Linux)]
            .into_iter()
            .find_map(|(word, system)| target.contains(word).then_some(system))
    }
}

/// One build, the same bytes for everybody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Build {
    /// What it runs on.
    pub system: System,
    /// The processor's architecture, as in a target triple: `x86_64`, `aarch64`.
    pub architecture: String,
    /// Its file's name: `belay-agent-TARGET`, with `.exe` for Windows.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// The name of a detached signature beside it, if there is one.
    pub signature: Option<String>,
}

/// The directory with the builds. Files are looked at when a page asks, so that a new build needs no restart; a file is
/// hashed again only when its size or time has changed.
#[derive(Debug, Default)]
pub struct Builds {
    directory: Option<PathBuf>,
    hashed: Mutex<BTreeMap<String, Hashed>>,
}

#[derive(Clone, Debug)]
struct Hashed {
    bytes: u64,
    modified: Option<SystemTime>,
    sha256: String,
}

impl Builds {
    /// The builds in a directory; none without one.
    pub fn at(directory: Option<PathBuf>) -> Self {
        Self { directory, hashed: Mutex::default() }
    }

    /// What there is, by system and architecture. It reads files: not for a task that others wait behind.
    ///
    /// # Errors
    /// When the directory or a build in it cannot be read.
    pub fn list(&self) -> io::Result<Vec<Build>> {
        let Some(directory) = &self.directory else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for entry in fs::read_dir(directory)?.take(FILES_MAX) {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            let Some((system, architecture)) = read_name(&name) else { continue };
            let Some(Hashed { bytes, sha256, .. }) = self.hashed(directory, &name)? else { continue };
            let signature = SIGNATURES.iter().map(|ending| format!("{name}{ending}"));
            let signature = signature.into_iter().find(|beside| directory.join(beside).is_file());
            found.push(Build { system, architecture: architecture.to_owned(), name, bytes, sha256, signature });
        }
        found.sort();
        Ok(found)
    }

    /// Where a build or a signature of that name lies; nothing for any other name, whatever it points at.
    pub fn path_of(&self, name: &str) -> Option<PathBuf> {
        let build = SIGNATURES.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
        read_name(build)?;
        let path = self.directory.as_ref()?.join(name);
        path.is_file().then_some(path)
    }

    fn hashed(&self, directory: &Path, name: &str) -> io::Result<Option<Hashed>> {
        let path = directory.join(name);
        let file = fs::metadata(&path)?;
        if !file.is_file() {
            return Ok(None);
        }
        let (bytes, modified) = (file.len(), file.modified().ok());
        let known = self.hashed.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(known) = known.filter(|known| known.bytes == bytes && known.modified == modified) {
            return Ok(Some(known));
        }
        let hashed = Hashed { bytes, modified, sha256: sha256_of(&path)? };
        self.hashed.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), hashed.clone());
        Ok(Some(hashed))
    }
}

/// The system and the architecture of a build's file name; nothing when it is not the name of a build.
fn read_name(name: &str) -> Option<(System, &str)> {
    let target = name.strip_prefix("belay-agent-")?;
    let (target, is_exe) = match target.strip_suffix(".exe") {
        Some(target) => (target, true),
        None => (target, false),
    };
    let is_target = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !target.chars().all(is_target) {
        return None;
    }
    let system = System::of_target(target)?;
    let (architecture, _) = target.split_once('-')?;
    (is_exe == (system == System::Windows)).then_some((system, architecture))
}

fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(&hash.finalize())),
            read => hash.update(&piece[..read]),
        }
    }
}

/// Endings of detached signatures: OpenPGP's, minisign's, and anybody else's.
const SIGNATURES: [&str; 4] = [".asc", ".minisig", ".sig", ".p7s"];

/// Files of the directory that are looked at: many more than there are systems.
const FILES_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    const LINUX: &str = "belay-agent-x86_64-unknown-linux-musl";
    const WINDOWS: &str = "belay-agent-x86_64-pc-windows-gnu.exe";

    #[test]
    fn builds_are_known_by_their_names_and_told_with_their_hashes() {
        let directory = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| fs::write(directory.path().join(name), bytes).unwrap();
        let builds = Builds::at(Some(directory.path().to_owned()));
        assert_eq!(builds.list().unwrap(), []);
        put(LINUX, b"abc");
        put(WINDOWS, b"");
        put(&format!("{WINDOWS}.asc"), b"signature");
        put("belay-agent-notes.txt", b"not a build");
        put("server.key", b"a secret");
        fs::create_dir(directory.path().join("belay-agent-aarch64-apple-darwin")).unwrap();
        let listed = builds.list().unwrap();
        let told: Vec<_> = listed.iter().map(|build| (build.system, build.name.as_str(), build.bytes)).collect();
        assert_eq!(told, [(System::Windows, WINDOWS, 0), (System::Linux, LINUX, 3)]);
        assert_eq!(listed[0].signature.as_deref(), Some("belay-agent-x86_64-pc-windows-gnu.exe.asc"));
        // FIPS 180-2, appendix B.1.
        assert_eq!(listed[1].sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!((listed[1].architecture.as_str(), listed[1].signature.as_deref()), ("x86_64", None));
        put(LINUX, b"abcd");
        assert_ne!(builds.list().unwrap()[1].sha256, listed[1].sha256);
    }

    #[test]
    fn nothing_but_a_build_is_handed_out() {
        let directory = tempfile::tempdir().unwrap();
        let builds = Builds::at(Some(directory.path().join("agents")));
        fs::create_dir(directory.path().join("agents")).unwrap();
        fs::write(directory.path().join("agents").join(LINUX), b"abc").unwrap();
        fs::write(directory.path().join("agents/server.key"), b"secret").unwrap();
        fs::write(directory.path().join(WINDOWS), b"outside").unwrap();
        assert!(builds.path_of(LINUX).is_some());
        let foreign =
            ["server.key", "", ".", "..", "belay-agent-../server.key", "../belay-agent-x86_64-pc-windows-gnu.exe"];
        for name in foreign.into_iter().chain([WINDOWS, "belay-agent-x86_64-unknown-linux-musl.exe"]) {
            assert_eq!(builds.path_of(name), None, "{name}");
        }
        assert!(Builds::at(Some(directory.path().join("missing"))).list().is_err());
        assert_eq!(Builds::default().list().unwrap(), []);
    }

    #[test]
    fn browsers_tell_their_systems() {
        let check = |says: &str, system| assert_eq!(System::of_browser(says), system, "{says}");
        check("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0", Some(System::Windows));
        check("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15", Some(System::Mac));
        check("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", Some(System::Linux));
        check("Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36", None);
        check("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)", None);
        check("curl/8.0", None);
    }
}
