//! Backups that make themselves: one after the other into a folder, the old ones taken away.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{BackupError, Recipient, make, task_failed};
use crate::clock::UnixMillis;
use crate::data::DataDirectory;
use crate::secret::{create_private, flush_folder_of};
use crate::store::{Actor, Store};

/// When backups are made and how long they are kept.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The folder that they are written to; made when it is not there.
    pub folder: PathBuf,
    /// Who may read them; at least one.
    pub recipients: Vec<Recipient>,
    /// From one to the next.
    pub every: Duration,
    /// How long one is kept; the newest is kept whatever its age.
    pub keep: Duration,
}

/// Makes backups until `stop`: the first at once when the newest in the folder is older than the schedule wants, also
/// after a restart. What fails is logged, and tried again after ten minutes.
pub async fn keep(store: Store, data: DataDirectory, schedule: Schedule, stop: CancellationToken) {
    loop {
        let now = store.clock().now();
        let pause = match until_next(&schedule, now) {
            Ok(Duration::ZERO) => match back_up(&store, &data, &schedule, now).await {
                Ok(file) => {
                    tracing::info!(file = %file.display(), "a backup was made");
                    forget_old(&schedule, now);
                    LOOK
                }
                Err(error) => {
                    tracing::error!(%error, "no backup could be made; trying again in {} minutes", RETRY.as_secs() / 60);
                    RETRY
                }
            },
            // In steps, because a machine that slept has lost the time of a long one.
            Ok(wait) => wait.min(LOOK),
            Err(error) => {
                tracing::error!(%error, folder = %schedule.folder.display(), "the folder of the backups cannot be read");
                RETRY
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// When the newest backup of a folder was made.
pub(crate) fn newest(folder: &Path) -> io::Result<Option<UnixMillis>> {
    Ok(backups(folder)?.into_iter().map(|(at, _)| at).max())
}

/// The time until a backup is due.
fn until_next(schedule: &Schedule, now: UnixMillis) -> io::Result<Duration> {
    match std::fs::create_dir(&schedule.folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // One that seems to come from the future was made by a clock that has been set back.
    let newest = newest(&schedule.folder)?.filter(|newest| *newest <= now);
    Ok(newest.map_or(Duration::ZERO, |newest| newest.plus(schedule.every).since(now)))
}

async fn back_up(
    store: &Store,
    data: &DataDirectory,
    schedule: &Schedule,
    now: UnixMillis,
) -> Result<PathBuf, BackupError> {
    let file = schedule.folder.join(file_name(now));
    let partial = file.with_extension(PARTIAL);
    // What a killed console has left behind.
    for left in leftovers(&schedule.folder).map_err(BackupError::Sink)? {
        let _ = std::fs::remove_file(left);
    }
    let opened = create_private(&partial).map_err(BackupError::Sink)?;
    let made = async {
        let sink = BufWriter::new(opened);
        let (sink, _) = make(store, data, schedule.recipients.clone(), &Actor::System, sink).await?;
        let (from, to) = (partial.clone(), file.clone());
        let named = tokio::task::spawn_blocking(move || name_whole(sink, &from, &to)).await.map_err(task_failed)?;
        named.map_err(BackupError::Sink)
    };
    let made = made.await;
    if made.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    made.map(|()| file)
}

/// Gives a whole file its name.
fn name_whole(mut sink: BufWriter<File>, partial: &Path, target: &Path) -> io::Result<()> {
    sink.flush()?;
    sink.get_ref().sync_all()?;
    fs_err::rename(partial, target)?;
    flush_folder_of(target)
}

/// Takes away what is older than the schedule keeps, except the newest.
fn forget_old(schedule: &Schedule, now: UnixMillis) {
    let Ok(mut backups) = backups(&schedule.folder) else { return };
    backups.sort();
    backups.pop();
    for (at, path) in backups {
        if now.since(at) > schedule.keep {
            match std::fs::remove_file(&path) {
                Ok(()) => tracing::info!(file = %path.display(), "an old backup was removed"),
                Err(error) => tracing::warn!(%error, file = %path.display(), "an old backup cannot be removed"),
            }
        }
    }
}

/// The backups of a folder, by the times in their names; other files are nobody's business.
fn backups(folder: &Path) -> io::Result<Vec<(UnixMillis, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if let Some(at) = entry.file_name().to_str().and_then(time_of) {
            found.push((at, entry.path()));
        }
    }
    Ok(found)
}

/// Halves of backups.
fn leftovers(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let whole = entry.path().with_extension(END.trim_start_matches('.'));
        let is_ours = whole.file_name().and_then(|name| name.to_str()).is_some_and(|name| time_of(name).is_some());
        if is_ours && entry.path().extension().is_some_and(|extension| extension == PARTIAL) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// `belay-20261130T094500Z.age`.
fn file_name(at: UnixMillis) -> String {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{START}{}{END}", at.strftime(TIME))
}

fn time_of(name: &str) -> Option<UnixMillis> {
    let time = name.strip_prefix(START)?.strip_suffix(END)?;
    let civil = jiff::civil::DateTime::strptime(TIME, time).ok()?;
    Some(UnixMillis(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond()))
}

const START: &str = "belay-";
const END: &str = ".age";
const PARTIAL: &str = "partial";
const TIME: &str = "%Y%m%dT%H%M%SZ";

/// A full disk is not emptied within seconds, and a backup is not so urgent that its desk should try all the time.
const RETRY: Duration = Duration::from_secs(10 * 60);

/// How often the folder is looked at.
const LOOK: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_796_000_000_000);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn schedule(folder: &Path) -> Schedule {
        Schedule { folder: folder.join("backups"), recipients: Vec::new(), every: DAY, keep: DAY * 3 }
    }

    fn put(schedule: &Schedule, at: UnixMillis) {
        std::fs::create_dir_all(&schedule.folder).unwrap();
        std::fs::write(schedule.folder.join(file_name(at)), b"x").unwrap();
    }

    #[test]
    fn a_name_tells_its_time() {
        assert_eq!(file_name(NOW), "belay-20261130T005320Z.age");
        assert_eq!(time_of(&file_name(NOW)), Some(NOW));
        for other in ["belay-20261130T005320Z.partial", "belay-.age", "notes.txt", "belay-20261330T005320Z.age"] {
            assert_eq!(time_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_backup_is_due_when_the_newest_is_old_or_from_the_future() {
        let parent = tempfile::tempdir().unwrap();
        let schedule = schedule(parent.path());
        assert_eq!(until_next(&schedule, NOW).unwrap(), Duration::ZERO);
        put(&schedule, NOW);
        assert_eq!(until_next(&schedule, NOW.plus(DAY / 2)).unwrap(), DAY / 2);
        assert_eq!(until_next(&schedule, NOW.plus(DAY)).unwrap(), Duration::ZERO);
        assert_eq!(until_next(&schedule, UnixMillis(NOW.0 - 1)).unwrap(), Duration::ZERO);
    }

    #[test]
    fn old_backups_go_and_the_newest_stays_and_so_do_files_of_others() {
        let parent = tempfile::tempdir().unwrap();
        let schedule = schedule(parent.path());
        for days in 0..5 {
            put(&schedule, NOW.plus(DAY * days));
        }
        std::fs::write(schedule.folder.join("mine.age"), b"x").unwrap();
        let count = || std::fs::read_dir(&schedule.folder).unwrap().count();
        forget_old(&schedule, NOW.plus(DAY * 5));
        assert_eq!(count(), 3 + 1);
        forget_old(&schedule, NOW.plus(DAY * 500));
        assert_eq!(count(), 1 + 1);
        assert!(schedule.folder.join(file_name(NOW.plus(DAY * 4))).exists());
    }
}
