//! `remora serve`: the service alone, from a settings file.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::arm::{Arm, token_claims};
use crate::client::Client;
use crate::installation::{INGESTION_SCOPE, Installation, QUERY_RESOURCE, remora};
use crate::process::{Process, eventually, free_port};
use crate::writing::{labels, now, post, request};

const ZERO_SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";
/// The first workspace's accountId ends in it.
const FIRST_ACCOUNT: usize = 0x6539_bd54_fc63;
const RULE: &str = "dcr-00000000000000000000000000000001";

/// A service that believes the tokens of an installation's local authority.
pub(crate) struct Service {
    pub(crate) process: Process,
    pub(crate) base: String,
    settings: PathBuf,
    port: u16,
}

impl Service {
    /// Writes settings for the installation's application and starts on them.
    pub(crate) fn start(up: &Installation, more: &str) -> Self {
        Self::start_with(up, &["fleet".to_owned()], more)
    }

    /// The same with these workspaces, each with a rule; the first one's is the one that is written to.
    pub(crate) fn start_with(up: &Installation, workspaces: &[String], more: &str) -> Self {
        let port = free_port();
        let numbered = || workspaces.iter().enumerate();
        let declared: Vec<String> = numbered()
            .map(|(number, name)| {
                format!("{{name: {name}, accountId: 14e21a3b-a68e-4626-873e-{:012x}}}", FIRST_ACCOUNT + number)
            })
            .collect();
        let rules: Vec<String> = numbered()
            .map(|(number, name)| {
                format!("{{name: {name}, immutableId: dcr-{:032x}, workspaces: [{name}]}}", number + 1)
            })
            .collect();
        let token = up.token_by_secret("application_id", "client_secret_file", INGESTION_SCOPE);
        let claims = token_claims(&token);
        let text = format!(
            concat!(
                "listen: '127.0.0.1:{port}'\n",
                "dataDir: {data}\n",
                "issuers: [{{oidc: {{issuer: '{issuer}', jwksUri: '{authority}/{tenant}/discovery/v2.0/keys'}}}}]\n",
                "workspaces: [{workspaces}]\n",
                "rules: [{rules}]\n",
                "roleAssignments:\n",
                "  - {{principal: {oid}, role: Monitoring Metrics Publisher, scope: {publishes}}}\n",
                "  - {{principal: {oid}, role: Monitoring Data Reader, scope: workspace/fleet}}\n",
                "  - {{principal: {admin}, role: Owner, scope: /}}\n",
                "{more}",
            ),
            port = port,
            data = up.directory().join(format!("serve-{port}")).display(),
            issuer = claims["iss"].as_str().unwrap(),
            authority = up.fact("authority"),
            tenant = up.fact("tenant_id"),
            workspaces = declared.join(", "),
            rules = rules.join(", "),
            publishes = if workspaces.len() == 1 { "rule/fleet" } else { "/" },
            oid = claims["oid"].as_str().unwrap(),
            admin = up.object_id_of_admin(),
            more = more,
        );
        let settings = up.directory().join(format!("serve-{port}.yaml"));
        fs::write(&settings, text).unwrap();
        let process = Self::run(&settings, port, &up.client);
        Self { process, base: format!("http://127.0.0.1:{port}"), settings, port }
    }

    /// Kills the process without warning and starts it again on the same data.
    pub(crate) fn crash_and_restart(self, client: &Client) -> Self {
        let Self { process, base, settings, port } = self;
        process.kill();
        let process = Self::run(&settings, port, client);
        Self { process, base, settings, port }
    }

    /// Its management API, for the installation's admin.
    pub(crate) fn arm(&self, up: &Installation) -> Arm {
        Arm::new(&up.client, &self.base, up.token_of_admin(), ZERO_SUBSCRIPTION)
    }

