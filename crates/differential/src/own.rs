//! Our side: the engine in this process, over series in memory.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use promql::{Engine, EngineOptions, EvalError, EvalTime, QueryResult};
use promql_syntax::{Options, parse_expr};
use storage::Queryable;

use crate::answer::Answer;
use crate::dialect::Dialect;

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

    /// What it answers.
    pub fn ask(&self, query: &str, time: EvalTime) -> Answer {
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
        Poll::Pending => panic!("series in memory do not wait"),
    }
}
