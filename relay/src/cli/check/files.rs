//! The data directory with the key and the deny list, and the certificate.

use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::path::Path;

use super::{Finding, RelayOptions, sentence};
use crate::clock::unix_ms;
use crate::identity::{Identity, IdentityError};
use crate::logging::told;
use crate::private_file;
use crate::server::{CertificateFiles, DeniedDevices, LOCK, Validity, denied_devices};

pub(super) fn look(options: &RelayOptions) -> Vec<Finding> {
    let data = &options.data.data;
    let mut findings = Vec::new();
    match fs::metadata(data) {
        Ok(metadata) => {
            findings.push(directory(data, &metadata));
            findings.push(key(data, &metadata));
            findings.push(deny_list(data));
        }
        Err(error) => findings.push(missing(data, &error)),
    }
    findings.extend(options.certificate().iter().flat_map(certificate));
    findings
}

fn missing(data: &Path, error: &io::Error) -> Finding {
    if error.kind() != io::ErrorKind::NotFound {
        let said = format!("{} cannot be looked at: {error}.", data.display());
        return Finding::bad("data", said, OTHER_ACCOUNT);
    }
    let absolute = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
    if absolute.ancestors().skip(1).find(|above| above.exists()).is_some_and(is_writable) {
        return Finding::good("data", format!("{} is not there yet; the first start makes it.", data.display()));
    }
    Finding::bad(
        "data",
        format!("{} is not there, and this account may not make it.", data.display()),
        "Make it, and give it to the account of the relay with mode 0700.",
    )
}

fn directory(data: &Path, metadata: &Metadata) -> Finding {
    let shown = data.display();
    if !metadata.is_dir() {
        return Finding::bad("data", format!("{shown} is no directory."), "Let --data be one.");
    }
    if !is_writable(data) {
        let said = format!("This account may not write to {shown}, where the deny list is kept.");
        return Finding::bad("data", said, OTHER_ACCOUNT);
    }
    if private_file::mode(metadata).is_some_and(|mode| mode & OTHERS_WRITE != 0) {
        return Finding::bad(
            "data",
            format!("Others on this machine may write to {shown}, and so put another key there."),
            format!("Run `chmod 700 {shown}`."),
        );
    }
    if fs::metadata(data.join(LOCK)).is_ok_and(|lock| !lock.is_file()) {
        let said = format!("{shown}/{LOCK} is not a file, and the relay locks one of that name.");
        return Finding::bad("data", said, format!("Move {shown}/{LOCK} away."));
    }
    if let Err(error) = write_something(data) {
        return Finding::bad(
            "data",
            format!("Nothing can be written to {shown}: {error}."),
            "Make room; the relay needs little, but denials that it cannot write are forgotten at a restart.",
        );
    }
    Finding::good("data", format!("{shown} is a directory that this account can write to."))
}

/// Whether the directory takes as much as a short deny list, which a full disk does not.
fn write_something(data: &Path) -> io::Result<()> {
    let path = data.join(format!("check-{}", std::process::id()));
    let written = private_file::options().create_new(true).write(true).open(&path).and_then(|mut file| {
        file.write_all(&[b' '; PROBE_BYTES])?;
        file.sync_all()
    });
    let _ = fs::remove_file(&path);
    written
}

const PROBE_BYTES: usize = 64 * 1024;

