//! The command line's help in Simplified Chinese. What clap says of a wrong command line is in English only.

use clap::Command;
use clap::builder::StyledStr;

/// `command` with its help in Chinese; the names of commands and options stay.
pub(super) fn worded(mut command: Command) -> Command {
    // clap adds its own commands and options only now.
    command.build();
    reworded(command)
}

fn reworded(mut command: Command) -> Command {
    if let Some(about) = command.get_about().map(in_chinese) {
        command = command.about(about);
    }
    if let Some(after) = command.get_after_help().map(in_chinese) {
        command = command.after_help(after);
    }
    let has_commands = command.has_subcommands();
    let has_values = command.get_positionals().next().is_some();
    command
        .help_template(template(has_commands, has_values))
        .mut_args(|arg| match arg.get_help().map(in_chinese) {
            Some(_) if arg.get_id() == "help" => arg.help(HELP).long_help(HELP),
            Some(help) => arg.help(help),
            None => arg,
        })
        .mut_subcommands(reworded)
}

/// How a command's help is laid out (clap's `Command::help_template`).
fn template(has_commands: bool, has_values: bool) -> String {
    let mut template = "{about}\n\n用法：{usage}\n".to_owned();
    for (shown, part) in [
        (has_commands, "\n命令：\n{subcommands}\n"),
        (has_values, "\n参数：\n{positionals}\n"),
        (true, "\n选项：\n{options}"),
    ] {
        if shown {
            template += part;
        }
    }
    template + "{after-help}\n"
}

/// Each line that is known, in Chinese; commands and what is new stay as they are.
fn in_chinese(english: &StyledStr) -> String {
    let lines = english.to_string();
    let lines = lines.split('\n').map(|line| WORDS.iter().find(|(en, _)| *en == line).map_or(line, |(_, zh)| zh));
    lines.collect::<Vec<_>>().join("\n")
}

/// What is said of the option that every command has; clap words it differently for each.
const HELP: &str = "显示帮助（-h 为摘要，--help 为全文）";

