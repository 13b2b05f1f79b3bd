//! Names that show by their place in a field of a known kind: the host of a share, the person in a mount's options.

use std::net::IpAddr;
use std::ops::Range;

use belay_protocol::report::PrivateKind;

use super::shapes::{is_everybodys_domain, is_of_domain};
use super::tokens::beginning_at_end;
use super::words::{is_everybodys_name, is_top_level};
use super::{Found, What};

/// What a text is, where that says which of its places are whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Free text.
    Text,
    /// A text that its source cuts at so many bytes.
    CutAt(usize),
    /// A path of a file or directory.
    Path,
    /// A path of a certificate, which is often called after its domain.
    Certificate,
    /// A unit of systemd, which for a mount is its path with dashes.
    Unit,
    /// What is mounted: a device, or `host:/path`, `//host/share`, `name@host:`.
    Source,
    /// An option of a mount.
    MountOption,
    /// Hosts, as addresses or by name, with commas or the like between them: what a proxy is set to.
    Hosts,
}

/// Finds what shows in `text` by being a `field`.
pub(super) fn look(field: Field, text: &str, found: &mut Vec<Found>) {
    match field {
        Field::Text => {}
        Field::CutAt(longest) if text.len() < longest => {}
        Field::CutAt(_) => {
            let secret = |start| Found { range: start..text.len(), what: What::Secret };
            found.extend(beginning_at_end(text).map(secret));
        }
        Field::Path => path(text, 0, &['/', '\\'], found),
        Field::Certificate => {
            path(text, 0, &['/', '\\'], found);
            found.extend(steps(text, 0, &['/', '\\']).filter_map(|(start, step)| certificate(step, start)));
        }
        Field::Unit => {
            if let Some(path) = [".mount", ".automount"].into_iter().find_map(|end| text.strip_suffix(end)) {
                self::path(path, 0, &['-'], found);
            }
        }
        Field::Source => source(text, 0, found),
        Field::MountOption => option(text, found),
        Field::Hosts => {
            // Whatever stands before the last @ is a login: a password may hold any of the signs that part hosts.
            let mut start = text.rfind('@').map_or(0, |at| {
                let login = text.find("://").map_or(0, |scheme| scheme + 3).min(at);
                found.push(Found { range: login..at, what: What::Secret });
                at + 1
            });
            for part in text.get(start..).unwrap_or_default().split([',', ';', ' ', '|']) {
                let rest = ["://", "="]
                    .into_iter()
                    .fold(part, |rest, sign| rest.rsplit_once(sign).map_or(rest, |(_, rest)| rest));
                let rest = rest.trim_start_matches(['*', '.']);
                found.extend(host_at(rest, start + part.len() - rest.len()));
                start += part.len() + 1;
            }
        }
    }
}

/// The steps of a path behind which a person's name stands. `text` stands at `base`, and what `separates` its steps there.
fn path(text: &str, base: usize, separators: &[char], found: &mut Vec<Found>) {
    let mut steps = steps(text, base, separators);
    let (mut before, mut last) = ("", "");
    while let Some((start, step)) = steps.next() {
        let is_medium = last == "media" && (before == "run" || steps.clone().any(|(_, step)| !step.is_empty()));
        if is_homes(last) || (is_medium && !is_medium_name(step)) {
            found.extend(person(step, start));
        }
        (before, last) = (last, step);
    }
}

/// The parts of `text`, which stands at `base`, between `separators`, each with its place.
fn steps<'a>(text: &'a str, base: usize, separators: &'a [char]) -> impl Iterator<Item = (usize, &'a str)> + Clone {
    text.split(separators).scan(base, |at, step| {
        let start = *at;
        *at += step.len() + 1;
        Some((start, step))
    })
}

/// The domain that `step`, which stands at `start`, is called after: `kunde.de.pem`, `kunde.de-0001` as certbot numbers
/// them, `www_kunde_de.crt` as sellers of certificates do.
fn certificate(step: &str, start: usize) -> Option<Found> {
    let mut name = step;
    while let Some((stem, _)) = name.rsplit_once(['.', '-', '_']).filter(|(_, end)| {
        is_of_domain(end) || CERTIFICATE_PARTS.contains(end) || end.bytes().all(|byte| byte.is_ascii_digit())
    }) {
        name = stem;
    }
    let lower = name.to_ascii_lowercase();
    // Authorities are called `Some_Root_CA`.
    let joined = || lower.rsplit_once('_').filter(|(_, last)| name == lower && *last != "ca");
    let (front, last) = lower.rsplit_once('.').or_else(joined)?;
    let is_domain = is_top_level(last) && front.contains(char::is_alphabetic);
    let is_known = is_everybodys_domain(&lower) || is_everybodys_domain(&lower.replace('_', "."));
    (is_domain && !is_known).then(|| labelled(PrivateKind::Host, start, name))
}

