//! What has metrics.

use catalog::{PROMETHEUS_STREAM, Rule, Workspace};
use model::{Labels, LabelsBuilder, METRIC_NAME, Matcher};

use crate::definitions::{Definition, STAMP_COLOR};

/// A kind of resource that has metrics.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ResourceType {
    /// `Microsoft.Monitor/accounts`.
    Workspace,
    /// `Microsoft.Insights/dataCollectionRules`.
    Rule,
}

/// A resource that has metrics.
#[derive(Clone, Copy, Debug)]
pub enum Resource<'a> {
    /// A workspace.
    Workspace(&'a Workspace),
    /// A rule.
    Rule(&'a Rule),
}

impl ResourceType {
    /// The namespace of its metrics, as Azure writes it.
    pub const fn namespace(self) -> &'static str {
        match self {
            Self::Workspace => "microsoft.monitor/accounts",
            Self::Rule => "microsoft.insights/datacollectionrules",
        }
    }
}

impl Resource<'_> {
    /// Its kind.
    pub const fn resource_type(&self) -> ResourceType {
        match self {
            Self::Workspace(_) => ResourceType::Workspace,
            Self::Rule(_) => ResourceType::Rule,
        }
    }

    /// The labels of one of its series; `extra` are its dimensions.
    pub(crate) fn labels(&self, series: &str, extra: &[(&str, &str)]) -> Labels {
        let mut labels = LabelsBuilder::default();
        labels.push(METRIC_NAME, series);
        match self {
            Self::Workspace(workspace) => {
                labels.push("resource_id", &workspace.envelope.id.as_str().to_ascii_lowercase());
                labels.push("account_id", &workspace.account_id.to_string());
                labels.push("workspace", &workspace.handle);
                labels.push("stamp_color", STAMP_COLOR);
            }
            Self::Rule(rule) => {
                labels.push("resource_id", &rule.envelope.id.as_str().to_ascii_lowercase());
                labels.push("immutable_id", &rule.immutable_id);
                labels.push("rule", rule.envelope.id.name());
                labels.push("input_stream_id", PROMETHEUS_STREAM);
            }
        }
        for (name, value) in extra {
            labels.push(name, value);
        }
        labels.build().expect("the names above differ and are not empty")
    }

    /// Finds its series of a metric: by identity, as names are given again.
    pub(crate) fn matchers(&self, definition: &Definition) -> [Matcher; 2] {
        let identity = match self {
            Self::Workspace(workspace) => Matcher::equal("account_id", &workspace.account_id.to_string()),
            Self::Rule(rule) => Matcher::equal("immutable_id", &rule.immutable_id),
        };
        [Matcher::equal(METRIC_NAME, definition.series), identity]
    }
}
