//! What is known about a device at one moment: typed facts in sections, as they travel from an agent to a console.
//!
//! Every fact that a machine may not offer is a [`Fact`]: known, or unknown with the reason. Facts exist in two
//! [`Stage`]s with one set of types: [`Raw`] as read on the device, which cannot be serialized, and [`Shared`] after
//! redaction, which is the only form that has bytes.
//!
//! Enums here are append-only: the index of a variant is its meaning on the wire and never changes.

use serde::{Deserialize, Serialize};

use crate::bounded::{BoundedVec, Name, Text};
use crate::codec::{self, DecodeError, EncodeError};
use crate::finding::Findings;
use crate::lang::{Language, Phrase};
use crate::limits;

mod block;
mod disk;
mod drivers;
mod hardware;
mod memory;
mod network;
mod privacy;
mod system;
mod upkeep;

pub use block::{
    Activity, Array, ArrayState, ArrayWork, BlockDevice, Forecast, Health, HealthWarning, Medium, Verdict, Volume,
};
pub use disk::{Access, DeviceKind, Disk, Inodes, Mount, Response, Space};
pub use drivers::{
    Bus, Device, DkmsModule, Drivers, Graphics, Module, OverCurrent, PNP_PROBLEMS, PcieDevice, PcieErrors, Pnp,
    PnpDevice, PnpProblem, SlowUsb, TAINT_FLAGS, Taint, UsbPorts,
};
pub use hardware::{Battery, Flow, Hardware, Platform, PlatformKind, Temperature};
pub use memory::{
    Commit, Ecc, HugePages, Memory, MemoryGroup, Overcommit, Pressure, Ram, Stall, Swap, SwapRate, Writeback,
};
pub use network::{
    AddressReach, AddressState, Connect, Conntrack, Counters, DeskPath, DnsOutcome, DnsProbe, DnsServer, Family, Https,
    Interface, InterfaceAddress, InterfaceKind, LinkState, Listener, ListenerReach, Neighbour, Network, PlainHttp,
    ProxySetting, ProxySource, Rates, Reachability, RelayPath, RelayWay, Route, RouteConflict, RouteConflictKind,
    RouteEntry, RouteTable, Segments, SocketCount, SocketProtocol, Softnet, TcpQuality, Transport, WayOut, WifiSignal,
};
pub use privacy::{
    Address, Host, Masked, Private, PrivateKind, Raw, Serial, Shared, Stage, User, UserPath, Wire, Words,
};
pub use system::{
    BusyProcess, Clock, CpuUse, Handles, Kernel, Load, Os, Process, ProcessStates, Synchronisation, System, Tasks,
};
pub use upkeep::{
    Certificate, Crashes, Firewall, KernelLog, LogSource, Restart, RestartReason, Services, Trouble, TroubleKind, Unit,
    Updates, Upkeep,
};

/// The version of the report's layout; a reader refuses any other.
pub const SCHEMA_VERSION: u16 = 1;

/// Everything one survey found out, in sections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Who looked, when and how.
    pub header: Header,
    /// The facts by subject; each kind of section at most once.
    pub sections: BoundedVec<Section, { limits::REPORT_MAX_SECTIONS }>,
}

impl Report {
    /// The bytes that travel, at most [`limits::REPORT_MAX_BYTES`] of them.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        codec::encode(self, limits::REPORT_MAX_BYTES)
    }

    /// Reads a report that came from elsewhere. Refuses another schema, and a section that appears twice.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let report: Self = codec::decode(bytes, limits::REPORT_MAX_BYTES)?;
        if report.header.schema != SCHEMA_VERSION {
            return Err(DecodeError::Malformed(format!("report schema {} is not known", report.header.schema)));
        }
        let mut seen = std::collections::BTreeSet::new();
        if !report.sections.iter().all(|section| seen.insert(section.name())) {
            return Err(DecodeError::Malformed("a section appears twice".to_owned()));
        }
        Ok(report)
    }

    /// The findings in this report; none when that section was withheld.
    pub fn findings(&self) -> Option<&Findings> {
        self.sections.iter().find_map(|section| match section {
            Section::Findings(findings) => Some(findings),
            _ => None,
        })
    }
}

