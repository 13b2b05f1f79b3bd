//! Certificates of this machine's own servers, and when they end.

use belay_protocol::BoundedVec;
use belay_protocol::report::{Certificate, Private, Raw, Why, WhyKind};
use x509_parser::pem::Pem;

use super::Root;

/// The certificates in the places that servers are told to keep them, and in the files that somebody `named`. A named
/// file that cannot be read is an error; what else lies in those places is left out.
pub fn look(root: &Root, named: &[String], now_unix_s: i64) -> Result<BoundedVec<Certificate<Raw>, 128>, Why> {
    let mut found = Vec::new();
    for path in named {
        let text = root.read_for(path, SOURCE)?;
        let parsed = parse_certificate(&text).ok_or_else(|| Why::new(WhyKind::Malformed, SOURCE))?;
        found.push(certificate(path, parsed, now_unix_s));
    }
    let lives = root.list(LETS_ENCRYPT, LETS_ENCRYPT);
    // Certbot keeps its directory to root, and other systems keep certificates in no files.
    if let Err(why) = &lives
        && matches!(why.kind, WhyKind::PermissionDenied | WhyKind::NotSupported)
    {
        return Err(why.clone());
    }
    let lives = lives.unwrap_or_default().into_iter().map(|name| format!("{LETS_ENCRYPT}/{name}/cert.pem"));
    let mut files: Vec<String> = lives.collect();
    for place in PLACES {
        collect(root, place, place.directory.to_owned(), place.depth, &mut files);
    }
    // A tree without any of these places says nothing about the machine's certificates.
    let places = PLACES.iter().map(|place| place.directory).chain([LETS_ENCRYPT]);
    if !root.is_live() && named.is_empty() && !places.into_iter().any(|place| root.has(place)) {
        return Err(Why::new(WhyKind::NotOffered, SOURCE));
    }
    for path in files {
        let text = root.read_up_to(CERTIFICATE_MAX_BYTES, &path, SOURCE);
        if let Some(parsed) = text.ok().and_then(|text| parse_certificate(&text))
            && !parsed.authority
        {
            found.push(certificate(&path, parsed, now_unix_s));
        }
    }
    found.sort_by(|a, b| (a.ends_unix_s, a.subject.reveal()).cmp(&(b.ends_unix_s, b.subject.reveal())));
    // One that lies in several places is one.
    found.dedup_by(|a, b| (a.ends_unix_s, a.subject.reveal()) == (b.ends_unix_s, b.subject.reveal()));
    Ok(BoundedVec::truncating(found).0)
}

const SOURCE: &str = "certificates";
const LETS_ENCRYPT: &str = "/etc/letsencrypt/live";

/// A directory in which servers find their certificates.
struct Place {
    directory: &'static str,
    /// Directories below it that are looked into.
    depth: u32,
    links: Links,
}

/// What links in a directory are.
#[derive(PartialEq, Eq)]
enum Links {
    /// Certificates that lie elsewhere.
    Followed,
    /// The authorities of the system, hundreds of them, under names of their own.
    Authorities,
}

/// Where Debian, Red Hat and the servers' own manuals put them. Directories of private keys are left alone.
const PLACES: &[Place] = &[
    Place { directory: "/etc/pki/tls/certs", depth: 0, links: Links::Authorities },
    Place { directory: "/etc/ssl/certs", depth: 0, links: Links::Authorities },
    Place { directory: "/etc/nginx", depth: 2, links: Links::Followed },
    Place { directory: "/etc/apache2", depth: 2, links: Links::Followed },
    Place { directory: "/etc/httpd", depth: 2, links: Links::Followed },
    Place { directory: "/etc/haproxy", depth: 1, links: Links::Followed },
    Place { directory: "/etc/postfix", depth: 1, links: Links::Followed },
    Place { directory: "/etc/dovecot", depth: 1, links: Links::Followed },
];

/// Adds the files of a place that may be certificates. What cannot be listed is left out.
fn collect(root: &Root, place: &Place, directory: String, depth: u32, files: &mut Vec<String>) {
    for name in root.list(&directory, SOURCE).unwrap_or_default() {
        if files.len() == FILES_MAX {
            return;
        }
        let path = format!("{directory}/{name}");
        let is_certificate = ENDINGS.iter().any(|ending| name.ends_with(ending));
        let is_link = || root.link(&path, SOURCE).is_ok();
        match () {
            () if PLACEHOLDERS.contains(&name.as_str()) || name.starts_with("ca-") => {}
            () if is_certificate && place.links == Links::Authorities && is_link() => {}
            () if is_certificate => files.push(path),
            // A link to a directory may lead in a circle.
            () if depth > 0 && name != "private" && !is_link() => collect(root, place, path, depth - 1, files),
            () => {}
        }
    }
}

const ENDINGS: [&str; 4] = [".crt", ".pem", ".cert", ".cer"];

