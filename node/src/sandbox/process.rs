//! One daemon as a process, and the commands that are given to it.

use std::{
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use super::{corner::Corner, door::Door};

/// In which time a daemon must be ready, a command done and a state reached: only what hangs takes so long.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long a daemon may take to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(20);
/// How often a table is read again while a state is waited for.
const AGAIN: Duration = Duration::from_millis(50);
/// How much of a log is shown with an error.
const TAIL: usize = 12;

/// A node in a sandbox, whether it runs or not.
#[derive(Debug)]
pub struct Node {
    exe: PathBuf,
    /// Its data directory as it is seen from here, and as it sees it itself.
    dir: PathBuf,
    inner: PathBuf,
    log: PathBuf,
    running: Option<Running>,
    /// Where it listened when it first ran: others know it by these.
    addresses: Vec<String>,
    id: String,
    /// Where it lives apart from the rest of the machine, if it does.
    corner: Option<Corner>,
}

/// A process that serves.
#[derive(Debug)]
struct Running {
    child: Child,
    /// Held open: a program that prints to nobody is told so by an error.
    _stdout: BufReader<ChildStdout>,
    door: Door,
}

/// What a command came to.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its exit code; `None` when it was killed.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said beside.
    pub stderr: String,
}

impl Output {
    /// Reads what it printed as JSON.
    ///
    /// # Errors
    /// When that is none.
    pub fn json(&self) -> anyhow::Result<Value> {
        super::parse(&self.stdout)
    }
}

impl Node {
    pub(super) fn new(exe: PathBuf, dir: PathBuf, log: PathBuf) -> Self {
        let inner = dir.clone();
        Self { exe, dir, inner, log, running: None, addresses: Vec::new(), id: String::new(), corner: None }
    }

    /// Returns its data directory, as it is seen from here.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the name that it has in its sandbox.
    pub fn name(&self) -> String {
        self.inner.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Has it live in a corner of its own, whose disk is its data directory. It has not been made yet.
    pub fn live_in(&mut self, corner: Corner) {
        self.dir = corner.outside(&self.inner);
        self.corner = Some(corner);
    }

    /// Returns where it lives apart from the rest of the machine, if it does.
    pub const fn corner(&self) -> Option<&Corner> {
        self.corner.as_ref()
    }

    /// Returns its id, once it has run.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the addresses that it listens on, once it has run.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Returns the URL of its API while it runs.
    pub fn api(&self) -> Option<&str> {
        self.running.as_ref().map(|running| running.door.api())
    }

    /// Returns the door to this life of its daemon, while it runs.
    pub fn door(&self) -> Option<Door> {
        self.running.as_ref().map(|running| running.door.clone())
    }

    /// Returns the last lines that its daemon said.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }

    /// Puts settings over those of its configuration file.
    ///
    /// # Errors
    /// When either is no TOML or the file can't be written.
    pub fn configure(&self, settings: &str) -> anyhow::Result<()> {
        super::configure(&self.dir.join("config.toml"), settings)
    }

    /// Returns the program with this node's data directory, ready to be given a command.
    pub fn program(&self) -> Command {
        let enter = self.corner.as_ref().map_or(&[][..], Corner::enter);
        let mut command = match enter.split_first() {
            Some((first, words)) => {
                let mut command = Command::new(first);
                command.args(words).arg(&self.exe);
                command
            }
            None => Command::new(&self.exe),
        };
        command.arg("--data-dir").arg(&self.inner).env_remove("TOMBOLO_DATA_DIR");
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Gives a command and waits for its end.
    ///
    /// # Errors
    /// When it can't be run, or takes far too long.
    pub async fn command(&self, args: &[&str]) -> anyhow::Result<Output> {
        let what = || format!("tombolo {}", args.join(" "));
        let done = timeout(PATIENCE, self.program().args(args).output()).await;
        let done = done.map_err(|_| anyhow!("{} does not end", what()))?.with_context(what)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Output { code: done.status.code(), stdout: text(&done.stdout), stderr: text(&done.stderr) })
    }

    /// Gives a command that must be done.
    ///
    /// # Errors
    /// When it is not, with what it said.
    pub async fn expect(&self, args: &[&str]) -> anyhow::Result<String> {
        let done = self.command(args).await?;
        if done.code == Some(0) {
            return Ok(done.stdout);
        }
        let code = done.code.map_or_else(|| "killed".to_owned(), |code| format!("exit code {code}"));
        bail!("tombolo {}: {code}: {}", args.join(" "), done.stderr.trim())
    }

    /// Gives a command that must be done, and reads the JSON that it prints.
    ///
    /// # Errors
    /// When it is not done, or prints no JSON.
    pub async fn json(&self, args: &[&str]) -> anyhow::Result<Value> {
        super::parse(&self.expect(&[args, &["--json"]].concat()).await?)
    }

    /// Reads from its API.
    ///
    /// # Errors
    /// When it does not run, or does not answer with JSON.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let running = self.running.as_ref().context("the node does not run")?;
        let asking = timeout(PATIENCE, running.door.said(path));
        asking.await.map_err(|_| anyhow!("it does not answer")).flatten().with_context(|| path.to_owned())
    }