/// What stands behind the domain in the name of a certificate's file.
const CERTIFICATE_PARTS: [&str; 6] = ["chain", "fullchain", "bundle", "rsa", "ecc", "ssl"];

/// Whether the directories in one called `step` are people's: `home`, `home2`, `homes`, `Users`, `profiles`.
fn is_homes(step: &str) -> bool {
    let word = step.trim_end_matches(|c: char| c.is_ascii_digit()).trim_start_matches('@');
    ["home", "homes", "users", "profiles"].into_iter().any(|home| word.eq_ignore_ascii_case(home))
}

/// Whether `step` below `/media` is a medium and no person's directory of media.
pub(super) fn is_medium_name(step: &str) -> bool {
    let word = step.trim_end_matches(|c: char| c.is_ascii_digit()).to_ascii_lowercase();
    ["cdrom", "dvd", "floppy", "usb", "usbdisk", "hdd", "ssd", "sdcard", "sr", "sda", "sdb", "removable", "external"]
        .contains(&word.as_str())
        || super::is_ordinary(&word)
}

/// What a device field of a mount says: whose share on which host.
fn source(text: &str, base: usize, found: &mut Vec<Found>) {
    if let Some((scheme, rest)) = text.split_once("://") {
        let at = base + scheme.len() + 3;
        let authority = rest.split('/').next().unwrap_or_default();
        let host = login(authority, at, found);
        found.extend(host_at(host, at + authority.len() - host.len()));
        return;
    }
    for double in ["//", "\\\\"] {
        if let Some(rest) = text.strip_prefix(double) {
            share(rest, base + 2, found);
            return;
        }
    }
    // `[name@]host[,host]:[/path]`; a drive of Windows has one letter, and a path of this machine begins with a slash.
    let remote = text.split_once(":/").or_else(|| text.strip_suffix(':').map(|remote| (remote, "")));
    if let Some((remote, rest)) = remote.filter(|(remote, _)| !remote.contains(['/', '\\']) && remote.len() > 1) {
        let hosts = login(remote, base, found);
        let mut at = base + remote.len() - hosts.len();
        for host in hosts.split(',') {
            found.extend(host_at(host, at));
            at += host.len() + 1;
        }
        path(rest, base + text.len() - rest.len(), &['/'], found);
    } else if text.contains('@') && !text.contains(['/', '\\']) {
        let host = login(text, base, found);
        found.extend(host_at(host, base + text.len() - host.len()));
    }
}

/// Finds the login before `name[:password]@host`, which stands at `base`, and gives the host.
fn login<'a>(text: &'a str, base: usize, found: &mut Vec<Found>) -> &'a str {
    let Some((login, host)) = text.rsplit_once('@') else { return text };
    match login.split_once(':') {
        Some((name, _)) => {
            found.extend(person(name, base));
            found.push(Found { range: base + name.len() + 1..base + login.len(), what: What::Secret });
        }
        None => found.extend(person(login, base)),
    }
    host
}

/// `host/share/path` behind the two slashes of a share.
fn share(rest: &str, base: usize, found: &mut Vec<Found>) {
    let end = rest.find(['/', '\\']).unwrap_or(rest.len());
    let Some(host) = host_at(rest.get(..end).unwrap_or_default(), base) else { return };
    found.push(host);
    let shared = rest.get(end + 1..).unwrap_or_default();
    let name = shared.split(['/', '\\']).next().unwrap_or_default();
    found.extend(hidden_share(name, base + end + 1));
    path(shared, base + end + 1, &['/', '\\'], found);
}

/// The person whose share `name` is: `jdoe$`, as homes are shared. `C$` and `ADMIN$` are every machine's.
pub(super) fn hidden_share(name: &str, start: usize) -> Option<Found> {
    let owner = name.strip_suffix('$').filter(|owner| owner.chars().count() > 1)?;
    let is_common = ["admin", "ipc", "print", "fax"].into_iter().any(|known| owner.eq_ignore_ascii_case(known));
    person(owner, start).filter(|_| !is_common)
}

