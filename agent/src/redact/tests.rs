use belay_protocol::finding::Severity;
use belay_protocol::report::{BusyProcess, Fact, Mount, Private, Raw, Space, WhyKind};

use super::*;
use crate::probe::tests::tree;
use crate::survey::{Look, look};

/// A machine with a person, a share, and an almost full memory.
pub(crate) fn files() -> Vec<(&'static str, &'static str)> {
    vec![
        ("etc/passwd", "alice:x:1000:1000:Alice Liddell:/home/alice:/bin/sh\n"),
        ("etc/resolv.conf", "search corp.example.org\nnameserver 192.168.7.1\n"),
        ("proc/sys/kernel/hostname", "wonder\n"),
        (
            "proc/self/mounts",
            "/dev/sda1 / ext4 rw,emergency_ro 0 0\n//nas.corp.example.org/alice /home/alice/nas cifs rw,username=alice,password=hunter2,addr=192.168.7.9 0 0\n",
        ),
        ("proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 20 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"),
        ("proc/net/route", "h\nenx00249b123456\t00000000\t0107A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"),
        ("proc/7/status", "Name:\talice-sync\nVmRSS:\t 10 kB\n"),
    ]
}

pub(crate) async fn survey() -> Survey {
    let (dir, _root) = tree(&files());
    look(&Look { root: Some(dir.path().to_owned()), ..Look::default() }, |_| ()).await.unwrap()
}

#[tokio::test]
async fn nothing_personal_is_in_the_bytes() {
    let redacted = redact(survey().await, Default::default()).unwrap();
    let text = String::from_utf8_lossy(redacted.bytes()).to_lowercase();
    for name in ["alice", "wonder", "corp.example", "hunter2", "192.168", "00249b"] {
        assert!(!text.contains(name), "{name} is in the report");
    }
    let json = serde_json::to_string(&redacted.report().unwrap()).unwrap();
    assert!(json.contains("/home/user-1/nas") && json.contains("addr=lan-1.") && json.contains("password=<removed>"));
}

#[tokio::test]
async fn the_same_machine_gives_the_same_aliases_and_the_bytes_hash() {
    let (one, other) =
        (redact(survey().await, Default::default()).unwrap(), redact(survey().await, Default::default()).unwrap());
    let sections = |redacted: &Redacted| redacted.report().unwrap().sections;
    assert_eq!(sections(&one), sections(&other));
    assert_eq!(one.sha256()[..], Sha256::digest(one.bytes())[..]);
}

#[tokio::test]
async fn the_person_here_reads_every_name_as_it_is_written_and_nobody_else_reads_it() {
    let mut all = files();
    all[0].1 = "anna:x:1000:1000::/home/anna:/bin/sh\n";
    all.extend([
        ("proc/8/status", "Name:\tannas-iphone\nVmRSS:\t 20 kB\n"),
        ("proc/9/status", "Name:\tANNA_sync\nVmRSS:\t 30 kB\n"),
        ("proc/self/mounts", "/dev/sda1 /media/Anna/annas-iphone ext4 rw,emergency_ro,password=hunter2 0 0\n"),
    ]);
    let (dir, _root) = tree(&all);
    let survey = look(&Look { root: Some(dir.path().to_owned()), ..Look::default() }, |_| ()).await.unwrap();
    let redacted = redact(survey, Default::default()).unwrap();
    let page = crate::cli::shown(&redacted, belay_protocol::Language::English, crate::terminal::Colour::None).unwrap();
    for shown in ["annas-iphone", "ANNA_sync", "[critical] /media/Anna/annas-iphone can no longer"] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    assert!(!page.contains("user-"), "{page}");
    assert!(!String::from_utf8_lossy(redacted.bytes()).to_lowercase().contains("anna"));
    let seen = serde_json::to_string(&redacted.seen_here().unwrap()).unwrap();
    assert!(seen.contains("password=<removed>") && !seen.contains("hunter2"), "{seen}");
}

