//! What the outside world gives us: time, chance, files and HTTP answers, as traits.
//!
//! Engines take these as arguments and therefore run the same under a test's clock, a seeded generator, a faulty disk
//! and an in-memory network (design: time, chance, disk and network come in as arguments). The real ones live in the
//! `host` crate and are made by programs only; `testkit` has those for tests.
//!
//! Invariant: this crate names no runtime, socket, file system or system clock. Waiting is a plain boxed future.

mod clock;
mod disk;
mod http_client;
mod rng;

use std::future::Future;
use std::pin::Pin;

pub use clock::{Clock, Deadline, Monotonic, UnixTime};
pub use disk::{Disk, DiskFile, DiskLock, DiskRead, FileKind};
pub use http_client::{HttpClient, HttpError, HttpErrorKind, Request, Response};
pub use rng::Rng;

/// A future without a name, so that seams stay usable as trait objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
