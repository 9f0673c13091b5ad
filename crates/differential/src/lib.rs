//! Our query engine beside a Prometheus: the same data, the same queries, the same answers.
//!
//! A [`dataset`] is made from a seed and given to both. Queries are made from a seed too ([`generator`]), or are those of the
//! public compliance list ([`compliance`]). Both sides answer ([`own`], [`peer`]) in one form ([`answer`]), which is compared
//! ([`comparison`]). A query on which they differ is made smaller as long as they still do ([`shrink`]), and is reported with
//! the seed that repeats it ([`campaign`]). What is known to differ, and why, stands in [`known`].
//!
//! Not here: what an answer ought to be; the peer says that.

pub mod answer;
pub mod campaign;
pub mod comparison;
pub mod compliance;
pub mod dataset;
mod dialect;
pub mod generator;
pub mod known;
pub mod own;
pub mod peer;
pub mod shrink;

pub use dialect::Dialect;
