//! Our side: the engine in this process, over a database in memory.

mod backwards;
mod database;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use promql::{Engine, EngineOptions, EvalError, EvalTime, QueryResult};
use promql_syntax::{Options, parse_expr};
use storage::Queryable;

use crate::answer::Answer;
use crate::dialect::Dialect;

pub use backwards::Backwards;
pub use database::Database;

/// The engine and what it evaluates over.
pub struct Own {
    engine: Engine,
    grammar: Options,
    storage: Box<dyn Queryable>,
}

impl Own {
    /// Over `storage`, with the switches of `dialect` on.
    pub fn new(storage: Box<dyn Queryable>, dialect: Dialect) -> Self {
        let options = EngineOptions { delayed_name_removal: dialect.is_experimental(), ..EngineOptions::default() };
        Self { engine: Engine::new(options), grammar: dialect.grammar(), storage }
    }

    /// What it answers. A panic is an answer, too, though never a right one.
    pub fn ask(&self, query: &str, time: EvalTime) -> Answer {
        // The engine keeps nothing from one query to the next, so nothing is left half done.
        catch_unwind(AssertUnwindSafe(|| self.answer(query, time)))
            .unwrap_or_else(|_| Answer::Error { kind: "panic".to_owned(), text: String::new() })
    }

    fn answer(&self, query: &str, time: EvalTime) -> Answer {
        let expr = match parse_expr(query, self.grammar) {
            Ok(expr) => expr,
            Err(error) => {
                let text = format!("invalid parameter \"query\": {error}");
                return Answer::Error { kind: "bad_data".to_owned(), text };
            }
        };
        let evaluate = || -> Result<QueryResult, EvalError> {
            now(self.engine.prepare(&*self.storage, &expr, time))?.evaluate(&|| None)
        };
        match evaluate() {
            Ok(result) => Answer::from_result(&result, query),
            Err(error) => Answer::from_error(&error),
        }
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("what is in memory need not be waited for"),
    }
}
