//! `backup`, `backup-key` and `restore`.

use std::io::{self, IsTerminal as _, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use hyper::Method;
use serde_json::json;

use belay_protocol::Language;

use super::{Place, print, text};
use crate::backup::{self, Identities, Recipient, Schedule};
use crate::clock::Clock;
use crate::data::DataDirectory;
use crate::local::LocalRequest;
use crate::secret::{create_private, flush_folder_of};

#[derive(Debug, Args)]
pub(super) struct Backup {
    #[command(flatten)]
    place: Place,
    /// The file to make
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Who may read it, as `backup-key` prints it; may be given several times
    #[arg(long, required = true, value_name = "age1...")]
    recipient: Vec<Recipient>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct BackupKey {
    /// The file to make, which is then kept off line
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The file that `backup-key` has made
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    /// Put it into a scratch place, compare everything, and take it away again
    #[arg(long, conflicts_with_all = ["data", "database"])]
    verify: bool,
    /// The new directory of the desk
    #[arg(long, default_value = "./belay-data", value_name = "DIR")]
    data: PathBuf,
    /// An empty PostgreSQL database to use instead of a SQLite file in the directory
    #[arg(long, value_name = "URL", hide_env_values = true)]
    database: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The options of `serve` for backups that make themselves.
#[derive(Debug, Args)]
pub(super) struct Scheduled {
    /// Folder to write backups to, on another disk than the data
    #[arg(long, value_name = "DIR", requires = "backup_recipient")]
    backup_to: Option<PathBuf>,
    /// Who may read them, as `backup-key` prints it; may be given several times
    #[arg(long, value_name = "age1...", requires = "backup_to")]
    backup_recipient: Vec<Recipient>,
    /// Hours from one to the next
    #[arg(long, default_value_t = 24, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(1..=24 * 366))]
    backup_every: u32,
    /// Days to keep each; the newest stays in any case
    #[arg(long, default_value_t = 30, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    backup_keep: u32,
}

impl Scheduled {
    pub(super) fn schedule(self) -> Option<Schedule> {
        Some(Schedule {
            folder: self.backup_to?,
            recipients: self.backup_recipient,
            every: HOUR * self.backup_every,
            keep: HOUR * 24 * self.backup_keep,
        })
    }
}

const HOUR: Duration = Duration::from_secs(60 * 60);

impl Backup {
    pub(super) async fn run(self, language: Language) -> anyhow::Result<()> {
        let local = self.place.reach().await?;
        let partial = partial_of(&self.file);
        anyhow::ensure!(!self.file.exists(), text::exists(&self.file, language));
        let mut sink =
            Counted::new(create_private(&partial).with_context(|| partial.display().to_string())?, None, language);
        let recipients: Vec<String> = self.recipient.iter().map(ToString::to_string).collect();
        let body = json!({ "recipients": recipients });
        let request = LocalRequest::new(Method::POST, "/api/v1/backups", Some(body));
        let saved = local.save(request, &mut sink).await.map_err(anyhow::Error::new);
        let bytes = sink.count;
        let kept = saved.and_then(|()| {
            sink.end().sync_all()?;
            // Only a whole backup gets the name; and never in another's place.
            std::fs::hard_link(&partial, &self.file)?;
            Ok(flush_folder_of(&self.file)?)
        });
        let _ = std::fs::remove_file(&partial);
        kept?;
        let made = json!({ "file": self.file, "bytes": bytes, "recipients": recipients });
        print(self.json, &made, || text::backed_up(&made, language))
    }
}

fn partial_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

impl BackupKey {
    pub(super) fn run(self, language: Language) -> anyhow::Result<()> {
        use std::os::unix::fs::OpenOptionsExt as _;

        let (identity, recipient) = backup::new_identity(Clock::System.now());
        let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.file);
        let mut file = match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                anyhow::bail!(text::exists(&self.file, language))
            }
            made => made.with_context(|| self.file.display().to_string())?,
        };
        file.write_all(identity.as_bytes())?;
        file.sync_all()?;
        let made = json!({ "file": self.file, "recipient": recipient.to_string() });
        print(self.json, &made, || text::backup_key(&made, language))
    }
}

impl Restore {
    pub(super) async fn run(self, language: Language) -> anyhow::Result<()> {
        let named = |path: &Path| path.display().to_string();
        let identities = Identities::load(&self.identity).with_context(|| named(&self.identity))?;
        let file = std::fs::File::open(&self.file).with_context(|| named(&self.file))?;
        let total = file.metadata()?.len();
        let source = Counted::new(file, Some(total), language);
        let scratch =
            if self.verify { Some(tempfile::Builder::new().prefix("belay-restore-").tempdir()?) } else { None };
        let data = match &scratch {
            Some(scratch) => scratch.path().join("desk"),
            None => self.data.clone(),
        };
        let was_there = data.exists();
        let place = backup::Place { data: DataDirectory::at(&data), database: self.database, clock: Clock::System };
        let restored = match backup::restore(source, identities, &place).await {
            Ok(restored) => restored,
            Err(error) => {
                let is_ours = !matches!(error, backup::RestoreError::DirectoryInUse(_));
                if is_ours {
                    // What is left would be in the way of another try.
                    let _ = clear(&data, was_there);
                }
                return Err(anyhow::Error::new(error).context(named(&self.file)));
            }
        };
        let told = json!({
            "backup": restored,
            "data": if self.verify { None } else { Some(&self.data) },
            "verified": true,
        });
        print(self.json, &told, || text::restored_desk(&told, language))?;
        anyhow::ensure!(restored.damaged_blobs.is_empty(), text::damaged_before(&restored, language));
        Ok(())
    }
}

/// Empties a directory, which was empty before, or takes it away.
fn clear(data: &Path, was_there: bool) -> io::Result<()> {
    if !was_there {
        return std::fs::remove_dir_all(data);
    }
    for entry in std::fs::read_dir(data)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A file that tells on a terminal how much of it has gone by.
struct Counted<F> {
    file: F,
    count: u64,
    total: Option<u64>,
    told: Option<Instant>,
    language: Language,
}

impl<F> Counted<F> {
    fn new(file: F, total: Option<u64>, language: Language) -> Self {
        let told = io::stderr().is_terminal().then(Instant::now);
        Self { file, count: 0, total, told, language }
    }

    fn add(&mut self, bytes: usize) {
        self.count += bytes as u64;
        if self.told.is_some_and(|told| told.elapsed() >= TELL_EVERY) {
            let _ = write!(io::stderr(), "\r{}\x1b[K", text::progress(self.count, self.total, self.language));
            self.told = Some(Instant::now());
        }
    }

    fn clear_line(&self) {
        if self.told.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Counted<std::fs::File> {
    fn end(&self) -> &std::fs::File {
        self.clear_line();
        &self.file
    }
}

impl<F> Drop for Counted<F> {
    fn drop(&mut self) {
        self.clear_line();
    }
}

impl<F: Write> Write for Counted<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.add(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl<F: Read> Read for Counted<F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        self.add(read);
        Ok(read)
    }
}

const TELL_EVERY: Duration = Duration::from_millis(200);
