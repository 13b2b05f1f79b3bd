//! The agent's own log goes through redaction as well: its lines end up in tickets and on screens that are shared.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Aliases, Identity};
use crate::probe::Root;

/// The names that all writers of one log look for, and their aliases.
#[derive(Clone, Debug)]
pub struct RedactedLog {
    aliases: Arc<Mutex<Option<Aliases>>>,
    /// Learns the names when the first line is written: most runs log nothing.
    learn: fn() -> Identity,
}

impl RedactedLog {
    /// A log of this machine.
    pub fn of_this_machine() -> Self {
        Self::learning(|| Identity::learn(&Root::live()))
    }

    fn learning(learn: fn() -> Identity) -> Self {
        Self { aliases: Arc::default(), learn }
    }

    /// A writer that redacts what goes to `log`, one event a write.
    pub fn to<W: Write>(&self, log: W) -> RedactedWriter<W> {
        RedactedWriter { names: self.clone(), log }
    }

    fn masked(&self, text: &str) -> String {
        let mut aliases = self.aliases.lock().unwrap_or_else(PoisonError::into_inner);
        let aliases = aliases.get_or_insert_with(|| Aliases::of(&(self.learn)()));
        let mut masked = String::with_capacity(text.len());
        for line in pieces(text) {
            masked.push_str(&aliases.mask(line).unwrap_or_else(|_| WITHHELD.to_owned()));
        }
        masked
    }
}

/// Redacts what is written through it and passes it on.
#[derive(Debug)]
pub struct RedactedWriter<W> {
    names: RedactedLog,
    log: W,
}

impl<W: Write> Write for RedactedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.log.write_all(self.names.masked(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.log.flush()
    }
}

/// `text` in pieces of bounded length, each ending where a line does unless the line itself is longer.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = rest.len().min(PIECE_MAX_BYTES);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        if end < rest.len()
            && let Some(line) = rest.get(..end).and_then(|piece| piece.rfind('\n'))
        {
            end = line + 1;
        }
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

/// An event of tracing with a report's worth of fields; looking at much more at once takes long.
const PIECE_MAX_BYTES: usize = 64 * 1024;

/// What stands for a line that redaction cannot vouch for.
const WITHHELD: &str = "<a line was withheld: it could not be redacted>\n";

#[cfg(test)]
mod tests {
    use belay_protocol::report::PrivateKind;

    use super::*;

    fn identity() -> Identity {
        Identity::of(vec![(PrivateKind::User, "alice".to_owned()), (PrivateKind::Host, "wonder".to_owned())])
    }

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_the_agent_logs_is_redacted_in_text_and_json() {
        for json in [false, true] {
            let page = Page::default();
            let log = RedactedLog::learning(identity);
            let shown = page.clone();
            let options = belay_relay::logging::LogOptions::default();
            let subscriber =
                tracing_subscriber::fmt().with_env_filter(options.filter("info").unwrap()).with_ansi(false);
            let writer = move || log.to(shown.clone());
            let logging = || {
                tracing::info!(path = "/home/alice/x", "connected to 192.168.7.9 from wonder");
                tracing::error!(error = "https://bob:hunter2@nas.corp.example.org/ failed", "token=s3cr3tvalue");
            };
            if json {
                tracing::subscriber::with_default(subscriber.json().with_writer(writer).finish(), logging);
            } else {
                tracing::subscriber::with_default(subscriber.with_writer(writer).finish(), logging);
            }
            let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
            for private in ["alice", "192.168", "wonder", "hunter2", "s3cr3tvalue", "corp.example"] {
                assert!(!text.contains(private), "{private} in {text}");
            }
            assert!(text.contains("/home/user-1/x") && text.contains("lan-1.1") && text.lines().count() == 2, "{text}");
        }
    }

    #[test]
    fn long_lines_are_redacted_in_pieces_that_lose_nothing() {
        let text = "王".repeat(PIECE_MAX_BYTES) + "\n" + &"x y\n".repeat(PIECE_MAX_BYTES);
        assert_eq!(pieces(&text).collect::<String>(), text);
        assert!(pieces(&text).all(|piece| piece.len() <= PIECE_MAX_BYTES));
    }
}
