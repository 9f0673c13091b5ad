//! The report for people: plain text, so that it reads the same in a terminal, a log and a ticket.

use std::fmt::Write as _;

use super::{Link, Report, Status, Step};

pub(super) fn render(report: &Report) -> String {
    let mut out = String::with_capacity(2 << 10);
    let _ = writeln!(out, "remora doctor {}: {}\n", report.version, report.subject);
    for step in &report.steps {
        put_step(&mut out, step);
    }
    out.push('\n');
    match report.first_broken() {
        Some(step) => {
            let _ = writeln!(out, "The first broken link is `{}`: {}", step.link.name(), step.finding);
            if let Some(mend) = &step.mend {
                let _ = writeln!(out, "What to do: {mend}");
            }
        }
        None if report.exit_code() == 3 => {
            out.push_str("No link is broken; what is marked `warning` wants attention.\n");
        }
        None => out.push_str("All is well: samples get through.\n"),
    }
    out
}

fn put_step(out: &mut String, step: &Step) {
    let _ = writeln!(out, "{:<8} {:<14} {}", marker(step.status), step.link.name(), step.finding);
    // Facts explain what is wrong. Of what is well only the token's are asked for again and again.
    if !matches!(step.status, Status::Ok | Status::Skipped) || step.link == Link::Token {
        for (name, value) in &step.details {
            let _ = writeln!(out, "{INDENT}{name}: {value}");
        }
    }
    if let Some(mend) = &step.mend {
        let _ = writeln!(out, "{INDENT}mend: {mend}");
    }
}

/// Capital letters are found without colours.
const fn marker(status: Status) -> &'static str {
    match status {
        Status::Failed => "FAILED",
        _ => status.name(),
    }
}

/// Under the findings.
const INDENT: &str = "                        ";
