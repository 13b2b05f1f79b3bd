//! Processes.

use std::io;

use windows_sys::Win32::Foundation::{CloseHandle, HANDLE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};
use windows_sys::Win32::System::ProcessStatus::{K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS};
use windows_sys::Win32::System::Threading::{OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION};

use super::checked;
use crate::probe::windows::processes::Seen;
use crate::probe::windows::text;

/// Every process, with its memory where that may be looked at.
pub(in super::super) fn all() -> io::Result<Vec<Seen>> {
    let mut seen = named()?;
    for process in &mut seen {
        process.resident_bytes = resident_bytes(process.id);
    }
    Ok(seen)
}

/// Every process, without a look at its memory.
pub(in super::super) fn named() -> io::Result<Vec<Seen>> {
    // SAFETY: takes numbers alone.
    let snapshot = Handle::of(unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0) })?;
    let mut entry = PROCESSENTRY32W { dwSize: size_of::<PROCESSENTRY32W>() as u32, ..Default::default() };
    let mut seen = Vec::new();
    // SAFETY: the handle is open, and the structure is ours and says how long it is.
    let mut more = unsafe { Process32FirstW(snapshot.0, &mut entry) };
    while more != 0 && seen.len() < MAX_PROCESSES {
        seen.push(Seen { id: entry.th32ProcessID, name: text(&entry.szExeFile), resident_bytes: None });
        // SAFETY: as above.
        more = unsafe { Process32NextW(snapshot.0, &mut entry) };
    }
    Ok(seen)
}

/// More than Windows runs on the largest machines.
const MAX_PROCESSES: usize = 65_536;

fn resident_bytes(process: u32) -> Option<u64> {
    // SAFETY: takes numbers alone; this right lets nobody look into the process.
    let process = Handle::of(unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, process) }).ok()?;
    let mut told = PROCESS_MEMORY_COUNTERS::default();
    let length = size_of::<PROCESS_MEMORY_COUNTERS>() as u32;
    // SAFETY: the handle is open, the structure is ours, and its length is told.
    checked(unsafe { K32GetProcessMemoryInfo(process.0, &mut told, length) }).ok()?;
    Some(told.WorkingSetSize as u64)
}

/// A handle that is closed in the end.
struct Handle(HANDLE);

impl Handle {
    fn of(handle: HANDLE) -> io::Result<Self> {
        if handle.is_null() || handle == INVALID_HANDLE_VALUE {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(handle))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: it is open and nobody else's.
        unsafe { CloseHandle(self.0) };
    }
}
