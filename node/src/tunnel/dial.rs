//! The dialling side: opens a stream under a contract and says what it is for.

use std::{sync::Arc, time::Duration};

use kernel::Digest;
use rear_proto::{
    fabric::{FabricAsk, FabricReply},
    wire::frame::{MAX_ANSWER, MAX_REQUEST},
};
use tokio::{io::AsyncWriteExt as _, sync::OwnedSemaphorePermit, time::timeout};

use super::{
    Hub, TRANSFER,
    failure::Failure,
    line::Line,
    router::Router,
    secure::{self, Secure},
    words::{self, MAX_WORDS, Opening, Purpose, Verdict},
};

/// How long the far end may think about a component or a connection before it says whether it takes it: it may wait
/// for its turn, or for a workload that is starting.
const VERDICT: Duration = Duration::from_secs(60);

/// Returns how long a component may take to pass: what 1 Mbit/s needs, and some more.
pub(super) fn module_time(size: u64) -> Duration {
    Duration::from_secs(30 + size / (128 << 10))
}

/// Puts one question and returns its answer, within its limits.
pub(super) async fn ask(hub: &Hub, router: &Router, ask: &FabricAsk) -> Result<FabricReply, Failure> {
    let mut stream = open(hub, router, Purpose::Fabric, None).await?;
    words::write(&mut stream, ask, MAX_REQUEST).await?;
    stream.flush().await?;
    let reply: FabricReply = words::read(&mut stream, MAX_ANSWER).await?;
    reply.validate().map_err(Failure::Refused)?;
    Ok(reply)
}

/// Sends a component and returns when it is kept at the far end, or was there already.
pub(super) async fn ship(hub: &Hub, router: &Router, digest: Digest) -> Result<(), Failure> {
    let bytes = hub.world.load(digest).await.map_err(Failure::Refused)?;
    let size = bytes.len() as u64;
    let mut stream = open(hub, router, Purpose::Module { digest, size }, None).await?;
    stream.flush().await?;
    match timeout(VERDICT, words::verdict(&mut stream)).await?? {
        Verdict::Done => return Ok(()),
        Verdict::Go | Verdict::Refused(_) => {}
    }
    let sending = async {
        stream.write_all(&bytes).await?;
        stream.flush().await
    };
    timeout(module_time(size), sending).await??;
    drop(bytes);
    match timeout(VERDICT, words::verdict(&mut stream)).await?? {
        Verdict::Done => Ok(()),
        Verdict::Go | Verdict::Refused(_) => Err(Failure::Unexpected),
    }
}

/// Opens a connection to a port of a replica at the far end.
pub(super) async fn port(hub: &Hub, router: &Router, workload: &str, port: u16) -> Result<Secure<Line>, Failure> {
    let permit = Arc::clone(&router.connections).try_acquire_owned().map_err(|_| Failure::Busy)?;
    let purpose = Purpose::Port { workload: workload.to_owned(), port };
    let mut stream = open(hub, router, purpose, Some(permit)).await?;
    stream.flush().await?;
    match timeout(TRANSFER, words::verdict(&mut stream)).await?? {
        Verdict::Go => Ok(stream),
        Verdict::Done | Verdict::Refused(_) => Err(Failure::Unexpected),
    }
}

/// Opens a stream and writes, without sending it yet, what it is for.
async fn open(
    hub: &Hub,
    router: &Router,
    purpose: Purpose,
    permit: Option<OwnedSemaphorePermit>,
) -> Result<Secure<Line>, Failure> {
    let stream = hub.world.dial(&router.peer).await?;
    let line = router.line(stream, permit);
    let mut stream = timeout(hub.pace.proof, secure::initiate(line, &router.keys, &router.contract)).await??;
    words::write(&mut stream, &Opening::from(purpose), MAX_WORDS).await?;
    Ok(stream)
}
