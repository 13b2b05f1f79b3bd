//! Judgements on facts: what is wrong, how badly, on what evidence, and what to do about it.

use std::collections::BTreeMap;
use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::bounded::{BoundedVec, Name, Text};
use crate::id::DeviceKey;
use crate::lang::{Language, Phrase};
use crate::limits;
use crate::report::{Https, PnpProblem, Taint, Why};
pub use crate::signed_pack::PackId;

/// What the rules made of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// The packs that were applied.
    pub packs: BoundedVec<PackId, 8>,
    /// The findings: worst first, then by rule and subject; of those alike at most [`limits::FINDINGS_ALIKE_MAX`].
    pub found: BoundedVec<Finding, { limits::SECTION_MAX_ITEMS }>,
    /// How many subjects were looked at and in order; they are not listed.
    pub ok: u32,
    /// How many are not in order, but not for as long as their rules ask.
    pub pending: u32,
    /// Findings like some of those above that are not listed.
    pub more: BoundedVec<Alike, { limits::SECTION_MAX_ITEMS }>,
}

/// Findings of one rule and severity that are not listed: five hundred full disks are one thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alike {
    /// The rule that made them.
    pub rule: Name,
    /// How bad they are.
    pub severity: Severity,
    /// How many they are.
    pub count: u32,
}

impl Findings {
    /// How many findings have `severity`; for what is in order, how many subjects.
    pub fn count(&self, severity: Severity) -> usize {
        if severity == Severity::Ok {
            return usize::try_from(self.ok).unwrap_or(usize::MAX);
        }
        let more = self.more.iter().filter(|alike| alike.severity == severity).map(|alike| alike.count as usize);
        self.found.iter().filter(|finding| finding.severity == severity).count() + more.sum::<usize>()
    }

    /// How many findings like this one are not listed.
    pub fn like(&self, finding: &Finding) -> usize {
        let is_alike = |alike: &&Alike| alike.rule == finding.rule && alike.severity == finding.severity;
        self.more.iter().find(is_alike).map_or(0, |alike| alike.count as usize)
    }

    /// Lists `found`, which is in order, up to the bound on those alike.
    pub(crate) fn list(found: Vec<Finding>) -> Self {
        let mut alike: BTreeMap<(Name, u8), (Severity, usize)> = BTreeMap::new();
        let is_listed = |finding: &Finding| {
            let (_, count) =
                alike.entry((finding.rule.clone(), finding.severity.rank())).or_insert((finding.severity, 0));
            *count += 1;
            *count <= limits::FINDINGS_ALIKE_MAX
        };
        let found: Vec<_> = found.into_iter().filter(is_listed).collect();
        let more = alike.into_iter().filter_map(|((rule, _), (severity, count))| {
            let count = count.checked_sub(limits::FINDINGS_ALIKE_MAX).filter(|count| *count > 0)?;
            Some(Alike { rule, severity, count: u32::try_from(count).unwrap_or(u32::MAX) })
        });
        Self { more: BoundedVec::truncating(more).0, found: BoundedVec::truncating(found).0, ..Self::default() }
    }
}

/// A judgement on one subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule that made it.
    pub rule: Name,
    /// What it is about, such as a mount point; empty for the machine as a whole.
    pub subject: Text<512>,
    /// How bad it is.
    pub severity: Severity,
    /// How sure the rule can be.
    pub confidence: Confidence,
    /// What is wrong, in one line.
    pub title: Bilingual,
    /// What to do.
    pub remedy: Bilingual,
    /// Names of fixes that a technician may ask for.
    pub fixes: BoundedVec<Name, 8>,
    /// A link, or the name of a section of the pack's documentation; empty when there is none.
    pub docs: Text<256>,
    /// The figures it stands on.
    pub evidence: BoundedVec<Evidence, 8>,
    /// Why the facts could not be had; only when the severity is unknown.
    pub why: Option<Why>,
    /// The same for the same rule and subject, whatever the figures and the time.
    pub fingerprint: Fingerprint,
}

impl Finding {
    /// Everything in it that people read, in every language.
    pub fn sentences(&self) -> [&str; 4] {
        [&self.title.en, &self.title.zh, &self.remedy.en, &self.remedy.zh]
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Looked at and in order.
    Ok,
    /// Worth knowing.
    Info,
    /// Will hurt when nobody acts.
    Warn,
    /// Hurts now.
    Crit,
    /// Could not be looked at; neither good nor bad.
    Unknown,
}

impl Severity {
    /// Place in a list that puts first what needs a person first.
    pub const fn rank(self) -> u8 {
        match self {
            Self::Crit => 0,
            Self::Warn => 1,
            Self::Unknown => 2,
            Self::Info => 3,
            Self::Ok => 4,
        }
    }

