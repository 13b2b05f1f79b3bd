//! Seeing whether a relay listens at an address, as somebody who connects would.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use belay_protocol::RelayKey;
use quinn::{ClientConfig, Endpoint};

use crate::close::Close;
use crate::identity::Identity;
use crate::{tls, transport};

/// Says whether whoever listens on UDP `address` proves to be the relay with `key`, within a few seconds. Needs a tokio
/// runtime.
pub async fn answers_with(key: RelayKey, address: SocketAddr) -> bool {
    tokio::time::timeout(DEADLINE, look(key, address)).await.is_ok_and(|looked| looked.is_ok())
}

async fn look(key: RelayKey, address: SocketAddr) -> io::Result<()> {
    let identity = Identity::generate().map_err(io::Error::other)?;
    let crypto = tls::client(&identity, tls::CONTROL_ALPN, Some(key.0)).map_err(io::Error::other)?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport::control(DEADLINE, 0.0));
    let there = loopback_of(address);
    let here = match there {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let endpoint = Endpoint::client(here)?;
    let connecting = endpoint.connect_with(config, there, tls::SERVER_NAME).map_err(io::Error::other)?;
    // The relay has proved its key when the client's side of the handshake is done.
    let connected = connecting.await;
    if let Ok(connection) = &connected {
        Close::Done.close(connection);
        endpoint.wait_idle().await;
    }
    connected.map(drop).map_err(io::Error::other)
}

/// Where this machine finds what listens on `address`. A socket of all IPv6 addresses takes IPv4 as well, and is reached by it
/// where IPv6 is switched off, as in many containers.
pub(crate) fn loopback_of(address: SocketAddr) -> SocketAddr {
    let has_ipv6 = || std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    let ip = match address {
        _ if !address.ip().is_unspecified() => return address,
        SocketAddr::V6(_) if has_ipv6() => Ipv6Addr::LOCALHOST.into(),
        SocketAddr::V4(_) | SocketAddr::V6(_) => Ipv4Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

/// A relay on the same machine answers in milliseconds, and under load it still does in a second.
const DEADLINE: Duration = Duration::from_secs(3);
