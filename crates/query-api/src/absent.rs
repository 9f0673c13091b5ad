//! Targets, rules, alerts and their like: a workspace has none, and says so as a Prometheus without any does.

use serde_json::{Value, json};

use crate::answer;
use crate::error::ApiError;
use crate::evaluation::times;
use crate::listing::selectors;
use crate::params::{ParamError, Params};
use crate::reply::Reply;
use crate::route::Absent;

/// Answers after the parameters have been looked at as if there were something.
pub(crate) fn absent(what: Absent, params: &Params) -> Result<Reply, ApiError> {
    let data: Value = match what {
        Absent::Targets => match params.get("state").to_ascii_lowercase().as_str() {
            // Counts of dropped targets are not looked at when nobody asks for them.
            "active" => json!({ "activeTargets": [], "droppedTargets": [], "droppedTargetCounts": null }),
            _ => json!({ "activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {} }),
        },
        Absent::TargetMetadata => {
            params.number("limit")?;
            let target = params.get("match_target");
            if !target.is_empty() {
                let parsed = promql_syntax::parse_metric_selector(target);
                parsed.map_err(|source| ApiError::Parse { parameter: "match_target", source })?;
            }
            json!([])
        }
        Absent::ScrapePools => json!({ "scrapePools": [] }),
        Absent::Rules => {
            check_rules(params)?;
            json!({ "groups": [] })
        }
        Absent::Alerts => json!({ "alerts": [] }),
        Absent::Alertmanagers => json!({ "activeAlertmanagers": [], "droppedAlertmanagers": [] }),
        Absent::Notifications => json!([]),
    };
    Ok(Reply::Json(answer::data(&data)))
}

fn check_rules(params: &Params) -> Result<(), ApiError> {
    selectors(params)?;
    let kind = params.get("type");
    if !matches!(kind.to_ascii_lowercase().as_str(), "" | "alert" | "record") {
        return Err(times("type", &format!("not supported value {:?}", kind.to_ascii_lowercase())));
    }
    params.boolean("exclude_alerts")?;
    let (limit, token) = (params.get("group_limit"), params.get("group_next_token"));
    if !token.is_empty() && limit.is_empty() {
        let reason = "group_limit needs to be present in order to paginate over the groups";
        return Err(times("group_next_token", reason));
    }
    if limit.is_empty() {
        return Ok(());
    }
    match limit.parse::<i32>() {
        Ok(limit) if limit > 0 && token.is_empty() => Ok(()),
        Ok(limit) if limit > 0 => {
            let reason = format!("invalid group_next_token '{token}'. were rule groups changed?");
            Err(times("group_next_token", &reason))
        }
        Ok(_) => Err(times("group_limit", "group_limit needs to be greater than 0")),
        Err(_) => Err(ParamError::Said("group_limit needs to be a valid number".to_owned()).into()),
    }
}
