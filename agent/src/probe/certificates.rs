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
    let files = root.list(PKI, PKI).unwrap_or_default().into_iter();
    let files = files.filter(|name| {
        let is_certificate = [".crt", ".pem", ".cert"].into_iter().any(|end| name.ends_with(end));
        is_certificate && !name.starts_with("ca-")
    });
    for path in lives.chain(files.map(|name| format!("{PKI}/{name}"))) {
        if let Some(parsed) = root.read_for(&path, SOURCE).ok().and_then(|text| parse_certificate(&text))
            && !parsed.authority
        {
            found.push(certificate(&path, parsed, now_unix_s));
        }
    }
    found.sort_by_key(|certificate| certificate.ends_unix_s);
    Ok(BoundedVec::truncating(found).0)
}

const SOURCE: &str = "certificates";
const LETS_ENCRYPT: &str = "/etc/letsencrypt/live";
const PKI: &str = "/etc/pki/tls/certs";

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
    fn a_named_file_that_is_no_certificate_is_unknown() {
        let (_dir, root) = tree(&[("srv/x.pem", "nothing")]);
        assert_eq!(look(&root, &["/srv/x.pem".to_owned()], 0).unwrap_err().kind, WhyKind::Malformed);
        assert_eq!(look(&root, &["/srv/y.pem".to_owned()], 0).unwrap_err().kind, WhyKind::NotOffered);
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
