//! QUIC packets that open connections, or pretend to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use belay_protocol::RouteId;
use belay_relay::identity::Identity;
use belay_relay::packet::SESSION_CID_BYTES;
use belay_relay::tls;
use quinn::crypto::rustls::QuicClientConfig;
use quinn_proto::{ClientConfig, Endpoint, EndpointConfig};
use rand::Rng;
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme, version};

/// Bytes of a datagram that opens a connection (RFC 9000, section 14.1).
pub const INITIAL_BYTES: usize = 1_200;

/// Where the connection id begins in a long header, and how long it is here.
pub const LONG_ID: std::ops::Range<usize> = 6..14;

/// The header of an Initial with a token, and noise for what should be encrypted.
pub fn garbage(token_bytes: usize) -> Vec<u8> {
    let mut packet = vec![0; INITIAL_BYTES];
    rand::rng().fill_bytes(&mut packet);
    // Long header, fixed bit, Initial; version 1.
    packet[..5].copy_from_slice(&[0xc3, 0, 0, 0, 1]);
    packet[5] = LONG_ID.len() as u8;
    packet[14] = LONG_ID.len() as u8;
    let token_at = 23;
    // Two bytes of a variable-length integer hold up to 16,383 (RFC 9000, section 16).
    let two = |value: usize| (value as u16 | 0x4000).to_be_bytes();
    packet[token_at..token_at + 2].copy_from_slice(&two(token_bytes));
    let length_at = token_at + 2 + token_bytes;
    packet[length_at..length_at + 2].copy_from_slice(&two(INITIAL_BYTES - length_at - 2));
    packet
}

/// A packet as of an established session with the end that has `route`.
pub fn session_packet(route: &RouteId, bytes: usize) -> Vec<u8> {
    let mut packet = vec![0; bytes];
    rand::rng().fill_bytes(&mut packet);
    // A short header with the fixed bit.
    packet[0] = 0x41;
    packet[1..1 + RouteId::LEN].copy_from_slice(&route.0);
    packet
}

/// What is random in a session packet after the route.
pub const SESSION_NOISE: std::ops::Range<usize> = 1 + RouteId::LEN..1 + SESSION_CID_BYTES + 20;

/// `count` whole and valid first packets of clients of a relay, each with an id of its own. The key exchange is the
/// classic one, so that the hello fits in one packet, and a key is offered as agents do, so that the relay has to do all of
/// its part of the handshake.
pub fn client_hellos(count: usize, relay: SocketAddr) -> anyhow::Result<Vec<Vec<u8>>> {
    let key = tls::certified(&Identity::generate()?)?;
    let mut provider = default_provider();
    provider.kx_groups = vec![kx_group::X25519];
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key)));
    config.alpn_protocols = vec![tls::CONTROL_ALPN.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(config)?));
    let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), None, false, None);
    let now = Instant::now();
    let hellos = (0..count).map(|_| {
        let (_, mut connection) = endpoint.connect(now, config.clone(), relay, tls::SERVER_NAME)?;
        let mut packet = Vec::new();
        let first = connection.poll_transmit(now, 1, &mut packet).context("a client begins with a packet")?;
        packet.truncate(first.size);
        Ok(packet)
    });
    hellos.collect()
}

/// Its connections are never finished.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
