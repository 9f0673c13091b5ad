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
