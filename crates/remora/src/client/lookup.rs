//! From what people type to resources: subscriptions, groups, names.

use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::names::{encode, encode_id, segment_after, versions};
use super::{Client, ClientError, Kind, Precondition, text};

impl Client {
    /// The id of the subscription that was asked for, else of the only one.
    pub(crate) async fn subscription(&self) -> Result<&str, ClientError> {
        let found = self.subscription.get_or_try_init(async || match &self.parts.subscription {
            Some(id) if Uuid::try_parse(id).is_ok() => Ok(id.clone()),
            wanted => {
                let all = self.list("/subscriptions", versions::SUBSCRIPTIONS).await?;
                choose(&all, wanted.as_deref()).map_err(|error| match all.is_empty() {
                    true => ClientError::Failed(format!("{error}\n  {}", self.who())),
                    false => error,
                })
            }
        });
        found.await.map(String::as_str)
    }

    /// The scope of `--resource-group` if it was given, else of the subscription; percent-encoded.
    pub(crate) async fn container(&self) -> Result<String, ClientError> {
        let subscription = encode(self.subscription().await?);
        Ok(match self.requested_group() {
            Some(group) => format!("/subscriptions/{subscription}/resourceGroups/{}", encode(group)),
            None => format!("/subscriptions/{subscription}"),
        })
    }

    /// All resources of a kind, in the group that was asked for or in all.
    pub(crate) async fn list_kind(&self, kind: &Kind) -> Result<Vec<Value>, ClientError> {
        let container = self.container().await?;
        self.list(&format!("{container}/providers/{}", kind.resource_type), kind.api_version).await
    }

    /// The resource that somebody calls `named`: by ARM id, by name or by the kind's other identity.
    pub(crate) async fn resolve(&self, kind: &Kind, named: &str) -> Result<Value, ClientError> {
        self.resolve_if_any(kind, named).await?.map_err(|others| missing(kind, named, &others))
    }

    /// The same; if there is none, the names of those that there are.
    pub(crate) async fn resolve_if_any(
        &self,
        kind: &Kind,
        named: &str,
    ) -> Result<Result<Value, Vec<String>>, ClientError> {
        if named.starts_with('/') {
            check_kind(kind, named)?;
            return self.get(&encode_id(named), kind.api_version).await.map(Ok);
        }
        // The usual case without a list: in the group that is named or meant.
        let subscription = self.subscription().await?;
        let id = kind.id_in(subscription, self.requested_group().unwrap_or(DEFAULT_GROUP), named);
        let refusal = match self.get(&id, kind.api_version).await {
            Ok(found) => return Ok(Ok(found)),
            // Elsewhere there may be one that this principal may read.
            Err(ClientError::Refused(refusal)) if may_be_elsewhere(refusal.status) => refusal,
            Err(error) => return Err(error),
        };
        let mut all = self.list_kind(kind).await?;
        let is_named = |resource: &Value| {
            [text(resource, "/name"), text(resource, kind.identity)].iter().any(|own| own.eq_ignore_ascii_case(named))
        };
        let mut found: Vec<usize> = (0..all.len()).filter(|index| is_named(&all[*index])).collect();
        match (found.pop(), found.as_slice()) {
            (Some(index), []) => Ok(Ok(all.swap_remove(index))),
            (Some(last), others) => {
                let ids = others.iter().chain([&last]).map(|index| format!("\n    {}", text(&all[*index], "/id")));
                let noun = kind.noun;
                Err(ClientError::Usage(format!(
                    "several {noun}s are called {named:?}; give --resource-group, or one of the ids:{}",
                    ids.collect::<String>()
                )))
            }
            // Whether there is one is not told to whom may not read it; which role lets him is.
            (None, _) if refusal.status == StatusCode::FORBIDDEN => Err(ClientError::Refused(refusal)),
            (None, _) => Ok(Err(all.iter().map(|resource| text(resource, "/name").to_owned()).collect())),
        }
    }

    /// The id of a resource to be made, percent-encoded; its group is made if that is the default one.
    pub(crate) async fn id_to_create(&self, kind: &Kind, name: &str) -> Result<NewResource, ClientError> {
        if name.starts_with('/') {
            check_kind(kind, name)?;
            let (subscription, group) = (segment_after(name, "subscriptions"), segment_after(name, "resourceGroups"));
            let region = self.region_of_group(subscription, group).await?;
            return Ok(NewResource { path: encode_id(name), region });
        }
        let subscription = self.subscription().await?;
        let group = self.requested_group().unwrap_or(DEFAULT_GROUP);
        let region = self.region_of_group(subscription, group).await?;
        Ok(NewResource { path: kind.id_in(subscription, group, name), region })
    }

