//! The door: what becomes of a stream that a peer has opened.

use std::{sync::Arc, time::Duration};

use kernel::{Digest, NodeId, Span};
use rear_proto::{
    Code, Refusal,
    door::{MAX_DEADLINE, MAX_LABEL},
    fabric::{FabricAnswer, FabricAsk, FabricReply},
    local::Side,
    wire::frame::{MAX_ANSWER, MAX_REQUEST},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional_with_sizes},
    sync::{AcquireError, OwnedSemaphorePermit},
    time::timeout,
};

use super::{
    Hub, TRANSFER,
    dial::module_time,
    failure::Failure,
    line::Line,
    relay::Joined,
    router::{Router, Way},
    secure::{self, MAX_SEALED, Secure},
    words::{self, MAX_WORDS, Opening, Purpose, Verdict},
};
use crate::expose::Stream;

/// How long a component waits for its turn to be taken in.
const TURN: Duration = Duration::from_secs(30);
/// After which time to try again where there is too much at once.
const RETRY_AFTER: Span = Span::secs(1);

/// Serves one stream until it ends; `peer` is proven by who brings it. Who is not the far end of the contract that the
/// stream names, or has not got its key, hears nothing.
pub(super) async fn serve(hub: &Hub, peer: NodeId, mut stream: Box<dyn Stream>) -> Result<(), Failure> {
    let opening = async {
        let contract = secure::read_header(&mut stream).await?;
        match hub.routers.way(contract, peer).ok_or(Failure::NoRouter)? {
            Way::Here(router) => Ok::<_, Failure>(Open::Here(Box::new(admit(router, stream).await?))),
            Way::Onward(onward) => Ok(Open::Onward(Box::new(onward.open(hub, stream).await?))),
        }
    };
    match timeout(hub.pace.opening, opening).await?? {
        Open::Here(admitted) => admitted.serve(hub).await,
        Open::Onward(joined) => joined.pass().await,
    }
}

/// A stream that is known.
enum Open {
    Here(Box<Admitted>),
    Onward(Box<Joined>),
}

/// A stream of which this node is the end, proven.
struct Admitted {
    router: Arc<Router>,
    permit: OwnedSemaphorePermit,
    stream: Secure<Line>,
    purpose: Purpose,
}

/// Agrees keys with who opened a stream, and hears what it is for.
async fn admit(router: Arc<Router>, stream: Box<dyn Stream>) -> Result<Admitted, Failure> {
    let permit = Arc::clone(&router.inbound).try_acquire_owned().map_err(|_| Failure::Busy)?;
    let line = router.line(stream, None);
    line.has_read(secure::HEADER);
    let mut stream = secure::respond(line, &router.keys).await?;
    let Opening { purpose, .. } = words::read(&mut stream, MAX_WORDS).await?;
    Ok(Admitted { router, permit, stream, purpose })
}

impl Admitted {
    async fn serve(self, hub: &Hub) -> Result<(), Failure> {
        let Self { router, permit, stream, purpose } = self;
        let serving = async {
            match purpose {
                Purpose::Fabric => fabric(hub, &router, stream).await,
                Purpose::Module { digest, size } => module(hub, &router, stream, digest, size).await,
                Purpose::Port { workload, port } => connection(hub, &router, permit, stream, workload, port).await,
            }
        };
        tokio::select! {
            biased;
            // The line notices by itself only when something moves.
            () = router.stop.cancelled() => Err(Failure::NoRouter),
            served = serving => served,
        }
    }
}

/// One question, one answer.
async fn fabric(hub: &Hub, router: &Router, mut stream: Secure<Line>) -> Result<(), Failure> {
    let ask: FabricAsk = timeout(TRANSFER, words::read(&mut stream, MAX_REQUEST)).await??;
    let reply = match ask.validate() {
        Err(refusal) => Err(refusal),
        Ok(()) => tokio::select! {
            biased;
            heard = timeout(MAX_DEADLINE.to_std(), hub.world.hear(router.contract, ask)) => {
                heard.unwrap_or_else(|_| Err(Code::Timeout.into()))
            }
            // Nothing more belongs there: whoever asked has gone.
            _ = stream.read_u8() => return Err(Failure::Unexpected),
        },
    };
    let sending = async {
        let reply = reply.unwrap_or_else(refused);
        match words::write(&mut stream, &reply, MAX_ANSWER).await {
            Err(failure @ Failure::TooLarge { .. }) => {
                words::write(&mut stream, &refused(failure.into()), MAX_ANSWER).await?;
            }
            written => written?,
        }
        Ok(stream.shutdown().await?)
    };
    timeout(TRANSFER, sending).await?
}

