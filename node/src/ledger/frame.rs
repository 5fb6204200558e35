//! The ledger's bytes: the file's header, and the frames that follow it. Any bytes decode to a value or an error.
//!
//! ```text
//! file   = header frame*
//! header = magic[8] version:u16 flags:u16 crc32:u32           crc over what precedes it
//! frame  = length:u32 crc32:u32 body[length]                  crc over length and body
//! body   = version:u8 kind:u8 seq:u64 durable:u64 previous[32] count:u32 row*
//! row    = table:u8 tag:u8 key_length:u32 key [value_length:u32 value]
//! ```
//! Numbers are little endian. `previous` is the SHA-256 of the previous frame's body. `durable` is the last sequence
//! that the writer knew to be on disk: it tells a tail that was never promised from damage to what was.

use sha2::{Digest, Sha256};

use super::Seq;
use crate::row::{Row, Table};

/// A SHA-256 of a frame's body.
pub type Hash = [u8; 32];

/// Bytes of the file's header.
pub(super) const HEADER: usize = 16;
/// Bytes before a frame's body.
pub(super) const PREFIX: usize = 8;
/// Bytes of a body without rows.
pub(super) const BODY_MIN: usize = 2 + 8 + 8 + 32 + 4;
/// No frame is longer than this: a reader never allocates more on the word of a damaged length.
pub(super) const BODY_MAX: usize = 64 * 1024 * 1024;

/// What the file begins with, so that no other file is taken for a ledger.
const MAGIC: &[u8; 8] = b"tomboldg";
/// The version of header and file.
const FILE_VERSION: u16 = 1;
/// The version of frames; older ones are migrated where they are decoded.
const FRAME_VERSION: u8 = 1;
/// Header flag: the file begins with a snapshot, and its chain continues that of a file that it replaced.
const BEGINS_WITH_SNAPSHOT: u16 = 1;
/// Table, tag and key length: no row takes less.
const ROW_MIN: usize = 1 + 1 + 4;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One batch, written by one append.
    Batch,
    /// A part of the snapshot that the file begins with.
    Snapshot {
        /// Whether this is the snapshot's last part.
        last: bool,
    },
}

/// One frame, read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What the frame holds.
    pub kind: Kind,
    /// The batch's number; in a snapshot that of the last batch that it stands for.
    pub seq: Seq,
    /// The last batch that was known to be on disk when this frame was written.
    pub durable: Seq,
    /// The hash of the frame before this one.
    pub previous: Hash,
    /// The rows, in the order in which they were written.
    pub rows: Vec<Row>,
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadHeader {
    Foreign,
    Newer(u16),
    Damaged,
}

/// Why a body with the right checksum is no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadBody {
    #[error("frame version {0} is newer than this program")]
    Newer(u8),
    #[error("frame version 0 does not exist")]
    NoVersion,
    #[error("unknown kind of frame {0}")]
    Kind(u8),
    #[error("unknown tag {0} in a row")]
    Tag(u8),
    #[error("the frame ends inside a row")]
    Short,
    #[error("{0} bytes follow the last row")]
    Trailing(usize),
}

/// What stands in a frame before its rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) seq: Seq,
    pub(super) durable: Seq,
    pub(super) previous: Hash,
}

