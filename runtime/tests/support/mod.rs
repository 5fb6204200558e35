//! What the tests of the driver share: a driver with its cache, its events, and components written as text.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use runtime::{Allow, Cache, CacheLimits, Config, Digest, Driver, Event, Limits, Restart, Spec, Status, Wasm};
use tokio::sync::mpsc;

pub const HELLO: &[u8] = include_bytes!("../../../examples/hello.wasm");
pub const BATCH: &[u8] = include_bytes!("../../../examples/batch.wasm");

/// The failure path only: nothing here takes as long on any machine.
const PATIENCE: Duration = Duration::from_secs(120);

pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("did not happen in time")
}

pub struct Bench {
    pub driver: Arc<Wasm>,
    pub cache: Arc<Cache>,
    pub events: mpsc::Receiver<Event>,
    pub directory: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(|config| config)
    }

    pub fn with(change: impl FnOnce(Config) -> Config) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let cache = Arc::new(Cache::open(directory.path().join("modules"), CacheLimits::default()).unwrap());
        let (sender, events) = mpsc::channel(64);
        let config = Config {
            threads: Some(2),
            scratch: Some(directory.path().join("scratch")),
            backoff: Duration::from_millis(1),
            backoff_longest: Duration::from_millis(5),
            clock: Some(Arc::new(|| 1234)),
            ..Config::default()
        };
        let driver = Arc::new(Wasm::new(change(config), Arc::clone(&cache), sender).unwrap());
        Self { driver, cache, events, directory }
    }

    pub fn put(&self, module: &[u8]) -> Digest {
        self.cache.put(module).unwrap()
    }

    /// Starts a component written as text or given as bytes.
    pub async fn start(&self, id: &str, module: &[u8], change: impl FnOnce(&mut Spec)) {
        let mut spec = spec(id, self.put(module));
        change(&mut spec);
        self.driver.start(spec).await.unwrap();
    }

    pub async fn event(&mut self) -> (String, Status) {
        let event = soon(self.events.recv()).await.unwrap();
        (event.id, event.status)
    }

    /// Events of one workload up to the one that fits.
    pub async fn until(&mut self, id: &str, fits: impl Fn(&Status) -> bool) -> Vec<Status> {
        let mut seen = vec![];
        loop {
            let (whose, status) = self.event().await;
            if whose == id {
                seen.push(status);
                if seen.last().is_some_and(&fits) {
                    return seen;
                }
            }
        }
    }

    pub async fn until_running(&mut self, id: &str) {
        let seen = self.until(id, |status| *status == Status::Running || status.has_ended()).await;
        assert_eq!(seen, [Status::Starting, Status::Running], "{id}");
    }

    pub async fn until_failed(&mut self, id: &str) -> String {
        match self.until(id, Status::has_ended).await.pop() {
            Some(Status::Failed { reason }) => reason,
            other => panic!("{id}: {other:?}"),
        }
    }

    pub async fn texts(&self, id: &str) -> Vec<String> {
        self.driver.logs(id, 0).await.lines.into_iter().map(|line| line.text).collect()
    }

    pub async fn page(&self, id: &str, path: &str) -> (StatusCode, String) {
        let stream = self.driver.connect(id, 80).await.unwrap();
        fetch(stream, path).await
    }
}

pub async fn fetch(stream: Box<dyn runtime::Stream>, path: &str) -> (StatusCode, String) {
    let exchange = async {
        let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = Request::get(path).header("host", "web").body(Empty::<bytes::Bytes>::new()).unwrap();
        let response = client.send_request(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        drop(client);
        let _ = connection.await;
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    soon(exchange).await
}

pub fn spec(id: &str, component: Digest) -> Spec {
    Spec {
        id: id.into(),
        component,
        args: vec![],
        env: BTreeMap::from([("TOMBOLO_NODE".into(), "12D3KooW".into())]),
        ports: vec![80],
        limits: Limits { memory_bytes: 16 << 20, cpu_millis: 1000, storage_bytes: 1 << 20, wall: None },
        restart: Restart::Never,
        allow: Allow::default(),
    }
}

/// A `wasi:cli/command` whose `run` is the body of a core function that gives an `i32`: 0 for ok.
pub fn command(module_items: &str, body: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            (core module $m {module_items} (func (export "run") (result i32) {body}))
            (core instance $i (instantiate $m))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $exported (export "run" (func $run)))
            (export "wasi:cli/run@0.2.3" (instance $exported)))"#
    );
    wat::parse_str(text).unwrap()
}

/// A `wasi:http/proxy` whose handler is the body of a core function that answers nothing.
pub fn service(module_items: &str, body: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            (import "wasi:http/types@0.2.3" (instance $types
                (export "incoming-request" (type (sub resource)))
                (export "response-outparam" (type (sub resource)))))
            (alias export $types "incoming-request" (type $request))
            (alias export $types "response-outparam" (type $out))
            (core module $m {module_items} (func (export "handle") (param i32 i32) {body}))
            (core instance $i (instantiate $m))
            (func $handle (param "request" (own $request)) (param "response-out" (own $out))
                (canon lift (core func $i "handle")))
            (instance $exported (export "handle" (func $handle)))
            (export "wasi:http/incoming-handler@0.2.3" (instance $exported)))"#
    );
    wat::parse_str(text).unwrap()
}

