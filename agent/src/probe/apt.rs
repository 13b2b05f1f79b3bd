//! Updates that wait on Debian and its kin, counted from the files of apt and dpkg without running either.
//!
//! A package waits when a list has a version of it that is newer than the installed one. Lists of suites that are not
//! upgraded to by themselves (`NotAutomatic`, as of backports) are left out, and so are packages on hold and updates that
//! are handed out in phases. Pins of the person are not read.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read as _};
use std::time::SystemTime;

use belay_protocol::report::{Fact, Updates, Why, WhyKind};

use super::Root;

/// Counts the updates that the lists of `root` hold for what is installed.
pub fn look(root: &Root) -> Result<Updates, Why> {
    let names = root.list(LISTS, LISTS)?;
    let lists: Vec<&String> = names.iter().filter(|name| name.contains("_Packages")).collect();
    if lists.is_empty() {
        return Err(Why::new(WhyKind::NotOffered, LISTS));
    }
    // apt can be told to keep them compressed, as images of containers do; a part of them is not all of them.
    if lists.iter().any(|name| !name.ends_with("_Packages")) {
        return Err(Why::new(WhyKind::NotSupported, COMPRESSED));
    }
    let status = root.read_up_to(STATUS_MAX_BYTES, STATUS, STATUS)?;
    let installed = parse_installed(&status);
    let mut waiting = Waiting::default();
    let mut left_bytes = LISTS_MAX_BYTES;
    for name in lists.into_iter().filter(|name| is_automatic(root, name, &names)) {
        let file = root.open(&format!("{LISTS}/{name}"), LISTS)?;
        let length = file.metadata().map_err(|e| super::why(&e, LISTS))?.len();
        left_bytes = left_bytes.checked_sub(length).ok_or_else(|| Why::new(WhyKind::TooLarge, LISTS))?;
        let reader = BufReader::with_capacity(READ_BYTES, file.take(length));
        waiting.read(reader, &installed, name.contains("security")).map_err(|e| super::why(&e, LISTS))?;
    }
    Ok(waiting.counted(root))
}

const LISTS: &str = "/var/lib/apt/lists";

/// The source of a reason why lists were not read.
const COMPRESSED: &str = "compressed apt lists";

const STATUS: &str = "/var/lib/dpkg/status";

/// A desktop with four thousand packages has 6 MB.
const STATUS_MAX_BYTES: u64 = 32 * 1024 * 1024;

/// All lists together: those of Debian's main section have 45 MB.
const LISTS_MAX_BYTES: u64 = 160 * 1024 * 1024;

const READ_BYTES: usize = 64 * 1024;

/// These counts, and how old the lists are that they come from.
pub(super) fn updates(root: &Root, pending: u32, security: u32) -> Updates {
    let listed = listed(root);
    let days_ago = listed.clone().map(|listed| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let seconds = now.saturating_sub(u64::try_from(listed).unwrap_or(0));
        u32::try_from(seconds / SECONDS_PER_DAY).unwrap_or(u32::MAX)
    });
    Updates { pending, security, listed_unix_s: listed, listed_days_ago: days_ago }
}

const SECONDS_PER_DAY: u64 = 86_400;

/// When apt fetched its lists last.
fn listed(root: &Root) -> Fact<i64> {
    let modified = |path: &str| {
        let file = root.open(path, LISTS)?;
        let modified = file.metadata().and_then(|metadata| metadata.modified()).map_err(|e| super::why(&e, LISTS))?;
        let seconds = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        Ok(i64::try_from(seconds).unwrap_or(i64::MAX))
    };
    // The stamp is there where apt is started by a timer; the directory changes with each fetch that brings something.
    root.live_only(LISTS).and_then(|()| modified(STAMP).or_else(|_| modified(&format!("{LISTS}/lock")))).into()
}

const STAMP: &str = "/var/lib/apt/periodic/update-success-stamp";

