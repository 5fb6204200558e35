//! What worlds are made of: offers, intents, members.

use agent::{Config, Identity};
use kernel::{Digest, DomainKey, IntentId, Quantity, Resource, Resources, Rng, Span, Time};
use orchestrator::{intent::Intent, parse};
use rear::offer::Offer;
use rear_proto::{
    Kind, Money, Period, Policies, Price, Properties, Row, Signed, Signer,
    flavour::{Domain, K8Slice, Partitionable, Party},
    local::DomainSecret,
    membership::{Certificate, Credentials, IssuerList, Role, Token},
    message::Joined,
    workload::Image,
};

use super::node::Node;

/// Makes resources.
pub(crate) fn room(cpu: &str, memory: &str) -> Resources {
    Resources {
        cpu: cpu.parse().unwrap(),
        memory: memory.parse().unwrap(),
        pods: Quantity::units(100),
        ..Resources::default()
    }
}

/// What one replica takes.
pub(crate) fn one() -> Resources {
    Resources { pods: Quantity::units(1), ..room("500m", "64Mi") }
}

/// Makes an offer in parts of 100m and 16Mi.
pub(crate) fn offer(base: Resources) -> Offer {
    let least = Resources { pods: Quantity::units(1), ..room("100m", "16Mi") };
    Offer {
        name: "machine".to_owned(),
        kind: Kind::K8Slice(K8Slice {
            architecture: "amd64".to_owned(),
            gpu_model: None,
            runtimes: vec!["wasm".to_owned()],
        }),
        base,
        policies: Policies { partitionable: Some(Partitionable { min: least, step: least }), aggregatable: None },
        price: Price {
            amount: Money(400_000),
            currency: rear_proto::Currency::EUR,
            period: Period::Hour,
            priced: vec![Resource::Cpu, Resource::Memory],
        },
        properties: Properties::default(),
        location: None,
        expires_in: Span::secs(60),
    }
}

/// Makes an intent of so many replicas of 500m and 64Mi each, to be contracted for `term` at a time.
pub(crate) fn intent(name: &str, replicas: u32, term: Span) -> Intent {
    let text = format!(
        "apiVersion: tombolo/v1\nkind: Intent\nmetadata: {{ name: {name} }}\nspec:\n  workloads:\n    - name: {name}\n      \
         wasm: ./web.wasm\n      resources: {{ cpu: 500m, memory: 64Mi }}\n      ports: [{{ name: http, port: 80 }}]\n      \
         replicas: {replicas}\n  term: {term}\n"
    );
    let parsed = parse::parse(&text).unwrap();
    parsed.resolve(|_| Ok::<_, std::convert::Infallible>((Digest::of(b"web"), 3))).unwrap()
}

/// Numbers an intent.
pub(crate) fn id(number: u64) -> IntentId {
    IntentId::derive("test", &[&number.to_le_bytes()])
}

/// Clocks that run out within seconds, so that a run passes through all of them.
pub(crate) fn fast() -> Config {
    let mut config = Config::default();
    config.contract.lease = Span::secs(6);
    config.contract.activate_within = Span::secs(4);
    config.contract.purchase_within = Span::secs(3);
    config.contract.release_answer_within = Span::secs(2);
    config.contract.capacity_back_within = Span::millis(1500);
    config.vfabric.grace = Span::secs(1);
    config
}

/// Clocks that never run out while anybody looks: what is put right under them is put right by being said.
pub(crate) fn slow() -> Config {
    let mut config = fast();
    config.contract.lease = Span::secs(600);
    config.contract.activate_within = Span::secs(600);
    config.contract.purchase_within = Span::secs(600);
    config
}

/// Makes the nodes of one domain, the first its issuer; each offers what is given for it.
pub(crate) fn domain(rng: &mut Rng, now: Time, offers: Vec<Vec<Offer>>, config: &Config) -> Vec<Node> {
    let domain_signer = Signer::from_secret(&rng.bytes());
    let issuer = Signer::from_secret(&rng.bytes());
    let domain = Domain { key: DomainKey(domain_signer.id().0), name: "world".to_owned() };
    let list = IssuerList {
        domain: domain.clone(),
        number: 1,
        issuers: vec![issuer.id()],
        expires: now + Span::secs(1_000_000),
        extensions: Default::default(),
    };
    let list = Signed::new(list, &domain_signer);
    let mut nodes = Vec::new();
    for (index, offers) in offers.into_iter().enumerate() {
        let mut config = config.clone();
        config.rear.offers = offers;
        let (signer, rows) = if index == 0 {
            let (secret, config) = (DomainSecret([7; 32]), &config.federation);
            let rows = federation::genesis::found("world", &domain_signer, &issuer, Role::Node, now, config, secret);
            (issuer.clone(), rows)
        } else {
            let signer = Signer::from_secret(&rng.bytes());
            let rows = member_rows(&list, &domain, &issuer, &signer, now);
            (signer, rows)
        };
        let me = Identity { signer, domain: domain.key, role: Role::Node };
        nodes.push(Node::new(me, config, rows));
    }
    nodes
}

/// The rows of a node that has joined at the issuer.
fn member_rows(list: &Signed<IssuerList>, domain: &Domain, issuer: &Signer, node: &Signer, now: Time) -> Vec<Row> {
    let certificate = Certificate {
        domain: domain.key,
        node: node.id(),
        role: Role::Node,
        issuer: issuer.id(),
        issued: now,
        expires: now + Span::secs(30 * 86_400),
        extensions: Default::default(),
    };
    let credentials = Credentials { list: list.clone(), certificate: Signed::new(certificate, issuer) };
    let joined = Joined { credentials, descriptor: None, peers: Vec::new(), extensions: Default::default() };
    let token = Token {
        domain: domain.clone(),
        issuer: Party { node: issuer.id(), addresses: Vec::new() },
        secret: [0; 16],
        role: Role::Node,
        expires: now + Span::secs(60),
    };
    federation::genesis::joined(&token, node.id(), &joined, now).unwrap()
}

/// Which components an intent needs.
pub(crate) fn digests(intent: &Intent) -> Vec<Digest> {
    intent
        .workloads
        .iter()
        .filter_map(|workload| match workload.workload.image {
            Image::Wasm { digest, .. } => Some(digest),
            Image::Oci(_) => None,
        })
        .collect()
}
