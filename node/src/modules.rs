//! The components of this node's workloads, by content: where the tunnel takes those that it sends from, and puts those
//! that come.

use kernel::Digest;
use rear_proto::{Code, Refusal};
use runtime::{Cache, CacheError};

/// Keeps components.
#[async_trait::async_trait]
pub trait Modules: Send + Sync + 'static {
    /// Whether a component is here.
    fn has(&self, digest: &Digest) -> bool;

    /// Returns a component's bytes.
    ///
    /// # Errors
    /// `NotFound`, or why it can't be read.
    async fn load(&self, digest: Digest) -> Result<Vec<u8>, Refusal>;

    /// Keeps a component, if it is the one.
    ///
    /// # Errors
    /// `Malformed` when it is another, or why it can't be kept.
    async fn keep(&self, digest: Digest, bytes: Vec<u8>) -> Result<(), Refusal>;
}

#[async_trait::async_trait]
impl Modules for std::sync::Arc<Cache> {
    fn has(&self, digest: &Digest) -> bool {
        self.contains(runtime::Digest(digest.0))
    }

    async fn load(&self, digest: Digest) -> Result<Vec<u8>, Refusal> {
        let cache = Self::clone(self);
        on_disk(move || cache.get(runtime::Digest(digest.0))).await
    }

    async fn keep(&self, digest: Digest, bytes: Vec<u8>) -> Result<(), Refusal> {
        let cache = Self::clone(self);
        on_disk(move || cache.put_expecting(runtime::Digest(digest.0), &bytes)).await
    }
}

/// Does file work, away from the tasks that must not wait for it.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CacheError> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| Refusal::new(Code::Unavailable, error.to_string()))?;
    done.map_err(|error| {
        let code = match &error {
            CacheError::OtherContent { .. } => Code::Malformed,
            CacheError::TooLarge { .. } => Code::TooLarge,
            CacheError::Unknown(_) | CacheError::Damaged(_) => Code::NotFound,
            CacheError::Full { .. } | CacheError::Disk { .. } => Code::Storage,
        };
        Refusal::new(code, error.to_string())
    })
}
