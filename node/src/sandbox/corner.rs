//! A corner of the machine for one node: a small file system of its own that nobody else sees, where the system permits.
//!
//! A process (`unshare`, then `cat`) holds a mount namespace in which the node's directory is a tmpfs. What belongs to the
//! node is run in there (`nsenter`), and its files are seen from outside through `/proc`. When the holder ends, and
//! it ends with the program that made it, all of it is gone; nothing is ever mounted for others.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail, ensure};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStdin, Command},
    time::timeout,
};

/// In which time a corner must be there: only what hangs takes so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the holder does: the mount, a word, and nothing until nobody holds its input any more.
const HOLD: &str = "mount -t tmpfs -o size=\"$2\"m,mode=700 tombolo \"$1\" && echo ready && exec cat";
/// What fills the disk.
const FILLER: &str = "filler";
const MIB: u64 = 1 << 20;

/// A corner of the machine.
#[derive(Debug)]
pub struct Corner {
    /// Killed when this is dropped.
    _holder: Child,
    /// Held open: the holder ends with it, even where nobody is left to kill it.
    _input: ChildStdin,
    pid: u32,
    /// The directory that is a file system of its own, as the node sees it.
    dir: PathBuf,
    /// How the namespaces are entered.
    enter: Vec<OsString>,
}

impl Corner {
    /// Makes a corner in which `dir` is a file system of so many MiB. The directory is made where it is not there.
    ///
    /// # Errors
    /// When the system does not permit it; then nothing is left of it.
    pub async fn new(dir: &Path, mib: u64) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("can not make {}", dir.display()))?;
        // Who is nobody special needs a namespace of users of its own, in which it may mount.
        let is_root = rustix::process::geteuid().is_root();
        let own_users: &[&str] = if is_root { &[] } else { &["--user", "--map-root-user"] };
        let mut holder = Command::new("unshare")
            .args(own_users)
            .args(["--mount", "--propagation", "private", "--", "sh", "-c", HOLD, "sh"])
            .arg(dir)
            .arg(mib.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("there is no unshare")?;
        let (input, output) = (holder.stdin.take(), holder.stdout.take());
        let (input, output) = input.zip(output).context("a holder without input and output")?;
        let mut line = String::new();
        let read = timeout(PATIENCE, BufReader::new(output).read_line(&mut line)).await;
        if !matches!(read, Ok(Ok(1..))) {
            let failed = timeout(PATIENCE, holder.wait_with_output()).await;
            let why = failed.map_err(|_| anyhow!("unshare does not end"))?.context("can not wait for unshare")?;
            bail!("{}", String::from_utf8_lossy(&why.stderr).trim());
        }
        let pid = holder.id().context("the holder has ended")?;
        let mut enter: Vec<OsString> =
            ["nsenter", "--target", &pid.to_string(), "--mount"].into_iter().map(OsString::from).collect();
        if !is_root {
            enter.extend(["--user", "--preserve-credentials"].map(OsString::from));
        }
        enter.push("--".into());
        let this = Self { _holder: holder, _input: input, pid, dir: dir.to_owned(), enter };
        // Whether one can look in from outside is another question than whether one may mount.
        fs::read_dir(this.outside(dir)).context("what is mounted there can not be seen")?;
        Ok(this)
    }

    /// Returns how a file in there is named out here.
    pub fn outside(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.pid));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Returns the words that come before a command that is to be run in there.
    pub fn enter(&self) -> &[OsString] {
        &self.enter
    }

    /// Fills the disk, but for half of so many MiB.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn fill(&self, but_mib: u64) -> anyhow::Result<()> {
        let dir = self.outside(&self.dir);
        let free = crate::commit::free_space(&dir).context("can not ask for the free space")?;
        let bytes = free.saturating_sub(but_mib * MIB / 2);
        let mut file = File::options().append(true).create(true).open(dir.join(FILLER))?;
        let chunk = vec![0; 64 << 10];
        let mut left = bytes;
        while left > 0 {
            let len = left.min(chunk.len() as u64);
            let part = chunk.get(..usize::try_from(len)?).unwrap_or_default();
            file.write_all(part).context("can not fill the disk")?;
            left -= len;
        }
        ensure!(crate::commit::free_space(&dir)? < but_mib * MIB, "the disk is not full though it was filled");
        Ok(())
    }

    /// Gives the room back that was taken.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn clear(&self) -> anyhow::Result<()> {
        match fs::remove_file(self.outside(&self.dir).join(FILLER)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("can not clear the disk"),
            _ => Ok(()),
        }
    }
}
