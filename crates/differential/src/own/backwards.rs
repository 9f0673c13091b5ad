//! A store that gives its series in the opposite order.

use storage::{BoxFuture, Querier, QueryError, Queryable, SelectHints, Selecting, SeriesList, SeriesSet, TimeRange};
use testkit::series_store::SeriesStore;

/// See the module's text.
pub struct Backwards(pub SeriesStore);

struct BackwardsQuerier(Box<dyn Querier>);

impl Queryable for Backwards {
    fn querier(&self, range: TimeRange) -> Box<dyn Querier> {
        Box::new(BackwardsQuerier(self.0.querier(range)))
    }
}

impl Selecting for BackwardsQuerier {
    fn inner(&self) -> &dyn Querier {
        &*self.0
    }

    fn select_changed<'a>(
        &'a self,
        matchers: &'a [model::Matcher],
        hints: SelectHints,
    ) -> BoxFuture<'a, Result<Box<dyn SeriesSet>, QueryError>> {
        Box::pin(async move {
            let mut all = SeriesList::collect(&mut *self.0.select(matchers, hints).await?)?;
            all.reverse();
            Ok(Box::new(SeriesList::from(all)) as Box<dyn SeriesSet>)
        })
    }
}
