//! Memory, swap and pressure.

use std::time::Duration;

use belay_protocol::report::{Memory, Raw};

use super::{CPU_PAUSE, MEMORY, with};
use crate::probe::{self, Cost, Probe, Root};

pub(super) async fn look(root: &Root, deadline: Duration) -> Memory<Raw> {
    let probe = Probe::new("memory", MEMORY, deadline).at(Cost::Wait);
    let found = with(probe, root, |root| probe::memory::look(root, CPU_PAUSE)).await;
    found.unwrap_or_else(|why| Memory::unknown(&why))
}
