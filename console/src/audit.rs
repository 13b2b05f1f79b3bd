//! The audit's hash chain, without a database: how a line is linked to the one before, and how a broken link is found.
//!
//! A line is JSON in a fixed order of fields that contains the SHA-256 of the line before it, as text. Whoever edits,
//! deletes or swaps a line breaks the chain there. Whoever cuts the end off is found by the sealed end ([`End`]), which
//! takes the server key to move.

use std::io::{self, BufRead, Read as _};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::UnixMillis;
use crate::secret::{ServerKey, same, sha256};

/// One line of the audit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AuditLine {
    /// Its place in the chain, counted from 1 without gaps.
    pub seq: i64,
    /// When it was written.
    pub at_ms: i64,
    /// Who acted: `user:3`, `device:KEY`, `local`, `system`.
    pub actor: String,
    /// What was done: `ticket.open`, `invite.refuse`.
    pub action: String,
    /// What it was done to: `ticket:BL-10001-4`.
    pub subject: String,
    /// What else is worth knowing. Never a secret, never a report's content.
    pub details: Value,
    /// SHA-256 of the text of the line before, in hexadecimal; 64 zeros for the first.
    pub prev: String,
}

impl AuditLine {
    /// The line as the text that is stored and hashed.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("a line of strings, numbers and JSON has a JSON form")
    }
}

/// The hash that the next line carries.
pub fn hash_text(text: &str) -> String {
    data_encoding::HEXLOWER.encode(&sha256(text.as_bytes()))
}

/// What the first line carries as the hash of the line before.
pub fn genesis() -> String {
    "0".repeat(64)
}

/// The chain's end as it was last written: the number of lines, the last line's hash, and a keyed hash of both.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// How many lines there are.
    pub lines: i64,
    /// The hash of the last one.
    pub hash: String,
    /// HMAC-SHA256 of both under the server key.
    pub mac: Vec<u8>,
}

impl End {
    /// Seals the end of a chain.
    pub fn sealed(key: &ServerKey, lines: i64, hash: String) -> Self {
        let mac = key.mac("audit-end", format!("{lines}:{hash}").as_bytes());
        Self { lines, hash, mac }
    }

    fn is_genuine(&self, key: &ServerKey) -> bool {
        same(&Self::sealed(key, self.lines, self.hash.clone()).mac, &self.mac)
    }
}

/// Where a chain is broken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Broken {
    /// The line is not what its successor or its own text says.
    #[error("line {seq} of the audit was edited, or a line before it was edited, deleted or moved")]
    Line {
        /// The first bad line, counted from 1 as the lines stand.
        seq: i64,
    },
    /// Lines are missing at the end, or were added behind the store's back.
    #[error("the audit has {found} lines, but {expected} were written")]
    Cut {
        /// Lines that are there.
        found: i64,
        /// Lines that were written.
        expected: i64,
    },
    /// The record of the chain's end is missing or was not made by this server.
    #[error("the record of the audit's end was not written by this server")]
    EndForged,
}

/// Walks a chain from its first line.
#[derive(Debug)]
pub struct Verifier {
    lines: i64,
    prev: String,
}

impl Default for Verifier {
    fn default() -> Self {
        Self { lines: 0, prev: genesis() }
    }
}

impl Verifier {
    /// Checks the next line and the hash that was stored beside it, which tells an edited line from its successor.
    pub fn line(&mut self, text: &str, stored_hash: &str) -> Result<(), Broken> {
        let seq = self.lines + 1;
        let hash = hash_text(text);
        if hash != stored_hash {
            return Err(Broken::Line { seq });
        }
        let line: AuditLine = serde_json::from_str(text).map_err(|_| Broken::Line { seq })?;
        // The text must be exactly what this server writes, so that there is one form of each line.
        if line.seq != seq || line.prev != self.prev || line.to_text() != text {
            return Err(Broken::Line { seq });
        }
        self.prev = hash;
        self.lines = seq;
        Ok(())
    }

    /// Checks that the chain ends where the server wrote its end, and says how many lines it has.
    pub fn finish(self, end: Option<&End>, key: &ServerKey) -> Result<i64, Broken> {
        let Some(end) = end else {
            return if self.lines == 0 { Ok(0) } else { Err(Broken::EndForged) };
        };
        if !end.is_genuine(key) {
            return Err(Broken::EndForged);
        }
        if end.lines != self.lines {
            return Err(Broken::Cut { found: self.lines, expected: end.lines });
        }
        if end.hash != self.prev {
            return Err(Broken::Line { seq: self.lines });
        }
        Ok(self.lines)
    }
}

