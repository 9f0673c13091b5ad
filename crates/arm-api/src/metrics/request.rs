//! What a request asks of metrics: parameters → types, with everything that is wrong said at once.

use catalog::Problem;
use environment::UnixTime;
use platform_metrics::{Aggregation, Definition, Filter, Interval, ResourceType, TimeSeries, definition, definitions};

use super::timespan::Timespan;
use super::unknown_metric;
use crate::error::{ArmError, Detail};
use crate::query::Query;

/// What is asked.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) metrics: Vec<Metric>,
    pub(super) timespan: Timespan,
    pub(super) interval: Interval,
    /// Only which series there are, without values.
    pub(super) metadata_only: bool,
    /// Those that are asked for; each metric's primary one when there are none.
    aggregations: Vec<Aggregation>,
    top: usize,
    order: Option<Order>,
}

/// A metric that is asked for.
#[derive(Clone, Debug)]
pub(super) struct Metric {
    pub(super) definition: &'static Definition,
    pub(super) filter: Filter,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Order {
    by: Aggregation,
    descending: bool,
}

impl Request {
    /// Reads the parameters.
    pub(super) fn of(query: &Query, of: ResourceType, now: UnixTime) -> Result<Self, ArmError> {
        let mut problems = Vec::new();
        let mut problem = |target: &str, message: String| problems.push(Problem { target: target.to_owned(), message });
        let timespan = match query.filled("timespan").map(|text| Timespan::parse(text, now)) {
            None => Timespan::last_hour(now),
            Some(Ok(timespan)) => timespan,
            Some(Err(error)) => {
                problem("timespan", error.to_string());
                Timespan::last_hour(now)
            }
        };
        let interval = match query.filled("interval").map(str::parse) {
            None => Interval::fitting(timespan.length()),
            Some(Ok(interval)) => interval,
            Some(Err(error)) => {
                problem("interval", format!("Detected invalid time grain input: {error}"));
                Interval::MINUTE
            }
        };
        if let Some(namespace) =
            query.filled("metricnamespace").filter(|name| !name.eq_ignore_ascii_case(of.namespace()))
        {
            let shown: String = namespace.chars().take(SHOWN_CHARS).collect();
            problem(
                "metricnamespace",
                format!("{shown:?} has no metrics of this resource: they are in {}", of.namespace()),
            );
        }
        let mut aggregations = Vec::new();
        for name in query.filled("aggregation").unwrap_or("").split(',').map(str::trim).filter(|name| !name.is_empty())
        {
            match Aggregation::parse(name) {
                Some(aggregation) if !aggregations.contains(&aggregation) => aggregations.push(aggregation),
                Some(_) => {}
                None if name.eq_ignore_ascii_case("None") => {}
                None => {
                    let shown: String = name.chars().take(SHOWN_CHARS).collect();
                    problem("aggregation", format!("{shown:?} is none of Average, Count, Maximum, Minimum, Total"));
                }
            }
        }
        let order = match query.filled("orderby").map(Order::parse) {
            None => None,
            Some(Some(order)) => Some(order),
            Some(None) => {
                problem("orderby", "is not an aggregation and asc or desc, such as `maximum desc`".to_owned());
                None
            }
        };
        let top = match query.filled("top").or_else(|| query.filled("$top")).map(str::parse::<usize>) {
            None => TOP,
            Some(Ok(top)) if (1..=TOP_MAX).contains(&top) => top,
            Some(_) => {
                problem("top", format!("must be a whole number from 1 to {TOP_MAX}"));
                TOP
            }
        };
        let metadata_only = match query.filled("resultType") {
            None => false,
            Some(kind) if kind.eq_ignore_ascii_case("Data") => false,
            Some(kind) if kind.eq_ignore_ascii_case("Metadata") => true,
            Some(_) => {
                problem("resultType", "is neither Data nor Metadata".to_owned());
                false
            }
        };
        let metrics = metrics(query, of, &mut problem);
        if problems.is_empty() {
            Ok(Self { metrics, timespan, interval, metadata_only, aggregations, top, order })
        } else {
            Err(refused(&problems))
        }
    }

    /// The aggregations to answer for a metric.
    pub(super) fn aggregations<'a>(&'a self, metric: &'a Metric) -> &'a [Aggregation] {
        if self.aggregations.is_empty() {
            std::slice::from_ref(&metric.definition.primary_aggregation)
        } else {
            &self.aggregations
        }
    }

    /// The series to answer, in their order. Unless another order is asked for, those with the largest values come through
    /// where not all do.
    pub(super) fn top(&self, metric: &Metric, mut series: Vec<TimeSeries>) -> Vec<TimeSeries> {
        let largest = Order { by: metric.definition.primary_aggregation, descending: true };
        if let Some(order) = self.order.or_else(|| (series.len() > self.top).then_some(largest)) {
            series.sort_by(|one, other| {
                let ordering = order.weight(one).total_cmp(&order.weight(other));
                if order.descending { ordering.reverse() } else { ordering }
            });
        }
        series.truncate(self.top);
        series
    }
}

impl Order {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let name = words.next()?;
        let by = Aggregation::parse(name).or_else(|| {
            let short = SHORT_NAMES.iter().find(|(short, _)| short.eq_ignore_ascii_case(name));
            short.map(|(_, aggregation)| *aggregation)
        })?;
        let descending = match words.next() {
            None => false,
            Some(word) if word.eq_ignore_ascii_case("asc") => false,
            Some(word) if word.eq_ignore_ascii_case("desc") => true,
            Some(_) => return None,
        };
        words.next().is_none().then_some(Self { by, descending })
    }

