//! The tables as JSON: the field names that others rely on.

use kernel::{DomainKey, Time};
use rear_proto::{Flavour, Price, flavour::Kind, local::Realm, membership::Role, price::Rate, workload::LogLine};
use serde_json::{Map, Value, json};

use agent::Managers;

use super::partners;

/// Shows who the node is; its host adds what only it knows.
pub(crate) fn status(managers: &Managers, now: Time, domain: &DomainKey) -> Value {
    let own = managers.federation.status(now);
    let members = managers.federation.members().filter(|member| !member.revoked).count() + 1;
    json!({
        "role": own.as_ref().map(|own| own.role.name()),
        "domain": { "name": own.as_ref().map(|own| &own.domain.name), "key": domain.to_string() },
        "issuer": own.as_ref().is_some_and(|own| own.issuer),
        "certificateExpiresInS": own.as_ref().map(|own| now.until(own.expires).as_secs()),
        "warning": own.as_ref().and_then(|own| own.warning.clone()),
        "members": members,
        "supernodes": supernodes(managers, own.as_ref().map(|own| own.node)),
        "partners": partners::views(managers, now).len(),
        "catalogued": managers.discovery.catalogued(),
        "contracts": managers.contract.contracts().filter(|contract| contract.state.is_live()).count(),
        "intents": managers.orchestrator.intents().count(),
    })
}

/// Shows the other supernodes of the own domain.
fn supernodes(managers: &Managers, me: Option<kernel::NodeId>) -> Value {
    managers
        .federation
        .members()
        .filter(|member| member.role == Role::Supernode && !member.revoked && Some(member.node) != me)
        .map(|member| json!({ "node": member.node.to_string(), "connected": member.connected }))
        .collect()
}

/// Shows the members of the domain, and those that were.
pub(crate) fn members(managers: &Managers, now: Time) -> Value {
    managers
        .federation
        .members()
        .map(|member| {
            json!({
                "node": member.node.to_string(),
                "role": member.role.name(),
                "addresses": member.addresses,
                "connected": member.connected,
                "lastHeardS": member.last_heard.map(|at| now.since(at).as_secs()),
                "expiresInS": now.until(member.expires).as_secs(),
                "revoked": member.revoked,
            })
        })
        .collect()
}

/// Shows the nodes that this one is connected to, or was: those of its own domain, supernodes of partners,
/// and catalogues of other domains.
pub(crate) fn peers(managers: &Managers, now: Time) -> Value {
    let own = managers.federation.status(now).map(|own| own.domain.name);
    let members = managers.federation.members().filter(|member| !member.revoked).map(|member| {
        json!({
            "node": member.node.to_string(),
            "role": member.role.name(),
            "domain": own,
            "realm": "own",
            "addresses": member.addresses,
            "connected": member.connected,
            "lastHeardS": member.last_heard.map(|at| now.since(at).as_secs()),
        })
    });
    let partners = partners::views(managers, now);
    let abroad = partners.iter().flat_map(|partner| {
        partner.supernodes.iter().map(|(party, connected)| {
            json!({
                "node": party.node.to_string(),
                "role": Role::Supernode.name(),
                "domain": partner.domain.name,
                "realm": "partner",
                "addresses": party.addresses,
                "connected": connected,
                "lastHeardS": Value::Null,
            })
        })
    });
    let is_member = |node| managers.federation.members().any(|member| member.node == node);
    let catalogues = managers
        .discovery
        .endpoints()
        .filter(|endpoint| endpoint.realm == Realm::Catalogue && !is_member(endpoint.node))
        .map(|endpoint| {
            json!({
                "node": endpoint.node.to_string(),
                "role": endpoint.role.name(),
                "domain": Value::Null,
                "realm": "catalogue",
                "addresses": endpoint.addresses,
                "connected": endpoint.up,
                "lastHeardS": endpoint.last_heard.map(|at| now.since(at).as_secs()),
            })
        });
    members.chain(abroad).chain(catalogues).collect()
}

