//! Words that decide what a text means: what everybody has, what files end with, what stands before versions, names and
//! people.

/// Names that every machine has, and accounts of its services: they tell nobody anything.
pub fn is_everybodys_name(name: &str) -> bool {
    EVERYBODYS_NAMES.contains(&name.to_lowercase().as_str()) || name.starts_with("systemd-") || name.starts_with('_')
}

const EVERYBODYS_NAMES: [&str; 70] = [
    "root",
    "localhost",
    "localdomain",
    "nobody",
    "(none)",
    "system",
    "administrator",
    "daemon",
    "bin",
    "sys",
    "sync",
    "games",
    "man",
    "lp",
    "mail",
    "news",
    "uucp",
    "proxy",
    "www-data",
    "backup",
    "list",
    "irc",
    "gnats",
    "nogroup",
    "messagebus",
    "syslog",
    "uuidd",
    "tcpdump",
    "sshd",
    "landscape",
    "pollinate",
    "polkitd",
    "rtkit",
    "avahi",
    "cups",
    "colord",
    "gdm",
    "lightdm",
    "sddm",
    "geoclue",
    "pulse",
    "dnsmasq",
    "usbmux",
    "tss",
    "kernoops",
    "saned",
    "nginx",
    "apache",
    "http",
    "mysql",
    "mariadb",
    "postgres",
    "redis",
    "mongodb",
    "rabbitmq",
    "postfix",
    "dovecot",
    "chrony",
    "ntp",
    "rpc",
    "rpcuser",
    "statd",
    "shutdown",
    "halt",
    "operator",
    "ftp",
    "public",
    "shared",
    "default",
    "(unknown)",
];

/// Names that are also ordinary words: they count as names only where something shows that one is meant.
pub(super) fn is_ordinary(name: &str) -> bool {
    ORDINARY.contains(&name.to_lowercase().as_str())
}

const ORDINARY: [&str; 149] = [
    "admin",
    "alarm",
    "alert",
    "alias",
    "api",
    "app",
    "apps",
    "archive",
    "art",
    "audio",
    "auth",
    "base",
    "bash",
    "beta",
    "bill",
    "block",
    "boot",
    "bridge",
    "build",
    "bus",
    "cache",
    "camera",
    "chrome",
    "class",
    "client",
    "clock",
    "cloud",
    "cluster",
    "code",
    "computer",
    "config",
    "console",
    "control",
    "core",
    "crash",
    "cron",
    "data",
    "database",
    "debian",
    "debug",
    "demo",
    "desktop",
    "dev",
    "device",
    "disk",
    "display",
    "docker",
    "domain",
    "dongle",
    "drive",
    "driver",
    "echo",
    "edge",
    "engine",
    "error",
    "event",
    "fedora",
    "file",
    "files",
    "firewall",
    "frank",
    "free",
    "front",
    "gateway",
    "git",
    "grace",
    "group",
    "guest",
    "home",
    "hope",
    "host",
    "hub",
    "info",
    "input",
    "install",
    "internal",
    "joy",
    "kernel",
    "key",
    "lab",
    "lan",
    "laptop",
    "link",
    "linux",
    "load",
    "local",
    "lock",
    "log",
    "login",
    "main",
    "manager",
    "mark",
    "master",
    "max",
    "may",
    "media",
    "memory",
    "mini",
    "mobile",
    "monitor",
    "net",
    "network",
    "node",
    "office",
    "one",
    "online",
    "ops",
    "oracle",
    "page",
    "pat",
    "pipe",
    "port",
    "power",
    "print",
    "printer",
    "prod",
    "ray",
    "remote",
    "rich",
    "rob",
    "rose",
    "router",
    "run",
    "school",
    "server",
    "service",
    "session",
    "share",
    "sky",
    "stage",
    "staging",
    "start",
    "state",
    "station",
    "storage",
    "store",
    "sun",
    "support",
    "switch",
    "system",
    "target",
    "test",
    "tmp",
    "ubuntu",
    "user",
    "will",
    "windows",
    "work",
    "workstation",
];

