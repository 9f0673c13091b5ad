//! Blocks that Prometheus, Mimir and Thanos wrote.

use super::*;

#[test]
fn answers_are_those_that_came_with_the_blocks() {
    for (fixture, expected) in [
        ("mimir", "mimir.json"),
        ("prometheus-snapshot", "prometheus-snapshot.json"),
        ("thanos-raw", "thanos-all.json"),
    ] {
        let (disk, ulids) = disk_with(&[fixture]);
        let plain = open(disk.clone(), ulids[0]).unwrap();
        let mapped = open(Mapping(disk), ulids[0]).unwrap();
        let expected = expected_answers(expected);
        // The answers were given to one selector each, by name.
        let names: BTreeSet<&str> = expected.keys().map(Labels::metric_name).collect();
        let mut compared = 0;
        for name in names.into_iter().filter(|name| !name.contains(':')) {
            let all = read(&plain, &[Matcher::equal("__name__", name)]);
            assert_eq!(read(&mapped, &[Matcher::equal("__name__", name)]), all, "{fixture} {name}");
            for (labels, values) in &all {
                if let Some(expected) = expected.get(labels) {
                    assert!(same(values, expected), "{fixture} {labels}: {values:?} {expected:?}");
                    compared += 1;
                }
            }
        }
        // Thanos' answers hold sums over stretches of time, too, which are in other blocks.
        let all = if fixture == "thanos-raw" { 4 } else { expected.len() };
        assert_eq!(compared, all, "{fixture}");
    }
}

/// Whether samples are those of an answer, which may have fewer digits.
fn same(values: &[(i64, String)], expected: &[(i64, String)]) -> bool {
    let close = |left: &str, right: &str| {
        let (left, right): (f64, f64) = (left.parse().unwrap(), right.parse().unwrap());
        (left - right).abs() <= left.abs() * 1e-12
    };
    values.len() == expected.len()
        && values.iter().zip(expected).all(|(left, right)| left.0 == right.0 && close(&left.1, &right.1))
}

/// Answers of a range query, as samples by series.
fn expected_answers(file: &str) -> BTreeMap<Labels, Vec<(i64, String)>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/blocks").join(file);
    let answer: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let series = answer["data"]["result"].as_array().unwrap().iter().map(|series| {
        let metric = series["metric"].as_object().unwrap();
        let labels = Labels::from_pairs(metric.iter().map(|(name, value)| (name, value.as_str().unwrap()))).unwrap();
        let values =
            series["values"].as_array().unwrap().iter().map(|value| {
                ((value[0].as_f64().unwrap() * 1000.0).round() as i64, value[1].as_str().unwrap().to_owned())
            });
        (labels, values.collect())
    });
    series.collect()
}

#[test]
fn a_block_of_promtool_has_the_samples_it_was_made_of() {
    let (disk, ulids) = disk_with(&["prometheus-openmetrics"]);
    let block = open(disk, ulids[0]).unwrap();
    let labels = |code| Labels::from_pairs([("__name__", "http_requests_total"), ("code", code), ("service", "user")]);
    let expected = BTreeMap::from([
        (labels("200").unwrap(), vec![(1_609_954_636_000, "123".to_owned()), (1_609_954_736_000, "133".to_owned())]),
        (labels("500").unwrap(), vec![(1_609_954_730_000, "15".to_owned())]),
    ]);
    assert_eq!(read(&block, &[]), expected);
    assert_eq!(block.label_names(&[], TimeRange::ALL).unwrap(), ["__name__", "code", "service"]);
    assert_eq!(block.label_values("code", &[], TimeRange::ALL).unwrap(), ["200", "500"]);
    let meta = block.meta();
    assert!(meta.min_time <= 1_609_954_636_000 && 1_609_954_736_000 <= block.range().end.0);
}

#[test]
fn native_histograms_and_their_counts() {
    let (disk, ulids) = disk_with(&["prometheus-histograms"]);
    let block = open(disk, ulids[0]).unwrap();
    let found = read(&block, &[]);
    let samples: usize = found.values().map(Vec::len).sum();
    assert_eq!((found.len() as u64, samples as u64), (block.meta().stats.num_series, block.meta().stats.num_samples));
    let histograms = found.values().flatten().filter(|(_, value)| value.starts_with("NativeHistogram")).count();
    assert!(histograms > 0, "{found:?}");
}

#[test]
fn version_1_of_the_index() {
    let (disk, ulids) = disk_with(&["prometheus-v1"]);
    let block = open(disk, ulids[0]).unwrap();
    let found = read(&block, &[]);
    let stats = block.meta().stats;
    assert_eq!(found.len() as u64, stats.num_series);
    assert_eq!(found.values().map(Vec::len).sum::<usize>() as u64, stats.num_samples);
    assert_eq!(block.label_values("foo", &[], TimeRange::ALL).unwrap(), ["bar", "baz"]);
    let by_name: BTreeSet<Labels> = read(&block, &[Matcher::equal("foo", "bar")]).into_keys().collect();
    assert_eq!(by_name.len(), found.keys().filter(|labels| labels.get("foo") == Some("bar")).count());
}

#[test]
fn an_index_that_names_the_wrong_version() {
    let (disk, ulids) = disk_with(&["prometheus-renumbered"]);
    let block = open(disk, ulids[0]).unwrap();
    // Its series have no chunks.
    let loaded = block.load().unwrap();
    let found = loaded.index.postings("b", "1").unwrap().unwrap().iter();
    let found: Vec<String> = found.map(|series| loaded.index.labels(series).unwrap().to_string()).collect();
    assert_eq!(found, [r#"{a="1", b="1"}"#, r#"{a="2", b="1"}"#]);
}

#[test]
fn downsampled_blocks_are_named_for_what_they_are() {
    for (fixture, seconds) in [("thanos-5m", 300), ("thanos-1h", 3600)] {
        let (disk, ulids) = disk_with(&[fixture]);
        let error = open(disk.clone(), ulids[0]).err().unwrap();
        assert!(!error.is_damage());
        let text = error.to_string();
        assert!(text.contains(&format!("downsampled by Thanos to one value in {seconds} s")), "{text}");
        // In a database they are left where they are, and the rest is served.
        put_fixture(&disk, "thanos-raw");
        let blocks = Blocks::open(Arc::new(disk.clone()), Path::new(DIRECTORY)).unwrap();
        assert_eq!(blocks.all().len(), 1);
        assert!(disk.list(&blocks.path_of(ulids[0])).is_ok());
        // The same without the description: each chunk says so.
        let meta = blocks.path_of(ulids[0]).join("meta.json");
        let plain = String::from_utf8(disk.read(&meta).unwrap()).unwrap();
        disk.put(&meta, plain.replace(&format!("{}", seconds * 1000), "0").into_bytes());
        let block = open(disk, ulids[0]).unwrap();
        let mut series = block.select(&[], TimeRange::ALL, Want::Samples).unwrap();
        let chunk = series.next().unwrap().unwrap().chunks.remove(0);
        let error = chunk.data.load().err().unwrap().to_string();
        assert!(error.contains("a chunk that Thanos has downsampled"), "{error}");
    }
}
