//! `remora workspace`, `rule`, `role` and so on, as typed, against a real `remora up`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;

use crate::client::Client;
use crate::installation::{Installation, remora};
use crate::process::{Process, eventually, free_port};
use crate::writing::{HEADERS, labels, now, request};

/// A shell beside an installation.
struct Shell<'a> {
    up: &'a Installation,
    environment: Vec<(String, String)>,
}

/// What a command did.
struct Ran {
    line: String,
    output: Output,
}

impl Ran {
    fn code(&self) -> i32 {
        self.output.status.code().unwrap_or(-1)
    }

    fn out(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }

    fn errors(&self) -> String {
        String::from_utf8(self.output.stderr.clone()).unwrap()
    }

    /// It went well.
    #[track_caller]
    fn ok(self) -> Self {
        assert_eq!(self.code(), 0, "remora {}\n{}{}", self.line, self.out(), self.errors());
        self
    }

    /// It went well and printed JSON.
    #[track_caller]
    fn json(self) -> Value {
        let ran = self.ok();
        serde_json::from_str(&ran.out()).unwrap_or_else(|error| panic!("remora {}: {error} in {}", ran.line, ran.out()))
    }

    /// It ended with this code and told this.
    #[track_caller]
    fn fails(self, code: i32, told: &[&str]) {
        assert_eq!(self.code(), code, "remora {}\n{}{}", self.line, self.out(), self.errors());
        for text in told {
            assert!(self.errors().contains(text), "remora {} does not tell {text}:\n{}", self.line, self.errors());
        }
    }

    /// The value of a field that was printed for people.
    #[track_caller]
    fn field(&self, name: &str) -> String {
        let out = self.out();
        let line = out.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("  "));
        line.unwrap_or_else(|| panic!("no {name} in\n{out}")).trim().to_owned()
    }
}

impl<'a> Shell<'a> {
    /// One without any credential.
    fn beside(up: &'a Installation) -> Self {
        Self { up, environment: Vec::new() }
    }

    fn with(&self, name: &str, value: &str) -> Self {
        let mut environment = self.environment.clone();
        environment.push((name.to_owned(), value.to_owned()));
        Self { up: self.up, environment }
    }

    /// Runs `remora {line}`; words in single quotes are one.
    fn run(&self, line: &str) -> Ran {
        let mut command = remora();
        for (index, part) in line.split('\'').enumerate() {
            match index % 2 {
                0 => command.args(part.split_whitespace()),
                _ => command.arg(part),
            };
        }
        command.arg("--data-dir").arg(self.up.data_directory()).current_dir(self.up.directory());
        let output = command.envs(self.environment.iter().cloned()).output().unwrap();
        Ran { line: line.to_owned(), output }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.up.directory().join(name)
    }
}

/// Names in a list.
fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[test]
fn every_noun_and_verb() {
    let up = Installation::start();
    let shell = Shell::beside(&up);
    workspaces(&shell);
    endpoints_and_rules(&shell);
    limits_and_usage(&shell);
    principals_and_roles(&shell);
    identities(&shell);
    audit_and_backups(&shell);
    refusals(&shell);
}

