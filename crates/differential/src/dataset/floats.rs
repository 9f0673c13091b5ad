//! Counters, gauges, and floats that are no ordinary numbers.

use model::{TimestampMs, stale_nan};
use testkit::chance::Chance;
use testkit::series_store::StoredValue;

use super::schedule::{Gaps, Tick, ticks};
use super::{Contents, INSTANCES, JOBS, SeriesData, labels};

pub(crate) fn generate(chance: &mut Chance, contents: Contents, out: &mut Vec<SeriesData>) {
    for job in JOBS {
        out.push(gauge(chance, contents, "replicas", &[("job", job)], Gaps::None, 1));
        for instance in INSTANCES {
            let target = [("job", job), ("instance", instance)];
            per_target(chance, contents, &target, out);
        }
    }
    special(chance, contents, out);
}

fn per_target(chance: &mut Chance, contents: Contents, target: &[(&str, &str)], out: &mut Vec<SeriesData>) {
    for path in ["/", "/login"] {
        for code in ["200", "404", "500"] {
            if chance.one_in(7) {
                continue;
            }
            let with = [target, &[("path", path), ("code", code)]].concat();
            out.push(counter(chance, contents, "requests_total", &with, Gaps::None));
        }
        if !chance.one_in(4) {
            out.push(counter(chance, contents, "errors_total", &[target, &[("path", path)]].concat(), Gaps::Flapping));
        }
    }
    for kind in ["free", "used", "cached"] {
        let with = [target, &[("kind", kind)]].concat();
        out.push(gauge(chance, contents, "memory_bytes", &with, Gaps::None, 1 << 20));
    }
    out.push(gauge(chance, contents, "limit_bytes", target, Gaps::None, 1 << 24));
    out.push(gauge(chance, contents, "flapping", target, Gaps::Flapping, 1));
    out.push(gauge(chance, contents, "sparse", target, Gaps::Sparse, 1));
    out.push(temperature(chance, contents, target));
    let version = *chance.one_of(&["1.0", "1.1", "2.0"]);
    out.push(constant(chance, contents, "build_info", &[target, &[("version", version)]].concat(), 1.0));
    let region = *chance.one_of(&["eu", "us"]);
    out.push(constant(
        chance,
        contents,
        "target_info",
        &[target, &[("region", region), ("version", version)]].concat(),
        1.0,
    ));
}

/// A monotonous count of whole events, with resets.
fn counter(chance: &mut Chance, contents: Contents, name: &str, with: &[(&str, &str)], gaps: Gaps) -> SeriesData {
    let pace = chance.between(0, 40);
    let low = if contents.tame { 50_000 } else { 0 };
    let mut total = if chance.one_in(3) { low as f64 } else { chance.between(low, 100_000) as f64 };
    let values = |chance: &mut Chance| {
        match chance.one_in(60) {
            true => total = chance.between(low, low + 3) as f64,
            false => total += chance.between(0, pace) as f64,
        }
        total
    };
    series(chance, contents, labels(name, with), gaps, values)
}

/// Goes up and down in eighths of `unit`.
fn gauge(
    chance: &mut Chance,
    contents: Contents,
    name: &str,
    with: &[(&str, &str)],
    gaps: Gaps,
    unit: i64,
) -> SeriesData {
    let mut level = chance.between(10, 400);
    let values = move |chance: &mut Chance| {
        if !chance.one_in(4) {
            level += chance.between(-9, 9);
        }
        (level * unit) as f64 / 8.0
    };
    series(chance, contents, labels(name, with), gaps, values)
}

/// Arbitrary fractions around zero, with numbers that are none.
fn temperature(chance: &mut Chance, contents: Contents, with: &[(&str, &str)]) -> SeriesData {
    let odd = match contents.tame {
        true => *chance.one_of(&[0.0, -0.0]),
        false => *chance.one_of(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0]),
    };
    let values = move |chance: &mut Chance| match chance.one_in(25) {
        true => odd,
        false => chance.between(-4_000_000, 4_000_000) as f64 / 130_003.0,
    };
    series(chance, contents, labels("temperature", with), Gaps::None, values)
}

fn constant(chance: &mut Chance, contents: Contents, name: &str, with: &[(&str, &str)], value: f64) -> SeriesData {
    series(chance, contents, labels(name, with), Gaps::None, |_| value)
}

/// Series of which every value is an edge of what a float can be.
fn special(chance: &mut Chance, contents: Contents, out: &mut Vec<SeriesData>) {
    let shapes: [(&str, &[f64]); 8] = [
        ("nan", &[f64::NAN]),
        ("inf", &[f64::INFINITY]),
        ("zero", &[0.0, -0.0]),
        ("huge", &[1e300, 1.5e300, -1e300]),
        ("tiny", &[1e-300, 3e-307, 0.0]),
        ("flip", &[f64::INFINITY, f64::NEG_INFINITY, 1.0]),
        ("steps", &[1.0, 1.0, 1.0, 2.0, 2.0, 0.0]),
        ("mixed", &[f64::NAN, 3.0, f64::INFINITY, -7.5]),
    ];
    for (shape, values) in shapes.into_iter().filter(|(shape, _)| !contents.tame || !["huge", "tiny"].contains(shape)) {
        let pick = |chance: &mut Chance| *chance.one_of(values);
        let made = series(chance, contents, labels("special", &[("shape", shape), ("job", "api")]), Gaps::None, pick);
        out.push(made);
    }
}

fn series(
    chance: &mut Chance,
    contents: Contents,
    labels: model::Labels,
    gaps: Gaps,
    mut value: impl FnMut(&mut Chance) -> f64,
) -> SeriesData {
    let ticks = ticks(chance, contents, gaps);
    let sample = |tick: Tick| -> (TimestampMs, StoredValue) {
        match tick {
            Tick::Sample(at) => (at, StoredValue::Float(value(chance))),
            Tick::End(at) => (at, StoredValue::Float(stale_nan())),
        }
    };
    SeriesData { labels, samples: ticks.into_iter().map(sample).collect() }
}
