//! The answering side of an ask: reads the request, hands it over as an event, and writes what comes back.

use std::{future::Future, io};

use futures::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use kernel::{NodeId, Span};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::timeout,
};

use crate::{
    config::Config,
    event::{Answer, Event},
    frame::{self, FrameError, Marker},
    streams::Protocol,
};

/// What an asker that is refused as busy is asked to wait: long enough that a queue of asks has moved on.
const RETRY_AFTER: Span = Span::millis(250);

/// Serves one ask from its first byte to its last. The permits count it for as long as it takes.
pub(crate) async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    (peer, protocol): (NodeId, Protocol),
    events: mpsc::Sender<Event>,
    config: &Config,
    _permits: [OwnedSemaphorePermit; 2],
) {
    let within = config.transfer_within.to_std();
    let body = match timeout(within, frame::read(&mut stream, config.limits.request_bytes)).await {
        Ok(Ok(body)) => body,
        Ok(Err(FrameError::TooLarge { size, limit })) => {
            tracing::debug!(%peer, size, limit, "refused a request over the limit");
            return refuse(stream, Marker::TooLarge { limit }, config).await;
        }
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "a request could not be read"),
        Err(_) => return tracing::debug!(%peer, "a request did not arrive in time"),
    };
    let (answer, reply) = Answer::new(config.limits.answer_bytes);
    match events.try_send(Event::Asked { peer, protocol, body, answer }) {
        Ok(()) => {}
        Err(mpsc::error::TrySendError::Full(_)) => return refuse_busy(stream, config).await,
        Err(mpsc::error::TrySendError::Closed(_)) => return refuse(stream, Marker::NoAnswer, config).await,
    }
    match timeout(config.answer_within.to_std(), reply).await {
        Ok(Ok(answer)) => {
            finish(within, async {
                frame::write(&mut stream, &answer).await?;
                stream.close().await
            })
            .await
        }
        Ok(Err(_)) | Err(_) => refuse(stream, Marker::NoAnswer, config).await,
    }
}

/// Tells an asker that there is too much to do, without reading its request.
pub(crate) async fn refuse_busy(stream: impl AsyncRead + AsyncWrite + Unpin, config: &Config) {
    refuse(stream, Marker::Busy(RETRY_AFTER), config).await;
}

async fn refuse(mut stream: impl AsyncRead + AsyncWrite + Unpin, marker: Marker, config: &Config) {
    finish(config.transfer_within.to_std(), async {
        frame::write_marker(&mut stream, marker).await?;
        stream.close().await
    })
    .await;
}

async fn finish(within: std::time::Duration, writing: impl Future<Output = io::Result<()>>) {
    match timeout(within, writing).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an answer could not be sent"),
        Err(_) => tracing::debug!("an asker did not take its answer in time"),
    }
}
