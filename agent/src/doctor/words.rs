//! What is said at each step.

use belay_protocol::Phrase;

pub(super) const NETWORK: Phrase = Phrase { en: "Network", zh: "网络" };
pub(super) const NAMES: Phrase = Phrase { en: "Name of the desk", zh: "服务台域名" };
pub(super) const PROXY: Phrase = Phrase { en: "Proxy", zh: "代理" };
pub(super) const DESK: Phrase = Phrase { en: "Support desk", zh: "服务台" };
pub(super) const CLOCK: Phrase = Phrase { en: "Clock", zh: "时钟" };
pub(super) const RELAY: Phrase = Phrase { en: "Relay", zh: "中继服务器" };
pub(super) const RELAY_UDP: Phrase = Phrase { en: "Relay {relay} by UDP", zh: "中继服务器 {relay}（UDP）" };
pub(super) const RELAY_TCP: Phrase = Phrase { en: "Relay {relay} by TCP", zh: "中继服务器 {relay}（TCP）" };
pub(super) const SUPPORT: Phrase = Phrase { en: "Support", zh: "客服" };

pub(super) const WAY_OUT: Phrase = Phrase { en: "the way out is {interface}", zh: "出口为 {interface}" };
pub(super) const NO_WAY_OUT: Phrase =
    Phrase { en: "this machine is connected to no network", zh: "本机未连接任何网络" };
pub(super) const CONNECT: Phrase = Phrase {
    en: "Plug in the network cable, or choose a Wi-Fi network; switch flight mode off.",
    zh: "请插好网线或连接 Wi-Fi，并关闭飞行模式。",
};
pub(super) const NOT_SEEN: Phrase =
    Phrase { en: "this cannot be seen on this machine", zh: "本机无法查看此项" };

pub(super) const RESOLVED: Phrase =
    Phrase { en: "{host} has an address ({ms} ms)", zh: "{host} 已解析（{ms} 毫秒）" };
pub(super) const NOT_RESOLVED: Phrase = Phrase { en: "{host} is not found ({why})", zh: "找不到 {host}（{why}）" };
pub(super) const NAME_SERVERS_SILENT: Phrase = Phrase { en: "no name server answers", zh: "DNS 服务器没有响应" };
pub(super) const CHECK_NAME: Phrase = Phrase {
    en: "Compare the address with the one from support. If other sites do not open either, restart the router, or set \
         another name server.",
    zh: "请与客服核对地址。如果其他网站也打不开，请重启路由器，或更换 DNS 服务器。",
};

pub(super) const THROUGH_PROXY: Phrase =
    Phrase { en: "HTTPS_PROXY leads through {proxy}", zh: "HTTPS_PROXY 指定经由 {proxy}" };
pub(super) const PROXY_SILENT: Phrase = Phrase {
    en: "nobody answers at {proxy}, where HTTPS_PROXY leads",
    zh: "HTTPS_PROXY 指定的 {proxy} 没有响应",
};
pub(super) const PROXY_ADDRESS: Phrase = Phrase {
    en: "Correct HTTPS_PROXY, or take it away where the internet is reached without a proxy.",
    zh: "请更正 HTTPS_PROXY；若无需代理即可上网，请将其删除。",
};
pub(super) const NOT_A_PROXY: Phrase = Phrase {
    en: "HTTPS_PROXY is set to something that is no HTTP proxy; SOCKS, and proxies that are reached by HTTPS, cannot be used",
    zh: "HTTPS_PROXY 的值不是 HTTP 代理；不支持 SOCKS 代理以及通过 HTTPS 连接的代理",
};
pub(super) const SET_PROXY: Phrase = Phrase {
    en: "Set HTTPS_PROXY to http://HOST:PORT, with USER:PASSWORD@ before the host where it asks for them. Where the internet is reached without a proxy, take it away.",
    zh: "请将 HTTPS_PROXY 设置为 http://主机:端口，需要时在主机前加 用户名:密码@。若无需代理即可上网，请将其删除。",
};
pub(super) const PROXY_NAME: Phrase = Phrase {
    en: "Set HTTPS_PROXY to http://USER:PASSWORD@HOST:PORT, or ask whoever runs your network.",
    zh: "请将 HTTPS_PROXY 设置为 http://用户名:密码@主机:端口，或咨询网络管理员。",
};

