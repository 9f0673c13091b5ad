use std::collections::HashMap;

use super::*;

/// Reads `A=1 B=2`.
fn read(variables: &str) -> Result<Settings, InvalidSettings> {
    let variables: HashMap<&str, &str> =
        variables.split_whitespace().map(|assignment| assignment.split_once('=').unwrap()).collect();
    Settings::from_env(|name| variables.get(name).map(|value| (*value).to_owned()))
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
        (
            "INGESTION_AAD_AUDIENCE=https://monitor.azure.us/",
            "https://monitor.azure.us/",
            "https://prometheus.monitor.azure.com",
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
fn what_is_read_is_explained() {
    let asked = std::cell::RefCell::new(std::collections::BTreeSet::new());
    for kind in ["userAssigned", "aadApplication", "workloadIdentity", "default"] {
        let _ = Settings::from_env(|name| {
            asked.borrow_mut().insert(name.to_owned());
            (name == "IDENTITY_TYPE").then(|| kind.to_owned())
        });
    }
    let help = crate::variables::help();
    // These are read only to say that their platforms are not supported.
    let silent = ["IDENTITY_SERVER_THUMBPRINT", "MSI_ENDPOINT", "MSI_SECRET"];
    for name in asked.into_inner() {
        assert!(help.contains(&format!("\n  {name}\n")) || silent.contains(&name.as_str()), "{name} is not in --help");
    }
}

#[test]
fn secrets_are_not_shown() {
    let variables = format!(
        "{URL} IDENTITY_TYPE=aadApplication AZURE_CLIENT_ID={GUID} AZURE_TENANT_ID={GUID} AZURE_CLIENT_SECRET=geheim"
    );
    assert!(!format!("{:?}", read(&variables).unwrap()).contains("geheim"));
}
