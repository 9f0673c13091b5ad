//! The table of metrics (contract §4.4).

use crate::aggregate::Aggregation::{self, Average, Maximum, Total};
use crate::resource::ResourceType;

/// One metric.
#[derive(PartialEq, Eq, Debug)]
pub struct Definition {
    /// Its name in the metrics API.
    pub name: &'static str,
    /// Its name for people.
    pub display_name: &'static str,
    /// What it says.
    pub description: &'static str,
    /// What its values are.
    pub unit: Unit,
    /// The aggregation to show when none is asked for.
    pub primary_aggregation: Aggregation,
    /// Aggregations that mean something for it. [`read`](crate::read()) computes all five, whichever these are.
    pub aggregations: &'static [Aggregation],
    /// What it can be split by.
    pub dimensions: &'static [Dimension],
    /// Its name in PromQL.
    pub series: &'static str,
}

/// What values are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Hundredths.
    Percent,
}

impl Unit {
    /// As the metrics API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Percent => "Percent",
        }
    }
}

/// Something a metric can be split by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dimension {
    /// Its name in the metrics API.
    pub name: &'static str,
    /// The label that holds it.
    pub label: &'static str,
}

/// The metrics of a kind of resource.
pub const fn definitions(of: ResourceType) -> &'static [Definition] {
    match of {
        ResourceType::Workspace => WORKSPACE,
        ResourceType::Rule => RULE,
    }
}

/// The metric of this name, compared without regard to case.
pub fn definition(of: ResourceType, name: &str) -> Option<&'static Definition> {
    definitions(of).iter().find(|definition| definition.name.eq_ignore_ascii_case(name))
}

/// The value of the dimension `StampColor`: Azure names a part of its installation by it, and there is only this one.
pub const STAMP_COLOR: &str = "local";

const STAMP: Dimension = Dimension { name: "StampColor", label: "stamp_color" };
const REASON: Dimension = Dimension { name: "Reason", label: "reason" };
const STREAM: Dimension = Dimension { name: "InputStreamId", label: "input_stream_id" };
const RESPONSE: Dimension = Dimension { name: "ResponseCode", label: "response_code" };

pub(crate) static ACTIVE_SERIES: &Definition = &WORKSPACE[0];
pub(crate) static ACTIVE_SERIES_LIMIT: &Definition = &WORKSPACE[1];
pub(crate) static ACTIVE_SERIES_PERCENT: &Definition = &WORKSPACE[2];
pub(crate) static EVENTS: &Definition = &WORKSPACE[3];
pub(crate) static EVENTS_LIMIT: &Definition = &WORKSPACE[4];
pub(crate) static EVENTS_PERCENT: &Definition = &WORKSPACE[5];
pub(crate) static EVENTS_DROPPED: &Definition = &WORKSPACE[6];
pub(crate) static SAMPLES_DROPPED: &Definition = &WORKSPACE[7];
pub(crate) static SAMPLES_STORED: &Definition = &WORKSPACE[8];
pub(crate) static REQUESTS: &Definition = &RULE[0];

