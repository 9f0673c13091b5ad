//! New settings while it runs: what is taken up, what is not, and what a mistake does.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::support::{Running, ask, counting_endpoint, imds, serve};

const WRITE: &str =
    "POST /api/v1/write HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\nConnection: close\r\n\r\nsamples";

/// A settings file that tests change.
struct SettingsFile {
    path: PathBuf,
    imds: String,
}

impl SettingsFile {
    fn new(directory: &Path) -> Self {
        Self { path: directory.join("sidecar.yaml"), imds: format!("http://{}", imds()) }
    }

    fn write(&self, target: &str, rest: &str) {
        let text = format!("target:\n  ingestion_url: {target}\nidentity: {{type: systemAssigned}}\n{rest}\n");
        // As editors and ConfigMaps do it: at one blow.
        let new = self.path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &self.path).unwrap();
    }

    fn start(&self) -> Running {
        let variables = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", self.imds.as_str())];
        Running::start_with(&variables, &["--config", self.path.to_str().unwrap()])
    }
}

const LISTEN: &str = "listen: {port: 0, address: 127.0.0.1}";

#[test]
fn a_new_target_is_taken_up_on_sighup_and_a_mistake_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = SettingsFile::new(directory.path());
    let ((first, first_count), (second, second_count)) = (counting_endpoint(), counting_endpoint());
    file.write(&format!("http://{first}/w"), LISTEN);
    let running = file.start();
    let write = || assert!(ask(running.address, WRITE).starts_with("HTTP/1.1 204 "));
    write();
    assert_eq!(running.metric("remora_sidecar_config_last_reload_successful"), "1");

    file.write(&format!("http://{second}/w"), LISTEN);
    running.signal("-HUP");
    let log = running.wait_for_log("msg=\"Configuration reloaded\"");
    assert!(log.contains("changed=INGESTION_URL"), "{log}");
    write();
    assert_eq!((*first_count.lock().unwrap(), *second_count.lock().unwrap()), (1, 1));
    assert_eq!(running.metric("remora_sidecar_config_reloads_total{outcome=\"success\"}"), "1");

    file.write("http://example.com/w", &format!("{LISTEN}\nqueue: {{age_max: 24}}"));
    running.signal("-HUP");
    let log = running.wait_for_log("Configuration not reloaded, the one before stays in force");
    let line = log.lines().find(|line| line.contains("not reloaded")).unwrap();
    for expected in ["level=error", "2 mistakes", "target.ingestion_url", "line 2", "queue.age_max", "has no unit"] {
        assert!(line.contains(expected), "{expected}: {line}");
    }
    write();
    assert_eq!((*first_count.lock().unwrap(), *second_count.lock().unwrap()), (1, 2));
    assert_eq!(running.metric("remora_sidecar_config_reloads_total{outcome=\"failure\"}"), "1");
    assert_eq!(running.metric("remora_sidecar_config_last_reload_successful"), "0");

    file.write(&format!("http://{first}/w"), LISTEN);
    running.signal("-HUP");
    running.wait_for_logs("msg=\"Configuration reloaded\"", 2);
    write();
    assert_eq!((*first_count.lock().unwrap(), *second_count.lock().unwrap()), (2, 2));
    assert_eq!(running.metric("remora_sidecar_config_last_reload_successful"), "1");
    let (code, log) = running.stop("-TERM");
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("geheim"), "{log}");
}

#[test]
fn a_change_is_noticed_without_a_signal() {
    let directory = tempfile::tempdir().unwrap();
    let file = SettingsFile::new(directory.path());
    let ((first, _), (second, second_count)) = (counting_endpoint(), counting_endpoint());
    file.write(&format!("http://{first}/w"), LISTEN);
    let running = file.start();
    file.write(&format!("http://{second}/w"), LISTEN);
    running.wait_for_log("msg=\"Configuration reloaded\"");
    assert!(ask(running.address, WRITE).starts_with("HTTP/1.1 204 "));
    assert_eq!(*second_count.lock().unwrap(), 1);
    assert_eq!(running.stop("-TERM").0, Some(0));
}

