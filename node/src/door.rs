//! The door: bytes from other nodes become messages, within limits and with their signatures verified, before
//! the mind sees them. It runs in the tasks of those who bring them, so many at once.

use kernel::NodeId;
use rear_proto::{
    Answer, Ask, Code, Contract, Endorsement, Mode, Order, Refusal, Reply, Request, Signed,
    membership::Credentials,
    message::Offered,
    published::Published,
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
        Answer::Hello(hello) => {
            if let Some(credentials) = &hello.credentials {
                verify_credentials(credentials)?;
            }
        }
        Answer::Joined(joined) => verify_credentials(&joined.credentials)?,
        Answer::Accepted(accepted) => verify_credentials(&accepted.credentials)?,
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
        | Request::Subscribe(_) => Protocol::Rear,
    }
}

/// Opens every signature of a question once, here: the result is kept with it, so the mind finds it done. What
/// does not open is refused by the manager that needs it, with its own words.
///
/// # Errors
/// `Malformed` where it can't be said whose signature there should be: then nothing could be opened here.
fn verify_request(from: &NodeId, request: &Request) -> Result<(), Refusal> {
    match request {
        Request::Hello(hello) => {
            if let Some(credentials) = &hello.credentials {
                verify_credentials(credentials)?;
            }
        }
        Request::Reserve(reserve) => {
            open(&reserve.order, from);
            verify_endorsement(&reserve.endorsement)?;
        }
        Request::Purchase(buy) => open(&buy.purchase, from),
        Request::Renew(renew) => open(&renew.ask, from),
        Request::Accept(accept) => verify_credentials(&accept.credentials)?,
        Request::Advertise(advertise) => verify_offered(&advertise.offers)?,
        Request::Refresh(refresh) => verify_offered(&refresh.offers)?,
        Request::Join(_)
        | Request::List(_)
        | Request::Release(_)
        | Request::Keepalive(_)
        | Request::Partners(_)
        | Request::Withdraw(_)
        | Request::Subscribe(_) => {}
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
            let unreadable = || Refusal::new(Code::Malformed, "the endorsement of the tunnel key can not be read");
            let key = vouched.key.claimed().ok_or_else(unreadable)?;
            open(&vouched.key, &key.supernode);
            verify_credentials(&vouched.credentials)
        }
    }
}

fn verify_published(offers: &[Signed<Published>]) -> Result<(), Refusal> {
    for offer in offers {
        let unreadable = || Refusal::new(Code::Malformed, "a published offer can not be read");
        let claimed = offer.claimed().ok_or_else(unreadable)?;
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

fn verify_credentials(credentials: &Credentials) -> Result<(), Refusal> {
    let unreadable = |what| Refusal::new(Code::Malformed, format!("the {what} can not be read"));
    let list = credentials.list.claimed().ok_or_else(|| unreadable("list of issuers"))?;
    open(&credentials.list, &NodeId(list.domain.key.0));
    let certificate = credentials.certificate.claimed().ok_or_else(|| unreadable("certificate"))?;
    open(&credentials.certificate, &certificate.issuer);
    Ok(())
}

fn open<T: rear_proto::Signable>(signed: &Signed<T>, by: &NodeId) {
    if let Err(error) = signed.open(by) {
        tracing::debug!(%error, "a signature does not open");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use kernel::{DomainKey, Time};
    use rear_proto::{
        Extensions, Signable, Signer,
        flavour::Domain,
        membership::{Certificate, IssuerList, Role},
        message::Hello,
    };

    use super::*;

    /// What came over the wire: nothing is known of it.
    fn travelled<T: Signable>(bytes: &[u8], signature: &[u8; 64]) -> Signed<T> {
        codec::decode(&codec::encode(&(bytes, &signature[..]))).unwrap()
    }

    fn credentials() -> Credentials {
        let (domain, issuer) = (Signer::from_secret(&[1; 32]), Signer::from_secret(&[2; 32]));
        let key = DomainKey(domain.id().0);
        let (issued, expires, extensions) = (Time(0), Time(9), Extensions::new);
        let list = IssuerList {
            domain: Domain { key, name: "alpha".to_owned() },
            number: 1,
            issuers: vec![issuer.id()],
            expires,
            extensions: extensions(),
        };
        let (node, role, extensions) = (NodeId([3; 32]), Role::Node, extensions());
        let certificate = Certificate { domain: key, node, role, issuer: issuer.id(), issued, expires, extensions };
        Credentials { list: Signed::new(list, &domain), certificate: Signed::new(certificate, &issuer) }
    }

    fn read(credentials: Credentials) -> Result<Ask, Refusal> {
        let (descriptor, addresses, now) = (None, Vec::new(), Time(1));
        let hello = Hello { credentials: Some(credentials), descriptor, addresses, now, extensions: Extensions::new() };
        let ask = Ask { request: Request::Hello(hello), tell: false, extensions: Extensions::new() };
        read_ask(&NodeId([3; 32]), Protocol::Federation, &codec::encode(&ask))
    }

    #[test]
    fn whose_signature_it_should_be_must_be_readable() {
        assert!(read(credentials()).is_ok());
        let list = travelled(&[7; 100], &[0; 64]);
        assert_eq!(read(Credentials { list, ..credentials() }).unwrap_err().code(), Code::Malformed);
        let certificate = travelled(&[7; 100], &[0; 64]);
        assert_eq!(read(Credentials { certificate, ..credentials() }).unwrap_err().code(), Code::Malformed);
        // A forged one is the mind's to refuse, in its own words.
        let list = travelled(credentials().list.bytes(), &[0; 64]);
        assert!(read(Credentials { list, ..credentials() }).is_ok());
    }
}
