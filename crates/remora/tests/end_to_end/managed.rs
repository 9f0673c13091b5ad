//! The service as it is managed: changed while it runs, found again after it ends.

use std::time::Duration;

use serde_json::json;

use crate::arm::Arm;
use crate::client::Client;
use crate::installation::{INGESTION_SCOPE, Installation, MANAGEMENT_SCOPE, QUERY_RESOURCE};
use crate::process::{Process, eventually};
use crate::serve::Service;
use crate::writing::{labels, now, post, request};

const PUBLISHER: &str = "3913510d-42f4-4e42-8a64-420c390055eb";
const READER: &str = "b0d8363b-8ddd-447d-831f-62ca05bff136";
const WORKSPACES: &str = "Microsoft.Monitor/accounts";
const IDENTITIES: &str = "Microsoft.ManagedIdentity/userAssignedIdentities";

/// Writes one sample to a rule; the answer's status.
fn write(up: &Installation, immutable_id: &str, name: &str, value: f64) -> u16 {
    let token = up.token_by_secret("application_id", "client_secret_file", INGESTION_SCOPE);
    let body = request(&[(labels(&[("__name__", name)]), now(), value)]);
    let service = up.fact("service");
    let url = format!("{service}/dataCollectionRules/{immutable_id}/streams/Microsoft-PrometheusMetrics/api/v1/write");
    post(&up.client, &url, Some(&token), body).status
}

/// The newest value of a series in a workspace, if it can be read.
fn read(up: &Installation, workspace: &str, query: &str) -> Option<String> {
    let token = up.token_by_secret("application_id", "client_secret_file", &format!("{QUERY_RESOURCE}/.default"));
    let base = format!("{}/workspaces/{workspace}", up.fact("service"));
    let data = up.client.query(&base, Some(&token), query, None)?;
    data["result"][0]["value"][1].as_str().map(str::to_owned)
}

/// A workspace with a rule to it, both for the application; the workspace's id and the rule's immutable id.
fn make(up: &Installation, arm: &Arm, name: &str) -> (String, String) {
    let workspace = arm.id(WORKSPACES, name);
    arm.put(&workspace);
    let rule = arm.put_rule(name, &[&workspace]);
    let application = up.object_id_of_application();
    let guid = |number: u32| format!("00000000-0000-4000-8000-{:012x}", number * 1000 + name.len() as u32);
    arm.assign(&guid(1), PUBLISHER, &application, rule["id"].as_str().unwrap());
    arm.assign(&guid(2), READER, &application, &workspace);
    (workspace, rule["properties"]["immutableId"].as_str().unwrap().to_owned())
}

#[test]
fn a_workspace_is_made_used_deleted_and_restored_while_the_service_runs() {
    let up = Installation::start();
    let arm = up.arm();
    let (workspace, rule) = make(&up, &arm, "fleet");
    assert_eq!(write(&up, &rule, "made", 1.0), 204);
    assert_eq!(read(&up, "fleet", "made").as_deref(), Some("1"));
    // It came with an endpoint and a rule of its own.
    let shown = arm.get(&workspace);
    let default = shown["properties"]["defaultIngestionSettings"]["dataCollectionRuleResourceId"].as_str().unwrap();
    arm.get(default);
    let account = shown["properties"]["accountId"].as_str().unwrap().to_owned();

    arm.delete(&workspace);
    assert_ne!(write(&up, &rule, "made", 2.0), 204);
    assert_eq!(read(&up, "fleet", "made"), None);
    let deleted = format!("{}/providers/Microsoft.Monitor/deletedAccounts/{account}", arm.subscription());
    let restored = arm.call("POST", &format!("{deleted}/restore"), None);
    assert!(matches!(restored.status, 200 | 201), "{}", restored.text());
    eventually("the sample of before", Duration::from_secs(10), || {
        read(&up, "fleet", "made").filter(|value| value == "1")
    });

    arm.delete(&format!("{workspace}?purge=true"));
    let directory = up.data_directory().join("workspaces").join(&account);
    eventually("the data to be gone", Duration::from_secs(10), || (!directory.exists()).then_some(()));
    let log = up.process.log();
    assert!(!log.contains("level=error"), "{log}");
}

