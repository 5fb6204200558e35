//! Modules by content: files named by the SHA-256 of their bytes, in one directory.
//!
//! A file is written beside its place and renamed into it, and its digest is checked again whenever it is read, so that a
//! torn or damaged file is noticed, dropped and asked for anew. Over the total limit the least recently used module goes,
//! never one that a workload uses. What customers send makes room for itself among what customers have sent: it pushes out
//! nothing that the node's owner has put there, which a mark beside the file tells. Only [`Cache::contains`], [`Cache::hold`] and
//! [`Cache::total_bytes`] never wait for the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use crate::logs::lock;
use crate::spec::Digest;

/// What the name of the mark ends with that makes the module of that name the owner's.
const OWNERS: &str = "own";

/// How large a cache may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLimits {
    /// Bytes of one module.
    pub module_bytes: u64,
    /// Bytes of all modules together.
    pub total_bytes: u64,
}

impl Default for CacheLimits {
    /// 64 MiB for a module (large ones with a language's whole runtime have 20), 1 GiB for all.
    fn default() -> Self {
        Self { module_bytes: 64 << 20, total_bytes: 1 << 30 }
    }
}

/// Why a module was not kept or not found.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The bytes are not those that were announced.
    #[error("module has digest {found}, expected {expected}")]
    OtherContent {
        /// What was announced.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// A module over the limit.
    #[error("module has {size} bytes, over the limit of {limit}")]
    TooLarge {
        /// Its size.
        size: u64,
        /// The limit for one module.
        limit: u64,
    },
    /// Every module that might make room is in use, or is the owner's.
    #[error("no room for a module of {size} bytes: all others are in use, or not to be pushed out by it")]
    Full {
        /// Its size.
        size: u64,
    },
    /// The module is not there.
    #[error("module {0} is not in the cache")]
    Unknown(Digest),
    /// The file had changed on disk and was dropped.
    #[error("module {0} was damaged on disk and has been dropped")]
    Damaged(Digest),
    /// The disk failed.
    #[error("module cache at {path}")]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The cache; cheap to clone by its `Arc`.
pub struct Cache {
    directory: PathBuf,
    limits: CacheLimits,
    index: Mutex<Index>,
    /// Held over file work that changes the directory, and taken before the index: one writer at a time keeps the two the
    /// same, and nobody who only looks into the index waits for the disk.
    writing: Mutex<()>,
}

#[derive(Default)]
struct Index {
    modules: BTreeMap<Digest, Module>,
    /// Counts uses: a clock that orders them.
    uses: u64,
    total: u64,
    temporaries: u64,
}

struct Module {
    size: u64,
    last_use: u64,
    users: u32,
    whose: Whose,
}

/// Who wanted a module to be here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    /// A customer: goes before the owner's.
    Customers,
    /// The node's owner.
    Owners,
}

impl Index {
    fn touch(&mut self, digest: Digest) -> Option<&mut Module> {
        self.uses += 1;
        let module = self.modules.get_mut(&digest)?;
        module.last_use = self.uses;
        Some(module)
    }

    fn release(&mut self, digest: Digest) {
        if let Some(module) = self.modules.get_mut(&digest) {
            module.users = module.users.saturating_sub(1);
        }
    }

    fn insert(&mut self, digest: Digest, module: Module) {
        self.total += module.size;
        self.modules.insert(digest, module);
    }

    fn forget(&mut self, digest: Digest) -> Option<Module> {
        let module = self.modules.remove(&digest)?;
        self.total -= module.size;
        Some(module)
    }

    /// What goes first for a module of so and so.
    fn victim(&self, whose: Whose) -> Option<Digest> {
        let unused = self.modules.iter().filter(|(_, module)| module.users == 0 && module.whose <= whose);
        unused.min_by_key(|(_, module)| (module.whose, module.last_use)).map(|(digest, _)| *digest)
    }
}

/// Keeps a module from being evicted while it lives.
pub struct InUse {
    cache: Arc<Cache>,
    digest: Digest,
}

impl Drop for InUse {
    fn drop(&mut self) {
        lock(&self.cache.index).release(self.digest);
    }
}

