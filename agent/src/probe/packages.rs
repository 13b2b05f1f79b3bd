//! What package managers left behind: updates that wait, packages half installed, and restarts that were asked for.

use std::cmp::Ordering;

use belay_protocol::BoundedVec;
use belay_protocol::bounded::Name;
use belay_protocol::report::{Fact, Restart, RestartReason, Updates, Why, WhyKind};

use super::{Root, apt, hardware, native, or_native, os};

/// Whether the system waits for a restart.
pub fn restart(root: &Root) -> Result<Restart, Why> {
    or_native(asked_for_in_files(root), native::restart)
}

fn asked_for_in_files(root: &Root) -> Result<Restart, Why> {
    // The directory in which a restart is asked for exists wherever one can be.
    if let Err(why) = root.list("/run", "/run")
        && why.kind == WhyKind::NotSupported
    {
        return Err(why);
    }
    let running = os::kernel(root)?.release;
    let mut reasons = Vec::new();
    if root.has("/run/reboot-required") || root.has("/var/run/reboot-required") {
        reasons.push(RestartReason::Asked);
    }
    let newest_kernel = kernels(root).map(|installed| {
        let newest = installed.iter().filter(|release| flavour(release) == flavour(&running));
        let newest = newest.max_by(|a, b| compare_releases(a, b)).cloned();
        match &newest {
            _ if !installed.contains(&running.to_string()) => reasons.push(RestartReason::KernelRemoved),
            Some(newest) if compare_releases(newest, &running) == Ordering::Greater => {
                reasons.push(RestartReason::NewerKernel);
            }
            _ => {}
        }
        Name::truncating(newest.unwrap_or_default())
    });
    let list = "/var/run/reboot-required.pkgs";
    let list = root.read("/run/reboot-required.pkgs").or_else(|_| root.read(list)).unwrap_or_default();
    let mut packages: Vec<_> = list.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
    packages.sort_unstable();
    packages.dedup();
    Ok(Restart {
        reasons: BoundedVec::truncating(reasons).0,
        newest_kernel: newest_kernel.into(),
        packages: BoundedVec::truncating(packages.into_iter().map(Name::truncating)).0,
    })
}

/// The releases whose modules are installed. A container has none, or those of another kernel than its own.
fn kernels(root: &Root) -> Result<Vec<String>, Why> {
    if hardware::container(root).is_some() {
        return Err(Why::new(WhyKind::NotApplicable, MODULES));
    }
    let names = root.list(MODULES, MODULES).unwrap_or_default();
    // What is left of a kernel that was removed has no such file.
    let whole: Vec<_> = names.into_iter().filter(|name| root.has(&format!("{MODULES}/{name}/modules.dep"))).collect();
    if whole.is_empty() { Err(Why::new(WhyKind::NotApplicable, MODULES)) } else { Ok(whole) }
}

const MODULES: &str = "/lib/modules";

/// The letters of a release: `generic` of `6.8.0-45-generic`. Kernels of other flavours are no updates of this one.
fn flavour(release: &str) -> String {
    release.chars().filter(char::is_ascii_alphabetic).collect()
}

/// Orders by the numbers in the releases: 6.10 comes behind 6.9.
fn compare_releases(a: &str, b: &str) -> Ordering {
    let numbers = |release: &str| -> Vec<u64> {
        let runs = release.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty());
        runs.map(|run| run.parse().unwrap_or(u64::MAX)).collect()
    };
    numbers(a).cmp(&numbers(b))
}

/// Updates that wait: as Ubuntu counted them last, else as the lists of apt tell. Those of other package managers are
/// compressed or in databases, which only they themselves read.
pub fn updates(root: &Root) -> Result<Updates, Why> {
    let counted = root.read(AVAILABLE).ok().and_then(|text| parse_updates(&text));
    if let Some((pending, security)) = counted {
        return Ok(apt::updates(root, pending, security));
    }
    apt::look(root).map_err(|why| match other_manager(root) {
        Some(manager) if why.kind == WhyKind::NotOffered => Why::new(WhyKind::NotSupported, manager),
        _ => why,
    })
}

const AVAILABLE: &str = "/var/lib/update-notifier/updates-available";

