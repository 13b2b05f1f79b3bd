//! `belay-agent survey`: looking at this machine, for the person in front of it, for machines, and for a file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use belay_protocol::finding::Severity;
use belay_protocol::lang::system_error;
use belay_protocol::report::{Section, SectionName, Withholding};
use belay_protocol::saved::{SavedReport, signed_bytes};
use belay_protocol::{Language, Phrase};
use belay_relay::client::Proxy;
use belay_relay::identity::Identity;
use belay_relay::net::SystemNet;

use super::{Exit, ProgressLine, err, section, shown, watch};
use crate::consent::contents::Contents;
use crate::data_file;
use crate::join::{JoinError, help_host};
use crate::page;
use crate::paths::{DEVICE_KEY, default_data_dir};
use crate::probe::desk_path::Desk;
use crate::redact::{Redacted, SeenHere, redact, redact_keeping, see_here};
use crate::rulebook::Rulebook;
use crate::survey::{Look, Smart, look};
use crate::terminal::{Colour, Screen, json, plain};

/// Shown below the help of the command.
pub const EXAMPLE: &str = "Example:\n  belay-agent survey\n  belay-agent survey --json | less\n  belay-agent survey --check || echo 'something is critical'\n  belay-agent survey --save report.belay\n  belay-agent survey --watch memory\n\nThe name servers of this machine are asked two questions each, about the root of all names and about a name that cannot exist, and the system for a root server's address; nothing about you is in them.";

/// Options of `survey`.
#[derive(Debug, Default, clap::Args)]
pub struct SurveyArgs {
    /// Print the report as JSON, with private names replaced
    #[arg(long)]
    pub json: bool,
    /// Show what a desk would be sent: sections, sizes, what was replaced, and every value
    #[arg(long, conflicts_with = "json")]
    pub show: bool,
    /// Leave sections out of --json, --show and --save: system, disk, memory, drivers, network, findings
    #[arg(long, value_name = "SECTION", value_delimiter = ',', value_parser = section)]
    pub without: Vec<SectionName>,
    /// Write what a desk would be sent to this new file, for a machine without a network: give the file to support
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "show", "root"])]
    pub save: Option<PathBuf>,
    /// Keep showing one section, until Ctrl-C: system, disk, memory, drivers or network; or one disk or interface, as
    /// disk:sda or network:eth0. With --json a line each time
    #[arg(long, value_name = "SUBJECT", value_parser = watch::subject, conflicts_with_all = ["save", "show", "without", "root", "check"])]
    pub watch: Option<watch::Subject>,
    /// Seconds between two looks of --watch
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub every: u32,
    /// Look at a captured tree of /proc and /sys instead of this machine
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Directory of the device's key, earlier samples and the desk's rules [default: of the system]
    #[arg(long, value_name = "DIR", conflicts_with = "root")]
    pub data: Option<PathBuf>,
    /// Also ask smartmontools for the health of disks: starts a program, wakes no disk, needs root
    #[arg(long)]
    pub smart: bool,
    /// Also look when this certificate ends
    #[arg(long, value_name = "FILE")]
    pub certificate: Vec<String>,
    /// Exit with 4 when something critical is found
    #[arg(long)]
    pub check: bool,
    /// Also look at the way to this support desk and its relays; nothing about this machine is sent there
    #[arg(long, value_name = "HOST")]
    pub desk: Option<String>,
}

