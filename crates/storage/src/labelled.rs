//! A view in which every series has one label more, such as the name of the workspace it comes from.
//!
//! A label of that name that a series has itself is shown with `exported_` in front, as Prometheus does it with labels of
//! targets. Matchers see labels as they are shown.
//!
//! The order of series stays, but in one case: where a series' labels are the beginning of others', the new label may come
//! after theirs. Those few wait on a stack. Series with a label of that name of their own move anywhere; they are selected
//! apart, and sorted.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{Labels, MatchOp, Matcher, Metadata};

use crate::merged::MergedSet;
use crate::{
    BoxFuture, LeftOut, Querier, QueryError, Queryable, SelectHints, Series, SeriesExemplars, SeriesList, SeriesSet,
    TimeRange,
};

/// See the module's text.
pub struct Labelled {
    inner: Arc<dyn Queryable>,
    label: Label,
}

/// The label that is added.
#[derive(Clone)]
struct Label {
    name: Arc<str>,
    value: Arc<str>,
}

impl Labelled {
    /// `inner` with the label `name="value"`. Neither is empty.
    pub fn new(inner: Arc<dyn Queryable>, name: &str, value: &str) -> Self {
        assert!(!name.is_empty() && !value.is_empty(), "an empty label is none");
        Self { inner, label: Label { name: name.into(), value: value.into() } }
    }
}

impl Queryable for Labelled {
    fn querier(&self, range: TimeRange) -> Box<dyn Querier> {
        Box::new(LabelledQuerier { inner: self.inner.querier(range), label: self.label.clone(), range })
    }

    fn querier_with(&self, range: TimeRange, left_out: Arc<LeftOut>) -> Box<dyn Querier> {
        let inner = self.inner.querier_with(range, left_out);
        Box::new(LabelledQuerier { inner, label: self.label.clone(), range })
    }

    fn metadata(&self) -> Vec<(String, Metadata)> {
        self.inner.metadata()
    }

    fn exemplars(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> Vec<SeriesExemplars> {
        let mut found: Vec<SeriesExemplars> = Vec::new();
        for matchers in selectors {
            let Split { met, beneath, moved } = self.label.split(matchers);
            if !met {
                continue;
            }
            for series in self.inner.exemplars(&[beneath], range) {
                let labels = self.label.add(&series.labels);
                if moved.iter().all(|matcher| matcher.matches_labels(&labels)) {
                    found.push(SeriesExemplars { labels, exemplars: series.exemplars });
                }
            }
        }
        found.sort_by(|left, right| left.labels.cmp(&right.labels));
        found.dedup_by(|next, kept| next.labels == kept.labels);
        found
    }
}

struct LabelledQuerier {
    inner: Box<dyn Querier>,
    label: Label,
    range: TimeRange,
}

/// Matchers by what they look at.
struct Split {
    /// Whether those of the added label are met.
    met: bool,
    /// Those that the view beneath understands.
    beneath: Vec<Matcher>,
    /// Those of labels that are shown under another name.
    moved: Vec<Matcher>,
}

impl Label {
    fn split(&self, matchers: &[Matcher]) -> Split {
        let mut split = Split { met: true, beneath: Vec::new(), moved: Vec::new() };
        for matcher in matchers {
            if matcher.name() == &*self.name {
                split.met &= matcher.matches(&self.value);
            } else if self.is_moved(matcher.name()) {
                split.moved.push(matcher.clone());
            } else {
                split.beneath.push(matcher.clone());
            }
        }
        split
    }

    /// Whether a label of this name may have been another one beneath.
    fn is_moved(&self, name: &str) -> bool {
        let mut front = name.strip_suffix(&*self.name).unwrap_or("");
        while let Some(rest) = front.strip_suffix(MOVED) {
            if rest.is_empty() {
                return true;
            }
            front = rest;
        }
        false
    }

    fn add(&self, labels: &Labels) -> Labels {
        let mut builder = labels.to_builder();
        if let Some(own) = labels.get(&self.name) {
            builder.remove(&self.name);
            let mut moved = format!("{MOVED}{}", self.name);
            while labels.get(&moved).is_some() {
                moved.insert_str(0, MOVED);
            }
            builder.push(&moved, own);
        }
        builder.push(&self.name, &self.value);
        builder.build().expect("the name was freed, and all others are as they were")
    }

