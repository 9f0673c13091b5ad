use model::{Counts, Labels, LabelsBuilder, Metadata, MetricType, ResetHint, Span, TimestampMs, stale_nan};
use proptest::prelude::*;

use super::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

fn samples(record: &[u8]) -> Result<Vec<LoggedSample>, CorruptRecord> {
    match Record::decode(record)? {
        Record::Samples(samples) => samples.collect(),
        _ => panic!("no samples"),
    }
}

#[test]
fn series_to_the_byte() {
    let mut encoder = SeriesEncoder::default();
    encoder.push(WalRef(1), &labels(&[("__name__", "up"), ("a", "b")]));
    assert_eq!(encoder.record(), b"\x01\0\0\0\0\0\0\0\x01\x02\x08__name__\x02up\x01a\x01b");
    let Ok(Record::Series(mut series)) = Record::decode(encoder.record()) else { panic!("no series") };
    let read = series.next().unwrap().unwrap();
    assert_eq!(read.series, WalRef(1));
    assert_eq!(
        read.labels.to_labels(&mut LabelsBuilder::default()).unwrap(),
        labels(&[("__name__", "up"), ("a", "b")])
    );
    assert!(series.next().is_none());
}

#[test]
fn samples_to_the_byte() {
    let mut encoder = SampleEncoder::default();
    encoder.push(WalRef(10), TimestampMs(1000), 1.0);
    encoder.push(WalRef(9), TimestampMs(1001), stale_nan());
    let expected = b"\x02\0\0\0\0\0\0\0\x0a\0\0\0\0\0\0\x03\xe8\0\0\x3f\xf0\0\0\0\0\0\0\x01\x02\x7f\xf0\0\0\0\0\0\x02";
    assert_eq!(encoder.record(), expected);
    let read = samples(encoder.record()).unwrap();
    assert_eq!((read[1].series, read[1].timestamp), (WalRef(9), TimestampMs(1001)));
    assert!(model::is_stale_nan(read[1].value));
    encoder.clear();
    assert!(encoder.is_empty());
}

#[test]
fn metadata_exemplars_and_tombstones_come_back() {
    let metadata = Metadata { metric_type: MetricType::Summary, help: "Time.".into(), unit: "seconds".into() };
    let mut encoder = MetadataEncoder::default();
    encoder.push(WalRef(300), &metadata);
    assert_eq!(encoder.record(), b"\x06\xac\x02\x05\x02\x04UNIT\x07seconds\x04HELP\x05Time.");
    let Ok(Record::Metadata(mut read)) = Record::decode(encoder.record()) else { panic!("no metadata") };
    assert_eq!(read.next().unwrap().unwrap(), LoggedMetadata { series: WalRef(300), metadata });

    let mut encoder = ExemplarEncoder::default();
    encoder.push(WalRef(7), TimestampMs(-5), 0.25, &labels(&[("trace_id", "abc")]));
    let Ok(Record::Exemplars(mut read)) = Record::decode(encoder.record()) else { panic!("no exemplars") };
    let exemplar = read.next().unwrap().unwrap();
    assert_eq!((exemplar.series, exemplar.timestamp, exemplar.value), (WalRef(7), TimestampMs(-5), 0.25));
    assert_eq!(exemplar.labels.collect::<Vec<_>>(), [("trace_id", "abc")]);

    let mut encoder = TombstoneEncoder::default();
    encoder.push(WalRef(7), TimestampMs(-5), TimestampMs::MAX);
    let Ok(Record::Tombstones(mut read)) = Record::decode(encoder.record()) else { panic!("no tombstones") };
    let expected = Tombstone { series: WalRef(7), start: TimestampMs(-5), end: TimestampMs::MAX };
    assert_eq!(read.next().unwrap().unwrap(), expected);
}

