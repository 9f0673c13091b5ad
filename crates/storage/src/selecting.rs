//! What views over other queriers are made of.

use model::Matcher;

use crate::{BoxFuture, Querier, QueryError, SelectHints, Series, SeriesSet};

/// A querier that changes what another one selects, and answers questions about labels as that one does.
pub trait Selecting: Send + Sync {
    /// The other one.
    fn inner(&self) -> &dyn Querier;

    /// What it selects: see [`Querier::select`].
    ///
    /// # Errors
    /// [`QueryError`] when data cannot be read.
    fn select_changed<'a>(
        &'a self,
        matchers: &'a [Matcher],
        hints: SelectHints,
    ) -> BoxFuture<'a, Result<Box<dyn SeriesSet>, QueryError>>;
}

impl<S: Selecting> Querier for S {
    fn select<'a>(
        &'a self,
        matchers: &'a [Matcher],
        hints: SelectHints,
    ) -> BoxFuture<'a, Result<Box<dyn SeriesSet>, QueryError>> {
        self.select_changed(matchers, hints)
    }

    fn label_names<'a>(
        &'a self,
        matchers: &'a [Matcher],
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, QueryError>> {
        self.inner().label_names(matchers, limit)
    }

    fn label_values<'a>(
        &'a self,
        name: &'a str,
        matchers: &'a [Matcher],
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, QueryError>> {
        self.inner().label_values(name, matchers, limit)
    }
}

/// Series that are all known; their samples are still to be read.
pub struct SeriesList(std::vec::IntoIter<Series>);

impl SeriesList {
    /// All that is left of `set`.
    ///
    /// # Errors
    /// [`QueryError`] when data of the set cannot be read.
    pub fn collect(set: &mut dyn SeriesSet) -> Result<Vec<Series>, QueryError> {
        let mut all = Vec::with_capacity(set.remaining().unwrap_or(0));
        while let Some(series) = set.next()? {
            all.push(series);
        }
        Ok(all)
    }
}

impl From<Vec<Series>> for SeriesList {
    /// In the order of the list.
    fn from(series: Vec<Series>) -> Self {
        Self(series.into_iter())
    }
}

impl SeriesSet for SeriesList {
    fn next(&mut self) -> Result<Option<Series>, QueryError> {
        Ok(self.0.next())
    }

    fn remaining(&self) -> Option<usize> {
        Some(self.0.len())
    }
}
