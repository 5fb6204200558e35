//! The doer of workloads: hands the mind's orders to the driver, and what becomes of them to the mind.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use agent::Event;
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use kernel::{NodeId, Quantity, Resources, Span};
use rear_proto::workload::{Image, LogLine, Restart, Status, Workload};
use runtime::{Driver, StartError};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use vfabric::mail::Instance;

use crate::host::Mind;

/// The environment variable that tells a workload who runs it: the node's id, or to a workload of another domain this
/// domain's name, since that domain must not learn which node it is.
const NODE_VARIABLE: &str = "TOMBOLO_NODE";

/// How many instances' queues are kept before those that are at rest are dropped.
const QUEUES: usize = 1024;

/// Runs workloads for the mind.
///
/// Orders for one instance are carried out one after the other, in the order in which they were given; those for
/// different instances at once; and all after the sweep that was ordered before them.
pub struct Works {
    names: Names,
    driver: Arc<dyn Driver>,
    mind: Mind,
    tasks: TaskTracker,
    policy: Policy,
    /// The end of the last order for each instance.
    last: BTreeMap<Instance, Done>,
    /// The end of the last sweep.
    swept: Done,
}

/// Is ready when an order has been carried out, whatever came of it.
type Done = Shared<BoxFuture<'static, ()>>;

/// What workloads may know of who runs them.
#[derive(Debug, Clone)]
pub struct Names {
    /// This node, for those of its own domain.
    pub node: NodeId,
    /// Its domain's name, for those of others.
    pub domain: String,
}

/// What this node lets workloads do beyond computing.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Hosts that outgoing requests may go to, where a workload asks for them; none by default.
    pub reach: Vec<String>,
    /// Whether workloads may have a scratch directory.
    pub scratch: bool,
}

impl Works {
    /// Makes the doer over a driver.
    pub fn new(names: Names, driver: Arc<dyn Driver>, mind: Mind, tasks: TaskTracker, policy: Policy) -> Self {
        let swept = async {}.boxed().shared();
        Self { names, driver, mind, tasks, policy, last: BTreeMap::new(), swept }
    }

