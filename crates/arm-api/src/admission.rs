//! Who asks, and whether they may: decided from the route's row before anything is looked up and before a body is read.

use std::borrow::Cow;
use std::sync::Arc;

use access::{Action, Policy, Principal};
use http::HeaderMap;
use http_serving::authenticate;
use model::ResourceId;

use crate::call::Reach;
use crate::error::ArmError;
use crate::ids;
use crate::route::{At, Audience, Params, Right, Route};
use crate::{Parts, Settings};

/// Whom the request's token speaks for.
pub(crate) async fn caller(
    parts: &Parts,
    settings: &Settings,
    headers: &HeaderMap,
    audience: Audience,
) -> Result<Arc<Principal>, ArmError> {
    let audiences = match audience {
        Audience::Management => &settings.audiences,
        Audience::Graph => &settings.graph_audiences,
    };
    let verified = authenticate(headers, &parts.verifier, audiences).await;
    verified.map_err(|refused| ArmError::unauthenticated(&refused, &settings.authorization_uri))
}

/// Whether the route's right is given, and how far it reaches.
pub(crate) fn authorise(
    route: &Route,
    params: &Params,
    caller: &Principal,
    policy: &Policy,
) -> Result<Reach, ArmError> {
    let (action, at, is_list) = match route.right {
        Right::Public | Right::Token => return Ok(Reach::Everything),
        Right::AnyRole if policy.scopes(caller).next().is_some() => return Ok(Reach::Everything),
        Right::AnyRole => {
            let action = "Microsoft.Directory/directoryObjects/read";
            return Err(denied(caller, action, &ids::root()));
        }
        Right::Action(action, at) => (action, at, false),
        Right::List(action, at) => (action, at, true),
    };
    let scope = scope_of(at, params);
    let named = name_of(action, params);
    if policy.allows(caller, Action::Management(&named), &scope).is_allowed() {
        return Ok(Reach::Everything);
    }
    if is_list && holds_below(policy, caller, &named, &scope) {
        Ok(Reach::Parts(action))
    } else {
        Err(denied(caller, &named, &scope))
    }
}

fn denied(caller: &Principal, action: &str, scope: &ResourceId) -> ArmError {
    ArmError::authorization_failed(&caller.name, &caller.object_id, action, scope)
}

fn scope_of(at: At, params: &Params) -> ResourceId {
    let subscription = || format!("/subscriptions/{}", params.get("subscription"));
    match at {
        At::Root => ids::root(),
        At::Subscription => ids::parse(&subscription()),
        At::Group => ids::parse(&format!("{}/resourceGroups/{}", subscription(), params.get("group"))),
        At::Path => params.path.clone().unwrap_or_else(ids::root),
        At::Scope => params.scope.clone().unwrap_or_else(ids::root),
    }
}

fn name_of<'a>(action: &'a str, params: &Params) -> Cow<'a, str> {
    match action.contains("{namespace}") {
        true => Cow::Owned(action.replace("{namespace}", params.get("namespace"))),
        false => Cow::Borrowed(action),
    }
}

/// Whether the principal holds a role that permits the action somewhere below `scope`.
fn holds_below(policy: &Policy, caller: &Principal, action: &str, scope: &ResourceId) -> bool {
    let below = policy.scopes(caller).filter_map(|held| held.parse::<ResourceId>().ok());
    below
        .filter(|held| scope.covers(held))
        .any(|held| policy.allows(caller, Action::Management(action), &held).is_allowed())
}
