//! What is wrong with a message, and where.

use std::fmt;

use model::{ErrorKind, Kinded};

/// Why the bytes are not the message that they should be. Refuses the whole request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecodeError {
    /// Name of the whole message.
    pub message: &'static str,
    /// Which time series of it, from 0; `None` outside of all series.
    pub series: Option<usize>,
    /// Which part of the series or message, as field names joined by dots; empty for itself.
    pub part: &'static str,
    /// Where, in bytes from the start of the decompressed request.
    pub offset: usize,
    /// What is wrong there.
    pub fault: WireFault,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)?;
        if let Some(index) = self.series {
            write!(f, ".timeseries[{index}]")?;
        }
        if !self.part.is_empty() {
            write!(f, ".{}", self.part)?;
        }
        write!(f, ", byte {}: {}", self.offset, self.fault)
    }
}

impl std::error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        None
    }
}

impl Kinded for DecodeError {
    fn kind(&self) -> ErrorKind {
        match self.fault {
            WireFault::TooManySeries { .. } | WireFault::TooManySymbols { .. } | WireFault::LabelsTooLarge { .. } => {
                ErrorKind::TooLarge
            }
            _ => ErrorKind::Invalid,
        }
    }
}

/// What can be wrong with encoded bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WireFault {
    /// The message ends inside a value.
    #[error("the message ends in the middle of a value")]
    Truncated,
    /// A length that leads out of the message.
    #[error("a length of {length} bytes, but only {left} are left")]
    LengthBeyondEnd {
        /// The length given.
        length: u64,
        /// Bytes left in the message.
        left: usize,
    },
    /// More than 64 bits.
    #[error("a varint of more than 64 bits")]
    VarintTooLong,
    /// More than the field's 32 bits.
    #[error("an integer that does not fit 32 bits")]
    IntegerRange,
    /// Field number 0, or above the greatest there can be.
    #[error("a field number that cannot be")]
    FieldNumber,
    /// A field of the message, written as another type.
    #[error("field {field} has wire type {wire}, which is not its own")]
    WireType {
        /// The field's number.
        field: u32,
        /// The wire type found.
        wire: u8,
    },
    /// Start or end of a group: not in any version of these messages.
    #[error("field {field} is a group, which these messages do not have")]
    Group {
        /// The field's number.
        field: u32,
    },
    /// A wire type that does not exist.
    #[error("field {field} has wire type {wire}, which does not exist")]
    UnknownWireType {
        /// The field's number.
        field: u32,
        /// The wire type found.
        wire: u8,
    },
    /// More series than are taken.
    #[error("more than {max} series, the limit per request; send smaller requests")]
    TooManySeries {
        /// The limit in force.
        max: usize,
    },
    /// More symbols than are taken.
    #[error("more than {max} symbols, the limit per request; send smaller requests")]
    TooManySymbols {
        /// The limit in force.
        max: usize,
    },
    /// References that would unfold to more than is taken.
    #[error("the labels of its series unfold to more than {max} bytes, the limit per request; send smaller requests")]
    LabelsTooLarge {
        /// The limit in force.
        max: usize,
    },
}

/// A fault and its place, before the message around it is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    pub(crate) offset: usize,
    pub(crate) what: WireFault,
}

impl Fault {
    #[cold]
    pub(crate) fn within(self, message: &'static str, series: Option<usize>, part: &'static str) -> DecodeError {
        DecodeError { message, series, part, offset: self.offset, fault: self.what }
    }
}
