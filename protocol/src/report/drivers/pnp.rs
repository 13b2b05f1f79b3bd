//! What the device manager of Windows says about devices, and what its problem codes mean.

use serde::{Deserialize, Serialize};

use crate::bounded::{BoundedVec, Name};
use crate::lang::Phrase;
use crate::limits;
use crate::report::{Stage, Wire};

/// What the device manager of Windows says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct Pnp<S: Stage> {
    /// Devices that exist.
    pub device_count: u32,
    /// Those with a problem.
    pub problems: BoundedVec<PnpDevice<S>, 512>,
    /// Those whose driver nobody signed.
    pub unsigned: BoundedVec<PnpDevice<S>, { limits::SECTION_MAX_ITEMS }>,
    /// The oldest driver that is not part of Windows itself, as `YYYY-MM-DD`.
    pub oldest_driver: Option<Name>,
}

/// A device as the device manager shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct PnpDevice<S: Stage> {
    /// Its instance path, such as `PCI\VEN_8086&DEV_2723\3&11583659&0&A0`; the end may be a serial number.
    pub instance: S::Words,
    /// What it calls itself.
    pub name: S::Words,
    /// The code of its problem, from [`PNP_PROBLEMS`]; 0 when it has none.
    pub problem_code: u32,
    /// The date of its driver, as `YYYY-MM-DD`.
    pub driver_date: Option<Name>,
    /// The version of its driver.
    pub driver_version: Option<Name>,
}

/// A problem code of Plug and Play (`CM_PROB_*` of cfg.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PnpProblem {
    /// The code.
    pub code: u32,
    /// What it means.
    pub meaning: Phrase,
    /// What to do.
    pub remedy: Phrase,
}

impl PnpProblem {
    /// The problem with `code`.
    pub fn of(code: u32) -> Option<&'static Self> {
        PNP_PROBLEMS.iter().find(|problem| problem.code == code)
    }

    /// The phrase of `pnp_problem_N` (its meaning) and `pnp_remedy_N` (what to do), as rules name them.
    pub fn phrase_of(word: &str) -> Option<Phrase> {
        let number = |prefix| word.strip_prefix(prefix)?.parse().ok();
        let meaning = number("pnp_problem_").map(|code| Self::of(code).map_or(UNLISTED.meaning, |known| known.meaning));
        meaning.or_else(|| {
            let code = number("pnp_remedy_")?;
            Some(Self::of(code).map_or(UNLISTED.remedy, |known| known.remedy))
        })
    }
}

/// What is said of a code that later versions of Windows add.
const UNLISTED: PnpProblem =
    problem(0, ("Windows reports a problem without a known meaning", "Windows 报告了一个未知问题"), INSTALL_NEWEST);

const fn problem(code: u32, meaning: (&'static str, &'static str), remedy: Phrase) -> PnpProblem {
    PnpProblem { code, meaning: Phrase { en: meaning.0, zh: meaning.1 }, remedy }
}

const REINSTALL: Phrase = Phrase {
    en: "Remove the device in the device manager and let Windows look for new hardware; then install the maker's driver.",
    zh: "请在设备管理器中卸载该设备并扫描硬件改动，然后安装厂商提供的驱动。",
};
const INSTALL_NEWEST: Phrase = Phrase {
    en: "Install the newest driver from the maker of the device or the computer.",
    zh: "请从设备或电脑厂商处安装最新的驱动。",
};
const RESTART: Phrase = Phrase { en: "Restart the computer.", zh: "请重新启动电脑。" };
const RECONNECT: Phrase = Phrase {
    en: "Unplug the device, wait ten seconds and plug it in again, at another port if need be.",
    zh: "请拔下设备，等待十秒后重新插入，必要时换一个端口。",
};
const FIRMWARE: Phrase = Phrase {
    en: "Update the computer's firmware (BIOS or UEFI) from its maker.",
    zh: "请从电脑厂商处更新固件（BIOS 或 UEFI）。",
};
const FREE_RESOURCES: Phrase = Phrase {
    en: "Disable or remove a device that is not needed, and restart the computer.",
    zh: "请停用或移除不需要的设备，然后重新启动电脑。",
};
const ENABLE: Phrase = Phrase {
    en: "Enable it in the device manager if it is needed.",
    zh: "如果需要该设备，请在设备管理器中启用它。",
};
const WAIT: Phrase = Phrase {
    en: "Wait until Windows has finished installing, then restart the computer.",
    zh: "请等待 Windows 安装完成，然后重新启动电脑。",
};
const REPAIR_REGISTRY: Phrase = Phrase {
    en: "Remove the device in the device manager and scan for it again; if that fails, go back to a restore point.",
    zh: "请在设备管理器中卸载该设备并重新扫描；如仍失败，请恢复到系统还原点。",
};
const ASK_ADMINISTRATOR: Phrase = Phrase {
    en: "Ask whoever administers this computer: a policy forbids the driver.",
    zh: "请联系本机的管理员：策略禁止了该驱动。",
};
const SIGNED_DRIVER: Phrase = Phrase {
    en: "Install a driver that is signed for this version of Windows; do not switch the check of signatures off.",
    zh: "请安装适用于此 Windows 版本且已签名的驱动；请勿关闭签名检查。",
};
const HARDWARE: Phrase = Phrase {
    en: "Try the device on another computer; if it fails there too, replace it. Otherwise install its newest driver.",
    zh: "请在另一台电脑上测试该设备；如同样失败则更换它，否则安装其最新驱动。",
};
const NOTHING: Phrase = Phrase { en: "Nothing needs to be done.", zh: "无需处理。" };

