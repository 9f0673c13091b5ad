//! The audit log.

use std::time::Duration;

use environment::Clock;
use futures_executor::block_on;

use crate::fixture::*;

pub(crate) fn says_who_what_and_from_where(mut f: Fixture) {
    let made = f.workspace("ws");
    f.delete_workspace("ws", false);
    f.reopen();
    let log = f.audit();
    let write = log.iter().find(|record| record.operation == "Microsoft.Monitor/accounts/write").unwrap();
    assert_eq!(write.actor, f.actor);
    assert_eq!(write.target, made.envelope.id.as_str());
    assert_eq!(write.at_ms, START_MS as i64);
    assert_eq!(write.detail.as_ref().unwrap()["account_id"], made.account_id.to_string());
    let delete = log.iter().find(|record| record.operation == "Microsoft.Monitor/accounts/delete").unwrap();
    assert_eq!((delete.detail.is_none(), delete.sequence > write.sequence), (true, true));
    // What came and went with it is there as well.
    for operation in ["dataCollectionRules/write", "dataCollectionEndpoints/write", "dataCollectionRules/delete"] {
        assert!(log.iter().any(|record| record.operation.ends_with(operation)), "{operation}");
    }
    let numbers: Vec<i64> = log.iter().map(|record| record.sequence).collect();
    let expected: Vec<i64> = (1..=numbers.len() as i64).rev().collect();
    assert_eq!(numbers, expected, "without gaps, newest first");

    // What is refused leaves no line.
    f.try_workspace(&workspace("-"), plain()).unwrap_err();
    assert_eq!(f.audit().len(), numbers.len());
}

pub(crate) fn takes_notes_of_what_changes_nothing_here(mut f: Fixture) {
    let made = f.workspace("ws");
    let note = |f: &Fixture| {
        let revision = f.store.catalog().snapshot().revision();
        let noted = f.store.note(&f.actor, "ws/data/delete", &made.envelope.id, serde_json::json!({"match": ["up"]}));
        block_on(noted).unwrap();
        assert_eq!(f.store.catalog().snapshot().revision(), revision);
    };
    note(&f);
    f.reopen();
    note(&f);
    f.workspace("later");
    let log = f.audit();
    let numbers: Vec<i64> = log.iter().map(|record| record.sequence).collect();
    let expected: Vec<i64> = (1..=numbers.len() as i64).rev().collect();
    assert_eq!(numbers, expected, "numbering goes on");
    let notes: Vec<_> = log.iter().filter(|record| record.operation == "ws/data/delete").collect();
    assert_eq!(notes.len(), 2);
    for record in notes {
        assert_eq!((record.target.as_str(), &record.actor), (made.envelope.id.as_str(), &f.actor));
        assert_eq!(record.detail.as_ref().unwrap()["match"][0], "up");
    }
}

pub(crate) fn pages_backwards(f: Fixture) {
    for n in 0..25 {
        f.try_workspace(&workspace(&format!("ws{n}")), plain()).unwrap();
        f.clock.advance(Duration::from_secs(1));
    }
    f.group("g2");
    let ask =
        |prefix: Option<&str>, since, before, count| block_on(f.store.audit(prefix, since, before, count)).unwrap();
    let first = ask(Some(group("G").as_str()), None, None, 10);
    let second = ask(Some(group("g").as_str()), None, Some(first[9].sequence), 100);
    assert_eq!((first.len(), second.len()), (10, 16), "with the group's own line, without that of g2");
    assert_eq!(first[0].target, workspace("ws24").as_str());
    assert_eq!(second[0].sequence, first[9].sequence - 1);
    // ws1 is not the scope of ws10 to ws19.
    assert_eq!(ask(Some(workspace("ws1").as_str()), None, None, 100).len(), 1);
    let since = START_MS as i64 + 20_000;
    assert_eq!(ask(Some(group("g").as_str()), Some(since), None, 100).len(), 5);
    assert!(ask(Some("/%"), None, None, 100).is_empty());
    assert_eq!(ask(Some("/"), None, None, u32::MAX).len(), f.audit().len());
    assert!(ask(None, None, None, 0).is_empty());
}

pub(crate) fn forgets_in_time(mut f: Fixture) {
    f.workspace("ws");
    f.clock.advance(Duration::from_secs(90 * 24 * 3600 + 1));
    f.workspace("later");
    let last = f.audit()[0].sequence;
    assert_eq!(block_on(f.store.purge_expired(f.clock.now())).unwrap(), 0);
    let log = f.audit();
    assert!(!log.is_empty() && log.iter().all(|record| record.at_ms > START_MS as i64));
    assert_eq!(log[0].sequence, last);
    // Numbers are never used again.
    f.clock.advance(Duration::from_secs(91 * 24 * 3600));
    block_on(f.store.purge_expired(f.clock.now())).unwrap();
    assert_eq!(f.audit().len(), 1);
    f.reopen();
    f.group("g2");
    assert_eq!(f.audit()[0].sequence, last + 1);
}
