//! Pages of lists.
//!
//! A page ends with the key of its last item, and the next one begins behind that key, so that what is made and deleted
//! meanwhile shifts nothing: an item that is there the whole time is on exactly one page.

use std::ops::Bound;
use std::sync::Arc;

use catalog::Table;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;

/// Which page of a list is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Page {
    /// The last key of the page before.
    after: Option<String>,
    /// How many items.
    size: usize,
}

impl Page {
    /// Of `$top` and `$skipToken`.
    pub(crate) fn of(call: &Call) -> Result<Self, ArmError> {
        let size = match call.query.filled("$top") {
            None => PAGE_ITEMS,
            Some(text) => match text.parse::<usize>() {
                Ok(top) if top > 0 => top.min(PAGE_ITEMS),
                _ => return Err(invalid("$top", "a whole number above zero is expected")),
            },
        };
        let after = call.query.filled("$skipToken").map(decode).transpose()?;
        Ok(Self { after, size })
    }

    /// The key behind which the page begins.
    pub(crate) fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// Answers with the page's items: those of `table` whose keys begin with `prefix` and that `shape` does not refuse.
    pub(crate) fn of_table<T>(
        &self,
        call: &Call,
        table: &Table<T>,
        prefix: &str,
        mut shape: impl FnMut(&Arc<T>) -> Option<Value>,
    ) -> Answer {
        let start: Bound<&str> = match &self.after {
            Some(after) if after.as_str() >= prefix => Bound::Excluded(after.as_str()),
            _ => Bound::Included(prefix),
        };
        let within = table.range::<(Bound<&str>, Bound<&str>), str>((start, Bound::Unbounded));
        let within = within.take_while(|(key, _)| key.starts_with(prefix));
        self.answer(call, within.filter_map(|(key, item)| Some((key.to_string(), shape(item)?))))
    }

    /// Answers with the page's items, which come in the order of their keys; those up to the last page's end are left out.
    pub(crate) fn answer(&self, call: &Call, items: impl Iterator<Item = (String, Value)>) -> Answer {
        let mut items = items.filter(|(key, _)| self.after.as_ref().is_none_or(|after| key > after));
        let mut value = Vec::new();
        let mut last = None;
        for (key, item) in items.by_ref().take(self.size) {
            value.push(item);
            last = Some(key);
        }
        // The link stands there only when something follows; clients that see one ask again.
        let next = items.next().and(last).map(|key| call.link_with("$skipToken", &encode(&key)));
        Answer::ok(json!({ "value": value, "nextLink": next }))
    }
}

/// Keys as letters and digits, so that no client escapes a link's parameter twice.
fn encode(key: &str) -> String {
    key.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn decode(token: &str) -> Result<String, ArmError> {
    let wrong = || invalid("$skipToken", "it is not one that an answer's nextLink has");
    if token.len() > TOKEN_BYTES_MAX
        || !token.len().is_multiple_of(2)
        || !token.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return Err(wrong());
    }
    let byte = |at: usize| u8::from_str_radix(&token[at..at + 2], 16).ok();
    let bytes: Option<Vec<u8>> = (0..token.len()).step_by(2).map(byte).collect();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(wrong)
}

fn invalid(name: &str, why: &str) -> ArmError {
    ArmError::bad_request("InvalidQueryParameter", format!("The query parameter '{name}' is invalid: {why}."))
        .with_target(name)
}

/// Items of a page.
pub(crate) const PAGE_ITEMS: usize = 500;
const TOKEN_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        for key in ["", "/subscriptions/s/resourcegroups/ä", "\0\u{10ffff}"] {
            assert_eq!(decode(&encode(key)).unwrap(), key);
        }
        for token in ["a", "zz", "+1+1", "ff", "ää"] {
            assert!(decode(token).is_err(), "{token}");
        }
    }
}