/// Whether apt upgrades to what stands in the list `name` by itself, as the head of its suite says. The names of a suite's
/// files begin alike.
fn is_automatic(root: &Root, name: &str, names: &[String]) -> bool {
    let suite = |file: &&String| {
        let prefix = file.strip_suffix("InRelease").or_else(|| file.strip_suffix("Release"))?;
        name.starts_with(prefix).then_some(prefix.len())
    };
    let head = names.iter().filter(|file| suite(file).is_some()).max_by_key(suite);
    let Some(head) = head.and_then(|file| root.open(&format!("{LISTS}/{file}"), LISTS).ok()) else { return true };
    let mut text = String::new();
    // A head that cannot be read whole has its fields at the start all the same.
    let _ = head.take(HEAD_BYTES).read_to_string(&mut text);
    !text.lines().any(|line| line.trim_end() == "NotAutomatic: yes")
}

/// The fields stand before the sums, of which there are many.
const HEAD_BYTES: u64 = 4 * 1024;

/// Packages that are installed, by name: architecture and version of each. Those on hold are left out.
type Installed<'a> = BTreeMap<&'a str, Vec<(&'a str, &'a str)>>;

/// Understands dpkg's status file (deb-control(5)).
pub fn parse_installed(text: &str) -> Installed<'_> {
    let mut installed = Installed::new();
    let (mut package, mut architecture, mut version, mut is_installed) = ("", "", "", false);
    for line in text.lines().chain([""]) {
        if line.is_empty() {
            if is_installed && !package.is_empty() && !version.is_empty() {
                installed.entry(package).or_default().push((architecture, version));
            }
            (package, architecture, version, is_installed) = ("", "", "", false);
        } else if let Some(value) = line.strip_prefix("Package: ") {
            package = value.trim_end();
        } else if let Some(value) = line.strip_prefix("Architecture: ") {
            architecture = value.trim_end();
        } else if let Some(value) = line.strip_prefix("Version: ") {
            version = value.trim_end();
        } else if let Some(value) = line.strip_prefix("Status: ") {
            is_installed = value.starts_with("install ") && value.trim_end().ends_with(" installed");
        }
    }
    installed
}

/// Packages of which lists have newer versions.
#[derive(Debug, Default)]
pub struct Waiting {
    all: BTreeSet<(String, String)>,
    security: BTreeSet<(String, String)>,
}

impl Waiting {
    /// Reads one list (deb-control(5)), which is too long to be held.
    pub fn read(
        &mut self,
        mut list: impl BufRead,
        installed: &Installed<'_>,
        is_security: bool,
    ) -> std::io::Result<()> {
        let (mut line, mut stanza) = (Vec::new(), Stanza::default());
        loop {
            line.clear();
            // A line without an end is one of a damaged list.
            let length = (&mut list).take(LINE_MAX_BYTES).read_until(b'\n', &mut line)?;
            let text = line.trim_ascii_end();
            if text.is_empty() {
                self.note(&stanza, installed, is_security);
                stanza.clear();
            } else {
                stanza.take(text);
            }
            if length == 0 {
                return Ok(());
            }
        }
    }

    fn note(&mut self, stanza: &Stanza, installed: &Installed<'_>, is_security: bool) {
        let Some(versions) = installed.get(stanza.package.as_str()).filter(|_| !stanza.is_phased) else { return };
        let is_of = |architecture: &str| {
            architecture == stanza.architecture || architecture == "all" || stanza.architecture == "all"
        };
        for (architecture, version) in versions {
            if is_of(architecture) && compare(&stanza.version, version) == Ordering::Greater {
                let key = (stanza.package.clone(), (*architecture).to_owned());
                if is_security {
                    self.security.insert(key.clone());
                }
                self.all.insert(key);
            }
        }
    }

    fn counted(&self, root: &Root) -> Updates {
        let count = |set: &BTreeSet<_>| u32::try_from(set.len()).unwrap_or(u32::MAX);
        updates(root, count(&self.all), count(&self.security))
    }
}

