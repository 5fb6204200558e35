//! What stands for running workloads: components on a shelf, and a driver that lets each serve a page.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kernel::Digest;
use node::modules::Modules;
use rear_proto::{Code, Refusal};
use runtime::{ConnectError, Driver, Event, LogChunk, Spec, StartError, Status, Stream, Usage};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    sync::{mpsc, watch},
};

/// How long a component takes to start.
const STARTING: Duration = Duration::from_millis(30);
/// How much of a connection is held unread.
const BUFFER: usize = 16 << 10;

/// A machine's components. They outlive its lives, as files do.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<BTreeMap<Digest, Vec<u8>>>);

impl Shelf {
    /// Puts a component on the shelf.
    pub(crate) fn put(&self, bytes: Vec<u8>) {
        self.lock().insert(Digest::of(&bytes), bytes);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A life's access to its machine's shelf.
pub(crate) struct Here(pub(crate) Arc<Shelf>);

#[async_trait::async_trait]
impl Modules for Here {
    fn has(&self, digest: &Digest) -> bool {
        self.0.lock().contains_key(digest)
    }

    async fn load(&self, digest: Digest) -> Result<Vec<u8>, Refusal> {
        self.0.lock().get(&digest).cloned().ok_or_else(|| Code::NotFound.into())
    }

    async fn keep(&self, digest: Digest, bytes: Vec<u8>) -> Result<(), Refusal> {
        if Digest::of(&bytes) != digest {
            return Err(Code::Malformed.into());
        }
        self.0.put(bytes);
        Ok(())
    }
}

/// Lets workloads run that do nothing but answer with a page that says for whom.
pub(crate) struct Pages {
    shelf: Arc<Shelf>,
    reports: mpsc::Sender<Event>,
    running: Arc<Mutex<BTreeMap<String, Work>>>,
}

struct Work {
    spec: Spec,
    serves: bool,
    lines: watch::Sender<u64>,
}

impl Pages {
    /// Makes the driver of one life of a machine.
    pub(crate) fn new(shelf: Arc<Shelf>, reports: mpsc::Sender<Event>) -> Self {
        Self { shelf, reports, running: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Work>> {
        lock(&self.running)
    }
}

fn lock(running: &Mutex<BTreeMap<String, Work>>) -> MutexGuard<'_, BTreeMap<String, Work>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait::async_trait]
impl Driver for Pages {
    fn name(&self) -> &'static str {
        "pages"
    }

    async fn start(&self, spec: Spec) -> Result<(), StartError> {
        if !self.shelf.lock().contains_key(&Digest(spec.component.0)) {
            return Err(StartError::UnknownModule(spec.component));
        }
        let id = spec.id.clone();
        {
            let mut running = self.lock();
            if running.contains_key(&id) {
                return Err(StartError::AlreadyExists(id));
            }
            running.insert(id.clone(), Work { spec, serves: false, lines: watch::Sender::new(0) });
        }
        let (reports, running) = (self.reports.clone(), Arc::clone(&self.running));
        tokio::spawn(async move {
            let _ = reports.send(Event { id: id.clone(), status: Status::Starting }).await;
            tokio::time::sleep(STARTING).await;
            let serves = lock(&running).get_mut(&id).map(|work| work.serves = true).is_some();
            if serves {
                let _ = reports.send(Event { id, status: Status::Running }).await;
            }
        });
        Ok(())
    }

    async fn stop(&self, id: &str, _: Duration) {
        if self.lock().remove(id).is_some() {
            let _ = self.reports.send(Event { id: id.to_owned(), status: Status::Stopped }).await;
        }
    }

    async fn connect(&self, id: &str, port: u16) -> Result<Box<dyn Stream>, ConnectError> {
        let page = match self.lock().get(id) {
            None => return Err(ConnectError::UnknownWorkload(id.to_owned())),
            Some(work) if !work.spec.ports.contains(&port) => {
                return Err(ConnectError::UnknownPort { id: id.to_owned(), port });
            }
            Some(work) if !work.serves => return Err(ConnectError::NotServing(id.to_owned())),
            Some(work) => format!("run by {}\n", work.spec.env.get("TOMBOLO_NODE").map_or("nobody", String::as_str)),
        };
        let (near, far) = tokio::io::duplex(BUFFER);
        tokio::spawn(answer(far, page));
        Ok(Box::new(near))
    }

    async fn logs(&self, _: &str, from: u64) -> LogChunk {
        LogChunk { lines: Vec::new(), next: from }
    }

    fn follow(&self, id: &str) -> Option<watch::Receiver<u64>> {
        self.lock().get(id).map(|work| work.lines.subscribe())
    }

    async fn sweep(&self, keep: &BTreeSet<String>) {
        let over: Vec<_> = self.lock().keys().filter(|id| !keep.contains(*id)).cloned().collect();
        for id in over {
            self.stop(&id, Duration::ZERO).await;
        }
    }

    fn running(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    fn usage(&self, id: &str) -> Option<Usage> {
        self.lock().contains_key(id).then(Usage::default)
    }

    async fn shutdown(&self) {
        self.lock().clear();
    }
}

/// Answers one request of HTTP/1.1, and closes.
async fn answer(mut stream: DuplexStream, page: String) {
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) if asked.len() < BUFFER => asked.push(byte),
            Ok(_) | Err(_) => return,
        }
    }
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", page.len());
    // Whoever asked may have gone.
    let _ = stream.write_all(format!("{head}{page}").as_bytes()).await;
    let _ = stream.shutdown().await;
}
