//! Trees of `/proc` and `/sys`: one made up, one of this machine, and what can become of a tree.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

/// A laptop with a Debian that was installed an hour ago, and nothing wrong with it.
pub const HEALTHY: &[(&str, &str)] = &[
    ("dev/kmsg", "6,0,0,-;Linux version 6.1.0-38-amd64\n6,1,1000000,-;EXT4-fs (sda2): mounted filesystem\n"),
    ("etc/hosts", "127.0.0.1 localhost\n127.0.1.1 laptop\n"),
    ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
    ("etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n"),
    ("etc/passwd", "root:x:0:0:root:/root:/bin/bash\nuser:x:1000:1000:User,,,:/home/user:/bin/bash\n"),
    ("etc/resolv.conf", "search lan\nnameserver 192.168.1.1\n"),
    ("lib/modules/6.1.0-38-amd64/modules.dep", ""),
    ("proc/1/comm", "systemd\n"),
    ("proc/1/status", "Name:\tsystemd\nState:\tS (sleeping)\nVmRSS:\t   12000 kB\n"),
    ("proc/2/comm", "kthreadd\n"),
    ("proc/2/status", "Name:\tkthreadd\nState:\tS (sleeping)\n"),
    ("proc/700/comm", "sshd\n"),
    ("proc/700/status", "Name:\tsshd\nState:\tS (sleeping)\nVmRSS:\t    9000 kB\n"),
    ("proc/cpuinfo", "processor\t: 0\nmodel name\t: A Processor\n\nprocessor\t: 1\nmodel name\t: A Processor\n"),
    ("proc/diskstats", "   8       0 sda 1000 0 8000 500 400 0 3200 300 0 600 800 0 0 0 0 0 0\n"),
    ("proc/loadavg", "0.10 0.20 0.15 1/200 900\n"),
    (
        "proc/mdstat",
        "Personalities : [raid1]\nmd0 : active raid1 sdb1[1] sda1[0]\n      1046528 blocks super 1.2 [2/2] [UU]\n\nunused devices: <none>\n",
    ),
    (
        "proc/meminfo",
        "MemTotal: 8000000 kB\nMemFree: 4000000 kB\nMemAvailable: 6000000 kB\nSwapTotal: 1000000 kB\nSwapFree: 1000000 kB\nDirty: 100 kB\nWriteback: 0 kB\nShmem: 20000 kB\nCommitLimit: 5000000 kB\nCommitted_AS: 2000000 kB\nHugePages_Total: 0\nHugePages_Free: 0\nHugepagesize: 2048 kB\n",
    ),
    ("proc/modules", "ext4 983040 1 - Live 0x0000000000000000\ne1000e 286720 0 - Live 0x0000000000000000\n"),
    ("proc/net/arp", "IP address HW type Flags HW address Mask Device\n192.168.1.1 0x1 0x2 00:00:5e:00:53:01 * eth0\n"),
    (
        "proc/net/dev",
        "Inter-|   Receive |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed\n    lo: 100 1 0 0 0 0 0 0 100 1 0 0 0 0 0 0\n  eth0: 5000 50 0 0 0 0 0 0 4000 40 0 0 0 0 0 0\n",
    ),
    ("proc/net/ip_tables_names", "filter\n"),
    (
        "proc/net/route",
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\neth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n",
    ),
    (
        "proc/net/ipv6_route",
        "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n",
    ),
    ("proc/net/snmp", "Tcp: RtoMin InSegs OutSegs RetransSegs\nTcp: 200 900 1000 1\n"),
    ("proc/net/softnet_stat", "00001000 00000000 00000000 00000000\n00001000 00000000 00000000 00000000\n"),
    (
        "proc/net/tcp",
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 634 1 0 100 0 0 10 0\n",
    ),
    (
        "proc/net/tcp6",
        "  sl\n   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 637 1\n",
    ),
    ("proc/net/udp", "  sl\n  1: 00000000:0044 00000000:0000 07 0:0 0:0 0 0 0 639 2 0 0\n"),
    (
        "proc/net/wireless",
        "Inter-| sta-|   Quality        |\n face | tus | link level noise |\n wlan0: 0000   54.  -56.  -256        0      0      0      0      0        0\n",
    ),
    (
        "proc/pressure/cpu",
        "some avg10=0.00 avg60=0.10 avg300=0.20 total=1000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
    ),
    (
        "proc/pressure/io",
        "some avg10=0.00 avg60=0.10 avg300=0.20 total=1000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
    ),
    (
        "proc/pressure/memory",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
    ),
    (
        "proc/self/mountinfo",
        "20 1 0:5 / /proc rw - proc proc rw\n21 1 8:2 / / rw,relatime - ext4 /dev/sda2 rw,errors=remount-ro\n",
    ),
    (
        "proc/self/mounts",
        "proc /proc proc rw 0 0\n/dev/sda2 / ext4 rw,relatime,errors=remount-ro 0 0\ntmpfs /run tmpfs rw,nosuid 0 0\n",
    ),
    ("proc/stat", "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 50 0 25 400 25 0 0 0\ncpu1 50 0 25 400 25 0 0 0\nintr 1\n"),
    ("proc/sys/fs/file-nr", "1500\t0\t800000\n"),
    ("proc/sys/kernel/hostname", "laptop\n"),
    ("proc/sys/kernel/osrelease", "6.1.0-38-amd64\n"),
    ("proc/sys/kernel/pid_max", "4194304\n"),
    ("proc/sys/kernel/tainted", "0\n"),
    ("proc/sys/kernel/threads-max", "62000\n"),
    ("proc/sys/net/netfilter/nf_conntrack_count", "10\n"),
    ("proc/sys/net/netfilter/nf_conntrack_max", "65536\n"),
    ("proc/sys/vm/overcommit_memory", "0\n"),
    ("proc/uptime", "3600.00 7000.00\n"),
    ("proc/vmstat", "pswpin 0\npswpout 0\noom_kill 0\n"),
    ("run/systemd/resolve/resolv.conf", "nameserver 192.168.1.1\n"),
    ("sys/block/sda/device/model", "A Disk\n"),
    ("sys/block/sda/device/vpd_pg80", "\0\u{1}\0\u{8}  AD-1234"),
    ("sys/block/sda/queue/rotational", "0\n"),
    ("sys/block/sda/removable", "0\n"),
    ("sys/block/sda/ro", "0\n"),
    ("sys/block/sda/size", "500118192\n"),
    ("sys/bus/pci/devices/0000:00:1f.6/class", "0x020000\n"),
    ("sys/bus/pci/devices/0000:00:1f.6/current_link_speed", "8.0 GT/s PCIe\n"),
    ("sys/bus/pci/devices/0000:00:1f.6/current_link_width", "1\n"),
    ("sys/bus/pci/devices/0000:00:1f.6/device", "0x15d7\n"),
    ("sys/bus/pci/devices/0000:00:1f.6/driver/module/version", "1\n"),
    ("sys/bus/pci/devices/0000:00:1f.6/max_link_speed", "8.0 GT/s PCIe\n"),
    ("sys/bus/pci/devices/0000:00:1f.6/max_link_width", "1\n"),
    ("sys/bus/pci/devices/0000:00:1f.6/vendor", "0x8086\n"),
    ("sys/bus/usb/devices/1-0:1.0/usb1-port1/over_current_count", "0\n"),
    ("sys/bus/usb/devices/1-1/product", "Mouse\n"),
    ("sys/bus/usb/devices/1-1/speed", "12\n"),
    ("sys/bus/usb/devices/1-1/version", " 2.00\n"),
    ("sys/bus/usb/devices/1-1:1.0/bInterfaceClass", "03\n"),
    ("sys/bus/usb/devices/1-1:1.0/driver/x", ""),
    ("sys/class/dmi/id/product_name", "Laptop 1000\n"),
    ("sys/class/dmi/id/sys_vendor", "Maker\n"),
    ("sys/class/drm/card0/device/driver/x", ""),
    ("sys/class/drm/card0/device/vendor", "0x8086\n"),
    ("sys/class/hwmon/hwmon0/name", "coretemp\n"),
    ("sys/class/hwmon/hwmon0/temp1_crit", "100000\n"),
    ("sys/class/hwmon/hwmon0/temp1_input", "45500\n"),
    ("sys/class/hwmon/hwmon0/temp1_label", "Package id 0\n"),
    ("sys/class/net/eth0/address", "00:00:5e:00:53:02\n"),
    ("sys/class/net/eth0/carrier", "1\n"),
    ("sys/class/net/eth0/device/x", ""),
    ("sys/class/net/eth0/duplex", "full\n"),
    ("sys/class/net/eth0/flags", "0x1003\n"),
    ("sys/class/net/eth0/ifindex", "2\n"),
    ("sys/class/net/eth0/mtu", "1500\n"),
    ("sys/class/net/eth0/speed", "1000\n"),
    ("sys/class/net/eth0/statistics/rx_dropped", "0\n"),
    ("sys/class/net/eth0/statistics/rx_errors", "0\n"),
    ("sys/class/net/eth0/statistics/rx_packets", "50\n"),
    ("sys/class/net/eth0/statistics/tx_dropped", "0\n"),
    ("sys/class/net/eth0/statistics/tx_errors", "0\n"),
    ("sys/class/net/eth0/statistics/tx_packets", "40\n"),
    ("sys/class/net/eth0/type", "1\n"),
    ("sys/class/power_supply/BAT0/capacity", "81\n"),
    ("sys/class/power_supply/BAT0/cycle_count", "12\n"),
    ("sys/class/power_supply/BAT0/energy_full", "49000\n"),
    ("sys/class/power_supply/BAT0/energy_full_design", "50000\n"),
    ("sys/class/power_supply/BAT0/status", "Discharging\n"),
    ("sys/class/power_supply/BAT0/type", "Battery\n"),
    ("sys/class/thermal/thermal_zone0/temp", "49925\n"),
    ("sys/class/thermal/thermal_zone0/trip_point_0_temp", "110000\n"),
    ("sys/class/thermal/thermal_zone0/trip_point_0_type", "critical\n"),
    ("sys/class/thermal/thermal_zone0/type", "acpitz\n"),
    ("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "0\n"),
    ("sys/devices/system/edac/mc/mc0/ce_count", "0\n"),
    ("sys/devices/system/edac/mc/mc0/ue_count", "0\n"),
    ("sys/fs/btrfs/0abb23a9-579b-43e6-ad30-227ef47fcb9d/devinfo/1/error_stats", "write_errs 0\nread_errs 0\n"),
    ("sys/fs/btrfs/0abb23a9-579b-43e6-ad30-227ef47fcb9d/devinfo/1/missing", "0\n"),
    ("sys/fs/cgroup/cgroup.controllers", "cpu memory\n"),
    ("sys/fs/cgroup/system.slice/cgroup.procs", "700\n"),
    ("sys/fs/cgroup/system.slice/memory.current", "9000000\n"),
    ("sys/fs/cgroup/system.slice/memory.events", "low 0\nmax 0\noom 0\noom_kill 0\n"),
    ("sys/fs/cgroup/system.slice/memory.max", "1000000000\n"),
    ("sys/fs/cgroup/system.slice/memory.stat", "anon 1\ninactive_file 50\n"),
    ("sys/fs/ext4/sda2/errors_count", "0\n"),
    ("sys/fs/ext4/sda2/last_error_time", "0\n"),
    ("var/lib/dkms/module/1.0/6.1.0-38-amd64/x86_64/module/module.ko", ""),
    ("var/lib/dkms/module/1.0/source", ""),
    (
        "var/lib/dpkg/status",
        "Package: bash\nStatus: install ok installed\nVersion: 5.2\n\nPackage: dpkg\nStatus: install ok installed\n",
    ),
    ("var/lib/update-notifier/updates-available", "\n0 updates can be applied immediately.\n"),
];

/// Writes files below `at`.
pub fn plant<'f>(at: &Path, files: impl IntoIterator<Item = &'f (&'f str, &'f str)>) -> anyhow::Result<()> {
    for (path, text) in files {
        let path = at.join(path);
        fs::create_dir_all(path.parent().context("a file has a directory")?)?;
        fs::write(path, text)?;
    }
    Ok(())
}