/// Shows own flavours.
pub(crate) fn flavours(managers: &Managers, _now: Time) -> Value {
    managers.rear.flavours().map(|offer| Value::Object(flavour(&offer))).collect()
}

/// Shows candidates, ranked as an empty selector ranks them.
pub(crate) fn candidates(managers: &Managers, now: Time) -> Value {
    let seen: Vec<_> = managers
        .discovery
        .candidates(now)
        .map(|view| rear_proto::local::Candidate {
            flavour: view.flavour.clone(),
            seen: Time(now.0.saturating_sub(view.age.0)),
            via: view.seen_via,
        })
        .collect();
    ranked(managers, now, &rear_proto::Selector::default(), seen)
}

/// Shows what was found, and what was ruled out and why.
pub(crate) fn discovered(managers: &Managers, now: Time, found: &discovery::mail::Discovered) -> Value {
    let ruled_out: Vec<_> = found
        .ruled_out
        .iter()
        .map(|(out, why)| match why {
            discovery::mail::Why::Mismatch(mismatch) => json!({
                "candidate": candidate(out, now),
                "filter": mismatch.wanted,
                "has": mismatch.has,
            }),
            discovery::mail::Why::Disbelieved(why) => json!({
                "candidate": candidate(out, now),
                "disbelieved": why,
            }),
        })
        .collect();
    json!({
        "candidates": ranked(managers, now, &rear_proto::Selector::default(), found.candidates.clone()),
        "ruledOut": ruled_out,
        "partial": found.partial,
        "silent": found.silent,
        "asked": found.asked,
        "remarks": found.remarks,
    })
}

fn ranked(
    managers: &Managers,
    now: Time,
    selector: &rear_proto::Selector,
    seen: Vec<rear_proto::local::Candidate>,
) -> Value {
    let mut left = seen.clone();
    let mut shown = Vec::new();
    for (at, ranked) in managers.rear.rank(selector, seen).into_iter().enumerate() {
        left.retain(|other| *other != ranked.candidate);
        let mut fields = candidate(&ranked.candidate, now);
        fields.insert("rank".to_owned(), json!(at + 1));
        fields.insert("why".to_owned(), json!(ranked.why.to_string()));
        shown.push(Value::Object(fields));
    }
    // What no partition can be had of is shown too, after what can be used.
    for other in left {
        let mut fields = candidate(&other, now);
        fields.insert("rank".to_owned(), Value::Null);
        fields.insert("why".to_owned(), json!("nothing is left of it"));
        shown.push(Value::Object(fields));
    }
    Value::Array(shown)
}

fn candidate(candidate: &rear_proto::local::Candidate, now: Time) -> Map<String, Value> {
    let mut fields = flavour(&candidate.flavour);
    fields.insert("seenVia".to_owned(), json!(candidate.via.to_string()));
    fields.insert("ageS".to_owned(), json!(now.since(candidate.seen).as_secs()));
    fields
}

/// Shows holds.
pub(crate) fn reservations(managers: &Managers, now: Time) -> Value {
    managers
        .contract
        .reservations(now)
        .map(|view| {
            json!({
                "id": view.id.to_string(),
                "flavour": view.flavour.to_string(),
                "partition": view.partition,
                "buyer": view.buyer.to_string(),
                "seller": view.seller.to_string(),
                "purchaseWithinS": view.purchase_within.as_secs(),
                "state": view.state.name(),
            })
        })
        .collect()
}

/// Shows contracts.
pub(crate) fn contracts(managers: &Managers, _now: Time) -> Value {
    managers
        .contract
        .contracts()
        .map(|view| {
            json!({
                "id": view.id.to_string(),
                "digest": view.digest.to_string(),
                "buyer": view.buyer.to_string(),
                "seller": view.seller.to_string(),
                "flavour": view.flavour.to_string(),
                "partition": view.partition,
                "price": rate(&view.price),
                "start": view.start.0,
                "end": view.end.0,
                "state": view.state.name(),
                "reason": view.reason.map(rear_proto::message::EndReason::name),
                "backedBy": view.backed_by.map(|digest| digest.to_string()),
                "role": view.part.name(),
            })
        })
        .collect()
}