#[test]
fn a_rotated_secret_is_taken_up_by_itself() {
    const GUID: &str = "11111111-2222-3333-4444-555555555555";
    let directory = tempfile::tempdir().unwrap();
    let (secret, config) = (directory.path().join("secret"), directory.path().join("sidecar.yaml"));
    std::fs::write(&secret, "first-geheim\n").unwrap();
    let seen: Arc<Mutex<Vec<&str>>> = Arc::default();
    let noted = Arc::clone(&seen);
    let authority = serve(move |request| {
        let mut seen = noted.lock().unwrap();
        seen.extend(
            ["client_secret=first-geheim", "client_secret=second-geheim"]
                .into_iter()
                .filter(|given| request.contains(given)),
        );
        let body = r#"{"access_token":"geheim-token","expires_in":3600,"token_type":"Bearer"}"#;
        let status = if request.starts_with("POST ") { "200 OK" } else { "404 Not Found" };
        format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    });
    let (endpoint, _) = counting_endpoint();
    let text = format!(
        "target: {{ingestion_url: 'http://{endpoint}/w'}}\n{LISTEN}\nidentity: {{type: aadApplication, client_id: {GUID}, \
         tenant_id: {GUID}, client_secret_file: {}, authority_host: 'http://{authority}'}}\n",
        secret.display()
    );
    std::fs::write(&config, text).unwrap();
    let running = Running::start_with(&[], &["--config", config.to_str().unwrap()]);
    running.wait_for_log("Initialization successful");
    std::fs::write(&secret, "second-geheim\n").unwrap();
    running.signal("-HUP");
    let log = running.wait_for_log("msg=\"Configuration reloaded\"");
    assert!(log.contains("changed=REMORA_CLIENT_SECRET_FILE"), "{log}");
    // Its token was there before the new settings came into force.
    assert_eq!(*seen.lock().unwrap(), ["client_secret=first-geheim", "client_secret=second-geheim"]);
    assert!(ask(running.address, WRITE).starts_with("HTTP/1.1 204 "));
    let (code, log) = running.stop("-TERM");
    assert!(code == Some(0) && !log.contains("geheim"), "{log}");
}

#[test]
fn what_cannot_change_is_named_and_left() {
    let directory = tempfile::tempdir().unwrap();
    let file = SettingsFile::new(directory.path());
    let (endpoint, count) = counting_endpoint();
    let url = format!("http://{endpoint}/w");
    file.write(&url, LISTEN);
    let running = file.start();
    let queue = directory.path().join("queue");
    let rest = format!(
        "listen: {{port: 1, address: 127.0.0.1}}\nqueue: {{directory: {}}}\nlog: {{trace: true}}",
        queue.display()
    );
    file.write(&url, &rest);
    running.signal("-HUP");
    let log = running.wait_for_log("is taken up at the next start alone");
    let warning = log.lines().find(|line| line.contains("next start alone")).unwrap();
    assert!(
        warning.contains("changed=\"LISTENING_PORT,REMORA_QUEUE_DIR\"")
            || warning.contains("changed=LISTENING_PORT,REMORA_QUEUE_DIR"),
        "{warning}"
    );
    assert!(log.contains("changed=TRACE_LOGGING"), "{log}");
    assert!(!queue.exists());
    assert!(ask(running.address, WRITE).starts_with("HTTP/1.1 204 ") && *count.lock().unwrap() == 1);
    // A new target needs a token, of which only the longer log speaks.
    file.write(&format!("{url}/other"), &rest);
    running.signal("-HUP");
    running.wait_for_log("level=debug msg=\"token obtained\"");
    assert_eq!(running.stop("-TERM").0, Some(0));
}