/// Copies to `at` what this machine's own `/proc` and `/sys` have of what surveys read.
pub fn capture(at: &Path) -> anyhow::Result<()> {
    const DIRECTORIES: [&str; 10] = [
        "/proc/self/net",
        "/proc/pressure",
        "/sys/block",
        "/sys/class/dmi",
        "/sys/class/net",
        "/sys/class/thermal",
        "/sys/devices/system/edac",
        "/sys/fs/cgroup/memory",
        "/sys/fs/ext4",
        "/sys/module/ext4",
    ];
    for (path, _) in HEALTHY.iter().filter(|(path, _)| path.starts_with("proc/") || path.starts_with("etc/")) {
        copy(&Path::new("/").join(path), &at.join(path), 0);
    }
    // Not those of processes, whose links lead everywhere.
    for directory in DIRECTORIES.map(Path::new) {
        copy(directory, &at.join(directory.strip_prefix("/")?), 3);
    }
    Ok(())
}

/// What cannot be read is left out, and so are endless files and links that lead in circles.
fn copy(from: &Path, to: &Path, depth: u32) {
    let Ok(kind) = fs::metadata(from) else { return };
    if kind.is_dir() {
        let entries = fs::read_dir(from).into_iter().flatten().flatten().take(64);
        for entry in entries.filter(|_| depth > 0) {
            copy(&entry.path(), &to.join(entry.file_name()), depth - 1);
        }
        return;
    }
    let Some(parent) = to.parent().filter(|_| kind.is_file()) else { return };
    let Ok(file) = fs::File::open(from) else { return };
    let mut bytes = Vec::new();
    if io::Read::read_to_end(&mut io::Read::take(file, 64 * 1024), &mut bytes).is_ok() {
        let _ = fs::create_dir_all(parent).and_then(|()| fs::write(to, bytes));
    }
}

