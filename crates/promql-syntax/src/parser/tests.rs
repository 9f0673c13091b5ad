use super::*;
use crate::AUTOMATA_MAX;
use crate::ast::{At, Duration, ExtendedRange};
use model::TimestampMs;

fn parse(input: &str) -> Expr {
    parse_expr(input, Options::default()).unwrap_or_else(|error| panic!("{input:?}: {error}"))
}

fn error(input: &str) -> String {
    parse_expr(input, Options::default()).unwrap_err().to_string()
}

#[test]
fn errors_say_where() {
    for (input, expected) in [
        ("", "unknown position: parse error: no expression found in input"),
        ("# nothing\n", "1:1: parse error: no expression found in input"),
        ("1+", "1:3: parse error: unexpected end of input"),
        ("sum(\n  foo bar)", "2:7: parse error: unexpected identifier \"bar\" in aggregation"),
        ("日本", "1:1: parse error: unexpected character: '日'"),
        ("\"日本\" + )", "1:13: parse error: unexpected right parenthesis ')'"),
        ("rate(foo)", "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector"),
        ("a{b=~\"[x\"}", "1:3: parse error: error parsing regexp: missing closing ]: `[x`"),
        ("a{b!~'c**'}", "1:3: parse error: error parsing regexp: invalid nested repetition operator: `**`"),
        ("a * (\n 1  ==   1)", "2:5: parse error: comparisons between scalars must use BOOL modifier"),
    ] {
        assert_eq!(error(input), expected, "{input:?}");
    }
}

#[test]
fn operators_bind_as_they_should() {
    for (input, grouped) in [
        ("1 + 2 * 3 ^ 4 ^ 5", "1 + (2 * (3 ^ (4 ^ 5)))"),
        ("1 - 2 - 3", "(1 - 2) - 3"),
        ("-a ^ 2", "-(a ^ 2)"),
        ("-a * b", "(-a) * b"),
        ("2 ^ -a * 3", "(2 ^ (-a)) * 3"),
        ("a or b and c unless d or e", "(a or ((b and c) unless d)) or e"),
        ("a == b + c atan2 d", "a == (b + (c atan2 d))"),
        ("a > b == c", "(a > b) == c"),
    ] {
        assert_eq!(shape(&parse(input)), shape(&parse(grouped)), "{input}");
    }
}

/// The tree with a parenthesis around every operation and no other.
fn shape(expr: &Expr) -> String {
    match expr.without_parens() {
        Expr::Binary(Binary { op, lhs, rhs, .. }) => format!("({} {} {})", shape(lhs), op.as_str(), shape(rhs)),
        Expr::Unary(Unary { op, expr, .. }) => format!("({}{})", op.as_str(), shape(expr)),
        other => other.to_string(),
    }
}

