//! Ports that stay free while a program that listens on one is dead.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// A port below those that the system gives to outgoing connections (32768 and up): between a program's death and its
/// next start none of the thousands of connections of these tests can take it.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes that run at the same time begin in different places.
    let begin = u16::try_from(std::process::id() % (RANGE.end - RANGE.start)).unwrap();
    for _ in RANGE {
        let step = u32::from(begin) + u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(RANGE.start + step % (RANGE.end - RANGE.start)).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free in {RANGE:?}");
}

const RANGE: std::ops::Range<u32> = 20_000..32_000;
