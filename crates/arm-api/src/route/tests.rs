use super::*;

fn found(verb: Verb, path: &str) -> Found {
    find(Some(verb), &Path::parse(path).unwrap())
}

#[test]
fn rows_are_found_without_regard_to_case() {
    let id = "/SUBSCRIPTIONS/14E21A3B-A68E-4626-873E-6539BD54FC63";
    let Found::Route(route, params) = found(Verb::Get, id) else { panic!("no row") };
    assert_eq!(route.pattern, "/subscriptions/{subscription}");
    assert_eq!(params.get("subscription"), "14e21a3b-a68e-4626-873e-6539bd54fc63");
    assert_eq!(params.path.unwrap().as_str(), "/subscriptions/14e21a3b-a68e-4626-873e-6539bd54fc63");
    assert!(matches!(found(Verb::Delete, "/subscriptions"), Found::OtherMethods(methods) if methods == ["GET"]));
    assert!(matches!(found(Verb::Get, "/subscriptions/a/b/c"), Found::Nothing));
    assert!(matches!(found(Verb::Get, "/"), Found::Nothing));
}

#[test]
fn no_two_rows_are_the_same_question() {
    let mut seen = std::collections::HashSet::new();
    for route in all() {
        let shape: Vec<&str> = route
            .pattern
            .split('/')
            .map(|segment| if segment.starts_with('{') && segment != "{scope}" { "{}" } else { segment })
            .collect();
        let question = (route.verb.name(), shape.join("/").to_ascii_lowercase());
        assert!(seen.insert(question), "{} {} stands there twice", route.verb.name(), route.pattern);
    }
}

#[test]
fn every_row_can_be_asked_for() {
    for route in all() {
        let scope = "/subscriptions/s/resourceGroups/g/providers/n.p/t/x";
        let mut path = route.pattern.replace("{scope}", scope);
        while let (Some(start), Some(end)) = (path.find('{'), path.find('}')) {
            path.replace_range(start..=end, "some");
        }
        let Found::Route(found, _) = find(Some(route.verb), &Path::parse(&path).unwrap()) else {
            panic!("{} {path} leads nowhere", route.verb.name())
        };
        assert_eq!(found.pattern, route.pattern, "{} {path}", route.verb.name());
        assert!(crate::ArmApi::serves(&path), "{path}");
    }
}
