//! What may be offered, and with which sentence the rest is turned down.
#![allow(clippy::unwrap_used)]

use rear_proto::wire::codec;
use serde_json::{Value, json};

use super::*;

fn edge() -> Value {
    json!({
        "name": "edge",
        "characteristics": { "architecture": "amd64", "cpu": "4", "memory": "8Gi", "pods": 16 },
        "policies": { "partitionable": { "min": { "cpu": "250m" }, "step": { "cpu": "250m", "memory": "64Mi" } } },
        "price": { "amount": 0.80, "currency": "EUR" },
        "location": { "country": "IT" },
        "properties": { "latencyMs": 12, "tags": ["ssd"] },
    })
}

#[track_caller]
fn refused(change: impl FnOnce(&mut Value), sentence: &str) {
    let mut text = edge();
    change(&mut text);
    let error = serde_json::from_value::<Offer>(text).unwrap_err().to_string();
    assert!(error.contains(sentence), "{error}");
}

#[test]
fn a_short_file_is_filled_with_what_is_usual() {
    let offer: Offer = serde_json::from_value(edge()).unwrap();
    assert_eq!(offer.kind.name(), "K8Slice");
    assert_eq!(offer.expires_in, EXPIRES_IN);
    assert_eq!(offer.price.priced, [Resource::Cpu, Resource::Memory]);
    assert_eq!(offer.base.to_string(), "cpu 4, memory 8Gi, pods 16");
}

#[test]
fn what_makes_no_sense_is_refused_in_one_sentence() {
    refused(|o| o["characteristics"] = json!({}), "offer 'edge' has nothing in it: every resource is zero");
    refused(|o| o["characteristics"]["cpu"] = json!("-1"), "negative");
    refused(|o| o["characteristics"]["cpus"] = json!("1"), "unknown field `cpus`");
    refused(|o| o["characteristics"]["os"] = json!("linux"), "offer 'edge' is of kind K8Slice, which has no 'os'");
    refused(|o| o["characteristics"]["runtimes"] = json!([]), "offer 'edge' names no runtime");
    refused(|o| o["policies"]["partitionable"]["min"]["cpu"] = json!(5), "minimum of cpu 5, which is over its 4");
    refused(|o| o["policies"]["partitionable"]["step"]["gpu"] = json!(1), "steps of gpu 1, which is over its 0");
    refused(|o| o["policies"]["aggregatable"] = json!({"minCount": 3, "maxCount": 2}), "taken 3 to 2 times");
    refused(|o| o["price"]["currency"] = json!("euro"), "three capital letters");
    refused(|o| o["price"]["amount"] = json!(-1), "amount of money");
    refused(|o| o["price"]["priced"] = json!(["gpu"]), "none of the resources that it is priced by");
    refused(|o| drop(o.as_object_mut().unwrap().remove("price")), "missing field `price`");
    refused(|o| o["name"] = json!(""), "needs a name");
    refused(|o| o["expiresIn"] = json!("0s"), "expires in 0s");
    refused(|o| o["location"]["latitude"] = json!("95"), "no number from -90 to 90");
    refused(|o| o["surprise"] = json!(1), "unknown field `surprise`");
    refused(|o| o["kind"] = json!("Service"), "which has no 'architecture'");
}

#[test]
fn every_kind_reads_back_as_it_was_written_for_people_and_for_rows() {
    let particulars = [
        ("K8Slice", json!({"cpu": 1, "gpu": 1, "gpuModel": "A2", "runtimes": ["oci"], "architecture": "arm64"})),
        ("VM", json!({"cpu": 1, "os": "linux", "architecture": "arm64"})),
        ("Service", json!({"pods": 1, "name": "db", "category": "database", "hosting": ["Shared"]})),
        ("Sensor", json!({"pods": 1, "sensorType": "temperature", "samplingRateMillis": 500})),
    ];
    for (kind, characteristics) in particulars {
        let mut text = edge();
        text["kind"] = json!(kind);
        text["characteristics"] = characteristics;
        text["policies"] = json!({"aggregatable": {"minCount": 1, "maxCount": 2}});
        let offer: Offer = serde_json::from_value(text).unwrap();
        assert_eq!(offer.kind.name(), kind);
        assert_eq!(serde_json::from_value::<Offer>(serde_json::to_value(&offer).unwrap()).unwrap(), offer);
        assert_eq!(codec::decode::<Offer>(&codec::encode(&offer)).unwrap(), offer);
    }
}

#[test]
fn the_flavour_id_follows_from_node_and_name_alone() {
    let offer: Offer = serde_json::from_value(edge()).unwrap();
    let dearer = Offer { expires_in: Span::secs(1), ..offer.clone() };
    let other = Offer { name: "core".to_owned(), ..offer.clone() };
    assert_eq!(offer.flavour(&NodeId([1; 32])), dearer.flavour(&NodeId([1; 32])));
    assert_ne!(offer.flavour(&NodeId([1; 32])), offer.flavour(&NodeId([2; 32])));
    assert_ne!(offer.flavour(&NodeId([1; 32])), other.flavour(&NodeId([1; 32])));
}
