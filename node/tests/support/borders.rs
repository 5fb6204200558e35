//! Two domains that are partners: a consumer behind a supernode, a provider behind another.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use node::sandbox::{Node, Sandbox};
use serde_json::Value;

use super::{rows, sandbox, text};

/// Shows everything to every partner.
pub const EXPOSE: &str = "
[[discovery.expose]]
partners = [\"*\"]
";

/// A consumer's domain and a provider's.
pub struct Borders {
    // Before the sandbox, so that the processes end before their directories do.
    pub c: Node,
    pub sc: Node,
    pub sp: Node,
    pub p: Node,
    pub sandbox: Sandbox,
}

impl Borders {
    /// Makes both domains, each node with these settings, and waits until offers are known as far as they go by themselves.
    pub async fn new(offer: &str, settings: &str) -> Self {
        let sandbox = sandbox();
        let exposing = format!("{settings}\n{EXPOSE}");
        let offering = format!("{settings}\n{offer}");
        let near = async {
            let sc = sandbox.found_as("sc", "alpha", "supernode", settings).await.unwrap();
            let c = sandbox.join_as("c", &sc, "node", settings).await.unwrap();
            (sc, c)
        };
        let far = async {
            let sp = sandbox.found_as("sp", "beta", "supernode", &exposing).await.unwrap();
            let p = sandbox.join_as("p", &sp, "node", &offering).await.unwrap();
            (sp, p)
        };
        let ((sc, c), (sp, p)) = tokio::join!(near, far);
        sandbox.befriend(&sc, &sp, "beta", "alpha").await.unwrap();
        let this = Self { c, sc, sp, p, sandbox };
        this.ready().await;
        this
    }

    /// Waits until everybody who runs knows whom it needs to know.
    pub async fn ready(&self) {
        let Self { c, sc, sp, p, .. } = self;
        c.meets(sc).await.unwrap();
        p.meets(sp).await.unwrap();
        for (supernode, other) in [(sc, sp), (sp, sc)] {
            supernode.until("/v1/partners", |table| is_connected(table, other.id())).await.unwrap();
        }
        for node in [c, p] {
            node.until("/v1/partners", |table| !rows(table).is_empty()).await.unwrap();
        }
        sp.until("/v1/candidates", |table| rows(table).iter().any(|one| text(one, "owner") == p.id())).await.unwrap();
    }

    pub fn all(&self) -> [&Node; 4] {
        [&self.c, &self.sc, &self.sp, &self.p]
    }

    /// Ends all and audits their ledgers, each alone and each against its neighbours'.
    pub async fn audited(mut self) {
        for node in [&mut self.c, &mut self.sc, &mut self.sp, &mut self.p] {
            node.stop().await.unwrap();
        }
        for (one, other) in [(&self.c, &self.sc), (&self.sc, &self.sp), (&self.sp, &self.p)] {
            super::audit(one, other).await;
        }
    }
}

/// Says whether a table of partners has one with this supernode connected.
pub fn is_connected(partners: &Value, supernode: &str) -> bool {
    let is_it = |one: &Value| text(one, "node") == supernode && one["connected"] == true;
    rows(partners).iter().any(|partner| rows(&partner["supernodes"]).iter().any(is_it))
}
