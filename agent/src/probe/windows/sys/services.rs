//! Services.

use std::io;
use std::ptr::{null, null_mut};

use windows_sys::Win32::System::Services::{
    CloseServiceHandle, ENUM_SERVICE_STATUS_PROCESSW, EnumServicesStatusExW, OpenSCManagerW, OpenServiceW,
    QUERY_SERVICE_CONFIGW, QueryServiceConfigW, SC_ENUM_PROCESS_INFO, SC_HANDLE, SC_MANAGER_CONNECT,
    SC_MANAGER_ENUMERATE_SERVICE, SERVICE_QUERY_CONFIG, SERVICE_STATE_ALL, SERVICE_WIN32,
};

use super::{checked, grown, text_at};
use crate::probe::windows::services::{SERVICE_STOPPED, Service};

/// Every service. Those that are stopped are asked how they start.
pub(in super::super) fn all() -> io::Result<Vec<Service>> {
    let rights = SC_MANAGER_CONNECT | SC_MANAGER_ENUMERATE_SERVICE;
    // SAFETY: no names are given, which is this machine and what is in use.
    let manager = Manager::of(unsafe { OpenSCManagerW(null(), null(), rights) })?;
    let mut count = 0;
    let buffer = grown(|buffer, needed| {
        let (length, mut resume) = (*needed, 0);
        // SAFETY: the manager is open, the buffer has the length that is told, and the rest is ours.
        checked(unsafe {
            EnumServicesStatusExW(
                manager.0,
                SC_ENUM_PROCESS_INFO,
                SERVICE_WIN32,
                SERVICE_STATE_ALL,
                buffer.as_mut_ptr().cast(),
                length,
                needed,
                &mut count,
                &mut resume,
                null(),
            )
        })
    })?;
    let fitting = size_of_val(buffer.as_slice()) / size_of::<ENUM_SERVICE_STATUS_PROCESSW>();
    // SAFETY: the buffer is aligned and begins with as many structures as the call has counted; no more than fit.
    let told = unsafe {
        std::slice::from_raw_parts(buffer.as_ptr().cast::<ENUM_SERVICE_STATUS_PROCESSW>(), fitting.min(count as usize))
    };
    let service = |told: &ENUM_SERVICE_STATUS_PROCESSW| {
        let status = &told.ServiceStatusProcess;
        let stopped = status.dwCurrentState == SERVICE_STOPPED;
        Service {
            // SAFETY: names stand in the same buffer, which lives until the end of this function.
            name: unsafe { text_at(told.lpServiceName) },
            state: status.dwCurrentState,
            exit_code: status.dwWin32ExitCode,
            start: if stopped { start_of(&manager, told.lpServiceName) } else { None },
        }
    };
    Ok(told.iter().map(service).collect())
}

/// How the service of that name starts.
fn start_of(manager: &Manager, name: *const u16) -> Option<u32> {
    // SAFETY: the manager is open, and the name is one that it has just given.
    let service = Manager::of(unsafe { OpenServiceW(manager.0, name, SERVICE_QUERY_CONFIG) }).ok()?;
    let buffer = grown(|buffer, needed| {
        let length = *needed;
        // SAFETY: the service is open, the buffer has the length that is told, and `needed` is ours.
        checked(unsafe { QueryServiceConfigW(service.0, buffer.as_mut_ptr().cast(), length, needed) })
    });
    let buffer = buffer.ok()?;
    // SAFETY: the buffer is aligned, larger than the structure, and begins with it.
    Some(unsafe { buffer.as_ptr().cast::<QUERY_SERVICE_CONFIGW>().read() }.dwStartType)
}

/// A handle of the service control manager that is closed in the end.
struct Manager(SC_HANDLE);

impl Manager {
    fn of(handle: SC_HANDLE) -> io::Result<Self> {
        if handle == null_mut() { Err(io::Error::last_os_error()) } else { Ok(Self(handle)) }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // SAFETY: it is open and nobody else's.
        unsafe { CloseServiceHandle(self.0) };
    }
}
