//! Outgoing HTTP of a guest: to the hosts that it was allowed, and an error for all others.

use hyper::http::uri::Authority;
use hyper::{Request, Response};
use wasmtime_wasi_http::{Error, RequestOptions, Result, WasiBody, WasiHttpHooks};

/// The hosts that one workload may ask.
pub(crate) struct Outgoing {
    allowed: Vec<String>,
}

impl Outgoing {
    pub(crate) fn new(allowed: Vec<String>) -> Self {
        Self { allowed }
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
        Box::new(async move { if allowed { send(request, options).await } else { Err(Error::HttpRequestDenied) } })
    }
}

async fn send(_request: Request<WasiBody>, _options: Option<RequestOptions>) -> Sent {
    Err(Error::HttpRequestDenied)
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
        assert!(!Outgoing::new(vec![]).allows(&"example.org".parse().unwrap()));
    }
}
