use std::fmt::Write as _;

use model::{Counts, NativeHistogram, ResetHint, Span, TimestampMs};

use super::*;
use crate::chunk::{HistogramDecoder, XorDecoder, sample_count};

#[test]
fn chunks_of_a_newer_prometheus_are_read_as_it_reads_them() {
    let mut encodings = [0; 7];
    for (name, encoding, data, expected) in fixtures() {
        let (plain_encoding, other) = plain(encoding, &data).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(other.is_some(), encoding > 3, "{name}");
        let plain_data = other.as_ref().map_or(&data, |repacked| &repacked.data);
        assert_eq!(samples(plain_encoding, plain_data), expected, "{name}");
        if let Some(repacked) = &other {
            assert_eq!(repacked.start_times, start_times(name, &expected), "{name}");
        }
        assert_eq!(plain(plain_encoding as u8, plain_data), Ok((plain_encoding, None)));
        encodings[usize::from(encoding)] += 1;
    }
    assert!(encodings[1..].iter().all(|count| *count > 0), "{encodings:?}");
}

#[test]
fn chunks_that_are_cut_or_damaged_are_no_panic() {
    for (name, encoding, data, expected) in fixtures().filter(|(_, encoding, ..)| *encoding > 3) {
        for length in (0..data.len()).step_by(3) {
            // Nothing but zeroes may be missing unnoticed.
            if let Ok((encoding, Some(plain_data))) = plain(encoding, &data[..length]) {
                assert_eq!(samples(encoding, &plain_data.data), expected, "{name} cut to {length}");
            }
        }
        for bit in (0..data.len() * 8).step_by(17) {
            let mut flipped = data.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok((encoding, Some(plain_data))) = plain(encoding, &flipped) {
                let (count, found) = (sample_count(&plain_data.data).unwrap(), samples(encoding, &plain_data.data));
                assert_eq!(usize::from(count), found.lines().count());
            }
        }
    }
}

#[test]
fn what_is_no_chunk_of_samples_says_what_it_is() {
    assert_eq!(plain(0xff, &[]).unwrap_err(), UnreadableChunk::Downsampled);
    assert_eq!(plain(7, &[0, 0]).unwrap_err(), UnreadableChunk::UnknownEncoding(7));
    assert_eq!(plain(0, &[0, 0]).unwrap_err(), UnreadableChunk::UnknownEncoding(0));
    assert_eq!(plain(4, &[0, 0, 0]), Ok((ChunkEncoding::Xor, Some(Repacked::empty()))));
    assert_eq!(plain(5, &[0, 0, 0]), Ok((ChunkEncoding::Histogram, Some(Repacked::empty()))));
    for encoding in [4, 5, 6] {
        assert!(matches!(plain(encoding, &[0]), Err(UnreadableChunk::Corrupt(_))), "{encoding}");
    }
}

/// What the fixtures' writer gave as start times, by the name of the chunk and the times of its samples.
fn start_times(name: &str, samples: &str) -> Vec<TimestampMs> {
    let parts: Vec<&str> = name.split('/').collect();
    let kind = match parts[1] {
        "short" => "constant",
        "short-stale" => "restarts",
        _ => parts[2],
    };
    let start = |(index, line): (usize, &str)| {
        let at: i64 = line.split(' ').next().unwrap().parse().unwrap();
        match kind {
            "constant" => 1_700_000_000_000,
            "restarts" if index >= 7 => at - at % 900_000 - 3,
            "late" if index > 131 => at - 5,
            _ => 0,
        }
    };
    let starts: Vec<i64> = samples.lines().enumerate().map(start).collect();
    let are_known = kind == "late" || starts.iter().any(|start| *start != 0);
    starts.into_iter().filter(|_| are_known).map(TimestampMs).collect()
}

/// Name, encoding, data, and the samples in them, a line each.
fn fixtures() -> impl Iterator<Item = (&'static str, u8, Vec<u8>, String)> {
    let text = include_str!("../../../tests/data/chunks/prometheus-3.txt");
    text.split("chunk ").skip(1).map(|chunk| {
        let (head, samples) = chunk.split_once('\n').unwrap();
        let [name, encoding, hex] = head.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (name, encoding.parse().unwrap(), (0..hex.len()).step_by(2).map(byte).collect(), samples.to_owned())
    })
}

fn samples(encoding: ChunkEncoding, data: &[u8]) -> String {
    let mut out = String::new();
    match encoding {
        ChunkEncoding::Xor => {
            let (mut timestamps, mut values) = (Vec::new(), Vec::new());
            XorDecoder::new(data).unwrap().read(&mut timestamps, &mut values, usize::MAX).unwrap();
            for (at, value) in timestamps.iter().zip(values) {
                writeln!(out, "{} {:016x}", at.0, value.to_bits()).unwrap();
            }
        }
        encoding => {
            for sample in HistogramDecoder::new(encoding, data) {
                let (at, histogram) = sample.unwrap();
                writeln!(out, "{}", histogram_text(at, &histogram)).unwrap();
            }
        }
    }
    out
}

fn histogram_text(at: TimestampMs, histogram: &NativeHistogram) -> String {
    if histogram.is_stale() {
        return format!("{} stale", at.0);
    }
    let bits = |value: f64| format!("{:016x}", value.to_bits());
    let floats = |values: &[f64]| values.iter().map(|value| bits(*value)).collect::<Vec<_>>().join(",");
    let ints = |values: &[i64]| values.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    let spans = |spans: &[Span]| {
        spans.iter().map(|span| format!("{}+{}", span.offset, span.length)).collect::<Vec<_>>().join(",")
    };
    let (zero, count, up, down) = match &histogram.counts {
        Counts::Integer { count, zero_count, positive, negative } => {
            (zero_count.to_string(), count.to_string(), ints(positive), ints(negative))
        }
        Counts::Float { count, zero_count, positive, negative } => {
            (bits(*zero_count), bits(*count), floats(positive), floats(negative))
        }
    };
    let hint = match histogram.reset_hint {
        ResetHint::Unknown => "unknown",
        ResetHint::Reset => "reset",
        ResetHint::NotReset => "not-reset",
        ResetHint::Gauge => "gauge",
    };
    format!(
        "{} schema={} threshold={} zero={zero} count={count} sum={} positive={} negative={} up={up} down={down} \
         custom={} hint={hint}",
        at.0,
        histogram.schema,
        bits(histogram.zero_threshold),
        bits(histogram.sum),
        spans(&histogram.positive_spans),
        spans(&histogram.negative_spans),
        floats(&histogram.custom_values),
    )
}