/// The longest lines are lists of dependencies.
const LINE_MAX_BYTES: u64 = 256 * 1024;

/// What is read of one package of a list.
#[derive(Debug, Default)]
struct Stanza {
    package: String,
    architecture: String,
    version: String,
    is_phased: bool,
}

impl Stanza {
    fn clear(&mut self) {
        self.package.clear();
        self.architecture.clear();
        self.version.clear();
        self.is_phased = false;
    }

    fn take(&mut self, line: &[u8]) {
        let set = |field: &mut String, value: &[u8]| {
            field.clear();
            field.push_str(std::str::from_utf8(value).unwrap_or_default());
        };
        if let Some(value) = line.strip_prefix(b"Package: ") {
            set(&mut self.package, value);
        } else if let Some(value) = line.strip_prefix(b"Version: ") {
            set(&mut self.version, value);
        } else if let Some(value) = line.strip_prefix(b"Architecture: ") {
            set(&mut self.architecture, value);
        } else if line.starts_with(b"Phased-Update-Percentage: ") {
            self.is_phased = true;
        }
    }
}

/// Orders versions as dpkg does (deb-version(7)).
pub fn compare(a: &str, b: &str) -> Ordering {
    let parts = |version: &str| {
        let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
        (epoch.parse().unwrap_or(0u32), upstream.to_owned(), revision.to_owned())
    };
    let (a, b) = (parts(a), parts(b));
    a.0.cmp(&b.0).then_with(|| compare_part(&a.1, &b.1)).then_with(|| compare_part(&a.2, &b.2))
}

/// Runs of other characters and of digits in turn. A tilde sorts before the end, letters before all else.
fn compare_part(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        while let (first, second) = (rank(a), rank(b))
            && (first, second) != (DIGIT_OR_END, DIGIT_OR_END)
        {
            if first != second {
                return first.cmp(&second);
            }
            (a, b) = (a.get(1..).unwrap_or_default(), b.get(1..).unwrap_or_default());
        }
        let (number, other) = (digits(&mut a), digits(&mut b));
        let ordered = number.len().cmp(&other.len()).then_with(|| number.cmp(other));
        if ordered.is_ne() || (a.is_empty() && b.is_empty()) {
            return ordered;
        }
    }
}

/// How the first character sorts among those that are no digits.
fn rank(text: &[u8]) -> i32 {
    match text.first() {
        Some(b'~') => -1,
        None | Some(b'0'..=b'9') => DIGIT_OR_END,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(other) => i32::from(*other) + 256,
    }
}

const DIGIT_OR_END: i32 = 0;

