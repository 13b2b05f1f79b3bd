//! Ordinary logs with known truth: lines as a kernel, systemd, package managers and servers write them, made from templates
//! with seeded variation, and which parts of each are personal.

/// One line, in parts.
#[derive(Clone, Debug)]
pub struct Line(Vec<Part>);

/// A part of a line.
#[derive(Clone, Debug)]
enum Part {
    Ordinary(String),
    Private(String),
}

impl Line {
    /// The line as it was logged.
    pub fn text(&self) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Ordinary(text) | Part::Private(text) => text.as_str(),
        });
        parts.collect()
    }

    /// The ordinary parts that do not stand in `masked` any more, each looked for behind the one before.
    pub fn damaged(&self, masked: &str) -> Vec<&str> {
        let (mut rest, mut damaged) = (masked, Vec::new());
        for part in &self.0 {
            if let Part::Ordinary(text) = part {
                match rest.find(text.as_str()) {
                    Some(at) => rest = &rest[at + text.len()..],
                    None => damaged.push(text.as_str()),
                }
            }
        }
        damaged
    }

    /// The personal parts that still stand in `masked`.
    pub fn leaked(&self, masked: &str) -> Vec<&str> {
        let private = self.0.iter().filter_map(|part| match part {
            Part::Private(text) => Some(text.as_str()),
            Part::Ordinary(_) => None,
        });
        private.filter(|text| masked.contains(text)).collect()
    }
}

/// The names of the machine whose logs these are: people and hosts.
pub const PEOPLE: [&str; 4] = ["alice", "bo", "Alice Liddell", "mark"];
/// See [`PEOPLE`].
pub const HOSTS: [&str; 3] = ["wonder.corp.example.org", "wonder", "corp.example.org"];

/// `count` lines, the same for the same `seed`.
pub fn ordinary(seed: u64, count: usize) -> Vec<Line> {
    let mut dice = Dice(seed | 1);
    (0..count).map(|_| line(&mut dice)).collect()
}

fn line(dice: &mut Dice) -> Line {
    let (head, templates) = KINDS[dice.below(KINDS.len())];
    let mut parts = Vec::new();
    fill(head, dice, &mut parts);
    fill(templates[dice.below(templates.len())], dice, &mut parts);
    // What stands together is one part, so that a replacement across the seam is seen.
    let mut joined: Vec<Part> = Vec::new();
    for part in parts {
        match (joined.last_mut(), part) {
            (Some(Part::Ordinary(before)), Part::Ordinary(text)) => before.push_str(&text),
            (_, part) => joined.push(part),
        }
    }
    Line(joined)
}

/// Fills the places in `template`: capitals stand for what is personal.
fn fill(template: &str, dice: &mut Dice, parts: &mut Vec<Part>) {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        parts.push(Part::Ordinary(before.to_owned()));
        let (name, after) = after.split_once('}').expect("templates close their places");
        let value = value(name, dice);
        parts.push(if name.starts_with(|c: char| c.is_ascii_uppercase()) {
            Part::Private(value)
        } else {
            Part::Ordinary(value)
        });
        rest = after;
    }
    parts.push(Part::Ordinary(rest.to_owned()));
}

