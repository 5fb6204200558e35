//! A stream that only the two ends of a contract can read: Noise over whatever carries it.
//!
//! ```text
//! header   "TMBL"  version: u16  contract: 16 bytes          clear, the dialler's only; relays rename the contract
//! then     48 bytes of Noise each way                        KK: both static keys are known, one round trip
//! records  length: u16  ciphertext with its tag              numbers big-endian; at most 16 KiB sealed in one
//! end      a record with nothing sealed in it                without it the stream was cut short
//! ```
//! Nothing in the handshake names the contract, which has another name at each hop. Both static keys do: each end
//! derives its own for one order and takes the other's from what it signed, so a stream of one contract that is carried
//! to the end of another fails there, and a stream is bound to its contract by who can open it.
//!
//! Each direction counts its records, so none can be left out, repeated or moved. The counter has 64 bits and never
//! runs out, so keys are not renewed. An idle stream holds 48 KiB at most: one record out, one coming in, one read.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use kernel::ContractId;
use snow::{Builder, HandshakeState, StatelessTransportState};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use zeroize::Zeroizing;

use super::failure::Failure;

/// Both keys known, X25519, ChaCha20-Poly1305, BLAKE2s (the Noise Protocol Framework, revision 34, §7.5).
const NOISE: &str = "Noise_KK_25519_ChaChaPoly_BLAKE2s";
/// What both ends must have meant.
const PROLOGUE: &[u8] = b"tombolo tunnel 1";
const MAGIC: [u8; 4] = *b"TMBL";
const VERSION: u16 = 1;
/// Bytes of the clear header.
pub(super) const HEADER: usize = 4 + 2 + 16;
/// Bytes of either handshake message: an ephemeral key, and the tag of an empty payload.
const SHAKE: usize = 32 + TAG;
/// Bytes of an authentication tag.
const TAG: usize = 16;
/// Bytes of a record's length.
const HEAD: usize = 2;
/// The most bytes sealed in one record: enough that the tag costs a thousandth, as in TLS.
pub(super) const MAX_SEALED: usize = 16 * 1024;
const MAX_RECORD: usize = MAX_SEALED + TAG;

/// The keys of one end.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Keys {
    /// Its own secret X25519 key.
    pub(super) secret: Zeroizing<[u8; 32]>,
    /// The other end's public key.
    pub(super) remote: [u8; 32],
}

impl Keys {
    fn shake(&self, initiator: bool) -> Result<HandshakeState, Failure> {
        let build = || {
            let builder = Builder::new(NOISE.parse()?)
                .prologue(PROLOGUE)?
                .local_private_key(self.secret.as_ref())?
                .remote_public_key(&self.remote)?;
            if initiator { builder.build_initiator() } else { builder.build_responder() }
        };
        build().map_err(|_: snow::Error| Failure::Unproven)
    }
}

/// Returns the bytes that name a contract to the next node.
pub(super) fn header(contract: &ContractId) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&MAGIC);
    header[4..6].copy_from_slice(&VERSION.to_be_bytes());
    header[6..].copy_from_slice(contract.as_bytes());
    header
}

/// Names the contract to the next node and agrees keys with the far end.
pub(super) async fn initiate<S>(mut io: S, keys: &Keys, contract: &ContractId) -> Result<Secure<S>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut shake = keys.shake(true)?;
    let mut hello = [0; HEADER + SHAKE];
    hello[..HEADER].copy_from_slice(&header(contract));
    shake.write_message(&[], &mut hello[HEADER..]).map_err(|_| Failure::Unproven)?;
    io.write_all(&hello).await.map_err(Failure::Silent)?;
    io.flush().await.map_err(Failure::Silent)?;
    let mut answer = [0; SHAKE];
    io.read_exact(&mut answer).await.map_err(Failure::Silent)?;
    shake.read_message(&answer, &mut []).map_err(|_| Failure::Unproven)?;
    Secure::new(io, shake)
}

/// Reads which contract a stream is for; nothing is proven by it.
pub(super) async fn read_header(io: &mut (impl AsyncRead + Unpin)) -> Result<ContractId, Failure> {
    let mut header = [0; HEADER];
    io.read_exact(&mut header).await?;
    let [m0, m1, m2, m3, v0, v1, contract @ ..] = header;
    if [m0, m1, m2, m3] != MAGIC {
        return Err(Failure::Strange);
    }
    match u16::from_be_bytes([v0, v1]) {
        VERSION => Ok(ContractId(contract)),
        other => Err(Failure::Version(other)),
    }
}

