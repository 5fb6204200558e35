//! How a command ends: its exit code, and the reason on standard error.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug)]
pub enum Exit {
    /// It is done.
    Done,
    /// It was refused, or failed.
    Failed(String),
    /// It was used wrongly.
    Usage(String),
    /// There is no daemon to do it.
    NoDaemon(String),
    /// What was written to has closed: whoever read had enough.
    Closed,
}

/// A command was used wrongly in a way that the command line's own checks can't see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WrongUsage(pub(crate) String);

/// There is no daemon where one was expected.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoDaemon(pub(crate) String);

/// The reason was told already.
#[derive(Debug, thiserror::Error)]
#[error("failed")]
pub(crate) struct Told;

impl Exit {
    pub(crate) fn of(result: anyhow::Result<()>) -> Self {
        let Err(error) = result else { return Self::Done };
        let broken_pipe = error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
            .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe);
        if broken_pipe {
            return Self::Closed;
        }
        let text = sentence(&error);
        if error.is::<NoDaemon>() {
            Self::NoDaemon(text)
        } else if error.is::<WrongUsage>() {
            Self::Usage(text)
        } else if error.is::<Told>() {
            Self::Failed(String::new())
        } else {
            Self::Failed(text)
        }
    }

    /// Says why on standard error, where there is something to say, and returns the code.
    pub fn report(self) -> ExitCode {
        let (code, why) = match self {
            Self::Done | Self::Closed => (0, String::new()),
            Self::Failed(why) => (1, why),
            Self::Usage(why) => (2, why),
            Self::NoDaemon(why) => (3, why),
        };
        if !why.is_empty() {
            anstream::eprintln!("tombolo: {why}");
        }
        ExitCode::from(code)
    }
}

/// Puts an error and its causes into one line, without saying anything twice.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text.replace('\n', " ")
}
