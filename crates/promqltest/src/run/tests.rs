use testkit::chance::Chance;

use super::*;

fn outcome(script: &str) -> (usize, Vec<(usize, String)>) {
    let report = run(script, &Settings::default());
    (report.passed, report.failures.into_iter().map(|failure| (failure.line, failure.what)).collect())
}

#[track_caller]
fn passes(script: &str) {
    let (passed, failures) = outcome(script);
    assert!(passed > 0 && failures.is_empty(), "{passed} passed, failed: {failures:#?}");
}

#[test]
fn cases_pass() {
    passes("load 1m\n  up{a=\"b\"} 0+1x10\n\neval instant at 5m up\n  up{a=\"b\"} 5\n\nclear\neval instant at 5m up\n");
    passes("load 30s\n up 1 _ 3 stale\n# a comment ends a block\neval range from 0 to 3m step 30s up\n up 1 1 3\n");
    passes("eval instant at 0 1 + 1\n 2\neval instant at 0 \"a\"\n expect string \"a\"\n");
    passes("load 10s\n x 1 2 3\n\neval instant at 20s x[15s]\n expect range vector from 10s to 20s step 10s\n x 2 3\n");
    passes(
        "load 1m\n x{a=\"2\"} 1\n x{a=\"1\"} 2\n\neval instant at 0 sort(x)\n expect ordered\n x{a=\"2\"} 1\n x{a=\"1\"} 2\n",
    );
    passes("eval_fail instant at 0 sum(\n\neval instant at 0 1 +\n expect fail regex: unexpected end of input\n");
}

#[test]
fn what_differs_fails_with_its_line() {
    for (script, line, part) in [
        ("load 1m\n up 1\n\neval instant at 0 up\n up 2\n", 4, "is expected"),
        ("load 1m\n up 1\n\neval instant at 0 up\n", 4, "unexpected element: up"),
        ("\neval instant at 0 up\n up 2\n", 2, "no up"),
        ("eval instant at 0 vector(1)\n 1\n", 1, "no scalar"),
        ("eval instant at 0 1\n expect fail\n", 1, "no failure"),
        ("eval instant at 0 1 +\n expect fail msg: other\n", 1, "the failure"),
        ("eval instant at 0 vector(1)\n expect warn\n {} 1\n", 1, "no warning"),
        ("eval range from 0 to 1m step 1m vector(1)\n {} 1\n", 1, "more than expected"),
        ("eval range from 0 to 1m step 1m vector(1)\n {} 1 1 1\n", 1, "more than there are times"),
        (
            "load 1m\n a 1\n b 1\n\neval instant at 0 sort({__name__=~\"a|b\"})\n expect ordered\n b 1\n a 1\n",
            5,
            "position",
        ),
    ] {
        let (_, failures) = outcome(script);
        assert!(
            matches!(&failures[..], [(at, what)] if *at == line && what.contains(part)),
            "{script:?}: {failures:?}"
        );
    }
}

#[test]
fn a_mistake_in_a_script_fails_and_the_rest_runs() {
    let (passed, failures) =
        outcome("lod 1m\n x 1\n\nload 1m\n up one\n up 2\n\neval instant at x up\n up 1\n\neval instant at 0 1\n 1\n");
    assert_eq!(passed, 1);
    assert_eq!(failures.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 5, 8], "{failures:?}");
}

#[test]
fn start_timestamps_come_with_their_samples() {
    let (_, failures) = outcome("load 1m\n x@st -1m\n y 1\n");
    assert_eq!(failures.len(), 1);
    let (_, failures) = outcome("load 1m\n x@st -1m _ -30s\n x 1 2 3\n");
    assert!(failures.is_empty(), "{failures:?}");
}

/// Parts of scripts, good and bad, from which any order makes something that is read to its end.
const PIECES: &[&str] = &[
    "load 1m",
    "load_with_nhcb 5m",
    "load 292y",
    "clear",
    "",
    "# comment",
    "up{a=\"b\"} 0+1x10 _ stale",
    "up@st -1mx10 _x2",
    "h_bucket{le=\"1\"} 1x3",
    "h_bucket{le=\"+Inf\"} 0x3",
    "h {{schema:9 buckets:[1] offset:2147483647}}x3",
    "h {{offset:-2147483648 buckets:[1 2]}}+{{offset:2147483647 buckets:[1 2]}}x3",
    "h {{schema:-53 custom_values:[1 NaN 0] buckets:[1 2 3]}}",
    "x 1x999999999999",
    "{\"\\xff\"} \u{e9}",
    "eval instant at 5m up",
    "eval instant at 292y rate(up[5m])",
    "eval instant at 10m up[5m]",
    "eval instant at 5m histogram_quantile(0.9, h)",
    "eval instant at 0 \"text\"",
    "eval range from 0 to 1h step 1m sum(up)",
    "eval range from 0 to 292y step 1ms up",
    "eval range from 0 to 1m step 0 up",
    "eval_fail instant at 0 up +",
    "expected_fail_regexp (",
    "expect fail",
    "expect ordered",
    "expect warn regex: (?P<",
    "expect string \"\\ud800\"",
    "expect range vector from 5m to 10m step 1m",
    "expect range vector from 5m to 1m step 0",
    "{} 1 2 3",
    "1",
];

/// What is wrong is told; nothing panics, neither here nor in the engine.
#[test]
fn any_text_is_a_script() {
    for seed in 0..300 {
        let mut chance = Chance::new(seed);
        let mut script = String::new();
        for _ in 0..chance.between(1, 40) {
            let piece = *chance.one_of(PIECES);
            let cut = piece.floor_char_boundary(chance.index(piece.len() + 1));
            let piece = if chance.one_in(4) { &piece[..cut] } else { piece };
            script.push_str(piece);
            script.push_str(if chance.one_in(8) { " " } else { "\n" });
        }
        let (_, failures) = outcome(&script);
        let panic = failures.iter().find(|(_, what)| what.contains("panics"));
        assert!(panic.is_none(), "seed {seed}: {panic:?}\n{script}");
    }
}