    /// Tells the mind what the driver reports, until the driver is gone or `stop` is called.
    pub async fn listen(mind: Mind, mut events: mpsc::Receiver<runtime::Event>, stop: CancellationToken) {
        loop {
            let event = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                event = events.recv() => event,
            };
            let Some(runtime::Event { id, status }) = event else { return };
            let Some(instance) = instance_of(&id) else { continue };
            if mind.tell(Event::InstanceStatus { instance, status: status_of(status) }).await.is_err() {
                return;
            }
        }
    }

    /// Starts an instance, `abroad` for a customer of another domain.
    pub fn start(&mut self, instance: Instance, workload: Workload, within: Resources, abroad: bool) {
        let Image::Wasm { digest, .. } = workload.image else {
            let reason = format!("this node has no driver for {} images", workload.image.runtime());
            return self.tell(Event::InstanceStatus { instance, status: Status::Failed { reason } });
        };
        let spec = self.spec(&instance, workload, within, digest, abroad);
        let (driver, mind) = (Arc::clone(&self.driver), self.mind.clone());
        self.enqueue(instance.clone(), async move {
            let event = match driver.start(spec).await {
                Ok(()) => return,
                // It runs already: an order that was repeated.
                Err(StartError::AlreadyExists(_)) => return,
                Err(StartError::UnknownModule(_)) => Event::InstanceMissing { instance, digest },
                Err(error @ (StartError::Invalid(_) | StartError::ShuttingDown)) => {
                    Event::InstanceStatus { instance, status: Status::Failed { reason: error.to_string() } }
                }
            };
            let _ = mind.tell(event).await;
        });
    }

    /// Stops an instance, and says so when it is gone.
    pub fn stop(&mut self, instance: Instance, grace: Span) {
        let (driver, mind) = (Arc::clone(&self.driver), self.mind.clone());
        self.enqueue(instance.clone(), async move {
            driver.stop(&instance.to_string(), grace.to_std()).await;
            let _ = mind.tell(Event::InstanceGone { instance }).await;
        });
    }

    /// Reads lines of a log, and waits a while for the first where there is none yet.
    pub fn read_logs(&self, inquiry: u64, instance: Instance, from: u64, wait: Span) {
        let (driver, mind) = (Arc::clone(&self.driver), self.mind.clone());
        self.tasks.spawn(async move {
            let id = instance.to_string();
            let mut chunk = driver.logs(&id, from).await;
            if chunk.lines.is_empty()
                && let Some(mut news) = driver.follow(&id)
            {
                let patience = tokio::time::timeout(wait.to_std(), news.wait_for(|next| *next > from));
                // No line in time, or no workload any more: an empty answer says so.
                let _ = patience.await;
                chunk = driver.logs(&id, from).await;
            }
            let lines = chunk.lines.into_iter().map(line_of).collect();
            let _ = mind.tell(Event::LogsRead { inquiry, lines, next: chunk.next }).await;
        });
    }

    /// Ends whatever runs and is not to be kept; what is ordered after this waits for it.
    pub fn sweep(&mut self, keep: &[Instance]) {
        let keep = keep.iter().map(ToString::to_string).collect();
        let driver = Arc::clone(&self.driver);
        let before: Vec<_> = std::mem::take(&mut self.last).into_values().chain([self.swept.clone()]).collect();
        self.swept = self.spawn(async move {
            futures::future::join_all(before).await;
            driver.sweep(&keep).await;
        });
    }

    /// Carries out an order after those given before it for the same instance.
    fn enqueue(&mut self, instance: Instance, order: impl Future<Output = ()> + Send + 'static) {
        if self.last.len() >= QUEUES {
            self.last.retain(|_, done| done.peek().is_none());
        }
        let before = self.last.get(&instance).cloned().unwrap_or_else(|| self.swept.clone());
        let done = self.spawn(async move {
            before.await;
            order.await;
        });
        self.last.insert(instance, done);
    }

    fn spawn(&self, order: impl Future<Output = ()> + Send + 'static) -> Done {
        let task = self.tasks.spawn(order);
        // An order that panicked has ended too; the next one must not wait for it for ever.
        task.map(|_| ()).boxed().shared()
    }

    fn tell(&self, event: Event) {
        let mind = self.mind.clone();
        self.tasks.spawn(async move {
            let _ = mind.tell(event).await;
        });
    }

    fn spec(
        &self,
        instance: &Instance,
        workload: Workload,
        within: Resources,
        digest: kernel::Digest,
        abroad: bool,
    ) -> runtime::Spec {
        // What a workload does not ask for it may take of what the whole allocation has.
        let of = |asked: Quantity, all: Quantity| if asked.is_zero() { all } else { asked.min(all) };
        let Workload { resources, ports, args, mut env, restart, wall, reach, .. } = workload;
        let who = if abroad { self.names.domain.clone() } else { self.names.node.to_string() };
        env.insert(NODE_VARIABLE.to_owned(), who);
        let network = reach.into_iter().filter(|host| self.policy.reach.contains(host)).collect();
        runtime::Spec {
            id: instance.to_string(),
            component: runtime::Digest(digest.0),
            args,
            env: env.into_iter().collect::<BTreeMap<_, _>>(),
            ports: ports.into_iter().map(|port| port.port).collect(),
            limits: runtime::Limits {
                memory_bytes: of(resources.memory, within.memory).to_units(),
                cpu_millis: of(resources.cpu, within.cpu).to_millis(),
                storage_bytes: of(resources.storage, within.storage).to_units(),
                wall: wall.map(Span::to_std),
            },
            restart: match restart {
                Restart::Always => runtime::Restart::Always,
                Restart::OnFailure => runtime::Restart::OnFailure,
                Restart::Never => runtime::Restart::Never,
            },
            allow: runtime::Allow { network, scratch: self.policy.scratch && !resources.storage.is_zero() },
        }
    }
}

/// Reads an instance's name back, as [`Instance`] prints it.
fn instance_of(id: &str) -> Option<Instance> {
    let (allocation, workload) = id.split_once('/')?;
    Some(Instance { allocation: allocation.parse().ok()?, workload: workload.to_owned() })
}

fn status_of(status: runtime::Status) -> Status {
    match status {
        runtime::Status::Starting => Status::Starting,
        runtime::Status::Running => Status::Running,
        runtime::Status::Succeeded => Status::Succeeded,
        runtime::Status::Failed { reason } => Status::Failed { reason },
        runtime::Status::BackingOff { reason, after } => Status::BackingOff { reason, delay: span_of(after) },
        runtime::Status::Stopped => Status::Stopped,
    }
}

fn span_of(duration: Duration) -> Span {
    Span::millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

fn line_of(line: runtime::LogLine) -> LogLine {
    let stderr = match line.stream {
        runtime::LogStream::Stdout => false,
        runtime::LogStream::Stderr | runtime::LogStream::Driver => true,
    };
    LogLine { seq: line.seq, stderr, text: line.text }
}
