//! What the commands print for people, in both languages.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde_json::Value;

use belay_protocol::lang::system_error;
use belay_protocol::saved::NotSaved;
use belay_protocol::{Language, Phrase};
use belay_relay::client::NotAProxy;
use belay_relay::logging::told;

use crate::audit::{Broken, ExportFault};
use crate::backup::{IdentityError, NOT_AN_IDENTITY, RestoreError, Restored};
use crate::clock::UnixMillis;
use crate::http::Profile;
use crate::local::{LocalError, Outcome};

/// After `init`.
pub(super) fn initialized(made: &Value, language: Language) -> String {
    let phrase = Phrase {
        en: "The desk is ready in {data}.\n\n  Organization key  {organization}\n  First admin       {admin}\n  Set-up \
             link       {link}\n\nOpen the set-up link within three days while `belay-console serve` runs. It works once.",
        zh: "服务台已在 {data} 中建立。\n\n  组织密钥    {organization}\n  首位管理员  {admin}\n  设置链接    \
             {link}\n\n请在三天内于 `belay-console serve` 运行时打开设置链接。该链接只能使用一次。",
    };
    let values = [
        ("data", word(&made["data"])),
        ("organization", word(&made["organization"])),
        ("admin", word(&made["admin"])),
        ("link", word(&made["set_up_link"])),
    ];
    phrase.fill(language, &values)
}

/// When the server is ready.
pub(super) fn serving(profile: &Profile, language: Language) -> String {
    let phrase = Phrase { en: "The console of {name} is at {url}", zh: "{name} 的控制台位于 {url}" };
    phrase.fill(language, &[("name", &profile.name), ("url", &profile.base_url)])
}

/// When the server has found no user.
pub(super) fn first_admin(link: &str, language: Language) -> String {
    let phrase = Phrase {
        en: "This desk has no user yet. Make the first admin with this link, which works once and until the console stops:\n\n  \
             {link}",
        zh: "此服务台还没有用户。请用此链接创建首位管理员，该链接只能使用一次，控制台停止后失效：\n\n  {link}",
    };
    phrase.fill(language, &[("link", link)])
}

/// After `ticket open`.
pub(super) fn opened(opened: &Value, language: Language) -> String {
    let phrase = Phrase {
        en: "Ticket {number} is open.\n\n  Code     {code}   (works once, for 15 minutes)\n  Command  {command}",
        zh: "工单 {number} 已创建。\n\n  连接码  {code}   （15 分钟内有效，只能使用一次）\n  命令    {command}",
    };
    let invite = &opened["invite"];
    let values = [
        ("number", word(&opened["ticket"]["number"])),
        ("code", word(&invite["spoken"])),
        ("command", word(&invite["command"])),
    ];
    let mut text = phrase.fill(language, &values);
    let link = Phrase { en: "\n  Link     {link}", zh: "\n  链接    {link}" };
    let no_link = Phrase {
        en: "\n\nThere is no link, because no console with a relay is running (`belay-console serve --relay ...`).",
        zh: "\n\n没有链接，因为没有连接中继的控制台在运行（`belay-console serve --relay ...`）。",
    };
    match invite["link"].as_str() {
        Some(value) => text.push_str(&link.fill(language, &[("link", value)])),
        None => text.push_str(no_link.text(language)),
    }
    text
}

/// After `ticket list`.
pub(super) fn tickets(tickets: &Value, language: Language) -> String {
    let none = Phrase { en: "There are no tickets yet.", zh: "还没有工单。" };
    let lines: Vec<String> = list(tickets).map(line_of).collect();
    if lines.is_empty() { none.text(language).to_owned() } else { lines.join("\n") }
}

fn line_of(ticket: &Value) -> String {
    let [number, priority, state, customer, title] =
        ["number", "priority", "state", "customer", "title"].map(|field| safe(&ticket[field]));
    format!("{number}  {priority}  {state:<16}  {customer}: {title}")
}

