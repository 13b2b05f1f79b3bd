//! The main job on this very machine: relay, console and agent in one process, talking to each other as they do in
//! production.

use std::io::{self, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use belay_agent::join::{JoinError, JoinOptions, Joined, PATIENCE, Person, join};
use belay_agent::survey::Smart;
use belay_agent::terminal::Colour;
use belay_console::clock::Clock;
use belay_console::console::{Config as ConsoleConfig, Console, OpenError};
use belay_console::data::{DataDirectory, DataError, DeskName};
use belay_console::number::TicketNumber;
use belay_console::policy::Role;
use belay_console::store::{About, Actor, Finding, Line, NewTicket, Severity, Store, TicketFilter};
use belay_console::ticket::{Channel, Level};
use belay_protocol::Language;
use belay_protocol::bounded::Text;
use belay_protocol::invite::{Invite, RelayAddress};
use belay_protocol::lang::Phrase;
use belay_relay::logging::{self, LogFormat, told};
use belay_relay::net::SystemNet;
use belay_relay::server::{Config as RelayConfig, Relay, StartError};
use clap::Parser;
use tokio_util::sync::CancellationToken;

/// Runs the main job on this machine: a relay, a support desk, a ticket, and the agent that joins it.
#[derive(Debug, Parser)]
#[command(name = "demo", after_help = "Example:\n  cargo demo --yes --exit")]
pub struct Demo {
    /// Directory that keeps keys, tickets and reports between runs
    #[arg(long, default_value = "./belay-data", value_name = "DIR")]
    data: PathBuf,
    /// Address of the web console; another port is taken when this one is in use
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR")]
    http: SocketAddr,
    /// UDP address of the relay; another port is taken when this one is in use
    #[arg(long, default_value = "127.0.0.1:4433", value_name = "ADDR")]
    relay: SocketAddr,
    /// Agree to what the agent asks
    #[arg(long)]
    yes: bool,
    /// Stop after the findings have arrived, with code 0 only if they have
    #[arg(long)]
    exit: bool,
    /// Language: en or zh; the system's when not given
    #[arg(long, value_name = "LANGUAGE")]
    lang: Option<Language>,
    /// Which log lines appear on standard error
    #[arg(long, default_value = "error")]
    log: String,
}

/// The customer did not agree.
const EXIT_REFUSED: u8 = 3;

/// Runs the demo.
pub fn main() -> ExitCode {
    let demo = Demo::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime.context("no threads").and_then(|runtime| {
        let done = runtime.block_on(demo.run());
        // A thread may still wait for a key that nobody will press.
        runtime.shutdown_background();
        done
    });
    match done {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "demo: {}", told(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

impl Demo {
    async fn run(self) -> anyhow::Result<ExitCode> {
        logging::init(LogFormat::Text, &self.log).map_err(anyhow::Error::msg)?;
        let language = belay_agent::cli::language(self.lang);
        let stop = CancellationToken::new();
        // The agent is cut first; relay and desk run on until it has said goodbye.
        let asked = CancellationToken::new();
        let cut = asked.clone();
        tokio::spawn(async move {
            belay_relay::shutdown::requested().await;
            cut.cancel();
        });

        let relay = bind_relay(&self.data.join("relay"), self.relay)?;
        let address = relay.local_addr();
        let relay_address = RelayAddress { host: address.ip().to_string(), port: address.port(), key: relay.key() };
        let relay_task = tokio::spawn(relay.run(stop.clone()));

        let console = open_console(&self.data.join("desk"), self.http, relay_address.clone()).await?;
        let (store, profile) = (console.store().clone(), console.profile().clone());
        let earlier = store.list_tickets(&TicketFilter::default(), LISTED_MAX).await?.len();
        if earlier > 0 {
            say(&EARLIER.fill(language, &[("count", &earlier.to_string()), ("data", &self.data.display().to_string())]));
        }
        let ticket = store.open_ticket(&Actor::Local, demo_ticket(language), None).await??;
        let minted = store.mint_invite(&Actor::Local, ticket.number, None).await?;
        let invite = Invite {
            relay: relay_address,
            further_relays: Vec::new(),
            code: minted.code,
            desk: profile.help_host.clone(),
            organization: profile.organization,
            secret: minted.secret,
        };
        let number = ticket.number.to_string();
        say(&OPENED.fill(language, &[("ticket", &number), ("code", &minted.code.to_string())]));
        let console_task = tokio::spawn(console.run(stop.clone()));

        let joined = join(self.join_options(invite.to_string(), language), person(), asked.clone()).await;
        let (mut code, filed) = outcome(joined, language);
        if filed {
            match newest_findings(&store, &ticket.number).await? {
                Some(findings) => say(&show(&number, &findings, language)),
                None => {
                    say(NO_FINDINGS.text(language));
                    code = ExitCode::FAILURE;
                }
            }
        }
        if !self.exit && !asked.is_cancelled() {
            let link = store.mint_sign_in(&Actor::Local, ADMIN).await.context("no sign-in")?;
            let sign_in = profile.sign_in_link(&link.token);
            say(&CONSOLE.fill(language, &[("url", &profile.base_url), ("link", &sign_in)]));
            asked.cancelled().await;
        }
        drop(store);
        stop.cancel();
        relay_task.await??;
        console_task.await??;
        Ok(code)
    }

    fn join_options(&self, invite: String, language: Language) -> JoinOptions {
        JoinOptions {
            invite,
            code: None,
            grant: None,
            yes: self.yes,
            language,
            insecure_http: true,
            data: self.data.join("agent"),
            net: Arc::new(SystemNet),
            proxy: None,
            root: None,
            colour: Colour::of(&io::stdout()),
            show: false,
            without: Vec::new(),
            smart: Smart::NotAsked,
            certificates: Vec::new(),
            patience: PATIENCE,
        }
    }
}

fn bind_relay(data: &Path, wanted: SocketAddr) -> anyhow::Result<Relay> {
    match Relay::bind(&RelayConfig::open(wanted, data.to_owned())) {
        Err(StartError::Listen { .. }) => {
            Ok(Relay::bind(&RelayConfig::open(SocketAddr::new(wanted.ip(), 0), data.to_owned()))?)
        }
        bound => Ok(bound?),
    }
}

async fn open_console(data: &Path, http: SocketAddr, relay: RelayAddress) -> anyhow::Result<Console> {
    let directory = DataDirectory::at(data);
    let desk = DeskName { name: Line::truncating("Belay demo desk"), help_host: None };
    match directory.initialize(&desk, Clock::System.now()) {
        Ok(_) | Err(DataError::AlreadyInitialized(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let mut config = ConsoleConfig {
        data: directory,
        database: None,
        http,
        https: None,
        trusted_proxies: Vec::new(),
        agents: None,
        backups: None,
        relays: vec![relay],
        assets: belay_console::ASSETS,
        net: Arc::new(SystemNet),
        proxy: None,
        clock: Clock::System,
    };
    let console = match Console::open(config.clone()).await {
        Err(OpenError::Listen { .. }) => {
            config.http.set_port(0);
            Console::open(config).await?
        }
        opened => opened?,
    };
    if console.store().count_users().await? == 0 {
        console.store().add_user(&Actor::Local, &Line::truncating(ADMIN), Role::Admin).await?;
    }
    Ok(console)
}

fn demo_ticket(language: Language) -> NewTicket {
    NewTicket {
        title: Line::truncating(TITLE.text(language)),
        customer: Line::truncating(CUSTOMER.text(language)),
        contact: None,
        description: Text::default(),
        channel: Channel::Phone,
        impact: Level::Medium,
        urgency: Level::Medium,
        about: About::default(),
    }
}

fn person() -> Person {
    Person { answers: Box::new(BufReader::new(io::stdin())), page: Box::new(io::stdout()) }
}

fn outcome(joined: Result<Joined, JoinError>, language: Language) -> (ExitCode, bool) {
    match joined {
        Ok(Joined::Filed(_)) => (ExitCode::SUCCESS, true),
        Ok(Joined::Refused) => (ExitCode::from(EXIT_REFUSED), false),
        Err(error) => {
            let _ = writeln!(io::stderr(), "{}", error.sentence(language));
            (ExitCode::FAILURE, false)
        }
    }
}

/// The findings of the ticket's newest report; `None` when the customer left them out.
async fn newest_findings(store: &Store, ticket: &TicketNumber) -> anyhow::Result<Option<Vec<Finding>>> {
    let report = store.list_reports(Some(*ticket), None, 1).await?.into_iter().next();
    let judged = report.filter(|report| report.withheld.iter().all(|withheld| withheld.section != "findings"));
    Ok(judged.map(|report| report.findings))
}

fn show(ticket: &str, findings: &[Finding], language: Language) -> String {
    let mut page =
        format!("\n{}\n", FINDINGS.fill(language, &[("ticket", ticket), ("count", &findings.len().to_string())]));
    for finding in findings {
        let (title, remedy) = match language {
            Language::English => (&finding.title_en, &finding.remedy_en),
            Language::Chinese => (&finding.title_zh, &finding.remedy_zh),
        };
        let severity = severity(finding.severity).text(language);
        page.push_str(&format!("  [{severity}] {title}\n      {remedy}\n"));
    }
    if findings.is_empty() {
        page.push_str(&format!("  {}\n", NOTHING_WRONG.text(language)));
    }
    page
}

fn severity(severity: Severity) -> Phrase {
    use belay_protocol::finding::Severity as Known;
    match severity {
        Severity::Ok => Known::Ok,
        Severity::Info => Known::Info,
        Severity::Warn => Known::Warn,
        Severity::Crit => Known::Crit,
        Severity::Unknown => Known::Unknown,
    }
    .phrase()
}

fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}").and_then(|()| io::stdout().flush());
}

const ADMIN: &str = "admin";

/// Tickets that are counted when the demo starts.
const LISTED_MAX: u64 = 1000;

const TITLE: Phrase = Phrase { en: "Please look at this machine", zh: "请检查这台电脑" };
const CUSTOMER: Phrase = Phrase { en: "Demo customer", zh: "演示客户" };
const EARLIER: Phrase = Phrase {
    en: "{count} earlier ticket(s) found in {data}.",
    zh: "在 {data} 中找到 {count} 个先前的工单。",
};
const OPENED: Phrase = Phrase {
    en: "Ticket {ticket} is open; its one-time code is {code}.\n",
    zh: "工单 {ticket} 已创建，一次性验证码为 {code}。\n",
};
const FINDINGS: Phrase = Phrase {
    en: "On ticket {ticket} there are now {count} finding(s) about this machine:",
    zh: "工单 {ticket} 上现有 {count} 条关于本机的结论：",
};
const NO_FINDINGS: Phrase = Phrase {
    en: "You left the findings out, so there are none on the ticket.",
    zh: "您未发送检查结果，因此工单上没有结论。",
};
const NOTHING_WRONG: Phrase = Phrase { en: "Nothing is wrong.", zh: "一切正常。" };
const CONSOLE: Phrase = Phrase {
    en: "The web console is at {url}\nSign in once with {link}\nPress Ctrl-C to stop.",
    zh: "网页控制台：{url}\n一次性登录链接：{link}\n按 Ctrl-C 停止。",
};