/// Who looked, when and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Always [`SCHEMA_VERSION`].
    pub schema: u16,
    /// The version of the agent that looked.
    pub agent_version: Name,
    /// When the survey began, by the device's own clock: milliseconds since 1970 UTC.
    pub taken_at_unix_ms: i64,
    /// How long the survey took.
    pub took_ms: u32,
    /// The language of the person at the device.
    pub language: Language,
    /// What redaction replaced, and how often.
    pub replaced: BoundedVec<Replacement, 16>,
}

/// How often redaction replaced one kind of personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    /// What was replaced.
    pub kind: PrivateKind,
    /// Different values.
    pub distinct: u32,
    /// Places where one of them stood.
    pub times: u32,
}

/// The facts about one subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "a report has each section once; a box would save nothing")]
pub enum Section {
    /// Operating system, processor, clock and processes.
    System(Box<System<Shared>>),
    /// Mounted file systems.
    Disk(Disk<Shared>),
    /// Memory, swap and pressure.
    Memory(Box<Memory<Shared>>),
    /// Kernel modules and devices.
    Drivers(Drivers<Shared>),
    /// Interfaces, routes, names and the way to the relay.
    Network(Network<Shared>),
    /// Judgements on the facts above.
    Findings(Findings),
    /// A section that was looked at and is not here.
    Withheld(Withheld),
}

impl Section {
    /// Which section this is; for a withheld one, the section that is missing.
    pub fn name(&self) -> SectionName {
        match self {
            Self::System(_) => SectionName::System,
            Self::Disk(_) => SectionName::Disk,
            Self::Memory(_) => SectionName::Memory,
            Self::Drivers(_) => SectionName::Drivers,
            Self::Network(_) => SectionName::Network,
            Self::Findings(_) => SectionName::Findings,
            Self::Withheld(withheld) => withheld.section,
        }
    }

    /// Bytes of this section in the encoded report.
    pub fn encoded_bytes(&self) -> usize {
        codec::encode(self, limits::REPORT_MAX_BYTES).map_or(0, |bytes| bytes.len())
    }
}

/// The name of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SectionName {
    /// Operating system, processor, clock and processes.
    System,
    /// Mounted file systems.
    Disk,
    /// Memory, swap and pressure.
    Memory,
    /// Kernel modules and devices.
    Drivers,
    /// Interfaces, routes, names and the way to the relay.
    Network,
    /// Judgements on the facts.
    Findings,
}

impl SectionName {
    /// Every section in the order of a report.
    pub const ALL: [Self; 6] = [Self::System, Self::Disk, Self::Memory, Self::Drivers, Self::Network, Self::Findings];

    /// The name as files, JSON and rules write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Disk => "disk",
            Self::Memory => "memory",
            Self::Drivers => "drivers",
            Self::Network => "network",
            Self::Findings => "findings",
        }
    }

    /// The name as people read it.
    pub const fn phrase(self) -> Phrase {
        match self {
            Self::System => Phrase { en: "System", zh: "系统" },
            Self::Disk => Phrase { en: "Disks", zh: "磁盘" },
            Self::Memory => Phrase { en: "Memory", zh: "内存" },
            Self::Drivers => Phrase { en: "Drivers and devices", zh: "驱动与设备" },
            Self::Network => Phrase { en: "Network", zh: "网络" },
            Self::Findings => Phrase { en: "Findings", zh: "检查结果" },
        }
    }

    /// What is in the section, for the person who decides whether to send it.
    pub const fn contents(self) -> Phrase {
        match self {
            Self::System => Phrase {
                en: "system version, load, clock, failed services, pending updates, kinds of trouble in the log, and the names of the largest programs",
                zh: "系统版本、负载、时钟、失败的服务、待装更新、日志中的故障类型，以及占用内存最多的程序名称",
            },
            Self::Disk => Phrase {
                en: "disks and their health, where disks and shares are mounted and how full they are; no files",
                zh: "磁盘及其健康状况、磁盘与共享的挂载位置和使用量；不含文件",
            },
            Self::Memory => Phrase { en: "how much memory is used", zh: "内存使用量" },
            Self::Drivers => Phrase {
                en: "loaded drivers and devices without one",
                zh: "已加载的驱动和缺少驱动的设备",
            },
            Self::Network => Phrase {
                en: "connections, their errors, and whether name servers answer; no traffic",
                zh: "网络连接及其错误、域名服务器是否应答；不含通信内容",
            },
            Self::Findings => Phrase { en: "what seems to be wrong", zh: "可能存在的问题" },
        }
    }
}

