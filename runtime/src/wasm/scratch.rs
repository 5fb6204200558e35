//! Scratch directories: one per workload that may have one, named by the digest of its id.
//!
//! WASI has no quota, so a directory is measured once a second and its workload ended when it is over: between two looks
//! a workload may exceed its limit by what it can write in a second. What counts is what the disk gives: whole blocks, so
//! that empty files are not free, and files that were removed and are still open.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::spec::Digest;

/// What the smallest file or directory takes of a disk.
const BLOCK: u64 = 4096;
/// How often a directory is measured.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where the directory of a workload is.
pub(crate) fn place(root: &Path, id: &str) -> PathBuf {
    root.join(Digest::of(id.as_bytes()).to_string())
}

/// Makes an empty directory in its place.
pub(crate) async fn make(place: PathBuf) -> io::Result<()> {
    blocking(move || {
        remove_now(&place)?;
        std::fs::create_dir_all(&place)
    })
    .await
}

/// Removes a workload's directory, if it has one.
pub(crate) async fn remove(place: Option<PathBuf>) {
    let Some(place) = place else { return };
    let shown = place.display().to_string();
    if let Err(error) = blocking(move || remove_now(&place)).await {
        tracing::warn!(place = shown, %error, "scratch directory cannot be removed");
    }
}

/// Removes the directories of all workloads but these.
pub(crate) async fn sweep(root: PathBuf, keep: &BTreeSet<String>) {
    let keep: BTreeSet<PathBuf> = keep.iter().map(|id| place(&root, id)).collect();
    let swept = blocking(move || {
        let entries = match std::fs::read_dir(&root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            if !keep.contains(&path) {
                remove_now(&path)?;
            }
        }
        Ok(())
    });
    if let Err(error) = swept.await {
        tracing::warn!(%error, "scratch directories cannot be swept");
    }
}

/// Returns when the directory holds more than `limit` bytes; never, where there is none.
pub(crate) async fn overflow(place: Option<&Path>, limit: u64) {
    let Some(place) = place else { return std::future::pending().await };
    loop {
        let place = place.to_owned();
        // What cannot be measured (a file that went away in between) is looked at again.
        if blocking(move || size(&place)).await.is_ok_and(|size| size > limit) {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn remove_now(place: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Bytes that all below a directory takes of the disk; links are not followed.
fn size(directory: &Path) -> io::Result<u64> {
    let mut total = removed_but_open(directory)?;
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                left.push(entry.path());
            }
            total += taken(&metadata);
        }
    }
    Ok(total)
}

fn taken(metadata: &std::fs::Metadata) -> u64 {
    metadata.len().max(1).next_multiple_of(BLOCK)
}

/// Bytes of files that were below a directory, were removed, and are still open: they take room until they are closed,
/// and stand in no directory. Only Linux tells of them.
fn removed_but_open(directory: &Path) -> io::Result<u64> {
    if !cfg!(target_os = "linux") {
        return Ok(0);
    }
    // The system names them as they are without links on the way, with a remark after it.
    let directory = directory.canonicalize()?;
    let mut total = 0;
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let entry = entry?.path();
        // What was closed meanwhile is of no interest.
        let Ok(place) = std::fs::read_link(&entry) else { continue };
        if place.starts_with(&directory)
            && place.as_os_str().as_encoded_bytes().ends_with(b" (deleted)")
            && let Ok(metadata) = std::fs::metadata(&entry)
        {
            total += taken(&metadata);
        }
    }
    Ok(total)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn a_directory_over_its_limit_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let mine = place(root.path(), "../../escape");
        assert_eq!(mine.parent(), Some(root.path()));
        make(mine.clone()).await.unwrap();
        std::fs::create_dir(mine.join("deep")).unwrap();
        std::fs::write(mine.join("a"), [0; 6000]).unwrap();
        std::fs::write(mine.join("deep/b"), [0; 500]).unwrap();
        // A directory that the system makes larger than a block counts as such.
        assert_eq!(size(&mine).unwrap(), 4 * BLOCK);
        overflow(Some(&mine), 4 * BLOCK - 1).await;
        assert!(futures::FutureExt::now_or_never(overflow(None, 0)).is_none());
        make(mine.clone()).await.unwrap();
        assert_eq!(size(&mine).unwrap(), 0);
        remove(Some(mine.clone())).await;
        assert!(!mine.exists());
    }

    #[tokio::test]
    async fn files_without_a_byte_and_files_without_a_name_are_not_free() {
        let root = tempfile::tempdir().unwrap();
        let mine = place(root.path(), "a");
        make(mine.clone()).await.unwrap();
        for n in 0..10 {
            std::fs::File::create(mine.join(n.to_string())).unwrap();
        }
        assert_eq!(size(&mine).unwrap(), 10 * BLOCK);
        make(mine.clone()).await.unwrap();
        let open = std::fs::File::create(mine.join("gone")).unwrap();
        open.set_len(5 * BLOCK).unwrap();
        std::fs::remove_file(mine.join("gone")).unwrap();
        let hidden = if cfg!(target_os = "linux") { 5 * BLOCK } else { 0 };
        assert_eq!(size(&mine).unwrap(), hidden);
        assert_eq!(size(root.path()).unwrap(), BLOCK + hidden);
        drop(open);
        assert_eq!(size(&mine).unwrap(), 0);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn links_lead_neither_the_measure_nor_the_broom_outside() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(outside.path().join("precious"), [0; 9000]).unwrap();
        let mine = place(root.path(), "a");
        make(mine.clone()).await.unwrap();
        std::os::unix::fs::symlink(outside.path(), mine.join("link")).unwrap();
        assert!(size(&mine).unwrap() < 9000);
        sweep(root.path().to_owned(), &BTreeSet::new()).await;
        assert!(!mine.exists() && outside.path().join("precious").exists());
    }
}
