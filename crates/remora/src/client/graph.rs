//! Calls of Microsoft Graph: the directory's applications and service principals.

use std::collections::HashMap;

use http::Method;
use identity::Scope;
use serde_json::{Value, json};
use uuid::Uuid;

use super::arm::versioned;
use super::names::{encode, versions};
use super::{Api, Call, Client, ClientError, text};

/// Somebody in the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Principal {
    /// What roles are given to.
    pub(crate) object_id: String,
    /// What it asks for tokens with; empty when not known.
    pub(crate) client_id: String,
    /// For people; empty when not known.
    pub(crate) name: String,
    /// `Application`, `ManagedIdentity`; empty when not known.
    pub(crate) kind: String,
}

impl Principal {
    /// Of a service principal as Graph has it.
    pub(crate) fn of(service_principal: &Value) -> Self {
        let own = |pointer| text(service_principal, pointer).to_owned();
        Self {
            object_id: own("/id"),
            client_id: own("/appId"),
            name: own("/displayName"),
            kind: own("/servicePrincipalType"),
        }
    }

    /// There is none of this name.
    pub(crate) fn missing(named: &str) -> ClientError {
        ClientError::Failed(format!(
            "there is no principal {named:?} in the directory; `remora principal list` shows those there are"
        ))
    }

    /// Whether it is a managed identity.
    pub(crate) fn is_managed_identity(&self) -> bool {
        self.kind == "ManagedIdentity"
    }
}

impl Client {
    /// Sends a request to Graph.
    pub(crate) async fn graph(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, ClientError> {
        let target = format!("/v1.0{path}");
        let call = Call::new(Api::Graph, method, &target);
        let call = match body {
            Some(body) => call.with_body(body),
            None => call,
        };
        Ok(self.call(call).await?.body)
    }

    /// All pages of a list of Graph.
    pub(crate) async fn graph_list(&self, path: &str) -> Result<Vec<Value>, ClientError> {
        self.pages(Api::Graph, format!("/v1.0{path}"), usize::MAX).await
    }

    /// Objects of `collection` that match a filter.
    pub(crate) async fn graph_filter(&self, collection: &str, filter: &str) -> Result<Vec<Value>, ClientError> {
        self.graph_list(&format!("/{collection}?$filter={}", encode(filter))).await
    }

    /// The service principal that somebody calls `named`: by client id, object id or name; none when there is none.
    pub(crate) async fn find_principal(&self, named: &str) -> Result<Option<Principal>, ClientError> {
        let found = self.find_service_principals(named).await?;
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(Principal::of(one))),
            several => {
                let ids =
                    several.iter().map(|one| format!("\n    {}  {}", text(one, "/id"), text(one, "/displayName")));
                Err(ClientError::Usage(format!(
                    "several principals are called {named:?}; give one by its object id:{}",
                    ids.collect::<String>()
                )))
            }
        }
    }

    /// The same; there must be one.
    pub(crate) async fn principal(&self, named: &str) -> Result<Principal, ClientError> {
        self.find_principal(named).await?.ok_or_else(|| Principal::missing(named))
    }

    async fn find_service_principals(&self, named: &str) -> Result<Vec<Value>, ClientError> {
        if Uuid::try_parse(named).is_ok() {
            let by_client_id = self.graph_filter("servicePrincipals", &format!("appId eq '{named}'")).await?;
            if !by_client_id.is_empty() {
                return Ok(by_client_id);
            }
            return self.graph_filter("servicePrincipals", &format!("id eq '{named}'")).await;
        }
        let literal = named.replace('\'', "''");
        self.graph_filter("servicePrincipals", &format!("displayName eq '{literal}'")).await
    }

    /// Names of principals by their object ids in lower case, as far as the directory knows them and tells them.
    pub(crate) async fn principal_names(&self, object_ids: impl Iterator<Item = &str>) -> HashMap<String, String> {
        let mut ids: Vec<&str> = object_ids.filter(|id| Uuid::try_parse(id).is_ok()).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut names = HashMap::new();
        for ids in ids.chunks(IDS_PER_REQUEST) {
            let asked = json!({"ids": ids});
            let found = self.graph(Method::POST, "/directoryObjects/getByIds", Some(&asked)).await.unwrap_or_default();
            for one in found["value"].as_array().into_iter().flatten() {
                names.insert(text(one, "/id").to_ascii_lowercase(), text(one, "/displayName").to_owned());
            }
        }
        names
    }

    /// What tokens for Graph are for: as the service says it.
    pub(super) async fn graph_audience(&self) -> Result<Scope, ClientError> {
        let audience = text(self.metadata().await?, "/microsoftGraphResourceId");
        Scope::parse(audience).map_err(|error| ClientError::Unintelligible {
            what: format!("GET {}/metadata/endpoints", self.base()),
            reason: format!("microsoftGraphResourceId: {error}"),
        })
    }

    /// The base URL that the service is published at.
    pub(crate) async fn published_url(&self) -> Result<String, ClientError> {
        // The service names itself as it was asked, and its directory as it is published.
        match text(self.metadata().await?, "/graph").trim_end_matches('/') {
            "" => Ok(self.base().to_owned()),
            url => Ok(url.to_owned()),
        }
    }

    /// Id and authority of the directory that the service trusts.
    pub(crate) async fn directory(&self) -> Result<(String, String), ClientError> {
        let metadata = self.metadata().await?;
        let tenant = text(metadata, "/authentication/tenant").to_owned();
        Ok((tenant, text(metadata, "/authentication/loginEndpoint").trim_end_matches('/').to_owned()))
    }

    /// What the service says of itself to everybody.
    async fn metadata(&self) -> Result<&Value, ClientError> {
        let read = async || -> Result<Value, ClientError> {
            let target = versioned("/metadata/endpoints", versions::METADATA);
            let call = Call::new(Api::Arm, Method::GET, &target);
            // Without a token: which ones there are is what is asked.
            let response = self.exchange(&call, None).await?;
            Ok(self.judge(&call, response)?.body)
        };
        self.metadata.get_or_try_init(read).await
    }
}

/// As many as Graph takes at once.
const IDS_PER_REQUEST: usize = 1000;
