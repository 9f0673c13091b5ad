//! Azure's built-in roles, as far as they say something about what exists here: GUIDs, names and permitted actions are
//! Azure's (learn.microsoft.com/azure/role-based-access-control/built-in-roles), descriptions are our own. None of them
//! has a condition.

use super::RoleDefinition;

/// GUIDs of the built-in roles.
pub mod roles {
    /// Writes metrics to rules.
    pub const MONITORING_METRICS_PUBLISHER: &str = "3913510d-42f4-4e42-8a64-420c390055eb";
    /// Reads the metrics of workspaces.
    pub const MONITORING_DATA_READER: &str = "b0d8363b-8ddd-447d-831f-62ca05bff136";
    /// Reads all monitoring resources, not the data.
    pub const MONITORING_READER: &str = "43d0d8ad-25c7-4714-9337-8ba259a9fe05";
    /// Manages all monitoring resources, not the data.
    pub const MONITORING_CONTRIBUTOR: &str = "749f88d5-cbae-40b8-bcfc-e573ddc772fa";
    /// Manages everything, rights included; no data.
    pub const OWNER: &str = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";
    /// Manages everything but rights; no data.
    pub const CONTRIBUTOR: &str = "b24988ac-6180-42a0-ab88-20f7382dd24c";
    /// Reads all resources; no data.
    pub const READER: &str = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
    /// Manages rights.
    pub const USER_ACCESS_ADMINISTRATOR: &str = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9";
    /// Manages role assignments alone.
    pub const ROLE_BASED_ACCESS_CONTROL_ADMINISTRATOR: &str = "f58310d9-a9f6-439a-9e8d-f62e7b41a168";
    /// Manages user-assigned identities.
    pub const MANAGED_IDENTITY_CONTRIBUTOR: &str = "e40ec5ca-96e0-45a2-b4ff-59039f2c2b59";
    /// Reads and assigns user-assigned identities.
    pub const MANAGED_IDENTITY_OPERATOR: &str = "f1a07417-d97a-45cb-824c-7a7467783830";
}

impl RoleDefinition {
    /// The built-in roles that matter here, with Azure's GUIDs and rights.
    pub fn built_in() -> Vec<Self> {
        vec![
            Self::new(
                roles::MONITORING_METRICS_PUBLISHER,
                "Monitoring Metrics Publisher",
                "Publishes metrics through data collection rules.",
            )
            .permitting(&[
                "Microsoft.Insights/Register/Action",
                "Microsoft.Support/*",
                "Microsoft.Resources/subscriptions/resourceGroups/read",
            ])
            .permitting_data(&["Microsoft.Insights/Metrics/Write", "Microsoft.Insights/Telemetry/Write"]),
            Self::new(
                roles::MONITORING_DATA_READER,
                "Monitoring Data Reader",
                "Reads the metrics in monitor workspaces.",
            )
            .permitting_data(&["Microsoft.Monitor/accounts/data/metrics/read"]),
            Self::new(roles::MONITORING_READER, "Monitoring Reader", "Reads monitoring resources and settings.")
                .permitting(&[
                    "*/read",
                    "Microsoft.OperationalInsights/workspaces/search/action",
                    "Microsoft.Support/*",
                ]),
            Self::new(
                roles::MONITORING_CONTRIBUTOR,
                "Monitoring Contributor",
                "Reads all resources and manages those of monitoring.",
            )
            .permitting(MONITORING_CONTRIBUTOR_ACTIONS),
            Self::new(roles::OWNER, "Owner", "Manages all resources and the rights on them.").permitting(&["*"]),
            Self::new(roles::CONTRIBUTOR, "Contributor", "Manages all resources, but not the rights on them.")
                .permitting(&["*"])
                .except(CONTRIBUTOR_EXCEPTIONS),
            Self::new(roles::READER, "Reader", "Sees all resources, but changes nothing.").permitting(&["*/read"]),
            Self::new(
                roles::USER_ACCESS_ADMINISTRATOR,
                "User Access Administrator",
                "Manages the rights on resources.",
            )
            .permitting(&["*/read", "Microsoft.Authorization/*", "Microsoft.Support/*"]),
            Self::new(
                roles::ROLE_BASED_ACCESS_CONTROL_ADMINISTRATOR,
                "Role Based Access Control Administrator",
                "Gives and takes away roles on resources.",
            )
            .permitting(&[
                "Microsoft.Authorization/roleAssignments/write",
                "Microsoft.Authorization/roleAssignments/delete",
                "*/read",
                "Microsoft.Support/*",
            ]),
            Self::new(
                roles::MANAGED_IDENTITY_CONTRIBUTOR,
                "Managed Identity Contributor",
                "Makes, changes and deletes user-assigned identities.",
            )
            .permitting(&[
                "Microsoft.ManagedIdentity/userAssignedIdentities/read",
                "Microsoft.ManagedIdentity/userAssignedIdentities/write",
                "Microsoft.ManagedIdentity/userAssignedIdentities/delete",
                "Microsoft.ManagedIdentity/userAssignedIdentities/*/read",
                "Microsoft.ManagedIdentity/userAssignedIdentities/*/write",
                "Microsoft.ManagedIdentity/userAssignedIdentities/*/delete",
                "Microsoft.Authorization/*/read",
                "Microsoft.Insights/alertRules/*",
                "Microsoft.Resources/subscriptions/resourceGroups/read",
                "Microsoft.Resources/deployments/*",
                "Microsoft.Support/*",
            ]),
            Self::new(
                roles::MANAGED_IDENTITY_OPERATOR,
                "Managed Identity Operator",
                "Reads user-assigned identities and assigns them to resources.",
            )
            .permitting(&[
                "Microsoft.ManagedIdentity/userAssignedIdentities/read",
                "Microsoft.ManagedIdentity/userAssignedIdentities/*/read",
                "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action",
                "Microsoft.Authorization/*/read",
                "Microsoft.Insights/alertRules/*",
                "Microsoft.Resources/subscriptions/resourceGroups/read",
                "Microsoft.Resources/deployments/*",
                "Microsoft.Support/*",
            ]),
        ]
    }
}

