//! Mounted file systems, counted as `df` counts them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use belay_protocol::report::{Access, DeviceKind, Fact, Inodes, Mount, Private, Raw, Response, Space, Why, WhyKind};
use belay_protocol::{BoundedVec, Phrase, bounded::Name};
use tokio::task::JoinSet;

use super::growth::{Growth, Sample};
use super::{Cost, Probe, Root, native, or_native};

/// One line of `/proc/mounts`, or one drive of Windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountLine {
    /// What is mounted.
    pub device: String,
    /// Where, as text; bytes that are not UTF-8 are replaced.
    pub mount_point: String,
    /// Where, as the system calls it.
    pub path: PathBuf,
    /// Where its data is, as far as that shows without asking.
    pub device_kind: DeviceKind,
    /// The file system; empty where that shows only when it is asked.
    pub fs_type: String,
    /// Its options.
    pub options: Vec<String>,
}

/// What is mounted at a place, beyond what `/proc/mounts` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The number of the file system.
    device_id: String,
    /// Which of its directories; what is not told is the whole.
    directory: String,
}

/// Parts by place.
type Parts = BTreeMap<String, Part>;

/// The file systems of `root` and how many did not fit. On this machine they are asked for their space, and `growth`,
/// where there is one, for how they grew.
pub async fn look(root: Root, deadline: Duration, growth: Option<&mut Growth>) -> Found {
    let probe = Probe::new("mounts", SUBJECT, deadline);
    let live = root.is_live();
    let read =
        move || or_native(read_mounts(&root).map(|(text, parts)| counted(parse_mounts(&text), &parts)), native::drives);
    let lines = match probe.run(read).await {
        Ok(Ok(lines)) => lines,
        Ok(Err(why)) | Err(why) => return (Fact::Unknown(why), 0),
    };
    let (lines, left_out) = most_important(lines);
    let mut asked = JoinSet::new();
    for (place, line) in lines.into_iter().enumerate() {
        asked.spawn(async move {
            let filled = if live { ask(&line, deadline).await } else { Asked::not_asked() };
            (place, line, filled)
        });
    }
    let mut mounts = BTreeMap::new();
    while let Some(answer) = asked.join_next().await {
        if let Ok((place, line, filled)) = answer {
            mounts.insert(place, (line, filled));
        }
    }
    // df leaves out what has no blocks at all: it is no storage.
    let storage = visible(mounts.into_values().collect())
        .into_iter()
        .filter(|(_, asked)| asked.space.known().is_none_or(|space| space.size_bytes > 0));
    let mut mounts: Vec<_> = storage.map(|(line, asked)| mount(line, asked)).collect();
    if let Some(growth) = growth {
        follow(&mut mounts, growth);
    }
    (Fact::Known(BoundedVec::truncating(mounts).0), u32::try_from(left_out).unwrap_or(u32::MAX))
}

/// As many as a report holds, in their order, and how many are left out: a full disk is not to hide behind containers.
fn most_important(mut lines: Vec<MountLine>) -> (Vec<MountLine>, usize) {
    lines.sort_by_key(|line| match line.device_kind {
        DeviceKind::Local => 0,
        DeviceKind::Network | DeviceKind::Fuse => 1,
        DeviceKind::Overlay | DeviceKind::Image | DeviceKind::Memory => 2,
    });
    let (lines, left_out) = BoundedVec::<_, 512>::truncating(lines);
    let mut lines = lines.into_vec();
    lines.sort_by(|a, b| a.mount_point.cmp(&b.mount_point));
    (lines, left_out)
}

/// The file systems, and how many did not fit.
pub type Found = (Fact<BoundedVec<Mount<Raw>, 512>>, u32);

/// Says when each disk that can be written to will be full, and keeps what was seen for the next survey. That it cannot
/// be kept costs the next forecast and nothing else.
fn follow(mounts: &mut [Mount<Raw>], growth: &mut Growth) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    let mut seen = Vec::new();
    for mount in mounts {
        let grows = mount.device_kind == DeviceKind::Local && mount.access == Access::ReadWrite;
        if let Some(space) = mount.space.known().filter(|_| grows) {
            let sample = Sample::new(now, mount.mount_point.reveal(), space.used_bytes);
            mount.forecast = growth.forecast(&sample, space.available_bytes).into();
            seen.push(sample);
        }
    }
    if let Err(error) = growth.keep(seen) {
        tracing::debug!(kind = ?error.kind(), "the samples of disk space cannot be kept");
    }
}

/// What the person who waits reads.
pub const SUBJECT: Phrase = Phrase { en: "disks", zh: "磁盘" };

