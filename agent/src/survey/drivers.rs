//! Kernel modules and devices, all at once.

use std::time::Duration;

use belay_protocol::report::{Drivers, Raw};

use super::{DRIVERS, KernelLog, flat, one};
use crate::probe::{Root, devices, dkms, graphics, kernel, pcie, pnp, usb_ports};

pub(super) async fn look(root: &Root, deadline: Duration, log: KernelLog) -> Drivers<Raw> {
    let (modules, taint, pci, usb, log, dkms, graphics, pcie, usb_ports, pnp) = tokio::join!(
        one("modules", DRIVERS, deadline, root, kernel::modules),
        one("taint", DRIVERS, deadline, root, kernel::taint),
        one("pci", DRIVERS, deadline, root, devices::pci),
        one("usb", DRIVERS, deadline, root, devices::usb),
        log,
        one("dkms", DRIVERS, deadline, root, dkms::look),
        one("graphics", DRIVERS, deadline, root, graphics::look),
        one("pcie", DRIVERS, deadline, root, pcie::look),
        one("usb-ports", DRIVERS, deadline, root, usb_ports::look),
        one("pnp", DRIVERS, deadline.max(PNP_DEADLINE), root, pnp::look),
    );
    Drivers {
        modules: flat(modules),
        taint: flat(taint),
        pci: flat(pci),
        usb: flat(usb),
        missing_firmware: log.map(|told| told.missing_firmware).into(),
        dkms: flat(dkms),
        graphics: flat(graphics),
        pcie: flat(pcie),
        usb_ports: flat(usb_ports),
        pnp: flat(pnp),
    }
}

/// WMI starts its provider on the first question, and lists some hundred drivers; elsewhere it takes no time at all.
const PNP_DEADLINE: Duration = Duration::from_secs(8);