fn workspaces(shell: &Shell<'_>) {
    assert!(names(&shell.run("workspace list --json").json()).contains(&"default"));
    let created = shell.run("workspace create fleet --tag team=a").ok();
    assert!(created.field("query URL").ends_with("/workspaces/fleet"), "{}", created.out());
    assert!(created.field("ingestion URL").contains("/dataCollectionRules/dcr-"), "{}", created.out());
    shell.run("workspace create fleet").fails(1, &["exists already", "remora workspace update"]);
    shell.run("workspace create bad_name").fails(1, &["(400)"]);
    let account = created.field("account id");
    for named in ["fleet", "FLEET", &account, &created.field("id")] {
        let shown = shell.run(&format!("workspace show {named} --json")).json();
        assert_eq!(shown["properties"]["accountId"], account.as_str());
    }
    let updated = shell.run("workspace update fleet --profile azure --tag team=b --json").json();
    assert_eq!(updated["properties"]["remora"]["profile"], "azure");
    assert_eq!(updated["tags"]["team"], "b");
    shell.run("workspace update fleet --profile strict").ok();

    let kept = shell.run("workspace create kept --retention 30d --retention-bytes 50000000").ok();
    assert_eq!(kept.field("storage"), "retention 30d, at most 50000000 bytes");
    let changed = shell.run("workspace update kept --retention 0d --out-of-order-window 1h").ok();
    assert_eq!(changed.field("storage"), "at most 50000000 bytes, samples at most 3600s late");
    shell.run("workspace update kept --retention 36h").fails(2, &["whole number of days"]);
    shell.run("workspace update kept --retention-bytes 5").fails(1, &["16777216 is the least"]);
    shell.run("workspace delete kept --yes --purge").ok();

    shell.run("workspace create gone").ok();
    shell.run("workspace delete gone").fails(2, &["--yes"]);
    shell.run("workspace delete gone --yes").ok();
    shell.run("workspace show gone").fails(1, &["there is no workspace"]);
    assert!(shell.run("workspace list-deleted").ok().out().contains("gone"));
    shell.run("workspace restore gone").ok();
    shell.run("workspace show gone").ok();
    shell.run("workspace delete gone --yes").ok();
    shell.run("workspace purge gone --yes").ok();
    shell.run("workspace restore gone").fails(1, &["list-deleted"]);
    shell.run("workspace create gone").ok();
    shell.run("workspace delete gone --yes --purge").ok();
    assert_eq!(shell.run("workspace list-deleted --json").json(), serde_json::json!([]));
    assert!(shell.run("workspace list -q").ok().out().lines().all(|line| !line.contains(' ')));
}

fn endpoints_and_rules(shell: &Shell<'_>) {
    let endpoint = shell.run("endpoint create west --description first").ok();
    assert!(endpoint.field("metrics ingestion URL").starts_with("http"), "{}", endpoint.out());
    shell.run("endpoint create west").fails(1, &["exists already"]);
    let updated = shell.run("endpoint update west --description second --tag a=b --json").json();
    assert_eq!((&updated["properties"]["description"], &updated["tags"]["a"]), (&"second".into(), &"b".into()));
    assert!(names(&shell.run("endpoint list --json").json()).contains(&"west"));
    let id = shell.run("endpoint show west").ok().field("immutable id");
    assert_eq!(shell.run(&format!("endpoint show {id} -q")).ok().out(), "west\n");

    let rule = shell.run("rule create west --workspace fleet,default --endpoint west --description d").ok();
    let id = rule.field("immutable id");
    assert!(id.starts_with("dcr-") && rule.field("ingestion URL").contains(&id), "{}", rule.out());
    assert!(rule.errors().contains("remora role create --principal"), "{}", rule.errors());
    shell.run("endpoint delete west --yes").fails(1, &["(409)"]);
    let updated = shell.run("rule update west --workspace fleet --no-endpoint --json").json();
    assert_eq!(updated["properties"]["destinations"]["monitoringAccounts"].as_array().unwrap().len(), 1);
    assert_eq!(updated["properties"]["immutableId"], id.as_str());
    assert_eq!(updated["properties"]["dataCollectionEndpointId"], Value::Null);
    assert_eq!(updated["properties"]["description"], "d");
    assert!(names(&shell.run("rule list --json").json()).contains(&"west"));
    assert_eq!(shell.run(&format!("rule show {id} -q")).ok().out(), "west\n");
    assert!(shell.run("rule env west").ok().out().contains(&id));
    shell.run("rule create other --workspace flet").fails(1, &["is fleet meant?"]);
    shell.run("rule delete west --yes").ok();
    shell.run("endpoint delete west --yes").ok();
    shell.run("rule show west").fails(1, &["there is no rule"]);
    shell.run("endpoint show west").fails(1, &["there is no endpoint"]);
}