static WORKSPACE: &[Definition] = &[
    Definition {
        name: "ActiveTimeSeries",
        display_name: "Active Time Series",
        description: "Series that were written within the last 12 hours.",
        unit: Unit::Count,
        primary_aggregation: Maximum,
        aggregations: &[Maximum],
        dimensions: &[STAMP],
        series: "microsoft_monitor_accounts_active_time_series",
    },
    Definition {
        name: "ActiveTimeSeriesLimit",
        display_name: "Active Time Series Limit",
        description: "How many series may be active.",
        unit: Unit::Count,
        primary_aggregation: Average,
        aggregations: &[Average, Maximum],
        dimensions: &[STAMP],
        series: "microsoft_monitor_accounts_active_time_series_limit",
    },
    Definition {
        name: "ActiveTimeSeriesPercentUtilization",
        display_name: "Active Time Series % Utilization",
        description: "Active series as a share of their limit.",
        unit: Unit::Percent,
        primary_aggregation: Average,
        aggregations: &[Average],
        dimensions: &[STAMP],
        series: "microsoft_monitor_accounts_active_time_series_percent_utilization",
    },
    Definition {
        name: "EventsPerMinuteIngested",
        display_name: "Events Per Minute Received",
        description: "Events (samples, histograms, exemplars) that arrived within the minute.",
        unit: Unit::Count,
        primary_aggregation: Maximum,
        aggregations: &[Maximum],
        dimensions: &[STAMP],
        series: "microsoft_monitor_accounts_events_per_minute_ingested",
    },
    Definition {
        name: "EventsPerMinuteIngestedLimit",
        display_name: "Events Per Minute Received Limit",
        description: "How many events a minute are taken.",
        unit: Unit::Count,
        primary_aggregation: Average,
        aggregations: &[Average, Maximum],
        dimensions: &[STAMP],
        series: "microsoft_monitor_accounts_events_per_minute_ingested_limit",
    },
    Definition {
        name: "EventsPerMinuteIngestedPercentUtilization",
        display_name: "Events Per Minute Received % Utilization",
        description: "Events that arrived within the minute as a share of their limit.",
        unit: Unit::Percent,
        primary_aggregation: Average,
        aggregations: &[Average],
        dimensions: &[STAMP],
        series: "microsoft_monitor_accounts_events_per_minute_ingested_percent_utilization",
    },
    Definition {
        name: "EventsDropped",
        display_name: "Events Dropped",
        description: "Events refused at the door, by reason.",
        unit: Unit::Count,
        primary_aggregation: Maximum,
        aggregations: &[Maximum, Total],
        dimensions: &[STAMP, REASON],
        series: "microsoft_monitor_accounts_events_dropped",
    },
    Definition {
        name: "TimeSeriesSamplesDropped",
        display_name: "Time Series Samples Dropped",
        description: "Samples refused after they were accepted, by reason.",
        unit: Unit::Count,
        primary_aggregation: Maximum,
        aggregations: &[Maximum, Total],
        dimensions: &[STAMP, REASON],
        series: "microsoft_monitor_accounts_time_series_samples_dropped",
    },
    Definition {
        name: "SimpleSamplesStored",
        display_name: "Simple Data Samples Stored",
        description: "Samples that were stored within the minute.",
        unit: Unit::Count,
        primary_aggregation: Maximum,
        aggregations: &[Maximum, Total],
        dimensions: &[STAMP],
        series: "microsoft_monitor_accounts_simple_samples_stored",
    },
];

static RULE: &[Definition] = &[Definition {
    name: "MetricIngestionRequest_Count",
    display_name: "Metrics Ingestion Requests",
    description: "Write requests that were answered within the minute, by the status of the answer.",
    unit: Unit::Count,
    primary_aggregation: Total,
    aggregations: &[Total],
    dimensions: &[STREAM, RESPONSE],
    series: "microsoft_insights_datacollectionrules_metric_ingestion_request_count",
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_name_their_rows() {
        for (definition, name) in [
            (ACTIVE_SERIES, "ActiveTimeSeries"),
            (ACTIVE_SERIES_LIMIT, "ActiveTimeSeriesLimit"),
            (ACTIVE_SERIES_PERCENT, "ActiveTimeSeriesPercentUtilization"),
            (EVENTS, "EventsPerMinuteIngested"),
            (EVENTS_LIMIT, "EventsPerMinuteIngestedLimit"),
            (EVENTS_PERCENT, "EventsPerMinuteIngestedPercentUtilization"),
            (EVENTS_DROPPED, "EventsDropped"),
            (SAMPLES_DROPPED, "TimeSeriesSamplesDropped"),
            (SAMPLES_STORED, "SimpleSamplesStored"),
            (REQUESTS, "MetricIngestionRequest_Count"),
        ] {
            assert_eq!(definition.name, name);
        }
    }

    #[test]
    fn rows_are_whole() {
        for of in [ResourceType::Workspace, ResourceType::Rule] {
            let prefix = of.namespace().replace(['.', '/'], "_");
            for row in definitions(of) {
                assert!(row.series.starts_with(&prefix), "{}", row.series);
                assert!(row.aggregations.contains(&row.primary_aggregation), "{}", row.name);
                assert!(row.description.ends_with('.'), "{}", row.name);
                assert_eq!(definition(of, &row.name.to_ascii_uppercase()), Some(row));
                assert_eq!(definitions(of).iter().filter(|other| other.series == row.series).count(), 1);
            }
        }
        assert_eq!(definition(ResourceType::Rule, "ActiveTimeSeries"), None);
    }
}
