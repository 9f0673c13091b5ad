//! `remora usage`: use against limits, live.

use std::time::Duration;

use serde_json::Value;

use super::Session;
use super::console::{self, Format};
use crate::cli::limit::Usage;
use crate::client::{Client, ClientError, Kind, RULE, WORKSPACE, encode_id, number, text, text_or};

pub(super) async fn perform(session: &mut Session, arguments: Usage) -> Result<(), ClientError> {
    let targets = targets(&session.client, &arguments.resources).await?;
    loop {
        let uses = read(&session.client, &targets).await?;
        print(session, &uses, arguments.watch.is_some())?;
        let Some(seconds) = arguments.watch else { return Ok(()) };
        let clock = std::sync::Arc::clone(session.client.clock());
        clock.sleep(Duration::from_secs(seconds)).await;
    }
}

/// Something that has limits.
pub(super) struct Target {
    noun: &'static str,
    name: String,
    id: String,
    version: &'static str,
}

/// How much of one limit is used.
pub(super) struct Use {
    pub(super) noun: &'static str,
    /// Its name.
    pub(super) resource: String,
    id: String,
    pub(super) used: f64,
    pub(super) limit: f64,
    raw: Value,
}

impl Use {
    /// What is limited, for people.
    pub(super) fn label(&self) -> &str {
        match text(&self.raw, "/name/value") {
            "ActiveTimeSeries" => "active series",
            "EventsPerMinute" => "events a minute",
            "RequestsPerMinute" => "requests a minute",
            "BytesPerMinute" => "bytes a minute",
            other => text_or(&self.raw, "/name/localizedValue", other),
        }
    }

    /// What was used in the last whole minute, where minutes count.
    fn last_minute(&self) -> String {
        number(&self.raw, "/previousValue").map(grouped).unwrap_or_default()
    }

    /// Metrics with what they contributed.
    fn top_metrics(&self) -> impl Iterator<Item = (&str, f64)> {
        let metrics = self.raw.get("topMetrics").and_then(Value::as_array);
        metrics.into_iter().flatten().map(|one| (text(one, "/metric"), number(one, "/events").unwrap_or_default()))
    }

    /// As the service has it, with the resource.
    pub(super) fn as_json(&self) -> Value {
        let mut raw = self.raw.clone();
        raw["resource"] = Value::from(self.id.as_str());
        raw
    }

    /// Use of the limit; more than one while a large request is paid for.
    fn share(&self) -> f64 {
        if self.limit > 0.0 { self.used / self.limit } else { 0.0 }
    }
}

/// What is named, in both kinds; all that there is when nothing is.
pub(super) async fn targets(client: &Client, named: &[String]) -> Result<Vec<Target>, ClientError> {
    let mut targets = Vec::new();
    if named.is_empty() {
        for kind in [&WORKSPACE, &RULE] {
            targets.extend(client.list_kind(kind).await?.iter().map(|resource| target(kind, resource)));
        }
    }
    for name in named {
        let (before, mut refused) = (targets.len(), None);
        let is_of = |kind: &Kind| name.to_ascii_lowercase().contains(&kind.resource_type.to_ascii_lowercase());
        for kind in [&WORKSPACE, &RULE] {
            if name.starts_with('/') && !is_of(kind) {
                continue;
            }
            // A workspace and a rule often have one name: then both are meant, or that which may be read.
            match client.resolve_if_any(kind, name).await {
                Ok(Ok(found)) => targets.push(target(kind, &found)),
                Ok(Err(_)) => {}
                Err(ClientError::Refused(refusal)) => refused = refused.or(Some(refusal)),
                Err(error) => return Err(error),
            }
        }
        if targets.len() == before {
            let unknown = || {
                ClientError::Failed(format!(
                    "there is no workspace and no rule {name:?} (that this credential may read); `remora usage` shows all"
                ))
            };
            return Err(refused.map_or_else(unknown, ClientError::Refused));
        }
    }
    Ok(targets)
}

fn target(kind: &Kind, resource: &Value) -> Target {
    Target {
        noun: kind.noun,
        name: text(resource, "/name").to_owned(),
        id: text(resource, "/id").to_owned(),
        version: kind.api_version,
    }
}

/// Asks for the use of each.
pub(super) async fn read(client: &Client, targets: &[Target]) -> Result<Vec<Use>, ClientError> {
    let mut uses = Vec::new();
    for target in targets {
        let found = client.list(&format!("{}/usages", encode_id(&target.id)), target.version).await?;
        uses.extend(found.into_iter().map(|raw| Use {
            noun: target.noun,
            resource: target.name.clone(),
            id: target.id.clone(),
            used: number(&raw, "/currentValue").unwrap_or_default(),
            limit: number(&raw, "/limit").unwrap_or_default(),
            raw,
        }));
    }
    Ok(uses)
}

fn print(session: &mut Session, uses: &[Use], again: bool) -> Result<(), ClientError> {
    let out = &mut session.console;
    match out.format() {
        // One line each time, so that a stream of them can be read.
        Format::Json if again => {
            let line = Value::Array(uses.iter().map(Use::as_json).collect());
            out.write(&format!("{line}\n"))
        }
        Format::Json => out.json(&Value::Array(uses.iter().map(Use::as_json).collect())),
        Format::Quiet => {
            let mut lines = uses.iter().map(|one| format!("{} {}", one.resource, text(&one.raw, "/name/value")));
            lines.try_for_each(|line| out.line(&line))
        }
        Format::Table => {
            let mut columns = vec!["RESOURCE", "NAME", "LIMIT", "LAST MINUTE", "USED", "OF", "%"];
            let has_bars = out.width().is_some();
            if has_bars {
                columns.push("");
            }
            let row = |one: &Use| {
                let percent = format!("{:.1}", one.share() * 100.0);
                let mut row =
                    vec![one.noun.to_owned(), one.resource.clone(), one.label().to_owned(), one.last_minute()];
                row.extend([grouped(one.used), grouped(one.limit), percent]);
                if has_bars {
                    row.push(bar(one.share()));
                }
                row
            };
            let mut text = out.layout(&columns, uses.iter().map(row).collect());
            for one in uses {
                let top: Vec<String> =
                    one.top_metrics().map(|(name, count)| format!("{name} ({})", grouped(count))).collect();
                if !top.is_empty() {
                    let top = console::printable(&top.join(", "));
                    text.push_str(&format!("\n{} takes most of them by: {top}\n", console::printable(&one.resource)));
                }
            }
            // A terminal shows it in place of the last one.
            let start = if again && has_bars { "\u{1b}[H\u{1b}[2J" } else { "" };
            let end = if again && !has_bars { "\n" } else { "" };
            out.write(&format!("{start}{text}{end}"))
        }
    }
}

/// A bar for a share of one, full from one on.
fn bar(share: f64) -> String {
    let filled = (share.clamp(0.0, 1.0) * BAR_CELLS as f64).round() as usize;
    // Something is always to be seen of what is used at all.
    let filled = if share > 0.0 { filled.max(1) } else { 0 };
    format!("{}{}", "█".repeat(filled), "░".repeat(BAR_CELLS - filled))
}

/// A count with its thousands apart.
pub(super) fn grouped(count: f64) -> String {
    let digits = format!("{:.0}", count.max(0.0));
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

const BAR_CELLS: usize = 20;

#[cfg(test)]
mod tests;
