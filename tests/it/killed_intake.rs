//! `kill -9` of the console while reports arrive: none that was acknowledged is lost, and none is there twice.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use belay_console::clock::Clock;
use belay_console::data::DataDirectory;
use belay_console::store::{DatabaseLocation, Report, Store, StoreSettings, TicketFilter};
use belay_tests::programs::{DEADLINE, Ended, OpenedTicket, Running, Site, captured_tree};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

const KILLS: usize = 50;

/// The agents of a round, each another kind of machine.
const MACHINES: [Machine; 3] = [Machine::This, Machine::Small, Machine::Large];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Machine {
    /// This one. Its survey takes a while, in which the session is open.
    This,
    /// A captured tree, looked at in no time.
    Small,
    /// A captured tree whose report takes the store some time.
    Large,
}

/// One agent's ticket, and how its agent ended.
struct Visit {
    round: usize,
    ticket: OpenedTicket,
    killed_at_ms: i64,
    ended: Ended,
    /// How the same command ended when it was given again, as the first one's sentence asks for.
    again: Option<Ended>,
}

/// Where in one agent's intake a kill fell, read from the ticket's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Landing {
    BeforeRedeem,
    Between,
    /// Between as well, and the report was stored by then: the agent brings it a second time.
    Unheard,
    After,
}

