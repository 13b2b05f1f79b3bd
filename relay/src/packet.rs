//! The little of a QUIC packet that is in the clear and that routing needs: the destination connection id.

use belay_protocol::RouteId;

/// Bytes of the connection ids that session endpoints issue: the route id and eight random ones.
pub const SESSION_CID_BYTES: usize = 16;

/// The first byte of a long header has its highest bit set (RFC 8999, section 5.1).
const LONG_HEADER: u8 = 0x80;

/// Offset of the length of the destination connection id in a long header (RFC 8999, section 5.1).
const LONG_DCID_LENGTH_AT: usize = 5;

/// The route id at the front of a packet's destination connection id, with what can be told of the id's own length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// The first eight bytes of the id.
    pub route: RouteId,
    /// Whether the packet can be one of a session: a long header says so by the id's length, a short header does not
    /// tell.
    pub may_be_session: bool,
}

/// Reads the destination of a datagram's first packet; `None` for anything that has no id of eight bytes or more there.
pub fn destination(datagram: &[u8]) -> Option<Destination> {
    let first = *datagram.first()?;
    if first & LONG_HEADER == 0 {
        let route = datagram.get(1..1 + RouteId::LEN)?.try_into().ok()?;
        return Some(Destination { route: RouteId(route), may_be_session: true });
    }
    let length = usize::from(*datagram.get(LONG_DCID_LENGTH_AT)?);
    let id = datagram.get(LONG_DCID_LENGTH_AT + 1..LONG_DCID_LENGTH_AT + 1 + length)?;
    let route = id.get(..RouteId::LEN)?.try_into().ok()?;
    Some(Destination { route: RouteId(route), may_be_session: length == SESSION_CID_BYTES })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROUTE: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

    #[test]
    fn both_header_forms_show_the_route() {
        let short = [[0x40].as_slice(), &ROUTE, &[0; 20]].concat();
        assert_eq!(destination(&short), Some(Destination { route: RouteId(ROUTE), may_be_session: true }));
        let long = |length: u8| [[0xc0, 0, 0, 0, 1, length].as_slice(), &ROUTE, &[0; 20]].concat();
        assert_eq!(destination(&long(16)), Some(Destination { route: RouteId(ROUTE), may_be_session: true }));
        assert_eq!(destination(&long(8)), Some(Destination { route: RouteId(ROUTE), may_be_session: false }));
        assert_eq!(destination(&long(7)), None);
        assert_eq!(destination(&long(200)), None);
        assert_eq!(destination(&short[..8]), None);
        assert_eq!(destination(&[]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = destination(&bytes);
        }
    }
}
