//! Health of disks as smartmontools tell it. The only probe that starts another program: never in the passive profile.

use std::io::Read;
use std::process::{Command, Stdio};

use belay_protocol::BoundedVec;
use belay_protocol::report::{Health, Verdict, Why, WhyKind};
use serde_json::Value;

use super::Root;

/// The health of the disk with this kernel name, such as `sda`. A disk that sleeps is left asleep.
pub fn look(root: &Root, name: &str) -> Result<Health, Why> {
    root.live_only(SOURCE)?;
    let program =
        PROGRAMS.into_iter().find(|path| root.has(path)).ok_or_else(|| Why::new(WhyKind::NotOffered, SOURCE))?;
    let mut child = Command::new(program)
        .args(["--json", "--nocheck=standby", "--health", "--attributes", &format!("/dev/{name}")])
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| super::why(&e, SOURCE))?;
    let mut answer = Vec::new();
    let read = child.stdout.take().map(|out| out.take(ANSWER_MAX_BYTES).read_to_end(&mut answer));
    // Its exit code repeats what the answer says.
    let ended = child.wait();
    read.transpose().and(ended.map(|_| ())).map_err(|e| super::why(&e, SOURCE))?;
    parse_smartctl(&answer)
}

const SOURCE: &str = "smartctl";

/// Where distributions install it; the search path of whoever runs the agent is not trusted with root's rights.
const PROGRAMS: [&str; 3] = ["/usr/sbin/smartctl", "/usr/bin/smartctl", "/usr/local/sbin/smartctl"];

/// A full answer has about 10 KB.
const ANSWER_MAX_BYTES: u64 = 1024 * 1024;

/// Understands the JSON of smartctl (smartctl(8), `--json`, format 1.0).
pub fn parse_smartctl(json: &[u8]) -> Result<Health, Why> {
    let answer: Value = serde_json::from_slice(json).map_err(|_| Why::new(WhyKind::Malformed, SOURCE))?;
    let Some(passed) = answer.pointer("/smart_status/passed").and_then(Value::as_bool) else {
        return Err(Why::new(refusal(&answer), SOURCE));
    };
    let silent = || Why::new(WhyKind::NotOffered, SOURCE);
    let number = |path: &str| answer.pointer(path).and_then(Value::as_u64).ok_or_else(silent);
    let percent = |path: &str| number(path).map(|percent| u8::try_from(percent).unwrap_or(u8::MAX));
    let nvme = |field: &str| format!("/nvme_smart_health_information_log/{field}");
    let attribute = |id: u64| {
        let table = answer.pointer("/ata_smart_attributes/table").and_then(Value::as_array).ok_or_else(silent)?;
        let row = table.iter().find(|row| row.get("id").and_then(Value::as_u64) == Some(id)).ok_or_else(silent)?;
        row.pointer("/raw/value").and_then(Value::as_u64).ok_or_else(silent)
    };
    Ok(Health {
        verdict: if passed { Verdict::Passed } else { Verdict::Failing },
        warnings: BoundedVec::new(),
        wear_percent: percent(&nvme("percentage_used")).into(),
        spare_percent: percent(&nvme("available_spare")).into(),
        spare_threshold_percent: percent(&nvme("available_spare_threshold")).into(),
        media_errors: number(&nvme("media_errors")).or_else(|_| attribute(PENDING_SECTORS)).into(),
        reallocated_sectors: attribute(REALLOCATED_SECTORS).into(),
        temperature_celsius: number("/temperature/current")
            .and_then(|celsius| i16::try_from(celsius).map_err(|_| Why::new(WhyKind::Malformed, SOURCE)))
            .into(),
        power_on_hours: number("/power_on_time/hours").into(),
    })
}

/// Attributes of ATA disks that mean the same at every maker.
const REALLOCATED_SECTORS: u64 = 5;
const PENDING_SECTORS: u64 = 197;

/// Why there is no verdict. Bit 1 of the exit status: the disk could not be opened, or sleeps.
fn refusal(answer: &Value) -> WhyKind {
    let messages = answer.pointer("/smartctl/messages").and_then(Value::as_array);
    let says = |words: &str| {
        let text =
            |message: &Value| message.get("string").and_then(Value::as_str).is_some_and(|text| text.contains(words));
        messages.is_some_and(|messages| messages.iter().any(text))
    };
    if says("Permission denied") { WhyKind::PermissionDenied } else { WhyKind::NotOffered }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_protocol::report::Fact;

    #[test]
    fn an_ata_disk_is_understood() {
        let health = parse_smartctl(
            br#"{"smart_status":{"passed":false},"temperature":{"current":38},"power_on_time":{"hours":100},
                "ata_smart_attributes":{"table":[{"id":5,"raw":{"value":12}},{"id":197,"raw":{"value":3}}]}}"#,
        );
        let health = health.unwrap();
        assert_eq!((health.verdict, health.temperature_celsius), (Verdict::Failing, Fact::Known(38)));
        assert_eq!((health.reallocated_sectors, health.media_errors), (Fact::Known(12), Fact::Known(3)));
        assert_eq!(health.spare_percent.why().unwrap().kind, WhyKind::NotOffered);
    }

    #[test]
    fn an_nvme_disk_is_understood() {
        let health = parse_smartctl(
            br#"{"smart_status":{"passed":true},"nvme_smart_health_information_log":
                {"percentage_used":104,"available_spare":100,"available_spare_threshold":10,"media_errors":0}}"#,
        );
        let health = health.unwrap();
        assert_eq!((health.verdict, health.wear_percent), (Verdict::Passed, Fact::Known(104)));
        assert_eq!((health.spare_percent, health.media_errors), (Fact::Known(100), Fact::Known(0)));
    }

    #[test]
    fn no_verdict_is_unknown_and_never_healthy() {
        for (json, kind) in [
            ("", WhyKind::Malformed),
            ("{}", WhyKind::NotOffered),
            (
                r#"{"smartctl":{"exit_status":2,"messages":[{"string":"Smartctl open device: /dev/sda failed: Permission denied"}]}}"#,
                WhyKind::PermissionDenied,
            ),
        ] {
            assert_eq!(parse_smartctl(json.as_bytes()).unwrap_err().kind, kind);
        }
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(bytes: Vec<u8>) {
            let _ = parse_smartctl(&bytes);
        }
    }
}
