//! Who is measured, and on what terms.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

use crate::payload::{Figures, Plan, measure};
use crate::servers::Programs;
use crate::{endpoints, servers};

/// One way for two ends to talk.
///
/// All but iroh's ends are quinn with the transport configuration of Belay's sessions (BBR, windows of 8 and 16 MiB, path
/// MTU discovery up to 1,452 bytes), the same TLS and sockets with buffers of 2 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Contender {
    /// quinn to quinn, with nothing between them: what the ends themselves can do.
    Direct,
    /// quinn through `tests/peers/raw-loop`: the floor of what forwarding costs, because it knows its two ends and checks
    /// nothing.
    RawLoop,
    /// Belay's client through `belay-relay serve` as it is shipped. Its byte budget, a gigabit a second, is lifted: the
    /// others have none.
    Belay,
    /// The same with GRO and GSO switched off at the relay, as happens on kernels and in containers without them.
    BelayNoOffload,
    /// quinn through Debian's coturn over UDP.
    ///
    /// Favourable to coturn: only the receiving end has an allocation, and the other sends to the relayed address, so
    /// that each packet is framed once and not twice; data travels in channels, which have the smallest frame; nobody
    /// authenticates; the end that frames keeps its batches (GSO and GRO), as if it had no framing to do. Unfavourable:
    /// nothing that its manual offers.
    Coturn,
    /// The same with an allocation at each end, as two ends have it that reach nothing but their TURN server. Every packet
    /// then passes coturn twice; it has no target, and shows what the favour of one allocation is worth.
    CoturnBoth,
    /// iroh's endpoints through iroh-relay, over TLS as it is deployed: the relay ends two TLS connections over TCP.
    ///
    /// Favourable to iroh: TCP over loopback neither loses nor delays, has segments of 64 KiB, and needs no congestion
    /// control; its ends are configured as iroh has them. Unfavourable: its relay carries everything inside TCP, whose
    /// head-of-line blocking is part of what is compared, and its default windows are smaller than Belay's, because larger
    /// ones make its connections fail (`tests/peers/iroh-peer` says how).
    Iroh,
    /// The same without TLS between ends and relay, as in iroh-relay's development mode: nobody deploys it, and it shows
    /// how much of iroh's cost is TLS.
    IrohPlain,
}

impl Contender {
    /// All of them, in the order of the table.
    pub(crate) const ALL: [Self; 8] = [
        Self::Direct,
        Self::RawLoop,
        Self::Belay,
        Self::BelayNoOffload,
        Self::Coturn,
        Self::CoturnBoth,
        Self::Iroh,
        Self::IrohPlain,
    ];

    /// Why it cannot run here.
    pub(crate) fn missing(self, programs: &Programs) -> anyhow::Result<Option<String>> {
        Ok(match self {
            Self::Coturn | Self::CoturnBoth if programs.turnserver.is_none() => {
                Some("there is no turnserver on this machine: apt-get install coturn".to_owned())
            }
            Self::BelayNoOffload if !servers::belay_knows(programs, NO_OFFLOAD)? => {
                Some(format!("this belay-relay does not know {NO_OFFLOAD}"))
            }
            _ => None,
        })
    }

    /// Whether it has a relay at which ends can be registered and silent.
    pub(crate) const fn keeps_idle_ends(self) -> bool {
        matches!(self, Self::Belay | Self::Coturn | Self::Iroh | Self::IrohPlain)
    }

    /// One round, with a relay of its own.
    pub(crate) async fn run(self, programs: &Programs, plan: &Plan) -> anyhow::Result<Figures> {
        match self {
            Self::Direct => {
                let (ours, theirs) = endpoints::direct().await?;
                measure(&ours, &theirs, plan, None).await
            }
            Self::RawLoop => {
                let (ours, theirs, relay) = endpoints::through_raw_loop(programs).await?;
                measure(&ours, &theirs, plan, Some(relay.id())).await
            }
            Self::Belay => {
                let (ours, theirs, relay) = endpoints::through_belay(programs, &[]).await?;
                measure(&ours, &theirs, plan, Some(relay.id())).await
            }
            Self::BelayNoOffload => {
                let (ours, theirs, relay) = endpoints::through_belay(programs, &[NO_OFFLOAD]).await?;
                measure(&ours, &theirs, plan, Some(relay.id())).await
            }
            Self::Coturn => {
                let (ours, theirs, relay) = endpoints::through_coturn(programs).await?;
                measure(&ours, &theirs, plan, Some(relay.id())).await
            }
            Self::CoturnBoth => {
                let (ours, theirs, relay) = endpoints::through_coturn_twice(programs).await?;
                measure(&ours, &theirs, plan, Some(relay.id())).await
            }
            Self::Iroh => servers::Iroh::start(programs, true)?.session(programs, plan),
            Self::IrohPlain => servers::Iroh::start(programs, false)?.session(programs, plan),
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Direct => "direct",
            Self::RawLoop => "raw-loop",
            Self::Belay => "belay",
            Self::BelayNoOffload => "belay-no-offload",
            Self::Coturn => "coturn",
            Self::CoturnBoth => "coturn-both",
            Self::Iroh => "iroh",
            Self::IrohPlain => "iroh-plain",
        })
    }
}

/// The option of `belay-relay serve` that switches GRO and GSO off.
const NO_OFFLOAD: &str = "--no-offload";