#[test]
fn a_new_managed_identity_gets_tokens_at_once() {
    let up = Installation::start();
    let arm = up.arm();
    let identity = arm.put(&arm.id(IDENTITIES, "robot"));
    let client_id = identity["properties"]["clientId"].as_str().unwrap();
    let url = format!(
        "{}/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://monitor.azure.com&client_id={client_id}",
        up.fact("imds")
    );
    let ask = || up.client.send("GET", &url, &[("metadata", "true")], "").status;
    assert_eq!(ask(), 200);
    arm.delete(&arm.id(IDENTITIES, "robot"));
    assert_eq!(ask(), 400);
}

#[test]
fn what_was_made_and_deleted_is_so_after_a_restart() {
    let up = Installation::start();
    let (data, arm) = (up.data_directory(), up.arm());
    let (_, rule) = make(&up, &arm, "kept");
    assert_eq!(write(&up, &rule, "kept", 7.0), 204);
    let declared = arm.id(WORKSPACES, "default");
    assert_eq!(arm.get(&declared)["properties"]["accountId"], up.fact("account_id"));
    arm.delete(&arm.id("Microsoft.Insights/dataCollectionRules", "default"));
    let up = Installation::start_in(up.stop());
    assert_eq!(read(&up, "kept", "last_over_time(kept[10m])").as_deref(), Some("7"));
    let rules = up.arm().get(&format!("{}/providers/Microsoft.Insights/dataCollectionRules", arm.subscription()));
    let names: Vec<&str> = rules["value"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"kept") && !names.contains(&"default"), "what was deleted stays deleted: {names:?}");

    // An installation of before there was a catalogue: the same ids are found again.
    let directory = up.stop();
    std::fs::remove_dir_all(data.join("catalog")).unwrap();
    let up = Installation::start_in(directory);
    let account = up.arm().get(&declared)["properties"]["accountId"].clone();
    assert_eq!(account, up.fact("account_id"));
    assert_eq!(write(&up, up.fact("rule"), "taken_over", 1.0), 204);
}

#[test]
fn role_changes_take_their_time_where_that_is_rehearsed() {
    let arguments = ["--profile", "azure", "--role-propagation", "2s..3s"];
    let up = Installation::start_with(tempfile::tempdir().unwrap(), &arguments);
    let arm = up.arm();
    let (_, rule) = make(&up, &arm, "slow");
    assert_eq!(write(&up, &rule, "slow", 1.0), 403);
    eventually("the role to act", Duration::from_secs(20), || {
        (write(&up, &rule, "slow", 1.0) / 100 == 2).then_some(())
    });
}

#[test]
fn how_far_ahead_samples_may_be_is_the_profile_s() {
    for (profile, minutes, is_stored) in
        [("azure", 19, true), ("azure", 21, false), ("strict", 9, true), ("strict", 11, false)]
    {
        let up = Installation::start_with(tempfile::tempdir().unwrap(), &["--profile", profile]);
        let token = up.token_by_secret("application_id", "client_secret_file", INGESTION_SCOPE);
        let at = now().plus(minutes * 60_000);
        post(
            &up.client,
            up.fact("ingestion_url"),
            Some(&token),
            request(&[(labels(&[("__name__", "ahead")]), at, 1.0)]),
        );
        let found = read(&up, "default", &format!("ahead @ {}", at.0 / 1000 + 1));
        assert_eq!(found.is_some(), is_stored, "{minutes} minutes ahead, profile {profile}");
    }
}

