//! Panics that are told of in a sentence, and so not printed.

use std::cell::Cell;
use std::panic;
use std::sync::Once;

thread_local! {
    /// Whether a panic on this thread is expected, and told of by other means.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs something whose panics are not printed: a backtrace of sled's would bury the sentence that matters. The hook
/// is the process's, but only passes over what happens in here.
pub(super) fn quietly<T>(run: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_QUIET.get() {
                print(info);
            }
        }));
    });
    let before = IS_QUIET.replace(true);
    let result = run();
    IS_QUIET.set(before);
    result
}