    /// The region of a resource group; the default group is made when it is missing.
    async fn region_of_group(&self, subscription: &str, group: &str) -> Result<String, ClientError> {
        let path = format!("/subscriptions/{}/resourcegroups/{}", encode(subscription), encode(group));
        let is_default = self.requested_group().is_none() && group.eq_ignore_ascii_case(DEFAULT_GROUP);
        let region = |group: &Value| match text(group, "/location") {
            "" => DEFAULT_REGION.to_owned(),
            region => region.to_owned(),
        };
        match self.get(&path, versions::RESOURCE_GROUPS).await {
            Ok(group) => Ok(region(&group)),
            Err(ClientError::Refused(refusal)) if refusal.code == "ResourceGroupNotFound" && is_default => {
                let body = json!({"location": DEFAULT_REGION});
                self.put(&path, versions::RESOURCE_GROUPS, &body, Precondition::None).await.map(|group| region(&group))
            }
            // Who may make a resource need not be one who may read its group.
            Err(ClientError::Refused(refusal)) if refusal.status == StatusCode::FORBIDDEN => {
                Ok(DEFAULT_REGION.to_owned())
            }
            Err(error) => Err(error),
        }
    }
}

fn may_be_elsewhere(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST)
}

/// Where a resource is to be made.
#[derive(Debug)]
pub(crate) struct NewResource {
    /// Its ARM id, percent-encoded.
    pub(crate) path: String,
    /// The region of its group.
    pub(crate) region: String,
}

/// The subscription `wanted` by name, else the only one.
fn choose(subscriptions: &[Value], wanted: Option<&str>) -> Result<String, ClientError> {
    let named = |subscription: &&Value| {
        wanted.is_none_or(|wanted| text(subscription, "/displayName").eq_ignore_ascii_case(wanted))
    };
    let matching: Vec<&Value> = subscriptions.iter().filter(named).collect();
    let lines = || -> String {
        let line = |one: &Value| format!("\n    {}  {}", text(one, "/subscriptionId"), text(one, "/displayName"));
        subscriptions.iter().take(SHOWN_MAX).map(line).collect()
    };
    match (matching.as_slice(), wanted) {
        ([one], _) => Ok(text(one, "/subscriptionId").to_owned()),
        ([], _) if subscriptions.is_empty() => Err(ClientError::Failed(
            "there is no subscription that this credential may see: it needs a role, at least on one thing in one \
             (remora role create)"
                .to_owned(),
        )),
        ([], wanted) => Err(ClientError::Usage(format!(
            "there is no subscription called {:?}; there are:{}",
            wanted.unwrap_or_default(),
            lines()
        ))),
        (_, Some(wanted)) => {
            Err(ClientError::Usage(format!("several subscriptions are called {wanted:?}; give one by id:{}", lines())))
        }
        (_, None) => Err(ClientError::Usage(format!(
            "there are several subscriptions; name one with --subscription (AZURE_SUBSCRIPTION_ID):{}",
            lines()
        ))),
    }
}

fn check_kind(kind: &Kind, id: &str) -> Result<(), ClientError> {
    let lower = id.to_ascii_lowercase();
    let inner = format!("/providers/{}/", kind.resource_type.to_ascii_lowercase());
    match lower.rsplit_once(&inner) {
        Some((_, name)) if !name.is_empty() && !name.contains('/') => Ok(()),
        _ => Err(ClientError::Usage(format!(
            "{id} is no id of a {}: those are /subscriptions/…/resourceGroups/…/providers/{}/NAME",
            kind.noun, kind.resource_type
        ))),
    }
}

fn missing(kind: &Kind, named: &str, others: &[String]) -> ClientError {
    let Kind { noun, command, .. } = kind;
    let similar = others.iter().max_by(|left, right| similarity(left, named).total_cmp(&similarity(right, named)));
    let hint = match similar {
        None => format!("there is none at all; `remora {command} create` makes one"),
        Some(name) if similarity(name, named) >= SIMILAR => format!("is {name} meant?"),
        Some(_) => format!("`remora {command} list` shows those there are"),
    };
    ClientError::Failed(format!("there is no {noun} {named:?} (that this credential may read); {hint}"))
}

fn similarity(left: &str, right: &str) -> f64 {
    strsim::jaro_winkler(&left.to_lowercase(), &right.to_lowercase())
}

/// Where things are made when nobody says.
pub(crate) const DEFAULT_GROUP: &str = "remora";

/// The region that the service names if nobody sets it otherwise.
const DEFAULT_REGION: &str = "local";

/// From which likeness on one name is taken for a slip of another.
const SIMILAR: f64 = 0.8;

const SHOWN_MAX: usize = 20;
