//! What workspaces and rules use of their limits now.

use access::READ_METRICS;
use quota::Use;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;
use crate::route::{At, Right, Route, Verb, handler};
use crate::{accounts, rules};

pub(crate) const ROUTES: &[Route] = &[
    Route::new(
        Verb::Get,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Monitor/accounts/{name}/usages",
        Right::Action("Microsoft.Monitor/accounts/read", At::Path),
        accounts::VERSIONS,
        handler!(of_workspace),
    ),
    Route::new(
        Verb::Get,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Insights/dataCollectionRules/{name}/usages",
        Right::Action("Microsoft.Insights/dataCollectionRules/read", At::Path),
        rules::VERSIONS,
        handler!(of_rule),
    ),
];

async fn of_workspace(call: Call) -> Result<Answer, ArmError> {
    let (workspace, _) = accounts::found(&call)?;
    let usage = call.parts.quotas.workspace(workspace.account_id).usage(call.parts.clock.monotonic());
    let mut value = minute(&call, "EventsPerMinute", "Count", usage.events);
    value[0]["minuteSecondsLeft"] = Value::from(usage.minute_left.as_secs());
    // Names of metrics are data: to manage a workspace is not to read it.
    let reads_data = call
        .caller
        .as_ref()
        .is_some_and(|caller| call.policy.allows(caller, READ_METRICS, &workspace.envelope.id).is_allowed());
    if reads_data {
        let contributors = usage.contributors.iter().map(|one| json!({ "metric": one.metric, "events": one.events }));
        value[0]["topMetrics"] = contributors.collect();
    }
    value.push(entry(&call, "ActiveTimeSeries", "Count", usage.active_series, usage.active_series_limit));
    Ok(Answer::ok(json!({ "value": value, "nextLink": null })))
}

async fn of_rule(call: Call) -> Result<Answer, ArmError> {
    let (rule, _) = rules::found(&call)?;
    let usage = call.parts.quotas.rule(&rule.immutable_id).usage(call.parts.clock.monotonic());
    let mut value = minute(&call, "RequestsPerMinute", "Count", usage.requests);
    value.extend(minute(&call, "BytesPerMinute", "Bytes", usage.bytes));
    Ok(Answer::ok(json!({ "value": value, "nextLink": null })))
}

/// The minute that runs, and the one before it, which is the one that is complete.
fn minute(call: &Call, name: &str, unit: &str, of: Use) -> Vec<Value> {
    let mut entry = entry(call, name, unit, of.used, of.limit);
    entry["previousValue"] = Value::from(of.used_before);
    vec![entry]
}

fn entry(call: &Call, name: &str, unit: &str, used: u64, limit: u64) -> Value {
    json!({
        "id": format!("{}/{name}", call.path()),
        "name": { "value": name, "localizedValue": name },
        "unit": unit,
        "currentValue": used,
        "limit": limit,
    })
}
