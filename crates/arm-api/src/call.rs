//! One request whose right is decided: what its handler works with.

use std::sync::Arc;

use access::{Action, Policy, Principal};
use catalog::{Actor, ActorKind, Precondition, Snapshot, Store, key};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, EXPECT};
use http::uri::Authority;
use http_serving::Peer;
use model::{ErrorKind, ResourceId};
use serde_json::Value;
use uuid::Uuid;

use crate::body::{Unread, parse_json};
use crate::error::ArmError;
use crate::query::Query;
use crate::route::Params;
use crate::{Parts, Settings, etag, groups, ids};

/// A call of a route. Handlers take it whole.
pub(crate) struct Call {
    pub(crate) parts: Arc<Parts>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) params: Params,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    /// The address in the request's own line, which HTTP/2 has in place of the header `Host`.
    pub(crate) authority: Option<Authority>,
    pub(crate) peer: Peer,
    /// Who asks; none on public routes.
    pub(crate) caller: Option<Arc<Principal>>,
    /// Rights as they were when this call was decided; one state for all that it shows.
    pub(crate) policy: Arc<Policy>,
    pub(crate) reach: Reach,
    pub(crate) payload: Unread,
}

/// How much of a list its caller may see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reach {
    /// All of it: the right holds at the list's scope.
    Everything,
    /// What each item's own rights say.
    Parts(&'static str),
}

impl Call {
    /// The catalogue, for changes.
    pub(crate) fn store(&self) -> &Store {
        &self.parts.store
    }

    /// What exists now.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.parts.store.catalog().snapshot()
    }

    /// A segment of the path, by its name in the route's pattern.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.get(name)
    }

    /// The path's `{scope}`; the root for routes that have none.
    pub(crate) fn scope(&self) -> ResourceId {
        self.params.scope.clone().unwrap_or_else(ids::root)
    }

    /// The path as an ARM id, its fixed segments as the table writes them.
    pub(crate) fn path(&self) -> ResourceId {
        self.params.path.clone().unwrap_or_else(ids::root)
    }

    /// The path's subscription, which must exist.
    pub(crate) fn subscription(&self) -> Result<Uuid, ArmError> {
        let text = self.param("subscription");
        // Only as Azure writes it: rights and ids compare it as text.
        let id = text.parse::<Uuid>().ok().filter(|id| id.to_string() == text);
        let Some(id) = id else {
            let message = format!("The provided subscription identifier '{text}' is malformed or invalid.");
            return Err(ArmError::bad_request("InvalidSubscriptionId", message));
        };
        match self.snapshot().subscriptions().contains_key(&id) {
            true => Ok(id),
            false => {
                Err(ArmError::not_found("SubscriptionNotFound", format!("The subscription '{id}' could not be found.")))
            }
        }
    }

    /// What the keys of a list's items begin with: the path's group, or its subscription, which must exist.
    pub(crate) fn list_prefix(&self) -> Result<String, ArmError> {
        let subscription = self.subscription()?;
        match self.param("group") {
            "" => Ok(format!("/subscriptions/{subscription}/")),
            group => {
                let id = ids::parse(&format!("/subscriptions/{subscription}/resourceGroups/{group}"));
                match self.snapshot().groups().contains_key(&key(&id)) {
                    true => Ok(format!("{}/", key(&id))),
                    false => Err(groups::missing(&id)),
                }
            }
        }
    }

    /// The id that `pattern` stands for with this path's parameters: the resource that a path below it is about.
    pub(crate) fn resource(&self, pattern: &str) -> ResourceId {
        let depth = pattern.split('/').count();
        let path = self.path();
        let segments: Vec<&str> = path.as_str().split('/').take(depth).collect();
        ids::parse(&segments.join("/"))
    }

    /// Says what is missing: the resource, or already its group.
    pub(crate) fn missing(&self, id: &ResourceId, snapshot: &Snapshot) -> ArmError {
        let group = id.as_str().split('/').take(5).collect::<Vec<_>>().join("/");
        let group = ids::parse(&group);
        match snapshot.groups().contains_key(&key(&group)) {
            true => ArmError::no_resource(id),
            false => groups::missing(&group),
        }
    }

    /// A parameter of the query that is `true` or `false`; false when it is not there.
    pub(crate) fn flag(&self, name: &'static str) -> Result<bool, ArmError> {
        match self.query.filled(name).map(str::to_ascii_lowercase).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => {
                let message = format!("The query parameter '{name}' is invalid: true or false is expected.");
                Err(ArmError::bad_request("InvalidQueryParameter", message).with_target(name))
            }
        }
    }

    /// Whether the caller may see an item of a list ([`crate::route::Right::List`]).
    pub(crate) fn may_see(&self, id: &ResourceId) -> bool {
        match self.reach {
            Reach::Everything => true,
            Reach::Parts(action) => self.may(action, id),
        }
    }

    /// Whether the caller may do a management action on `id`.
    pub(crate) fn may(&self, action: &str, id: &ResourceId) -> bool {
        self.caller
            .as_ref()
            .is_some_and(|caller| self.policy.allows(caller, Action::Management(action), id).is_allowed())
    }

    /// Who asks, for stamps and the audit log.
    pub(crate) fn actor(&self) -> Actor {
        let address = Some(self.peer.addr.ip().to_canonical().to_string());
        let request_id = Some(self.peer.request_id.to_string());
        match &self.caller {
            Some(caller) => {
                let kind = match (&caller.mi_resource_id, &caller.app_id) {
                    (Some(_), _) => ActorKind::ManagedIdentity,
                    (None, Some(_)) => ActorKind::Application,
                    (None, None) => ActorKind::User,
                };
                Actor { id: caller.object_id.clone(), name: caller.name.clone(), kind, address, request_id }
            }
            None => {
                let nobody = "nobody".to_owned();
                Actor { id: nobody.clone(), name: nobody, kind: ActorKind::Key, address, request_id }
            }
        }
    }

    /// What `If-Match` and `If-None-Match` ask.
    pub(crate) fn precondition(&self) -> Result<Precondition, ArmError> {
        etag::precondition(&self.headers)
    }

    /// The body as JSON, read within its bound. Once.
    pub(crate) async fn json(&self) -> Result<Value, ArmError> {
        self.check_content_type()?;
        let bytes = match self.payload.take() {
            Some(payload) => payload.read(self.headers.contains_key(EXPECT)).await?,
            None => bytes::Bytes::new(),
        };
        parse_json(&bytes)
    }

    /// A link to here with another parameter, under the address that this service is published at.
    pub(crate) fn link_with(&self, name: &str, value: &str) -> String {
        format!("{}?{}", self.url(self.path().as_str()), self.query.with(name, value))
    }

    /// A path under the address that this service is published at.
    pub(crate) fn url(&self, path: &str) -> String {
        let escaped = percent_encoding::utf8_percent_encode(path, PATH_ESCAPED);
        format!("{}{escaped}", self.settings.public_url.trim_end_matches('/'))
    }

    fn check_content_type(&self) -> Result<(), ArmError> {
        let Some(value) = self.headers.get(CONTENT_TYPE) else { return Ok(()) };
        let kind = value.to_str().unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        // `az rest` and scripts with curl say these two although they send JSON.
        let known = kind.is_empty() || kind.ends_with("json") || kind == "text/plain" || kind == FORM;
        if known {
            return Ok(());
        }
        let message = format!("The request content is of the type '{kind}': 'application/json' is expected.");
        Err(ArmError::new(ErrorKind::UnsupportedMedia, "UnsupportedMediaType", message))
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

/// What a path cannot carry as it is.
const PATH_ESCAPED: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}');
