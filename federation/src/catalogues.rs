//! Where a catalogue is that this node was told to use: a multiaddress that ends in its peer id.

use std::{fmt, net::IpAddr, str::FromStr};

use kernel::NodeId;
use rear_proto::door::MAX_WORD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A catalogue's address, written as `/ip4/192.0.2.1/udp/7401/quic-v1/p2p/12D3KooW…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueAddress {
    /// Which node it is.
    pub node: NodeId,
    /// Where, without its id.
    pub address: String,
}

/// A text that is no address of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no address of a catalogue: {why}; write it like /ip4/192.0.2.1/udp/7401/quic-v1/p2p/12D3KooW…")]
pub struct ParseCatalogueError {
    text: String,
    why: &'static str,
}

impl FromStr for CatalogueAddress {
    type Err = ParseCatalogueError;

    fn from_str(text: &str) -> Result<Self, ParseCatalogueError> {
        let wrong = |why| ParseCatalogueError { text: text.chars().take(80).collect(), why };
        if text.len() > MAX_WORD {
            return Err(wrong("it is too long"));
        }
        let Some((address, peer)) = text.split_once("/p2p/") else {
            return Err(wrong("it does not end in /p2p/ and a peer id"));
        };
        let node = peer.parse().map_err(|_| wrong("what follows /p2p/ is no peer id"))?;
        let parts: Vec<&str> = address.split('/').collect();
        let ["", host, name, transport, port, ..] = parts.as_slice() else {
            return Err(wrong("it has no host and port"));
        };
        let is_host = match *host {
            "ip4" => name.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4()),
            "ip6" => name.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()),
            "dns" | "dns4" | "dns6" => !name.is_empty(),
            _ => false,
        };
        if !is_host {
            return Err(wrong("it begins with no /ip4/, /ip6/ or /dns/ and a host"));
        }
        if !matches!(*transport, "udp" | "tcp") || !port.parse::<u16>().is_ok_and(|port| port > 0) {
            return Err(wrong("it has no /udp/ or /tcp/ and a port"));
        }
        if parts.iter().skip(5).any(|part| part.is_empty()) {
            return Err(wrong("a part of it is empty"));
        }
        Ok(Self { node, address: address.to_owned() })
    }
}

impl fmt::Display for CatalogueAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/p2p/{}", self.address, self.node)
    }
}

impl Serialize for CatalogueAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CatalogueAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_of_a_catalogue_is_read_and_written() {
        let peer = NodeId([7; 32]);
        for address in ["/ip4/192.0.2.1/udp/7401/quic-v1", "/ip6/::1/tcp/1", "/dns/k.example/udp/65535/quic-v1"] {
            let text = format!("{address}/p2p/{peer}");
            let read: CatalogueAddress = text.parse().unwrap();
            assert_eq!((read.node, read.address.as_str(), read.to_string()), (peer, address, text));
        }
    }

    #[test]
    fn what_is_no_address_of_a_catalogue_is_refused_with_a_reason() {
        let peer = NodeId([7; 32]);
        for (text, why) in [
            ("/ip4/192.0.2.1/udp/7401/quic-v1".to_owned(), "end in /p2p/"),
            (format!("/ip4/192.0.2.1/udp/7401/quic-v1/p2p/{}", &peer.to_string()[1..]), "no peer id"),
            (format!("/ip4/192.0.2.1/udp/7401/p2p/{peer}/p2p-circuit"), "no peer id"),
            (format!("/ip4/256.0.2.1/udp/7401/p2p/{peer}"), "host"),
            (format!("/ip4/::1/udp/7401/p2p/{peer}"), "host"),
            (format!("ip4/192.0.2.1/udp/7401/p2p/{peer}"), "no host and port"),
            (format!("/ip4/192.0.2.1/udp/70000/p2p/{peer}"), "port"),
            (format!("/ip4/192.0.2.1/udp/0/p2p/{peer}"), "port"),
            (format!("/ip4/192.0.2.1/sctp/1/p2p/{peer}"), "port"),
            (format!("/ip4/192.0.2.1/udp/1//x/p2p/{peer}"), "empty"),
            (format!("/p2p/{peer}"), "no host and port"),
            (format!("/dns/{}/udp/1/p2p/{peer}", "x".repeat(300)), "too long"),
        ] {
            let error = text.parse::<CatalogueAddress>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
