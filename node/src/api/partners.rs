//! Partners: the handlers, and how a partner is shown.

use agent::{Command, Managers, Response as Told};
use axum::extract::{Path, State as Extract};
use federation::mail::PartnerView;
use kernel::{Span, Time};
use rear_proto::{
    door,
    membership::Role,
    partner::{PartnerState, PartnerToken},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    State,
    body::Json,
    problem::Problem,
    routes::{Answer, an_hour, unexpected},
};

/// Shows the partners.
pub(crate) async fn list(Extract(state): Extract<State>) -> Answer {
    Ok(axum::Json(state.0.mind.look(table).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InviteBody {
    name: String,
    ttl: Option<Span>,
}

pub(crate) async fn invite(Extract(state): Extract<State>, Json(body): Json<InviteBody>) -> Answer {
    door::partner_name(&body.name)?;
    let ttl = body.ttl.unwrap_or_else(an_hour);
    match state.0.mind.command(Command::PartnerInvite { name: body.name.clone(), ttl }).await? {
        Told::PartnerInvited(token) => Ok(axum::Json(json!({
            "token": token.to_string(),
            "name": body.name,
            "domain": token.domain.name,
            "inviter": token.inviter.node.to_string(),
        }))),
        other => Err(unexpected(&other)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcceptBody {
    token: String,
    name: String,
}

/// Answers when the other domain has.
pub(crate) async fn accept(Extract(state): Extract<State>, Json(body): Json<AcceptBody>) -> Answer {
    let token: PartnerToken = body.token.parse().map_err(|error| Problem::malformed(format!("{error}")))?;
    door::partner_name(&body.name)?;
    changed(&state, Command::PartnerAccept { token: Box::new(token), name: body.name }).await
}

pub(crate) async fn suspend(Extract(state): Extract<State>, Path(name): Path<String>) -> Answer {
    changed(&state, Command::PartnerSwitch { name, on: false }).await
}

pub(crate) async fn resume(Extract(state): Extract<State>, Path(name): Path<String>) -> Answer {
    changed(&state, Command::PartnerSwitch { name, on: true }).await
}

pub(crate) async fn remove(Extract(state): Extract<State>, Path(name): Path<String>) -> Answer {
    changed(&state, Command::PartnerRemove(name)).await
}

/// Puts a wish to the mind, and shows the partner as it then is.
async fn changed(state: &State, command: Command) -> Answer {
    match state.0.mind.command(command).await? {
        Told::Partner(view) => {
            let shown = state.0.mind.look(move |managers, now| partner(&view, role(managers, now), now)).await?;
            Ok(axum::Json(shown))
        }
        other => Err(unexpected(&other)),
    }
}

/// Shows the partners as a table.
pub(crate) fn table(managers: &Managers, now: Time) -> Value {
    let role = role(managers, now);
    views(managers, now).iter().map(|view| partner(view, role, now)).collect()
}

/// Returns the partners, by name.
pub(crate) fn views(managers: &Managers, now: Time) -> Vec<PartnerView> {
    managers.federation.partners(now).collect()
}

fn role(managers: &Managers, now: Time) -> Option<Role> {
    managers.federation.status(now).map(|status| status.role)
}

/// Shows one partner.
fn partner(view: &PartnerView, here: Option<Role>, now: Time) -> Value {
    let supernodes: Vec<_> = view
        .supernodes
        .iter()
        .map(|(party, connected)| {
            json!({ "node": party.node.to_string(), "addresses": party.addresses, "connected": connected })
        })
        .collect();
    json!({
        "name": view.name,
        "domain": view.domain.name,
        "key": view.domain.key.to_string(),
        "state": state_name(view, here),
        "lastHeardS": view.last_heard.map(|at| now.since(at).as_secs()),
        "uses": view.theirs,
        "usedBy": view.state == PartnerState::On,
        "supernodes": supernodes,
    })
}

/// Says how a partner is, without any setting: what was decided here, or else whether it is heard.
///
/// It is heard while one of its supernodes is connected: connections are pinged, and end when that has failed. Only
/// supernodes are connected to partners; another node knows what was decided alone.
fn state_name(view: &PartnerView, here: Option<Role>) -> &'static str {
    match view.state {
        PartnerState::Suspended => "Suspended",
        PartnerState::Removed => "Removed",
        PartnerState::On if here != Some(Role::Supernode) => "On",
        PartnerState::On if view.supernodes.iter().any(|(_, connected)| *connected) => "Active",
        PartnerState::On => "Silent",
    }
}

#[cfg(test)]
mod tests {
    use kernel::{DomainKey, NodeId};
    use rear_proto::flavour::{Domain, Party};

    use super::*;

    fn view(state: PartnerState, connected: &[bool]) -> PartnerView {
        let party = Party { node: NodeId([1; 32]), addresses: vec!["/ip4/192.0.2.1/tcp/1".to_owned()] };
        PartnerView {
            name: "beta".to_owned(),
            domain: Domain { key: DomainKey([2; 32]), name: "beta.example".to_owned() },
            state,
            theirs: None,
            last_heard: Some(Time(1_000)),
            supernodes: connected.iter().map(|up| (party.clone(), *up)).collect(),
        }
    }

    #[test]
    fn a_partners_state_is_what_was_decided_or_else_whether_it_is_heard() {
        use PartnerState::{On, Removed, Suspended};
        let (node, supernode) = (Some(Role::Node), Some(Role::Supernode));
        for (state, connected, here, name) in [
            (On, &[false, true][..], supernode, "Active"),
            (On, &[false, false], supernode, "Silent"),
            (On, &[], supernode, "Silent"),
            (On, &[], node, "On"),
            (Suspended, &[true], supernode, "Suspended"),
            (Suspended, &[], node, "Suspended"),
            (Removed, &[true], supernode, "Removed"),
        ] {
            assert_eq!(state_name(&view(state, connected), here), name);
        }
    }

    #[test]
    fn a_partner_is_shown_with_all_that_is_promised_of_it() {
        let shown = partner(&view(PartnerState::On, &[true]), Some(Role::Supernode), Time(4_500));
        let supernode =
            json!([{ "node": NodeId([1; 32]).to_string(), "addresses": ["/ip4/192.0.2.1/tcp/1"], "connected": true }]);
        let all = json!({
            "name": "beta", "domain": "beta.example", "key": DomainKey([2; 32]).to_string(), "state": "Active",
            "lastHeardS": 3, "uses": null, "usedBy": true, "supernodes": supernode,
        });
        assert_eq!(shown, all);
    }
}