/// Every file and directory below `at`, sorted.
pub fn paths(at: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![at.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

/// Does something to one of `paths` that no kernel does; what, in words.
pub fn spoil(random: &mut StdRng, paths: &[PathBuf]) -> anyhow::Result<String> {
    let path = paths.choose(random).context("an empty tree")?;
    let bytes = text(path);
    let what = *[
        "flip",
        "cut",
        "words",
        "noise",
        "repeat",
        "huge",
        "gone",
        "directory",
        "loop",
        "pipe",
        "unreadable",
        "swap",
        "crowd",
        "deep",
    ]
    .choose(random)
    .context("a list")?;
    // What lay around it may have gone, or become something else.
    if !path.parent().is_some_and(Path::is_dir) {
        return Ok(format!("nothing to {}", path.display()));
    }
    let replace = |bytes: &[u8]| -> io::Result<()> {
        remove(path)?;
        fs::File::create(path)?.write_all(bytes)
    };
    match what {
        "flip" => {
            let mut bytes = bytes;
            for _ in 0..random.random_range(1..8) {
                if let Some(at) = bytes.len().checked_sub(1).map(|last| random.random_range(0..=last)) {
                    bytes[at] = random.random();
                }
            }
            replace(&bytes)?;
        }
        "cut" => replace(&bytes[..random.random_range(0..=bytes.len())])?,
        // Whatever is a number becomes one at the edge of some type.
        "words" => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let word = |word: &str| match word.bytes().any(|byte| byte.is_ascii_digit()) && random.random_bool(0.5) {
                true => (*EDGES.choose(random).unwrap_or(&"0")).to_owned(),
                false => word.to_owned(),
            };
            replace(text.split(' ').map(word).collect::<Vec<_>>().join(" ").as_bytes())?;
        }
        "noise" => {
            let mut noise = vec![0; random.random_range(0..4_096)];
            random.fill_bytes(&mut noise);
            replace(&noise)?;
        }
        "repeat" => replace(&bytes.repeat(random.random_range(2..2_000)))?,
        // Nothing is written: it is a hole.
        "huge" => {
            replace(&bytes)?;
            fs::OpenOptions::new().write(true).open(path)?.set_len(1 << 30)?;
        }
        "gone" => remove(path)?,
        "directory" => {
            remove(path)?;
            fs::create_dir(path)?;
        }
        "loop" => {
            remove(path)?;
            std::os::unix::fs::symlink(path, path)?;
        }
        "pipe" => {
            remove(path)?;
            pipe(path)?;
        }
        "unreadable" => {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o000);
            let _ = fs::set_permissions(path, mode);
        }
        "swap" => {
            let other = text(paths.choose(random).context("an empty tree")?);
            replace(&other)?;
        }
        // Beside it, what looks like its siblings.
        "crowd" => {
            let parent = path.parent().context("a path has a directory")?;
            for number in 0..300 {
                let _ = fs::write(parent.join(number.to_string()), &bytes[..bytes.len().min(200)]);
            }
        }
        _ => {
            remove(path)?;
            let deep = path.join((0..40).map(|_| "d").collect::<Vec<_>>().join("/"));
            fs::create_dir_all(&deep)?;
            fs::write(deep.join("cgroup.procs"), bytes)?;
        }
    }
    Ok(format!("{what} {}", path.display()))
}

/// The beginning of a file, if it is one.
fn text(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if fs::symlink_metadata(path).is_ok_and(|kind| kind.is_file())
        && let Ok(file) = fs::File::open(path)
    {
        let _ = io::Read::read_to_end(&mut io::Read::take(file, 4 * 1024), &mut bytes);
    }
    bytes
}

const EDGES: [&str; 14] = [
    "0",
    "-1",
    "1",
    "65536",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "340282366920938463463374607431768211456",
    "1e400",
    "NaN",
    "0x",
    "-9223372036854775808",
    "",
];

/// Puts a pipe that nobody writes to at `path`.
pub fn pipe(path: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, FileType, Mode};
    Ok(rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?)
}

/// Removes whatever is at `path`, if it still is.
pub fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(kind) if kind.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}
