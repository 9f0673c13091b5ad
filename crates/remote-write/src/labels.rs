//! Label blocks: the labels of a series as a 1.0 request encodes them, one `labels` field after the other.

use model::{ErrorKind, Kinded, Labels, LabelsBuilder, LabelsError};

use crate::error::{Fault, WireFault};
use crate::symbols::SymbolError;
use crate::v1;
use crate::wire::{Reader, Wire, fields, key, put_varint, varint_length};

/// Bounds on one label set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LabelLimits {
    /// Labels of a series.
    pub labels_max: usize,
    /// Bytes of a name.
    pub name_bytes_max: usize,
    /// Bytes of a value.
    pub value_bytes_max: usize,
    /// Bytes of the whole set as it is encoded.
    pub set_bytes_max: usize,
}

impl Default for LabelLimits {
    /// Far above what exporters send, and small enough that a million of the largest sets is no surprise by mistake.
    fn default() -> Self {
        Self { labels_max: 128, name_bytes_max: 1 << 10, value_bytes_max: 16 << 10, set_bytes_max: 64 << 10 }
    }
}

impl LabelLimits {
    /// Checks the `count`th label, counted from 1.
    #[inline]
    pub(crate) fn check(&self, count: usize, name: &str, value: &str) -> Result<(), LabelError> {
        if count > self.labels_max {
            return Err(LabelError::TooMany { name: excerpt(name), max: self.labels_max });
        }
        if name.len() > self.name_bytes_max {
            return Err(LabelError::NameTooLong { name: excerpt(name), bytes: name.len(), max: self.name_bytes_max });
        }
        if value.len() > self.value_bytes_max {
            let name = excerpt(name);
            return Err(LabelError::ValueTooLong { name, bytes: value.len(), max: self.value_bytes_max });
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn check_set(&self, bytes: usize) -> Result<(), LabelError> {
        if bytes > self.set_bytes_max { Err(LabelError::SetTooLarge { max: self.set_bytes_max }) } else { Ok(()) }
    }
}

/// Why labels are not those of a series. Refuses this one series, but for [`LabelError::Broken`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LabelError {
    /// The label block is not what it should be, so the request around it is not either: refuse the whole of it.
    #[error("broken label at byte {offset} of the labels: {fault}")]
    Broken {
        /// Where in the block.
        offset: usize,
        /// What is wrong there.
        fault: WireFault,
    },
    /// An odd number of references (2.0 only).
    #[error("odd number of label references: the last name has no value")]
    OddReferences,
    /// A reference that leads nowhere (2.0 only).
    #[error("label {0}")]
    Symbol(SymbolError),
    /// A name that is no text.
    #[error("label name {name:?} is not valid UTF-8")]
    NameNotUtf8 {
        /// The name, with the invalid bytes replaced.
        name: String,
    },
    /// A value that is no text.
    #[error("the value of label {name:?} is not valid UTF-8")]
    ValueNotUtf8 {
        /// The label's name.
        name: String,
    },
    /// A label without a name.
    #[error("a label has an empty name (its value is {value:?})")]
    EmptyName {
        /// The label's value.
        value: String,
    },
    /// A name that stands twice.
    #[error("label name {name:?} appears twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// A series without a metric name.
    #[error("series {labels} has no metric name (label __name__)")]
    NoMetricName {
        /// The labels it has.
        labels: String,
    },
    /// More labels than are taken.
    #[error("more than {max} labels, the limit per series (label {name:?} is one too many)")]
    TooMany {
        /// The first label beyond the limit.
        name: String,
        /// The limit in force.
        max: usize,
    },
    /// A name longer than is taken.
    #[error("label name {name:?}… has {bytes} bytes, the limit is {max}")]
    NameTooLong {
        /// The start of the name.
        name: String,
        /// Its length.
        bytes: usize,
        /// The limit in force.
        max: usize,
    },
    /// A value longer than is taken.
    #[error("the value of label {name:?} has {bytes} bytes, the limit is {max}")]
    ValueTooLong {
        /// The label's name.
        name: String,
        /// The value's length.
        bytes: usize,
        /// The limit in force.
        max: usize,
    },
    /// All labels together larger than is taken.
    #[error("the labels have more than {max} bytes, the limit per series")]
    SetTooLarge {
        /// The limit in force.
        max: usize,
    },
}

impl LabelError {
    /// A short, stable name of the reason, for metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Broken { .. } => "broken-label",
            Self::OddReferences | Self::Symbol(_) => "bad-reference",
            Self::NameNotUtf8 { .. } | Self::ValueNotUtf8 { .. } => "label-not-utf8",
            Self::EmptyName { .. } => "empty-label-name",
            Self::Duplicate { .. } => "duplicate-label",
            Self::NoMetricName { .. } => "no-metric-name",
            Self::TooMany { .. } | Self::NameTooLong { .. } | Self::ValueTooLong { .. } | Self::SetTooLarge { .. } => {
                "label-limit"
            }
        }
    }
}

impl Kinded for LabelError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

impl From<Fault> for LabelError {
    fn from(fault: Fault) -> Self {
        Self::Broken { offset: fault.offset, fault: fault.what }
    }
}

/// Name and value of a label, or why there is none.
pub(crate) type LabelText<'a> = Result<(&'a str, &'a str), LabelError>;

