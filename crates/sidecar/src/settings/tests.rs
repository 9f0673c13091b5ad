use std::collections::HashMap;

use identity::{Application, Authority, IdentitySelector, IdentitySource};

use super::*;

/// Reads `A=1 B=2` on a machine that is not Azure Arc's; `_` in a value of `<…>` stands for a space.
fn read(variables: &str) -> Result<Settings, InvalidSettings> {
    read_on(variables, || false)
}

fn read_on(variables: &str, has_arc_agent: impl Fn() -> bool) -> Result<Settings, InvalidSettings> {
    let value = |text: &str| if text.starts_with('<') { text.replace('_', " ") } else { text.to_owned() };
    let variables: HashMap<&str, String> = variables
        .split_whitespace()
        .map(|assignment| assignment.split_once('=').map(|(name, text)| (name, value(text))).unwrap())
        .collect();
    Settings::read(&|name| variables.get(name).cloned(), None, &has_arc_agent).1
}

const URL: &str = "INGESTION_URL=https://d.westus-1.metrics.ingest.monitor.azure.com/dataCollectionRules/dcr-1/streams/Microsoft-PrometheusMetrics/api/v1/write?api-version=2023-04-24";
const GUID: &str = "11111111-2222-3333-4444-555555555555";

#[test]
fn every_documented_identity_is_read() {
    for (variables, name) in [
        (format!("IDENTITY_TYPE=userAssigned AZURE_CLIENT_ID={GUID}"), "userAssigned"),
        (format!("IDENTITY_TYPE=USERASSIGNED AZURE_CLIENT_ID={GUID}"), "userAssigned"),
        ("IDENTITY_TYPE=systemassigned".to_owned(), "systemAssigned"),
        (
            format!(
                "IDENTITY_TYPE=aadApplication AZURE_CLIENT_ID={GUID} AZURE_TENANT_ID={GUID} AZURE_CLIENT_CERTIFICATE_PATH=/mnt/x"
            ),
            "aadApplication",
        ),
        (
            format!("IDENTITY_TYPE=AadApplication AZURE_CLIENT_ID={GUID} AZURE_TENANT_ID={GUID} AZURE_CLIENT_SECRET=s"),
            "aadApplication",
        ),
        (
            format!(
                "IDENTITY_TYPE=workloadIdentity AZURE_CLIENT_ID={GUID} AZURE_TENANT_ID={GUID} AZURE_FEDERATED_TOKEN_FILE=/t AZURE_AUTHORITY_HOST=https://login.microsoftonline.com/"
            ),
            "workloadIdentity",
        ),
        ("IDENTITY_TYPE=Default".to_owned(), "default"),
        (
            "IDENTITY_TYPE=systemAssigned IDENTITY_ENDPOINT=http://127.0.0.1:1/t IDENTITY_HEADER=x".to_owned(),
            "systemAssigned",
        ),
        (
            "IDENTITY_TYPE=systemAssigned AZURE_POD_IDENTITY_AUTHORITY_HOST=http://127.0.0.1:7091".to_owned(),
            "systemAssigned",
        ),
    ] {
        let settings = read(&format!("{URL} LISTENING_PORT=8081 {variables}")).unwrap();
        assert_eq!(settings.identity.name(), name, "{variables}");
        assert_eq!(settings.listen.to_string(), "[::]:8081");
        assert_eq!(settings.ingestion_scope.resource(), "https://monitor.azure.com");
    }
}

#[test]
fn a_certificate_outranks_a_secret() {
    let variables = format!(
        "{URL} IDENTITY_TYPE=aadApplication AZURE_CLIENT_ID={GUID} AZURE_TENANT_ID={GUID} AZURE_CLIENT_SECRET=s AZURE_CLIENT_CERTIFICATE_PATH=/c"
    );
    let settings = read(&variables).unwrap();
    assert!(matches!(settings.identity, IdentitySettings::Certificate { path, .. } if path.as_os_str() == "/c"));
}

