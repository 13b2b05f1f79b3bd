//! What moves at this moment: the rates of a section, for whoever watches it.

use belay_protocol::Phrase;
use belay_protocol::finding::bytes_for_people;
use belay_protocol::report::{
    BlockDevice, Disk, Fact, Interface, LinkState, Memory, Network, Report, Section, Shared, Stall, System, WhyKind,
};

use super::{Page, system::loads, words::*};

impl Page {
    /// The rates of every section that has some.
    pub(super) fn live(&mut self, report: &Report) {
        self.heading = Some(NOW.text(self.language));
        for section in &report.sections {
            match section {
                Section::System(system) => self.live_system(system),
                Section::Disk(disk) => self.live_disk(disk),
                Section::Memory(memory) => self.live_memory(memory),
                Section::Network(network) => self.live_network(network),
                Section::Drivers(_) | Section::Findings(_) | Section::Withheld(_) => {}
            }
        }
    }

    fn live_system(&mut self, system: &System<Shared>) {
        let language = self.language;
        self.rate(&CPU_USE, &system.cpu_use, |used| {
            let share = |share: &Fact<f64>| share.known().map_or("–".to_owned(), |share| format!("{share:.0}"));
            let busy = format!("{:.0}", used.busy_percent);
            let (waiting, stolen) = (share(&used.iowait_percent), share(&used.steal_percent));
            CPU_RATES.fill(language, &[("busy", &busy), ("waiting", &waiting), ("stolen", &stolen)])
        });
        self.rate(&LOAD, &system.load, loads);
    }

    fn live_disk(&mut self, disk: &Disk<Shared>) {
        let devices = disk.block_devices.known().map(|devices| &**devices).unwrap_or_default();
        for device in devices.iter().filter(|device| is_hardware(device)) {
            let language = self.language;
            let label = device.name.as_str().to_owned();
            let value = device.activity.known().map(|seen| {
                let (read, written) =
                    (per_second(seen.read_bytes_per_second), per_second(seen.written_bytes_per_second));
                let busy = format!("{:.0}", seen.busy_percent);
                let latency = seen.await_ms.known().map_or("–".to_owned(), |ms| format!("{ms:.1} ms"));
                let values = [("read", &*read), ("written", &*written), ("busy", &*busy), ("latency", &*latency)];
                DISK_RATES.fill(language, &values)
            });
            self.rate_of(&label, value, &device.activity);
        }
    }

    fn live_memory(&mut self, memory: &Memory<Shared>) {
        let language = self.language;
        self.rate(&SWAPPING, &memory.swap_rate, |rate| {
            let (taken, put) =
                (format!("{:.0}", rate.in_pages_per_second), format!("{:.0}", rate.out_pages_per_second));
            SWAP_RATES.fill(language, &[("in", &taken), ("out", &put)])
        });
        let share = |stall: &Stall| {
            let (some, all) = (format!("{:.0}", stall.some_avg10_percent), format!("{:.0}", stall.full_avg10_percent));
            STALL_NOW.fill(language, &[("some", &some), ("all", &all)])
        };
        self.rate(&WAITS_MEMORY, &memory.pressure.memory, share);
        self.rate(&WAITS_IO, &memory.pressure.io, share);
    }

    fn live_network(&mut self, network: &Network<Shared>) {
        let interfaces = network.interfaces.known().map(|interfaces| &**interfaces).unwrap_or_default();
        for interface in interfaces.iter().filter(|interface| interface.link != LinkState::Down) {
            let label = interface.name.to_string();
            let value = self.network_rates(interface);
            self.rate_of(&label, value, &interface.rates);
        }
    }

    fn network_rates(&self, interface: &Interface<Shared>) -> Option<String> {
        let rates = interface.rates.known()?;
        let (received, sent) = (per_second(rates.rx_bytes_per_second), per_second(rates.tx_bytes_per_second));
        let errors = format!("{:.0}", rates.errors_per_second);
        let dropped = format!("{:.0}", rates.dropped_per_second);
        let values = [("received", &*received), ("sent", &*sent), ("errors", &*errors), ("dropped", &*dropped)];
        Some(NETWORK_RATES.fill(self.language, &values))
    }

    fn rate<T>(&mut self, label: &Phrase, fact: &Fact<T>, show: impl FnOnce(&T) -> String) {
        let value = fact.known().map(show);
        self.rate_of(label.text(self.language), value, fact);
    }

    /// A rate as a row, or why there is none: whoever watches wants to know that nothing will come.
    fn rate_of<T>(&mut self, label: &str, value: Option<String>, fact: &Fact<T>) {
        match (value, fact) {
            (Some(value), _) => self.row(label, &value),
            (None, Fact::Unknown(why)) if why.kind != WhyKind::NotApplicable => {
                let reason = why.kind.phrase().text(self.language);
                self.row(label, reason);
            }
            (None, _) => {}
        }
    }
}

/// Whether it is a disk, and not a file or memory that looks like one.
fn is_hardware(device: &BlockDevice<Shared>) -> bool {
    !["loop", "ram", "zram", "sr", "fd"]
        .iter()
        .any(|kind| device.name.strip_prefix(kind).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit())))
}

fn per_second(bytes: f64) -> String {
    // Rates are counted from counters, so that none is negative or without an end; a report from elsewhere may lie.
    let bytes = if bytes.is_finite() { bytes.clamp(0.0, MOST_BYTES) as u64 } else { 0 };
    format!("{}/s", bytes_for_people(bytes))
}

/// More than any device moves in a second.
const MOST_BYTES: f64 = 1e15;

