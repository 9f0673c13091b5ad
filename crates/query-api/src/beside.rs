//! What is known beside samples: metadata of metric families, exemplars.

use model::{Exemplar, Matcher, Metadata, TimestampMs};
use promql_syntax::Expr;
use storage::{Queryable, SeriesExemplars, TimeRange};

use crate::answer::{self, Remarks};
use crate::error::ApiError;
use crate::json;
use crate::params::{ParamError, Params};
use crate::reply::Reply;

/// How much of the metadata is asked for.
pub(crate) struct MetadataQuery {
    metric: String,
    /// Families, and entries of each; `None` for all.
    limit: Option<usize>,
    limit_per_metric: Option<usize>,
}

impl MetadataQuery {
    pub(crate) fn new(params: &Params) -> Result<Self, ApiError> {
        let limit = params.number("limit")?.and_then(|limit| usize::try_from(limit).ok());
        let per_metric = params.number("limit_per_metric")?.and_then(|limit| usize::try_from(limit).ok());
        let limit_per_metric = per_metric.filter(|limit| *limit > 0);
        Ok(Self { metric: params.get("metric").to_owned(), limit, limit_per_metric })
    }

    pub(crate) fn run(&self, view: &dyn Queryable) -> Reply {
        let wanted = |name: &String| self.metric.is_empty() || *name == self.metric;
        let families: Vec<_> = view.metadata().into_iter().filter(|(name, _)| wanted(name)).collect();
        let groups: Vec<&[(String, Metadata)]> =
            families.chunk_by(|left, right| left.0 == right.0).take(self.limit.unwrap_or(usize::MAX)).collect();
        Reply::Json(answer::success(&Remarks::default(), |out| {
            out.push(b'{');
            for (index, group) in groups.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                json::write_text(out, &group[0].0);
                out.push(b':');
                let shown = group.iter().take(self.limit_per_metric.unwrap_or(usize::MAX));
                json::write_list(out, shown, |out, (_, metadata)| write_metadata(out, metadata));
            }
            out.push(b'}');
        }))
    }
}

fn write_metadata(out: &mut Vec<u8>, metadata: &Metadata) {
    let Metadata { metric_type, help, unit } = metadata;
    for (before, text) in [("{\"type\":", metric_type.as_str()), (",\"help\":", help), (",\"unit\":", unit)] {
        out.extend_from_slice(before.as_bytes());
        json::write_text(out, text);
    }
    out.push(b'}');
}

/// Exemplars of the series that a query selects.
pub(crate) struct ExemplarQuery {
    selectors: Vec<Vec<Matcher>>,
    range: TimeRange,
}

impl ExemplarQuery {
    pub(crate) fn new(params: &Params, expr: impl FnOnce() -> Result<Expr, ApiError>) -> Result<Self, ApiError> {
        let start = params.time("start", TimestampMs::MIN)?;
        let end = params.time("end", TimestampMs::MAX)?;
        if end < start {
            return Err(ParamError::Said("end timestamp must not be before start timestamp".to_owned()).into());
        }
        let mut selectors = Vec::new();
        collect_selectors(&expr()?, &mut selectors);
        Ok(Self { selectors, range: TimeRange { start, end } })
    }

    /// Nothing at all, not even an empty list, for a query that selects nothing: so does Prometheus.
    pub(crate) fn run(&self, view: &dyn Queryable) -> Reply {
        if self.selectors.is_empty() {
            return Reply::Empty;
        }
        let series = view.exemplars(&self.selectors, self.range);
        Reply::Json(answer::success(&Remarks::default(), |out| json::write_list(out, &series, write_series)))
    }
}

fn write_series(out: &mut Vec<u8>, series: &SeriesExemplars) {
    out.extend_from_slice(b"{\"seriesLabels\":");
    json::write_labels(out, &series.labels);
    out.extend_from_slice(b",\"exemplars\":");
    json::write_list(out, &series.exemplars, write_exemplar);
    out.push(b'}');
}

fn write_exemplar(out: &mut Vec<u8>, exemplar: &Exemplar) {
    out.extend_from_slice(b"{\"labels\":");
    json::write_labels(out, &exemplar.labels);
    out.extend_from_slice(b",\"value\":\"");
    json::write_float(out, exemplar.value);
    out.extend_from_slice(b"\",\"timestamp\":");
    json::write_time(out, exemplar.timestamp);
    out.push(b'}');
}

/// Matchers of every selector in an expression.
fn collect_selectors(expr: &Expr, found: &mut Vec<Vec<Matcher>>) {
    match expr {
        Expr::Number(_) | Expr::String(_) => {}
        Expr::Vector(node) => found.push(node.matchers.clone()),
        Expr::Matrix(node) => found.push(node.selector.matchers.clone()),
        Expr::Subquery(node) => collect_selectors(&node.expr, found),
        Expr::Call(node) => node.args.iter().for_each(|arg| collect_selectors(arg, found)),
        Expr::Aggregation(node) => {
            if let Some(param) = &node.param {
                collect_selectors(param, found);
            }
            collect_selectors(&node.expr, found);
        }
        Expr::Binary(node) => {
            collect_selectors(&node.lhs, found);
            collect_selectors(&node.rhs, found);
        }
        Expr::Unary(node) => collect_selectors(&node.expr, found),
        Expr::Paren(node) => collect_selectors(&node.expr, found),
    }
}
