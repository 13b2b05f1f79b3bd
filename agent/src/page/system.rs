//! The machine as a whole on the page, and how it is kept up.

use belay_protocol::finding::{bytes_for_people, word_for_people};
use belay_protocol::report::{Load, SectionName, Shared, Synchronisation, System, Trouble, TroubleKind};
use belay_protocol::{Language, Phrase};

use super::{Page, listed, words::*};

impl Page {
    pub(super) fn system(&mut self, system: &System<Shared>) {
        let language = self.language;
        self.section(SectionName::System);
        self.fact(&OS, &system.os, |os| os.name.to_string());
        self.fact(&KERNEL, &system.kernel, |kernel| format!("{} ({})", kernel.release, kernel.architecture));
        self.fact(&HOST, &system.host, |host| host.to_string());
        self.fact(&UPTIME, &system.uptime_seconds, |seconds| uptime(*seconds, language));
        self.fact(&CPUS, &system.cpu_count, u32::to_string);
        self.fact(&CPU_USE, &system.cpu_use, |used| format!("{:.0} %", used.busy_percent));
        self.fact(&LOAD, &system.load, loads);
        self.fact(&CLOCK, &system.clock, |clock| {
            let kept = match clock.synchronisation {
                Synchronisation::Synchronised => &SYNCHRONISED,
                Synchronisation::Unsynchronised => &UNSYNCHRONISED,
            };
            kept.text(language).to_owned()
        });
        self.fact(&PROCESSES, &system.process_count, u32::to_string);
        self.fact(&LARGEST, &system.largest_processes, |processes| {
            let shown = processes.iter().take(SHOWN_PROCESSES);
            let shown = shown.map(|process| format!("{} {}", process.name, bytes_for_people(process.resident_bytes)));
            shown.collect::<Vec<_>>().join(COMMA.text(language))
        });
        self.fact(&BUSIEST, &system.busiest_processes, |processes| {
            let shown = processes.iter().take(SHOWN_PROCESSES);
            listed(shown.map(|process| format!("{} {:.0} %", process.name, process.cpu_percent)), language)
        });
        self.fact(&BOOT, &system.boot_seconds, |seconds| format!("{seconds} s"));
        self.upkeep(system);
    }

    fn upkeep(&mut self, system: &System<Shared>) {
        let language = self.language;
        self.fact(&HOTTEST, &system.hardware.temperatures, |temperatures| {
            let hottest = temperatures.iter().max_by(|a, b| a.celsius.total_cmp(&b.celsius));
            hottest.map(|hottest| format!("{:.0} °C ({})", hottest.celsius, hottest.sensor)).unwrap_or_default()
        });
        let upkeep = &system.upkeep;
        self.fact(&FAILED_SERVICES, &upkeep.failed_units, |units| {
            listed(units.iter().map(|unit| unit.name.to_string()), language)
        });
        self.fact(&SERVICES, &upkeep.services, |services| {
            let (running, all) = (services.running.to_string(), services.installed.to_string());
            RUNNING_OF.fill(language, &[("running", &running), ("all", &all)])
        });
        self.fact(&UPDATES, &upkeep.updates, |updates| {
            let (all, security) = (updates.pending.to_string(), updates.security.to_string());
            PENDING_OF.fill(language, &[("all", &all), ("security", &security)])
        });
        self.fact(&KERNEL_LOG, &upkeep.kernel_log, |log| {
            let word = |kind: TroubleKind| word_for_people(kind.as_str()).map(|word| word.text(language).to_owned());
            let told = |trouble: &Trouble| Some(format!("{} × {}", word(trouble.kind)?, trouble.times));
            listed(log.troubles.iter().filter_map(told), language)
        });
        self.fact(&FIREWALL, &upkeep.firewall, |firewall| {
            listed(firewall.signs.iter().map(|sign| sign.as_str().to_owned()), language)
        });
        self.fact(&CERTIFICATES, &upkeep.certificates, |certificates| match certificates.len() {
            0 => NONE.text(language).to_owned(),
            count => count.to_string(),
        });
    }
}

/// The load over one, five and fifteen minutes.
pub(super) fn loads(load: &Load) -> String {
    format!("{:.2} / {:.2} / {:.2}", load.one_minute, load.five_minutes, load.fifteen_minutes)
}

const SHOWN_PROCESSES: usize = 3;

fn uptime(seconds: u64, language: Language) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let phrase = if days > 0 {
        Phrase { en: "{days} d {hours} h", zh: "{days} 天 {hours} 小时" }
    } else {
        Phrase { en: "{hours} h {minutes} min", zh: "{hours} 小时 {minutes} 分钟" }
    };
    let (days, hours, minutes) = (days.to_string(), hours.to_string(), minutes.to_string());
    phrase.fill(language, &[("days", &days), ("hours", &hours), ("minutes", &minutes)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptime_is_told_in_its_unit() {
        assert_eq!(uptime(90_000, Language::English), "1 d 1 h");
        assert_eq!(uptime(3_660, Language::Chinese), "1 小时 1 分钟");
    }
}
