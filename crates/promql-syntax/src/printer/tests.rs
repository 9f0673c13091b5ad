use crate::ast::{Binary, BinaryOp, Expr, NumberLiteral, PositionRange};
use crate::{Options, parse_expr};
use proptest::prelude::*;

fn parse(input: &str) -> Expr {
    parse_expr(input, Options::all()).unwrap_or_else(|error| panic!("{input:?}: {error}"))
}

#[test]
fn prints_as_prometheus() {
    for (input, printed) in [
        ("sum by() (a)", "sum(a)"),
        ("sum without() (a)", "sum without () (a)"),
        ("sum(a) by(x, 'y z')", r#"sum by (x, "y z") (a)"#),
        ("topk(5, a)", "topk(5, a)"),
        ("a - on(b) c", "a - on (b) c"),
        ("a - on() group_left(d) c", "a - on () group_left (d) c"),
        ("a - ignoring() c", "a - c"),
        ("a > bool fill_left(1e21) fill_right(-0.5) b", "a > bool fill_left (1e+21) fill_right (-0.5) b"),
        ("a + fill(1e-7) b", "a + fill (1e-07) b"),
        ("{__name__='a', b=~'c'}", r#"{__name__="a",b=~"c"}"#),
        (r#"a{z="1", 'b.c'!~"x\"\n"}"#, r#"a{"b.c"!~"x\"\n",z="1"}"#),
        ("a offset -90m", "a offset -1h30m"),
        ("a[7d] @ 1.0004 offset 1y", "a[1w] @ 1.000 offset 1y"),
        ("a[90d]", "a[90d]"),
        ("a[1h:5m] @ start()", "a[1h:5m] @ start()"),
        ("a[0x10:]", "a[16s:]"),
        ("a[5m + step() * (2 - range())] smoothed", "a[5m + step() * (2 - range())] smoothed"),
        ("a offset -(1m ^ 2)", "a offset -(1m ^ 2)"),
        ("a offset +(5)", "a offset (5)"),
        ("a[(5):(-1)]", "a[(5):(-1)]"),
        ("a[((5m))]", "a[(5m)]"),
        ("a + fill(1e6) b - fill(999999) c", "a + fill (1e+06) b - fill (999999) c"),
        ("1e6", "1000000"),
        ("1e-7", "0.0000001"),
        ("-Inf", "-Inf"),
        ("Inf ^ 2", "Inf ^ 2"),
        ("nan", "NaN"),
        ("5m", "5m"),
        (r#"label_replace(a, "b", '$1', `c`, "(.*)\\d")"#, r#"label_replace(a, "b", "$1", "c", "(.*)\\d")"#),
    ] {
        assert_eq!(parse(input).to_string(), printed, "{input}");
    }
}

/// Texts of valid expressions, from the leaves up.
fn expression() -> impl Strategy<Value = String> {
    let label = prop_oneof![Just("job"), Just("by"), Just("'a.b'"), Just("\"ü\\n\""), Just("le")];
    let labels = prop::collection::vec(label, 0..3).prop_map(|labels| labels.join(", "));
    let duration = prop_oneof![
        Just("5m"),
        Just("1h30m5ms"),
        Just("90"),
        Just("(5)"),
        Just("step() + 1m"),
        Just("-(2m) ^ 2 % -range()"),
        Just("max_of(2, -(range() / 3))"),
        Just("min_of((1), step())"),
    ];
    let modifier = prop_oneof![
        Just(""),
        Just(" offset 5m"),
        Just(" offset -1.5"),
        Just(" offset -(2m)"),
        Just(" offset +min_of(step(), 2)"),
        Just(" @ 12.345"),
        Just(" @ start() offset 1ms"),
        Just(" @ -1 offset 2w"),
        Just(" @ end() offset -step()"),
    ];
    let matcher = (
        prop_oneof![Just("a"), Just("'b c'"), Just("__name__")],
        prop_oneof![Just("="), Just("!="), Just("=~"), Just("!~")],
        "\\PC{0,4}",
    )
        .prop_map(|(name, op, value)| format!("{name}{op}{}", crate::quote::quoted(&regex_free(&value))));
    let selector =
        (prop_oneof![Just("up"), Just("sum"), Just("a:b"), Just("and")], prop::option::of(matcher), modifier.clone())
            .prop_map(|(name, matcher, modifier)| match matcher {
                Some(matcher) if matcher.starts_with("__name__") => format!("{{{matcher}, x='y'}}{modifier}"),
                Some(matcher) => format!("{name}{{{matcher}}}{modifier}"),
                None => format!("{name}{modifier}"),
            });
    let number = prop_oneof![
        any::<f64>().prop_map(|number| NumberLiteral {
            value: number,
            is_duration: false,
            position: PositionRange::default()
        }
        .to_string()),
        Just("5m".to_owned()),
        Just("-0".to_owned()),
        Just("-0s".to_owned()),
        Just("0x1f".to_owned()),
    ];
    let range = (selector.clone(), duration.clone(), prop_oneof![Just(""), Just(" anchored"), Just(" smoothed")]);
    let range = range.prop_map(|(selector, range, extended)| {
        // What modifies a range stands behind it.
        let end = [" offset", " @"].iter().filter_map(|modifier| selector.find(modifier)).min();
        let (series, modifier) = selector.split_at(end.unwrap_or(selector.len()));
        format!("increase({series}[{range}]{extended}{modifier})")
    });
    let leaf = prop_oneof![3 => selector, 2 => range, 1 => number.prop_map(|number| format!("vector({number})"))];
    let operator = prop_oneof![
        Just("+"),
        Just("-"),
        Just("*"),
        Just("/"),
        Just("%"),
        Just("^"),
        Just("atan2"),
        Just("== bool"),
        Just(">"),
        Just("</"),
        Just(">/"),
        Just("!= fill(-1e30)"),
        Just("<= bool on(a) group_left fill_right(1234567)"),
        Just("- ignoring(a) fill_left(NaN) fill_right(0.00001)"),
    ];
    leaf.prop_recursive(6, 40, 3, move |inner| {
        prop_oneof![
            (inner.clone(), operator.clone(), inner.clone())
                .prop_map(|(left, op, right)| format!("{left} {op} {right}")),
            (inner.clone(), prop_oneof![Just("and"), Just("or"), Just("unless")], labels.clone(), inner.clone())
                .prop_map(|(left, op, labels, right)| format!("{left} {op} on({labels}) {right}")),
            (inner.clone(), labels.clone(), labels.clone(), inner.clone()).prop_map(
                |(left, labels, include, right)| format!("{left} * ignoring({labels}) group_right({include}) {right}")
            ),
            inner.clone().prop_map(|inner| format!("-{inner}")),
            inner.clone().prop_map(|inner| format!("({inner})")),
            (inner.clone(), labels.clone(), any::<bool>()).prop_map(|(inner, labels, without)| {
                format!("stddev({inner}) {}({labels})", if without { "without" } else { "by" })
            }),
            inner.clone().prop_map(|inner| format!("count_values(\"v\\t\", {inner})")),
            inner.clone().prop_map(|inner| format!("limitk(2, {inner}) + limit_ratio(-0.5, {inner})")),
            inner.clone().prop_map(|inner| format!("info({inner}, {{'b c'!='d', data=~'a.*'}})")),
            inner.clone().prop_map(|inner| format!("clamp_max({inner}, -3 ^ 2)")),
            (inner, duration.clone(), duration.clone(), modifier.clone())
                .prop_map(|(inner, range, step, modifier)| format!("rate(({inner})[{range}:{step}]{modifier})")),
        ]
    })
}

/// `text` with letters instead of what means something in a regular expression.
fn regex_free(text: &str) -> String {
    text.chars().map(|character| if "\\.+*?()|[]{}^$".contains(character) { 'x' } else { character }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_printed_parses_to_the_same(input in expression()) {
        let expr = parse(&input);
        let printed = expr.to_string();
        let again = parse(&printed);
        prop_assert_eq!(again.to_string(), printed);
        prop_assert_eq!(without_positions(&again), without_positions(&expr));
    }

    #[test]
    fn nothing_panics(input in "[a-z0-9_:(){}\\[\\],=!~<>+*/%^@#'\"` .\\\\\\-é\n]{0,40}") {
        let _ = parse_expr(&input, Options::all());
        let _ = parse_expr(&input, Options::default());
        let _ = crate::parse_metric_selector(&input);
    }
}

/// The tree's debug form with all positions cut out.
fn without_positions(expr: &Expr) -> String {
    let debug = format!("{expr:?}");
    let mut parts = debug.split("PositionRange {");
    let mut out = parts.next().unwrap_or("").to_owned();
    for part in parts {
        out.push_str(part.split_once('}').unwrap().1);
    }
    out
}

#[test]
fn positions_alone_are_cut_out() {
    let Expr::Binary(Binary { op, .. }) = parse("a + b") else { panic!() };
    assert_eq!(op, BinaryOp::Add);
    assert_eq!(without_positions(&parse("a + b")), without_positions(&parse(" a+b")));
    assert_ne!(without_positions(&parse("a + b")), without_positions(&parse("a + c")));
}
