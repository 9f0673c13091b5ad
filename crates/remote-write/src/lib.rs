//! Bytes ↔ remote-write requests, versions 1.0 and 2.0. No I/O.
//!
//! The way of one request: [`negotiate`] its headers, [`framing::decode`] its body, [`Request::parse`] the message, then
//! take its [`Item`]s one by one from [`Request::walk`]. Nothing is copied on the way but histograms and, for version
//! 2.0, the resolved labels. [`Encoder`] goes the other way.
//!
//! Both versions come out as the same [`Item`]s, and name a series by the same [`Series::label_block`]: its labels as
//! they stand encoded in a 1.0 request. Whoever remembers what a block stood for never needs to look inside it again;
//! who does not calls [`labels_of_block`], which checks and sorts.
//!
//! Who keeps and passes on requests without storing them takes another way: [`survey`] says in one pass how much is in a
//! message and which series, [`SeriesIndex`] makes messages of some of its series, [`transcode_to_v1`] says a 2.0
//! message in 1.0.
//!
//! Two classes of errors: [`DecodeError`] means that the message is broken and nothing after that point can be trusted,
//! so the whole request is refused. [`Refused`] is one series (or one metadata entry) that makes no sense on its own;
//! the walk goes on behind it.

#[cfg(test)]
mod compose;
mod encode;
mod error;
mod exemplar;
pub mod framing;
mod histogram;
mod labels;
pub mod negotiation;
mod request;
mod series;
mod series_hash;
mod series_index;
mod survey;
mod symbols;
mod transcode;
mod v1;
mod v2;
mod walk;
mod wire;
mod written;

pub use encode::{Encoder, SeriesEncoder};
pub use error::{DecodeError, WireFault};
pub use exemplar::ExemplarView;
pub use histogram::HistogramSample;
pub use labels::{BlockLabels, LabelError, LabelLimits, labels_of_block};
pub use negotiation::{UnsupportedMedia, Version, negotiate};
pub use request::{Limits, Request};
pub use series::{Exemplars, Histograms, Sample, Samples, Series, Tally};
pub use series_hash::series_hash;
pub use series_index::SeriesIndex;
pub use survey::{Survey, SurveyScratch, survey};
pub use symbols::SymbolError;
pub use transcode::{Transcoded, transcode_to_v1};
pub use walk::{FamilyMetadata, Item, MetadataError, MetadataText, Refused, SeriesError, Walk};
pub use written::WrittenCounts;