    /// The severity as people read it.
    pub const fn phrase(self) -> Phrase {
        match self {
            Self::Ok => Phrase { en: "fine", zh: "正常" },
            Self::Info => Phrase { en: "note", zh: "提示" },
            Self::Warn => Phrase { en: "warning", zh: "警告" },
            Self::Crit => Phrase { en: "critical", zh: "严重" },
            Self::Unknown => Phrase { en: "unknown", zh: "未知" },
        }
    }
}

/// How sure a rule can be of what it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// The machine itself says so, or there is no other explanation.
    #[default]
    High,
    /// A figure past a threshold that is right for most machines.
    Medium,
    /// A sign that often has a harmless reason.
    Low,
}

impl Confidence {
    /// The confidence as people read it.
    pub const fn phrase(self) -> Phrase {
        match self {
            Self::High => Phrase { en: "certain", zh: "确定" },
            Self::Medium => Phrase { en: "likely", zh: "很可能" },
            Self::Low => Phrase { en: "possible", zh: "可能" },
        }
    }
}

/// A sentence in every language, as it travels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bilingual {
    /// English.
    pub en: Text<1024>,
    /// Simplified Chinese.
    pub zh: Text<1024>,
}

impl Bilingual {
    /// The sentence in `language`.
    pub fn text(&self, language: Language) -> &str {
        match language {
            Language::English => &self.en,
            Language::Chinese => &self.zh,
        }
    }

    /// Says whether there is something to read in every language.
    pub fn is_whole(&self) -> bool {
        [&self.en, &self.zh].iter().all(|text| !text.trim().is_empty())
    }
}

/// One figure that a finding stands on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The figure's name in the rule.
    pub name: Name,
    /// What the figure is, for people.
    pub label: Bilingual,
    /// The value as text.
    pub value: Name,
    /// The unit; empty for words.
    pub unit: Text<32>,
    /// The limit it was compared with, in the same unit.
    pub threshold: Option<Name>,
    /// Where the limit comes from.
    pub source: Text<512>,
}

/// Tells findings about the same thing from others, across reports of one device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 16]);

impl Fingerprint {
    /// Within one device: the first 16 bytes of SHA-256(rule, zero byte, subject).
    pub fn derive(rule: &str, subject: &str) -> Self {
        Self::of(Sha256::new(), rule, subject)
    }

    /// Among all devices: the first 16 bytes of SHA-256(key, rule, zero byte, subject). A console derives it for itself,
    /// so that no device can speak of another's findings.
    pub fn on_device(device: &DeviceKey, rule: &str, subject: &str) -> Self {
        Self::of(Sha256::new().chain_update(device.as_bytes()), rule, subject)
    }

    fn of(digest: Sha256, rule: &str, subject: &str) -> Self {
        let digest = digest.chain_update(rule).chain_update([0]).chain_update(subject).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return <[u8; 16]>::deserialize(deserializer).map(Self);
        }
        let text = Text::<32>::deserialize(deserializer)?;
        let bytes = HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| serde::de::Error::custom("not a fingerprint: expected 32 hexadecimal digits"))
    }
}

/// Bytes in the largest binary unit that leaves a figure before the point, such as `1.4 GiB`.
pub fn bytes_for_people(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let exponent = (63 - bytes.leading_zeros()) / 10;
    let value = bytes as f64 / 1024f64.powi(exponent as i32);
    format!("{value:.1} {}", UNITS[exponent as usize - 1])
}