/// What packages make for nobody, so that a server can start at all (ssl-cert of Debian, httpd of Red Hat).
const PLACEHOLDERS: [&str; 2] = ["ssl-cert-snakeoil.pem", "localhost.crt"];

/// Files that are read; a host of many sites has hundreds.
const FILES_MAX: usize = 512;

/// A certificate with its chain and key has 20 KB; bundles of authorities are larger.
const CERTIFICATE_MAX_BYTES: u64 = 128 * 1024;

fn certificate(path: &str, parsed: Parsed, now_unix_s: i64) -> Certificate<Raw> {
    Certificate {
        path: Private::new(path),
        subject: Private::new(parsed.subject),
        ends_unix_s: parsed.ends_unix_s,
        ends_in_days: parsed.ends_unix_s.saturating_sub(now_unix_s).div_euclid(SECONDS_PER_DAY),
    }
}

const SECONDS_PER_DAY: i64 = 86_400;

/// What is read of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    subject: String,
    ends_unix_s: i64,
    /// Whether it may issue others: then it is not a server's own.
    authority: bool,
}

/// The first certificate of a PEM file (RFC 7468); those behind it are its issuers'.
pub fn parse_certificate(pem: &str) -> Option<Parsed> {
    let pem = Pem::iter_from_buffer(pem.as_bytes()).filter_map(Result::ok).find(|pem| pem.label == "CERTIFICATE")?;
    let certificate = pem.parse_x509().ok()?;
    Some(Parsed {
        subject: certificate.subject().to_string(),
        ends_unix_s: certificate.validity().not_after.timestamp(),
        authority: certificate.is_ca(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    /// Self-signed for `CN=web.example.org`, ends on 2029-12-31 14:46:32 UTC.
    const WEB: &str = include_str!("certificates/web.pem");
    const ENDS: i64 = 1893422792;

    #[test]
    fn a_certificate_tells_its_subject_and_its_end() {
        let (_dir, root) = tree(&[
            ("etc/letsencrypt/live/web.example.org/cert.pem", WEB),
            ("etc/letsencrypt/live/README", ""),
            ("etc/pki/tls/certs/ca-bundle.crt", WEB),
        ]);
        let found = look(&root, &[], ENDS - 3 * SECONDS_PER_DAY + 1).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].subject.reveal(), found[0].ends_in_days), ("CN=web.example.org", 2));
        assert_eq!(look(&root, &[], ENDS + 1).unwrap()[0].ends_in_days, -1);
    }

    #[test]
    fn the_places_of_servers_are_looked_into_and_keys_and_authorities_are_not() {
        let (dir, root) = tree(&[
            ("etc/nginx/sites/web/web.crt", WEB),
            ("etc/nginx/a/b/c/too-deep.crt", WEB),
            ("etc/nginx/nginx.conf", ""),
        ]);
        let found = look(&root, &[], ENDS).unwrap();
        assert_eq!(found.iter().map(|one| one.path.reveal()).collect::<Vec<_>>(), ["/etc/nginx/sites/web/web.crt"]);
        let (_dir, root) = tree(&[
            ("etc/ssl/certs/ssl-cert-snakeoil.pem", WEB),
            ("etc/ssl/certs/ca-certificates.crt", WEB),
            ("etc/apache2/private/key.pem", WEB),
            ("etc/ssl/private/key.pem", WEB),
        ]);
        assert_eq!(look(&root, &[], ENDS).unwrap().len(), 0);
        #[cfg(unix)]
        {
            std::fs::create_dir_all(dir.path().join("etc/ssl/certs")).unwrap();
            std::os::unix::fs::symlink("../../nginx/sites/web/web.crt", dir.path().join("etc/ssl/certs/GTS.pem"))
                .unwrap();
            let root = Root::captured(dir.path()).unwrap();
            assert_eq!(look(&root, &[], ENDS).unwrap()[0].path.reveal(), "/etc/nginx/sites/web/web.crt");
        }
        drop(dir);
    }

    #[test]
    fn a_certificate_in_two_places_is_told_once() {
        let (_dir, root) = tree(&[("etc/haproxy/web.pem", WEB), ("etc/ssl/certs/web.pem", WEB)]);
        assert_eq!(look(&root, &[], ENDS).unwrap().len(), 1);
    }

    #[test]
    fn a_named_file_that_is_no_certificate_is_unknown() {
        let (_dir, root) = tree(&[("srv/x.pem", "nothing")]);
        assert_eq!(look(&root, &["/srv/x.pem".to_owned()], 0).unwrap_err().kind, WhyKind::Malformed);
        assert_eq!(look(&root, &["/srv/y.pem".to_owned()], 0).unwrap_err().kind, WhyKind::NotOffered);
        assert_eq!(look(&root, &[], 0).unwrap_err().kind, WhyKind::NotOffered, "the tree holds none of the places");
        let (_dir, root) = tree(&[("etc/ssl/certs/README", "")]);
        assert_eq!(look(&root, &[], 0).unwrap().len(), 0);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_certificate(&text);
            parse_certificate(&format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"));
        }
    }
}