fn read_mounts(root: &Root) -> Result<(String, Parts), Why> {
    let text = root.read_octal("/proc/self/mounts").or_else(|_| root.read_octal("/proc/mounts"))?;
    let parts = root.read_octal("/proc/self/mountinfo").map(|text| parse_parts(&text)).unwrap_or_default();
    Ok((text, parts))
}

/// Understands of `/proc/self/mountinfo` (proc_pid_mountinfo(5)) what `/proc/mounts` does not have; lines that do not fit
/// are left out, and of several at one place the last counts.
pub fn parse_parts(text: &str) -> Parts {
    let line = |line: &str| {
        let mut fields = line.split(' ').skip(2).map(|field| text_of(&unescape(field)));
        let (device_id, directory, place) = (fields.next()?, fields.next()?, fields.next()?);
        Some((place, Part { device_id, directory }))
    };
    text.lines().filter_map(line).collect()
}

/// Understands `/proc/mounts` (proc_pid_mounts(5)); lines that do not fit are left out.
pub fn parse_mounts(text: &str) -> Vec<MountLine> {
    let line = |line: &str| {
        let mut fields = line.split(' ').map(unescape);
        let (device, place, fs_type, options) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let [device, mount_point, fs_type, options] = [&device, &place, &fs_type, &options].map(|field| text_of(field));
        mount_point.starts_with('/').then(|| MountLine {
            device,
            path: path_of(place),
            mount_point,
            device_kind: device_kind(&fs_type),
            fs_type,
            options: options.split(',').map(str::to_owned).collect(),
        })
    };
    text.lines().filter_map(line).collect()
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(unix)]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;

    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(not(unix))]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    text_of(&bytes).into()
}

/// Undoes the `\040` form in which the kernel writes blanks.
fn unescape(field: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..3).filter(|digits| byte == b'\\' && digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        let code = code.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &after[3..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    bytes
}

/// The lines that `df` would show: no kernel interfaces, of several mounts at one place the last, of several mounts of
/// one file system the one that shows most of it, at the shortest path. File systems are told apart by their
/// numbers, as far as these are known: a name such as `/dev/fuse` is of many.
fn counted(lines: Vec<MountLine>, parts: &Parts) -> Vec<MountLine> {
    let directory = |line: &MountLine| parts.get(&line.mount_point).map_or(1, |part| part.directory.len());
    let rank = |line: &MountLine| (directory(line), line.mount_point.len());
    let mut by_place: BTreeMap<String, MountLine> = BTreeMap::new();
    for line in lines {
        by_place.insert(line.mount_point.clone(), line);
    }
    let mut by_device: BTreeMap<String, MountLine> = BTreeMap::new();
    let mut counted = Vec::new();
    for line in by_place.into_values().filter(|line| !KERNEL_INTERFACES.contains(&line.fs_type.as_str())) {
        if !line.device.starts_with('/') {
            counted.push(line);
            continue;
        }
        let device = parts.get(&line.mount_point).map_or(&line.device, |part| &part.device_id).clone();
        if by_device.get(&device).is_none_or(|known| rank(&line) < rank(known)) {
            by_device.insert(device, line);
        }
    }
    counted.extend(by_device.into_values());
    counted.sort_by(|a, b| a.mount_point.cmp(&b.mount_point));
    counted
}

/// Leaves out what lies hidden below another mount, as `df` does: its place is not there, or another file system answers
/// in its name, the one with the shortest path. Shares of network file systems may be one to the kernel and are not to
/// people.
fn visible(mounts: Vec<(MountLine, Asked)>) -> Vec<(MountLine, Asked)> {
    let mut owners: BTreeMap<u64, (usize, DeviceKind)> = BTreeMap::new();
    for (line, asked) in &mounts {
        let own = (line.mount_point.len(), line.device_kind);
        if let Some(id) = asked.device_id
            && owners.get(&id).is_none_or(|owner| own.0 < owner.0)
        {
            owners.insert(id, own);
        }
    }
    let is_visible = |(line, asked): &(MountLine, Asked)| {
        let is_gone =
            asked.space.why().is_some_and(|why| why.source.as_str() == STATVFS && why.kind == WhyKind::NotOffered);
        let owner = asked.device_id.and_then(|id| owners.get(&id));
        !is_gone
            && owner.is_none_or(|(length, kind)| {
                line.mount_point.len() == *length
                    || (*kind == DeviceKind::Network && line.device_kind == DeviceKind::Network)
            })
    };
    mounts.into_iter().filter(is_visible).collect()
}

/// File systems that are windows into the kernel or into programs, not storage. Touching an autofs would mount it.
const KERNEL_INTERFACES: [&str; 24] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "efivarfs",
    "fusectl",
    "fuse.gvfsd-fuse",
    "fuse.portal",
    "hugetlbfs",
    "mqueue",
    "nfsd",
    "nsfs",
    "proc",
    "pstore",
    "ramfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tracefs",
];

