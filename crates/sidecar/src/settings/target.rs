//! Where samples and queries go, through what, and for which audience the tokens are.

use std::sync::Arc;

use host::OutboundProxy;
use identity::{Cloud, Scope};
use proxy::check_upstream_url;
use rustls::RootCertStore;
use url::Url;

use super::{QuerySettings, Reader, read_bounded};

impl Reader<'_> {
    pub(super) fn ingestion_url(&mut self) -> Option<Url> {
        let mend = "set it to the metrics ingestion endpoint of the workspace, as its overview page shows it";
        let text = self.required("INGESTION_URL", mend)?;
        self.url("INGESTION_URL", &text)
    }

    fn url(&mut self, variable: &'static str, text: &str) -> Option<Url> {
        let example = "give a whole URL such as https://name.region-1.metrics.ingest.monitor.azure.com/…";
        let url = match Url::parse(text) {
            Ok(url) => url,
            // The text is not repeated: it may hold a password.
            Err(error) => {
                self.mistake(variable, format!("is not a URL ({error}): {example}"));
                return None;
            }
        };
        check_upstream_url(&url).map_err(|error| self.mistake(variable, error.to_string())).ok()?;
        Some(url)
    }

    /// The cloud that `CLOUD` names; none when it names none.
    pub(super) fn cloud(&mut self) -> Option<Cloud> {
        let parsed = self.text("CLOUD")?.parse();
        self.ok(parsed)
    }

    /// The cloud that stands when the audience has been read: the named one, else that of the audience, else the public.
    pub(super) fn agreed_cloud(&mut self, named: Option<Cloud>, scope: Option<&Scope>) -> Cloud {
        let told = scope.filter(|_| self.text("INGESTION_AAD_AUDIENCE").is_some());
        let told = told.and_then(Cloud::of_ingestion_audience);
        if let (Some(named), Some(told)) = (named, told)
            && let Some(expected) = named.ingestion_audience().filter(|_| named != told)
        {
            let message = format!(
                "it is the audience of {told}, but CLOUD is {named}: set CLOUD={}, or set this to {expected} or leave it out",
                told.to_string().to_ascii_uppercase()
            );
            self.mistake("INGESTION_AAD_AUDIENCE", message);
        }
        named.or(told).unwrap_or_default()
    }

    pub(super) fn ingestion_scope(&mut self, cloud: Cloud) -> Option<Scope> {
        let audience = match (self.text("INGESTION_AAD_AUDIENCE"), cloud.ingestion_audience()) {
            (Some(audience), _) => audience,
            (None, Some(audience)) => audience.to_owned(),
            (None, None) => {
                let mend = "is missing: CLOUD=AZURECUSTOM has no audience of its own, set it to <audience>/.default";
                self.mistake("INGESTION_AAD_AUDIENCE", mend);
                return None;
            }
        };
        self.ok(Scope::parse(&audience))
    }

    pub(super) fn query(&mut self, cloud: Cloud, ingestion_scope: Option<&Scope>) -> Option<QuerySettings> {
        let allow_remote = self.bool("REMORA_QUERY_ALLOW_REMOTE");
        let text = self.text("REMORA_QUERY_URL")?;
        let parsed = Url::parse(&text).ok();
        let url = self.url("REMORA_QUERY_URL", &text);
        if parsed.is_some_and(|url| url.query().is_some() || url.fragment().is_some()) {
            self.mistake(
                "REMORA_QUERY_URL",
                "holds a query or fragment: give the endpoint's base, /api/v1/… is appended",
            );
        }
        let scope = ingestion_scope.and_then(|ingestion| query_scope(cloud, ingestion));
        if scope.is_none() && ingestion_scope.is_some() {
            let mend = "leave it out, or use an INGESTION_AAD_AUDIENCE of the form https://monitor.<domain>";
            self.mistake("REMORA_QUERY_URL", format!("the audience for queries is not known in this cloud: {mend}"));
        }
        Some(QuerySettings { url: url?, scope: scope?, allow_remote })
    }

    /// Whom to trust.
    pub(super) fn roots(&mut self) -> Option<Arc<RootCertStore>> {
        let path = self.path("SSL_CERT_FILE");
        if let Some(path) = &path {
            // Its content is part of the settings; what is wrong with it is said below.
            self.contents.add("SSL_CERT_FILE", path, &read_bounded(path).unwrap_or_default());
        }
        host::tls::roots(path.as_deref()).map_err(|error| self.mistake("SSL_CERT_FILE", error.to_string())).ok()
    }

    pub(super) fn outbound_proxy(&mut self) -> Option<OutboundProxy> {
        let direct = self.text("NO_PROXY").unwrap_or_default();
        let url = self.text("HTTPS_PROXY")?;
        match OutboundProxy::parse(&url, &direct) {
            Ok(proxy) => proxy,
            Err(error) => {
                self.mistake("HTTPS_PROXY", format!("{error}: set it to the proxy's address or leave it out"));
                None
            }
        }
    }
}

/// The audience of queries beside that of ingestion: a known cloud's, else formed as every cloud forms it.
fn query_scope(cloud: Cloud, ingestion: &Scope) -> Option<Scope> {
    let known = Cloud::of_ingestion_audience(ingestion).unwrap_or(cloud).query_audience().map(str::to_owned);
    let formed = || {
        let domain = ingestion.resource().strip_prefix("https://monitor.")?;
        Some(format!("https://prometheus.monitor.{domain}"))
    };
    Scope::parse(&known.or_else(formed)?).ok()
}