/// Names of programs, and of parts that many machines have: an account or a machine may be called so, and a device is.
#[rustfmt::skip]
pub(super) fn is_technical(name: &str) -> bool {
    matches!(
        name.to_lowercase().as_str(),
        "ansible" | "apache2" | "cargo" | "chromium" | "containerd" | "cmake" | "dockerd" | "elasticsearch" | "emacs" |
        "firefox" | "fish" | "gitlab-runner" | "gnome" | "grafana" | "gradle" | "htop" | "httpd" | "influxdb" |
        "java" | "jenkins" | "jellyfin" | "kafka" | "kodi" | "konsole" | "kubelet" | "libvirt" | "make" | "maven" |
        "minecraft" | "minio" | "munin" | "mysqld" | "nagios" | "nano" | "nautilus" | "nextcloud" | "ninja" |
        "node" | "openvpn" | "perl" | "php" | "pipewire" | "plasma" | "plex" | "podman" | "prometheus" |
        "pulseaudio" | "puppet" | "python" | "python3" | "qemu" | "redis-server" | "ruby" | "runner" | "rust" |
        "rustc" | "samba" | "signal" | "slack" | "snapd" | "solr" | "spotify" | "steam" | "syncthing" | "systemd" |
        "tailscale" | "teams" | "telegraf" | "terminal" | "thunderbird" | "tmux" | "tomcat" | "vagrant" |
        "wayland" | "wine" | "wireguard" | "xorg" | "zabbix" | "zoom" | "zookeeper" |
        "adapter" | "analog" | "array" | "battery" | "bluetooth" | "button" | "cable" | "card" | "chip" | "chipset" |
        "controller" | "cpu" | "digital" | "dock" | "dvd" | "ethernet" | "fan" | "flash" | "generic" | "gpu" |
        "graphics" | "headset" | "interface" | "keyboard" | "lamp" | "lid" | "microphone" | "model" | "modem" |
        "module" | "mouse" | "optical" | "panel" | "parallel" | "pen" | "phone" | "player" | "pointer" | "product" |
        "radio" | "reader" | "receiver" | "recorder" | "root" | "rotary" | "scanner" | "sensor" | "serial" |
        "speaker" | "standard" | "stereo" | "stick" | "tablet" | "thermal" | "touch" | "touchpad" |
        "touchscreen" | "transceiver" | "video" | "virtual" | "voltage" | "watch" | "webcam" | "wifi" | "wired" |
        "wireless" | "amd" | "intel" | "nvidia" | "realtek" | "deploy" | "developer" | "public" | "service" |
        "student" | "teacher" | "worker" | "builder" | "owner" | "acl" | "discard" | "quota" | "relatime"
    )
}

/// Words behind which a person's name stands.
pub(super) const PERSON_LABELS: [&str; 30] = [
    "user", "username", "for", "by", "owner", "login", "logname", "account", "acct", "su", "sudo", "name", "from",
    "of", "as", "ruser", "euser", "uname", "author", "mr", "mrs", "ms", "dear", "hi", "hello", "contact", "用户",
    "帐户", "账户", "账号",
];

/// Words behind which a machine's name stands.
pub(super) const HOST_LABELS: [&str; 20] = [
    "host",
    "hostname",
    "nodename",
    "node",
    "server",
    "on",
    "at",
    "from",
    "to",
    "machine",
    "rhost",
    "computer",
    "domain",
    "workgroup",
    "name",
    "主机",
    "主机名",
    "服务器",
    "电脑",
    "连接",
];

/// What follows `user ` in sentences about any user.
pub(super) const NOT_A_PERSON: [&str; 49] = [
    "input",
    "space",
    "session",
    "sessions",
    "slice",
    "namespace",
    "namespaces",
    "request",
    "requests",
    "auth",
    "authentication",
    "login",
    "logins",
    "mode",
    "data",
    "process",
    "processes",
    "interaction",
    "account",
    "accounts",
    "service",
    "services",
    "manager",
    "action",
    "agent",
    "database",
    "defined",
    "directory",
    "id",
    "interface",
    "is",
    "and",
    "with",
    "was",
    "not",
    "has",
    "name",
    "names",
    "root",
    "instance",
    "lookup",
    "unknown",
    "runtime",
    "units",
    "limit",
    "limits",
    "on",
    "in",
    "null",
];