const NOW: Phrase = Phrase { en: "At this moment", zh: "此刻" };
const CPU_RATES: Phrase = Phrase {
    en: "{busy} % · {waiting} % waiting for disks · {stolen} % taken by the host",
    zh: "{busy} % · {waiting} % 等待磁盘 · {stolen} % 被宿主机占用",
};
const DISK_RATES: Phrase = Phrase {
    en: "read {read} · written {written} · busy {busy} % · {latency} a request",
    zh: "读取 {read} · 写入 {written} · 繁忙 {busy} % · 每次请求 {latency}",
};
const SWAPPING: Phrase = Phrase { en: "swapping", zh: "交换" };
const SWAP_RATES: Phrase =
    Phrase { en: "in {in} pages/s · out {out} pages/s", zh: "换入 {in} 页/秒 · 换出 {out} 页/秒" };
const STALL_NOW: Phrase = Phrase {
    en: "{some} % of the last 10 s, all at once {all} %",
    zh: "最近 10 秒的 {some} %，全部同时等待 {all} %",
};
const NETWORK_RATES: Phrase = Phrase {
    en: "in {received} · out {sent} · {errors} errors/s · {dropped} dropped/s",
    zh: "接收 {received} · 发送 {sent} · 错误 {errors}/秒 · 丢弃 {dropped}/秒",
};

#[cfg(test)]
mod tests {
    use belay_protocol::Language;
    use belay_protocol::report::{
        Activity, Counters, CpuUse, InterfaceKind, Load, Medium, Private, Rates, SectionName, SwapRate, Why,
    };
    use belay_protocol::{BoundedVec, bounded::Name};

    use super::*;
    use crate::page::watched;
    use crate::redact::{redact_only, tests::survey};
    use crate::terminal::Colour;

    async fn page(section: SectionName, language: Language) -> String {
        let mut survey = survey().await;
        survey.system.cpu_use = Fact::Known(CpuUse {
            busy_percent: 12.4,
            iowait_percent: Fact::Known(3.0),
            steal_percent: Fact::Unknown(Why::new(WhyKind::NotApplicable, "x")),
            sampled_ms: 200,
        });
        survey.system.load = Fact::Known(Load { one_minute: 0.5, five_minutes: 0.4, fifteen_minutes: 0.3 });
        let device = |name: &str, activity| BlockDevice {
            name: Name::truncating(name),
            model: Fact::Known(Private::new("x")),
            serial: Fact::Known(Private::new("x")),
            size_bytes: 1,
            medium: Fact::Known(Medium::Solid),
            removable: Fact::Known(false),
            read_only: Fact::Known(false),
            activity,
            health: Fact::Unknown(Why::new(WhyKind::NotApplicable, "x")),
        };
        let busy = Activity {
            requests: 10,
            await_ms: Fact::Known(4.25),
            busy_percent: 50.0,
            queue_length: 1.0,
            read_bytes_per_second: 2_048_000.0,
            written_bytes_per_second: f64::NAN,
            sampled_ms: 200,
        };
        let silent = Fact::Unknown(Why::new(WhyKind::TimedOut, "/proc/diskstats"));
        let devices =
            [device("sda", Fact::Known(busy.clone())), device("sdb", silent), device("loop0", Fact::Known(busy))];
        survey.disk.block_devices = Fact::Known(BoundedVec::truncating(devices).0);
        survey.memory.swap_rate =
            Fact::Known(SwapRate { in_pages_per_second: 7.0, out_pages_per_second: 9.0, sampled_ms: 200 });
        let not_applicable = || Why::new(WhyKind::NotApplicable, "x");
        let interface = Interface {
            name: Private::new("eth0"),
            kind: InterfaceKind::Wired,
            link: LinkState::Up,
            speed_mbps: Fact::Unknown(not_applicable()),
            duplex: Fact::Unknown(not_applicable()),
            mtu_bytes: Fact::Unknown(not_applicable()),
            counters: Fact::Known(Counters::default()),
            rates: Fact::Known(Rates {
                sampled_ms: 200,
                rx_packets_per_second: 1.0,
                tx_packets_per_second: 1.0,
                errors_per_second: 2.0,
                dropped_per_second: 3.0,
                rx_bytes_per_second: 5_000_000.0,
                tx_bytes_per_second: 1_000.0,
            }),
            addresses: Fact::Unknown(not_applicable()),
            below: BoundedVec::new(),
            signal: Fact::Unknown(not_applicable()),
        };
        survey.network.interfaces = Fact::Known(BoundedVec::truncating([interface]).0);
        let redacted = redact_only(section, &survey, Default::default()).unwrap();
        watched(&redacted.seen_here().unwrap(), language, Colour::None)
    }

    #[tokio::test]
    async fn each_section_shows_its_rates_first() {
        for (section, shown) in [
            (SectionName::System, &["12 % · 3 % waiting", "– % taken"][..]),
            (SectionName::Disk, &["sda", "written 0 B/s · busy 50 % · 4.2 ms", "no answer in time"]),
            (SectionName::Memory, &["in 7 pages/s · out 9 pages/s"]),
            (SectionName::Network, &["out 1000 B/s · 2 errors/s · 3 dropped/s"]),
        ] {
            let page = page(section, Language::English).await;
            let flowing = page.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(flowing.starts_with("At this moment"), "{page}");
            assert!(shown.iter().all(|words| flowing.contains(words)), "{shown:?}\n{page}");
            assert!(!flowing.contains("loop0"), "{page}");
        }
        assert!(page(SectionName::Network, Language::Chinese).await.contains("此刻"));
    }
}
