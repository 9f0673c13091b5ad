//! Workspaces that were deleted and can still be restored. Azure has nothing of the kind.

use std::sync::Arc;

use catalog::{DeletedWorkspace, StoreError};
use model::AccountId;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;
use crate::paging::Page;
use crate::route::{At, Right, Route, Verb, handler};
use crate::{accounts, shape};

pub(crate) const ROUTES: &[Route] = &[
    Route::new(Verb::Get, LIST, Right::List(accounts::READ, At::Subscription), accounts::VERSIONS, handler!(list)),
    Route::new(Verb::Get, ONE, Right::List(accounts::READ, At::Subscription), accounts::VERSIONS, handler!(show)),
    Route::new(Verb::Delete, ONE, Right::List(accounts::DELETE, At::Subscription), accounts::VERSIONS, handler!(purge)),
    Route::new(
        Verb::Post,
        RESTORE,
        Right::List(accounts::WRITE, At::Subscription),
        accounts::VERSIONS,
        handler!(restore),
    ),
];

const LIST: &str = "/subscriptions/{subscription}/providers/Microsoft.Monitor/deletedAccounts";
const ONE: &str = "/subscriptions/{subscription}/providers/Microsoft.Monitor/deletedAccounts/{account}";
const RESTORE: &str = "/subscriptions/{subscription}/providers/Microsoft.Monitor/deletedAccounts/{account}/restore";

async fn list(call: Call) -> Result<Answer, ArmError> {
    let (subscription, page) = (call.subscription()?, Page::of(&call)?);
    let snapshot = call.snapshot();
    let deleted = snapshot.deleted_workspaces().values();
    let seen = deleted.filter(|one| is_in(one, subscription) && call.may_see(&one.workspace.envelope.id));
    Ok(page.answer(&call, seen.map(|one| (one.workspace.account_id.to_string(), shape(one, subscription)))))
}

async fn show(call: Call) -> Result<Answer, ArmError> {
    let deleted = found(&call)?;
    Ok(Answer::ok(shape(&deleted, call.subscription()?)))
}

async fn purge(call: Call) -> Result<Answer, ArmError> {
    let account = found(&call)?.workspace.account_id;
    match call.store().purge_workspace(&call.actor(), account).await {
        // Somebody was faster.
        Err(StoreError::Unknown { .. }) => Ok(Answer::no_content()),
        outcome => outcome.map(|_| Answer::done()).map_err(ArmError::from),
    }
}

async fn restore(call: Call) -> Result<Answer, ArmError> {
    let account = found(&call)?.workspace.account_id;
    let put = call.store().restore_workspace(&call.actor(), account).await?;
    let shape = accounts::shape(&put.resource, &call.snapshot(), &call.settings);
    Ok(Answer::ok(shape).with_etag(&put.resource.envelope.etag))
}

/// The path's workspace, if the caller has the row's right on it; otherwise it is not there for him.
fn found(call: &Call) -> Result<Arc<DeletedWorkspace>, ArmError> {
    let subscription = call.subscription()?;
    let account = call.param("account");
    let snapshot = call.snapshot();
    let found = account.parse::<Uuid>().ok().and_then(|id| snapshot.deleted_workspaces().get(&AccountId(id)));
    let found = found.filter(|one| is_in(one, subscription) && call.may_see(&one.workspace.envelope.id));
    found.cloned().ok_or_else(|| {
        let message = format!("There is no deleted workspace with the accountId '{account}' in this subscription.");
        ArmError::not_found("DeletedAccountNotFound", message)
    })
}

fn is_in(deleted: &DeletedWorkspace, subscription: Uuid) -> bool {
    let own = deleted.workspace.envelope.id.segment_after("subscriptions");
    own.and_then(|own| own.parse::<Uuid>().ok()) == Some(subscription)
}

fn shape(deleted: &DeletedWorkspace, subscription: Uuid) -> Value {
    let workspace = &deleted.workspace;
    let account = workspace.account_id.to_string();
    json!({
        "id": format!("/subscriptions/{subscription}/providers/Microsoft.Monitor/deletedAccounts/{account}"),
        "name": account,
        "type": "Microsoft.Monitor/deletedAccounts",
        "location": workspace.envelope.location,
        "tags": shape::tags(&workspace.envelope.tags),
        "properties": {
            "accountId": account,
            "accountResourceId": accounts::shown_id(workspace),
            "handle": workspace.handle,
            "deletedBy": deleted.deleted.by,
            "deletionDate": shape::time(deleted.deleted.at_ms),
            "scheduledPurgeDate": shape::time(deleted.purge_at.as_millis()),
        },
        "systemData": shape::system_data(&workspace.envelope.created, &deleted.deleted),
    })
}
