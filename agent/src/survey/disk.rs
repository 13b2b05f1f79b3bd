//! File systems, the disks below them and their health, all at once.

use std::time::Duration;

use belay_protocol::BoundedVec;
use belay_protocol::report::{BlockDevice, Disk, Fact, Raw, WhyKind};

use super::{CPU_PAUSE, Extent, KernelLog, Look, Smart, flat, one, with};
use crate::probe::growth::Growth;
use crate::probe::{Cost, Probe, Root, arrays, block, mounts, nvme, smart, volumes};

pub(super) async fn look(root: &Root, options: &Look, log: KernelLog) -> Disk<Raw> {
    let deadline = options.deadline;
    let mut growth = options.data_dir.as_deref().filter(|_| root.is_live()).map(Growth::in_data_dir);
    let ((mounts, left_out), volumes, block_devices, arrays) = tokio::join!(
        mounts::look(root.clone(), deadline, growth.as_mut()),
        async {
            let damaged = match options.extent {
                Extent::Everything => log.await.map(|told| told.damaged).unwrap_or_default(),
                Extent::Moving => BoundedVec::new(),
            };
            let probe = Probe::new("volumes", mounts::SUBJECT, deadline).as_root();
            with(probe, root, move |root| volumes::look(root, &damaged)).await
        },
        async {
            let probe = Probe::new("block", mounts::SUBJECT, deadline).at(Cost::Wait);
            match with(probe, root, |root| block::look(root, CPU_PAUSE)).await.and_then(|found| found) {
                Ok(devices) => Fact::Known(health(root, options, devices).await),
                Err(why) => Fact::Unknown(why),
            }
        },
        one("arrays", mounts::SUBJECT, deadline, root, arrays::look),
    );
    Disk { mounts, left_out, volumes: flat(volumes), block_devices, arrays: flat(arrays) }
}

/// Asks each disk for its health, all at once: one that hangs costs its own deadline.
async fn health(
    root: &Root,
    options: &Look,
    devices: BoundedVec<BlockDevice<Raw>, 256>,
) -> BoundedVec<BlockDevice<Raw>, 256> {
    let ask = async |mut device: BlockDevice<Raw>| {
        let name = device.name.to_string();
        let speaks = device.health.why().is_some_and(|why| why.kind == WhyKind::NotAsked);
        if speaks && name.starts_with("nvme") {
            let probe = Probe::new("nvme", mounts::SUBJECT, options.deadline).as_root().at(Cost::Wait);
            device.health = flat(with(probe, root, move |root| nvme::look(root, &name)).await);
        } else if speaks && options.smart == Smart::Asked {
            let probe = Probe::new("smart", mounts::SUBJECT, SMART_DEADLINE).as_root().at(Cost::Program);
            device.health = flat(with(probe, root, move |root| smart::look(root, &name)).await);
        }
        device
    };
    let asked = futures_util::future::join_all(devices.into_iter().map(ask)).await;
    BoundedVec::truncating(asked).0
}

/// A disk behind a USB bridge takes some seconds to answer.
const SMART_DEADLINE: Duration = Duration::from_secs(15);