fn value(name: &str, dice: &mut Dice) -> String {
    let any = |dice: &mut Dice, from: &[&str]| from[dice.below(from.len())].to_owned();
    match name {
        "time" => format!(
            "{} {:2} {:02}:{:02}:{:02}",
            any(dice, &["Jan", "Mar", "Jun", "Sep", "Nov"]),
            dice.below(28) + 1,
            dice.below(24),
            dice.below(60),
            dice.below(60)
        ),
        "iso" => format!(
            "2026-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}+08:00",
            dice.below(12) + 1,
            dice.below(28) + 1,
            dice.below(24),
            dice.below(60),
            dice.below(60),
            dice.below(1_000_000)
        ),
        "day" => format!(
            "2026-{:02}-{:02} {:02}:{:02}:{:02}",
            dice.below(12) + 1,
            dice.below(28) + 1,
            dice.below(24),
            dice.below(60),
            dice.below(60)
        ),
        "clf" => format!(
            "{:02}/Nov/2026:{:02}:{:02}:{:02} +0000",
            dice.below(28) + 1,
            dice.below(24),
            dice.below(60),
            dice.below(60)
        ),
        "up" => format!("{:5}.{:06}", dice.below(99_999), dice.below(1_000_000)),
        "n" => dice.below(65_000).to_string(),
        "small" => dice.below(16).to_string(),
        "big" => (dice.next() % 90_000_000_000 + 10_000_000_000).to_string(),
        "hex" => format!("{:x}", dice.next() as u32),
        "hex64" => format!("{:016x}", dice.next() | 0xffff_8000_0000_0000),
        "kaddr" => format!("ffffffff{:08x}", dice.next() as u32),
        "reg" => format!("{:016x}", dice.next() >> dice.below(40)),
        "pci" => format!("0000:{:02x}:{:02x}.{}", dice.below(256), dice.below(32), dice.below(8)),
        "ids" => format!("{:04x}:{:04x}", dice.below(65_536), dice.below(65_536)),
        "ver3" => format!("{}.{}.{}", dice.below(30), dice.below(40), dice.below(90)),
        "ver4" => format!("{}.{}.{}.{}", dice.below(30) + 1, dice.below(40), dice.below(90), dice.below(200)),
        "deb" => {
            let plain = format!("{}.{}.{}", dice.below(9) + 1, dice.below(40), dice.below(20));
            match dice.below(5) {
                0 => format!("{plain}-{}ubuntu{}", dice.below(9) + 1, dice.below(5)),
                1 => format!("{plain}.{}-{}", dice.below(9), dice.below(5) + 1),
                2 => format!("1:{plain}+dfsg-{}~deb12u1", dice.below(4)),
                3 => format!("{plain}.{}+git2026", dice.below(20)),
                _ => format!("2:{plain}~rc{}-1", dice.below(4)),
            }
        }
        "sha256" => (0..4).map(|_| format!("{:016x}", dice.next())).collect(),
        "sha1" => format!("{:016x}{:016x}{:08x}", dice.next(), dice.next(), dice.next() as u32),
        "md5" => format!("{:016x}{:016x}", dice.next(), dice.next()),
        "unit" => any(
            dice,
            &[
                "cron.service",
                "NetworkManager.service",
                "systemd-resolved.service",
                "apt-daily.timer",
                "dbus.socket",
                "user@1000.service",
                "snapd.seeded.service",
                "getty@tty1.service",
                "multi-user.target",
                "dev-disk-by\\x2duuid.device",
            ],
        ),
        "pkg" => any(
            dice,
            &[
                "libssl3",
                "openssh-server",
                "linux-image-6.8.0-45-generic",
                "python3.12-minimal",
                "libc6",
                "gcc-13-base",
                "linux-firmware",
                "libboost1.83-dev",
                "g++",
                "7zip",
            ],
        ),
        "disk" => any(dice, &["sda", "sdb1", "nvme0n1", "nvme0n1p2", "dm-0", "mmcblk0", "vda"]),
        "nic" => any(dice, &["eth0", "enp3s0", "wlan0", "wlp2s0", "br0", "docker0", "veth1a2b3c4", "eno1"]),
        "driver" => any(dice, &["e1000e", "iwlwifi", "nvme", "xhci_hcd", "i915", "snd_hda_intel", "ahci", "r8169"]),
        "part" => any(
            dice,
            &[
                "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
                "0fc63daf-8483-4772-8e79-3d69d8477de4",
                "E3C9E316-0B5C-4DB8-817D-F92DF00215AE",
                "0000110b-0000-1000-8000-00805f9b34fb",
            ],
        ),
        "agent" => any(
            dice,
            &[
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
                "curl/8.5.0",
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0",
                "Debian APT-HTTP/1.3 (2.7.14)",
            ],
        ),
        "path" => any(
            dice,
            &[
                "/index.html",
                "/api/v1/items?page=2&size=50",
                "/static/app.3f2a1b.js",
                "/favicon.ico",
                "/login",
                "/assets/img/logo@2x.png",
                "/wp-login.php",
                "/search?q=a%20b",
            ],
        ),
        "status" => any(dice, &["200", "304", "404", "500", "301"]),
        "oid" => format!("1.3.6.1.4.1.{}.{}", dice.below(60_000), dice.below(20)),
        "Host" => "wonder".to_owned(),
        "User" => any(dice, &["alice", "bo", "mark"]),
        "Guest" => any(dice, &["mallory", "deploy7", "oracle9", "j.smith"]),
        "Ip" => match dice.below(3) {
            0 => format!("192.168.{}.{}", dice.below(256), dice.below(254) + 1),
            1 => format!("10.{}.{}.{}", dice.below(256), dice.below(256), dice.below(254) + 1),
            _ => format!("{}.{}.{}.{}", dice.below(180) + 11, dice.below(256), dice.below(256), dice.below(254) + 1)
                .replace("127.", "128."),
        },
        "Ip6" => format!("2001:db8:{:x}:{:x}::{:x}", dice.below(65_536), dice.below(65_536), dice.below(65_536)),
        "Mac" => format!("52:54:00:{:02x}:{:02x}:{:02x}", dice.below(256), dice.below(256), dice.below(255)),
        "Uuid" => {
            let (a, b) = (dice.next(), dice.next());
            format!(
                "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
                a as u32,
                a >> 48,
                a >> 36 & 0xfff,
                b >> 48 & 0xfff,
                b & 0xffff_ffff_ffff
            )
        }
        "Print" => {
            let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
            (0..43).map(|_| char::from(letters[dice.below(letters.len())])).collect()
        }
        "Domain" => {
            any(dice, &["mail.contoso-partner.cn", "vpn.fabrikam.de", "files.tailspin.co.uk", "shop.northwind.com"])
        }
        "Mail" => any(dice, &["carol@contoso-partner.cn", "ops+alerts@fabrikam.de"]),
        "Wifi" => any(dice, &["Blue Door 5G", "CMCC-7Xk2", "Cafe Mozart"]),
        "Serial" => format!("4C5300{:08}", dice.below(99_999_999)),
        other => panic!("no place is called {other}"),
    }
}

