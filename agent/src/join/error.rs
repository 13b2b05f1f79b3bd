//! What can go wrong on the way to a desk, each as one sentence that says what happened and what to do.

use std::io;
use std::path::PathBuf;

use belay_protocol::Language;
use belay_protocol::invite::{InviteError, NotACode};
use belay_protocol::lang::{Phrase, system_error};
use belay_protocol::message::{EndReason, RelayRefusal};
use belay_relay::client::{DialError, NotAProxy, ProxyError, RelayError};
use belay_relay::logging::told;
use belay_relay::stream::StreamError;

use crate::desk::WellKnownError;

/// Why joining did not work.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The link is not an invite.
    #[error("the link is not an invite: {0}")]
    Invite(#[from] InviteError),
    /// The code is not one.
    #[error("the code is not one: {0}")]
    Code(#[from] NotACode),
    /// Neither a link nor a help address with a code.
    #[error("neither a link nor a help address with a code")]
    NoInvite,
    /// What was given as a desk's host is none.
    #[error("{0} is not a host")]
    NotAHost(String),
    /// The environment names a proxy that is none.
    #[error(transparent)]
    Proxy(#[from] NotAProxy),
    /// The help address does not answer as a desk.
    #[error("{host} does not answer as a desk: {source}")]
    HelpHost {
        /// The address as typed.
        host: String,
        /// What happened.
        source: WellKnownError,
    },
    /// The help address lists no relay that this agent understands.
    #[error("{0} lists no relay")]
    NoRelay(String),
    /// The domain names another organization key than the invite.
    #[error("{0} is not the desk of this invite")]
    Impostor(String),
    /// The relay could not be reached or used.
    #[error("the relay {relay} cannot be used: {source}")]
    Relay {
        /// `HOST:PORT`.
        relay: String,
        /// What happened.
        source: RelayError,
    },
    /// The relay is there, but does not connect us to the desk.
    #[error("the relay does not connect to the desk: {0:?}")]
    NotConnected(RelayRefusal),
    /// The desk does not answer through the relay.
    #[error("the desk does not answer: {0}")]
    Dial(#[from] DialError),
    /// Whoever answers does not speak for the organization of the invite.
    #[error("whoever answers is not the desk of this invite")]
    NotTheDesk,
    /// Not valid or expired.
    #[error("the code is not valid or has expired")]
    CodeRefused,
    /// Too many wrong codes.
    #[error("too many wrong codes")]
    SlowDown {
        /// Seconds to wait.
        seconds: u32,
    },
    /// The desk cannot work now.
    #[error("the desk cannot work now")]
    DeskUnavailable,
    /// The desk ended the session.
    #[error("the desk ended the session: {0:?}")]
    Ended(EndReason),
    /// The desk does not speak properly.
    #[error("the desk broke the protocol: {0}")]
    Protocol(String),
    /// The conversation was lost, and every try to pick it up again failed.
    #[error("the connection to the desk was lost: {0}")]
    Lost(String),
    /// The report was sent and its arrival not confirmed.
    #[error("the desk did not confirm the report")]
    NotConfirmed,
    /// The customer cut the session.
    #[error("cut by the customer")]
    Cut,
    /// The directory of the device's key cannot be used, or does not answer.
    #[error("the data directory {dir} cannot be used", dir = dir.display())]
    Data {
        /// The directory.
        dir: PathBuf,
        /// What the system said; nothing where it said nothing.
        source: Option<io::Error>,
    },
    /// Something on this machine.
    #[error("{0}")]
    Local(String),
}

impl JoinError {
    /// An error of this machine with everything that led to it.
    pub(super) fn local(error: &dyn std::error::Error) -> Self {
        Self::Local(told(error))
    }

    /// Says whether a second try, without the customer, may help: the way was broken, not the invite.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Lost(_) | Self::Dial(_) | Self::DeskUnavailable => true,
            Self::NotConnected(refusal) => {
                matches!(refusal, RelayRefusal::DeskOffline | RelayRefusal::Full { .. })
            }
            Self::Relay { source, .. } => !matches!(
                source,
                RelayError::WrongKey
                    | RelayError::Refused(_)
                    | RelayError::Resolve(_)
                    | RelayError::Proxy(_)
                    | RelayError::Protocol(StreamError::Version(_))
            ),
            Self::Ended(reason) => matches!(reason, EndReason::DeskStops),
            _ => false,
        }
    }

    /// The error as the customer reads it.
    pub fn sentence(&self, language: Language) -> String {
        let fill = |phrase: &Phrase, values: &[(&str, &str)]| phrase.fill(language, values);
        match self {
            Self::Invite(error) => {
                let why = match error {
                    InviteError::NotALink => LINK_START,
                    InviteError::Key => LINK_KEYS,
                    InviteError::Address(_) => LINK_ADDRESS,
                    InviteError::Code(_) => LINK_CODE,
                };
                fill(&INVITE, &[("why", why.text(language))])
            }
            Self::NotAHost(text) => fill(&NOT_A_HOST, &[("host", text)]),
            Self::Code(NotACode::Check) => fill(&CODE_TYPO, &[]),
            Self::Code(NotACode::Length) => fill(&CODE_LENGTH, &[]),
            Self::NoInvite => fill(&NO_INVITE, &[]),
            Self::Proxy(NotAProxy) => fill(&NOT_A_PROXY, &[]),
            Self::HelpHost { source: WellKnownError::ProxyPassword, .. } => fill(&PROXY_PASSWORD, &[]),
            Self::HelpHost { source: WellKnownError::WrongProxyPassword, .. } => fill(&PROXY_WRONG_PASSWORD, &[]),
            Self::HelpHost { source: WellKnownError::InsecureHost, .. } => fill(&INSECURE_HOST, &[]),
            Self::HelpHost { host, source } => {
                let said = if matches!(source, WellKnownError::Certificate(_)) { &CERTIFICATE } else { &HELP_HOST };
                fill(said, &[("host", host), ("why", source.outcome().phrase().text(language))])
            }
            Self::NoRelay(host) => fill(&NO_RELAY, &[("host", host)]),
            Self::Impostor(host) => fill(&IMPOSTOR, &[("host", host)]),
            Self::Relay { relay, source: RelayError::WrongKey } => fill(&RELAY_KEY, &[("relay", relay)]),
            Self::Relay { relay, source: RelayError::Resolve(_) } => fill(&RELAY_NAME, &[("relay", relay)]),
            Self::Relay { source: RelayError::Refused(RelayRefusal::Full { .. }), .. } => fill(&RELAY_FULL, &[]),
            Self::Relay { relay, source: RelayError::Refused(_) } => fill(&RELAY_REFUSED, &[("relay", relay)]),
            Self::Relay { relay, source: RelayError::Protocol(StreamError::Version(_)) } => {
                fill(&VERSION, &[("who", relay)])
            }
            Self::Relay { relay, source: RelayError::Proxy(error) } => match error {
                ProxyError::Unreachable { proxy, .. } => fill(&PROXY_SILENT, &[("proxy", proxy)]),
                ProxyError::NotHttp(proxy) => fill(&PROXY_NOT_HTTP, &[("proxy", proxy)]),
                ProxyError::NoCredentials => fill(&PROXY_PASSWORD, &[]),
                ProxyError::WrongCredentials => fill(&PROXY_WRONG_PASSWORD, &[]),
                ProxyError::Refused(code) => fill(&PROXY_REFUSED, &[("relay", relay), ("code", &code.to_string())]),
            },
            Self::Relay { relay, .. } => fill(&RELAY_SILENT, &[("relay", relay)]),
            Self::NotConnected(RelayRefusal::UnknownOrganization) => fill(&UNKNOWN_DESK, &[]),
            Self::NotConnected(RelayRefusal::Full { .. }) => fill(&RELAY_FULL, &[]),
            Self::NotConnected(RelayRefusal::Denied) => fill(&DENIED, &[]),
            Self::NotConnected(_) => fill(&DESK_OFFLINE, &[]),
            Self::Dial(_) => fill(&DESK_SILENT, &[]),
            Self::NotTheDesk => fill(&NOT_THE_DESK, &[]),
            Self::CodeRefused => fill(&CODE_REFUSED, &[]),
            Self::SlowDown { seconds } => fill(&SLOW_DOWN, &[("seconds", &seconds.to_string())]),
            Self::DeskUnavailable | Self::Ended(EndReason::CannotStore) => fill(&DESK_UNAVAILABLE, &[]),
            Self::Ended(EndReason::ByTechnician) => fill(&ENDED, &[]),
            Self::Ended(EndReason::TicketClosed) => fill(&TICKET_CLOSED, &[]),
            Self::Ended(EndReason::DeskStops) | Self::Lost(_) => fill(&LOST, &[]),
            Self::Ended(EndReason::Violation) | Self::Protocol(_) => fill(&PROTOCOL, &[]),
            Self::NotConfirmed => fill(&NOT_CONFIRMED, &[]),
            Self::Cut => fill(&CUT, &[]),
            Self::Data { dir, source } => {
                let dir = dir.display().to_string();
                match source {
                    Some(source) => fill(&DATA_UNUSABLE, &[("dir", &dir), ("why", &system_error(source, language))]),
                    None => fill(&DATA_SILENT, &[("dir", &dir)]),
                }
            }
            Self::Local(why) => why.clone(),
        }
    }
}

const INVITE: Phrase = Phrase {
    en: "This is not a complete invite ({why}). Please copy the whole link again, or ask support for a new one.",
    zh: "邀请不完整（{why}）。请重新复制整个链接，或向客服索取新的邀请。",
};
const CODE_TYPO: Phrase = Phrase {
    en: "This code has a typing mistake. Please compare it digit by digit with the one from support.",
    zh: "验证码输入有误。请与客服提供的验证码逐位核对。",
};
const CODE_LENGTH: Phrase = Phrase {
    en: "A code has nine digits. Please type all of them.",
    zh: "验证码为九位数字，请完整输入。",
};
const NO_INVITE: Phrase = Phrase {
    en: "Please give the invite link (belay://...), or the help address and the nine-digit code.",
    zh: "请提供邀请链接（belay://...），或帮助地址加九位验证码。",
};
const LINK_START: Phrase =
    Phrase { en: "it does not begin with belay:// and a relay", zh: "开头不是 belay:// 和中继服务器地址" };
const LINK_KEYS: Phrase =
    Phrase { en: "the keys after # are missing or cut off", zh: "# 后面的密钥缺失或被截断" };
const LINK_ADDRESS: Phrase = Phrase { en: "an address in it is damaged", zh: "其中的地址已损坏" };
const LINK_CODE: Phrase = Phrase { en: "the code in it is damaged", zh: "其中的验证码已损坏" };
const NOT_A_HOST: Phrase = Phrase {
    en: "{host} is not the address of a support desk. It looks like help.example.com, or help.example.com:8443.",
    zh: "{host} 不是支持台的地址。地址形如 help.example.com 或 help.example.com:8443。",
};
const INSECURE_HOST: Phrase = Phrase {
    en: "--insecure-http is for a desk on this very machine only. Please leave it out.",
    zh: "--insecure-http 仅可用于本机上的支持台。请去掉该选项。",
};
const NOT_A_PROXY: Phrase = Phrase {
    en: "HTTPS_PROXY is not the address of an HTTP proxy. Please set it to http://HOST:PORT or \
         http://USER:PASSWORD@HOST:PORT, or leave it empty.",
    zh: "HTTPS_PROXY 不是有效的 HTTP 代理地址。请设置为 http://主机:端口 或 http://用户名:密码@主机:端口，或留空。",
};
const PROXY_PASSWORD: Phrase = Phrase {
    en: "The proxy of your network asks for a name and a password. Please set HTTPS_PROXY to \
         http://USER:PASSWORD@HOST:PORT, or ask whoever runs your network.",
    zh: "您的网络代理需要用户名和密码。请将 HTTPS_PROXY 设置为 http://用户名:密码@主机:端口，或咨询网络管理员。",
};
const PROXY_WRONG_PASSWORD: Phrase = Phrase {
    en: "The proxy of your network does not accept the name and the password in HTTPS_PROXY. Please check them, or ask \
         whoever runs your network.",
    zh: "您的网络代理不接受 HTTPS_PROXY 中的用户名和密码。请检查，或咨询网络管理员。",
};
const PROXY_SILENT: Phrase = Phrase {
    en: "The proxy {proxy}, which HTTPS_PROXY names, does not answer. Please check that address, or ask whoever runs your \
         network.",
    zh: "HTTPS_PROXY 指定的代理 {proxy} 没有响应。请检查该地址，或咨询网络管理员。",
};
const PROXY_NOT_HTTP: Phrase = Phrase {
    en: "{proxy}, which HTTPS_PROXY names, is not an HTTP proxy. Please correct HTTPS_PROXY, or ask whoever runs your \
         network.",
    zh: "HTTPS_PROXY 指定的 {proxy} 不是 HTTP 代理。请更正 HTTPS_PROXY，或咨询网络管理员。",
};
const PROXY_REFUSED: Phrase = Phrase {
    en: "The proxy of your network lets nothing through to {relay} (it answered {code}). Please ask whoever runs your \
         network to allow it.",
    zh: "您的网络代理不允许连接 {relay}（返回 {code}）。请联系网络管理员放行。",
};
const HELP_HOST: Phrase = Phrase {
    en: "The support desk at {host} cannot be asked ({why}). Please check the address and your network.",
    zh: "无法连接支持台 {host}（{why}）。请检查地址和网络。",
};
const CERTIFICATE: Phrase = Phrase {
    en: "Stopped: {host} did not prove that it is {host} ({why}). Nothing was sent. Please check the address and the date \
         of this machine, or tell support.",
    zh: "已停止：{host} 未能证明自己的身份（{why}）。未发送任何内容。请检查地址和本机日期，或告知客服。",
};
const NO_RELAY: Phrase = Phrase {
    en: "The support desk at {host} lists no relay. Please tell support.",
    zh: "支持台 {host} 没有提供中继服务器。请告知客服。",
};
const IMPOSTOR: Phrase = Phrase {
    en: "Stopped: this invite claims to come from {host}, but {host} says otherwise. Nothing was sent. Please call \
         support by a number you know.",
    zh: "已停止：该邀请声称来自 {host}，但 {host} 予以否认。未发送任何内容。请拨打您已知的客服电话核实。",
};
const RELAY_KEY: Phrase = Phrase {
    en: "Stopped: the relay {relay} is not the one in your invite. Nothing was sent. Please ask support for a new invite.",
    zh: "已停止：中继服务器 {relay} 与邀请不符。未发送任何内容。请向客服索取新的邀请。",
};
const RELAY_NAME: Phrase = Phrase {
    en: "The relay {relay} cannot be found. Please check your internet connection, then try again.",
    zh: "找不到中继服务器 {relay}。请检查网络连接后重试。",
};
const RELAY_SILENT: Phrase = Phrase {
    en: "The relay {relay} does not answer. Please check your internet connection, then try again.",
    zh: "中继服务器 {relay} 没有响应。请检查网络连接后重试。",
};
const RELAY_REFUSED: Phrase = Phrase {
    en: "The relay {relay} turned this machine away. Please tell support.",
    zh: "中继服务器 {relay} 拒绝了本机的连接。请告知客服。",
};
const RELAY_FULL: Phrase = Phrase {
    en: "The relay is full at the moment. Please try again in a minute.",
    zh: "中继服务器当前已满。请一分钟后重试。",
};
const DENIED: Phrase = Phrase {
    en: "The support desk does not accept this computer any more. Please call them.",
    zh: "支持中心已不再接受这台电脑。请致电支持中心。",
};
const VERSION: Phrase = Phrase {
    en: "This agent and {who} do not understand each other's version. Please update the agent.",
    zh: "本程序与 {who} 的版本不兼容。请更新本程序。",
};
const UNKNOWN_DESK: Phrase = Phrase {
    en: "The relay does not know this support desk. Please ask support for a new invite.",
    zh: "中继服务器不认识该支持台。请向客服索取新的邀请。",
};
const DESK_OFFLINE: Phrase = Phrase {
    en: "The support desk is not online at the moment. Please tell support, then try again.",
    zh: "支持台当前不在线。请告知客服后重试。",
};
const DESK_SILENT: Phrase = Phrase {
    en: "The support desk does not answer. Please tell support, then try again.",
    zh: "支持台没有响应。请告知客服后重试。",
};
const NOT_THE_DESK: Phrase = Phrase {
    en: "Stopped: whoever answers is not the support desk of your invite. Nothing was sent. Please call support by a \
         number you know.",
    zh: "已停止：应答方不是您邀请中的支持台。未发送任何内容。请拨打您已知的客服电话核实。",
};
const CODE_REFUSED: Phrase = Phrase {
    en: "This code is not valid or has expired. Please ask support for a new one.",
    zh: "验证码无效或已过期。请向客服索取新的验证码。",
};
const SLOW_DOWN: Phrase = Phrase {
    en: "Too many wrong codes. Please wait {seconds} {seconds:second/seconds}, then try again.",
    zh: "错误次数过多。请等待 {seconds} 秒后重试。",
};
const DESK_UNAVAILABLE: Phrase = Phrase {
    en: "The support desk cannot save anything at the moment. Please tell support, then try again.",
    zh: "支持台暂时无法保存数据。请告知客服后重试。",
};
const ENDED: Phrase = Phrase { en: "Support has ended this session.", zh: "客服已结束本次会话。" };
const TICKET_CLOSED: Phrase = Phrase {
    en: "Support has closed this ticket. Please ask for a new invite if you still need help.",
    zh: "客服已关闭该工单。如仍需帮助，请索取新的邀请。",
};
const LOST: Phrase = Phrase {
    en: "The connection to the support desk was lost. Please run the same command again; within 15 minutes the same \
         code works.",
    zh: "与支持台的连接已中断。请重新运行同一命令；15 分钟内验证码仍然有效。",
};
const PROTOCOL: Phrase = Phrase {
    en: "The support desk does not speak as expected. Please update the agent, or tell support.",
    zh: "支持台的响应不符合预期。请更新本程序，或告知客服。",
};
const DATA_UNUSABLE: Phrase = Phrase {
    en: "{dir}, where this program keeps its key, cannot be used: {why}. --data names another directory.",
    zh: "无法使用保存本程序密钥的目录 {dir}：{why}。可用 --data 指定其他目录。",
};
const DATA_SILENT: Phrase = Phrase {
    en: "{dir}, where this program keeps its key, does not answer. --data names another directory.",
    zh: "保存本程序密钥的目录 {dir} 没有响应。可用 --data 指定其他目录。",
};
const CUT: Phrase =
    Phrase { en: "You ended the session. The connection is cut.", zh: "您已结束会话，连接已断开。" };
const NOT_CONFIRMED: Phrase = Phrase {
    en: "The support desk did not confirm that it has your report. Please run the same command again; within 15 minutes \
         the same code works. If the first report did arrive, support then has both.",
    zh: "支持台未确认收到报告。请重新运行同一命令；15 分钟内验证码仍然有效。如果第一份报告其实已送达，客服将收到两份。",
};
