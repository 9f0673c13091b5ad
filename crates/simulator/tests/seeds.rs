//! Runs of fixed seeds. `make simulate` runs new ones.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::sync::atomic::{AtomicU64, Ordering};

use simulator::run::{Length, Report, run, run_every_change};

/// Runs all seeds on all processors, and gives the sum of what happened.
#[track_caller]
fn all(seeds: std::ops::Range<u64>, one: impl Fn(u64) -> Report + Sync) -> Vec<Report> {
    let (next, one) = (AtomicU64::new(seeds.start), &one);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let work = || {
            let mut reports = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end {
                    return reports;
                }
                reports.push(one(seed));
            }
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        // A panic has told which seed it is.
        threads.into_iter().flat_map(|thread| thread.join().expect("no seed fails")).collect()
    })
}

#[track_caller]
fn sum(reports: &[Report], of: impl Fn(&Report) -> u64) -> u64 {
    reports.iter().map(of).sum()
}

#[test]
fn fixed_seeds() {
    let length = Length::default();
    let reports =
        all(0..150, |seed| run(seed, length, false).unwrap_or_else(|failure| panic!("{}", failure.text(seed, length))));
    // What is promised is promised of something: all kinds of trouble happened.
    for (what, of) in [
        ("process crashes", (|report| report.process_crashes) as fn(&Report) -> u64),
        ("power cuts", |report| report.power_cuts),
        ("failed starts", |report| report.failed_starts),
        ("failed commits", |report| report.failed_commits),
        ("deletions", |report| report.deletions),
        ("merges", |report| report.merges),
        ("flushes of late samples", |report| report.flushes),
    ] {
        assert!(sum(&reports, of) > 50, "{} {what} in all", sum(&reports, of));
    }
    assert!(sum(&reports, |report| report.samples) > 100_000);
}

#[test]
fn crashes_at_every_change() {
    let steps = 30;
    let reports = all(0..6, |seed| {
        run_every_change(seed, steps, false).unwrap_or_else(|failure| {
            panic!("run_every_change({seed}, {steps}, true): {}\n{}", failure.trace.join("\n"), failure.what)
        })
    });
    assert!(sum(&reports, |report| report.probes) > 1000);
}

#[test]
fn a_seed_repeats() {
    for seed in [3, 4] {
        let [first, second] = [(); 2].map(|()| run(seed, Length::default(), false).unwrap());
        assert_eq!(first, second);
    }
}
