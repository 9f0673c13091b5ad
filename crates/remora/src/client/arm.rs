//! Calls of Azure Resource Manager: read, list, make, change, delete.

use std::collections::HashSet;
use std::time::Duration;

use http::header::{ETAG, LOCATION};
use http::{Method, StatusCode};
use serde_json::Value;

use super::names::encode;
use super::{Answer, Api, Call, Client, ClientError, retry_after, text, text_or};

/// In what state a resource must be for a change to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Precondition {
    /// In any.
    None,
    /// As it was read: with this etag, quotes included.
    Match(String),
    /// There must be none.
    Absent,
}

/// A path with its api-version.
pub(crate) fn versioned(path: &str, version: &str) -> String {
    let separator = if path.contains('?') { '&' } else { '?' };
    format!("{path}{separator}api-version={version}")
}

/// A path with a `$filter`, if there is one.
pub(crate) fn filtered_path(path: &str, filter: &str) -> String {
    if filter.is_empty() { path.to_owned() } else { format!("{path}?$filter={}", encode(filter)) }
}

impl Client {
    /// What is at `path`.
    pub(crate) async fn get(&self, path: &str, version: &str) -> Result<Value, ClientError> {
        let target = versioned(path, version);
        Ok(self.call(Call::new(Api::Arm, Method::GET, &target)).await?.body)
    }

    /// What is at `path`; none when there is nothing.
    pub(crate) async fn find(&self, path: &str, version: &str) -> Result<Option<Value>, ClientError> {
        match self.get(path, version).await {
            Err(ClientError::Refused(refusal)) if refusal.status == StatusCode::NOT_FOUND => Ok(None),
            found => found.map(Some),
        }
    }

    /// All pages of a list.
    pub(crate) async fn list(&self, path: &str, version: &str) -> Result<Vec<Value>, ClientError> {
        self.pages(Api::Arm, versioned(path, version), usize::MAX).await
    }

    /// The first `count` items of a list.
    pub(crate) async fn list_first(&self, path: &str, version: &str, count: usize) -> Result<Vec<Value>, ClientError> {
        self.pages(Api::Arm, versioned(path, version), count).await
    }

    /// Pages of a list until there are `count` items or it ends. `target` is the first page's path and query.
    pub(crate) async fn pages(&self, api: Api, target: String, count: usize) -> Result<Vec<Value>, ClientError> {
        let mut items = Vec::new();
        let mut next = Some(target);
        let mut seen = HashSet::new();
        while let Some(target) = next.take() {
            let mut answer = self.call(Call::new(api, Method::GET, &target)).await?.body;
            let unintelligible = |reason: &str| ClientError::Unintelligible {
                what: format!("GET {}{}", self.base(), super::shorten(&target)),
                reason: reason.to_owned(),
            };
            let Some(Value::Array(page)) = answer.get_mut("value").map(Value::take) else {
                return Err(unintelligible("it is no list: there is no array `value`"));
            };
            items.extend(page);
            if items.len() >= count {
                items.truncate(count);
                break;
            }
            if items.len() > LIST_ITEMS_MAX {
                return Err(unintelligible("the list has no end"));
            }
            let link = ["/nextLink", "/@odata.nextLink"].map(|pointer| text(&answer, pointer));
            let link = link.into_iter().find(|link| !link.is_empty()).map(str::to_owned);
            if let Some(link) = link {
                let following = self.target_of_link(&link).ok_or_else(|| unintelligible("its nextLink is no URL"))?;
                if !seen.insert(following.clone()) || seen.len() > LIST_PAGES_MAX {
                    return Err(unintelligible("its pages go round in circles"));
                }
                next = Some(following);
            }
        }
        Ok(items)
    }

    /// Puts `body` at `path`.
    pub(crate) async fn put(
        &self,
        path: &str,
        version: &str,
        body: &Value,
        precondition: Precondition,
    ) -> Result<Value, ClientError> {
        let target = versioned(path, version);
        let answer = self.call(Call::new(Api::Arm, Method::PUT, &target).with_body(body).when(precondition)).await?;
        Ok(answer.body)
    }

    /// Makes a resource that must not exist yet.
    pub(crate) async fn create(&self, path: &str, version: &str, body: &Value) -> Result<Value, ClientError> {
        self.put(path, version, body, Precondition::Absent).await
    }

    /// The same for what takes its time, and is said by its name alone.
    pub(crate) async fn create_within(
        &self,
        path: &str,
        version: &str,
        timeout: Duration,
    ) -> Result<Value, ClientError> {
        let target = versioned(path, version);
        let answer = self.call(Call::new(Api::Arm, Method::PUT, &target).within(timeout)).await?;
        Ok(self.wait_for_end(answer).await?.body)
    }

