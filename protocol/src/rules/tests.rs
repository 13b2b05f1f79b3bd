use super::*;
use crate::finding::{Confidence, bytes_for_people};
use crate::report::tests::sample;
use crate::report::{Fact, Section, SectionName, Withheld, Withholding};

const RULE: &str = r#"
[pack]
id = "test"
version = 1
[[rule]]
id = "full"
each = "disk.mounts"
as = "mount"
subject = "mount.mount_point"
needs = ["mount.space.used_percent"]
raise.crit = "mount.space.used_percent >= 20"
clear = "mount.space.used_percent < 10"
source = "ours"
checks = { en = "space of {subject}", zh = "{subject} 的空间" }
title = { en = "{subject}: {left} left of {used} %", zh = "{subject}：剩余 {left}" }
remedy = { en = "delete", zh = "删除" }
[[rule.evidence]]
name = "left"
label = { en = "left", zh = "剩余" }
value = "mount.space.available_bytes"
unit = "bytes"
threshold.crit = "1"
[[rule.evidence]]
name = "used"
label = { en = "used", zh = "已用" }
value = "mount.space.used_percent + 1"
unit = "%"
"#;

#[test]
fn a_pack_is_read_in_pieces_as_it_is_as_a_whole() {
    let sheets = |text: &str| {
        let pack = Pack::parse(text).unwrap();
        serde_json::to_value(pack.rules().iter().map(Rule::sheet).collect::<Vec<_>>()).unwrap()
    };
    // What looks like the beginning of a rule stands in a sentence: this is read as a whole.
    let trap = r#"
[[docs]]
id = "trap"
title = { en = "a", zh = "b" }
text.zh = "c"
text.en = '''
[[rule]]
'''
"#;
    let whole = format!("{}\n{trap}", super::BASE_TEXT);
    assert_eq!(sheets(&whole), sheets(super::BASE_TEXT));
    assert_eq!(Pack::parse(&whole).unwrap().docs("trap").unwrap().text.en.as_str(), "[[rule]]\n");
    // The rows of the pack that comes along are counted, and cannot be taken for rows that hold.
    assert_eq!(Pack::base().row_count(), Pack::parse(super::BASE_TEXT).unwrap().row_count());
    assert!(!Pack::base().run_tests().is_empty());
    // A mistake is told with its place in the file.
    let broken = format!("{RULE}\n[[rule]]\nid = 7\n");
    let told = Pack::parse(&broken).unwrap_err().to_string();
    let line = broken.lines().position(|line| line == "id = 7").unwrap() + 1;
    assert!(told.contains(&format!("line {line}")), "{told}");
    let twice = format!("{RULE}\n[[docs]]\n[pack]\nid = \"other\"\nversion = 2\n");
    for broken in [twice, RULE.replace("[pack]", "[pock]")] {
        assert!(Pack::parse(&broken).is_err(), "{broken}");
    }
}

#[test]
fn the_base_pack_parses_and_its_rows_hold() {
    let pack = Pack::parse(super::BASE_TEXT).unwrap();
    assert!(pack.rules().len() >= 60);
    assert_eq!(pack.run_tests(), []);
    let untested: Vec<String> = pack.rules().iter().flat_map(|rule| rule.untested()).collect();
    assert_eq!(untested, [] as [String; 0], "no row shows it");
    for rule in pack.rules() {
        assert!(
            !rule.source().is_empty() && !rule.checks().zh.is_empty() && !rule.checks().en.is_empty(),
            "{}",
            rule.id()
        );
        assert!(!rule.title.zh.is_empty() && !rule.remedy.zh.is_empty(), "{} is not translated", rule.id());
        let docs = pack.docs(&rule.docs).unwrap_or_else(|| panic!("{} is not documented", rule.id()));
        assert!(!docs.text.en.is_empty() && !docs.text.zh.is_empty() && !docs.title.zh.is_empty());
    }
}

#[test]
fn a_healthy_sample_is_silent() {
    let findings = Pack::base().judge(&sample(), &Standing::new()).findings;
    assert_eq!(findings.count(Severity::Crit), 0, "{findings:#?}");
    assert_eq!(findings.count(Severity::Warn), 0, "{findings:#?}");
    assert_eq!(findings.pending, 1, "the resolver was slower than the server that it asks");
}

