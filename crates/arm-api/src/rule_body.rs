//! Fields of a data collection rule's `properties`, as api-version 2024-03-11 has them; older ones have fewer.
//!
//! Sources and destinations of other services than this one's are kept as they were written: they tell agents what to do.

use crate::schema::{Field, Kind, answered, optional, required};

pub(crate) const PROPERTIES: &[Field] = &[
    optional("description", Kind::Text),
    optional("dataCollectionEndpointId", Kind::Text),
    optional("references", Kind::AnyObject),
    optional("agentSettings", Kind::Object(AGENT_SETTINGS)),
    optional("streamDeclarations", Kind::MapOf(&Kind::Object(STREAM))),
    optional("dataSources", Kind::Object(SOURCES)),
    optional("directDataSources", Kind::Object(DIRECT_SOURCES)),
    optional("destinations", Kind::Object(DESTINATIONS)),
    optional("dataFlows", Kind::ListOf(&Kind::Object(FLOW))),
    answered("immutableId"),
    answered("metadata"),
    answered("endpoints"),
    answered("ingestionQuotas"),
    answered("provisioningState"),
    answered("remora"),
];

const TEXTS: Kind = Kind::ListOf(&Kind::Text);

const FLOW: &[Field] = &[
    required("streams", TEXTS),
    required("destinations", TEXTS),
    optional("transformKql", Kind::Text),
    optional("outputStream", Kind::Text),
    optional("builtInTransform", Kind::Text),
    optional("captureOverflow", Kind::Flag),
];

const DESTINATIONS: &[Field] = &[
    optional("monitoringAccounts", Kind::ListOf(&Kind::Object(WORKSPACE))),
    optional("logAnalytics", Kind::ListOf(&Kind::Object(LOG_ANALYTICS))),
    optional("azureMonitorMetrics", Kind::Object(NAMED)),
    optional("eventHubs", Kind::ListOf(&Kind::Object(EVENT_HUB))),
    optional("eventHubsDirect", Kind::ListOf(&Kind::Object(EVENT_HUB))),
    optional("storageBlobsDirect", Kind::ListOf(&Kind::Object(BLOBS))),
    optional("storageTablesDirect", Kind::ListOf(&Kind::Object(TABLE))),
    optional("storageAccounts", Kind::ListOf(&Kind::Object(BLOBS))),
    optional("microsoftFabric", Kind::ListOf(&Kind::AnyObject)),
    optional("azureDataExplorer", Kind::ListOf(&Kind::AnyObject)),
];

const WORKSPACE: &[Field] = &[
    optional("name", Kind::Text),
    required("accountResourceId", Kind::Text),
    // Only ever answered in Azure's published shape, and yet sent by its templates: it must then be the right one.
    optional("accountId", Kind::Text),
];

const NAMED: &[Field] = &[optional("name", Kind::Text)];

const LOG_ANALYTICS: &[Field] =
    &[optional("name", Kind::Text), optional("workspaceResourceId", Kind::Text), answered("workspaceId")];

const EVENT_HUB: &[Field] = &[optional("name", Kind::Text), optional("eventHubResourceId", Kind::Text)];

const BLOBS: &[Field] = &[
    optional("name", Kind::Text),
    optional("containerName", Kind::Text),
    optional("storageAccountResourceId", Kind::Text),
];

const TABLE: &[Field] = &[
    optional("name", Kind::Text),
    optional("tableName", Kind::Text),
    optional("storageAccountResourceId", Kind::Text),
];

const SOURCES: &[Field] = &[
    optional("prometheusForwarder", Kind::ListOf(&Kind::Object(PROMETHEUS))),
    optional("performanceCounters", Kind::ListOf(&Kind::Object(COUNTERS))),
    optional("performanceCountersOTel", Kind::ListOf(&Kind::Object(COUNTERS))),
    optional("windowsEventLogs", Kind::ListOf(&Kind::AnyObject)),
    optional("syslog", Kind::ListOf(&Kind::AnyObject)),
    optional("extensions", Kind::ListOf(&Kind::AnyObject)),
    optional("logFiles", Kind::ListOf(&Kind::AnyObject)),
    optional("iisLogs", Kind::ListOf(&Kind::AnyObject)),
    optional("windowsFirewallLogs", Kind::ListOf(&Kind::AnyObject)),
    optional("platformTelemetry", Kind::ListOf(&Kind::AnyObject)),
    optional("dataImports", Kind::AnyObject),
    optional("otelLogs", Kind::ListOf(&Kind::AnyObject)),
    optional("otelTraces", Kind::ListOf(&Kind::AnyObject)),
    optional("otelMetrics", Kind::ListOf(&Kind::AnyObject)),
    optional("etwProviders", Kind::ListOf(&Kind::AnyObject)),
];

const DIRECT_SOURCES: &[Field] = &[
    optional("otelLogs", Kind::ListOf(&Kind::AnyObject)),
    optional("otelTraces", Kind::ListOf(&Kind::AnyObject)),
    optional("otelMetrics", Kind::ListOf(&Kind::AnyObject)),
];

const PROMETHEUS: &[Field] = &[
    optional("name", Kind::Text),
    optional("streams", TEXTS),
    optional("labelIncludeFilter", Kind::Texts),
    optional("customVMScrapeConfig", Kind::ListOf(&Kind::AnyObject)),
];

const COUNTERS: &[Field] = &[
    optional("name", Kind::Text),
    optional("streams", TEXTS),
    optional("samplingFrequencyInSeconds", Kind::Whole),
    optional("counterSpecifiers", TEXTS),
    optional("transformKql", Kind::Text),
];

const STREAM: &[Field] = &[optional("columns", Kind::ListOf(&Kind::Object(COLUMN)))];

const COLUMN: &[Field] = &[optional("name", Kind::Text), optional("type", Kind::Text)];

const AGENT_SETTINGS: &[Field] = &[optional("logs", Kind::ListOf(&Kind::Object(AGENT_SETTING)))];

const AGENT_SETTING: &[Field] = &[optional("name", Kind::Text), optional("value", Kind::Text)];
