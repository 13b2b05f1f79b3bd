//! What surveys are judged by: a rule pack, and how findings stood before.

use std::path::{Path, PathBuf};

use belay_protocol::report::Report;
use belay_protocol::rules::{Judgement, Pack, Standing};

use crate::data_file;

/// A pack and how findings stood before. By default the pack that comes with this program, and nothing before.
#[derive(Debug, Default)]
pub struct Rulebook {
    newer: Option<Pack>,
    standing: Standing,
    /// Where how findings stand is kept; nowhere for a captured tree.
    file: Option<PathBuf>,
}

impl Rulebook {
    /// The base pack, with what earlier surveys of this machine kept in the data directory. What cannot be read was not
    /// kept: rules then wait and let go as on the first day.
    pub fn in_data_dir(dir: &Path) -> Self {
        let file = dir.join(STANDING);
        let standing = match data_file::read(&file, STANDING_MAX_BYTES) {
            Ok(Some(bytes)) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(%error, "how findings stood before makes no sense");
                Standing::new()
            }),
            Ok(None) => Standing::new(),
            Err(error) => {
                tracing::warn!(%error, "how findings stood before cannot be read");
                Standing::new()
            }
        };
        Self { newer: None, standing, file: Some(file) }
    }

    /// The same with another pack.
    pub fn with_pack(self, pack: Pack) -> Self {
        Self { newer: Some(pack), ..self }
    }

    /// The pack.
    pub fn pack(&self) -> &Pack {
        self.newer.as_ref().unwrap_or_else(|| Pack::base())
    }

    /// Applies the pack to the facts of a report.
    pub fn judge(&self, report: &Report) -> Judgement {
        self.pack().judge(report, &self.standing)
    }

    /// Keeps how findings stand now for the next survey. A machine whose directory cannot be written to is surveyed all
    /// the same.
    pub fn keep(&self, standing: &Standing) {
        let Some(file) = &self.file else { return };
        let written = serde_json::to_vec(standing).map_err(Into::into).and_then(|json| data_file::replace(file, &json));
        if let Err(error) = written {
            tracing::debug!(%error, "how findings stand cannot be kept");
        }
    }
}

const STANDING: &str = "standing.json";

/// As much as the most findings that are kept need.
const STANDING_MAX_BYTES: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::{redact, tests::survey};
    use std::sync::Arc;

    #[tokio::test]
    async fn how_findings_stand_is_kept_for_the_next_survey() {
        let dir = tempfile::tempdir().unwrap();
        let rulebook = Arc::new(Rulebook::in_data_dir(dir.path()));
        assert!(rulebook.standing.is_empty());
        let redacted = redact(survey().await, Arc::clone(&rulebook)).unwrap();
        rulebook.keep(redacted.standing());
        let next = Rulebook::in_data_dir(dir.path());
        assert_eq!(&next.standing, redacted.standing());
        assert!(!next.standing.is_empty());
    }

    #[test]
    fn a_damaged_file_is_nothing_kept() {
        let dir = tempfile::tempdir().unwrap();
        for bytes in [b"{".as_slice(), b"[1]", &[0xff; 64], &vec![b' '; STANDING_MAX_BYTES as usize + 1]] {
            std::fs::write(dir.path().join(STANDING), bytes).unwrap();
            assert!(Rulebook::in_data_dir(dir.path()).standing.is_empty());
        }
    }
}
