//! What lies between two nodes, keeps what passes, and can do as it likes with it.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::*;

/// Which part of a stream: 0 is the clear header, 1 the handshake, what follows are records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    /// Whether it comes from the dialler.
    pub(super) out: bool,
    pub(super) part: usize,
}

/// What becomes of a part. A piece without bytes ends the direction.
type Edit = Box<dyn Fn(At, Vec<u8>) -> Vec<Vec<u8>> + Send + Sync>;

pub(super) struct Tap {
    edit: Edit,
    tape: Mutex<Vec<(At, Vec<u8>)>>,
}

impl Tap {
    pub(super) fn new(edit: impl Fn(At, Vec<u8>) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { edit: Box::new(edit), tape: Mutex::default() })
    }

    /// Keeps what passes and changes nothing.
    pub(super) fn listening() -> Arc<Self> {
        Self::new(|_, part| vec![part])
    }

    /// Returns what has passed in a direction.
    pub(super) fn passed(&self, out: bool) -> Vec<u8> {
        let tape = self.tape.lock().unwrap();
        tape.iter().filter(|(at, _)| at.out == out).flat_map(|(_, part)| part.clone()).collect()
    }

    /// Returns what a door gets instead of what the dialler sends it.
    pub(super) fn through(self: Arc<Self>, dialler: DuplexStream) -> DuplexStream {
        let (near, door) = duplex(PIPE);
        tokio::spawn(async move {
            let (mut from_dialler, mut to_dialler) = tokio::io::split(dialler);
            let (mut from_door, mut to_door) = tokio::io::split(near);
            let out = self.pass(true, &mut from_dialler, &mut to_door);
            let back = self.pass(false, &mut from_door, &mut to_dialler);
            let _ = tokio::join!(out, back);
        });
        door
    }

    async fn pass(
        &self,
        out: bool,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> std::io::Result<()> {
        for part in usize::from(!out).. {
            let bytes = read_part(part, from).await;
            if bytes.is_empty() {
                break;
            }
            let at = At { out, part };
            self.tape.lock().unwrap().push((at, bytes.clone()));
            for piece in (self.edit)(at, bytes) {
                if piece.is_empty() {
                    return to.shutdown().await;
                }
                to.write_all(&piece).await?;
            }
        }
        to.shutdown().await
    }
}

/// Reads the next part, or what there is of it.
async fn read_part(part: usize, from: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let length = match part {
        0 => 22,
        1 => 48,
        _ => {
            from.take(2).read_to_end(&mut bytes).await.unwrap();
            let Ok(length) = <[u8; 2]>::try_from(bytes.as_slice()) else { return bytes };
            u16::from_be_bytes(length)
        }
    };
    from.take(u64::from(length)).read_to_end(&mut bytes).await.unwrap();
    bytes
}
