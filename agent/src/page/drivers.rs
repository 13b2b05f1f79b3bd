//! Kernel modules and devices on the page.

use belay_protocol::report::{Drivers, Graphics, SectionName, Shared, Taint};

use super::{Page, listed, words::*};

impl Page {
    pub(super) fn drivers(&mut self, drivers: &Drivers<Shared>) {
        let language = self.language;
        self.section(SectionName::Drivers);
        self.fact(&MODULES, &drivers.modules, |modules| modules.len().to_string());
        self.fact(&TAINT, &drivers.taint, |taint| match taint.bits {
            0 => NONE.text(language).to_owned(),
            _ => {
                let words = taint.flags.iter().map(|flag| {
                    Taint::phrase(flag).map_or_else(|| flag.to_string(), |phrase| phrase.text(language).to_owned())
                });
                words.collect::<Vec<_>>().join(SEMICOLON.text(language))
            }
        });
        for (label, bus) in [(&PCI, &drivers.pci), (&USB, &drivers.usb)] {
            self.fact(label, bus, |bus| {
                let (all, without) = (bus.device_count.to_string(), bus.without_driver.len().to_string());
                UNDRIVEN.fill(language, &[("all", &all), ("without", &without)])
            });
        }
        self.fact(&GRAPHICS, &drivers.graphics, |cards| {
            let card = |card: &Graphics| {
                let driver = card.driver.as_ref().map_or(NONE.text(language), |driver| driver.as_str());
                let version = card.driver_version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
                format!("{driver}{version}")
            };
            listed(cards.iter().map(card), language)
        });
        self.fact(&FIRMWARE, &drivers.missing_firmware, |files| {
            listed(files.iter().map(|file| file.as_str().to_owned()), language)
        });
        self.fact(&DKMS, &drivers.dkms, |modules| {
            listed(modules.iter().map(|module| format!("{} {}", module.name, module.version)), language)
        });
        self.fact(&PNP, &drivers.pnp, |pnp| {
            let (all, wrong) = (pnp.device_count.to_string(), pnp.problems.len().to_string());
            WITH_PROBLEM.fill(language, &[("all", &all), ("wrong", &wrong)])
        });
    }
}