fn key(data: &Path, directory: &Metadata) -> Finding {
    let path = data.join("relay.key");
    match Identity::load(&path) {
        Ok(identity) => match fs::metadata(&path) {
            Ok(metadata) if owner(&metadata) != owner(directory) => Finding::warning(
                "key",
                format!("{} does not belong to the account that the data directory belongs to.", path.display()),
                format!("Run `chown --reference={} {}`.", data.display(), path.display()),
            ),
            _ => {
                Finding::good("key", format!("The key is {}, and no other account can read it.", identity.relay_key()))
            }
        },
        Err(IdentityError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Finding::good("key", "There is no key yet; the first start makes one.")
        }
        Err(IdentityError::File { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
            Finding::bad("key", format!("This account may not read {}.", path.display()), OTHER_ACCOUNT)
        }
        Err(IdentityError::Exposed { .. }) => Finding::bad(
            "key",
            format!("{} can be read or written by other accounts.", path.display()),
            format!(
                "Run `chmod 600 {path}`; if others have used this machine, delete it, so that a new key is made, and give \
                 the consoles that.",
                path = path.display()
            ),
        ),
        Err(IdentityError::NotAKey { .. }) => Finding::bad(
            "key",
            format!("{} holds no key.", path.display()),
            "Restore it from a backup; or delete it, so that a new one is made, and give the consoles that.",
        ),
        Err(error) => Finding::bad("key", sentence(&told(&error)), OTHER_ACCOUNT),
    }
}

fn deny_list(data: &Path) -> Finding {
    match denied_devices(data) {
        Ok(DeniedDevices { count, is_cut_off: true }) => Finding::warning(
            "deny list",
            format!("Its last line was cut off, as by a crash or a full disk; {count} devices are denied before it."),
            "The next start drops that line; consoles send their lists again.",
        ),
        Ok(DeniedDevices { count: 0, .. }) => Finding::good("deny list", "No device is denied."),
        Ok(DeniedDevices { count: 1, .. }) => Finding::good("deny list", "One device is denied."),
        Ok(DeniedDevices { count, .. }) => Finding::good("deny list", format!("{count} devices are denied.")),
        Err(error) => Finding::bad(
            "deny list",
            sentence(&told(&error)),
            "The relay does not start without it, because that would let denied devices back in.",
        ),
    }
}

fn certificate(files: &CertificateFiles) -> Vec<Finding> {
    let mut findings = Vec::new();
    if files.is_key_exposed() {
        findings.push(Finding::warning(
            "certificate",
            format!("Every account of this machine can read {}.", files.key.display()),
            format!("Run `chmod o= {}`.", files.key.display()),
        ));
    }
    let validity = files.check().and_then(|()| files.validity());
    findings.push(match validity {
        Ok(validity) => expiry(validity, unix_ms() / 1_000),
        Err(error) => Finding::bad(
            "certificate",
            sentence(&told(&error)),
            "Name the PEM files of a chain, the relay's own certificate first, and of its key.",
        ),
    });
    findings
}

fn expiry(validity: Validity, now_unix_s: i64) -> Finding {
    let days = validity.days_left(now_unix_s);
    if now_unix_s < validity.not_before_unix_s {
        return Finding::bad("certificate", "The certificate is not valid yet.", "Look at this machine's clock.");
    }
    match days {
        ..0 => Finding::bad("certificate", "The certificate has expired.", RENEW),
        0..SOON_DAYS => {
            Finding::warning("certificate", format!("The certificate expires within {} days.", days + 1), RENEW)
        }
        _ => Finding::good("certificate", format!("Certificate and key belong together; {days} days are left.")),
    }
}

const RENEW: &str = "Renew it, then let the relay read it: `systemctl reload belay-relay`, or SIGHUP.";

const OTHER_ACCOUNT: &str = "Run this as the account of the relay, or give the directory to that account.";

/// Days before its end at which a certificate that renews itself would have done so.
const SOON_DAYS: i64 = 14;

const OTHERS_WRITE: u32 = 0o002;

#[cfg(unix)]
fn owner(metadata: &Metadata) -> Option<u32> {
    Some(std::os::unix::fs::MetadataExt::uid(metadata))
}

#[cfg(unix)]
fn is_writable(path: &Path) -> bool {
    use rustix::fs::{Access, AtFlags, CWD, accessat};

    accessat(CWD, path, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

#[cfg(not(unix))]
fn owner(_: &Metadata) -> Option<u32> {
    None
}

#[cfg(not(unix))]
fn is_writable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.permissions().readonly())
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    const DAY_S: i64 = 24 * 60 * 60;

    #[test]
    fn a_certificate_is_judged_by_what_is_left_of_it() {
        let validity = Validity { not_before_unix_s: 1_000, not_after_unix_s: 1_000 + 100 * DAY_S };
        let check = |now, expected| assert_eq!(expiry(validity, now).verdict, expected, "{now}");
        check(999, Verdict::Bad);
        check(1_000, Verdict::Good);
        check(1_000 + 86 * DAY_S, Verdict::Good);
        check(1_001 + 86 * DAY_S, Verdict::Warning);
        check(validity.not_after_unix_s, Verdict::Warning);
        check(validity.not_after_unix_s + 1, Verdict::Bad);
    }
}
