//! What a workload prints: kept as lines in a bounded ring, read by sequence number, followed live.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// A longer line is cut into several, so that one line never fills a message.
pub(crate) const MAX_LINE: usize = 16 * 1024;
/// What one answer holds at most: a fraction of the largest frame that a peer reads.
const MAX_CHUNK: usize = 256 * 1024;
/// What a line costs beside its text, so that empty lines cannot fill memory.
const LINE_OVERHEAD: usize = 48;

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// The workload's standard output.
    Stdout,
    /// The workload's standard error.
    Stderr,
    /// The driver, about the workload: why a request failed, why it ended.
    Driver,
}

/// One line, without its line break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Counts the workload's lines from 0, without gaps.
    pub seq: u64,
    /// Where it came from.
    pub stream: LogStream,
    /// The text; what is not UTF-8 is replaced.
    pub text: String,
    /// Milliseconds of the caller's clock when the line was complete, where the driver was given a clock.
    pub at_ms: Option<u64>,
}

/// Lines in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogChunk {
    /// Empty when there is nothing beyond the number asked for. The first may be later than that: older lines are dropped.
    pub lines: Vec<LogLine>,
    /// What to ask for next.
    pub next: u64,
}

/// Reads milliseconds since the epoch.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The log of one workload.
pub(crate) struct Logs {
    ring: Mutex<Ring>,
    limit: usize,
    clock: Option<Clock>,
    news: watch::Sender<u64>,
}

#[derive(Default)]
struct Ring {
    lines: VecDeque<LogLine>,
    bytes: usize,
    next: u64,
}

impl Logs {
    /// Keeps the last lines that fit in `limit` bytes.
    pub(crate) fn new(limit: usize, clock: Option<Clock>) -> Self {
        Self { ring: Mutex::default(), limit, clock, news: watch::Sender::new(0) }
    }

    /// Appends one line, already cut.
    fn push(&self, stream: LogStream, text: String) {
        let at_ms = self.clock.as_ref().map(|clock| clock());
        let next = {
            let mut ring = lock(&self.ring);
            let seq = ring.next;
            ring.next += 1;
            ring.bytes += cost(&text);
            ring.lines.push_back(LogLine { seq, stream, text, at_ms });
            while ring.bytes > self.limit {
                let Some(oldest) = ring.lines.pop_front() else { break };
                ring.bytes -= cost(&oldest.text);
            }
            ring.next
        };
        self.news.send_modify(|news| *news = next.max(*news));
    }

    /// Appends a line of the driver's own.
    pub(crate) fn note(&self, text: &str) {
        let mut writer = Writer { logs: self, stream: LogStream::Driver };
        text.as_bytes().chunks(MAX_LINE).for_each(|piece| writer.line(piece));
    }

    pub(crate) fn read(&self, from: u64) -> LogChunk {
        let ring = lock(&self.ring);
        let oldest = ring.lines.front().map_or(ring.next, |line| line.seq);
        let skip = usize::try_from(from.saturating_sub(oldest)).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let fits = |line: &&LogLine| {
            bytes += cost(&line.text);
            bytes <= MAX_CHUNK
        };
        let lines: Vec<_> = ring.lines.iter().skip(skip).take_while(fits).cloned().collect();
        let next = lines.last().map_or(from.clamp(oldest, ring.next), |line| line.seq + 1);
        LogChunk { lines, next }
    }

    pub(crate) fn follow(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }
}

fn cost(text: &str) -> usize {
    text.len() + LINE_OVERHEAD
}

struct Writer<'a> {
    logs: &'a Logs,
    stream: LogStream,
}

impl Writer<'_> {
    fn line(&mut self, bytes: &[u8]) {
        self.logs.push(self.stream, String::from_utf8_lossy(bytes).into_owned());
    }
}

/// Makes lines of the bytes that one instance prints to one stream, so that instances do not mix within a line. What is
/// left without a line break becomes a line when dropped.
pub(crate) struct Lines {
    logs: Arc<Logs>,
    stream: LogStream,
    partial: Vec<u8>,
}