/// A section that was looked at and does not travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// The section that is missing.
    pub section: SectionName,
    /// Why it is missing.
    pub reason: Withholding,
}

/// Why a section does not travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Withholding {
    /// The person at the device unticked it.
    ByPerson,
    /// Redaction could not vouch for it.
    RedactionFailed,
}

/// A fact, or the reason why it could not be had. The two are never folded together: unknown is neither good nor bad.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact<T> {
    /// The machine said so.
    Known(T),
    /// The machine could not be asked, or did not say.
    Unknown(Why),
}

impl<T> Fact<T> {
    /// The value when it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }

    /// The reason when it is not known.
    pub fn why(&self) -> Option<&Why> {
        match self {
            Self::Known(_) => None,
            Self::Unknown(why) => Some(why),
        }
    }

    /// The same fact with its value changed.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Self::Known(value) => Fact::Known(change(value)),
            Self::Unknown(why) => Fact::Unknown(why),
        }
    }
}

impl<T> From<Result<T, Why>> for Fact<T> {
    fn from(result: Result<T, Why>) -> Self {
        match result {
            Ok(value) => Self::Known(value),
            Err(why) => Self::Unknown(why),
        }
    }
}

/// Why a fact is unknown. It names the source in the agent's own words and carries the system's error as a number, so
/// that no name from the machine can hide in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// The kind of reason.
    pub kind: WhyKind,
    /// What was asked, as `/proc/modules` or `statvfs`.
    pub source: Text<128>,
    /// The operating system's error number, when it gave one.
    pub os_error: Option<i32>,
}

impl Why {
    /// A reason about `source`, which is a constant of the program and never holds a name from the machine.
    pub fn new(kind: WhyKind, source: &'static str) -> Self {
        Self { kind, source: Text::truncating(source), os_error: None }
    }

    /// What would make it known, as far as the source and the kind of reason tell; nothing where nothing would.
    pub fn lifted_by(&self) -> Option<Phrase> {
        let of_source = |(kind, sources, _): &&(WhyKind, &[&str], Phrase)| {
            *kind == self.kind && sources.iter().any(|source| self.source.starts_with(source))
        };
        LIFTED_BY.iter().find(of_source).map(|(_, _, phrase)| *phrase).or_else(|| self.kind.lifted_by())
    }

    /// The same reason with the operating system's error number.
    pub fn with_os_error(mut self, os_error: Option<i32>) -> Self {
        self.os_error = os_error;
        self
    }
}

/// What makes known what the sources that begin like these do not tell for a kind of reason.
const LIFTED_BY: &[(WhyKind, &[&str], Phrase)] = &[
    (
        WhyKind::PermissionDenied,
        &["/dev/kmsg"],
        Phrase {
            en: "run as root to see it, or as a member of the group adm where a log service writes /var/log/kern.log",
            zh: "以 root 身份运行即可查看；如果日志服务写入 /var/log/kern.log，adm 组成员也可查看",
        },
    ),
    (
        WhyKind::NotOffered,
        &["/dev/kmsg"],
        Phrase {
            en: "look from the host, not from inside the container", zh: "请在宿主机上查看，而不是在容器内"
        },
    ),
    (
        WhyKind::NotOffered,
        &["/proc/pressure"],
        Phrase {
            en: "start the kernel with psi=1 (Linux 4.20 or newer)",
            zh: "以 psi=1 启动内核（需 Linux 4.20 以上）",
        },
    ),
    (
        WhyKind::NotOffered,
        &["/sys/devices/system/edac"],
        Phrase {
            en: "load the driver of the memory controller (EDAC); few machines but servers have memory that tells",
            zh: "加载内存控制器（EDAC）驱动；通常只有服务器内存会报告错误",
        },
    ),
    (
        WhyKind::NotOffered,
        &["/sys/class/hwmon", "/sys/class/thermal"],
        Phrase {
            en: "load the driver of the sensors (sensors-detect); virtual machines have none",
            zh: "加载传感器驱动（sensors-detect）；虚拟机没有传感器",
        },
    ),
    (
        WhyKind::NotOffered,
        &["/var/lib/apt/lists"],
        Phrase { en: "apt update fetches the lists of packages", zh: "运行 apt update 获取软件包列表" },
    ),
    (
        WhyKind::TimedOut,
        &["statvfs"],
        Phrase {
            en: "it answers again when its server or disk is back", zh: "其服务器或磁盘恢复后即会应答"
        },
    ),
    (WhyKind::NotOffered, &["smartctl"], Phrase { en: "install smartmontools", zh: "安装 smartmontools" }),
    (
        WhyKind::NotSupported,
        &["compressed apt lists"],
        Phrase { en: "apt list --upgradable shows them", zh: "可用 apt list --upgradable 查看" },
    ),
    (
        WhyKind::NotSupported,
        &["rpm"],
        Phrase {
            en: "dnf check-update or yum check-update shows them",
            zh: "可用 dnf check-update 或 yum check-update 查看",
        },
    ),
    (WhyKind::NotSupported, &["pacman"], Phrase { en: "checkupdates shows them", zh: "可用 checkupdates 查看" }),
    (
        WhyKind::NotSupported,
        &["apk"],
        Phrase { en: "apk version -l '<' shows them", zh: "可用 apk version -l '<' 查看" },
    ),
];