#[test]
fn a_backup_made_under_load_holds_what_was_answered_before() {
    let up = Installation::start();
    let arm = up.arm();
    let (_, rule) = make(&up, &arm, "fleet");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let answered = std::sync::atomic::AtomicU32::new(0);
    let before = std::thread::scope(|scope| {
        use std::sync::atomic::Ordering::SeqCst;
        scope.spawn(|| {
            for value in 1.. {
                if stop.load(SeqCst) {
                    break;
                }
                assert_eq!(write(&up, &rule, &format!("n{value}"), f64::from(value)), 204);
                answered.store(value, SeqCst);
            }
        });
        eventually("some writes", Duration::from_secs(20), || (answered.load(SeqCst) > 20).then_some(()));
        let before = answered.load(SeqCst);
        let made = arm.call("PUT", "/providers/Remora.Service/backups/monday", Some(&json!({})));
        assert!(matches!(made.status, 200 | 201), "{}", made.text());
        stop.store(true, SeqCst);
        before
    });
    let backup = up.data_directory().join("backups/monday");
    let restored = tempfile::tempdir().unwrap();
    let output = crate::installation::remora()
        .args(["backup", "restore", "--from"])
        .arg(&backup)
        .arg("--data-dir")
        .arg(restored.path().join("data"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    drop(up);
    let up = Installation::start_in(restored);
    for value in 1..=before {
        let found = read(&up, "fleet", &format!("last_over_time(n{value}[10m])"));
        assert_eq!(found, Some(value.to_string()), "of {before}");
    }
}

/// Kills the service again and again while resources are made and samples written: what was answered is there, and
/// nothing is there in part.
#[test]
fn nothing_is_half_made_after_kills() {
    let up = Installation::start();
    let mut service = Service::start(&up, "");
    let mut answered: Vec<String> = Vec::new();
    let mut written: Vec<(String, f64)> = Vec::new();
    let token = up.token_by_secret("application_id", "client_secret_file", INGESTION_SCOPE);
    for round in 0..12u32 {
        let arm = service.arm(&up);
        let url = service.write_url();
        std::thread::scope(|scope| {
            let maker = scope.spawn(|| {
                let mut answered = Vec::new();
                for number in 0.. {
                    let name = format!("w{round}-{number}");
                    let id = arm.id(WORKSPACES, &name);
                    let made = arm.try_call("PUT", &id, Some(&json!({"location": "local"})));
                    let Some(made) = made else { break };
                    assert!(matches!(made.status, 200 | 201), "{}", made.text());
                    answered.push(id.clone());
                    let rule = arm.id("Microsoft.Insights/dataCollectionRules", &name);
                    match arm.try_call("PUT", &rule, Some(&crate::arm::rule(&[&id]))) {
                        Some(made) if matches!(made.status, 200 | 201) => answered.push(rule),
                        Some(refused) => panic!("{}", refused.text()),
                        None => break,
                    }
                }
                answered
            });
            let writer = scope.spawn(|| {
                let mut written = Vec::new();
                for number in 0.. {
                    let name = format!("r{round}_{number}");
                    let body = request(&[(labels(&[("__name__", &name)]), now(), f64::from(number))]);
                    match crate::writing::try_post(&up.client, &url, Some(&token), body) {
                        Some(answer) if answer.status == 204 => written.push((name, f64::from(number))),
                        Some(answer) => panic!("{}", answer.text()),
                        None => break,
                    }
                }
                written
            });
            crate::process::pause(Duration::from_millis(60 + u64::from(round * 53 % 190)));
            service.process.signal_kill();
            answered.extend(maker.join().unwrap());
            written.extend(writer.join().unwrap());
        });
        service = service.crash_and_restart(&up.client);
    }
    assert!(answered.len() > 24 && written.len() > 24, "{} and {}", answered.len(), written.len());
    let arm = service.arm(&up);
    for id in &answered {
        let shown = arm.get(id);
        if id.contains("accounts") {
            let default = &shown["properties"]["defaultIngestionSettings"];
            arm.get(default["dataCollectionRuleResourceId"].as_str().unwrap());
            arm.get(default["dataCollectionEndpointResourceId"].as_str().unwrap());
        }
    }
    // Whatever is listed is whole, answered or not.
    let all = arm.get(&format!("{}/providers/{WORKSPACES}", arm.subscription()));
    for one in all["value"].as_array().unwrap() {
        let default = &one["properties"]["defaultIngestionSettings"];
        for name in ["dataCollectionRuleResourceId", "dataCollectionEndpointResourceId"] {
            match default[name].as_str() {
                Some(id) => drop(arm.get(id)),
                // Those that are declared are made without.
                None => assert!(!one["name"].as_str().unwrap().starts_with('w'), "{one}"),
            }
        }
    }
    let groups = arm.get(&format!("{}/resourceGroups", arm.subscription()));
    for managed in groups["value"].as_array().unwrap().iter().filter_map(|group| group["managedBy"].as_str()) {
        arm.get(managed);
    }
    let token = up.token_by_secret("application_id", "client_secret_file", &format!("{QUERY_RESOURCE}/.default"));
    let query = "last_over_time({__name__=~\"r.+\"}[30m])";
    let data = up.client.query(&service.query_url(), Some(&token), query, None).unwrap();
    let result = data["result"].as_array().unwrap();
    for (name, value) in &written {
        let one = result.iter().find(|one| one["metric"]["__name__"] == name.as_str());
        let found: Option<f64> = one.map(|one| one["value"][1].as_str().unwrap().parse().unwrap());
        assert_eq!(found, Some(*value), "{name}");
    }
}

#[test]
fn a_full_disk_of_the_catalogue_stops_changes_alone() {
    let up = Installation::start();
    let mut service = Service::start(&up, "");
    if !service.restart_on_small_disk(&up, "catalog", 512, 0) {
        eprintln!("no small disk can be had here (`unshare -Urm`, `unshare -m`): not tried");
        return;
    }
    let arm = service.arm(&up);
    let refused = (0..5000).find_map(|number| {
        let id = arm.id("Microsoft.Insights/dataCollectionEndpoints", &format!("endpoint-{number}"));
        let answer = arm.call("PUT", &id, Some(&json!({"location": "local", "properties": {}})));
        (!matches!(answer.status, 200 | 201)).then_some((id, answer))
    });
    let (id, refused) = refused.expect("the disk fills up");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().contains("full"), "{}", refused.text());
    assert_eq!(arm.call("GET", &id, None).status, 404, "nothing is there in part");
    // What is there can be read, and samples are taken as before.
    arm.get(&arm.id("Microsoft.Insights/dataCollectionEndpoints", "endpoint-0"));
    let token = up.token_by_secret("application_id", "client_secret_file", INGESTION_SCOPE);
    let body = request(&[(labels(&[("__name__", "still_taken")]), now(), 1.0)]);
    assert_eq!(post(&up.client, &service.write_url(), Some(&token), body).status, 204);
}

#[test]
fn serve_runs_an_authority_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let (data, settings) = (directory.path().join("data"), directory.path().join("remora.yaml"));
    let (service, authority) = (crate::process::free_port(), crate::process::free_port());
    let tenant = "0fd5ba8e-54c8-46a8-8c8e-29a8b5d2a3c4";
    let text = format!(
        "listen: '127.0.0.1:{service}'\ndataDir: {}\nauthority: {{listen: '127.0.0.1:{authority}', publicUrl: 'https://localhost:{authority}', tenant: {tenant}}}\n",
        data.display()
    );
    std::fs::write(&settings, text).unwrap();
    let mut command = crate::installation::remora();
    command.args(["serve", "--config"]).arg(&settings);
    let mut process = Process::start("serve", directory.path(), &mut command);
    let base = format!("http://127.0.0.1:{service}");
    let plain = Client::new(None);
    eventually("readiness", Duration::from_secs(30), || {
        process.assert_running();
        plain.try_send("GET", &format!("{base}/ready"), &[], "").filter(|answer| answer.status == 200)
    });
    let client = Client::new(Some(&data.join("authority/ca.pem")));
    let read = |name: &str| std::fs::read_to_string(data.join("secrets").join(name)).unwrap();
    let ids: serde_json::Value = serde_json::from_str(&read("admin.json")).unwrap();
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_id", ids["clientId"].as_str().unwrap())
        .append_pair("client_secret", read("admin-secret").trim())
        .append_pair("scope", MANAGEMENT_SCOPE)
        .finish();
    let url = format!("https://localhost:{authority}/{tenant}/oauth2/v2.0/token");
    let answer = client.send("POST", &url, &[("content-type", "application/x-www-form-urlencoded")], form);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    let arm = Arm::new(&client, &base, token, "00000000-0000-0000-0000-000000000000");
    arm.put(&format!("{}/resourceGroups/remora", arm.subscription()));
    arm.put(&arm.id(WORKSPACES, "fleet"));
    // No process is a managed identity here.
    let imds =
        format!("https://localhost:{authority}/metadata/identity/oauth2/token?api-version=2018-02-01&resource=x");
    assert_eq!(client.send("GET", &imds, &[("metadata", "true")], "").status, 404);
    assert!(process.terminate().0.success(), "`remora serve` must end well on SIGTERM");
}
