//! Rule packs, from the desk that signs them to the device that judges by them.

use std::path::Path;

use belay_protocol::rules::Pack;
use belay_tests::programs::{Ended, Program, Site, run};

/// The base pack at another version, with a rule more that always speaks.
fn pack(version: u32) -> String {
    let base = Pack::base_text().replacen("version = 1\n", &format!("version = {version}\n"), 1);
    let row = "[[rule.test]]\nexpect = \"info\"\nfacts = {}\n";
    let rule = r#"
[[rule]]
id = "always"
raise.info = "true"
source = "ours: a test"
checks = { en = "nothing", zh = "无" }
title = { en = "The newer rules are in use", zh = "已使用新规则" }
remedy = { en = "None.", zh = "无。" }
"#;
    format!("{base}{rule}{row}{row}")
}

fn console(site: &Site, words: &[&str]) -> Ended {
    let mut command = Program::Console.command(site.path()).unwrap();
    run(command.args(words).arg("--data").arg(site.desk())).unwrap()
}

fn join(site: &Site) -> Ended {
    let ticket = site.open_ticket().unwrap();
    run(site.join("device", &["--yes", "--insecure-http", &ticket.link]).unwrap().arg("--lang").arg("en")).unwrap()
}

#[test]
fn a_published_pack_is_taken_over_by_the_next_device_and_kept() {
    let site = Site::open().unwrap();
    let first = join(&site);
    assert_eq!(first.code, Some(0), "{first}");
    assert!(!first.err.contains("newer rules") && !first.out.contains("newer rules"), "{first}");

    std::fs::write(site.path().join("ours.toml"), pack(2)).unwrap();
    let reran = site.ask(&["rules", "rerun", "--pack", "ours.toml"]).unwrap();
    assert_eq!((&reran["judged"], &reran["version"]), (&1.into(), &2.into()));
    assert_eq!(reran["different"][0]["appeared"][0]["rule"], "always", "{reran}");

    let published = site.ask(&["rules", "publish", "ours.toml"]).unwrap();
    assert_eq!(published["version"], 2);
    assert!(site.path().join("ours.toml.sig").exists());
    let second = join(&site);
    assert_eq!(second.code, Some(0), "{second}");
    assert!(format!("{}{}", second.out, second.err).contains("newer rules (version 2)"), "{second}");
    let third = join(&site);
    assert_eq!(third.code, Some(0), "{third}");
    assert!(!format!("{}{}", third.out, third.err).contains("newer rules"), "it has them: {third}");
    // Both were judged by what was published, and the first was not.
    let reran = site.ask(&["rules", "rerun"]).unwrap();
    let different: Vec<_> = reran["different"].as_array().unwrap().iter().map(|one| one["report"].clone()).collect();
    assert_eq!((&reran["judged"], different.len()), (&3.into(), 1), "{reran}");
    let told = console(&site, &["rules", "rerun", "--lang", "zh"]);
    assert!(told.out.contains("已使用新规则"), "{told}");
}

#[test]
fn what_is_not_signed_by_the_organization_or_not_newer_is_not_published() {
    let site = Site::open().unwrap();
    let file = |name: &str, text: &str| std::fs::write(site.path().join(name), text).unwrap();
    let refused = |name: &str, why: &str| {
        let ended = console(&site, &["rules", "publish", name]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended}");
        assert!(ended.err.contains(why), "{why}: {ended}");
    };
    file("ours.toml", &pack(2));
    assert_eq!(console(&site, &["rules", "sign", "ours.toml"]).code, Some(0));
    // Changed after it was signed.
    file("ours.toml", &pack(3));
    refused("ours.toml", "not signed by this organization");
    // Signed by another desk.
    let other = Site::open().unwrap();
    std::fs::write(other.path().join("ours.toml"), pack(3)).unwrap();
    assert_eq!(console(&other, &["rules", "sign", "ours.toml"]).code, Some(0));
    copy(other.path(), site.path(), "ours.toml.sig");
    refused("ours.toml", "not signed by this organization");
    file("old.toml", Pack::base_text());
    refused("old.toml", "not higher than 1");
    file("failing.toml", &pack(4).replacen("expect = \"info\"", "expect = \"crit\"", 1));
    refused("failing.toml", "do not hold");
    assert!(!site.path().join("failing.toml.sig").exists());
    file("nonsense.toml", "[[rule");
    refused("nonsense.toml", "cannot be read");
    assert_eq!(site.ask(&["rules", "list"]).unwrap(), serde_json::json!([]));
}

fn copy(from: &Path, to: &Path, name: &str) {
    std::fs::copy(from.join(name), to.join(name)).unwrap();
}
