//! Subscriptions, their locations, and tenants.

use catalog::Subscription;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;
use crate::route::{At, Right, Route, Verb, handler};

pub(crate) const ROUTES: &[Route] = &[
    Route::new(Verb::Get, "/subscriptions", Right::Token, VERSIONS, handler!(list)),
    Route::new(
        Verb::Get,
        "/subscriptions/{subscription}",
        Right::List("Microsoft.Resources/subscriptions/read", At::Subscription),
        VERSIONS,
        handler!(show),
    ),
    Route::new(
        Verb::Get,
        "/subscriptions/{subscription}/locations",
        Right::List("Microsoft.Resources/subscriptions/locations/read", At::Subscription),
        VERSIONS,
        handler!(locations),
    ),
    Route::new(Verb::Get, "/tenants", Right::Token, VERSIONS, handler!(tenants)),
];

const VERSIONS: &[&str] = &["2016-06-01", "2019-06-01", "2020-01-01", "2022-12-01"];

/// Those in which the caller has a role: somewhere, be it on one resource only.
async fn list(call: Call) -> Result<Answer, ArmError> {
    let snapshot = call.snapshot();
    let Some(caller) = &call.caller else { return Ok(Answer::ok(json!({ "value": [] }))) };
    let scopes: Vec<&str> = call.policy.scopes(caller).collect();
    let seen = |subscription: &Subscription| {
        let own = format!("/subscriptions/{}", subscription.id);
        scopes.iter().any(|scope| {
            scope.is_empty()
                || scope.strip_prefix(own.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    let value: Vec<Value> =
        snapshot.subscriptions().values().filter(|one| seen(one)).map(|one| shape(&call, one)).collect();
    let count = json!({ "type": "Total", "value": value.len() });
    Ok(Answer::ok(json!({ "value": value, "count": count })))
}

async fn show(call: Call) -> Result<Answer, ArmError> {
    let id = call.subscription()?;
    let snapshot = call.snapshot();
    match snapshot.subscriptions().get(&id) {
        Some(subscription) => Ok(Answer::ok(shape(&call, subscription))),
        None => {
            Err(ArmError::not_found("SubscriptionNotFound", format!("The subscription '{id}' could not be found.")))
        }
    }
}

async fn locations(call: Call) -> Result<Answer, ArmError> {
    let id = call.subscription()?;
    let region = call.settings.region.as_str();
    let location = json!({
        "id": format!("/subscriptions/{id}/locations/{region}"),
        "name": region,
        "type": "Region",
        "displayName": region,
        "regionalDisplayName": region,
        "metadata": { "regionType": "Physical", "regionCategory": "Recommended" },
    });
    Ok(Answer::ok(json!({ "value": [location] })))
}

async fn tenants(call: Call) -> Result<Answer, ArmError> {
    let tenant = &call.settings.tenant_id;
    let value = json!({
        "id": format!("/tenants/{tenant}"),
        "tenantId": tenant,
        "displayName": "remora",
        "tenantCategory": "Home",
        "tenantType": "AAD",
        "domains": [],
    });
    Ok(Answer::ok(json!({ "value": [value] })))
}

fn shape(call: &Call, subscription: &Subscription) -> Value {
    json!({
        "id": format!("/subscriptions/{}", subscription.id),
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": subscription.id,
        "tenantId": call.settings.tenant_id,
        "displayName": subscription.name,
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    })
}