fn limits_and_usage(shell: &Shell<'_>) {
    let limits = shell.run("limit update fleet --active-series 1_500k --json").json();
    let of = |name: &str| {
        limits.as_array().unwrap().iter().find(|one| one["name"]["value"] == name).unwrap()["limit"].clone()
    };
    assert_eq!((of("ActiveTimeSeries"), of("EventsPerMinute")), (1_500_000.into(), 1_000_000.into()));
    shell.run("limit update fleet --events-per-minute 30M").fails(1, &["exceeds the maximum limit"]);
    assert!(shell.run("limit show fleet").ok().out().contains("1,500,000"));
    let all = shell.run("limit list").ok().out();
    assert!(all.contains("requests a minute") && all.contains("15,000"), "{all}");
    let usage = shell.run("usage fleet").ok().out();
    assert!(usage.contains("active series") && usage.contains("1,500,000"), "{usage}");
    assert!(shell.run("usage --json").json().as_array().unwrap().len() >= 4);
}

fn principals_and_roles(shell: &Shell<'_>) {
    let created = shell.run("principal create writer").ok();
    let (client_id, object_id) = (created.field("client id"), created.field("object id"));
    shell.run("principal create writer").fails(1, &["already"]);
    let listed = shell.run("principal list").ok().out();
    assert!(listed.contains(&client_id) && listed.contains("ManagedIdentity"), "{listed}");

    // A secret, with which it can do what its role says and no more.
    let file = shell.file("writer.secret");
    let kept = shell.run(&format!("principal add-secret writer --output-file {}", file.display())).ok();
    assert_eq!(kept.out(), "");
    let as_writer = shell.with("AZURE_CLIENT_ID", &client_id).with("REMORA_CLIENT_SECRET_FILE", file.to_str().unwrap());
    as_writer.run("workspace show fleet").fails(1, &["(403)", &client_id, "the role Reader"]);
    as_writer.run("workspace show fleet --admin").ok();
    let given = shell.run("role create --principal writer --role reader --workspace fleet").ok();
    assert_eq!((given.field("object id"), given.field("principal")), (object_id.clone(), "writer".to_owned()));
    as_writer.run("workspace show fleet").ok();
    as_writer.run("workspace delete fleet --yes").fails(1, &["(403)", "Contributor"]);
    assert_eq!(names(&as_writer.run("workspace list --json").json()), ["fleet"]);
    let again = shell.run(&format!("role create --principal {object_id} --role Reader --workspace fleet")).ok();
    assert!(again.errors().contains("had already"), "{}", again.errors());

    let name = given.field("name");
    assert_eq!(shell.run(&format!("role show {name}")).ok().field("role"), "Reader");
    assert!(shell.run(&format!("role list --principal {client_id}")).ok().out().contains("Reader"));
    assert_eq!(shell.run("role list --workspace fleet --role Reader -q").ok().out().lines().count(), 1);
    let updated = shell.run(&format!("role update {name} --role Contributor")).ok();
    assert_eq!(updated.field("role"), "Contributor");
    as_writer.run("workspace update fleet --tag by=writer").ok();
    shell.run("role delete --principal writer --role Contributor --workspace fleet --yes").ok();
    as_writer.run("workspace show fleet").fails(1, &["(403)"]);
    let definitions = shell.run("role definitions").ok().out();
    assert!(definitions.contains("Monitoring Metrics Publisher") && definitions.contains("Monitoring Data Reader"));

    // Every other proof, there and gone.
    let secret = shell.run("principal add-secret writer --name second --days 1").ok();
    assert_eq!(secret.out().trim().lines().count(), 1, "the secret alone");
    shell.run(&format!("principal add-certificate writer {}", shell.up.fact("certificate_file"))).ok();
    shell.run("principal add-federation writer --name cluster --issuer https://issuer.example --subject s").ok();
    let shown = shell.run("principal show writer").ok();
    assert!(shown.out().contains("second") && shown.out().contains("https://issuer.example"), "{}", shown.out());
    assert!(!shown.out().contains(secret.out().trim()));
    let described = shell.run("principal show writer --json").json();
    let key = |list: &str, at: usize| described[list][at]["keyId"].as_str().unwrap().to_owned();
    shell.run(&format!("principal remove-certificate writer {}", key("keyCredentials", 0))).ok();
    shell.run(&format!("principal remove-secret writer {}", key("passwordCredentials", 0))).ok();
    shell.run(&format!("principal remove-secret writer {}", key("passwordCredentials", 1))).ok();
    shell.run("principal remove-federation writer cluster").ok();
    let bare = shell.run("principal show writer").ok().out();
    assert!(!bare.contains("secret") && !bare.contains("certificate") && !bare.contains("federation"), "{bare}");
    as_writer.run("workspace list").fails(1, &["no token"]);
    shell.run("principal delete writer --yes").ok();
    shell.run("principal show writer").fails(1, &["there is no principal"]);
}