    /// One number for a whole series.
    fn weight(self, series: &TimeSeries) -> f64 {
        let values = || series.data.iter().filter_map(|point| point.get(self.by));
        match self.by {
            Aggregation::Maximum => values().fold(f64::NEG_INFINITY, f64::max),
            Aggregation::Minimum => values().fold(f64::INFINITY, f64::min),
            Aggregation::Total | Aggregation::Count => values().sum(),
            Aggregation::Average => {
                let (count, sum) = values().fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value));
                if count > 0.0 { sum / count } else { f64::NEG_INFINITY }
            }
        }
    }
}

/// The metrics that are named, all of the resource's when none is; each with the filter.
fn metrics(query: &Query, of: ResourceType, problem: &mut impl FnMut(&str, String)) -> Vec<Metric> {
    let named = query.filled("metricnames").unwrap_or("");
    let mut wanted: Vec<&'static Definition> = Vec::new();
    for name in named.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match definition(of, name) {
            Some(found) if !wanted.contains(&found) => wanted.push(found),
            Some(_) => {}
            None => {
                problem("metricnames", unknown_metric(of, name));
                break;
            }
        }
    }
    if named.is_empty() {
        wanted.extend(definitions(of));
    }
    let filter = query.filled("$filter").unwrap_or("");
    let mut metrics = Vec::new();
    for definition in wanted {
        match Filter::parse(filter, definition) {
            Ok(filter) => metrics.push(Metric { definition, filter }),
            Err(error) => {
                problem("$filter", error.to_string());
                break;
            }
        }
    }
    metrics
}

fn refused(problems: &[Problem]) -> ArmError {
    let said = |problem: &Problem| match problem.target.as_str() {
        "metricnames" => problem.message.clone(),
        target => format!("The query parameter '{target}' is invalid: {}.", problem.message),
    };
    let details: Vec<Detail> = problems
        .iter()
        .map(|problem| Detail { code: "BadRequest", target: problem.target.clone(), message: said(problem) })
        .collect();
    let first = details.first().map_or_else(String::new, |detail| detail.message.clone());
    let error = ArmError::bad_request("BadRequest", first);
    if details.len() == 1 { error } else { ArmError { details, ..error } }
}

const SHORT_NAMES: &[(&str, Aggregation)] = &[
    ("sum", Aggregation::Total),
    ("avg", Aggregation::Average),
    ("max", Aggregation::Maximum),
    ("min", Aggregation::Minimum),
];
/// Series of one metric when nothing is said.
const TOP: usize = 10;
const TOP_MAX: usize = 1_000;
const SHOWN_CHARS: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_millis(1_795_435_200_000);

    fn parse(raw: &str) -> Result<Request, ArmError> {
        Request::of(&Query::parse(Some(raw)), ResourceType::Workspace, NOW)
    }

    /// The metrics, the interval, aggregations of the first metric.
    fn shown(raw: &str) -> (Vec<&'static str>, String, Vec<&'static str>) {
        let request = parse(raw).unwrap();
        let names = request.metrics.iter().map(|metric| metric.definition.name).collect();
        let aggregations = request.aggregations(&request.metrics[0]).iter().map(|one| one.as_str()).collect();
        (names, request.interval.to_string(), aggregations)
    }

    #[test]
    fn what_is_asked() {
        let (names, interval, aggregations) = shown("");
        assert_eq!((names.len(), interval.as_str(), aggregations), (9, "PT1M", vec!["Maximum"]));
        let (names, interval, aggregations) = shown(
            "metricnames=eventsdropped,ActiveTimeSeries,EventsDropped&interval=pt5m&aggregation=Average,total,average,None\
             &timespan=2026-11-23T10%253A00%253A00.5%252F2026-11-23T11%253A00%253A00.5&top=10&orderby=sum%20desc\
             &resultType=data&metricnamespace=Microsoft.Monitor/accounts",
        );
        assert_eq!(names, ["EventsDropped", "ActiveTimeSeries"]);
        assert_eq!((interval.as_str(), aggregations), ("PT5M", vec!["Average", "Total"]));
        assert_eq!(shown("timespan=P30D").1, "PT30M");
        let order = |raw: &str| parse(raw).unwrap().order;
        assert_eq!(order("orderby=Average"), Some(Order { by: Aggregation::Average, descending: false }));
        assert_eq!(order("orderby=max+DESC"), Some(Order { by: Aggregation::Maximum, descending: true }));
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let targets = |raw: &str| -> Vec<String> {
            let error = parse(raw).unwrap_err();
            assert_eq!(error.code, "BadRequest");
            if error.details.is_empty() {
                vec![error.message]
            } else {
                error.details.into_iter().map(|one| one.target).collect()
            }
        };
        assert_eq!(
            targets(
                "timespan=x&interval=PT2M&metricnamespace=a&aggregation=Sum&orderby=up&top=0&resultType=x&metricnames=No"
            ),
            ["timespan", "interval", "metricnamespace", "aggregation", "orderby", "top", "resultType", "metricnames"]
        );
        let [message] = &targets("metricnames=Nothing")[..] else { panic!("one message") };
        assert!(message.starts_with(
            "Failed to find metric configuration for provider: microsoft.monitor, resource Type: accounts, metric: Nothing, \
             Valid metrics: ActiveTimeSeries,ActiveTimeSeriesLimit,"
        ));
        assert!(targets("metricnames=ActiveTimeSeries&$filter=Reason%20eq%20'x'")[0].contains("Reason"));
        assert!(
            targets("metricnames=EventsDropped&$filter=Reason")[0]
                .starts_with("The query parameter '$filter' is invalid")
        );
    }
}
