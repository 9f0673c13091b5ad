use super::*;

const RANGE_MS: i64 = 2 * 3600 * 1000;

fn at(ms: i64) -> TimestampMs {
    TimestampMs(ms)
}

fn lengths(series: &MemSeries) -> Vec<usize> {
    let chunks = series.chunks(TimeRange::ALL);
    let count = |chunk: &Chunk| tsdb_format::chunk::sample_count(&chunk.data.load().unwrap().1).unwrap() as usize;
    chunks.iter().map(count).collect()
}

#[test]
fn chunks_are_cut_by_samples_bytes_range_and_kind() {
    let mut series = MemSeries::default();
    for step in 0..300 {
        series.append(at(step * 1000), Value::Float(1.0), RANGE_MS);
    }
    assert_eq!(lengths(&series), [120, 120, 60]);

    let mut series = MemSeries::default();
    for step in -3..3 {
        series.append(at(step * RANGE_MS / 2), Value::Float(1.0), RANGE_MS);
    }
    assert_eq!(lengths(&series), [1, 2, 2, 1], "ranges start at multiples of two hours, before 1970, too");

    let mut series = MemSeries::default();
    for step in 0..120i64 {
        let noise = f64::from_bits((step as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2);
        series.append(at(step * step * 100), Value::Float(noise), RANGE_MS);
    }
    let chunks = series.chunks(TimeRange::ALL);
    assert!(chunks.len() > 1 && chunks.iter().all(|chunk| chunk.data_bytes() <= CHUNK_BYTES));

    let mut series = MemSeries::default();
    let marker = || Value::Histogram(Arc::new(NativeHistogram::stale()));
    for (step, value) in (0..).zip([Value::Float(1.0), marker(), marker(), Value::Float(2.0)]) {
        series.append(at(step), value, RANGE_MS);
    }
    assert_eq!(lengths(&series), [1, 2, 1]);
}

#[test]
fn values_are_found_by_time() {
    let mut series = MemSeries::default();
    for step in 0..250i64 {
        series.append(at(step * 10), Value::Float(step as f64), RANGE_MS);
    }
    let value_at = |time| {
        let chunks = series.chunks(TimeRange { start: at(time), end: at(time) });
        assert!(chunks.len() <= 1);
        chunks.first().and_then(|chunk| chunk.value_at(at(time)).unwrap())
    };
    for time in [0, 1190, 1200, 2490] {
        assert!(matches!(value_at(time), Some(Value::Float(value)) if value == (time / 10) as f64), "{time}");
    }
    for time in [-1, 5, 1195, 2491] {
        assert!(value_at(time).is_none(), "{time}");
    }
    assert!(series.has_chunks(TimeRange { start: at(1191), end: at(1200) }));
    assert!(!series.has_chunks(TimeRange { start: at(1191), end: at(1199) }), "between two chunks");
}
