//! Disks that are full, broken, read-only or silent.

use std::cell::RefCell;

use belay_tests::faults::{LoopDisk, Patient, SilentMount, Space, alone, told};
use serde_json::Value;

use super::{can_run, proves};

const STOPS_WRITING: &str = "errors=remount-ro";

#[test]
fn a_disk_that_is_96_percent_full_is_a_warning_until_there_is_room() {
    if !can_run(&[]) {
        return;
    }
    let (_alone, space) = (alone().unwrap(), Space::new().unwrap());
    let disk = LoopDisk::new(&space, "disk", &["-m", "0"], "defaults").unwrap();
    let patient = Patient::new().unwrap().within(&space);
    let full = [told("disk-space", &disk.place, "warn")];
    proves(&patient, &full, || disk.fill(96).unwrap(), || disk.empty().unwrap());
    // With one percent left it is critical, and a little room is not enough to let go.
    let full = [told("disk-space", &disk.place, "crit")];
    proves(&patient, &full, || disk.fill(99).unwrap(), || disk.empty().unwrap());
    disk.fill(96).unwrap();
    assert_eq!(patient.survey().unwrap().severity("disk-space", &disk.place), Some("warn"));
    disk.empty().unwrap();
    disk.fill(94).unwrap();
    assert_eq!(patient.survey().unwrap().severity("disk-space", &disk.place), Some("warn"), "it holds on above 93 %");
    disk.empty().unwrap();
    disk.fill(92).unwrap();
    assert_eq!(patient.survey().unwrap().severity("disk-space", &disk.place), None);
}

#[test]
fn a_disk_whose_inodes_are_used_up_is_critical_though_it_is_empty() {
    if !can_run(&[]) {
        return;
    }
    let (_alone, space) = (alone().unwrap(), Space::new().unwrap());
    let disk = LoopDisk::new(&space, "disk", &["-N", "256"], "defaults").unwrap();
    let patient = Patient::new().unwrap().within(&space);
    let used_up = [told("disk-inodes", &disk.place, "crit")];
    proves(&patient, &used_up, || disk.use_up_inodes().unwrap(), || disk.empty().unwrap());
}

#[test]
fn an_ext4_that_stopped_writing_is_critical_though_statvfs_calls_it_writable() {
    if !can_run(&[]) {
        return;
    }
    let (_alone, space) = (alone().unwrap(), Space::new().unwrap());
    let disk = LoopDisk::new(&space, "disk", &[], STOPS_WRITING).unwrap();
    let patient = Patient::new().unwrap().within(&space);
    let device = disk.device().unwrap();
    let options = || space.options(&disk.place).unwrap().unwrap();
    // A kernel that says so in the mount's own flag says it to statvfs as well, and cannot be told from one whose owner
    // has said so.
    let since_6_15 = {
        disk.break_it().unwrap();
        let says = options();
        disk.unmount().unwrap();
        disk.repair().unwrap();
        disk.mount(STOPS_WRITING).unwrap();
        says.split(',').any(|option| option == "emergency_ro")
    };
    let severity = if since_6_15 { "crit" } else { "warn" };
    let broken = [told("disk-stopped-writing", &disk.place, severity), told("file-system-errors", &device, "warn")];
    let make = || {
        disk.break_it().unwrap();
        assert_eq!(options().split(',').any(|option| option == "rw"), since_6_15, "{}", options());
        assert!(space.run("touch", &[&format!("{}/x", disk.place)]).is_err(), "it can be written to");
    };
    let mend = || {
        disk.unmount().unwrap();
        disk.repair().unwrap();
        disk.mount(STOPS_WRITING).unwrap();
    };
    proves(&patient, &broken, make, mend);
}

#[test]
fn an_ext4_that_goes_on_in_spite_of_an_error_is_a_warning_until_it_is_repaired() {
    if !can_run(&[]) {
        return;
    }
    let (_alone, space) = (alone().unwrap(), Space::new().unwrap());
    let disk = LoopDisk::new(&space, "disk", &[], "errors=continue").unwrap();
    let patient = Patient::new().unwrap().within(&space);
    let device = disk.device().unwrap();
    let mend = || {
        disk.unmount().unwrap();
        disk.repair().unwrap();
        disk.mount("errors=continue").unwrap();
    };
    proves(&patient, &[told("file-system-errors", &device, "warn")], || disk.break_it().unwrap(), mend);
}

