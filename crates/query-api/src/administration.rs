//! Deleting samples, cleaning up after it, and snapshots: what Prometheus calls the TSDB admin API.
//!
//! It asks for another right than reading does ([`ADMINISTER`]), and every call is in the audit log before it does anything.
//! What is begun is brought to its end, whether or not the caller waits for it.

use std::sync::Arc;

use access::{Action, Principal};
use catalog::{Actor, ActorKind};
use http::StatusCode;
use http_serving::{Peer, Request, Response, empty};
use model::{Matcher, ResourceId};
use serde_json::{Value, json};
use storage::{Administer, AdministerError, BoxFuture, Purpose, Storage, TimeRange};

use crate::error::{ApiError, json_response};
use crate::listing::{selectors, time_range};
use crate::params::{ParamError, Params};
use crate::route::Endpoint;
use crate::scope::Scope;
use crate::{QueryApi, answer, read_params};

/// *Delete and copy data of this workspace*: asked of a workspace. Owner and Contributor have it, roles that read data do not.
pub const ADMINISTER: Action<'static> = Action::Management("Microsoft.Monitor/accounts/data/metrics/delete");

/// Writes down who did what, before it is done.
pub trait Audit: Send + Sync + 'static {
    /// Adds a line.
    ///
    /// # Errors
    /// Why it could not be written; what it is about is not done then.
    fn note<'a>(
        &'a self,
        actor: &'a Actor,
        operation: &'static str,
        target: &'a ResourceId,
        detail: Value,
    ) -> BoxFuture<'a, Result<(), String>>;
}

/// What is to be done.
enum Task {
    Delete { selectors: Vec<Vec<Matcher>>, range: TimeRange },
    CleanTombstones,
    Snapshot { skip_head: bool },
}

impl Task {
    fn new(endpoint: &Endpoint, params: &Params) -> Result<Self, ApiError> {
        match endpoint {
            Endpoint::DeleteSeries => {
                let selectors = selectors(params)?;
                if selectors.is_empty() {
                    return Err(ParamError::NoMatcher.into());
                }
                Ok(Self::Delete { selectors, range: time_range(params)? })
            }
            Endpoint::Snapshot => Ok(Self::Snapshot { skip_head: params.boolean("skip_head")? }),
            _ => Ok(Self::CleanTombstones),
        }
    }

    const fn operation(&self) -> &'static str {
        match self {
            Self::Delete { .. } => "Microsoft.Monitor/accounts/data/metrics/delete",
            Self::CleanTombstones => "Microsoft.Monitor/accounts/data/metrics/cleanTombstones/action",
            Self::Snapshot { .. } => "Microsoft.Monitor/accounts/data/metrics/snapshot/action",
        }
    }

    /// For the audit log.
    fn detail(&self, params: &Params) -> Value {
        match self {
            Self::Delete { range, .. } => {
                let texts: Vec<&str> = params.all("match[]").collect();
                json!({ "match": texts, "start": range.start.0, "end": range.end.0 })
            }
            Self::CleanTombstones => json!({}),
            Self::Snapshot { skip_head } => json!({ "skipHead": skip_head }),
        }
    }

    /// Blocks.
    fn run(&self, storage: &dyn Administer) -> Result<Option<String>, AdministerError> {
        match self {
            Self::Delete { selectors, range } => storage.delete(selectors, *range).map(|()| None),
            Self::CleanTombstones => storage.clean_tombstones().map(|()| None),
            Self::Snapshot { skip_head } => storage.snapshot(*skip_head).map(Some),
        }
    }
}

impl QueryApi {
    /// Does what the caller, who may, asks for.
    pub(crate) async fn administer(
        &self,
        endpoint: &Endpoint,
        request: Request,
        scope: &Scope,
        principal: &Principal,
        peer: &Peer,
    ) -> Result<Response, ApiError> {
        let params = read_params(request).await?;
        let task = Task::new(endpoint, &params)?;
        let workspace = scope.only_one()?;
        let Ok(slot) = Arc::clone(&self.administering).try_acquire_owned() else { return Err(ApiError::Busy) };
        let storage = self.parts.workspaces.storage(workspace.account_id, Purpose::Write).await;
        let storage: Arc<dyn Storage> =
            storage.map_err(|source| ApiError::NotOpen { handle: workspace.handle.clone(), source })?;
        let (actor, target) = (actor(principal, peer), &workspace.envelope.id);
        let noted = self.parts.audit.note(&actor, task.operation(), target, task.detail(&params)).await;
        noted.map_err(ApiError::Unaudited)?;
        let run = move || {
            let _slot = slot;
            storage.administration().map(|administration| task.run(administration))
        };
        let outcome = tokio::task::spawn_blocking(run).await;
        match outcome.map_err(|_| ApiError::Internal("the task ended early"))? {
            None => Err(ApiError::NotAdministered),
            Some(done) => Ok(match done? {
                None => empty(StatusCode::NO_CONTENT),
                Some(name) => json_response(StatusCode::OK, answer::data(&json!({ "name": name }))),
            }),
        }
    }
}

fn actor(principal: &Principal, peer: &Peer) -> Actor {
    let kind = match (&principal.mi_resource_id, &principal.app_id) {
        (Some(_), _) => ActorKind::ManagedIdentity,
        (None, Some(_)) => ActorKind::Application,
        (None, None) => ActorKind::User,
    };
    Actor {
        id: principal.object_id.clone(),
        name: principal.name.clone(),
        kind,
        address: Some(peer.addr.ip().to_canonical().to_string()),
        request_id: Some(peer.request_id.to_string()),
    }
}

/// Calls of this kind at the same time. Each holds a thread, perhaps for long.
pub(crate) const ADMINISTERING_MAX: usize = 4;
