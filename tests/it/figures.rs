//! The survey's figures beside those of the tools that people trust, on this machine, within one percent.
//!
//! A tool runs between two surveys, and what it says must lie between what they say: a machine that moves meanwhile is
//! asked again, and one that stands still must agree.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{TcpListener, UdpSocket};
use std::process::Command;

use belay_tests::faults::{self, LoopDisk, Patient, Seen, Space, alone};
use belay_tests::requirement;
use serde_json::Value;

/// Tries until the machine stands still for as long as two surveys and the tools take.
const TRIES: usize = 12;

/// A tool and how its answer is compared.
#[derive(Clone, Copy)]
struct Tool {
    name: &'static str,
    args: &'static [&'static str],
    compare: fn(&Seen, &str, &Seen) -> Comparison,
}

/// What does not agree; with figures to compare at all.
type Comparison = Vec<String>;

const TOOLS: [Tool; 12] = [
    Tool { name: "df", args: &["-B1", "--output=size,used,avail,pcent,target"], compare: space },
    Tool { name: "df", args: &["--output=itotal,iused,iavail,ipcent,target"], compare: inodes },
    Tool { name: "free", args: &["-b"], compare: memory },
    Tool { name: "ip", args: &["-j", "addr"], compare: interfaces },
    Tool { name: "ip", args: &["-j", "-4", "route"], compare: |a, said, b| routes("ipv4", a, said, b) },
    Tool { name: "ip", args: &["-j", "-6", "route"], compare: |a, said, b| routes("ipv6", a, said, b) },
    Tool { name: "ss", args: &["-H", "-4", "-ltun"], compare: |a, said, b| listeners("ipv4", a, said, b) },
    Tool { name: "ss", args: &["-H", "-6", "-ltun"], compare: |a, said, b| listeners("ipv6", a, said, b) },
    Tool { name: "findmnt", args: &["-J", "-l", "-o", "TARGET,SOURCE,FSTYPE,OPTIONS"], compare: mounts },
    Tool { name: "lsblk", args: &["-J", "-b", "-d", "-o", "NAME,SIZE,RO,RM,ROTA"], compare: disks },
    Tool { name: "ps", args: &["-e", "-o", "pid="], compare: processes },
    Tool { name: "ps", args: &["-e", "-o", "rss=,comm=", "--sort=-rss"], compare: largest },
];

fn missing(tool: &Tool) -> Option<String> {
    Command::new(tool.name).arg("--version").output().err().map(|error| error.to_string())
}

