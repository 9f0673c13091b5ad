use uuid::Uuid;

use super::*;

const GOOD: &str = r#"
listen: "[::]:7090"
tls: {cert: /etc/remora/tls.crt, key: /etc/remora/tls.key}
publicUrl: https://metrics.example.org/
dataDir: /srv/remora
walSync: every-commit
retention: 400d
outOfOrderWindow: 2h
databases: {closeAfterIdle: 10m}
issuers:
  - entra: {tenant: 72f988bf-86f1-41af-91ab-2d7cd011db47}
  - oidc: {issuer: "https://keycloak.example.org/realms/fleet"}
workspaces:
  - {name: fleet, accountId: 14e21a3b-a68e-4626-873e-6539bd54fc63}
  - {name: edge, accountId: 24e21a3b-a68e-4626-873e-6539bd54fc63, storage: {retention: 30d, retentionBytes: 1000000000}}
endpoints:
  - {name: fleet, immutableId: dce-9ef0dccd9267493699b55b77942fc26b}
rules:
  - {name: fleet, immutableId: dcr-9ef0dccd9267493699b55b77942fc26b, endpoint: fleet, workspaces: [fleet]}
subscription: {id: 5c1f4b4e-1f0e-4f7b-9a51-0b8f4f6c2d10, name: production}
region: westeurope
endpointDomain: metrics.example.org
backupDir: /srv/backups
defaultProfile: azure
limits: {workspaceActiveSeries: 5000000}
rolePropagation: {min: 10m, max: 30m}
deletedWorkspaceRetention: 7d
authority:
  listen: "[::]:7091"
  publicUrl: https://login.example.org:7091/
  tenant: 0fd5ba8e-54c8-46a8-8c8e-29a8b5d2a3c4
roleAssignments:
  - {principal: 00000000-0000-0000-0000-000000000001, role: Monitoring Metrics Publisher, scope: rule/fleet}
  - {principal: 00000000-0000-0000-0000-000000000002, role: b0d8363b-8ddd-447d-831f-62ca05bff136, scope: workspace/fleet}
  - {principal: 00000000-0000-0000-0000-000000000003, role: Owner, scope: /}
"#;

fn parse(text: &str) -> Result<Settings, SettingsError> {
    Settings::parse(text, PathBuf::from("/default"))
}

#[test]
fn a_whole_file() {
    let settings = parse(GOOD).unwrap();
    assert_eq!(settings.public_url.as_deref(), Some("https://metrics.example.org"));
    assert_eq!(settings.data_directory, PathBuf::from("/srv/remora"));
    assert_eq!(settings.storage.wal_sync, WalSync::EveryCommit);
    assert_eq!(settings.storage.retention, Duration::from_secs(400 * 86_400));
    assert_eq!(settings.storage.out_of_order_window, Some(Duration::from_secs(7200)));
    assert_eq!(settings.resting.close_after_idle, Duration::from_secs(600));
    let of_workspace = settings.declared.workspaces[1].1.storage;
    assert_eq!((of_workspace.retention_days, of_workspace.retention_bytes), (Some(30), Some(1_000_000_000)));
    assert_eq!(settings.issuers.len(), 2);
    let declared = &settings.declared;
    assert_eq!(declared.subscription.1, "production");
    assert_eq!(declared.roles[0].scope, declared.rules[0].0);
    assert_eq!(declared.roles[1].scope, declared.workspaces[0].0);
    assert_eq!(declared.roles[2].scope.as_str(), "/");
    let rule = &declared.rules[0].1.properties;
    assert_eq!(rule["dataCollectionEndpointId"], declared.endpoints[0].0.as_str());
    let account = &rule["destinations"]["monitoringAccounts"][0];
    assert_eq!(account["accountResourceId"], declared.workspaces[0].0.as_str());
    assert_eq!(rule["dataFlows"][0]["destinations"][0], account["name"]);
    assert_eq!(settings.limits.workspace.active_series, 5_000_000);
    assert_eq!(settings.limits.rule, quota::RuleLimits::default());
    assert_eq!(settings.role_propagation.max, Duration::from_secs(1800));
    assert_eq!(settings.workspace_retention, Duration::from_secs(7 * 86_400));
    assert_eq!(settings.default_profile, Profile::Azure);
    let authority = settings.authority.unwrap();
    assert_eq!(authority.public_url, "https://login.example.org:7091");
}

