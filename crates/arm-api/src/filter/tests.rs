use serde_json::json;

use super::*;

/// Written so that a filter can be read in a table.
fn show(filter: &Filter) -> String {
    let list = |filters: &[Filter], between: &str| filters.iter().map(show).collect::<Vec<_>>().join(between);
    let literal = |literal: &Literal| match literal {
        Literal::Text(text) => format!("“{text}”"),
        Literal::Word(word) => word.clone(),
    };
    match filter {
        Filter::Compare { field, comparison, literal: value } => format!("{field} {comparison:?} {}", literal(value)),
        Filter::In { field, literals } => {
            format!("{field} in {}", literals.iter().map(literal).collect::<Vec<_>>().join("|"))
        }
        Filter::Call { name, arguments } => format!("{name}{arguments:?}"),
        Filter::Any { collection, variable, condition } => format!("{collection}∋{variable}: {}", show(condition)),
        Filter::And(terms) => format!("({})", list(terms, " ∧ ")),
        Filter::Or(terms) => format!("({})", list(terms, " ∨ ")),
        Filter::Not(term) => format!("¬{}", show(term)),
    }
}

#[test]
fn filters() {
    for (text, expected) in [
        ("roleName eq 'Owner'", "roleName Equal “Owner”"),
        ("  roleName EQ 'it''s'  ", "roleName Equal “it's”"),
        ("atScope()", "atScope[]"),
        ("atScope() and assignedTo('x')", "(atScope[] ∧ assignedTo[Text(\"x\")])"),
        (
            "principalId eq 'a' or principalId eq 'b' and x ne 1",
            "(principalId Equal “a” ∨ (principalId Equal “b” ∧ x NotEqual 1))",
        ),
        ("(a eq 1 or b eq 2) and c eq 3", "((a Equal 1 ∨ b Equal 2) ∧ c Equal 3)"),
        ("a eq 1 and (b eq 2 and c eq 3)", "(a Equal 1 ∧ b Equal 2 ∧ c Equal 3)"),
        ("not (a eq true)", "¬a Equal true"),
        ("servicePrincipalNames/any(c:c eq 'x')", "servicePrincipalNames∋c: c Equal “x”"),
        ("identifierUris/any(s: s eq 'api://x')", "identifierUris∋s: s Equal “api://x”"),
        ("startswith(displayName,'ab')", "startswith[Word(\"displayName\"), Text(\"ab\")]"),
        ("id in ('a', 'b')", "id in “a”|“b”"),
        (
            "eventTimestamp ge 2026-11-23T10:00:00Z and resourceProvider eq Microsoft.Authorization",
            "(eventTimestamp GreaterOrEqual 2026-11-23T10:00:00Z ∧ resourceProvider Equal Microsoft.Authorization)",
        ),
        ("Reason eq '*'", "Reason Equal “*”"),
        ("tags/env lt 'ü'", "tags/env Less “ü”"),
    ] {
        assert_eq!(Filter::parse(text).map(|filter| show(&filter)).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn refusals_say_where() {
    let deep = format!("{}a eq 1{}", "(".repeat(20), ")".repeat(20));
    let wide = vec!["a eq 1"; 201].join(" or ");
    for (text, expected) in [
        ("", "at character 1: a condition is expected, the filter ends"),
        ("roleName", "at character 9: one of eq, ne, gt, ge, lt, le, in is expected, the filter ends"),
        ("roleName is 'x'", "at character 10: one of eq, ne, gt, ge, lt, le, in is expected, found \"is 'x'\""),
        ("roleName eq", "at character 12: a value is expected, the filter ends"),
        ("roleName eq 'x", "at character 13: the quote that ends the text is expected, found \"'x\""),
        ("a eq 1 b eq 2", "at character 8: `and`, `or` or the end is expected, found \"b eq 2\""),
        ("ü eq 1 und", "at character 8: `and`, `or` or the end is expected, found \"und\""),
        ("(a eq 1", "at character 8: `)` is expected, the filter ends"),
        ("f('x'", "at character 6: `,` or `)` is expected, the filter ends"),
        ("f(,)", "at character 3: an argument is expected, found \",)\""),
        ("a in 'x'", "at character 6: `(` is expected, found \"'x'\""),
        ("'a' eq 'a'", "at character 1: a condition is expected, found \"'a' eq 'a'\""),
        (&deep, "the filter is nested deeper than 16 levels"),
        (&wide, "the filter has more than 200 terms"),
        (&"a".repeat(9000), "the filter is longer than 8192 bytes"),
    ] {
        assert_eq!(Filter::parse(text).map_err(|error| error.to_string()), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn asked_of_json() {
    let resource = json!({
        "displayName": "My App",
        "appId": "ABC",
        "accountEnabled": true,
        "servicePrincipalNames": ["abc", "api://Abc"],
        "web": { "homePageUrl": null },
        "createdDateTime": "2026-11-23T10:00:00Z",
    });
    for (filter, expected) in [
        ("displayName eq 'my app'", Some(true)),
        ("DisplayName eq 'my'", Some(false)),
        ("displayName ne 'my'", Some(true)),
        ("startswith(displayName,'MY')", Some(true)),
        ("endswith(displayName,'app')", Some(true)),
        ("startswith(nothing,'x')", Some(false)),
        ("appId in ('x','abc')", Some(true)),
        ("accountEnabled eq true", Some(true)),
        ("accountEnabled eq 'true'", Some(false)),
        ("servicePrincipalNames/any(c:c eq 'API://abc')", Some(true)),
        ("servicePrincipalNames/any(c:c eq 'api')", Some(false)),
        ("web/homePageUrl eq null", Some(true)),
        ("web/other eq 'x'", Some(false)),
        ("createdDateTime ge 2026-11-23T00:00:00Z and createdDateTime lt 2026-11-24T00:00:00Z", Some(true)),
        ("not (displayName eq 'my app') or appId eq 'abc'", Some(true)),
        ("length(displayName)", None),
        ("displayName eq 'my app' or atScope()", None),
    ] {
        let filter_read = Filter::parse(filter).unwrap();
        assert_eq!(filter_read.holds_for(&resource).ok(), expected, "{filter}");
    }
}
