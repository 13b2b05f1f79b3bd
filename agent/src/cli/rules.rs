//! `belay-agent rules`.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use belay_protocol::finding::Severity;
use belay_protocol::lang::system_error;
use belay_protocol::rules::{PACK_MAX_BYTES, Pack, PackError, Rule};
use belay_protocol::{Language, Phrase};
use unicode_width::UnicodeWidthStr as _;

use super::{Exit, err, out};
use crate::data_file;
use crate::page::wrap;
use crate::paths::default_data_dir;
use crate::rulebook::Rulebook;
use crate::terminal::{Screen, Style, json, plain};

/// The help text's example.
pub const EXAMPLE: &str =
    "Examples:\n  belay-agent rules list\n  belay-agent rules show disk-space\n  belay-agent rules test my-pack.toml";

/// What to do with rules.
#[derive(Debug, clap::Subcommand)]
pub enum RulesCommand {
    /// List the rules by which this machine is judged
    #[command(after_help = "Example:\n  belay-agent rules list --json")]
    List {
        /// A rule pack instead of the one in use
        #[arg(long, value_name = "FILE")]
        pack: Option<PathBuf>,
        /// Directory of the desk's rules [default: of the system]
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one rule: what it looks at, when it speaks, what it says, and what stands behind it
    #[command(after_help = "Example:\n  belay-agent rules show disk-space")]
    Show {
        /// The rule's name, as `rules list` shows it
        #[arg(value_name = "ID")]
        id: String,
        /// A rule pack instead of the one in use
        #[arg(long, value_name = "FILE")]
        pack: Option<PathBuf>,
        /// Directory of the desk's rules [default: of the system]
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the rule pack that comes with this program, to begin another with
    #[command(after_help = "Example:\n  belay-agent rules export > my-pack.toml")]
    Export,
    /// Run the test rows of a rule pack
    #[command(
        after_help = "Example:\n  belay-agent rules test my-pack.toml\n\nExit codes: 0 all rows hold, 1 some do not, 2 the file is no rule pack"
    )]
    Test {
        /// The pack, a TOML file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// What was asked for cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.sentence(Language::English))]
enum Unusable {
    NoFile(PathBuf),
    File { path: PathBuf, source: io::Error },
    NotText { path: PathBuf },
    Pack { path: PathBuf, source: PackError },
    NoRule(String),
}

impl Unusable {
    fn sentence(&self, language: Language) -> String {
        let path = match self {
            Self::NoFile(path) | Self::File { path, .. } | Self::NotText { path } | Self::Pack { path, .. } => {
                plain(&path.display().to_string())
            }
            Self::NoRule(id) => id.clone(),
        };
        let (phrase, why) = match self {
            Self::NoFile(_) => (NO_FILE, String::new()),
            Self::File { source, .. } => (NOT_READ, system_error(source, language)),
            Self::NotText { .. } => (NOT_TEXT, String::new()),
            Self::Pack { source, .. } => (NO_PACK, source.sentence(language)),
            Self::NoRule(_) => (NO_RULE, String::new()),
        };
        phrase.fill(language, &[("name", &path), ("why", &plain(why.trim_end()))])
    }
}

/// Runs `rules`.
pub fn run(command: RulesCommand, language: Language) -> anyhow::Result<Exit> {
    let done = match command {
        RulesCommand::List { pack, data, json } => with_pack(pack.as_deref(), data, |pack| list(pack, json, language)),
        RulesCommand::Show { id, pack, data, json } => with_pack(pack.as_deref(), data, |pack| match pack.rule(&id) {
            Some(rule) => show(pack, rule, json, language),
            None => Err(Unusable::NoRule(plain(&id)).into()),
        }),
        RulesCommand::Export => {
            out().write_all(Pack::base_text().as_bytes())?;
            Ok(Exit::Done)
        }
        RulesCommand::Test { file, json } => with_pack(Some(&file), None, |pack| test(pack, json, language)),
    };
    match done {
        Err(error) => match error.downcast::<Unusable>() {
            Ok(unusable) => {
                writeln!(err(), "belay-agent: {}", unusable.sentence(language))?;
                Ok(Exit::Usage)
            }
            Err(error) => Err(error),
        },
        done => done,
    }
}

fn with_pack(
    file: Option<&Path>,
    data: Option<PathBuf>,
    then: impl FnOnce(&Pack) -> anyhow::Result<Exit>,
) -> anyhow::Result<Exit> {
    match (file, data.or_else(|| default_data_dir().ok())) {
        (Some(path), _) => then(&read(path)?),
        (None, Some(dir)) => then(Rulebook::default().of_only_desk(&dir).pack()),
        (None, None) => then(Pack::base()),
    }
}

fn read(path: &Path) -> Result<Pack, Unusable> {
    let max_bytes = u64::try_from(PACK_MAX_BYTES).unwrap_or(u64::MAX);
    let bytes = data_file::read(path, max_bytes).map_err(|source| match source.kind() {
        io::ErrorKind::FileTooLarge => {
            Unusable::Pack { path: path.to_owned(), source: PackError::TooLarge(PACK_MAX_BYTES + 1) }
        }
        _ => Unusable::File { path: path.to_owned(), source },
    })?;
    let bytes = bytes.ok_or_else(|| Unusable::NoFile(path.to_owned()))?;
    let text = String::from_utf8(bytes).map_err(|_| Unusable::NotText { path: path.to_owned() })?;
    Pack::parse(&text).map_err(|source| Unusable::Pack { path: path.to_owned(), source })
}

fn list(pack: &Pack, json: bool, language: Language) -> anyhow::Result<Exit> {
    let mut rules: Vec<&Rule> = pack.rules().iter().collect();
    rules.sort_by_key(|rule| rule.id());
    if json {
        let rules: Vec<_> = rules.iter().map(|rule| rule.sheet()).collect();
        return print(&serde_json::json!({ "pack": pack.pack_id(), "rules": rules }));
    }
    let id = pack.pack_id();
    let (version, count) = (id.version.to_string(), rules.len().to_string());
    let values = [("id", id.id.as_str()), ("version", &version), ("count", &count)];
    let mut text = format!("{}\n", PACK.fill(language, &values));
    let columns = rules.iter().map(|rule| rule.id().len()).max().unwrap_or_default();
    for rule in rules {
        let checks = rule.checks().text(language).replace("{subject}", "…");
        let _ = writeln!(text, "  {:columns$}  {}  {}", rule.id(), levels(rule, language), plain(&checks));
    }
    write!(out(), "{text}")?;
    Ok(Exit::Done)
}

/// The worst level of a rule, as wide as the widest.
fn levels(rule: &Rule, language: Language) -> String {
    let worst = rule.sheet().raise.first().map_or(Severity::Ok, |(severity, _)| *severity);
    let all = [Severity::Crit, Severity::Warn, Severity::Info].map(|severity| severity.phrase().text(language).width());
    let word = worst.phrase().text(language);
    let padding = all.into_iter().max().unwrap_or_default().saturating_sub(word.width());
    format!("{word}{:padding$}", "")
}

fn show(pack: &Pack, rule: &Rule, json: bool, language: Language) -> anyhow::Result<Exit> {
    let sheet = rule.sheet();
    let docs = pack.docs(sheet.docs);
    if json {
        return print(&serde_json::json!({ "pack": pack.pack_id(), "rule": sheet, "docs": docs }));
    }
    let Screen { colour, columns } = Screen::of(&io::stdout());
    let mut text = String::new();
    let mut row = |label: &Phrase, value: &str| {
        if !value.is_empty() {
            let label = label.text(language);
            let padding = LABEL_COLUMNS.saturating_sub(label.width()).max(1);
            let mut lines = wrap(&plain(value), columns - LABEL_COLUMNS - 2).into_iter();
            let first = lines.next().unwrap_or_default();
            let _ = writeln!(text, "  {}{:padding$}{first}", colour.paint(Style::Dim, label), "");
            for line in lines {
                let _ = writeln!(text, "  {:LABEL_COLUMNS$}{line}", "");
            }
        }
    };
    row(&RULE, sheet.id);
    row(&CHECKS, &sheet.checks.text(language).replace("{subject}", "…"));
    row(&EACH, &sheet.each.map(|(list, name)| format!("{name} ∈ {list}")).unwrap_or_default());
    row(&WHEN, sheet.when.unwrap_or_default());
    row(&NEEDS, &sheet.needs.join(", "));
    for (severity, condition) in &sheet.raise {
        row(&severity.phrase(), condition);
    }
    row(&CLEAR, sheet.clear.unwrap_or_default());
    let (reports, seconds) = (sheet.hold.reports.to_string(), sheet.hold.seconds.to_string());
    let hold = if sheet.hold == Default::default() { None } else { Some(HOLD_FOR) };
    let values = [("reports", reports.as_str()), ("seconds", &seconds)];
    row(&HOLD, &hold.map(|hold| hold.fill(language, &values)).unwrap_or_default());
    let names =
        |names: &[belay_protocol::bounded::Name]| names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    row(&SILENT_WHEN, &names(sheet.silent_when));
    row(&UNKNOWN_WITH, &names(sheet.unknown_with));
    row(&CONFIDENCE, sheet.confidence.phrase().text(language));
    row(&SOURCE, sheet.source);
    row(&TITLE, sheet.title.text(language));
    row(&REMEDY, sheet.remedy.text(language));
    row(&FIXES, &names(sheet.fixes));
    row(&ROWS, &sheet.rows.to_string());
    match docs {
        Some(docs) => {
            let _ = writeln!(text, "\n{}", colour.paint(Style::Bold, plain(docs.title.text(language))));
            for line in wrap(&plain(docs.text.text(language)), columns - 2) {
                let _ = writeln!(text, "  {line}");
            }
        }
        None => row(&DOCS, sheet.docs),
    }
    write!(out(), "{text}")?;
    Ok(Exit::Done)
}

fn test(pack: &Pack, json: bool, language: Language) -> anyhow::Result<Exit> {
    let (mistakes, rows) = (pack.run_tests(), pack.row_count());
    if json {
        let outcome = serde_json::json!({
            "pack": pack.pack_id(),
            "rules": pack.rules().len(),
            "rows": rows,
            "mistakes": mistakes,
        });
        print(&outcome)?;
    } else {
        let mut out = super::out();
        for mistake in &mistakes {
            writeln!(out, "{}", plain(&mistake.sentence(language)))?;
        }
        let (rules, rows, wrong) = (pack.rules().len().to_string(), rows.to_string(), mistakes.len().to_string());
        let values = [("rules", rules.as_str()), ("rows", &rows), ("wrong", &wrong)];
        let told = if mistakes.is_empty() { &ROWS_HOLD } else { &ROWS_FAIL };
        writeln!(out, "{}", told.fill(language, &values))?;
    }
    Ok(if mistakes.is_empty() { Exit::Done } else { Exit::Failed })
}

fn print(value: &serde_json::Value) -> anyhow::Result<Exit> {
    writeln!(out(), "{}", json(value)?)?;
    Ok(Exit::Done)
}

const LABEL_COLUMNS: usize = 18;

const NO_FILE: Phrase = Phrase { en: "there is no file {name}", zh: "没有文件 {name}" };
const NOT_READ: Phrase = Phrase { en: "{name} cannot be read: {why}", zh: "无法读取 {name}：{why}" };
const NOT_TEXT: Phrase =
    Phrase { en: "{name} is no rule pack: it is not UTF-8 text", zh: "{name} 不是规则包：不是 UTF-8 文本" };
const NO_PACK: Phrase = Phrase { en: "{name} cannot be used: {why}", zh: "{name} 无法使用：{why}" };
const NO_RULE: Phrase = Phrase {
    en: "there is no rule {name}; `belay-agent rules list` names them all",
    zh: "没有规则 {name}；`belay-agent rules list` 可列出全部规则",
};
const PACK: Phrase = Phrase {
    en: "{id}, version {version}: {count} {count:rule/rules}",
    zh: "{id}，版本 {version}：{count} 条规则",
};
const RULE: Phrase = Phrase { en: "rule", zh: "规则" };
const CHECKS: Phrase = Phrase { en: "looks at", zh: "检查" };
const EACH: Phrase = Phrase { en: "for each", zh: "逐项" };
const WHEN: Phrase = Phrase { en: "applies when", zh: "适用条件" };
const NEEDS: Phrase = Phrase { en: "must know", zh: "所需事实" };
const CLEAR: Phrase = Phrase { en: "goes when", zh: "解除条件" };
const HOLD: Phrase = Phrase { en: "waits for", zh: "持续条件" };
const HOLD_FOR: Phrase = Phrase {
    en: "{reports} {reports:survey/surveys} in a row and {seconds} s",
    zh: "连续 {reports} 次检查且满 {seconds} 秒",
};
const SILENT_WHEN: Phrase = Phrase { en: "silent beside", zh: "出现时静默" };
const UNKNOWN_WITH: Phrase = Phrase { en: "same source as", zh: "同一来源" };
const CONFIDENCE: Phrase = Phrase { en: "confidence", zh: "可信度" };
const SOURCE: Phrase = Phrase { en: "source", zh: "阈值来源" };
const TITLE: Phrase = Phrase { en: "says", zh: "提示" };
const REMEDY: Phrase = Phrase { en: "remedy", zh: "处理" };
const FIXES: Phrase = Phrase { en: "fixes", zh: "修复项" };
const ROWS: Phrase = Phrase { en: "test rows", zh: "测试行" };
const DOCS: Phrase = Phrase { en: "more", zh: "更多" };
const ROWS_HOLD: Phrase = Phrase {
    en: "{rules} {rules:rule/rules}, {rows} {rows:row/rows}: all hold",
    zh: "{rules} 条规则，{rows} 行测试：全部通过",
};
const ROWS_FAIL: Phrase = Phrase {
    en: "{rules} {rules:rule/rules}, {rows} {rows:row/rows}: {wrong} {wrong:mistake/mistakes}",
    zh: "{rules} 条规则，{rows} 行测试：{wrong} 处错误",
};

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(command: RulesCommand) -> Exit {
        run(command, Language::Chinese).unwrap()
    }

    #[test]
    fn every_rule_of_the_base_pack_can_be_shown() {
        for json in [false, true] {
            assert_eq!(exit(RulesCommand::List { pack: None, data: None, json }), Exit::Done);
            for rule in Pack::base().rules() {
                let id = rule.id().to_owned();
                assert_eq!(exit(RulesCommand::Show { id, pack: None, data: None, json }), Exit::Done);
            }
        }
        assert_eq!(
            exit(RulesCommand::Show { id: "none".to_owned(), pack: None, data: None, json: false }),
            Exit::Usage
        );
    }

    #[test]
    fn what_is_wrong_with_a_pack_is_told_in_both_languages() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pack.toml");
        let text = Pack::base_text().replacen("memory.ram.available_percent", "memory.ram.availble_percent", 1);
        std::fs::write(&path, text).unwrap();
        let unknown = read(&path).unwrap_err();
        let missing = read(&dir.path().join("none")).unwrap_err();
        let directory = read(dir.path()).unwrap_err();
        for (unusable, english, chinese) in [
            (&unknown, "there is no fact memory.ram.availble_percent; the nearest is", "没有事实"),
            (&missing, "there is no file", "没有文件"),
            (&directory, "cannot be read", "参数无效"),
        ] {
            for (language, words) in [(Language::English, english), (Language::Chinese, chinese)] {
                let told = unusable.sentence(language);
                assert!(told.contains(words), "{told}");
            }
        }
        let wrong = Pack::base_text().replacen("expect = \"crit\"", "expect = \"info\"", 1);
        let mistakes = Pack::parse(&wrong).unwrap().run_tests();
        assert!(mistakes[0].sentence(Language::Chinese).contains("应为 info，实为 crit"));
        assert!(mistakes[0].sentence(Language::English).contains("expected info, got crit"));
    }