#[test]
fn a_finding_carries_its_evidence_and_its_sentences() {
    let findings = Pack::parse(RULE).unwrap().judge(&sample(), &Standing::new()).findings;
    let [finding] = &*findings.found else { panic!("{findings:?}") };
    assert_eq!(finding.severity, Severity::Crit);
    assert_eq!(finding.title.en.as_str(), format!("/: {} left of 21 %", bytes_for_people(80)));
    assert_eq!(finding.title.zh.as_str(), "/：剩余 80 B");
    let evidence = &finding.evidence[0];
    assert_eq!((evidence.value.as_str(), evidence.unit.as_str()), ("80", "bytes"));
    assert_eq!((evidence.threshold.as_deref(), evidence.source.as_str()), (Some("1"), "ours"));
    assert_eq!(finding.fingerprint, Fingerprint::derive("full", "/"));
    assert_eq!((finding.confidence, finding.docs.as_str()), (Confidence::High, ""));
}

#[test]
fn the_same_facts_give_the_same_findings() {
    let bytes = |findings: &Findings| crate::codec::encode(findings, 1 << 20).unwrap();
    let one = Pack::base().judge(&sample(), &Standing::new()).findings;
    assert_eq!(bytes(&one), bytes(&Pack::base().judge(&sample(), &Standing::new()).findings));
    let ranks: Vec<_> = one.found.iter().map(|f| (f.severity.rank(), f.rule.clone())).collect();
    assert!(ranks.is_sorted());
}

fn used(percent: u8) -> Report {
    let mut report = sample();
    let mut sections = report.sections.into_vec();
    for section in &mut sections {
        if let Section::Disk(disk) = section
            && let Fact::Known(mounts) = &mut disk.mounts
        {
            let mut all = std::mem::take(mounts).into_vec();
            all[0].space = Fact::Known(crate::report::Space {
                size_bytes: 100,
                used_bytes: u64::from(percent),
                available_bytes: 100 - u64::from(percent),
                used_percent: percent,
            });
            *mounts = all.try_into().unwrap();
        }
    }
    report.sections = sections.try_into().unwrap();
    report
}

#[test]
fn a_standing_finding_stays_until_its_clear_condition_is_met() {
    let pack = Pack::parse(RULE).unwrap();
    let standing = Standing::from_iter([(Fingerprint::derive("full", "/"), Kept::raised(Severity::Crit, 0))]);
    assert_eq!(pack.judge(&used(15), &Standing::new()).findings.found.len(), 0);
    assert_eq!(pack.judge(&used(15), &standing).findings.found.len(), 1);
    assert_eq!(pack.judge(&used(9), &standing).findings.found.len(), 0);
}

fn taken_at(report: Report, seconds: i64) -> Report {
    let header = crate::report::Header { taken_at_unix_ms: seconds * 1_000, ..report.header };
    Report { header, ..report }
}

#[test]
fn a_rule_that_holds_waits_for_reports_and_seconds_and_then_speaks_until_it_is_over() {
    let pack = Pack::parse(&RULE.replace("clear = ", "hold = { reports = 2, seconds = 60 }\nclear = ")).unwrap();
    let mut standing = Standing::new();
    let mut check = |percent, seconds, found: usize, pending| {
        let judgement = pack.judge(&taken_at(used(percent), seconds), &standing);
        standing = judgement.standing;
        assert_eq!((judgement.findings.found.len(), judgement.findings.pending), (found, pending), "{seconds} s");
    };
    check(30, 0, 0, 1);
    check(30, 59, 0, 1);
    check(30, 60, 1, 0);
    check(15, 70, 1, 0); // above the level at which it goes
    check(9, 80, 0, 0);
    check(30, 90, 0, 1); // from the beginning
    check(9, 100, 0, 0);
    check(30, 200, 0, 1);
}

#[test]
fn what_was_raised_outlives_a_look_that_failed_and_what_waited_does_not() {
    let raised = Standing::from_iter([(Fingerprint::derive("full", "/"), Kept::raised(Severity::Crit, 0))]);
    let waiting = Standing::from_iter([(Fingerprint::derive("full", "/"), Kept::again(None, 0))]);
    let pack = Pack::parse(RULE).unwrap();
    let mut report = taken_at(sample(), 60);
    let facts = report.sections.into_vec().into_iter().filter(|section| !matches!(section, Section::Disk(_)));
    report.sections = BoundedVec::truncating(facts).0;
    assert_eq!(pack.judge(&report, &raised).standing, raised);
    assert_eq!(pack.judge(&report, &waiting).standing, Standing::new());
    let later = taken_at(report, 31 * 24 * 3_600);
    assert_eq!(pack.judge(&later, &raised).standing, Standing::new(), "nothing is remembered for ever");
}

#[test]
fn what_is_in_order_is_counted_and_not_listed() {
    let pack = Pack::parse(RULE).unwrap();
    let findings = pack.judge(&used(5), &Standing::new()).findings;
    assert_eq!((findings.found.len(), findings.ok, findings.count(Severity::Ok)), (0, 1, 1));
    let findings = pack.judge(&used(30), &Standing::new()).findings;
    assert_eq!((findings.found.len(), findings.ok), (1, 0));
}