/// The digits at the start of `text` without leading zeros, which are taken from it.
fn digits<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(length);
    *text = rest;
    let zeros = number.iter().take_while(|byte| **byte == b'0').count();
    number.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    const STATUS_TEXT: &str = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9+deb12u3\n\n\
        Package: libc6\nStatus: install ok installed\nArchitecture: i386\nVersion: 2.36-9+deb12u4\n\n\
        Package: held\nStatus: hold ok installed\nArchitecture: amd64\nVersion: 1\n\n\
        Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n\n\
        Package: tzdata\nStatus: install ok installed\nArchitecture: all\nVersion: 2024a-0+deb12u1\n";

    fn stanza(package: &str, architecture: &str, version: &str) -> String {
        format!("Package: {package}\nArchitecture: {architecture}\nVersion: {version}\nDepends: x\n\n")
    }

    #[test]
    fn what_has_a_newer_version_in_a_list_waits() {
        let main =
            stanza("libc6", "amd64", "2.36-9+deb12u4") + &stanza("held", "amd64", "2") + &stanza("gone", "amd64", "2");
        let security = stanza("libc6", "amd64", "2.36-9+deb12u7") + &stanza("libc6", "i386", "2.36-9+deb12u4");
        let backports = stanza("tzdata", "all", "2099a");
        let (_dir, root) = tree(&[
            ("var/lib/dpkg/status", STATUS_TEXT),
            ("var/lib/apt/lists/deb.debian.org_debian_dists_bookworm_main_binary-amd64_Packages", &main),
            ("var/lib/apt/lists/deb.debian.org_debian_dists_bookworm_InRelease", "Suite: stable\n"),
            (
                "var/lib/apt/lists/deb.debian.org_debian-security_dists_bookworm-security_main_binary-amd64_Packages",
                &security,
            ),
            ("var/lib/apt/lists/deb.debian.org_debian_dists_bookworm-backports_main_binary-amd64_Packages", &backports),
            (
                "var/lib/apt/lists/deb.debian.org_debian_dists_bookworm-backports_InRelease",
                "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nNotAutomatic: yes\nButAutomaticUpgrades: yes\n",
            ),
            ("var/lib/apt/lists/partial/x", ""),
        ]);
        let updates = look(&root).unwrap();
        assert_eq!((updates.pending, updates.security), (1, 1));
        assert_eq!(updates.listed_unix_s.why().unwrap().kind, WhyKind::NotApplicable, "a captured tree has no times");
    }

    #[test]
    fn an_update_that_is_handed_out_in_phases_does_not_wait_yet() {
        let phased = stanza("tzdata", "all", "2025a").trim_end().to_owned() + "\nPhased-Update-Percentage: 20\n";
        let (_dir, root) = tree(&[]);
        let mut waiting = Waiting::default();
        waiting.read(phased.as_bytes(), &parse_installed(STATUS_TEXT), false).unwrap();
        assert_eq!(waiting.counted(&root).pending, 0);
        waiting
            .read(stanza("tzdata", "all", "2025a").trim_end().as_bytes(), &parse_installed(STATUS_TEXT), false)
            .unwrap();
        assert_eq!(waiting.counted(&root).pending, 1, "the last package has no blank line behind it");
    }

    #[test]
    fn lists_that_are_missing_or_compressed_are_unknown_and_not_none() {
        let (_dir, root) = tree(&[("var/lib/dpkg/status", STATUS_TEXT), ("var/lib/apt/lists/lock", "")]);
        assert_eq!(look(&root).unwrap_err().kind, WhyKind::NotOffered);
        let list = "var/lib/apt/lists/deb.debian.org_debian_dists_bookworm_main_binary-amd64_Packages.lz4";
        let (_dir, root) = tree(&[("var/lib/dpkg/status", STATUS_TEXT), (list, "")]);
        assert_eq!(look(&root).unwrap_err().kind, WhyKind::NotSupported);
    }

    #[test]
    fn versions_are_ordered_as_dpkg_orders_them() {
        for (less, more) in [
            ("1.0", "1.1"),
            ("1.9", "1.10"),
            ("1.0~rc1", "1.0"),
            ("1.0", "1.0+b1"),
            ("1.0-1", "1.0-1.1"),
            ("9", "1:0"),
            ("2.36-9+deb12u3", "2.36-9+deb12u10"),
            ("1.0a", "1.0+"),
            ("1.0~~", "1.0~"),
            ("1.0-1~deb12u1", "1.0-1"),
            ("a", "a1"),
        ] {
            assert_eq!(
                (compare(less, more), compare(more, less)),
                (Ordering::Less, Ordering::Greater),
                "{less} {more}"
            );
        }
        for (one, same) in [("1.0", "1.0-0"), ("0:1", "1"), ("1.01", "1.1"), ("", "")] {
            assert_eq!(compare(one, same), Ordering::Equal, "{one} {same}");
        }
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*", other in ".*") {
            compare(&text, &other);
            let status = format!("Package: a\nStatus: install ok installed\nVersion: {text}\n");
            let list = format!("Package: a\nVersion: {other}\n{text}");
            Waiting::default().read(list.as_bytes(), &parse_installed(&status), true).unwrap();
        }
    }
}