fn mount(mut line: MountLine, asked: Asked) -> Mount<Raw> {
    let told = asked.told;
    line.options.extend(told.iter().flat_map(|told| &told.options).map(|&option| option.to_owned()));
    Mount {
        device_kind: told.as_ref().and_then(|told| told.device_kind).unwrap_or(line.device_kind),
        access: told.as_ref().map_or_else(|| access(&line.options), |told| told.access),
        mount_point: Private::new(line.mount_point),
        device: Private::new(line.device),
        fs_type: told.map_or_else(|| Name::truncating(line.fs_type), |told| told.fs_type),
        response: asked.response,
        space: asked.space,
        inodes: asked.inodes,
        options: BoundedVec::truncating(line.options.into_iter().map(Private::new)).0,
        forecast: Fact::Unknown(Why::new(WhyKind::NotApplicable, "disk-growth")),
    }
}

/// ext4 may have stopped writing (`emergency_ro`) while the mount, and statvfs, still call it writable.
fn access(options: &[String]) -> Access {
    let has = |wanted: &[&str]| options.iter().any(|option| wanted.contains(&option.as_str()));
    match () {
        () if has(&["emergency_ro", "shutdown"]) => Access::EmergencyReadOnly,
        () if has(&["ro"]) => Access::ReadOnly,
        () => Access::ReadWrite,
    }
}

fn device_kind(fs_type: &str) -> DeviceKind {
    match fs_type {
        "tmpfs" | "devtmpfs" => DeviceKind::Memory,
        "overlay" | "aufs" | "unionfs" => DeviceKind::Overlay,
        "squashfs" | "iso9660" | "udf" | "erofs" | "cramfs" | "romfs" => DeviceKind::Image,
        "nfs" | "nfs4" | "cifs" | "smb3" | "smbfs" | "ceph" | "glusterfs" | "9p" | "afs" | "ncpfs" | "lustre"
        | "fuse.sshfs" | "davfs" => DeviceKind::Network,
        "fuseblk" => DeviceKind::Local,
        fs_type if fs_type == "fuse" || fs_type.starts_with("fuse.") => DeviceKind::Fuse,
        "virtiofs" => DeviceKind::Network,
        _ => DeviceKind::Local,
    }
}

/// What a file system answers.
#[derive(Debug)]
pub struct Answer {
    /// Bytes.
    pub space: Fact<Space>,
    /// Files.
    pub inodes: Fact<Inodes>,
    /// The number of the file system, where it has one.
    pub device_id: Option<u64>,
    /// What else it tells, where the list of mounts does not.
    pub told: Option<Told>,
}

/// What a drive of Windows tells of itself.
#[derive(Debug)]
pub struct Told {
    /// Where its data is; nothing where it does not say more than the list.
    pub device_kind: Option<DeviceKind>,
    /// The file system.
    pub fs_type: Name,
    /// Whether it can be written to.
    pub access: Access,
    /// Words that stand among the mount's options.
    pub options: Vec<&'static str>,
}

#[derive(Debug)]
struct Asked {
    response: Response,
    space: Fact<Space>,
    inodes: Fact<Inodes>,
    /// The number of the file system that has answered.
    device_id: Option<u64>,
    told: Option<Told>,
}

impl Asked {
    fn not_asked() -> Self {
        Self::failed(Response::NotAsked, Why::new(WhyKind::NotApplicable, STATVFS))
    }

    fn failed(response: Response, why: Why) -> Self {
        Self { response, space: Fact::Unknown(why.clone()), inodes: Fact::Unknown(why), device_id: None, told: None }
    }
}

/// Mount points that were asked and have not answered yet, perhaps never: they are not asked again meanwhile, so that
/// repeated surveys leave one waiting thread for each dead server and not one for each survey.
static WAITING: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn waiting() -> std::sync::MutexGuard<'static, BTreeSet<PathBuf>> {
    WAITING.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

async fn ask(line: &MountLine, deadline: Duration) -> Asked {
    let place = line.path.clone();
    if !waiting().insert(place.clone()) {
        return Asked::failed(Response::Hung, Why::new(WhyKind::TimedOut, STATVFS));
    }
    let probe = Probe::new(STATVFS, SUBJECT, deadline).at(Cost::Wait);
    let answer = probe.run(move || {
        let answer = read_space(&place);
        waiting().remove(&place);
        answer
    });
    match answer.await {
        Ok(Ok(Answer { space, inodes, device_id, told })) => {
            Asked { response: Response::Answered, space, inodes, device_id, told }
        }
        Ok(Err(why)) => Asked::failed(Response::Answered, why),
        Err(why) if why.kind == WhyKind::TimedOut => Asked::failed(Response::Hung, why),
        Err(why) => Asked::failed(Response::NotAsked, why),
    }
}

