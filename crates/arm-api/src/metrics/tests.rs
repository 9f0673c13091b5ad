use model::{LabelsBuilder, METRIC_NAME, TimestampMs};
use platform_metrics::{ResourceType, definition};
use serde_json::{Value, json};
use testkit::series_store::{SeriesStore, StoredValue};

use crate::testing::{Bench, GROUP, STRANGER};

/// 2026-09-21T14:13:00Z: the minute that the test's clock is in.
const MINUTE_MS: i64 = 1_789_999_980_000;

struct Measured {
    bench: Bench,
    workspace: String,
    system: SeriesStore,
    account: String,
}

impl Measured {
    async fn new() -> Self {
        let bench = Bench::new().await;
        let path = |name: &str| format!("{GROUP}/providers/Microsoft.Monitor/accounts/{name}");
        for name in ["system", "measured"] {
            let made = bench.put(&path(name), json!({ "location": "local" })).await;
            assert!(made.status < 300, "{made:?}");
        }
        let snapshot = bench.store.catalog().snapshot();
        let account = |handle: &str| snapshot.workspace(handle).unwrap().account_id;
        let system = bench.storages.open(account("system"));
        let account = account("measured").to_string();
        Self { bench, workspace: path("measured"), system, account }
    }

    /// Records one value of a metric, some minutes ago.
    fn record(&self, metric: &str, reason: Option<&str>, minutes_ago: i64, value: f64) {
        let mut labels = LabelsBuilder::default();
        labels.push(METRIC_NAME, definition(ResourceType::Workspace, metric).unwrap().series);
        labels.push("account_id", &self.account);
        if let Some(reason) = reason {
            labels.push("reason", reason);
        }
        let at = TimestampMs(MINUTE_MS - minutes_ago * 60_000);
        self.system.insert(&labels.build().unwrap(), at, StoredValue::Float(value));
    }

    async fn values(&self, query: &str) -> Value {
        let path = format!("{}/providers/Microsoft.Insights/metrics?{query}", self.workspace);
        let said = self.bench.get(&path).await;
        assert_eq!(said.status, 200, "{said:?}");
        said.body
    }
}

/// Points that have a value, of one series.
fn points(series: &Value, aggregation: &str) -> Vec<(String, f64)> {
    let points = series["data"].as_array().unwrap().iter();
    points.filter_map(|point| Some((point["timeStamp"].as_str()?.to_owned(), point[aggregation].as_f64()?))).collect()
}

#[tokio::test]
async fn values_as_az_asks_for_them() {
    let measured = Measured::new().await;
    for (ago, value) in [(0, 5.0), (1, 7.0), (6, 1.0)] {
        measured.record("ActiveTimeSeries", None, ago, value);
    }
    // Naive times with fractions, encoded twice.
    let span = "timespan=2026-09-21T14%253A00%253A00.5%252F2026-09-21T14%253A14%253A00.5";
    let body = measured.values(&format!("interval=PT5M&metricnames=ActiveTimeSeries&{span}&top=10")).await;
    assert_eq!(body["namespace"], "microsoft.monitor/accounts");
    assert_eq!((&body["interval"], &body["resourceregion"]), (&json!("PT5M"), &json!("local")));
    assert_eq!(body["timespan"], "2026-09-21T14:00:00Z/2026-09-21T14:14:00Z");
    let metric = &body["value"][0];
    assert_eq!(metric["id"], format!("{}/providers/Microsoft.Insights/metrics/ActiveTimeSeries", measured.workspace));
    assert_eq!(metric["name"]["value"], "ActiveTimeSeries");
    assert_eq!((&metric["unit"], &metric["errorCode"]), (&json!("Count"), &json!("Success")));
    let found = points(&metric["timeseries"][0], "maximum");
    assert_eq!(found, [("2026-09-21T14:05:00Z".to_owned(), 1.0), ("2026-09-21T14:10:00Z".to_owned(), 7.0)]);

    let body = measured.values("metricnames=ActiveTimeSeries&aggregation=Total,Count&interval=FULL").await;
    let series = &body["value"][0]["timeseries"][0];
    assert_eq!((points(series, "total")[0].1, points(series, "count")[0].1), (13.0, 3.0));
    let all = measured.values("top=10").await;
    assert_eq!(all["value"].as_array().unwrap().len(), platform_metrics::definitions(ResourceType::Workspace).len());
}

