//! The command line of `belay-console`.

use std::io::{self, BufReader, Read as _, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use hyper::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use belay_protocol::Language;
use belay_protocol::bounded::Name;
use belay_protocol::invite::RelayAddress;
use belay_protocol::saved::{SAVED_MAX_BYTES, SavedReport, signed_bytes};
use belay_relay::client::{NotAProxy, Proxy};
use belay_relay::identity::is_signed_by;
use belay_relay::logging::LogOptions;
use belay_relay::net::SystemNet;
use belay_relay::settings;

use crate::audit;
use crate::clock::Clock;
use crate::console::{Config, Console, Https, Offline, OpenError};
use crate::data::{DataDirectory, DataError, DeskName};
use crate::local::{Local, LocalBody, LocalError, LocalPath, LocalRequest};
use crate::number::TicketNumber;
use crate::policy::Role;
use crate::secret::{ServerKey, sha256};

mod backup;
mod rules;
mod text;

/// The support desk: tickets, invites, reports and findings, and the web console over them.
#[derive(Debug, Parser)]
#[command(name = "belay-console", version, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(flatten)]
    log: LogOptions,
    /// Language of what is printed: en or zh; the locale's when not given
    #[arg(long, global = true, value_name = "LANG")]
    lang: Option<Language>,
    #[command(subcommand)]
    command: Command,
}

/// The exit code that wrong options have as well.
const WRONG_CONFIGURATION: u8 = 2;

const AFTER_HELP: &str = "Example:\n  belay-console init && belay-console serve\n\n\
    Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.\n\
    Every option can also be set as BELAY_<OPTION> or as a key of the TOML file named by --config.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new desk: its directory, keys and database, and the first admin's set-up link
    #[command(
        after_help = "Example:\n  belay-console init --data /var/lib/belay --name 'Nordwind Help' \\\n      --help-host help.example.com"
    )]
    Init(Init),
    /// Run the console until it is told to stop
    #[command(
        after_help = "Example:\n  belay-console serve --data /var/lib/belay --http 127.0.0.1:8080 \\\n      --relay relay.example.com:4433#aeb4...\n\nWhere only an HTTP proxy leads to the relays, HTTPS_PROXY names it (http://[USER:PASSWORD@]HOST:PORT) and\nNO_PROXY the exceptions."
    )]
    Serve(Serve),
    /// Open tickets and look at them
    #[command(
        subcommand,
        after_help = "Example:\n  belay-console ticket open --title 'Disk is full' --customer 'Nordwind'\n  belay-console ticket list"
    )]
    Ticket(Ticket),
    /// List the known devices, shut one out, or let it in again
    #[command(
        subcommand,
        after_help = "Example:\n  belay-console device list\n  belay-console device revoke 7 --reason 'Stolen'"
    )]
    Device(Device),
    /// File reports that machines without a network have saved
    #[command(subcommand, after_help = "Example:\n  belay-console report import report.belay --ticket BL-10001-4")]
    Report(Report),
    /// Sign and publish rule packs, and judge stored reports again
    #[command(
        subcommand,
        after_help = "Example:\n  belay-console rules publish our-rules.toml\n  belay-console rules rerun --ticket BL-10001-4"
    )]
    Rules(rules::Rules),
    /// Manage the users of the desk
    #[command(subcommand, after_help = "Example:\n  belay-console user add eva --role technician")]
    User(User),
    /// Check the audit, and take it away
    #[command(
        subcommand,
        after_help = "Example:\n  belay-console audit verify\n  belay-console audit export audit.jsonl"
    )]
    Audit(Audit),
    /// Write everything of the desk into one file that only an offline key opens; the console goes on working
    #[command(
        after_help = "Example:\n  belay-console backup-key backup.key        # keep this file off line\n  belay-console backup desk.age --recipient age1..."
    )]
    Backup(backup::Backup),
    /// Make the key that opens backups, and print the recipient that they are made for
    #[command(after_help = "Example:\n  belay-console backup-key backup.key")]
    BackupKey(backup::BackupKey),
    /// Put a backup into a new place, or only try that, and compare every row, file and audit line
    #[command(
        after_help = "Example:\n  belay-console restore desk.age --identity backup.key --verify\n  belay-console restore desk.age --identity backup.key --data /var/lib/belay-new"
    )]
    Restore(backup::Restore),
}