/// The header of a file that begins with a snapshot, or of one that begins with the first batch.
pub(super) fn header(begins_with_snapshot: bool) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..10].copy_from_slice(&FILE_VERSION.to_le_bytes());
    let flags = if begins_with_snapshot { BEGINS_WITH_SNAPSHOT } else { 0 };
    bytes[10..12].copy_from_slice(&flags.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..12]);
    bytes[12..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Reads a header: whether the file begins with a snapshot.
pub(super) fn read_header(bytes: &[u8; HEADER]) -> Result<bool, BadHeader> {
    let mut input = Input(bytes);
    let (Ok(magic), Ok(version), Ok(flags), Ok(crc)) = (input.take(8), input.u16(), input.u16(), input.u32()) else {
        return Err(BadHeader::Damaged);
    };
    if magic != MAGIC {
        return Err(BadHeader::Foreign);
    }
    // Before the checksum: a later version may have put it elsewhere.
    if version > FILE_VERSION {
        return Err(BadHeader::Newer(version));
    }
    if version == 0 || crc != crc32fast::hash(&bytes[..12]) || flags & !BEGINS_WITH_SNAPSHOT != 0 {
        return Err(BadHeader::Damaged);
    }
    Ok(flags & BEGINS_WITH_SNAPSHOT != 0)
}

/// The bytes that a row takes in a frame.
pub(super) fn row_len(key: &[u8], value: Option<&[u8]>) -> usize {
    ROW_MIN + key.len() + value.map_or(0, |value| 4 + value.len())
}

/// Appends one frame to `out` and returns the hash of its body, or `None`, with `out` as it was, if the body would be
/// longer than `max`.
pub(super) fn encode<'a>(
    out: &mut Vec<u8>,
    max: usize,
    head: &Head,
    rows: impl IntoIterator<Item = (Table, &'a [u8], Option<&'a [u8]>)>,
) -> Option<Hash> {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX]);
    let kind = match head.kind {
        Kind::Batch => 0,
        Kind::Snapshot { last: false } => 1,
        Kind::Snapshot { last: true } => 2,
    };
    out.extend_from_slice(&[FRAME_VERSION, kind]);
    out.extend_from_slice(&head.seq.0.to_le_bytes());
    out.extend_from_slice(&head.durable.0.to_le_bytes());
    out.extend_from_slice(&head.previous);
    let count_at = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut count: u32 = 0;
    for (table, key, value) in rows {
        let len = out.len() - start - PREFIX + row_len(key, value);
        // Within the limit every length and the count fit in 32 bits.
        if len > max.min(BODY_MAX) {
            out.truncate(start);
            return None;
        }
        out.extend_from_slice(&[table.0, u8::from(value.is_some())]);
        put_bytes(out, key);
        if let Some(value) = value {
            put_bytes(out, value);
        }
        count += 1;
    }
    out[count_at..count_at + 4].copy_from_slice(&count.to_le_bytes());
    let length = ((out.len() - start - PREFIX) as u32).to_le_bytes();
    let body = start + PREFIX;
    let crc = checksum(length, &out[body..]);
    out[start..start + 4].copy_from_slice(&length);
    out[start + 4..body].copy_from_slice(&crc.to_le_bytes());
    Some(hash(&out[body..]))
}

/// Reads what precedes a body: the body's length and its checksum.
pub(super) fn read_prefix(prefix: [u8; PREFIX]) -> (usize, u32) {
    let [a, b, c, d, e, f, g, h] = prefix;
    (u32::from_le_bytes([a, b, c, d]) as usize, u32::from_le_bytes([e, f, g, h]))
}

/// Whether a body is what its writer wrote.
pub(super) fn is_intact(body: &[u8], crc: u32) -> bool {
    u32::try_from(body.len()).is_ok_and(|length| checksum(length.to_le_bytes(), body) == crc)
}

/// The hash of a body, which the next frame names.
pub(super) fn hash(body: &[u8]) -> Hash {
    Sha256::digest(body).into()
}

/// Reads what stands before the rows, and how many there are.
pub(super) fn decode_head(body: &[u8]) -> Result<(Head, u32), BadBody> {
    head(&mut Input(body))
}

/// Reads a body.
pub(super) fn decode(body: &[u8]) -> Result<Frame, BadBody> {
    let mut input = Input(body);
    let (Head { kind, seq, durable, previous }, count) = head(&mut input)?;
    // The count is only a claim: no more is allocated than the bytes that are there can hold.
    let mut rows = Vec::with_capacity((count as usize).min(input.0.len() / ROW_MIN));
    for _ in 0..count {
        let table = Table(input.u8()?);
        let tag = input.u8()?;
        let key = input.bytes()?.to_vec();
        let value = match tag {
            0 => None,
            1 => Some(input.bytes()?.to_vec()),
            other => return Err(BadBody::Tag(other)),
        };
        rows.push(Row { table, key, value });
    }
    match input.0.len() {
        0 => Ok(Frame { kind, seq, durable, previous, rows }),
        more => Err(BadBody::Trailing(more)),
    }
}

fn head(input: &mut Input<'_>) -> Result<(Head, u32), BadBody> {
    match input.u8()? {
        0 => return Err(BadBody::NoVersion),
        FRAME_VERSION => {}
        newer => return Err(BadBody::Newer(newer)),
    }
    let kind = match input.u8()? {
        0 => Kind::Batch,
        1 => Kind::Snapshot { last: false },
        2 => Kind::Snapshot { last: true },
        other => return Err(BadBody::Kind(other)),
    };
    let seq = Seq(input.u64()?);
    let durable = Seq(input.u64()?);
    let previous = input.array()?;
    Ok((Head { kind, seq, durable, previous }, input.u32()?))
}

