//! `ledger tail`: the refused series, the latest last.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use environment::Clock as _;
use host::logging::Rfc3339;
use host::{HostClock, HostDisk};
use spool::{EntryId, Refusal};

use super::words::{counts_text, harmless, refusal_json};
use super::{Common, LedgerError, print};
use crate::settings::LedgerSettings;

/// Arguments of `ledger tail`.
#[derive(Args)]
pub(crate) struct Tail {
    #[command(flatten)]
    common: Common,
    /// How many of the latest to show
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 10)]
    lines: usize,
    /// Go on showing what is refused from now on
    #[arg(short, long)]
    follow: bool,
}

pub(super) async fn run(tail: &Tail, settings: &LedgerSettings) -> Result<ExitCode, LedgerError> {
    let directory = tail.common.directory(settings)?;
    let refusals = spool::read_refusals(&HostDisk, &directory)?;
    let skipped = refusals.len().saturating_sub(tail.lines);
    show(&refusals[skipped..], tail.common.json)?;
    if refusals.is_empty() && !tail.common.json {
        eprintln!("no series was refused");
    }
    let mut last = refusals.last().map(Mark::of);
    if !tail.follow {
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        HostClock::new().sleep(FOLLOW_INTERVAL).await;
        let refusals = spool::read_refusals(&HostDisk, &directory)?;
        show(behind(&refusals, last.as_ref()), tail.common.json)?;
        last = refusals.last().map(Mark::of).or(last);
    }
}

fn show(refusals: &[Refusal], json: bool) -> Result<(), LedgerError> {
    let mut text = String::new();
    for refusal in refusals {
        if json {
            _ = writeln!(text, "{}", refusal_json(refusal));
        } else {
            text.push_str(&for_people(refusal));
        }
    }
    print(&text)
}

fn for_people(refusal: &Refusal) -> String {
    let status = refusal.status.map(|status| format!(" (status {status})")).unwrap_or_default();
    let mut text = format!(
        "{}  {}{status}  {}\n    {}\n",
        Rfc3339(refusal.at),
        refusal.reason.name(),
        counts_text(refusal.tally),
        harmless(&refusal.series)
    );
    if !refusal.answer.trim().is_empty() {
        _ = writeln!(text, "    answer: {}", harmless(&refusal.answer));
    }
    text
}

/// Which refusal was shown last; the ring may have turned since.
#[derive(PartialEq)]
struct Mark {
    entry: EntryId,
    at: environment::UnixTime,
    series: String,
}

impl Mark {
    fn of(refusal: &Refusal) -> Self {
        Self { entry: refusal.entry, at: refusal.at, series: refusal.series.clone() }
    }
}

/// What came behind the one shown last; all if that is gone.
fn behind<'a>(refusals: &'a [Refusal], last: Option<&Mark>) -> &'a [Refusal] {
    let shown = last.and_then(|last| refusals.iter().rposition(|refusal| Mark::of(refusal) == *last));
    &refusals[shown.map_or(0, |place| place + 1)..]
}

const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use environment::UnixTime;
    use spool::{Counts, Rejection};

    use super::*;

    fn refusal(entry: u64, series: &str) -> Refusal {
        Refusal {
            at: UnixTime::from_secs(1_790_000_000 + entry.cast_signed()),
            entry: EntryId(entry),
            reason: Rejection::Invalid,
            status: Some(400),
            answer: "out of order\nsample\u{1b}[0m".to_owned(),
            series: series.to_owned(),
            tally: Counts { samples: 2, histograms: 0, exemplars: 0 },
            body: bytes::Bytes::from_static(b"xx"),
        }
    }

    #[test]
    fn a_refusal_is_told_with_reason_and_answer() {
        let expected = "2026-09-21T14:13:21Z  invalid (status 400)  2 floats\n    up{job=\"a\"}\n    answer: out of order sample [0m\n";
        assert_eq!(for_people(&refusal(1, "up{job=\"a\"}")), expected);
        let silent = Refusal { status: None, answer: " ".to_owned(), ..refusal(1, "up") };
        assert_eq!(for_people(&silent), "2026-09-21T14:13:21Z  invalid  2 floats\n    up\n");
    }

    #[test]
    fn following_shows_each_once_also_when_the_ring_turns() {
        let ring: Vec<Refusal> =
            [(1, "a"), (1, "b"), (2, "a"), (3, "a")].map(|(entry, series)| refusal(entry, series)).into();
        for (shown, left) in [(None, 4), (Some(0), 3), (Some(1), 2), (Some(3), 0)] {
            let mark = shown.map(|place: usize| Mark::of(&ring[place]));
            assert_eq!(behind(&ring, mark.as_ref()).len(), left, "{shown:?}");
        }
        assert_eq!(behind(&ring[2..], Some(&Mark::of(&ring[0]))).len(), 2, "the one shown last has gone");
        assert!(behind(&[], Some(&Mark::of(&ring[0]))).is_empty());
    }
}
