//! The database through its seam: what is stored, refused, found again, and kept through crashes.

mod support;

mod appending;
