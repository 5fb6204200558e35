//! The door: bytes from other nodes become messages, within limits and with their signatures verified, before
//! the mind sees them. It runs in the tasks of those who bring them, so many at once.

use kernel::NodeId;
use rear_proto::{
    Answer, Ask, Code, Contract, Endorsement, Mode, Order, Refusal, Reply, Request, Signed, membership::Credentials,
    wire::codec,
};
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
    verify_request(from, &ask.request);
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
        Answer::Contract(contract) => verify_contract(contract, me, from),
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
        Answer::Hello(hello) => {
            if let Some(credentials) = &hello.credentials {
                verify_credentials(credentials);
            }
        }
        Answer::Joined(joined) => verify_credentials(&joined.credentials),
        Answer::Flavours(_) | Answer::Released | Answer::Dead(_) | Answer::Refused(_) => {}
    }
    Ok(reply)
}

/// Returns the protocol in which a question is put.
pub const fn protocol_of(request: &Request) -> Protocol {
    match request {
        Request::Hello(_) | Request::Join(_) => Protocol::Federation,
        Request::List(_)
        | Request::Reserve(_)
        | Request::Purchase(_)
        | Request::Renew(_)
        | Request::Release(_)
        | Request::Keepalive(_) => Protocol::Rear,
    }
}

/// Opens every signature of a question once, here: the result is kept with it, so the mind finds it done. What
/// does not open is refused by the manager that needs it, with its own words.
fn verify_request(from: &NodeId, request: &Request) {
    match request {
        Request::Hello(hello) => {
            if let Some(credentials) = &hello.credentials {
                verify_credentials(credentials);
            }
        }
        Request::Reserve(reserve) => {
            open(&reserve.order, from);
            let Endorsement::Member(credentials) = &reserve.endorsement;
            verify_credentials(credentials);
        }
        Request::Purchase(buy) => open(&buy.purchase, from),
        Request::Renew(renew) => open(&renew.ask, from),
        Request::Join(_) | Request::List(_) | Request::Release(_) | Request::Keepalive(_) => {}
    }
}

fn verify_contract(contract: &Signed<Contract>, buyer: &NodeId, seller: &NodeId) {
    let Ok(contract) = contract.open(seller) else { return };
    let order: Option<&Order> = contract.order.open(buyer).ok();
    if let (Some(held), Some(Mode::Hold)) = (&contract.held, order.map(|order| order.mode)) {
        open(&held.reserved, seller);
        open(&held.purchase, buyer);
    }
    let Endorsement::Member(credentials) = &contract.endorsement;
    verify_credentials(credentials);
}

fn verify_credentials(credentials: &Credentials) {
    if let Some(list) = credentials.list.claimed() {
        open(&credentials.list, &NodeId(list.domain.key.0));
    }
    if let Some(certificate) = credentials.certificate.claimed() {
        open(&credentials.certificate, &certificate.issuer);
    }
}

fn open<T: rear_proto::Signable>(signed: &Signed<T>, by: &NodeId) {
    if let Err(error) = signed.open(by) {
        tracing::debug!(%error, "a signature does not open");
    }
}
