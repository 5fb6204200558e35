//! A disk for tests that fails where it is told to, and forgets in a power cut whatever it was not made to keep.

#![allow(clippy::expect_used)]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::file::{Disk, File};

/// Pages survive a power cut or not one by one. Tiny, so that small frames are torn in many ways.
const PAGE: usize = 16;

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The next write stops after so many bytes, and the rest fails for want of room.
    NoRoom(usize),
    /// The next write writes this much and says so.
    Short(usize),
    /// The next sync of a file fails, and what was to be written is dropped, yet stays readable.
    Sync,
    /// The next cutting off fails.
    Truncate,
    /// The next sync of the directory fails.
    SyncDir,
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct FakeDisk {
    state: Arc<Mutex<State>>,
    gate: Arc<(Mutex<Gate>, Condvar)>,
}

/// Where syncs wait while a test holds them.
#[derive(Default)]
struct Gate {
    is_held: bool,
    waiting: usize,
}

#[derive(Default)]
struct State {
    inodes: Vec<Inode>,
    /// Names as seen, and as they would be after a power cut, oldest first.
    names: BTreeMap<String, usize>,
    names_kept: Vec<BTreeMap<String, usize>>,
    faults: Vec<Fault>,
    full: bool,
    syncs: usize,
}

#[derive(Clone, Default)]
struct Inode {
    seen: Vec<u8>,
    kept: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

impl FakeDisk {
    /// Lets something go wrong.
    pub(crate) fn inject(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Lets the disk have no room for anything, or some again.
    pub(crate) fn fill(&self, full: bool) {
        self.state().full = full;
    }

    /// Makes syncs of files wait.
    pub(crate) fn hold_syncs(&self) {
        self.gate().is_held = true;
    }

    /// Returns when a sync waits.
    pub(crate) fn wait_for_a_sync(&self) {
        self.wait_at_gate(|gate| gate.waiting > 0);
    }

    /// Lets syncs go on.
    pub(crate) fn release_syncs(&self) {
        self.gate().is_held = false;
        self.gate.1.notify_all();
    }

    /// Syncs of files so far.
    pub(crate) fn syncs(&self) -> usize {
        self.state().syncs
    }

    /// What a file is seen to hold.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.inodes[state.names[name]].seen.clone()
    }

    /// A disk on which this is all there is.
    pub(crate) fn holding(name: &str, bytes: &[u8]) -> Self {
        let disk = Self::default();
        {
            let mut state = disk.state();
            state.inodes.push(Inode { seen: bytes.to_vec(), kept: bytes.to_vec(), pending: Vec::new() });
            state.names.insert(name.to_owned(), 0);
            state.names_kept = vec![state.names.clone()];
        }
        disk
    }

    /// The names that are seen.
    pub(crate) fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    /// What is left after a power cut, of which `seed` draws one of the many possible ones.
    pub(crate) fn after_power_cut(&self, seed: u64) -> Self {
        let state = self.state();
        let mut draw = Draw(seed);
        let mut after = State::default();
        for inode in &state.inodes {
            let kept = inode.what_survives(&mut draw);
            after.inodes.push(Inode { seen: kept.clone(), kept, pending: Vec::new() });
        }
        let names = match state.names_kept.len() {
            0 => BTreeMap::new(),
            len => state.names_kept[draw.below(len)].clone(),
        };
        after.names_kept = vec![names.clone()];
        after.names = names;
        Self { state: Arc::new(Mutex::new(after)), gate: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics in here")
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.0.lock().expect("no test panics in here")
    }

    /// Waits until `is_so`; half a minute is for the test that fails.
    fn wait_at_gate(&self, is_so: impl Fn(&Gate) -> bool) {
        let deadline = Duration::from_secs(30);
        let waited = self.gate.1.wait_timeout_while(self.gate(), deadline, |gate| !is_so(gate));
        assert!(!waited.expect("no test panics in here").1.timed_out(), "waited for nothing");
    }
}

impl State {
    /// Takes the first fault that concerns a call.
    fn fault(&mut self, concerns: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let at = self.faults.iter().position(concerns)?;
        Some(self.faults.remove(at))
    }