/// As Prometheus 3 writes them when it keeps start times.
#[test]
fn records_with_start_times_are_read_without_them() {
    let mut record = vec![11];
    // Reference 10, time 1000, start time 900; then 1 further and 1 later: the same, none, another start time.
    record.extend(b"\x14\xd0\x0f\x88\x0e\x3f\xf0\0\0\0\0\0\0");
    for marker in [&b"\x01"[..], b"\0", b"\x02\xc7\x01"] {
        record.extend(b"\x02\x02");
        record.extend(marker);
        record.extend(2.0f64.to_bits().to_be_bytes());
    }
    let read: Vec<_> = samples(&record).unwrap().iter().map(|s| (s.series.0, s.timestamp.0, s.value)).collect();
    assert_eq!(read, [(10, 1000, 1.0), (11, 1001, 2.0), (12, 1001, 2.0), (13, 1001, 2.0)]);
    assert_eq!(samples(b"\x0b").unwrap(), []);
    assert!(samples(&record[..record.len() - 1]).is_err());

    for (record_type, first) in [(12, 7), (13, 8)] {
        let mut encoder = HistogramEncoder::default();
        let mut histogram = NativeHistogram { schema: 2, sum: 3.5, ..NativeHistogram::stale() };
        histogram.counts = match first {
            7 => Counts::Integer { count: 4, zero_count: 4, positive: vec![], negative: vec![] },
            _ => Counts::Float { count: 4.0, zero_count: 4.0, positive: vec![], negative: vec![] },
        };
        encoder.push(WalRef(0), TimestampMs(0), &histogram);
        assert_eq!(encoder.record()[0], first);
        // Behind the type, the first reference and time in full, and the differences of nothing to them.
        let body = &encoder.record()[1 + 16 + 2..];
        let mut record = vec![record_type];
        record.extend(b"\x14\xd0\x0f\0");
        record.extend(body);
        record.extend(b"\x02\x02\0");
        record.extend(body);
        let Ok(Record::Histograms(read)) = Record::decode(&record) else { panic!("no histograms") };
        let read: Vec<_> = read.map(|item| item.unwrap()).collect();
        assert_eq!(
            (read[0].series, read[0].timestamp, &read[0].histogram),
            (WalRef(10), TimestampMs(1000), &histogram)
        );
        assert_eq!(
            (read[1].series, read[1].timestamp, &read[1].histogram),
            (WalRef(11), TimestampMs(1001), &histogram)
        );
    }
}

#[test]
fn markers_are_read() {
    let Ok(Record::Markers(markers)) = Record::decode(b"\x05\0\0\0\0\0\0\0\x01\0\0\0\x02\0\0\0\x08") else { panic!() };
    let read: Vec<_> = markers.map(|marker| marker.unwrap()).collect();
    assert_eq!(read, [Marker { series: WalRef(1), chunk: 2 << 32 | 8 }]);
}

#[test]
fn labels_are_kept_as_bytes() {
    let mut encoder = SeriesEncoder::default();
    let set = labels(&[("__name__", "up"), ("a", "b")]);
    encoder.push(WalRef(1), &set);
    let Ok(Record::Series(mut series)) = Record::decode(encoder.record()) else { panic!("no series") };
    let encoded = series.next().unwrap().unwrap().labels.encoded();
    assert_eq!(encoded, &encoder.record()[9..]);
    assert_eq!(LabelPairs::of(encoded).to_labels(&mut LabelsBuilder::default()).unwrap(), set);
    let mut again = SeriesEncoder::default();
    again.push_pairs(WalRef(1), &LabelPairs::of(encoded));
    assert_eq!(again.record(), encoder.record());
    assert_eq!(LabelPairs::of(&encoded[..encoded.len() - 1]).collect::<Vec<_>>(), [("__name__", "up")]);
    assert_eq!(LabelPairs::of(b"").count(), 0);
}

#[test]
fn what_is_no_record_is_refused() {
    let table: &[(&[u8], &str)] = &[
        (b"", "a record is empty"),
        (b"\x02\0\0", "the first reference and time are cut"),
        (b"\x02\0\0\0\0\0\0\0\x0a\0\0\0\0\0\0\x03\xe8\0\0\x3f", "a sample is cut"),
    ];
    for (record, what) in table {
        assert_eq!(samples(record).unwrap_err().what, *what);
    }
    assert!(matches!(Record::decode(b"\x1f..."), Ok(Record::Unknown(31))));
    let Ok(Record::Series(mut series)) = Record::decode(b"\x01\0\0\0\0\0\0\0\x01\x01\x01\xff\x01b") else { panic!() };
    assert!(series.next().unwrap().is_err(), "a name that is no UTF-8");
    assert!(series.next().is_none(), "the walk ends after an error");
}

