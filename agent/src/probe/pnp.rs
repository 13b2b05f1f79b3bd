//! What the device manager of Windows says about devices, asked for by WMI.

use belay_protocol::BoundedVec;
use belay_protocol::bounded::Name;
use belay_protocol::report::{Pnp, PnpDevice, Private, Raw, Why, WhyKind};
use serde::Deserialize;

use super::Root;

/// A row of `Win32_PnPEntity`. Any field may be absent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Entity {
    /// The instance path.
    #[serde(rename = "DeviceID")]
    pub device_id: Option<String>,
    /// What the device calls itself.
    pub name: Option<String>,
    /// The problem, 0 for none.
    pub config_manager_error_code: Option<u32>,
}

/// A row of `Win32_PnPSignedDriver`, which is about every device with a driver, signed or not.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SignedDriver {
    /// The instance path of the device.
    #[serde(rename = "DeviceID")]
    pub device_id: Option<String>,
    /// The device's name.
    pub device_name: Option<String>,
    /// Who gave the driver out.
    pub driver_provider_name: Option<String>,
    /// Its date in CIM's form, `20230914000000.******+***`.
    pub driver_date: Option<String>,
    /// Its version.
    pub driver_version: Option<String>,
    /// Whether somebody signed it.
    pub is_signed: Option<bool>,
}

/// The devices of this machine; the question does not arise outside Windows.
pub fn look(root: &Root) -> Result<Pnp<Raw>, Why> {
    root.live_only(SOURCE)?;
    let (entities, drivers) = read()?;
    parse(&entities, &drivers)
}

const SOURCE: &str = "Win32_PnPEntity";

#[cfg(windows)]
fn read() -> Result<(Vec<Entity>, Vec<SignedDriver>), Why> {
    let failed = |error: wmi::WMIError| {
        let code = match error {
            wmi::WMIError::HResultError { hres } => Some(hres),
            _ => None,
        };
        Why::new(WhyKind::Failed, SOURCE).with_os_error(code)
    };
    let wmi = wmi::WMIConnection::new().map_err(failed)?;
    let entities = wmi.raw_query("SELECT DeviceID, Name, ConfigManagerErrorCode FROM Win32_PnPEntity");
    let drivers = wmi.raw_query(
        "SELECT DeviceID, DeviceName, DriverProviderName, DriverDate, DriverVersion, IsSigned FROM Win32_PnPSignedDriver",
    );
    // Without the drivers the problems can still be told.
    Ok((entities.map_err(failed)?, drivers.unwrap_or_default()))
}

#[cfg(not(windows))]
fn read() -> Result<(Vec<Entity>, Vec<SignedDriver>), Why> {
    Err(Why::new(WhyKind::NotApplicable, SOURCE))
}

/// Understands the rows. A machine without any device does not exist: no rows and no error is WMI's way to fail.
pub fn parse(entities: &[Entity], drivers: &[SignedDriver]) -> Result<Pnp<Raw>, Why> {
    if entities.is_empty() {
        return Err(Why::new(WhyKind::NotOffered, SOURCE));
    }
    let date = |driver: &SignedDriver| driver.driver_date.as_deref().and_then(parse_date);
    let problem = |entity: &Entity| {
        let problem_code = entity.config_manager_error_code.filter(|code| *code != 0)?;
        let driver = drivers.iter().find(|driver| driver.device_id.is_some() && driver.device_id == entity.device_id);
        Some(PnpDevice {
            instance: Private::new(entity.device_id.clone().unwrap_or_default()),
            name: Private::new(entity.name.clone().unwrap_or_default()),
            problem_code,
            driver_date: driver.and_then(date).map(Name::truncating),
            driver_version: driver.and_then(|driver| driver.driver_version.clone()).map(Name::truncating),
        })
    };
    let unsigned = drivers.iter().filter(|driver| driver.is_signed == Some(false)).map(|driver| PnpDevice {
        instance: Private::new(driver.device_id.clone().unwrap_or_default()),
        name: Private::new(driver.device_name.clone().unwrap_or_default()),
        problem_code: 0,
        driver_date: date(driver).map(Name::truncating),
        driver_version: driver.driver_version.clone().map(Name::truncating),
    });
    // Windows dates its own drivers 2006-06-21, whatever their age, so that any other is preferred.
    let is_others = |driver: &&SignedDriver| {
        driver.driver_provider_name.as_deref().is_some_and(|name| !name.is_empty() && name != "Microsoft")
    };
    Ok(Pnp {
        device_count: u32::try_from(entities.len()).unwrap_or(u32::MAX),
        problems: BoundedVec::truncating(entities.iter().filter_map(problem)).0,
        unsigned: BoundedVec::truncating(unsigned).0,
        oldest_driver: drivers.iter().filter(is_others).filter_map(date).min().map(Name::truncating),
    })
}

/// The day in CIM's form of a time, as `YYYY-MM-DD`.
pub fn parse_date(text: &str) -> Option<String> {
    let digits = text.get(..8).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    let (year, month, day) = (digits.get(..4)?, digits.get(4..6)?, digits.get(6..)?);
    let is_day = ("01"..="12").contains(&month) && ("01"..="31").contains(&day);
    is_day.then(|| format!("{year}-{month}-{day}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> (Vec<Entity>, Vec<SignedDriver>) {
        let entities = r#"[
            {"DeviceID": "PCI\\VEN_8086&DEV_2723\\3&1", "Name": "Network Controller", "ConfigManagerErrorCode": 28},
            {"DeviceID": "ROOT\\X\\0", "Name": null, "ConfigManagerErrorCode": 0},
            {"DeviceID": "ROOT\\Y\\0"}]"#;
        let drivers = r#"[
            {"DeviceID": "PCI\\VEN_8086&DEV_2723\\3&1", "DriverDate": "20230914000000.******+***", "DriverVersion": "1.2",
             "DriverProviderName": "Intel", "IsSigned": true},
            {"DeviceID": "ROOT\\Y\\0", "DeviceName": "Scanner", "DriverDate": "bad", "IsSigned": false},
            {"DeviceID": "ROOT\\X\\0", "DriverDate": "20060621000000.******+***", "DriverProviderName": "Microsoft"}]"#;
        (serde_json::from_str(entities).unwrap(), serde_json::from_str(drivers).unwrap())
    }

    #[test]
    fn problems_unsigned_drivers_and_dates_are_read_from_the_rows() {
        let (entities, drivers) = rows();
        let pnp = parse(&entities, &drivers).unwrap();
        assert_eq!((pnp.device_count, pnp.problems.len(), pnp.unsigned.len()), (3, 1, 1));
        let problem = &pnp.problems[0];
        assert_eq!((problem.problem_code, problem.driver_date.as_deref()), (28, Some("2023-09-14")));
        assert_eq!(pnp.unsigned[0].name.reveal(), "Scanner");
        assert_eq!(pnp.oldest_driver.as_deref(), Some("2023-09-14"));
    }

    #[test]
    fn no_rows_and_no_error_are_unknown() {
        assert_eq!(parse(&[], &rows().1).unwrap_err().kind, WhyKind::NotOffered);
        assert!(parse(&rows().0, &[]).unwrap().oldest_driver.is_none());
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_date(&text);
        }
    }
}
