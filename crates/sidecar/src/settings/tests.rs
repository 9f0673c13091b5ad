use std::collections::HashMap;

use identity::Authority;

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
    Settings::from_env_on(|name| variables.get(name).cloned(), &has_arc_agent)
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
        let named: Vec<_> = invalid.0.iter().map(|mistake| mistake.variable).collect();
        assert_eq!(named, mistaken, "{variables}: {invalid}");
        let text = invalid.to_string();
        assert!(mistaken.iter().all(|variable| text.contains(variable)) && !text.contains("geheim"), "{text}");
        // Every message tells the mend after what is wrong.
        assert!(invalid.0.iter().all(|mistake| mistake.message.contains(": ") || mistake.variable == "SSL_CERT_FILE"), "{text}");
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
    let listed: std::collections::BTreeSet<String> = crate::variables::GROUPS
        .iter()
        .flat_map(|(_, variables)| variables.iter().map(|variable| variable.name.to_owned()))
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
