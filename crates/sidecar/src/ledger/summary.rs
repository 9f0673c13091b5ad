//! `ledger summary`: the equation as a table.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use host::HostDisk;
use serde_json::{Map, Value, json};
use spool::{Counts, Ledger};

use super::words::{counts_json, grouped};
use super::{Common, LedgerError, print};
use crate::settings::LedgerSettings;

pub(super) fn run(common: &Common, settings: &LedgerSettings) -> Result<ExitCode, LedgerError> {
    let directory = common.directory(settings)?;
    let ledger = spool::read_ledger(&HostDisk, &directory)?;
    let text =
        if common.json { format!("{}\n", summary_json(&directory, &ledger)) } else { table(&directory, &ledger) };
    print(&text)?;
    Ok(if balances(&ledger) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn summary_json(directory: &Path, ledger: &Ledger) -> Value {
    let by_reason = |reasons: Vec<(&str, Counts)>| {
        Value::Object(
            reasons.into_iter().map(|(reason, counts)| (reason.to_owned(), counts_json(counts))).collect::<Map<_, _>>(),
        )
    };
    json!({
        "queue_directory": directory.display().to_string(),
        "received": counts_json(ledger.received),
        "delivered": counts_json(ledger.delivered),
        "delivered_unconfirmed": counts_json(ledger.unconfirmed),
        "rejected": by_reason(ledger.rejected.iter().map(|(reason, counts)| (reason.name(), *counts)).collect()),
        "expired": by_reason(ledger.expired.iter().map(|(reason, counts)| (reason.name(), *counts)).collect()),
        "queued": counts_json(ledger.queued),
        "resent": counts_json(ledger.resent),
        "balances": balances(ledger),
    })
}

fn table(directory: &Path, ledger: &Ledger) -> String {
    let mut rows = vec![("received".to_owned(), ledger.received), ("= delivered".to_owned(), ledger.delivered)];
    if has_any(ledger.unconfirmed) {
        rows.push(("    of it unconfirmed".to_owned(), ledger.unconfirmed));
    }
    rows.extend(ledger.rejected.iter().map(|(reason, counts)| (format!("+ rejected {}", reason.name()), *counts)));
    rows.extend(ledger.expired.iter().map(|(reason, counts)| (format!("+ expired {}", reason.name()), *counts)));
    rows.push(("+ queued".to_owned(), ledger.queued));
    let beside = ("resent".to_owned(), ledger.resent);
    let mut text = format!("Queue in {}\n\n{:<26}", directory.display(), "");
    for kind in ["floats", "histograms", "exemplars"] {
        _ = write!(text, " {kind:>18}");
    }
    text.push('\n');
    for (name, counts) in &rows {
        row(&mut text, name, *counts);
    }
    text.push('\n');
    row(&mut text, &beside.0, beside.1);
    text.push_str(if balances(ledger) {
        "\nThe account balances: received = delivered + rejected + expired + queued.\n"
    } else {
        "\nTHE ACCOUNT DOES NOT BALANCE: received is not delivered + rejected + expired + queued.\n"
    });
    text
}

fn row(text: &mut String, name: &str, counts: Counts) {
    _ = write!(text, "{name:<26}");
    for count in [counts.samples, counts.histograms, counts.exemplars] {
        _ = write!(text, " {:>18}", grouped(count));
    }
    text.push('\n');
}

fn has_any(counts: Counts) -> bool {
    (counts.samples, counts.histograms, counts.exemplars) != (0, 0, 0)
}

fn balances(ledger: &Ledger) -> bool {
    let parts = || {
        let rejected = ledger.rejected.iter().map(|(_, counts)| *counts);
        let expired = ledger.expired.iter().map(|(_, counts)| *counts);
        [ledger.delivered, ledger.queued].into_iter().chain(rejected).chain(expired)
    };
    let sum = |kind: fn(&Counts) -> u64| parts().map(|counts| u128::from(kind(&counts))).sum::<u128>();
    [|counts: &Counts| counts.samples, |counts: &Counts| counts.histograms, |counts: &Counts| counts.exemplars]
        .into_iter()
        .all(|kind| u128::from(kind(&ledger.received)) == sum(kind))
}

#[cfg(test)]
mod tests {
    use spool::{Expiry, Rejection};

    use super::*;

    fn counts(samples: u64, histograms: u64, exemplars: u64) -> Counts {
        Counts { samples, histograms, exemplars }
    }

    fn ledger() -> Ledger {
        Ledger {
            received: counts(1_234_567, 20, 3),
            delivered: counts(1_230_000, 15, 3),
            unconfirmed: counts(7, 0, 0),
            rejected: vec![(Rejection::Invalid, counts(60, 5, 0)), (Rejection::TooLarge, counts(7, 0, 0))],
            expired: vec![(Expiry::Age, counts(500, 0, 0))],
            queued: counts(4000, 0, 0),
            resent: counts(1900, 0, 0),
        }
    }

    #[test]
    fn the_table_is_the_equation() {
        let expected = "\
Queue in /q

                                       floats         histograms          exemplars
received                            1,234,567                 20                  3
= delivered                         1,230,000                 15                  3
    of it unconfirmed                       7                  0                  0
+ rejected invalid                         60                  5                  0
+ rejected too_large                        7                  0                  0
+ expired age                             500                  0                  0
+ queued                                4,000                  0                  0

resent                                  1,900                  0                  0

The account balances: received = delivered + rejected + expired + queued.
";
        assert_eq!(table(Path::new("/q"), &ledger()), expected);
    }

    #[test]
    fn programs_get_every_number() {
        let value = summary_json(Path::new("/q"), &ledger());
        assert_eq!(value["rejected"]["invalid"], json!({"float": 60, "histogram": 5, "exemplar": 0}));
        assert_eq!((&value["received"]["float"], &value["balances"]), (&json!(1_234_567), &json!(true)));
        assert_eq!(
            (&value["delivered_unconfirmed"]["float"], &value["expired"]["age"]["float"]),
            (&json!(7), &json!(500))
        );
    }

    #[test]
    fn an_account_that_does_not_balance_is_called_so() {
        for spoil in [
            |ledger: &mut Ledger| ledger.received.samples += 1,
            |ledger: &mut Ledger| ledger.delivered.histograms += 1,
            |ledger: &mut Ledger| ledger.queued.exemplars += 1,
            |ledger: &mut Ledger| ledger.expired.clear(),
            |ledger: &mut Ledger| ledger.rejected[0].1.samples -= 1,
        ] {
            let mut wrong = ledger();
            spoil(&mut wrong);
            assert!(balances(&ledger()) && !balances(&wrong));
            assert!(table(Path::new("/q"), &wrong).contains("DOES NOT BALANCE"));
            assert_eq!(summary_json(Path::new("/q"), &wrong)["balances"], json!(false));
        }
    }
}