#[test]
fn an_unknown_fact_is_unknown_with_its_reason_and_never_fine_or_bad() {
    let findings = Pack::base().judge(&sample(), &Standing::new()).findings;
    let finding = findings.found.iter().find(|f| &*f.rule == "memory-pressure").unwrap();
    assert_eq!(finding.severity, Severity::Unknown);
    assert_eq!(finding.why.as_ref().unwrap().kind, WhyKind::NotOffered);
    assert_eq!(finding.title.en.as_str(), "Could not check how long programs wait for memory");
}

#[test]
fn a_withheld_section_raises_nothing() {
    let mut report = sample();
    let withhold =
        |section: Section| Section::Withheld(Withheld { section: section.name(), reason: Withholding::ByPerson });
    let sections: Vec<_> = report.sections.into_vec().into_iter().map(withhold).collect();
    report.sections = sections.try_into().unwrap();
    assert_eq!(report.sections[1].name(), SectionName::Disk);
    assert_eq!(Pack::base().judge(&report, &Standing::new()).findings.found.len(), 0);
}

#[test]
fn a_rule_is_silent_when_its_cause_is_raised() {
    let silent = RULE.replace("source = \"ours\"", "source = \"ours\"\nsilent_when = [\"cause\"]")
        + &RULE[RULE.find("[[rule]]").unwrap()..].replace("\"full\"", "\"cause\"");
    let findings = Pack::parse(&silent).unwrap().judge(&sample(), &Standing::new()).findings;
    let rules: Vec<_> = findings.found.iter().map(|f| f.rule.as_str()).collect();
    assert_eq!(rules, ["cause"]);
}

#[test]
fn a_cause_at_one_item_silences_a_rule_about_that_item_alone_and_one_about_the_machine_silences_it_altogether() {
    let mut report = used(30);
    let mut sections = report.sections.into_vec();
    for section in &mut sections {
        if let Section::Disk(disk) = section
            && let Fact::Known(mounts) = &mut disk.mounts
        {
            let mut all = std::mem::take(mounts).into_vec();
            all.push(crate::report::Mount {
                mount_point: crate::report::Masked::redacted("/second"),
                ..all[0].clone()
            });
            *mounts = all.try_into().unwrap();
        }
    }
    report.sections = sections.try_into().unwrap();
    let silent = RULE.replace("source = \"ours\"", "source = \"ours\"\nsilent_when = [\"cause\"]");
    let cause = RULE[RULE.find("[[rule]]").unwrap()..].replace("\"full\"", "\"cause\"");
    let about = |cause: String| {
        let findings = Pack::parse(&(silent.clone() + &cause)).unwrap().judge(&report, &Standing::new()).findings;
        let found = findings.found.iter().map(|f| (f.rule.to_string(), f.subject.to_string()));
        (found.collect::<Vec<_>>(), findings.ok)
    };
    let of = |rule: &str, subject: &str| (rule.to_owned(), subject.to_owned());
    let second_alone = cause.replace("mount.space.used_percent >= 20", "mount.mount_point == '/second'");
    assert_eq!(about(second_alone), (vec![of("cause", "/second"), of("full", "/")], 1));
    let machine = "[[rule]]\nid = \"cause\"\nraise.crit = \"true\"\nsource = \"ours\"\n".to_owned()
        + "checks = { en = \"all\", zh = \"全部\" }\ntitle = { en = \"all\", zh = \"全部\" }\n"
        + "remedy = { en = \"all\", zh = \"全部\" }\n";
    assert_eq!(about(machine), (vec![of("cause", "")], 0));
}

#[test]
fn rules_that_share_a_source_say_once_that_it_cannot_be_read() {
    let mut report = sample();
    let mut sections = report.sections.into_vec();
    let denied = || Why::new(WhyKind::PermissionDenied, "/dev/kmsg");
    for section in &mut sections {
        match section {
            Section::System(system) => system.upkeep.kernel_log = Fact::Unknown(denied()),
            Section::Drivers(drivers) => drivers.missing_firmware = Fact::Unknown(denied()),
            _ => {}
        }
    }
    report.sections = sections.try_into().unwrap();
    let findings = Pack::base().judge(&report, &Standing::new()).findings;
    let of_log = |finding: &&Finding| finding.why.as_ref().is_some_and(|why| *why == denied());
    let rules: Vec<_> = findings.found.iter().filter(of_log).map(|finding| finding.rule.as_str()).collect();
    assert_eq!(rules, ["log-kernel"]);
}

