//! Panics on this thread, also those that somebody catches: a database contains them, a simulation must not overlook one.

use std::cell::RefCell;
use std::panic;
use std::sync::Once;

thread_local! {
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Begins to watch; forgets what was seen before.
pub(crate) fn watch() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            SEEN.with_borrow_mut(|seen| seen.push(info.to_string()));
            before(info);
        }));
    });
    take();
}

/// Panics since the last call.
pub(crate) fn take() -> Vec<String> {
    SEEN.take()
}
