//! Resource providers, as clients ask for them: which types there are, with which api-versions, and that they are registered.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;
use crate::route::{At, Right, Route, Verb, handler};
use crate::{accounts, endpoints, rules};

pub(crate) const ROUTES: &[Route] = &[
    Route::new(
        Verb::Get,
        "/subscriptions/{subscription}/providers",
        Right::List("Microsoft.Resources/subscriptions/providers/read", At::Subscription),
        VERSIONS,
        handler!(list),
    ),
    Route::new(
        Verb::Get,
        "/subscriptions/{subscription}/providers/{namespace}",
        Right::List("Microsoft.Resources/subscriptions/providers/read", At::Subscription),
        VERSIONS,
        handler!(show),
    ),
    Route::new(
        Verb::Post,
        "/subscriptions/{subscription}/providers/{namespace}/register",
        Right::Action("{namespace}/register/action", At::Subscription),
        VERSIONS,
        handler!(show),
    ),
    Route::new(
        Verb::Post,
        "/subscriptions/{subscription}/providers/{namespace}/unregister",
        Right::Action("{namespace}/unregister/action", At::Subscription),
        VERSIONS,
        handler!(unregister),
    ),
    Route::new(Verb::Get, "/providers", Right::Token, VERSIONS, handler!(list)),
    Route::new(Verb::Get, "/providers/{namespace}", Right::Token, VERSIONS, handler!(show)),
];

const VERSIONS: &[&str] = &["2020-10-01", "2021-04-01", "2022-09-01", "2024-11-01"];

struct Provider {
    namespace: &'static str,
    types: &'static [Type],
}

struct Type {
    name: &'static str,
    versions: &'static [&'static str],
    /// Whether it lives in a region and has tags.
    tracked: bool,
}

const PROVIDERS: &[Provider] = &[
    Provider {
        namespace: "Microsoft.Authorization",
        types: &[
            listed("permissions", &["2022-04-01"]),
            listed("roleAssignments", &["2018-09-01-preview", "2020-04-01-preview", "2022-04-01"]),
            listed("roleDefinitions", &["2018-01-01-preview", "2022-04-01", "2022-05-01-preview"]),
        ],
    },
    Provider {
        namespace: "Microsoft.Insights",
        types: &[
            tracked("dataCollectionEndpoints", endpoints::VERSIONS),
            tracked("dataCollectionRules", rules::VERSIONS),
            listed("eventtypes", &["2015-04-01"]),
            listed("metricDefinitions", &["2018-01-01", "2023-10-01", "2024-02-01"]),
            listed("metrics", &["2018-01-01", "2023-10-01", "2024-02-01"]),
        ],
    },
    Provider {
        namespace: "Microsoft.ManagedIdentity",
        types: &[
            tracked("userAssignedIdentities", IDENTITY_VERSIONS),
            listed("userAssignedIdentities/federatedIdentityCredentials", IDENTITY_VERSIONS),
        ],
    },
    Provider {
        namespace: "Microsoft.Monitor",
        types: &[
            tracked("accounts", accounts::VERSIONS),
            listed("accounts/metricsContainers", accounts::VERSIONS),
            listed("deletedAccounts", accounts::VERSIONS),
            listed("locations", accounts::VERSIONS),
            listed("locations/operationResults", accounts::VERSIONS),
            listed("locations/operationStatuses", accounts::VERSIONS),
        ],
    },
    Provider {
        namespace: "Microsoft.Resources",
        types: &[
            listed("providers", VERSIONS),
            listed("resourceGroups", VERSIONS),
            listed("resources", VERSIONS),
            listed("subscriptions", &["2016-06-01", "2019-06-01", "2020-01-01", "2022-12-01"]),
            listed("tenants", &["2020-01-01", "2022-12-01"]),
        ],
    },
    Provider { namespace: "Remora.Service", types: &[listed("backups", &["2026-11-01"])] },
];

const IDENTITY_VERSIONS: &[&str] = &["2018-11-30", "2022-01-31-preview", "2023-01-31", "2024-11-30"];

const fn tracked(name: &'static str, versions: &'static [&'static str]) -> Type {
    Type { name, versions, tracked: true }
}

const fn listed(name: &'static str, versions: &'static [&'static str]) -> Type {
    Type { name, versions, tracked: false }
}

async fn list(call: Call) -> Result<Answer, ArmError> {
    let prefix = prefix(&call)?;
    let value: Vec<Value> = PROVIDERS.iter().map(|provider| shape(&call, &prefix, provider)).collect();
    Ok(Answer::ok(json!({ "value": value, "nextLink": null })))
}

async fn show(call: Call) -> Result<Answer, ArmError> {
    let prefix = prefix(&call)?;
    Ok(Answer::ok(shape(&call, &prefix, found(&call)?)))
}

async fn unregister(call: Call) -> Result<Answer, ArmError> {
    prefix(&call)?;
    let namespace = found(&call)?.namespace;
    let message = format!("The resource provider '{namespace}' is part of this service and cannot be unregistered.");
    Err(ArmError::new(model::ErrorKind::Conflict, "CannotUnregister", message))
}

fn prefix(call: &Call) -> Result<String, ArmError> {
    match call.param("subscription") {
        "" => Ok(String::new()),
        _ => Ok(format!("/subscriptions/{}", call.subscription()?)),
    }
}

fn found(call: &Call) -> Result<&'static Provider, ArmError> {
    let namespace = call.param("namespace");
    PROVIDERS.iter().find(|provider| provider.namespace.eq_ignore_ascii_case(namespace)).ok_or_else(|| {
        let message = format!("The resource namespace '{namespace}' is invalid.");
        ArmError::not_found("InvalidResourceNamespace", message)
    })
}

fn shape(call: &Call, prefix: &str, provider: &Provider) -> Value {
    let shape_of = |one: &Type| {
        // The newest first, which is what clients take.
        let versions: Vec<&str> = one.versions.iter().rev().copied().collect();
        json!({
            "resourceType": one.name,
            "locations": if one.tracked { vec![call.settings.region.as_str()] } else { Vec::new() },
            "apiVersions": versions,
            "defaultApiVersion": one.versions.last(),
            "capabilities": if one.tracked { "SupportsTags, SupportsLocation" } else { "None" },
        })
    };
    let types: Vec<Value> = provider.types.iter().map(shape_of).collect();
    let mut shape = json!({ "namespace": provider.namespace, "resourceTypes": types });
    shape["id"] = Value::from(format!("{prefix}/providers/{}", provider.namespace));
    if !prefix.is_empty() {
        shape["registrationState"] = Value::from("Registered");
        shape["registrationPolicy"] = Value::from("RegistrationRequired");
    }
    shape
}
