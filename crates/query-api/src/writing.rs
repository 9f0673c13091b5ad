//! The writer of answers, for benchmarks.

use promql::Value;

use crate::answer::{self, Remarks};

/// The body that answers a query with this value and nothing beside it.
pub fn query_result(value: &Value) -> Vec<u8> {
    answer::query_result(value, &Remarks::default(), None, usize::MAX).expect("there is no bound")
}