impl Lines {
    pub(crate) fn new(logs: Arc<Logs>, stream: LogStream) -> Self {
        Self { logs, stream, partial: Vec::new() }
    }

    pub(crate) fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = MAX_LINE - self.partial.len();
            let window = &bytes[..bytes.len().min(room + 1)];
            match window.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.partial.extend_from_slice(&bytes[..end]);
                    self.flush();
                    bytes = &bytes[end + 1..];
                }
                None if window.len() > room => {
                    self.partial.extend_from_slice(&bytes[..room]);
                    self.flush();
                    bytes = &bytes[room..];
                }
                None => {
                    self.partial.extend_from_slice(bytes);
                    return;
                }
            }
        }
    }

    fn flush(&mut self) {
        let text = self.partial.strip_suffix(b"\r").unwrap_or(&self.partial);
        Writer { logs: &self.logs, stream: self.stream }.line(text);
        self.partial.clear();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.partial.is_empty() {
            self.flush();
        }
    }
}

/// Locks, also after a panic elsewhere: all that is behind these locks is consistent between any two statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn lines(limit: usize) -> (Arc<Logs>, Lines) {
        let logs = Arc::new(Logs::new(limit, None));
        (Arc::clone(&logs), Lines::new(logs, LogStream::Stdout))
    }

    fn texts(logs: &Logs) -> Vec<String> {
        logs.read(0).lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn bytes_become_lines_however_they_arrive() {
        let (logs, mut out) = lines(1 << 20);
        for piece in ["a", "b\nc", "\r\n\n", "d"] {
            out.write(piece.as_bytes());
        }
        assert_eq!(texts(&logs), ["ab", "c", ""]);
        drop(out);
        assert_eq!(texts(&logs), ["ab", "c", "", "d"]);
    }

    #[test]
    fn a_long_line_is_cut_and_none_of_it_lost() {
        let (logs, mut out) = lines(1 << 20);
        out.write("x".repeat(MAX_LINE * 2).as_bytes());
        out.write(b"\n");
        out.write(&[0xff, b'y', b'\n']);
        assert_eq!(texts(&logs), ["x".repeat(MAX_LINE), "x".repeat(MAX_LINE), "\u{fffd}y".into()]);
    }

    #[test]
    fn the_ring_keeps_the_last_lines_and_says_where_it_begins() {
        let (logs, mut out) = lines(3 * (LINE_OVERHEAD + 1));
        for line in ["a\n", "b\n", "c\n", "d\n", "e\n"] {
            out.write(line.as_bytes());
        }
        let chunk = logs.read(0);
        assert_eq!(chunk.lines.iter().map(|line| line.seq).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(chunk.next, 5);
        assert_eq!(logs.read(5), LogChunk { lines: vec![], next: 5 });
        assert_eq!(logs.read(99).next, 5);
    }

    #[test]
    fn a_long_log_is_read_in_chunks_without_gaps() {
        let (logs, mut out) = lines(1 << 20);
        for _ in 0..60 {
            out.write(format!("{}\n", "x".repeat(10_000)).as_bytes());
        }
        let (mut from, mut seen, mut chunks) = (0, vec![], 0);
        loop {
            let chunk = logs.read(from);
            if chunk.lines.is_empty() {
                break;
            }
            seen.extend(chunk.lines.iter().map(|line| line.seq));
            from = chunk.next;
            chunks += 1;
        }
        assert_eq!(seen, (0..60).collect::<Vec<_>>());
        assert!(chunks > 1);
    }

    #[tokio::test]
    async fn a_follower_is_told_of_each_line_and_of_the_end() {
        let (logs, mut out) = lines(1 << 20);
        let mut news = logs.follow();
        out.write(b"a\n");
        news.changed().await.unwrap();
        assert_eq!(*news.borrow_and_update(), 1);
        drop((out, logs));
        assert!(news.changed().await.is_err());
    }
}