fn run(tool: &Tool, space: Option<&Space>) -> String {
    let mut command = Command::new(tool.name);
    command.args(tool.args).env("LC_ALL", "C");
    if let Some(space) = space {
        command = space.inside(&command);
    }
    let output = command.output().unwrap();
    // df fails because of one mount that it may not look at, and tells of the others.
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_figure_agrees_with_its_tool() {
    let mut tools = TOOLS.to_vec();
    tools.retain(|tool| requirement::is_met(tool.name, missing(tool)));
    let _alone = alone().unwrap();
    let _here = (
        TcpListener::bind("127.0.0.1:0").unwrap(),
        TcpListener::bind("0.0.0.0:0").unwrap(),
        TcpListener::bind("[::]:0").ok(),
        UdpSocket::bind("127.0.0.1:0").unwrap(),
    );
    // Large enough to be among the largest, and it stands still.
    let _ballast = std::hint::black_box(vec![1u8; 256 << 20]);
    agree(&Patient::new().unwrap(), tools, None);
}

#[test]
fn figures_of_disks_agree_where_mounts_share_a_disk_and_hide_each_other() {
    if !requirement::is_met("faults", faults::missing(&["df", "findmnt"])) {
        return;
    }
    let (_alone, space) = (alone().unwrap(), Space::new().unwrap());
    let disk = LoopDisk::new(&space, "disk with blanks", &["-m", "20"], "noatime").unwrap();
    disk.fill(50).unwrap();
    let run = |program: &str, args: &[&str]| space.run(program, args).map(drop).unwrap();
    run("mkdir", &["-p", "/mnt/again", "/mnt/hidden/inside", "/mnt/part", "/mnt/endless"]);
    run("mount", &["--bind", &disk.place, "/mnt/again"]);
    run("mkdir", &[&format!("{}/part", disk.place)]);
    run("mount", &["--bind", &format!("{}/part", disk.place), "/mnt/part"]);
    run("mount", &["-t", "tmpfs", "-o", "size=3m,nr_inodes=77", "hidden", "/mnt/hidden/inside"]);
    run("mount", &["-t", "tmpfs", "-o", "size=1m", "above", "/mnt/hidden"]);
    run("mkdir", &["/mnt/hidden/inside"]);
    run("mount", &["-t", "tmpfs", "-o", "nr_inodes=0,size=2m", "endless", "/mnt/endless"]);
    let tools = TOOLS.into_iter().filter(|tool| ["df", "findmnt"].contains(&tool.name)).collect();
    agree(&Patient::new().unwrap().within(&space), tools, Some(&space));
}

fn agree(patient: &Patient<'_>, mut tools: Vec<Tool>, space: Option<&Space>) {
    let mut mistakes = Vec::new();
    for _ in 0..TRIES {
        let before = patient.survey().unwrap();
        let said: Vec<String> = tools.iter().map(|tool| run(tool, space)).collect();
        let after = patient.survey().unwrap();
        let compared = tools.iter().zip(&said).map(|(tool, said)| (*tool, (tool.compare)(&before, said, &after)));
        mistakes = compared.filter(|(_, mistakes)| !mistakes.is_empty()).collect();
        tools = mistakes.iter().map(|(tool, _)| *tool).collect();
        if tools.is_empty() {
            return;
        }
    }
    let told = mistakes.iter().map(|(tool, mistakes)| format!("{} {:?}: {mistakes:#?}", tool.name, tool.args));
    panic!("after {TRIES} tries:\n{}", told.collect::<Vec<_>>().join("\n"));
}

/// Without this the comparison might compare nothing.
#[test]
fn a_figure_that_is_two_percent_off_is_noticed() {
    let mut tools = TOOLS.to_vec();
    tools.retain(|tool| requirement::is_met(tool.name, missing(tool)));
    let _alone = alone().unwrap();
    let _here = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("[::]:0").ok());
    let mut seen = Patient::new().unwrap().survey().unwrap();
    shift(&mut seen.report);
    for tool in tools.iter().filter(|tool| !tool.args.contains(&"-6")) {
        assert!(!(tool.compare)(&seen, &run(tool, None), &seen).is_empty(), "{} {:?}", tool.name, tool.args);
    }
}

/// Changes every number by two percent and at least by two, every word and every truth.
fn shift(value: &mut Value) {
    match value {
        Value::Number(number) => {
            *value = number.as_u64().map_or(Value::Null, |number| (number + (number / 50).max(2)).into());
        }
        Value::Bool(truth) => *truth = !*truth,
        Value::Array(items) => items.iter_mut().for_each(shift),
        Value::Object(fields) => {
            // What things are called, or else there would be nothing to compare.
            let names = ["mount_point", "name", "kind", "source"];
            fields.iter_mut().filter(|(field, _)| !names.contains(&field.as_str())).for_each(|(_, value)| shift(value));
        }
        Value::String(text) => text.push('x'),
        Value::Null => {}
    }
}

/// Whether `said` lies between two surveys, one percent left and right.
fn between(what: &str, before: Option<u64>, said: u64, after: Option<u64>) -> Option<String> {
    let (Some(before), Some(after)) = (before, after) else { return Some(format!("{what}: {said}, and no figure")) };
    let (low, high) = (before.min(after), before.max(after));
    let is_right = said as f64 >= low as f64 * 0.99 && said as f64 <= high as f64 * 1.01;
    (!is_right).then(|| format!("{what}: {said}, and the surveys say {before} and {after}"))
}

fn list<'v>(seen: &'v Seen, section: &str, field: &str) -> Vec<&'v Value> {
    seen.section(section)[field]["known"].as_array().into_iter().flatten().collect()
}

fn by_name<'v>(items: Vec<&'v Value>, field: &str) -> BTreeMap<String, &'v Value> {
    items.into_iter().map(|item| (item[field].as_str().unwrap_or_default().to_owned(), item)).collect()
}

