//! Serves HTTP in process: one connection is one task, one request is one instance of the component.
//!
//! ```text
//! connect ── duplex pipe ── connection (hyper) ── request ── instance ── answer, streamed back
//!                           at most 256            waits for memory
//! ```
//!
//! An instance that fails costs its request a 500 and a line in the log, and nothing else.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::DuplexStream;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use wasmtime::Store;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};

use super::guest::{Guest, Setup, reason};
use super::ticker::Ticker;
use crate::cpu::Metered;

/// What a pipe holds per direction; when it is full, its writer waits.
const PIPE_BYTES: usize = 64 * 1024;
/// Connections of one workload at once.
const MAX_CONNECTIONS: usize = 256;
/// Instances of one workload at once, however small they are.
const MAX_INSTANCES: u32 = 64;
/// The unit in which requests wait for memory: a page of WebAssembly.
const PAGE: u64 = 64 * 1024;
/// How long a client may take to send the head of a request.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// How long an instance may go on after its answer has been read or its client has gone.
const EPILOGUE: Duration = Duration::from_secs(5);

type Answer = UnsyncBoxBody<Bytes, wasmtime_wasi_http::Error>;
type Outcome = Result<Response<Answer>, ErrorCode>;

/// A component that answers requests.
pub(crate) struct Service {
    id: String,
    setup: Arc<Setup>,
    program: ProxyPre<Guest>,
    ticker: Arc<Ticker>,
    runtime: Handle,
    connections: Arc<Semaphore>,
    /// Pages that requests under way have not spoken for.
    pages: Arc<Semaphore>,
    total_pages: u32,
    /// What a request speaks for: the most that one was seen to use.
    estimate: AtomicU32,
    tasks: TaskTracker,
    draining: CancellationToken,
    killed: CancellationToken,
}

impl Service {
    /// Makes the first instance, to see that it can be made and what it takes. The error is a sentence.
    pub(crate) async fn open(
        setup: Arc<Setup>,
        program: ProxyPre<Guest>,
        ticker: Arc<Ticker>,
    ) -> Result<Arc<Self>, String> {
        let mut store = setup.store(program.engine(), &ticker).map_err(|error| error.root_cause().to_string())?;
        let made = Metered::new(&setup.account, program.instantiate_async(&mut store)).await;
        made.map_err(|error| reason(&error, &store.data().share))?;
        let first = store.data().share.held();
        let total_pages = u32::try_from(setup.budget.limit() / PAGE).unwrap_or(u32::MAX).max(1);
        let pages = Arc::new(Semaphore::new((total_pages as usize).min(Semaphore::MAX_PERMITS)));
        Ok(Arc::new(Self {
            id: setup.spec.id.clone(),
            setup,
            program,
            ticker,
            runtime: Handle::current(),
            connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            pages,
            total_pages,
            estimate: AtomicU32::new(whole_pages(first)),
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
            killed: CancellationToken::new(),
        }))
    }

    /// A stream on which HTTP/1.1 is spoken; `None` when there are too many.
    pub(crate) fn connect(self: &Arc<Self>) -> Option<DuplexStream> {
        let permit = Arc::clone(&self.connections).try_acquire_owned().ok()?;
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        self.tasks.spawn_on(Arc::clone(self).serve(ours, permit), &self.runtime);
        Some(theirs)
    }

