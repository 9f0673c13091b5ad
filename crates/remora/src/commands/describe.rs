//! How resources are told to people.

use serde_json::{Map, Value};

pub(crate) use crate::cli::service::shell_word;
use crate::client::{ENDPOINT, IDENTITY, RULE, WORKSPACE, segment_after, text};

/// Labels with values, for one resource.
pub(crate) type Fields = Vec<(&'static str, String)>;

/// What every resource has.
pub(crate) fn common(resource: &Value) -> Fields {
    vec![
        ("name", text(resource, "/name").to_owned()),
        ("resource group", group(resource)),
        ("region", text(resource, "/location").to_owned()),
        ("id", text(resource, "/id").to_owned()),
    ]
}

/// What changes seldom interest: tags, who made it and when.
pub(crate) fn history(resource: &Value) -> Fields {
    let stamp = |at: &str, by: &str| {
        let (at, by) = (text(resource, at), text(resource, by));
        if at.is_empty() { String::new() } else { format!("{} by {by}", short_time(at)) }
    };
    vec![
        ("tags", tags(resource)),
        ("created", stamp("/systemData/createdAt", "/systemData/createdBy")),
        ("changed", stamp("/systemData/lastModifiedAt", "/systemData/lastModifiedBy")),
    ]
}

/// The resource group that a resource is in.
pub(crate) fn group(resource: &Value) -> String {
    segment_after(text(resource, "/id"), "resourceGroups").to_owned()
}

/// An ARM id as a table has room for it: what kind of thing, its name and its group. What it cannot shorten stays.
pub(crate) fn place(id: &str) -> String {
    let (group, name) = (segment_after(id, "resourceGroups"), last_segment(id));
    let below: Vec<&str> = id.split('/').skip(1).collect();
    match below.as_slice() {
        [key, _] if key.eq_ignore_ascii_case("subscriptions") => "subscription".to_owned(),
        [_, _, key, _] if key.eq_ignore_ascii_case("resourceGroups") => format!("group {group}"),
        [_, _, _, _, _, provider, kind, _] if !group.is_empty() => {
            let full = format!("{provider}/{kind}");
            let known = [&WORKSPACE, &ENDPOINT, &RULE, &IDENTITY];
            let noun = known.iter().find(|known| known.resource_type.eq_ignore_ascii_case(&full));
            format!("{} {name} in {group}", noun.map_or(*kind, |known| known.command))
        }
        _ => id.to_owned(),
    }
}

/// The last segment of an ARM id.
pub(crate) fn last_segment(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

/// A resource's name.
pub(crate) fn name(resource: &Value) -> String {
    text(resource, "/name").to_owned()
}

/// A time to the second.
pub(crate) fn short_time(time: &str) -> String {
    match (time.split_once('.'), time.ends_with('Z')) {
        (Some((seconds, _)), true) => format!("{seconds}Z"),
        _ => time.to_owned(),
    }
}

fn tags(resource: &Value) -> String {
    let Some(tags) = resource.get("tags").and_then(Value::as_object) else { return String::new() };
    let tag = |(key, value): (&String, &Value)| format!("{key}={}", value.as_str().unwrap_or_default());
    tags.iter().map(tag).collect::<Vec<_>>().join(", ")
}

/// The URL that senders write to, by the base of an endpoint and a rule's immutable id; empty unless both are known.
pub(crate) fn ingestion_url(base: &str, immutable_id: &str) -> String {
    if base.is_empty() || immutable_id.is_empty() {
        return String::new();
    }
    format!(
        "{}/dataCollectionRules/{immutable_id}/streams/{}/api/v1/write?api-version=2023-04-24",
        base.trim_end_matches('/'),
        catalog::PROMETHEUS_STREAM
    )
}

/// Applies changes of tags to a resource's JSON.
pub(crate) fn change_tags(resource: &mut Value, changes: &crate::cli::service::TagChanges) {
    if changes.is_empty() {
        return;
    }
    if !resource["tags"].is_object() {
        resource["tags"] = Value::Object(Map::new());
    }
    if let Some(tags) = resource["tags"].as_object_mut() {
        // Names of tags compare without regard to case, as everywhere in Azure.
        tags.retain(|key, _| !changes.remove.iter().any(|removed| removed.eq_ignore_ascii_case(key)));
        for (key, value) in &changes.set {
            tags.retain(|own, _| !own.eq_ignore_ascii_case(key));
            tags.insert(key.clone(), Value::from(value.as_str()));
        }
    }
}

/// Tags of a new resource.
pub(crate) fn new_tags(tags: &crate::cli::service::NewTags) -> Value {
    tags.tags.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::service::TagChanges;

    #[test]
    fn tags_change_whatever_their_case() {
        let mut resource = json!({"tags": {"Env": "test", "team": "a", "old": "x"}});
        let changes = TagChanges { set: vec![("env".to_owned(), "live".to_owned())], remove: vec!["OLD".to_owned()] };
        change_tags(&mut resource, &changes);
        assert_eq!(resource["tags"], json!({"env": "live", "team": "a"}));
        let mut without = json!({"tags": null});
        change_tags(&mut without, &changes);
        assert_eq!(without["tags"], json!({"env": "live"}));
    }

    #[test]
    fn words_for_a_shell() {
        for (text, word) in [
            ("plain-1.2/x", "plain-1.2/x"),
            ("two words", "'two words'"),
            ("", "''"),
            ("it's", r"'it'\''s'"),
            ("$(x)", "'$(x)'"),
        ] {
            assert_eq!(shell_word(text), word);
        }
    }

    #[test]
    fn places_that_fit_a_table() {
        for (id, told) in [
            ("/", "/"),
            ("/subscriptions/s", "subscription"),
            ("/subscriptions/s/resourcegroups/g", "group g"),
            ("/subscriptions/s/resourcegroups/g/providers/microsoft.monitor/accounts/w", "workspace w in g"),
            ("/subscriptions/s/resourceGroups/g/providers/Microsoft.Insights/dataCollectionRules/r", "rule r in g"),
            ("/subscriptions/s/resourceGroups/g/providers/Other/things/t", "things t in g"),
            ("applications/a", "applications/a"),
            ("", ""),
        ] {
            assert_eq!(place(id), told, "{id}");
        }
        let deeper =
            "/subscriptions/s/resourceGroups/g/providers/P/k/n/providers/Microsoft.Authorization/roleAssignments/a";
        assert_eq!(place(deeper), deeper);
    }

    #[test]
    fn times_to_the_second() {
        assert_eq!(short_time("2026-05-08T17:58:22.6069291Z"), "2026-05-08T17:58:22Z");
        assert_eq!(short_time("2026-05-08T17:58:22Z"), "2026-05-08T17:58:22Z");
        assert_eq!(short_time("yesterday"), "yesterday");
    }
}
