//! File systems and the disks below them on the page.

use belay_protocol::finding::bytes_for_people;
use belay_protocol::report::{Access, DeviceKind, Disk, Fact, Mount, SectionName, Shared, Verdict, WhyKind};

use super::{Page, listed, words::*};

impl Page {
    pub(super) fn disk(&mut self, disk: &Disk<Shared>) {
        self.section(SectionName::Disk);
        let mounts = match &disk.mounts {
            Fact::Known(mounts) => mounts,
            Fact::Unknown(why) => return self.unseen.push((MOUNTS.text(self.language).to_owned(), why.clone())),
        };
        for mount in mounts.iter().filter(|mount| is_of_interest(mount)) {
            let value = self.mount(mount);
            let label = mount.mount_point.to_string();
            if let Some(why) = mount.space.why().filter(|why| why.kind != WhyKind::NotApplicable) {
                self.unseen.push((label.clone(), why.clone()));
            }
            self.row(&label, &value);
        }
        if disk.left_out > 0 {
            self.row(MORE_MOUNTS.text(self.language), &disk.left_out.to_string());
        }
        self.devices(disk);
    }

    fn devices(&mut self, disk: &Disk<Shared>) {
        let devices = disk.block_devices.known().map(|devices| &**devices).unwrap_or_default();
        for device in devices {
            let label = format!("{} {}", HEALTH.text(self.language), device.name);
            match &device.health {
                Fact::Known(health) => {
                    let verdict = match health.verdict {
                        Verdict::Passed => &PASSED,
                        Verdict::Failing => &FAILING,
                    };
                    let model = device.model.known().map(|model| format!(" · {model}")).unwrap_or_default();
                    let value = format!("{}{model}", verdict.text(self.language));
                    self.row(&label, &value);
                }
                Fact::Unknown(why) if why.kind == WhyKind::NotApplicable => {}
                Fact::Unknown(why) => self.unseen.push((label, why.clone())),
            }
        }
        let language = self.language;
        self.fact(&ARRAYS, &disk.arrays, |arrays| listed(arrays.iter().map(|array| array.name.to_string()), language));
    }

    fn mount(&self, mount: &Mount<Shared>) -> String {
        let access = match mount.access {
            Access::ReadWrite => String::new(),
            Access::ReadOnly => format!(" · {}", READ_ONLY.text(self.language)),
            Access::EmergencyReadOnly => format!(" · {}", STOPPED.text(self.language)),
        };
        match &mount.space {
            Fact::Known(space) => {
                let used = space.used_percent.to_string();
                let [left, size] = [space.available_bytes, space.size_bytes].map(bytes_for_people);
                let space = SPACE.fill(self.language, &[("used", &used), ("left", &left), ("size", &size)]);
                format!("{space} · {}{access}", mount.fs_type)
            }
            Fact::Unknown(why) => format!("{} · {}{access}", why.kind.phrase().text(self.language), mount.fs_type),
        }
    }
}

/// Whether a person would call it a disk, or it needs attention: memory that looks like one interests nobody while it is
/// nearly empty.
fn is_of_interest(mount: &Mount<Shared>) -> bool {
    mount.device_kind != DeviceKind::Memory
        || mount.space.known().is_none_or(|space| space.used_percent >= CROWDED_PERCENT)
}

const CROWDED_PERCENT: u8 = 80;
