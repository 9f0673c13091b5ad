//! What active series cost in memory, by an allocator that counts. Alone in its program, as an allocator is global.
#![allow(unsafe_code, reason = "an allocator that counts passes everything on to the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use environment::Monotonic;
use model::AccountId;
use quota::{Quotas, SeriesHash, Touch, WorkspaceQuota};

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
/// Tests of one program run side by side, and what is counted is counted together.
static ALONE: Mutex<()> = Mutex::new(());

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), SeqCst) + layout.size();
        MOST.fetch_max(held, SeqCst);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), SeqCst);
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes held at most while `run` ran, above those held before.
fn most_held(run: impl FnOnce()) -> usize {
    let before = HELD.load(SeqCst);
    MOST.store(before, SeqCst);
    run();
    MOST.load(SeqCst) - before
}

fn hashes(quotas: &Quotas, from: u64, to: u64) -> impl Iterator<Item = (u32, SeriesHash)> {
    (from..to).map(|number| {
        let labels = [("__name__", "container_cpu_usage_seconds_total".to_owned()), ("pod", format!("pod-{number}"))];
        (number as u32, quotas.series_hash(&model::Labels::from_pairs(labels).expect("names differ")))
    })
}

fn touch(quota: &WorkspaceQuota, hashes: &[(u32, SeriesHash)], secs: u64, expected: Touch) {
    let seen = quota.active_series().at(Monotonic::from_duration(Duration::from_secs(secs)));
    for (index, hash) in hashes {
        assert_eq!(seen.touch(*hash, Some(*index)), expected);
    }
}

fn account() -> AccountId {
    "00000000-0000-0000-0000-000000000001".parse().expect("a GUID")
}

const MILLION: u64 = 1_000_000;

#[test]
fn a_million_active_series_take_at_most_40_bytes_each() {
    let _alone = ALONE.lock();
    let quotas = Quotas::default();
    let all: Vec<_> = hashes(&quotas, 0, MILLION).collect();
    let before = HELD.load(SeqCst);
    let quota = quotas.workspace(account());
    // Every hundredth of the way, so that the ratio is known wherever a table has just grown.
    let mut worst: f64 = 0.0;
    for part in 1..=100 {
        let (from, to) = ((part - 1) * all.len() / 100, part * all.len() / 100);
        let held = HELD.load(SeqCst) - before;
        let most = held + most_held(|| touch(&quota, &all[from..to], 0, Touch::New));
        if to > 50_000 {
            worst = worst.max(most as f64 / to as f64);
        }
    }
    let held = (HELD.load(SeqCst) - before) as f64 / MILLION as f64;
    println!("{held:.1} bytes per series at a million, {worst:.1} at the worst moment on the way");
    assert!(held <= 40.0 && worst <= 40.0, "{held:.1} held, {worst:.1} at worst");
    assert!(worst <= 31.0, "documented: 14 bytes for the table, 16 for known hashes at worst; now {worst:.1}");

    // Slots pass, everything is written again; then half of it leaves.
    let again = most_held(|| touch(&quota, &all, 3 * 3600, Touch::Active));
    touch(&quota, &all[..all.len() / 2], 9 * 3600, Touch::Active);
    let swept = most_held(|| {
        let now = Monotonic::from_duration(Duration::from_secs(16 * 3600));
        assert_eq!(quota.active_series().active(now), MILLION / 2);
    });
    println!("{again} bytes more to write it again, {swept} while half of it leaves");
    assert!(again + swept <= 2 << 20, "{again} and {swept}");
}

#[test]
fn a_million_series_above_the_limit_take_nothing() {
    let _alone = ALONE.lock();
    let quotas = Quotas::default();
    let quota = quotas.workspace(account());
    quotas.set_workspace_limits(account(), None, Some(10_000));
    let (allowed, attack): (Vec<_>, Vec<_>) =
        hashes(&quotas, 0, MILLION + 10_000).partition(|(index, _)| *index < 10_000);
    touch(&quota, &allowed, 0, Touch::New);
    let most = most_held(|| touch(&quota, &attack, 0, Touch::Refused));
    assert_eq!(most, 0, "refused series are kept nowhere");
}