/// The kind of reason for which a fact is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyKind {
    /// The machine has no such source, or the captured tree does not hold it.
    NotOffered,
    /// The agent may not read it.
    PermissionDenied,
    /// It did not answer before the deadline.
    TimedOut,
    /// It answered with something that does not make sense.
    Malformed,
    /// The question does not arise here. Rules take this for silence, not for a reason to worry.
    NotApplicable,
    /// The system gave an error.
    Failed,
    /// There is more of it than the agent reads.
    TooLarge,
    /// This version of the agent cannot look at it on this operating system.
    NotSupported,
    /// The person at the device, or redaction, kept it back.
    Withheld,
    /// It shows in change over time, and the agent has not watched for long enough.
    TooSoon,
    /// It is looked at only when somebody asks for it.
    NotAsked,
}

impl WhyKind {
    /// Every kind, in the order of the wire.
    pub const ALL: [Self; 11] = [
        Self::NotOffered,
        Self::PermissionDenied,
        Self::TimedOut,
        Self::Malformed,
        Self::NotApplicable,
        Self::Failed,
        Self::TooLarge,
        Self::NotSupported,
        Self::Withheld,
        Self::TooSoon,
        Self::NotAsked,
    ];

    /// The name as JSON and rules write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotOffered => "not_offered",
            Self::PermissionDenied => "permission_denied",
            Self::TimedOut => "timed_out",
            Self::Malformed => "malformed",
            Self::NotApplicable => "not_applicable",
            Self::Failed => "failed",
            Self::TooLarge => "too_large",
            Self::NotSupported => "not_supported",
            Self::Withheld => "withheld",
            Self::TooSoon => "too_soon",
            Self::NotAsked => "not_asked",
        }
    }

    /// The reason as people read it: at the machine, at a desk, and about a captured tree, where "this machine" is another one.
    pub const fn phrase(self) -> Phrase {
        match self {
            Self::NotOffered => Phrase { en: "there is no source for it", zh: "没有此项信息的来源" },
            Self::PermissionDenied => Phrase { en: "not permitted to look", zh: "没有查看权限" },
            Self::TimedOut => Phrase { en: "no answer in time", zh: "未在时限内应答" },
            Self::Malformed => Phrase { en: "the answer made no sense", zh: "返回的内容无法识别" },
            Self::NotApplicable => Phrase { en: "does not apply here", zh: "此处不适用" },
            Self::Failed => Phrase { en: "the system reported an error", zh: "系统报告错误" },
            Self::TooLarge => Phrase { en: "too large to read", zh: "内容过大，未读取" },
            Self::NotSupported => {
                Phrase { en: "not yet supported on this operating system", zh: "此操作系统暂不支持" }
            }
            Self::Withheld => Phrase { en: "kept back", zh: "未提供" },
            Self::TooSoon => Phrase { en: "not watched for long enough", zh: "观察时间不足" },
            Self::NotAsked => Phrase { en: "only looked at when asked for", zh: "仅在要求时查看" },
        }
    }

    /// What would make it known; nothing where nothing would.
    pub const fn lifted_by(self) -> Option<Phrase> {
        Some(match self {
            Self::PermissionDenied => Phrase {
                en: "run as administrator or root to see it",
                zh: "以管理员或 root 身份运行即可查看",
            },
            Self::TimedOut => {
                Phrase { en: "look again when the machine is less busy", zh: "请在系统空闲时重新查看" }
            }
            Self::TooSoon => Phrase { en: "look again after six hours", zh: "请在六小时后重新查看" },
            Self::NotAsked => {
                Phrase { en: "belay-agent survey --smart asks for it", zh: "使用 belay-agent survey --smart 查看" }
            }
            Self::NotOffered
            | Self::Malformed
            | Self::NotApplicable
            | Self::Failed
            | Self::TooLarge
            | Self::NotSupported
            | Self::Withheld => return None,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A small report with every section, as older releases wrote it.
    pub(crate) fn sample() -> Report {
        let header = Header {
            schema: SCHEMA_VERSION,
            agent_version: Name::truncating("0.1.0"),
            taken_at_unix_ms: 1_700_000_000_000,
            took_ms: 250,
            language: Language::English,
            replaced: vec![Replacement { kind: PrivateKind::Host, distinct: 1, times: 2 }].try_into().unwrap(),
        };
        let sections = vec![
            Section::System(Box::new(system::tests::sample())),
            Section::Disk(disk::tests::sample()),
            Section::Memory(Box::new(memory::tests::sample())),
            Section::Drivers(drivers::tests::sample()),
            Section::Network(network::tests::sample()),
            Section::Findings(crate::finding::tests::sample()),
        ];
        Report { header, sections: sections.try_into().unwrap() }
    }

    #[test]
    fn a_report_comes_back_from_its_bytes() {
        let bytes = sample().encode().unwrap();
        assert_eq!(Report::decode(&bytes).unwrap(), sample());
    }

    #[test]
    fn a_report_comes_back_from_json() {
        let json = serde_json::to_string(&sample()).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), sample());
        assert!(json.contains(r#""available_bytes":80"#), "{json}");
        assert!(json.contains(r#""unknown":{"kind":"not_offered""#), "{json}");
    }

    #[test]
    fn golden_bytes_of_a_small_report() {
        let hex = data_encoding::HEXLOWER.encode(&sample().encode().unwrap());
        assert_eq!(hex, include_str!("report/sample.hex").trim(), "a released layout must never change");
    }

    #[test]
    fn a_section_twice_and_another_schema_are_refused() {
        let mut report = sample();
        report.sections.push(Section::Findings(Findings::default())).unwrap();
        assert!(matches!(Report::decode(&report.encode().unwrap()), Err(DecodeError::Malformed(_))));
        let mut report = sample();
        report.header.schema = 2;
        assert!(matches!(Report::decode(&report.encode().unwrap()), Err(DecodeError::Malformed(_))));
    }

    #[test]
    fn what_would_lift_a_reason_depends_on_its_source() {
        let lifted = |kind, source| Why::new(kind, source).lifted_by().map(|phrase| phrase.en);
        assert!(lifted(WhyKind::NotOffered, "/proc/pressure/io").unwrap().contains("psi=1"));
        assert!(lifted(WhyKind::NotSupported, "rpm").unwrap().contains("dnf"));
        assert_eq!(lifted(WhyKind::PermissionDenied, "/proc/x"), WhyKind::PermissionDenied.lifted_by().map(|p| p.en));
        assert_eq!(lifted(WhyKind::NotOffered, "/proc/x"), None);
        // Nobody is told to wait for a machine with less to do when a server is gone.
        assert!(!lifted(WhyKind::TimedOut, "statvfs").unwrap().contains("busy"));
        assert!(LIFTED_BY.iter().all(|(_, _, phrase)| !phrase.en.is_empty() && !phrase.zh.is_ascii()));
    }

    #[test]
    fn names_match_their_serialized_form() {
        for kind in WhyKind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{}\"", kind.as_str()));
        }
        for section in SectionName::ALL {
            assert_eq!(serde_json::to_string(&section).unwrap(), format!("\"{}\"", section.as_str()));
        }
    }

    proptest::proptest! {
        #[test]
        fn decoding_any_bytes_never_panics(bytes: Vec<u8>) {
            let _ = Report::decode(&bytes);
        }

        #[test]
        fn decoding_a_damaged_report_never_panics(at in 0usize..400, to: u8) {
            let mut bytes = sample().encode().unwrap();
            let at = at % bytes.len();
            bytes[at] = to;
            let _ = Report::decode(&bytes);
        }
    }
}