    /// A matcher of series with, or without, a label of this name.
    fn presence(&self, op: MatchOp) -> Matcher {
        Matcher::new(op, &self.name, "").expect("comparisons with the empty text need no pattern")
    }
}

impl LabelledQuerier {
    /// Labels of all series that meet the matchers.
    async fn walk(&self, matchers: &[Matcher], mut look: impl FnMut(&Labels)) -> Result<(), QueryError> {
        let mut series = self.select(matchers, SelectHints::series_only(self.range)).await?;
        while let Some(one) = series.next()? {
            look(&one.labels);
        }
        Ok(())
    }
}

impl Querier for LabelledQuerier {
    fn select<'a>(
        &'a self,
        matchers: &'a [Matcher],
        hints: SelectHints,
    ) -> BoxFuture<'a, Result<Box<dyn SeriesSet>, QueryError>> {
        Box::pin(async move {
            let Split { met, mut beneath, moved } = self.label.split(matchers);
            if !met {
                return Ok(Box::new(MergedSet::new(Vec::new(), 0)) as Box<dyn SeriesSet>);
            }
            let limit = hints.limit;
            // Matchers of moved labels take away afterwards, so that a limit beneath could take too much.
            let limit_beneath = if moved.is_empty() { limit } else { 0 };
            // Labels have other names there, and what comes of both selections is merged.
            let hints = SelectHints { limit: limit_beneath, labels: None, any_order: false, ..hints };
            beneath.push(self.label.presence(MatchOp::Equal));
            let plain = self.inner.select(&beneath, hints.clone()).await?;
            *beneath.last_mut().expect("it was just pushed") = self.label.presence(MatchOp::NotEqual);
            let clashing = self.inner.select(&beneath, hints).await?;
            let plain = Relabelled { set: plain, label: self.label.clone(), moved: moved.clone(), waiting: Vec::new() };
            let clashing = sorted(clashing, &self.label, &moved)?;
            Ok(Box::new(MergedSet::new(vec![Box::new(plain), Box::new(clashing)], limit)) as Box<dyn SeriesSet>)
        })
    }

    fn label_names<'a>(
        &'a self,
        matchers: &'a [Matcher],
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, QueryError>> {
        Box::pin(async move {
            let Split { met, beneath, moved } = self.label.split(matchers);
            if !met {
                return Ok(Vec::new());
            }
            let mut names: BTreeSet<String> = self.inner.label_names(&beneath, 0).await?.into_iter().collect();
            if !moved.is_empty() || names.contains(&*self.label.name) {
                names.clear();
                let look = |labels: &Labels| names.extend(labels.iter().map(|(name, _)| name.to_owned()));
                self.walk(matchers, look).await?;
            } else if !names.is_empty() {
                names.insert(self.label.name.to_string());
            }
            Ok(limited(names, limit))
        })
    }

    fn label_values<'a>(
        &'a self,
        name: &'a str,
        matchers: &'a [Matcher],
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, QueryError>> {
        Box::pin(async move {
            let Split { met, beneath, moved } = self.label.split(matchers);
            if !met {
                return Ok(Vec::new());
            }
            if moved.is_empty() && name == &*self.label.name {
                let some = self.inner.label_names(&beneath, 1).await?;
                return Ok(some.first().map(|_| self.label.value.to_string()).into_iter().collect());
            }
            if moved.is_empty() && !self.label.is_moved(name) {
                return self.inner.label_values(name, &beneath, limit).await;
            }
            let mut values = BTreeSet::new();
            let look = |labels: &Labels| values.extend(labels.get(name).map(str::to_owned));
            self.walk(matchers, look).await?;
            Ok(limited(values, limit))
        })
    }
}

fn limited(texts: BTreeSet<String>, limit: usize) -> Vec<String> {
    texts.into_iter().take(if limit == 0 { usize::MAX } else { limit }).collect()
}

/// Series without a label of that name of their own, in order.
struct Relabelled {
    set: Box<dyn SeriesSet>,
    label: Label,
    moved: Vec<Matcher>,
    /// The last one is the next to go, unless the set has one that goes before it. Each but the first has the labels of the one
    /// before it, and more: there are never more than a series has labels.
    waiting: Vec<Series>,
}

impl SeriesSet for Relabelled {
    fn next(&mut self) -> Result<Option<Series>, QueryError> {
        while let Some(series) = self.set.next()? {
            let labels = self.label.add(&series.labels);
            if !self.moved.iter().all(|matcher| matcher.matches_labels(&labels)) {
                continue;
            }
            let next = Series { labels, samples: series.samples };
            match self.waiting.last() {
                Some(waiting) if waiting.labels < next.labels => {
                    let ready = self.waiting.pop();
                    self.insert(next);
                    return Ok(ready);
                }
                _ => self.waiting.push(next),
            }
        }
        Ok(self.waiting.pop())
    }
}

impl Relabelled {
    /// Puts a series in its place among those that wait: behind those that go later.
    fn insert(&mut self, series: Series) {
        let place = self.waiting.partition_point(|waiting| waiting.labels > series.labels);
        self.waiting.insert(place, series);
    }
}

/// Series with a label of that name of their own, which is moved.
fn sorted(mut set: Box<dyn SeriesSet>, label: &Label, moved: &[Matcher]) -> Result<SeriesList, QueryError> {
    let mut series = Vec::new();
    while let Some(one) = set.next()? {
        let labels = label.add(&one.labels);
        if moved.iter().all(|matcher| matcher.matches_labels(&labels)) {
            series.push(Series { labels, samples: one.samples });
        }
    }
    series.sort_by(|left, right| left.labels.cmp(&right.labels));
    Ok(series.into())
}

/// In front of names that give way.
const MOVED: &str = "exported_";