/// Every problem code that Windows documents (learn.microsoft.com, "Device Manager Error Messages", and cfg.h).
pub const PNP_PROBLEMS: [PnpProblem; 57] = [
    problem(1, ("it is not configured correctly", "设备未正确配置"), INSTALL_NEWEST),
    problem(2, ("Windows could not load the loader of its bus", "Windows 无法加载其总线的加载程序"), INSTALL_NEWEST),
    problem(3, ("its driver may be damaged, or memory is short", "驱动可能已损坏，或内存不足"), REINSTALL),
    problem(4, ("its driver or its registry entry is damaged", "驱动或注册表项已损坏"), REINSTALL),
    problem(
        5,
        ("its driver asked for a resource that Windows cannot give", "驱动请求了 Windows 无法提供的资源"),
        INSTALL_NEWEST,
    ),
    problem(
        6,
        ("it conflicts with the start configuration of another device", "与其他设备的启动配置冲突"),
        FREE_RESOURCES,
    ),
    problem(7, ("its resources could not be filtered", "无法筛选其资源"), REINSTALL),
    problem(8, ("the loader of its driver is missing", "缺少驱动加载程序"), REINSTALL),
    problem(9, ("the firmware reports its resources wrongly", "固件错误地报告了其资源"), FIRMWARE),
    problem(10, ("it could not be started", "设备无法启动"), INSTALL_NEWEST),
    problem(11, ("it failed", "设备发生故障"), HARDWARE),
    problem(12, ("there are not enough free resources for it", "没有足够的可用资源"), FREE_RESOURCES),
    problem(13, ("its resources could not be verified", "无法验证其资源"), REINSTALL),
    problem(14, ("it needs a restart of the computer", "需要重新启动电脑"), RESTART),
    problem(15, ("its resources were numbered twice", "其资源被重复枚举"), FIRMWARE),
    problem(16, ("not all of its resources could be identified", "无法识别其全部资源"), INSTALL_NEWEST),
    problem(17, ("it asks for a kind of resource that is not known", "请求了未知类型的资源"), INSTALL_NEWEST),
    problem(18, ("its driver must be installed again", "需要重新安装驱动"), REINSTALL),
    problem(
        19,
        ("its entries in the registry are incomplete or damaged", "注册表中的配置不完整或已损坏"),
        REPAIR_REGISTRY,
    ),
    problem(20, ("the loader of virtual drivers failed", "虚拟驱动加载程序失败"), REINSTALL),
    problem(21, ("Windows is removing it", "Windows 正在移除该设备"), RESTART),
    problem(22, ("it is switched off", "设备已被停用"), ENABLE),
    problem(23, ("the loader of the display's driver failed", "显示驱动加载程序失败"), INSTALL_NEWEST),
    problem(24, ("it is not there, does not work, or lacks a driver", "设备不存在、工作异常或缺少驱动"), RECONNECT),
    problem(25, ("Windows is still setting it up", "Windows 仍在设置该设备"), WAIT),
    problem(26, ("Windows is still setting it up", "Windows 仍在设置该设备"), WAIT),
    problem(27, ("Windows cannot tell what resources it needs", "Windows 无法确定其所需资源"), INSTALL_NEWEST),
    problem(28, ("no driver is installed", "没有安装驱动"), INSTALL_NEWEST),
    problem(29, ("the firmware gave it no resources", "固件未为其分配资源"), FIRMWARE),
    problem(30, ("it uses an interrupt that another device uses", "其中断与其他设备冲突"), FREE_RESOURCES),
    problem(31, ("Windows cannot load the drivers that it needs", "Windows 无法加载其所需驱动"), INSTALL_NEWEST),
    problem(32, ("its driver is switched off", "其驱动已被停用"), REINSTALL),
    problem(33, ("Windows cannot find out what resources it needs", "Windows 无法确定其资源"), HARDWARE),
    problem(34, ("its resources must be set by hand", "需要手动设置其资源"), INSTALL_NEWEST),
    problem(35, ("the firmware does not say enough to use it", "固件提供的信息不足以使用该设备"), FIRMWARE),
    problem(
        36,
        ("it needs another kind of interrupt than the firmware gave", "所需的中断类型与固件分配的不同"),
        FIRMWARE,
    ),
    problem(37, ("its driver could not be initialized", "驱动无法初始化"), REINSTALL),
    problem(38, ("an older copy of its driver is still in memory", "旧的驱动仍在内存中"), RESTART),
    problem(39, ("its driver is damaged or missing", "驱动已损坏或丢失"), REINSTALL),
    problem(40, ("the registry entry of its driver is damaged", "驱动的注册表项已损坏"), REINSTALL),
    problem(41, ("its driver is loaded but the device cannot be found", "驱动已加载，但找不到设备"), RECONNECT),
    problem(42, ("another device has the same number", "已有相同编号的设备"), RESTART),
    problem(43, ("it reported a problem and was stopped", "设备报告了问题并已被停止"), HARDWARE),
    problem(44, ("a program or service shut it down", "程序或服务关闭了该设备"), RESTART),
    problem(45, ("it is not connected", "设备未连接"), RECONNECT),
    problem(46, ("Windows is shutting down", "Windows 正在关机"), NOTHING),
    problem(47, ("it was made ready to be unplugged", "设备已准备好安全移除"), RECONNECT),
    problem(
        48,
        ("its driver is known to harm Windows and was blocked", "其驱动已知会损害 Windows，已被阻止"),
        INSTALL_NEWEST,
    ),
    problem(49, ("the registry has grown too large", "注册表过大"), REPAIR_REGISTRY),
    problem(50, ("Windows cannot apply all of its properties", "Windows 无法应用其全部属性"), REINSTALL),
    problem(51, ("it waits for another device", "正在等待另一个设备"), WAIT),
    problem(52, ("its driver is not signed", "其驱动没有签名"), SIGNED_DRIVER),
    problem(53, ("it is reserved for the kernel debugger", "已保留给内核调试器使用"), NOTHING),
    problem(54, ("it failed and is being reset", "设备发生故障，正在重置"), WAIT),
    problem(55, ("Windows would not start it", "Windows 拒绝启动该设备"), ASK_ADMINISTRATOR),
    problem(56, ("Windows is still configuring its class", "Windows 仍在配置其类别"), REINSTALL),
    problem(57, ("it did not answer to a request for its state", "设备未应答状态查询"), HARDWARE),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_from_1_to_57_has_a_meaning_and_a_remedy_in_both_languages() {
        let codes: Vec<u32> = PNP_PROBLEMS.iter().map(|problem| problem.code).collect();
        assert_eq!(codes, (1..=57).collect::<Vec<_>>());
        for problem in PNP_PROBLEMS {
            for text in [problem.meaning.en, problem.meaning.zh, problem.remedy.en, problem.remedy.zh] {
                assert!(!text.is_empty(), "{problem:?}");
            }
            assert!(problem.remedy.en.ends_with('.') && problem.remedy.zh.ends_with('。'), "{problem:?}");
        }
    }

    #[test]
    fn rules_name_problems_by_word() {
        assert_eq!(PnpProblem::phrase_of("pnp_problem_28").unwrap().en, "no driver is installed");
        assert_eq!(PnpProblem::phrase_of("pnp_remedy_22"), Some(ENABLE));
        assert_eq!(PnpProblem::phrase_of("pnp_problem_99"), Some(UNLISTED.meaning));
        assert_eq!(PnpProblem::phrase_of("pnp_problem_x"), None);
    }
}