/// After `ticket show`.
pub(super) fn ticket(shown: &Value, language: Language) -> String {
    let ticket = &shown["ticket"];
    let mut text = line_of(ticket);
    if ticket["description"].as_str().is_some_and(|description| !description.is_empty()) {
        let _ = write!(text, "\n{}", safe(&ticket["description"]));
    }
    for report in list(&shown["reports"]) {
        let heading =
            Phrase { en: "\n\nReport of {time}, {bytes} bytes:", zh: "\n\n{time} 的报告，{bytes} 字节：" };
        let values = [("time", &*time(&report["received_at_ms"])), ("bytes", &report["size_bytes"].to_string())];
        text.push_str(&heading.fill(language, &values));
        let withheld: Vec<&str> = list(&report["withheld"]).map(|withheld| word(&withheld["section"])).collect();
        if !withheld.is_empty() {
            let left_out = Phrase { en: "\n  left out: {sections}", zh: "\n  未包含：{sections}" };
            text.push_str(&left_out.fill(language, &[("sections", &withheld.join(", "))]));
        }
        for finding in list(&report["findings"]) {
            let in_language = |field: &str| match language {
                Language::English => safe(&finding[format!("{field}_en")]),
                Language::Chinese => safe(&finding[format!("{field}_zh")]),
            };
            let _ = write!(text, "\n  [{}] {}", word(&finding["severity"]), in_language("title"));
            let remedy = in_language("remedy");
            if !remedy.is_empty() {
                let _ = write!(text, "\n      {remedy}");
            }
        }
    }
    text.push('\n');
    for event in list(&shown["events"]) {
        let _ = write!(text, "\n{}  {}  {}", time(&event["at_ms"]), word(&event["kind"]), word(&event["actor"]));
    }
    text
}

/// After `rules sign`.
pub(super) fn pack_signed(signed: &Value, language: Language) -> String {
    let phrase = Phrase { en: "Signed: {path}", zh: "已签名：{path}" };
    phrase.fill(language, &[("path", word(&signed["signature"]))])
}

/// After `rules publish`.
pub(super) fn pack_published(pack: &Value, language: Language) -> String {
    let phrase = Phrase {
        en: "Published: {pack}, version {version}. Devices take it over when they come next, until {until}.",
        zh: "已发布：{pack}，版本 {version}。设备下次连接时采用，有效期至 {until}。",
    };
    let (version, until) = (pack["version"].to_string(), time(&pack["offered_until_ms"]));
    phrase.fill(language, &[("pack", word(&pack["id"])), ("version", &version), ("until", &until)])
}

/// After `rules list`.
pub(super) fn packs(packs: &Value, language: Language) -> String {
    let none = Phrase {
        en: "No rules are published: devices use those that come with the agent.",
        zh: "尚未发布规则：设备使用代理自带的规则。",
    };
    let line = |pack: &Value| {
        format!(
            "{}  {:>4}  {}  {}",
            time(&pack["published_at_ms"]),
            pack["version"],
            safe(&pack["id"]),
            safe(&pack["published_by"])
        )
    };
    let lines: Vec<String> = list(packs).map(line).collect();
    if lines.is_empty() { none.text(language).to_owned() } else { lines.join("\n") }
}

/// After `rules rerun`.
pub(super) fn reran(reran: &Value, language: Language) -> String {
    let heading = Phrase {
        en: "{judged} reports judged by {pack}, version {version}: {different} would be different.",
        zh: "已用 {pack}（版本 {version}）重新判断 {judged} 份报告：{different} 份结果会不同。",
    };
    let different = list(&reran["different"]).count().to_string();
    let (judged, version) = (reran["judged"].to_string(), reran["version"].to_string());
    let values =
        [("judged", &*judged), ("pack", word(&reran["pack"])), ("version", &version), ("different", &different)];
    let mut text = heading.fill(language, &values);
    if reran["more"].as_bool() == Some(true) {
        text.push_str(Phrase { en: "\nOlder reports were left out.", zh: "\n更早的报告未处理。" }.text(language));
    }
    let unreadable: Vec<String> = list(&reran["unreadable"]).map(Value::to_string).collect();
    if !unreadable.is_empty() {
        let phrase = Phrase { en: "\nReports that cannot be read: {ids}", zh: "\n无法读取的报告：{ids}" };
        text.push_str(&phrase.fill(language, &[("ids", &unreadable.join(", "))]));
    }
    for report in list(&reran["different"]) {
        let phrase = Phrase {
            en: "\n\nReport {id} of {time}, device {device}:",
            zh: "\n\n{time} 的报告 {id}，设备 {device}：",
        };
        let (id, device) = (report["report"].to_string(), report["device"].to_string());
        let values = [("id", &*id), ("time", &*time(&report["received_at_ms"])), ("device", &device)];
        text.push_str(&phrase.fill(language, &values));
        for (sign, kind) in [("+", "appeared"), ("-", "gone"), ("~", "changed")] {
            for finding in list(&report[kind]) {
                let title = safe(&finding[if language == Language::English { "title_en" } else { "title_zh" }]);
                let was = finding["was"].as_str().map(|was| format!("{was} → ")).unwrap_or_default();
                let _ = write!(
                    text,
                    "\n  {sign} [{was}{}] {title} ({})",
                    word(&finding["severity"]),
                    safe(&finding["rule"])
                );
            }
        }
    }
    text
}