#[test]
fn a_console_killed_during_intake_loses_no_acknowledged_report_and_has_none_twice() {
    let seed = std::env::var("BELAY_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    // Shown with a failure, so that it can be run again.
    println!("BELAY_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let started = Instant::now();
    let mut site = Site::open().unwrap();
    for (machine, modules) in [(Machine::Small, 3), (Machine::Large, 4_000)] {
        captured_tree(&site.path().join(format!("{machine:?}")), "module", modules).unwrap();
    }

    let spans = undisturbed(&site);
    println!("an undisturbed intake: {spans:?}");
    let mut visits = Vec::new();
    for round in 0..KILLS {
        let instant = spans.draw(&mut random);
        visits.extend(round_with_a_kill(&mut site, round, instant));
    }
    let stopped = site.stop_console().unwrap();
    assert_eq!(stopped.code, Some(0), "{stopped}");
    println!("{KILLS} kills in {:?}", started.elapsed());

    let fates = landed(&site, &visits);
    let kept = kept(&site);
    check_reports(&visits, &kept);
    // One more round was opened to see how long things take.
    assert_eq!(kept.tickets.len(), visits.len() + MACHINES.len());
    assert_eq!(kept.tickets.iter().collect::<BTreeSet<_>>().len(), kept.tickets.len(), "a ticket is there twice");
    assert!(site.ask(&["audit", "verify"]).unwrap()["lines"].as_u64().unwrap() > 0);

    let count = |landing| fates.values().flatten().filter(|fate| **fate == landing).count();
    let between = fates.values().filter(|round| round.iter().any(is_between)).count();

    println!(
        "agents: {} before redeem, {} between redeem and acknowledgement, {} of them with the report stored, {} after; \
         kills with one in between: {between}",
        count(Landing::BeforeRedeem),
        count(Landing::Between) + count(Landing::Unheard),
        count(Landing::Unheard),
        count(Landing::After)
    );
    assert!(between * 5 >= KILLS, "{between} of {KILLS} kills fell between redeem and acknowledgement");
}

/// When things happen after the agents' start if nobody disturbs them; in milliseconds.
#[derive(Debug)]
struct Spans {
    whole: Range<i64>,
    filed: Vec<i64>,
}

impl Spans {
    /// Half of the instants are anywhere in the whole intake, the others close to the storing of a report.
    fn draw(&self, random: &mut StdRng) -> Duration {
        let instant = if random.random_bool(0.5) {
            random.random_range(self.whole.clone())
        } else {
            self.filed[random.random_range(0..self.filed.len())] + random.random_range(-NEAR_MS..NEAR_MS)
        };
        Duration::from_millis(instant.max(0).unsigned_abs())
    }
}

/// Lets one round of agents deliver, and reads from the log how long that took.
fn undisturbed(site: &Site) -> Spans {
    let tickets = MACHINES.map(|_| site.open_ticket().unwrap());
    let start = now_ms();
    let agents = start_agents(site, "first", &tickets);
    for agent in agents {
        let ended = agent.finish(DEADLINE).unwrap();
        assert_eq!(ended.code, Some(0), "{ended}");
    }
    let shown: Vec<Value> = tickets.iter().map(|ticket| site.show(&ticket.number).unwrap()).collect();
    let times = |kind| shown.iter().map(move |shown| time_of(shown, kind).unwrap() - start);
    let (filed, end) = (times("report_filed").collect(), times("session_ended").max().unwrap());
    // A little more at the end, because a machine with much to do is slower the next time.
    Spans { whole: 0..end * 5 / 4 + 1, filed }
}

fn start_agents(site: &Site, round: &str, tickets: &[OpenedTicket]) -> Vec<Running> {
    let pairs = MACHINES.iter().zip(tickets);
    pairs.map(|(machine, ticket)| Running::start(&mut join(site, round, *machine, ticket)).unwrap()).collect()
}

fn join(site: &Site, round: &str, machine: Machine, ticket: &OpenedTicket) -> std::process::Command {
    let name = format!("{round}-{machine:?}");
    let mut command = site.join(&name, &["--yes", "--insecure-http", &ticket.link]).unwrap();
    if machine != Machine::This {
        command.arg("--root").arg(site.path().join(format!("{machine:?}")));
    }
    command
}

fn round_with_a_kill(site: &mut Site, round: usize, instant: Duration) -> Vec<Visit> {
    let tickets = MACHINES.map(|_| site.open_ticket().unwrap());
    let agents = start_agents(site, &round.to_string(), &tickets);
    // The instant is the point of this test, not a synchronisation.
    std::thread::sleep(instant);
    let killed_at_ms = now_ms();
    site.kill_console().unwrap();
    site.serve().unwrap();
    let visits = agents.into_iter().zip(MACHINES).zip(tickets).map(|((agent, machine), ticket)| {
        let ended = agent.finish(DEADLINE).unwrap();
        let again = (ended.code != Some(0)).then(|| {
            let command = &mut join(site, &round.to_string(), machine, &ticket);
            Running::start(command).unwrap().finish(DEADLINE).unwrap()
        });
        Visit { round, ticket, killed_at_ms, ended, again }
    });
    visits.collect()
}

/// What is on the disk at the end.
struct Kept {
    tickets: Vec<String>,
    reports: BTreeMap<String, Vec<Report>>,
}

/// Reads the store without any of the programs, and every report's bytes, which it holds against their hash.
fn kept(site: &Site) -> Kept {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let directory = DataDirectory::at(site.desk());
        let held = directory.open(Clock::System.now()).unwrap();
        let settings = StoreSettings {
            database: DatabaseLocation::Sqlite(directory.database()),
            blobs: directory.blobs(),
            key: held.server_key.clone(),
            clock: Clock::System,
        };
        let store = Store::open(settings).await.unwrap();
        let (mut kept, mut total) = (Kept { tickets: Vec::new(), reports: BTreeMap::new() }, 0);
        for ticket in store.list_tickets(&TicketFilter::default(), EVERYTHING).await.unwrap() {
            let reports = store.list_reports(Some(ticket.number), None, EVERYTHING).await.unwrap();
            for report in &reports {
                let bytes = store.report_bytes(report.id).await.unwrap().unwrap();
                assert_eq!(bytes.len() as i64, report.size_bytes);
                belay_protocol::report::Report::decode(&bytes).unwrap();
            }
            total += reports.len();
            kept.tickets.push(ticket.number.to_string());
            kept.reports.insert(ticket.number.to_string(), reports);
        }
        assert_eq!(store.list_reports(None, None, EVERYTHING).await.unwrap().len(), total, "a report without a ticket");
        store.close().await.unwrap();
        kept
    })
}

