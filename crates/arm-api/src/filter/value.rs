//! A filter asked of a resource's JSON, as Microsoft Graph does: texts compare without regard to case.

use serde_json::Value;

use super::{Argument, Comparison, Filter, Literal};

/// A part of a filter that is not understood when it is asked of JSON.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0} is not understood here")]
pub(crate) struct NotUnderstood(String);

impl Filter {
    /// Whether it holds for `resource`; a field that is not there equals nothing.
    pub(crate) fn holds_for(&self, resource: &Value) -> Result<bool, NotUnderstood> {
        match self {
            Self::Compare { field, comparison, literal } => compare(at(resource, field), *comparison, literal),
            Self::In { field, literals } => Ok(literals.iter().any(|literal| is(at(resource, field), literal))),
            Self::Call { name, arguments } => call(resource, name, arguments),
            Self::Any { collection, variable, condition } => {
                let members = at(resource, collection).as_array().map_or(&[][..], Vec::as_slice);
                for member in members {
                    let scope = Value::Object([(variable.clone(), member.clone())].into_iter().collect());
                    if condition.holds_for(&scope)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::And(terms) => all(terms, resource),
            Self::Or(terms) => {
                // Each is asked, so that what is not understood is found wherever it stands.
                let mut any = false;
                for term in terms {
                    any |= term.holds_for(resource)?;
                }
                Ok(any)
            }
            Self::Not(term) => Ok(!term.holds_for(resource)?),
        }
    }
}

fn all(terms: &[Filter], resource: &Value) -> Result<bool, NotUnderstood> {
    let mut all = true;
    for term in terms {
        all &= term.holds_for(resource)?;
    }
    Ok(all)
}

/// The value at a path such as `web/homePageUrl`.
fn at<'v>(resource: &'v Value, path: &str) -> &'v Value {
    path.split('/').fold(resource, |value, name| {
        let member = value.as_object().and_then(|object| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)));
        member.map_or(&Value::Null, |(_, member)| member)
    })
}

fn compare(value: &Value, comparison: Comparison, literal: &Literal) -> Result<bool, NotUnderstood> {
    let ordering = || value.as_str().map(|text| text.cmp(literal.as_str()));
    Ok(match comparison {
        Comparison::Equal => is(value, literal),
        Comparison::NotEqual => !is(value, literal),
        // Only times are put in order, which their texts are too: all are written alike, in UTC.
        Comparison::Greater => ordering().is_some_and(std::cmp::Ordering::is_gt),
        Comparison::GreaterOrEqual => ordering().is_some_and(std::cmp::Ordering::is_ge),
        Comparison::Less => ordering().is_some_and(std::cmp::Ordering::is_lt),
        Comparison::LessOrEqual => ordering().is_some_and(std::cmp::Ordering::is_le),
    })
}

fn is(value: &Value, literal: &Literal) -> bool {
    match (value, literal) {
        (Value::String(text), literal) => same(text, literal.as_str()),
        (Value::Null, Literal::Word(word)) => same(word, "null"),
        (Value::Bool(flag), Literal::Word(word)) => same(word, if *flag { "true" } else { "false" }),
        (Value::Number(number), Literal::Word(word)) => number.to_string() == *word,
        _ => false,
    }
}

fn call(resource: &Value, name: &str, arguments: &[Argument]) -> Result<bool, NotUnderstood> {
    let [Argument::Word(field), Argument::Text(part)] = arguments else {
        return Err(NotUnderstood(format!("the call of {name:?} with these arguments")));
    };
    let text = at(resource, field).as_str().unwrap_or("").to_lowercase();
    let part = part.to_lowercase();
    match name.to_ascii_lowercase().as_str() {
        "startswith" => Ok(text.starts_with(&part)),
        "endswith" => Ok(text.ends_with(&part)),
        "contains" => Ok(text.contains(&part)),
        _ => Err(NotUnderstood(format!("the function {name:?}"))),
    }
}

fn same(one: &str, other: &str) -> bool {
    one == other || one.to_lowercase() == other.to_lowercase()
}