/// After `device list`.
pub(super) fn devices(devices: &Value, language: Language) -> String {
    let none = Phrase {
        en: "There are no devices yet: a machine appears here when it has joined a ticket.",
        zh: "还没有设备：客户的机器加入工单后会显示在这里。",
    };
    let revoked = Phrase { en: "\n    revoked {time} by {who}: {why}", zh: "\n    {time} 由 {who} 停用：{why}" };
    let lines: Vec<String> = list(devices)
        .map(|device| {
            let (seen, key) = (time(&device["last_seen_at_ms"]), word(&device["key"]));
            let mut line = format!("{:>6}  {seen}  {}  {key}", device["id"], safe(&device["customer"]));
            let revocation = &device["revoked"];
            if !revocation.is_null() {
                let (since, why) = (time(&revocation["at_ms"]), safe(&revocation["reason"]));
                let values = [("time", &*since), ("who", word(&revocation["by"])), ("why", &why)];
                line.push_str(&revoked.fill(language, &values));
            }
            line
        })
        .collect();
    if lines.is_empty() { none.text(language).to_owned() } else { lines.join("\n") }
}

/// After `device revoke`.
pub(super) fn revoked(device: &Value, language: Language) -> String {
    let phrase = Phrase {
        en: "Device {id} is shut out: its sessions have ended, and no code or relay lets it in.",
        zh: "设备 {id} 已停用：其会话已结束，任何连接码和中继都不再允许它连接。",
    };
    phrase.fill(language, &[("id", &device["id"].to_string())])
}

/// After `device restore`.
pub(super) fn restored(device: &Value, language: Language) -> String {
    let phrase = Phrase {
        en: "Device {id} may come in again, with a new code.",
        zh: "设备 {id} 已恢复，可凭新的连接码再次连接。",
    };
    phrase.fill(language, &[("id", &device["id"].to_string())])
}

/// After `report import`.
pub(super) fn imported(report: &Value, outcome: Outcome, language: Language) -> String {
    let phrase = match outcome {
        Outcome::Made => Phrase {
            en: "Report {id} of device {device} is filed, with {findings} findings.",
            zh: "设备 {device} 的报告 {id} 已归档，包含 {findings} 项诊断结果。",
        },
        Outcome::ThereBefore => Phrase {
            en: "This report of device {device} was filed already on {time} as {id}, under {ticket}; nothing was changed.",
            zh: "设备 {device} 的这份报告已于 {time} 归档为 {id}（工单 {ticket}），未作更改。",
        },
    };
    // What could not be checked is no finding.
    let is_known = |finding: &&Value| finding["severity"] != "unknown";
    let findings = report["findings"].as_array().into_iter().flatten().filter(is_known).count();
    let values = [
        ("id", report["id"].to_string()),
        ("device", report["device"].to_string()),
        ("findings", findings.to_string()),
        ("time", time(&report["received_at_ms"])),
        ("ticket", word(&report["ticket"]).to_owned()),
    ];
    phrase.fill(language, &values.each_ref().map(|(name, value)| (*name, value.as_str())))
}

/// After `user add`.
pub(super) fn added(added: &Value, language: Language) -> String {
    let phrase = Phrase {
        en: "{name} sets a password with this link, which works once:\n\n  {link}",
        zh: "{name} 请用此链接设置密码，该链接只能使用一次：\n\n  {link}",
    };
    phrase.fill(language, &[("name", word(&added["user"]["name"])), ("link", word(&added["link"]))])
}

