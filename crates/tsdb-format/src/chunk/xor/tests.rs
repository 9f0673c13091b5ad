use model::stale_nan;
use proptest::prelude::*;

use super::*;

fn decode(data: &[u8], batch: usize) -> Result<Vec<(i64, u64)>, CorruptChunk> {
    let (mut timestamps, mut values) = (Vec::new(), Vec::new());
    let mut decoder = XorDecoder::new(data)?;
    while decoder.read(&mut timestamps, &mut values, batch)? > 0 {}
    Ok(timestamps.iter().zip(&values).map(|(at, value)| (at.0, value.to_bits())).collect())
}

fn encode(samples: &[(i64, u64)]) -> XorChunk {
    let mut samples = samples.iter().map(|&(at, bits)| (TimestampMs(at), f64::from_bits(bits)));
    let (at, value) = samples.next().unwrap();
    let mut chunk = XorChunk::new(at, value);
    for (at, value) in samples {
        chunk.push(at, value);
    }
    chunk
}

/// The two chunks of a block that `promtool tsdb create-blocks-from openmetrics` 2.42 wrote.
#[test]
fn bytes_are_those_of_promtool() {
    let chunk = encode(&[(1_609_954_636_000, 123f64.to_bits()), (1_609_954_736_000, 133f64.to_bits())]);
    let hex: String = chunk.data().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "0002c0c3b18cdb5d405ec00000000000a08d06d44fcc");
    assert_eq!(chunk.start(), TimestampMs(1_609_954_636_000));
    assert_eq!(chunk.newest(), (TimestampMs(1_609_954_736_000), 133.0));
}

#[test]
fn a_spare_zero_byte_is_allowed_and_nothing_else() {
    let mut data = encode(&[(1, 2), (3, 4)]).data().to_vec();
    data.push(0);
    assert_eq!(decode(&data, 10).unwrap(), [(1, 2), (3, 4)]);
    *data.last_mut().unwrap() = 1;
    assert!(decode(&data, 10).unwrap_err().what.contains("left over"));
    *data.last_mut().unwrap() = 0;
    data.push(0);
    assert!(decode(&data, 10).unwrap_err().what.contains("left over"));
}

fn value_bits() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        Just(stale_nan().to_bits()),
        Just(f64::NAN.to_bits()),
        (0i32..1000).prop_map(|n| f64::from(n).to_bits()),
        any::<f32>().prop_map(|n| f64::from(n).to_bits()),
    ]
}

fn times() -> impl Strategy<Value = Vec<i64>> {
    let step = prop_oneof![Just(15_000i64), 14_900i64..15_100, 1i64..10_000_000, any::<i64>()];
    (any::<i64>(), prop::collection::vec(step, 0..300)).prop_map(|(start, steps)| {
        steps.into_iter().fold(vec![start], |mut times, step| {
            times.push(times[times.len() - 1].wrapping_add(step));
            times
        })
    })
}

proptest! {
    #[test]
    fn samples_come_back(
        (times, values) in times().prop_flat_map(|times| {
            let count = times.len();
            (Just(times), prop::collection::vec(value_bits(), count))
        }),
        batch in 1usize..200,
    ) {
        let samples: Vec<_> = times.into_iter().zip(values).collect();
        let chunk = encode(&samples);
        prop_assert_eq!(chunk.len() as usize, samples.len());
        prop_assert_eq!(chunk.start().0, samples[0].0);
        prop_assert_eq!(decode(chunk.data(), batch).unwrap(), samples);
    }

    #[test]
    fn a_cut_chunk_is_refused(values in prop::collection::vec(value_bits(), 2..30), keep in 0.0f64..1.0) {
        let samples: Vec<_> = (0..).step_by(15_000).zip(values).collect();
        let chunk = encode(&samples);
        let kept = (chunk.data().len() as f64 * keep) as usize;
        prop_assert!(decode(&chunk.data()[..kept], 120).is_err());
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(samples) = decode(&bytes, 7) {
            prop_assert!(samples.len() <= bytes.len() * 8);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn runs_of_samples_are_read_as_one_after_the_other(
        samples in prop::collection::vec((0i64..100, prop::num::u64::ANY, 0u32..5), 1..60),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        limit in 1usize..70,
    ) {
        let (mut at, mut chunk) = (0, None::<XorChunk>);
        for (late, bits, kind) in samples {
            at += 15_000 + if kind == 4 { late * 100_000 } else { late % 2 };
            // Constant, whole, with decimals, with all bits changed, anything.
            let value = match kind {
                0 => 1.0,
                1 => (bits % 1000) as f64,
                2 => (bits % 100_000) as f64 / 100.0,
                _ => f64::from_bits(bits),
            };
            match &mut chunk {
                Some(chunk) => chunk.push(TimestampMs(at), value),
                None => chunk = Some(XorChunk::new(TimestampMs(at), value)),
            }
        }
        let mut data = chunk.unwrap().data().to_vec();
        for (place, byte) in changes {
            let place = place.index(data.len());
            data[place] = byte;
        }
        if let Some(cut) = cut {
            data.truncate(cut.index(data.len() + 1));
        }
        let Ok(mut alone) = XorDecoder::new(&data) else { return Ok(()) };
        let mut together = alone.clone();
        loop {
            let (mut times, mut values) = (Vec::new(), Vec::new());
            let read = together.read(&mut times, &mut values, limit);
            let mut error = None;
            for (time, value) in times.iter().zip(&values) {
                let (expected_time, expected) = alone.sample().unwrap();
                prop_assert_eq!((*time, value.to_bits()), (expected_time, expected.to_bits()));
            }
            if read.is_err() && alone.remaining() > 0 {
                error = alone.sample().err();
            } else if alone.remaining() == 0 {
                error = alone.check_rest().err();
            }
            prop_assert_eq!(read.as_ref().err().map(|error| error.what), error.as_ref().map(|error| error.what));
            if read.is_err() || times.is_empty() {
                break;
            }
        }
    }
}
