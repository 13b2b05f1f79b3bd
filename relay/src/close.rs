//! The codes with which connections are closed, so that each side can tell people why.

use quinn::VarInt;

/// Why one side closed a connection; the number is the QUIC application error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// All is said.
    Done,
    /// The other side broke the protocol.
    Violation,
    /// The program is stopping.
    Stopping,
    /// The same key connected again.
    Replaced,
    /// A limit is reached.
    Full,
    /// The application handshake took too long.
    TooSlow,
    /// No common version.
    Version,
    /// Not admitted.
    NotAdmitted,
}

impl Close {
    const ALL: [Self; 8] = [
        Self::Done,
        Self::Violation,
        Self::Stopping,
        Self::Replaced,
        Self::Full,
        Self::TooSlow,
        Self::Version,
        Self::NotAdmitted,
    ];

    /// The code on the wire; never reused.
    pub fn code(self) -> VarInt {
        VarInt::from_u32(self as u32)
    }

    /// The reason of a code, `None` for codes of later versions.
    pub fn from_code(code: VarInt) -> Option<Self> {
        Self::ALL.into_iter().find(|close| close.code() == code)
    }

    /// The reason with which the peer closed, if it was the peer.
    pub fn of(error: &quinn::ConnectionError) -> Option<Self> {
        match error {
            quinn::ConnectionError::ApplicationClosed(closed) => Self::from_code(closed.error_code),
            _ => None,
        }
    }

    /// Closes `connection` for this reason.
    pub fn close(self, connection: &quinn::Connection) {
        connection.close(self.code(), b"");
    }
}
