//! What the system tells about a process. Also compiled into `tests/peers/iroh-peer`.

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// Time on a CPU of all threads of `pid` that live, from the scheduler's own count in nanoseconds: the ticks in `stat`
/// are ten milliseconds long. Threads that have ended are missing; relays keep theirs.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let threads = format!("/proc/{pid}/task");
    let mut nanoseconds = 0;
    for thread in fs::read_dir(&threads).with_context(|| threads.clone())? {
        let file = thread?.path().join("schedstat");
        // A thread may end between the listing and the reading.
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let on_cpu = text.split(' ').next().and_then(|field| field.parse::<u64>().ok());
        nanoseconds += on_cpu.with_context(|| format!("{} has no time in it: {text:?}", file.display()))?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}
