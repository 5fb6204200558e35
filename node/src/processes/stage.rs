//! The stage: builds the city, acts the plan out, and holds everything against what must be, during and at the end.

use std::{
    collections::BTreeSet,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use futures::{
    future::{BoxFuture, join_all},
    stream::{FuturesUnordered, StreamExt as _},
};
use kernel::{Resources, Span};
use serde_json::Value;
use simulations::{
    outcome::{DomainMeasures, Measures, Outcome},
    plan::{Arrival, Plan},
    run::Progress,
    scenario::Where,
};
use tokio::time::{sleep, timeout};

use super::{
    Processes, Ran,
    acts::{self, Doing, What},
    auditor::Auditor,
    city::City,
    crowd,
    eyes::{self, AGAIN, Eyes},
    keeper::{Keeper, Order},
};
use crate::{
    audit,
    clock::Stopwatch,
    sandbox::{Node, Refused, Sandbox},
};

/// How much longer than two leases what may be so for a while may be so: a lease for what comes back to become active
/// again, one for the other party to notice that it did not, and this for a busy machine.
const SLACK: Span = Span::secs(8);
/// How often it is told how far a run is.
const PROGRESS: Duration = Duration::from_secs(1);
/// How many parts of a run the series of a report have.
const BUCKETS: u64 = 120;

impl Processes {
    /// Acts a plan out.
    ///
    /// # Errors
    /// When the daemons can't be made, or do not meet.
    pub async fn run(
        &self,
        scenario: &str,
        seed: u64,
        plan: &Plan,
        watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> anyhow::Result<Ran> {
        let watch_all = Stopwatch::start();
        let (doings, mut left_out) = acts::doings(plan);
        let fills = |node| move |doing: &Doing| matches!(doing.what, What::Order(other, Order::Fill) if other == node);
        let mut city = City::build(&self.exe, plan, |node| doings.iter().any(fills(node))).await?;
        left_out.append(&mut city.told);
        for (number, node) in city.nodes.iter().enumerate() {
            if plan.arrivals.iter().any(|arrival| usize::try_from(arrival.node) == Ok(number)) {
                let door = node.door().context("a daemon that does not run")?;
                door.upload("/v1/modules", crowd::COMPONENT.to_vec()).await?;
            }
        }
        let names: Vec<_> = plan.nodes.iter().map(|node| node.name.clone()).collect();
        let ids = city.nodes.iter().map(|node| node.id().to_owned());
        let lease = plan.domains.iter().map(|domain| domain.config.contract.lease).max().unwrap_or_default();
        let auditor = Auditor::new(names.iter().cloned().zip(ids), lease.plus(lease).plus(SLACK));
        let findings = eyes::findings();
        let nodes = std::mem::take(&mut city.nodes).into_iter().zip(&city.floors).enumerate();
        let keepers: Vec<_> =
            nodes.map(|(number, (node, floor))| Keeper::new(number, node, *floor, findings.clone())).collect();
        let watches = keepers.iter().map(Keeper::watch).collect();
        let eyes = Eyes::new(names, watches, auditor, findings, self.lens.as_deref());
        for node in 0..eyes.names().len() {
            let (tables, _) = eyes.tables(node).await.context("a daemon that does not run")?;
            eyes.auditor().begins(node, &tables);
        }

        let act = Act { plan, eyes: &eyes, keepers: &keepers, quiet: self.quiet };
        let is_whole = tokio::select! {
            is_whole = act.all(doings, watch) => is_whole,
            () = eyes.watch_all() => anyhow::bail!("nobody keeps the daemons any more"),
        };
        // Once more, for what keepers found since the last look.
        eyes.look().await;
        let mut nodes = Vec::new();
        for keeper in keepers {
            nodes.push(keeper.relieve().await?);
        }
        if is_whole {
            end_and_audit(&eyes, &mut nodes).await?;
        }
        let mut outcome = outcome(plan, &eyes);
        if !is_whole {
            // Who stops a run from a terminal stops the daemons, too: that is no doing of theirs.
            outcome.violations.retain(|violation| violation.what != "daemon");
        }
        outcome.scenario = scenario.to_owned();
        outcome.seed = seed;
        outcome.wall_s = watch_all.elapsed().as_secs_f64();
        if self.keep && !outcome.violations.is_empty() {
            left_out.push(keep(&nodes, city.sandbox)?);
        }
        Ok(Ran { outcome, left_out })
    }
}

/// A plan that is acted out.
struct Act<'a> {
    plan: &'a Plan,
    eyes: &'a Eyes<'a>,
    keepers: &'a [Keeper],
    /// How long each of the waits at the end may take.
    quiet: Span,
}

impl<'a> Act<'a> {
    /// Acts it out, and waits until all is over; says whether it came to that.
    async fn all(&self, doings: Vec<Doing>, watch: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> bool {
        let mut errands = FuturesUnordered::new();
        for doing in doings {
            // What is to be made good after the end is made good at the end.
            let due = doing.at.min(self.plan.length);
            if self.wait(due, &mut errands, watch).await.is_break() {
                return false;
            }
            match doing.what {
                What::Order(node, order) => {
                    if let Some(keeper) = self.keepers.get(node) {
                        keeper.order(order).await;
                    }
                }
                What::Submit(arrival) => errands.push(self.submit(arrival)),
                What::Delete(arrival) => errands.push(self.delete(arrival)),
            }
        }
        if self.wait(self.plan.length, &mut errands, watch).await.is_break() {
            return false;
        }
        while errands.next().await.is_some() {}
        self.heal().await;
        self.be_stated().await;
        self.delete_all().await;
        self.be_quiet().await;
        true
    }

    /// Waits until it is time: by a timer, since that is what the plan says.
    async fn wait(
        &self,
        due: Span,
        errands: &mut FuturesUnordered<BoxFuture<'a, ()>>,
        watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        loop {
            let age = self.eyes.age();
            watch(Progress { age, of: self.plan.length, events: self.eyes.events() })?;
            let left = due.minus(age).to_std();
            if left.is_zero() {
                return ControlFlow::Continue(());
            }
            let mut timer = std::pin::pin!(sleep(left.min(PROGRESS)));
            loop {
                tokio::select! {
                    () = &mut timer => break,
                    Some(()) = errands.next() => {}
                }
            }
        }
    }

    /// Submits an arrival; nobody is there to take it where its node is not.
    fn submit(&self, number: usize) -> BoxFuture<'a, ()> {
        let (plan, eyes) = (self.plan, self.eyes);
        Box::pin(async move {
            let Some(arrival) = plan.arrivals.get(number) else { return };
            let Ok(node) = usize::try_from(arrival.node) else { return };
            let Some(mut watch) = eyes.watch(node) else { return };
            let name = name(arrival);
            eyes.crowd().comes(name.clone(), node, eyes.age());
            let answer = match watch.door() {
                None => Err(anyhow::anyhow!("Away: the node is not there")),
                Some((door, life)) => {
                    let intent = crowd::intent(plan, arrival, &name);
                    let answer = watch.while_up(life, crowd::submit(&door, &intent)).await;
                    answer.unwrap_or_else(|| Err(anyhow::anyhow!("Away: the node went meanwhile")))
                }
            };
            if let Some(refused) = answer.as_ref().err().and_then(|error| error.downcast_ref::<Refused>())
                && refused.reason == "Malformed"
            {
                eyes.find("plan", node, format!("intent {name} is none: {}", refused.detail));
            }
            eyes.crowd().answered(&name, answer, eyes.age());
        })
    }

    /// Deletes an intent; where its node is not there, it is deleted at the end.
    fn delete(&self, number: usize) -> BoxFuture<'a, ()> {
        let (plan, eyes) = (self.plan, self.eyes);
        Box::pin(async move {
            let Some(arrival) = plan.arrivals.get(number) else { return };
            let Some((node, id)) = eyes.crowd().unwant(&name(arrival)) else { return };
            let Some(mut watch) = eyes.watch(node) else { return };
            if let Some((door, life)) = watch.door() {
                // What is not deleted now is deleted at the end.
                let _ = watch.while_up(life, crowd::delete(&door, &id)).await;
            }
        })
    }

    /// Waits until all that was ordered is done: then all faults are over.
    async fn heal(&self) {
        join_all(self.keepers.iter().map(|keeper| keeper.ordered(Order::GoOn))).await;
    }

    /// Waits until each intent is in a state that says what became of it.
    async fn be_stated(&self) {
        let mut unstated = Vec::new();
        let waited = timeout(self.quiet.to_std(), async {
            loop {
                self.read_intents().await;
                let rooms = self.rooms().await;
                unstated = self.eyes.crowd().unstated(|name| self.fits(name, &rooms));
                if unstated.is_empty() {
                    return;
                }
                sleep(AGAIN).await;
            }
        });
        if waited.await.is_err() {
            for (node, what) in unstated {
                let what = format!("{what}; {}", self.known(node).await);
                self.eyes.find("liveness", node, what);
            }
        }
    }

    /// Returns what is available of each flavour of those who can be spoken to.
    async fn rooms(&self) -> Vec<Resources> {
        let all = join_all((0..self.eyes.names().len()).map(|node| self.eyes.tables(node))).await;
        all.into_iter().flatten().flat_map(|(tables, _)| tables.flavours).map(|flavour| flavour.available).collect()
    }

    /// Says whether there is room for a replica of this intent, as far as that can be told: whoever asks for a place or a price
    /// may be refused with room all around.
    fn fits(&self, intent: &str, rooms: &[Resources]) -> bool {
        let arrival = self.plan.arrivals.iter().find(|arrival| name(arrival) == intent);
        arrival.is_some_and(|arrival| {
            let anything = arrival.place == Where::Anywhere && arrival.ceiling.is_none();
            anything && rooms.iter().any(|room| room.holds(&arrival.need).is_ok())
        })
    }

    /// Says whom and what a node knows, for whoever wonders why it finds nothing.
    async fn known(&self, node: usize) -> String {
        let Some((door, _)) = self.eyes.watch(node).and_then(|watch| watch.door()) else {
            return "its node is not there".to_owned();
        };
        let mut known = Vec::new();
        for (table, fields) in [("peers", ["node", "connected"]), ("candidates", ["owner", "available"])] {
            let rows = door.get(&format!("/v1/{table}")).await.unwrap_or_default();
            let show =
                |row: &Value| fields.map(|field| row.get(field).map(Value::to_string).unwrap_or_default()).join(" ");
            let rows: Vec<_> = rows.as_array().into_iter().flatten().map(show).collect();
            known.push(format!("{table}: [{}]", rows.join(", ")));
        }
        known.join(", ")
    }

    /// Deletes all that is left, and waits until it is gone.
    async fn delete_all(&self) {
        let waited = timeout(self.quiet.to_std(), async {
            let mut told = BTreeSet::new();
            loop {
                let remaining = self.eyes.crowd().remaining();
                let is_told = |name: &String| told.contains(name);
                let untold: Vec<_> = remaining.iter().filter(|(name, _)| !is_told(name)).cloned().collect();
                for (name, node) in untold {
                    let id = self.eyes.crowd().unwant(&name);
                    let door = self.eyes.watch(node).and_then(|watch| watch.door());
                    if let (Some((_, id)), Some((door, _))) = (id, door)
                        && crowd::delete(&door, &id).await.is_ok()
                    {
                        told.insert(name);
                    }
                }
                self.read_intents().await;
                if self.eyes.crowd().undeleted().iter().all(|(node, _)| !self.is_up(*node)) {
                    return;
                }
                sleep(AGAIN).await;
            }
        });
        if waited.await.is_err() {
            let undeleted = self.eyes.crowd().undeleted();
            for (node, what) in undeleted {
                self.eyes.find("liveness", node, what);
            }
        }
    }

    /// Waits until nothing is held anywhere, and checks what must hold then.
    async fn be_quiet(&self) {
        let mut last = Vec::new();
        let waited = timeout(self.quiet.to_std(), async {
            loop {
                let all = (0..self.eyes.names().len()).map(|node| self.eyes.tables(node));
                last = join_all(all).await;
                if last.iter().flatten().all(|(tables, _)| tables.held().is_none()) {
                    return;
                }
                sleep(AGAIN).await;
            }
        });
        // What is still held is said by the check.
        let _ = waited.await;
        let at = self.eyes.age();
        for (node, read) in last.into_iter().enumerate() {
            if let Some((tables, _)) = read {
                self.eyes.auditor().check_quiet(node, &tables, at);
            }
        }
    }

    async fn read_intents(&self) {
        join_all((0..self.eyes.names().len()).map(|node| async move {
            if let Some((door, life)) = self.eyes.watch(node).and_then(|watch| watch.door())
                && let Some(mut watch) = self.eyes.watch(node)
            {
                // Whoever does not answer is a finding of those who look at tables.
                let _ = watch.while_up(life, self.eyes.intents(node, &door)).await;
            }
        }))
        .await;
    }

    fn is_up(&self, node: usize) -> bool {
        self.eyes.watch(node).is_some_and(|watch| watch.door().is_some())
    }
}

