//! Lists of label sets, the longest of all that is listed: while one thread walks over the series, another one writes.

use std::collections::VecDeque;
use std::mem::take;

use model::Labels;
use parking_lot::{Condvar, Mutex};
use promql::Workers;
use storage::SeriesSet;

use crate::answer::{Remarks, list_ends, success};
use crate::error::ApiError;
use crate::json;
use crate::reply::Reply;
use crate::slots::Job;

/// A success whose data are label sets, `truncated` when a limit cut them.
pub(crate) fn of_list(sets: &[Labels], truncated: bool) -> Vec<u8> {
    success(&Remarks::default().truncated(truncated), |out| json::write_list(out, sets, json::write_labels))
}

/// A success whose data are the label sets of the first `most` series.
///
/// # Errors
/// When series cannot be read, or the work should end.
pub(crate) fn of_selection(mut series: Box<dyn SeriesSet>, most: usize, job: &Job) -> Result<Reply, ApiError> {
    let is_long = series.remaining().is_some_and(|remaining| remaining.min(most) > HELPED_FROM);
    let written = Written::default();
    let mut walked = Ok(false);
    let mut work = || {
        walked = written.hand_over(&mut *series, most, job);
        written.write_rest();
    };
    match is_long {
        true => job.helpers().run(1, &|| written.write_all(), &mut work),
        false => work(),
    }
    let (head, tail) = list_ends(&Remarks::default().truncated(walked?));
    let mut written = written.0.into_inner().written;
    written.sort_unstable_by_key(|(number, _)| *number);
    let pieces: Vec<Vec<u8>> =
        [head].into_iter().chain(written.into_iter().map(|(_, piece)| piece)).chain([tail]).collect();
    // A body of known length is easier on clients; a long one is not worth the copy.
    Ok(if is_long { Reply::Pieces(pieces) } else { Reply::Json(pieces.concat()) })
}

/// Hands on the labels of at most `most` series; says whether there are more.
///
/// # Errors
/// When series cannot be read, or the work should end.
pub(crate) fn walk(
    series: &mut dyn SeriesSet,
    most: usize,
    job: &Job,
    found: &mut dyn FnMut(Labels),
) -> Result<bool, ApiError> {
    let mut walked = 0usize;
    while let Some(one) = series.next()? {
        if walked == most {
            return Ok(true);
        }
        found(one.labels);
        walked += 1;
        if walked.is_multiple_of(CHECK_SERIES) {
            job.check()?;
        }
    }
    Ok(false)
}

/// Label sets on their way from who walks to who writes, and what was written.
#[derive(Default)]
struct Written(Mutex<State>, Condvar);

#[derive(Default)]
struct State {
    waiting: VecDeque<Vec<Labels>>,
    /// How many batches were begun.
    begun: usize,
    ended: bool,
    /// Of each batch its number, and its sets, with a comma in front of each but the very first.
    written: Vec<(usize, Vec<u8>)>,
}

impl Written {
    /// Walks, and hands the sets over in batches; then nothing more comes, also after an error.
    fn hand_over(&self, series: &mut dyn SeriesSet, most: usize, job: &Job) -> Result<bool, ApiError> {
        let mut batch = Vec::new();
        let walked = walk(series, most, job, &mut |labels| {
            batch.push(labels);
            if batch.len() == BATCH_SERIES {
                self.0.lock().waiting.push_back(take(&mut batch));
                self.1.notify_one();
            }
        });
        let mut state = self.0.lock();
        if !batch.is_empty() {
            state.waiting.push_back(batch);
        }
        state.ended = true;
        self.1.notify_all();
        walked
    }

    /// Writes what comes, until nothing more does.
    fn write_all(&self) {
        while !self.write_rest() {
            let mut state = self.0.lock();
            self.1.wait_while(&mut state, |state| state.waiting.is_empty() && !state.ended);
        }
    }

    /// Writes what waits; says whether nothing more comes.
    fn write_rest(&self) -> bool {
        let mut state = self.0.lock();
        while let Some(batch) = state.waiting.pop_front() {
            let number = state.begun;
            state.begun += 1;
            let piece = parking_lot::MutexGuard::unlocked(&mut state, || {
                // About what will be needed, at once.
                let packed: usize = batch.iter().map(|labels| labels.as_packed().len()).sum();
                let mut out = Vec::with_capacity(packed + packed / 2);
                for (index, labels) in batch.iter().enumerate() {
                    if number + index > 0 {
                        out.push(b',');
                    }
                    json::write_labels(&mut out, labels);
                }
                out
            });
            state.written.push((number, piece));
        }
        state.ended
    }
}

/// Series between two looks at whether anybody still waits.
const CHECK_SERIES: usize = 128;

/// Sets that are written together: some 50 µs of work.
const BATCH_SERIES: usize = 128;

/// From so many series on another thread helps.
const HELPED_FROM: usize = 4 * BATCH_SERIES;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use environment::UnixTime;
    use storage::{Batch, QueryError, SampleIterator, Series, SeriesList};
    use testkit::ManualClock;

    use super::*;
    use crate::metrics::Metrics;
    use crate::slots::Slots;

    struct Nothing;

    impl SampleIterator for Nothing {
        fn next_batch(&mut self, _: &mut Batch) -> Result<bool, QueryError> {
            Ok(false)
        }
    }

    fn labels(number: usize) -> Labels {
        Labels::from_pairs([("n", number.to_string())]).unwrap()
    }

    #[test]
    fn lists_are_in_order_whoever_writes_them() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let slots = Slots::new(1, 0, Arc::new(ManualClock::new(UnixTime::from_secs(0))), Metrics::new());
        for (count, most) in [(0, 9), (1, 1), (BATCH_SERIES, 999), (BATCH_SERIES + 1, BATCH_SERIES), (700, 650)]
            .into_iter()
            .chain((0..200).map(|round| (HELPED_FROM + 10 * round, usize::MAX)))
        {
            let series = (0..count).map(|number| Series { labels: labels(number), samples: Box::new(Nothing) });
            let set = Box::new(SeriesList::from(series.collect::<Vec<_>>()));
            let written = slots.run(Duration::from_secs(60), move |job| of_selection(set, most, job));
            let shown: Vec<Labels> = (0..count.min(most)).map(labels).collect();
            let written = match runtime.block_on(written).unwrap() {
                Reply::Json(body) => body,
                Reply::Pieces(pieces) => pieces.concat(),
                _ => unreachable!(),
            };
            assert!(written == of_list(&shown, count > most), "{count} of {most}");
        }
    }
}