#[test]
fn a_damaged_ext4_is_a_warning_also_after_it_was_unmounted_and_until_it_is_repaired() {
    if !can_run(&[]) {
        return;
    }
    let (_alone, space) = (alone().unwrap(), Space::new().unwrap());
    let disk = LoopDisk::new(&space, "disk", &[], "errors=continue").unwrap();
    let patient = Patient::new().unwrap().within(&space);
    let device = disk.device().unwrap();
    // As long as somebody holds it, the kernel does not take the device away.
    let held = RefCell::new(Some(std::fs::File::open(format!("/dev/{device}")).unwrap()));
    let make = || {
        disk.break_it().unwrap();
        disk.unmount().unwrap();
    };
    let mend = || {
        drop(held.take());
        disk.repair().unwrap();
        disk.mount("errors=continue").unwrap();
    };
    proves(&patient, &[told("file-system-errors", &device, "warn")], make, mend);
}

#[test]
fn a_disk_that_was_remounted_read_only_is_a_warning_until_it_is_writable() {
    if !can_run(&[]) {
        return;
    }
    let (_alone, space) = (alone().unwrap(), Space::new().unwrap());
    let disk = LoopDisk::new(&space, "disk", &[], STOPS_WRITING).unwrap();
    let patient = Patient::new().unwrap().within(&space);
    let read_only = [told("disk-stopped-writing", &disk.place, "warn")];
    proves(&patient, &read_only, || disk.remount("ro").unwrap(), || disk.remount("rw").unwrap());
}

#[test]
fn a_mount_that_never_answers_is_found_and_costs_its_own_deadline_and_nothing_else() {
    if !can_run(&[]) {
        return;
    }
    let (_alone, space) = (alone().unwrap(), Space::new().unwrap());
    let disk = LoopDisk::new(&space, "disk", &[], "defaults").unwrap();
    let patient = Patient::new().unwrap().within(&space);
    let silent = RefCell::new(None);
    let hangs = [told("disk-no-answer", "/mnt/silent", "warn")];
    let make = || drop(silent.replace(Some(SilentMount::new(&space, "silent").unwrap())));
    let seen = proves(&patient, &hangs, make, || drop(silent.take()));
    // A source may take a second, and all are looked at together.
    let took_ms = seen.report["header"]["took_ms"].as_u64().unwrap();
    assert!((1_000..2_000).contains(&took_ms), "it took {took_ms} ms");
    let mounts = seen.section("disk")["mounts"]["known"].as_array().unwrap();
    for mount in mounts {
        let is_silent = mount["mount_point"] == "/mnt/silent";
        assert_eq!(mount["response"], if is_silent { "hung" } else { "answered" }, "{mount}");
        assert_eq!(mount["space"]["known"].is_null(), is_silent, "{mount}");
    }
    assert!(mounts.iter().any(|mount| mount["mount_point"] == disk.place), "{mounts:?}");
    let late: Vec<_> = timed_out(&seen.report).into_iter().filter(|source| source != "statvfs").collect();
    assert_eq!(late, Vec::<String>::new(), "other sources were late as well");
}

#[test]
fn a_data_directory_that_never_answers_is_named_and_holds_nothing_up() {
    if !can_run(&[]) {
        return;
    }
    let (_alone, space) = (alone().unwrap(), Space::new().unwrap());
    let silent = SilentMount::new(&space, "silent").unwrap();
    let patient = Patient::new().unwrap().keeping(&silent.place).within(&space);
    assert!(patient.survey().unwrap().section("findings")["found"].is_array());
    let link = "belay://127.0.0.1:1/418205975?desk=localhost#aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.\
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaa";
    let refused = patient.join(link).unwrap_err().to_string();
    assert!(refused.contains("/mnt/silent, where this program keeps its key, does not answer"), "{refused}");
}

/// The sources in a report that did not answer in time.
fn timed_out(report: &Value) -> Vec<String> {
    match report {
        Value::Object(fields) if fields.get("kind").is_some_and(|kind| kind == "timed_out") => {
            vec![fields["source"].as_str().unwrap_or_default().to_owned()]
        }
        Value::Object(fields) => fields.values().flat_map(timed_out).collect(),
        Value::Array(items) => items.iter().flat_map(timed_out).collect(),
        _ => Vec::new(),
    }
}
