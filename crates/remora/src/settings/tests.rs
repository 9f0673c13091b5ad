use super::*;

const GOOD: &str = r#"
listen: "[::]:7090"
tls: {cert: /etc/remora/tls.crt, key: /etc/remora/tls.key}
publicUrl: https://metrics.example.org/
dataDir: /srv/remora
walSync: every-commit
issuers:
  - entra: {tenant: 72f988bf-86f1-41af-91ab-2d7cd011db47}
  - oidc: {issuer: "https://keycloak.example.org/realms/fleet"}
workspaces:
  - {name: fleet, accountId: 14e21a3b-a68e-4626-873e-6539bd54fc63}
endpoints:
  - {name: fleet, immutableId: dce-9ef0dccd9267493699b55b77942fc26b}
rules:
  - {name: fleet, immutableId: dcr-9ef0dccd9267493699b55b77942fc26b, endpoint: fleet, workspaces: [fleet]}
roleAssignments:
  - {principal: 00000000-0000-0000-0000-000000000001, role: Monitoring Metrics Publisher, scope: rule/fleet}
  - {principal: 00000000-0000-0000-0000-000000000002, role: b0d8363b-8ddd-447d-831f-62ca05bff136, scope: workspace/fleet}
"#;

fn parse(text: &str) -> Result<Settings, SettingsError> {
    Settings::parse(text, PathBuf::from("/default"))
}

#[test]
fn a_whole_file() {
    let settings = parse(GOOD).unwrap();
    assert_eq!(settings.public_url.as_deref(), Some("https://metrics.example.org"));
    assert_eq!(settings.data_directory, PathBuf::from("/srv/remora"));
    assert_eq!(settings.wal_sync, WalSync::EveryCommit);
    assert_eq!(settings.issuers.len(), 2);
    let rule = settings.catalog.rule("dcr-9ef0dccd9267493699b55b77942fc26b").unwrap();
    assert_eq!(settings.roles[0].scope, rule.resource_id);
    assert_eq!(settings.roles[1].scope, settings.catalog.workspace("fleet").unwrap().resource_id);
}

#[test]
fn defaults_for_what_is_left_out() {
    let settings = parse(concat!(
        "issuers: [{oidc: {issuer: 'https://issuer.example.org'}}]\n",
        "workspaces: [{name: a, accountId: 14e21a3b-a68e-4626-873e-6539bd54fc63}]\n",
    ))
    .unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:7090");
    assert_eq!(settings.data_directory, PathBuf::from("/default"));
    assert_eq!(settings.plain_http, PlainHttp::Loopback);
    assert_eq!(settings.audiences, Audiences::default());
}

#[test]
fn every_mistake_at_once() {
    let text = GOOD
        .replace("[::]:7090", "7090")
        .replace("every-commit", "sometimes")
        .replace("bd54fc63}", "bd54fc63, profile: lax}")
        .replace("https://metrics.example.org/", "metrics")
        .replace("72f988bf-86f1-41af-91ab-2d7cd011db47", "contoso")
        .replace("workspaces: [fleet]", "workspaces: [flet]")
        .replace("Monitoring Metrics Publisher", "Publisher")
        .replace("scope: workspace/fleet", "scope: workspace/other");
    let mistakes = parse(&text).unwrap_err().0;
    for expected in [
        "listen: \"7090\" is not ADDRESS:PORT",
        "walSync: \"sometimes\" is not one of: interval, every-commit",
        "workspace \"fleet\": profile: \"lax\" is not one of: strict, azure",
        "publicUrl: \"metrics\" is not an http or https URL",
        "issuers[0]: \"contoso\" is not a directory",
        "rule \"fleet\": there is no workspace \"flet\"",
        "there is no role \"Publisher\"; known are: ",
        "scope \"workspace/other\" is nothing known",
    ] {
        assert!(mistakes.iter().any(|mistake| mistake.contains(expected)), "{expected} in {mistakes:#?}");
    }
}

#[test]
fn a_misspelt_setting_is_named_with_its_place() {
    let error = parse(&GOOD.replace("dataDir", "datadir")).unwrap_err().to_string();
    assert!(error.contains("datadir"), "{error}");
}

#[test]
fn a_listener_that_would_refuse_everybody_is_a_mistake() {
    let without_tls: String =
        GOOD.lines().filter(|line| !line.starts_with("tls:")).map(|line| format!("{line}\n")).collect();
    let error = parse(&without_tls).unwrap_err().to_string();
    assert!(error.starts_with("tls: [::]:7090 takes requests of other machines"), "{error}");
    parse(&format!("{without_tls}plainHttp: allow\n")).unwrap();
    parse(&without_tls.replace("[::]:7090", "[::1]:7090")).unwrap();
}
