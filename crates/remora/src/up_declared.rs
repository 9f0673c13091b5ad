//! What `remora up` declares: a workspace with its endpoint and rule, principals, and the roles that connect them.

use access::{RoleAssignment, roles};
use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalog::{ApplicationCertificate, EndpointSpec, Federation, IdentitySpec, PROMETHEUS_STREAM, WorkspaceSpec};
use environment::Rng;
use model::ResourceId;

use crate::declared::{Declared, DeclaredApplication, ENDPOINTS, RULES, WORKSPACES, resource_id, rule_spec};
use crate::installation::{Installation, Principal, uuid};
use crate::settings::{DEFAULT_REGION, DEFAULT_SUBSCRIPTION_NAME};

/// Everything of an installation, with the ids that it has. `workload_issuer` names the issuer of its federated tokens.
///
/// # Errors
/// When its ids do not fit together.
pub(crate) fn declared(installation: &Installation, workload_issuer: &str, rng: &dyn Rng) -> anyhow::Result<Declared> {
    let ids = &installation.ids;
    let subscription = (ids.subscription_id, DEFAULT_SUBSCRIPTION_NAME.to_owned());
    let mut declared = Declared::new(subscription, DEFAULT_REGION);
    let id = |kind, name| resource_id(ids.subscription_id, kind, name).context("ids and names are plain");
    let (workspace, endpoint) = (id(WORKSPACES, WORKSPACE)?, id(ENDPOINTS, WORKSPACE)?);
    let (rule, identity) = (id(RULES, WORKSPACE)?, id(IDENTITIES, IDENTITY)?);
    let location = || DEFAULT_REGION.to_owned();
    declared.roles = role_assignments(installation, &workspace, &rule)?;
    let streams = [PROMETHEUS_STREAM.to_owned()];
    let spec = rule_spec(DEFAULT_REGION, &ids.rule, Some(&endpoint), &streams, &[&workspace]);
    declared.rules.push((rule, spec));
    let spec =
        EndpointSpec { location: location(), immutable_id: Some(ids.endpoint.clone()), ..EndpointSpec::default() };
    declared.endpoints.push((endpoint, spec));
    let account_id = Some(ids.account_id());
    let spec = WorkspaceSpec { location: location(), account_id, ..WorkspaceSpec::default() };
    declared.workspaces.push((workspace, spec));
    let managed = ids.managed_identity;
    let ids = Some((managed.client_id, managed.object_id));
    let spec = IdentitySpec { location: location(), ids, is_default: true, ..IdentitySpec::default() };
    declared.identities.push((identity, spec));
    declared.applications = applications(installation, workload_issuer, rng);
    Ok(declared)
}

fn applications(installation: &Installation, workload_issuer: &str, rng: &dyn Rng) -> Vec<DeclaredApplication> {
    let ids = &installation.ids;
    let certificate = ApplicationCertificate {
        key_id: uuid(rng),
        name: "installation".to_owned(),
        der_base64: STANDARD.encode(&installation.certificate_der),
    };
    let federation = Federation {
        id: uuid(rng),
        name: "workload".to_owned(),
        issuer: workload_issuer.to_owned(),
        subject: WORKLOAD_SUBJECT.to_owned(),
        audience: FEDERATION_AUDIENCE.to_owned(),
        key_set: None,
    };
    let application = DeclaredApplication {
        name: "application".to_owned(),
        client_id: ids.application.client_id,
        object_id: ids.application.object_id,
        secrets: vec![installation.client_secret.clone()],
        certificates: vec![certificate],
        federations: vec![federation],
    };
    let admin = DeclaredApplication {
        name: "admin".to_owned(),
        client_id: ids.admin.client_id,
        object_id: ids.admin.object_id,
        secrets: vec![installation.admin_secret.clone()],
        certificates: Vec::new(),
        federations: Vec::new(),
    };
    vec![application, admin]
}

/// The managed identity and the application may write and read; the admin owns everything, which lets it do neither. Its
/// role at the root is for what lies in no subscription: principals and backups.
fn role_assignments(
    installation: &Installation,
    workspace: &ResourceId,
    rule: &ResourceId,
) -> anyhow::Result<Vec<RoleAssignment>> {
    let ids = &installation.ids;
    let assignment = |principal: Principal, role: &str, scope: &ResourceId| RoleAssignment {
        principal_id: principal.object_id.to_string(),
        issuer: None,
        role_definition_id: role.to_owned(),
        scope: scope.clone(),
    };
    let subscription: ResourceId = format!("/subscriptions/{}", ids.subscription_id).parse()?;
    let mut assignments: Vec<_> =
        [subscription, "/".parse()?].iter().map(|scope| assignment(ids.admin, roles::OWNER, scope)).collect();
    for principal in [ids.managed_identity, ids.application] {
        assignments.push(assignment(principal, roles::MONITORING_METRICS_PUBLISHER, rule));
        assignments.push(assignment(principal, roles::MONITORING_DATA_READER, workspace));
    }
    Ok(assignments)
}

/// The workspace's name, and its rule's and endpoint's.
pub(crate) const WORKSPACE: &str = "default";

/// Whom the federated token speaks for: what a service account of a cluster would be.
pub(crate) const WORKLOAD_SUBJECT: &str = "system:serviceaccount:monitoring:prometheus";
pub(crate) const FEDERATION_AUDIENCE: &str = "api://AzureADTokenExchange";

/// The managed identity of the sidecar.
const IDENTITY: &str = "sidecar";
const IDENTITIES: &str = "Microsoft.ManagedIdentity/userAssignedIdentities";