pub(super) async fn run(options: SurveyArgs, language: Language) -> anyhow::Result<Exit> {
    if let Some(subject) = options.watch {
        return watch::run(subject, Duration::from_secs(options.every.into()), options.json, language).await;
    }
    let desk = match options.desk.as_deref().map(desk).transpose() {
        Ok(desk) => desk,
        Err(error) => {
            writeln!(err(), "{}", error.sentence(language))?;
            return Ok(Exit::Usage);
        }
    };
    if options.root.is_none()
        && let Some((file, error)) = options.certificate.iter().find_map(|file| Some((file, fs::metadata(file).err()?)))
    {
        let values = [("file", &*plain(file)), ("why", &system_error(&error, language))];
        writeln!(err(), "{}", NO_CERTIFICATE.fill(language, &values))?;
        return Ok(Exit::Usage);
    }
    // A captured tree is another machine: what was seen here says nothing about it.
    let mut data_dir = options.data.or_else(|| default_data_dir().ok()).filter(|_| options.root.is_none());
    if let Some(dir) = data_dir.take_if(|dir| !data_file::answers(dir)) {
        writeln!(err(), "{}", SILENT_DATA.fill(language, &[("dir", &dir.display().to_string())]))?;
    }
    if let Some(dir) = data_dir.as_deref().filter(|dir| !data_file::may_be_directory(dir)) {
        writeln!(err(), "{}", NO_DIRECTORY.fill(language, &[("dir", &plain(&dir.display().to_string()))]))?;
        return Ok(Exit::Usage);
    }
    let rulebook =
        Arc::new(data_dir.as_deref().map(|dir| Rulebook::in_data_dir(dir).of_only_desk(dir)).unwrap_or_default());
    if rulebook.has_unusable() {
        writeln!(err(), "{}", UNUSABLE_RULES.text(language))?;
    }
    let watch = Look {
        root: options.root,
        language,
        desk,
        data_dir,
        smart: if options.smart { Smart::Asked } else { Smart::NotAsked },
        certificates: options.certificate,
        ..Look::default()
    };
    if let Some(file) = &options.save {
        // Nobody waits for a survey that has nowhere to go; and what is stopped meanwhile leaves no file behind.
        drop(NewFile::claim(file, language)?);
    }
    let progress = ProgressLine::new(language);
    let survey = look(&watch, |step| progress.show(step)).await;
    progress.clear();
    let survey = survey?;
    // From here on this device has a key and a map of names, which a file that cannot be written is no reason to make.
    let new_file = options.save.as_deref().map(|file| NewFile::claim(file, language)).transpose()?;
    let seen_here = if survey.is_nameless() { Some(see_here(&survey, Arc::clone(&rulebook))?) } else { None };
    let redacted = match &watch.data_dir {
        Some(data_dir) => redact_keeping(survey, Arc::clone(&rulebook), data_dir)?,
        None => redact(survey, Arc::clone(&rulebook))?,
    };
    rulebook.keep(seen_here.as_ref().map_or(redacted.standing(), SeenHere::standing));
    let report = seen_here.as_ref().map_or_else(|| redacted.report(), SeenHere::report)?;
    let redacted = if options.without.is_empty() { redacted } else { redacted.without(&options.without)? };
    let mut out = super::out();
    if options.json {
        let sent = redacted.report()?;
        writeln!(out, "{}", json(&sent).context("cannot write the report as JSON")?)?;
    } else if let Some(file) = new_file {
        let data_dir = watch.data_dir.as_deref().context(NO_DATA.text(language))?;
        let values = [("file", &*file.path.display().to_string())];
        save(&redacted, data_dir, file, language)?;
        let contents = Contents::new(&redacted)?.list(language, Colour::of(&io::stdout()));
        writeln!(out, "{}\n\n{}", SAVED.fill(language, &values), contents.trim_end())?;
    } else if options.show {
        let (contents, colour) = (Contents::new(&redacted)?, Colour::of(&io::stdout()));
        write!(out, "{}\n{}", contents.everything(language, colour), contents.list(language, colour))?;
    } else if seen_here.is_some() {
        let page = page::survey(&report, language, Screen::of(&io::stdout()));
        write!(out, "{page}\n{}\n", NAMELESS.text(language))?;
    } else {
        write!(out, "{}", shown(&redacted, language, Screen::of(&io::stdout()))?)?;
    }
    out.flush()?;
    if !options.check {
        return Ok(Exit::Done);
    }
    if report.findings().is_some_and(|findings| findings.count(Severity::Crit) > 0) {
        return Ok(Exit::Critical);
    }
    let unjudged = |section: &Section| match section {
        Section::Withheld(withheld) => withheld.reason == Withholding::RedactionFailed,
        _ => false,
    };
    anyhow::ensure!(!report.sections.iter().any(unjudged), UNJUDGED.text(language));
    Ok(Exit::Done)
}

