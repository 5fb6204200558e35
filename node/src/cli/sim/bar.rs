//! The progress bar: on a terminal alone, on standard error.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use simulations::{run::Progress, search::Stand};

/// Into how many parts the way is divided.
const PARTS: u64 = 10_000;
/// How often the time left is shown anew.
const TICK: Duration = Duration::from_millis(200);

/// A bar; nothing where nobody sees it.
#[derive(Debug)]
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// Makes one for a search through so many seeds.
    pub(super) fn searching(seeds: u64) -> Self {
        let bar = ProgressBar::new(PARTS);
        let text = if seeds == 1 {
            "{bar:40} {percent:>3} %  {msg}  {eta} left"
        } else {
            "{bar:40} {percent:>3} %  {prefix}  {msg}  {eta} left"
        };
        bar.set_style(style(text));
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// Makes one for running once more without digests.
    pub(super) fn comparing() -> Self {
        let bar = Self::searching(1);
        bar.0.set_style(style("{bar:40} {percent:>3} %  once more without digests, for comparison  {eta} left"));
        bar
    }

    /// Makes one for shrinking, which ends nobody knows when.
    pub(super) fn shrinking() -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_style(style("{spinner} a failure; looking for the smallest that fails like it, {elapsed}"));
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// Shows how far a search is.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bar")]
    pub(super) fn show(&self, stand: &Stand) {
        self.0.set_position((stand.share.clamp(0.0, 1.0) * PARTS as f64) as u64);
        let seconds = self.0.elapsed().as_secs_f64().max(0.001);
        let rate = stand.events as f64 / seconds;
        self.0.set_prefix(format!("{} of {} seeds held", stand.passed, stand.of));
        self.0.set_message(format!("{} events/s", super::show::thousands(rate as u64)));
    }

    /// Shows how far one run is.
    pub(super) fn show_one(&self, progress: &Progress) {
        self.0.set_position(progress.age.0.saturating_mul(PARTS) / progress.of.0.max(1));
        self.0.set_message(format!("{} events", super::show::thousands(progress.events)));
    }

    /// Takes it away.
    pub(super) fn clear(self) {
        self.0.finish_and_clear();
    }
}

/// Returns a style by its template; the plain one where that can't be read, which a test rules out.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
