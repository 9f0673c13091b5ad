//! Records of the log in the making.

use model::{NativeHistogram, TimestampMs};
use tsdb_format::wal::record::{
    ExemplarEncoder, HistogramEncoder, HistogramKind, MetadataEncoder, SampleEncoder, SeriesEncoder, WalRef,
};

use crate::head::Value;
use crate::log::Log;

/// The kind of a histogram; `None` for a float.
pub(super) fn kind(value: &Value) -> Option<HistogramKind> {
    match value {
        Value::Float(_) => None,
        Value::Histogram(histogram) => Some(HistogramKind::of(histogram)),
    }
}

/// Records in the making, one of each type.
#[derive(Default)]
pub(super) struct Records {
    pub(super) series: SeriesEncoder,
    pub(super) samples: SampleEncoder,
    histograms: [HistogramEncoder; 4],
    pub(super) exemplars: ExemplarEncoder,
    pub(super) metadata: MetadataEncoder,
}

impl Records {
    #[inline]
    pub(super) fn sample(&mut self, series: WalRef, at: TimestampMs, value: &Value) {
        match value {
            Value::Float(value) => self.samples.push(series, at, *value),
            Value::Histogram(histogram) => self.histogram(series, at, histogram),
        }
    }

    fn histogram(&mut self, series: WalRef, at: TimestampMs, histogram: &NativeHistogram) {
        let kind = HistogramKind::of(histogram);
        let which = HistogramKind::ALL.iter().position(|other| *other == kind).expect("all kinds are there");
        self.histograms[which].push(series, at, histogram);
    }

    /// Gives the records to a log when they are large.
    #[inline]
    pub(super) fn flush_if_large(&mut self, log: &mut Log) {
        let others = self.series.record().len() + self.exemplars.record().len() + self.metadata.record().len();
        let histograms: usize = self.histograms.iter().map(|histograms| histograms.record().len()).sum();
        if self.samples.record().len() + others + histograms > RECORD_BYTES {
            self.flush(|record| log.push(record));
        }
    }

    /// Gives the records away. Series go first: what follows uses them.
    pub(super) fn flush(&mut self, mut give: impl FnMut(&[u8])) {
        macro_rules! flush {
            ($encoder:expr) => {
                if !$encoder.is_empty() {
                    give($encoder.record());
                    $encoder.clear();
                }
            };
        }
        flush!(self.series);
        flush!(self.samples);
        for histograms in &mut self.histograms {
            flush!(histograms);
        }
        flush!(self.exemplars);
        flush!(self.metadata);
    }
}

/// When records are ended. Larger ones compress no better.
const RECORD_BYTES: usize = 128 << 10;
