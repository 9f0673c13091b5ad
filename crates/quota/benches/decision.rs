//! What quotas cost one write: `cargo bench -p quota --bench decision`.
//!
//! Names end in the number of samples that one iteration decides on; divide to get the figure per sample. What ingestion
//! itself needs is about 0.4 µs of CPU per sample (docs/SPECIFICATION.md). Times are CPU times, so that other work on the
//! machine does not count.

#![allow(clippy::print_stdout, reason = "bytes per series are no time, so criterion cannot report them")]

mod cpu_time;

use std::hint::black_box;
use std::time::Duration;

use cpu_time::CpuTime;
use criterion::{Criterion, criterion_group, criterion_main};
use environment::Monotonic;
use model::{AccountId, Labels};
use quota::{Limits, Quotas, RuleLimits, SeriesHash, Touch, WorkspaceLimits};

const SAMPLES: u64 = 2_000;
const SERIES: u32 = 1_000_000;
const RULES: u32 = 10_000;
const SLOT_SECS: u64 = 15 * 60;

fn account(number: u32) -> AccountId {
    format!("{number:032x}").parse().expect("32 hexadecimal digits are a GUID")
}

fn at(secs: u64) -> Monotonic {
    Monotonic::from_duration(Duration::from_secs(secs))
}

/// An installation of the size of contract §4: nothing here is ever over its limits.
fn quotas() -> Quotas {
    let quotas = Quotas::new(Limits {
        rule: RuleLimits { requests_per_minute: u64::MAX, bytes_per_minute: u64::MAX },
        workspace: WorkspaceLimits { events_per_minute: u64::MAX, active_series: u64::from(SERIES) },
    });
    (0..RULES / 10).for_each(|number| drop(quotas.workspace(account(number))));
    (0..RULES).for_each(|number| drop(quotas.rule(&format!("dcr-{number:032x}"))));
    quotas
}

fn hashes(quotas: &Quotas) -> Vec<SeriesHash> {
    let labels = |number: u32| {
        let metric = format!("metric_{}_total", number / 100 % 1000);
        Labels::from_pairs([("__name__", metric), ("pod", format!("pod-{number}"))]).expect("names differ")
    };
    (0..SERIES).map(|number| quotas.series_hash(&labels(number))).collect()
}

fn decision(c: &mut Criterion<CpuTime>) {
    let quotas = quotas();
    let ids: Vec<String> = (0..RULES).map(|number| format!("dcr-{number:032x}")).collect();
    let mut next = 0;
    c.bench_function("admit_request/2000_samples", |bencher| {
        bencher.iter(|| {
            // Far apart, as rules come.
            next = (next + 7_919) % RULES;
            let rule = quotas.rule(&ids[next as usize]);
            let workspace = quotas.workspace(account(next / 10));
            rule.admit(black_box(80_000), at(1)).expect("never over");
            workspace.check_events(at(1)).expect("never over");
            workspace.admit_events(SAMPLES, at(1)).expect("never over");
            workspace.received(SAMPLES);
            workspace.stored(SAMPLES);
            rule.answered(204);
        });
    });
}

fn contributors(c: &mut Criterion<CpuTime>) {
    let quotas = Quotas::default();
    let workspace = quotas.workspace(account(1));
    for (runs, name) in [(1, "contributors/2000_samples_each_of_another_metric"), (20, "contributors/2000_samples")] {
        let names: Vec<String> = (0..SAMPLES / runs).map(|number| format!("metric_{number}_total")).collect();
        c.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut contribution = workspace.contribution();
                for sample in 0..SAMPLES {
                    contribution.add(1, || &names[(sample / runs) as usize]);
                }
                workspace.contributed(&contribution, at(1));
            });
        });
    }
}

fn active_series(c: &mut Criterion<CpuTime>) {
    let quotas = quotas();
    let hashes = hashes(&quotas);
    let workspace = quotas.workspace(account(1));
    let series = workspace.active_series();
    let touch_all = |now: Monotonic| {
        let seen = series.at(now);
        (0..).zip(&hashes).for_each(|(index, hash)| assert_ne!(seen.touch(*hash, Some(index)), Touch::Refused));
    };
    touch_all(at(0));
    println!("active_series/bytes_per_series_of_1M {:.1}", series.bytes() as f64 / f64::from(SERIES));
    let mut first = 0;
    let mut request = move || {
        first = (first + SAMPLES as u32) % (SERIES - SAMPLES as u32);
        first..first + SAMPLES as u32
    };
    c.bench_function("active_series/2000_samples_known_in_this_slot", |bencher| {
        bencher.iter(|| {
            let seen = series.at(at(1));
            request().filter(|index| !seen.knows(*index)).count()
        });
    });
    let mut slot = 0;
    c.bench_function("active_series/2000_samples_first_in_this_slot", |bencher| {
        bencher.iter(|| {
            slot += 1;
            let seen = series.at(at(slot / 400 * SLOT_SECS));
            request().filter(|index| !seen.knows(*index)).count()
        });
    });
    let now = at(slot / 400 * SLOT_SECS);
    touch_all(now);
    series.set_limit(0);
    let strangers: Vec<SeriesHash> = (0..SAMPLES)
        .map(|number| quotas.series_hash(&Labels::from_pairs([("stranger", number.to_string())]).expect("one label")))
        .collect();
    c.bench_function("active_series/2000_samples_refused", |bencher| {
        bencher.iter(|| {
            let seen = series.at(now);
            strangers.iter().filter(|hash| seen.touch(**hash, None) == Touch::Refused).count()
        });
    });
}

fn settings() -> Criterion<CpuTime> {
    Criterion::default().with_measurement(CpuTime).sample_size(50).measurement_time(Duration::from_secs(3))
}

criterion_group! {
    name = benches;
    config = settings();
    targets = decision, contributors, active_series
}
criterion_main!(benches);