    /// Ends it and starts it again with a directory of its data, such as its catalogue, on a disk of so many KiB, that is empty
    /// but for a file `ballast` of so many. `false`: no such disk can be had here.
    pub(crate) fn restart_on_small_disk(
        &mut self,
        up: &Installation,
        directory: &str,
        kibibytes: u32,
        ballast: u32,
    ) -> bool {
        let tried = |namespace: &str| {
            let mut mount = Command::new("unshare");
            mount
                .args([namespace, "mount", "-t", "tmpfs", "tmpfs", "/tmp"])
                .output()
                .is_ok_and(|done| done.status.success())
        };
        let Some(namespace) = ["-Urm", "-m"].into_iter().find(|namespace| tried(namespace)) else { return false };
        self.process.signal_kill();
        self.process.wait(Duration::from_secs(10));
        let place = self.data(up).join(directory);
        fs::create_dir_all(&place).unwrap();
        let script = format!(
            "mount -t tmpfs -o size={kibibytes}k,mode=700 tmpfs \"$1\" && head -c {ballast}K /dev/zero > \"$1/ballast\" && shift && exec \"$@\""
        );
        let mut command = Command::new("unshare");
        command.args([namespace, "sh", "-c", &script, "sh"]).arg(place).arg(env!("CARGO_BIN_EXE_remora"));
        command.args(["serve", "--config"]).arg(&self.settings);
        self.process = Self::start_process(command, &self.settings, self.port, &up.client);
        true
    }

    /// Where its data are.
    pub(crate) fn data(&self, up: &Installation) -> PathBuf {
        up.directory().join(format!("serve-{}", self.port))
    }

    /// Where writes of a workspace's rule go.
    pub(crate) fn write_url_of(&self, number: usize) -> String {
        let rule = format!("dcr-{:032x}", number + 1);
        format!("{}/dataCollectionRules/{rule}/streams/Microsoft-PrometheusMetrics/api/v1/write", self.base)
    }

