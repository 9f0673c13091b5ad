//! Parts of shapes that all resources have.

use std::collections::BTreeMap;

use catalog::{ActorKind, Envelope, Stamp};
use serde_json::{Map, Value, json};

/// A resource with its envelope around `properties`, under `id` as it is shown.
pub(crate) fn resource(envelope: &Envelope, id: &str, kind: &str, properties: Value) -> Value {
    let mut shape = json!({
        "id": id,
        "name": envelope.id.name(),
        "type": kind,
        "location": envelope.location,
        "tags": tags(&envelope.tags),
        "properties": properties,
        "etag": quoted(&envelope.etag),
        "systemData": system_data(&envelope.created, &envelope.modified),
    });
    if let Some(manager) = &envelope.managed_by {
        shape["managedBy"] = Value::from(manager.as_str());
    }
    shape
}

/// Tags as an object.
pub(crate) fn tags(tags: &BTreeMap<String, String>) -> Value {
    Value::Object(tags.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect())
}

/// An etag as HTTP writes it, quotes and all.
pub(crate) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// Who made it, who changed it.
pub(crate) fn system_data(created: &Stamp, modified: &Stamp) -> Value {
    json!({
        "createdBy": created.by,
        "createdByType": kind_name(created.kind),
        "createdAt": time(created.at_ms),
        "lastModifiedBy": modified.by,
        "lastModifiedByType": kind_name(modified.kind),
        "lastModifiedAt": time(modified.at_ms),
    })
}

/// A time as Azure writes it: seven digits of a second, and a Z.
pub(crate) fn time(at_ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(at_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{}.{:03}0000Z", at.strftime("%Y-%m-%dT%H:%M:%S"), at.as_millisecond().rem_euclid(1000))
}

/// Texts by name, of an object that was checked.
pub(crate) fn texts(value: Option<&Value>) -> BTreeMap<String, String> {
    let pairs = value.and_then(Value::as_object).into_iter().flatten();
    pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// A text of an object that was checked.
pub(crate) fn text(map: &Map<String, Value>, name: &str) -> Option<String> {
    map.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// An object within an object that was checked.
pub(crate) fn object<'m>(map: &'m Map<String, Value>, name: &str) -> Option<&'m Map<String, Value>> {
    map.get(name).and_then(Value::as_object)
}

const fn kind_name(kind: ActorKind) -> &'static str {
    match kind {
        ActorKind::User => "User",
        ActorKind::Application => "Application",
        ActorKind::ManagedIdentity => "ManagedIdentity",
        ActorKind::Key => "Key",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (ms, text) in [
            (1_778_263_102_606, "2026-05-08T17:58:22.6060000Z"),
            (1_778_263_102_000, "2026-05-08T17:58:22.0000000Z"),
            (1_778_263_102_007, "2026-05-08T17:58:22.0070000Z"),
            (1_778_263_102_750, "2026-05-08T17:58:22.7500000Z"),
            (1_778_263_102_700, "2026-05-08T17:58:22.7000000Z"),
            (-1, "1969-12-31T23:59:59.9990000Z"),
            (0, "1970-01-01T00:00:00.0000000Z"),
            (i64::MAX, "1970-01-01T00:00:00.0000000Z"),
        ] {
            assert_eq!(time(ms), text);
        }
    }
}