/// Agrees keys with who opened the stream, after its header. Says nothing to whoever has not got the contract's key.
///
/// A handshake that was recorded can be played back to here, and no further: the first record proves who is there.
pub(super) async fn respond<S>(mut io: S, keys: &Keys) -> Result<Secure<S>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut shake = keys.shake(false)?;
    let mut message = [0; SHAKE];
    io.read_exact(&mut message).await?;
    shake.read_message(&message, &mut []).map_err(|_| Failure::Unproven)?;
    shake.write_message(&[], &mut message).map_err(|_| Failure::Unproven)?;
    io.write_all(&message).await?;
    io.flush().await?;
    Secure::new(io, shake)
}

/// A sealed stream of bytes, both ways; either way ends by itself.
///
/// What is written is sent when the next record is, or when flushed. Read to its end it has been heard whole:
/// otherwise the last read is an error.
pub(super) struct Secure<S> {
    io: S,
    noise: StatelessTransportState,
    reading: Reading,
    writing: Writing,
}

#[derive(Default)]
struct Reading {
    /// How many records were read.
    count: u64,
    /// The record that is coming in, and how much of it is here.
    record: Vec<u8>,
    filled: usize,
    /// What the last record held, and what of it was not taken yet.
    plain: Vec<u8>,
    start: usize,
    end: usize,
    state: State,
}

#[derive(Default)]
struct Writing {
    /// How many records were sealed.
    count: u64,
    /// The record that is going out, and what of it was not sent yet.
    record: Vec<u8>,
    start: usize,
    end: usize,
    /// Whether the last one has been sealed.
    ended: bool,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Ended,
    Broken,
}

impl<S> Secure<S> {
    fn new(io: S, shake: HandshakeState) -> Result<Self, Failure> {
        let noise = shake.into_stateless_transport_mode().map_err(|_| Failure::Unproven)?;
        Ok(Self { io, noise, reading: Reading::default(), writing: Writing::default() })
    }

    /// Seals a record; there must be none on its way out.
    fn seal(&mut self, plain: &[u8]) -> io::Result<()> {
        let Writing { count, record, start, end, .. } = &mut self.writing;
        record.resize(HEAD + MAX_RECORD, 0);
        let (head, body) = record.split_at_mut(HEAD);
        let sealed = self.noise.write_message(*count, plain, body).map_err(io::Error::other)?;
        head.copy_from_slice(&u16::try_from(sealed).map_err(io::Error::other)?.to_be_bytes());
        *count += 1;
        (*start, *end) = (0, HEAD + sealed);
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> Secure<S> {
    /// Reads and opens one record.
    fn poll_record(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Reading { count, record, filled, plain, start, end, state } = &mut self.reading;
        record.resize(HEAD + MAX_RECORD, 0);
        let sealed = loop {
            let wanted = match *record.as_slice() {
                [high, low, ..] if *filled >= HEAD => HEAD + usize::from(u16::from_be_bytes([high, low])),
                _ => HEAD,
            };
            if *filled >= HEAD && !(HEAD + TAG..=HEAD + MAX_RECORD).contains(&wanted) {
                return Poll::Ready(Err(invalid("a record has a length that none can have")));
            }
            if *filled == wanted && wanted > HEAD {
                break &record[HEAD..wanted];
            }
            let mut room = ReadBuf::new(&mut record[*filled..wanted]);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut room))?;
            match room.filled().len() {
                0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                read => *filled += read,
            }
        };
        plain.resize(MAX_SEALED, 0);
        let opened = self.noise.read_message(*count, sealed, plain);
        let length = opened.map_err(|_| invalid("a record was tampered with"))?;
        *count += 1;
        *filled = 0;
        (*start, *end) = (0, length);
        if length == 0 {
            *state = State::Ended;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Secure<S> {
    /// Sends what is sealed.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Writing { record, start, end, .. } = &mut self.writing;
        while *start < *end {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &record[*start..*end]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => *start += sent,
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl<S: AsyncRead + Unpin> AsyncRead for Secure<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let Reading { plain, start, end, state, .. } = &mut this.reading;
            if *start < *end {
                let taken = buf.remaining().min(*end - *start);
                buf.put_slice(&plain[*start..*start + taken]);
                *start += taken;
                return Poll::Ready(Ok(()));
            }
            match state {
                State::Open => {}
                State::Ended => return Poll::Ready(Ok(())),
                State::Broken => return Poll::Ready(Err(invalid("the stream is broken"))),
            }
            if let Err(error) = ready!(this.poll_record(cx)) {
                this.reading.state = State::Broken;
                return Poll::Ready(Err(error));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Secure<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        if this.writing.ended || this.reading.state == State::Broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        // A record with nothing in it would be the end.
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let taken = buf.len().min(MAX_SEALED);
        this.seal(&buf[..taken])?;
        // What does not go out at once goes before the next record, or when flushed.
        match this.poll_drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(taken)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        if !this.writing.ended {
            this.seal(&[])?;
            this.writing.ended = true;
            ready!(this.poll_drain(cx))?;
        }
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}
