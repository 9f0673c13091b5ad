//! A view that spells labels as a query does. Grouping and matching look labels up by name, and names are the same in any
//! case here (contract §5, §6.2): `by (Job)` groups by what was stored as `job`.
//!
//! Of several spellings in one query, or of one label in a series, one is chosen. Values are shown, and told apart, as stored.

use std::sync::Arc;

use model::{Labels, Matcher};
use promql_syntax::{Call, Expr};
use storage::{
    BoxFuture, LeftOut, Querier, QueryError, Queryable, SelectHints, Selecting, SeriesList, SeriesSet, TimeRange,
};

/// See the module's text.
pub(crate) struct Spelled {
    inner: Arc<dyn Queryable>,
    /// As the query spells them.
    names: Arc<[String]>,
}

impl Spelled {
    /// `inner` as `expr` spells it.
    pub(crate) fn as_in(expr: &Expr, inner: Arc<dyn Queryable>) -> Arc<dyn Queryable> {
        let mut names = Vec::new();
        find_names(expr, &mut names);
        match names.is_empty() {
            true => inner,
            false => Arc::new(Self { inner, names: names.into() }),
        }
    }
}

impl Queryable for Spelled {
    fn querier(&self, range: TimeRange) -> Box<dyn Querier> {
        Box::new(SpelledQuerier { inner: self.inner.querier(range), names: Arc::clone(&self.names) })
    }

    fn querier_with(&self, range: TimeRange, left_out: Arc<LeftOut>) -> Box<dyn Querier> {
        let inner = self.inner.querier_with(range, left_out);
        Box::new(SpelledQuerier { inner, names: Arc::clone(&self.names) })
    }
}

struct SpelledQuerier {
    inner: Box<dyn Querier>,
    names: Arc<[String]>,
}

/// A name as it is stored, and as it is to be spelled.
type Change = (String, String);

impl SpelledQuerier {
    async fn changes(&self) -> Result<Vec<Change>, QueryError> {
        let stored = self.inner.label_names(&[], 0).await?;
        let spelled_otherwise = stored.into_iter().filter(|name| !self.names.contains(name));
        Ok(spelled_otherwise
            .filter_map(|name| {
                let spelled = self.names.iter().find(|spelled| spelled.eq_ignore_ascii_case(&name))?.clone();
                Some((name, spelled))
            })
            .collect())
    }

    async fn series(&self, matchers: &[Matcher], mut hints: SelectHints) -> Result<Box<dyn SeriesSet>, QueryError> {
        let changes = self.changes().await?;
        if changes.is_empty() {
            return self.inner.select(matchers, hints).await;
        }
        if let Some(labels) = &hints.labels {
            let mut wanted: Vec<String> = labels.iter().chain(changes.iter().map(|(name, _)| name)).cloned().collect();
            wanted.sort_unstable();
            wanted.dedup();
            hints.labels = Some(wanted.into());
        }
        let any_order = hints.any_order;
        let mut all = SeriesList::collect(&mut *self.inner.select(matchers, hints).await?)?;
        for series in &mut all {
            series.labels = changed(&series.labels, &changes);
        }
        if !any_order {
            all.sort_by(|left, right| left.labels.cmp(&right.labels));
        }
        Ok(Box::new(SeriesList::from(all)))
    }
}

impl Selecting for SpelledQuerier {
    fn inner(&self) -> &dyn Querier {
        &*self.inner
    }

    fn select_changed<'a>(
        &'a self,
        matchers: &'a [Matcher],
        hints: SelectHints,
    ) -> BoxFuture<'a, Result<Box<dyn SeriesSet>, QueryError>> {
        Box::pin(self.series(matchers, hints))
    }
}

fn changed(labels: &Labels, changes: &[Change]) -> Labels {
    let mut builder = labels.to_builder();
    for (stored, spelled) in changes {
        let Some(value) = labels.get(stored) else { continue };
        let is_first = changes.iter().find(|(name, other)| other == spelled && labels.get(name).is_some());
        if labels.get(spelled).is_none() && is_first.is_some_and(|(name, _)| name == stored) {
            builder.remove(stored);
            builder.push(spelled, value);
        }
    }
    builder.build().expect("a label takes a name that no other one has")
}

/// Names of labels that grouping, matching and functions of labels look at.
fn find_names(expr: &Expr, names: &mut Vec<String>) {
    let mut add = |name: &String| {
        if !names.contains(name) {
            names.push(name.clone());
        }
    };
    match expr {
        Expr::Number(_) | Expr::String(_) | Expr::Vector(_) | Expr::Matrix(_) => {}
        Expr::Subquery(node) => find_names(&node.expr, names),
        Expr::Unary(node) => find_names(&node.expr, names),
        Expr::Paren(node) => find_names(&node.expr, names),
        Expr::Aggregation(node) => {
            node.grouping.iter().for_each(add);
            node.param.iter().for_each(|param| find_names(param, names));
            find_names(&node.expr, names);
        }
        Expr::Binary(node) => {
            node.matching.iter().flat_map(|matching| matching.labels.iter().chain(&matching.include)).for_each(add);
            find_names(&node.lhs, names);
            find_names(&node.rhs, names);
        }
        Expr::Call(node) => {
            looked_at(node).for_each(|argument| {
                if let Expr::String(text) = argument.without_parens() {
                    add(&text.value);
                }
            });
            node.args.iter().for_each(|argument| find_names(argument, names));
        }
    }
}

/// Arguments that name labels.
fn looked_at(call: &Call) -> impl Iterator<Item = &Expr> {
    let name = call.function.name;
    call.args.iter().enumerate().filter_map(move |(place, argument)| {
        let names_label = match name {
            "label_replace" => place == 1 || place == 3,
            "label_join" => place == 1 || place >= 3,
            "sort_by_label" | "sort_by_label_desc" => place >= 1,
            _ => false,
        };
        names_label.then_some(argument)
    })
}

#[cfg(test)]
mod tests {
    use promql_syntax::{Options, parse_expr};

    use super::*;

    #[test]
    fn names_that_are_looked_at() {
        for (query, expected) in [
            ("up{Job=\"a\"}", &[][..]),
            ("sum by (Job, b) (rate(up[1m]))", &["Job", "b"]),
            ("a / on (X) group_left (Y) (b unless ignoring (Z) c)", &["X", "Y", "Z"]),
            ("topk without (a) (scalar(sum by (b) (c)), -d)", &["a", "b"]),
            (r#"label_replace(a, "Dst", "$1", "Src", "(.*)")"#, &["Dst", "Src"]),
            (r#"label_join(a, "Dst", "Sep", "X", ("Y"))"#, &["Dst", "X", "Y"]),
        ] {
            let expr = parse_expr(query, Options::all()).unwrap();
            let mut names = Vec::new();
            find_names(&expr, &mut names);
            assert_eq!(names, expected, "{query}");
        }
    }

    #[test]
    fn labels_are_renamed_where_the_name_is_free() {
        let changes = [("JOB".to_owned(), "job".to_owned()), ("Job".to_owned(), "job".to_owned())];
        let labels = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied()).unwrap();
        for (stored, expected) in [
            (&[("Job", "a"), ("x", "y")][..], &[("job", "a"), ("x", "y")][..]),
            (&[("JOB", "b"), ("Job", "a")], &[("Job", "a"), ("job", "b")]),
            (&[("Job", "a"), ("job", "b")], &[("Job", "a"), ("job", "b")]),
        ] {
            assert_eq!(changed(&labels(stored), &changes), labels(expected));
        }
    }
}
