//! One sample of every message, by a name that never changes.

use std::collections::BTreeMap;

use kernel::{ContractId, Digest, FlavourId, Key, QueryId, Span};
use rear_proto::{
    CapacityDigest,
    capacity::{Gathering, Group, Words},
    contract::{Endorsement, Mode},
    fabric::{FabricAnswer, FabricAsk, FabricReply, FabricRequest},
    membership::Role,
    message::{
        Accept, Accepted, Advertise, Answer, Ask, Buy, EndReason, Extensions, Flavours, Hello, Join, Joined, Keepalive,
        List, Offered, Partners, PublishedFlavours, Refresh, Release, Renew, Reply, Request, Reserve, Scope, Subscribe,
        Taken, Withdraw, Withdrawn,
    },
    partner::PartnerState,
    refusal::{Code, Refusal},
    signed::Signed,
    story::{Deed, Place, Step, StepManager},
    workload::{Image, LogLine, Port, Restart, Status, Workload},
};

use super::*;

type Named<T> = Vec<(&'static str, T)>;

pub fn requests() -> Named<Request> {
    let (now, deadline, extensions) = (NOW, Span::secs(5), Extensions::new());
    let list = List {
        query: QueryId([20; 16]),
        selector:
            "cpu>=2, memory in 1Gi..4Gi, cpu<=64, gpu=0, price<=0.10EUR/h, latency<=50, arch=amd64, kind=K8Slice, \
                   location=IT, domain in (beta, gamma), tags not in (slow), property.rack=\"r 12\""
                .parse()
                .unwrap(),
        limit: 32,
        scope: Scope::Domain,
        exclude: vec![FlavourId([21; 16])],
        hops_left: 3,
        trail: vec![[22; 16]],
        deadline,
        extensions: super::extensions(),
    };
    vec![
        ("hello", Request::Hello(hello())),
        ("hello-stranger", Request::Hello(stranger())),
        (
            "join",
            Request::Join(Join {
                secret: [23; 16],
                node: buyer().id(),
                role: Role::Node,
                extensions: extensions.clone(),
            }),
        ),
        ("list", Request::List(list.clone())),
        ("list-partners", Request::List(List { scope: Scope::Partners, trail: Vec::new(), ..list.clone() })),
        ("list-own", Request::List(List { scope: Scope::Own, selector: "".parse().unwrap(), ..list })),
        (
            "reserve",
            Request::Reserve(Reserve {
                now,
                deadline,
                endorsement: Endorsement::Member(credentials(buyer().id())),
                order: Signed::new(order(Mode::Direct), &buyer()),
                extensions: extensions.clone(),
            }),
        ),
        (
            "purchase",
            Request::Purchase(Buy { now, deadline, purchase: held().purchase, extensions: extensions.clone() }),
        ),
        (
            "renew",
            Request::Renew(Renew {
                now,
                deadline,
                ask: Signed::new(renewal_ask(), &buyer()),
                extensions: extensions.clone(),
            }),
        ),
        (
            "release",
            Request::Release(Release {
                key: Key([10; 16]),
                buyer: buyer().id(),
                reason: EndReason::Lost,
                extensions: extensions.clone(),
            }),
        ),
        ("keepalive", Request::Keepalive(Keepalive { contracts: vec![ContractId([24; 16])], extensions })),
    ]
    .into_iter()
    .chain(border_requests())
    .collect()
}

/// The questions of supernodes, partners and catalogues.
fn border_requests() -> Named<Request> {
    let endorsement = vouched([11; 32]);
    let order = Signed::new(order(Mode::Direct), &buyer());
    let states = [PartnerState::On, PartnerState::Suspended, PartnerState::Removed];
    vec![
        (
            "reserve-vouched",
            Request::Reserve(Reserve {
                now: NOW,
                deadline: Span::secs(5),
                endorsement,
                order,
                extensions: extensions(),
            }),
        ),
        (
            "accept",
            Request::Accept(Accept {
                secret: [23; 16],
                credentials: supernode_credentials(),
                descriptor: Some(descriptor()),
                addresses: party(supernode().id()).addresses,
                extensions: extensions(),
            }),
        ),
        ("partners", Request::Partners(Partners { partners: states.map(partner).to_vec(), extensions: extensions() })),
        ("advertise", Request::Advertise(advertise())),
        (
            "refresh",
            Request::Refresh(Refresh {
                feed: 300,
                number: 8,
                offers: vec![Offered::Direct(Box::new(flavour()))],
                extensions: extensions(),
            }),
        ),
        (
            "withdraw",
            Request::Withdraw(Withdraw { feed: 300, number: 9, offers: withdrawn(), extensions: extensions() }),
        ),
        (
            "subscribe",
            Request::Subscribe(Subscribe {
                selector: "cpu>=2, location=IT".parse().unwrap(),
                within: Span::secs(60),
                extensions: extensions(),
            }),
        ),
        ("capacity-digest", Request::CapacityDigest(capacity_digest())),
    ]
}

/// Of two offers that differ in their places, and one of which nothing is known.
pub fn capacity_digest() -> CapacityDigest {
    let elsewhere = Location { country: Some("FR".to_owned()), ..Location::default() };
    let mut gathering = Gathering::default();
    gathering.add(Group::of(&flavour()));
    gathering.add(Group::of(&Flavour { location: Some(elsewhere), ..flavour() }));
    gathering.fit();
    let nothing = Group { kinds: Words::Any, properties: None, price: None, ..gathering.groups()[0].clone() };
    CapacityDigest {
        number: Epoch { starts: 3, changes: 300 },
        domain: flavour().domain,
        groups: gathering.groups().iter().cloned().chain([nothing]).collect(),
        everything: false,
        expires_in: Span::secs(180),
        extensions: extensions(),
    }
}

pub fn advertise() -> Advertise {
    let signed = Offered::Signed(Box::new(Signed::new(published(), &supernode())));
    Advertise {
        feed: 300,
        number: 7,
        offers: vec![Offered::Direct(Box::new(flavour())), signed],
        more: true,
        extensions: extensions(),
    }
}

fn withdrawn() -> Vec<Withdrawn> {
    [None, Some(viewer())].map(|viewer| Withdrawn { viewer, flavour: FlavourId([27; 16]) }).to_vec()
}

pub fn asks() -> Named<Ask> {
    let ask = |request| Ask { request, tell: true, extensions: extensions() };
    requests().into_iter().map(|(name, request)| (name, ask(request))).collect()
}

fn hello() -> Hello {
    Hello {
        credentials: Some(credentials(buyer().id())),
        descriptor: Some(descriptor()),
        addresses: party(buyer().id()).addresses,
        now: NOW,
        extensions: Extensions::new(),
    }
}

fn stranger() -> Hello {
    Hello { credentials: None, descriptor: None, addresses: Vec::new(), now: NOW, extensions: Extensions::new() }
}

pub fn steps() -> Vec<Step> {
    vec![
        Step { deed: Deed::ListSent, node: Place::Node(buyer().id()), manager: StepManager::DM, at: Span::millis(3) },
        Step {
            deed: Deed::WorkloadDeployed,
            node: Place::Behind("P".to_owned()),
            manager: StepManager::VFM,
            at: Span::millis(300),
        },
    ]
}

pub fn answers() -> Named<Answer> {
    let joined = Joined {
        credentials: credentials(buyer().id()),
        descriptor: Some(descriptor()),
        peers: vec![party(seller().id())],
        extensions: extensions(),
    };
    let flavours = Flavours { flavours: flavours(), partial: true, silent: 2, extensions: extensions() };
    vec![
        ("hello", Answer::Hello(hello())),
        ("joined", Answer::Joined(joined)),
        ("flavours", Answer::Flavours(flavours)),
        ("reserved", Answer::Reserved(held().reserved)),
        ("contract-direct", Answer::Contract(Signed::new(contract(Mode::Direct), &seller()))),
        ("contract-hold", Answer::Contract(Signed::new(contract(Mode::Hold), &seller()))),
        ("renewed", Answer::Renewed(Signed::new(renewal(), &seller()))),
        ("released", Answer::Released),
        ("dead", Answer::Dead(vec![ContractId([24; 16])])),
        ("refused", Answer::Refused(Refusal::new(Code::Overloaded, "too much").retry_after(Span::secs(2)))),
        ("refused-plain", Answer::Refused(Code::NotFound.into())),
        ("contract-vouched", Answer::Contract(Signed::new(contract_abroad(), &seller()))),
        (
            "accepted",
            Answer::Accepted(Accepted {
                credentials: supernode_credentials(),
                descriptor: Some(descriptor()),
                addresses: party(supernode().id()).addresses,
                extensions: super::extensions(),
            }),
        ),
        ("noted", Answer::Noted),
        ("taken", Answer::Taken(Taken { next: 300 })),
        ("snapshot", Answer::Snapshot(advertise())),
        (
            "published",
            Answer::Published(PublishedFlavours {
                offers: vec![Signed::new(published(), &supernode())],
                partial: true,
                extensions: super::extensions(),
            }),
        ),
    ]
}

pub fn replies() -> Named<Reply> {
    let reply = |answer| Reply { answer, steps: steps(), extensions: extensions() };
    answers().into_iter().map(|(name, answer)| (name, reply(answer))).collect()
}

pub fn workload() -> Workload {
    Workload {
        name: "web-1".to_owned(),
        image: Image::Wasm { digest: Digest([25; 32]), size: 123_456 },
        resources: resources("500m", "64Mi", 1),
        ports: vec![Port { name: "http".to_owned(), port: 80 }],
        args: vec!["--quiet".to_owned()],
        env: BTreeMap::from([("GREETING".to_owned(), "hello".to_owned())]),
        restart: Restart::OnFailure,
        wall: Some(Span::secs(60)),
        reach: vec!["example.org:443".to_owned()],
    }
}

pub fn fabric_asks() -> Named<FabricAsk> {
    let name = || "web-1".to_owned();
    let status = |status| FabricRequest::Status { workload: name(), status };
    let oci = Workload {
        image: Image::Oci("docker.io/library/nginx:1.27".to_owned()),
        restart: Restart::Always,
        wall: None,
        ..workload()
    };
    let requests = vec![
        ("resource-request", FabricRequest::ResourceRequest { contract: ContractId([24; 16]) }),
        ("deploy-wasm", FabricRequest::Deploy(workload())),
        ("deploy-oci", FabricRequest::Deploy(oci)),
        ("undeploy", FabricRequest::Undeploy { workload: name() }),
        ("status-starting", status(Status::Starting)),
        ("status-running", status(Status::Running)),
        ("status-succeeded", status(Status::Succeeded)),
        ("status-failed", status(Status::Failed { reason: "exit 1".to_owned() })),
        ("status-backing-off", status(Status::BackingOff { reason: "exit 1".to_owned(), delay: Span::secs(1) })),
        ("status-stopped", status(Status::Stopped)),
        ("logs", FabricRequest::Logs { workload: name(), from: 7, wait: Span::secs(10) }),
        ("close", FabricRequest::Close),
        ("returned", FabricRequest::Returned),
    ];
    let ask = |request| FabricAsk { request, tell: true, extensions: extensions() };
    requests.into_iter().map(|(name, request)| (name, ask(request))).collect()
}

pub fn fabric_replies() -> Named<FabricReply> {
    let line = |seq, stderr| LogLine { seq, stderr, text: "ready".to_owned() };
    let answers = vec![
        (
            "resource-offer",
            FabricAnswer::ResourceOffer { resources: resources("1", "1Gi", 1), runtimes: vec!["wasm".to_owned()] },
        ),
        ("deployed", FabricAnswer::Deployed(Status::Starting)),
        ("missing", FabricAnswer::Missing(Digest([25; 32]))),
        ("logs", FabricAnswer::Logs { lines: vec![line(7, false), line(8, true)], next: 9 }),
        ("done", FabricAnswer::Done),
        ("refused", FabricAnswer::Refused(Refusal::new(Code::Closed, "the contract is over"))),
    ];
    let reply = |answer| FabricReply { answer, steps: steps(), extensions: extensions() };
    answers.into_iter().map(|(name, answer)| (name, reply(answer))).collect()
}
