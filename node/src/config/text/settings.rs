//! What each setting means, in the order in which the file has them. The default stands in the file by itself.

/// A table of the file.
pub(super) struct Section {
    /// The table's name, with dots for one within another; empty for what stands at the top.
    pub(super) name: &'static str,
    /// What it is about.
    pub(super) about: &'static str,
    /// Its keys, each with its meaning and unit.
    pub(super) settings: &'static [(&'static str, &'static str)],
}

pub(super) const ABOUT_OFFERS: &str = "\
What this node offers: one [[offer]] table for each flavour, none for a node that only uses what others offer.
The figures are a base that does not change by itself; what is in use is taken off it as the node runs.
`tombolo flavours offer FILE` adds offers without a restart.";

/// The tables of an offer, by the line that begins each.
pub(super) const OFFER_SECTIONS: &[(&str, &str)] = &[
    (
        "[[offer]]",
        "The flavour's id follows from its name: rename it, and it is another flavour. Kinds: K8Slice, VM, Service, \
         Sensor. A copy that others hold may be relied on for `expiresIn` (at most 1d).",
    ),
    (
        "[offer.characteristics]",
        "The whole of it, as Kubernetes writes quantities (500m, 1.5, 64Mi), and the drivers that run workloads.",
    ),
    ("[offer.policies.partitionable.min]", "The smallest part that may be asked for."),
    ("[offer.policies.partitionable.step]", "And what a larger part grows by: a part is min + k * step."),
    (
        "[offer.price]",
        "What the whole base costs for each period (minute, hour, day, month). A part costs its largest share of \
         the resources that are priced.",
    ),
];

