//! Services that failed: systemd's units, asked of systemd itself, and on Windows those of its service control manager.
//!
//! One question and its answer are all of D-Bus that is spoken here, by hand: the crates that speak the whole of it bring
//! two dozen others. Layout: D-Bus Specification, "Message Protocol" and "Authentication Protocol".

use belay_protocol::BoundedVec;
use belay_protocol::report::{Fact, Private, Raw, Services, Unit, Why, WhyKind};

use super::{Root, native, or_native};

/// What starts and ends services tells of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Those that failed.
    pub failed: BoundedVec<Unit<Raw>, 128>,
    /// How many there are.
    pub services: Fact<Services>,
}

/// The services that failed. Anybody may ask on the system's bus; where there is none, root may ask systemd directly.
pub fn look(root: &Root) -> Result<Found, Why> {
    root.live_only(SOURCE)?;
    or_native(look_at_units(root), native::services)
}

fn look_at_units(root: &Root) -> Result<Found, Why> {
    // sd_booted(3): without this directory another program started the system.
    root.list("/run/systemd/system", SOURCE).map_err(|why| root.absent(why, "/run"))?;
    let failed = ask_systemd()?.into_iter().map(|name| Unit { name: Private::new(name) });
    Ok(Found {
        failed: BoundedVec::truncating(failed).0,
        services: Fact::Unknown(Why::new(WhyKind::NotApplicable, SOURCE)),
    })
}

const SOURCE: &str = "systemd";

#[cfg(target_os = "linux")]
use linux::ask as ask_systemd;

