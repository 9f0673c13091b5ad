//! Metrics as the API's JSON.

use model::ResourceId;
use platform_metrics::{Aggregation, Definition, Interval, ResourceType, TimeSeries};
use serde_json::{Map, Value, json};

use super::request::{Metric, Request};
use super::utc;

/// A metric with its series.
pub(super) fn metric(id: &ResourceId, asked: &Request, metric: &Metric, found: Vec<TimeSeries>) -> Value {
    let definition = metric.definition;
    let aggregations = asked.aggregations(metric);
    let series: Vec<Value> =
        found.iter().map(|series| time_series(series, aggregations, asked.metadata_only)).collect();
    json!({
        "id": format!("{id}/providers/Microsoft.Insights/metrics/{}", definition.name),
        "type": "Microsoft.Insights/metrics",
        "name": { "value": definition.name, "localizedValue": definition.display_name },
        "displayDescription": definition.description,
        "unit": definition.unit.as_str(),
        "timeseries": series,
        "errorCode": "Success",
    })
}

/// The metrics that a resource has.
pub(super) fn definitions(id: &ResourceId, of: ResourceType) -> impl Iterator<Item = Value> {
    platform_metrics::definitions(of).iter().map(move |one| definition(id, of, one))
}

/// The namespace of a resource's metrics.
pub(super) fn namespace(id: &ResourceId, of: ResourceType) -> Value {
    let namespace = of.namespace();
    json!({
        "id": format!("{id}/providers/Microsoft.Insights/metricNamespaces/{namespace}"),
        "type": "Microsoft.Insights/metricNamespaces",
        "name": namespace,
        "classification": "Platform",
        "properties": { "metricNamespaceName": namespace },
    })
}

fn definition(id: &ResourceId, of: ResourceType, definition: &Definition) -> Value {
    let grains: Vec<Value> = Interval::all().map(|interval| json!({ "timeGrain": interval.to_string() })).collect();
    let dimensions: Vec<Value> = definition
        .dimensions
        .iter()
        .map(|dimension| json!({ "value": dimension.name, "localizedValue": dimension.name }))
        .collect();
    let aggregations: Vec<&str> = definition.aggregations.iter().map(|aggregation| aggregation.as_str()).collect();
    json!({
        "id": format!("{id}/providers/microsoft.insights/metricdefinitions/{}", definition.name),
        "resourceId": id.as_str(),
        "namespace": of.namespace(),
        "name": { "value": definition.name, "localizedValue": definition.display_name },
        "displayDescription": definition.description,
        "isDimensionRequired": false,
        "unit": definition.unit.as_str(),
        "primaryAggregationType": definition.primary_aggregation.as_str(),
        "supportedAggregationTypes": aggregations,
        "metricAvailabilities": grains,
        "dimensions": dimensions,
    })
}

fn time_series(series: &TimeSeries, aggregations: &[Aggregation], metadata_only: bool) -> Value {
    let metadata: Vec<Value> = series
        .dimensions
        .iter()
        // Names of dimensions are in lower case here, as in Azure's answers.
        .map(|(dimension, value)| {
            let name = dimension.name.to_ascii_lowercase();
            json!({ "name": { "value": name, "localizedValue": name }, "value": value })
        })
        .collect();
    if metadata_only {
        return json!({ "metadatavalues": metadata });
    }
    let data = series.data.iter().map(|point| {
        let mut shape = Map::new();
        shape.insert("timeStamp".to_owned(), Value::from(utc(point.at)));
        for aggregation in aggregations {
            if let Some(value) = point.get(*aggregation) {
                shape.insert(aggregation.as_str().to_ascii_lowercase(), Value::from(value));
            }
        }
        Value::Object(shape)
    });
    json!({ "metadatavalues": metadata, "data": data.collect::<Vec<_>>() })
}
