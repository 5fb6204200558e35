//! The data directory: what stands where in it, and the keys and tokens that only its owner may read.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use kernel::NodeId;
use rear_proto::Signer;
use zeroize::Zeroizing;

/// The fewest characters of a token: what nobody guesses. `init` makes twice as many.
const MIN_TOKEN: usize = 32;

/// A node's data directory.
#[derive(Debug, Clone)]
pub struct DataDir(PathBuf);

/// Why something in the data directory can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The system refused.
    #[error("can not {doing} {path}")]
    Io {
        /// What was to be done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A key file holds no key.
    #[error("{0} holds no key: it should be one line of 64 hexadecimal digits")]
    Key(PathBuf),
    /// The token's file holds none that would keep anybody out.
    #[error("{0} holds no token: it should be one line of at least {MIN_TOKEN} characters")]
    Token(PathBuf),
    /// There is no node here.
    #[error("there is no node in {0}: run `tombolo init` first, or name another --data-dir")]
    Empty(PathBuf),
    /// There is a node here already.
    #[error("there is a node in {0} already; nothing was changed")]
    Taken(PathBuf),
}

impl DataDir {
    /// Names a data directory; nothing is looked at.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns the platform's default: `~/.local/share/tombolo` on Linux, or `tombolo-data` where there is no home.
    pub fn default_path() -> PathBuf {
        directories::ProjectDirs::from("", "", "tombolo")
            .map_or_else(|| PathBuf::from("tombolo-data"), |dirs| dirs.data_local_dir().to_owned())
    }

    /// Returns the directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The configuration.
    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// The node's secret key.
    pub fn node_key(&self) -> PathBuf {
        self.0.join("node.key")
    }

    /// The domain's secret key, at the node that founded the domain.
    pub fn domain_key(&self) -> PathBuf {
        self.0.join("domain.key")
    }

    /// The token of the local API.
    pub fn api_token(&self) -> PathBuf {
        self.0.join("api.token")
    }

    /// Where the running daemon serves the local API.
    pub fn api_address(&self) -> PathBuf {
        self.0.join("api.address")
    }

    /// The components that are kept.
    pub fn modules(&self) -> PathBuf {
        self.0.join("modules")
    }

    /// Scratch directories of workloads.
    pub fn scratch(&self) -> PathBuf {
        self.0.join("scratch")
    }

    /// Says whether a node lives here.
    pub fn holds_a_node(&self) -> bool {
        self.node_key().exists()
    }

    /// Makes the directory, readable by its owner alone.
    ///
    /// # Errors
    /// When a node lives here already, or the system refuses.
    pub fn create(&self) -> Result<(), DataDirError> {
        if self.holds_a_node() {
            return Err(DataDirError::Taken(self.0.clone()));
        }
        let io = |doing| move |source| DataDirError::Io { doing, path: self.0.clone(), source };
        fs::create_dir_all(&self.0).map_err(io("make"))?;
        fs::set_permissions(&self.0, fs::Permissions::from_mode(0o700)).map_err(io("protect"))
    }

    /// Reads the node's key.
    ///
    /// # Errors
    /// When there is none, or it is no key.
    pub fn signer(&self) -> Result<Signer, DataDirError> {
        Ok(Signer::from_secret(&*self.node_secret()?))
    }

    /// Reads the node's secret bytes, which the transport needs.
    ///
    /// # Errors
    /// When there are none, or they are no key.
    pub fn node_secret(&self) -> Result<Zeroizing<[u8; 32]>, DataDirError> {
        if !self.holds_a_node() {
            return Err(DataDirError::Empty(self.0.clone()));
        }
        read_key(&self.node_key())
    }

    /// Reads the domain's key, where this node has it.
    ///
    /// # Errors
    /// When it is there and is no key.
    pub fn domain_signer(&self) -> Result<Option<Signer>, DataDirError> {
        let path = self.domain_key();
        if path.exists() { read_key(&path).map(|key| Some(Signer::from_secret(&key))) } else { Ok(None) }
    }

    /// Reads the token of the local API.
    ///
    /// # Errors
    /// When there is none, or one that is too short to keep anybody out.
    pub fn token(&self) -> Result<Zeroizing<String>, DataDirError> {
        let path = self.api_token();
        let text = read_private(&path)?;
        let token = text.trim();
        let is_token = token.len() >= MIN_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic());
        if is_token { Ok(Zeroizing::new(token.to_owned())) } else { Err(DataDirError::Token(path)) }
    }

    /// Makes a fresh key and writes it where it belongs.
    ///
    /// # Errors
    /// When the file exists or can't be written.
    pub fn make_key(&self, path: &Path) -> Result<(Signer, NodeId), DataDirError> {
        let secret = Zeroizing::new(rand::random::<[u8; 32]>());
        write_private(path, format!("{}\n", hex::encode(secret.as_slice())).as_bytes())?;
        let signer = Signer::from_secret(&secret);
        let id = signer.id();
        Ok((signer, id))
    }

    /// Writes a file that only the owner may read; never over one that is there.
    ///
    /// # Errors
    /// When the file exists or can't be written.
    pub fn write_private(&self, path: &Path, bytes: &[u8]) -> Result<(), DataDirError> {
        write_private(path, bytes)
    }
}

fn read_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, DataDirError> {
    let text = read_private(path)?;
    let mut key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), &mut *key).map_err(|_| DataDirError::Key(path.to_owned()))?;
    Ok(key)
}

/// Reads what only the owner should be able to read, and warns where others are.
fn read_private(path: &Path) -> Result<Zeroizing<String>, DataDirError> {
    let io = |source| DataDirError::Io { doing: "read", path: path.to_owned(), source };
    let text = fs::read_to_string(path).map(Zeroizing::new).map_err(io)?;
    let mode = fs::metadata(path).map_err(io)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), mode = format!("{:o}", mode & 0o777), "others may read a secret: chmod 600");
    }
    Ok(text)
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<(), DataDirError> {
    let io = |source| DataDirError::Io { doing: "write", path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_are_for_their_owner_alone_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path().join("node"));
        data.create().unwrap();
        let (_, id) = data.make_key(&data.node_key()).unwrap();
        assert_eq!(fs::metadata(data.node_key()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(data.signer().unwrap().id(), id);
        assert!(matches!(data.create(), Err(DataDirError::Taken(_))));
        assert!(data.make_key(&data.node_key()).is_err());
    }

    #[test]
    fn a_token_that_keeps_nobody_out_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        assert!(matches!(data.token(), Err(DataDirError::Io { .. })));
        for text in ["", "\n", "short", "0123456789abcdef 0123456789abcdef"] {
            fs::write(data.api_token(), text).unwrap();
            let error = data.token().unwrap_err().to_string();
            assert!(error.contains("api.token holds no token"), "{text:?}: {error}");
        }
        fs::write(data.api_token(), format!("{}\n", "a1".repeat(32))).unwrap();
        assert_eq!(*data.token().unwrap(), "a1".repeat(32));
    }

    #[test]
    fn a_key_file_without_a_key_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        assert!(matches!(data.signer(), Err(DataDirError::Empty(_))));
        fs::write(data.node_key(), "not a key").unwrap();
        assert!(data.signer().unwrap_err().to_string().contains("node.key holds no key"));
    }
}