prop_compose! {
    fn histogram()(float in any::<bool>(), custom in any::<bool>(), hint in 0u64..4, numbers in any::<(u64, u64, f64, f64)>(),
        positive in prop::collection::vec((any::<i16>(), any::<i64>()), 0..6), negative in prop::collection::vec((any::<i16>(), any::<i64>()), 0..6),
        bounds in prop::collection::vec(any::<i32>(), 0..5)) -> NativeHistogram {
        let spans = |buckets: &[(i16, i64)]| buckets.iter().map(|(offset, _)| Span { offset: i32::from(*offset), length: 1 }).collect();
        let deltas = |buckets: &[(i16, i64)]| buckets.iter().map(|(_, delta)| *delta).collect();
        let floats = |buckets: &[(i16, i64)]| buckets.iter().map(|(_, delta)| *delta as f64).collect();
        NativeHistogram {
            schema: if custom { CUSTOM_BUCKETS_SCHEMA } else { -4 },
            zero_threshold: 0.5,
            sum: numbers.2,
            reset_hint: ResetHint::from_wire(hint),
            positive_spans: spans(&positive),
            negative_spans: spans(&negative),
            custom_values: if custom { bounds.into_iter().map(f64::from).collect() } else { Vec::new() },
            counts: if float {
                Counts::Float { count: numbers.3, zero_count: 1.5, positive: floats(&positive), negative: floats(&negative) }
            } else {
                Counts::Integer { count: numbers.0, zero_count: numbers.1, positive: deltas(&positive), negative: deltas(&negative) }
            },
        }
    }
}

fn decode_all(record: &[u8]) {
    match Record::decode(record) {
        Ok(Record::Series(items)) => items.for_each(|item| drop(item.map(|item| item.labels.count()))),
        Ok(Record::Samples(items)) => items.for_each(drop),
        Ok(Record::Histograms(items)) => items.for_each(drop),
        Ok(Record::Exemplars(items)) => items.for_each(|item| drop(item.map(|item| item.labels.count()))),
        Ok(Record::Metadata(items)) => items.for_each(drop),
        Ok(Record::Tombstones(items)) => items.for_each(drop),
        Ok(Record::Markers(items)) => items.for_each(drop),
        Ok(Record::Unknown(_)) | Err(_) => {}
    }
}

proptest! {
    #[test]
    fn samples_come_back(items in prop::collection::vec((any::<u64>(), any::<i64>(), any::<u64>()), 1..50)) {
        let mut encoder = SampleEncoder::default();
        for &(series, at, bits) in &items {
            encoder.push(WalRef(series), TimestampMs(at), f64::from_bits(bits));
        }
        let read = samples(encoder.record()).unwrap();
        let read: Vec<_> = read.iter().map(|item| (item.series.0, item.timestamp.0, item.value.to_bits())).collect();
        prop_assert_eq!(read, items);
    }

    #[test]
    fn histograms_come_back(items in prop::collection::vec((any::<u64>(), any::<i64>(), histogram()), 1..20)) {
        for kind in HistogramKind::ALL {
            let mut encoder = HistogramEncoder::default();
            let items: Vec<_> = items.iter().filter(|(_, _, histogram)| HistogramKind::of(histogram) == kind).collect();
            for (series, at, histogram) in &items {
                encoder.push(WalRef(*series), TimestampMs(*at), histogram);
            }
            if items.is_empty() {
                continue;
            }
            let Ok(Record::Histograms(read)) = Record::decode(encoder.record()) else { panic!("no histograms") };
            let read: Vec<_> = read.collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(read.len(), items.len());
            for (read, (series, at, histogram)) in read.iter().zip(items) {
                prop_assert_eq!((read.series, read.timestamp), (WalRef(*series), TimestampMs(*at)));
                // Through text, because NaN is not equal to itself.
                prop_assert_eq!(format!("{:?}", read.histogram), format!("{histogram:?}"));
            }
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(record_type in 0u8..16, rest in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut record = vec![record_type];
        record.extend(rest);
        decode_all(&record);
    }
}
