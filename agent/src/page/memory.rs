//! Memory, swap and pressure on the page.

use belay_protocol::finding::bytes_for_people;
use belay_protocol::report::{Memory, SectionName, Shared, Stall};

use super::{Page, words::*};

impl Page {
    pub(super) fn memory(&mut self, memory: &Memory<Shared>) {
        let language = self.language;
        self.section(SectionName::Memory);
        self.fact(&RAM, &memory.ram, |ram| {
            let (free, all) = (bytes_for_people(ram.available_bytes), bytes_for_people(ram.total_bytes));
            FREE_OF.fill(language, &[("free", &free), ("all", &all)])
        });
        self.fact(&SWAP, &memory.swap, |swap| match swap.total_bytes {
            0 => NONE.text(language).to_owned(),
            total => {
                let (used, size) = (format!("{:.0}", swap.used_percent), bytes_for_people(total));
                SPACE.fill(language, &[("used", &used), ("size", &size)])
            }
        });
        let share = |stall: &Stall| format!("{:.0} %", stall.some_avg60_percent);
        self.fact(&ENDED, &memory.oom_kills, u64::to_string);
        self.fact(&ECC, &memory.ecc, |ecc| ecc.corrected.saturating_add(ecc.uncorrected).to_string());
        self.fact(&WAITS_CPU, &memory.pressure.cpu, share);
        self.fact(&WAITS_MEMORY, &memory.pressure.memory, share);
        self.fact(&WAITS_IO, &memory.pressure.io, share);
    }
}