#[tokio::test]
async fn what_is_withheld_is_on_no_page_of_the_rest() {
    let redacted = redact(survey().await, Default::default()).unwrap().without(&[SectionName::Disk]).unwrap();
    let seen = redacted.seen_here().unwrap();
    assert!(seen.sections.iter().any(|section| matches!(section, Section::Withheld(_))));
    assert!(!serde_json::to_string(&seen).unwrap().contains("/home/alice"));
}

#[tokio::test]
async fn a_name_that_a_part_of_the_machine_has_too_is_masked_where_it_shows_as_a_name() {
    let mut all = files();
    all[0].1 = "cargo:x:1000:1000::/home/cargo:/bin/sh\nmodel:x:1001:1001::/home/model:/bin/sh\n";
    all[2].1 = "eth0\n";
    all[3].1 = "/dev/vda / ext4 rw 0 0\n/dev/vdb /home/cargo/x ext4 rw 0 0\n//eth0/model /mnt/vda cifs rw,username=model 0 0\n";
    all.extend([
        ("sys/class/net/eth0/flags", "0x1003\n"),
        ("sys/block/vda/size", "1000\n"),
        ("sys/block/vda/device/model", "Camera Model 5\n"),
        ("proc/8/status", "Name:\tcargo\nVmRSS:\t 20 kB\n"),
    ]);
    let (dir, _root) = tree(&all);
    let survey = look(&Look { root: Some(dir.path().to_owned()), ..Look::default() }, |_| ()).await.unwrap();
    let json = serde_json::to_string(&redact(survey, Default::default()).unwrap().report().unwrap()).unwrap();
    for kept in [r#""eth0""#, r#""/dev/vda""#, r#""Camera Model 5""#, r#""cargo""#] {
        assert!(json.contains(kept), "{kept} in {json}");
    }
    for masked in ["/home/cargo", "//eth0", "username=model", r#""host":{"known":"eth0""#] {
        assert!(!json.contains(masked), "{masked} in {json}");
    }
}

#[tokio::test]
async fn two_names_with_a_dot_are_a_person_where_one_of_them_is_known() {
    let names = ["anna.schmidt", "petra.vogel", "erika.muster", "unknown.daemon", "anna.service"];
    let json = report_of_strangers("/dev/sdb1 /media/anna/x vfat rw 0 0\n/dev/sdc1 /home/petra.vogel ext4 rw 0 0\n/dev/sdd1 /mnt/erika.muster@kunde.de ext4 rw 0 0\n", &names).await;
    for private in ["schmidt", "vogel", "muster"] {
        assert!(!json.contains(private), "{private} in {json}");
    }
    assert!(json.contains("\"unknown.daemon\""), "{json}");
}

#[tokio::test]
async fn findings_speak_in_aliases_and_are_revealed_on_this_machine() {
    let redacted = redact(survey().await, Default::default()).unwrap();
    let report = redacted.report().unwrap();
    let rules: Vec<_> = report.findings().unwrap().found.iter().map(|f| f.rule.to_string()).collect();
    assert_eq!(rules[..2], ["disk-stopped-writing", "memory-low"]);
    assert!(report.findings().unwrap().found.iter().all(|finding| !finding.title.en.contains("alice")));
}

#[tokio::test]
async fn a_redactor_that_fails_withholds_its_section_and_no_other() {
    let redacted = seal_with(&survey().await, Kept::default(), 0, &MASKS, Default::default()).unwrap();
    let report = redacted.report().unwrap();
    let withheld: Vec<_> = report.sections.iter().filter(|section| matches!(section, Section::Withheld(_))).collect();
    let names: Vec<_> = withheld.iter().map(|section| section.name()).collect();
    assert_eq!(names, [SectionName::Disk, SectionName::Network]);
    assert!(!String::from_utf8_lossy(redacted.bytes()).contains("192.168"));
}

