//! A data set as remote-write requests.
//!
//! A server takes samples of a series in order of time, and none that are much older than its newest. So requests follow
//! each other in time, each with all series.

use model::TimestampMs;
use remote_write::{Encoder, Sample, Version, framing};
use testkit::series_store::StoredValue;

use crate::dataset::Dataset;
use crate::dialect::Dialect;

/// Headers that go with each request.
pub(super) fn headers(dialect: Dialect) -> &'static str {
    match version(dialect) {
        Version::V1 => {
            "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n\
             X-Prometheus-Remote-Write-Version: 0.1.0\r\n"
        }
        Version::V2 => {
            "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request\r\n\
             X-Prometheus-Remote-Write-Version: 2.0.0\r\n"
        }
    }
}

fn version(dialect: Dialect) -> Version {
    match dialect {
        Dialect::Old => Version::V1,
        Dialect::Stable | Dialect::Experimental => Version::V2,
    }
}

/// Bodies of requests, in the order in which they are to be sent.
pub(super) fn requests(data: &Dataset, dialect: Dialect) -> impl Iterator<Item = Vec<u8>> + '_ {
    let starts = (data.start.0..=data.end.0).step_by(SLICE_MS);
    starts.filter_map(move |start| {
        let (from, to) = (TimestampMs(start), TimestampMs(start + SLICE_MS as i64));
        let mut encoder = Encoder::new(version(dialect));
        let mut any = false;
        for series in &data.series {
            let first = series.samples.partition_point(|(at, _)| *at < from);
            let last = series.samples.partition_point(|(at, _)| *at < to);
            if first == last {
                continue;
            }
            any = true;
            // A request holds floats and histograms of one series apart, so each run of one kind is a series of its own.
            let samples = &series.samples[first..last];
            for run in samples.chunk_by(|(_, left), (_, right)| is_float(left) == is_float(right)) {
                let mut encoded = encoder.series(&series.labels);
                for (at, value) in run {
                    match value {
                        StoredValue::Float(value) => {
                            encoded.sample(Sample { timestamp: *at, value: *value, start_timestamp: None });
                        }
                        StoredValue::Histogram(histogram) => {
                            encoded.histogram(*at, None, histogram);
                        }
                    }
                }
            }
        }
        any.then(|| framing::encode(&encoder.finish()))
    })
}

fn is_float(value: &StoredValue) -> bool {
    matches!(value, StoredValue::Float(_))
}

/// The time that one request covers.
const SLICE_MS: usize = 5 * 60 * 1000;
