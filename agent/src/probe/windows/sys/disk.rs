//! Drives.

use std::io;
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::ERROR_NOT_READY;
use windows_sys::Win32::Storage::FileSystem::{
    GetDiskFreeSpaceExW, GetDriveTypeW, GetLogicalDrives, GetVolumeInformationW, QueryDosDeviceW,
};
use windows_sys::Win32::System::Diagnostics::Debug::{SEM_FAILCRITICALERRORS, SetThreadErrorMode};

use super::{checked, wide};
use crate::probe::windows::drives::Drive;
use crate::probe::windows::text;

/// A bit for each letter in use.
pub(in super::super) fn letters() -> io::Result<u32> {
    // SAFETY: takes nothing.
    let bits = unsafe { GetLogicalDrives() };
    checked(i32::from(bits != 0)).map(|()| bits)
}

/// What the kernel calls the device behind `letter`; no server is asked.
pub(in super::super) fn target(letter: char) -> io::Result<String> {
    let name = wide(&format!("{letter}:"));
    let mut buffer = [0u16; TARGET_MAX_UNITS];
    // SAFETY: the name ends with a zero, and the length of the buffer is told.
    let length = unsafe { QueryDosDeviceW(name.as_ptr(), buffer.as_mut_ptr(), TARGET_MAX_UNITS as u32) };
    checked(i32::from(length != 0)).map(|()| text(&buffer))
}

/// A share's name stands in it, of a server and directories.
const TARGET_MAX_UNITS: usize = 1_024;

/// Asks a drive for what it is and holds, which may wait for a server for ever. `root` is like `C:\`.
pub(in super::super) fn ask(root: &str) -> io::Result<Drive> {
    let name = wide(root);
    let mut before = 0;
    // Without it, Windows asks whoever sits there to put a disc in.
    // SAFETY: it changes this thread alone, which is the probe's own and ends with it.
    unsafe { SetThreadErrorMode(SEM_FAILCRITICALERRORS, &mut before) };
    // SAFETY: the name ends with a zero.
    let kind = unsafe { GetDriveTypeW(name.as_ptr()) };
    let (mut flags, mut fs_type) = (0, [0u16; FS_NAME_MAX_UNITS]);
    // SAFETY: the name ends with a zero; what is not wanted is null, and the length of the buffer is told.
    let told = checked(unsafe {
        GetVolumeInformationW(
            name.as_ptr(),
            null_mut(),
            0,
            null_mut(),
            null_mut(),
            &mut flags,
            fs_type.as_mut_ptr(),
            FS_NAME_MAX_UNITS as u32,
        )
    });
    match told {
        Err(error) if error.raw_os_error() == Some(ERROR_NOT_READY as i32) => {
            return Ok(Drive { kind, ..Drive::default() });
        }
        told => told?,
    }
    let [mut size, mut free, mut available] = [0; 3];
    // SAFETY: the name ends with a zero, and the three numbers are ours.
    checked(unsafe { GetDiskFreeSpaceExW(name.as_ptr(), &mut available, &mut size, &mut free) })?;
    Ok(Drive { kind, volume: Some((text(&fs_type), flags)), bytes: [size, free, available] })
}

/// MAX_PATH, which the call's documentation asks for, and its zero.
const FS_NAME_MAX_UNITS: usize = 261;
