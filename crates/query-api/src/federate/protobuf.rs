//! Pages as protobuf: the client library's `MetricFamily`, each with its length in front.

use model::{CUSTOM_BUCKETS_SCHEMA, Counts, NativeHistogram, Span};

use super::{Kind, Newest, Value, classic};
use crate::histogram::absolute_counts;
use crate::wire::{put_bytes, put_double, put_integer, put_signed, put_varint};

pub(super) fn write_family(out: &mut Vec<u8>, family: &[Newest]) {
    let Some(first) = family.first() else { return };
    let mut message = Vec::new();
    put_bytes(&mut message, 1, first.name().as_bytes());
    put_integer(
        &mut message,
        3,
        match first.kind() {
            Kind::Unknown => 3,
            Kind::Histogram => 4,
            Kind::GaugeHistogram => 5,
        },
    );
    for newest in family {
        put_bytes(&mut message, 4, &metric(newest));
    }
    put_varint(out, message.len() as u64);
    out.extend_from_slice(&message);
}

fn metric(newest: &Newest) -> Vec<u8> {
    let mut message = Vec::new();
    for (name, value) in newest.labels() {
        let mut pair = Vec::new();
        put_bytes(&mut pair, 1, name.as_bytes());
        put_bytes(&mut pair, 2, value.as_bytes());
        put_bytes(&mut message, 1, &pair);
    }
    if let Value::Float(value) = &newest.value {
        let mut untyped = Vec::new();
        put_double(&mut untyped, 1, *value);
        put_bytes(&mut message, 5, &untyped);
    }
    put_integer(&mut message, 6, newest.at.0 as u64);
    if let Value::Histogram(value) = &newest.value {
        let histogram =
            if value.schema == CUSTOM_BUCKETS_SCHEMA { classic_histogram(value) } else { native_histogram(value) };
        put_bytes(&mut message, 7, &histogram);
    }
    message
}

fn classic_histogram(histogram: &NativeHistogram) -> Vec<u8> {
    let (count, buckets) = classic(histogram);
    let mut message = Vec::new();
    put_double(&mut message, 2, histogram.sum);
    for (bound, so_far) in buckets {
        let mut bucket = Vec::new();
        put_double(&mut bucket, 2, bound);
        put_double(&mut bucket, 4, so_far);
        put_bytes(&mut message, 3, &bucket);
    }
    put_double(&mut message, 4, count);
    message
}

fn native_histogram(histogram: &NativeHistogram) -> Vec<u8> {
    let zero_count = match &histogram.counts {
        Counts::Integer { zero_count, .. } => *zero_count as f64,
        Counts::Float { zero_count, .. } => *zero_count,
    };
    let (count, positive) = absolute_counts(histogram);
    let mut message = Vec::new();
    put_double(&mut message, 2, histogram.sum);
    put_double(&mut message, 4, count);
    put_signed(&mut message, 5, i64::from(histogram.schema));
    put_double(&mut message, 6, histogram.zero_threshold);
    put_double(&mut message, 8, zero_count);
    put_spans(&mut message, 9, &histogram.negative_spans);
    crate::histogram::absolute_negative(histogram).for_each(|count| put_double(&mut message, 11, count));
    put_spans(&mut message, 12, &histogram.positive_spans);
    positive.into_iter().for_each(|(_, count)| put_double(&mut message, 14, count));
    message
}

fn put_spans(out: &mut Vec<u8>, number: u32, spans: &[Span]) {
    for span in spans {
        let mut message = Vec::new();
        put_signed(&mut message, 1, i64::from(span.offset));
        put_integer(&mut message, 2, u64::from(span.length));
        put_bytes(out, number, &message);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{Labels, ResetHint, TimestampMs};

    use super::*;
    use crate::wire::{self, Fields};

    /// Fields of a message, nested messages as lists of their own where `nested` says so.
    fn fields(message: &[u8]) -> Vec<(u32, wire::Value<'_>)> {
        Fields::new(message).map(|field| field.unwrap()).collect()
    }

    #[test]
    fn a_native_histogram() {
        let histogram = NativeHistogram {
            schema: 3,
            zero_threshold: 0.5,
            sum: 7.0,
            reset_hint: ResetHint::Gauge,
            positive_spans: vec![Span { offset: -2, length: 2 }],
            negative_spans: vec![Span { offset: 1, length: 1 }],
            custom_values: vec![],
            counts: Counts::Integer { count: 9, zero_count: 2, positive: vec![3, -2], negative: vec![3] },
        };
        let labels = Labels::from_pairs([("__name__", "h"), ("instance", "i")]).unwrap();
        let newest = Newest { labels, at: TimestampMs(5), value: Value::Histogram(Arc::new(histogram)) };
        let mut page = Vec::new();
        write_family(&mut page, &[newest]);
        assert_eq!(usize::from(page[0]), page.len() - 1);
        let family = fields(&page[1..]);
        assert_eq!(family[..2], [(1, wire::Value::Bytes(b"h")), (3, wire::Value::Number(5))]);
        let metric = fields(family[2].1.bytes().unwrap());
        assert_eq!((metric[0].0, metric[1]), (1, (6, wire::Value::Number(5))));
        let double = |value: f64| wire::Value::Number(value.to_bits());
        let expected = [
            (2, double(7.0)),
            (4, double(9.0)),
            (5, wire::Value::Number(6)),
            (6, double(0.5)),
            (8, double(2.0)),
            (9, wire::Value::Bytes(&[0x08, 2, 0x10, 1])),
            (11, double(3.0)),
            (12, wire::Value::Bytes(&[0x08, 3, 0x10, 2])),
            (14, double(3.0)),
            (14, double(1.0)),
        ];
        assert_eq!(fields(metric[2].1.bytes().unwrap()), expected);
    }
}