/// Examples of what is a table, each shown behind the setting that it is of; their lines are no settings.
pub(super) const EXAMPLES: &[(&str, &str, &str)] = &[
    (
        "discovery",
        "subscribe",
        "\
[[discovery.subscribe]]
to = \"beta\"
selector = \"kind=K8Slice\"",
    ),
    (
        "discovery",
        "expose",
        "\
[[discovery.expose]]
partners = [\"beta\"]
what = \"kind=K8Slice, location=IT\"
resale = false",
    ),
];

pub(super) const SECTIONS: &[Section] = &[
    Section {
        name: "",
        about: "The node.",
        settings: &[
            (
                "role",
                "What this node is for its domain, as its certificate says: \"node\"; \"supernode\", which speaks for the \
                 domain across the border and holds what its nodes offer; or \"catalogue\", which keeps other domains' \
                 offers.",
            ),
            (
                "listen",
                "Multiaddresses to listen on for other nodes, over QUIC and TCP; port 0 lets the system choose. \
                 Behind a firewall, choose ports and open them. None (`[]`) for a node that only dials out.",
            ),
            (
                "announce",
                "Whether others are told where this node can be reached. `false` for one that listens and can't be \
                 reached from outside, behind a router that lets nothing in: it dials out, others deal with it through \
                 its domain's supernode, and it is not found on the local network either.",
            ),
            (
                "bootstrap",
                "Multiaddresses of nodes to find the domain by; `init --join` writes those of the token here.",
            ),
            ("mdns", "Whether to look for nodes, and be found, on the local network."),
            (
                "api",
                "Address and port of the local API and its bearer token; port 0 lets the system choose. Anything \
                 but a loopback address lets others reach it: it speaks plain HTTP.",
            ),
            ("expose", "The address at which the ports of this node's own workloads are reached."),
        ],
    },
    Section {
        name: "transport",
        about: "Connections to other nodes.",
        settings: &[
            ("ping-every", "How long a connection rests between one ping and the next."),
            ("ping-failures", "How many pings in a row must fail before a connection counts as dead; at least 2."),
            ("redial-most", "The longest pause between two tries to reach a node again; the pauses double up to it."),
            ("max-connections", "Connections in all, both ways."),
        ],
    },
    Section {
        name: "storage",
        about: "The disk.",
        settings: &[(
            "floor-mib",
            "Free MiB on the disk below which nothing more is promised: room to record releases remains.",
        )],
    },
    Section {
        name: "runtime",
        about: "What workloads may use here.",
        settings: &[
            ("max-module-mib", "The largest component that is taken in, in MiB."),
            ("modules-mib", "MiB for all components that are kept; those unused for longest make room."),
            (
                "reach",
                "Hosts that workloads may send HTTP requests to, where they ask for it: \"host\" or \"host:port\". \
                 None by default.",
            ),
            ("scratch", "Whether a workload that asks for storage gets an empty directory of its own."),
        ],
    },
    Section {
        name: "orchestrator",
        about: "Intents: from what is wanted to where it runs.",
        settings: &[
            (
                "intents",
                "The most intents at once, failed ones that nobody has deleted among them (some 20 KiB \
            each).",
            ),
            ("deleted-shown", "How many deleted intents can still be looked at, until the next restart."),
            (
                "first-retry",
                "The wait for a place after the second loss in a row; it doubles with each further one. The first \
                 loss is answered at once.",
            ),
            ("longest-retry", "The longest wait between two looks for a place."),
            ("steady-after", "How long a replica must have run for its losses before that to be forgotten."),
            (
                "losses-before-running",
                "How often a replica's place may be lost before its intent has run at all: then the intent fails.",
            ),
        ],
    },
    Section {
        name: "rear",
        about: "Capacity, and the choice among candidates.",
        settings: &[
            ("candidates", "How many candidates are asked for and ranked at a time."),
            ("max-age", "How old a candidate may be and still be tried without asking around first."),
            ("rounds", "How often one request asks around: once, and again, wider, when all have refused."),
            ("tolerance-percent", "By how much a price may have risen since it was seen, in per cent of it."),
            ("settle", "How long after a start what was kept waits to be claimed; then it is given back."),
            ("released-shown", "How many allocations are still shown after they are released."),
            ("peers-rated", "How many peers are rated; past that, the one unheard of for longest is forgotten."),
            ("rating-kept-every", "How often the rating of one peer is written down, at most."),
        ],
    },
    Section {
        name: "rear.ranking",
        about: "How much each part counts in ranking; only their proportions matter.",
        settings: &[
            ("fit", "How little of the partition is wasted."),
            ("price", "How cheap it is among what is offered."),
            ("latency", "How near it is."),
            ("rating", "How well its provider did before."),
        ],
    },
    Section {
        name: "discovery",
        about: "Asking around, and answering.",
        settings: &[
            ("list-deadline", "In which time each endpoint must have answered a LIST_FLAVOURS."),
            (
                "first-contact",
                "How long after the start a question waits for somebody to be reached, where nobody is yet.",
            ),
            ("gather", "How long such a question waits for others when the first has been reached."),
            ("endpoints", "The most endpoints that one question goes to, where no supernode is connected."),
            ("neighbours", "The most nodes of the domain that are asked beside a supernode."),
            ("explore", "How many of those are drawn at random; the others are the nearest."),
            ("answer-limit", "The most offers that an endpoint is asked for, and that an answer has (at most 256)."),
            (
                "max-hops",
                "How many nodes a question of this one may pass at most, supernodes of partners among them (at most 16).",
            ),
            ("hedge-least", "The shortest time that a supernode has before a second one is asked too."),
            (
                "relay-margin",
                "What a supernode keeps of an asker's time for itself, for its own part and the way back.",
            ),
            (
                "ask-partners",
                "Whether this node, as a supernode, asks partners where its own domain has too little; catalogues it asks anyway.",
            ),
            (
                "digests",
                "Whether this node, as a supernode, tells partners in short what they may find here, and asks those \
                 that have said that they have nothing that fits only where nobody else has anything.",
            ),
            ("digest-growth", "How long what has grown waits for others before partners are told."),
            ("digest-shrink", "How long what has shrunk waits before all is looked at again and partners are told."),
            (
                "digest-heartbeat",
                "After which time partners are told again what is as it was; without a word for three times that, they \
                 ask. At least 1 s.",
            ),
            (
                "margin",
                "As a supernode: what is put on the price of that which is passed on across the border, either way.",
            ),
            (
                "longest-life",
                "The longest that a candidate is kept without hearing of it again, whatever its offer says.",
            ),
            ("candidates", "The most candidates that are kept; over it, those that expire first are dropped."),
            (
                "candidates-at-supernode",
                "The same at a supernode, which holds what its whole domain offers and what partners show.",
            ),
            ("candidates-per-provider", "The most candidates of one provider."),
            ("candidates-per-supernode", "The most candidates of one supernode, which answers for a whole domain."),
            (
                "offer-bytes",
                "The largest offer that is kept, in bytes on the wire; common ones have half a \
            kilobyte.",
            ),
            ("queries", "The most questions of others that are remembered, so that a repeat gets the same answer."),
            ("save-every", "How long changed candidates wait to be written down together."),
            ("explained", "The most offers that an explanation says why they were ruled out."),
            (
                "disbelieved",
                "The most published offers that were not believed which are remembered, to be told of in an explanation.",
            ),
            (
                "feed-every",
                "How long changes of offers wait for others before a supernode, a catalogue or a subscriber is told.",
            ),
            (
                "feed-deadline",
                "In which time one that is told of offers must have answered, before it is told everything anew.",
            ),
            (
                "feed-offers",
                "The most offers that one other node is told of, and the most that one catalogue may tell of.",
            ),
            (
                "subscribe-within",
                "For how long a subscription of this node's own stands; it is said again at half of that.",
            ),
            ("subscribers", "The most that may subscribe here; a domain may with 16 nodes at the most."),
            (
                "told-per-minute",
                "The most messages about offers that one node of another domain may send within a minute.",
            ),
            ("asked-per-minute", "The most questions that one node of another domain may put within a minute."),
            ("catalogue-offers", "As a catalogue: the most offers that are kept, some 2 KiB each."),
            ("catalogue-offers-per-domain", "The most of one domain."),
            ("catalogue-offers-per-publisher", "The most of one supernode."),
            (
                "subscribe",
                "Whose offers a supernode wants to be told of without asking: one [[discovery.subscribe]] table for \
                 each, of which the first that fits counts. `to`: the name that a partner has here, or \"catalogues\" for \
                 every catalogue. `selector`: what is wanted; everything, where it is left out.",
            ),
            (
                "expose",
                "What partners are shown, at a supernode: one [[discovery.expose]] table for each rule, here behind the \
                 other settings of [discovery]; without any, nothing. `partners`: to which, by the names that they have \
                 here, or \"*\". `what`: a selector, as `tombolo discover` takes it; everything, where it is left out. \
                 `resale`: whether that is also true of what other partners offer.",
            ),
        ],
    },
    Section {
        name: "contract",
        about: "Agreeing contracts, and keeping to them.",
        settings: &[
            ("answer-within", "In which time RESERVE, PURCHASE and RENEW must be answered, all tries together."),
            ("tries", "How often RESERVE and PURCHASE are said before that time is over."),
            ("repeat-after", "The wait before a question is repeated; for RELEASE it doubles each time."),
            (
                "release-answer-within",
                "In which time one RELEASE must be answered; longer than `capacity-back-within`.",
            ),
            (
                "nesting-margin",
                "As a relay: how much sooner what is promised outward ends than what it rests on; less where *activate \
                 within* is under ten times as much.",
            ),
            ("hop-margin", "As a relay: what is kept of an asker's time for its own part and the way back."),
            (
                "activate-within",
                "As a buyer: a contract that no peering has opened by then lapses, and nothing is owed.",
            ),
            ("max-activate-within", "As a seller: the longest *activate within* that is agreed to."),
            ("purchase-within", "As a seller: for how long a hold may be purchased."),
            (
                "lease",
                "How long a contract lives without a word from the other party; a keepalive goes out every third of \
                 it.",
            ),
            ("max-term", "As a seller: the longest term that is agreed at once."),
            ("max-total-term", "As a seller: the longest that a contract can last with all its renewals."),
            ("renew-at-percent", "After which part of its term a contract in use is renewed, in per cent."),
            ("clock-skew", "By how much the clocks of buyer and seller may differ."),
            ("capacity-back-within", "How long the answer to a RELEASE waits for the workloads to be gone, at most."),
            ("pending-per-buyer", "The most holds, and contracts not yet active, of one buyer."),
            (
                "pending-per-partner",
                "The same of one supernode, which buys for many: a partner's, or the own domain's.",
            ),
            ("pending", "The most of them of all buyers together."),
            ("orders-per-hour", "The most orders and renewals that are taken of one buyer within an hour."),
            ("orders-per-hour-per-partner", "The same of one supernode."),
            ("keys-kept", "How long the key of an order is remembered after what it named has ended."),
            ("max-keys", "The most keys that are remembered so; over it, the oldest are forgotten."),
            ("max-refusals-per-buyer", "The most refusals and early RELEASEs that are remembered of one buyer."),
            (
                "ended-shown",
                "The most ended contracts, and ended holds, that are shown; the ledger keeps all contracts.",
            ),
        ],
    },
    Section {
        name: "network",
        about: "Virtual routers.",
        settings: &[(
            "streams-per-contract",
            "The most streams that one contract may have open at once, both directions together.",
        )],
    },
    Section {
        name: "vfabric",
        about: "Peerings, virtual nodes and workloads.",
        settings: &[
            ("runtimes", "The drivers that this node has; only what they run is taken in."),
            ("open-within", "The time in which a peering must open, or it has failed."),
            ("check-every", "How often the far end of an open peering is asked whether it still knows of it."),
            ("answer-within", "The time in which the far end must answer before the question is asked again."),
            ("ship-within", "The time that sending a component may take."),
            ("first-retry", "The wait before the first repeat of a question; it doubles with each further one."),
            ("longest-retry", "The longest wait between two repeats, which go on while the contract lives."),
            ("grace", "How long a workload may take to end by itself before it is killed."),
            ("stuck-after", "After which time a workload that should be gone and is not becomes an error."),
            ("workloads-per-contract", "The most replicas under one contract, where its partition names no pods."),
            ("followers-per-contract", "The most questions about logs that one contract may have waiting."),
            ("longest-wait", "How long a question about logs may wait for a line."),
        ],
    },
    Section {
        name: "federation",
        about: "Membership of the domain, and partners.",
        settings: &[
            ("certificate-life", "How long a certificate is good; it is renewed at half of that."),
            ("descriptor-life", "How long the domain's description is good; an issuer renews it at half of that."),
            ("list-life", "How long the list of issuers is good; only the domain's key can make another."),
            ("hello-deadline", "In which time a HELLO or JOIN must be answered."),
            (
                "hello-retry",
                "After which time a HELLO without an answer is repeated; it doubles up to 32 times as much.",
            ),
            ("spread-every", "The least time between two rounds of HELLOs that pass on what has changed."),
            ("renew-retry", "After which time this node tries again to have its certificate renewed."),
            (
                "members",
                "The most members that are known; over it, those not connected that expire first are forgotten.",
            ),
            ("keep-connected", "The most members that a connection is kept to, the domain's supernodes apart."),
            (
                "keep-abroad",
                "As a supernode: the most partners' supernodes and catalogues that a connection is kept to.",
            ),
            ("peers", "The most members that a newcomer is told of."),
            ("tokens", "The most tokens that wait for their newcomers."),
            ("longest-ttl", "The longest that a token may be good."),
            ("hellos", "The most HELLOs of one node within `rate-window`."),
            ("joins", "The most JOINs of one node within `rate-window`."),
            ("accepts", "The most ACCEPTs of one node within `rate-window`."),
            ("rate-window", "Over which time those three are counted."),
            (
                "describe-every",
                "The least time between two descriptions of the domain that tell only of its supernodes' addresses.",
            ),
            ("accept-deadline", "In which time an invitation that is taken up must be answered."),
            ("partners", "The most partners that are known, with those that were removed lately."),
            ("invitations", "The most invitations to become a partner that are not over yet."),
            ("visitors", "The most visitors that a catalogue knows at once."),
            (
                "catalogues",
                "As a supernode: catalogues to publish to and to ask, of whatever domain, such as \
                 [\"/ip4/192.0.2.1/udp/7401/quic-v1/p2p/12D3KooW…\"].",
            ),
            ("blocked", "Ids of nodes that are refused everything, whatever they prove."),
        ],
    },
];
