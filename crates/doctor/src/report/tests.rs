use super::*;

fn report(steps: Vec<Step>) -> Report {
    Report { version: "1.2.3", at: UnixTime::from_secs(1_700_000_000), subject: "host as identity".to_owned(), steps }
}

#[test]
fn the_exit_code_is_that_of_the_first_broken_link() {
    let ok = || Step::ok(Link::Dns, "resolves");
    let warning = || Step::warning(Link::Clock, "is late", "set it");
    let failed = || Step::failed(Link::Role, "is missing", "grant it");
    let wrong = || Step::failed(Link::Configuration, "is wrong", "correct it");
    let skipped = || Step::skipped(Link::Proxy, "none");
    for (steps, exit_code, verdict, first) in [
        (vec![], 0, "ok", None),
        (vec![ok(), skipped()], 0, "ok", None),
        (vec![ok(), warning()], 3, "warning", None),
        (vec![warning(), failed()], 1, "broken", Some(Link::Role)),
        (vec![wrong(), failed()], 2, "misconfigured", Some(Link::Configuration)),
    ] {
        let report = report(steps);
        assert_eq!((report.exit_code(), report.verdict()), (exit_code, verdict));
        assert_eq!(report.first_broken().map(|step| step.link), first);
    }
}

#[test]
fn people_see_what_to_do_at_the_end() {
    let text = report(vec![
        Step::ok(Link::Dns, "resolves").with("address", "1.2.3.4"),
        Step::failed(Link::Role, "is missing", "grant it").with("oid", "7"),
    ])
    .render_human();
    assert_eq!(
        text,
        "remora doctor 1.2.3: host as identity\n\n\
         ok       dns            resolves\n\
         FAILED   role           is missing\n\
         \x20                       oid: 7\n\
         \x20                       mend: grant it\n\n\
         The first broken link is `role`: is missing\n\
         What to do: grant it\n"
    );
    assert!(report(vec![]).render_human().ends_with("All is well: samples get through.\n"));
}

#[test]
fn the_schema_for_programs_stands() {
    let json = report(vec![
        Step::ok(Link::Dns, "resolves").with("address", "1.2.3.4"),
        Step::warning(Link::ReadBack, "is empty", "wait"),
    ])
    .to_json();
    assert_eq!(
        json,
        serde_json::json!({
            "schema": "remora.doctor/1",
            "version": "1.2.3",
            "at": "2023-11-14T22:13:20Z",
            "subject": "host as identity",
            "verdict": "warning",
            "exit_code": 3,
            "first_broken": null,
            "steps": [
                {
                    "link": "dns", "status": "ok", "finding": "resolves",
                    "details": [{ "name": "address", "value": "1.2.3.4" }], "mend": null, "took_ms": 0,
                },
                { "link": "read_back", "status": "warning", "finding": "is empty", "details": [], "mend": "wait", "took_ms": 0 },
            ],
        })
    );
}

#[test]
fn every_mistake_of_the_settings_is_told() {
    let at = UnixTime::from_secs(0);
    let mistake = |name: &str, message: &str| (name.to_owned(), message.to_owned());
    let one = misconfigured("1", at, &[mistake("AZURE_CLIENT_ID", "is missing: set it")]);
    assert_eq!(one.exit_code(), 2);
    assert!(one.render_human().contains("What to do: correct AZURE_CLIENT_ID and start again"));

    let two = misconfigured("1", at, &[mistake("A", "is missing"), mistake("B", "is no port")]).render_human();
    assert!(
        two.contains("A: is missing") && two.contains("B: is no port") && two.contains("keeps restarting"),
        "{two}"
    );
}
