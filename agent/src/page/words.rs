//! The words of the page, in every language.

use belay_protocol::Phrase;

pub(super) const NOTHING_WRONG: Phrase = Phrase { en: "Nothing wrong was found.", zh: "未发现问题。" };
pub(super) const NOTHING_WRONG_SEEN: Phrase = Phrase {
    en: "Nothing wrong was found in what could be looked at.",
    zh: "在能够查看的范围内未发现问题。",
};
pub(super) const ONE_WRONG: Phrase = Phrase { en: "One thing needs attention:", zh: "有 1 项需要处理：" };
pub(super) const SOME_WRONG: Phrase =
    Phrase { en: "{count} things need attention:", zh: "有 {count} 项需要处理：" };
pub(super) const ONE_NOTE: Phrase = Phrase { en: "One thing to know beside:", zh: "另有 1 项供参考：" };
pub(super) const SOME_NOTES: Phrase =
    Phrase { en: "{count} things to know beside:", zh: "另有 {count} 项供参考：" };
pub(super) const MORE_ALIKE: Phrase =
    Phrase { en: "… and {count} more like this", zh: "……另有 {count} 项与此相同" };
pub(super) const COLON: Phrase = Phrase { en: ": ", zh: "：" };
pub(super) const COMMA: Phrase = Phrase { en: ", ", zh: "、" };
pub(super) const SEMICOLON: Phrase = Phrase { en: "; ", zh: "；" };
pub(super) const IN_BRACKETS: Phrase = Phrase { en: " ({text})", zh: "（{text}）" };
pub(super) const UNSEEN: Phrase = Phrase { en: "Could not look at", zh: "未能查看" };
pub(super) const OS: Phrase = Phrase { en: "operating system", zh: "操作系统" };
pub(super) const KERNEL: Phrase = Phrase { en: "kernel", zh: "内核" };
pub(super) const HOST: Phrase = Phrase { en: "name", zh: "主机名" };
pub(super) const UPTIME: Phrase = Phrase { en: "running for", zh: "已运行" };
pub(super) const CPUS: Phrase = Phrase { en: "processors", zh: "处理器数" };
pub(super) const CPU_USE: Phrase = Phrase { en: "processors busy", zh: "处理器使用率" };
pub(super) const LOAD: Phrase = Phrase { en: "load over 1 / 5 / 15 min", zh: "1 / 5 / 15 分钟负载" };
pub(super) const CLOCK: Phrase = Phrase { en: "clock", zh: "时钟" };
pub(super) const SYNCHRONISED: Phrase = Phrase { en: "kept right automatically", zh: "自动校准" };
pub(super) const UNSYNCHRONISED: Phrase = Phrase { en: "not kept right automatically", zh: "未自动校准" };
pub(super) const PROCESSES: Phrase = Phrase { en: "programs running", zh: "运行的进程" };
pub(super) const LARGEST: Phrase = Phrase { en: "largest in memory", zh: "占用内存最多" };
pub(super) const MOUNTS: Phrase = Phrase { en: "disks", zh: "磁盘" };
pub(super) const MORE_MOUNTS: Phrase = Phrase { en: "more, not looked at", zh: "其余未查看" };
pub(super) const READ_ONLY: Phrase = Phrase { en: "read-only", zh: "只读" };
pub(super) const STOPPED: Phrase = Phrase { en: "STOPPED WRITING", zh: "已停止写入" };
pub(super) const SPACE: Phrase =
    Phrase { en: "{used} % used, {left} left of {size}", zh: "已用 {used} %，剩余 {left}（共 {size}）" };
pub(super) const RAM: Phrase = Phrase { en: "memory", zh: "内存" };
pub(super) const FREE_OF: Phrase = Phrase { en: "{free} of {all} available", zh: "可用 {free}（共 {all}）" };
pub(super) const SWAP: Phrase = Phrase { en: "swap", zh: "交换空间" };
pub(super) const NONE: Phrase = Phrase { en: "none", zh: "无" };
pub(super) const WAITS_CPU: Phrase = Phrase { en: "waits for processors", zh: "等待处理器" };
pub(super) const WAITS_MEMORY: Phrase = Phrase { en: "waits for memory", zh: "等待内存" };
pub(super) const WAITS_IO: Phrase = Phrase { en: "waits for disks", zh: "等待磁盘" };
pub(super) const HOTTEST: Phrase = Phrase { en: "hottest", zh: "最高温度" };
pub(super) const FAILED_SERVICES: Phrase = Phrase { en: "services that failed", zh: "失败的服务" };
pub(super) const SERVICES: Phrase = Phrase { en: "services", zh: "服务" };
pub(super) const RUNNING_OF: Phrase =
    Phrase { en: "{running} of {all} running", zh: "共 {all} 个，其中 {running} 个正在运行" };