#[test]
fn mistaken_packs_are_refused_by_name() {
    let check = |from: &str, to: &str, expected: &str| {
        let error = Pack::parse(&RULE.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check("mount.space.used_percent >= 20", "mount.space.used_percent >=", "not CEL");
    check("mount.space.used_percent >= 20", &"1 + ".repeat(200), "at most 512");
    check("mount.space.used_percent >= 20", &"(".repeat(500), "not CEL");
    let nested = |depth: usize| {
        let loops: String = (0..depth).map(|n| format!("[1, 2].all(x{n}, ")).collect();
        format!("{loops}mount.space.used_percent >= 20{}", ")".repeat(depth))
    };
    check("mount.space.used_percent >= 20", &nested(3), "loops inside loops");
    let twice = RULE.replace("mount.space.used_percent >= 20", &nested(2));
    assert_eq!(Pack::parse(&twice).unwrap().judge(&used(30), &Standing::new()).findings.found.len(), 1);
    check("source = \"ours\"", "source = \"ours\"\nsilent_when = [\"none\"]", "does not exist");
    check("source = \"ours\"", "source = \"ours\"\nsilent_when = [\"full\"]", "circle");
    check("source = \"ours\"", "source = \"ours\"\nsorce = 1", "unknown field");
    check("as = \"mount\"", "", "belong together");
    check("id = \"full\"", "id = \"Full\"", "lower-case");
    check("id = \"test\"", "id = \"../test\"", "lower-case");
    check("source = \"ours\"", "source = \"ours\"\ndocs = \"nowhere\"", "neither a link nor a section");
    check("source = \"ours\"", "source = \"ours\"\nfixes = [\"rm -rf /\"]", "lower-case");
    check("source = \"ours\"", "source = \"ours\"\nhold = { reports = 101 }", "at most");
    assert!(matches!(Pack::parse(&" ".repeat(PACK_MAX_BYTES + 1)), Err(PackError::TooLarge(_))));
}

#[test]
fn a_fact_that_no_report_has_is_refused_with_its_line_and_the_nearest_that_one_has() {
    let check = |from: &str, to: &str, fact: &str, nearest: &str| {
        let text = RULE.replace(from, to);
        let line = 1 + text.lines().position(|line| line.contains(fact)).unwrap();
        let told = Pack::parse(&text).unwrap_err().to_string();
        let expected = format!("line {line}: rule full: there is no fact {fact}; the nearest is {nearest}");
        assert_eq!(told, expected);
        assert!(Pack::parse_of_any_version(&text).is_ok(), "an agent takes rules of newer reports: {text}");
    };
    let condition = "mount.space.used_percent >= 20";
    check(condition, "mount.space.used_procent >= 20", "mount.space.used_procent", "mount.space.used_percent");
    check(condition, "has(mount.inodes.used_percnt)", "mount.inodes.used_percnt", "mount.inodes.used_percent");
    check(condition, "memory.ram.avail_bytes > 0", "memory.ram.avail_bytes", "memory.ram.available_bytes");
    check(condition, "mounts.access == 'x'", "mounts", "disk.mounts");
    check(condition, "disk.arrays.exists(a, a.nam == 'x')", "a.nam", "disk");
    check("disk.mounts", "disk.mount", "disk.mount", "disk.mounts");
    check("subject = \"mount.mount_point\"", "subject = \"mount.point\"", "mount.point", "mount.options");
    for known in
        ["disk.arrays.exists(a, a.name == 'x')", "disk.mounts[0].access == 'read_only'", "mount.options.size() > 1"]
    {
        Pack::parse(&RULE.replace(condition, known)).unwrap();
    }
}

#[test]
fn a_condition_without_an_outcome_is_unknown() {
    for condition in ["mount.nothing > 1", "1 / 0 == 1", "mount.mount_point > 3", "9223372036854775807 + 1 > 0", "3"] {
        let pack = Pack::parse_of_any_version(&RULE.replace("mount.space.used_percent >= 20", condition)).unwrap();
        let findings = pack.judge(&sample(), &Standing::new()).findings;
        assert_eq!(findings.found[0].severity, Severity::Unknown, "{condition}");
    }
}

proptest::proptest! {
    #[test]
    fn judging_a_hostile_report_never_panics(damage in proptest::collection::vec((0usize..1000, 0u8..), 1..8)) {
        let mut bytes = sample().encode().unwrap();
        for (at, to) in damage {
            let at = at % bytes.len();
            bytes[at] = to;
        }
        if let Ok(report) = Report::decode(&bytes) {
            Pack::base().judge(&report, &Standing::new());
        }
    }
}