fn identities(shell: &Shell<'_>) {
    let created = shell.run("identity create machine").ok();
    assert!(shell.run("identity list").ok().out().contains(&created.field("client id")));
    shell.run("principal add-federation machine --name cluster --issuer https://issuer.example --subject s").ok();
    assert!(shell.run("principal show machine").ok().out().contains("https://issuer.example"));
    shell.run("principal remove-federation machine cluster").ok();
    assert_eq!(shell.run("identity show machine").ok().field("object id"), created.field("object id"));
    shell.run("principal add-secret machine").fails(1, &["managed identity"]);
    shell.run("identity delete machine --yes").ok();
    shell.run("identity show machine").fails(1, &["no managed identity"]);
}

fn audit_and_backups(shell: &Shell<'_>) {
    let lines = shell.run("audit -n 200").ok().out();
    assert!(lines.contains("Microsoft.Monitor/accounts/delete") && lines.contains("127.0.0.1"), "{lines}");
    assert_eq!(shell.run("audit --json -n 3").json().as_array().unwrap().len(), 3);
    shell.run("backup create monday").ok();
    assert_eq!(names(&shell.run("backup list --json").json()), ["monday"]);
    shell.run("backup create monday").fails(1, &["(409)"]);
    shell.run("backup create ../evil").fails(1, &["(400)"]);
}

fn refusals(shell: &Shell<'_>) {
    shell.run("workspace list --subscription none").fails(2, &["there is no subscription called"]);
    shell.run("workspace list --subscription 99999999-9999-9999-9999-999999999999").fails(1, &["9999"]);
    shell.run("workspace create x -g nogroup").fails(1, &["ResourceGroupNotFound"]);
    shell.run("workspace create").fails(2, &["Usage"]);
    let closed = format!("workspace list --service https://127.0.0.1:{}", free_port());
    shell.run(&closed).fails(1, &["no answer from the service", "is it running"]);
    shell.run("workspace list --service http://example.org").fails(2, &["in the clear"]);
    // The sidecar's identity manages nothing.
    let as_sidecar = shell
        .with("IDENTITY_TYPE", "userAssigned")
        .with("AZURE_CLIENT_ID", shell.up.fact("client_id"))
        .with("AZURE_POD_IDENTITY_AUTHORITY_HOST", shell.up.fact("imds"));
    as_sidecar.run("workspace create x").fails(1, &["(403)", "--admin"]);
    let nowhere = remora().args(["workspace", "list", "--data-dir"]).arg(shell.file("empty")).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(2), "{}", String::from_utf8_lossy(&nowhere.stderr));
}