/// A package manager that is not dpkg, by what it keeps.
fn other_manager(root: &Root) -> Option<&'static str> {
    let kept = [
        ("/var/lib/rpm", "rpm"),
        ("/usr/lib/sysimage/rpm", "rpm"),
        ("/var/lib/pacman", "pacman"),
        ("/lib/apk/db/installed", "apk"),
    ];
    kept.into_iter().find(|(path, _)| root.has(path)).map(|(_, manager)| manager)
}

/// Understands the English text of update-notifier, old and new: all updates, and those that close security holes. Other
/// languages give nothing.
pub fn parse_updates(text: &str) -> Option<(u32, u32)> {
    let count = |sentences: &[&str]| {
        let line = text.lines().find(|line| sentences.iter().any(|sentence| line.contains(sentence)))?;
        line.split(' ').next()?.parse::<u32>().ok()
    };
    let pending = count(&["can be applied immediately", "can be updated", "can be installed immediately"])?;
    let security = count(&["of these updates are standard security", "of these updates is a standard security"]);
    let security =
        security.or_else(|| count(&["are security updates", "is a security update", "are standard security"]));
    Some((pending, security.unwrap_or(0).min(pending)))
}

/// Packages whose installation was begun and not ended.
pub fn unfinished(root: &Root) -> Result<BoundedVec<Name, 64>, Why> {
    match root.read_up_to(STATUS_MAX_BYTES, STATUS, STATUS) {
        Ok(text) => Ok(BoundedVec::truncating(parse_dpkg_status(&text).into_iter().map(Name::truncating)).0),
        Err(why) => Err(match other_manager(root) {
            Some(manager) if why.kind == WhyKind::NotOffered => Why::new(WhyKind::NotSupported, manager),
            _ => why,
        }),
    }
}

const STATUS: &str = "/var/lib/dpkg/status";

/// A desktop with four thousand packages has 6 MB.
const STATUS_MAX_BYTES: u64 = 32 * 1024 * 1024;

/// The packages of dpkg's status file that are between two states (dpkg(1), "Package states").
pub fn parse_dpkg_status(text: &str) -> Vec<String> {
    let (mut package, mut unfinished) = ("", Vec::new());
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("Package: ") {
            package = name;
        } else if let Some(status) = line.strip_prefix("Status: ")
            && let [_want, flag, state] = status.split(' ').collect::<Vec<_>>()[..]
            && (flag == "reinstreq" || ["unpacked", "half-configured", "half-installed"].contains(&state))
        {
            unfinished.push(package.trim().to_owned());
        }
    }
    unfinished
}