/// An option of mount(8) with a person, a domain or a host as its value.
fn option(text: &str, found: &mut Vec<Found>) {
    let Some((name, value)) = text.split_once('=') else { return };
    let start = name.len() + 1;
    match name.to_ascii_lowercase().as_str() {
        "username" | "user" => {
            // mount.cifs(8): `domain/name%password`, each but the name optional.
            let (login, password) = value.split_once('%').unwrap_or((value, ""));
            if !password.is_empty() {
                found.push(Found { range: start + login.len() + 1..text.len(), what: What::Secret });
            }
            let (domain, login) = login.rsplit_once(['/', '\\']).unwrap_or(("", login));
            found.extend(host_at(domain, start));
            found.extend(person(login, start + domain.len() + usize::from(!domain.is_empty())));
        }
        "domain" | "dom" | "workgroup" | "netbiosname" | "servern" | "addr" | "ip" | "mountaddr" | "clientaddr"
        | "srcaddr" | "mon_addr" => found.extend(host_at(value, start)),
        "unc" | "source" | "fsname" => source(value, start, found),
        "credentials" | "cred" | "prefixpath" | "subvol" | "lowerdir" | "upperdir" | "workdir" => {
            path(value, start, &['/', '\\', ':'], found);
        }
        _ => {}
    }
}

/// The host that stands at `start` of `text`, up to what ends the front of a URL.
pub(super) fn host(text: &str, start: usize) -> Option<Found> {
    let rest = text.get(start..)?;
    let is_end = |c: char| c.is_whitespace() || "/\\:?#\"'<>`(),;[]{}|&=".contains(c);
    let end = rest.find(is_end).unwrap_or(rest.len());
    host_at(rest.get(..end)?, start)
}

/// `host`, which stands at `start`, if it is a name and tells anything about anybody. Addresses show by their form.
fn host_at(host: &str, start: usize) -> Option<Found> {
    let end = host.find(['/', '\\', '?', '#']).unwrap_or(host.len());
    let host = host.get(..end)?;
    // An address of IPv6 has several colons, a port has one.
    let host = host.split_once(':').map_or(Some(host), |(name, port)| (!port.contains(':')).then_some(name))?;
    let host = host.trim_end_matches('.');
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_name = host.chars().count() >= SHORTEST && host.chars().all(fits) && host.chars().any(char::is_alphabetic);
    let is_known = is_everybodys_name(host) || is_everybodys_domain(&host.to_ascii_lowercase());
    (is_name && !is_known && host.parse::<IpAddr>().is_err()).then(|| labelled(PrivateKind::Host, start, host))
}

/// `name`, which stands at `start`, unless it is nobody's.
pub(super) fn person(name: &str, start: usize) -> Option<Found> {
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    let is_known = is_everybodys_name(name) || ["all users", "lost+found"].contains(&name.to_lowercase().as_str());
    let fits = name.chars().count() >= SHORTEST && !is_number && !is_known && name.chars().any(char::is_alphanumeric);
    fits.then(|| labelled(PrivateKind::User, start, name))
}

fn labelled(kind: PrivateKind, start: usize, name: &str) -> Found {
    let range: Range<usize> = start..start + name.len();
    Found { range, what: What::Labelled(kind) }
}

