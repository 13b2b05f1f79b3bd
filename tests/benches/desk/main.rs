//! `cargo bench -p belay-tests --bench desk`: how fast a desk with many tickets answers.
//!
//! Fills a database as years of work would, lets a console open it, and asks it over HTTP on loopback what the web
//! console asks: the queue by priority, a ticket with its thread and its log, and searches in English and Chinese.

#![allow(clippy::print_stderr, reason = "progress, and what is skipped, beside the figures")]

mod fill;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use belay_console::clock::Clock;
use belay_console::console::{Config, Console};
use belay_console::data::{DataDirectory, DeskName};
use belay_console::number::TicketNumber;
use belay_console::policy::Role;
use belay_console::store::{Actor, Line, Store};
use belay_relay::net::SystemNet;
use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Measures a desk with many tickets.
#[derive(Debug, Clone, Parser)]
#[command(name = "desk", after_help = "Example:\n  cargo bench -p belay-tests --bench desk -- --tickets 10000")]
struct Options {
    /// Tickets
    #[arg(long, default_value_t = 100_000)]
    tickets: u32,
    /// Articles of a ticket
    #[arg(long, default_value_t = 10)]
    articles: u32,
    /// Requests of each kind
    #[arg(long, default_value_t = 400)]
    requests: usize,
    /// Requests at a time
    #[arg(long, default_value_t = 2)]
    clients: usize,
    /// What the texts are drawn from
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// A PostgreSQL database of its own, which is filled and left behind; SQLite alone without one
    #[arg(long)]
    postgres: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut found = BTreeMap::new();
    found.insert("SQLite", measure(&options, None).await?);
    match options.postgres.clone() {
        Some(url) => {
            found.insert("PostgreSQL", measure(&options, Some(url)).await?);
        }
        None => eprintln!("SKIPPED on PostgreSQL: name an empty database with --postgres postgres://user@host/name"),
    }
    if options.json {
        println!("{}", json!({ "tickets": options.tickets, "articles": options.articles, "found": found }));
        return Ok(());
    }
    println!("{} tickets with {} articles each, {} clients\n", options.tickets, options.articles, options.clients);
    println!("{:12} {:28} {:>9} {:>9} {:>9} {:>8}", "", "", "p50 ms", "p95 ms", "longest", "target");
    for (database, kinds) in &found {
        for (kind, times) in kinds {
            let [p50, p95, max] = [times.p50_ms, times.p95_ms, times.max_ms];
            println!("{database:12} {kind:28} {p50:9.1} {p95:9.1} {max:9.1} {:>8}", times.target_ms);
        }
    }
    Ok(())
}

/// How long requests of one kind took.
#[derive(Debug, serde::Serialize)]
struct Times {
    p50_ms: f64,
    p95_ms: f64,
    max_ms: f64,
    target_ms: u32,
}

async fn measure(options: &Options, database: Option<String>) -> anyhow::Result<BTreeMap<&'static str, Times>> {
    let directory = tempfile::tempdir()?;
    let data = DataDirectory::at(directory.path());
    data.initialize(&DeskName { name: Line::truncating("Bench"), help_host: None }, Clock::System.now())?;
    // The first opening makes the schema; what is filled in afterwards is there before the second.
    let console = open(&data, database.clone()).await?;
    console.store().add_user(&Actor::Local, &Line::truncating("eva"), Role::Technician).await?;
    stop(console).await?;
    let began = Instant::now();
    fill::fill(&data, database.as_deref(), options.tickets, options.articles, options.seed).await?;
    eprintln!("filled in {:.0} s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    let console = open(&data, database).await?;
    eprintln!("opened, with all words written, in {:.0} s", began.elapsed().as_secs_f64());
    let store = console.store().clone();
    let address = *console.addresses().first().context("an address")?;
    let stopping = CancellationToken::new();
    let running = tokio::spawn(console.run(stopping.clone()));
    let times = ask_everything(options, &store, address).await;
    drop(store);
    stopping.cancel();
    running.await??;
    times
}

async fn open(data: &DataDirectory, database: Option<String>) -> anyhow::Result<Console> {
    let config = Config {
        data: data.clone(),
        database,
        http: SocketAddr::from(([127, 0, 0, 1], 0)),
        https: None,
        trusted_proxies: Vec::new(),
        agents: None,
        backups: None,
        relays: Vec::new(),
        assets: belay_console::ASSETS,
        net: std::sync::Arc::new(SystemNet),
        proxy: None,
        clock: Clock::System,
    };
    Ok(Console::open(config).await?)
}

async fn stop(console: Console) -> anyhow::Result<()> {
    let stopping = CancellationToken::new();
    stopping.cancel();
    Ok(console.run(stopping).await?)
}

/// One kind of request: its name, its target, and the paths of which each client takes its own.
struct Kind {
    name: &'static str,
    target_ms: u32,
    paths: Vec<String>,
}