#[tokio::test]
async fn values_split_by_reason() {
    let measured = Measured::new().await;
    for (reason, value) in [("LimitThrottling", 3.0), ("OldData", 5.0), ("FutureData", 1.0)] {
        measured.record("EventsDropped", Some(reason), 1, value);
    }
    let reasons = |body: &Value| -> Vec<String> {
        let series = body["value"][0]["timeseries"].as_array().unwrap().iter();
        series.map(|one| one["metadatavalues"][0]["value"].as_str().unwrap().to_owned()).collect()
    };
    let ask = |rest: &str| format!("metricnames=EventsDropped&$filter=Reason%20eq%20'*'{rest}");
    let body = measured.values(&ask("")).await;
    assert_eq!(reasons(&body), ["FutureData", "LimitThrottling", "OldData"]);
    assert_eq!(body["value"][0]["timeseries"][0]["metadatavalues"][0]["name"]["value"], "reason");
    assert_eq!(reasons(&measured.values(&ask("&top=2")).await), ["OldData", "LimitThrottling"], "the largest");
    assert_eq!(
        reasons(&measured.values(&ask("&orderby=maximum%20asc&top=2")).await),
        ["FutureData", "LimitThrottling"]
    );
    let names = measured.values(&ask("&resultType=metadata")).await;
    assert_eq!(reasons(&names).len(), 3);
    assert!(names["value"][0]["timeseries"][0].get("data").is_none());
    let one = measured.values("metricnames=EventsDropped&$filter=Reason%20eq%20'olddata'&aggregation=Total").await;
    assert_eq!(points(&one["value"][0]["timeseries"][0], "total")[0].1, 5.0);
    // Without a filter they are one series.
    let sum = measured.values("metricnames=EventsDropped&aggregation=Total").await;
    assert_eq!(points(&sum["value"][0]["timeseries"][0], "total")[0].1, 9.0);
}

#[tokio::test]
async fn definitions_and_namespaces() {
    let measured = Measured::new().await;
    let ask = async |what: &str| {
        let path = format!("{}/providers/Microsoft.Insights/{what}", measured.workspace);
        measured.bench.get(&path).await.body["value"].clone()
    };
    let all = ask("metricDefinitions").await;
    let dropped = all.as_array().unwrap().iter().find(|one| one["name"]["value"] == "EventsDropped").unwrap();
    assert_eq!(dropped["dimensions"][1]["value"], "Reason");
    assert_eq!(dropped["primaryAggregationType"], "Maximum");
    assert_eq!(dropped["metricAvailabilities"][0]["timeGrain"], "PT1M");
    let namespaces = ask("metricNamespaces").await;
    assert_eq!(namespaces[0]["properties"]["metricNamespaceName"], "microsoft.monitor/accounts");
    let group = measured.bench.get(&format!("{GROUP}/providers/Microsoft.Insights/metricDefinitions")).await;
    assert_eq!((group.status, &group.body["value"]), (200, &json!([])), "a group has none");
}

#[tokio::test]
async fn what_cannot_be_read() {
    let measured = Measured::new().await;
    let ask = async |scope: &str, query: &str| {
        measured.bench.get(&format!("{scope}/providers/Microsoft.Insights/metrics?{query}")).await
    };
    let workspace = measured.workspace.clone();
    for (scope, query, status, code) in [
        (workspace.as_str(), "metricnames=Bogus", 400, "BadRequest"),
        (&workspace, "timespan=P300D&interval=PT1M", 400, "BadRequest"),
        (GROUP, "metricnames=EventsDropped", 400, "BadRequest"),
        (&format!("{workspace}-none"), "top=1", 404, "ResourceNotFound"),
    ] {
        let said = ask(scope, query).await;
        assert_eq!((said.status, said.code()), (status, code), "{scope} {query}");
    }
    let path = format!("{workspace}/providers/Microsoft.Insights/metrics");
    assert_eq!(measured.bench.get_as(STRANGER, &path).await.status, 403);
    let closed = Bench::new().await;
    let made = closed.put(&workspace, json!({ "location": "local" })).await;
    assert!(made.status < 300);
    let said = closed.get(&path).await;
    assert_eq!((said.status, said.code()), (503, "ServiceUnavailable"), "there is no system workspace");
}
