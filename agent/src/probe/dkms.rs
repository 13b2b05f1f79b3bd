//! Kernel modules that DKMS builds on this machine, and whether the running kernel has them.

use belay_protocol::BoundedVec;
use belay_protocol::bounded::Name;
use belay_protocol::report::{DkmsModule, Why};

use super::Root;

/// Every version of every module that DKMS keeps. It lays them out as `NAME/VERSION/KERNEL/ARCHITECTURE/module/`.
pub fn look(root: &Root) -> Result<BoundedVec<DkmsModule, 64>, Why> {
    let modules = root.list(DKMS, DKMS).map_err(|why| root.absent(why, "/var/lib"))?;
    let running = super::os::kernel(root)?.release;
    let mut found = Vec::new();
    for name in modules {
        let versions = directories(root, &format!("{DKMS}/{name}"));
        // A link such as `kernel-6.1.0-x86_64` leads to the version that is installed, and is none itself.
        for version in versions.iter().filter(|version| !version.starts_with("kernel-")) {
            let path = format!("{DKMS}/{name}/{version}");
            let kernels: Vec<_> = directories(root, &path)
                .into_iter()
                .filter(|kernel| is_built(root, &format!("{path}/{kernel}")))
                .collect();
            found.push(DkmsModule {
                name: Name::truncating(name.as_str()),
                version: Name::truncating(version.as_str()),
                is_built_for_running: kernels.iter().any(|kernel| *kernel == *running),
                kernels: u32::try_from(kernels.len()).unwrap_or(u32::MAX),
            });
        }
    }
    Ok(BoundedVec::truncating(found).0)
}

const DKMS: &str = "/var/lib/dkms";

fn directories(root: &Root, path: &str) -> Vec<String> {
    root.list(path, DKMS).unwrap_or_default()
}

/// Whether any architecture below `path` has a module. `source` and `build` have none.
fn is_built(root: &Root, path: &str) -> bool {
    let has_module = |architecture: &String| {
        let files = directories(root, &format!("{path}/{architecture}/module"));
        files.iter().any(|file| file.contains(".ko"))
    };
    directories(root, path).iter().any(has_module)
}

#[cfg(test)]
mod tests {
    use belay_protocol::report::WhyKind;

    use super::*;
    use crate::probe::tests::tree;

    #[test]
    fn a_module_built_for_another_kernel_alone_is_told_from_one_that_fits() {
        let (_dir, root) = tree(&[
            ("proc/sys/kernel/osrelease", "6.1.0-30-amd64\n"),
            ("var/lib/dkms/zfs/2.2.2/6.1.0-30-amd64/x86_64/module/zfs.ko.xz", ""),
            ("var/lib/dkms/zfs/2.2.2/source/dkms.conf", ""),
            ("var/lib/dkms/nvidia/535/6.1.0-29-amd64/x86_64/module/nvidia.ko", ""),
            ("var/lib/dkms/nvidia/kernel-6.1.0-29-amd64-x86_64/x86_64/module/nvidia.ko", ""),
            ("var/lib/dkms/nvidia/535/6.1.0-30-amd64/x86_64/log/make.log", ""),
        ]);
        let modules = look(&root).unwrap();
        let seen: Vec<_> = modules.iter().map(|m| (m.name.as_str(), m.is_built_for_running, m.kernels)).collect();
        assert_eq!(seen, [("nvidia", false, 1), ("zfs", true, 1)]);
    }

    #[test]
    fn without_dkms_the_question_does_not_arise() {
        let (_dir, root) = tree(&[("proc/sys/kernel/osrelease", "6.1.0\n"), ("var/lib/dpkg/status", "")]);
        assert_eq!(look(&root).unwrap_err().kind, WhyKind::NotApplicable);
    }
}
