//! What a silent end costs a relay in memory: the growth of the relay's resident pages, over the number of ends.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use belay_protocol::invite::RelayAddress;
use belay_protocol::limits;
use belay_relay::client::{Client, ClientOptions, Notice, Registration, Role};
use belay_relay::identity::Identity;
use belay_relay::net::SystemNet;
use belay_tests::links::client_options;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::task::JoinSet;

use crate::contender::Contender;
use crate::endpoints::loopback_socket;
use crate::servers::{self, Iroh, Programs};
use crate::turn::Allocation;

/// Bytes at a fresh relay for each of `count` silent ends.
pub(crate) async fn per_idle_end(contender: Contender, programs: &Programs, count: usize) -> anyhow::Result<f64> {
    match contender {
        Contender::Belay => {
            let (server, address) = servers::belay(programs, &[])?;
            // The first end makes what all share.
            let _first = registered(address.clone()).await?;
            let before = settled(server.id()).await?;
            let _ends = register(&address, count).await?;
            growth(server.id(), before, count).await
        }
        Contender::Coturn => {
            let (server, address) = servers::coturn(programs)?;
            let allocate = || {
                let socket = loopback_socket()?;
                Allocation::make(&socket, address)?;
                anyhow::Ok(socket)
            };
            let _first = allocate()?;
            let before = settled(server.id()).await?;
            let _ends = (0..count).map(|_| allocate()).collect::<anyhow::Result<Vec<_>>>()?;
            growth(server.id(), before, count).await
        }
        Contender::Iroh | Contender::IrohPlain => {
            let relay = Iroh::start(programs, contender == Contender::Iroh)?;
            let _first = relay.idle_clients(programs, 1)?;
            let before = settled(relay.id()).await?;
            let _ends = relay.idle_clients(programs, count)?;
            growth(relay.id(), before, count).await
        }
        Contender::Direct | Contender::RawLoop | Contender::BelayNoOffload | Contender::CoturnBoth => {
            bail!("it keeps no idle ends")
        }
    }
}

/// Registers `count` agents, some at once, as they come.
async fn register(relay: &RelayAddress, count: usize) -> anyhow::Result<Vec<(Client, Registration)>> {
    let (mut ends, mut arriving) = (Vec::with_capacity(count), JoinSet::new());
    for _ in 0..count {
        if arriving.len() == AT_ONCE {
            ends.extend(arriving.join_next().await.transpose()?.transpose()?);
        }
        arriving.spawn(registered(relay.clone()));
    }
    while let Some(end) = arriving.join_next().await {
        ends.push(end??);
    }
    Ok(ends)
}

async fn registered(relay: RelayAddress) -> anyhow::Result<(Client, Registration)> {
    let options = ClientOptions { keep_alive: limits::KEEP_ALIVE, ..client_options(Arc::new(SystemNet), false) };
    let client = Client::start(Arc::new(Identity::generate()?), options)?;
    let mut registration = client.register(relay, Role::Agent);
    let up = async {
        // A relay may put newcomers off for a while; the registration comes back by itself.
        while !matches!(registration.notice().await.context("the registration ended")?, Notice::Up) {}
        anyhow::Ok(())
    };
    tokio::time::timeout(REGISTRATION_DEADLINE, up).await.context("not registered")??;
    Ok((client, registration))
}

async fn growth(pid: u32, before: u64, count: usize) -> anyhow::Result<f64> {
    Ok(settled(pid).await?.saturating_sub(before) as f64 / count as f64)
}

/// Resident bytes of a process, once they stay as they are.
async fn settled(pid: u32) -> anyhow::Result<u64> {
    let mut last = resident_bytes(pid)?;
    for _ in 0..SETTLING_MAX {
        tokio::time::sleep(SETTLING).await;
        let now = resident_bytes(pid)?;
        if now == last {
            break;
        }
        last = now;
    }
    Ok(last)
}

/// Resident bytes of a process; `smaps_rollup` counts pages, where `status` may lag behind by some.
fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let file = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&file).with_context(|| file.clone())?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).context("no Rss")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim_end().parse().with_context(|| file.clone())?;
    Ok(kib * 1024)
}

/// Raises the limit of open files to the hard one: every silent end has a socket, and the usual limit is 1,024.
pub(crate) fn allow_many_sockets() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?)
}

/// Registrations under way at once.
const AT_ONCE: usize = 32;

/// Also where a relay lets newcomers wait.
const REGISTRATION_DEADLINE: Duration = Duration::from_secs(90);

/// A relay that has nothing to do settles within a few of these.
const SETTLING: Duration = Duration::from_millis(500);
const SETTLING_MAX: usize = 20;