/// Lines of help, in English and in Chinese.
const WORDS: &[(&str, &str)] = &[
    (
        "A link's code is not used up. Exit codes: 0 support can be reached, 1 it cannot, 2 wrong usage.",
        "链接中的验证码不会被用掉。退出码：0 可以连接到客服，1 无法连接，2 用法有误。",
    ),
    ("A rule pack instead of the one in use", "用此规则包代替正在使用的规则包"),
    ("Agree to what the desk asks for without being asked", "不再询问，直接同意支持台的请求"),
    (
        "Also ask smartmontools for the health of disks: starts a program, wakes no disk, needs root",
        "另用 smartmontools 查看磁盘健康：会启动一个程序，不会唤醒磁盘，需要 root 权限",
    ),
    (
        "Also look at the way to this support desk and its relays; nothing about this machine is sent there",
        "另检查到该支持台及其中继的网络路径；不会发送本机的任何信息",
    ),
    ("Also look when this certificate ends", "另检查该证书何时到期"),
    ("Ask a desk on this very machine by plain HTTP", "用明文 HTTP 访问本机上的支持台"),
    ("Directory of the desk's rules [default: of the system]", "支持台规则所在的目录 [默认：系统目录]"),
    (
        "Directory of the device's key, earlier samples and the desk's rules [default: of the system]",
        "存放设备密钥、以往采样和支持台规则的目录 [默认：由系统决定]",
    ),
    ("Directory of this device's key and of the list of what you agreed to", "存放本设备密钥和同意记录的目录"),
    ("Example:", "示例："),
    ("Examples:", "示例："),
    (
        "Exit codes: 0 all rows hold, 1 some do not, 2 the file is no rule pack",
        "退出码：0 全部通过，1 有未通过的行，2 该文件不是规则包",
    ),
    (
        "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused by you, 4 something critical found (survey --check)",
        "退出码：0 完成，1 失败，2 用法有误，3 您已拒绝，4 发现严重问题（survey --check）",
    ),
    ("Exit with 4 when something critical is found", "发现严重问题时以 4 退出"),
    ("How log lines on standard error look", "标准错误上日志行的格式"),
    (
        "Join the support session of an invite: shows what would be sent, asks, and sends it",
        "加入邀请的支持会话：显示将发送的内容，征得同意后发送",
    ),
    (
        "Keep showing one section, until Ctrl-C: system, disk, memory, drivers or network; or one disk or interface, as disk:sda or network:eth0. With --json a line each time",
        "持续显示一个部分，直到按 Ctrl-C：system、disk、memory、drivers 或 network；或单个磁盘或网络接口，如 disk:sda、network:eth0。配合 --json 时每次一行",
    ),
    ("Language: en or zh; the system's when not given", "语言：en 或 zh；未指定时使用系统语言"),
    (
        "Leave sections out of --json, --show and --save: system, disk, memory, drivers, network, findings",
        "在 --json、--show 和 --save 中去掉这些部分：system、disk、memory、drivers、network、findings",
    ),
    (
        "Leave sections out: system, disk, memory, drivers, network, findings",
        "去掉这些部分：system、disk、memory、drivers、network、findings",
    ),
    ("List the rules by which this machine is judged", "列出用于判断本机的规则"),
    ("List, show and test the rules by which this machine is judged", "列出、查看和测试用于判断本机的规则"),
    (
        "Look at a captured tree of /proc and /sys instead of this machine",
        "查看采集的 /proc 和 /sys 目录树，而不是本机",
    ),
    (
        "Look at this machine and show what was found; contacts no support desk unless you name one",
        "检查本机并显示结果；除非您指定，否则不联系任何支持台",
    ),
    (
        "Looks at this machine and says what is wrong with it; sends nothing unless you agree.",
        "检查本机并指出问题；未经您同意不发送任何内容。",
    ),
    ("Nothing is sent before you have seen it and agreed.", "在您查看并同意之前，不会发送任何内容。"),
    ("Print JSON", "输出 JSON"),
    ("Print the report as JSON, with private names replaced", "以 JSON 输出报告，其中的私人名称已替换"),
    (
        "Print the rule pack that comes with this program, to begin another with",
        "输出本程序自带的规则包，可作为编写新规则包的起点",
    ),
    ("Print the steps as JSON", "以 JSON 输出各步骤"),
    ("Print this message or the help of the given subcommand(s)", "显示本帮助或指定命令的帮助"),
    ("Print version", "显示版本"),
    (
        "Print what was sent as JSON on standard output; everything else goes to standard error",
        "在标准输出上以 JSON 输出已发送的内容；其余内容写到标准错误",
    ),
    (
        "Put a link in quotes: it holds characters that the shell would take for its own.",
        "请给链接加引号：其中有 shell 会另作解释的字符。",
    ),
    ("Read settings from this TOML file; keys are the names of the options", "从此 TOML 文件读取设置；键名即选项名"),
    ("Run the test rows of a rule pack", "运行规则包中的测试行"),
    (
        "Say step by step why a support desk can or cannot be reached; sends nothing about this machine",
        "逐步说明能否连接到支持台及其原因；不发送本机的任何信息",
    ),
    ("Seconds between two looks of --watch", "--watch 两次检查之间的秒数"),
    ("Show every value that would be sent before the question", "在询问之前显示将发送的每个值"),
    (
        "Show one rule: what it looks at, when it speaks, what it says, and what stands behind it",
        "查看一条规则：检查什么、何时提示、提示什么以及依据",
    ),
    (
        "Show what a desk would be sent: sections, sizes, what was replaced, and every value",
        "显示将发送给支持台的内容：各部分、大小、替换了什么以及每个值",
    ),
    (
        "Started without a word by somebody at a terminal, it asks for the support desk and the code.",
        "在终端中不带任何参数启动时，程序会询问支持台地址和代码。",
    ),
    ("The help address of your support, or an invite link (belay://...)", "客服的帮助地址，或邀请链接（belay://...）"),
    ("The invite link (belay://...), or the help address of your support", "邀请链接（belay://...），或客服的帮助地址"),
    (
        "The most that you allow: survey, terminal, send-files, take-files, fixes, tunnel",
        "您最多允许的操作：survey、terminal、send-files、take-files、fixes、tunnel",
    ),
    (
        "The name servers of this machine are asked two questions each, about the root of all names and about a name that cannot exist, and the system for a root server's address; nothing about you is in them.",
        "会向本机的每个 DNS 服务器提两个问题：一个关于根域，一个关于不可能存在的域名；并向系统查询一个根服务器的地址。其中不含您的任何信息。",
    ),
    ("The nine-digit code, beside a help address", "九位验证码，与帮助地址一起使用"),
    ("The pack, a TOML file", "规则包（TOML 文件）"),
    ("The rule's name, as `rules list` shows it", "规则名称，见 `rules list`"),
    (
        "Where only an HTTP proxy lets you out, HTTPS_PROXY names it (http://[USER:PASSWORD@]HOST:PORT) and NO_PROXY the exceptions.",
        "如果只能通过 HTTP 代理上网，请用 HTTPS_PROXY 指定代理（http://[用户名:密码@]主机:端口），用 NO_PROXY 指定例外。",
    ),
    (
        "Which log lines appear, for example `info`, `debug` or `warn,belay_relay=trace`",
        "显示哪些日志行，例如 `info`、`debug` 或 `warn,belay_relay=trace`",
    ),
    (
        "Write what a desk would be sent to this new file, for a machine without a network: give the file to support",
        "把将发送给支持台的内容写入此新文件，供没有网络的机器使用：请把该文件交给客服",
    ),
    (
        "Directory of this device's key, to say whether the report is of this machine [default: of the system]",
        "存放本设备密钥的目录，用于判断报告是否来自本机 [默认：由系统决定]",
    ),
    ("Print the report as JSON", "以 JSON 输出报告"),
    (
        "Show a report that was saved to a file: whose it is, whether it is whole, and what is in it",
        "查看保存到文件的报告：来自哪台设备、是否完整以及内容",
    ),
    ("Show every value in it", "显示其中的每个值"),
    (
        "Ask a support desk for help: makes a ticket of your words, and offers to look at this machine for it",
        "向支持台求助：根据您的描述创建工单，并可为其检查本机",
    ),
    ("The help address of your support", "客服的帮助地址"),
    ("What is wrong, in your own words; asked for when not given", "用您自己的话说明问题；未给出时会询问"),
    ("Your name; asked for when not given", "您的姓名；未给出时会询问"),
    ("Your company", "您的公司"),
    ("Where you can be reached: a telephone number or an e-mail address", "您的联系方式：电话号码或电子邮箱"),
    ("Which program or machine it is about", "涉及哪个程序或设备"),
    ("Only ask; do not offer to look at this machine", "只求助，不提议检查本机"),
    (
        "Print the ticket's number and page as JSON, and do not offer to look at this machine",
        "以 JSON 输出工单编号和页面，且不提议检查本机",
    ),
    (
        "Your words, your name and how to reach you are sent to the desk. Nothing about this machine is sent before you have seen it and agreed.",
        "您的描述、姓名和联系方式会发送给支持台。在您查看并同意之前，不会发送本机的任何信息。",
    ),
    ("Please write no passwords.", "请不要填写密码。"),
    ("What `survey --save` has written", "`survey --save` 写出的文件"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::super::Cli;
    use super::*;

    fn lines(command: &Command) -> BTreeSet<String> {
        let of_options = command.get_arguments().filter(|arg| arg.get_id() != "help").filter_map(|arg| arg.get_help());
        let texts = command.get_about().into_iter().chain(command.get_after_help()).chain(of_options);
        let said = texts.flat_map(|text| text.to_string().split('\n').map(str::to_owned).collect::<Vec<_>>());
        let own = said.filter(|line| !line.is_empty() && !line.starts_with("  "));
        own.chain(command.get_subcommands().flat_map(lines)).collect()
    }

    #[test]
    fn every_line_of_help_is_there_in_chinese_and_no_other() {
        let mut command = Cli::command().arg(belay_relay::settings::config_option());
        command.build();
        let said = lines(&command);
        let known: BTreeSet<String> = WORDS.iter().map(|(en, _)| (*en).to_owned()).collect();
        let missing: Vec<_> = said.difference(&known).collect();
        let unused: Vec<_> = known.difference(&said).collect();
        assert!(missing.is_empty() && unused.is_empty(), "missing: {missing:#?}\nunused: {unused:#?}");
    }

    #[test]
    fn help_is_shown_in_chinese() {
        let mut command = worded(Cli::command());
        let help = command.render_long_help().to_string();
        assert!(help.contains("用法：") && help.contains("命令：") && !help.contains("Usage"), "{help}");
        let help = command.find_subcommand_mut("join").unwrap().render_long_help().to_string();
        assert!(help.contains("参数：") && help.contains("--yes") && !help.contains("Options"), "{help}");
        assert!(!help.contains("Print help"), "{help}");
    }
}