/// Shows allocations.
pub(crate) fn allocations(managers: &Managers, _now: Time) -> Value {
    managers
        .rear
        .allocations()
        .map(|allocation| {
            json!({
                "id": allocation.id.to_string(),
                "type": allocation.role.name(),
                "status": allocation.status.name(),
                "contract": allocation.contract.map(|contract| contract.to_string()),
                "flavour": allocation.role.flavour().map(|flavour| flavour.to_string()),
                "resources": allocation.resources,
            })
        })
        .collect()
}

/// Shows virtual routers.
pub(crate) fn routers(managers: &Managers, _now: Time) -> Value {
    let side = |node: Option<kernel::NodeId>| node.map_or_else(|| "here".to_owned(), |node| node.to_string());
    managers
        .network
        .routers()
        .map(|view| {
            json!({
                "contract": view.contract.to_string(),
                "backedBy": view.backed_by.map(|back| back.to_string()),
                "towardsConsumer": side(view.towards_consumer),
                "towardsProvider": side(view.towards_provider),
                "streams": view.streams,
                "bytesUp": view.bytes_up,
                "bytesDown": view.bytes_down,
            })
        })
        .collect()
}

/// Shows ratings.
pub(crate) fn ratings(managers: &Managers, now: Time) -> Value {
    managers
        .rear
        .ratings()
        .map(|(peer, rating)| {
            json!({
                "peer": peer.to_string(),
                "score": rating.score(),
                "contracts": rating.contracts,
                "failures": rating.failures,
                "roundTripMs": rating.round_trip_ms(),
                "lastHeardS": now.since(rating.last_heard).as_secs(),
            })
        })
        .collect()
}

/// Shows all intents, without their steps.
pub(crate) fn intents(managers: &Managers, _now: Time) -> Value {
    managers
        .orchestrator
        .intents()
        .map(|view| {
            let mut fields = intent_fields(&view);
            fields.remove("steps");
            Value::Object(fields)
        })
        .collect()
}

/// Shows one intent.
pub(crate) fn intent(managers: &Managers, id: &kernel::IntentId) -> Option<Value> {
    managers.orchestrator.intent(id).map(|view| Value::Object(intent_fields(&view)))
}

