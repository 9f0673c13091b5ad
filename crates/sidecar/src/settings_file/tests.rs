use super::*;

fn parse(text: &str) -> (SettingsFile, Vec<String>) {
    let mut mistakes = Vec::new();
    let file = SettingsFile::parse(text, "f.yaml".into(), &mut mistakes);
    (file, mistakes.iter().map(Mistake::to_string).collect())
}

#[test]
fn values_are_found_with_their_lines() {
    let (file, mistakes) = parse(
        "# a comment\ntarget:\n  ingestion_url: https://x/y?api-version=2023-04-24\nlisten: {port: 8082, address: '::1'}\n\
         queue:\n  age_max: 1h30m\n  directory:\nready_strict: true\noutbound:\n  no_proxy: [a.example, 10.0.0.0/8]\n\
         log:\n",
    );
    assert!(mistakes.is_empty(), "{mistakes:?}");
    for (key, text, line) in [
        ("target.ingestion_url", "https://x/y?api-version=2023-04-24", 3),
        ("listen.port", "8082", 4),
        ("listen.address", "::1", 4),
        ("queue.age_max", "1h30m", 6),
        ("ready_strict", "true", 8),
        ("outbound.no_proxy", "a.example,10.0.0.0/8", 10),
    ] {
        let (found, place) = file.find(key).unwrap();
        assert_eq!((found, place.to_string()), (text, format!("{key} (f.yaml, line {line})")), "{key}");
    }
    assert!(file.find("queue.directory").is_none() && file.find("cloud").is_none());
}

#[test]
fn an_empty_file_sets_nothing() {
    for text in ["", "# nothing\n", "---\n", "queue:\n", "{}"] {
        let (file, mistakes) = parse(text);
        assert!(mistakes.is_empty() && file.values.is_empty(), "{text:?}: {mistakes:?}");
    }
}

#[test]
fn everything_out_of_place_is_named_at_once() {
    for (text, expected) in [
        (
            "queue:\n  directry: /q\nlisten:\n  port: [1]\nqueues: {}\ningestion_url: x\ndelivery: 5\nzzz: 1\n",
            vec![
                "queue.directry (f.yaml, line 2): is not known: did you mean queue.directory?",
                "listen.port (f.yaml, line 4): takes one value, not a list: write it behind the colon",
                "queues (f.yaml, line 5): is not known: did you mean queue?",
                "ingestion_url (f.yaml, line 6): is not known: did you mean target.ingestion_url?",
                "delivery (f.yaml, line 7): is a section: write its keys below it, such as in_flight_max or",
                "zzz (f.yaml, line 8): is not known: remove it, or look up its name with --help",
            ],
        ),
        ("INGESTION_URL: x", vec!["INGESTION_URL (f.yaml, line 1): is not known: did you mean target.ingestion_url?"]),
        ("cloud: {a: 1}", vec!["cloud (f.yaml, line 1): takes one value: write it behind the colon"]),
        (
            "identity:\n  client_secret: geheim",
            vec!["identity.client_secret (f.yaml, line 2): is not known: did you mean identity.client_secret_file?"],
        ),
        ("just text", vec!["f.yaml: holds no sections"]),
        ("- a\n- b", vec!["f.yaml: holds no sections"]),
        ("a: b: c", vec!["f.yaml: is not YAML that is understood: "]),
        ("cloud: a\ncloud: b", vec!["f.yaml: is not YAML that is understood: "]),
        ("queue: [[]]", vec!["f.yaml: is not YAML that is understood: "]),
        ("a: &x [*x]", vec!["f.yaml: is not YAML that is understood: "]),
    ] {
        let (_, mistakes) = parse(text);
        assert_eq!(mistakes.len(), expected.len(), "{text}: {mistakes:#?}");
        for (mistake, expected) in mistakes.iter().zip(expected) {
            assert!(mistake.starts_with(expected), "{text}: {mistake}");
            assert!(!mistake.contains("geheim"), "{mistake}");
        }
    }
}

#[test]
fn an_unreadable_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let large = directory.path().join("large");
    std::fs::write(&large, vec![b'#'; 2 << 20]).unwrap();
    for path in [directory.path(), &directory.path().join("none"), &large] {
        let mut mistakes = Vec::new();
        SettingsFile::read(path, &mut mistakes);
        let text = mistakes[0].to_string();
        assert!(text.starts_with(&format!("{}: cannot be read: ", path.display())), "{text}");
    }
}