    /// Reads from its API until what it says is wanted.
    ///
    /// # Errors
    /// When it does not run, or says nothing of the sort for a long time; then with the last that it said.
    pub async fn until(&self, path: &str, mut wanted: impl FnMut(&Value) -> bool) -> anyhow::Result<Value> {
        let mut last = Value::Null;
        let waiting = async {
            loop {
                last = self.get(path).await?;
                if wanted(&last) {
                    return Ok(());
                }
                tokio::time::sleep(AGAIN).await;
            }
        };
        match timeout(PATIENCE, waiting).await {
            Ok(result) => result.map(|()| last),
            Err(_) => bail!("{path} does not come to say what is waited for; last it said {last:#}\n{}", self.log()),
        }
    }

    /// Follows an intent, change by change, until what it says is wanted.
    ///
    /// # Errors
    /// When it does not run, or that does not come for a long time; then with the last that it said.
    pub async fn follow(&self, intent: &str, mut wanted: impl FnMut(&Value) -> bool) -> anyhow::Result<Value> {
        let mut last = Value::Null;
        let waiting = async {
            loop {
                let after = last.get("version").and_then(Value::as_u64).unwrap_or(0);
                last = self.get(&format!("/v1/intents/{intent}?after={after}&waitMs=2000")).await?;
                if wanted(&last) {
                    return Ok(());
                }
            }
        };
        match timeout(PATIENCE, waiting).await {
            Ok(result) => result.map(|()| last),
            Err(_) => bail!("intent {intent} does not come to what is waited for: {last:#}\n{}", self.log()),
        }
    }

    /// Waits until it is connected to another node, and knows it as a member.
    ///
    /// # Errors
    /// When that does not come to be.
    pub async fn meets(&self, other: &Self) -> anyhow::Result<()> {
        let is_other = |peer: &Value| peer.get("node").and_then(Value::as_str) == Some(other.id.as_str());
        let is_connected = |peer: &Value| peer.get("connected") == Some(&Value::Bool(true));
        let met =
            |peers: &Value| peers.as_array().is_some_and(|peers| peers.iter().any(|p| is_other(p) && is_connected(p)));
        self.until("/v1/peers", met).await.map(drop)
    }

    /// Waits until it is connected to a supernode of a partner, which may use what is exposed to it.
    ///
    /// # Errors
    /// When that does not come to be.
    pub async fn befriended(&self, other: &Self) -> anyhow::Result<()> {
        let is_other = |supernode: &Value| {
            supernode.get("node").and_then(Value::as_str) == Some(other.id.as_str())
                && supernode.get("connected") == Some(&Value::Bool(true))
        };
        let has_other = |partner: &Value| {
            partner.get("usedBy") == Some(&Value::Bool(true))
                && partner.get("supernodes").and_then(Value::as_array).is_some_and(|all| all.iter().any(is_other))
        };
        let met = |partners: &Value| partners.as_array().is_some_and(|partners| partners.iter().any(has_other));
        self.until("/v1/partners", met).await.map(drop)
    }

