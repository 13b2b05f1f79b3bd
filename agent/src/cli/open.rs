//! `belay-agent open`: what is in a report that was saved to a file, whose it is, and whether it is whole.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use belay_protocol::codec::DecodeError;
use belay_protocol::finding::bytes_for_people;
use belay_protocol::id::hex;
use belay_protocol::lang::system_error;
use belay_protocol::report::Report;
use belay_protocol::saved::{NotSaved, SAVED_MAX_BYTES, SavedReport, signed_bytes};
use belay_protocol::{Language, Phrase};
use belay_relay::identity::{Identity, is_signed_by};
use sha2::{Digest, Sha256};

use super::{Exit, err, moment};
use crate::consent::contents::Contents;
use crate::data_file;
use crate::page;
use crate::paths::{DEVICE_KEY, default_data_dir};
use crate::terminal::{Colour, Screen, Style, json, plain};

/// Shown below the help of the command.
pub const EXAMPLE: &str = "Example:\n  belay-agent open report.belay\n  belay-agent open report.belay --show";

/// Options of `open`.
#[derive(Debug, clap::Args)]
pub struct OpenArgs {
    /// What `survey --save` has written
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    /// Show every value in it
    #[arg(long, conflicts_with = "json")]
    pub show: bool,
    /// Directory of this device's key, to say whether the report is of this machine [default: of the system]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Runs `open`. Nothing is written anywhere.
pub(super) fn run(args: OpenArgs, language: Language) -> anyhow::Result<Exit> {
    let (saved, report) = match open(&args.file) {
        Ok(opened) => opened,
        Err(error) => {
            writeln!(err(), "belay-agent: {}", error.sentence(&args.file, language))?;
            return Ok(Exit::Failed);
        }
    };
    let mut out = super::out();
    if args.json {
        writeln!(out, "{}", json(&report).context("cannot write the report as JSON")?)?;
        return Ok(Exit::Done);
    }
    let dir = args.data.or_else(|| default_data_dir().ok()).filter(|dir| data_file::answers(dir));
    let own = dir.and_then(|dir| Identity::load(&dir.join(DEVICE_KEY)).ok());
    let is_own = own.is_some_and(|own| own.device_key() == saved.device);
    let colour = Colour::of(&io::stdout());
    writeln!(out, "{}", head(&saved, &report, is_own, language, colour))?;
    if args.show {
        write!(out, "{}", Contents::of_saved(report, &saved.report).everything(language, colour))?;
    } else {
        write!(out, "{}", page::survey(&report, language, Screen::of(&io::stdout())))?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// Whose report it is, of when, and that it is whole.
fn head(saved: &SavedReport, report: &Report, is_own: bool, language: Language, colour: Colour) -> String {
    let taken = moment(report.header.taken_at_unix_ms);
    let (key, version) = (saved.device.to_string(), plain(&report.header.agent_version));
    let own = if is_own { THIS_MACHINE.text(language) } else { "" };
    let (size, hash) = (bytes_for_people(saved.report.len() as u64), hex(&Sha256::digest(&saved.report)));
    let lines = [
        WHOLE.fill(language, &[("size", &size)]),
        DEVICE.fill(language, &[("key", &key), ("own", own)]),
        TAKEN.fill(language, &[("time", &taken), ("version", &version)]),
        colour.paint(Style::Dim, format!("SHA-256 {hash}")),
    ];
    lines.map(|line| line + "\n").concat()
}

/// Why a file does not open. Its bearer's doing, but for the last two.
#[derive(Debug, thiserror::Error)]
enum Unopened {
    #[error("it is no file")]
    NotAFile,
    #[error(transparent)]
    NotSaved(#[from] NotSaved),
    #[error("its signature does not fit")]
    NotSigned,
    #[error("it cannot be read")]
    File(#[from] io::Error),
    #[error("its report cannot be decoded")]
    Report(#[from] DecodeError),
}

/// Reads a saved report, as long as its device has signed all of it.
fn open(file: &Path) -> Result<(SavedReport, Report), Unopened> {
    let bytes = data_file::read_regular(file, SAVED_MAX_BYTES as u64).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => NotSaved::TooLarge.into(),
        io::ErrorKind::InvalidInput => Unopened::NotAFile,
        _ => error.into(),
    })?;
    let saved = SavedReport::decode(&bytes)?;
    let message = signed_bytes(&Sha256::digest(&saved.report).into());
    if !is_signed_by(&saved.device.0, &message, &saved.signature) {
        return Err(Unopened::NotSigned);
    }
    let report = Report::decode(&saved.report)?;
    Ok((saved, report))
}

impl Unopened {
    fn sentence(&self, file: &Path, language: Language) -> String {
        let (phrase, why) = match self {
            Self::NotAFile => (NOT_A_FILE, String::new()),
            Self::NotSaved(error) => (NOT_SAVED, error.phrase().text(language).to_owned()),
            Self::NotSigned => (NOT_SIGNED, String::new()),
            Self::File(error) if error.kind() == io::ErrorKind::NotFound => (MISSING, String::new()),
            Self::File(error) => (UNREADABLE, system_error(error, language)),
            Self::Report(error) => (UNKNOWN_REPORT, error.to_string()),
        };
        plain(&phrase.fill(language, &[("file", &file.display().to_string()), ("why", &why)]))
    }
}

const WHOLE: Phrase = Phrase {
    en: "A saved report ({size}). Its device's signature fits: no byte was lost or changed.",
    zh: "已保存的报告（{size}）。设备签名相符：内容没有丢失或改动。",
};
const DEVICE: Phrase = Phrase { en: "Device: {key}{own}", zh: "设备：{key}{own}" };
const THIS_MACHINE: Phrase = Phrase { en: " (this machine)", zh: "（本机）" };
const TAKEN: Phrase = Phrase {
    en: "Looked at: {time} by its own clock, by agent {version}",
    zh: "检查时间：{time}（以其自身时钟为准），代理版本 {version}",
};
const MISSING: Phrase = Phrase { en: "there is no file {file}", zh: "没有文件 {file}" };
const NOT_A_FILE: Phrase = Phrase {
    en: "{file} is a directory, a pipe or a device: name the file that `belay-agent survey --save` has written",
    zh: "{file} 是目录、管道或设备：请指定由 `belay-agent survey --save` 写入的文件",
};
const UNREADABLE: Phrase = Phrase { en: "{file} cannot be read ({why})", zh: "无法读取 {file}（{why}）" };
const NOT_SAVED: Phrase = Phrase { en: "{file}: {why}", zh: "{file}：{why}" };
const NOT_SIGNED: Phrase = Phrase {
    en: "{file} was changed, cut off or damaged on its way: its device's signature does not fit. Copy it again",
    zh: "{file} 在传递途中被改动、截断或损坏：设备签名不符。请重新复制",
};
const UNKNOWN_REPORT: Phrase = Phrase {
    en: "this version cannot read the report in {file} ({why}): update this program",
    zh: "此版本无法读取 {file} 中的报告：请更新本程序",
};

#[cfg(test)]
mod tests {
    use std::fs;

    use belay_protocol::bounded::{BoundedVec, Name};
    use belay_protocol::finding::Finding;
    use belay_protocol::report::Section;

    use super::*;
    use crate::redact::{redact, tests::survey};

    async fn saved() -> SavedReport {
        let redacted = redact(survey().await, Default::default()).unwrap();
        let identity = Identity::generate().unwrap();
        let signature = identity.sign(&signed_bytes(redacted.sha256()));
        SavedReport { device: identity.device_key(), signature, report: redacted.bytes().to_vec() }
    }

    #[tokio::test]
    async fn a_saved_report_says_whose_it_is_of_when_and_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let (file, saved) = (dir.path().join("report.belay"), saved().await);
        fs::write(&file, saved.encode()).unwrap();
        let (opened, report) = open(&file).unwrap();
        assert_eq!(opened, saved);
        let shown = head(&opened, &report, true, Language::English, Colour::None);
        let year = jiff::Timestamp::now().strftime("%Y-").to_string();
        for words in [&saved.device.to_string(), "(this machine)", "signature fits", &year, env!("CARGO_PKG_VERSION")] {
            assert!(shown.contains(words), "{words} in {shown}");
        }
        let shown = head(&opened, &report, false, Language::Chinese, Colour::None);
        assert!(shown.contains("签名相符") && !shown.contains("本机"), "{shown}");
        for (json, show) in [(false, false), (true, false), (false, true)] {
            let args = OpenArgs { file: file.clone(), json, show, data: Some(dir.path().join("nowhere")) };
            assert_eq!(run(args, Language::English).unwrap(), Exit::Done);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "something was written");
    }

    #[tokio::test]
    async fn what_is_no_whole_and_true_report_says_why_in_both_languages() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("report.belay");
        let refused = |file: &Path, english: &str, chinese: &str| {
            let error = open(file).unwrap_err();
            for (language, words) in [(Language::English, english), (Language::Chinese, chinese)] {
                let said = error.sentence(file, language);
                assert!(said.contains(words) && said.contains(&*file.display().to_string()), "{said}");
            }
            let args = OpenArgs { file: file.to_owned(), json: false, show: false, data: None };
            assert_eq!(run(args, Language::English).unwrap(), Exit::Failed);
        };
        let check = |bytes: &[u8], english: &str, chinese: &str| {
            fs::write(&file, bytes).unwrap();
            refused(&file, english, chinese);
        };
        let good = saved().await;
        let bytes = good.encode();
        check(b"", "is not a report", "不是由");
        check(b"%PDF-1.7 and so on", "is not a report", "不是由");
        check(&bytes[..60], "was cut off", "不完整");
        check(&bytes[..bytes.len() - 1], "signature does not fit", "签名不符");
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 1;
        check(&flipped, "signature does not fit", "签名不符");
        check(String::from_utf8_lossy(&bytes).replace("\r\n", "\n").as_bytes(), "copied as text", "文本");
        check(&[b"belay report 2\r\n", &bytes[16..]].concat(), "newer agent", "更新版本");
        check(&vec![7; SAVED_MAX_BYTES + 1], "longer than a report", "长度");
        let identity = Identity::generate().unwrap();
        let other = b"something else".to_vec();
        let signature = identity.sign(&signed_bytes(&Sha256::digest(&other).into()));
        let other = SavedReport { device: identity.device_key(), signature, report: other };
        check(&other.encode(), "cannot read the report", "无法读取");
        refused(&dir.path().join("nowhere"), "there is no file", "没有文件");
        refused(dir.path(), "is a directory", "是目录");
        #[cfg(unix)]
        {
            let pipe = dir.path().join("pipe");
            rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
            refused(&pipe, "a pipe", "管道");
            refused(Path::new("/dev/zero"), "a device", "设备");
        }
    }

    #[tokio::test]
    async fn a_strangers_report_commands_no_terminal() {
        let mut report = redact(survey().await, Default::default()).unwrap().report().unwrap();
        let evil = Name::truncating("\u{1b}]0;evil\u{7}\u{1b}[2J");
        report.header.agent_version = evil.clone();
        let sections = report.sections.into_vec().into_iter().map(|section| match section {
            Section::Findings(mut findings) => {
                let found = findings.found.into_vec().into_iter();
                findings.found = BoundedVec::truncating(found.map(|one| Finding { rule: evil.clone(), ..one })).0;
                Section::Findings(findings)
            }
            section => section,
        });
        report.sections = BoundedVec::truncating(sections).0;
        let saved = SavedReport { report: report.encode().unwrap(), ..saved().await };
        let page = page::survey(&report, Language::English, Colour::None);
        let head = head(&saved, &report, false, Language::English, Colour::None);
        let all = Contents::of_saved(report, &saved.report).everything(Language::English, Colour::None);
        assert!(![page, head, all].concat().chars().any(|c| c.is_control() && c != '\n'));
    }
}