#[test]
fn defaults_for_what_is_left_out() {
    let settings = parse("issuers: [{oidc: {issuer: 'https://issuer.example.org'}}]\n").unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:7090");
    assert_eq!(settings.data_directory, PathBuf::from("/default"));
    assert_eq!(settings.plain_http, PlainHttp::Loopback);
    assert_eq!(settings.audiences, Audiences::default());
    assert_eq!(settings.region, "local");
    assert_eq!(settings.declared.subscription, (Uuid::nil(), "remora".to_owned()));
    assert_eq!(settings.role_propagation, Span::default());
    assert_eq!(settings.limits, quota::Limits::default());
    assert_eq!(settings.workspace_retention, Duration::from_secs(14 * 86_400));
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
        .replace("scope: workspace/fleet", "scope: workspace/other")
        .replace("5c1f4b4e-1f0e", "5c1f4b4e")
        .replace("region: westeurope", "region: West Europe")
        .replace("endpointDomain: metrics", "endpointDomain: -metrics")
        .replace("defaultProfile: azure", "defaultProfile: lax")
        .replace("workspaceActiveSeries: 5000000", "workspaceActiveSeries: 0")
        .replace("min: 10m", "min: 1h")
        .replace("deletedWorkspaceRetention: 7d", "deletedWorkspaceRetention: a week")
        .replace("https://login.example.org:7091/", "http://login.example.org:7091/path")
        .replace("tenant: 0fd5ba8e-54c8", "tenant: 0fd5ba8e");
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
        "subscription: id \"5c1f4b4e-4f7b-9a51-0b8f4f6c2d10\" is not a GUID",
        "region: \"West Europe\" must be of lower-case letters",
        "endpointDomain: \"-metrics.example.org\" is not a domain",
        "defaultProfile: \"lax\" is not one of: strict, azure",
        "limits: workspaceActiveSeries: 0 would take nothing",
        "rolePropagation: max is shorter than min",
        "deletedWorkspaceRetention: \"a week\" is no span of time; write a number and its unit",
        "authority: publicUrl: \"http://login.example.org:7091/path\" must be https",
        "authority: tenant \"0fd5ba8e-46a8-8c8e-29a8b5d2a3c4\" is not a GUID",
    ] {
        assert!(mistakes.iter().any(|mistake| mistake.contains(expected)), "{expected} in {mistakes:#?}");
    }
}

#[test]
fn what_stands_there_twice_or_does_not_fit() {
    let other = "{name: Fleet, accountId: 14e21a3b-a68e-4626-873e-6539bd54fc63}";
    let text = GOOD
        .replace("workspaces:\n", &format!("workspaces:\n  - {other}\n"))
        .replace("endpoint: fleet, ", "endpoint: none, ")
        .replace(
            "{name: fleet, immutableId: dcr-9ef0",
            "{name: fleet, resourceId: /subscriptions/x/y, immutableId: dcr-9EF0",
        )
        .replace("{name: fleet, immutableId: dce-9ef0dccd", "{name: fleet, immutableId: dce-");
    let mistakes = parse(&text).unwrap_err().0;
    for expected in [
        "workspaces: the name \"fleet\" stands there twice",
        "workspaces: the accountId \"14e21a3b-a68e-4626-873e-6539bd54fc63\" stands there twice",
        "rule \"fleet\": there is no endpoint \"none\"",
        "must be `dcr-` and 32 hexadecimal digits in lower case",
        "must be `dce-` and 32 hexadecimal digits in lower case",
        "resourceId \"/subscriptions/x/y\" must be /subscriptions/GUID/resourceGroups/GROUP/providers/Microsoft.Insights/dataCollectionRules/NAME",
    ] {
        assert!(mistakes.iter().any(|mistake| mistake.contains(expected)), "{expected} in {mistakes:#?}");
    }
    let text = GOOD.replace("accountId: 14e21a3b-a68e-4626-873e-6539bd54fc63}", concat!(
        "accountId: 14e21a3b-a68e-4626-873e-6539bd54fc63, resourceId: /subscriptions/00000000-0000-0000-0000-000000000000",
        "/resourceGroups/g/providers/Microsoft.Monitor/accounts/other}",
    ));
    let error = parse(&text).unwrap_err().to_string();
    assert!(error.contains("resourceId ends in \"other\""), "{error}");
}

#[test]
fn an_authority_stands_in_for_issuers() {
    let authority = "authority: {listen: '127.0.0.1:7091', publicUrl: 'https://localhost:7091', tenant: 0fd5ba8e-54c8-46a8-8c8e-29a8b5d2a3c4}\n";
    assert!(parse(authority).unwrap().issuers.is_empty());
    assert!(parse("region: local\n").unwrap_err().to_string().starts_with("issuers: none is given"));
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