fn intent_fields(view: &orchestrator::IntentView) -> Map<String, Value> {
    let times = &view.times;
    // Each phase takes from the end of the one before it to its own.
    let took = |from: Option<kernel::Span>, to: Option<kernel::Span>| match (from, to) {
        (Some(from), Some(to)) => Some(to.minus(from).0),
        (None, _) | (_, None) => None,
    };
    let begun = Some(kernel::Span::ZERO);
    object(json!({
        "id": view.id.to_string(),
        "name": view.name,
        "phase": view.phase.name(),
        "reason": view.reason,
        "story": view.story,
        "workloads": view.workloads.iter().map(|workload| json!({
            "name": workload.name,
            "node": workload.node.map(|node| node.to_string()),
            "status": workload.status,
            "reason": workload.reason,
            "contract": workload.contract.map(|contract| contract.to_string()),
            "price": workload.price.as_ref().map(rate),
            "endpoints": workload.endpoints.iter().map(|endpoint| json!({
                "name": endpoint.name,
                "url": endpoint.url,
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "steps": view.steps.iter().map(|step| json!({
            "step": step.step,
            "story": step.story,
            "node": step.node,
            "manager": format!("{:?}", step.manager),
            "atMs": step.at_ms,
            "workload": step.workload,
            "what": step.deed.sentence(),
        })).collect::<Vec<_>>(),
        "phasesMs": {
            "discover": took(begun, times.discovered),
            "reserve": took(times.discovered, times.reserved),
            "peer": took(times.reserved, times.peered),
            "deploy": took(times.peered.or(begun), times.running),
            "total": times.running.map(|span| span.0),
        },
    }))
}

/// Shows lines of a log.
pub(crate) fn logs(lines: &[LogLine], next: u64) -> Value {
    let lines: Vec<_> = lines
        .iter()
        .map(|line| json!({ "seq": line.seq, "stream": if line.stderr { "stderr" } else { "stdout" }, "text": line.text }))
        .collect();
    json!({ "lines": lines, "next": next })
}

/// Shows what REAR said to the operator.
pub(crate) fn rear_response(response: &rear::mail::Response) -> Value {
    use rear::mail::Response as R;
    match response {
        R::Offered(id) => json!({ "flavour": id.to_string() }),
        R::Withdrawn => json!({ "withdrawn": true }),
        R::Held { key, price, purchase_within } => json!({
            "reservation": key.to_string(),
            "state": "Held",
            "price": rate(price),
            "purchaseWithinS": purchase_within.as_secs(),
        }),
        R::Signed { contract, price } => json!({ "contract": contract.to_string(), "price": rate(price) }),
        R::Released => json!({ "released": true }),
    }
}

/// Shows a flavour.
fn flavour(flavour: &Flavour) -> Map<String, Value> {
    let mut characteristics = object(json!(flavour.base));
    if let Some(architecture) = flavour.kind.architecture() {
        characteristics.insert("architecture".to_owned(), json!(architecture));
    }
    match &flavour.kind {
        Kind::K8Slice(slice) => {
            characteristics.insert("runtimes".to_owned(), json!(slice.runtimes));
            insert_some(&mut characteristics, "gpuModel", slice.gpu_model.as_ref());
        }
        Kind::Vm(vm) => {
            characteristics.insert("os".to_owned(), json!(vm.os));
            insert_some(&mut characteristics, "gpuModel", vm.gpu_model.as_ref());
        }
        Kind::Service(service) => {
            characteristics.insert("name".to_owned(), json!(service.name));
            characteristics.insert("description".to_owned(), json!(service.description));
            characteristics.insert("category".to_owned(), json!(service.category));
            insert_some(&mut characteristics, "configurationTemplate", service.configuration_template.as_ref());
        }
        Kind::Sensor(sensor) => {
            characteristics.insert("sensorType".to_owned(), json!(sensor.sensor_type));
            characteristics.insert("model".to_owned(), json!(sensor.model));
            characteristics.insert("manufacturer".to_owned(), json!(sensor.manufacturer));
            characteristics.insert("access".to_owned(), json!(sensor.access));
        }
    }
    let policies = &flavour.policies;
    let properties = &flavour.properties;
    object(json!({
        "id": flavour.id.to_string(),
        "epoch": flavour.epoch.to_string(),
        "kind": flavour.kind.name(),
        "owner": flavour.owner.to_string(),
        "domain": flavour.domain.name,
        "provider": flavour.provider.node.to_string(),
        "characteristics": characteristics,
        "available": flavour.available,
        "policies": {
            "partitionable": policies.partitionable.map(|rule| json!({ "min": rule.min, "step": rule.step })),
            "aggregatable": policies.aggregatable.map(|rule| json!({ "minCount": rule.min_count, "maxCount": rule.max_count })),
        },
        "properties": {
            "latencyMs": properties.latency_ms,
            "securityStandards": properties.security_standards,
            "tags": properties.tags,
            "additional": properties.additional,
        },
        "price": price(&flavour.price),
        "location": flavour.location,
        "expiresInS": flavour.expires_in.as_secs(),
    }))
}

fn price(price: &Price) -> Value {
    json!({
        "amount": price.amount,
        "currency": price.currency,
        "period": price.period.name(),
        "priced": price.priced,
    })
}

fn rate(rate: &Rate) -> Value {
    json!({ "amount": rate.amount, "currency": rate.currency, "period": rate.period.name() })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

fn insert_some(fields: &mut Map<String, Value>, name: &str, value: Option<&String>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), json!(value));
    }
}