#[derive(Debug, Args)]
struct Place {
    /// Directory of the desk
    #[arg(long, default_value = "./belay-data", value_name = "DIR")]
    data: PathBuf,
    /// PostgreSQL database to use instead of the SQLite file in the directory
    #[arg(long, value_name = "URL", hide_env_values = true)]
    database: Option<String>,
}

#[derive(Debug, Args)]
struct Init {
    #[command(flatten)]
    place: Place,
    /// The desk's name, as customers see it
    #[arg(long, default_value = "Help desk", value_name = "NAME")]
    name: String,
    /// The host that customers type and that serves this console: HOST or HOST:PORT
    #[arg(long, value_name = "HOST")]
    help_host: Option<String>,
    /// The sign-in name of the first admin
    #[arg(long, default_value = "admin", value_name = "NAME")]
    admin: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Serve {
    #[command(flatten)]
    place: Place,
    /// Address of plain HTTP; on other than a loopback address --trusted-proxy is required
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR")]
    http: SocketAddr,
    /// Address of HTTPS
    #[arg(long, value_name = "ADDR", requires_all = ["cert", "key"])]
    https: Option<SocketAddr>,
    /// PEM file of the certificate chain; read again at SIGHUP
    #[arg(long, value_name = "FILE", requires = "https")]
    cert: Option<PathBuf>,
    /// PEM file of the certificate's key
    #[arg(long, value_name = "FILE", requires = "https")]
    key: Option<PathBuf>,
    /// Address of a proxy in front, whose X-Forwarded-For and X-Forwarded-Proto are believed
    #[arg(long, value_name = "IP")]
    trusted_proxy: Vec<IpAddr>,
    /// Directory with the agent's builds (belay-agent-TARGET) that the join page offers to customers
    #[arg(long, value_name = "DIR")]
    agents: Option<PathBuf>,
    #[command(flatten)]
    backups: backup::Scheduled,
    /// Relay to be present at, as `belay-relay serve` prints it; may be given several times
    #[arg(long, value_name = "HOST:PORT#KEY")]
    relay: Vec<RelayAddress>,
}

#[derive(Debug, Subcommand)]
enum Ticket {
    /// Open a ticket and mint a one-time code for its customer
    #[command(after_help = "Example:\n  belay-console ticket open --title 'Disk is full' --customer 'Nordwind'")]
    Open {
        #[command(flatten)]
        place: Place,
        /// One line that says what is wrong
        #[arg(long)]
        title: String,
        /// The customer company
        #[arg(long)]
        customer: String,
        /// What is known so far
        #[arg(long, default_value = "")]
        description: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a ticket with its sessions, reports and findings
    #[command(after_help = "Example:\n  belay-console ticket show BL-10001-4 --json")]
    Show {
        #[command(flatten)]
        place: Place,
        /// The ticket's number
        number: TicketNumber,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the newest tickets
    #[command(after_help = "Example:\n  belay-console ticket list --json")]
    List {
        #[command(flatten)]
        place: Place,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Device {
    /// List the devices that joined last
    #[command(after_help = "Example:\n  belay-console device list --json")]
    List {
        #[command(flatten)]
        place: Place,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Shut a device out: its sessions end at once, and no code or relay lets it in
    #[command(after_help = "Example:\n  belay-console device revoke 7 --reason 'Stolen'")]
    Revoke {
        #[command(flatten)]
        place: Place,
        /// The device's number, as `device list` shows it
        id: i64,
        /// One line that says why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let a device in again; its customer needs a new code
    #[command(after_help = "Example:\n  belay-console device restore 7")]
    Restore {
        #[command(flatten)]
        place: Place,
        /// The device's number, as `device list` shows it
        id: i64,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Report {
    /// File what `belay-agent survey --save` has written under a ticket; the same file again changes nothing
    #[command(after_help = "Example:\n  belay-console report import report.belay --ticket BL-10001-4")]
    Import {
        #[command(flatten)]
        place: Place,
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The ticket that it belongs to
        #[arg(long, value_name = "NUMBER")]
        ticket: TicketNumber,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum User {
    /// Create a user and print the link by which they set their password
    #[command(after_help = "Example:\n  belay-console user add eva --role technician")]
    Add {
        #[command(flatten)]
        place: Place,
        /// The sign-in name
        name: String,
        /// What they may do: technician, supervisor, admin or auditor
        #[arg(long)]
        role: Role,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the users and which of them are locked
    #[command(after_help = "Example:\n  belay-console user list")]
    List {
        #[command(flatten)]
        place: Place,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let an account take passwords again that too many wrong ones have locked
    #[command(after_help = "Example:\n  belay-console user unlock eva --reason 'called me, it was her'")]
    Unlock {
        #[command(flatten)]
        place: Place,
        /// The sign-in name
        name: String,
        /// Why, for the audit
        #[arg(long)]
        reason: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a link by which a user sets another password; until it is used, the old one works
    #[command(after_help = "Example:\n  belay-console user reset eva")]
    Reset {
        #[command(flatten)]
        place: Place,
        /// The sign-in name
        name: String,
        /// Also take the authenticator app, the recovery codes and the passkeys off the account, which are lost
        #[arg(long, requires = "reason")]
        factors: bool,
        /// Why, for the audit
        #[arg(long, requires = "factors")]
        reason: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Audit {
    /// Walk the audit's chain of hashes and name the first bad line; with a FILE, that of an export, without the console
    #[command(
        after_help = "Example:\n  belay-console audit verify --data /var/lib/belay\n  belay-console audit verify audit.jsonl --key server.key"
    )]
    Verify {
        #[command(flatten)]
        place: Place,
        /// An export to check instead of the desk's own audit
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// The desk's server key; the one in its directory when not given
        #[arg(long, value_name = "FILE", requires = "file")]
        key: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write the whole audit with its sealed end into a new file, as JSON lines
    #[command(after_help = "Example:\n  belay-console audit export audit.jsonl")]
    Export {
        #[command(flatten)]
        place: Place,
        /// The file to make
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Reads the command line, the environment and the configuration file, and runs.
pub fn main() -> ExitCode {
    match settings::parse::<Cli>(std::env::args_os(), Some("/etc/belay/console.toml".as_ref())) {
        Ok(cli) => cli.run(),
        Err(error) => error.exit(),
    }
}

impl Cli {
    /// Runs the command and says with which code to end the process.
    pub fn run(self) -> ExitCode {
        let language = self.lang.unwrap_or_else(locale);
        // Only the server has a story to tell; a command speaks through its output.
        let filter = if matches!(self.command, Command::Serve(_)) { "info,sea_orm_migration=warn" } else { "warn" };
        let started = self.log.init(filter).map_err(anyhow::Error::msg);
        let runtime = started.and_then(|()| Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?));
        let done = runtime.and_then(|runtime| runtime.block_on(self.command.run(language)));
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let _ = writeln!(io::stderr(), "belay-console: {}", text::error(&error, language));
                if error.is::<NotAProxy>() { WRONG_CONFIGURATION.into() } else { ExitCode::FAILURE }
            }
        }
    }
}

impl Command {
    async fn run(self, language: Language) -> anyhow::Result<()> {
        match self {
            Self::Init(init) => init.run(language).await,
            Self::Serve(serve) => serve.run(language).await,
            Self::Ticket(ticket) => ticket.run(language).await,
            Self::Device(device) => device.run(language).await,
            Self::Report(report) => report.run(language).await,
            Self::Rules(rules) => rules.run(language).await,
            Self::User(user) => user.run(language).await,
            Self::Audit(audit) => audit.run(language).await,
            Self::Backup(backup) => backup.run(language).await,
            Self::BackupKey(key) => key.run(language),
            Self::Restore(restore) => restore.run(language).await,
        }
    }
}

impl Init {
    async fn run(self, language: Language) -> anyhow::Result<()> {
        let directory = DataDirectory::at(&self.place.data);
        let name = Name::try_from(self.name).context("--name")?;
        let help_host = self.help_host.map(Name::try_from).transpose().context("--help-host")?;
        let now = Clock::System.now();
        let held = match directory.initialize(&DeskName { name, help_host }, now) {
            // Perhaps interrupted before its first user was made; then it is finished now.
            Err(DataError::AlreadyInitialized(_)) => directory.open(now)?,
            made => made?,
        };
        let organization = held.organization();
        let offline = Offline::from_held(held, self.place.database, Clock::System).await?;
        if offline.store().count_users().await? > 0 {
            return Err(DataError::AlreadyInitialized(self.place.data).into());
        }
        let add =
            LocalRequest::new(Method::POST, "/api/v1/users", Some(json!({ "name": self.admin, "role": "admin" })));
        let added = Local::Offline(Box::new(offline)).ask(&[add]).await?.remove(0);
        let made = json!({
            "data": self.place.data,
            "organization": organization.to_string(),
            "admin": self.admin,
            "set_up_link": added["link"],
        });
        print(self.json, &made, || text::initialized(&made, language))
    }
}

impl Serve {
    async fn run(self, language: Language) -> anyhow::Result<()> {
        let https = match (self.https, self.cert, self.key) {
            (Some(address), Some(certificate), Some(key)) => Some(Https { address, certificate, key }),
            _ => None,
        };
        let config = Config {
            data: DataDirectory::at(self.place.data),
            database: self.place.database,
            http: self.http,
            https,
            trusted_proxies: self.trusted_proxy,
            agents: self.agents,
            backups: self.backups.schedule(),
            relays: self.relay,
            assets: crate::ASSETS,
            net: Arc::new(SystemNet),
            proxy: Proxy::from_environment(|name| std::env::var(name).ok())?,
            clock: Clock::System,
        };
        let console = open_after_predecessor(config).await?;
        let asked_to_stop = belay_relay::shutdown::requested();
        for address in console.addresses() {
            tracing::info!(%address, "listening");
        }
        writeln!(io::stdout(), "{}", text::serving(console.profile(), language))?;
        if let Some(link) = console.first_admin_link() {
            writeln!(io::stdout(), "{}", text::first_admin(&link, language))?;
        }
        io::stdout().flush()?;
        let stop = CancellationToken::new();
        let running = tokio::spawn(console.run(stop.clone()));
        asked_to_stop.await;
        tracing::info!("stopping");
        stop.cancel();
        running.await??;
        Ok(())
    }
}

/// Opens the console; one that is just stopping is waited for, as at a restart.
async fn open_after_predecessor(config: Config) -> Result<Console, OpenError> {
    for _ in 0..PREDECESSOR_TRIES {
        match Console::open(config.clone()).await {
            Err(OpenError::Data(DataError::InUse(_))) => tokio::time::sleep(PREDECESSOR_PAUSE).await,
            opened => return opened,
        }
    }
    Console::open(config).await
}

/// Ending sessions takes a console some two seconds.
const PREDECESSOR_TRIES: u32 = 20;
const PREDECESSOR_PAUSE: Duration = Duration::from_millis(250);

impl Ticket {
    async fn run(self, language: Language) -> anyhow::Result<()> {
        match self {
            Self::Open { place, title, customer, description, json: as_json } => {
                let body = json!({ "title": title, "customer": customer, "description": description });
                let open = LocalRequest::new(Method::POST, "/api/v1/tickets", Some(body));
                let mint = LocalRequest {
                    method: Method::POST,
                    path: LocalPath::After(|answers| {
                        format!("/api/v1/tickets/{}/invites", answers[0]["number"].as_str().unwrap_or_default())
                    }),
                    body: LocalBody::Empty,
                };
                let mut answers = place.ask(&[open, mint]).await?;
                let opened = json!({ "invite": answers.pop(), "ticket": answers.pop() });
                print(as_json, &opened, || text::opened(&opened, language))
            }
            Self::Show { place, number, json: as_json } => {
                let part = |rest: &str| LocalRequest::new(Method::GET, format!("/api/v1/tickets/{number}{rest}"), None);
                let mut answers = place.ask(&[part(""), part("/sessions"), part("/reports"), part("/events")]).await?;
                let items = |answers: &mut Vec<Value>| answers.pop().map(|mut page| page["items"].take());
                let shown = json!({
                    "events": items(&mut answers),
                    "reports": items(&mut answers),
                    "sessions": items(&mut answers),
                    "ticket": answers.pop(),
                });
                print(as_json, &shown, || text::ticket(&shown, language))
            }
            Self::List { place, json: as_json } => {
                let list = LocalRequest::new(Method::GET, "/api/v1/tickets", None);
                let tickets = place.ask(&[list]).await?.remove(0)["items"].take();
                print(as_json, &tickets, || text::tickets(&tickets, language))
            }
        }
    }
}

impl Device {
    async fn run(self, language: Language) -> anyhow::Result<()> {
        let (place, as_json, request, told): (_, _, _, fn(&Value, Language) -> String) = match self {
            Self::List { place, json } => {
                let list = LocalRequest::new(Method::GET, "/api/v1/devices", None);
                let devices = place.ask(&[list]).await?.remove(0)["items"].take();
                return print(json, &devices, || text::devices(&devices, language));
            }
            Self::Revoke { place, id, reason, json: as_json } => {
                let (path, body) = (format!("/api/v1/devices/{id}/revoke"), json!({ "reason": reason }));
                (place, as_json, LocalRequest::new(Method::POST, path, Some(body)), text::revoked)
            }
            Self::Restore { place, id, json } => {
                let path = format!("/api/v1/devices/{id}/restore");
                (place, json, LocalRequest::new(Method::POST, path, None), text::restored)
            }
        };
        let device = place.ask(&[request]).await?.remove(0);
        print(as_json, &device, || told(&device, language))
    }
}

impl Report {
    async fn run(self, language: Language) -> anyhow::Result<()> {
        let Self::Import { place, file, ticket, json: as_json } = self;
        // Read no further than a report can be: what is not one may be as large as a disk.
        let mut bytes = Vec::new();
        // To open a pipe is to wait for whoever writes into it.
        let found = std::fs::metadata(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        anyhow::ensure!(found.is_file(), "{} is not a file", file.display());
        fs_err::File::open(&file)?.take(SAVED_MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        let saved = SavedReport::decode(&bytes).with_context(|| file.display().to_string())?;
        let signed = signed_bytes(&sha256(&saved.report));
        if !is_signed_by(&saved.device.0, &signed, &saved.signature) {
            return Err(anyhow::Error::new(text::NotSigned).context(file.display().to_string()));
        }
        let (report, outcome) = place.reach().await?.make(LocalRequest::import(ticket, bytes.into())).await?;
        print(as_json, &report, || text::imported(&report, outcome, language))
    }
}

impl User {
    async fn run(self, language: Language) -> anyhow::Result<()> {
        let (place, as_json, request, told): (_, _, _, fn(&Value, Language) -> String) = match self {
            Self::Add { place, name, role, json } => {
                let body = json!({ "name": name, "role": role });
                (place, json, LocalRequest::new(Method::POST, "/api/v1/users", Some(body)), text::added)
            }
            Self::List { place, json } => {
                let users = place.users().await?;
                return print(json, &users, || text::users(&users, language));
            }
            Self::Unlock { place, name, reason, json } => {
                let path = format!("/api/v1/users/{}/unlock", place.user(&name, language).await?);
                (place, json, LocalRequest::new(Method::POST, path, Some(json!({ "reason": reason }))), text::unlocked)
            }
            Self::Reset { place, name, factors, reason, json } => {
                let user = format!("/api/v1/users/{}", place.user(&name, language).await?);
                if factors {
                    let body = json!({ "reason": reason });
                    place.ask(&[LocalRequest::new(Method::POST, format!("{user}/reset-factors"), Some(body))]).await?;
                }
                (place, json, LocalRequest::new(Method::POST, format!("{user}/reset"), None), text::added)
            }
        };
        let answer = place.ask(&[request]).await?.remove(0);
        print(as_json, &answer, || told(&answer, language))
    }
}

impl Audit {
    async fn run(self, language: Language) -> anyhow::Result<()> {
        match self {
            Self::Verify { place, file: Some(file), key, json: as_json } => {
                let key = key.unwrap_or_else(|| DataDirectory::at(place.data).server_key());
                let key = ServerKey::load(&key)?;
                let lines = audit::verify_export(BufReader::new(fs_err::File::open(&file)?), &key)?;
                let verified = json!({ "lines": lines });
                print(as_json, &verified, || text::verified(&verified, language))
            }
            Self::Verify { place, json: as_json, .. } => {
                let verify = LocalRequest::new(Method::GET, "/api/v1/audit/verify", None);
                let verified = place.ask(&[verify]).await?.remove(0);
                print(as_json, &verified, || text::verified(&verified, language))
            }
            Self::Export { place, file, json: as_json } => {
                let local = place.reach().await?;
                let mut made = fs_err::File::create_new(&file)?;
                let export = LocalRequest::new(Method::GET, "/api/v1/audit/export", None);
                let saved = local.save(export, &mut made).await.map_err(anyhow::Error::new);
                if let Err(error) = saved.and_then(|()| Ok(made.sync_all()?)) {
                    // Half an export would be taken for a forged one.
                    let _ = std::fs::remove_file(&file);
                    return Err(error);
                }
                let exported = json!({ "file": file });
                print(as_json, &exported, || text::exported(&exported, language))
            }
        }
    }
}

impl Place {
    async fn users(&self) -> Result<Value, LocalError> {
        let list = LocalRequest::new(Method::GET, "/api/v1/users", None);
        Ok(self.ask(&[list]).await?.remove(0)["items"].take())
    }

    /// The id of the user of that name.
    async fn user(&self, name: &str, language: Language) -> anyhow::Result<i64> {
        let users = self.users().await?;
        let found = users.as_array().into_iter().flatten().find(|user| user["name"] == name);
        let id = found.and_then(|user| user["id"].as_i64());
        id.with_context(|| text::no_user(name, language))
    }

    async fn ask(&self, requests: &[LocalRequest]) -> Result<Vec<Value>, LocalError> {
        self.reach().await?.ask(requests).await
    }

    async fn reach(&self) -> Result<Local, LocalError> {
        let directory = DataDirectory::at(self.data.clone());
        Local::reach(&directory, self.database.clone(), Clock::System).await
    }
}

fn print(as_json: bool, value: &Value, for_people: impl FnOnce() -> String) -> anyhow::Result<()> {
    let text = if as_json { serde_json::to_string_pretty(value)? } else { for_people() };
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}

/// The language of the locale, as POSIX orders its variables.
fn locale() -> Language {
    let set = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().filter_map(|name| std::env::var(name).ok());
    set.into_iter().find(|value| !value.is_empty()).map(|value| Language::from_locale(&value)).unwrap_or_default()
}
