//! The database through its seam: what is stored, refused, found again, and kept through crashes.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

mod appending;
mod crashing;
mod damage;
mod flushing;
mod late;
mod model_check;
mod selecting;
mod shortening;
