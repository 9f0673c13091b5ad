//! Limits of a workspace (`Microsoft.Monitor/accounts/metricsContainers`), and when they may be raised (contract §4.3).

use catalog::{Workspace, WorkspaceLimits};
use quota::WorkspaceUsage;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::bodies::{self, ContainerSpec};
use crate::call::Call;
use crate::error::ArmError;
use crate::route::{At, Right, Route, Verb, handler};
use crate::{LimitRules, accounts, shape};

pub(crate) const ROUTES: &[Route] = &[
    Route::new(Verb::Get, LIST, Right::Action(READ, At::Path), accounts::VERSIONS, handler!(list)),
    Route::new(Verb::Get, ONE, Right::Action(READ, At::Path), accounts::VERSIONS, handler!(show)),
    Route::new(Verb::Put, ONE, Right::Action(WRITE, At::Path), accounts::VERSIONS, handler!(put)),
    Route::new(Verb::Patch, ONE, Right::Action(WRITE, At::Path), accounts::VERSIONS, handler!(put)),
];

const LIST: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Monitor/accounts/{name}/metricsContainers";
const ONE: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Monitor/accounts/{name}/metricsContainers/{container}";
const READ: &str = "Microsoft.Monitor/accounts/metricsContainers/read";
const WRITE: &str = "Microsoft.Monitor/accounts/metricsContainers/write";

async fn list(call: Call) -> Result<Answer, ArmError> {
    let (workspace, _) = accounts::found(&call)?;
    Ok(Answer::ok(json!({ "value": [shape(&call, &workspace)], "nextLink": null })))
}

async fn show(call: Call) -> Result<Answer, ArmError> {
    let workspace = container(&call)?;
    Ok(Answer::ok(shape(&call, &workspace)).with_etag(&workspace.envelope.etag))
}

async fn put(call: Call) -> Result<Answer, ArmError> {
    let precondition = call.precondition()?;
    let workspace = container(&call)?;
    let wanted = bodies::container(call.json().await?).map_err(|problems| ArmError::invalid(&problems))?;
    let quota = call.parts.quotas.workspace(workspace.account_id);
    check(&call.settings.limits, &wanted, &quota.usage(call.parts.clock.monotonic()))?;
    let limits = WorkspaceLimits {
        active_series_max: wanted.active_series_max.or(workspace.limits.active_series_max),
        events_per_minute_max: wanted.events_per_minute_max.or(workspace.limits.events_per_minute_max),
    };
    let put = call.store().set_limits(&call.actor(), &workspace.envelope.id, limits, precondition).await?;
    Ok(Answer::ok(shape(&call, &put.resource)).with_etag(&put.resource.envelope.etag))
}

/// The container's workspace. There is one container, `default`.
fn container(call: &Call) -> Result<std::sync::Arc<Workspace>, ArmError> {
    let (workspace, _) = accounts::found(call)?;
    match call.param("container").eq_ignore_ascii_case(DEFAULT) {
        true => Ok(workspace),
        false => Err(ArmError::no_resource(&call.path())),
    }
}

/// Whether limits may be what is wanted. Lowering one is never refused, nor is leaving it as it is.
fn check(rules: &LimitRules, wanted: &ContainerSpec, usage: &WorkspaceUsage) -> Result<(), ArmError> {
    let series = (wanted.active_series_max, usage.active_series_limit, usage.active_series);
    let events = (wanted.events_per_minute_max, usage.events.limit, usage.events.used.max(usage.events.used_before));
    for (name, short, (wanted, limit, used)) in
        [("ActiveTimeSeries", "MaxTimeSeries", series), ("EventsPerMinute", "MaxEventsPerMinute", events)]
    {
        let Some(wanted) = wanted else { continue };
        let refuse = |message: String| Err(ArmError::bad_request("BadRequest", message));
        if wanted == 0 {
            return refuse(format!("{name} quota requested is zero: nothing could be written"));
        }
        if wanted <= limit {
            continue;
        }
        if wanted > rules.raised_max {
            return refuse(format!("{name} quota requested exceeds the maximum limit of {}", rules.raised_max));
        }
        let enough = u128::from(used) * 100 >= u128::from(wanted) * u128::from(rules.use_percent_min);
        if wanted > rules.approved_max && !enough {
            return refuse(format!("The current utilization does not meet the criteria for {short} quota requested."));
        }
    }
    Ok(())
}

fn shape(call: &Call, workspace: &Workspace) -> Value {
    let defaults = call.parts.quotas.defaults().workspace;
    let WorkspaceLimits { active_series_max, events_per_minute_max } = workspace.limits;
    let envelope = &workspace.envelope;
    json!({
        "id": format!("{}/metricsContainers/{DEFAULT}", accounts::shown_id(workspace)),
        "name": DEFAULT,
        "type": "Microsoft.Monitor/accounts/metricsContainers",
        "properties": {
            "version": "1.0",
            "provisioningState": "Succeeded",
            "limits": {
                "maxActiveTimeSeries": active_series_max.unwrap_or(defaults.active_series),
                "maxEventsPerMinute": events_per_minute_max.unwrap_or(defaults.events_per_minute),
            },
        },
        "systemData": shape::system_data(&envelope.created, &envelope.modified),
    })
}

const DEFAULT: &str = "default";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use quota::Use;

    use super::*;

    #[test]
    fn raising_follows_the_use() {
        let usage = |series: u64, events: u64, before: u64| WorkspaceUsage {
            events: Use { used: events, limit: 1_000_000, used_before: before },
            minute_left: Duration::ZERO,
            active_series: series,
            active_series_limit: 1_000_000,
            received: 0,
            stored: 0,
            dropped: Default::default(),
            contributors: Vec::new(),
        };
        let too_much = "ActiveTimeSeries quota requested exceeds the maximum limit of 20000000";
        let too_little = "The current utilization does not meet the criteria for MaxTimeSeries quota requested.";
        let too_few_events =
            "The current utilization does not meet the criteria for MaxEventsPerMinute quota requested.";
        for (series, events, usage, refusal) in [
            (Some(2_000_000), Some(2_000_000), usage(0, 0, 0), None),
            (Some(2_000_001), None, usage(1_000_000, 0, 0), Some(too_little)),
            (Some(2_000_000), None, usage(1_000_000, 0, 0), None),
            (Some(4_000_000), None, usage(2_000_000, 0, 0), None),
            (Some(4_000_002), None, usage(2_000_000, 0, 0), Some(too_little)),
            (Some(20_000_000), None, usage(10_000_000, 0, 0), None),
            (Some(20_000_001), None, usage(20_000_000, 0, 0), Some(too_much)),
            (None, Some(3_000_000), usage(0, 0, 1_500_000), None),
            (None, Some(3_000_000), usage(0, 1_400_000, 1_499_999), Some(too_few_events)),
            (Some(10), Some(1), usage(0, 0, 0), None),
            (Some(u64::MAX), None, usage(u64::MAX, 0, 0), Some(too_much)),
            (Some(0), None, usage(0, 0, 0), Some("ActiveTimeSeries quota requested is zero: nothing could be written")),
        ] {
            let wanted = ContainerSpec { active_series_max: series, events_per_minute_max: events };
            let found = check(&LimitRules::default(), &wanted, &usage).err().map(|error| error.message);
            assert_eq!(found.as_deref(), refusal, "{wanted:?}");
        }
    }
}
