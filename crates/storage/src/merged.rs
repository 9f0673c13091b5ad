//! One view over several: series of all, each once, in order; nothing is held but the next series of each.
//!
//! A series that several have is one, its samples merged by time. Where two have a sample at the same time, the one that
//! stands first counts. If one cannot be read, nothing is: a part would look like all.

mod samples;

use std::collections::{BTreeSet, HashSet};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use model::{Labels, Matcher, Metadata};

use self::samples::MergedSamples;
use crate::{
    BoxFuture, LeftOut, Querier, QueryError, Queryable, SampleIterator, SelectHints, Series, SeriesExemplars,
    SeriesSet, TimeRange,
};

/// See the module's text.
pub struct Merged {
    members: Vec<Arc<dyn Queryable>>,
}

impl Merged {
    /// A view over `members`, the first of which counts where they differ.
    pub fn new(members: Vec<Arc<dyn Queryable>>) -> Self {
        Self { members }
    }
}

impl Queryable for Merged {
    fn querier(&self, range: TimeRange) -> Box<dyn Querier> {
        Box::new(MergedQuerier { members: self.members.iter().map(|member| member.querier(range)).collect() })
    }

    fn querier_with(&self, range: TimeRange, left_out: Arc<LeftOut>) -> Box<dyn Querier> {
        let members = self.members.iter().map(|member| member.querier_with(range, Arc::clone(&left_out)));
        Box::new(MergedQuerier { members: members.collect() })
    }

    fn metadata(&self) -> Vec<(String, Metadata)> {
        let mut families: Vec<_> = self.members.iter().flat_map(|member| member.metadata()).collect();
        families.sort_by(|left, right| left.0.cmp(&right.0));
        let mut known = HashSet::new();
        families.retain(|family| known.insert(family.clone()));
        families
    }

    fn exemplars(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> Vec<SeriesExemplars> {
        let mut all: Vec<SeriesExemplars> = Vec::new();
        for member in &self.members {
            all.extend(member.exemplars(selectors, range));
        }
        // Stable: where two members have exemplars of one time, those of the first come first.
        all.sort_by(|left, right| left.labels.cmp(&right.labels));
        all.dedup_by(|next, kept| {
            let same = next.labels == kept.labels;
            if same {
                kept.exemplars.append(&mut next.exemplars);
                kept.exemplars.sort_by_key(|exemplar| exemplar.timestamp);
            }
            same
        });
        all
    }
}

struct MergedQuerier {
    members: Vec<Box<dyn Querier>>,
}

impl Querier for MergedQuerier {
    fn select<'a>(
        &'a self,
        matchers: &'a [Matcher],
        hints: SelectHints,
    ) -> BoxFuture<'a, Result<Box<dyn SeriesSet>, QueryError>> {
        Box::pin(async move {
            let limit = hints.limit;
            // Series are put together by all their labels, in the order of those.
            let hints = SelectHints { labels: None, any_order: false, ..hints };
            let selected = self.members.iter().map(|member| member.select(matchers, hints.clone())).collect();
            Ok(Box::new(MergedSet::new(all(selected).await?, limit)) as Box<dyn SeriesSet>)
        })
    }

    fn label_names<'a>(
        &'a self,
        matchers: &'a [Matcher],
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, QueryError>> {
        let names = self.members.iter().map(|member| member.label_names(matchers, limit)).collect();
        Box::pin(async move { Ok(union(all(names).await?, limit)) })
    }

    fn label_values<'a>(
        &'a self,
        name: &'a str,
        matchers: &'a [Matcher],
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, QueryError>> {
        let values = self.members.iter().map(|member| member.label_values(name, matchers, limit)).collect();
        Box::pin(async move { Ok(union(all(values).await?, limit)) })
    }
}

/// Waits for all at the same time; the first error ends the waiting.
async fn all<T>(futures: Vec<BoxFuture<'_, Result<T, QueryError>>>) -> Result<Vec<T>, QueryError> {
    enum State<'f, T> {
        Waiting(BoxFuture<'f, Result<T, QueryError>>),
        Done(T),
    }
    let mut states: Vec<State<'_, T>> = futures.into_iter().map(State::Waiting).collect();
    poll_fn(|context| {
        let mut waits = false;
        for state in &mut states {
            if let State::Waiting(future) = state {
                match future.as_mut().poll(context) {
                    Poll::Ready(Ok(value)) => *state = State::Done(value),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => waits = true,
                }
            }
        }
        if waits { Poll::Pending } else { Poll::Ready(Ok(())) }
    })
    .await?;
    let done = states.into_iter().filter_map(|state| match state {
        State::Done(value) => Some(value),
        State::Waiting(_) => None,
    });
    Ok(done.collect())
}

fn union(lists: Vec<Vec<String>>, limit: usize) -> Vec<String> {
    let texts: BTreeSet<String> = lists.into_iter().flatten().collect();
    texts.into_iter().take(if limit == 0 { usize::MAX } else { limit }).collect()
}

/// Series of several sets, each of which is in order.
pub(crate) struct MergedSet {
    members: Vec<Member>,
    /// Series that are still wanted.
    left: usize,
}

struct Member {
    set: Box<dyn SeriesSet>,
    /// Its next series, once it was asked for.
    next: Option<Series>,
    ended: bool,
}

impl MergedSet {
    /// At most `limit` series of `sets`; 0 for all.
    pub(crate) fn new(sets: Vec<Box<dyn SeriesSet>>, limit: usize) -> Self {
        let members = sets.into_iter().map(|set| Member { set, next: None, ended: false }).collect();
        Self { members, left: if limit == 0 { usize::MAX } else { limit } }
    }
}

impl SeriesSet for MergedSet {
    fn next(&mut self) -> Result<Option<Series>, QueryError> {
        for member in &mut self.members {
            member.advance()?;
        }
        let least: Option<&Labels> = self.members.iter().filter_map(Member::labels).min();
        let Some(labels) = least.filter(|_| self.left > 0).cloned() else { return Ok(None) };
        self.left -= 1;
        let same = self.members.iter_mut().filter(|member| member.labels() == Some(&labels));
        let mut samples: Vec<Box<dyn SampleIterator>> =
            same.filter_map(|member| member.next.take()).map(|series| series.samples).collect();
        let samples = match samples.len() {
            1 => samples.remove(0),
            _ => Box::new(MergedSamples::new(samples)),
        };
        Ok(Some(Series { labels, samples }))
    }

    fn may_have_label(&self, name: &str) -> bool {
        self.members.iter().any(|member| member.set.may_have_label(name))
    }
}

impl Member {
    fn advance(&mut self) -> Result<(), QueryError> {
        if self.next.is_none() && !self.ended {
            self.next = self.set.next()?;
            self.ended = self.next.is_none();
        }
        Ok(())
    }

    fn labels(&self) -> Option<&Labels> {
        self.next.as_ref().map(|series| &series.labels)
    }
}