/// A file that was not there and that only its owner may read; it goes again unless something was written to it.
#[derive(Debug)]
struct NewFile<'a> {
    path: &'a Path,
    file: File,
    is_written: bool,
}

impl<'a> NewFile<'a> {
    fn claim(path: &'a Path, language: Language) -> anyhow::Result<Self> {
        let file =
            data_file::private().create_new(true).open(path).map_err(|error| unwritten(path, &error, language))?;
        Ok(Self { path, file, is_written: false })
    }

    fn write(mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.sync_all()?;
        self.is_written = true;
        Ok(())
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        if !self.is_written {
            // A part of a report is of no use to anybody.
            let _ = fs::remove_file(self.path);
        }
    }
}

fn unwritten(file: &Path, error: &io::Error, language: Language) -> anyhow::Error {
    let (phrase, why) = match error.kind() {
        io::ErrorKind::AlreadyExists => (EXISTS, String::new()),
        _ => (NOT_WRITTEN, system_error(error, language)),
    };
    anyhow::Error::msg(phrase.fill(language, &[("file", &file.display().to_string()), ("why", &why)]))
}

/// Writes the report with this device's signature to `file`.
fn save(redacted: &Redacted, data_dir: &Path, file: NewFile<'_>, language: Language) -> anyhow::Result<()> {
    fs::create_dir_all(data_dir).map_err(|error| {
        let unusable = JoinError::Data { dir: data_dir.to_owned(), source: Some(error) };
        anyhow::Error::msg(unusable.sentence(language))
    })?;
    let identity = Identity::load_or_create(&data_dir.join(DEVICE_KEY))?;
    let signature = identity.sign(&signed_bytes(redacted.sha256()));
    let saved = SavedReport { device: identity.device_key(), signature, report: redacted.bytes().to_vec() };
    let path = file.path;
    file.write(&saved.encode()).map_err(|error| unwritten(path, &error, language))
}

/// The desk that somebody has named.
fn desk(host: &str) -> Result<Desk, JoinError> {
    let proxy = Proxy::from_environment(|name| std::env::var(name).ok())?;
    Ok(Desk::new(help_host(host)?, proxy).with_relays(Arc::new(SystemNet)))
}

const NO_CERTIFICATE: Phrase =
    Phrase { en: "The certificate {file} cannot be read: {why}.", zh: "无法读取证书 {file}：{why}。" };
const UNUSABLE_RULES: Phrase = Phrase {
    en: "The rules that your support desk gave are damaged; the ones that come with this program judge. The next visit brings them again.",
    zh: "支持台提供的规则已损坏，现使用本程序自带的规则进行判断。下次连接时会重新获取。",
};
const SILENT_DATA: Phrase = Phrase {
    en: "{dir} does not answer: the survey goes on without what is kept there. --data names another directory.",
    zh: "{dir} 没有响应：检查将在不使用其中数据的情况下继续。可用 --data 指定其他目录。",
};
const NO_DIRECTORY: Phrase = Phrase {
    en: "{dir} is no directory, so that nothing can be kept there. --data names another.",
    zh: "{dir} 不是目录，无法在其中保存数据。可用 --data 指定其他目录。",
};
const NAMELESS: Phrase = Phrase {
    en: "The names that the machine has for its people could not be learnt in time. Until they can, nothing of this would be sent to support: try again when the machine has less to do.",
    zh: "未能及时得知机器所用的人名等名称。在此之前，以上内容都不会发送给客服：请在机器空闲时重试。",
};
const UNJUDGED: Phrase = Phrase {
    en: "a section could not be judged, so that nobody can say whether something in it is critical",
    zh: "有一部分内容无法判断，因此无法确定其中是否存在严重问题",
};
const SAVED: Phrase = Phrase {
    en: "Saved to {file}. Nothing was sent: give that file to support, by mail or on a stick. This is in it:",
    zh: "已保存到 {file}。未发送任何内容：请通过邮件或U盘将该文件交给客服。其中包含：",
};
const NO_DATA: Phrase = Phrase {
    en: "this account has no home directory, in which the key that signs the report could be kept",
    zh: "此账户没有主目录，无法保存用于签署报告的密钥",
};
const EXISTS: Phrase = Phrase {
    en: "{file} is there already: choose another name, or delete it first",
    zh: "{file} 已存在：请另选名称，或先将其删除",
};
const NOT_WRITTEN: Phrase = Phrase {
    en: "{file} cannot be written ({why}): choose another place",
    zh: "无法写入 {file}（{why}）：请另选位置",
};