/// Records of crashes, by the names of their files alone.
pub fn crashes(root: &Root) -> belay_protocol::report::Crashes {
    let count = |dir: &'static str, is_record: fn(&str) -> bool| {
        let names = root.list(dir, dir)?;
        Ok::<_, Why>(u32::try_from(names.iter().filter(|name| is_record(name)).count()).unwrap_or(u32::MAX))
    };
    // systemd-pstore moves what it finds at start to a directory of its own.
    let kernel = count("/sys/fs/pstore", |name| name.starts_with("dmesg-"));
    let kernel = match (kernel, count("/var/lib/systemd/pstore", |_| true)) {
        (Ok(left), Ok(moved)) => Ok(left.saturating_add(moved)),
        (found, other) => found.or(other),
    };
    belay_protocol::report::Crashes {
        reports: count("/var/crash", |name| name.ends_with(".crash")).into(),
        core_dumps: Fact::from(count("/var/lib/systemd/coredump", |name| name.starts_with("core."))),
        kernel_records: kernel.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    #[test]
    fn a_newer_kernel_of_the_same_flavour_asks_for_a_restart() {
        let (_dir, root) = tree(&[
            ("proc/sys/kernel/osrelease", "6.9.0-45-generic\n"),
            ("lib/modules/6.9.0-45-generic/modules.dep", ""),
            ("lib/modules/6.10.0-1-generic/modules.dep", ""),
            ("lib/modules/6.11.0-1-generic/left", ""),
            ("lib/modules/6.12.0-1-lowlatency/modules.dep", ""),
        ]);
        let restart = restart(&root).unwrap();
        assert_eq!(&*restart.reasons, [RestartReason::NewerKernel]);
        assert_eq!(restart.newest_kernel, Fact::Known(Name::truncating("6.10.0-1-generic")));
    }

    #[test]
    fn a_restart_that_was_asked_for_is_told_with_its_packages() {
        let (_dir, root) = tree(&[
            ("proc/sys/kernel/osrelease", "6.9.0\n"),
            ("lib/modules/6.8.0/modules.dep", ""),
            ("var/run/reboot-required", ""),
            ("var/run/reboot-required.pkgs", "linux-base\nlibc6\nlinux-base\n"),
        ]);
        let restart = restart(&root).unwrap();
        assert_eq!(&*restart.reasons, [RestartReason::Asked, RestartReason::KernelRemoved]);
        assert_eq!(restart.packages.len(), 2);
    }

    #[test]
    fn a_container_has_no_kernel_of_its_own() {
        let (_dir, root) = tree(&[
            ("proc/sys/kernel/osrelease", "6.9.0\n"),
            ("lib/modules/6.12.0/modules.dep", ""),
            (".dockerenv", ""),
        ]);
        let restart = restart(&root).unwrap();
        assert_eq!((restart.reasons.len(), restart.newest_kernel.why().unwrap().kind), (0, WhyKind::NotApplicable));
    }

    #[test]
    fn updates_are_what_the_system_counted() {
        for (text, expected) in [
            (
                "\n12 updates can be applied immediately.\n3 of these updates are standard security updates.\n",
                Some((12, 3)),
            ),
            ("5 packages can be updated.\n0 updates are security updates.\n", Some((5, 0))),
            (
                "0 updates can be applied immediately.\n5 additional security updates can be applied with ESM Apps.\n",
                Some((0, 0)),
            ),
            ("12 Aktualisierungen sind verfügbar\n", None),
            ("", None),
        ] {
            assert_eq!(parse_updates(text), expected, "{text}");
        }
        let (_dir, root) = tree(&[("var/lib/update-notifier/updates-available", "5 packages can be updated.\n")]);
        assert_eq!(updates(&root).unwrap().pending, 5);
        for (kept, manager) in [("var/lib/pacman/local/x", "pacman"), ("lib/apk/db/installed", "apk")] {
            let (_dir, root) = tree(&[(kept, "")]);
            let why = updates(&root).unwrap_err();
            assert_eq!((why.kind, why.source.as_str()), (WhyKind::NotSupported, manager));
        }
        let (_dir, root) = tree(&[("usr/lib/sysimage/rpm/x", "")]);
        assert_eq!(updates(&root).unwrap_err().kind, WhyKind::NotSupported);
        assert_eq!(unfinished(&root).unwrap_err().kind, WhyKind::NotSupported);
    }

    #[test]
    fn packages_between_two_states_are_found() {
        let text = "Package: a\nStatus: install ok installed\n\nPackage: b\nStatus: install ok half-configured\n\n\
            Package: c\nStatus: deinstall ok config-files\n\nPackage: d\nStatus: install reinstreq half-installed\n";
        assert_eq!(parse_dpkg_status(text), ["b", "d"]);
    }

    #[test]
    fn crashes_are_counted_and_no_place_for_them_is_unknown() {
        let (_dir, root) = tree(&[
            ("var/crash/_usr_bin_x.1000.crash", ""),
            ("var/crash/lock", ""),
            ("var/lib/systemd/pstore/1700000000/dmesg.txt", ""),
            ("sys/fs/pstore/dmesg-efi-1", ""),
            ("sys/fs/pstore/console-ramoops-0", ""),
        ]);
        let crashes = crashes(&root);
        assert_eq!((crashes.reports, crashes.kernel_records), (Fact::Known(1), Fact::Known(2)));
        assert_eq!(crashes.core_dumps.why().unwrap().kind, WhyKind::NotOffered);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*", other in ".*") {
            parse_updates(&text);
            parse_dpkg_status(&format!("Package: {other}\nStatus: {text}"));
            compare_releases(&text, &other);
        }
    }
}
