//! Which workspaces a call is about, whether the caller may read all of them, and the view over them.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use access::{Action, Principal, Propagation, READ_METRICS};
use catalog::{Profile, Snapshot, Workspace};
use storage::{Labelled, Merged, Purpose, Queryable, Storage};

use crate::Parts;
use crate::azure::AnyCase;
use crate::call::Call;
use crate::error::ApiError;
use crate::params::{ParamError, Params};

/// Workspaces of a call: at least one, each once, in the order in which they were named.
#[derive(Debug)]
pub(crate) struct Scope {
    workspaces: Vec<Arc<Workspace>>,
}

/// Of the same workspaces.
impl Hash for Scope {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.workspaces.iter().for_each(|workspace| workspace.account_id.hash(state));
    }
}

impl Scope {
    /// The workspaces that `names` (identities or handles with commas between) stand for, if the principal may do this with all.
    ///
    /// Of a single name it is said whether it exists. Of several nothing is said but that something is missing: who may not
    /// read a workspace does not learn of it either.
    pub(crate) fn new(
        parts: &Parts,
        snapshot: &Snapshot,
        names: &str,
        principal: &Principal,
        action: Action<'_>,
    ) -> Result<Self, ApiError> {
        let named = names.split(',').count();
        if named > WORKSPACES_MAX {
            return Err(ApiError::TooManyWorkspaces { named });
        }
        let reads = action == READ_METRICS;
        let forbidden = || ApiError::Forbidden { principal: principal.object_id.clone(), several: named > 1, reads };
        let mut workspaces: Vec<Arc<Workspace>> = Vec::with_capacity(named);
        for name in names.split(',') {
            let workspace = match snapshot.workspace(name) {
                Some(workspace) => workspace,
                None if named == 1 => return Err(ApiError::NoWorkspace(name.to_owned())),
                None => return Err(forbidden()),
            };
            let policy = parts.policies.of(propagation(workspace));
            if !policy.allows(principal, action, &workspace.envelope.id).is_allowed() {
                return Err(forbidden());
            }
            if !workspaces.iter().any(|known| known.account_id == workspace.account_id) {
                workspaces.push(Arc::clone(workspace));
            }
        }
        match workspaces.iter().find(|workspace| !workspace.public_network_access) {
            Some(workspace) => Err(ApiError::NoPublicAccess(workspace.handle.clone())),
            None => Ok(Self { workspaces }),
        }
    }

    /// The workspace, of a call that is about one.
    pub(crate) fn only_one(&self) -> Result<&Workspace, ApiError> {
        match self.workspaces.as_slice() {
            [workspace] => Ok(workspace),
            several => Err(ApiError::OneWorkspace { named: several.len() }),
        }
    }

    /// The workspace that was named first.
    pub(crate) fn first(&self) -> &Workspace {
        self.workspaces.first().expect("a scope has at least one workspace")
    }

    /// Whether all of them behave as Azure's do. One that does not decides.
    pub(crate) fn is_azure(&self) -> bool {
        self.workspaces.iter().all(|workspace| workspace.profile == Profile::Azure)
    }

    /// The call over all of them, each series with the label that the parameters ask for.
    pub(crate) async fn call(&self, parts: &Parts, params: &Params) -> Result<Call, ApiError> {
        let label = label(params)?;
        let mut members: Vec<Arc<dyn Queryable>> = Vec::with_capacity(self.workspaces.len());
        for workspace in &self.workspaces {
            let storage = self.storage(parts, workspace, Purpose::Read).await?;
            members.push(match label {
                Some(name) => Arc::new(Labelled::new(storage, name, &workspace.handle)),
                None => storage,
            });
        }
        let view = match members.len() {
            1 => members.remove(0),
            _ => Arc::new(Merged::new(members)),
        };
        Ok(match self.is_azure() {
            true => Call { view: Arc::new(AnyCase::new(view)), azure: true },
            false => Call { view, azure: false },
        })
    }

    /// The storage of one of them.
    pub(crate) async fn storage(
        &self,
        parts: &Parts,
        workspace: &Workspace,
        purpose: Purpose,
    ) -> Result<Arc<dyn Storage>, ApiError> {
        let storage = parts.workspaces.storage(workspace.account_id, purpose).await;
        storage.map_err(|source| ApiError::NotOpen { handle: workspace.handle.clone(), source })
    }
}

/// In Azure a role takes a while to arrive; workspaces of that profile rehearse it.
fn propagation(workspace: &Workspace) -> Propagation {
    match workspace.profile {
        Profile::Azure => Propagation::Delayed,
        Profile::Strict => Propagation::AtOnce,
    }
}

/// The name of the label with each series' workspace, if one is asked for: `true` for the usual name, or another name.
fn label(params: &Params) -> Result<Option<&str>, ApiError> {
    let is_name = |text: &str| {
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        let rest = bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        first && rest && text.len() <= LABEL_NAME_BYTES_MAX && text != model::METRIC_NAME
    };
    match params.get(LABEL_PARAM) {
        "" | "false" => Ok(None),
        "true" => Ok(Some(LABEL)),
        name if is_name(name) => Ok(Some(name)),
        other => {
            let shown: String = other.chars().take(LABEL_NAME_BYTES_MAX).collect();
            let reason = format!("cannot take {shown:?} as a label's name; use true, false, or a name such as {LABEL}");
            Err(ParamError::Invalid { name: LABEL_PARAM, reason }.into())
        }
    }
}

/// Workspaces that a call may name: each is selected from at the same time, and holds a series while they are merged.
pub(crate) const WORKSPACES_MAX: usize = 20;
const LABEL_PARAM: &str = "workspace_label";
const LABEL: &str = "workspace";
const LABEL_NAME_BYTES_MAX: usize = 64;