/// Words in front of a version number, at its very end or with one separator.
pub(super) const VERSION_LABELS: [&str; 24] = [
    "version",
    "ver",
    "v",
    "vers",
    "release",
    "rev",
    "revision",
    "firmware",
    "fw",
    "build",
    "driver",
    "bios",
    "oid",
    "kernel",
    "package",
    "microcode",
    "module",
    "abi",
    "api",
    "protocol",
    "update",
    "upgrade",
    "schema",
    "版本",
];

/// Words in front of a hash of a file or of a program's source.
pub(super) const HASH_LABELS: [&str; 26] = [
    "sha1",
    "sha224",
    "sha256",
    "sha384",
    "sha512",
    "md5",
    "blake2b",
    "crc",
    "crc32",
    "digest",
    "checksum",
    "hash",
    "md5sum",
    "sha1sum",
    "sha256sum",
    "sha512sum",
    "commit",
    "build",
    "buildid",
    "srcversion",
    "revision",
    "rev",
    "integrity",
    "g",
    "tree",
    "etag",
];

/// Ends of UUIDs that stand for a kind of thing: types of partitions, variables of the firmware, profiles of Bluetooth.
pub(super) const EVERYBODYS_IDS: [&str; 26] = [
    // https://uapi-group.org/specifications/specs/discoverable_partitions_specification and UEFI 2.10, 5.3.3
    "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
    "21686148-6449-6e6f-744e-656564454649",
    "0fc63daf-8483-4772-8e79-3d69d8477de4",
    "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f",
    "e6d6d379-f507-44c2-a23c-238f2a3df928",
    "a19d880f-05fc-4d3b-a006-743f0f84911e",
    "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",
    "44479540-f297-41b2-9af7-d131d5f0458a",
    "69dad710-2ce4-4e3c-b16c-21a1d49abed3",
    "b921b045-1df0-41c3-af44-4c6f280d3fae",
    "933ac7e1-2eb4-4f13-b844-0e14e2aef915",
    "3b8f8425-20e0-4f3b-907f-1a25a76f98e8",
    "4d21b016-b534-45c2-a9fb-5c16e091fd2d",
    "7ec6f557-3bc5-4aca-b293-16ef5df639d1",
    "bc13c2ff-59e6-4262-a352-b275fd6f7172",
    "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7",
    "e3c9e316-0b5c-4db8-817d-f92df00215ae",
    "de94bba4-06d1-4d40-a16a-bfd50179d6ac",
    "48465300-0000-11aa-aa11-00306543ecac",
    "7c3457ef-0000-11aa-aa11-00306543ecac",
    // Variables of UEFI and of systemd's boot loader.
    "8be4df61-93ca-11d2-aa0d-00e098032b8c",
    "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f",
    "605dab50-e046-4300-abb6-3dd810dd8b23",
    "d719b2cb-3d3a-4596-a3bc-dad00e67656f",
    "6dcbd5ed-e82d-4c44-bda1-7194199ad92a",
    // Bluetooth Core Specification, volume 3, part B, 2.5.1.
    "-0000-1000-8000-00805f9b34fb",
];

/// Domains that software is fetched from and documented at, and those of examples: no machine is known by them.
pub(super) const EVERYBODYS_DOMAINS: [&str; 64] = [
    "ubuntu.com",
    "canonical.com",
    "snapcraft.io",
    "launchpad.net",
    "debian.org",
    "kernel.org",
    "freedesktop.org",
    "systemd.io",
    "gnu.org",
    "gnome.org",
    "kde.org",
    "github.com",
    "githubusercontent.com",
    "gitlab.com",
    "docker.com",
    "docker.io",
    "fedoraproject.org",
    "redhat.com",
    "centos.org",
    "almalinux.org",
    "rockylinux.org",
    "opensuse.org",
    "suse.com",
    "archlinux.org",
    "alpinelinux.org",
    "ntp.org",
    "microsoft.com",
    "windows.com",
    "windowsupdate.com",
    "msftconnecttest.com",
    "apple.com",
    "google.com",
    "googleapis.com",
    "gstatic.com",
    "mozilla.org",
    "mozilla.com",
    "cloudflare.com",
    "letsencrypt.org",
    "python.org",
    "pypi.org",
    "npmjs.org",
    "npmjs.com",
    "crates.io",
    "rust-lang.org",
    "golang.org",
    "nginx.org",
    "nginx.com",
    "apache.org",
    "mysql.com",
    "postgresql.org",
    "openssh.com",
    "libssh.org",
    "openssl.org",
    "lwn.net",
    "wikipedia.org",
    "w3.org",
    "ietf.org",
    "iana.org",
    "sourceforge.net",
    "nvidia.com",
    "intel.com",
    "amd.com",
    "rsyslog.com",
    "localhost.localdomain",
];

