//! What a body may look like, as data, and the check of a body against it.
//!
//! Everything that is wrong is said at once, each with its full path. What comes out has the field names as they are
//! written here, no nulls, and nothing that is only ever answered (clients send back what they read). Not here: whether
//! names, regions, tags and references are right; the catalogue says that, of everything that goes into it.

use catalog::Problem;
use serde_json::{Map, Value};

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Kind {
    Text,
    /// One of these texts, without regard to case; comes out as written here.
    OneOf(&'static [&'static str]),
    /// A whole number that is not negative; as a number or as its digits in a text.
    Whole,
    Flag,
    /// Texts by name.
    Texts,
    Object(&'static [Field]),
    /// An object with any names.
    MapOf(&'static Kind),
    ListOf(&'static Kind),
    /// An object whose content means nothing here.
    AnyObject,
    /// Only ever answered: taken, and forgotten.
    Answered,
}

/// A field of an object.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
}

/// A field that may be left out.
pub(crate) const fn optional(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: false }
}

/// A field that must be there.
pub(crate) const fn required(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: true }
}

/// A field that clients send back although it is only ever answered.
pub(crate) const fn answered(name: &'static str) -> Field {
    Field { name, kind: Kind::Answered, required: false }
}

/// Checks a body against the fields that its object may have.
///
/// # Errors
/// Everything that is wrong with it, up to a bound.
pub(crate) fn check(body: Value, fields: &'static [Field]) -> Result<Map<String, Value>, Vec<Problem>> {
    let mut checker = Checker { problems: Vec::new() };
    let checked = checker.object(body, fields, "");
    if checker.problems.is_empty() { Ok(checked.unwrap_or_default()) } else { Err(checker.problems) }
}

struct Checker {
    problems: Vec<Problem>,
}

impl Checker {
    fn value(&mut self, value: Value, kind: &'static Kind, path: &str) -> Option<Value> {
        match (kind, value) {
            (_, Value::Null) | (Kind::Answered, _) => None,
            (Kind::Text, Value::String(text)) => Some(Value::String(text)),
            (Kind::Flag, Value::Bool(flag)) => Some(Value::Bool(flag)),
            (Kind::AnyObject, Value::Object(map)) => Some(Value::Object(map)),
            (Kind::OneOf(known), Value::String(text)) => self.one_of(&text, known, path),
            (Kind::Whole, Value::Number(number)) if number.is_u64() => Some(Value::Number(number)),
            (Kind::Whole, Value::String(digits)) if digits.parse::<u64>().is_ok() => {
                digits.parse::<u64>().ok().map(Value::from)
            }
            (Kind::Texts, Value::Object(map)) => self.map(map, &Kind::Text, path),
            (Kind::MapOf(kind), Value::Object(map)) => self.map(map, kind, path),
            (Kind::ListOf(kind), Value::Array(items)) => self.list(items, kind, path),
            (Kind::Object(fields), value) => self.object(value, fields, path).map(Value::Object),
            (kind, found) => {
                let found = name_of(&found);
                self.problem(path, format!("is {found}; {} is expected", expected(kind)));
                None
            }
        }
    }

    fn object(&mut self, value: Value, fields: &'static [Field], path: &str) -> Option<Map<String, Value>> {
        let Value::Object(sent) = value else {
            let found = name_of(&value);
            self.problem(path, format!("is {found}; an object is expected"));
            return None;
        };
        let mut checked = Map::new();
        let mut present: Vec<&'static str> = Vec::new();
        for (name, value) in sent {
            let child = join(path, &name);
            let Some(field) = fields.iter().find(|field| field.name.eq_ignore_ascii_case(&name)) else {
                self.problem(&child, "is not known here: take it out, or mend its name".to_owned());
                continue;
            };
            if present.contains(&field.name) {
                self.problem(&child, "stands there twice: names compare without regard to case".to_owned());
                continue;
            }
            if !value.is_null() {
                present.push(field.name);
            }
            if let Some(value) = self.value(value, &field.kind, &child) {
                checked.insert(field.name.to_owned(), value);
            }
        }
        for field in fields.iter().filter(|field| field.required && !present.contains(&field.name)) {
            self.problem(&join(path, field.name), format!("is missing; {} is expected", expected(&field.kind)));
        }
        Some(checked)
    }