fn checksum(length: [u8; 4], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(body);
    hasher.finalize()
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Bytes still to be read; every step checks that they are there.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], BadBody> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(BadBody::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BadBody> {
        self.take(N)?.try_into().map_err(|_| BadBody::Short)
    }

    fn bytes(&mut self) -> Result<&'a [u8], BadBody> {
        let len = self.u32()?;
        self.take(len as usize)
    }

    fn u8(&mut self) -> Result<u8, BadBody> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, BadBody> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, BadBody> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, BadBody> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use proptest::prelude::*;

    use super::*;

    fn any_row() -> impl Strategy<Value = Row> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
        (any::<u8>(), bytes(), proptest::option::of(bytes())).prop_map(|(table, key, value)| Row {
            table: Table(table),
            key,
            value,
        })
    }

    fn encoded(head: &Head, rows: &[Row]) -> (Vec<u8>, Hash) {
        let mut out = Vec::new();
        let rows = rows.iter().map(|row| (row.table, row.key.as_slice(), row.value.as_deref()));
        let hash = encode(&mut out, BODY_MAX, head, rows).expect("fits");
        (out, hash)
    }

    fn a_head() -> Head {
        Head { kind: Kind::Batch, seq: Seq(7), durable: Seq(6), previous: [9; 32] }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_to_a_value_or_an_error(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&body);
        }

        #[test]
        fn any_bytes_behind_a_good_head_decode_to_a_value_or_an_error(
            rest in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let (mut frame, _) = encoded(&a_head(), &[]);
            frame.truncate(frame.len() - 4);
            frame.extend_from_slice(&rest);
            let _ = decode(&frame[PREFIX..]);
        }

        #[test]
        fn what_is_written_is_read(rows in proptest::collection::vec(any_row(), 0..8)) {
            let (bytes, hashed) = encoded(&a_head(), &rows);
            let (length, crc) = read_prefix(bytes[..PREFIX].try_into().unwrap());
            let body = &bytes[PREFIX..];
            prop_assert_eq!(length, body.len());
            prop_assert!(is_intact(body, crc));
            prop_assert_eq!(hash(body), hashed);
            let frame = decode(body).unwrap();
            prop_assert_eq!(frame, Frame { kind: Kind::Batch, seq: Seq(7), durable: Seq(6), previous: [9; 32], rows });
        }

        #[test]
        fn a_changed_bit_is_noticed(rows in proptest::collection::vec(any_row(), 0..4), at in any::<prop::sample::Index>(), bit in 0..8_u32) {
            let (mut bytes, _) = encoded(&a_head(), &rows);
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            let (length, crc) = read_prefix(bytes[..PREFIX].try_into().unwrap());
            let intact = length == bytes.len() - PREFIX && is_intact(&bytes[PREFIX..], crc);
            prop_assert!(!intact);
        }
    }

    #[test]
    fn a_changed_bit_in_the_header_is_noticed() {
        for begins_with_snapshot in [false, true] {
            let good = header(begins_with_snapshot);
            assert_eq!(read_header(&good), Ok(begins_with_snapshot));
            for bit in 0..HEADER * 8 {
                let mut bytes = good;
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(read_header(&bytes).is_err(), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_frame_over_the_limit_leaves_no_trace() {
        let mut out = vec![1, 2, 3];
        let rows = [(Table(1), &b"key"[..], Some(&[0_u8; 100][..]))];
        assert_eq!(encode(&mut out, BODY_MIN + 100, &a_head(), rows), None);
        assert_eq!(out, [1, 2, 3]);
    }

    /// The bytes of a released version: what they mean never changes.
    #[test]
    fn golden_bytes_of_version_1() {
        let rows = [Row::put(Table(3), *b"key", *b"value"), Row::removed(Table(4), *b"gone")];
        let (bytes, _) = encoded(&a_head(), &rows);
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            text,
            concat!(
                "52000000",
                "16195c0f",
                "01",
                "00",
                "0700000000000000",
                "0600000000000000",
                "0909090909090909090909090909090909090909090909090909090909090909",
                "02000000",
                "03",
                "01",
                "03000000",
                "6b6579",
                "05000000",
                "76616c7565",
                "04",
                "00",
                "04000000",
                "676f6e65",
            )
        );
        let text: String = header(true).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, "746f6d626f6c6467010001004b1c3495");
    }
}