/// A single letter is a drive or nothing.
const SHORTEST: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(field: Field, text: &str, expected: &[&str]) {
        let mut found = Vec::new();
        look(field, text, &mut found);
        let shown: Vec<_> = found.iter().map(|one| text.get(one.range.clone()).unwrap()).collect();
        assert_eq!(shown, expected, "{field:?} {text}");
    }

    #[test]
    fn a_source_of_a_mount_shows_its_host_and_its_person() {
        check(Field::Source, "//srv-ad01/jdoe$", &["srv-ad01", "jdoe"]);
        check(Field::Source, "\\\\srv-ad01\\homes\\jdoe\\x", &["srv-ad01", "jdoe"]);
        check(Field::Source, "//srv-ad01/C$", &["srv-ad01"]);
        check(Field::Source, "nas7:/export/home2/jdoe", &["nas7", "jdoe"]);
        check(Field::Source, "mon-a,mon-b:6789:/", &["mon-a", "mon-b"]);
        check(Field::Source, "jdoe@bastion:/srv", &["jdoe", "bastion"]);
        check(Field::Source, "jdoe@bastion:", &["jdoe", "bastion"]);
        check(Field::Source, "https://dav7/jdoe", &["dav7"]);
        check(Field::Source, "petra:Geheim99@dav", &["petra", "Geheim99", "dav"]);
        check(Field::Source, "petra:Geh:e@im@dav:/srv", &["petra", "Geh:e@im", "dav"]);
        check(Field::Source, "https://petra:Geheim99@dav7/x@y", &["petra", "Geheim99", "dav7"]);
        for local in [
            "/dev/sda1",
            "tank/data@monday",
            "tmpfs",
            "C:\\",
            "10.0.0.9:/x",
            "[fe80::1]:/x",
            "localhost:/x",
            "tank/data",
            "//",
        ] {
            check(Field::Source, local, &[]);
        }
    }

    #[test]
    fn what_stands_before_a_proxy_is_a_login_with_and_without_a_scheme() {
        check(Field::Hosts, "anna.schmidt:Geheim123@proxy7:3128", &["anna.schmidt:Geheim123", "proxy7"]);
        check(Field::Hosts, "CORP\\petra:Winter24@10.0.0.1:80", &["CORP\\petra:Winter24"]);
        check(Field::Hosts, "http://petra:Win'ter\"24@10.0.0.1:80", &["petra:Win'ter\"24"]);
        check(Field::Hosts, "http://anna:pass, w@rd;@proxy7", &["anna:pass, w@rd;", "proxy7"]);
        check(Field::Hosts, "http://proxy7:3128", &["proxy7"]);
        check(Field::Hosts, ".corp7,cache9", &["corp7", "cache9"]);
    }

    #[test]
    fn a_path_shows_whose_it_is() {
        check(Field::Path, "/media/jdoe/STICK", &["jdoe"]);
        check(Field::Path, "/run/media/jdoe", &["jdoe"]);
        check(Field::Path, "/home/jdoe2/x", &["jdoe2"]);
        check(Field::Path, "/mnt/homes/j.doe", &["j.doe"]);
        check(Field::Path, "C:\\Users\\John Doe\\Desktop", &["John Doe"]);
        check(Field::Path, "/Users/Zoë Müller", &["Zoë Müller"]);
        for nobodys in ["/media/cdrom0/x", "/media/STICK", "/home", "/Users/Shared/x", "C:\\Users\\Public", "/srv/x"] {
            check(Field::Path, nobodys, &[]);
        }
        check(Field::Unit, "run-media-jdoe-STICK.mount", &["jdoe"]);
        check(Field::Unit, "home-jdoe.service", &[]);
    }

    #[test]
    fn a_certificate_shows_its_domain() {
        for (path, domain) in [
            ("/etc/letsencrypt/live/kunde-mueller.de/cert.pem", "kunde-mueller.de"),
            ("/etc/letsencrypt/live/kunde.de-0001/fullchain.pem", "kunde.de"),
            ("/etc/letsencrypt/live/firma.ca/cert.pem", "firma.ca"),
            ("/etc/ssl/certs/kunde.de.pem", "kunde.de"),
            ("/etc/nginx/ssl/www.kunde.de-fullchain.crt", "www.kunde.de"),
            ("/etc/nginx/ssl/www_kunde_de.crt", "www_kunde_de"),
        ] {
            check(Field::Certificate, path, &[domain]);
        }
        for nobodys in [
            "/etc/ssl/certs/ca-certificates.crt",
            "/etc/ssl/certs/Certum_Trusted_Network_CA.pem",
            "/etc/ssl/certs/my_root_ca.crt",
            "/etc/ssl/private/ssl-cert-snakeoil.key",
            "/etc/ssl/certs/r3.letsencrypt.org.pem",
            "/etc/pki/tls/certs/localhost.crt",
        ] {
            check(Field::Certificate, nobodys, &[]);
        }
    }

    #[test]
    fn an_option_shows_a_person_a_domain_or_a_host() {
        check(Field::MountOption, "username=jdoe", &["jdoe"]);
        check(Field::MountOption, "user=CORP/jdoe%geheim", &["geheim", "CORP", "jdoe"]);
        check(Field::MountOption, "domain=CORP", &["CORP"]);
        check(Field::MountOption, "addr=srv-ad01", &["srv-ad01"]);
        check(Field::MountOption, "credentials=/home/jdoe/.smb", &["jdoe"]);
        for plain in
            ["rw", "addr=10.0.0.9", "addr=fe80::1%eth0", "uid=1000", "user_id=0", "user", "vers=3.1.1", "username=root"]
        {
            check(Field::MountOption, plain, &[]);
        }
    }

    #[test]
    fn a_text_that_may_be_cut_ends_before_the_beginning_of_a_secret() {
        check(Field::CutAt(15), "worker-ghp_16C7", &["ghp_16C7"]);
        check(Field::CutAt(15), "env TOK=sk-abcd", &["sk-abcd"]);
        check(Field::CutAt(15), "ftp://bob:hunte", &["bob:hunte"]);
        for whole in ["task-ghp_16C7", "kworker/u16:3-x", "disk-monitoring", "ftp://bob:21212"] {
            check(Field::CutAt(15), whole, &[]);
        }
    }

    proptest::proptest! {
        #[test]
        fn looking_at_any_field_never_panics_and_stays_in_it(text in "(.|[/\\\\:@=$%.-]|home|media|run){0,12}") {
            for field in [Field::CutAt(3), Field::Path, Field::Certificate, Field::Unit, Field::Source, Field::MountOption, Field::Hosts] {
                let mut found = Vec::new();
                look(field, &text, &mut found);
                proptest::prop_assert!(found.iter().all(|one| text.get(one.range.clone()).is_some()));
            }
        }
    }
}
