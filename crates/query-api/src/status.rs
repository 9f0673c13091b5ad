//! Pages of status: what Grafana and other clients ask before they query.
//!
//! Of an installation nothing is told here that only its operator may know: no paths, no host name.

use catalog::Workspace;
use jiff::{Timestamp, Unit};
use model::TimestampMs;
use promql::EngineOptions;
use serde::Serialize;
use serde_json::json;
use storage::{Count, Statistics};

use crate::answer::{self, Remarks};
use crate::error::ApiError;
use crate::json;
use crate::params::{ParamError, Params};
use crate::reply::Reply;
use crate::{QueryApi, Settings};

/// The version of Prometheus whose language and API this is: clients choose by it what they ask.
const API_VERSION: &str = "3.14.0";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildInfo {
    version: &'static str,
    revision: &'static str,
    branch: &'static str,
    build_user: &'static str,
    build_date: &'static str,
    go_version: &'static str,
}

pub(crate) fn build_info() -> Reply {
    Reply::Json(answer::data(&BuildInfo {
        version: API_VERSION,
        revision: env!("CARGO_PKG_VERSION"),
        branch: "remora",
        build_user: "",
        build_date: "",
        go_version: "",
    }))
}

#[derive(Serialize)]
struct RuntimeInfo {
    #[serde(rename = "startTime")]
    start_time: String,
    #[serde(rename = "CWD")]
    cwd: &'static str,
    hostname: &'static str,
    #[serde(rename = "serverTime")]
    server_time: String,
    #[serde(rename = "reloadConfigSuccess")]
    reload_config_success: bool,
    #[serde(rename = "lastConfigTime")]
    last_config_time: String,
    #[serde(rename = "corruptionCount")]
    corruption_count: u64,
    #[serde(rename = "goroutineCount")]
    goroutine_count: usize,
    #[serde(rename = "GOMAXPROCS")]
    gomaxprocs: usize,
    #[serde(rename = "GOMEMLIMIT")]
    gomemlimit: i64,
    #[serde(rename = "GOGC")]
    gogc: &'static str,
    #[serde(rename = "GODEBUG")]
    godebug: &'static str,
    #[serde(rename = "storageRetention")]
    storage_retention: String,
}

impl QueryApi {
    /// `retention` is how long the workspace keeps samples, if that is set for it.
    pub(crate) fn runtime_info(&self, workspace: &Workspace) -> Reply {
        let started = rfc3339(self.started);
        let retention = workspace.storage.retention_days.map(|days| format!("{days}d"));
        Reply::Json(answer::data(&RuntimeInfo {
            start_time: started.clone(),
            cwd: "",
            hostname: "",
            server_time: rfc3339(self.now()),
            reload_config_success: true,
            last_config_time: started,
            corruption_count: 0,
            goroutine_count: 0,
            gomaxprocs: std::thread::available_parallelism().map_or(1, usize::from),
            gomemlimit: i64::MAX,
            gogc: "",
            godebug: "",
            storage_retention: retention.unwrap_or_default(),
        }))
    }
}

/// The settings that shape answers, under the names of Prometheus' flags.
pub(crate) fn flags(settings: &Settings, engine: EngineOptions) -> Reply {
    let features = settings.features().join(",");
    Reply::Json(answer::data(&json!({
        "enable-feature": features,
        "query.lookback-delta": format!("{}ms", engine.lookback_delta_ms),
        "query.max-concurrency": settings.concurrency.to_string(),
        "query.max-samples": engine.samples_max.to_string(),
        "query.timeout": format!("{}s", settings.timeout.as_secs()),
    })))
}

/// What of a configuration concerns queries: nothing is scraped or alerted on here.
pub(crate) fn config(engine: EngineOptions) -> Reply {
    let yaml = format!("global:\n  evaluation_interval: {}s\n", engine.subquery_step_ms / 1000);
    Reply::Json(answer::data(&json!({ "yaml": yaml })))
}

/// How many names the lists of `/status/tsdb` have.
pub(crate) fn statistics_limit(params: &Params) -> Result<usize, ApiError> {
    let text = params.get("limit");
    if text.is_empty() {
        return Ok(LIMIT);
    }
    match text.parse::<usize>() {
        Ok(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
        Ok(limit) if limit > LIMIT_MAX => Err(ParamError::Said(format!("limit must not exceed {LIMIT_MAX}")).into()),
        _ => Err(ParamError::Said("limit must be a positive number".to_owned()).into()),
    }
}

/// `/status/tsdb`.
pub(crate) fn tsdb(statistics: &Statistics) -> Reply {
    // As Prometheus' head, which has its ends the wrong way round while it is empty.
    let (start, end) = statistics.range.map_or((i64::MAX, i64::MIN), |range| (range.start.0, range.end.0));
    let head = json!({
        "chunkCount": statistics.chunks,
        "maxTime": end,
        "minTime": start,
        "numLabelPairs": statistics.label_pairs,
        "numSeries": statistics.series,
    });
    Reply::Json(answer::success(&Remarks::default(), |out| {
        out.extend_from_slice(b"{\"headStats\":");
        out.extend_from_slice(head.to_string().as_bytes());
        for (key, counts) in [
            ("seriesCountByMetricName", &statistics.series_by_metric_name),
            ("labelValueCountByLabelName", &statistics.values_by_label_name),
            ("memoryInBytesByLabelName", &statistics.bytes_by_label_name),
            ("seriesCountByLabelValuePair", &statistics.series_by_label_pair),
        ] {
            out.push(b',');
            json::write_text(out, key);
            out.push(b':');
            json::write_list(out, counts, write_count);
        }
        out.push(b'}');
    }))
}

fn write_count(out: &mut Vec<u8>, Count { name, count }: &Count) {
    out.extend_from_slice(b"{\"name\":");
    json::write_text(out, name);
    out.extend_from_slice(format!(",\"value\":{count}}}").as_bytes());
}

fn rfc3339(at: TimestampMs) -> String {
    let time = Timestamp::from_millisecond(at.0).and_then(|time| time.round(Unit::Millisecond));
    time.map(|time| time.to_string()).unwrap_or_default()
}

const LIMIT: usize = 10;
const LIMIT_MAX: usize = 10_000;
