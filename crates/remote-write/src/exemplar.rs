//! Exemplars as they stand in a request.

use model::{Exemplar, Labels, TimestampMs};

use crate::error::Fault;
use crate::labels::{LabelError, LabelLimits, LabelText, collect, label};
use crate::negotiation::Version;
use crate::series::Context;
use crate::symbols::Symbols;
use crate::wire::{Reader, Wire, fields, key};
use crate::{v1, v2};

/// One exemplar; its labels are looked at when they are asked for.
#[derive(Clone, Copy)]
pub struct ExemplarView<'s> {
    /// When it was observed.
    pub timestamp: TimestampMs,
    /// What was observed.
    pub value: f64,
    message: Reader<'s>,
    symbols: &'s Symbols<'s>,
    version: Version,
}

impl ExemplarView<'_> {
    /// Its labels, checked and sorted; there may be none.
    ///
    /// # Errors
    /// What makes them no label set, or references that lead nowhere. It concerns this exemplar alone.
    pub fn labels(&self, limits: &LabelLimits) -> Result<Labels, LabelError> {
        match self.version {
            Version::V1 => collect(LabelFields { message: self.message }, limits),
            Version::V2 => collect(LabelRefs { refs: v2::Refs::new(self.message), symbols: self.symbols }, limits),
        }
    }

    /// As a value.
    ///
    /// # Errors
    /// As [`labels`](Self::labels).
    pub fn to_exemplar(&self, limits: &LabelLimits) -> Result<Exemplar, LabelError> {
        Ok(Exemplar { labels: self.labels(limits)?, timestamp: self.timestamp, value: self.value })
    }
}

pub(crate) fn decode<'s>(message: Reader<'s>, context: &Context<'s>) -> Result<ExemplarView<'s>, Fault> {
    let version = context.layout.version;
    let (mut reader, mut value, mut timestamp) = (message, 0.0, 0);
    while !reader.is_empty() {
        match reader.key()? {
            VALUE => value = reader.double()?,
            TIMESTAMP => timestamp = reader.varint()? as i64,
            // Labels in 1.0, packed references in 2.0.
            v1::LABELS => drop(reader.bytes()?),
            v2::REFS_UNPACKED if version == Version::V2 => drop(reader.varint()?),
            other => reader.skip(other, EXEMPLAR_FIELDS)?,
        }
    }
    Ok(ExemplarView { timestamp: TimestampMs(timestamp), value, message, symbols: context.symbols, version })
}

/// Checks that an `Exemplar` message of 1.0 is whole, labels and all.
pub(crate) fn check_v1(mut exemplar: Reader<'_>) -> Result<(), Fault> {
    while !exemplar.is_empty() {
        match exemplar.key()? {
            v1::LABELS => crate::labels::check(exemplar.message()?)?,
            VALUE => drop(exemplar.fixed64()?),
            TIMESTAMP => drop(exemplar.varint()?),
            other => exemplar.skip(other, EXEMPLAR_FIELDS)?,
        }
    }
    Ok(())
}

/// Checks that an `Exemplar` message of 2.0 is whole. Where its references lead is not looked at.
pub(crate) fn check_v2(mut exemplar: Reader<'_>) -> Result<(), Fault> {
    while !exemplar.is_empty() {
        match exemplar.key()? {
            v2::REFS_PACKED => exemplar.message()?.varints()?,
            v2::REFS_UNPACKED => drop(exemplar.varint()?),
            VALUE => drop(exemplar.fixed64()?),
            TIMESTAMP => drop(exemplar.varint()?),
            other => exemplar.skip(other, EXEMPLAR_FIELDS)?,
        }
    }
    Ok(())
}

/// `Exemplar.value`
pub(crate) const VALUE: u32 = key(2, Wire::Fixed64);
/// `Exemplar.timestamp`
pub(crate) const TIMESTAMP: u32 = key(3, Wire::Varint);
const EXEMPLAR_FIELDS: u32 = fields(&[1, 2, 3]);

/// Labels as fields of the exemplar (1.0).
struct LabelFields<'s> {
    message: Reader<'s>,
}

impl<'s> Iterator for LabelFields<'s> {
    type Item = LabelText<'s>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

impl<'s> LabelFields<'s> {
    fn advance(&mut self) -> Result<Option<(&'s str, &'s str)>, LabelError> {
        while !self.message.is_empty() {
            match self.message.key()? {
                v1::LABELS => return label(self.message.message()?).map(Some),
                other => self.message.skip(other, 0)?,
            }
        }
        Ok(None)
    }
}

/// Labels as references (2.0).
struct LabelRefs<'s> {
    refs: v2::Refs<'s>,
    symbols: &'s Symbols<'s>,
}

impl<'s> Iterator for LabelRefs<'s> {
    type Item = LabelText<'s>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.refs.next_label(self.symbols) {
            Ok(label) => label,
            Err(fault) => Some(Err(fault.into())),
        }
    }
}