const CONTRIBUTOR_EXCEPTIONS: &[&str] = &[
    "Microsoft.Authorization/*/Delete",
    "Microsoft.Authorization/*/Write",
    "Microsoft.Authorization/elevateAccess/Action",
    "Microsoft.Blueprint/blueprintAssignments/write",
    "Microsoft.Blueprint/blueprintAssignments/delete",
    "Microsoft.Compute/galleries/share/action",
    "Microsoft.Purview/consents/write",
    "Microsoft.Purview/consents/delete",
    "Microsoft.Resources/deploymentStacks/manageDenySetting/action",
];

const MONITORING_CONTRIBUTOR_ACTIONS: &[&str] = &[
    "*/read",
    "Microsoft.AlertsManagement/alerts/*",
    "Microsoft.AlertsManagement/alertsSummary/*",
    "Microsoft.AlertsManagement/issues/*",
    "Microsoft.Insights/actiongroups/*",
    "Microsoft.Insights/activityLogAlerts/*",
    "Microsoft.Insights/AlertRules/*",
    "Microsoft.Insights/components/*",
    "Microsoft.Insights/createNotifications/*",
    "Microsoft.Insights/dataCollectionEndpoints/*",
    "Microsoft.Insights/dataCollectionRules/*",
    "Microsoft.Insights/dataCollectionRuleAssociations/*",
    "Microsoft.Insights/DiagnosticSettings/*",
    "Microsoft.Insights/eventtypes/*",
    "Microsoft.Insights/LogDefinitions/*",
    "Microsoft.Insights/metricalerts/*",
    "Microsoft.Insights/MetricDefinitions/*",
    "Microsoft.Insights/Metrics/*",
    "Microsoft.Insights/notificationStatus/*",
    "Microsoft.Insights/Register/Action",
    "Microsoft.Insights/scheduledqueryrules/*",
    "Microsoft.Insights/webtests/*",
    "Microsoft.Insights/workbooks/*",
    "Microsoft.Insights/workbooktemplates/*",
    "Microsoft.Insights/privateLinkScopes/*",
    "Microsoft.Insights/privateLinkScopeOperationStatuses/*",
    "Microsoft.Monitor/accounts/*",
    "Microsoft.Monitor/settings/*",
    "Microsoft.OperationalInsights/workspaces/write",
    "Microsoft.OperationalInsights/workspaces/intelligencepacks/*",
    "Microsoft.OperationalInsights/workspaces/savedSearches/*",
    "Microsoft.OperationalInsights/workspaces/search/action",
    "Microsoft.OperationalInsights/workspaces/sharedKeys/action",
    "Microsoft.OperationalInsights/workspaces/sharedKeys/read",
    "Microsoft.OperationalInsights/workspaces/storageinsightconfigs/*",
    "Microsoft.OperationalInsights/locations/workspaces/failover/action",
    "Microsoft.OperationalInsights/workspaces/failback/action",
    "Microsoft.Support/*",
    "Microsoft.AlertsManagement/smartDetectorAlertRules/*",
    "Microsoft.AlertsManagement/actionRules/*",
    "Microsoft.AlertsManagement/smartGroups/*",
    "Microsoft.AlertsManagement/migrateFromSmartDetection/*",
    "Microsoft.AlertsManagement/investigations/*",
    "Microsoft.AlertsManagement/prometheusRuleGroups/*",
    "Microsoft.Monitor/investigations/*",
    "Microsoft.Resources/deployments/*",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_roles_are_distinct() {
        let built_in = RoleDefinition::built_in();
        for (at, role) in built_in.iter().enumerate() {
            assert_eq!(role.id, role.id.to_ascii_lowercase());
            let distinct = |other: &RoleDefinition| other.id != role.id && !other.name.eq_ignore_ascii_case(&role.name);
            assert!(built_in[..at].iter().all(distinct), "{}", role.name);
        }
    }

    #[test]
    fn data_rights_are_those_of_two_roles_only() {
        for role in RoleDefinition::built_in() {
            let (writes, reads) = (
                role.permits_data("Microsoft.Insights/Metrics/Write"),
                role.permits_data("Microsoft.Monitor/accounts/data/metrics/read"),
            );
            assert_eq!(writes, role.id == roles::MONITORING_METRICS_PUBLISHER, "{}", role.name);
            assert_eq!(reads, role.id == roles::MONITORING_DATA_READER, "{}", role.name);
        }
    }

    #[test]
    fn rights_of_management() {
        use roles::*;
        let all = RoleDefinition::built_in();
        for (action, may) in [
            ("Microsoft.Monitor/accounts/write", &[OWNER, CONTRIBUTOR, MONITORING_CONTRIBUTOR][..]),
            ("microsoft.insights/datacollectionrules/write", &[OWNER, CONTRIBUTOR, MONITORING_CONTRIBUTOR]),
            ("Microsoft.Resources/subscriptions/resourceGroups/write", &[OWNER, CONTRIBUTOR]),
            (
                "Microsoft.Authorization/roleAssignments/write",
                &[OWNER, USER_ACCESS_ADMINISTRATOR, ROLE_BASED_ACCESS_CONTROL_ADMINISTRATOR],
            ),
            ("Microsoft.Authorization/locks/write", &[OWNER, USER_ACCESS_ADMINISTRATOR]),
            (
                "Microsoft.ManagedIdentity/userAssignedIdentities/write",
                &[OWNER, CONTRIBUTOR, MANAGED_IDENTITY_CONTRIBUTOR],
            ),
            (
                "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write",
                &[OWNER, CONTRIBUTOR, MANAGED_IDENTITY_CONTRIBUTOR],
            ),
            (
                "Microsoft.ManagedIdentity/userAssignedIdentities/read",
                &[
                    OWNER,
                    CONTRIBUTOR,
                    READER,
                    MONITORING_READER,
                    MONITORING_CONTRIBUTOR,
                    USER_ACCESS_ADMINISTRATOR,
                    ROLE_BASED_ACCESS_CONTROL_ADMINISTRATOR,
                    MANAGED_IDENTITY_CONTRIBUTOR,
                    MANAGED_IDENTITY_OPERATOR,
                ],
            ),
        ] {
            for role in &all {
                assert_eq!(role.permits(action), may.contains(&role.id.as_str()), "{} and {action}", role.name);
            }
        }
    }
}
