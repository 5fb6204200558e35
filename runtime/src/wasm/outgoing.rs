//! Outgoing HTTP of a guest: to the hosts that it was allowed, and an error for all others.
//!
//! A name leads only to public addresses, whatever its DNS says: no guest reaches the provider's own network through a
//! name. A private address can be allowed as itself. Plain HTTP only: TLS is not done here, and asking for it is an error.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper::http::uri::{Authority, Scheme, Uri};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use wasmtime_wasi_http::{Error, RequestOptions, Result, WasiBody, WasiHttpHooks};

/// How long a guest that sets no limit waits for a connection, and then for the head of the answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connections to other hosts that one workload may have at once: each is an open file of the node's.
pub(crate) const MAX_CONNECTIONS: usize = 64;
/// Bytes that a guest may hand over to a body before they are sent; the host holds two or three times as much.
const BODY_CHUNK: usize = 64 * 1024;

/// The hosts that one workload may ask.
pub(crate) struct Outgoing {
    allowed: Vec<String>,
    connections: Arc<Semaphore>,
}

impl Outgoing {
    pub(crate) fn new(allowed: Vec<String>, connections: Arc<Semaphore>) -> Self {
        Self { allowed, connections }
    }

    fn allows(&self, authority: &Authority) -> bool {
        self.allowed.iter().any(|entry| matches(entry, authority))
    }
}

/// Whether an entry (`host`, `host:port` or either with `*.` before it) covers a host.
fn matches(entry: &str, authority: &Authority) -> bool {
    let (entry, port) = match entry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, Some(port)),
        _ => (entry, None),
    };
    if port.is_some_and(|port| authority.port_u16().map(|port| port.to_string()).as_deref() != Some(port)) {
        return false;
    }
    let host = authority.host();
    match entry.strip_prefix('*') {
        Some(suffix) if suffix.starts_with('.') => {
            host.len() > suffix.len()
                && host.is_char_boundary(host.len() - suffix.len())
                && host[host.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
        }
        _ => host.eq_ignore_ascii_case(entry),
    }
}

type Sent = Result<(Response<WasiBody>, Box<dyn Future<Output = Result<()>> + Send>)>;

impl WasiHttpHooks for Outgoing {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<()>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let allowed = request.uri().authority().is_some_and(|authority| self.allows(authority));
        let permit = Arc::clone(&self.connections).try_acquire_owned();
        Box::new(async move {
            match permit {
                _ if !allowed => Err(Error::HttpRequestDenied),
                Ok(permit) => send(request, options, permit).await,
                Err(_) => Err(Error::ConnectionLimitReached),
            }
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK
    }
}

async fn send(mut request: Request<WasiBody>, options: Option<RequestOptions>, permit: OwnedSemaphorePermit) -> Sent {
    if request.uri().scheme() != Some(&Scheme::HTTP) {
        return Err(Error::InternalError(Some("this provider sends plain HTTP only".into())));
    }
    let options = options.unwrap_or_default();
    let (connecting, answering) =
        (options.connect_timeout.unwrap_or(PATIENCE), options.first_byte_timeout.unwrap_or(PATIENCE));
    let authority = request.uri().authority().ok_or(Error::HttpRequestUriInvalid)?.clone();
    let stream = timeout(connecting, connect(&authority)).await.map_err(|_| Error::ConnectionTimeout)??;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // A server is sent the path alone; the host is in its header.
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse::<Uri>().map_err(|_| Error::HttpRequestUriInvalid)?;
    let connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let response =
        timeout(answering, sender.send_request(request)).await.map_err(|_| Error::ConnectionReadTimeout)??;
    let response = response.map(|body| body.map_err(Error::from).boxed_unsync());
    // Whoever holds the answer drives this, and ends the connection by dropping it.
    let rest = async move {
        let _permit = permit;
        connection.await.map_or(Ok(()), |ended| ended.map_err(Error::from))
    };
    Ok((response, Box::new(rest)))
}

async fn connect(authority: &Authority) -> Result<TcpStream> {
    let port = authority.port_u16().unwrap_or(80);
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![(address, port).into()],
        Err(_) => {
            let all = tokio::net::lookup_host((host, port)).await;
            let all = all.map_err(|_| Error::DnsError { rcode: None, info_code: None })?;
            let public: Vec<_> = all.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(Error::DestinationIpProhibited);
            }
            public
        }
    };
    TcpStream::connect(addresses.as_slice()).await.map_err(Error::Connect)
}