pub fn spinner() -> Vec<u8> {
    command("", "(loop $again (br $again)) unreachable")
}

/// Takes memory page by page until it gets none, then gives up.
pub fn hog() -> Vec<u8> {
    let body = "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
    command("(memory 1)", body)
}

/// Succeeds if it is given as many directories as `expected`.
pub fn counts_directories(expected: usize) -> Vec<u8> {
    let text = format!(
        r#"(component
            (import "wasi:filesystem/types@0.2.3" (instance $types (export "descriptor" (type (sub resource)))))
            (alias export $types "descriptor" (type $descriptor))
            (import "wasi:filesystem/preopens@0.2.3" (instance $preopens
                (alias outer 1 $descriptor (type $d))
                (export "descriptor" (type $descriptor (eq $d)))
                (export "get-directories" (func (result (list (tuple (own $descriptor) string)))))))
            (core module $libc
                (memory (export "memory") 2)
                (global $next (mut i32) (i32.const 1024))
                (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                    (global.get $next)
                    (global.set $next (i32.add (global.get $next) (i32.and (i32.add (local.get 3) (i32.const 7)) (i32.const -8))))))
            (core instance $libc (instantiate $libc))
            (core func $get (canon lower (func $preopens "get-directories")
                (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
            (core module $m
                (import "libc" "memory" (memory 1))
                (import "host" "get" (func $get (param i32)))
                (func (export "run") (result i32)
                    (call $get (i32.const 16))
                    (i32.ne (i32.load (i32.const 20)) (i32.const {expected}))))
            (core instance $i (instantiate $m
                (with "libc" (instance $libc)) (with "host" (instance (export "get" (func $get))))))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $exported (export "run" (func $run)))
            (export "wasi:cli/run@0.2.3" (instance $exported)))"#
    );
    wat::parse_str(text).unwrap()
}

/// Succeeds if it is refused a TCP socket with the error `access-denied`.
pub fn is_denied_sockets() -> Vec<u8> {
    let text = r#"(component
            (import "wasi:sockets/network@0.2.3" (instance $network
                (type $code (enum "unknown" "access-denied" "not-supported" "invalid-argument" "out-of-memory" "timeout"
                    "concurrency-conflict" "not-in-progress" "would-block" "invalid-state" "new-socket-limit"
                    "address-not-bindable" "address-in-use" "remote-unreachable" "connection-refused"
                    "connection-reset" "connection-aborted" "datagram-too-large" "name-unresolvable"
                    "temporary-resolver-failure" "permanent-resolver-failure"))
                (export "error-code" (type (eq $code)))
                (type $family (enum "ipv4" "ipv6"))
                (export "ip-address-family" (type (eq $family)))))
            (alias export $network "error-code" (type $code))
            (alias export $network "ip-address-family" (type $family))
            (import "wasi:sockets/tcp@0.2.3" (instance $tcp (export "tcp-socket" (type (sub resource)))))
            (alias export $tcp "tcp-socket" (type $socket))
            (import "wasi:sockets/tcp-create-socket@0.2.3" (instance $create
                (alias outer 1 $code (type $c)) (export "error-code" (type $code (eq $c)))
                (alias outer 1 $family (type $f)) (export "ip-address-family" (type $family (eq $f)))
                (alias outer 1 $socket (type $s)) (export "tcp-socket" (type $socket (eq $s)))
                (export "create-tcp-socket" (func (param "address-family" $family)
                    (result (result (own $socket) (error $code)))))))
            (core module $libc (memory (export "memory") 1))
            (core instance $libc (instantiate $libc))
            (core func $make (canon lower (func $create "create-tcp-socket") (memory (core memory $libc "memory"))))
            (core module $m
                (import "libc" "memory" (memory 1))
                (import "host" "make" (func $make (param i32 i32)))
                (func (export "run") (result i32)
                    (call $make (i32.const 0) (i32.const 16))
                    ;; error, access-denied
                    (i32.ne (i32.add (i32.load8_u (i32.const 16)) (i32.mul (i32.const 100) (i32.load8_u (i32.const 20))))
                        (i32.const 101))))
            (core instance $i (instantiate $m
                (with "libc" (instance $libc)) (with "host" (instance (export "make" (func $make))))))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $exported (export "run" (func $run)))
            (export "wasi:cli/run@0.2.3" (instance $exported)))"#;
    wat::parse_str(text).unwrap()
}

/// Succeeds if it can have as many sets of headers at once as `count`.
pub fn holds_headers(count: usize) -> Vec<u8> {
    let text = format!(
        r#"(component
            (import "wasi:http/types@0.2.3" (instance $types
                (export "fields" (type $fields (sub resource)))
                (export "[constructor]fields" (func (result (own $fields))))))
            (core func $make (canon lower (func $types "[constructor]fields")))
            (core module $m
                (import "host" "make" (func $make (result i32)))
                (func (export "run") (result i32) (local $left i32)
                    (local.set $left (i32.const {count}))
                    (loop $again
                        (drop (call $make))
                        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                        (br_if $again (local.get $left)))
                    (i32.const 0)))
            (core instance $i (instantiate $m (with "host" (instance (export "make" (func $make))))))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $exported (export "run" (func $run)))
            (export "wasi:cli/run@0.2.3" (instance $exported)))"#
    );
    wat::parse_str(text).unwrap()
}
