//! Loaded kernel modules and the kernel's taint.

use belay_protocol::BoundedVec;
use belay_protocol::bounded::Name;
use belay_protocol::limits::SECTION_MAX_ITEMS;
use belay_protocol::report::{Module, Taint, Why, WhyKind};

use super::Root;

/// Loaded kernel modules. A kernel without `/proc/modules` may have any number built in: that is unknown, not none.
pub fn modules(root: &Root) -> Result<BoundedVec<Module, SECTION_MAX_ITEMS>, Why> {
    let mut modules = parse_modules(&root.read("/proc/modules")?);
    modules.sort_by(|a, b| a.name.cmp(&b.name));
    for module in &mut modules {
        let said = |file: &str| {
            let text = root.read_for(&format!("/sys/module/{}/{file}", module.name), "/sys/module").ok()?;
            Some(Name::truncating(text.trim()))
        };
        (module.version, module.source_version) = (said("version"), said("srcversion"));
    }
    Ok(BoundedVec::truncating(modules).0)
}

/// Understands `/proc/modules`: name, size, users, dependants, state, address and, in brackets, taint.
pub fn parse_modules(text: &str) -> Vec<Module> {
    let module = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (name, size) = (fields.next()?, fields.next()?.parse().ok()?);
        let taint = fields.last().and_then(|last| last.strip_prefix('(')?.strip_suffix(')')).unwrap_or_default();
        Some(Module {
            name: Name::truncating(name),
            size_bytes: size,
            taint: Name::truncating(taint),
            version: None,
            source_version: None,
        })
    };
    text.lines().filter_map(module).collect()
}

/// What the kernel remembers having suffered.
pub fn taint(root: &Root) -> Result<Taint, Why> {
    let text = root.read(TAINTED)?;
    text.trim().parse().map(Taint::from_bits).map_err(|_| Why::new(WhyKind::Malformed, TAINTED))
}

const TAINTED: &str = "/proc/sys/kernel/tainted";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    #[test]
    fn modules_and_their_taint_are_read() {
        let text = "zfs 4829184 6 - Live 0x0000000000000000 (POE)\next4 1155072 2 - Live 0x0000000000000000\nbroken\n";
        let (_dir, root) = tree(&[
            ("proc/modules", text),
            ("proc/sys/kernel/tainted", "4097\n"),
            ("sys/module/zfs/version", "2.2.2-1\n"),
            ("sys/module/zfs/srcversion", "533BB7E5866E52F63B9ACCB\n"),
        ]);
        let modules = modules(&root).unwrap();
        let seen: Vec<_> = modules.iter().map(|m| (m.name.as_str(), m.size_bytes, m.taint.as_str())).collect();
        assert_eq!(seen, [("ext4", 1_155_072, ""), ("zfs", 4_829_184, "POE")]);
        assert_eq!((modules[1].version.as_deref(), modules[0].version.as_deref()), (Some("2.2.2-1"), None));
        assert_eq!(modules[1].source_version.as_deref(), Some("533BB7E5866E52F63B9ACCB"));
        assert_eq!(taint(&root).unwrap().flags.len(), 2);
    }

    #[test]
    fn no_list_of_modules_is_unknown_and_not_an_empty_list() {
        let (_dir, root) = tree(&[("proc/sys/kernel/tainted", "many\n")]);
        assert_eq!(modules(&root).unwrap_err().kind, WhyKind::NotOffered);
        assert_eq!(taint(&root).unwrap_err().kind, WhyKind::Malformed);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_modules(&text);
        }
    }
}
