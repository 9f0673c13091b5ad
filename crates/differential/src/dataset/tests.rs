use super::*;

const ALL: Contents = Contents { histograms: true, on_grid: false, tame: false };

#[test]
fn one_seed_gives_one_data_set() {
    let texts = |seed| format!("{:?}", Dataset::generate(seed, ALL).series);
    assert_eq!(texts(3), texts(3));
    assert_ne!(texts(3), texts(4));
}

#[test]
fn series_are_in_order_inside_of_the_range_and_off_the_grid() {
    for seed in 0..20 {
        let data = Dataset::generate(seed, ALL);
        assert!(data.series.windows(2).all(|pair| pair[0].labels < pair[1].labels), "seed {seed}");
        assert!(data.samples() > 10_000, "seed {seed}");
        for SeriesData { labels, samples } in &data.series {
            assert!(samples.windows(2).all(|pair| pair[0].0 < pair[1].0), "seed {seed}: {labels}");
            assert!(samples.iter().all(|(at, _)| *at >= data.start && *at <= data.end), "seed {seed}: {labels}");
            assert!(samples.iter().all(|(at, _)| at.0 % 1000 != 0), "seed {seed}: {labels}");
        }
    }
}

#[test]
fn histograms_can_be_stored() {
    let histograms = Dataset::generate(1, ALL).series.into_iter().flat_map(|series| series.samples);
    let mut number = 0;
    for (at, value) in histograms {
        if let StoredValue::Histogram(histogram) = value
            && !histogram.is_stale()
        {
            histogram.validate().unwrap_or_else(|error| panic!("{at}: {error}"));
            number += 1;
        }
    }
    assert!(number > 1000);
}

#[test]
fn the_demo_service_as_its_rules_say() {
    // Taken from the rules' own program.
    let data = demo::dataset(demo::Shape::default());
    let value = |text: &str, index: usize| {
        let series = data.series.iter().find(|series| series.labels.to_string().replace(", ", ",") == text);
        let (_, value) = &series.unwrap_or_else(|| panic!("no {text}")).samples[index];
        match value {
            StoredValue::Float(value) => *value,
            StoredValue::Histogram(_) => panic!("no histogram here"),
        }
    };
    let target = r#"instance="demo.promlabs.com:10001",job="demo""#;
    for (series, index, expected) in EXPECTED {
        assert_eq!(value(&series.replace("TARGET", target), *index), *expected, "{series}");
    }
}

const EXPECTED: &[(&str, usize, f64)] = &[
    (r#"demo_memory_usage_bytes{TARGET,type="free"}"#, 0, 333571485.0),
    (r#"demo_memory_usage_bytes{TARGET,type="free"}"#, 700, 323115866.0),
    (r#"demo_cpu_usage_seconds_total{TARGET,mode="idle"}"#, 3, 2150.1933),
    (r#"demo_batch_last_run_duration_seconds{TARGET}"#, 100, 6.764),
    (r#"demo_disk_usage_bytes{TARGET}"#, 9, 117184856531.0),
    (
        r#"demo_api_request_duration_seconds_bucket{TARGET,le="0.01",method="GET",path="/api/foo",status="200"}"#,
        50,
        6333.0,
    ),
];