#[cfg(test)]
mod tests {
    use belay_relay::identity::is_signed_by;
    use belay_relay::logging::LogOptions;

    use super::super::{Cli, Command};
    use super::*;

    #[tokio::test]
    async fn a_tree_with_something_critical_fails_the_check_and_only_the_check() {
        let (dir, _root) = crate::probe::tests::tree(&crate::redact::tests::files());
        let options =
            |check| SurveyArgs { json: true, root: Some(dir.path().to_owned()), check, ..SurveyArgs::default() };
        assert_eq!(run(options(true), Language::English).await.unwrap(), Exit::Critical);
        assert_eq!(run(options(false), Language::English).await.unwrap(), Exit::Done);
        let missing = SurveyArgs { root: Some("/no/such/tree".into()), ..SurveyArgs::default() };
        let cli = Cli { lang: None, log: LogOptions::default(), command: Command::Survey(missing) };
        assert_eq!(super::super::run(cli).await, Exit::Failed);
    }

    #[tokio::test]
    async fn a_saved_report_is_signed_and_replaces_nothing() {
        let (tree, _root) = crate::probe::tests::tree(&crate::redact::tests::files());
        let survey = look(&Look { root: Some(tree.path().to_owned()), ..Look::default() }, |_| {}).await.unwrap();
        let redacted = redact(survey, Arc::default()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (data, file) = (dir.path().join("data"), dir.path().join("report.belay"));
        save(&redacted, &data, NewFile::claim(&file, Language::English).unwrap(), Language::English).unwrap();
        let saved = SavedReport::decode(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(saved.report, redacted.bytes());
        assert!(is_signed_by(&saved.device.0, &signed_bytes(redacted.sha256()), &saved.signature));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        for (language, words) in [(Language::English, "is there already"), (Language::Chinese, "已存在")] {
            let error = NewFile::claim(&file, language).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("report.belay"), "{error}");
        }
        assert_eq!(SavedReport::decode(&fs::read(&file).unwrap()).unwrap(), saved);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_is_refused_before_the_device_has_a_key_or_a_map() {
        let dir = tempfile::tempdir().unwrap();
        let (data, there) = (dir.path().join("data"), dir.path().join("there"));
        fs::write(&there, b"mine").unwrap();
        for (file, words) in [(there.clone(), "is there already"), (dir.path().join("no/such"), "choose another place")]
        {
            let options = SurveyArgs { save: Some(file), data: Some(data.clone()), every: 2, ..SurveyArgs::default() };
            let error = run(options, Language::English).await.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert!(!data.exists() && fs::read(there).unwrap() == b"mine");
    }

    #[tokio::test]
    async fn data_that_are_to_be_kept_in_a_file_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, b"mine").unwrap();
        for data in [file.clone(), file.join("below")] {
            let options = SurveyArgs { data: Some(data), every: 2, ..SurveyArgs::default() };
            assert_eq!(run(options, Language::Chinese).await.unwrap(), Exit::Usage);
        }
        assert_eq!(fs::read(file).unwrap(), b"mine");
    }

    #[test]
    fn a_claimed_file_that_is_not_written_goes_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("report.belay");
        drop(NewFile::claim(&file, Language::English).unwrap());
        assert!(!file.exists());
    }
}
