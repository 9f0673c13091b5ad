use super::*;

/// What the sketch says of requests with these events of metrics, each request walked in order.
fn estimate(step: u64, requests: &[Vec<(String, u64)>]) -> Vec<Contributor> {
    let mut contributors = Contributors::default();
    for (seed, request) in (1..).zip(requests) {
        let mut contribution = Contribution::new(step, seed << 32);
        for (name, events) in request {
            contribution.add(*events, || name);
        }
        assert_eq!(contribution.events(), request.iter().map(|(_, events)| events).sum());
        contributors.add(&contribution, 1);
    }
    contributors.top(1)
}

fn text(contributors: &[Contributor]) -> String {
    let one = |contributor: &Contributor| format!("{} {}", contributor.metric, contributor.events);
    contributors.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn events(list: &[(&str, u64)]) -> Vec<(String, u64)> {
    list.iter().map(|(name, events)| ((*name).to_owned(), *events)).collect()
}

#[test]
fn small_workspaces_are_counted_exactly() {
    let first = events(&[("a", 1), ("b", 5), ("a", 2), ("a", 1), ("c", 9), ("d", 2), ("e", 3), ("f", 1), ("none", 0)]);
    assert_eq!(text(&estimate(1, &[first, events(&[("f", 7)])])), "c 9, f 8, b 5, a 4, e 3");
}

#[test]
fn samples_are_without_bias() {
    // Orders that a fixed stride would misjudge: periods that divide the step, runs as long as it, single events.
    let single: Vec<(String, u64)> = (0..2048).map(|index| (format!("m{}", index % 4), 1)).collect();
    let runs = events(&[("m0", 128), ("m1", 128), ("m2", 128), ("m3", 128)]);
    let uneven: Vec<(String, u64)> = (0..1024).map(|index| (format!("m{}", index % 4), 2 - index % 2)).collect();
    for (request, shares) in
        [(single, [0.25; 4]), (runs, [0.25; 4]), (uneven, [1.0 / 3.0, 1.0 / 6.0, 1.0 / 3.0, 1.0 / 6.0])]
    {
        let total: u64 = request.iter().map(|(_, events)| events).sum::<u64>() * 500;
        let found = estimate(128, &vec![request; 500]);
        let sum: u64 = found.iter().map(|contributor| contributor.events).sum();
        assert!(sum.abs_diff(total) * 50 < total, "{sum} of {total}");
        for (index, share) in shares.into_iter().enumerate() {
            let one = found.iter().find(|contributor| *contributor.metric == format!("m{index}")).unwrap();
            let expected = total as f64 * share;
            assert!((one.events as f64 - expected).abs() < expected * 0.1, "{} for {expected}", one.events);
        }
    }
}

#[test]
fn long_runs_are_picked_once_per_step() {
    for step in [1, 2, 7, 128] {
        let mut contribution = Contribution::new(step, 9);
        contribution.add(step * 1000, || "a");
        contribution.add(step * 10, || "b");
        let picked: Vec<(String, u64)> =
            contribution.by_name().map(|(name, events)| (name.to_owned(), events)).collect();
        assert_eq!(picked, [("a".to_owned(), step * 1000), ("b".to_owned(), step * 10)]);
    }
}

#[test]
fn large_metrics_are_found_among_many_in_bounded_memory() {
    let mut request = Vec::new();
    for index in 0..20_000 {
        request.push((format!("{}{index}", "attack_".repeat(40)), 1));
        if index % 8 == 0 {
            request.push(("large".to_owned(), 1));
        }
    }
    let mut contributors = Contributors::default();
    let mut contribution = Contribution::new(1, 1);
    request.iter().for_each(|(name, events)| contribution.add(*events, || name));
    contributors.add(&contribution, 1);
    assert_eq!(contributors.current.counters.len(), CONTRIBUTORS_KEPT);
    assert!(contributors.current.counters.iter().all(|counter| counter.name.len() <= NAME_BYTES_MAX));
    let top = contributors.top(1);
    assert_eq!(top.len(), CONTRIBUTORS_NAMED);
    // Counts are too high by at most the share of one place.
    assert_eq!(&*top[0].metric, "large");
    assert!((2_500..=2_500 + 22_500 / CONTRIBUTORS_KEPT as u64).contains(&top[0].events), "{}", top[0].events);
}

#[test]
fn names_are_cut_between_characters() {
    let mut sketch = Sketch::default();
    sketch.add(&"ä".repeat(200), 1);
    sketch.add(&format!("{}b", "ä".repeat(200)), 1);
    assert_eq!(sketch.counters.len(), 2, "what differs only behind the cut is still told apart");
    assert_eq!(sketch.counters[0].name.len(), NAME_BYTES_MAX);
}

#[test]
fn windows_follow_each_other() {
    let mut contributors = Contributors::default();
    let of = |name: &'static str| {
        let mut contribution = Contribution::new(1, 1);
        contribution.add(3, || name);
        contribution
    };
    contributors.add(&of("a"), 1);
    assert_eq!(text(&contributors.top(1)), "a 3");
    assert_eq!(text(&contributors.top(2)), "a 3", "until the new window has its own");
    contributors.add(&of("b"), 2);
    assert_eq!(text(&contributors.top(2)), "b 3");
    contributors.add(&of("c"), 1);
    assert_eq!(text(&contributors.top(2)), "b 3, c 3", "who read the clock before others counts with them");
    assert_eq!(text(&contributors.top(4)), "");
}

#[test]
fn steps_follow_limits() {
    for (limit, expected) in [(0, 1), (100, 1), (16_383, 1), (16_384, 2), (1_000_000, 122), (20_000_000, 128)] {
        assert_eq!(step(limit), expected, "{limit}");
    }
}
