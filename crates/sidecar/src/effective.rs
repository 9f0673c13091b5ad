//! The settings in force as text: a settings file that would do the same, with each value's origin behind it. No secrets.

use std::fmt::Write as _;

use crate::quantity::show_size;
use crate::settings::{Given, Settings};
use crate::variables::{self, Variable};

/// The text.
pub(crate) fn show(settings: &Settings) -> String {
    let mut text =
        String::from("# The settings in force, as a settings file; behind each value where it comes from.\n");
    for section in sections() {
        let lines: Vec<String> = variables::all().filter_map(|variable| line(settings, variable, section)).collect();
        if lines.is_empty() {
            continue;
        }
        match section {
            Some(section) => _ = writeln!(text, "{section}:\n  {}", lines.join("\n  ")),
            None => _ = writeln!(text, "{}", lines.join("\n")),
        }
    }
    let alone = variables::all().filter(|variable| variable.key.is_none());
    let alone: Vec<&Given> = alone.filter_map(|variable| settings.given(variable.name)).collect();
    if !alone.is_empty() {
        text.push_str("# Only in the environment:\n");
    }
    for given in alone {
        _ = writeln!(text, "#   {}={}", given.variable, shown(given));
    }
    text
}

/// Each section once, in the order of the table; none for keys without one.
fn sections() -> Vec<Option<&'static str>> {
    let mut sections = Vec::new();
    for key in variables::all().filter_map(|variable| variable.key) {
        let section = section_of(key);
        if !sections.contains(&section) {
            sections.push(section);
        }
    }
    sections
}

fn section_of(key: &str) -> Option<&str> {
    key.split_once('.').map(|(section, _)| section)
}

fn line(settings: &Settings, variable: &Variable, section: Option<&str>) -> Option<String> {
    let key = variable.key.filter(|key| section_of(key) == section)?;
    let name = key.rsplit('.').next().unwrap_or(key);
    let (value, origin) = match settings.given(variable.name) {
        Some(given) => (shown(given), given.place.to_string()),
        None => (default(settings, variable)?, "default".to_owned()),
    };
    Some(format!("{name}: {}  # {origin}", quoted(&value)))
}

/// What stands for a variable that was not given.
fn default(settings: &Settings, variable: &Variable) -> Option<String> {
    let queue = settings.queue.as_ref();
    Some(match variable.name {
        "INGESTION_AAD_AUDIENCE" => settings.ingestion_scope.resource().to_owned(),
        "CLOUD" => settings.cloud.to_string().to_ascii_uppercase(),
        "REMORA_QUEUE" => queue.map_or("off", |queue| queue.medium.name()).to_owned(),
        "REMORA_QUEUE_BYTES_MAX" => show_size(queue?.settings.bytes_max),
        _ => variable.default?.to_owned(),
    })
}

fn shown(given: &Given) -> String {
    let secret = variables::by_name(given.variable).is_some_and(|variable| variable.secret);
    match given.variable {
        // The one setting that may hold a password beside what people want to see.
        "HTTPS_PROXY" => match given.text.rsplit_once('@') {
            Some((_, host)) => format!("***@{host}"),
            None => given.text.clone(),
        },
        _ if secret => "***".to_owned(),
        _ => given.text.clone(),
    }
}

/// As YAML: plain where that cannot be misread.
fn quoted(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./-".contains(&byte);
    let starts_plain = value.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'/');
    if starts_plain && value.bytes().all(plain) { value.to_owned() } else { format!("'{}'", value.replace('\'', "''")) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const GUID: &str = "11111111-2222-3333-4444-555555555555";

    fn settings(config: &std::path::Path, variables: &[(&str, &str)]) -> Settings {
        let variables: HashMap<&str, &str> = variables.iter().copied().collect();
        Settings::load(|name| variables.get(name).map(|text| (*text).to_owned()), Some(config)).unwrap()
    }

    #[test]
    fn the_text_tells_origins_hides_secrets_and_reads_back_to_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("a.yaml");
        std::fs::write(
            &config,
            format!("identity:\n  type: aadApplication\n  client_id: {GUID}\n  tenant_id: {GUID}\nqueue: {{medium: memory}}\n"),
        )
        .unwrap();
        let variables = [
            ("INGESTION_URL", "https://d/w?api-version=1"),
            ("AZURE_CLIENT_SECRET", "geheim1"),
            ("https_proxy", "http://u:geheim2@p:3128"),
        ];
        let first = settings(&config, &variables);
        let text = show(&first);
        assert!(!text.contains("geheim"), "{text}");
        for expected in [
            "target:\n  ingestion_url: 'https://d/w?api-version=1'  # INGESTION_URL\n  audience: 'https://monitor.azure.com'  # default\n",
            "\n  https_proxy: '***@p:3128'  # https_proxy\n",
            "\n  address: '::'  # default\n",
            &format!("\n  type: aadApplication  # identity.type ({}, line 2)\n", config.display()),
            "\n  medium: memory  # queue.medium (",
            "\n  bytes_max: 64MiB  # default\n",
            "\ncloud: AZUREPUBLIC  # default\n",
            "\n# Only in the environment:\n#   AZURE_CLIENT_SECRET=***\n",
        ] {
            assert!(text.contains(expected), "{expected} is missing in\n{text}");
        }
        let copy = directory.path().join("b.yaml");
        std::fs::write(&copy, text).unwrap();
        let second = settings(&copy, &variables[1..]);
        assert!(
            second.changed(&first).iter().all(|name| second.given(name).is_some()),
            "only defaults became explicit"
        );
        assert_eq!(second.queue, first.queue);
        assert_eq!(second.delivery, first.delivery);
        assert_eq!((second.listen, second.ingestion_url), (first.listen, first.ingestion_url));
    }
}