/// What a tool lists and one survey does not, and what both surveys list and the tool does not.
fn sets<T: Ord + std::fmt::Debug>(before: &BTreeSet<T>, said: &BTreeSet<T>, after: &BTreeSet<T>) -> Comparison {
    let extra = said.iter().filter(|item| !before.contains(item) && !after.contains(item));
    let missing = before.iter().filter(|item| after.contains(item) && !said.contains(item));
    let none = said.is_empty().then(|| "the tool lists nothing".to_owned());
    let extra = extra.map(|item| format!("only the tool lists {item:?}"));
    extra.chain(missing.map(|item| format!("only the surveys list {item:?}"))).chain(none).collect()
}

/// File systems that `df` lists and that are no storage.
const NO_STORAGE: [&str; 4] = ["efivarfs", "ramfs", "fuse.portal", "fuse.gvfsd-fuse"];

/// The lines of `df` by mount point, each with four figures.
fn df(said: &str) -> BTreeMap<String, Vec<String>> {
    let types = Command::new("findmnt").args(["-n", "-r", "-o", "TARGET", "-t", &NO_STORAGE.join(",")]).output();
    let left_out = types.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let figures: Vec<String> = words.by_ref().take(4).map(str::to_owned).collect();
        let place = words.collect::<Vec<_>>().join(" ");
        (!left_out.lines().any(|other| other == place)).then_some((place, figures))
    };
    said.lines().skip(1).filter_map(line).collect()
}

fn by_place(before: &Seen, said: &str, after: &Seen, figures: &str, fields: [&str; 4]) -> Comparison {
    let (before, after) = [before, after].map(|seen| by_name(list(seen, "disk", "mounts"), "mount_point")).into();
    let said = df(said);
    let places = |mounts: &BTreeMap<String, &Value>| mounts.keys().cloned().collect::<BTreeSet<_>>();
    let mut mistakes = sets(&places(&before), &said.keys().cloned().collect(), &places(&after));
    for (place, told) in &said {
        for (field, told) in fields.iter().zip(told) {
            // File systems without a table of inodes have `-`.
            let Ok(told) = told.trim_end_matches('%').parse::<u64>() else { continue };
            let figure = |mounts: &BTreeMap<String, &Value>| mounts.get(place)?[figures]["known"][field].as_u64();
            if told > 0 || figure(&before).is_some() {
                mistakes.extend(between(&format!("{field} of {place}"), figure(&before), told, figure(&after)));
            }
        }
    }
    mistakes
}

fn space(before: &Seen, said: &str, after: &Seen) -> Comparison {
    by_place(before, said, after, "space", ["size_bytes", "used_bytes", "available_bytes", "used_percent"])
}

fn inodes(before: &Seen, said: &str, after: &Seen) -> Comparison {
    by_place(before, said, after, "inodes", ["total", "used", "free", "used_percent"])
}

fn memory(before: &Seen, said: &str, after: &Seen) -> Comparison {
    let figure = |line: &str, place: usize| -> u64 {
        let line = said.lines().find_map(|said| said.strip_prefix(line)).unwrap_or_default();
        line.split_whitespace().nth(place).and_then(|word| word.parse().ok()).expect("free tells it")
    };
    let compare = |group: &str, field: &str, said| {
        let of = |seen: &Seen| seen.section("memory")[group]["known"][field].as_u64();
        between(&format!("{field} of {group}"), of(before), said, of(after))
    };
    let ram = [("total_bytes", figure("Mem:", 0)), ("available_bytes", figure("Mem:", 5))];
    let swap = [("total_bytes", figure("Swap:", 0)), ("used_bytes", figure("Swap:", 1))];
    let ram = ram.into_iter().filter_map(|(field, said)| compare("ram", field, said));
    ram.chain(swap.into_iter().filter_map(|(field, said)| compare("swap", field, said))).collect()
}

/// An interface without its name and its addresses, which do not travel: MTU, state of the link, and of each address its
/// family, its prefix and how far it reaches.
type Shape = (u64, String, BTreeSet<(String, u64, String)>);