/// Three who change one resource at the same time: nothing of any is lost.
#[test]
fn changes_at_the_same_time_are_all_made() {
    let up = Installation::start();
    std::thread::scope(|scope| {
        for tag in ["a=1", "b=2", "c=3"] {
            let up = &up;
            scope.spawn(move || Shell::beside(up).run(&format!("workspace update default --tag {tag}")).ok());
        }
    });
    let shown = Shell::beside(&up).run("workspace show default --json").json();
    assert_eq!(shown["tags"], serde_json::json!({"a": "1", "b": "2", "c": "3"}));
}

/// The user whose rule is at its limit makes another one, pastes what is printed, writes, and reads back.
#[test]
fn another_rule_for_who_hits_the_quota() {
    let up = Installation::start();
    let shell = Shell::beside(&up);
    shell.run("workspace create fleet").ok();
    let machine = up.fact("client_id");
    let created =
        shell.run(&format!("rule create fleet-us --workspace fleet --create-endpoint --publisher {machine}")).ok();
    assert!(created.errors().contains("now has the role"), "{}", created.errors());
    let reader = format!("role create --principal {machine} --role 'Monitoring Data Reader' --workspace fleet");
    shell.run(&reader).ok();

    // As a shell takes it, with the query URL that stands there as a comment.
    let pasted = created.out().replace("# export REMORA_QUERY_URL=", "export REMORA_QUERY_URL=");
    let script: String =
        pasted.lines().filter(|line| line.starts_with("export ")).map(|line| format!("{line}\n")).collect();
    assert!(script.contains("export INGESTION_URL='https://") && script.contains("SSL_CERT_FILE"), "{script}");
    // What it names is the port beside that of the first sidecar, which another test may have by now.
    let free = format!("export LISTENING_PORT={}", free_port());
    let lines = script.lines().map(|line| if line.starts_with("export LISTENING_PORT=") { &free } else { line });
    let script = lines.fold(String::new(), |script, line| script + line + "\n");
    let mut sidecar = start_sidecar(&up, &script);
    let base = format!("http://127.0.0.1:{}", exported(&script)["LISTENING_PORT"]);
    eventually("the pasted sidecar's readiness", Duration::from_secs(60), || {
        sidecar.assert_running();
        (up.client.try_send("GET", &format!("{base}/ready"), &[], "")?.status == 200).then_some(())
    });
    let sample = (labels(&[("__name__", "quota_story"), ("region", "us")]), now(), 42.0);
    let answer = up.client.send("POST", &format!("{base}/api/v1/write"), &HEADERS, request(&[sample]));
    assert!((200..300).contains(&answer.status), "{}", answer.text());
    let read = |client: &Client| client.query(&base, None, "quota_story", None);
    let value = eventually("the sample read back", Duration::from_secs(30), || {
        read(&up.client)?["result"][0]["value"][1].as_str().map(str::to_owned)
    });
    assert_eq!(value, "42");
    let usage = shell.run("usage fleet-us --json").json();
    let requests = usage.as_array().unwrap().iter().find(|one| one["name"]["value"] == "RequestsPerMinute").unwrap();
    let counted = requests["currentValue"].as_u64().unwrap() + requests["previousValue"].as_u64().unwrap();
    assert!(counted >= 1, "{usage}");
}

/// `remora sidecar` in a shell that `script` was pasted into.
fn start_sidecar(up: &Installation, script: &str) -> Process {
    let program = env!("CARGO_BIN_EXE_remora");
    let mut shell = std::process::Command::new("sh");
    shell.env_clear().arg("-c").arg(format!("{script}exec {program} sidecar"));
    Process::start("pasted-sidecar", up.directory(), &mut shell)
}

fn exported(script: &str) -> BTreeMap<&str, &str> {
    script.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('=')).collect()
}

/// Completions know the commands.
#[test]
fn completions_go_on_working() {
    for shell in ["bash", "zsh", "fish"] {
        let output = remora().args(["completions", shell]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        for word in ["workspace", "add-federation", "create-endpoint"] {
            assert!(text.contains(word), "{shell}: {word}");
        }
    }
}
