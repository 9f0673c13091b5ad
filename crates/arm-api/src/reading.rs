//! How paths, bodies, filters and timespans are read, without an API that answers them: for fuzzing.

use environment::UnixTime;
use http::Method;
use model::ResourceId;
use serde_json::{Value, json};

use crate::filter::Filter;
use crate::metrics::Timespan;
use crate::path::Path;
use crate::route::{self, Found, Verb};
use crate::{bodies, body, schema};

/// What a path means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathRead {
    /// The pattern of its row.
    pub pattern: &'static str,
    /// The path as rights are asked for it and things are looked up by it.
    pub id: ResourceId,
    /// The scope in front of it, for rows that have one.
    pub scope: Option<ResourceId>,
}

/// The row that a method and a path lead to; `None` when there is none, or the path is refused.
pub fn path(method: &str, raw: &str) -> Option<PathRead> {
    let verb = Method::from_bytes(method.as_bytes()).ok().and_then(|method| Verb::of(&method));
    match route::find(verb, &Path::parse(raw).ok()?) {
        Found::Route(route, params) => Some(PathRead { pattern: route.pattern, id: params.path?, scope: params.scope }),
        Found::OtherMethods(_) | Found::Nothing => None,
    }
}

/// Kinds of bodies that [`fn@body`] knows.
pub fn body_kinds() -> impl Iterator<Item = &'static str> {
    bodies::KINDS.iter().map(|(kind, _)| *kind)
}

/// A body of a kind: what of it is kept, or everything that is wrong with it as path and message.
///
/// # Errors
/// What is wrong; for a text that is no JSON, one problem without a path.
pub fn body(kind: &str, bytes: &[u8]) -> Result<Value, Vec<(String, String)>> {
    let known = bodies::KINDS.iter().find(|(known, _)| *known == kind);
    let Some((_, fields)) = known else { return Err(vec![(String::new(), format!("{kind:?} is no kind of body"))]) };
    let value = body::parse_json(bytes).map_err(|error| vec![(String::new(), error.message)])?;
    let checked = schema::check(value, fields);
    let told = |problems: Vec<catalog::Problem>| problems.into_iter().map(|problem| (problem.target, problem.message));
    checked.map(Value::Object).map_err(|problems| told(problems).collect())
}

/// Whether a `$filter` holds for a resource made up here; `None` when it asks for what is not understood of JSON.
///
/// # Errors
/// Why the text is no filter.
pub fn filter(text: &str) -> Result<Option<bool>, String> {
    let filter = Filter::parse(text).map_err(|error| error.to_string())?;
    let resource = json!({ "displayName": "a", "names": ["a", "b"], "on": true, "web": { "url": null }, "count": 1 });
    Ok(filter.holds_for(&resource).ok())
}

/// The timespan that a text means when it is read at `now`, in seconds since 1970: its start, its end, and itself written out.
pub fn timespan(text: &str, now: UnixTime) -> Option<(i64, i64, String)> {
    let timespan = Timespan::parse(text, now).ok()?;
    Some((timespan.start.as_secs(), timespan.end.as_secs(), timespan.to_string()))
}
