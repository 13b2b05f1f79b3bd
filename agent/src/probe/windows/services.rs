//! Services: how many there are, how many run, and which should and failed.

use belay_protocol::BoundedVec;
use belay_protocol::report::{Fact, Private, Services, Unit, Why, WhyKind};

use crate::probe::units::Found;

/// A service as the service control manager has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its short name.
    pub name: String,
    /// dwCurrentState.
    pub state: u32,
    /// dwWin32ExitCode.
    pub exit_code: u32,
    /// dwStartType, asked only of those that are stopped; nothing when it may not be asked.
    pub start: Option<u32>,
}

/// Counts services. A Windows without any does not exist.
pub fn parse(services: &[Service]) -> Result<Found, Why> {
    if services.is_empty() {
        return Err(Why::new(WhyKind::NotOffered, SOURCE));
    }
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let failed = services.iter().filter(|service| has_failed(service));
    Ok(Found {
        services: Fact::Known(Services {
            installed: count(services.len()),
            running: count(services.iter().filter(|service| service.state == SERVICE_RUNNING).count()),
        }),
        failed: BoundedVec::truncating(failed.map(|service| Unit { name: Private::new(service.name.as_str()) })).0,
    })
}

/// Whether a service that starts by itself has stopped with an error. Many stop when they have nothing to do, and end
/// without one; those that wait for an event have never been started.
fn has_failed(service: &Service) -> bool {
    let starts_itself = matches!(service.start, Some(BOOT_START | SYSTEM_START | AUTO_START));
    let as_planned = matches!(service.exit_code, NO_ERROR | ERROR_SERVICE_NEVER_STARTED);
    service.state == SERVICE_STOPPED && starts_itself && !as_planned
}

/// What reasons speak of.
pub const SOURCE: &str = "EnumServicesStatusEx";

// winsvc.h and winnt.h.
/// The state of a service that has stopped.
pub const SERVICE_STOPPED: u32 = 1;
const SERVICE_RUNNING: u32 = 4;
const BOOT_START: u32 = 0;
const SYSTEM_START: u32 = 1;
const AUTO_START: u32 = 2;

// winerror.h.
const NO_ERROR: u32 = 0;
const ERROR_SERVICE_NEVER_STARTED: u32 = 1_077;

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, state: u32, exit_code: u32, start: Option<u32>) -> Service {
        Service { name: name.to_owned(), state, exit_code, start }
    }

    #[test]
    fn a_service_that_should_run_and_ended_with_an_error_has_failed() {
        const DEMAND_START: u32 = 3;
        const CRASHED: u32 = 1_067;
        let found = parse(&[
            service("Dnscache", SERVICE_RUNNING, NO_ERROR, None),
            service("Spooler", SERVICE_STOPPED, CRASHED, Some(AUTO_START)),
            service("sppsvc", SERVICE_STOPPED, NO_ERROR, Some(AUTO_START)),
            service("MapsBroker", SERVICE_STOPPED, ERROR_SERVICE_NEVER_STARTED, Some(AUTO_START)),
            service("Fax", SERVICE_STOPPED, CRASHED, Some(DEMAND_START)),
            service("Secret", SERVICE_STOPPED, CRASHED, None),
        ])
        .unwrap();
        assert_eq!(found.services, Fact::Known(Services { installed: 6, running: 1 }));
        assert_eq!(found.failed.iter().map(|unit| unit.name.reveal()).collect::<Vec<_>>(), ["Spooler"]);
    }

    #[test]
    fn no_service_at_all_is_unknown() {
        assert_eq!(parse(&[]).unwrap_err().kind, WhyKind::NotOffered);
    }
}