/// `user list`.
pub(super) fn users(users: &Value, language: Language) -> String {
    let locked = Phrase { en: "takes no password for a while", zh: "暂不接受密码" };
    let unset = Phrase { en: "has no password yet", zh: "尚未设置密码" };
    let line = |user: &Value| {
        let mut line = format!("{}  {}", word(&user["name"]), word(&user["role"]));
        for (holds, phrase) in [(!user["locked_until_ms"].is_null(), locked), (user["is_set_up"] == false, unset)] {
            if holds {
                line += "  ";
                line += phrase.text(language);
            }
        }
        line
    };
    users.as_array().into_iter().flatten().map(line).collect::<Vec<_>>().join("\n")
}

/// After `user unlock`.
pub(super) fn unlocked(user: &Value, language: Language) -> String {
    let phrase = Phrase {
        en: "{name} can sign in with a password again. Who has forgotten it needs `belay-console user reset {name}`.",
        zh: "{name} 现在可以用密码登录。如已忘记密码，请运行 `belay-console user reset {name}`。",
    };
    phrase.fill(language, &[("name", word(&user["name"]))])
}

/// Nobody has the name that was typed.
pub(super) fn no_user(name: &str, language: Language) -> String {
    let phrase = Phrase {
        en: "there is no user {name}; `belay-console user list` names them all",
        zh: "没有用户 {name}；`belay-console user list` 可列出所有用户",
    };
    phrase.fill(language, &[("name", name)])
}

/// After `audit verify`.
pub(super) fn verified(verified: &Value, language: Language) -> String {
    let phrase = Phrase {
        en: "The audit is whole: {lines} lines, each as it was written.",
        zh: "审计记录完整：共 {lines} 行，均未被改动。",
    };
    phrase.fill(language, &[("lines", &verified["lines"].to_string())])
}

/// After `audit export`.
pub(super) fn exported(exported: &Value, language: Language) -> String {
    let phrase = Phrase {
        en: "The audit is in {file}. `belay-console audit verify {file} --key server.key` checks it, also without this desk.",
        zh: "审计记录已导出到 {file}。可用 `belay-console audit verify {file} --key server.key` 校验，无需本服务台运行。",
    };
    phrase.fill(language, &[("file", word(&exported["file"]))])
}

/// A file that is to be made is there already.
pub(super) fn exists(path: &Path, language: Language) -> String {
    let phrase = Phrase {
        en: "{path} is there already and is not overwritten: choose another name",
        zh: "{path} 已存在，不会被覆盖：请换一个名称",
    };
    phrase.fill(language, &[("path", &path.display().to_string())])
}

/// While a backup is written or read.
pub(super) fn progress(bytes: u64, total: Option<u64>, language: Language) -> String {
    let size = size_of(bytes);
    match total.filter(|total| *total > 0) {
        Some(total) => {
            let percent = (bytes.saturating_mul(100) / total).min(100).to_string();
            let phrase = Phrase { en: "read {size} ({percent} %)", zh: "已读取 {size}（{percent} %）" };
            phrase.fill(language, &[("size", &size), ("percent", &percent)])
        }
        None => Phrase { en: "written {size}", zh: "已写入 {size}" }.fill(language, &[("size", &size)]),
    }
}

