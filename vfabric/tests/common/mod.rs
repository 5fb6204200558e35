//! A manager under test: inputs in, and each effect as a few words that tell it apart.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use kernel::{
    AllocationId, ContractId, Digest, Manager as _, NodeId, Quantity, RequestId, Resources, Rng, Span, Ticket, Time,
};
use rear_proto::{
    Code, Extensions, Refusal, Trace,
    fabric::{FabricAnswer, FabricAsk, FabricReply, FabricRequest},
    local::{Placement, SignedContract},
    workload::{Image, LogLine, Port, Restart, Status, Workload},
};
use vfabric::{
    Config, Effect, Input, Manager,
    mail::{Instance, Target},
};

pub const ME: NodeId = NodeId([1; 32]);
pub const PEER: NodeId = NodeId([2; 32]);
pub const CONTRACT: ContractId = ContractId([3; 16]);
pub const ALLOCATION: AllocationId = AllocationId([4; 16]);
pub const DIGEST: Digest = Digest([5; 32]);
pub const WEB: RequestId = RequestId(7);
pub const HERE: Placement = Placement::Local(ALLOCATION);
pub const THERE: Placement = Placement::Remote(CONTRACT);

/// A web server that uses one core and 64 MiB.
pub fn workload(name: &str) -> Workload {
    Workload {
        name: name.to_owned(),
        image: Image::Wasm { digest: DIGEST, size: 1000 },
        resources: resources(1),
        ports: vec![Port { name: "http".to_owned(), port: 80 }],
        args: Vec::new(),
        env: BTreeMap::new(),
        restart: Restart::Always,
        wall: None,
        reach: Vec::new(),
    }
}

/// The usual settings, with which an open peering is left in peace.
pub fn config() -> Config {
    Config { check_every: Span::secs(1_000_000), ..Config::default() }
}

/// That many cores, with 64 MiB each.
pub fn resources(cores: u64) -> Resources {
    Resources { cpu: Quantity::units(cores), memory: Quantity::bytes(cores * (64 << 20)), ..Resources::default() }
}

pub fn instance(name: &str) -> Instance {
    Instance { allocation: ALLOCATION, workload: name.to_owned() }
}

pub fn signed() -> SignedContract {
    SignedContract { id: CONTRACT, allocation: ALLOCATION, customer: PEER, partition: resources(2), abroad: false }
}

pub fn failed(reason: &str) -> Status {
    Status::Failed { reason: reason.to_owned() }
}

pub fn stamped(starts: u32, changes: u64) -> Extensions {
    let mut bytes = starts.to_le_bytes().to_vec();
    bytes.extend(changes.to_le_bytes());
    Extensions::from([(1, bytes)])
}

/// A manager, its time, and what it has said.
pub struct Story {
    pub manager: Manager,
    pub now: Time,
    ticket: u64,
    /// The number of the latest question or inquiry of each kind.
    latest: BTreeMap<&'static str, u64>,
}

impl Story {
    pub fn new() -> Self {
        Self::with(config())
    }

    pub fn with(config: Config) -> Self {
        let mut manager = Manager::new(config, ME, Rng::from_number(1));
        let mut out = Vec::new();
        manager.start(Time(0), 1, &mut out);
        assert!(matches!(&out[..], [Effect::Sweep { keep }] if keep.is_empty()), "{out:?}");
        Self { manager, now: Time(1_000_000), ticket: 0, latest: BTreeMap::new() }
    }

    /// Hands in an input and checks the words of what comes out.
    pub fn on(&mut self, input: Input, expected: &[&str]) -> &mut Self {
        let text = format!("{input:?}");
        let said = self.given(input);
        assert_eq!(said, expected, "after {text}");
        self
    }

    /// Hands in an input and returns the words of what comes out.
    pub fn given(&mut self, input: Input) -> Vec<String> {
        let mut out = Vec::new();
        self.manager.handle(self.now, input, &mut out);
        self.words(&out)
    }

    /// Lets time pass, waking the manager whenever it wants to be, and returns the words of what comes out.
    pub fn pass(&mut self, span: Span) -> Vec<String> {
        let until = self.now + span;
        let mut said = Vec::new();
        while let Some((at, _)) = self.manager.next_wake().filter(|(at, _)| *at <= until) {
            self.now = self.now.max(at);
            let mut out = Vec::new();
            self.manager.wake(self.now, &mut out);
            said.extend(self.words(&out));
        }
        self.now = until;
        said
    }

    /// Lets time pass until the manager says something, at most a minute.
    pub fn waits(&mut self) -> Vec<String> {
        let until = self.now + Span::secs(60);
        while let Some((at, _)) = self.manager.next_wake().filter(|(at, _)| *at <= until) {
            self.now = self.now.max(at);
            let mut out = Vec::new();
            self.manager.wake(self.now, &mut out);
            if !out.is_empty() {
                return self.words(&out);
            }
        }
        panic!("nothing was said for a minute");
    }