/// A word of the facts, such as `refused` or `emergency_read_only`, as people read it; none for other text.
pub fn word_for_people(word: &str) -> Option<Phrase> {
    Some(match word.as_bytes() {
        b"resolved" => Phrase { en: "found", zh: "解析成功" },
        b"refused" => Phrase { en: "answers, but does not know the name", zh: "有应答，但无法解析" },
        b"silent" => Phrase { en: "no answer", zh: "无应答" },
        b"unreachable" => Phrase { en: "cannot be reached", zh: "无法连接" },
        b"malformed" => Phrase { en: "answers nonsense", zh: "应答无法识别" },
        b"read_write" => Phrase { en: "writable", zh: "可写" },
        b"read_only" => Phrase { en: "read-only", zh: "只读" },
        b"emergency_read_only" => Phrase { en: "stopped writing", zh: "已停止写入" },
        b"unsynchronised" => Phrase { en: "not for a long time, or never", zh: "已长时间未校准或从未校准" },
        b"half" => Phrase { en: "half duplex", zh: "半双工" },
        b"full" => Phrase { en: "full duplex", zh: "全双工" },
        b"network" => Phrase { en: "network", zh: "网络" },
        b"storage" => Phrase { en: "storage", zh: "存储" },
        b"display" => Phrase { en: "display", zh: "显示" },
        b"wireless" => Phrase { en: "wireless", zh: "无线" },
        b"audio" => Phrase { en: "audio", zh: "音频" },
        b"video" => Phrase { en: "video", zh: "视频" },
        b"printer" => Phrase { en: "printer", zh: "打印机" },
        b"not_asked" => Phrase { en: "not asked for lately", zh: "近期未询问" },
        b"connected" => Phrase { en: "connected", zh: "已连接" },
        b"no_route" => Phrase { en: "no way there", zh: "无路由" },
        b"answered" => Https::Answered.phrase(),
        b"wrong_answer" => Https::WrongAnswer.phrase(),
        b"no_name" => Https::NoName.phrase(),
        b"connection_refused" => Https::ConnectionRefused.phrase(),
        b"timed_out" => Https::TimedOut.phrase(),
        b"untrusted" => Https::Untrusted.phrase(),
        b"wrong_time" => Https::WrongTime.phrase(),
        b"wrong_name" => Https::WrongName.phrase(),
        b"proxy_password" => Https::ProxyPassword.phrase(),
        b"failed" => Https::Failed.phrase(),
        b"any" => Phrase { en: "by anybody", zh: "任何人" },
        b"one_address" => Phrase { en: "at one address", zh: "单个地址" },
        b"multimedia" => Phrase { en: "multimedia", zh: "多媒体" },
        b"other" => Phrase { en: "other", zh: "其他" },
        b"input" => Phrase { en: "input", zh: "输入" },
        b"active" => Phrase { en: "running", zh: "运行中" },
        b"inactive" => Phrase { en: "not started", zh: "未启动" },
        b"idle" => Phrase { en: "nothing", zh: "无" },
        b"resync" => Phrase { en: "making its copies the same", zh: "同步副本" },
        b"recovery" => Phrase { en: "filling a new disk", zh: "填充新磁盘" },
        b"reshape" => Phrase { en: "changing its form", zh: "变更结构" },
        b"check" => Phrase { en: "comparing its copies", zh: "校验副本" },
        b"spare_low" => Phrase { en: "few spare blocks", zh: "备用块不足" },
        b"unreliable" => Phrase { en: "unreliable", zh: "不可靠" },
        b"asked" => Phrase { en: "an update asked for it", zh: "更新要求重启" },
        b"newer_kernel" => Phrase { en: "a newer kernel is installed", zh: "已安装新内核" },
        b"kernel_removed" => Phrase { en: "the running kernel was removed", zh: "运行中的内核已被移除" },
        b"oops" => Phrase { en: "the kernel met an error", zh: "内核错误" },
        b"bug" => Phrase { en: "a check in the kernel failed", zh: "内核断言失败" },
        b"panic" => Phrase { en: "the kernel gave up", zh: "内核崩溃" },
        b"lockup" => Phrase { en: "a processor was stuck", zh: "处理器卡死" },
        b"hung_task" => Phrase { en: "a task waited for minutes", zh: "任务长时间无响应" },
        b"machine_check" => Phrase { en: "fault of the processor or its bus", zh: "处理器或总线故障" },
        b"memory_error" => Phrase { en: "memory errors", zh: "内存错误" },
        b"overheated" => Phrase { en: "too hot", zh: "过热" },
        b"io_error" => Phrase { en: "reading or writing failed", zh: "读写失败" },
        b"ata_error" => Phrase { en: "the disk or its cable misbehaves", zh: "磁盘或线缆异常" },
        b"nvme_reset" => Phrase { en: "the disk stopped answering", zh: "磁盘停止应答" },
        b"ext4_error" => Phrase { en: "ext4 damaged", zh: "ext4 损坏" },
        b"xfs_error" => Phrase { en: "XFS damaged", zh: "XFS 损坏" },
        b"btrfs_error" => Phrase { en: "Btrfs damaged", zh: "Btrfs 损坏" },
        b"out_of_memory" => Phrase { en: "memory ran out", zh: "内存耗尽" },
        b"group_out_of_memory" => {
            Phrase { en: "a group of programs ran out of its memory", zh: "程序组内存耗尽" }
        }
        b"segfault" => Phrase { en: "programs crashed", zh: "程序崩溃" },
        b"usb_over_current" => Phrase { en: "too much current", zh: "电流过大" },
        b"usb_broken" => Phrase { en: "a device was not recognised", zh: "设备无法识别" },
        b"link_down" => Phrase { en: "the link went down", zh: "链路断开" },
        b"server_silent" => Phrase { en: "a file server does not answer", zh: "文件服务器无应答" },
        _ => return Taint::phrase(word).or_else(|| PnpProblem::phrase_of(word)),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample() -> Findings {
        let bilingual = |en: &str, zh: &str| Bilingual { en: Text::truncating(en), zh: Text::truncating(zh) };
        let evidence = Evidence {
            name: Name::truncating("used"),
            label: bilingual("used", "已用"),
            value: Name::truncating("96"),
            unit: Text::truncating("%"),
            threshold: Some(Name::truncating("95")),
            source: Text::truncating("ours"),
        };
        let finding = Finding {
            rule: Name::truncating("disk-space"),
            subject: Text::truncating("/"),
            severity: Severity::Warn,
            confidence: Confidence::Medium,
            fixes: BoundedVec::truncating([Name::truncating("clear-caches")]).0,
            docs: Text::truncating("disk-space"),
            title: bilingual("/ is 96 % full", "/ 已用 96 %"),
            remedy: bilingual("Delete files.", "请删除文件。"),
            evidence: BoundedVec::truncating([evidence]).0,
            why: None,
            fingerprint: Fingerprint::derive("disk-space", "/"),
        };
        let pack = PackId { id: Name::truncating("base"), version: 1 };
        Findings {
            packs: BoundedVec::truncating([pack]).0,
            found: BoundedVec::truncating([finding]).0,
            ok: 2,
            pending: 1,
            more: BoundedVec::truncating([Alike {
                rule: Name::truncating("disk-space"),
                severity: Severity::Warn,
                count: 3,
            }])
            .0,
        }
    }

    #[test]
    fn of_many_findings_alike_some_are_listed_and_the_rest_is_counted() {
        let one = sample().found[0].clone();
        let many = |severity, count| std::iter::repeat_n(Finding { severity, ..one.clone() }, count);
        let most = limits::FINDINGS_ALIKE_MAX;
        let findings = Findings::list(many(Severity::Crit, most + 3).chain(many(Severity::Warn, most)).collect());
        assert_eq!(findings.found.len(), 2 * most);
        assert_eq!((findings.count(Severity::Crit), findings.count(Severity::Warn)), (most + 3, most));
        assert_eq!((findings.like(&findings.found[0]), findings.like(&findings.found[most])), (3, 0));
    }

    #[test]
    fn a_fingerprint_depends_on_rule_and_subject_alone() {
        let one = Fingerprint::derive("disk-space", "/");
        assert_eq!(one, Fingerprint::derive("disk-space", "/"));
        assert_ne!(one, Fingerprint::derive("disk-space", "/home"));
        assert_ne!(Fingerprint::derive("a", "bc"), Fingerprint::derive("ab", "c"));
    }

    #[test]
    fn a_fingerprint_among_devices_depends_on_the_device() {
        let on = |key| Fingerprint::on_device(&DeviceKey([key; 32]), "disk-space", "/");
        assert_eq!(on(1), on(1));
        assert_ne!(on(1), on(2));
        assert_ne!(on(1), Fingerprint::derive("disk-space", "/"));
    }

    #[test]
    fn bytes_are_told_in_their_unit() {
        for (bytes, told) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1 << 40, "1.0 TiB"), (u64::MAX, "16.0 EiB")]
        {
            assert_eq!(bytes_for_people(bytes), told);
        }
    }

    #[test]
    fn words_of_facts_have_words_for_people() {
        assert_eq!(word_for_people("silent").unwrap().zh, "无应答");
        assert_eq!(word_for_people("eth0"), None);
    }

    #[test]
    fn a_fingerprint_is_hexadecimal_in_json_and_16_bytes_on_the_wire() {
        let one = Fingerprint::derive("disk-space", "/");
        let json = serde_json::to_string(&one).unwrap();
        assert_eq!(json.len(), 34);
        assert_eq!(serde_json::from_str::<Fingerprint>(&json).unwrap(), one);
        assert_eq!(crate::codec::encode(&one, 16).unwrap(), one.0);
    }
}