fn size_of(bytes: u64) -> String {
    if bytes < 1_000_000 {
        return format!("{} kB", bytes.div_ceil(1_000));
    }
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

/// After `backup`.
pub(super) fn backed_up(made: &Value, language: Language) -> String {
    let phrase = Phrase {
        en: "The desk is in {file} ({size}). Try it where the identity is: belay-console restore {file} --identity KEY --verify",
        zh: "服务台已备份到 {file}（{size}）。请在存有身份文件的机器上检验：belay-console restore {file} --identity KEY --verify",
    };
    let size = size_of(made["bytes"].as_u64().unwrap_or_default());
    phrase.fill(language, &[("file", word(&made["file"])), ("size", &size)])
}

/// After `backup-key`.
pub(super) fn backup_key(made: &Value, language: Language) -> String {
    let phrase = Phrase {
        en: "The key is in {file}. Keep it off line, twice: without it no backup can be opened.\n\n  Recipient  {recipient}",
        zh: "密钥已写入 {file}。请离线保存两份：没有它就无法打开任何备份。\n\n  接收者  {recipient}",
    };
    phrase.fill(language, &[("file", word(&made["file"])), ("recipient", word(&made["recipient"]))])
}

/// After `restore`.
pub(super) fn restored_desk(told: &Value, language: Language) -> String {
    let backup = &told["backup"];
    let rows: u64 =
        backup["rows"].as_object().into_iter().flat_map(|rows| rows.values()).filter_map(Value::as_u64).sum();
    let phrase = Phrase {
        en: "The backup of {desk} of {time} is whole: {rows} rows, {blobs} files and {lines} audit lines are as they were.\n\
             Organization key  {organization}",
        zh: "{desk} 于 {time} 的备份完整：{rows} 行记录、{blobs} 个文件和 {lines} 行审计记录均与备份时一致。\n组织密钥  {organization}",
    };
    let numbers = [rows, backup["blobs"].as_u64().unwrap_or(0), backup["audit_lines"].as_u64().unwrap_or(0)];
    let [rows, blobs, lines] = numbers.map(|number| number.to_string());
    let values = [
        ("desk", safe(&backup["desk"])),
        ("time", time(&backup["made_at_ms"])),
        ("rows", rows),
        ("blobs", blobs),
        ("lines", lines),
        ("organization", safe(&backup["organization"])),
    ];
    let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let text = phrase.fill(language, &values);
    let end = match told["data"].as_str() {
        Some(data) => Phrase {
            en: "\nIt stands in {data}: start it with belay-console serve --data {data}",
            zh: "\n已恢复到 {data}：用 belay-console serve --data {data} 启动",
        }
        .fill(language, &[("data", data)]),
        None => Phrase {
            en: "\nIt was only tried: nothing of it is left here.",
            zh: "\n这只是检验：此处未留下任何内容。",
        }
        .text(language)
        .to_owned(),
    };
    text + &end
}

/// After a `restore` of a desk that had lost files.
pub(super) fn damaged_before(restored: &Restored, language: Language) -> String {
    let phrase = Phrase {
        en: "{count} stored files were lost or damaged at the desk before this backup was made: look for them in an older \
             one. The first is {name}",
        zh: "在生成此备份之前，服务台已有 {count} 个存储文件丢失或损坏：请在更早的备份中查找。第一个是 {name}",
    };
    let count = restored.damaged_blobs.len().to_string();
    let name = restored.damaged_blobs.first().map_or("", String::as_str);
    phrase.fill(language, &[("count", &count), ("name", name)])
}

/// What is wrong with an exported audit, in Chinese; the English is the error's own.
fn export_fault(fault: &ExportFault) -> String {
    match fault {
        ExportFault::Broken(Broken::Line { seq }) => {
            format!("审计第 {seq} 行被改动，或其之前有行被改动、删除或移动。")
        }
        ExportFault::Broken(Broken::Cut { found, expected }) => {
            format!("审计文件只有 {found} 行，但应有 {expected} 行。")
        }
        ExportFault::Broken(Broken::EndForged) => "审计的结尾不是由该密钥的服务器写入的。".to_owned(),
        ExportFault::NoEnd(lines) => format!("文件在第 {lines} 行之后没有结尾：它被截断，或不是导出的审计记录。"),
        ExportFault::Trailing => "审计结尾之后还有其他内容。".to_owned(),
        ExportFault::File(error) => format!("无法读取文件：{error}"),
    }
}

/// Why a command failed, in one line.
pub(super) fn error(error: &anyhow::Error, language: Language) -> String {
    if let Some(LocalError::Refused { code, .. }) = error.downcast_ref()
        && language == Language::Chinese
        && let Some((_, chinese)) = REFUSALS.iter().find(|(known, _)| known == code)
    {
        let detail = format!("{error:#}");
        let line = detail.chars().filter(char::is_ascii_digit).collect::<String>();
        return chinese.replace("{digits}", &line);
    }
    if let Some(not_saved) = error.downcast_ref::<NotSaved>() {
        return of_file(error, not_saved.phrase(), language);
    }
    if error.is::<NotSigned>() {
        return of_file(error, NOT_SIGNED, language);
    }
    if let Some(system) = error.downcast_ref::<io::Error>().filter(|_| language == Language::Chinese) {
        return system_error(system, language);
    }
    if let Some(fault) = error.downcast_ref()
        && language == Language::Chinese
    {
        return export_fault(fault);
    }
    if let Some(refused) = error.downcast_ref::<RestoreError>()
        && language == Language::Chinese
        && let Some(chinese) = refused.chinese()
    {
        return format!("{error}：{chinese}");
    }
    if let Some(IdentityError::Malformed) = error.downcast_ref() {
        return of_file(error, NOT_AN_IDENTITY, language);
    }
    if error.is::<NotAProxy>() {
        return NOT_A_PROXY.text(language).to_owned();
    }
    told(error.as_ref())
}

/// A file was changed, cut off or damaged on its way.
#[derive(Debug, thiserror::Error)]
#[error("{}", NOT_SIGNED.en)]
pub(super) struct NotSigned;

const NOT_SIGNED: Phrase = Phrase {
    en: "it was changed or damaged on its way, because its device's signature does not fit: copy it again",
    zh: "在传递途中被改动或损坏（设备签名不符）：请重新复制",
};

/// What is wrong with the file that the error's context names.
fn of_file(error: &anyhow::Error, why: Phrase, language: Language) -> String {
    let (file, why) = (error.to_string(), why.text(language));
    Phrase { en: "{file}: {why}", zh: "{file}：{why}" }.fill(language, &[("file", &file), ("why", why)])
}

const NOT_A_PROXY: Phrase = Phrase {
    en: "HTTPS_PROXY is not the address of an HTTP proxy: set it to http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, \
         or leave it empty.",
    zh: "HTTPS_PROXY 不是有效的 HTTP 代理地址：请设置为 http://主机:端口 或 http://用户名:密码@主机:端口，或留空。",
};

/// The refusals a command can meet, in Chinese; their English is in the answer.
const REFUSALS: &[(&str, &str)] = &[
    ("not_found", "没有这个编号的工单或对象。"),
    ("name_taken", "已有同名用户。"),
    ("bad_name", "用户名为 1 到 64 个字符，且不含空格。"),
    ("invalid_field", "输入的某个值无效，请检查长度和格式。"),
    ("store_failed", "控制台无法读取或保存记录。没有任何更改，请重试。"),
    ("device_revoked", "该设备已被禁止接入：如属正确，请先恢复它。"),
    ("ticket_takes_no_sessions", "工单已关闭或已合并：请先重新打开再邀请客户。"),
    ("last_admin", "这是最后一位管理员：请先将另一位用户设为管理员。"),
    ("audit_broken", "审计记录已被改动：请用 --lang en 查看第一处错误（相关数字：{digits}）。"),
];

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Text from customers and devices, without what a terminal would obey.
fn safe(value: &Value) -> String {
    word(value).chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

fn time(value: &Value) -> String {
    UnixMillis(value.as_i64().unwrap_or_default()).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn why_a_file_is_not_imported_is_told_in_both_languages() {
        let told = |error: &anyhow::Error| {
            [Language::English, Language::Chinese].map(|language| super::error(error, language))
        };
        let cut_off = anyhow::Error::new(NotSaved::CutOff).context("x.belay");
        assert_eq!(told(&cut_off), ["x.belay: it was cut off: copy it again", "x.belay：不完整：请重新复制"]);
        let [english, chinese] = told(&anyhow::Error::new(NotSigned).context("x.belay"));
        assert!(english.contains("signature does not fit") && chinese.contains("签名不符"), "{english} {chinese}");
        let missing = anyhow::Error::new(io::Error::from_raw_os_error(2)).context("x.belay cannot be read");
        assert!(told(&missing)[1].starts_with("没有该文件或目录"));
    }

    #[test]
    fn a_device_cannot_speak_to_the_terminal() {
        let shown = json!({
            "ticket": { "title": "\u{1b}]0;owned\u{7}", "description": "" },
            "reports": [{ "findings": [{ "severity": "crit", "title_en": "\u{9b}31m", "remedy_en": "" }] }],
        });
        assert!(!ticket(&shown, Language::English).contains(['\u{1b}', '\u{7}', '\u{9b}']));
    }

    #[test]
    fn a_missing_link_is_explained() {
        let text = opened(&json!({ "ticket": { "number": "BL-1" }, "invite": { "link": null } }), Language::Chinese);
        assert!(text.contains("没有链接"), "{text}");
    }
}