#[tokio::test]
async fn a_redactor_that_panics_withholds_its_section_and_no_other() {
    let mut masks = MASKS;
    masks[1].1 = |survey, aliases| {
        // It has come to some values already.
        facts::network(&survey.network, aliases)?;
        panic!("on purpose")
    };
    let redacted =
        seal_with(&survey().await, Kept::default(), aliases::MAX_ALIASES, &masks, Default::default()).unwrap();
    let report = redacted.report().unwrap();
    let withheld = |section: &&Section| matches!(section, Section::Withheld(_));
    let names: Vec<_> = report.sections.iter().filter(withheld).map(Section::name).collect();
    assert_eq!(names, [SectionName::Disk]);
    assert!(redacted.replaced_in(SectionName::Disk).is_empty());
    let whole = redact(survey().await, Default::default()).unwrap().report().unwrap();
    assert_eq!(report.sections[2], whole.sections[2]);
}

#[tokio::test]
async fn without_the_names_nothing_is_sent_and_the_person_here_is_told_all_the_same() {
    let survey = Survey { identity: None, ..survey().await };
    let seen = see_here(&survey, Default::default()).unwrap();
    let critical = |report: &Report| report.findings().map_or(0, |findings| findings.count(Severity::Crit));
    assert!(critical(&seen.report().unwrap()) > 0 && !seen.standing().is_empty());
    let report = redact(survey, Default::default()).unwrap().report().unwrap();
    assert_eq!(critical(&report), 0);
    let facts = report.sections.iter().filter(|section| section.name() != SectionName::Findings);
    assert!(facts.clone().count() == 5 && facts.into_iter().all(|section| matches!(section, Section::Withheld(_))));
}

#[tokio::test]
async fn later_reports_use_the_aliases_of_earlier_ones() {
    let (dir, _root) = tree(&[]);
    let first = redact_keeping(survey().await, Default::default(), dir.path()).unwrap();
    // Another person is first in the list now, and the share has moved.
    let mut files = files();
    files[0].1 = "bob:x:1000:1000:Bob:/home/bob:/bin/sh\nalice:x:1001:1001::/home/alice:/bin/sh\n";
    let (tree, _root) = tree(&files);
    let later = look(&Look { root: Some(tree.path().to_owned()), ..Look::default() }, |_| ()).await.unwrap();
    let later = redact_keeping(later, Default::default(), dir.path()).unwrap();
    for alias in ["user-1", "host-1", "lan-1.1", "mac-1"] {
        assert_eq!(first.aliases.reveal(alias), later.aliases.reveal(alias), "{alias}");
    }
    assert!(!["alice", "Alice Liddell", "Liddell"].contains(&later.aliases.reveal("user-4").as_str()));
}

#[tokio::test]
async fn an_unticked_section_leaves_no_trace_in_the_findings() {
    let redacted = redact(survey().await, Default::default()).unwrap();
    let rules = |redacted: &Redacted| -> Vec<String> {
        let report = redacted.report().unwrap();
        report.findings().unwrap().found.iter().map(|f| f.rule.to_string()).collect()
    };
    let without = redacted.without(&[SectionName::Disk]).unwrap();
    assert!(rules(&redacted).contains(&"disk-stopped-writing".to_owned()));
    assert!(!rules(&without).iter().any(|rule| rule.starts_with("disk")));
    assert!(rules(&without).contains(&"memory-low".to_owned()));
    assert!(without.bytes().len() < redacted.bytes().len());
    let silent = redacted.without(&[SectionName::Findings]).unwrap();
    assert!(silent.report().unwrap().findings().is_none());
    let twice = without.without(&[SectionName::Memory]).unwrap();
    assert!(!rules(&twice).iter().any(|rule| rule.starts_with("disk") || rule.starts_with("memory")));
}

