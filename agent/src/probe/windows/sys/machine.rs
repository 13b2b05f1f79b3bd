//! Version, names, time, memory and power.

use std::ffi::c_void;
use std::io;

use windows_sys::Wdk::System::SystemServices::RtlGetVersion;
use windows_sys::Win32::Foundation::FILETIME;
use windows_sys::Win32::System::Power::{GetSystemPowerStatus, SYSTEM_POWER_STATUS};
use windows_sys::Win32::System::ProcessStatus::{
    ENUM_PAGE_FILE_INFORMATION, K32EnumPageFilesW, K32GetPerformanceInfo, PERFORMANCE_INFORMATION,
};
use windows_sys::Win32::System::SystemInformation::{
    COMPUTER_NAME_FORMAT, ComputerNameDnsDomain, ComputerNameDnsFullyQualified, ComputerNameDnsHostname,
    ComputerNameNetBIOS, GetComputerNameExW, GetTickCount64, GlobalMemoryStatusEx, MEMORYSTATUSEX, OSVERSIONINFOW,
};
use windows_sys::Win32::System::Threading::GetSystemTimes;

use super::checked;
use crate::probe::windows::machine::{Power, Times, Version};
use crate::probe::windows::memory::{PageFile, Performance};
use crate::probe::windows::text;

pub(in super::super) fn version() -> Version {
    let mut told = OSVERSIONINFOW { dwOSVersionInfoSize: size_of::<OSVERSIONINFOW>() as u32, ..Default::default() };
    // SAFETY: the structure is ours and says how long it is. The call always succeeds.
    unsafe { RtlGetVersion(&mut told) };
    Version { major: told.dwMajorVersion, minor: told.dwMinorVersion, build: told.dwBuildNumber }
}

/// The name that the machine has in DNS.
pub(in super::super) fn host() -> io::Result<String> {
    computer_name(ComputerNameDnsHostname)
}

/// All its names, and its domain's.
pub(in super::super) fn names() -> Vec<String> {
    let kinds = [ComputerNameDnsHostname, ComputerNameDnsFullyQualified, ComputerNameNetBIOS, ComputerNameDnsDomain];
    kinds.into_iter().filter_map(|kind| computer_name(kind).ok()).collect()
}

fn computer_name(kind: COMPUTER_NAME_FORMAT) -> io::Result<String> {
    let mut buffer = [0u16; NAME_MAX_UNITS];
    let mut length = NAME_MAX_UNITS as u32;
    // SAFETY: `length` is the length of the buffer, of which no more is written.
    checked(unsafe { GetComputerNameExW(kind, buffer.as_mut_ptr(), &mut length) })?;
    Ok(text(&buffer))
}

/// A name of DNS has 253 at most (RFC 1035).
const NAME_MAX_UNITS: usize = 512;

pub(in super::super) fn uptime_ms() -> u64 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { GetTickCount64() }
}

pub(in super::super) fn times() -> io::Result<Times> {
    let (mut idle, mut kernel, mut user) = (FILETIME::default(), FILETIME::default(), FILETIME::default());
    // SAFETY: the three are ours.
    checked(unsafe { GetSystemTimes(&mut idle, &mut kernel, &mut user) })?;
    let ticks = |time: FILETIME| u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime);
    Ok(Times { idle: ticks(idle), kernel: ticks(kernel), user: ticks(user) })
}

/// Bytes of memory: all, and what programs can still get.
pub(in super::super) fn memory() -> io::Result<(u64, u64)> {
    let mut told = MEMORYSTATUSEX { dwLength: size_of::<MEMORYSTATUSEX>() as u32, ..Default::default() };
    // SAFETY: the structure is ours and says how long it is.
    checked(unsafe { GlobalMemoryStatusEx(&mut told) })?;
    Ok((told.ullTotalPhys, told.ullAvailPhys))
}

pub(in super::super) fn performance() -> io::Result<Performance> {
    let mut told = PERFORMANCE_INFORMATION::default();
    // SAFETY: the structure is ours, and its length is told.
    checked(unsafe { K32GetPerformanceInfo(&mut told, size_of::<PERFORMANCE_INFORMATION>() as u32) })?;
    Ok(Performance {
        committed_pages: told.CommitTotal as u64,
        limit_pages: told.CommitLimit as u64,
        page_bytes: told.PageSize as u64,
    })
}

pub(in super::super) fn page_files() -> io::Result<Vec<PageFile>> {
    let mut files: Vec<PageFile> = Vec::new();
    // SAFETY: the callback is called only until this returns, and with this very pointer, so that nobody else has the list.
    checked(unsafe { K32EnumPageFilesW(Some(note_page_file), (&raw mut files).cast()) })?;
    Ok(files)
}

unsafe extern "system" fn note_page_file(
    files: *mut c_void,
    told: *mut ENUM_PAGE_FILE_INFORMATION,
    _: *const u16,
) -> i32 {
    // SAFETY: `files` is the list of `page_files`, which waits for us and does not use it; `told` belongs to this call.
    let (files, told) = unsafe { (files.cast::<Vec<PageFile>>().as_mut(), told.as_ref()) };
    let (Some(files), Some(told)) = (files, told) else { return 0 };
    // Windows has sixteen at most.
    if files.len() < 64 {
        files.push(PageFile { size_pages: told.TotalSize as u64, used_pages: told.TotalInUse as u64 });
    }
    1
}

pub(in super::super) fn power() -> io::Result<Power> {
    let mut told = SYSTEM_POWER_STATUS::default();
    // SAFETY: the structure is ours.
    checked(unsafe { GetSystemPowerStatus(&mut told) })?;
    Ok(Power { line: told.ACLineStatus, flags: told.BatteryFlag, percent: told.BatteryLifePercent })
}
