//! ARM ids: how they are put together, and which texts are scopes.

use model::ResourceId;

/// The scope that segments of a path name, with the fixed segments as Azure writes them: none for the root, a subscription,
/// a resource group, a resource or a child of one.
pub(crate) fn scope(segments: &[String]) -> Option<ResourceId> {
    let mut text = String::new();
    let mut push = |segment: &str| {
        text.push('/');
        text.push_str(segment);
    };
    let is = |at: usize, name: &str| segments.get(at).is_some_and(|segment| segment.eq_ignore_ascii_case(name));
    let mut rest = segments;
    if is(0, "subscriptions") {
        let id = segments.get(1)?;
        push("subscriptions");
        push(&id.to_ascii_lowercase());
        rest = &segments[2..];
        if is(2, "resourceGroups") {
            push("resourceGroups");
            push(segments.get(3)?);
            rest = &segments[4..];
        }
    }
    match rest {
        [] => {}
        // A provider, then pairs of type and name.
        [providers, namespace, typed @ ..]
            if providers.eq_ignore_ascii_case("providers") && !typed.is_empty() && typed.len() % 2 == 0 =>
        {
            push("providers");
            push(namespace);
            typed.iter().for_each(|segment| push(segment));
        }
        _ => return None,
    }
    Some(if text.is_empty() { root() } else { text.parse().ok()? })
}

/// `/`.
pub(crate) fn root() -> ResourceId {
    parse("/")
}

/// An id that is put together from segments that are none of them empty.
pub(crate) fn parse(text: &str) -> ResourceId {
    text.parse().expect("segments of a parsed path are not empty")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes() {
        for (path, expected) in [
            ("", Some("/")),
            ("SUBSCRIPTIONS/ABC", Some("/subscriptions/abc")),
            ("subscriptions/s/resourcegroups/G", Some("/subscriptions/s/resourceGroups/G")),
            (
                "subscriptions/s/resourceGroups/g/Providers/microsoft.monitor/accounts/a",
                Some("/subscriptions/s/resourceGroups/g/providers/microsoft.monitor/accounts/a"),
            ),
            ("subscriptions/s/providers/p/t/n", Some("/subscriptions/s/providers/p/t/n")),
            ("providers/Remora.Service/backups/b", Some("/providers/Remora.Service/backups/b")),
            ("subscriptions", None),
            ("subscriptions/s/resourceGroups", None),
            ("subscriptions/s/providers/p", None),
            ("subscriptions/s/providers/p/t", None),
            ("subscriptions/s/other/x", None),
            ("tenants/x", None),
        ] {
            let segments: Vec<String> = path.split('/').filter(|s| !s.is_empty()).map(str::to_owned).collect();
            assert_eq!(scope(&segments).map(|id| id.to_string()).as_deref(), expected, "{path}");
        }
    }
}