    pub fn quiet_for(&mut self, span: Span) -> &mut Self {
        let said = self.pass(span);
        assert!(said.is_empty(), "{said:?}");
        self
    }

    /// The far end says something; its tickets count from 1.
    pub fn hears(&mut self, request: FabricRequest, expected: &[&str]) -> &mut Self {
        self.hears_stamped(request, Extensions::new(), expected)
    }

    pub fn hears_stamped(&mut self, request: FabricRequest, extensions: Extensions, expected: &[&str]) -> &mut Self {
        let input = self.heard(request, extensions);
        self.on(input, expected)
    }

    pub fn heard(&mut self, request: FabricRequest, extensions: Extensions) -> Input {
        self.ticket += 1;
        let ask = Box::new(FabricAsk { request, tell: true, extensions });
        let trace = Trace::Served(self.ticket);
        Input::Heard { ticket: Ticket(self.ticket), contract: CONTRACT, peer: PEER, ask, trace }
    }

    /// The far end answers the latest question of a kind.
    pub fn answered(&mut self, kind: &'static str, answer: FabricAnswer, expected: &[&str]) -> &mut Self {
        self.answered_stamped(kind, answer, Extensions::new(), expected)
    }

    pub fn answered_stamped(
        &mut self,
        kind: &'static str,
        answer: FabricAnswer,
        extensions: Extensions,
        expected: &[&str],
    ) -> &mut Self {
        let id = self.number(kind);
        self.on(Input::Answered { id, reply: Ok(FabricReply { answer, steps: Vec::new(), extensions }) }, expected)
    }

    pub fn refused(&mut self, kind: &'static str, code: Code, expected: &[&str]) -> &mut Self {
        self.answered(kind, FabricAnswer::Refused(Refusal::new(code, "no")), expected)
    }

    /// Nothing came back to the latest question of a kind.
    pub fn unanswered(&mut self, kind: &'static str, expected: &[&str]) -> &mut Self {
        let id = self.number(kind);
        self.on(Input::Answered { id, reply: Err(Code::Timeout.into()) }, expected)
    }

    pub fn number(&self, kind: &str) -> u64 {
        *self.latest.get(kind).unwrap_or_else(|| panic!("no {kind} was said"))
    }

    // -- the usual openings ------------------------------------------------------------------------------

    /// As a consumer, with an open peering.
    pub fn consumer() -> Self {
        let mut story = Self::new();
        story.on(peer(), &["did ResourceRequestSent in Own(1)", "send ResourceRequest told in Own(1)"]).answered(
            "ResourceRequest",
            offer(),
            &["did ConsumerTold in Own(1)", "peered in Own(1)"],
        );
        story
    }

    /// As a provider, with an open peering.
    pub fn provider() -> Self {
        Self::provider_with(config())
    }

    pub fn provider_with(config: Config) -> Self {
        let mut story = Self::with(config);
        story.hears(FabricRequest::ResourceRequest { contract: CONTRACT }, &["look up in Served(1)"]);
        let found = story.looked_up(Some(signed()));
        story.on(found, &["did ProviderTold in Served(1)", "peered in Served(1)"]).on(
            Input::Activated { allocation: ALLOCATION, trace: Trace::Served(1) },
            &["did ResourceOfferSent in Served(1)", "reply 1 offer of cpu 2, memory 128Mi"],
        );
        story
    }

    /// As a provider, with a running web server.
    pub fn hosting() -> Self {
        let mut story = Self::provider();
        story
            .hears(FabricRequest::Deploy(workload("web")), &["start web within cpu 2, memory 128Mi"])
            .on(status("web", Status::Running), &["reply 2 deployed Running"]);
        story
    }

    pub fn looked_up(&self, found: Option<SignedContract>) -> Input {
        Input::LookedUp { inquiry: self.number("inquiry"), found, trace: Trace::None }
    }

    fn words(&mut self, out: &[Effect]) -> Vec<String> {
        out.iter().map(|effect| self.word(effect)).collect()
    }

