//! From the command line and the environment to a client: where the service is, whom to trust, who we are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use host::{HostClock, HostDisk, HostHttp, HostRng};
use identity::{Environment, Scope};
use url::Url;

use super::credential::{self, Source};
use super::{Client, ClientError, Parts};
use crate::cli::service::ServiceOptions;
use crate::data_directory;
use crate::up_facts::Facts;

/// A client of the service that `options` and the environment (`lookup`) name.
///
/// # Errors
/// When they name none, or nobody to be.
pub(crate) fn connect(
    options: &ServiceOptions,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Client, ClientError> {
    let (facts, base) = place(options)?;
    let lookup = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
    let roots = roots(options, facts.as_ref(), &lookup)?;
    let source = match &facts {
        Some((facts, directory)) if options.admin || !credential::is_named(&lookup) => {
            Source::Administrator { facts, directory }
        }
        facts => Source::Environment { lookup: &lookup, authority: facts.as_ref().map(|(facts, _)| facts) },
    };
    let found = source.read()?;
    let http = Arc::new(HostHttp::new(roots, found.outbound_proxy));
    let environment = Environment {
        clock: Arc::new(HostClock::new()),
        rng: Arc::new(HostRng),
        disk: Arc::new(HostDisk),
        http: Arc::<HostHttp>::clone(&http),
    };
    let credential = found.identity.credential(environment).map_err(|error| ClientError::Usage(error.to_string()))?;
    Client::new(Parts {
        http,
        clock: Arc::new(HostClock::new()),
        rng: Arc::new(HostRng),
        base,
        credential,
        credential_source: found.description,
        audience: audience(&lookup)?,
        subscription: options.subscription.clone().or_else(|| Some(facts.as_ref()?.0.subscription_id.clone())),
        resource_group: options.resource_group.clone(),
        facts: facts.map(|(facts, _)| facts),
    })
}

/// The `remora up` that is meant, if one is, with its data directory, and the service's base URL.
fn place(options: &ServiceOptions) -> Result<(Option<(Facts, PathBuf)>, Url), ClientError> {
    let directory = options.data_dir.clone().or_else(|| data_directory::default_path().ok());
    let facts = match &directory {
        Some(directory) => Facts::published(directory, &HostDisk)
            .with_context(|| directory.display().to_string())
            .or_else(|error| if options.data_dir.is_some() { Err(error) } else { Ok(None) })
            .map_err(|error| ClientError::Failed(format!("{error:#}")))?,
        None => None,
    };
    let facts = facts.zip(directory);
    match (&options.service, facts) {
        (Some(service), facts) => {
            // What a data directory that nobody named says counts for its own service alone.
            let is_meant =
                |facts: &Facts| options.data_dir.is_some() || options.admin || facts.is_service(service.as_str());
            Ok((facts.filter(|(facts, _)| is_meant(facts)), service.clone()))
        }
        (None, Some((facts, directory))) => {
            let base = Url::parse(&facts.service_tls)
                .map_err(|error| ClientError::Failed(format!("{}: {error}", facts.service_tls)))?;
            Ok((Some((facts, directory)), base))
        }
        (None, None) => {
            let here = match &options.data_dir {
                Some(directory) => format!("no `remora up` runs on {}", directory.display()),
                None => "no service is named, and no `remora up` runs on the default data directory".to_owned(),
            };
            Err(ClientError::Usage(format!(
                "{here}: start one, name its --data-dir, or name a service with --service URL (REMORA_SERVICE)"
            )))
        }
    }
}

type Roots = Arc<rustls::RootCertStore>;

/// The usual authorities, those of SSL_CERT_FILE and --ca-file, and that of the `remora up`.
fn roots(
    options: &ServiceOptions,
    facts: Option<&(Facts, PathBuf)>,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Roots, ClientError> {
    let files = [
        lookup("SSL_CERT_FILE").map(PathBuf::from),
        options.ca_file.clone(),
        facts.map(|(facts, _)| facts.ca_file.clone()),
    ];
    host::tls::roots_with(files.iter().flatten().map(Path::new))
        .map_err(|error| ClientError::Usage(format!("{:#}", anyhow!(error))))
}

/// What tokens for the service are for.
fn audience(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Scope, ClientError> {
    let named = lookup(AUDIENCE_VARIABLE);
    Scope::parse(named.as_deref().unwrap_or(AUDIENCE))
        .map_err(|error| ClientError::Usage(format!("{AUDIENCE_VARIABLE}: {error}")))
}

const AUDIENCE: &str = "https://management.azure.com";
const AUDIENCE_VARIABLE: &str = "REMORA_MANAGEMENT_AUDIENCE";

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> ServiceOptions {
        use clap::Parser;
        #[derive(Parser)]
        struct Alone {
            #[command(flatten)]
            options: ServiceOptions,
        }
        Alone::try_parse_from([&["remora"], arguments].concat()).unwrap().options
    }

    fn environment(pairs: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<String> {
        |name| pairs.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned())
    }

    const APPLICATION: &[(&str, &str)] = &[
        ("AZURE_CLIENT_ID", "11111111-1111-1111-1111-111111111111"),
        ("AZURE_TENANT_ID", "22222222-2222-2222-2222-222222222222"),
        ("AZURE_CLIENT_SECRET", "hidden"),
    ];

    #[test]
    fn without_a_place_the_mend_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let options = options(&["--data-dir", directory.path().to_str().unwrap()]);
        let error = connect(&options, &environment(APPLICATION)).err().unwrap();
        assert!(error.to_string().contains("remora up") && error.to_string().contains("--service"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn tokens_go_in_the_clear_to_loopback_alone() {
        for (url, may) in [
            ("https://remora.example", true),
            ("https://remora.example/below/", true),
            ("http://127.0.0.1:7090", true),
            ("http://[::1]:7090/", true),
            ("http://localhost:7090", true),
            ("http://remora.example", false),
            ("http://127.0.0.1.example", false),
            ("ftp://127.0.0.1", false),
            ("https://user:pass@remora.example", false),
            ("https://remora.example/?a=b", false),
        ] {
            let made = connect(&options(&["--service", url]), &environment(APPLICATION));
            assert_eq!(made.is_ok(), may, "{url}: {:?}", made.err().map(|error| error.to_string()));
        }
    }

    #[test]
    fn a_wrong_credential_is_told_without_its_secret() {
        const WRONG: &[(&str, &str)] =
            &[("IDENTITY_TYPE", "aadApplication"), ("AZURE_CLIENT_ID", "me"), ("AZURE_CLIENT_SECRET", "hidden")];
        let error = connect(&options(&["--service", "https://a.example"]), &environment(WRONG)).err().unwrap();
        let told = error.to_string();
        assert!(told.contains("AZURE_CLIENT_ID") && told.contains("AZURE_TENANT_ID"), "{told}");
        assert!(!told.contains("hidden"), "{told}");
        assert_eq!(error.exit_code(), 2);
    }
}