#[test]
fn clouds_and_audiences() {
    let with = |variables: &str| read(&format!("{URL} IDENTITY_TYPE=systemAssigned {variables}")).unwrap();
    for (variables, audience, query_audience) in [
        ("", "https://monitor.azure.com", "https://prometheus.monitor.azure.com"),
        ("CLOUD=AZURE_GOVERNMENT", "https://monitor.azure.us", "https://prometheus.monitor.azure.us"),
        ("CLOUD=AzureChina", "https://monitor.azure.cn", "https://prometheus.monitor.azure.cn"),
        (
            "CLOUD=AzureGovernment INGESTION_AAD_AUDIENCE=https://monitor.azure.us/.default",
            "https://monitor.azure.us",
            "https://prometheus.monitor.azure.us",
        ),
        // The audience alone tells the cloud too.
        (
            "INGESTION_AAD_AUDIENCE=https://monitor.azure.us/",
            "https://monitor.azure.us/",
            "https://prometheus.monitor.azure.us",
        ),
        (
            "INGESTION_AAD_AUDIENCE=https://monitor.azure.cn/.default",
            "https://monitor.azure.cn",
            "https://prometheus.monitor.azure.cn",
        ),
        (
            "CLOUD=AZURECUSTOM INGESTION_AAD_AUDIENCE=https://monitor.azure.us",
            "https://monitor.azure.us",
            "https://prometheus.monitor.azure.us",
        ),
        (
            "CLOUD=AZURECHINA INGESTION_AAD_AUDIENCE=api://somewhere",
            "api://somewhere",
            "https://prometheus.monitor.azure.cn",
        ),
        (
            "CLOUD=AZURECUSTOM INGESTION_AAD_AUDIENCE=https://monitor.azure.example/.default",
            "https://monitor.azure.example",
            "https://prometheus.monitor.azure.example",
        ),
    ] {
        let settings = with(&format!("{variables} REMORA_QUERY_URL=https://q.example/ws"));
        assert_eq!(settings.ingestion_scope.resource(), audience, "{variables}");
        assert_eq!(settings.query.unwrap().scope.resource(), query_audience, "{variables}");
    }
}