/// Whether an address is one of the open Internet (the IANA registries of special-purpose addresses).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match (address.to_ipv4(), address.segments()) {
            (Some(inner), _) => is_public_v4(inner),
            // Translated (64:ff9b::/96) and 6to4 (2002::/16) addresses lead to the one inside.
            (None, [0x64, 0xff9b, 0, 0, 0, 0, high, low]) | (None, [0x2002, high, low, ..]) => {
                is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
            }
            (None, segments) => is_public_v6(segments),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation();
    let in_special_block = matches!(
        address.octets(),
        [0, ..] | [100, 64..=127, ..] | [192, 0, 0, _] | [198, 18..=19, ..] | [240..=255, ..]
    );
    !special && !in_special_block
}

/// Only 2000::/3 is handed out, and there 2001:0::/23 and 2001:db8::/32 are special.
fn is_public_v6(segments: [u16; 8]) -> bool {
    let [first, second, ..] = segments;
    (0x2000..=0x3fff).contains(&first) && !(first == 0x2001 && (second < 0x200 || second == 0xdb8))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn check(entry: &str, authority: &str, expected: bool) {
        assert_eq!(matches(entry, &authority.parse().unwrap()), expected, "{entry} {authority}");
    }

    #[test]
    fn only_named_hosts_are_allowed() {
        check("example.org", "example.org", true);
        check("example.org", "EXAMPLE.org:8080", true);
        check("example.org", "www.example.org", false);
        check("example.org", "example.org.evil.net", false);
        check("example.org", "example.org@evil.net", false);
        check("example.org:8080", "example.org:8080", true);
        check("example.org:8080", "example.org:80", false);
        check("example.org:8080", "example.org", false);
        check("*.example.org", "www.example.org", true);
        check("*.example.org", "example.org", false);
        check("*.example.org", "evilexample.org", false);
        check("*", "example.org", false);
        assert!(!outgoing(&[], 1).allows(&"example.org".parse().unwrap()));
    }

    #[test]
    fn names_lead_to_the_open_internet_only() {
        for address in ["1.1.1.1", "172.15.0.1", "100.63.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
        {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "127.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "2001:db8::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    fn outgoing(allowed: &[&str], connections: usize) -> Outgoing {
        Outgoing::new(allowed.iter().map(ToString::to_string).collect(), Arc::new(Semaphore::new(connections)))
    }

    async fn sent(outgoing: &mut Outgoing, uri: String) -> Sent {
        let body =
            http_body_util::Empty::new().map_err(|never: std::convert::Infallible| match never {}).boxed_unsync();
        let request = Request::get(uri).header("host", "web").body(body).unwrap();
        Box::into_pin(outgoing.send_request(request, None, Box::new(async { Ok(()) }))).await
    }

    async fn ask(allowed: &[&str], uri: String) -> Result<String> {
        let (response, rest) = sent(&mut outgoing(allowed, 1), uri).await?;
        let rest = tokio::spawn(Box::into_pin(rest));
        let bytes = response.into_body().collect().await?.to_bytes();
        rest.abort();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    #[tokio::test]
    async fn an_allowed_host_is_reached_and_any_other_is_an_error() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        let served = tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut head = [0; 256];
            let length = stream.read(&mut head).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
            String::from_utf8_lossy(&head[..length]).into_owned()
        });
        let to = |host: &str| format!("http://{host}:{port}/a?b=c");
        assert!(matches!(ask(&[], to("127.0.0.1")).await, Err(Error::HttpRequestDenied)));
        assert!(matches!(ask(&["example.org"], to("127.0.0.1")).await, Err(Error::HttpRequestDenied)));
        assert!(matches!(ask(&["localhost"], to("localhost")).await, Err(Error::DestinationIpProhibited)));
        assert!(matches!(ask(&["127.0.0.1"], "https://127.0.0.1/".into()).await, Err(Error::InternalError(_))));
        assert_eq!(ask(&["127.0.0.1"], to("127.0.0.1")).await.unwrap(), "hi");
        assert!(served.await.unwrap().starts_with("GET /a?b=c HTTP/1.1\r\nhost: web\r\n"));
    }

    #[tokio::test]
    async fn a_workload_has_so_many_connections_at_once_and_no_more() {
        use tokio::io::AsyncWriteExt;
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", server.local_addr().unwrap());
        tokio::spawn(async move {
            let mut open = vec![];
            while let Ok((mut stream, _)) = server.accept().await {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nh").await.unwrap();
                open.push(stream);
            }
        });
        let mut outgoing = outgoing(&["127.0.0.1"], 2);
        let (first, _second) =
            (sent(&mut outgoing, uri.clone()).await.unwrap(), sent(&mut outgoing, uri.clone()).await.unwrap());
        assert!(matches!(sent(&mut outgoing, uri.clone()).await, Err(Error::ConnectionLimitReached)));
        drop(first);
        let _third = sent(&mut outgoing, uri).await.unwrap();
    }
}