#[test]
fn signs_and_modifiers() {
    let Expr::Number(number) = parse("- 1_0") else { panic!() };
    assert_eq!((number.value, number.position), (-10.0, PositionRange { start: 0, end: 5 }));

    let Expr::Binary(Binary { lhs, .. }) = parse("a offset -2^2") else { panic!() };
    let Expr::Vector(selector) = *lhs else { panic!() };
    assert_eq!(selector.offset, Duration::Ms(-2000));

    let Expr::Unary(Unary { expr, .. }) = parse("-a{b!='c'} @ 1.5 offset 1m") else { panic!() };
    let Expr::Vector(selector) = *expr else { panic!() };
    assert_eq!((selector.at, selector.offset), (Some(At::Timestamp(TimestampMs(1500))), Duration::Ms(60_000)));
    assert_eq!(selector.position, PositionRange { start: 1, end: 26 });
    assert_eq!(selector.name.as_deref(), Some("a"));
    let matchers: Vec<String> = selector.matchers.iter().map(ToString::to_string).collect();
    assert_eq!(matchers, [r#"b!="c""#, r#"__name__="a""#]);

    let Expr::Subquery(subquery) = parse("rate(a[5m])[1h:] @ end() offset 3") else { panic!() };
    assert_eq!((subquery.range, subquery.step, subquery.at), (Duration::Ms(3_600_000), None, Some(At::End)));
    assert_eq!((subquery.offset, subquery.position), (Duration::Ms(3000), PositionRange { start: 0, end: 33 }));

    // Nothing is shorter than a millisecond, and ranges are positive.
    let Expr::Matrix(matrix) = parse("a[0.0001]") else { panic!() };
    assert_eq!(matrix.range, Duration::Ms(1));
}

#[test]
fn matching_is_settled_by_types() {
    let matching = |input: &str| match parse(input) {
        Expr::Binary(Binary { matching, return_bool, .. }) => (matching, return_bool),
        other => panic!("{other}"),
    };
    let (many, _) = matching("a and on(x) b");
    let many = many.unwrap();
    assert_eq!((many.cardinality, many.on, many.labels), (Cardinality::ManyToMany, true, vec!["x".to_owned()]));
    let (left, return_bool) = matching("a > bool ignoring(x, by, 'é') group_left(y,) b");
    let left = left.unwrap();
    assert!(return_bool && !left.on);
    assert_eq!(
        (left.cardinality, left.labels, left.include),
        (Cardinality::ManyToOne, vec!["x".to_owned(), "by".to_owned(), "é".to_owned()], vec!["y".to_owned()])
    );
    assert_eq!(matching("a + 1").0, None);
    assert_eq!(matching("1 + 1").0, None);
}

#[test]
fn experimental_parts_need_their_switches() {
    for (input, expected, on) in [
        (
            "limitk(1, a)",
            "1:1: parse error: limitk() is experimental and must be enabled with \
             --enable-feature=promql-experimental-functions",
            Options { experimental_functions: true, ..Options::default() },
        ),
        (
            "1 + sort_by_label(a, \"b\")",
            "1:5: parse error: function \"sort_by_label\" is not enabled",
            Options { experimental_functions: true, ..Options::default() },
        ),
        (
            "a[5m + 1]",
            "1:3: parse error: experimental duration expression is not enabled",
            Options { duration_expressions: true, ..Options::default() },
        ),
        (
            "a[5m] anchored",
            "1:1: parse error: anchored modifier is experimental and not enabled",
            Options { extended_range_selectors: true, ..Options::default() },
        ),
        (
            "a + fill (0) b",
            "1:1: parse error: binop fill modifiers are experimental and not enabled",
            Options { fill_modifiers: true, ..Options::default() },
        ),
    ] {
        assert_eq!(error(input), expected);
        let part = parse_expr(input, Options::default()).unwrap_err().experimental.expect(input);
        assert!(input.contains(part) || ["duration expressions", "fill modifiers"].contains(&part), "{input}: {part}");
        assert!(parse_expr(input, on).is_ok(), "{input}");
    }
    let Expr::Matrix(matrix) = parse_expr("a[5m] smoothed", Options::all()).unwrap() else { panic!() };
    assert_eq!(matrix.selector.extended, Some(ExtendedRange::Smoothed));
}

#[test]
fn invalid_utf8_is_kept_in_texts_and_refused_in_labels() {
    let Expr::String(literal) = parse(r#""a\xc5z""#) else { panic!() };
    assert_eq!(literal.invalid_utf8.as_deref(), Some(&b"a\xc5z"[..]));
    assert_eq!(literal.quoted(), r#""a\xc5z""#);
    assert!(error(r#"a{b="\xff"}"#).contains("error unquoting string"));
}

#[test]
fn selectors_for_match_parameters() {
    let names = |input| {
        let matchers = parse_metric_selector(input).unwrap();
        matchers.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(names("up{job=~'a|b', } # comment"), [r#"job=~"a|b""#, r#"__name__="up""#]);
    assert_eq!(names("{'http.requests'}"), [r#"__name__="http.requests""#]);
    assert_eq!(names("sum"), [r#"__name__="sum""#]);
    assert!(names("{}").is_empty(), "what is too broad is for the caller to say");
    for (input, expected) in [
        ("", "unknown position: parse error: unexpected end of input"),
        ("up[5m]", "1:3: parse error: unexpected \"[\""),
        ("up offset 5m", "1:4: parse error: unexpected <offset>"),
        ("1", "1:1: parse error: unexpected number \"1\""),
        ("rate(a)", "1:5: parse error: unexpected \"(\""),
        ("{a}", "1:3: parse error: unexpected \"}\" in label matching, expected label matching operator"),
    ] {
        assert_eq!(parse_metric_selector(input).unwrap_err().to_string(), expected, "{input:?}");
    }
}

/// Whatever the form of the nesting, half of a thread's usual 2 MiB of stack are enough to parse, check, print, compare and drop.
#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| {
        let levels =
            |count: usize, open: &str, middle: &str, close: &str| open.repeat(count) + middle + &close.repeat(count);
        [
            levels(depth - 1, "(", "1", ")"),
            levels(depth - 1, "abs(", "a", ")"),
            levels(depth - 1, "sum by (x) (", "a", ")"),
            levels(depth - 1, "-", "a", ""),
            levels(depth - 1, "1 ^ ", "1", ""),
            levels(depth - 1, "", "1", " + 1"),
            levels((depth - 1) / 3, "a + max_over_time(-", "a", "[5m:])"),
        ]
    };
    let run = move || {
        for text in nested(DEPTH_MAX) {
            if let Ok(expr) = parse_expr(&text, Options::all()) {
                assert_eq!(expr.clone(), expr);
                assert!(expr.to_string().len() > DEPTH_MAX / 2);
            }
        }
        for text in nested(5000) {
            assert!(parse_expr(&text, Options::all()).is_err());
        }
        for text in [format!("a[{}1{}]", "(".repeat(5000), ")".repeat(5000)), format!("a[1{}]", "+1".repeat(5000))] {
            let message = parse_expr(&text, Options::all()).unwrap_err().message;
            assert_eq!(message, "expression is nested deeper than 512 levels");
        }
    };
    std::thread::Builder::new().stack_size(1024 << 10).spawn(run).unwrap().join().unwrap();
}

#[test]
fn length_is_bounded() {
    let long = " ".repeat(QUERY_BYTES_MAX) + "1";
    assert_eq!(error(&long), "1:1: parse error: expression is 1048577 bytes long, allowed are 1048576");
    assert!(parse_expr(&long[1..], Options::default()).is_ok());
}

#[test]
fn automata_are_bounded() {
    let with = |count: usize, pattern: &str| {
        parse_expr(&format!("a{{{}}}", format!("b=~'{pattern}',").repeat(count)), Options::default())
    };
    assert!(with(AUTOMATA_MAX, "a.b").is_ok());
    assert!(with(10 * AUTOMATA_MAX, "a|b").is_ok());
    let message = with(AUTOMATA_MAX + 1, "a.b").unwrap_err().message;
    assert_eq!(message, "more than 100 regular expressions that are not plain alternatives");
}
