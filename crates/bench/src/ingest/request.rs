//! Remote-write 1.0 requests that are encoded once: a scrape only changes values and timestamps in place.

use super::fleet::Series;
use super::values::{Behaviour, scatter};

/// The message of up to a few thousand series with a sample each.
pub(crate) struct Template {
    message: Vec<u8>,
    /// Where each series' value stands in the message; its timestamp follows behind a tag.
    slots: Vec<(usize, Behaviour)>,
    seed: u64,
}

impl Template {
    /// A template without series. `seed` is another for each template of a load.
    pub(crate) fn new(seed: u64) -> Self {
        Self { message: Vec::new(), slots: Vec::new(), seed: scatter(seed) }
    }

    pub(crate) fn add(&mut self, series: &Series) {
        let labels: usize = series.labels.iter().map(|(name, value)| framed(label_bytes(name, value))).sum();
        put_field(&mut self.message, 0x0a, labels + framed(SAMPLE_BYTES));
        for (name, value) in &series.labels {
            put_field(&mut self.message, 0x0a, label_bytes(name, value));
            put_field(&mut self.message, 0x0a, name.len());
            self.message.extend_from_slice(name.as_bytes());
            put_field(&mut self.message, 0x12, value.len());
            self.message.extend_from_slice(value.as_bytes());
        }
        put_field(&mut self.message, 0x12, SAMPLE_BYTES);
        self.message.push(0x09);
        self.slots.push((self.message.len(), series.behaviour));
        self.message.extend_from_slice(&[0; 8]);
        self.message.push(0x10);
        self.message.extend_from_slice(&[0; TIMESTAMP_BYTES]);
    }

    pub(crate) fn message(&self) -> &[u8] {
        &self.message
    }

    /// The value that stands at the series with this index now.
    pub(crate) fn value(&self, index: usize) -> f64 {
        value_at(&self.message, self.slots[index].0)
    }

    /// Makes it the message of `scrape`, counted from 0; called for each in turn.
    pub(crate) fn advance(&mut self, scrape: u64, timestamp_ms: u64) {
        let timestamp = varint_of_timestamp(timestamp_ms);
        for (index, &(at, behaviour)) in self.slots.iter().enumerate() {
            let random = scatter(self.seed ^ (index as u64) << 32 ^ scrape);
            let value = match scrape {
                0 => behaviour.first(random),
                _ => behaviour.next(value_at(&self.message, at), random),
            };
            self.message[at..at + 8].copy_from_slice(&value.to_le_bytes());
            self.message[at + 9..at + 9 + TIMESTAMP_BYTES].copy_from_slice(&timestamp);
        }
    }
}

fn value_at(message: &[u8], at: usize) -> f64 {
    let bytes = message[at..at + 8].try_into().expect("eight bytes were taken");
    f64::from_le_bytes(bytes)
}

fn label_bytes(name: &str, value: &str) -> usize {
    framed(name.len()) + framed(value.len())
}

/// Bytes of a field with a length: tag, length, content.
fn framed(content: usize) -> usize {
    let mut length = Vec::new();
    put_varint(&mut length, content);
    1 + length.len() + content
}

fn put_field(to: &mut Vec<u8>, tag: u8, bytes: usize) {
    to.push(tag);
    put_varint(to, bytes);
}

fn put_varint(to: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn varint_of_timestamp(ms: u64) -> [u8; TIMESTAMP_BYTES] {
    assert!((1 << 35..1 << 42).contains(&ms), "a timestamp of another time than ours: {ms}");
    std::array::from_fn(|index| {
        let more = if index + 1 < TIMESTAMP_BYTES { 0x80 } else { 0 };
        (ms >> (7 * index)) as u8 & 0x7f | more
    })
}

/// Milliseconds since 1970 need as many from 1971 to 2109.
const TIMESTAMP_BYTES: usize = 6;
const SAMPLE_BYTES: usize = 1 + 8 + 1 + TIMESTAMP_BYTES;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::fleet;

    #[test]
    fn a_message_says_what_the_series_are() {
        let series: Vec<Series> = fleet::series().take(500).collect();
        let mut template = Template::new(1);
        series.iter().for_each(|one| template.add(one));
        for (scrape, at) in [(0, 1_790_000_000_000), (1, 1_790_000_015_000)] {
            template.advance(scrape, at);
            let limits = remote_write::Limits::default();
            let request = remote_write::Request::parse(remote_write::Version::V1, template.message(), &limits).unwrap();
            let mut scratch = Vec::new();
            let mut walk = request.walk(&mut scratch);
            let mut walked = 0;
            while let Some(item) = walk.next_item().unwrap() {
                let remote_write::Item::Series(found) = item else { panic!("no series") };
                let labels = found.labels().unwrap();
                let expected = series[walked].labels.iter().map(|(name, value)| (*name, value.as_str()));
                assert!(labels.iter().eq(expected), "{labels}");
                let samples: Vec<_> = found.samples().map(Result::unwrap).collect();
                let [sample] = samples[..] else { panic!("{samples:?}") };
                assert_eq!((sample.timestamp.0, sample.value), (at as i64, template.value(walked)));
                walked += 1;
            }
            assert_eq!(walked, series.len());
        }
    }
}