fn interfaces(before: &Seen, said: &str, after: &Seen) -> Comparison {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of_survey = |seen: &Seen| {
        let shape = |interface: &&Value| -> Shape {
            let addresses = interface["addresses"]["known"].as_array().into_iter().flatten();
            let addresses = addresses.map(|address| {
                (text(&address["family"]), address["prefix_bits"].as_u64().unwrap_or(0), text(&address["reach"]))
            });
            (interface["mtu_bytes"]["known"].as_u64().unwrap_or(0), text(&interface["link"]), addresses.collect())
        };
        list(seen, "network", "interfaces").iter().map(shape).collect::<BTreeSet<_>>()
    };
    let said: Value = serde_json::from_str(said).unwrap();
    let is_loopback = |interface: &&Value| interface["ifname"] == "lo";
    let shape = |interface: &Value| -> Shape {
        let has = |flag: &str| interface["flags"].as_array().into_iter().flatten().any(|known| known == flag);
        let link = match (has("UP"), has("LOWER_UP")) {
            (false, _) => "down",
            (true, true) => "up",
            (true, false) => "no_carrier",
        };
        let addresses = interface["addr_info"].as_array().into_iter().flatten().map(|address| {
            let family = if address["family"] == "inet" { "ipv4" } else { "ipv6" };
            (family.to_owned(), address["prefixlen"].as_u64().unwrap_or(0), text(&address["scope"]))
        });
        (interface["mtu"].as_u64().unwrap_or(0), link.to_owned(), addresses.collect())
    };
    let said = said.as_array().unwrap().iter().filter(|interface| !is_loopback(interface)).map(shape).collect();
    sets(&of_survey(before), &said, &of_survey(after))
}

/// Where it leads is replaced in a report, but not how wide it is.
fn routes(family: &str, before: &Seen, said: &str, after: &Seen) -> Comparison {
    let of_survey = |seen: &Seen| {
        let all = seen.section("network")["routes"]["known"]["entries"].as_array().into_iter().flatten();
        let own = all.filter(|route| route["family"] == family);
        let shape =
            |route: &Value| (route["prefix_bits"].as_u64(), route["metric"].as_u64(), !route["gateway"].is_null());
        own.map(shape).collect::<BTreeSet<_>>()
    };
    let said: Value = serde_json::from_str(said).unwrap();
    let shape = |route: &Value| {
        let width = |(_, bits): (&str, &str)| bits.parse::<u64>().ok();
        let bits = match route["dst"].as_str().unwrap() {
            "default" => Some(0),
            network => network.split_once('/').map_or(Some(if family == "ipv4" { 32 } else { 128 }), width),
        };
        (bits, Some(route["metric"].as_u64().unwrap_or(0)), route["gateway"].is_string())
    };
    let usable = said.as_array().unwrap().iter().filter(|route| route["type"].is_null() && route["dev"] != "lo");
    let usable: BTreeSet<_> = usable.map(shape).collect();
    // A machine may be in no network of one kind.
    if usable.is_empty() && of_survey(before).is_empty() {
        return Vec::new();
    }
    sets(&of_survey(before), &usable, &of_survey(after))
}

fn listeners(family: &str, before: &Seen, said: &str, after: &Seen) -> Comparison {
    let of_survey = |seen: &Seen| {
        let own = list(seen, "network", "listeners").into_iter().filter(|listener| listener["family"] == family);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        own.map(|listener| {
            (text(&listener["protocol"]), listener["port"].as_u64().unwrap_or(0), text(&listener["reach"]))
        })
        .collect::<BTreeSet<_>>()
    };
    let socket = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let (address, port) = words.get(4)?.rsplit_once(':')?;
        let address = address.split('%').next()?.trim_matches(['[', ']']);
        let reach = match address {
            "*" | "0.0.0.0" | "::" => "any",
            "::1" => "local",
            other if other.trim_start_matches("::ffff:").starts_with("127.") => "local",
            _ => "one_address",
        };
        Some((words[0].to_owned(), port.parse::<u64>().ok()?, reach.to_owned()))
    };
    let said: BTreeSet<_> = said.lines().filter_map(socket).collect();
    let (before, after) = (of_survey(before), of_survey(after));
    // A machine may have no IPv6.
    if said.is_empty() && before.is_empty() { Vec::new() } else { sets(&before, &said, &after) }
}