impl Cache {
    /// Opens the cache in `directory` (by convention `modules/` of the node's data), makes it if there is none, removes
    /// what a crash left half written.
    pub fn open(directory: impl Into<PathBuf>, limits: CacheLimits) -> Result<Self, CacheError> {
        let directory = directory.into();
        let mut found = Vec::new();
        let owners = read_directory(&directory, &mut found)
            .map_err(|source| CacheError::Disk { path: directory.clone(), source })?;
        // Use is not recorded on disk: after a restart the order is that of arrival.
        found.sort();
        let mut index = Index::default();
        for (_, digest, size) in found {
            index.uses += 1;
            let (last_use, is_owners) = (index.uses, owners.contains(&digest));
            let whose = if is_owners { Whose::Owners } else { Whose::Customers };
            index.insert(digest, Module { size, last_use, users: 0, whose });
        }
        Ok(Self { directory, limits, index: Mutex::new(index), writing: Mutex::default() })
    }

    /// Keeps a module of the node's owner; returns its name. Putting what is there already changes nothing, but that it
    /// is the owner's from then on.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, CacheError> {
        self.fits(bytes)?;
        let digest = Digest::of(bytes);
        self.store(digest, bytes, Whose::Owners)?;
        Ok(digest)
    }

    /// Keeps a module that came from a customer under a name, if it is the one.
    pub fn put_expecting(&self, expected: Digest, bytes: &[u8]) -> Result<(), CacheError> {
        self.fits(bytes)?;
        let found = Digest::of(bytes);
        if found != expected {
            return Err(CacheError::OtherContent { expected, found });
        }
        self.store(expected, bytes, Whose::Customers)
    }

    /// The module's bytes, checked.
    pub fn get(&self, digest: Digest) -> Result<Vec<u8>, CacheError> {
        // Nobody takes it away while it is read.
        lock(&self.index).touch(digest).ok_or(CacheError::Unknown(digest))?.users += 1;
        let path = self.path(digest);
        let read = fs::read(&path);
        lock(&self.index).release(digest);
        match read {
            Ok(bytes) if Digest::of(&bytes) == digest => Ok(bytes),
            Ok(_) => {
                tracing::warn!(%digest, "dropped a damaged module");
                let _writing = lock(&self.writing);
                lock(&self.index).forget(digest);
                self.remove(digest)?;
                Err(CacheError::Damaged(digest))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                lock(&self.index).forget(digest);
                Err(CacheError::Unknown(digest))
            }
            Err(source) => Err(CacheError::Disk { path, source }),
        }
    }

    /// Whether the module is there, as far as is known without reading it.
    pub fn contains(&self, digest: Digest) -> bool {
        lock(&self.index).modules.contains_key(&digest)
    }

    /// Marks the module as used until the answer is dropped; `None` if it is not there.
    pub fn hold(self: &Arc<Self>, digest: Digest) -> Option<InUse> {
        lock(&self.index).touch(digest)?.users += 1;
        Some(InUse { cache: Arc::clone(self), digest })
    }

    /// Bytes of all modules together.
    pub fn total_bytes(&self) -> u64 {
        lock(&self.index).total
    }

    fn fits(&self, bytes: &[u8]) -> Result<(), CacheError> {
        let (size, limit) = (bytes.len() as u64, self.limits.module_bytes.min(self.limits.total_bytes));
        if size > limit { Err(CacheError::TooLarge { size, limit }) } else { Ok(()) }
    }

    fn store(&self, digest: Digest, bytes: &[u8], whose: Whose) -> Result<(), CacheError> {
        let _writing = lock(&self.writing);
        let known = lock(&self.index).touch(digest).map(|module| module.whose);
        if known.is_none() {
            self.make_room(bytes.len() as u64, whose)?;
            self.write(digest, bytes)?;
        }
        if known.is_none_or(|known| known < whose) {
            self.mark(digest, whose)?;
        }
        Ok(())
    }

    fn write(&self, digest: Digest, bytes: &[u8]) -> Result<(), CacheError> {
        let number = {
            let mut index = lock(&self.index);
            index.temporaries += 1;
            index.temporaries
        };
        let temporary = self.directory.join(format!("{digest}.{number}.part"));
        write(&temporary, &self.path(digest), bytes).map_err(|source| {
            let _ = fs::remove_file(&temporary);
            CacheError::Disk { path: temporary, source }
        })?;
        let mut index = lock(&self.index);
        let (size, last_use) = (bytes.len() as u64, index.uses);
        index.insert(digest, Module { size, last_use, users: 0, whose: Whose::Customers });
        Ok(())
    }

    /// Says whose a module is.
    fn mark(&self, digest: Digest, whose: Whose) -> Result<(), CacheError> {
        if whose == Whose::Owners {
            let path = self.path(digest).with_extension(OWNERS);
            fs::File::create(&path).map_err(|source| CacheError::Disk { path, source })?;
        }
        if let Some(module) = lock(&self.index).modules.get_mut(&digest) {
            module.whose = whose;
        }
        Ok(())
    }

    /// Evicts until there is room for so many bytes.
    fn make_room(&self, size: u64, whose: Whose) -> Result<(), CacheError> {
        loop {
            let (victim, module) = {
                let mut index = lock(&self.index);
                if index.total + size <= self.limits.total_bytes {
                    return Ok(());
                }
                let victim = index.victim(whose).ok_or(CacheError::Full { size })?;
                // Forgotten before it is removed: so nobody can begin to use it in between.
                let Some(module) = index.forget(victim) else { continue };
                (victim, module)
            };
            if let Err(error) = self.remove(victim) {
                lock(&self.index).insert(victim, module);
                return Err(error);
            }
            tracing::debug!(digest = %victim, "evicted a module");
        }
    }

    fn remove(&self, digest: Digest) -> Result<(), CacheError> {
        let module = self.path(digest);
        for path in [module.with_extension(OWNERS), module] {
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(CacheError::Disk { path, source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.directory.join(digest.to_string())
    }
}

/// No sync: what a power cut damages is noticed by its digest.
fn write(temporary: &Path, place: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::File::create(temporary)?.write_all(bytes)?;
    fs::rename(temporary, place)
}

/// Lists modules with their time of arrival in nanoseconds, and returns which are marked as the owner's; removes what is
/// half-written; leaves strangers' files alone.
fn read_directory(directory: &Path, found: &mut Vec<(u128, Digest, u64)>) -> io::Result<BTreeSet<Digest>> {
    fs::create_dir_all(directory)?;
    let mut owners = BTreeSet::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let metadata = entry.metadata()?;
        if !metadata.is_file() {
            continue;
        }
        match name.split_once('.') {
            Some((digest, OWNERS)) => owners.extend(digest.parse::<Digest>()),
            Some((_, rest)) if rest.ends_with("part") => fs::remove_file(entry.path())?,
            Some(_) => {}
            None => {
                if let Ok(digest) = name.parse::<Digest>() {
                    let arrived = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
                    found.push((arrived.as_nanos(), digest, metadata.len()));
                }
            }
        }
    }
    Ok(owners)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn cache(total_bytes: u64) -> (tempfile::TempDir, Arc<Cache>) {
        let directory = tempfile::tempdir().unwrap();
        let cache =
            Cache::open(directory.path().join("modules"), CacheLimits { module_bytes: 64, total_bytes }).unwrap();
        (directory, Arc::new(cache))
    }

    fn reopen(directory: &tempfile::TempDir) -> Cache {
        Cache::open(directory.path().join("modules"), CacheLimits::default()).unwrap()
    }

    #[test]
    fn what_was_put_is_found_again_also_after_a_restart() {
        let (directory, cache) = cache(1000);
        let digest = cache.put(b"module").unwrap();
        assert_eq!(cache.put(b"module").unwrap(), digest);
        assert_eq!((cache.get(digest).unwrap(), cache.total_bytes()), (b"module".to_vec(), 6));
        let again = reopen(&directory);
        assert_eq!((again.get(digest).unwrap(), again.total_bytes()), (b"module".to_vec(), 6));
    }

    #[test]
    fn other_bytes_than_announced_are_not_kept() {
        let (_directory, cache) = cache(1000);
        let expected = Digest::of(b"module");
        let error = cache.put_expecting(expected, b"another").unwrap_err();
        assert!(matches!(error, CacheError::OtherContent { found, .. } if found == Digest::of(b"another")));
        assert!(!cache.contains(expected) && !cache.contains(Digest::of(b"another")));
        cache.put_expecting(expected, b"module").unwrap();
        assert!(cache.contains(expected));
    }

    #[test]
    fn a_module_over_the_limit_is_refused() {
        let (_directory, cache) = cache(1000);
        assert!(matches!(cache.put(&[0; 65]), Err(CacheError::TooLarge { size: 65, limit: 64 })));
        assert_eq!(cache.total_bytes(), 0);
    }

    #[test]
    fn the_least_recently_used_module_makes_room() {
        let (directory, cache) = cache(100);
        let [first, second] = [[1; 40], [2; 40]].map(|bytes| cache.put(&bytes).unwrap());
        cache.get(first).unwrap();
        let third = cache.put(&[3; 40]).unwrap();
        let there = |cache: &Cache| [first, second, third].map(|digest| cache.contains(digest));
        assert_eq!(there(&cache), [true, false, true]);
        assert_eq!(there(&reopen(&directory)), [true, false, true]);
    }

    #[test]
    fn a_module_in_use_is_never_evicted() {
        let (_directory, cache) = cache(100);
        let first = cache.put(&[1; 60]).unwrap();
        let held = cache.hold(first).unwrap();
        assert!(matches!(cache.put(&[2; 60]), Err(CacheError::Full { size: 60 })));
        assert!(cache.contains(first));
        drop(held);
        cache.put(&[2; 60]).unwrap();
        assert!(!cache.contains(first));
    }

    #[test]
    fn what_customers_send_pushes_out_nothing_of_the_owners() {
        let (directory, cache) = cache(100);
        let sent = |cache: &Cache, byte: u8| cache.put_expecting(Digest::of(&[byte; 40]), &[byte; 40]);
        let digest = |byte: u8| Digest::of(&[byte; 40]);
        cache.put(&[1; 40]).unwrap();
        for byte in 2..9 {
            sent(&cache, byte).unwrap();
        }
        let check = |cache: &Cache, there: [bool; 3]| {
            assert_eq!([digest(1), digest(7), digest(8)].map(|digest| cache.contains(digest)), there);
        };
        check(&cache, [true, false, true]);
        // Nor after a restart, nor what a customer sent first.
        let again = Cache::open(directory.path().join("modules"), CacheLimits { module_bytes: 64, total_bytes: 100 });
        let again = again.unwrap();
        again.put(&[8; 40]).unwrap();
        assert!(matches!(sent(&again, 9), Err(CacheError::Full { size: 40 })));
        check(&again, [true, false, true]);
        // The owner's makes room for itself among all.
        again.put(&[7; 40]).unwrap();
        check(&again, [false, true, true]);
        check(&reopen(&directory), [false, true, true]);
    }

    #[test]
    fn who_only_looks_does_not_wait_for_the_disk() {
        let (_directory, cache) = cache(100);
        let digest = cache.put(b"module").unwrap();
        let _writing = lock(&cache.writing);
        assert!(cache.contains(digest) && cache.hold(digest).is_some() && cache.total_bytes() == 6);
        assert_eq!(cache.get(digest).unwrap(), b"module");
    }

    #[test]
    fn a_damaged_file_is_noticed_dropped_and_can_be_put_again() {
        let (directory, cache) = cache(1000);
        let digest = cache.put(b"module").unwrap();
        let path = directory.path().join("modules").join(digest.to_string());
        fs::write(&path, b"mOdule").unwrap();
        assert!(matches!(cache.get(digest), Err(CacheError::Damaged(found)) if found == digest));
        assert!(!cache.contains(digest) && !path.exists());
        cache.put(b"module").unwrap();
        assert_eq!(cache.get(digest).unwrap(), b"module");
    }

    #[test]
    fn half_written_files_are_removed_and_strange_ones_left_alone() {
        let (directory, cache) = cache(1000);
        cache.put(b"module").unwrap();
        let modules = directory.path().join("modules");
        fs::write(modules.join(format!("{}.7.part", Digest::of(b"half"))), b"ha").unwrap();
        fs::write(modules.join("README"), b"mine").unwrap();
        assert_eq!(reopen(&directory).total_bytes(), 6);
        let mut names: Vec<_> = fs::read_dir(modules).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        let digest = Digest::of(b"module").to_string();
        let kept = [digest.as_str(), &format!("{digest}.own"), "README"].map(std::ffi::OsString::from);
        assert_eq!(names, kept);
    }
}