type Kind = (&'static str, &'static [&'static str]);

const KINDS: &[Kind] = &[
    ("{time} {Host} kernel: [{up}] ", KERNEL),
    ("[{up}] ", KERNEL),
    ("{time} {Host} systemd[1]: ", SYSTEMD),
    ("{iso} {Host} systemd[{n}]: ", SYSTEMD),
    ("{time} {Host} sshd[{n}]: ", SSHD),
    ("{day} ", PACKAGES),
    ("", SERVER),
    ("{time} {Host} ", DAEMONS),
];

const KERNEL: &[&str] = &[
    "usb 1-{small}: new high-speed USB device number {small} using xhci_hcd",
    "usb 1-{small}: New USB device found, idVendor=0781, idProduct=5581, bcdDevice= 1.00",
    "usb 1-{small}: New USB device strings: Mfr=1, Product=2, SerialNumber=3",
    "usb 1-{small}: SerialNumber: {Serial}",
    "pci {pci}: [{ids}] type 00 class 0x0c0330 conventional PCI endpoint",
    "{driver} {pci}: enabling device (0000 -> 0002)",
    "BIOS-e820: [mem 0x{reg}-0x{reg}] usable",
    "RIP: 0010:__list_del_entry_valid+0x{hex}/0x{hex}",
    "RAX: {reg} RBX: {hex64} RCX: {reg}",
    "Call Trace: <TASK> ? {driver}_probe+0x{hex}/0x{hex} [{driver}]",
    "{driver}: loading out-of-tree module taints kernel.",
    "EXT4-fs ({disk}): mounted filesystem {Uuid} r/w with ordered data mode. Quota mode: none.",
    "e1000e {pci} {nic}: NIC Link is Up 1000 Mbps Full Duplex, Flow Control: Rx/Tx",
    "IPv6: ADDRCONF(NETDEV_CHANGE): {nic}: link becomes ready",
    "r8169 {pci} {nic}: RTL8168h/8111h, {Mac}, XID 541, IRQ {n}",
    "Serial: 8250/16550 driver, 32 ports, IRQ sharing enabled",
    "{pci}: ttyS4 at I/O 0x3060 (irq = 19, base_baud = 115200) is a 16550A",
    "audit: type=1400 audit({n}.{n}:{n}): apparmor=\"STATUS\" operation=\"profile_load\" profile=\"unconfined\" name=\"snap.lxd.lxc\" pid={n} comm=\"apparmor_parser\"",
    "microcode: updated early: 0x{hex} -> 0x{hex}, date = 2026-01-15",
    "Loaded X.509 cert 'Build time autogenerated kernel key: {sha1}'",
    "Key type dns_resolver registered",
    "{disk}: p1 p2 p3",
    "nvme nvme0: {small}/0/0 default/read/poll queues",
    "Out of memory: Killed process {n} (chrome) total-vm:{n}kB, anon-rss:{n}kB, file-rss:0kB, shmem-rss:0kB, UID:1000 pgtables:{n}kB oom_score_adj:300",
    "thermal thermal_zone0: critical temperature reached (105 C), shutting down",
    "ata{small}.00: exception Emask 0x0 SAct 0x{hex} SErr 0x0 action 0x6 frozen",
    "I/O error, dev {disk}, sector {big} op 0x0:(READ) flags 0x80700 phys_seg 1 prio class 2",
    "ACPI: SSDT 0x{hex64} 0003A4 (v02 PmRef  Cpu0Ist  00003000 INTL 20160527)",
    "efi: memattr: Unexpected EFI Memory Attributes table, GUID 8be4df61-93ca-11d2-aa0d-00e098032b8c",
    "Command line: BOOT_IMAGE=/boot/vmlinuz-6.8.0-45-generic root=UUID={Uuid} ro quiet splash",
    "iwlwifi {pci}: loaded firmware version 77.{hex}.0 ty-a0-gf-a0-77.ucode op_mode iwlmvm",
    "[drm] Initialized i915 1.6.0 20230929 for {pci} on minor 1",
    "input: Logitech USB Receiver as /devices/pci0000:00/{pci}/usb1/1-4/1-4:1.0/0003:046D:C52B.0001/input/input{n}",
    "hid-generic 0003:046D:C52B.0002: input,hiddev0,hidraw1: USB HID v1.11 Device [Logitech USB Receiver] on usb-{pci}-4/input1",
    "workqueue: blk_mq_run_work_fn hogged CPU for >10000us {small} times, consider switching to WQ_UNBOUND",
    "Bluetooth: hci0: Waiting for firmware download to complete, profile {part}",
    "perf: interrupt took too long ({n} > 2500), lowering kernel.perf_event_max_sample_rate to {n}",
    "{driver}: module verification failed: signature and/or required key missing - tainting kernel",
    "srcversion: 7E3A1B2C3D4E5F607182930 vermagic: 6.8.0-45-generic SMP preempt mod_unload",
    "[UFW BLOCK] IN={nic} OUT= MAC={Mac}:{Mac}:08:00 SRC={Ip} DST={Ip} LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID={n} DF PROTO=TCP SPT={n} DPT=22 WINDOW=64240 RES=0x00 SYN URGP=0",
];

const SYSTEMD: &[&str] = &[
    "Started {unit} - Regular background program processing daemon.",
    "Starting {unit}...",
    "{unit}: Main process exited, code=exited, status={small}/FAILURE",
    "{unit}: Failed with result 'exit-code'.",
    "{unit}: Consumed {n}ms CPU time, {small}.{small}M memory peak, 0B memory swap peak.",
    "Created slice user-1000.slice - User Slice of UID 1000.",
    "Reached target multi-user.target - Multi-User System.",
    "systemd 255.4-1ubuntu8.4 running in system mode (+PAM +AUDIT +SELINUX -ACL)",
    "Finished apt-daily.service - Daily apt download activities.",
    "Startup finished in 3.{n}s (firmware) + 2.{n}s (loader) + 1.{n}s (kernel) + 12.{n}s (userspace) = 19.{n}s.",
    "{unit}: Scheduled restart job, restart counter is at {small}.",
    "Mounting boot-efi.mount - /boot/efi...",
    "Found device dev-disk-by\\x2duuid-1A2B\\x2d3C4D.device - SAMSUNG MZVL2512HCJQ-00B00 EFI.",
    "Dispatch Password Requests to Console Directory Watch was skipped because of an unmet condition check (ConditionPathExists=!/run/plymouth/pid).",
    "Started session-{n}.scope - Session {n} of User {User}.",
    "New session {n} of user {User}.",
    "Session {n} logged out. Waiting for processes to exit.",
    "Partition type {part} found on /dev/{disk}",
    "Listening on dbus.socket - D-Bus User Message Bus Socket.",
    "r  b   swpd   free   buff  cache   si   so    bi    bo   in   cs us sy id wa st",
    "Forward Password Requests to Wall Directory Watch: Deactivated successfully.",
    "We will mark the unit as failed, for user units see the user manual.",
];

const SSHD: &[&str] = &[
    "Accepted publickey for {User} from {Ip} port {n} ssh2: ED25519 SHA256:{Print}",
    "Accepted password for {User} from {Ip6} port {n} ssh2",
    "Failed password for root from {Ip} port {n} ssh2",
    "Failed password for invalid user {Guest} from {Ip} port {n} ssh2",
    "Invalid user {Guest} from {Ip} port {n}",
    "Connection closed by authenticating user root {Ip} port {n} [preauth]",
    "Disconnected from user {User} {Ip} port {n}",
    "pam_unix(sshd:session): session opened for user {User}(uid=1000) by (uid=0)",
    "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={Ip}  user=root",
    "Received disconnect from {Ip} port {n}:11: disconnected by user",
    "error: kex_exchange_identification: Connection closed by remote host",
    "Server listening on 0.0.0.0 port 22.",
    "Server listening on :: port 22.",
    "Unable to negotiate with {Ip} port {n}: no matching key exchange method found. Their offer: diffie-hellman-group1-sha1 [preauth]",
    "userauth_pubkey: signature algorithm ssh-rsa not in PubkeyAcceptedAlgorithms [preauth]",
    "PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost={Domain}",
];

const PACKAGES: &[&str] = &[
    "status installed {pkg}:amd64 {deb}",
    "upgrade {pkg}:amd64 {deb} {deb}",
    "status half-configured {pkg}:all {deb}",
    "Get:{small} http://archive.ubuntu.com/ubuntu noble-updates/main amd64 {pkg} amd64 {deb} [{n} kB]",
    "Unpacking {pkg} ({deb}) over ({deb}) ...",
    "Setting up {pkg} ({ver4}-{small}) ...",
    "Preparing to unpack .../{pkg}_{ver4}_amd64.deb ...",
    "E: Failed to fetch http://security.debian.org/debian-security/dists/bookworm-security/InRelease  Hash Sum mismatch - SHA256:{sha256}",
    "MD5Sum:{md5} SHA1:{sha1}",
    "Need to get {n} kB/{n} MB of archives. After this operation, {n} kB of additional disk space will be used.",
    "Processing triggers for libc-bin (2.39-0ubuntu8.{small}) ...",
    "gpg: key 871920D1991BC93C: \"Ubuntu Archive Automatic Signing Key (2018) <ftpmaster@ubuntu.com>\" not changed",
    "W: https://download.docker.com/linux/ubuntu/dists/noble/InRelease: Key is stored in legacy trusted.gpg keyring",
    "pip: Successfully installed requests-{ver3} urllib3-{ver3} foo-bar-{ver4}",
    "npm warn deprecated inflight@1.0.6: This module is not supported",
    "Installed: {pkg}-{ver4}.fc40.x86_64",
    "commit {sha1} (tag: v{ver4})",
    "firmware version {ver4} of driver {driver} build {ver4}",
    "Selecting previously unselected package {pkg}.",
    "Driver version: {ver4}, API version: 1.{small}",
];

const SERVER: &[&str] = &[
    "{Ip} - - [{clf}] \"GET {path} HTTP/1.1\" {status} {n} \"-\" \"{agent}\"",
    "{Ip} - - [{clf}] \"POST {path} HTTP/2.0\" {status} {n} \"https://{Domain}{path}\" \"{agent}\"",
    "{Ip6} - - [{clf}] \"HEAD / HTTP/1.0\" {status} 0 \"-\" \"{agent}\"",
    "2026/11/22 15:10:29 [error] {n}#{n}: *{n} open() \"/usr/share/nginx{path}\" failed (2: No such file or directory), client: {Ip}, server: _, request: \"GET {path} HTTP/1.1\", host: \"{Domain}\"",
    "2026/11/22 15:10:29 [notice] {n}#{n}: signal process started",
    "2026/11/22 15:10:29 [warn] {n}#{n}: the \"listen ... http2\" directive is deprecated in /etc/nginx/conf.d/default.conf:{small}",
    "127.0.0.1 - - [{clf}] \"GET /nginx_status HTTP/1.1\" 200 {n} \"-\" \"{agent}\"",
    "\"level\":\"info\",\"ts\":{n}.{n},\"caller\":\"etcdserver/server.go:{n}\",\"msg\":\"compacted\",\"hash\":{n},\"took\":\"{small}.{n}ms\"",
    "time=\"2026-11-22T15:10:29Z\" level=info msg=\"loading plugin \\\"io.containerd.snapshotter.v1.overlayfs\\\"...\" type=io.containerd.snapshotter.v1",
    "java.net.SocketTimeoutException: Read timed out at java.base/java.net.SocketInputStream.read(SocketInputStream.java:{n})",
    "SyntaxError: Unexpected token: '<' in JSON at position {small}",
    "test result: ok. {n} passed; 0 failed; {small} ignored; finished in {small}.{n}s",
    "pass: {n} fail: {small} skip: 0",
    "thread 'main' panicked at src/main.rs:{n}:{small}: called `Option::unwrap()` on a `None` value",
    "snmpd: No such instance at OID {oid}",
    "ERROR: could not connect to server: Connection refused. Is the server running on host \"localhost\" (127.0.0.1) and accepting TCP/IP connections on port 5432?",
];

const DAEMONS: &[&str] = &[
    "CRON[{n}]: (root) CMD (   cd / && run-parts --report /etc/cron.hourly)",
    "CRON[{n}]: ({User}) CMD (/home/{User}/bin/backup.sh >/dev/null 2>&1)",
    "sudo:    {User} : TTY=pts/{small} ; PWD=/home/{User} ; USER=root ; COMMAND=/usr/bin/apt update",
    "NetworkManager[{n}]: <info>  [{n}.{n}] device ({nic}): state change: config -> ip-config (reason 'none', sys-iface-state: 'managed')",
    "NetworkManager[{n}]: <info>  [{n}.{n}] dhcp4 ({nic}): state changed new lease, address={Ip}, acd pending",
    "dhclient[{n}]: DHCPACK of {Ip} from {Ip} (xid=0x{hex})",
    "systemd-resolved[{n}]: Using degraded feature set UDP instead of UDP+EDNS0 for DNS server {Ip}.",
    "dbus-daemon[{n}]: [system] Activating via systemd: service name='org.freedesktop.hostname1' unit='dbus-org.freedesktop.hostname1.service' requested by ':1.{n}' (uid=0 pid={n} comm=\"/usr/bin/hostnamectl\")",
    "avahi-daemon[{n}]: Joining mDNS multicast group on interface {nic}.IPv4 with address {Ip}.",
    "avahi-daemon[{n}]: Registering new address record for {Ip6} on {nic}.*.",
    "wpa_supplicant[{n}]: {nic}: Trying to associate with {Mac} (SSID='{Wifi}' freq=5180 MHz)",
    "chronyd[{n}]: Selected source {Ip} (2.debian.pool.ntp.org)",
    "postfix/smtp[{n}]: 3F2A1B{n}: to=<{Mail}>, relay={Domain}[{Ip}]:25, delay=1.2, delays=0.1/0/0.5/0.6, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4XYZ{n})",
    "smartd[{n}]: Device: /dev/{disk} [SAT], SMART Usage Attribute: 194 Temperature_Celsius changed from {small} to {small}",
    "dockerd[{n}]: time=\"2026-11-22T15:10:29.{n}Z\" level=info msg=\"Loading containers: done.\"",
    "rsyslogd: [origin software=\"rsyslogd\" swVersion=\"8.2312.0\" x-pid=\"{n}\" x-info=\"https://www.rsyslog.com\"] rsyslogd was HUPed",
    "gnome-shell[{n}]: Window manager warning: last_user_time ({n}) is greater than comparison timestamp ({n}).",
    "fwupd[{n}]: {n}:{n}:{small}.{n} FuMain  Daemon ready for requests (locale C.UTF-8)",
    "kernel-package: keyboard: hotkey: enabled, monkey: no",
    "systemd-logind[{n}]: Watching system buttons on /dev/input/event{small} (Power Button)",
    "ModemManager[{n}]: <msg> [base-manager] couldn't check support for device '/sys/devices/pci0000:00/{pci}': not supported by any plugin",
    "polkitd[{n}]: Registered Authentication Agent for unix-session:{small} (system bus name :1.{n} [/usr/bin/gnome-shell], object path /org/freedesktop/PolicyKit1/AuthenticationAgent, locale zh_CN.UTF-8)",
    "snapd[{n}]: storehelpers.go:{n}: cannot refresh snap \"core22\": snap has no updates available, revision {n}",
    "app[{n}]: 磁盘空间不足：/dev/{disk} 已使用 {small}%，请清理",
    "app[{n}]: 用户 {User} 登录成功，来自 {Ip}",
];

/// A small generator of numbers, xorshift64*, so that the same seed gives the same lines for ever.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 11) as usize % end
    }
}
