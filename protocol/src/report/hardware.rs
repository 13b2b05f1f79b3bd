//! The machine's own sensors, its battery, and whether it is a machine at all.

use serde::{Deserialize, Serialize};

use super::{Fact, Stage, Why, Wire};
use crate::bounded::{BoundedVec, Name};

/// The machine's own sensors and supplies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct Hardware<S: Stage> {
    /// Temperatures.
    pub temperatures: Fact<BoundedVec<Temperature<S>, 128>>,
    /// How often a processor slowed down because of heat since the system started, all processors together.
    pub throttled_times: Fact<u64>,
    /// Batteries; empty in a machine without any.
    pub batteries: Fact<BoundedVec<Battery, 8>>,
    /// What the system runs on.
    pub platform: Fact<Platform>,
}

impl<S: Stage> Hardware<S> {
    /// Nothing known, for one reason.
    pub fn unknown(why: &Why) -> Self {
        Self {
            temperatures: Fact::Unknown(why.clone()),
            throttled_times: Fact::Unknown(why.clone()),
            batteries: Fact::Unknown(why.clone()),
            platform: Fact::Unknown(why.clone()),
        }
    }
}

/// One temperature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct Temperature<S: Stage> {
    /// The chip and its own word for the place, such as `coretemp Package id 0`.
    pub sensor: S::Words,
    /// Degrees.
    pub celsius: f64,
    /// Where the chip says that damage begins; unknown where it does not.
    pub critical_celsius: Fact<f64>,
}

/// One battery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Battery {
    /// The kernel's name, such as `BAT0`.
    pub name: Name,
    /// How full it is: 0 to 100.
    pub charge_percent: Fact<u8>,
    /// What it can hold of what it was built for.
    pub health_percent: Fact<u8>,
    /// Whether the machine lives on it.
    pub flow: Flow,
    /// Times it was emptied; not offered by many.
    pub cycles: Fact<u32>,
}

/// Where a battery's charge goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    /// In.
    Charging,
    /// Out.
    Discharging,
    /// Neither, or it does not say.
    Resting,
}

/// What the system runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Of which kind.
    pub kind: PlatformKind,
    /// The hypervisor's or container manager's name, such as `kvm` or `docker`; empty where it says none.
    pub name: Name,
    /// The model that the firmware tells, such as `ThinkPad X1`; empty where it tells none.
    pub model: Name,
}

/// Of which kind the machine is, seen from inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlatformKind {
    /// No sign of anything between the system and the hardware.
    Physical,
    /// A virtual machine.
    Virtual,
    /// A container; whether of a virtual machine is not said.
    Container,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::report::{Masked, Shared, WhyKind};

    pub(crate) fn sample() -> Hardware<Shared> {
        Hardware {
            temperatures: Fact::Known(
                vec![Temperature {
                    sensor: Masked::redacted("coretemp Core 0"),
                    celsius: 45.0,
                    critical_celsius: Fact::Known(100.0),
                }]
                .try_into()
                .unwrap(),
            ),
            throttled_times: Fact::Known(0),
            batteries: Fact::Known(
                vec![Battery {
                    name: Name::truncating("BAT0"),
                    charge_percent: Fact::Known(98),
                    health_percent: Fact::Known(91),
                    flow: Flow::Resting,
                    cycles: Fact::Unknown(Why::new(WhyKind::NotOffered, "/sys/class/power_supply")),
                }]
                .try_into()
                .unwrap(),
            ),
            platform: Fact::Known(Platform {
                kind: PlatformKind::Physical,
                name: Name::default(),
                model: Name::truncating("Laptop 1"),
            }),
        }
    }
}
