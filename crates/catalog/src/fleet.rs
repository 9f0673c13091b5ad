//! A large installation, made up: for benchmarks and tests.

use std::collections::BTreeMap;

use model::ResourceId;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::names::{self, ENDPOINT, RULE, WORKSPACE};
use crate::{AssignmentSpec, EndpointSpec, GroupSpec, Item, PROMETHEUS_STREAM, RuleSpec, WorkspaceSpec};

/// How much of everything there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fleet {
    /// The subscription all of it is in, which must exist.
    pub subscription: Uuid,
    /// Workspaces, without defaults, in groups of a hundred.
    pub workspaces: u32,
    /// Rules, each to one workspace, spread evenly; every tenth brings an endpoint that it and those after it are bound to.
    pub rules: u32,
    /// Role assignments at rules and workspaces, ten to a principal.
    pub assignments: u32,
}

impl Fleet {
    /// Everything, in an order in which [`Store::put_all`](crate::Store::put_all) can make it.
    pub fn items(&self) -> Vec<Item> {
        let groups = self.workspaces.div_ceil(WORKSPACES_A_GROUP);
        let groups =
            (0..groups).map(|n| Item::Group(self.group(n), GroupSpec { location: LOCATION.to_owned(), tags: tags(n) }));
        let workspaces = (0..self.workspaces).map(|n| {
            let spec = WorkspaceSpec { location: LOCATION.to_owned(), tags: tags(n), ..WorkspaceSpec::default() };
            Item::Workspace(self.workspace(n), spec)
        });
        let endpoints = (0..self.rules.div_ceil(RULES_AN_ENDPOINT)).map(|n| {
            let spec = EndpointSpec { location: LOCATION.to_owned(), ..EndpointSpec::default() };
            Item::Endpoint(self.endpoint(n), spec)
        });
        let rules = (0..self.rules).map(|n| Item::Rule(self.rule(n), self.rule_spec(n)));
        let assignments = (0..self.assignments).map(|n| Item::Assignment(self.assignment(n)));
        groups.chain(workspaces).chain(endpoints).chain(rules).chain(assignments).collect()
    }

    /// The ARM id of the workspace with this number.
    pub fn workspace(&self, n: u32) -> ResourceId {
        names::resource_id(&self.group(n / WORKSPACES_A_GROUP), WORKSPACE, &format!("workspace-{n}"))
    }

    /// The ARM id of the rule with this number.
    pub fn rule(&self, n: u32) -> ResourceId {
        names::resource_id(&self.group_of_rule(n), RULE, &format!("rule-{n}"))
    }

    /// The object id of the principal that the role assignment with this number is for.
    pub fn principal(n: u32) -> String {
        Uuid::from_u128(PRINCIPALS | u128::from(n / ASSIGNMENTS_A_PRINCIPAL)).to_string()
    }

    fn rule_spec(&self, n: u32) -> RuleSpec {
        let properties = json!({
            "description": format!("cluster {n}"),
            "dataCollectionEndpointId": self.endpoint(n / RULES_AN_ENDPOINT),
            "dataSources": {},
            "destinations": { "monitoringAccounts": [
                { "name": "metrics", "accountResourceId": self.workspace(self.workspace_of_rule(n)) },
            ] },
            "dataFlows": [{ "streams": [PROMETHEUS_STREAM], "destinations": ["metrics"] }],
        });
        let Value::Object(properties) = properties else { unreachable!("written as an object above") };
        RuleSpec { location: LOCATION.to_owned(), tags: tags(n), properties, ..RuleSpec::default() }
    }

    fn assignment(&self, n: u32) -> AssignmentSpec {
        // Ten of one principal at ten places; half of them publish, half read.
        let publishes = n.is_multiple_of(2) && self.rules > 0;
        let (scope, role) = match publishes {
            true => (self.rule(n % self.rules), PUBLISHER),
            false => (self.workspace(n % self.workspaces.max(1)), READER),
        };
        let name = Uuid::from_u128(ASSIGNMENTS | u128::from(n));
        AssignmentSpec {
            id: format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}")
                .parse()
                .expect("no segment of it is empty"),
            role: role.to_owned(),
            principal_id: Self::principal(n),
            principal_type: "ServicePrincipal".to_owned(),
            issuer: None,
            description: None,
        }
    }

    fn group(&self, n: u32) -> ResourceId {
        names::group_id(&self.subscription.to_string(), &format!("group-{n}"))
    }

    fn group_of_rule(&self, n: u32) -> ResourceId {
        self.group(self.workspace_of_rule(n) / WORKSPACES_A_GROUP)
    }

    fn workspace_of_rule(&self, n: u32) -> u32 {
        n % self.workspaces.max(1)
    }

    fn endpoint(&self, n: u32) -> ResourceId {
        names::resource_id(&self.group_of_rule(n), ENDPOINT, &format!("endpoint-{n}"))
    }
}

fn tags(n: u32) -> BTreeMap<String, String> {
    BTreeMap::from([("team".to_owned(), format!("team-{}", n % 50))])
}

const LOCATION: &str = "local";
const WORKSPACES_A_GROUP: u32 = 100;
const RULES_AN_ENDPOINT: u32 = 10;
const ASSIGNMENTS_A_PRINCIPAL: u32 = 10;
const PRINCIPALS: u128 = 0x9000_0000_0000_4000_8000_0000_0000_0000;
const ASSIGNMENTS: u128 = 0xa000_0000_0000_4000_8000_0000_0000_0000;
/// Monitoring Metrics Publisher.
const PUBLISHER: &str = "3913510d-42f4-4e42-8a64-420c390055eb";
/// Monitoring Data Reader.
const READER: &str = "b0d8363b-8ddd-447d-831f-62ca05bff136";
