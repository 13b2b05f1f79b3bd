//! The machine and what else it does, without which no figure means anything.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

/// Where the figures come from.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    kernel: String,
    cpu: String,
    cores: usize,
    /// Load averages of 1, 5 and 15 minutes before the first round.
    load_before: String,
    /// Before each round, with nothing of the bench running: the part of all CPU time that others use, 0 to 1.
    busy_with_others: Vec<f64>,
}

impl Machine {
    /// Looks at this one.
    pub(crate) fn look() -> anyhow::Result<Self> {
        let cpus = read("/proc/cpuinfo")?;
        let model = cpus.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(": "));
        Ok(Self {
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            cpu: model.map_or_else(|| "unknown CPU".to_owned(), |(_, name)| name.trim().to_owned()),
            cores: std::thread::available_parallelism()?.get(),
            load_before: read("/proc/loadavg")?.split(' ').take(3).collect::<Vec<_>>().join(" "),
            busy_with_others: Vec::new(),
        })
    }

    /// Watches for a moment what others do; nothing of the bench may run meanwhile.
    pub(crate) async fn watch(&mut self) -> anyhow::Result<()> {
        let (idle, all) = cpu_time()?;
        tokio::time::sleep(WATCHED).await;
        let (idle_after, all_after) = cpu_time()?;
        let all = all_after.saturating_sub(all).max(1);
        self.busy_with_others.push(1.0 - idle_after.saturating_sub(idle) as f64 / all as f64);
        Ok(())
    }

    /// Two lines about it.
    pub(crate) fn described(&self) -> String {
        let busy: Vec<String> = self.busy_with_others.iter().map(|part| format!("{:.0} %", part * 100.0)).collect();
        format!(
            "{} cores of {}, Linux {}\nload before: {}; CPU used by others before each round: {}",
            self.cores,
            self.cpu,
            self.kernel,
            self.load_before,
            busy.join(", ")
        )
    }
}

/// Ticks that all cores were idle or waiting, and ticks in all.
fn cpu_time() -> anyhow::Result<(u64, u64)> {
    let stat = read("/proc/stat")?;
    let fields = stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).context("no CPU in /proc/stat")?;
    // The last two, guest and guest_nice, are contained in the first two.
    let ticks: Vec<u64> = fields.split_whitespace().take(8).map(|field| field.parse().unwrap_or_default()).collect();
    Ok((ticks.iter().skip(3).take(2).sum(), ticks.iter().sum()))
}

fn read(path: &str) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| path.to_owned())
}

/// Long enough for a hundred ticks on each core.
const WATCHED: Duration = Duration::from_secs(1);
