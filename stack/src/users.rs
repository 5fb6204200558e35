//! What the users of a machine want: intents that they submit, look at and delete, and the partners of their domain.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agent::{Command, Response};
use anyhow::Context as _;
use kernel::{IntentId, Span};
use node::host::Mind;
use orchestrator::{intent::Intent, view::Phase};
use rear_proto::partner::PartnerToken;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How often a user looks who hears of no change.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a user waits after something that did not work.
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// How long a user waits for a page.
const PAGE_WITHIN: Duration = Duration::from_secs(20);

/// An intent and what has become of it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wish {
    /// Its number in the plan.
    pub number: u32,
    /// The node that it came to.
    pub node: String,
    /// Whether a mind has taken it in.
    pub taken: bool,
    /// Why it was not, or why it failed.
    pub reason: Option<String>,
    /// When it ran for the first time, in milliseconds from the world's beginning.
    pub ran_at_ms: Option<u64>,
    /// The story that it was then, and how many different steps of it were told.
    pub story: Option<(u8, usize)>,
    /// The page that its workload answered with.
    pub page: Option<String>,
    /// How far it had come when it was last looked at.
    pub phase: Option<Phase>,
    /// For how long its user wants it.
    pub lives: Duration,
    /// Whether it was deleted.
    pub deleted: bool,
}

/// An intent as it is given to a machine's users.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) at: Duration,
    pub(crate) until: Duration,
    pub(crate) id: IntentId,
    pub(crate) intent: Intent,
    pub(crate) wish: Arc<Mutex<Wish>>,
}

impl Order {
    /// Reads or changes what is known of it.
    pub(crate) fn note<T>(&self, change: impl FnOnce(&mut Wish) -> T) -> T {
        change(&mut self.wish.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Submits the intent when it is its time, watches it, and deletes it in the end. Begun again in each life of the
    /// machine, it goes on where it was.
    pub(crate) async fn follow(self, mind: Mind) {
        sleep_until(self.at).await;
        if !self.note(|wish| wish.taken || wish.reason.is_some()) {
            let submit = Command::Submit { id: self.id, intent: self.intent.clone(), contract: None };
            match mind.command(submit).await {
                Ok(_) => self.note(|wish| wish.taken = true),
                Err(refusal) => return self.note(|wish| wish.reason = Some(refusal.to_string())),
            }
        }
        tokio::select! {
            biased;
            () = sleep_until(self.until) => {}
            () = self.watch(&mind) => {}
        }
        while !self.note(|wish| wish.deleted) {
            match mind.command(Command::Delete(self.id)).await {
                Ok(_) => self.note(|wish| wish.deleted = true),
                Err(refusal) if refusal.code() == rear_proto::Code::NotFound => self.note(|wish| wish.deleted = true),
                Err(_) => tokio::time::sleep(TRY_AGAIN).await,
            }
        }
    }

    /// Looks at the intent whenever something changes, and fetches its page when it runs.
    async fn watch(&self, mind: &Mind) {
        let mut changes = mind.watch();
        loop {
            let id = self.id;
            let Ok(view) = mind.look(move |managers, _| managers.orchestrator.intent(&id)).await else { return };
            let Some(view) = view else { return };
            let first = self.note(|wish| {
                wish.phase = Some(view.phase);
                if view.phase == Phase::Failed {
                    wish.reason.clone_from(&view.reason);
                }
                view.phase == Phase::Running && wish.ran_at_ms.is_none()
            });
            if first {
                let age = turmoil::sim_elapsed().unwrap_or_default();
                let steps: std::collections::BTreeSet<_> =
                    view.steps.iter().filter(|step| step.story == view.story).map(|step| step.step).collect();
                self.note(|wish| {
                    wish.ran_at_ms = u64::try_from(age.as_millis()).ok();
                    wish.story = Some((view.story, steps.len()));
                });
            }
            let endpoint = view.workloads.iter().flat_map(|workload| &workload.endpoints).next();
            if view.phase == Phase::Running
                && let Some(endpoint) = endpoint
                && self.note(|wish| wish.page.is_none())
                && let Ok(Ok(page)) = tokio::time::timeout(PAGE_WITHIN, fetch(&endpoint.url)).await
            {
                self.note(|wish| wish.page = Some(page));
            }
            if view.phase == Phase::Failed {
                // It stays as it is until somebody deletes it.
                std::future::pending::<()>().await;
            }
            // Who has missed some looks again, too.
            let _ = tokio::time::timeout(LOOK_EVERY, changes.recv()).await;
        }
    }
}

/// Fetches a page of this machine, as a browser would.
async fn fetch(url: &str) -> anyhow::Result<String> {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let address: SocketAddr = address.parse().with_context(|| format!("{url} is no address"))?;
    let mut stream = turmoil::net::TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8(answer)?;
    let (head, page) = answer.split_once("\r\n\r\n").context("the answer has no end of its head")?;
    anyhow::ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
    Ok(page.trim_end().to_owned())
}

/// Two domains that are to be partners: the operator of one invites, that of the other accepts.
pub(crate) struct Match {
    /// What the inviter calls the other domain.
    pub(crate) other: String,
    /// What the accepter calls the inviter's.
    pub(crate) inviter: String,
    token: Mutex<Option<Box<PartnerToken>>>,
    done: Mutex<bool>,
}

impl Match {
    /// Says who is to be whose partner.
    pub(crate) fn new(inviter: String, other: String) -> Arc<Self> {
        Arc::new(Self { other, inviter, token: Mutex::new(None), done: Mutex::new(false) })
    }

    /// Says whether they are partners.
    pub(crate) fn is_done(&self) -> bool {
        *self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Invites; what was invited once is not invited again.
    pub(crate) async fn invite(self: Arc<Self>, mind: Mind) {
        while !self.is_done() {
            let invite = Command::PartnerInvite { name: self.other.clone(), ttl: Span::secs(600) };
            if self.token.lock().unwrap_or_else(PoisonError::into_inner).is_none()
                && let Ok(Response::PartnerInvited(token)) = mind.command(invite).await
            {
                *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }

    /// Accepts, when there is an invitation.
    pub(crate) async fn accept(self: Arc<Self>, mind: Mind) {
        while !self.is_done() {
            let token = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(token) = token {
                let accept = Command::PartnerAccept { token, name: self.inviter.clone() };
                match mind.command(accept).await {
                    Ok(_) => *self.done.lock().unwrap_or_else(PoisonError::into_inner) = true,
                    Err(refusal) => tracing::info!(%refusal, "the invitation is not taken up"),
                }
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }
}

/// Sleeps until the world is so old.
pub(crate) async fn sleep_until(age: Duration) {
    let now = turmoil::sim_elapsed().unwrap_or_default();
    tokio::time::sleep(age.saturating_sub(now)).await;
}