fn check_reports(visits: &[Visit], kept: &Kept) {
    let (mut acknowledged, mut failed, mut again) = (0, 0, 0);
    for visit in visits {
        let Visit { round, ticket, ended, .. } = visit;
        let reports = &kept.reports[&ticket.number];
        let shas: Vec<&str> = reports.iter().map(|report| report.sha256.as_str()).collect();
        let number = &ticket.number;
        match ended.code {
            Some(0) => {
                acknowledged += 1;
                assert_eq!(shas, [sha_of(ended)], "round {round}, {number}: {ended}");
            }
            Some(1) => {
                failed += 1;
                let sentence = ended.err.trim_end().lines().last().unwrap_or_default();
                assert!(sentence.ends_with('.') && sentence.contains("support"), "round {round}: {ended}");
                let second = visit.again.as_ref().unwrap();
                assert!(second.code != Some(0) || shas.contains(&sha_of(second).as_str()), "round {round}: {second}");
                again += usize::from(second.code == Some(0));
                // The second visit's report is another one. The first visit's may have come as well, once.
                let of_second = usize::from(second.code == Some(0));
                assert!(shas.len() - of_second <= 1, "round {round}, {number}: {shas:?}");
                // Nothing came before the customer had agreed, and the agent says itself when it had something to send.
                if !ended.err.contains("did not confirm") {
                    assert_eq!(second.code, Some(0), "round {round}: {ended}\n--- again\n{second}");
                    assert_eq!(shas.len(), 1, "round {round}, {number}: {ended}");
                }
            }
            _ => panic!("round {round}, {number}: {ended}"),
        }
        let ids: BTreeSet<_> = reports.iter().map(|report| &report.report_id).collect();
        assert_eq!(ids.len(), reports.len(), "round {round}: a report is there twice");
        let distinct: BTreeSet<_> = shas.iter().collect();
        assert_eq!(distinct.len(), shas.len(), "round {round}: a report is there twice");
    }
    println!("{acknowledged} agents were acknowledged, {failed} were not, {again} of these when asked again");
}

/// The hash of what an agent says it has sent.
fn sha_of(ended: &Ended) -> String {
    ended.json().unwrap()["report_sha256"].as_str().unwrap().to_owned()
}

/// Where each round's kill fell, agent by agent.
fn landed(site: &Site, visits: &[Visit]) -> BTreeMap<usize, Vec<Landing>> {
    let mut fates: BTreeMap<usize, Vec<Landing>> = BTreeMap::new();
    for visit in visits {
        let shown = site.show(&visit.ticket.number).unwrap();
        let before_kill = |kind| time_of(&shown, kind).is_some_and(|time| time <= visit.killed_at_ms);
        let fate = if !before_kill("session_started") {
            Landing::BeforeRedeem
        } else if before_kill("session_ended") || (before_kill("report_filed") && !was_resumed(&shown)) {
            Landing::After
        } else if before_kill("report_filed") {
            Landing::Unheard
        } else {
            Landing::Between
        };
        fates.entry(visit.round).or_default().push(fate);
    }
    fates
}

fn is_between(landing: &Landing) -> bool {
    matches!(landing, Landing::Between | Landing::Unheard)
}

/// Says whether the agent came back, which it does while it has not heard that its report is stored.
fn was_resumed(shown: &Value) -> bool {
    time_of(shown, "session_resumed").is_some()
}

/// When an event of this kind was first written to the ticket's log.
fn time_of(shown: &Value, kind: &str) -> Option<i64> {
    let events = shown["events"].as_array().unwrap();
    events.iter().find(|event| event["kind"] == kind)?["at_ms"].as_i64()
}

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// As much as the storing of a report varies from one intake to the next.
const NEAR_MS: i64 = 15;

const EVERYTHING: u64 = 10_000;