#[test]
fn authorities() {
    let application = format!(
        "{URL} IDENTITY_TYPE=aadApplication AZURE_CLIENT_ID={GUID} AZURE_TENANT_ID={GUID} AZURE_CLIENT_SECRET=s"
    );
    let expected = |host: &str| Application::new(Authority::parse(host).unwrap(), GUID, GUID).unwrap();
    for (variables, host) in [
        ("", "https://login.microsoftonline.com"),
        (
            "CLOUD=AZURECHINA AZURE_AUTHORITY_HOST=https://login.chinacloudapi.cn/",
            "https://login.partner.microsoftonline.cn",
        ),
        ("AZURE_AUTHORITY_HOST=https://a.example AAD_HOST_ENDPOINT=https://b.example", "https://a.example"),
        ("CLOUD=azureCustom INGESTION_AAD_AUDIENCE=https://m AAD_HOST_ENDPOINT=https://b.example", "https://b.example"),
        ("INGESTION_AAD_AUDIENCE=https://monitor.azure.us/.default", "https://login.microsoftonline.us"),
        ("AZURE_AUTHORITY_HOST=http://127.0.0.1:7091/", "http://127.0.0.1:7091"),
    ] {
        match read(&format!("{application} {variables}")).unwrap().identity {
            IdentitySettings::Secret { application, .. } => assert_eq!(application, expected(host), "{variables}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn other_settings() {
    let with = |variables: &str| read(&format!("{URL} IDENTITY_TYPE=systemAssigned {variables}")).unwrap();
    assert_eq!(with("").listen.to_string(), "[::]:8081");
    assert_eq!(with("LISTENING_PORT=0 REMORA_LISTEN_ADDRESS=127.0.0.1").listen.to_string(), "127.0.0.1:0");
    assert_eq!(with("REMORA_LISTEN_ADDRESS=[::1]").listen.to_string(), "[::1]:8081");
    for (value, trace) in [("true", true), ("1", true), ("please", true), ("false", false), ("0", false)] {
        assert_eq!(with(&format!("TRACE_LOGGING={value}")).trace, trace, "{value}");
    }
    assert!(!with("").trace && with("").query.is_none());
    assert!(!with("REMORA_QUERY_URL=https://q").query.unwrap().allow_remote);
    assert!(with("REMORA_QUERY_URL=https://q REMORA_QUERY_ALLOW_REMOTE=True").query.unwrap().allow_remote);
    assert_eq!(with("CLUSTER=aks-1").cluster.as_deref(), Some("aks-1"));
    assert!(read("INGESTION_URL=http://127.0.0.1:7090/w IDENTITY_TYPE=systemAssigned").is_ok());
    assert!(read("INGESTION_URL=http://localhost/w IDENTITY_TYPE=systemAssigned").is_ok());
}

#[test]
fn every_mistake_is_named_at_once() {
    for (variables, mistaken) in [
        ("".to_owned(), vec!["INGESTION_URL", "IDENTITY_TYPE"]),
        ("INGESTION_URL= IDENTITY_TYPE=".to_owned(), vec!["INGESTION_URL", "IDENTITY_TYPE"]),
        (
            "INGESTION_URL=nowhere LISTENING_PORT=http IDENTITY_TYPE=managed CLOUD=Azur REMORA_LISTEN_ADDRESS=eth0 SSL_CERT_FILE=/does/not/exist REMORA_QUERY_ALLOW_REMOTE=maybe REMORA_QUERY_URL=ftp://x"
                .to_owned(),
            vec!["INGESTION_URL", "CLOUD", "LISTENING_PORT", "REMORA_LISTEN_ADDRESS", "IDENTITY_TYPE", "REMORA_QUERY_ALLOW_REMOTE", "REMORA_QUERY_URL", "SSL_CERT_FILE"],
        ),
        (format!("{URL} IDENTITY_TYPE=userAssigned"), vec!["AZURE_CLIENT_ID"]),
        (format!("{URL} IDENTITY_TYPE=aadApplication"), vec!["AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_CERTIFICATE_PATH"]),
        (format!("{URL} IDENTITY_TYPE=workloadIdentity AZURE_CLIENT_ID={GUID}"), vec!["AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"]),
        (
            format!("{URL} IDENTITY_TYPE=aadApplication AZURE_CLIENT_ID={GUID} AZURE_TENANT_ID=a/b AZURE_CLIENT_SECRET=s"),
            vec!["AZURE_TENANT_ID"],
        ),
        (
            format!("{URL} IDENTITY_TYPE=aadApplication AZURE_CLIENT_ID={GUID} AZURE_TENANT_ID={GUID} AZURE_CLIENT_SECRET=s CLOUD=AZURECUSTOM"),
            vec!["INGESTION_AAD_AUDIENCE", "AZURE_AUTHORITY_HOST"],
        ),
        (
            format!("{URL} IDENTITY_TYPE=aadApplication AZURE_CLIENT_ID={GUID} AZURE_TENANT_ID={GUID} AZURE_CLIENT_SECRET=s AAD_HOST_ENDPOINT=http://login.example"),
            vec!["AAD_HOST_ENDPOINT"],
        ),
        (format!("{URL} IDENTITY_TYPE=systemAssigned AZURE_POD_IDENTITY_AUTHORITY_HOST=there"), vec!["AZURE_POD_IDENTITY_AUTHORITY_HOST"]),
        (format!("{URL} IDENTITY_TYPE=systemAssigned MSI_ENDPOINT=http://x"), vec!["MSI_ENDPOINT"]),
        (format!("{URL} IDENTITY_TYPE=default MSI_ENDPOINT=http://x"), vec!["MSI_ENDPOINT"]),
        // An application without a proof is no credential that could stand in.
        (format!("{URL} IDENTITY_TYPE=default MSI_ENDPOINT=http://x AZURE_CLIENT_ID={GUID} AZURE_TENANT_ID={GUID}"), vec!["MSI_ENDPOINT"]),
        // None of these may hide another, whatever is wrong besides.
        (
            format!("{URL} IDENTITY_TYPE=aadApplication AZURE_TENANT_ID=<a_b> AZURE_CLIENT_ID=<x>"),
            vec!["AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_CERTIFICATE_PATH"],
        ),
        (
            format!("{URL} IDENTITY_TYPE=aadApplication AZURE_TENANT_ID=<a_b> AZURE_CLIENT_ID=<x> AZURE_AUTHORITY_HOST=http://x AZURE_CLIENT_SECRET=s"),
            vec!["AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST"],
        ),
        (
            format!("{URL} IDENTITY_TYPE=workloadIdentity AZURE_TENANT_ID=<a_b> AZURE_CLIENT_ID=x AAD_HOST_ENDPOINT=http://x"),
            vec!["AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AAD_HOST_ENDPOINT", "AZURE_FEDERATED_TOKEN_FILE"],
        ),
        (
            format!("{URL} IDENTITY_TYPE=default AZURE_TENANT_ID=<a_b> AZURE_CLIENT_ID=x AZURE_AUTHORITY_HOST=http://x AZURE_POD_IDENTITY_AUTHORITY_HOST=zzz AZURE_TOKEN_CREDENTIALS=dev"),
            vec!["AZURE_TOKEN_CREDENTIALS", "AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST", "AZURE_POD_IDENTITY_AUTHORITY_HOST"],
        ),
        (format!("{URL} IDENTITY_TYPE=userAssigned AZURE_CLIENT_ID=<CLIENT_ID>"), vec!["AZURE_CLIENT_ID"]),
        (
            format!("{URL} IDENTITY_TYPE=userAssigned AZURE_CLIENT_ID=<CLIENT_ID> AZURE_POD_IDENTITY_AUTHORITY_HOST=zzz MSI_ENDPOINT=http://x IDENTITY_ENDPOINT=there"),
            vec!["AZURE_CLIENT_ID", "MSI_ENDPOINT", "IDENTITY_ENDPOINT", "AZURE_POD_IDENTITY_AUTHORITY_HOST"],
        ),
        // Which of these are needed is not known then, but what is there is looked at.
        (
            format!("{URL} AZURE_TENANT_ID=<a_b> AZURE_CLIENT_ID=<x> AZURE_AUTHORITY_HOST=http://x"),
            vec!["IDENTITY_TYPE", "AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST"],
        ),
        (
            format!("{URL} IDENTITY_TYPE=managed CLOUD=AZURECUSTOM AZURE_CLIENT_ID=<x>"),
            vec!["INGESTION_AAD_AUDIENCE", "IDENTITY_TYPE", "AZURE_CLIENT_ID"],
        ),
        (
            format!("{URL} IDENTITY_TYPE=systemAssigned CLOUD=AZURECUSTOM INGESTION_AAD_AUDIENCE=api://x REMORA_QUERY_URL=ftp://u:geheim@q/?x=1"),
            vec!["REMORA_QUERY_URL", "REMORA_QUERY_URL", "REMORA_QUERY_URL"],
        ),
        (
            format!("{URL} IDENTITY_TYPE=systemAssigned CLOUD=AZUREPUBLIC INGESTION_AAD_AUDIENCE=https://monitor.azure.us/.default"),
            vec!["INGESTION_AAD_AUDIENCE"],
        ),
        (
            format!("{URL} IDENTITY_TYPE=systemAssigned CLOUD=AZURECHINA INGESTION_AAD_AUDIENCE=https://monitor.azure.com"),
            vec!["INGESTION_AAD_AUDIENCE"],
        ),
        (
            format!("{URL} IDENTITY_TYPE=default AZURE_TOKEN_CREDENTIALS=EnvironmentCredential"),
            vec!["AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"],
        ),
        (
            format!("{URL} IDENTITY_TYPE=default AZURE_TOKEN_CREDENTIALS=workloadidentitycredential AZURE_CLIENT_ID={GUID}"),
            vec!["AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"],
        ),
        (
            format!("{URL} IDENTITY_TYPE=default AZURE_TOKEN_CREDENTIALS=ManagedIdentityCredential AZURE_CLIENT_ID=x MSI_ENDPOINT=http://x"),
            vec!["AZURE_CLIENT_ID", "MSI_ENDPOINT"],
        ),
        (format!("{URL} IDENTITY_TYPE=default AZURE_TOKEN_CREDENTIALS=AzureCliCredential"), vec!["AZURE_TOKEN_CREDENTIALS"]),
        ("INGESTION_URL=http://example.com/w IDENTITY_TYPE=systemAssigned".to_owned(), vec!["INGESTION_URL"]),
        ("INGESTION_URL=https://user:geheim@example.com/w IDENTITY_TYPE=systemAssigned".to_owned(), vec!["INGESTION_URL"]),
        (format!("{URL} IDENTITY_TYPE=systemAssigned LISTENING_PORT=65536"), vec!["LISTENING_PORT"]),
        (format!("{URL} IDENTITY_TYPE=systemAssigned REMORA_LISTEN_ADDRESS=127.0.0.1:8081"), vec!["REMORA_LISTEN_ADDRESS"]),
        (format!("{URL} IDENTITY_TYPE=systemAssigned REMORA_QUERY_URL=https://q/?x=1"), vec!["REMORA_QUERY_URL"]),
        (
            format!("{URL} IDENTITY_TYPE=systemAssigned CLOUD=AZURECUSTOM INGESTION_AAD_AUDIENCE=api://x REMORA_QUERY_URL=https://q"),
            vec!["REMORA_QUERY_URL"],
        ),
    ] {
        let invalid = read(&variables).unwrap_err();
        let named: Vec<_> = invalid.0.iter().map(|mistake| mistake.variable().unwrap()).collect();
        assert_eq!(named, mistaken, "{variables}: {invalid}");
        let text = invalid.to_string();
        assert!(mistaken.iter().all(|variable| text.contains(variable)) && !text.contains("geheim"), "{text}");
        // Every message tells the mend after what is wrong.
        assert!(invalid.0.iter().all(|mistake| mistake.message.contains(": ") || mistake.variable() == Some("SSL_CERT_FILE")), "{text}");
    }
}

#[test]
fn a_placeholder_of_the_documentation_is_recognised() {
    let text = read(&format!("{URL} IDENTITY_TYPE=userAssigned AZURE_CLIENT_ID=<CLIENT_ID>")).unwrap_err().to_string();
    assert!(text.contains("AZURE_CLIENT_ID: \"<CLIENT ID>\" is a placeholder: set it to the client id of"), "{text}");
}

#[test]
fn one_of_the_default_credentials_can_be_named() {
    let application = format!(
        "AZURE_CLIENT_ID={GUID} AZURE_TENANT_ID={GUID} AZURE_CLIENT_SECRET=s AZURE_CLIENT_CERTIFICATE_PATH=/c AZURE_FEDERATED_TOKEN_FILE=/t"
    );
    for (named, expected) in [
        ("prod", "default"),
        ("PROD", "default"),
        ("EnvironmentCredential", "secret"),
        ("environmentcredential", "secret"),
        ("WorkloadIdentityCredential", "workload"),
        ("ManagedIdentityCredential", "managed"),
    ] {
        let variables = format!("{URL} IDENTITY_TYPE=default {application} AZURE_TOKEN_CREDENTIALS={named}");
        let found = match read(&variables).unwrap().identity {
            IdentitySettings::Default(_) => "default",
            IdentitySettings::Secret { .. } => "secret",
            IdentitySettings::Workload { .. } => "workload",
            IdentitySettings::Managed { selector: IdentitySelector::ClientId(id), .. } if id == GUID => "managed",
            other => panic!("{named}: {other:?}"),
        };
        assert_eq!(found, expected, "{named}");
    }
    let others = format!("{URL} IDENTITY_TYPE=systemAssigned AZURE_TOKEN_CREDENTIALS=dev");
    assert!(read(&others).is_ok(), "it is about the default chain alone");
}

#[test]
fn a_given_base_of_imds_outranks_the_presence_of_arcs_agent() {
    let with = |variables: &str, agent: bool| {
        let variables = format!("{URL} IDENTITY_TYPE=systemAssigned {variables}");
        match read_on(&variables, || agent).unwrap().identity {
            IdentitySettings::Managed { source, .. } => source,
            other => panic!("{other:?}"),
        }
    };
    let base = "AZURE_POD_IDENTITY_AUTHORITY_HOST=http://127.0.0.1:7091";
    assert!(matches!(with(base, true), IdentitySource::Imds { base } if base.as_str() == "http://127.0.0.1:7091/"));
    assert!(matches!(with("", true), IdentitySource::Arc { .. }));
    assert!(matches!(with("", false), IdentitySource::Imds { .. }));
    let platform = format!("{base} IDENTITY_ENDPOINT=http://127.0.0.1:1/t IDENTITY_HEADER=x");
    assert!(matches!(with(&platform, true), IdentitySource::AppService { .. }));
    for kind in ["systemAssigned", "default"] {
        read_on(&format!("{URL} IDENTITY_TYPE={kind} {base}"), || panic!("the machine was looked at")).unwrap();
    }
}

#[test]
fn what_is_read_is_explained() {
    let asked = std::cell::RefCell::new(std::collections::BTreeSet::new());
    for kind in ["userAssigned", "aadApplication", "workloadIdentity", "default"] {
        let _ = Settings::from_env(|name| {
            asked.borrow_mut().insert(name.to_owned());
            (name == "IDENTITY_TYPE").then(|| kind.to_owned())
        });
    }
    // The program itself looks for the settings file.
    let listed: std::collections::BTreeSet<String> = crate::variables::all()
        .flat_map(|variable| [Some(variable.name), variable.alias])
        .flatten()
        .filter(|name| *name != "REMORA_CONFIG")
        .map(str::to_owned)
        .collect();
    assert_eq!(asked.into_inner(), listed);
}

#[test]
fn secrets_are_not_shown() {
    let variables = format!(
        "{URL} IDENTITY_TYPE=aadApplication AZURE_CLIENT_ID={GUID} AZURE_TENANT_ID={GUID} AZURE_CLIENT_SECRET=geheim"
    );
    assert!(!format!("{:?}", read(&variables).unwrap()).contains("geheim"));
}

/// Reads the settings file `text` with `A=1 B=2` in the environment.
fn read_file(text: &str, variables: &str) -> Result<Settings, InvalidSettings> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sidecar.yaml");
    std::fs::write(&path, text).unwrap();
    let variables: HashMap<&str, &str> =
        variables.split_whitespace().map(|assignment| assignment.split_once('=').unwrap()).collect();
    Settings::read(&|name| variables.get(name).map(|text| (*text).to_owned()), Some(path), &|| false).1
}

const MINIMAL: &str = "target: {ingestion_url: 'https://d/w'}\nidentity: {type: systemAssigned}\n";

#[test]
fn a_file_and_variables_mean_the_same() {
    let every_key = "\
target: {ingestion_url: 'https://d/w', audience: 'https://monitor.azure.us'}
listen: {port: 9000, address: 127.0.0.1, connections_max: 77}
identity: {type: workloadIdentity, client_id: GUID, tenant_id: GUID, token_file: /t, authority_host: 'https://l.example'}
queue: {directory: /q, bytes_max: 2GiB, age_max: 2d, when_full: drop-oldest, sync: every-request, refusals_bytes_max: 1MiB}
delivery: {in_flight_max: 3, authorization_grace: 1h, remote_write_2: transcode, drain_timeout: 5s}
query: {url: 'https://q/ws', allow_remote: true}
outbound: {https_proxy: 'proxy:3128', no_proxy: [a.example, 10.0.0.0/8]}
cloud: AZUREGOVERNMENT
cluster: aks-1
ready_strict: true
log: {trace: true}
";
    let variables = format!(
        "INGESTION_URL=https://d/w INGESTION_AAD_AUDIENCE=https://monitor.azure.us LISTENING_PORT=9000 \
         REMORA_LISTEN_ADDRESS=127.0.0.1 REMORA_CONNECTIONS_MAX=77 IDENTITY_TYPE=workloadIdentity AZURE_CLIENT_ID={GUID} \
         AZURE_TENANT_ID={GUID} AZURE_FEDERATED_TOKEN_FILE=/t AZURE_AUTHORITY_HOST=https://l.example REMORA_QUEUE_DIR=/q \
         REMORA_QUEUE_BYTES_MAX=2GiB REMORA_QUEUE_AGE_MAX=2d REMORA_QUEUE_WHEN_FULL=drop-oldest \
         REMORA_QUEUE_SYNC=every-request REMORA_QUEUE_REFUSALS_BYTES_MAX=1MiB REMORA_IN_FLIGHT_MAX=3 \
         REMORA_AUTHORIZATION_GRACE=1h REMORA_REMOTE_WRITE_2=transcode REMORA_DRAIN_TIMEOUT=5s \
         REMORA_QUERY_URL=https://q/ws REMORA_QUERY_ALLOW_REMOTE=true https_proxy=proxy:3128 \
         NO_PROXY=a.example,10.0.0.0/8 CLOUD=AZUREGOVERNMENT CLUSTER=aks-1 REMORA_READY_STRICT=true TRACE_LOGGING=true"
    );
    let from_file = read_file(&every_key.replace("GUID", GUID), "").unwrap();
    let from_variables = read(&variables).unwrap();
    let shown = |settings: &Settings| {
        let mut settings = settings.clone();
        settings.config = None;
        settings.given.clear();
        settings.contents = Contents::default();
        format!("{settings:#?}")
    };
    assert_eq!(shown(&from_file), shown(&from_variables));
    let queue = from_file.queue.unwrap();
    assert_eq!(
        (queue.medium, queue.settings.bytes_max, queue.settings.age_max.as_secs()),
        (Medium::Disk, 2 << 30, 172_800)
    );
    let outbound = from_file.outbound_proxy.unwrap();
    assert!(outbound.covers("b.example") && !outbound.covers("x.a.example") && !outbound.covers("10.1.2.3"));
    assert_eq!((from_file.limits.connections_max, from_file.limits.drain_timeout.as_secs()), (77, 5));
}

#[test]
fn a_variable_outranks_the_file() {
    let settings = read_file(&format!("{MINIMAL}listen: {{port: 1}}\n"), "LISTENING_PORT=2").unwrap();
    assert_eq!(settings.listen.port(), 2);
    let settings = read_file(&format!("{MINIMAL}listen: {{port: 1}}\n"), "LISTENING_PORT=").unwrap();
    assert_eq!(settings.listen.port(), 1, "an empty variable is none");
}

#[test]
fn without_new_variables_nothing_is_new() {
    let settings = read(&format!("{URL} IDENTITY_TYPE=systemAssigned")).unwrap();
    assert!(settings.queue.is_none() && settings.outbound_proxy.is_none() && !settings.ready_strict);
    assert!(settings.listener.certificate.is_none() && settings.listener.token.is_none());
    let expected = DeliverySettings {
        in_flight_max: 16,
        authorization_grace: Duration::from_secs(2700),
        remote_write_2: RemoteWrite2::Probe,
        drain_timeout: Duration::from_secs(20),
    };
    assert_eq!(settings.delivery, expected);
}

#[test]
fn the_queue_is_switched_on_by_its_directory_or_by_name() {
    let queue = |variables: &str| read(&format!("{URL} IDENTITY_TYPE=systemAssigned {variables}")).unwrap().queue;
    for (variables, expected) in [
        ("", None),
        ("REMORA_QUEUE=off", None),
        ("REMORA_QUEUE_DIR=/q", Some((Medium::Disk, 1 << 30))),
        ("REMORA_QUEUE_DIR=/q REMORA_QUEUE=disk", Some((Medium::Disk, 1 << 30))),
        ("REMORA_QUEUE_DIR=/q REMORA_QUEUE=off", None),
        ("REMORA_QUEUE_DIR=/q REMORA_QUEUE=Memory", Some((Medium::Memory, 64 << 20))),
        ("REMORA_QUEUE=memory", Some((Medium::Memory, 64 << 20))),
        ("REMORA_QUEUE=memory REMORA_QUEUE_BYTES_MAX=5MiB", Some((Medium::Memory, 5 << 20))),
    ] {
        let found = queue(variables).map(|queue| (queue.medium, queue.settings.bytes_max));
        assert_eq!(found, expected, "{variables}");
    }
    let small = queue("REMORA_QUEUE_DIR=/q REMORA_QUEUE_BYTES_MAX=1MiB").unwrap().settings;
    assert!(small.segment_bytes_max <= small.bytes_max / 4, "room comes back a segment at a time");
    let in_memory = queue("REMORA_QUEUE=memory").unwrap().settings;
    assert_eq!(in_memory.cached_bytes_max, 0, "bodies are in memory once");
    assert!(small.cached_bytes_max > 0);
}

#[test]
fn mistakes_of_the_new_settings_are_named() {
    for (variables, mistaken) in [
        ("REMORA_QUEUE=disk", vec!["REMORA_QUEUE_DIR"]),
        (
            "REMORA_QUEUE=tape REMORA_QUEUE_BYTES_MAX=1Gi REMORA_QUEUE_AGE_MAX=24 REMORA_QUEUE_WHEN_FULL=drop REMORA_QUEUE_SYNC=always REMORA_QUEUE_REFUSALS_BYTES_MAX=1kB",
            vec![
                "REMORA_QUEUE",
                "REMORA_QUEUE_BYTES_MAX",
                "REMORA_QUEUE_AGE_MAX",
                "REMORA_QUEUE_WHEN_FULL",
                "REMORA_QUEUE_SYNC",
                "REMORA_QUEUE_REFUSALS_BYTES_MAX",
            ],
        ),
        (
            "REMORA_QUEUE_AGE_MAX=1ms REMORA_DRAIN_TIMEOUT=2h REMORA_AUTHORIZATION_GRACE=8d REMORA_IN_FLIGHT_MAX=0 REMORA_REMOTE_WRITE_2=yes REMORA_CONNECTIONS_MAX=many REMORA_READY_STRICT=perhaps",
            vec![
                "REMORA_CONNECTIONS_MAX",
                "REMORA_QUEUE_AGE_MAX",
                "REMORA_IN_FLIGHT_MAX",
                "REMORA_AUTHORIZATION_GRACE",
                "REMORA_REMOTE_WRITE_2",
                "REMORA_DRAIN_TIMEOUT",
                "REMORA_READY_STRICT",
            ],
        ),
        ("HTTPS_PROXY=socks5://u:geheim@p:1", vec!["HTTPS_PROXY"]),
        ("REMORA_LISTEN_TLS_CERTIFICATE=/none", vec!["REMORA_LISTEN_TLS_KEY", "REMORA_LISTEN_TLS_CERTIFICATE"]),
        (
            "REMORA_LISTEN_TLS_KEY=/none REMORA_LISTEN_TOKEN_FILE=/none",
            vec!["REMORA_LISTEN_TLS_CERTIFICATE", "REMORA_LISTEN_TLS_KEY", "REMORA_LISTEN_TOKEN_FILE"],
        ),
    ] {
        let invalid = read(&format!("{URL} IDENTITY_TYPE=systemAssigned {variables}")).unwrap_err();
        let named: Vec<_> = invalid.0.iter().map(|mistake| mistake.variable().unwrap()).collect();
        assert_eq!(named, mistaken, "{variables}: {invalid}");
        assert!(!invalid.to_string().contains("geheim"), "{invalid}");
        assert!(invalid.0.iter().all(|mistake| mistake.message.contains(": ")), "{invalid}");
    }
}

#[test]
fn mistakes_of_a_file_are_named_with_their_lines_beside_those_of_variables() {
    let text = "target:\n  ingestion_url: http://example.com/\nidentity:\n  type: userAssigned\nqueue:\n  age_max: 24\n  byte_max: 1\n";
    let invalid = read_file(text, "LISTENING_PORT=x").unwrap_err().to_string();
    let expected = [
        ("queue.byte_max (", "line 7): is not known: did you mean queue.bytes_max?"),
        ("target.ingestion_url (", "line 2): plain http"),
        ("LISTENING_PORT: ", "\"x\" is not a port"),
        ("AZURE_CLIENT_ID or identity.client_id: ", "is missing: set it to the client id"),
        ("queue.age_max (", "line 6): \"24\" has no unit: write for example"),
    ];
    let lines: Vec<&str> = invalid.lines().skip(1).map(str::trim).collect();
    assert_eq!(lines.len(), expected.len(), "{invalid}");
    for (line, (start, wrong)) in lines.iter().zip(expected) {
        assert!(line.starts_with(start) && line.contains(wrong), "{line}");
    }
    let broken = read_file("target: [", "").unwrap_err();
    assert!(broken.to_string().contains("sidecar.yaml: is not YAML"), "{broken}");
}

#[test]
fn files_that_settings_name_are_read_with_them() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = file("tls.crt", &signed.cert.pem());
    let key = file("tls.key", &signed.signing_key.serialize_pem());
    let wrong_key = file("other.key", &other.signing_key.serialize_pem());
    let token = file("token", "geheim-0123456789\n");
    let two_lines = file("two", "a\nb\n");
    let empty = file("empty", " \n");
    let with = |variables: &str| {
        read(&format!("{URL} IDENTITY_TYPE=aadApplication AZURE_CLIENT_ID={GUID} AZURE_TENANT_ID={GUID} {variables}"))
    };
    let settings = with(&format!(
        "REMORA_CLIENT_SECRET_FILE={token} REMORA_LISTEN_TOKEN_FILE={token} REMORA_LISTEN_TLS_CERTIFICATE={certificate} REMORA_LISTEN_TLS_KEY={key}"
    ))
    .unwrap();
    assert!(matches!(settings.identity, IdentitySettings::Secret { .. }));
    assert!(settings.listener.token.is_some() && settings.listener.certificate.is_some());
    assert_eq!(settings.contents.len(), 4, "{:?}", settings.contents);
    assert_eq!(settings.contents.now(), settings.contents);
    std::fs::write(&token, "another").unwrap();
    let changed: Vec<_> = settings.contents.now().changed(&settings.contents).collect();
    assert_eq!(changed, ["REMORA_CLIENT_SECRET_FILE", "REMORA_LISTEN_TOKEN_FILE"]);
    assert!(!format!("{settings:?}").contains("geheim"));
    for (variables, mistaken, wrong) in [
        (format!("REMORA_CLIENT_SECRET_FILE={empty}"), "REMORA_CLIENT_SECRET_FILE", "holds no secret"),
        (
            format!("AZURE_CLIENT_SECRET=s REMORA_LISTEN_TOKEN_FILE={two_lines}"),
            "REMORA_LISTEN_TOKEN_FILE",
            "holds no secret",
        ),
        (
            format!(
                "AZURE_CLIENT_SECRET=s REMORA_LISTEN_TLS_CERTIFICATE={certificate} REMORA_LISTEN_TLS_KEY={wrong_key}"
            ),
            "REMORA_LISTEN_TLS_KEY",
            "the key does not fit the certificate",
        ),
        (
            format!("AZURE_CLIENT_SECRET=s REMORA_LISTEN_TLS_CERTIFICATE={key} REMORA_LISTEN_TLS_KEY={key}"),
            "REMORA_LISTEN_TLS_CERTIFICATE",
            "holds no CERTIFICATE section",
        ),
        (
            format!(
                "AZURE_CLIENT_SECRET=s REMORA_LISTEN_TLS_CERTIFICATE={certificate} REMORA_LISTEN_TLS_KEY={certificate}"
            ),
            "REMORA_LISTEN_TLS_KEY",
            "cannot be read as a private key",
        ),
    ] {
        let invalid = with(&variables).unwrap_err();
        let named = invalid.0.iter().find(|mistake| mistake.variable() == Some(mistaken)).unwrap();
        assert!(named.message.contains(wrong), "{invalid}");
    }
}