/// Returns the name of an arrival's intent.
fn name(arrival: &Arrival) -> String {
    format!("i{}", arrival.number)
}

/// Ends all daemons, and audits their ledgers, each alone and each against all others'.
async fn end_and_audit(eyes: &Eyes<'_>, nodes: &mut [Node]) -> anyhow::Result<()> {
    let ended = join_all(nodes.iter_mut().map(Node::stop)).await;
    for (node, result) in ended.into_iter().enumerate() {
        if let Err(error) = result {
            eyes.find("daemon", node, format!("it did not end well: {error:#}"));
        }
    }
    let ledgers: Vec<PathBuf> = nodes.iter().map(|node| node.dir().join("ledger")).collect();
    for (node, ledger) in ledgers.iter().enumerate() {
        audited(eyes, node, ledger, None).await?;
    }
    for (node, ledger) in ledgers.iter().enumerate() {
        for (_, against) in ledgers.iter().enumerate().filter(|(other, _)| *other != node) {
            audited(eyes, node, ledger, Some(against)).await?;
        }
    }
    Ok(())
}

/// Audits a ledger, alone or against another.
async fn audited(eyes: &Eyes<'_>, node: usize, ledger: &Path, against: Option<&PathBuf>) -> anyhow::Result<()> {
    let (ledger, other) = (ledger.to_owned(), against.cloned());
    let report = tokio::task::spawn_blocking(move || audit::audit(&ledger, other.as_deref())).await?;
    let against = against.map(|other| format!("against {}: ", other.display())).unwrap_or_default();
    match report {
        Ok(report) if report.ok => {}
        Ok(report) => eyes.find("audit", node, format!("{against}{}", report.problems.join("; "))),
        Err(error) => eyes.find("audit", node, format!("{against}{error:#}")),
    }
    Ok(())
}