/// The label set that a block stands for: checked, sorted, without empty values.
///
/// # Errors
/// What makes it no label set of a series; the metric's name must be there.
pub fn labels_of_block(block: &[u8], limits: &LabelLimits) -> Result<Labels, LabelError> {
    limits.check_set(block.len())?;
    let labels = collect(BlockLabels::new(block), limits)?;
    if labels.metric_name().is_empty() {
        return Err(LabelError::NoMetricName { labels: excerpt(&labels.to_string()) });
    }
    Ok(labels)
}

/// Makes a set of labels in any order.
pub(crate) fn collect<'a>(
    labels: impl Iterator<Item = LabelText<'a>>,
    limits: &LabelLimits,
) -> Result<Labels, LabelError> {
    let mut builder = LabelsBuilder::default();
    let mut bytes = 0;
    for (index, label) in labels.enumerate() {
        let (name, value) = label?;
        limits.check(index + 1, name, value)?;
        bytes += name.len() + value.len();
        limits.check_set(bytes)?;
        builder.push(name, value);
    }
    builder.build().map_err(|error| match error {
        LabelsError::DuplicateName(name) => LabelError::Duplicate { name: excerpt(&name) },
        LabelsError::EmptyName(value) => LabelError::EmptyName { value: excerpt(&value) },
    })
}

/// The labels of a block as they stand in it, name and value.
#[derive(Clone)]
pub struct BlockLabels<'a> {
    block: Reader<'a>,
}

impl<'a> BlockLabels<'a> {
    /// Of a whole block.
    pub fn new(block: &'a [u8]) -> Self {
        Self { block: Reader::new(block) }
    }

    #[inline]
    fn label(&mut self) -> LabelText<'a> {
        match self.block.key()? {
            v1::LABELS => label(self.block.message()?),
            other => Err(self.block.fault(WireFault::WireType { field: other >> 3, wire: (other & 7) as u8 }).into()),
        }
    }
}

impl<'a> Iterator for BlockLabels<'a> {
    type Item = Result<(&'a str, &'a str), LabelError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.block.is_empty() {
            return None;
        }
        let label = self.label();
        if label.is_err() {
            self.block = Reader::new(&[]);
        }
        Some(label)
    }
}

/// One `Label` message.
#[inline]
pub(crate) fn label(mut reader: Reader<'_>) -> LabelText<'_> {
    let (mut name, mut value) = (&[][..], &[][..]);
    while !reader.is_empty() {
        match reader.key()? {
            NAME => name = reader.bytes()?,
            VALUE => value = reader.bytes()?,
            other => reader.skip(other, fields(&[1, 2]))?,
        }
    }
    let lossy = |bytes: &[u8]| excerpt(&String::from_utf8_lossy(&bytes[..bytes.len().min(4 * EXCERPT_CHARS)]));
    let name_text = std::str::from_utf8(name).map_err(|_| LabelError::NameNotUtf8 { name: lossy(name) })?;
    let value_text = std::str::from_utf8(value).map_err(|_| LabelError::ValueNotUtf8 { name: lossy(name) })?;
    Ok((name_text, value_text))
}

/// Checks that a `Label` message is whole, and not that it is text.
#[inline(always)]
pub(crate) fn check(label: Reader<'_>) -> Result<(), Fault> {
    // Nearly every label is a short name, a short value and nothing else.
    let bytes = label.rest();
    if let [first, name_bytes @ 0..0x80, rest @ ..] = bytes
        && *first == NAME as u8
        && let Some([second, value_bytes @ 0..0x80, value @ ..]) = rest.get(usize::from(*name_bytes)..)
        && *second == VALUE as u8
        && value.len() == usize::from(*value_bytes)
    {
        return Ok(());
    }
    check_any(label)
}

#[cold]
fn check_any(mut label: Reader<'_>) -> Result<(), Fault> {
    while !label.is_empty() {
        match label.key()? {
            NAME | VALUE => drop(label.bytes()?),
            other => label.skip(other, fields(&[1, 2]))?,
        }
    }
    Ok(())
}

/// Writes one label field as senders of 1.0 do: empty texts are left out.
#[inline]
pub(crate) fn put_label(name: &str, value: &str, out: &mut Vec<u8>) {
    // Nearly every label is short: its lengths are single bytes, and it is written in four pieces.
    let short = 4 + name.len() + value.len();
    if short < 0x80 && !name.is_empty() && !value.is_empty() {
        out.reserve(2 + short);
        out.extend_from_slice(&[v1::LABELS as u8, short as u8, NAME as u8, name.len() as u8]);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&[VALUE as u8, value.len() as u8]);
        out.extend_from_slice(value.as_bytes());
    } else {
        put_any_label(name, value, out);
    }
}

fn put_any_label(name: &str, value: &str, out: &mut Vec<u8>) {
    let length = field_length(name) + field_length(value);
    out.push(v1::LABELS as u8);
    put_varint(length as u64, out);
    put_text(NAME, name, out);
    put_text(VALUE, value, out);
}

fn field_length(text: &str) -> usize {
    if text.is_empty() { 0 } else { 1 + varint_length(text.len() as u64) + text.len() }
}

fn put_text(key: u32, text: &str, out: &mut Vec<u8>) {
    if !text.is_empty() {
        out.push(key as u8);
        put_varint(text.len() as u64, out);
        out.extend_from_slice(text.as_bytes());
    }
}

/// As much of a foreign text as an error may repeat.
fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT_CHARS).collect()
}

const EXCERPT_CHARS: usize = 120;

/// `Label.name`
pub(crate) const NAME: u32 = key(1, Wire::Bytes);
/// `Label.value`
pub(crate) const VALUE: u32 = key(2, Wire::Bytes);

#[cfg(test)]
mod tests;
