//! The machine as a whole and how it is kept up, all at once.

use std::time::SystemTime;

use belay_protocol::report::{Fact, Hardware, Raw, System, Upkeep, Why, WhyKind};

use super::{CPU_PAUSE, Extent, KernelLog, Look, SYSTEM, flat, one, with};
use crate::probe::{Cost, Probe, Root};
use crate::probe::{boot, certificates, clock, cpu, guards, hardware, os, packages, processes, units};

pub(super) async fn look(root: &Root, options: &Look, log: KernelLog) -> System<Raw> {
    let deadline = options.deadline;
    let quick = one("system", SYSTEM, deadline, root, |root| {
        (
            os::os(root),
            os::kernel(root),
            os::host(root),
            os::uptime_seconds(root),
            cpu::count(root),
            cpu::load(root),
            clock::look(root),
            (processes::handles(root), processes::tasks(root)),
            boot::look(root),
        )
    });
    let hardware = with(Probe::new("hardware", SYSTEM, deadline).at(Cost::Walk), root, hardware::look);
    let watched = with(Probe::new("cpu", SYSTEM, deadline).at(Cost::Wait), root, |root| cpu::watch(root, CPU_PAUSE));
    let processes =
        with(Probe::new("processes", SYSTEM, deadline).at(Cost::Wait), root, |root| processes::look(root, CPU_PAUSE));
    let (quick, watched, processes, hardware, upkeep) =
        tokio::join!(quick, watched, processes, hardware, kept(root, options, log));
    let hardware = hardware.unwrap_or_else(|why| Hardware::unknown(&why));
    let (process_count, largest_processes, process_states, busiest_processes) = match processes.and_then(|found| found)
    {
        Ok(found) => (Fact::Known(found.count), Fact::Known(found.largest), found.states, found.busiest),
        Err(why) => {
            (Fact::Unknown(why.clone()), Fact::Unknown(why.clone()), Fact::Unknown(why.clone()), Fact::Unknown(why))
        }
    };
    let cpu_use = watched.and_then(|found| found).into();
    match quick {
        Ok((os, kernel, host, uptime, cpus, load, clock, (handles, tasks), boot)) => System {
            os: os.into(),
            kernel: kernel.into(),
            host: host.into(),
            uptime_seconds: uptime.into(),
            cpu_count: cpus.into(),
            cpu_use,
            load: load.into(),
            clock: clock.into(),
            process_count,
            largest_processes,
            process_states,
            handles: handles.into(),
            tasks: tasks.into(),
            hardware,
            upkeep,
            busiest_processes,
            boot_seconds: boot.into(),
        },
        Err(why) => System {
            cpu_use,
            process_count,
            largest_processes,
            process_states,
            hardware,
            upkeep,
            busiest_processes,
            ..System::unknown(&why)
        },
    }
}

async fn kept(root: &Root, options: &Look, log: KernelLog) -> Upkeep<Raw> {
    match options.extent {
        Extent::Everything => upkeep(root, options, log).await,
        Extent::Moving => Upkeep::unknown(&Why::new(WhyKind::NotApplicable, "watch")),
    }
}

async fn upkeep(root: &Root, options: &Look, log: KernelLog) -> Upkeep<Raw> {
    let deadline = options.deadline;
    let named = options.certificates.clone();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let (units, quick, updates, packages, log, guards, certificates) = tokio::join!(
        with(Probe::new("units", SYSTEM, deadline).at(Cost::Wait), root, units::look),
        one("restart", SYSTEM, deadline, root, |root| { (packages::restart(root), packages::crashes(root)) }),
        with(Probe::new("updates", SYSTEM, deadline).at(Cost::Walk), root, packages::updates),
        with(Probe::new("packages", SYSTEM, deadline).at(Cost::Walk), root, packages::unfinished),
        log,
        with(Probe::new("guards", SYSTEM, deadline).as_root().at(Cost::Walk), root, |root| {
            let running = guards::running(root)?;
            Ok((guards::firewall(root, &running), guards::antivirus(&running)))
        }),
        with(Probe::new("certificates", SYSTEM, deadline).as_root().at(Cost::Walk), root, move |root| {
            certificates::look(root, &named, now)
        }),
    );
    let (failed_units, services) = match units.and_then(|found| found) {
        Ok(found) => (Fact::Known(found.failed), found.services),
        Err(why) => (Fact::Unknown(why.clone()), Fact::Unknown(why)),
    };
    let (restart, crashes) = match quick {
        Ok((restart, crashes)) => (restart.into(), Fact::Known(crashes)),
        Err(why) => (Fact::Unknown(why.clone()), Fact::Unknown(why)),
    };
    let (firewall, antivirus) = match guards.and_then(|found| found) {
        Ok((firewall, antivirus)) => (firewall.into(), Fact::Known(antivirus)),
        Err(why) => (Fact::Unknown(why.clone()), Fact::Unknown(why)),
    };
    Upkeep {
        failed_units,
        restart,
        updates: flat(updates),
        unfinished_packages: flat(packages),
        crashes,
        kernel_log: log.map(|told| told.log).into(),
        firewall,
        antivirus,
        certificates: flat(certificates),
        services,
    }
}
