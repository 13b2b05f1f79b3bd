//! The fixes that rules name, as people read them.

use crate::lang::Phrase;

/// Every fix that a rule of the base pack names, with what it does.
pub const FIXES: [(&str, Phrase); 15] = [
    ("clear-package-cache", Phrase { en: "Empty the package manager's cache", zh: "清空软件包缓存" }),
    ("end-program", Phrase { en: "End a program", zh: "结束程序" }),
    ("finish-packages", Phrase { en: "Finish half-installed packages", zh: "完成未装完的软件包" }),
    ("install-firmware", Phrase { en: "Install the missing firmware", zh: "安装缺少的固件" }),
    ("install-updates", Phrase { en: "Install the waiting updates", zh: "安装待装更新" }),
    ("rebuild-dkms", Phrase { en: "Rebuild drivers for the running kernel", zh: "为当前内核重新编译驱动" }),
    ("renew-address", Phrase { en: "Ask the network for a new address", zh: "重新获取网络地址" }),
    ("renew-certificates", Phrase { en: "Renew the certificates", zh: "续期证书" }),
    ("restart-machine", Phrase { en: "Restart the machine", zh: "重启计算机" }),
    ("restart-name-service", Phrase { en: "Restart the name service", zh: "重启域名解析服务" }),
    ("restart-network", Phrase { en: "Restart the network", zh: "重启网络" }),
    ("restart-service", Phrase { en: "Restart a service", zh: "重启服务" }),
    ("shorten-journal", Phrase { en: "Delete old entries of the journal", zh: "删除较早的系统日志" }),
    ("switch-on-firewall", Phrase { en: "Switch on the firewall", zh: "启用防火墙" }),
    ("switch-on-time-service", Phrase { en: "Switch on automatic time", zh: "启用自动校时" }),
];

/// What a fix does, for people; nothing for one that only a desk's own pack names.
pub fn fix_phrase(name: &str) -> Option<Phrase> {
    FIXES.iter().find(|(known, _)| *known == name).map(|(_, phrase)| *phrase)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rules::Pack;

    #[test]
    fn every_fix_of_the_base_pack_has_a_title_and_every_title_a_fix() {
        let named: BTreeSet<&str> =
            Pack::base().rules().iter().flat_map(|rule| rule.fixes.iter().map(|fix| fix.as_str())).collect();
        let known: BTreeSet<&str> = FIXES.iter().map(|(name, _)| *name).collect();
        assert_eq!(named, known);
        assert_eq!(known.len(), FIXES.len(), "no name stands twice");
        for (name, phrase) in FIXES {
            assert!(!phrase.en.is_empty() && !phrase.zh.is_ascii(), "{name}");
        }
    }
}