    fn renamed(&mut self) {
        if self.names_kept.is_empty() {
            self.names_kept.push(BTreeMap::new());
        }
        self.names_kept.push(self.names.clone());
    }
}

impl Inode {
    fn what_survives(&self, draw: &mut Draw) -> Vec<u8> {
        let mut kept = self.kept.clone();
        // Half the time what was written first survives up to some byte, as on a quiet disk; else pages at random.
        let total: usize = self.pending.iter().map(Change::len).sum();
        let mut in_order = draw.below(2).eq(&0).then(|| draw.below(total + 1));
        for change in &self.pending {
            match change {
                Change::Truncate(len) if draw.below(2) == 0 || in_order.is_some() => kept.truncate(*len),
                Change::Truncate(_) => {}
                Change::Write(offset, bytes) => {
                    for (at, byte) in pages(*offset, bytes) {
                        let survives = match &mut in_order {
                            Some(left) => std::mem::replace(left, left.saturating_sub(byte.len())),
                            None => draw.below(2) * byte.len(),
                        };
                        write(&mut kept, at, &byte[..survives.min(byte.len())]);
                    }
                }
            }
        }
        kept
    }
}

impl Change {
    fn len(&self) -> usize {
        match self {
            Self::Write(_, bytes) => bytes.len(),
            Self::Truncate(_) => 0,
        }
    }
}

fn pages(offset: usize, bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let mut pages = Vec::new();
    let mut at = offset;
    let mut rest = bytes;
    while !rest.is_empty() {
        let (page, more) = rest.split_at(rest.len().min(PAGE - at % PAGE));
        pages.push((at, page));
        at += page.len();
        rest = more;
    }
    pages
}

fn write(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    if file.len() < offset + bytes.len() {
        file.resize(offset + bytes.len(), 0);
    }
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
}

struct FakeFile {
    disk: FakeDisk,
    inode: usize,
}

impl File for FakeFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state().inodes[self.inode].seen.len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.state();
        let seen = &state.inodes[self.inode].seen;
        let rest = seen.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.state();
        if state.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let written = match state.fault(|fault| matches!(fault, Fault::NoRoom(_) | Fault::Short(_))) {
            Some(Fault::NoRoom(0)) => return Err(io::ErrorKind::StorageFull.into()),
            // What fits is written; only the call for the rest fails.
            Some(Fault::NoRoom(room)) => {
                state.faults.insert(0, Fault::NoRoom(0));
                room.min(bytes.len())
            }
            Some(Fault::Short(len)) => len.clamp(1, bytes.len()),
            _ => bytes.len(),
        };
        let inode = &mut state.inodes[self.inode];
        write(&mut inode.seen, offset as usize, &bytes[..written]);
        inode.pending.push(Change::Write(offset as usize, bytes[..written].to_vec()));
        Ok(written)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        if state.fault(|fault| matches!(fault, Fault::Truncate)).is_some() {
            return Err(io::Error::other("injected"));
        }
        let inode = &mut state.inodes[self.inode];
        inode.seen.truncate(len as usize);
        inode.pending.push(Change::Truncate(len as usize));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.gate().waiting += 1;
        self.disk.gate.1.notify_all();
        self.disk.wait_at_gate(|gate| !gate.is_held);
        self.disk.gate().waiting -= 1;
        let mut state = self.disk.state();
        state.syncs += 1;
        let fails = state.fault(|fault| matches!(fault, Fault::Sync)).is_some();
        let inode = &mut state.inodes[self.inode];
        if fails {
            // As Linux does: the pages count as clean from here on, and are not on the disk.
            inode.pending.clear();
            return Err(io::Error::other("injected"));
        }
        for change in std::mem::take(&mut inode.pending) {
            match change {
                Change::Write(offset, bytes) => write(&mut inode.kept, offset, &bytes),
                Change::Truncate(len) => inode.kept.truncate(len),
            }
        }
        Ok(())
    }
}

impl Disk for FakeDisk {
    fn open(&self, name: &str) -> io::Result<Option<Box<dyn File>>> {
        let inode = self.state().names.get(name).copied();
        Ok(inode.map(|inode| Box::new(FakeFile { disk: self.clone(), inode }) as Box<dyn File>))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let mut state = self.state();
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        state.names.insert(name.to_owned(), inode);
        state.renamed();
        Ok(Box::new(FakeFile { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let inode = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), inode);
        state.renamed();
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        if state.names.remove(name).is_some() {
            state.renamed();
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.fault(|fault| matches!(fault, Fault::SyncDir)).is_some() {
            return Err(io::Error::other("injected"));
        }
        state.names_kept = vec![state.names.clone()];
        Ok(())
    }
}

/// Numbers drawn from a seed (SplitMix64).
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}
