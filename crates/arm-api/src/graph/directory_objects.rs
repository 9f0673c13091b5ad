//! What ids stand for.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{bad_request, objects, reads, service_principals};
use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;
use crate::route::{Route, Verb, handler};
use crate::schema::{Field, Kind, check, optional, required};

pub(crate) const ROUTES: &[Route] = &[
    reads(Verb::Post, "/v1.0/directoryObjects/getByIds", handler!(get_by_ids)),
    reads(Verb::Post, "/v1.0/directoryObjects/{object}/checkMemberGroups", handler!(no_groups)),
    reads(Verb::Post, "/v1.0/directoryObjects/{object}/getMemberGroups", handler!(no_groups)),
];

const GET_BY_IDS: &[Field] =
    &[required("ids", Kind::ListOf(&Kind::Text)), optional("types", Kind::ListOf(&Kind::Text))];

/// Those of the ids that are known here, of the kinds that are asked for; others are left out.
async fn get_by_ids(call: Call) -> Result<Answer, ArmError> {
    let body = check(call.json().await?, GET_BY_IDS).map_err(|problems| ArmError::invalid(&problems))?;
    let texts = |field: &str| body.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let takes = |kind: &str| {
        let mut types = texts("types").peekable();
        types.peek().is_none()
            || types.any(|one| one.eq_ignore_ascii_case(kind) || one.eq_ignore_ascii_case("directoryObject"))
    };
    let (principals, applications) = (takes("servicePrincipal"), takes("application"));
    let (snapshot, tenant_id) = (call.snapshot(), &call.settings.tenant_id);
    let mut value = Vec::new();
    for text in texts("ids") {
        let Ok(id) = text.parse::<Uuid>() else {
            let shown: String = text.chars().take(ID_SHOWN_CHARS).collect();
            return Err(bad_request(format!("Invalid GUID: {shown}.")));
        };
        let principal = || service_principals::by_object_id(&snapshot, id, tenant_id).filter(|_| principals);
        let application = || snapshot.applications().values().find(|one| one.application_object_id == id);
        let of_kind = |kind: &str, mut object: Value| {
            object["@odata.type"] = Value::from(format!("#microsoft.graph.{kind}"));
            object
        };
        let found = principal().map(|principal| of_kind("servicePrincipal", principal)).or_else(|| {
            application().filter(|_| applications).map(|one| of_kind("application", objects::application(one)))
        });
        value.extend(found);
    }
    Ok(Answer::ok(json!({ "value": value })))
}

/// There are no groups.
async fn no_groups(_call: Call) -> Result<Answer, ArmError> {
    Ok(Answer::ok(json!({ "value": [] })))
}

const ID_SHOWN_CHARS: usize = 100;
