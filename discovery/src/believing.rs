//! What is believed of an offer: who may make it depends on who brings it.

use kernel::{DomainKey, NodeId, Span, Time};
use rear_proto::{
    Flavour, Signed,
    local::{Partner, Realm},
    membership::Role,
    published::Published,
    wire::codec,
};

use crate::{endpoints::Endpoint, publishing};

/// Who brings an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bearer {
    /// A node of the domain, with what it offers itself.
    Neighbour,
    /// A supernode of the domain: with what it offers, what the domain's nodes do, and what it passes on.
    Supernode,
    /// A supernode of a partner.
    Partner(DomainKey),
    /// Somebody who has nothing to offer.
    Nobody,
}

impl Bearer {
    /// Returns as what an endpoint brings offers.
    pub(crate) fn of(endpoint: Option<&Endpoint>) -> Self {
        match endpoint.map(|endpoint| (endpoint.realm, endpoint.role)) {
            None | Some((Realm::Own, Role::Node)) => Self::Neighbour,
            Some((Realm::Own, Role::Supernode)) => Self::Supernode,
            Some((Realm::Partner(domain), _)) => Self::Partner(domain),
            Some((Realm::Catalogue, _) | (Realm::Own, Role::Catalogue)) => Self::Nobody,
        }
    }
}

/// Says why an offer is not to be believed; `None` where it is.
pub(crate) fn doubt(
    flavour: &Flavour,
    from: &NodeId,
    bearer: Bearer,
    home: &DomainKey,
    most_bytes: usize,
) -> Option<String> {
    let (provider, owner, domain) = (&flavour.provider.node, &flavour.owner, &flavour.domain.key);
    let its_own = provider == from && owner == from;
    let wrong = match bearer {
        Bearer::Neighbour if !its_own => {
            Some(format!("it is {owner}'s, to be had from {provider}, and {from} says it"))
        }
        Bearer::Neighbour if domain != home => Some(format!("{from} is not of the domain {domain}")),
        Bearer::Partner(_) if !its_own => {
            Some(format!("it is {owner}'s, to be had from {provider}, and {from} says it"))
        }
        Bearer::Partner(partner) if *domain != partner => Some(format!("{from} does not speak for {domain}")),
        Bearer::Supernode if domain != home && !its_own => {
            Some(format!("what is of {domain} is to be had from {from} alone, and not from {provider}"))
        }
        Bearer::Nobody => Some(format!("{from} is party to no contract")),
        Bearer::Neighbour | Bearer::Partner(_) | Bearer::Supernode => None,
    };
    wrong.or_else(|| contradiction(flavour, most_bytes))
}

/// Says how an offer contradicts itself; `None` where it does not.
fn contradiction(flavour: &Flavour, most_bytes: usize) -> Option<String> {
    if flavour.expires_in == Span::ZERO {
        return Some("it holds for no time at all".to_owned());
    }
    if let Err(short) = flavour.base.holds(&flavour.available) {
        return Some(format!("more is available than there is of it: {short}"));
    }
    let bytes = codec::size(flavour);
    (bytes > most_bytes).then(|| format!("it has {bytes} bytes, and at most {most_bytes} are kept"))
}

/// Opens an offer that came through a third party and returns it with what is left of its time.
///
/// # Errors
/// Why it is not to be believed.
pub(crate) fn open<'a>(
    now: Time,
    signed: &Signed<Published>,
    home: &DomainKey,
    partner: impl Fn(&DomainKey) -> Option<&'a Partner>,
    most_bytes: usize,
) -> Result<Flavour, String> {
    let claimed = signed.claimed().ok_or_else(|| "it can not be read".to_owned())?;
    // The plain contradictions cost no look at the signature.
    let Published { by, viewer, at, flavour, .. } = &claimed;
    if viewer != home {
        return Err(format!("it is for the domain {viewer}"));
    }
    let domain = &flavour.domain.key;
    let Some(partner) = partner(domain) else { return Err(format!("{domain} is no partner")) };
    if !partner.on {
        return Err(format!("the partner {} is suspended", partner.name));
    }
    if !partner.supernodes.contains(by) {
        return Err(format!("{by} does not speak for {domain}"));
    }
    if let Some(doubt) = doubt(flavour, by, Bearer::Partner(*domain), home, most_bytes) {
        return Err(doubt);
    }
    if *at > now + publishing::SKEW {
        return Err("it was signed in the future".to_owned());
    }
    let left = flavour.expires_in.minus(now.since(*at));
    if left == Span::ZERO {
        return Err("its time is over".to_owned());
    }
    signed.open(by).map_err(|bad| bad.to_string())?;
    Ok(Flavour { expires_in: left, ..flavour.clone() })
}