#[cfg(target_os = "linux")]
fn read_space(mount_point: &std::path::Path) -> Result<Answer, Why> {
    let stat = rustix::fs::statvfs(mount_point).map_err(|e| super::why(&e.into(), STATVFS))?;
    let blocks = [stat.f_blocks, stat.f_bfree, stat.f_bavail];
    let (space, inodes) = parse_space(stat.f_frsize, blocks, [stat.f_files, stat.f_ffree]);
    let device_id = rustix::fs::stat(mount_point).ok().map(|stat| stat.st_dev);
    Ok(Answer { space, inodes, device_id, told: None })
}

#[cfg(not(target_os = "linux"))]
use native::space as read_space;

/// What a file system says of itself.
type Counted = (Fact<Space>, Fact<Inodes>);

const STATVFS: &str = "statvfs";

/// Understands the figures of statvfs(3): fragment size, blocks (all, free, free for ordinary users), files (all, free).
pub fn parse_space(fragment_bytes: u64, blocks: [u64; 3], files: [u64; 2]) -> Counted {
    let malformed = || Why::new(WhyKind::Malformed, STATVFS);
    let [all, free, available] = blocks;
    let space = Space::count(fragment_bytes, all, free, available).ok_or_else(malformed);
    let inodes = match files {
        [0, _] => Err(Why::new(WhyKind::NotApplicable, STATVFS)),
        [total, free] => Inodes::count(total, free).ok_or_else(malformed),
    };
    (space.into(), inodes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    const MOUNTS: &str = "proc /proc proc rw 0 0\n\
        /dev/sda1 / ext4 rw,relatime,emergency_ro 0 0\n\
        /dev/sda1 /var/lib/containers/etc ext4 rw 0 0\n\
        tmpfs /dev/shm tmpfs rw 0 0\n\
        systemd-1 /net autofs rw 0 0\n\
        nas:/home/alice /mnt/My\\040Files nfs4 ro,addr=10.0.0.9 0 0\n\
        /dev/loop0 /snap/core squashfs ro 0 0\n\
        broken line\n";

    #[test]
    fn lines_are_counted_as_df_counts_them() {
        let places: Vec<_> =
            counted(parse_mounts(MOUNTS), &Parts::new()).into_iter().map(|line| line.mount_point).collect();
        assert_eq!(places, ["/", "/dev/shm", "/mnt/My Files", "/snap/core"]);
    }

    #[test]
    fn a_part_of_a_disk_that_is_mounted_elsewhere_does_not_stand_for_the_disk() {
        let mounts = parse_mounts("/dev/sdb1 /srv ext4 rw 0 0\n/dev/sdb1 /mnt/the\\040disk ext4 rw 0 0\n");
        let parts =
            parse_parts("40 1 8:17 /srv /srv rw - ext4 /dev/sdb1 rw\n41 1 8:17 / /mnt/the\\040disk rw - ext4 x rw\n");
        let places = |parts: &Parts| -> Vec<String> {
            counted(mounts.clone(), parts).into_iter().map(|line| line.mount_point).collect()
        };
        assert_eq!(places(&parts), ["/mnt/the disk"]);
        assert_eq!(places(&Parts::new()), ["/srv"]);
        // Two file systems of one name are two.
        let parts = parse_parts("40 1 0:50 / /srv rw - fuse x rw\n41 1 0:51 / /mnt/the\\040disk rw - fuse x rw\n");
        assert_eq!(places(&parts), ["/mnt/the disk", "/srv"]);
    }

    #[tokio::test]
    async fn ext4_in_emergency_is_not_writable_whatever_the_mount_says() {
        let (_dir, root) = tree(&[("proc/self/mounts", MOUNTS)]);
        let (mounts, _) = look(root, Duration::from_secs(5), None).await;
        let mounts = mounts.known().unwrap();
        let seen: Vec<_> = mounts.iter().map(|m| (m.access, m.device_kind)).collect();
        assert_eq!(seen[0], (Access::EmergencyReadOnly, DeviceKind::Local));
        assert_eq!(seen[2], (Access::ReadOnly, DeviceKind::Network));
        assert_eq!(seen[3], (Access::ReadOnly, DeviceKind::Image));
        let why = mounts[0].space.why().unwrap();
        assert_eq!(why.kind, WhyKind::NotApplicable, "a captured tree has no space to ask for");
    }

    #[test]
    fn what_lies_hidden_below_another_mount_is_not_counted() {
        let line = |device: &str, place: &str, fs_type: &str| MountLine {
            device: device.to_owned(),
            mount_point: place.to_owned(),
            path: place.into(),
            fs_type: fs_type.to_owned(),
            device_kind: device_kind(fs_type),
            options: vec![],
        };
        let answered = |id| {
            let (space, inodes) = parse_space(4096, [100, 50, 50], [100, 50]);
            Asked { response: Response::Answered, space, inodes, device_id: Some(id), told: None }
        };
        let gone = Asked::failed(Response::Answered, Why::new(WhyKind::NotOffered, STATVFS));
        let hung = Asked::failed(Response::Hung, Why::new(WhyKind::TimedOut, STATVFS));
        let mounts = vec![
            (line("/dev/sda1", "/", "ext4"), answered(1)),
            (line("tmpfs", "/mnt", "tmpfs"), answered(2)),
            (line("/dev/sdb1", "/mnt/a", "ext4"), gone),
            (line("/dev/sdc1", "/mnt/b", "ext4"), answered(2)),
            (line("nas:/x", "/srv/x", "nfs4"), answered(3)),
            (line("nas:/x/y", "/srv/x/y", "nfs4"), answered(3)),
            (line("nas:/z", "/srv/z", "nfs4"), hung),
        ];
        let places: Vec<_> = visible(mounts).into_iter().map(|(line, _)| line.mount_point).collect();
        assert_eq!(places, ["/", "/mnt", "/srv/x", "/srv/x/y", "/srv/z"]);
    }

    #[test]
    fn contradicting_answers_are_unknown() {
        let (space, inodes) = parse_space(4096, [10, 20, 5], [0, 0]);
        assert_eq!(space.why().unwrap().kind, WhyKind::Malformed);
        assert_eq!(inodes.why().unwrap().kind, WhyKind::NotApplicable);
        let (space, inodes) = parse_space(4096, [1_000_000, 910_000, 285_000], [100, 50]);
        assert_eq!((space.known().unwrap().used_percent, inodes.known().unwrap().used_percent), (24, 50));
    }

    #[tokio::test]
    async fn a_mount_that_still_hangs_is_not_asked_again() {
        let line = MountLine {
            device: "nas:/x".into(),
            mount_point: "/a test's mount".into(),
            path: "/a test's mount".into(),
            device_kind: DeviceKind::Network,
            fs_type: "nfs".into(),
            options: vec![],
        };
        waiting().insert(line.path.clone());
        let asked = ask(&line, Duration::from_secs(5)).await;
        assert_eq!((asked.response, asked.space.why().unwrap().kind), (Response::Hung, WhyKind::TimedOut));
        waiting().remove(&line.path);
    }

    #[test]
    fn octal_escapes_are_undone() {
        for (field, plain) in [("a\\040b", "a b"), ("\\134", "\\"), ("\\04", "\\04"), ("\\999", "\\999"), ("\\", "\\")]
        {
            assert_eq!(unescape(field), plain.as_bytes());
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_not_utf8_is_asked_for_as_it_is() {
        use std::os::unix::ffi::OsStrExt as _;

        let (dir, root) = tree(&[]);
        std::fs::create_dir_all(dir.path().join("proc/self")).unwrap();
        std::fs::write(dir.path().join("proc/self/mounts"), b"/dev/sdb1 /mnt/\xd6\xd0\\040x ext4 rw 0 0\n").unwrap();
        let (text, _) = read_mounts(&root).unwrap();
        let line = &parse_mounts(&text)[0];
        assert_eq!(line.path.as_os_str().as_bytes(), b"/mnt/\xd6\xd0 x");
        assert_eq!(line.mount_point, "/mnt/\u{fffd}\u{fffd} x");
    }

    #[test]
    fn what_does_not_fit_is_what_matters_least() {
        let mounts: String = (0..600).map(|n| format!("tmpfs /a/{n} tmpfs rw 0 0\n")).collect();
        let lines = parse_mounts(&(mounts + "/dev/sdb1 /zz ext4 rw 0 0\nnas:/x /zy nfs4 rw 0 0\n"));
        let (kept, left_out) = most_important(lines);
        assert_eq!((kept.len(), left_out), (512, 90));
        assert_eq!(kept[510].mount_point, "/zy");
        assert_eq!(kept[511].mount_point, "/zz");
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            counted(parse_mounts(&text), &parse_parts(&text));
            unescape(&text);
        }
    }
}