    /// A figure that it shows, if it does.
    pub(crate) fn figure(&self, series: &str) -> Option<f64> {
        // Of many workspaces it is longer than answers that control traffic takes.
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(connection, "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        connection.read_to_string(&mut text).unwrap();
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// Where writes go.
    pub(crate) fn write_url(&self) -> String {
        format!("{}/dataCollectionRules/{RULE}/streams/Microsoft-PrometheusMetrics/api/v1/write", self.base)
    }

    /// The query API's base.
    pub(crate) fn query_url(&self) -> String {
        format!("{}/workspaces/fleet", self.base)
    }

    fn run(settings: &Path, port: u16, client: &Client) -> Process {
        let mut command = remora();
        command.args(["serve", "--config"]).arg(settings);
        Self::start_process(command, settings, port, client)
    }

    fn start_process(mut command: Command, settings: &Path, port: u16, client: &Client) -> Process {
        let mut process = Process::start(&format!("serve-{port}"), settings.parent().unwrap(), &mut command);
        eventually("readiness of the service", Duration::from_secs(60), || {
            process.assert_running();
            let answer = client.try_send("GET", &format!("http://127.0.0.1:{port}/ready"), &[], "")?;
            (answer.status == 200).then_some(())
        });
        process
    }
}

#[test]
fn serves_what_its_settings_say() {
    let up = Installation::start();
    let service = Service::start(&up, "");
    let write = up.token_by_secret("application_id", "client_secret_file", INGESTION_SCOPE);
    let read = up.token_by_secret("application_id", "client_secret_file", &format!("{QUERY_RESOURCE}/.default"));
    let body = request(&[(labels(&[("__name__", "served")]), now(), 42.0)]);
    let answer = post(&up.client, &service.write_url(), Some(&write), body);
    assert_eq!(answer.status, 204, "{}", answer.text());
    let data = up.client.query(&service.query_url(), Some(&read), "served", None).unwrap();
    assert_eq!(data["result"][0]["value"][1], "42");
    // Nothing of a laptop's conveniences in production.
    let imds = format!("{}/metadata/identity/oauth2/token?api-version=2018-02-01&resource=x", service.base);
    assert_eq!(up.client.send("GET", &imds, &[("metadata", "true")], "").status, 401);
    assert!(service.process.terminate().0.success(), "`remora serve` must end well on SIGTERM");
}

#[test]
fn endpoints_and_workspaces_have_hosts_of_their_own() {
    let up = Installation::start();
    let service = Service::start(&up, "endpointDomain: metrics.test\n");
    let read = up.token_by_secret("application_id", "client_secret_file", &format!("{QUERY_RESOURCE}/.default"));
    let bearer = format!("Bearer {read}");
    let ask = |host: &str| {
        let headers = [("authorization", bearer.as_str()), ("host", host)];
        up.client.send("GET", &format!("{}/api/v1/query?query=vector(1)", service.base), &headers, "")
    };
    let answer = ask("fleet.local.prometheus.metrics.test");
    assert_eq!((answer.status, &answer.json()["status"]), (200, &"success".into()), "{}", answer.text());
    // One that one may not read, one that does not exist, and a host that is none of ours.
    assert_eq!(ask("system.local.prometheus.metrics.test").status, 403);
    for host in ["other.local.prometheus.metrics.test", "fleet.local.prometheus.example.org"] {
        assert_eq!(ask(host).status, 404, "{host}");
    }
    let id =
        format!("/subscriptions/{ZERO_SUBSCRIPTION}/resourceGroups/remora/providers/Microsoft.Monitor/accounts/fleet");
    let shown = up.client.send(
        "GET",
        &format!("{}{id}?api-version=2025-10-03", service.base),
        &[("authorization", &format!("Bearer {}", up.token_of_admin()))],
        "",
    );
    let endpoint = shown.json()["properties"]["metrics"]["prometheusQueryEndpoint"].clone();
    assert!(endpoint.as_str().is_some_and(|url| url.contains("fleet.local.prometheus.metrics.test")), "{endpoint}");
}

#[test]
fn a_renewed_certificate_is_picked_up() {
    let up = Installation::start();
    let (certificate, key) = (up.directory().join("tls.crt"), up.directory().join("tls.key"));
    let renew = || {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
        fs::write(&certificate, pair.cert.pem()).unwrap();
    };
    renew();
    let tls = format!("tls: {{cert: {}, key: {}}}\n", certificate.display(), key.display());
    let service = Service::start(&up, &tls);
    let trusting_now = || Client::new(Some(&certificate));
    let health = format!("{}/health", service.base.replacen("http:", "https:", 1));
    let old: Arc<Client> = trusting_now();
    assert_eq!(old.get(&health).status, 200);
    renew();
    let new = trusting_now();
    eventually("the new certificate", Duration::from_secs(30), || {
        new.try_send("GET", &health, &[], "").filter(|answer| answer.status == 200)
    });
}

#[test]
fn wrong_settings_are_all_named() {
    let directory = tempfile::tempdir().unwrap();
    let settings = directory.path().join("remora.yaml");
    fs::write(&settings, "listen: nowhere\nissuers: []\nworkspaces: [{name: a b, accountId: x}]\n").unwrap();
    // A missing certificate is found out before anybody restarts a service on it.
    let incomplete = directory.path().join("incomplete.yaml");
    fs::write(
        &incomplete,
        concat!(
            "tls: {cert: /nowhere/tls.crt, key: /nowhere/tls.key}\nissuers: [{oidc: {issuer: 'https://issuer.example.org'}}]\n",
            "workspaces: [{name: fleet, accountId: 14e21a3b-a68e-4626-873e-6539bd54fc63}]\n",
        ),
    )
    .unwrap();
    let output = remora().args(["serve", "--check", "--config"]).arg(&incomplete).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && said.contains("/nowhere/tls.crt"), "{said}");
    for more in [&[][..], &["--check"]] {
        let output = remora().args(["serve", "--config"]).arg(&settings).args(more).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        for expected in ["listen:", "issuers:", "accountId", "a name has"] {
            assert!(said.contains(expected), "{expected} in {said}");
        }
    }
}