    /// Starts its daemon, and waits until it is ready. It listens where it did before.
    ///
    /// # Errors
    /// When it does not get ready, with the last that it said.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        let log = append(&self.log)?;
        let mut command = self.program();
        command.args(["run", "--json"]).stdout(Stdio::piped()).stderr(log);
        command.env("TOMBOLO_DIE", self.inner.join("die"));
        for address in &self.addresses {
            // Without the peer id at its end.
            command.arg("--listen").arg(address.split("/p2p/").next().unwrap_or(address));
        }
        let mut child = command.spawn().context("can not start a daemon")?;
        let mut stdout = BufReader::new(child.stdout.take().context("a daemon without an output")?);
        let mut line = String::new();
        let read = timeout(PATIENCE, stdout.read_line(&mut line)).await;
        if !matches!(read, Ok(Ok(1..))) {
            bail!("the daemon in {} does not get ready: {}", self.inner.display(), self.log());
        }
        let ready = super::parse(&line)?;
        let text = |name: &str| ready.get(name).and_then(Value::as_str).map(str::to_owned);
        self.id = text("id").context("the ready line names no id")?;
        let api = text("api").context("the ready line names no API")?;
        let addresses = ready.get("addresses").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        self.addresses = addresses.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let token = fs::read_to_string(self.dir.join("api.token")).context("can not read the API's token")?;
        let door = Door::new(api, token.trim().to_owned())?;
        self.running = Some(Running { child, _stdout: stdout, door });
        Ok(())
    }

    /// Has its daemon, in a debug build, end or stand still at a deed: `when` is `before`, `after` or `stop`.
    ///
    /// # Errors
    /// When the wish can't be written.
    pub fn at_deed(&self, when: &str, deed: &str) -> anyhow::Result<()> {
        let (file, next) = (self.dir.join("die"), self.dir.join("die.next"));
        fs::write(&next, format!("{when} {deed}"))
            .and_then(|()| fs::rename(&next, &file))
            .context("can not write a wish")
    }

    /// Waits until its daemon has ended or stands still, as [`at_deed`](Self::at_deed) wishes; it may be waited for again.
    ///
    /// # Errors
    /// When it does not run, or goes on for a long time.
    pub async fn halts(&self) -> anyhow::Result<()> {
        let pid = self.running.as_ref().and_then(|running| pid(&running.child)).context("the node does not run")?;
        let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let halted = tokio::task::spawn_blocking(move || waitid(WaitId::Pid(pid), options));
        let halted = timeout(PATIENCE, halted).await.map_err(|_| anyhow!("the daemon goes on: {}", self.log()))?;
        halted?.map(drop).context("can not wait for a daemon")
    }

    /// Has its daemon stand still (SIGSTOP), and waits until it does.
    ///
    /// # Errors
    /// When it does not run, or goes on for a long time.
    pub async fn hold(&self) -> anyhow::Result<()> {
        let running = self.running.as_ref().context("the node does not run")?;
        signal(&running.child, Signal::STOP);
        self.halts().await
    }

    /// Waits until its daemon ends though nobody told it to; for ever where none runs.
    ///
    /// # Errors
    /// When the system does not say.
    pub async fn ends(&mut self) -> std::io::Result<ExitStatus> {
        let Some(running) = &mut self.running else { return std::future::pending().await };
        let status = running.child.wait().await;
        self.running = None;
        status
    }

    /// Has its daemon go on that stands still.
    pub fn go_on(&self) {
        if let Some(running) = &self.running {
            signal(&running.child, Signal::CONT);
        }
    }

    /// Ends its daemon cleanly; one that does not end within a grace is killed, which is an error.
    ///
    /// # Errors
    /// When it did not end by itself, or with another code than 0.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        signal(&running.child, Signal::TERM);
        if let Ok(status) = timeout(GRACE, running.child.wait()).await {
            return well(status?).with_context(|| self.log());
        }
        running.child.kill().await?;
        bail!("the daemon in {} had to be killed: {}", self.inner.display(), self.log())
    }

    /// Kills its daemon at once (SIGKILL), as a failing machine would.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        match self.running.take() {
            Some(mut running) => Ok(running.child.kill().await?),
            None => Ok(()),
        }
    }
}

fn append(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new().create(true).append(true).open(path).with_context(|| format!("can not write {}", path.display()))
}

/// Returns the id of a child that has not been waited for.
fn pid(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
}

/// Sends a signal to a child; one that has ended gets none.
fn signal(child: &Child, signal: Signal) {
    if let Some(pid) = pid(child) {
        // It may have ended in this moment.
        let _ = kill_process(pid, signal);
    }
}

fn well(status: ExitStatus) -> anyhow::Result<()> {
    if status.success() { Ok(()) } else { bail!("the daemon ended with {status}") }
}
