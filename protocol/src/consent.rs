//! What may be done on a device, and the customer's answer to it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::lang::Phrase;

/// A kind of thing that a technician may ask for. Each is granted by itself and ends by itself.
///
/// Append only: the position is the wire form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Look at disk, memory, drivers and network and send the redacted report.
    Survey,
    /// A terminal that the customer sees.
    Terminal,
    /// Files from the technician to the device.
    SendFiles,
    /// Files from the device to the technician.
    TakeFiles,
    /// Named repairs from the catalogue.
    Fixes,
    /// A TCP connection to a named address in the customer's network.
    Tunnel,
}

/// The text was not the name of a capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown capability; the known ones are survey, terminal, send-files, take-files, fixes and tunnel")]
pub struct UnknownCapability;

impl Capability {
    /// Every capability, in the order of the wire.
    pub const ALL: [Self; 6] =
        [Self::Survey, Self::Terminal, Self::SendFiles, Self::TakeFiles, Self::Fixes, Self::Tunnel];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Survey => "survey",
            Self::Terminal => "terminal",
            Self::SendFiles => "send-files",
            Self::TakeFiles => "take-files",
            Self::Fixes => "fixes",
            Self::Tunnel => "tunnel",
        }
    }

    /// What it allows, as told to the customer.
    pub const fn meaning(self) -> Phrase {
        match self {
            Self::Survey => Phrase {
                en: "look at disk, memory, drivers and network, and send the report shown below",
                zh: "查看磁盘、内存、驱动和网络，并发送下方显示的报告",
            },
            Self::Terminal => Phrase {
                en: "use a command line on this machine while you watch",
                zh: "在您的注视下使用本机的命令行",
            },
            Self::SendFiles => Phrase { en: "put files on this machine", zh: "向本机传送文件" },
            Self::TakeFiles => {
                Phrase { en: "take files that you pick from this machine", zh: "取走您选定的本机文件" }
            }
            Self::Fixes => Phrase { en: "run named repairs", zh: "执行指定的修复操作" },
            Self::Tunnel => {
                Phrase { en: "reach another device in your network", zh: "访问您网络中的另一台设备" }
            }
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Capability {
    type Err = UnknownCapability;

    fn from_str(text: &str) -> Result<Self, UnknownCapability> {
        Self::ALL.into_iter().find(|capability| capability.name() == text).ok_or(UnknownCapability)
    }
}

/// Permission for one capability until a moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// What is permitted.
    pub capability: Capability,
    /// When the permission ends, in milliseconds since 1970 by the device's clock.
    pub until_unix_ms: i64,
}

impl Grant {
    /// Says whether this grant permits `capability` at `now_unix_ms`. The end itself is no longer permitted.
    pub fn permits(&self, capability: Capability, now_unix_ms: i64) -> bool {
        self.capability == capability && now_unix_ms < self.until_unix_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_ends_at_its_end() {
        let grant = Grant { capability: Capability::Survey, until_unix_ms: 1_000 };
        assert!(grant.permits(Capability::Survey, 999));
        assert!(!grant.permits(Capability::Survey, 1_000));
        assert!(!grant.permits(Capability::Terminal, 0));
    }

    #[test]
    fn names_read_back() {
        for capability in Capability::ALL {
            assert_eq!(capability.name().parse(), Ok(capability));
        }
        assert_eq!("shell".parse::<Capability>(), Err(UnknownCapability));
    }
}