pub(super) const ANSWERED: Phrase = Phrase { en: "{host} answers ({ms} ms)", zh: "{host} 已应答（{ms} 毫秒）" };
pub(super) const WRONG: Phrase = Phrase { en: "{host}: {why}", zh: "{host}：{why}" };
pub(super) const NOT_A_DESK: Phrase =
    Phrase { en: "{host} answers, but no support desk is there", zh: "{host} 有应答，但不是服务台" };
pub(super) const NO_RELAYS: Phrase =
    Phrase { en: "{host} answers, but names no relay", zh: "{host} 已应答，但未提供中继服务器" };
pub(super) const ANOTHER_KEY: Phrase = Phrase {
    en: "{host} is not the desk of this link: it names another key",
    zh: "{host} 与此链接不符：密钥不同",
};
pub(super) const CALL_SUPPORT: Phrase =
    Phrase { en: "Tell support, by a number that you know.", zh: "请拨打您已知的号码告知客服。" };
pub(super) const CHECK_ADDRESS: Phrase =
    Phrase { en: "Compare the address with the one from support.", zh: "请与客服核对地址。" };
pub(super) const PORTAL: Phrase = Phrase {
    en: "a page of the network stands in the way, as in hotels and trains",
    zh: "网络要求登录，如酒店或列车上的登录页面",
};
pub(super) const SIGN_IN: Phrase = Phrase {
    en: "Open a browser, agree or sign in on the page that appears, then try again.",
    zh: "请打开浏览器，在弹出的页面上同意或登录，然后重试。",
};
pub(super) const SET_CLOCK: Phrase = Phrase {
    en: "Set date, time and time zone right, and switch automatic time on.",
    zh: "请校正日期、时间和时区，并启用自动对时。",
};
pub(super) const ASK_NETWORK: Phrase = Phrase {
    en: "Ask whoever runs your network, or try another one, such as a phone's hotspot.",
    zh: "请咨询网络管理员，或换用其他网络，例如手机热点。",
};

pub(super) const CLOCK_RIGHT: Phrase = Phrase { en: "right", zh: "准确" };
pub(super) const CLOCK_WRONG: Phrase = Phrase { en: "wrong by {seconds} seconds", zh: "相差 {seconds} 秒" };

pub(super) const RELAY_ANSWERS: Phrase = Phrase { en: "answers ({ms} ms)", zh: "已应答（{ms} 毫秒）" };
pub(super) const UDP_BLOCKED: Phrase =
    Phrase { en: "does not get through; TCP does, which is slower", zh: "不通；TCP 可用，但较慢" };
pub(super) const TCP_NOT_NEEDED: Phrase =
    Phrase { en: "does not get through; UDP does, which is better", zh: "不通；UDP 可用，且更好" };
pub(super) const LET_UDP: Phrase = Phrase {
    en: "It works like this. Whoever runs your network can make it faster by letting UDP port {port} out.",
    zh: "可以正常使用。网络管理员放行 UDP 端口 {port} 后会更快。",
};
pub(super) const LET_RELAY: Phrase = Phrase {
    en: "Ask whoever runs your network to let UDP and TCP port {port} out to {host}, or try another network.",
    zh: "请网络管理员放行到 {host} 的 UDP 和 TCP 端口 {port}，或换用其他网络。",
};
pub(super) const START_HERE: Phrase = Phrase {
    en: "It is expected on this very machine: start it here, or ask support for an address that others can reach.",
    zh: "该地址指向本机：请在本机启动相应程序，或向客服索取可从外部访问的地址。",
};
pub(super) const NEW_LINK: Phrase = Phrase {
    en: "Ask support for a new invite; tell them this line.",
    zh: "请向客服索取新的邀请，并告知此行内容。",
};

pub(super) const SUPPORT_THERE: Phrase = Phrase { en: "is there", zh: "在线" };
pub(super) const SUPPORT_AWAY: Phrase = Phrase {
    en: "the relay answers, but the desk is not connected to it",
    zh: "中继服务器可用，但服务台未连接",
};
pub(super) const SUPPORT_UNKNOWN: Phrase =
    Phrase { en: "the relay does not serve this desk", zh: "中继服务器不服务于该服务台" };
pub(super) const CALL_THEM: Phrase = Phrase {
    en: "Call support: their console may be stopped.",
    zh: "请致电客服：其控制台可能已停止。",
};