    fn word(&mut self, effect: &Effect) -> String {
        match effect {
            Effect::Send { id, ask, trace, .. } => {
                let (kind, more) = match &ask.request {
                    FabricRequest::ResourceRequest { .. } => ("ResourceRequest", String::new()),
                    FabricRequest::Deploy(workload) => ("Deploy", format!(" {}", workload.name)),
                    FabricRequest::Undeploy { workload } => ("Undeploy", format!(" {workload}")),
                    FabricRequest::Status { workload, status } => ("Status", format!(" {workload} {}", how(status))),
                    FabricRequest::Logs { workload, from, .. } => ("Logs", format!(" {workload} from {from}")),
                    FabricRequest::Close => ("Close", String::new()),
                    FabricRequest::Returned => ("Returned", String::new()),
                };
                self.latest.insert(kind, *id);
                let told = if ask.tell { format!(" told in {trace:?}") } else { String::new() };
                format!("send {kind}{more}{told}")
            }
            Effect::Ship { id, digest, .. } => {
                self.latest.insert("Ship", *id);
                format!("ship {}", &digest.to_string()[..4])
            }
            Effect::Reply { ticket, reply } => {
                let answer = match &reply.answer {
                    FabricAnswer::ResourceOffer { resources, .. } => format!("offer of {resources}"),
                    FabricAnswer::Deployed(status) => format!("deployed {}", how(status)),
                    FabricAnswer::Missing(_) => "missing".to_owned(),
                    FabricAnswer::Logs { lines, next } => format!("{} lines, next {next}", lines.len()),
                    FabricAnswer::Done => "done".to_owned(),
                    FabricAnswer::Refused(refusal) => refusal.to_string(),
                };
                format!("reply {} {answer}", ticket.0)
            }
            Effect::LookUp { inquiry, trace, .. } => {
                self.latest.insert("inquiry", *inquiry);
                format!("look up in {trace:?}")
            }
            Effect::Peered { trace, .. } => format!("peered in {trace:?}"),
            Effect::Unpeered { refusal, .. } => format!("unpeered {}", refusal.code()),
            Effect::Gone { .. } => "gone".to_owned(),
            Effect::Status { request, status } => format!("status {} {}", request.0, how(status)),
            Effect::Undeployed { request } => format!("undeployed {}", request.0),
            Effect::Exposed { request, port, url } => format!("exposed {} {port} {url}", request.0),
            Effect::Start { instance, within, abroad, .. } => {
                format!("start {} within {within}{}", instance.workload, if *abroad { " abroad" } else { "" })
            }
            Effect::Stop { instance, grace } => format!("stop {} in {grace}", instance.workload),
            Effect::ReadLogs { inquiry, instance, from, wait } => {
                self.latest.insert("read", *inquiry);
                format!("read {} from {from} wait {wait}", instance.workload)
            }
            Effect::Sweep { keep } => format!("sweep but {}", keep.len()),
            Effect::Expose { request, target, name, port } => {
                let place = match target {
                    Target::Here(instance) => format!("{} here", instance.workload),
                    Target::There { workload, .. } => format!("{workload} there"),
                };
                format!("expose {} {name} {port} of {place}", request.0)
            }
            Effect::Unexpose { request } => format!("unexpose {}", request.0),
            Effect::Respond { ticket, result } => match result {
                Ok((lines, next)) => format!("respond {} {} lines, next {next}", ticket.0, lines.len()),
                Err(refusal) => format!("respond {} {}", ticket.0, refusal.code()),
            },
            Effect::Keep(row) => panic!("nothing is kept: {row:?}"),
            Effect::Did(trace, deed) => format!("did {deed:?} in {trace:?}"),
        }
    }
}

/// How a replica is, in a word, with the reason where there is one.
pub fn how(status: &Status) -> String {
    match status {
        Status::Failed { reason } => format!("Failed: {reason}"),
        Status::BackingOff { reason, .. } => format!("BackingOff: {reason}"),
        Status::Starting => "Starting".to_owned(),
        Status::Running => "Running".to_owned(),
        Status::Succeeded => "Succeeded".to_owned(),
        Status::Stopped => "Stopped".to_owned(),
    }
}

pub fn peer() -> Input {
    Input::Peer { allocation: ALLOCATION, contract: CONTRACT, provider: PEER, trace: Trace::Own(1) }
}

pub fn offer() -> FabricAnswer {
    FabricAnswer::ResourceOffer { resources: resources(2), runtimes: vec!["wasm".to_owned()] }
}

pub fn deploy(on: Placement) -> Input {
    Input::Deploy { request: WEB, on, workload: Box::new(workload("web")) }
}

pub fn undeploy(on: Placement) -> Input {
    Input::Undeploy { request: WEB, on, workload: "web".to_owned() }
}

pub fn status(name: &str, status: Status) -> Input {
    Input::InstanceStatus { instance: instance(name), status }
}

pub fn gone(name: &str) -> Input {
    Input::InstanceGone { instance: instance(name) }
}

pub fn closed() -> Input {
    Input::Closed { contract: CONTRACT }
}

pub fn clear() -> Input {
    Input::Clear { allocation: ALLOCATION }
}

pub fn line(seq: u64) -> LogLine {
    LogLine { seq, stderr: false, text: "hello".to_owned() }
}