    #[test]
    fn rows_that_hold_rows_that_fail_and_files_that_are_no_pack_end_differently() {
        let dir = tempfile::tempdir().unwrap();
        let check = |text: &[u8], expected| {
            let file = dir.path().join("pack.toml");
            std::fs::write(&file, text).unwrap();
            assert_eq!(exit(RulesCommand::Test { file, json: false }), expected);
        };
        let base = Pack::base_text();
        check(base.as_bytes(), Exit::Done);
        check(base.replacen("expect = \"crit\"", "expect = \"info\"", 1).as_bytes(), Exit::Failed);
        check(base.replacen("raise.warn = \"", "raise.warn = \"(", 1).as_bytes(), Exit::Usage);
        check(base.replacen("zh = \"已用\"", "zh = \" \"", 1).as_bytes(), Exit::Usage);
        check(base.replacen("source = \"", "source = \"\" # \"", 1).as_bytes(), Exit::Usage);
        check(base.replacen("memory.ram.available_percent", "memory.ram.availble_percent", 1).as_bytes(), Exit::Usage);
        check(b"not = [toml", Exit::Usage);
        check(&[0xff, 0xfe], Exit::Usage);
        check(&vec![b' '; PACK_MAX_BYTES + 1], Exit::Usage);
        let file = dir.path().join("missing.toml");
        assert_eq!(exit(RulesCommand::Test { file, json: true }), Exit::Usage);
    }
}