pub(super) const UPDATES: Phrase = Phrase { en: "updates that wait", zh: "待装更新" };
pub(super) const KERNEL_LOG: Phrase = Phrase { en: "in the kernel's log", zh: "内核日志中" };
pub(super) const FIREWALL: Phrase = Phrase { en: "firewall", zh: "防火墙" };
pub(super) const CERTIFICATES: Phrase = Phrase { en: "server certificates", zh: "服务器证书" };
pub(super) const HEALTH: Phrase = Phrase { en: "health of", zh: "健康状况" };
pub(super) const PASSED: Phrase = Phrase { en: "no danger seen", zh: "未见异常" };
pub(super) const FAILING: Phrase = Phrase { en: "FAILING", zh: "即将损坏" };
pub(super) const ARRAYS: Phrase = Phrase { en: "disk arrays", zh: "磁盘阵列" };
pub(super) const ENDED: Phrase = Phrase { en: "ended for lack of memory", zh: "因内存不足被结束" };
pub(super) const ECC: Phrase = Phrase { en: "memory errors", zh: "内存错误" };
pub(super) const MODULES: Phrase = Phrase { en: "kernel modules", zh: "内核模块" };
pub(super) const TAINT: Phrase = Phrase { en: "kernel incidents", zh: "内核异常标记" };
pub(super) const PCI: Phrase = Phrase { en: "PCI devices", zh: "PCI 设备" };
pub(super) const USB: Phrase = Phrase { en: "USB devices", zh: "USB 设备" };
pub(super) const UNDRIVEN: Phrase =
    Phrase { en: "{all}, {without} without a driver", zh: "{all} 个，其中 {without} 个没有驱动" };
pub(super) const INTERFACES: Phrase = Phrase { en: "network interfaces", zh: "网络接口" };
pub(super) const LINK_UP: Phrase = Phrase { en: "connected", zh: "已连接" };
pub(super) const LINK_NONE: Phrase = Phrase { en: "not connected", zh: "未连接" };
pub(super) const LINK_DOWN: Phrase = Phrase { en: "switched off", zh: "已关闭" };
pub(super) const LINK_UNCLEAR: Phrase = Phrase { en: "link unclear", zh: "连接状态不明" };
pub(super) const LOSSES: Phrase =
    Phrase { en: "{errors} {errors:error/errors}, {dropped} dropped", zh: "错误 {errors}，丢弃 {dropped}" };
pub(super) const WAY_OUT: Phrase = Phrase { en: "way out", zh: "默认出口" };
pub(super) const NAME_SERVER: Phrase = Phrase { en: "name server", zh: "域名服务器" };
pub(super) const NAME_SERVERS: Phrase = Phrase { en: "name servers", zh: "域名服务器" };
pub(super) const NAMES: Phrase = Phrase { en: "looking up names", zh: "域名解析" };
pub(super) const RELAY: Phrase = Phrase { en: "relay", zh: "中继" };
pub(super) const UNREACHABLE: Phrase = Phrase { en: "cannot be reached", zh: "无法连接" };
pub(super) const GRAPHICS: Phrase = Phrase { en: "graphics drivers", zh: "显卡驱动" };
pub(super) const FIRMWARE: Phrase = Phrase { en: "missing firmware", zh: "缺失的固件" };
pub(super) const DKMS: Phrase = Phrase { en: "modules built by DKMS", zh: "DKMS 编译的模块" };
pub(super) const PNP: Phrase = Phrase { en: "devices", zh: "设备" };
pub(super) const WITH_PROBLEM: Phrase =
    Phrase { en: "{all}, {wrong} with a problem", zh: "{all} 个，其中 {wrong} 个有问题" };
pub(super) const WAY_OUT_DEVICE: Phrase = Phrase { en: "way out, device", zh: "出口设备" };
pub(super) const PROXY: Phrase = Phrase { en: "proxy settings", zh: "代理设置" };
pub(super) const LISTENING: Phrase = Phrase { en: "ports open to others", zh: "对外开放的端口" };
pub(super) const RESENT: Phrase = Phrase { en: "TCP sent again", zh: "TCP 重传" };
pub(super) const DESK: Phrase = Phrase { en: "support desk", zh: "服务台" };
pub(super) const JITTER: Phrase = Phrase { en: "± {time}", zh: "抖动 {time}" };
pub(super) const LOST: Phrase = Phrase { en: "{percent} % lost", zh: "丢包 {percent} %" };
pub(super) const WORKS: Phrase = Phrase { en: "works", zh: "可用" };
pub(super) const ROUTES: Phrase = Phrase { en: "routes", zh: "路由" };
pub(super) const BUSIEST: Phrase = Phrase { en: "busiest programs", zh: "占用处理器最多" };
pub(super) const BOOT: Phrase = Phrase { en: "last start took", zh: "上次启动用时" };
pub(super) const PENDING_OF: Phrase =
    Phrase { en: "{all}, {security} for security", zh: "{all} 项，其中安全更新 {security} 项" };
pub(super) const FINE: Phrase = Phrase {
    en: "{count} other {count:check/checks} found nothing wrong",
    zh: "另有 {count} 项检查未发现问题",
};
pub(super) const MORE: Phrase = Phrase {
    en: "`belay-agent rules show NAME` says more about one in brackets",
    zh: "`belay-agent rules show 名称` 可查看括号中规则的详情",
};
