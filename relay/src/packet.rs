//! The little of a QUIC packet that is in the clear and that routing needs: the destination connection id.

use belay_protocol::RouteId;
use belay_protocol::message::Nonce;

/// Bytes of the connection ids that session endpoints issue: the route id and eight random ones.
pub const SESSION_CID_BYTES: usize = 16;

/// The bytes behind the route in a session packet's destination connection id: what tells our own connections apart.
pub(crate) fn own_part(datagram: &[u8]) -> Option<[u8; OWN_PART_BYTES]> {
    let at = if datagram.first()? & LONG_HEADER == 0 { 1 } else { LONG_DCID_LENGTH_AT + 1 };
    datagram.get(at + RouteId::LEN..at + SESSION_CID_BYTES)?.try_into().ok()
}

/// The same bytes of the source connection id, which only a long header shows, if it is one of `route`.
pub(crate) fn own_part_of_source(route: &RouteId, datagram: &[u8]) -> Option<[u8; OWN_PART_BYTES]> {
    if datagram.first()? & LONG_HEADER == 0 {
        return None;
    }
    let at = LONG_DCID_LENGTH_AT + 1 + usize::from(*datagram.get(LONG_DCID_LENGTH_AT)?);
    let id = datagram.get(at + 1..at + 1 + usize::from(*datagram.get(at)?))?;
    id.strip_prefix(&route.0)?.try_into().ok()
}

/// Random bytes of the connection ids that session endpoints issue.
pub(crate) const OWN_PART_BYTES: usize = SESSION_CID_BYTES - RouteId::LEN;

#[cfg(any(feature = "server", test))]
/// Bytes of the shortest packet of a session: a short header with its id, and what header protection samples (RFC 9001,
/// section 5.4.2).
pub(crate) const SESSION_PACKET_MIN_BYTES: usize = 1 + SESSION_CID_BYTES + 4 + 16;

/// Bytes of a challenge: too few for a packet of a session.
const CHALLENGE_BYTES: usize = 1 + RouteId::LEN + size_of::<Nonce>();

/// The first byte of a challenge; its length and the route are what tells it apart.
const CHALLENGE: u8 = 5;

#[cfg(any(feature = "server", test))]
/// A relay's datagram to an end that seems to have moved.
pub(crate) fn challenge(route: &RouteId, nonce: &Nonce) -> Vec<u8> {
    [[CHALLENGE].as_slice(), &route.0, nonce].concat()
}

/// The nonce in a challenge for the end with `route`.
pub(crate) fn challenge_for(route: &RouteId, datagram: &[u8]) -> Option<Nonce> {
    let rest = datagram.strip_prefix(&[CHALLENGE])?.strip_prefix(&route.0)?;
    (datagram.len() == CHALLENGE_BYTES).then_some(rest.try_into().ok()).flatten()
}

/// The first byte of a long header has its highest bit set (RFC 8999, section 5.1).
pub(crate) const LONG_HEADER: u8 = 0x80;

/// Offset of the length of the destination connection id in a long header (RFC 8999, section 5.1).
const LONG_DCID_LENGTH_AT: usize = 5;

/// The type of a long header of version 1 (RFC 9000, section 17.2): an Initial.
const LONG_TYPE_MASK: u8 = 0x30;
const LONG_TYPE_INITIAL: u8 = 0;

/// What the clear part of a packet's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A short header: a packet of an established connection. How long its id is it does not tell.
    Short,
    /// A long header: a packet of a handshake.
    Long {
        /// Length of the destination connection id.
        id_bytes: usize,
        /// Whether it can open a connection.
        is_initial: bool,
    },
}

/// The route id at the front of a packet's destination connection id, with the form of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// The first eight bytes of the id.
    pub route: RouteId,
    /// The form of the header.
    pub form: Form,
}

/// Reads the destination of a datagram's first packet; `None` for anything that has no id of eight bytes or more there.
pub fn destination(datagram: &[u8]) -> Option<Destination> {
    let first = *datagram.first()?;
    if first & LONG_HEADER == 0 {
        let route = datagram.get(1..1 + RouteId::LEN)?.try_into().ok()?;
        return Some(Destination { route: RouteId(route), form: Form::Short });
    }
    let length = usize::from(*datagram.get(LONG_DCID_LENGTH_AT)?);
    let id = datagram.get(LONG_DCID_LENGTH_AT + 1..LONG_DCID_LENGTH_AT + 1 + length)?;
    let route = id.get(..RouteId::LEN)?.try_into().ok()?;
    let is_initial = first & LONG_TYPE_MASK == LONG_TYPE_INITIAL;
    Some(Destination { route: RouteId(route), form: Form::Long { id_bytes: length, is_initial } })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROUTE: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

    #[test]
    fn both_header_forms_show_the_route() {
        let short = [[0x40].as_slice(), &ROUTE, &[0; 20]].concat();
        assert_eq!(destination(&short), Some(Destination { route: RouteId(ROUTE), form: Form::Short }));
        let long = |first: u8, length: u8| [[first, 0, 0, 0, 1, length].as_slice(), &ROUTE, &[0; 20]].concat();
        let expected = |id_bytes, is_initial| {
            Some(Destination { route: RouteId(ROUTE), form: Form::Long { id_bytes, is_initial } })
        };
        assert_eq!(destination(&long(0xc0, 16)), expected(16, true));
        assert_eq!(destination(&long(0xcf, 8)), expected(8, true));
        assert_eq!(destination(&long(0xe0, 8)), expected(8, false));
        assert_eq!(destination(&long(0xc0, 7)), None);
        assert_eq!(destination(&long(0xc0, 200)), None);
        assert_eq!(destination(&short[..8]), None);
        assert_eq!(destination(&[]), None);
    }

    #[test]
    fn the_ids_of_a_handshake_show_whose_connection_it_is() {
        let id = |last: u8| [ROUTE.as_slice(), &[last; 8]].concat();
        let long = [&[0xc0, 0, 0, 0, 1, 16], id(1).as_slice(), &[16], &id(2), &[0; 20]].concat();
        assert_eq!(own_part(&long), Some([1; 8]));
        assert_eq!(own_part_of_source(&RouteId(ROUTE), &long), Some([2; 8]));
        assert_eq!(own_part_of_source(&RouteId([0; 8]), &long), None);
        let short = [&[0x40], id(3).as_slice(), &[0; 20]].concat();
        assert_eq!((own_part(&short), own_part_of_source(&RouteId(ROUTE), &short)), (Some([3; 8]), None));
        for end in 0..38 {
            let _ = (own_part(&long[..end]), own_part_of_source(&RouteId(ROUTE), &long[..end]));
        }
    }

    #[test]
    fn a_challenge_is_for_one_end_and_no_packet_of_a_session() {
        let bytes = challenge(&RouteId(ROUTE), &[9; 16]);
        assert_eq!(challenge_for(&RouteId(ROUTE), &bytes), Some([9; 16]));
        assert!(bytes.len() < SESSION_PACKET_MIN_BYTES);
        assert_eq!(challenge_for(&RouteId([0; 8]), &bytes), None);
        assert_eq!(challenge_for(&RouteId(ROUTE), &bytes[..24]), None);
        assert_eq!(challenge_for(&RouteId(ROUTE), &[bytes.as_slice(), &[0]].concat()), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = destination(&bytes);
        }
    }
}
