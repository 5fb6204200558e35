//! Starting to listen: every address is taken, or the first that cannot be is named with the reason.

use std::{
    error::Error,
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
};

use libp2p::{Multiaddr, TransportError, multiaddr::Protocol};

/// Why the transport could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A text is no address.
    #[error("'{address}' is not an address: {reason}")]
    Address {
        /// The text.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another program, or another node, listens there.
    #[error("cannot listen on {address}: port {port} is already in use")]
    PortInUse {
        /// The address.
        address: String,
        /// The port.
        port: u16,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: String,
        /// What the system says.
        reason: String,
    },
    /// The network could not be set up.
    #[error("cannot set up the network: {0}")]
    Network(#[source] io::Error),
}

/// Parses an address, and names it when it is none.
pub(crate) fn parse(address: &str) -> Result<Multiaddr, StartError> {
    let wrong = |reason| StartError::Address { address: address.to_owned(), reason };
    let parsed: Multiaddr = address.parse().map_err(|error| wrong(root(&error)))?;
    if parsed.is_empty() { Err(wrong("it is empty".to_owned())) } else { Ok(parsed) }
}

/// Says whether an address can be listened on, before libp2p tries.
///
/// It must be asked here: libp2p shares TCP ports (`SO_REUSEPORT`), so a second node of the same user would take
/// half of the first one's connections without either noticing.
pub(crate) fn probe(address: &Multiaddr) -> Result<(), StartError> {
    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Protocol::Ip4(ip)) => ip.into(),
        Some(Protocol::Ip6(ip)) => ip.into(),
        _ => return Ok(()),
    };
    let (port, bound) = match parts.next() {
        Some(Protocol::Tcp(port)) => (port, TcpListener::bind(SocketAddr::new(ip, port)).map(drop)),
        Some(Protocol::Udp(port)) => (port, UdpSocket::bind(SocketAddr::new(ip, port)).map(drop)),
        _ => return Ok(()),
    };
    bound.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => StartError::PortInUse { address: address.to_string(), port },
        io::ErrorKind::AddrNotAvailable => {
            StartError::Listen { address: address.to_string(), reason: "this machine has no such address".to_owned() }
        }
        _ => StartError::Listen { address: address.to_string(), reason: error.to_string() },
    })
}

/// Says in one sentence why libp2p does not listen on an address.
pub(crate) fn refused(address: &Multiaddr, error: &TransportError<io::Error>) -> StartError {
    let reason = match error {
        TransportError::MultiaddrNotSupported(_) => {
            "it is neither /ip4/…/tcp/… nor /ip4/…/udp/…/quic-v1 (or ip6)".to_owned()
        }
        TransportError::Other(error) => root(error),
    };
    StartError::Listen { address: address.to_string(), reason }
}

/// Returns the innermost cause of an error, which is the one that a person can act upon.
pub(crate) fn root(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_no_address_is_named() {
        for text in ["", "nonsense", "/ip4/999.0.0.1/tcp/1", "127.0.0.1:4001"] {
            let said = parse(text).unwrap_err().to_string();
            assert!(said.contains(&format!("'{text}'")), "{said}");
        }
    }

    #[test]
    fn a_port_in_use_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
        let said = probe(&address).unwrap_err().to_string();
        assert_eq!(said, format!("cannot listen on {address}: port {port} is already in use"));
    }
}