fn kinds(options: &Options) -> Vec<Kind> {
    let mut random = StdRng::seed_from_u64(options.seed);
    let first = TicketNumber::FIRST.serial();
    let mut numbers = std::iter::repeat_with(|| {
        TicketNumber::from_serial(first + i64::from(random.random_range(0..options.tickets)))
    });
    let numbers: Vec<TicketNumber> = numbers.by_ref().take(options.requests).collect();
    let of_ticket =
        |part: &str| numbers.iter().map(|number| format!("/api/v1/tickets/{number}{part}")).collect::<Vec<_>>();
    let queue =
        "/api/v1/tickets?state=new,open,pending_customer,pending_vendor,pending_reminder&sort=pressing&limit=200";
    let search = |words: &[&str]| {
        let paths = words.iter().map(|word| format!("/api/v1/search?limit=50&q={}", encoded(word)));
        paths.collect::<Vec<_>>().into_iter().cycle().take(options.requests).collect::<Vec<_>>()
    };
    let pairs: Vec<String> = fill::ENGLISH.windows(2).map(|pair| pair.join(" ")).collect();
    let pairs: Vec<&str> = pairs.iter().map(String::as_str).collect();
    vec![
        Kind { name: "queue, 200 by priority", target_ms: 50, paths: vec![queue.to_owned(); options.requests] },
        Kind { name: "ticket", target_ms: 50, paths: of_ticket("") },
        Kind { name: "ticket's thread", target_ms: 50, paths: of_ticket("/articles") },
        Kind { name: "ticket's log", target_ms: 50, paths: of_ticket("/events") },
        Kind { name: "search, one English word", target_ms: 150, paths: search(fill::ENGLISH) },
        Kind { name: "search, two English words", target_ms: 150, paths: search(&pairs) },
        Kind { name: "search, Chinese of two", target_ms: 150, paths: search(fill::CHINESE) },
        Kind {
            name: "search, one ticket's word",
            target_ms: 150,
            paths: search(&["serial77", "serial4242", "nothing"]),
        },
    ]
}

async fn ask_everything(
    options: &Options,
    store: &Store,
    address: SocketAddr,
) -> anyhow::Result<BTreeMap<&'static str, Times>> {
    let link = store.mint_sign_in(&Actor::Local, "eva").await?;
    let mut client = Client::connect(address).await?;
    client.sign_in(link.token.reveal()).await?;
    let mut found = BTreeMap::new();
    for kind in kinds(options) {
        // What is asked for the first time is read from the disk, which is another measurement.
        for path in kind.paths.iter().take(WARM_UP) {
            client.ask(path).await?;
        }
        let mut tasks = Vec::new();
        for paths in kind.paths.chunks(kind.paths.len().div_ceil(options.clients)) {
            let mut client = client.another(address).await?;
            let paths = paths.to_vec();
            tasks.push(tokio::spawn(async move {
                let mut times = Vec::with_capacity(paths.len());
                for path in paths {
                    let began = Instant::now();
                    client.ask(&path).await?;
                    times.push(began.elapsed());
                }
                anyhow::Ok(times)
            }));
        }
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await??);
        }
        times.sort_unstable();
        let at = |share: f64| ms(times[((times.len() - 1) as f64 * share) as usize]);
        let measured = Times { p50_ms: at(0.5), p95_ms: at(0.95), max_ms: at(1.0), target_ms: kind.target_ms };
        found.insert(kind.name, measured);
    }
    Ok(found)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A signed-in connection.
struct Client {
    requests: SendRequest<Full<Bytes>>,
    host: String,
    cookie: String,
}

impl Client {
    async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let (requests, connection) = handshake(TokioIo::new(TcpStream::connect(address).await?)).await?;
        tokio::spawn(connection);
        Ok(Self { requests, host: format!("localhost:{}", address.port()), cookie: String::new() })
    }

    async fn another(&self, address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { cookie: self.cookie.clone(), ..Self::connect(address).await? })
    }

    async fn sign_in(&mut self, token: &str) -> anyhow::Result<()> {
        let request = Request::post("/api/v1/session/link").header(header::CONTENT_TYPE, "application/json");
        let request = request.header(header::ORIGIN, format!("http://{}", self.host)).header(header::HOST, &self.host);
        let request = request.body(Full::from(json!({ "token": token }).to_string()))?;
        self.requests.ready().await?;
        let response = self.requests.send_request(request).await?;
        ensure!(response.status().is_success(), "signing in: {}", response.status());
        let cookie = response.headers().get(header::SET_COOKIE).context("a cookie")?.to_str()?;
        self.cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        response.into_body().collect().await?;
        Ok(())
    }

    async fn ask(&mut self, path: &str) -> anyhow::Result<Value> {
        let request = Request::get(path).header(header::HOST, &self.host).header(header::COOKIE, &self.cookie);
        self.requests.ready().await?;
        let response = self.requests.send_request(request.body(Full::default())?).await?;
        ensure!(response.status().is_success(), "{path}: {}", response.status());
        let body = response.into_body().collect().await?.to_bytes();
        Ok(serde_json::from_slice(&body)?)
    }
}

/// Requests of a kind before they count.
const WARM_UP: usize = 20;
