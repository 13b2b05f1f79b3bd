//! Small files of the agent's own in its data directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

/// The bytes of a file; nothing when there is none, and an error when it is larger than `max_bytes`.
pub fn read(path: &Path, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    match read_regular(path, max_bytes) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// The bytes of what somebody has named as a file; [`io::ErrorKind::InvalidInput`] when it is none, for a pipe or a device
/// may never end.
pub fn read_regular(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let regular = |file: fs::Metadata| match file.is_file() {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "this is not a file")),
    };
    // Some devices act when they are opened; and what is opened may be another thing by then.
    fs::metadata(path).and_then(regular)?;
    let file = open_at_once(path)?;
    file.metadata().and_then(regular)?;
    bounded(file, max_bytes)
}

/// Opens a file to read it, without waiting for a writer when it is a pipe.
#[cfg(unix)]
pub(crate) fn open_at_once(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32).open(path)
}

/// Opens a file to read it.
#[cfg(not(unix))]
pub(crate) fn open_at_once(path: &Path) -> io::Result<File> {
    File::open(path)
}

fn bounded(file: File, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than this program writes it"));
    }
    Ok(bytes)
}

/// Writes beside and renames, so that a reader sees the old bytes or the new ones. Only the owner can read the file.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    put(path, |beside| private().create(true).truncate(true).open(beside)?.write_all(bytes))
}

/// For writing files that only their owner may read.
pub fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Puts what `write` writes beside `path` in its place, or leaves nothing behind.
pub fn put(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let beside = path.with_extension("new");
    write(&beside).and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
        // What a full disk has left of it is of no use to anybody.
        let _ = fs::remove_file(&beside);
    })
}

/// Whether whoever keeps `dir` answers: one on a dead server would hold up whatever touches it, for ever.
pub fn answers(dir: &Path) -> bool {
    let (told, heard) = std::sync::mpsc::channel();
    let dir = dir.to_owned();
    // The thread stays behind where nobody answers; nothing can call it back.
    std::thread::spawn(move || {
        let _ = fs::metadata(dir);
        let _ = told.send(());
    });
    heard.recv_timeout(ANSWER_WAIT).is_ok()
}

/// Whether something can be kept in `dir`: it is a directory, or can become one.
pub fn may_be_directory(dir: &Path) -> bool {
    // Below a file Unix answers that it is no directory, and Windows that nothing is there: what is there above decides.
    dir.ancestors().find_map(|place| fs::metadata(place).ok()).is_none_or(|there| there.is_dir())
}

/// A disk that has gone to sleep takes this long to start.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_read_up_to_its_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/file");
        assert_eq!(read(&path, 3).unwrap(), None);
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(read(&path, 3).unwrap().unwrap(), b"two");
        assert_eq!(read(&path, 2).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        let full = put(&path, |beside| {
            fs::write(beside, b"thr")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(full.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(read(&path, 3).unwrap().unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert_eq!(read(dir.path(), 3).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(may_be_directory(dir.path()) && may_be_directory(&dir.path().join("nothing there")));
        fs::write(dir.path().join("file"), b"").unwrap();
        assert!(!may_be_directory(&dir.path().join("file")) && !may_be_directory(&dir.path().join("file/below")));
        assert!(answers(dir.path()) && answers(&dir.path().join("nothing there")));
    }
}
