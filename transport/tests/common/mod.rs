//! Nodes on loopback, and waiting for what they tell.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{future::Future, time::Duration};

use kernel::{NodeId, Span};
use transport::{Config, Event, Events, Handle, Protocol, start};

pub const TCP: &str = "/ip4/127.0.0.1/tcp/0";
pub const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

/// Long enough for anything on loopback; only a failing test waits it out.
pub const LONG: Span = Span::secs(20);

pub struct Node {
    pub handle: Handle,
    pub events: Events,
}

pub fn config(seed: u8, listen: &[&str]) -> Config {
    let listen = listen.iter().map(|address| (*address).to_owned()).collect();
    Config { listen, redial_first: Span::millis(20), ..Config::new([seed; 32]) }
}

impl Node {
    pub async fn start(config: Config) -> Self {
        let (handle, events) = start(config).await.unwrap();
        Self { handle, events }
    }

    pub async fn listening(seed: u8, address: &str) -> Self {
        Self::start(config(seed, &[address])).await
    }

    /// A node that listens nowhere.
    pub async fn silent(seed: u8) -> Self {
        Self::start(config(seed, &[])).await
    }

    pub fn id(&self) -> NodeId {
        self.handle.id()
    }

    /// Tells this node where the other is.
    pub async fn knows(&self, other: &Self) {
        self.handle.know(other.id(), other.handle.listening().await);
    }

    pub async fn ask(&self, to: &Self, body: &[u8]) -> Result<Vec<u8>, transport::AskError> {
        self.handle.ask(to.id(), Protocol::Rear, body.to_vec(), LONG).await
    }

    /// Waits for an event that gives a value, passing over all others.
    pub async fn until<T>(&mut self, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
        soon(async {
            loop {
                let event = self.events.next().await.expect("the transport has stopped");
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        })
        .await
    }

    pub async fn until_connected(&mut self, other: NodeId) -> bool {
        self.until(|event| match event {
            Event::Connected { peer, dialled, .. } if peer == other => Some(dialled),
            _ => None,
        })
        .await
    }

    pub async fn until_disconnected(&mut self, other: NodeId) {
        self.until(|event| matches!(event, Event::Disconnected { peer } if peer == other).then_some(())).await;
    }

    /// Answers every ask with its own body, in a task; tunnels are closed.
    pub fn echo(self) -> Handle {
        let Self { handle, mut events } = self;
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                if let Event::Asked { body, answer, .. } = event {
                    let _ = answer.send(body);
                }
            }
        });
        handle
    }
}

/// Fails the test when something takes far too long.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it did not happen in time")
}
