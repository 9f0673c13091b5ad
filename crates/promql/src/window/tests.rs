use model::stale_nan;

use super::*;

/// Gives fixed samples in batches of a fixed size.
struct Fixed {
    samples: Vec<(i64, f64)>,
    batch: usize,
}

impl SampleIterator for Fixed {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, QueryError> {
        batch.clear();
        for (time, value) in self.samples.drain(..self.batch.min(self.samples.len())) {
            batch.timestamps.push(TimestampMs(time));
            batch.floats.push(value);
        }
        Ok(!batch.is_empty())
    }
}

#[test]
fn windows_are_open_on_the_left_and_skip_staleness_markers() {
    for batch in 1..=6 {
        let samples = vec![(0, 1.0), (10, 2.0), (20, stale_nan()), (30, 1.0), (40, 5.0)];
        let mut source = SampleSource::Stored(Box::new(Fixed { samples, batch }));
        let mut buffer = WindowBuffer::default();
        buffer.reset();
        let window = buffer.advance(&mut source, 0, 20, 20).unwrap().unwrap();
        assert_eq!(window.floats, [2.0]);
        let window = buffer.advance(&mut source, 5, 35, 35).unwrap().unwrap();
        assert_eq!((window.floats, window.falls.iter().collect::<Vec<_>>()), (&[2.0, 1.0][..], vec![1]));
        let window = buffer.advance(&mut source, 10, 40, 40).unwrap().unwrap();
        assert_eq!((window.floats, window.falls.iter().count()), (&[1.0, 5.0][..], 0), "the fall lies before");
        assert!(buffer.advance(&mut source, 40, 90, 90).unwrap().is_none());
    }
}

#[test]
fn memory_follows_the_window() {
    let samples: Vec<_> = (0..100_000).map(|index| (index, (index % 100) as f64)).collect();
    let mut source = SampleSource::Stored(Box::new(Fixed { samples: samples.clone(), batch: 120 }));
    let mut buffer = WindowBuffer::default();
    buffer.reset();
    for end in (0..100_000).step_by(50) {
        let start = end - 300;
        let window = buffer.advance(&mut source, start, end, end).unwrap().unwrap();
        let expected: Vec<f64> =
            samples.iter().filter(|(time, _)| start < *time && *time <= end).map(|(_, value)| *value).collect();
        assert_eq!(window.floats, expected);
        let falls: Vec<_> = (1..expected.len()).filter(|index| expected[*index] < expected[index - 1]).collect();
        assert_eq!(window.falls.iter().collect::<Vec<_>>(), falls);
        assert!(buffer.len() < 3 * COMPACT_AT, "{} held at {end}", buffer.len());
    }
}

/// Gives samples in batches of a fixed size; start timestamps only in batches where one is known.
struct Started {
    samples: Vec<(i64, f64, i64)>,
    batch: usize,
}

impl SampleIterator for Started {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, QueryError> {
        batch.clear();
        for (time, value, start) in self.samples.drain(..self.batch.min(self.samples.len())) {
            batch.timestamps.push(TimestampMs(time));
            batch.floats.push(value);
            batch.start_timestamps.push(TimestampMs(start));
        }
        if batch.start_timestamps.iter().all(|start| *start == Batch::START_UNKNOWN) {
            batch.start_timestamps.clear();
        }
        Ok(!batch.is_empty())
    }
}

#[test]
fn start_timestamps_slide_along_and_tell_of_resets() {
    // Nothing is known of the first; restarts at 25 and 55, the second without a fall; the one at 70 reaches back.
    let samples: Vec<(i64, f64, i64)> = vec![
        (10, 5.0, 0),
        (20, 6.0, 0),
        (30, 7.0, 25),
        (35, stale_nan(), 25),
        (40, 8.0, 25),
        (50, 1.0, 25),
        (60, 9.0, 55),
        (70, 10.0, 52),
        (80, 11.0, 52),
    ];
    for batch in 1..=samples.len() {
        let mut source = SampleSource::Stored(Box::new(Started { samples: samples.clone(), batch }));
        let mut buffer = WindowBuffer::with_starts(true);
        let mut look = |start, end| {
            let window = buffer.advance(&mut source, start, end, end).unwrap().unwrap();
            let starts: Vec<i64> = window.starts.iter().map(|start| start.0).collect();
            (starts, window.falls.iter().collect::<Vec<_>>(), window.overlaps)
        };
        let (starts, falls, overlaps) = look(0, 20);
        assert!(starts.iter().all(|start| *start == 0) && falls.is_empty() && !overlaps, "{batch}");
        assert_eq!(look(0, 40), (vec![0, 0, 25, 25], vec![2], false), "{batch}");
        assert_eq!(look(30, 60), (vec![25, 25, 55], vec![1, 2], false), "{batch}");
        assert_eq!(look(40, 70), (vec![25, 55, 52], vec![1], true), "{batch}");
        assert_eq!(look(60, 80), (vec![52, 52], vec![], false), "{batch}");

        let mut source = SampleSource::Stored(Box::new(Started { samples: samples.clone(), batch }));
        let mut buffer = WindowBuffer::with_starts(false);
        let window = buffer.advance(&mut source, 0, 90, 90).unwrap().unwrap();
        assert_eq!((window.starts, window.falls.iter().collect::<Vec<_>>()), (&[][..], vec![4]), "not asked for");
        assert!(!window.overlaps);
    }
}

#[test]
fn start_timestamps_are_forgotten_with_their_samples() {
    let samples: Vec<_> = (1..50_000).map(|index| (index * 10, index as f64, (index / 7) * 70 - 5)).collect();
    let mut source = SampleSource::Stored(Box::new(Started { samples: samples.clone(), batch: 120 }));
    let mut buffer = WindowBuffer::with_starts(true);
    for end in (100..500_000).step_by(1000) {
        let window = buffer.advance(&mut source, end - 300, end, end).unwrap().unwrap();
        let inside = samples.iter().filter(|(time, ..)| end - 300 < *time && *time <= end);
        assert!(inside.clone().map(|(.., start)| start).eq(window.starts.iter().map(|start| &start.0)));
        let inside: Vec<i64> = inside.map(|(.., start)| *start).collect();
        let resets: Vec<usize> = (1..inside.len()).filter(|index| inside[*index] != inside[index - 1]).collect();
        assert_eq!(window.falls.iter().collect::<Vec<_>>(), resets, "at {end}");
    }
}
