//! The door: bytes from other nodes become messages, within limits and with their signatures verified, before
//! the mind sees them. It runs in the tasks of those who bring them, so many at once; what is large, and may hold
//! hundreds of signatures, is read at a [`Desk`].

mod desk;

use kernel::NodeId;
use rear_proto::{
    Answer, Ask, Code, Contract, Endorsement, Mode, Order, Refusal, Reply, Request, Signed,
    membership::{Credentials, Descriptor, IssuerList},
    message::Offered,
    partner::PartnerRecord,
    published::Published,
    wire::codec,
};

pub use desk::Desk;
use transport::Protocol;

/// Reads a question and says whether it may be put to the mind.
///
/// # Errors
/// `Malformed` or `TooLarge`; `UnsupportedVersion` never, since the stream's name carries the version.
pub fn read_ask(from: &NodeId, protocol: Protocol, bytes: &[u8]) -> Result<Ask, Refusal> {
    let ask: Ask = codec::decode(bytes).map_err(|error| Refusal::new(Code::Malformed, error.to_string()))?;
    if protocol_of(&ask.request) != protocol {
        return Err(Refusal::new(Code::Malformed, format!("{} does not belong here", ask.request.name())));
    }
    ask.validate()?;
    verify_request(from, &ask.request)?;
    Ok(ask)
}

/// Reads an answer.
///
/// # Errors
/// `Malformed` or `TooLarge`, as if it had been refused.
pub fn read_reply(me: &NodeId, from: &NodeId, bytes: &[u8]) -> Result<Reply, Refusal> {
    let reply: Reply = codec::decode(bytes).map_err(|error| Refusal::new(Code::Malformed, error.to_string()))?;
    reply.validate()?;
    match &reply.answer {
        Answer::Contract(contract) => verify_contract(contract, me, from)?,
        Answer::Reserved(reserved) => {
            if let Ok(reserved) = reserved.open(from) {
                open(&reserved.order, me);
            }
        }
        Answer::Renewed(renewal) => {
            if let Ok(renewal) = renewal.open(from) {
                open(&renewal.ask, me);
            }
        }
        Answer::Hello(hello) => verify_who(hello.credentials.as_ref(), hello.descriptor.as_ref())?,
        Answer::Joined(joined) => verify_who(Some(&joined.credentials), joined.descriptor.as_ref())?,
        Answer::Accepted(accepted) => verify_who(Some(&accepted.credentials), accepted.descriptor.as_ref())?,
        Answer::Snapshot(advertise) => verify_offered(&advertise.offers)?,
        Answer::Published(published) => verify_published(&published.offers)?,
        Answer::Flavours(_)
        | Answer::Released
        | Answer::Dead(_)
        | Answer::Refused(_)
        | Answer::Noted
        | Answer::Taken(_) => {}
    }
    Ok(reply)
}

/// Returns the protocol in which a question is put.
pub const fn protocol_of(request: &Request) -> Protocol {
    match request {
        Request::Hello(_) | Request::Join(_) | Request::Accept(_) | Request::Partners(_) => Protocol::Federation,
        Request::List(_)
        | Request::Reserve(_)
        | Request::Purchase(_)
        | Request::Renew(_)
        | Request::Release(_)
        | Request::Keepalive(_)
        | Request::Advertise(_)
        | Request::Refresh(_)
        | Request::Withdraw(_)
        | Request::Subscribe(_)
        | Request::CapacityDigest(_) => Protocol::Rear,
    }
}

