//! What a metric family says about itself.

/// The type of a metric family. Discriminants are those of the remote-write messages and of write-ahead-log records.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum MetricType {
    /// Not known.
    #[default]
    Unknown = 0,
    /// Only rises, but for resets.
    Counter = 1,
    /// Rises and falls.
    Gauge = 2,
    /// Counts observations in buckets.
    Histogram = 3,
    /// Buckets that rise and fall.
    GaugeHistogram = 4,
    /// Quantiles, computed by the exporter.
    Summary = 5,
    /// Constant 1, facts in the labels.
    Info = 6,
    /// One series per state.
    Stateset = 7,
}

impl MetricType {
    /// From its number on the wire; unknown numbers are [`MetricType::Unknown`].
    pub const fn from_wire(number: u64) -> Self {
        match number {
            1 => Self::Counter,
            2 => Self::Gauge,
            3 => Self::Histogram,
            4 => Self::GaugeHistogram,
            5 => Self::Summary,
            6 => Self::Info,
            7 => Self::Stateset,
            _ => Self::Unknown,
        }
    }

    /// As the query API and OpenMetrics write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::Stateset => "stateset",
        }
    }
}

/// Type, help and unit of a metric family.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Metadata {
    /// The family's type.
    pub metric_type: MetricType,
    /// Help text, may be empty.
    pub help: String,
    /// Unit, may be empty.
    pub unit: String,
}
