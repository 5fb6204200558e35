//! Panics as values: a run that panics is a run that failed, and says where.

use std::{
    cell::RefCell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

/// A panic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Panicked {
    /// In which line of which file, such as `contract/src/relay.rs:88`.
    pub(super) place: String,
    /// What it said.
    pub(super) message: String,
}

thread_local! {
    /// Whether this thread catches its panics, and the last one.
    static CATCHING: RefCell<Option<Option<Panicked>>> = const { RefCell::new(None) };
}

/// Calls `run`; a panic in it is returned, and printed nowhere.
pub(super) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, Panicked> {
    listen();
    let before = CATCHING.replace(Some(None));
    // What was half done is dropped with the world in which it happened.
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    let heard = CATCHING.replace(before).flatten();
    result.map_err(|_| heard.unwrap_or_else(|| Panicked { place: "?".to_owned(), message: "no message".to_owned() }))
}

/// Puts itself in front of what the process does about panics; other threads' are passed on to that.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let ours = CATCHING.with_borrow_mut(|catching| {
                let Some(heard) = catching else { return false };
                let place = info.location().map_or_else(|| "?".to_owned(), |at| format!("{}:{}", at.file(), at.line()));
                let message = info.payload_as_str().unwrap_or("no message").to_owned();
                *heard = Some(Panicked { place, message });
                true
            });
            if !ours {
                others(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    #[test]
    fn a_panic_says_where_and_what() {
        assert_eq!(caught(|| 1), Ok(1));
        let panicked = caught(|| panic!("seven is {}", 8)).unwrap_err();
        assert_eq!(panicked.message, "seven is 8");
        assert!(panicked.place.contains("caught.rs:"), "{}", panicked.place);
        // One within another is the inner one's alone.
        let outer = caught(|| caught(|| panic!("inner")).unwrap_err().message);
        assert_eq!(outer, Ok("inner".to_owned()));
    }
}