    /// Reads what is at `path`, changes it, and puts it back if nobody else changed it meanwhile; else again, a few times.
    pub(crate) async fn update(
        &self,
        path: &str,
        version: &str,
        mut change: impl FnMut(&mut Value) -> Result<(), ClientError>,
    ) -> Result<Value, ClientError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let target = versioned(path, version);
            let Answer { headers, body: mut resource, .. } =
                self.call(Call::new(Api::Arm, Method::GET, &target)).await?;
            let precondition = as_read(&headers, &resource);
            change(&mut resource)?;
            match self.put(path, version, &resource, precondition).await {
                Err(ClientError::Refused(refusal))
                    if refusal.status == StatusCode::PRECONDITION_FAILED && tries < UPDATE_TRIES_MAX => {}
                outcome => return outcome,
            }
        }
    }

    /// Deletes what is at `path` and waits until that is done; `false` when there was nothing.
    pub(crate) async fn delete(&self, path: &str, version: &str) -> Result<bool, ClientError> {
        let target = versioned(path, version);
        match self.call(Call::new(Api::Arm, Method::DELETE, &target)).await {
            Ok(answer) if answer.status == StatusCode::NO_CONTENT => Ok(false),
            Ok(answer) => self.wait_for_end(answer).await.map(|_| true),
            Err(ClientError::Refused(refusal)) if refusal.status == StatusCode::NOT_FOUND && refusal.is_missing() => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Sends a POST.
    pub(crate) async fn post(&self, path: &str, version: &str, body: &Value) -> Result<Value, ClientError> {
        let target = versioned(path, version);
        let answer = self.call(Call::new(Api::Arm, Method::POST, &target).with_body(body)).await?;
        Ok(self.wait_for_end(answer).await?.body)
    }

    /// Follows what the service does in the background (202 with `Location`) to its end.
    async fn wait_for_end(&self, mut answer: Answer) -> Result<Answer, ClientError> {
        let mut waited = Duration::ZERO;
        while answer.status == StatusCode::ACCEPTED {
            let location = answer.headers.get(LOCATION).and_then(|location| location.to_str().ok());
            let Some(target) = location.and_then(|location| self.target_of_link(location)) else { return Ok(answer) };
            let pause =
                retry_after(&answer.headers).unwrap_or(POLL_INTERVAL).clamp(POLL_INTERVAL_MIN, POLL_INTERVAL_MAX);
            waited += pause;
            if waited > BACKGROUND_MAX {
                return Err(ClientError::Unintelligible {
                    what: format!("{}{}", self.base(), super::shorten(&target)),
                    reason: format!("it is not done after {} seconds", BACKGROUND_MAX.as_secs()),
                });
            }
            self.parts.clock.sleep(pause).await;
            answer = match self.call(Call::new(Api::Arm, Method::GET, &target)).await {
                // What was deleted is gone, and so may be what told of it.
                Err(ClientError::Refused(refusal)) if refusal.status == StatusCode::NOT_FOUND => {
                    Answer { status: StatusCode::NO_CONTENT, headers: http::HeaderMap::new(), body: Value::Null }
                }
                outcome => outcome?,
            };
        }
        Ok(answer)
    }
}

/// That nobody changed a resource since it was answered, by the etag of the answer's body or header.
fn as_read(headers: &http::HeaderMap, resource: &Value) -> Precondition {
    let header = || headers.get(ETAG).and_then(|etag| etag.to_str().ok()).unwrap_or_default();
    match text_or(resource, "/etag", header()) {
        "" => Precondition::None,
        // Bodies have it with quotes in Azure, and without in some interfaces.
        etag if etag.starts_with('"') || etag.starts_with("W/") => Precondition::Match(etag.to_owned()),
        etag => Precondition::Match(format!("\"{etag}\"")),
    }
}

/// How often a change is made anew because somebody else was faster.
pub(crate) const UPDATE_TRIES_MAX: u32 = 3;

/// Far more than a service is meant to hold.
const LIST_ITEMS_MAX: usize = 1_000_000;
const LIST_PAGES_MAX: usize = 100_000;

const POLL_INTERVAL: Duration = Duration::from_secs(1);
const POLL_INTERVAL_MIN: Duration = Duration::from_millis(100);
const POLL_INTERVAL_MAX: Duration = Duration::from_secs(15);
const BACKGROUND_MAX: Duration = Duration::from_secs(600);