/// Opens every signature of a question once, here: the result is kept with it, so the mind finds it done. What
/// does not open is refused by the manager that needs it, with its own words.
///
/// # Errors
/// `Malformed` where it can't be said whose signature there should be: then nothing could be opened here.
fn verify_request(from: &NodeId, request: &Request) -> Result<(), Refusal> {
    match request {
        Request::Hello(hello) => verify_who(hello.credentials.as_ref(), hello.descriptor.as_ref())?,
        Request::Reserve(reserve) => {
            open(&reserve.order, from);
            verify_endorsement(&reserve.endorsement)?;
        }
        Request::Purchase(buy) => open(&buy.purchase, from),
        Request::Renew(renew) => open(&renew.ask, from),
        Request::Accept(accept) => verify_who(Some(&accept.credentials), accept.descriptor.as_ref())?,
        Request::Partners(said) => said.partners.iter().try_for_each(verify_partner)?,
        Request::Advertise(advertise) => verify_offered(&advertise.offers)?,
        Request::Refresh(refresh) => verify_offered(&refresh.offers)?,
        Request::Join(_)
        | Request::List(_)
        | Request::Release(_)
        | Request::Keepalive(_)
        | Request::Withdraw(_)
        | Request::Subscribe(_)
        | Request::CapacityDigest(_) => {}
    }
    Ok(())
}

fn verify_contract(contract: &Signed<Contract>, buyer: &NodeId, seller: &NodeId) -> Result<(), Refusal> {
    let Ok(contract) = contract.open(seller) else { return Ok(()) };
    let order: Option<&Order> = contract.order.open(buyer).ok();
    if let (Some(held), Some(Mode::Hold)) = (&contract.held, order.map(|order| order.mode)) {
        open(&held.reserved, seller);
        open(&held.purchase, buyer);
    }
    verify_endorsement(&contract.endorsement)
}

fn verify_endorsement(endorsement: &Endorsement) -> Result<(), Refusal> {
    match endorsement {
        Endorsement::Member(credentials) => verify_credentials(credentials),
        Endorsement::Supernode(vouched) => {
            let key = vouched.key.claimed().ok_or_else(|| unreadable("endorsement of the tunnel key"))?;
            open(&vouched.key, &key.supernode);
            verify_credentials(&vouched.credentials)
        }
    }
}

fn verify_published(offers: &[Signed<Published>]) -> Result<(), Refusal> {
    for offer in offers {
        let claimed = offer.claimed().ok_or_else(|| unreadable("published offer"))?;
        open(offer, &claimed.by);
    }
    Ok(())
}

fn verify_offered(offers: &[Offered]) -> Result<(), Refusal> {
    for offer in offers {
        if let Offered::Signed(offer) = offer {
            verify_published(std::slice::from_ref(offer))?;
        }
    }
    Ok(())
}

/// What somebody shows of itself and of its domain.
fn verify_who(credentials: Option<&Credentials>, descriptor: Option<&Signed<Descriptor>>) -> Result<(), Refusal> {
    credentials.map_or(Ok(()), verify_credentials)?;
    descriptor.map_or(Ok(()), verify_descriptor)
}

fn verify_partner(partner: &PartnerRecord) -> Result<(), Refusal> {
    verify_list(&partner.list)?;
    partner.descriptor.as_ref().map_or(Ok(()), verify_descriptor)
}

fn verify_credentials(credentials: &Credentials) -> Result<(), Refusal> {
    verify_list(&credentials.list)?;
    let certificate = credentials.certificate.claimed().ok_or_else(|| unreadable("certificate"))?;
    open(&credentials.certificate, &certificate.issuer);
    Ok(())
}

fn verify_list(signed: &Signed<IssuerList>) -> Result<(), Refusal> {
    let list = signed.claimed().ok_or_else(|| unreadable("list of issuers"))?;
    open(signed, &NodeId(list.domain.key.0));
    Ok(())
}

fn verify_descriptor(signed: &Signed<Descriptor>) -> Result<(), Refusal> {
    let descriptor = signed.claimed().ok_or_else(|| unreadable("description of the domain"))?;
    open(signed, &descriptor.issuer);
    Ok(())
}

fn unreadable(what: &str) -> Refusal {
    Refusal::new(Code::Malformed, format!("the {what} can not be read"))
}

fn open<T: rear_proto::Signable>(signed: &Signed<T>, by: &NodeId) {
    if let Err(error) = signed.open(by) {
        tracing::debug!(%error, "a signature does not open");
    }
}

#[cfg(test)]
mod tests;