/// Leaves what the daemons wrote where it is, and says where.
fn keep(nodes: &[Node], sandbox: Sandbox) -> anyhow::Result<String> {
    for node in nodes.iter().filter(|node| node.corner().is_some()) {
        // A small disk goes with the run.
        let name = node.name();
        fs::copy(node.dir().join("ledger"), sandbox.path().join(format!("{name}.ledger")))
            .with_context(|| format!("can not keep the ledger of {name}"))?;
    }
    Ok(format!("the daemons' data is in {}", sandbox.keep().display()))
}

fn outcome(plan: &Plan, eyes: &Eyes<'_>) -> Outcome {
    let crowd = eyes.crowd();
    let bucket = Span((plan.length.0 / BUCKETS).max(1));
    let mut domains: Vec<_> = plan
        .domains
        .iter()
        .map(|domain| DomainMeasures { name: domain.name.clone(), ..DomainMeasures::default() })
        .collect();
    let domain_of = |node: usize| plan.nodes.get(node).and_then(|node| usize::try_from(node.domain).ok());
    for node in 0..plan.nodes.len() {
        if let Some(domain) = domain_of(node).and_then(|at| domains.get_mut(at)) {
            domain.nodes += 1;
        }
    }
    let mut to_running = vec![Vec::new(); usize::try_from(BUCKETS).unwrap_or_default()];
    for (node, came, ran) in crowd.times() {
        if let Some(domain) = domain_of(node).and_then(|at| domains.get_mut(at)) {
            domain.intents += 1;
            domain.ran += u64::from(ran.is_some());
        }
        let at = usize::try_from(came.0 / bucket.0).unwrap_or(usize::MAX).min(to_running.len() - 1);
        if let (Some(ran), Some(bucket)) = (ran, to_running.get_mut(at)) {
            bucket.push(u32::try_from(ran.0).unwrap_or(u32::MAX));
        }
    }
    let measures = Measures { bucket, to_running, refusals: crowd.refusals(), domains, ..Measures::default() };
    Outcome {
        scenario: String::new(),
        seed: 0,
        nodes: u32::try_from(plan.nodes.len()).unwrap_or(u32::MAX),
        virtual_s: eyes.age().0 as f64 / 1000.0,
        wall_s: 0.0,
        events: eyes.events(),
        trace_hash: String::new(),
        violations: eyes.auditor().violations().to_vec(),
        intents: crowd.tally(),
        measures,
    }
}