    fn map(&mut self, map: Map<String, Value>, kind: &'static Kind, path: &str) -> Option<Value> {
        let mut checked = Map::new();
        for (name, value) in map {
            if let Some(value) = self.value(value, kind, &join(path, &name)) {
                checked.insert(name, value);
            }
        }
        Some(Value::Object(checked))
    }

    fn list(&mut self, items: Vec<Value>, kind: &'static Kind, path: &str) -> Option<Value> {
        if items.len() > LIST_ITEMS_MAX {
            self.problem(path, format!("has {} elements, at most {LIST_ITEMS_MAX} are taken", items.len()));
            return None;
        }
        let items = items.into_iter().enumerate();
        Some(Value::Array(items.filter_map(|(at, item)| self.value(item, kind, &format!("{path}[{at}]"))).collect()))
    }

    fn one_of(&mut self, text: &str, known: &[&'static str], path: &str) -> Option<Value> {
        let found = known.iter().find(|one| one.eq_ignore_ascii_case(text));
        if found.is_none() {
            let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
            self.problem(path, format!("is {shown:?}; one of {} is expected", known.join(", ")));
        }
        found.map(|one| Value::from(*one))
    }

    fn problem(&mut self, path: &str, message: String) {
        if self.problems.len() < PROBLEMS_MAX {
            let target = if path.is_empty() { "body".to_owned() } else { path.chars().take(PATH_CHARS_MAX).collect() };
            self.problems.push(Problem { target, message });
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

const fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

const fn expected(kind: &Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::OneOf(_) => "a text",
        Kind::Whole => "a whole number that is not negative",
        Kind::Flag => "true or false",
        Kind::Texts => "an object of texts",
        Kind::Object(_) | Kind::MapOf(_) | Kind::AnyObject => "an object",
        Kind::ListOf(_) => "a list",
        Kind::Answered => "anything",
    }
}

/// How many problems of one body are told.
pub(crate) const PROBLEMS_MAX: usize = 100;
const LIST_ITEMS_MAX: usize = 1000;
const PATH_CHARS_MAX: usize = 300;
const SHOWN_CHARS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const INNER: &[Field] = &[required("name", Kind::Text), optional("ids", Kind::ListOf(&Kind::Whole))];
    const FIELDS: &[Field] = &[
        required("location", Kind::Text),
        optional("tags", Kind::Texts),
        optional("access", Kind::OneOf(&["Enabled", "Disabled"])),
        optional("on", Kind::Flag),
        optional("inner", Kind::ListOf(&Kind::Object(INNER))),
        optional("any", Kind::AnyObject),
        answered("id"),
    ];

    #[test]
    fn what_is_right_comes_out_clean() {
        let body = json!({
            "Location": "x", "tags": {"a": "b", "c": null}, "access": "enabled", "on": null, "ID": {"what": "ever"},
            "inner": [{"name": "n", "ids": [1, "2"]}], "any": {"x": [null]},
        });
        let expected = json!({
            "location": "x", "tags": {"a": "b"}, "access": "Enabled", "inner": [{"name": "n", "ids": [1, 2]}],
            "any": {"x": [null]},
        });
        assert_eq!(Value::Object(check(body, FIELDS).unwrap()), expected);
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let body = json!({
            "tags": {"a": 1}, "access": "no", "on": "true", "inner": [{"ids": [-1, 1.5, true]}, "x"], "other": 1,
            "any": {}, "ANY": {},
        });
        let problems = check(body, FIELDS).unwrap_err();
        let mut found: Vec<String> = problems.iter().map(|p| format!("{} {}", p.target, p.message)).collect();
        found.sort();
        assert_eq!(
            found,
            [
                "access is \"no\"; one of Enabled, Disabled is expected",
                "any stands there twice: names compare without regard to case",
                "inner[0].ids[0] is a number; a whole number that is not negative is expected",
                "inner[0].ids[1] is a number; a whole number that is not negative is expected",
                "inner[0].ids[2] is true or false; a whole number that is not negative is expected",
                "inner[0].name is missing; a text is expected",
                "inner[1] is a text; an object is expected",
                "location is missing; a text is expected",
                "on is a text; true or false is expected",
                "other is not known here: take it out, or mend its name",
                "tags.a is a number; a text is expected",
            ]
        );
        assert_eq!(check(json!([1]), FIELDS).unwrap_err()[0].target, "body");
        let many: Map<String, Value> = (0..5000).map(|index| (format!("f{index}"), Value::Null)).collect();
        assert_eq!(check(Value::Object(many), FIELDS).unwrap_err().len(), PROBLEMS_MAX);
    }
}
