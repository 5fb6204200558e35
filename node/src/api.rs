//! The local HTTP API: what the commands use, and whoever else runs on this machine and has the token.
//!
//! JSON in camelCase; a refusal is a problem document (RFC 9457) with the refusal's name in `reason`.

mod body;
mod events;
mod listener;
mod partners;
mod problem;
mod routes;
pub mod view;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::header,
    middleware::{self, Next},
    response::Response,
    routing::{delete, get, post},
};
use kernel::{DomainKey, NodeId};
use runtime::Cache;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::host::Mind;
use problem::Problem;

/// The largest JSON body: an intent with its largest environment fits.
const MAX_BODY: usize = 1 << 20;
/// How long open requests may go on when the daemon ends.
const GRACE: Duration = Duration::from_secs(1);

/// What the handlers need.
#[derive(Clone)]
pub struct State(Arc<Inner>);

struct Inner {
    mind: Mind,
    cache: Arc<Cache>,
    id: NodeId,
    domain: DomainKey,
    starts: u32,
    token: String,
    max_module: usize,
    stop: CancellationToken,
    seen: events::Versions,
}

impl State {
    /// Makes the state; `token` is what callers must bear, `max_module` the largest component taken in, in bytes.
    #[allow(clippy::too_many_arguments, reason = "each is one thing that the handlers need, named once")]
    pub fn new(
        mind: Mind,
        cache: Arc<Cache>,
        id: NodeId,
        domain: DomainKey,
        starts: u32,
        token: String,
        max_module: usize,
        stop: CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner {
            mind,
            cache,
            id,
            domain,
            starts,
            token,
            max_module,
            stop,
            seen: events::Versions::default(),
        }))
    }
}

/// Serves until stopped.
pub async fn serve(listener: TcpListener, state: State, stop: CancellationToken) {
    let watching = tokio::spawn(events::follow(state.clone()));
    let router = router(state);
    let ended = stop.clone();
    let listener = listener::Bounded::new(listener);
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move { ended.cancelled().await });
    tokio::select! {
        result = serving => if let Err(error) = result {
            tracing::error!(%error, "the local API has ended");
        },
        () = async { stop.cancelled().await; tokio::time::sleep(GRACE).await } => {}
    }
    watching.abort();
}

fn router(state: State) -> Router {
    let modules = state.0.max_module;
    let api = Router::new()
        .route("/v1/status", get(routes::status))
        .route("/v1/peers", get(routes::peers))
        .route("/v1/flavours", get(routes::flavours).post(routes::offer))
        .route("/v1/flavours/{id}", delete(routes::withdraw))
        .route("/v1/candidates", get(routes::candidates))
        .route("/v1/reservations", get(routes::reservations).post(routes::reserve))
        .route("/v1/reservations/{id}/purchase", post(routes::purchase))
        .route("/v1/contracts", get(routes::contracts))
        .route("/v1/contracts/{id}/renew", post(routes::renew))
        .route("/v1/allocations", get(routes::allocations))
        .route("/v1/routers", get(routes::routers))
        .route("/v1/ratings", get(routes::ratings))
        .route("/v1/release", post(routes::release))
        .route("/v1/discover", post(routes::discover))
        .route("/v1/intents", get(routes::intents).post(routes::submit))
        .route("/v1/intents/{id}", get(routes::intent).delete(routes::delete_intent))
        .route("/v1/intents/{id}/logs", get(routes::logs))
        .route("/v1/domain/invite", post(routes::invite))
        .route("/v1/domain/members", get(routes::members))
        .route("/v1/domain/members/{node}", delete(routes::remove))
        .route("/v1/partners", get(partners::list))
        .route("/v1/partners/invite", post(partners::invite))
        .route("/v1/partners/accept", post(partners::accept))
        .route("/v1/partners/{name}", delete(partners::remove))
        .route("/v1/partners/{name}/suspend", post(partners::suspend))
        .route("/v1/partners/{name}/resume", post(partners::resume))
        .route("/v1/events", get(events::stream))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .route("/v1/modules", post(routes::upload).layer(DefaultBodyLimit::max(modules)))
        .layer(middleware::from_fn_with_state(state.clone(), authorise));
    Router::new()
        .merge(api)
        .route("/healthz", get(routes::healthy))
        .route("/readyz", get(routes::ready))
        .fallback(routes::unknown)
        .with_state(state)
}

/// Lets only those in who bear the token.
async fn authorise(
    axum::extract::State(state): axum::extract::State<State>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let bearer = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    if bearer.is_some_and(|bearer| same(bearer.as_bytes(), state.0.token.as_bytes())) {
        Ok(next.run(request).await)
    } else {
        Err(Problem::unauthorised())
    }
}

/// Compares without telling by its time where the first difference is.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |differs, (l, r)| differs | (l ^ r)) == 0
}
