//! Stands for `futures-timer` in this workspace: its delays are tokio's, so that virtual time moves them.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

/// Is ready after a while.
#[derive(Debug)]
pub struct Delay(Pin<Box<Sleep>>);

impl Delay {
    /// Begins to wait.
    pub fn new(duration: Duration) -> Self {
        Self(Box::pin(sleep(duration)))
    }

    /// Begins anew.
    #[allow(clippy::disallowed_methods, reason = "tokio's clock is the virtual one, and this shim is what leads to it")]
    pub fn reset(&mut self, duration: Duration) {
        // Whoever asks for longer than there are instants waits for ever, as with `sleep`.
        const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);
        let now = Instant::now();
        self.0.as_mut().reset(now.checked_add(duration).unwrap_or(now + FAR));
    }
}

impl Future for Delay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}