    /// Lets requests under way end within `grace`, then ends them; returns when no task is left.
    pub(crate) async fn close(&self, grace: Duration) {
        self.draining.cancel();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            self.killed.cancel();
            self.tasks.wait().await;
        }
    }

    async fn serve(self: Arc<Self>, stream: DuplexStream, _permit: OwnedSemaphorePermit) {
        let service = service_fn(|request| {
            let this = Arc::clone(&self);
            async move { Ok::<_, Infallible>(this.answer(request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let mut draining = false;
        loop {
            tokio::select! {
                biased;
                () = self.killed.cancelled() => return,
                () = self.draining.cancelled(), if !draining => {
                    draining = true;
                    connection.as_mut().graceful_shutdown();
                }
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(id = %self.id, %error, "connection ended");
                    }
                    return;
                }
            }
        }
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Reply> {
        let need = self.estimate.load(Ordering::Relaxed).max(self.total_pages.div_ceil(MAX_INSTANCES));
        let need = need.clamp(1, self.total_pages);
        // Never closed, so this only waits; the client's going away ends the wait.
        let Ok(room) = Arc::clone(&self.pages).acquire_many_owned(need).await else {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "the workload is going away\n");
        };
        let (sender, receiver) = oneshot::channel();
        let instance = match self.instance(request, sender) {
            Ok(instance) => instance,
            Err(error) => return plain(StatusCode::BAD_REQUEST, &format!("bad request: {}\n", error.root_cause())),
        };
        let client = CancellationToken::new();
        let reader = client.clone().drop_guard();
        self.tasks.spawn_on(Arc::clone(&self).run(instance, client, room), &self.runtime);
        match receiver.await {
            Ok(Ok(response)) => response.map(|body| Reply { body, _reader: Some(reader) }),
            Ok(Err(code)) => {
                self.setup.logs.note(&format!("a request failed: the workload answered with {code:?}"));
                failed()
            }
            // The instance ended without an answer; `run` has logged why.
            Err(_) => failed(),
        }
    }

    fn instance(&self, request: Request<Incoming>, sender: oneshot::Sender<Outcome>) -> wasmtime::Result<Instance> {
        let mut store = self.setup.store(self.program.engine(), &self.ticker)?;
        let request = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
        let answered = Arc::new(AtomicU32::new(0));
        let noted = Arc::clone(&answered);
        let out = store.data_mut().http().new_response_outparam_from_callback(move |outcome| {
            noted.store(1, Ordering::Relaxed);
            let _ = sender.send(outcome);
        })?;
        Ok(Instance { store, request, out, answered })
    }

    /// Runs one instance to its end; all that it used is free when this returns.
    async fn run(self: Arc<Self>, instance: Instance, client: CancellationToken, _room: OwnedSemaphorePermit) {
        let Instance { mut store, request, out, answered } = instance;
        let handled = Metered::new(&self.setup.account, async {
            let proxy = self.program.instantiate_async(&mut store).await?;
            proxy.wasi_http_incoming_handler().call_handle(&mut store, request, out).await
        });
        let ended = tokio::select! {
            biased;
            () = self.killed.cancelled() => return,
            ended = handled => ended,
            () = async { client.cancelled().await; tokio::time::sleep(EPILOGUE).await } => {
                self.setup.logs.note("a request was ended: its client had gone, and it went on");
                return;
            }
        };
        let share = &store.data().share;
        self.estimate.fetch_max(whole_pages(share.held()), Ordering::Relaxed);
        match ended {
            Err(error) => self.setup.logs.note(&format!("a request failed: {}", reason(&error, share))),
            Ok(()) if answered.load(Ordering::Relaxed) == 0 => {
                self.setup.logs.note("a request failed: the workload ended without an answer");
            }
            Ok(()) => {}
        }
    }
}

/// One request, ready to run.
struct Instance {
    store: Store<Guest>,
    request: wasmtime::component::Resource<wasmtime_wasi_http::p2::types::HostIncomingRequest>,
    out: wasmtime::component::Resource<wasmtime_wasi_http::p2::types::HostResponseOutparam>,
    answered: Arc<AtomicU32>,
}

fn whole_pages(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(PAGE)).unwrap_or(u32::MAX)
}

/// An answer's body; when it is dropped, its reader is gone.
struct Reply {
    body: Answer,
    _reader: Option<DropGuard>,
}

impl Body for Reply {
    type Data = Bytes;
    type Error = wasmtime_wasi_http::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Says no more than that: what went wrong is the owner's to read in the log.
fn failed() -> Response<Reply> {
    plain(StatusCode::INTERNAL_SERVER_ERROR, "the workload failed to answer\n")
}

fn plain(status: StatusCode, text: &str) -> Response<Reply> {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes())).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(Reply { body, _reader: None });
    *response.status_mut() = status;
    response
}
