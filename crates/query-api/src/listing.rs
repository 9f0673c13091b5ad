//! Series, label names and label values.

use std::collections::BTreeSet;

use model::{Labels, Matcher, TimestampMs};
use promql_syntax::parse_metric_selector;
use storage::{Queryable, SelectHints, TimeRange};

use crate::answer;
use crate::error::ApiError;
use crate::params::{ParamError, Params};

/// `/series`: label sets of series that meet any of the selectors.
pub(crate) async fn series(params: &Params, view: &dyn Queryable) -> Result<Vec<u8>, ApiError> {
    let selectors = selectors(params)?;
    if selectors.is_empty() {
        return Err(ParamError::NoMatcher.into());
    }
    let (range, limit) = (time_range(params)?, params.limit()?);
    let querier = view.querier(range);
    let mut found = BTreeSet::<Labels>::new();
    for matchers in &selectors {
        let mut series = querier.select(matchers, SelectHints::series_only(range)).await?;
        while let Some(one) = series.next()? {
            found.insert(one.labels);
            // One more than asked for tells that there are more.
            if limit > 0 && found.len() > limit && selectors.len() == 1 {
                break;
            }
        }
    }
    let truncated = limit > 0 && found.len() > limit;
    let shown = if limit > 0 { limit } else { usize::MAX };
    let sets: Vec<Labels> = found.into_iter().take(shown).collect();
    Ok(answer::label_sets(&sets, truncated))
}

/// `/labels`: names of labels.
pub(crate) async fn label_names(params: &Params, view: &dyn Queryable) -> Result<Vec<u8>, ApiError> {
    let (selectors, range, limit) = (selectors_or_all(params)?, time_range(params)?, params.limit()?);
    let querier = view.querier(range);
    let mut found = BTreeSet::new();
    for matchers in &selectors {
        found.extend(querier.label_names(matchers, one_more(limit)).await?);
    }
    Ok(list(found, limit))
}

/// `/label/{name}/values`: values of one label.
pub(crate) async fn label_values(name: &str, params: &Params, view: &dyn Queryable) -> Result<Vec<u8>, ApiError> {
    if name.is_empty() {
        return Err(ParamError::Invalid { name: "name", reason: "the label's name is empty".to_owned() }.into());
    }
    let (selectors, range, limit) = (selectors_or_all(params)?, time_range(params)?, params.limit()?);
    let querier = view.querier(range);
    let mut found = BTreeSet::new();
    for matchers in &selectors {
        found.extend(querier.label_values(name, matchers, one_more(limit)).await?);
    }
    Ok(list(found, limit))
}

fn list(found: BTreeSet<String>, limit: usize) -> Vec<u8> {
    let truncated = limit > 0 && found.len() > limit;
    let shown = if limit > 0 { limit } else { usize::MAX };
    let texts: Vec<String> = found.into_iter().take(shown).collect();
    answer::strings(&texts, truncated)
}

/// The limit to ask a store with, so that the answer tells whether there are more.
const fn one_more(limit: usize) -> usize {
    if limit == 0 { 0 } else { limit.saturating_add(1) }
}

fn selectors_or_all(params: &Params) -> Result<Vec<Vec<Matcher>>, ApiError> {
    let selectors = selectors(params)?;
    Ok(if selectors.is_empty() { vec![Vec::new()] } else { selectors })
}

pub(crate) fn selectors(params: &Params) -> Result<Vec<Vec<Matcher>>, ApiError> {
    let parse = |text| {
        let parsed = parse_metric_selector(text);
        let matchers = parsed.map_err(|source| ApiError::Parse { parameter: "match[]", source })?;
        // As Prometheus: a selector that every series meets asks for a whole workspace, mostly by mistake.
        match matchers.iter().all(Matcher::matches_empty) {
            true => Err(ParamError::OnlyEmptyMatchers.into()),
            false => Ok(matchers),
        }
    };
    params.all("match[]").map(parse).collect()
}

pub(crate) fn time_range(params: &Params) -> Result<TimeRange, ApiError> {
    let start = params.time("start", TimestampMs::MIN)?;
    let end = params.time("end", TimestampMs::MAX)?;
    if end < start {
        let reason = "end timestamp must not be before start time";
        return Err(ApiError::Times { parameter: "end", reason });
    }
    Ok(TimeRange { start, end })
}
