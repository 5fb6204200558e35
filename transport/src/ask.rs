//! The asker's side of an ask: one frame out, one frame or marker in.

use std::pin::pin;

use futures::{
    AsyncReadExt as _, AsyncWriteExt as _,
    future::{Either, select},
};
use kernel::{NodeId, Span};

use crate::{
    config::Limits,
    frame::{self, FrameError, Marker, Reply},
    streams::{OpenError, Outgoing},
};

/// Why an ask has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nothing was sent.
    #[error(transparent)]
    NotSent(#[from] OpenError),
    /// The deadline came first; the request may have been acted upon.
    #[error("{peer} did not answer within {deadline}")]
    Timeout {
        /// Who was asked.
        peer: NodeId,
        /// How long was waited.
        deadline: Span,
    },
    /// The far end has too much to do and has not looked at the request.
    #[error("{peer} has too much to do, and asks to try again after {retry_after}")]
    Busy {
        /// Who was asked.
        peer: NodeId,
        /// How long it asks to wait.
        retry_after: Span,
    },
    /// The far end took the request and says that it will not answer.
    #[error("{0} gives no answer")]
    NoAnswer(NodeId),
    /// The request is over our limit or the far end's; it has not been looked at.
    #[error("a request of {size} bytes is over the limit of {limit}")]
    RequestTooLarge {
        /// Bytes of the body.
        size: usize,
        /// The most that may be asked.
        limit: usize,
    },
    /// The answer is no frame that this node reads, or is over its limit.
    #[error("the answer of {peer} cannot be read")]
    Unreadable {
        /// Who was asked.
        peer: NodeId,
        /// What is wrong with it.
        source: FrameError,
    },
    /// The stream or the connection broke; the request may have been acted upon.
    #[error("the connection to {0} broke before the answer came")]
    Closed(NodeId),
}

/// Says whether a request may be sent at all.
pub(crate) fn check_size(body: &[u8], limits: &Limits) -> Result<(), AskError> {
    if body.len() > limits.request_bytes {
        return Err(AskError::RequestTooLarge { size: body.len(), limit: limits.request_bytes });
    }
    Ok(())
}

/// Sends the request and takes the answer in. Dropping the future resets the stream.
pub(crate) async fn exchange(
    peer: NodeId,
    outgoing: Outgoing,
    body: Vec<u8>,
    limits: &Limits,
) -> Result<Vec<u8>, AskError> {
    let Outgoing { stream, permit: _permit } = outgoing;
    let (mut reader, mut writer) = stream.split();
    let writing = pin!(async {
        frame::write(&mut writer, &body).await?;
        writer.close().await
    });
    let reading = pin!(frame::read_reply(&mut reader, limits.answer_bytes));
    // Both at once: a far end that refuses says so without reading on, and yamux lets a writer wait for ever then.
    let reply = match select(writing, reading).await {
        Either::Left((sent, reading)) => {
            if let Err(error) = sent {
                tracing::debug!(%peer, %error, "a request could not be sent whole");
            }
            reading.await
        }
        Either::Right((reply, _)) => reply,
    };
    match reply {
        Ok(Reply::Frame(answer)) => Ok(answer),
        Ok(Reply::Marker(Marker::Busy(retry_after))) => Err(AskError::Busy { peer, retry_after }),
        Ok(Reply::Marker(Marker::NoAnswer)) => Err(AskError::NoAnswer(peer)),
        Ok(Reply::Marker(Marker::TooLarge { limit })) => Err(AskError::RequestTooLarge { size: body.len(), limit }),
        Err(FrameError::Broken(error)) => {
            tracing::debug!(%peer, %error, "an ask's stream broke");
            Err(AskError::Closed(peer))
        }
        Err(source) => Err(AskError::Unreadable { peer, source }),
    }
}
