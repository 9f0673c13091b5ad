//! Results of range queries that are written while the client reads them: as text they take more memory than as points, and
//! there can be a hundred times as much of them as of anything else that is answered.
//!
//! Whatever can be wrong is found before the first piece: an answer that has begun is only broken off by the client. Series go
//! from memory as they are written. A piece is at least one series, so this is for floats alone: histograms make series that
//! take too long to write where connections are served.

use std::vec;

use promql::RangeSeries;

use crate::answer::{Remarks, matrix_head, matrix_tail, write_series};
use crate::error::ApiError;
use crate::slots::Job;
use crate::statistics::Stats;

/// See the module's text.
pub(crate) struct LargeMatrix {
    series: Vec<RangeSeries>,
    tail: Vec<u8>,
}

/// Whether it is worth it.
pub(crate) fn is_large(series: &[RangeSeries]) -> bool {
    let floats: usize = series.iter().map(|series| series.floats.len()).sum();
    floats > LARGE_POINTS && series.iter().all(|series| series.histograms.is_empty())
}

impl LargeMatrix {
    /// Checks that the answer is not too large.
    ///
    /// # Errors
    /// When it takes more than `bytes_max`; when the work is to end.
    pub(crate) fn new(
        series: Vec<RangeSeries>,
        remarks: &Remarks,
        stats: Option<&Stats>,
        bytes_max: usize,
        job: &Job,
    ) -> Result<Self, ApiError> {
        if bytes_at_most(&series) > bytes_max {
            let mut bytes = 0;
            let mut scratch = Vec::new();
            for one in &series {
                job.check()?;
                scratch.clear();
                write_series(&mut scratch, one);
                bytes += scratch.len() + 1;
                if bytes > bytes_max {
                    return Err(ApiError::AnswerTooLarge { bytes_max });
                }
            }
        }
        Ok(Self { series, tail: matrix_tail(remarks, stats) })
    }

    /// The body, to be sent piece by piece.
    pub(crate) fn pieces(self) -> Pieces {
        let Self { series, tail } = self;
        Pieces { head: matrix_head(), series: series.into_iter(), tail: Some(tail) }
    }
}

/// Counted with the longest that a time and a value can be.
fn bytes_at_most(series: &[RangeSeries]) -> usize {
    let labels = |series: &RangeSeries| -> usize {
        // Escapes make six bytes of one.
        series.labels.iter().map(|(name, value)| 6 * (name.len() + value.len()) + LABEL_FRAME_BYTES).sum()
    };
    series.iter().map(|series| SERIES_FRAME_BYTES + labels(series) + POINT_BYTES_MAX * series.floats.len()).sum()
}

/// Pieces of a body.
pub(crate) struct Pieces {
    /// What stands in front of the next series.
    head: Vec<u8>,
    series: vec::IntoIter<RangeSeries>,
    /// The last piece, until it was given.
    tail: Option<Vec<u8>>,
}

impl Iterator for Pieces {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        self.written().or_else(|| self.tail.take())
    }
}

impl Pieces {
    /// The next series as text; `None` after the last.
    fn written(&mut self) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(PIECE_BYTES * 2);
        while out.len() < PIECE_BYTES
            && let Some(series) = self.series.next()
        {
            out.append(&mut self.head);
            write_series(&mut out, &series);
            self.head.push(b',');
        }
        (!out.is_empty()).then_some(out)
    }
}

/// From so many points on an answer is large: as text, some 6 MB.
const LARGE_POINTS: usize = 1 << 18;

/// The least of a piece, before it is compressed; some tenths of a millisecond's work.
const PIECE_BYTES: usize = 64 << 10;

/// `[-9223372036854775.808,"-2.2250738585072014e-308"],`
const POINT_BYTES_MAX: usize = 52;
/// `{"metric":{},"values":[]},`
const SERIES_FRAME_BYTES: usize = 26;
/// `"":"",`
const LABEL_FRAME_BYTES: usize = 6;

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::{GzDecoder, ZlibDecoder};
    use model::{Labels, TimestampMs};
    use promql::{FloatPoint, Value};

    use super::*;
    use crate::answer::query_result;
    use crate::compression::{Encoder, Encoding};

    fn matrix(series: usize, points: usize) -> Vec<RangeSeries> {
        let point = |index: usize| FloatPoint {
            timestamp: TimestampMs(1_732_360_000_123 + index as i64),
            value: -2.225_073_858_507_201_4e-308 / (index + 1) as f64,
        };
        let one = |number: usize| RangeSeries {
            labels: Labels::from_pairs([("__name__", "up"), ("n", &format!("\u{1}{number}"))]).unwrap(),
            floats: (0..points).map(point).collect(),
            histograms: Vec::new(),
        };
        (0..series).map(one).collect()
    }

    fn remarks() -> Remarks {
        Remarks { warnings: vec!["careful".into()], infos: Vec::new() }
    }

    #[test]
    fn pieces_are_the_answer_as_it_is_written_whole() {
        for (series, points) in [(1, 3), (700, 100), (3, 11_001)] {
            let whole = query_result(&Value::Matrix(matrix(series, points)), &remarks(), None, usize::MAX).unwrap();
            let pieces = |encoding| {
                let tail = matrix_tail(&remarks(), None);
                let pieces: Vec<_> = {
                    let matrix = LargeMatrix { series: matrix(series, points), tail };
                    Encoder::new(encoding).all(matrix.pieces()).collect()
                };
                assert!(pieces.iter().all(|piece| !piece.is_empty()));
                pieces
            };
            assert!(pieces(Encoding::Identity).concat() == whole);
            assert_eq!(pieces(Encoding::Identity).len() > 3, points * series > 10_000);
            let mut back = Vec::new();
            GzDecoder::new(&pieces(Encoding::Gzip).concat()[..]).read_to_end(&mut back).unwrap();
            assert!(back == whole);
            back.clear();
            ZlibDecoder::new(&pieces(Encoding::Deflate).concat()[..]).read_to_end(&mut back).unwrap();
            assert!(back == whole);
        }
    }

    #[test]
    fn no_answer_is_longer_than_thought() {
        let mut series = matrix(2, 50);
        let odd = [i64::MIN, i64::MAX, -1, 0].map(TimestampMs);
        let values = [-2.225_073_858_507_201_4e-308, f64::MIN, 5e-324, -1.234_567_890_123_456_7e-6, -1.5e20];
        for (index, point) in series[0].floats.iter_mut().enumerate() {
            *point = FloatPoint { timestamp: odd[index % 4], value: values[index % 5] };
        }
        let mut written = Vec::new();
        series.iter().for_each(|series| write_series(&mut written, series));
        assert!(written.len() + series.len() <= bytes_at_most(&series));
    }

    #[test]
    fn only_many_floats_are_worth_it() {
        assert!(!is_large(&matrix(1, LARGE_POINTS)));
        assert!(is_large(&matrix(2, LARGE_POINTS / 2 + 1)));
    }
}