/// The last line of an exported audit: the chain's end, which takes the server key to make.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ending {
    end: ExportedEnd,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExportedEnd {
    lines: i64,
    hash: String,
    mac: String,
}

impl End {
    /// The end as the last line of an export.
    pub(crate) fn to_text(&self) -> String {
        let end =
            ExportedEnd { lines: self.lines, hash: self.hash.clone(), mac: data_encoding::HEXLOWER.encode(&self.mac) };
        serde_json::to_string(&Ending { end }).expect("two strings and a number have a JSON form")
    }

    fn from_text(text: &str) -> Option<Self> {
        let Ending { end } = serde_json::from_str(text).ok()?;
        let mac = data_encoding::HEXLOWER.decode(end.mac.as_bytes()).ok()?;
        Some(Self { lines: end.lines, hash: end.hash, mac })
    }
}

/// An exported audit could not be vouched for.
#[derive(Debug, thiserror::Error)]
pub enum ExportFault {
    /// Somebody changed it, or the key is another server's.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// Its last line is not the chain's end.
    #[error("the file has no end after line {0}: it was cut, or is no exported audit")]
    NoEnd(i64),
    /// There is something after the chain's end.
    #[error("there is more in the file after the audit's end")]
    Trailing,
    /// The file could not be read, or has a line that no server writes.
    #[error("the file could not be read: {0}")]
    File(#[from] io::Error),
}

/// Checks an exported audit from its first line to its sealed end, with nothing but the server key, and says how many lines
/// it has.
pub fn verify_export(mut file: impl BufRead, key: &ServerKey) -> Result<i64, ExportFault> {
    let mut verifier = Verifier::default();
    let mut end = None;
    loop {
        let mut line = Vec::new();
        if (&mut file).take(LINE_MAX_BYTES).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if end.is_some() {
            return Err(ExportFault::Trailing);
        }
        let seq = verifier.lines + 1;
        let text = line.strip_suffix(b"\n").and_then(|text| std::str::from_utf8(text).ok());
        let text = text.ok_or(ExportFault::Broken(Broken::Line { seq }))?;
        match End::from_text(text) {
            Some(found) => end = Some(found),
            // A file keeps no hashes beside its lines: an edited line is found by its successor, or by the end.
            None => verifier.line(text, &hash_text(text))?,
        }
    }
    let end = end.ok_or(ExportFault::NoEnd(verifier.lines))?;
    Ok(verifier.finish(Some(&end), key)?)
}

/// Far more than any line of ours has.
const LINE_MAX_BYTES: u64 = 1024 * 1024;

/// The next line after `end`.
pub(crate) fn next_line(
    end: Option<&End>,
    at: UnixMillis,
    actor: String,
    action: &str,
    subject: String,
    details: Value,
) -> AuditLine {
    let (seq, prev) = end.map_or_else(|| (1, genesis()), |end| (end.lines + 1, end.hash.clone()));
    AuditLine { seq, at_ms: at.0, actor, action: action.to_owned(), subject, details, prev }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(key: &ServerKey, lines: i64) -> (Vec<(String, String)>, End) {
        let mut texts = Vec::new();
        let mut end: Option<End> = None;
        for n in 0..lines {
            let details = serde_json::json!({ "n": n });
            let line =
                next_line(end.as_ref(), UnixMillis(n), "system".into(), "test.write", format!("thing:{n}"), details);
            let text = line.to_text();
            let hash = hash_text(&text);
            end = Some(End::sealed(key, line.seq, hash.clone()));
            texts.push((text, hash));
        }
        (texts, end.unwrap())
    }

    fn verify(texts: &[(String, String)], end: &End, key: &ServerKey) -> Result<i64, Broken> {
        let mut verifier = Verifier::default();
        for (text, hash) in texts {
            verifier.line(text, hash)?;
        }
        verifier.finish(Some(end), key)
    }

    #[test]
    fn tampering_is_found_at_its_line() {
        let key = ServerKey::generate();
        let (good, end) = chain(&key, 5);
        assert_eq!(verify(&good, &end, &key), Ok(5));

        let mut edited = good.clone();
        edited[2].0 = edited[2].0.replace("thing:2", "thing:9");
        assert_eq!(verify(&edited, &end, &key), Err(Broken::Line { seq: 3 }));
        // With its hash made to fit, the line after it is the first that cannot be right.
        edited[2].1 = hash_text(&edited[2].0);
        assert_eq!(verify(&edited, &end, &key), Err(Broken::Line { seq: 4 }));

        let mut deleted = good.clone();
        deleted.remove(1);
        assert_eq!(verify(&deleted, &end, &key), Err(Broken::Line { seq: 2 }));

        let mut swapped = good.clone();
        swapped.swap(1, 2);
        assert_eq!(verify(&swapped, &end, &key), Err(Broken::Line { seq: 2 }));

        assert_eq!(verify(&good[..4], &end, &key), Err(Broken::Cut { found: 4, expected: 5 }));

        let mut last = good.clone();
        last[4].0 = last[4].0.replace("thing:4", "thing:5");
        last[4].1 = hash_text(&last[4].0);
        assert_eq!(verify(&last, &end, &key), Err(Broken::Line { seq: 5 }));
    }

    #[test]
    fn the_end_cannot_be_moved_without_the_key() {
        let key = ServerKey::generate();
        let (good, _) = chain(&key, 3);
        let forged = End::sealed(&ServerKey::generate(), 2, good[1].1.clone());
        assert_eq!(verify(&good[..2], &forged, &key), Err(Broken::EndForged));
    }

    #[test]
    fn an_export_is_checked_without_its_server_and_every_change_of_it_is_found() {
        let key = ServerKey::generate();
        let (good, end) = chain(&key, 5);
        let whole: Vec<String> = good.iter().map(|(text, _)| text.clone()).chain([end.to_text()]).collect();
        let check = |lines: &[String]| {
            let file: String = lines.iter().map(|line| format!("{line}\n")).collect();
            verify_export(file.as_bytes(), &key)
        };
        let changed = |change: fn(&mut Vec<String>)| {
            let mut lines = whole.clone();
            change(&mut lines);
            check(&lines)
        };
        let broken_at = |result: Result<i64, ExportFault>| match result {
            Err(ExportFault::Broken(Broken::Line { seq })) => seq,
            other => panic!("{other:?}"),
        };
        assert_eq!(check(&whole).unwrap(), 5);
        assert_eq!(broken_at(changed(|lines| lines[2] = lines[2].replace("thing:2", "thing:9"))), 4);
        assert_eq!(broken_at(changed(|lines| lines[4] = lines[4].replace("thing:4", "thing:9"))), 5);
        assert_eq!(broken_at(changed(|lines| drop(lines.remove(1)))), 2);
        assert_eq!(broken_at(changed(|lines| lines.swap(1, 2))), 2);
        assert_eq!(broken_at(changed(|lines| lines.insert(2, lines[1].clone()))), 3);
        assert_eq!(broken_at(changed(|lines| lines[0].push(' '))), 1);
        let cut = changed(|lines| drop(lines.remove(4)));
        assert!(matches!(cut, Err(ExportFault::Broken(Broken::Cut { found: 4, expected: 5 }))), "{cut:?}");
        assert!(matches!(changed(|lines| lines.truncate(3)), Err(ExportFault::NoEnd(3))));
        assert!(matches!(changed(|lines| lines.push(lines[0].clone())), Err(ExportFault::Trailing)));
        // An end that fits, made by somebody without the key.
        let forged = End::sealed(&ServerKey::generate(), 4, good[3].1.clone()).to_text();
        let mut lines = whole[..4].to_vec();
        lines.push(forged);
        assert!(matches!(check(&lines), Err(ExportFault::Broken(Broken::EndForged))));
        assert!(matches!(verify_export(&b"\xff\xfe"[..], &key), Err(ExportFault::Broken(_))));
        assert!(matches!(verify_export(&b""[..], &key), Err(ExportFault::NoEnd(0))));
    }

    #[test]
    fn white_space_is_tampering_too() {
        let key = ServerKey::generate();
        let (mut texts, end) = chain(&key, 1);
        texts[0].0.push(' ');
        texts[0].1 = hash_text(&texts[0].0);
        assert_eq!(verify(&texts, &end, &key), Err(Broken::Line { seq: 1 }));
    }
}