#[tokio::test]
async fn replacements_are_counted_for_what_is_sent_alone() {
    let redacted = redact(survey().await, Default::default()).unwrap();
    let counted = |redacted: &Redacted| -> Vec<_> {
        let replaced = redacted.report().unwrap().header.replaced;
        replaced.iter().map(|replaced| (replaced.kind, replaced.distinct, replaced.times)).collect()
    };
    use belay_protocol::report::PrivateKind::{Address, HardwareAddress, Host, Secret, User};
    let all = [(User, 1, 4), (Host, 2, 2), (Address, 2, 4), (HardwareAddress, 1, 2), (Secret, 1, 1)];
    assert_eq!(counted(&redacted), all);
    let facts = [SectionName::Disk, SectionName::Network];
    assert_eq!(counted(&redacted.without(&facts).unwrap()), [(User, 1, 1), (Host, 1, 1)]);
}

#[tokio::test]
async fn reasons_hold_no_names_from_the_machine() {
    let report = redact(survey().await, Default::default()).unwrap().report().unwrap();
    let Section::System(system) = &report.sections[0] else { panic!("the system comes first") };
    let why = system.cpu_use.why().unwrap();
    assert_eq!((why.kind, why.source.as_str()), (WhyKind::NotApplicable, "/proc/stat"));
}

#[tokio::test]
async fn proxies_programs_and_addresses_are_masked_too() {
    let mut all = files();
    all.extend([
        (
            "etc/environment",
            "https_proxy=http://alice:hunter2@cache.corp.example.org:3128\nhttp_proxy=petra:Win'ter24@10.0.0.1:80\n",
        ),
        ("proc/net/tcp", "  0: 0900A8C0:0016 00000000:0000 0A 0:0 0:0 0 1000 0 634 1\n"),
        ("proc/net/udp", ""),
        ("sys/class/net/enx00249b123456/flags", "0x1003\n"),
        ("sys/class/net/br0/lower_enx00249b123456/flags", "0x1003\n"),
        ("sys/class/net/br0/flags", "0x1003\n"),
        ("sys/bus/usb/devices/1-1/product", "Alice's disk\n"),
        ("sys/bus/usb/devices/1-1/speed", "480\n"),
        ("sys/bus/usb/devices/1-1/version", " 3.00\n"),
    ]);
    let (dir, _root) = tree(&all);
    let survey = look(&Look { root: Some(dir.path().to_owned()), ..Look::default() }, |_| ()).await.unwrap();
    assert_eq!(survey.network.listeners.known().unwrap().len(), 1);
    assert_eq!(survey.drivers.usb_ports.known().unwrap().slow.len(), 1);
    let json =
        serde_json::to_string(&redact(survey, Default::default()).unwrap().report().unwrap()).unwrap().to_lowercase();
    for name in ["alice", "hunter2", "corp.example", "00249b", "petra", "ter24"] {
        assert!(!json.contains(name), "{name} is in the report");
    }
    assert!(json.contains("https_proxy") && json.contains("mac-1"), "{json}");
}

