//! Series, label names and label values.

use std::sync::Arc;

use model::{Labels, Matcher, TimestampMs};
use promql_syntax::parse_metric_selector;
use storage::{Querier, Queryable, SelectHints, TimeRange};

use crate::answer;
use crate::error::ApiError;
use crate::evaluation::times;
use crate::label_sets;
use crate::params::{ParamError, Params};
use crate::reply::Reply;
use crate::slots::Job;

/// What is listed of which series.
pub(crate) struct Listing {
    pub(crate) selectors: Vec<Vec<Matcher>>,
    pub(crate) range: TimeRange,
    pub(crate) limit: usize,
}

impl Listing {
    /// Of `/series`, which must say which series.
    pub(crate) fn of_series(params: &Params) -> Result<Self, ApiError> {
        if params.all("match[]").next().is_none() {
            return Err(ParamError::NoMatcher.into());
        }
        let (limit, range) = (params.limit()?, time_range(params)?);
        let selectors = selectors(params).map_err(|error| match error {
            ApiError::Selector(source) => ApiError::Parse { parameter: "match[]", source },
            ApiError::Param(error) => times("match[]", &error.to_string()),
            other => other,
        })?;
        Ok(Self { selectors, range, limit })
    }

    /// Of labels: of all series when it is not said of which.
    pub(crate) fn of_labels(params: &Params) -> Result<Self, ApiError> {
        let (limit, range) = (params.limit()?, time_range(params)?);
        let mut selectors = selectors(params)?;
        if selectors.is_empty() {
            selectors.push(Vec::new());
        }
        Ok(Self { selectors, range, limit })
    }

    /// Without regard to the range, if that is so.
    pub(crate) fn of_all_time(self, all: bool) -> Self {
        if all { Self { range: TimeRange::ALL, ..self } } else { self }
    }

    /// Label sets of series that meet any of the selectors.
    pub(crate) fn series(&self, view: &Arc<dyn Queryable>, job: &Job) -> Result<Reply, ApiError> {
        let querier = view.querier(self.range);
        let select = |matchers| job.wait(querier.select(matchers, SelectHints::series_only(self.range)));
        // Those of one selector are in order, each once.
        if let [matchers] = self.selectors.as_slice() {
            return label_sets::of_selection(select(matchers)??, self.shown(), job);
        }
        let mut found: Vec<Labels> = Vec::new();
        for matchers in &self.selectors {
            // One more than is shown tells that there are more. Later ones of this selector stand behind it.
            let most = self.shown().saturating_add(1);
            label_sets::walk(&mut *select(matchers)??, most, job, &mut |labels| found.push(labels))?;
        }
        found.sort_unstable();
        found.dedup();
        let truncated = found.len() > self.shown();
        found.truncate(self.shown());
        Ok(Reply::Json(label_sets::of_list(&found, truncated)))
    }

    /// Names of labels.
    pub(crate) fn label_names(&self, view: &Arc<dyn Queryable>, job: &Job) -> Result<Reply, ApiError> {
        self.texts(view, job, |querier, matchers, limit| Ok(job.wait(querier.label_names(matchers, limit))??))
    }

    /// Values of the label `name`.
    pub(crate) fn label_values(&self, name: &str, view: &Arc<dyn Queryable>, job: &Job) -> Result<Reply, ApiError> {
        self.texts(view, job, |querier, matchers, limit| Ok(job.wait(querier.label_values(name, matchers, limit))??))
    }

    fn texts(
        &self,
        view: &Arc<dyn Queryable>,
        job: &Job,
        of: impl Fn(&dyn Querier, &[Matcher], usize) -> Result<Vec<String>, ApiError>,
    ) -> Result<Reply, ApiError> {
        let querier = view.querier(self.range);
        let one_more = if self.limit == 0 { 0 } else { self.limit.saturating_add(1) };
        let mut texts = Vec::new();
        for matchers in &self.selectors {
            job.check()?;
            texts.extend(of(&*querier, matchers, one_more)?);
        }
        // Texts of one selector are in order.
        if self.selectors.len() > 1 {
            texts.sort_unstable();
            texts.dedup();
        }
        let truncated = texts.len() > self.shown();
        texts.truncate(self.shown());
        Ok(Reply::Json(answer::texts(&texts, truncated)))
    }

    const fn shown(&self) -> usize {
        if self.limit > 0 { self.limit } else { usize::MAX }
    }
}

/// What `match[]` says.
pub(crate) fn selectors(params: &Params) -> Result<Vec<Vec<Matcher>>, ApiError> {
    let parse = |text| {
        let matchers = parse_metric_selector(text).map_err(ApiError::Selector)?;
        // As Prometheus: a selector that every series meets asks for a whole workspace, mostly by mistake.
        match matchers.iter().all(Matcher::matches_empty) {
            true => Err(ParamError::OnlyEmptyMatchers.into()),
            false => Ok(matchers),
        }
    };
    params.all("match[]").map(parse).collect()
}

/// What `match[]` says, of a federation: that may be everything, or nothing.
pub(crate) fn federated(params: &Params) -> Result<Vec<Vec<Matcher>>, ApiError> {
    params.all("match[]").map(|text| parse_metric_selector(text).map_err(ApiError::Selector)).collect()
}

/// `start` and `end`: all of time when they are not there.
pub(crate) fn time_range(params: &Params) -> Result<TimeRange, ApiError> {
    let start = params.time("start", TimestampMs::MIN)?;
    let end = params.time("end", TimestampMs::MAX)?;
    if end < start {
        return Err(times("end", "end timestamp must not be before start time"));
    }
    Ok(TimeRange { start, end })
}