#[cfg(not(target_os = "linux"))]
fn ask_systemd() -> Result<Vec<String>, Why> {
    Err(Why::new(WhyKind::NotSupported, SOURCE))
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, Read, Write};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use belay_protocol::report::{Why, WhyKind};

    use super::{Call, HEAD_BYTES, Head, SOURCE, parse_names};

    /// Asks on the system's bus, and systemd's own socket where there is no bus.
    pub(super) fn ask() -> Result<Vec<String>, Why> {
        let failed = |e: io::Error| super::super::why(&e, SOURCE);
        match UnixStream::connect(BUS) {
            Ok(bus) => converse(bus, &[HELLO, FAILED_UNITS]),
            Err(_) => converse(UnixStream::connect(PRIVATE).map_err(failed)?, &[FAILED_UNITS]),
        }
        .map_err(failed)
        .and_then(|body| parse_names(&body).ok_or_else(|| Why::new(WhyKind::Malformed, SOURCE)))
    }

    const BUS: &str = "/run/dbus/system_bus_socket";
    const PRIVATE: &str = "/run/systemd/private";

    const HELLO: Call = Call {
        destination: "org.freedesktop.DBus",
        path: "/org/freedesktop/DBus",
        interface: "org.freedesktop.DBus",
        member: "Hello",
        strings: None,
    };

    const FAILED_UNITS: Call = Call {
        destination: "org.freedesktop.systemd1",
        path: "/org/freedesktop/systemd1",
        interface: "org.freedesktop.systemd1.Manager",
        member: "ListUnitsFiltered",
        strings: Some(&["failed"]),
    };

    /// One silence; the probe's deadline bounds the whole.
    const SILENCE: Duration = Duration::from_millis(500);

    /// Messages that may arrive before the answer, such as a signal that greets us.
    const MAX_MESSAGES: usize = 16;

    /// Bytes of one message: ten thousand failed units.
    const MESSAGE_MAX_BYTES: usize = 4 * 1024 * 1024;

    /// Signs in, makes `calls` one after the other, and returns the body of the last answer.
    fn converse(mut stream: UnixStream, calls: &[Call]) -> io::Result<Vec<u8>> {
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        let user = rustix::process::geteuid().as_raw().to_string();
        let user: String = user.bytes().map(|digit| format!("{digit:02x}")).collect();
        // All of it before the answer, as sd-bus does: systemd's own socket overlooks a call that arrives together with
        // BEGIN.
        stream.write_all(format!("\0AUTH EXTERNAL {user}\r\nBEGIN\r\n").as_bytes())?;
        if !read_line(&mut stream)?.starts_with("OK ") {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut body = Vec::new();
        for (serial, call) in (1u32..).zip(calls) {
            stream.write_all(&call.encode(serial))?;
            body = read_answer(&mut stream, serial)?;
        }
        Ok(body)
    }

    fn read_line(stream: &mut UnixStream) -> io::Result<String> {
        let (mut line, mut byte) = (Vec::new(), [0]);
        while !line.ends_with(b"\r\n") && line.len() < 512 {
            stream.read_exact(&mut byte)?;
            line.extend_from_slice(&byte);
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    fn read_answer(stream: &mut UnixStream, serial: u32) -> io::Result<Vec<u8>> {
        for _ in 0..MAX_MESSAGES {
            let mut head = [0; HEAD_BYTES];
            stream.read_exact(&mut head)?;
            let head = Head::parse(&head).ok_or(io::ErrorKind::InvalidData)?;
            if head.rest_bytes() > MESSAGE_MAX_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let mut rest = vec![0; head.rest_bytes()];
            stream.read_exact(&mut rest)?;
            match head.answer(&rest, serial) {
                Some(Ok(body)) => return Ok(body.to_vec()),
                Some(Err(())) => return Err(io::ErrorKind::Other.into()),
                None => {}
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// A method call, with at most one argument: a list of strings.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
struct Call {
    destination: &'static str,
    path: &'static str,
    interface: &'static str,
    member: &'static str,
    strings: Option<&'static [&'static str]>,
}

#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
impl Call {
    fn encode(&self, serial: u32) -> Vec<u8> {
        let mut body = Vec::new();
        if let Some(strings) = self.strings {
            let mut items = Vec::new();
            for text in strings {
                pad(&mut items, 4);
                put_string(&mut items, text);
            }
            body.extend((items.len() as u32).to_le_bytes());
            body.extend(items);
        }
        let mut fields = Vec::new();
        let texts = [(PATH, 'o', self.path), (INTERFACE, 's', self.interface), (MEMBER, 's', self.member)];
        for (field, kind, text) in texts.into_iter().chain([(DESTINATION, 's', self.destination)]) {
            pad(&mut fields, 8);
            fields.extend([field, 1, kind as u8, 0]);
            put_string(&mut fields, text);
        }
        if self.strings.is_some() {
            pad(&mut fields, 8);
            fields.extend([SIGNATURE, 1, b'g', 0, 2, b'a', b's', 0]);
        }
        let mut message = vec![b'l', METHOD_CALL, 0, 1];
        message.extend((body.len() as u32).to_le_bytes());
        message.extend(serial.to_le_bytes());
        message.extend((fields.len() as u32).to_le_bytes());
        message.extend(fields);
        pad(&mut message, 8);
        message.extend(body);
        message
    }
}

#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
fn put_string(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.bytes());
    bytes.push(0);
}

#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
fn pad(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// The part of a message whose length is fixed.
const HEAD_BYTES: usize = 16;

/// The beginning of a message that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    kind: u8,
    body_bytes: usize,
    fields_bytes: usize,
}

#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
impl Head {
    /// Nothing when it is not little-endian D-Bus of version 1, the only form that systemd sends to its own machine.
    fn parse(head: &[u8; HEAD_BYTES]) -> Option<Self> {
        let [b'l', kind, _, 1, ..] = *head else { return None };
        let mut at = Reader { bytes: head, at: 4 };
        let (body_bytes, _serial, fields_bytes) = (at.number()?, at.number()?, at.number()?);
        Some(Self { kind, body_bytes: body_bytes as usize, fields_bytes: fields_bytes as usize })
    }

    /// Bytes that follow: the fields, filled up to a multiple of eight, and the body.
    fn rest_bytes(&self) -> usize {
        self.fields_bytes.div_ceil(8).saturating_mul(8).saturating_add(self.body_bytes)
    }

    /// The body when this message answers `serial`, an error when it refuses.
    fn answer<'a>(&self, rest: &'a [u8], serial: u32) -> Option<Result<&'a [u8], ()>> {
        let fields = rest.get(..self.fields_bytes)?;
        // The field is a number behind its code and the one-letter signature `u`.
        let wanted = [REPLY_SERIAL, 1, b'u', 0];
        let reply = fields.chunks(8).position(|chunk| chunk.starts_with(&wanted))? * 8 + wanted.len();
        if fields.get(reply..reply + 4)? != serial.to_le_bytes() {
            return None;
        }
        match self.kind {
            METHOD_RETURN => Some(Ok(rest.get(rest.len().checked_sub(self.body_bytes)?..)?)),
            ERROR => Some(Err(())),
            _ => None,
        }
    }
}

/// Understands the body of `ListUnitsFiltered`: a list of structures of name, description, four states, path, job number,
/// job type and job path (`a(ssssssouso)`, org.freedesktop.systemd1(5)). Their names; nothing when it does not fit.
pub fn parse_names(body: &[u8]) -> Option<Vec<String>> {
    let mut reader = Reader { bytes: body, at: 0 };
    let list_bytes = reader.number()? as usize;
    reader.align(8);
    let end = reader.at.checked_add(list_bytes).filter(|end| *end <= body.len())?;
    let mut names = Vec::new();
    while reader.at < end {
        reader.align(8);
        names.push(reader.string()?.to_owned());
        for _ in 0..6 {
            reader.string()?;
        }
        reader.number()?;
        reader.string()?;
        reader.string()?;
    }
    Some(names)
}

/// Reads values at their alignment.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn number(&mut self) -> Option<u32> {
        self.align(4);
        let bytes = self.bytes.get(self.at..self.at.checked_add(4)?)?;
        self.at += 4;
        bytes.try_into().ok().map(u32::from_le_bytes)
    }

    fn string(&mut self) -> Option<&'a str> {
        let length = self.number()? as usize;
        let end = self.at.checked_add(length)?;
        let text = std::str::from_utf8(self.bytes.get(self.at..end)?).ok()?;
        // Strings end with a zero that is not counted.
        self.at = end + 1;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    fn body(names: &[&str]) -> Vec<u8> {
        let mut items = Vec::new();
        for name in names {
            pad(&mut items, 8);
            for text in [name, "a description", "loaded", "failed", "failed", "", "/org/freedesktop/systemd1/unit/x"] {
                pad(&mut items, 4);
                put_string(&mut items, text);
            }
            pad(&mut items, 4);
            items.extend(0u32.to_le_bytes());
            for text in ["", "/"] {
                pad(&mut items, 4);
                put_string(&mut items, text);
            }
        }
        let mut body = (items.len() as u32).to_le_bytes().to_vec();
        pad(&mut body, 8);
        body.extend(items);
        body
    }

    #[test]
    fn the_names_of_failed_units_are_read() {
        assert_eq!(
            parse_names(&body(&["cron.service", "backup@alice.service"])).unwrap(),
            ["cron.service", "backup@alice.service"]
        );
        assert_eq!(parse_names(&body(&[])).unwrap(), Vec::<String>::new());
        assert_eq!(parse_names(&body(&["cron.service"])[..40]), None);
    }

    #[test]
    fn an_answer_is_told_from_a_signal_and_a_refusal() {
        let fields = [REPLY_SERIAL, 1, b'u', 0, 7, 0, 0, 0, SIGNATURE, 1, b'g', 0, 1, b's', 0];
        let mut rest = fields.to_vec();
        pad(&mut rest, 8);
        rest.extend(b"body");
        let head = Head { kind: METHOD_RETURN, body_bytes: 4, fields_bytes: fields.len() };
        assert_eq!(head.rest_bytes(), rest.len());
        assert_eq!(head.answer(&rest, 7), Some(Ok(b"body".as_slice())));
        assert_eq!(head.answer(&rest, 8), None);
        assert_eq!(Head { kind: ERROR, ..head }.answer(&rest, 7), Some(Err(())));
        assert_eq!(Head { kind: 4, ..head }.answer(&rest, 7), None);
    }

    #[test]
    fn a_call_has_the_bytes_that_the_specification_asks_for() {
        let call = Call { destination: "d", path: "/p", interface: "i", member: "m", strings: Some(&["failed"]) };
        let message = call.encode(1);
        let head = Head::parse(message[..HEAD_BYTES].try_into().unwrap()).unwrap();
        assert_eq!((head.kind, head.body_bytes), (METHOD_CALL, 15));
        assert_eq!(HEAD_BYTES + head.rest_bytes(), message.len());
        assert!(message.ends_with(b"\x0b\0\0\0\x06\0\0\0failed\0"));
    }

    #[test]
    fn a_captured_tree_has_no_systemd_to_ask() {
        let (_dir, root) = tree(&[("run/systemd/system/x", "")]);
        assert_eq!(look(&root).unwrap_err().kind, WhyKind::NotApplicable);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(bytes: Vec<u8>, kind: u8, sizes: (u32, u32), serial: u32) {
            parse_names(&bytes);
            let head = Head { kind, body_bytes: sizes.0 as usize, fields_bytes: sizes.1 as usize };
            head.rest_bytes();
            let _ = head.answer(&bytes, serial);
        }
    }
}