/// Names before the `@` that are nobody's own, at [`EVERYBODYS_DOMAINS`].
pub(super) const ROLES: [&str; 10] =
    ["ftpmaster", "security", "root", "noreply", "no-reply", "support", "info", "bugs", "maintainers", "postmaster"];

/// Ends of names that are files, units and parts of programs before they are countries.
pub(super) const FILE_ENDINGS: [&str; 66] = [
    "service", "socket", "target", "timer", "mount", "slice", "scope", "path", "device", "swap", "so", "py", "sh",
    "pl", "rs", "md", "ps", "js", "ts", "cc", "rb", "do", "la", "mo", "gz", "zip", "cab", "app", "mov", "pub", "bin",
    "dev", "conf", "cfg", "log", "txt", "html", "xml", "json", "toml", "yaml", "c", "h", "go", "java", "io", "st",
    "png", "jpg", "jpeg", "gif", "svg", "css", "ico", "woff", "webp", "mp4", "pdf", "ms", "vi", "sc", "cat", "in",
    "to", "info", "name",
];

/// Whether `label`, in lower case, ends domain names: those that people meet, and those of private networks. Two letters
/// are a country's.
#[rustfmt::skip]
pub(super) fn is_top_level(label: &str) -> bool {
    // A match is a switch over the length, and not a walk through a list.
    matches!(
        label,
        "com" | "net" | "org" | "edu" | "gov" | "mil" | "int" | "biz" | "info" | "name" | "arpa" | "asia" |
        "cloud" | "club" | "shop" | "site" | "online" | "store" | "tech" | "top" | "xyz" | "vip" | "wang" |
        "work" | "ltd" | "group" | "email" | "company" | "network" | "systems" | "solutions" | "agency" |
        "digital" | "world" | "local" | "lan" | "home" | "corp" | "internal" | "intranet" | "localdomain" |
        "domain" | "private" | "test"
    ) || is_country(label)
}

/// Whether `label` is a country that people meet: asked of every other word, so that it is one look into a table.
fn is_country(label: &str) -> bool {
    let &[first @ b'a'..=b'z', second @ b'a'..=b'z'] = label.as_bytes() else { return false };
    COUNTRIES[usize::from(first - b'a')] >> (second - b'a') & 1 == 1
}

/// A bit for each second letter, by the first.
const COUNTRIES: [u32; 26] = {
    let mut countries = [0; 26];
    let mut at = 0;
    while at < COUNTRY_CODES.len() {
        let code = COUNTRY_CODES[at].as_bytes();
        countries[(code[0] - b'a') as usize] |= 1 << (code[1] - b'a');
        at += 1;
    }
    countries
};

#[rustfmt::skip]
const COUNTRY_CODES: [&str; 78] = [
    "ae", "ar", "at", "au", "be", "bg", "br", "by", "ca", "ch", "ci", "cl", "cn", "co", "cr", "cz",
    "de", "dk", "dz", "ec", "ee", "eg", "es", "eu", "fi", "fr", "ge", "gr", "hk", "hr", "hu", "id",
    "ie", "il", "in", "ir", "is", "it", "jp", "ke", "kr", "kz", "lt", "lu", "lv", "ma", "me", "mo",
    "mx", "my", "ng", "nl", "no", "nz", "pe", "ph", "pk", "pt", "ro", "ru", "sa", "se", "sg", "si",
    "sk", "th", "tn", "tr", "tv", "tw", "ua", "uk", "us", "uy", "uz", "ve", "vn", "za",
];