fn refused(refusal: Refusal) -> FabricReply {
    FabricReply { answer: FabricAnswer::Refused(refusal), steps: Vec::new(), extensions: Default::default() }
}

/// Takes in a component, when it is its turn and unless it is there.
async fn module(
    hub: &Hub,
    router: &Router,
    mut stream: Secure<Line>,
    digest: Digest,
    size: u64,
) -> Result<(), Failure> {
    let verdict = match receive(hub, router, &mut stream, digest, size).await {
        Ok(()) => Verdict::Done,
        Err(Failure::Refused(refusal)) => Verdict::Refused(refusal),
        Err(failure) => return Err(failure),
    };
    close(&mut stream, verdict).await
}

async fn receive(
    hub: &Hub,
    router: &Router,
    stream: &mut Secure<Line>,
    digest: Digest,
    size: u64,
) -> Result<(), Failure> {
    only_provider(router)?;
    let limit = hub.world.largest_module();
    if size > limit {
        let text = format!("the component has {size} bytes, over this node's limit of {limit}");
        return Err(Failure::Refused(Refusal::new(Code::TooLarge, text)));
    }
    // One after the other: whoever waits for its peer's turn keeps nobody else from theirs.
    let turn = async { Ok::<_, AcquireError>((router.module.acquire().await?, hub.modules.acquire().await?)) };
    let Ok(Ok(_turn)) = timeout(TURN, turn).await else {
        return Err(Failure::Refused(Refusal::from(Code::Overloaded).retry_after(RETRY_AFTER)));
    };
    // Looked up when it is its turn: it may have come while this one waited.
    if hub.world.has(&digest) {
        return Ok(());
    }
    timeout(TRANSFER, words::answer(stream, Verdict::Go)).await??;
    let mut bytes = Vec::new();
    timeout(module_time(size), stream.take(size).read_to_end(&mut bytes)).await??;
    if (bytes.len() as u64) < size {
        return Err(Failure::Refused(Refusal::new(Code::Malformed, "the component is shorter than was said")));
    }
    hub.world.keep(digest, bytes).await.map_err(Failure::Refused)
}

/// Joins a stream to a port of a replica, until both directions have ended.
async fn connection(
    hub: &Hub,
    router: &Router,
    permit: OwnedSemaphorePermit,
    mut stream: Secure<Line>,
    workload: String,
    port: u16,
) -> Result<(), Failure> {
    let joined = async {
        only_provider(router)?;
        let connection = router.connections.try_acquire().map_err(|_| {
            let text = Failure::Busy.to_string();
            Failure::Refused(Refusal::new(Code::Overloaded, text).retry_after(RETRY_AFTER))
        })?;
        if workload.len() > MAX_LABEL {
            return Err(Failure::Refused(Refusal::new(Code::NotFound, "no workload has so long a name")));
        }
        let connecting = async {
            let instance = hub.world.instance(router.contract, workload).await?;
            hub.world.connect(&instance, port).await
        };
        let local = timeout(hub.pace.opening, connecting).await.unwrap_or_else(|_| Err(Code::Timeout.into()));
        Ok((connection, local.map_err(Failure::Refused)?))
    };
    let (_connection, mut local) = match joined.await {
        Ok(joined) => joined,
        Err(Failure::Refused(refusal)) => return close(&mut stream, Verdict::Refused(refusal)).await,
        Err(failure) => return Err(failure),
    };
    drop(permit);
    timeout(TRANSFER, words::answer(&mut stream, Verdict::Go)).await??;
    copy_bidirectional_with_sizes(&mut stream, &mut local, MAX_SEALED, MAX_SEALED).await?;
    Ok(())
}

/// A consumer takes in nothing and offers no ports: under this contract it has what it bought, at the far end.
fn only_provider(router: &Router) -> Result<(), Failure> {
    match router.side {
        Side::Provider => Ok(()),
        Side::Consumer => Err(Failure::Refused(Refusal::new(Code::NotFound, "this end of the contract runs nothing"))),
    }
}

/// Says the last word.
async fn close(stream: &mut Secure<Line>, verdict: Verdict) -> Result<(), Failure> {
    let closing = async {
        words::answer(stream, verdict).await?;
        Ok(stream.shutdown().await?)
    };
    timeout(TRANSFER, closing).await?
}
