//! In steady state, a sample costs no allocation on its way from the socket to log and head.
//!
//! Alone in its program, which counts what all its threads ask the allocator for.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::alloc::System;
use std::time::Duration;

use bytes::Bytes;
use environment::Clock as _;
use host::HostClock;
use model::{Labels, TimestampMs};
use remote_write::{Encoder, Sample, Version, framing};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::{Endpoint, STRICT_RULE, TestStorage, database};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[tokio::test]
async fn a_sample_costs_no_allocation() {
    for version in [Version::V1, Version::V2] {
        let (small, large) = (allocations(version, 100).await, allocations(version, 2000).await);
        let per_sample = (large - small) / 1900.0;
        // A chunk grows a few times until it is full; nothing else depends on the number of samples.
        assert!(per_sample < 0.15, "{version:?}: {small:.1} and {large:.1} a request, {per_sample:.3} a sample");
        assert!(small < 150.0, "{version:?}: {small:.1} allocations a request");
    }
}

/// What a request with one sample of each of so many series asks for, on average of fifty; the client's part is in it.
async fn allocations(version: Version, series: usize) -> f64 {
    let endpoint = Endpoint::start_over(database(), TestStorage::default(), |_| {}).await;
    let now = TimestampMs(HostClock::new().now().as_millis());
    let labels: Vec<Labels> = (0..series)
        .map(|number| {
            let (pod, node) = (format!("pod-{number:06}"), format!("node-{}", number % 50));
            Labels::from_pairs([("__name__", "container_memory_bytes"), ("node", &node), ("pod", &pod)]).unwrap()
        })
        .collect();
    let requests: Vec<_> = (0..60)
        .map(|scrape: i64| {
            let mut encoder = Encoder::new(version);
            for (number, labels) in (0..).zip(&labels) {
                let value = (scrape * 7919 % 97 + number) as f64;
                encoder.series(labels).sample(Sample::new(now.plus((scrape - 60) * 15_000), value));
            }
            let body = Bytes::from(framing::encode(&encoder.finish()));
            endpoint.write_request(STRICT_RULE, version).body(body).unwrap()
        })
        .collect();
    let mut region = None;
    for (number, request) in requests.into_iter().enumerate() {
        if number == 10 {
            // What goes on after an answer belongs to the requests that are not counted.
            tokio::time::sleep(Duration::from_millis(100)).await;
            region = Some(Region::new(ALLOCATOR));
        }
        let answer = endpoint.send(request).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
    }
    let counted = region.unwrap().change();
    (counted.allocations + counted.reallocations) as f64 / 50.0
}