fn mounts(before: &Seen, said: &str, after: &Seen) -> Comparison {
    let said: Value = serde_json::from_str(said).unwrap();
    // Of several at one place the last is the one that is seen.
    let said = by_name(said["filesystems"].as_array().unwrap().iter().collect(), "target");
    let options = |value: &Value| -> BTreeSet<String> {
        match value {
            Value::String(text) => text.split(',').map(str::to_owned).collect(),
            list => list.as_array().into_iter().flatten().filter_map(|o| o.as_str()).map(str::to_owned).collect(),
        }
    };
    let mut mistakes = Vec::new();
    let surveyed = [before, after].map(|seen| list(seen, "disk", "mounts"));
    for mount in surveyed.iter().flatten() {
        let place = mount["mount_point"].as_str().unwrap_or_default();
        let Some(said) = said.get(place) else {
            mistakes.push(format!("findmnt does not know {place}"));
            continue;
        };
        // A part of a device that is mounted is told in brackets behind it.
        let source = said["source"].as_str().unwrap_or_default().split('[').next().unwrap_or_default();
        if (mount["device"].as_str(), mount["fs_type"].as_str()) != (Some(source), said["fstype"].as_str())
            || options(&mount["options"]) != options(&said["options"])
        {
            mistakes.push(format!("{mount} is {said}"));
        }
    }
    if surveyed.iter().any(Vec::is_empty) {
        mistakes.push("no mounts".to_owned());
    }
    mistakes
}

fn disks(before: &Seen, said: &str, after: &Seen) -> Comparison {
    type Disk = (String, u64, bool, bool, bool);
    let of_survey = |seen: &Seen| {
        let disk = |disk: &&Value| -> Option<Disk> {
            Some((
                disk["name"].as_str()?.to_owned(),
                disk["size_bytes"].as_u64()?,
                disk["read_only"]["known"].as_bool()?,
                disk["removable"]["known"].as_bool()?,
                disk["medium"]["known"] == "rotational",
            ))
        };
        let disks = list(seen, "disk", "block_devices");
        // lsblk leaves out disks in memory (major number 1).
        disks.iter().filter_map(disk).filter(|disk| !disk.0.starts_with("ram")).collect::<BTreeSet<_>>()
    };
    let said: Value = serde_json::from_str(said).unwrap();
    let said = said["blockdevices"].as_array().unwrap().iter().map(|disk| -> Disk {
        let flag = |name: &str| disk[name].as_bool().expect("lsblk tells it");
        let size = disk["size"].as_u64().expect("lsblk tells it");
        (disk["name"].as_str().unwrap().to_owned(), size, flag("ro"), flag("rm"), flag("rota"))
    });
    sets(&of_survey(before), &said.filter(|disk| disk.1 > 0).collect(), &of_survey(after))
}

/// A tool counts itself, as the survey does.
fn processes(before: &Seen, said: &str, after: &Seen) -> Comparison {
    let of = |seen: &Seen| seen.section("system")["process_count"]["known"].as_u64();
    between("processes", of(before), said.lines().count() as u64, of(after)).into_iter().collect()
}

/// Those of the ten largest that stand still have their like among what the tool lists. The agent itself is in its own
/// list alone, and others come and go.
fn largest(before: &Seen, said: &str, after: &Seen) -> Comparison {
    let of = |seen: &Seen| -> Vec<(Value, u64)> {
        let all = list(seen, "system", "largest_processes");
        all.iter().filter_map(|one| Some((one["name"].clone(), one["resident_bytes"].as_u64()?))).collect()
    };
    let near = |one: u64, other: u64| one.abs_diff(other) * 100 <= one.max(other);
    let said: Vec<u64> = said
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .map(|kib: u64| kib * 1_024)
        .collect();
    let (before, after) = (of(before), of(after));
    let is_still = |(name, bytes): &&(Value, u64)| {
        name != "belay-agent" && after.iter().any(|(other, now)| name == other && near(*bytes, *now))
    };
    let mut still = before.iter().filter(is_still).peekable();
    if still.peek().is_none() {
        return vec!["no process stands still".to_owned()];
    }
    let unknown = still.filter(|(_, bytes)| !said.iter().any(|said| near(*bytes, *said)));
    unknown.map(|(name, bytes)| format!("{name} has {bytes} bytes by the surveys alone")).collect()
}
