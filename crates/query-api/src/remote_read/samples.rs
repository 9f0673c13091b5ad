//! Samples in one message: `prometheus.ReadResponse`.

use remote_write::{Encoder, Sample, Version};
use storage::{Batch, Queryable, SelectHints};

use super::ReadRequest;
use crate::error::ApiError;
use crate::slots::Job;
use crate::wire::put_bytes;

/// The message, not compressed yet.
///
/// # Errors
/// More samples or bytes than allowed, data that cannot be read, time that is over.
pub(super) fn response(
    read: &ReadRequest,
    view: &dyn Queryable,
    samples_max: usize,
    bytes_max: usize,
    job: &Job,
) -> Result<Vec<u8>, ApiError> {
    let mut message = Vec::new();
    for query in &read.queries {
        let mut samples = 0usize;
        // A result is a list of series, as a write request of version 1 is.
        let mut result = Encoder::new(Version::V1);
        let querier = view.querier(query.range);
        let mut series = job.wait(querier.select(&query.matchers, SelectHints::samples(query.range)))??;
        let mut batch = Batch::default();
        while let Some(mut one) = series.next()? {
            job.check()?;
            let mut encoder = result.series(&one.labels);
            while one.samples.next_batch(&mut batch)? {
                for (index, timestamp) in batch.timestamps.iter().enumerate() {
                    if !query.range.contains(*timestamp) {
                        continue;
                    }
                    samples += 1;
                    match batch.histograms.get(index) {
                        Some(histogram) => encoder.histogram(*timestamp, None, histogram),
                        None => encoder.sample(Sample {
                            timestamp: *timestamp,
                            value: batch.floats[index],
                            start_timestamp: None,
                        }),
                    };
                }
                if samples > samples_max {
                    return Err(ApiError::SampleLimit { limit: samples_max });
                }
            }
            if message.len() + result.encoded_bytes() > bytes_max {
                return Err(ApiError::AnswerTooLarge { bytes_max });
            }
        }
        put_bytes(&mut message, 1, &result.finish());
        // The last series is measured only now.
        if message.len() > bytes_max {
            return Err(ApiError::AnswerTooLarge { bytes_max });
        }
    }
    Ok(message)
}