#[tokio::test]
async fn what_reads_the_same_without_its_secrets_is_told_apart() {
    let token = |last: char| format!("ghp_{}{last}", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R");
    let mounts: String = ['1', '2'].map(|last| format!("/dev/sd{last} /srv/{} ext4 rw 0 0\n", token(last))).concat();
    let json = report_of_strangers(&mounts, &[]).await;
    assert!(json.contains("\"<removed>\"") && json.contains("\"<removed> #2\""));
}

#[tokio::test]
async fn a_cut_off_secret_leaves_in_no_list_of_programs() {
    let mut survey = survey().await;
    let busiest = BusyProcess { name: Private::new("worker-ghp_16C7"), cpu_percent: 50.0 };
    survey.system.busiest_processes = Fact::Known(BoundedVec::truncating([busiest]).0);
    let report = redact(survey, Default::default()).unwrap().report().unwrap();
    let Section::System(system) = &report.sections[0] else { panic!("the system comes first") };
    assert_eq!(system.busiest_processes.known().unwrap()[0].name.as_str(), "worker-<removed>");
}

/// The report of a machine to which nobody in it is known, as JSON.
async fn report_of_strangers(mounts: &str, processes: &[&str]) -> String {
    let mut files = vec![("proc/self/mounts".to_owned(), mounts.to_owned())];
    for (number, name) in processes.iter().enumerate() {
        files.push((
            format!("proc/{}/status", number + 10),
            format!("Name:\t{name}\nState:\tD\nVmRSS:\t {number} kB\n"),
        ));
    }
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let (dir, _root) = tree(&files);
    let survey = look(&Look { root: Some(dir.path().to_owned()), ..Look::default() }, |_| ()).await.unwrap();
    serde_json::to_string(&redact(survey, Default::default()).unwrap().report().unwrap()).unwrap()
}

#[tokio::test]
async fn names_that_no_account_here_has_are_masked_where_their_place_shows_them() {
    let json = report_of_strangers(
        "/dev/sdb1 /media/jdoe/STICK vfat rw 0 0\n\
         /dev/sdc1 /run/media/mmuster/X vfat rw 0 0\n\
         //srv-ad01/erika$ /mnt/a cifs rw,username=hmeier,domain=NORDWIND,addr=dc-berlin 0 0\n\
         \\134\\134srv-ad01\\134share /mnt/b cifs rw 0 0\n\
         filer7:/export/home2/kschmidt /mnt/c nfs4 rw 0 0\n\
         pvogel@bastion:/srv /mnt/d fuse.sshfs rw 0 0\n\
         /dev/sdd1 /home/tfischer9 ext4 rw 0 0\n",
        &[],
    )
    .await;
    for private in [
        "jdoe",
        "mmuster",
        "srv-ad01",
        "erika",
        "hmeier",
        "NORDWIND",
        "dc-berlin",
        "filer7",
        "kschmidt",
        "pvogel",
        "bastion",
        "tfischer9",
    ] {
        assert!(!json.contains(private), "{private} in {json}");
    }
    // A host is the same in both forms of writing its shares.
    let host = json.split("\"//").nth(1).unwrap().split('/').next().unwrap();
    assert!(host.starts_with("host-") && json.contains(&format!(r"\\\\{host}\\share")), "{json}");
    assert!(json.contains("/STICK") && json.contains("/export/home2/user-"), "{json}");
}

#[tokio::test]
async fn a_name_that_one_section_shows_is_masked_in_all_whatever_their_order() {
    // Processes come before mounts in a report.
    let json = report_of_strangers(
        "/dev/sdb1 /media/jdoe/jdoe-backup vfat rw 0 0\n//srv-ad01/data /mnt/data cifs rw 0 0\n",
        &["jdoe-sync", "tunnel srv-ad01", "jdoex"],
    )
    .await;
    assert!(!json.contains("jdoe-") && !json.contains("srv-ad01"), "{json}");
    let user = json.split("/media/").nth(1).unwrap().split('/').next().unwrap();
    assert!(user.starts_with("user-") && json.contains(&format!("\"{user}-sync\"")), "{json}");
    assert!(json.contains(&format!("/media/{user}/{user}-backup")), "{json}");
    // A part of another word is no name of a stranger.
    assert!(json.contains("\"jdoex\""), "{json}");
}

#[tokio::test]
async fn words_that_stand_where_names_do_are_not_masked_elsewhere() {
    let json = report_of_strangers("//server/data /mnt/server cifs rw,username=admin 0 0\n", &["admin-server"]).await;
    assert!(json.contains("\"admin-server\"") && json.contains("/mnt/server"), "{json}");
}

#[tokio::test]
async fn a_token_that_the_kernel_has_cut_off_is_removed_from_the_name_of_a_process() {
    let json = report_of_strangers("", &["x ghp_16C7e42F2", "x ghp_16C7e4", "eyJhbGciOiJIUzI"]).await;
    assert!(!json.contains("ghp_16C7e42F2") && json.contains("x <removed>"), "{json}");
    assert!(json.contains("\"x ghp_16C7e4\"") && !json.contains("eyJhbG"), "{json}");
}

#[tokio::test]
async fn five_hundred_full_disks_fit_a_small_report() {
    let mounts: String =
        (0..512).map(|n| format!("/dev/mapper/data-{n} /srv/volumes/customer-{n} ext4 rw,relatime 0 0\n")).collect();
    let mut all = files();
    all.push(("proc/self/mounts", &mounts));
    let (dir, _root) = tree(&all);
    let mut survey = look(&Look { root: Some(dir.path().to_owned()), ..Look::default() }, |_| ()).await.unwrap();
    let full = |mount: Mount<Raw>| Mount {
        space: Space::count(4096, 1_000_000, 10_000, 10_000).map_or(mount.space, Fact::Known),
        ..mount
    };
    survey.disk.mounts = survey.disk.mounts.map(|mounts| BoundedVec::truncating(mounts.into_iter().map(full)).0);
    let redacted = redact(survey, Default::default()).unwrap();
    assert!(redacted.report().unwrap().findings().unwrap().count(Severity::Crit) >= 500);
    assert!(redacted.bytes().len() < 150 * 1024, "{} bytes", redacted.bytes().len());
}

/// Files that every probe reads.
const READ: [&str; 52] = [
    "etc/passwd",
    "etc/resolv.conf",
    "etc/os-release",
    "run/systemd/resolve/resolv.conf",
    "proc/sys/kernel/hostname",
    "proc/sys/kernel/osrelease",
    "proc/sys/kernel/tainted",
    "proc/self/mounts",
    "proc/meminfo",
    "proc/pressure/cpu",
    "proc/pressure/io",
    "proc/net/route",
    "proc/net/ipv6_route",
    "proc/modules",
    "proc/stat",
    "proc/loadavg",
    "proc/uptime",
    "proc/7/status",
    "sys/class/net/eth0/flags",
    "sys/class/net/eth0/speed",
    "sys/class/net/eth0/statistics/rx_packets",
    "sys/bus/pci/devices/0/class",
    "sys/bus/usb/devices/1-1:1.0/bInterfaceClass",
    "sys/bus/usb/devices/1-1/product",
    "proc/mdstat",
    "proc/vmstat",
    "proc/1/comm",
    "dev/kmsg",
    "run/systemd/container",
    "run/reboot-required.pkgs",
    "sys/block/sda/size",
    "sys/block/sda/device/model",
    "sys/fs/ext4/sda1/errors_count",
    "sys/class/hwmon/hwmon0/temp1_input",
    "sys/class/power_supply/BAT0/type",
    "var/lib/dpkg/status",
    "sys/bus/usb/devices/1-1/version",
    "sys/bus/usb/devices/1-1/speed",
    "sys/bus/usb/devices/1-0:1.0/usb1-port1/over_current_count",
    "sys/bus/pci/devices/0/current_link_speed",
    "sys/bus/pci/devices/0/aer_dev_fatal",
    "sys/class/drm/card0/device/uevent",
    "sys/module/zfs/version",
    "proc/net/arp",
    "proc/net/snmp",
    "proc/net/softnet_stat",
    "proc/net/tcp",
    "proc/net/udp6",
    "proc/net/wireless",
    "proc/net/dev",
    "proc/sys/net/netfilter/nf_conntrack_count",
    "etc/environment",
];

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 24, ..Default::default() })]

    #[test]
    fn any_tree_can_be_looked_at_and_shown(
        texts in proptest::collection::vec("([ -~]|[\u{0}-\u{1f}]|王|[0-9a-f:.]|/|\n){0,200}", READ.len()),
    ) {
        let files: Vec<_> = READ.into_iter().zip(texts.iter().map(String::as_str)).collect();
        let (dir, _root) = tree(&files);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let options = Look { root: Some(dir.path().to_owned()), ..Look::default() };
        let redacted = redact(runtime.block_on(look(&options, |_| ())).unwrap(), Default::default()).unwrap();
        let colour = crate::terminal::Colour::None;
        let page = crate::cli::shown(&redacted, belay_protocol::Language::English, colour).unwrap();
        proptest::prop_assert!(!page.chars().any(|c| c.is_control() && c != '\n'));
    }
}
