//! Classic histograms: cumulative buckets, a sum and a count, all of one scrape.

use model::TimestampMs;
use testkit::chance::Chance;
use testkit::series_store::StoredValue;

use super::schedule::{Gaps, Tick, ticks};
use super::{Contents, INSTANCES, JOBS, SeriesData, labels};

pub(crate) fn generate(chance: &mut Chance, contents: Contents, out: &mut Vec<SeriesData>) {
    for job in JOBS {
        for instance in &INSTANCES[..2] {
            histogram(chance, contents, &[("job", job), ("instance", instance)], out);
        }
    }
}

fn histogram(chance: &mut Chance, contents: Contents, target: &[(&str, &str)], out: &mut Vec<SeriesData>) {
    let ticks = ticks(chance, contents, Gaps::None);
    let times: Vec<TimestampMs> = ticks
        .iter()
        .filter_map(|tick| match tick {
            Tick::Sample(at) => Some(*at),
            Tick::End(_) => None,
        })
        .collect();
    let mut observed = [0u64; BOUNDS.len()];
    let mut sum = 0.0;
    let mut buckets = vec![Vec::with_capacity(times.len()); BOUNDS.len()];
    let (mut sums, mut counts) = (Vec::new(), Vec::new());
    for at in times {
        if chance.one_in(90) {
            (observed, sum) = ([0; BOUNDS.len()], 0.0);
        }
        for _ in 0..chance.below(12) {
            let bucket = chance.index(BOUNDS.len()).min(chance.index(BOUNDS.len()));
            observed[bucket] += 1;
            sum += (1u64 << bucket) as f64 / 64.0;
        }
        let mut below = 0;
        for (bucket, points) in buckets.iter_mut().enumerate() {
            below += observed[bucket];
            points.push((at, StoredValue::Float(below as f64)));
        }
        sums.push((at, StoredValue::Float(sum)));
        counts.push((at, StoredValue::Float(below as f64)));
    }
    for (bound, samples) in BOUNDS.iter().zip(buckets) {
        let with = [target, &[("le", bound)]].concat();
        out.push(SeriesData { labels: labels("latency_seconds_bucket", &with), samples });
    }
    out.push(SeriesData { labels: labels("latency_seconds_sum", target), samples: sums });
    out.push(SeriesData { labels: labels("latency_seconds_count", target), samples: counts });
}

const BOUNDS: [&str; 6] = ["0.015625", "0.0625", "0.25", "1", "4", "+Inf"];
