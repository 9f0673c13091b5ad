//! The report for programs.

use host::logging::Rfc3339;
use serde_json::{Value, json};

use super::{Report, Step};

pub(super) fn of(report: &Report) -> Value {
    json!({
        "schema": SCHEMA,
        "version": report.version,
        "at": Rfc3339(report.at).to_string(),
        "subject": report.subject,
        "verdict": report.verdict(),
        "exit_code": report.exit_code(),
        "first_broken": report.first_broken().map(|step| step.link.name()),
        "steps": report.steps.iter().map(of_step).collect::<Vec<_>>(),
    })
}

fn of_step(step: &Step) -> Value {
    let details: Vec<Value> =
        step.details.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    json!({
        "link": step.link.name(),
        "status": step.status.name(),
        "finding": step.finding,
        "details": details,
        "mend": step.mend,
        "took_ms": u64::try_from(step.took.as_millis()).unwrap_or(u64::MAX),
    })
}

/// Changes only when a program that reads the old one would misread the new one.
const SCHEMA: &str = "remora.doctor/1";
