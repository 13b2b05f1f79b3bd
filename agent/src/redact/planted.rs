//! Private items of many kinds, planted in every form of text and in every free text of a report.

use super::*;
use crate::probe::tests::tree;
use crate::survey::{Look, look};

/// What is planted, and the parts of it that must not come through. Where the second is empty it is the item itself.
struct Item {
    name: &'static str,
    text: &'static str,
    private: &'static [&'static str],
    is_secret: bool,
}

const fn item(name: &'static str, text: &'static str, private: &'static [&'static str]) -> Item {
    Item { name, text, private, is_secret: false }
}

const fn secret(name: &'static str, text: &'static str, private: &'static [&'static str]) -> Item {
    Item { name, text, private, is_secret: true }
}

const ITEMS: &[Item] = &[
    item("login", "alice", &[]),
    item("short login", "user=bo", &["bo"]),
    item("short login of two letters in a path", "/srv/li/notes", &["li"]),
    item("login that is a word", "for user mark from", &["mark"]),
    item("full name", "Alice Liddell", &[]),
    item("full name, last first", "Liddell, Alice", &["liddell"]),
    item("first name", "Roberta", &[]),
    item("Chinese name", "王芳", &[]),
    item("name with an accent", "Zoë Müller", &["müller"]),
    item("short host", "on host nas:", &["nas"]),
    item("host", "wonder", &[]),
    item("full host", "wonder.corp.example.org", &["wonder", "corp.example"]),
    item("own domain", "corp.example.org", &[]),
    item("host of hosts(5)", "gitbox", &[]),
    item("foreign domain", "mail.contoso-partner.cn", &["contoso"]),
    item("foreign name in the local network", "printer-3.local", &["printer-3"]),
    item("private address", "192.168.7.9", &[]),
    item("carrier's address", "100.72.14.3", &[]),
    item("public address", "203.0.113.77", &[]),
    item("address beginning with 1", "1.94.7.33", &[]),
    item("own address like a version", "1.2.3.4", &[]),
    item("IPv6 address", "2001:db8:12:7::42", &[]),
    item("link-local IPv6 address", "fe80::5054:ff:fe12:3456", &[]),
    item("IPv6 address in full", "2001:0DB8:0000:0000:0000:FF00:0042:8329", &["2001:0db8"]),
    item("hardware address", "52:54:00:ab:cd:ef", &[]),
    item("hardware address with dashes", "00-1A-2B-3C-4D-5E", &[]),
    item("hardware address of a switch", "001a.2b3c.4d5f", &[]),
    item("hardware address in an interface", "enx525400abcdef", &["525400abcdef"]),
    item("serial number", "PF3KX9QZ", &[]),
    item("foreign serial number", "S/N: WD-WX11D87P4K2Z", &["wx11d87p4k2z"]),
    item("machine id", "0123456789abcdef0123456789abcdef", &[]),
    item("boot id", "5f2c1b7e-9a44-4d0e-8b1c-3f6d2e7a9b10", &[]),
    item("UUID", "7d444840-9dc0-11d1-b245-5ffdce74fad2", &[]),
    item("container id", "3f4e1a5b8c9d0e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f", &[]),
    item("key's fingerprint", "52:54:00:ab:cd:ef:11:22:33:44:55:66:77:88:99:aa", &["11:22:33"]),
    item("SSID", "Blue Door 5G", &[]),
    item("foreign SSID", "ssid=\"Cafe Mozart\"", &["mozart"]),
    item("international phone", "+86 138 1234 5678", &["1234 5678", "12345678"]),
    item("local phone", "phone: 030-1234567", &["1234567"]),
    item("German mobile", "0171-2345678", &["2345678"]),
    item("German phone", "Fax 030/1234567", &["1234567"]),
    item("German phone with its area in brackets", "(030) 123456", &["123456"]),
    item("hardware address of letters in an interface", "enxdeadbeefcafe", &["deadbeefcafe"]),
    item("certificate's domain", "/etc/letsencrypt/live/kunde.de/cert.pem", &["kunde"]),
    item("certificate called after its domain", "/etc/ssl/kunde-mueller.de.pem", &["kunde"]),
    item("American phone", "415-555-2671", &[]),
    item("Chinese phone", "手机：13812345678", &["13812345678"]),
    item("mail", "carol.jones@contoso.com", &["carol", "contoso"]),
    item("own mail", "alice@corp.example.org", &["alice", "corp.example"]),
    item("home", "/home/mallory/Desktop", &["mallory"]),
    item("Windows home", "C:\\Users\\Mallory\\Desktop", &["mallory"]),
    item("home of a second volume", "/home2/mallory/x", &["mallory"]),
    item("home with a blank", "C:\\Users\\Mallory Doe\\Desktop", &["mallory", "doe"]),
    item("person's media", "/media/mallory/STICK", &["mallory"]),
    item("person's media under systemd", "/run/media/mallory/STICK", &["mallory"]),
    item("host and owner of a share", "\\\\srv-ad01\\mallory$\\x", &["srv-ad01", "mallory"]),
    item("name behind a domain", "CORP\\mallory", &["corp", "mallory"]),
    item("IBAN", "DE89370400440532013000", &[]),
    item("IBAN in groups", "DE89 3704 0044 0532 0130 00", &["0532"]),
    item("payment card", "4111111111111111", &[]),
    item("payment card in groups", "3782 822463 10005", &["822463"]),
    item("Chinese identity number without a label", "11010519491231002X", &[]),
    item("Chinese phone without a label", "13812345678", &[]),
    item("Chinese phone with the country's code", "8613812345678", &["13812345678"]),
    item("account of Windows", "S-1-5-21-3623811015-3361044348-30300820-1013", &["3623811015", "30300820"]),
    item("IMEI", "IMEI: 490154203237518", &["490154203237518"]),
    item("owner of a device", "Mallory's iPhone", &["mallory"]),
    item("Chinese owner of a device", "李小龙的iPhone", &["李小龙"]),
    secret("bot's token", "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawx", &["aahdqtcv"]),
    secret("recovery key", "111111-222222-333333-444444-555555-666666-000011-000022", &["333333", "000022"]),
    secret("product key", "VK7JG-NPHTM-C97JM-9MPGT-3V66T", &["nphtm", "3v66t"]),
    secret("password of mysql", "mysql -u root -phunter2 shop", &["hunter2"]),
    secret("password of sshpass", "sshpass -p hunter2 ssh x", &["hunter2"]),
    secret("password of net use", "net use X: \\\\srv\\d hunter2 /user:bob", &["hunter2"]),
    secret("password of psql", "PGPASSWORD=hunter2 psql", &["hunter2"]),
    secret("password", "password=hunter2!", &["hunter2"]),
    secret("password with marks", "password=hun,t3r;2&x", &["t3r", "hun,"]),
    secret("quoted password", "db_password: 'correct horse 7'", &["correct", "horse"]),
    secret("JSON password", r#"{"user":"x","password":"hunter2"}"#, &["hunter2"]),
    secret("escaped JSON password", r#"{\"password\":\"hunter2\"}"#, &["hunter2"]),
    secret("XML password", "<password>hunter2</password>", &["hunter2"]),
    secret("password in a sentence", "the password is hunter2", &["hunter2"]),
    secret("password option", "--password hunter2", &["hunter2"]),
    secret("Chinese password", "密码：猎人hunter2", &["猎人", "hunter2"]),
    secret("German password", "Passwort: geheim77", &["geheim77"]),
    secret("other German password", "kennwort=geheim78", &["geheim78"]),
    secret("password called pw", "pw=hunter2x", &["hunter2x"]),
    item("full Chinese name behind its label", "姓名：李小龙", &["李小龙"]),
    item("Chinese identity card", "身份证号：11010519491231002X", &["11010519491231002"]),
    item("WeChat id", "微信号: wxid_abc12345", &["wxid_abc12345"]),
    secret("Chinese password without a colon", "口令 hunter2", &["hunter2"]),
    secret("Chinese token", "令牌=abcd1234", &["abcd1234"]),
    secret("token", "token=s3cr3t-tok3n", &["s3cr3t"]),
    secret("bearer", "Authorization: Bearer abcDEF123456ghiJKL", &["abcdef123456"]),
    secret("basic", "Basic YWxpY2U6aHVudGVyMg==", &["ywxpy2u6"]),
    secret("cookie", "Cookie: session=deadbeef; theme=dark", &["deadbeef"]),
    secret("AWS key id", "AKIAIOSFODNN7EXAMPLE", &[]),
    secret("AWS secret", "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", &["wjalr", "bpxrf"]),
    secret("AWS secret without a label", "wJalrXUtnFEMIK7MDENG8bPxRfiCYEXAMPLEKEY4", &[]),
    secret("GCP key", "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY", &["9tsrke72"]),
    secret(
        "Azure key",
        "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
        &["eby8vd", "k1szf"],
    ),
    secret("GitHub token", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", &["16c7e42f"]),
    secret("Slack token", "xoxb-123456789012-abcdefGHIJKL", &["123456789012"]),
    secret(
        "JWT",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        &["eyjzdwi", "dozjg"],
    ),
    secret(
        "private key",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAE\nQyNTUxOQAAACD4\n-----END OPENSSH PRIVATE KEY-----",
        &["b3blbn", "qynt"],
    ),
    secret(
        "private key in one line",
        "-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBg\\nq4x7\\n-----END PRIVATE KEY-----",
        &["miievq", "q4x7"],
    ),
    secret("private key that is cut off", "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC", &["miieow", "ibaakc"]),
    secret("URL login", "https://bob:hunter2@nas.contoso.com/x", &["hunter2", "bob:"]),
    secret("URL login with a slash", "ftp://bob:hun/ter@2@nas.contoso.com/x", &["ter@", "hun/"]),
    secret("password hash", "$6$rounds=5000$saltsalt$Xa9Kd83hfjKSLKDJfh38fhdkalsdjfhakljdf8", &["xa9kd83"]),
    secret("Wi-Fi key", "wpa_passphrase=blue door opens", &["blue door opens"]),
    secret("curl login", "curl -u bob:hunter2 https://x", &["hunter2"]),
    secret("API key header", "X-Api-Key: 9f8e7d6c5b4a", &["9f8e7d"]),
    secret("SAS signature", "sv=2022&sig=Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA==&se=x", &["zm9vymfy"]),
];

/// Texts with an item in it, and whether it is still itself there.
fn carriers(item: &Item) -> Vec<(&'static str, String)> {
    let text = item.text;
    let json = serde_json::to_string(text).unwrap();
    let encoded: String = text
        .bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    let mut all = vec![
        ("alone", text.to_owned()),
        ("in a sentence", format!("error: cannot open {text} today")),
        ("in parentheses", format!("failed ({text})")),
        ("in brackets", format!("[{text}] failed")),
        ("in quotes", format!("cannot open \"{text}\"")),
        ("beside Chinese", format!("错误：{text}，请重试")),
        ("between commas", format!("rw,{text},nosuid")),
        ("before a full stop", format!("No way to {text}.")),
        ("as a value", format!("detail={text} code=7")),
        ("in JSON", format!("{{\"level\":\"warn\",\"msg\":{json},\"code\":7}}")),
        ("in a syslog line", format!("Nov 22 15:10:29 wonder app[77]: {text}")),
        ("between lines", format!("first line\n{text}\nlast line")),
    ];
    // What begins with a known text in a known case is another thing in another.
    let has_case = item.is_secret && !text.to_lowercase().contains("password") && !text.contains("token=");
    if !has_case {
        all.push(("in upper case", text.to_uppercase()));
    }
    // What is written with other bytes than letters shows only decoded.
    all.push(("percent-encoded", format!("GET /x?q={encoded}&y=1 HTTP/1.1")));
    all
}

fn identity() -> Identity {
    let (_dir, root) = tree(&machine());
    Identity::learn(&root)
}

fn machine() -> Vec<(&'static str, &'static str)> {
    vec![
        (
            "etc/passwd",
            "alice:x:1000:1000:Alice Liddell,,,:/home/alice:/bin/sh\nbo:x:1001:1001:Roberta:/home/bo:/bin/sh\n\
             li:x:1002:1002:王芳:/srv/li:/bin/sh\nmark:x:1003:1003:Zoë Müller:/home/mark:/bin/sh\n",
        ),
        ("proc/sys/kernel/hostname", "wonder.corp.example.org\n"),
        ("etc/resolv.conf", "search corp.example.org\nnameserver 192.168.7.1\n"),
        ("etc/hosts", "127.0.0.1 localhost\n10.1.1.1 nas\n10.1.1.2 gitbox gitbox.lan\n"),
        ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
        ("proc/sys/kernel/random/boot_id", "5f2c1b7e-9a44-4d0e-8b1c-3f6d2e7a9b10\n"),
        ("sys/class/dmi/id/product_serial", "PF3KX9QZ\n"),
        ("sys/class/net/eth0/address", "52:54:00:ab:cd:ef\n"),
        ("var/lib/iwd/Blue Door 5G.psk", ""),
        ("proc/net/fib_trie", "|-- 1.2.3.4\n   /32 host LOCAL\n"),
    ]
}

fn is_through(item: &Item, masked: &str) -> bool {
    let masked = masked.to_lowercase();
    let is_word = |private: &str| {
        let private = private.to_lowercase();
        let joined = |c: char| c.is_alphanumeric();
        masked.match_indices(&private).any(|(at, _)| {
            private.len() > 3 || !(masked[..at].ends_with(joined) || masked[at + private.len()..].starts_with(joined))
        })
    };
    if item.private.is_empty() { is_word(item.text) } else { item.private.iter().any(|private| is_word(private)) }
}

#[test]
fn every_private_item_is_removed_from_every_form_of_text() {
    assert!(ITEMS.len() >= 32);
    let identity = identity();
    let (mut planted, mut through, mut secrets) = (0, Vec::new(), Vec::new());
    for item in ITEMS {
        for (form, text) in carriers(item) {
            planted += 1;
            let masked = Aliases::of(&identity).mask(&text).unwrap();
            if is_through(item, &masked) {
                let line = format!("{} {form}: {text:?} -> {masked:?}", item.name);
                if item.is_secret { secrets.push(line) } else { through.push(line) }
            }
        }
    }
    println!(
        "{} items, {planted} planted, {} came through, {} of them secrets",
        ITEMS.len(),
        through.len() + secrets.len(),
        secrets.len()
    );
    for line in secrets.iter().chain(&through) {
        println!("  {line}");
    }
    assert!(secrets.is_empty(), "a secret came through");
    // 31 of 32, as a share of all.
    assert!(through.len() * 32 <= planted, "{} of {planted} came through", through.len());
}

/// A machine that has every item as a mount point, a share, an option, a process, a stick and a disk.
fn planted_machine() -> Vec<(String, String)> {
    let escaped =
        |text: &str| text.replace('\\', "\\134").replace(' ', "\\040").replace('\n', "\\012").replace('\t', "\\011");
    let mut files: Vec<_> = machine().into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
    let mut mounts = String::new();
    for (number, item) in ITEMS.iter().enumerate() {
        let text = escaped(item.text);
        // Options end at commas.
        let option = if text.contains(',') { "noexec" } else { &text };
        mounts += &format!("{text} /mnt/{number}/{text} cifs rw,{option},nosuid 0 0\n");
        let line = item.text.replace('\n', " ");
        files.push((
            format!("proc/{}/status", number + 10),
            format!("Name:\t{line}\nState:\tD (disk sleep)\nVmRSS:\t {number} kB\n"),
        ));
        files.push((format!("sys/block/sd{number}/size"), "1000\n".to_owned()));
        files.push((format!("sys/block/sd{number}/device/model"), format!("{line}\n")));
        let bus = format!("sys/bus/usb/devices/{number}-1");
        files.push((format!("{bus}/product"), format!("{line}\n")));
        files.push((format!("{bus}:1.0/bInterfaceClass"), "ff\n".to_owned()));
    }
    files.push(("proc/self/mounts".to_owned(), mounts));
    files
}

/// A machine whose makers have called everything that has a name of its own after one item.
fn named_machine(item: &Item) -> Vec<(String, String)> {
    let mut files: Vec<_> = machine().into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
    let line = item.text.replace(['\n', '\t'], " ");
    let mut plant = |path: &str, text: String| files.push((path.to_owned(), text));
    // Quotes would end the name.
    if !line.contains(['\'', '"']) {
        plant("etc/os-release", format!("ID=debian\nPRETTY_NAME=\"Linux of {line}\"\n"));
    }
    plant("proc/sys/kernel/osrelease", format!("custom {line}\n"));
    plant("sys/class/dmi/id/product_name", format!("Laptop {line}\n"));
    plant("var/lib/dpkg/status", format!("Package: {line}\nStatus: install ok half-configured\n"));
    plant("run/reboot-required", "*** System restart required ***\n".to_owned());
    plant("run/reboot-required.pkgs", format!("{line}\n"));
    // What is named after people, hosts and companies. A name that a part of the machine has is a word there: here it is one
    // of several.
    let word = format!("own-{line}");
    if line.chars().all(|c| c.is_alphabetic() || c == '.') {
        plant("proc/modules", format!("{word} 16384 0 - Live 0x0000000000000000 (OE)\n"));
        plant(&format!("var/lib/dkms/{word}/{word}/source/dkms.conf"), String::new());
        plant(&format!("sys/class/power_supply/{word}/type"), "Battery\n".to_owned());
        plant(&format!("sys/class/power_supply/{word}/capacity"), "50\n".to_owned());
        let array = format!("{word} : active raid1 sda1[0]\n      1000 blocks [2/1] [U_]\n");
        plant("proc/mdstat", format!("Personalities : [raid1]\n{array}"));
    }
    files
}

async fn shown(files: Vec<(String, String)>) -> String {
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let (dir, _root) = tree(&files);
    let options = Look { root: Some(dir.path().to_owned()), ..Look::default() };
    let redacted = redact(look(&options, |_| ()).await.unwrap(), Default::default()).unwrap();
    let report = redacted.report().unwrap();
    assert!(!report.sections.iter().any(|section| matches!(section, Section::Withheld(_))));
    serde_json::to_string_pretty(&report).unwrap()
}

/// Judges what came through of which item in the report that `shown` gives for it.
fn judge<'s>(shown: impl Fn(usize) -> &'s str) {
    let (mut through, mut secrets) = (0, 0);
    for (number, item) in ITEMS.iter().enumerate() {
        let lines: Vec<_> = shown(number).lines().filter(|line| is_through(item, line)).collect();
        lines.iter().for_each(|line| println!("{}: {line}", item.name));
        through += usize::from(!lines.is_empty());
        secrets += usize::from(!lines.is_empty() && item.is_secret);
    }
    println!("{} items, {through} came through, {secrets} of them secrets", ITEMS.len());
    assert_eq!(secrets, 0, "a secret is in the report");
    assert!(through * 32 <= ITEMS.len(), "{through} items are in the report");
}

#[tokio::test]
async fn every_private_item_is_removed_from_every_free_text_of_a_report() {
    let shown = shown(planted_machine()).await;
    judge(|_| &shown);
    assert!(shown.contains("/mnt/0/user-1"), "what was planted did not get into the report");
}

#[tokio::test]
async fn every_private_item_is_removed_from_every_name_that_makers_have_given() {
    let mut all = Vec::new();
    for item in ITEMS {
        all.push(shown(named_machine(item)).await);
    }
    judge(|number| &all[number]);
    for planted in ["own-user-1", "Laptop user-1", "custom user-1", "Linux of user-1"] {
        assert!(all[0].contains(planted), "{planted} is not in the report");
    }
}
