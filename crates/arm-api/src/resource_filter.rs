//! `$filter` of lists of resources and groups: which of them are wanted.
//!
//! Values compare without regard to case, but for those of tags. `tagName` and `tagValue` that stand in one conjunction
//! are about the same tag. What is not understood is refused, so that nobody takes everything for what he asked for.

use std::collections::BTreeMap;

use crate::error::ArmError;
use crate::filter::{Comparison, Filter};

/// A resource as filters see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) resource_type: &'a str,
    pub(crate) name: &'a str,
    pub(crate) group: &'a str,
    pub(crate) location: &'a str,
    pub(crate) tags: &'a BTreeMap<String, String>,
}

/// Which resources of a list are wanted.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct ResourceFilter(Condition);

#[derive(Clone, PartialEq, Debug)]
enum Condition {
    Is(Field, String),
    Contains(Field, String),
    StartsWith(Field, String),
    /// A tag of this name, of this value, of a name that begins so; of one tag all of them.
    Tag {
        name: Option<String>,
        value: Option<String>,
        prefix: Option<String>,
    },
    All(Vec<Condition>),
    One(Vec<Condition>),
    Not(Box<Condition>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Field {
    ResourceType,
    Name,
    Group,
    Location,
}

impl ResourceFilter {
    /// Reads a filter; none, and an empty one, want everything.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, ArmError> {
        let Some(text) = text else { return Ok(Self(Condition::All(Vec::new()))) };
        let filter = Filter::parse(text).map_err(|error| invalid(&error.to_string()))?;
        Condition::of(&filter).map(Self)
    }

    /// Whether this one is wanted.
    pub(crate) fn takes(&self, seen: Seen<'_>) -> bool {
        self.0.holds(seen)
    }
}

impl Condition {
    fn of(filter: &Filter) -> Result<Self, ArmError> {
        Ok(match filter {
            Filter::And(terms) => Self::All(joined(conditions(terms)?)),
            Filter::Or(terms) => Self::One(conditions(terms)?),
            Filter::Not(term) => Self::Not(Box::new(Self::of(term)?)),
            Filter::Compare { field, comparison: Comparison::Equal, literal } => Self::is(field, literal.as_str())?,
            Filter::Compare { field, comparison: Comparison::NotEqual, literal } => {
                Self::Not(Box::new(Self::is(field, literal.as_str())?))
            }
            Filter::In { field, literals } => {
                let each = literals.iter().map(|literal| Self::is(field, literal.as_str()));
                Self::One(each.collect::<Result<_, _>>()?)
            }
            Filter::Call { name, arguments } => {
                let texts: Vec<&str> = arguments.iter().map(|argument| argument.as_str()).collect();
                match (name.to_ascii_lowercase().as_str(), texts.as_slice()) {
                    ("startswith", [field, start]) if field.eq_ignore_ascii_case("tagName") => {
                        Self::Tag { name: None, value: None, prefix: Some((*start).to_owned()) }
                    }
                    ("startswith", [field, start]) => Self::StartsWith(Field::of(field)?, (*start).to_owned()),
                    ("substringof", [part, field]) => Self::Contains(Field::of(field)?, (*part).to_owned()),
                    _ => return Err(invalid(&format!("the call {name} is not understood here"))),
                }
            }
            Filter::Compare { .. } => return Err(invalid("only eq and ne are understood here")),
            Filter::Any { .. } => return Err(invalid("any is not understood here")),
        })
    }

    fn is(field: &str, value: &str) -> Result<Self, ArmError> {
        let value = value.to_owned();
        Ok(match field.to_ascii_lowercase().as_str() {
            "tagname" => Self::Tag { name: Some(value), value: None, prefix: None },
            "tagvalue" => Self::Tag { name: None, value: Some(value), prefix: None },
            _ => Self::Is(Field::of(field)?, value),
        })
    }

    fn holds(&self, seen: Seen<'_>) -> bool {
        match self {
            Self::Is(field, value) => field.of_seen(seen).eq_ignore_ascii_case(value),
            Self::Contains(field, part) => {
                field.of_seen(seen).to_ascii_lowercase().contains(&part.to_ascii_lowercase())
            }
            Self::StartsWith(field, start) => starts_with(field.of_seen(seen), start),
            Self::Tag { name, value, prefix } => seen.tags.iter().any(|(tag, tagged)| {
                name.as_ref().is_none_or(|name| tag.eq_ignore_ascii_case(name))
                    && value.as_ref().is_none_or(|value| tagged == value)
                    && prefix.as_ref().is_none_or(|prefix| starts_with(tag, prefix))
            }),
            Self::All(all) => all.iter().all(|condition| condition.holds(seen)),
            Self::One(one) => one.iter().any(|condition| condition.holds(seen)),
            Self::Not(condition) => !condition.holds(seen),
        }
    }
}

impl Field {
    fn of(name: &str) -> Result<Self, ArmError> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "resourcetype" => Self::ResourceType,
            "name" => Self::Name,
            "resourcegroup" => Self::Group,
            "location" => Self::Location,
            _ => {
                let known = "resourceType, name, resourceGroup, location, tagName, tagValue";
                return Err(invalid(&format!("the field {name} is not known; known are {known}")));
            }
        })
    }

    const fn of_seen(self, seen: Seen<'_>) -> &str {
        match self {
            Self::ResourceType => seen.resource_type,
            Self::Name => seen.name,
            Self::Group => seen.group,
            Self::Location => seen.location,
        }
    }
}

fn conditions(terms: &[Filter]) -> Result<Vec<Condition>, ArmError> {
    terms.iter().map(Condition::of).collect()
}

/// The first name and the first value of a tag in a conjunction become one condition.
fn joined(conditions: Vec<Condition>) -> Vec<Condition> {
    let (mut tag_name, mut tag_value, mut others) = (None, None, Vec::new());
    for condition in conditions {
        match condition {
            Condition::Tag { name: Some(name), value: None, prefix: None } if tag_name.is_none() => {
                tag_name = Some(name);
            }
            Condition::Tag { name: None, value: Some(value), prefix: None } if tag_value.is_none() => {
                tag_value = Some(value);
            }
            other => others.push(other),
        }
    }
    if tag_name.is_some() || tag_value.is_some() {
        others.push(Condition::Tag { name: tag_name, value: tag_value, prefix: None });
    }
    others
}

fn starts_with(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
}

fn invalid(why: &str) -> ArmError {
    ArmError::bad_request(
        "InvalidFilterInQueryString",
        format!("Invalid $filter specified in the query string: {why}."),
    )
    .with_target("$filter")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_filters_take() {
        let tagged = tags(&[("Env", "it's"), ("team", "a")]);
        for (text, taken) in [
            ("", true),
            ("resourceType eq 'microsoft.monitor/ACCOUNTS'", true),
            ("resourceType eq 'Microsoft.Insights/dataCollectionRules'", false),
            ("name eq 'Ws' and resourceGroup eq 'G'", true),
            ("resourceGroup eq 'other'", false),
            ("tagName eq 'env'", true),
            ("tagName eq 'env' and tagValue eq 'it''s'", true),
            ("tagName eq 'env' and tagValue eq 'a'", false),
            ("tagValue eq 'a'", true),
            ("startswith(tagName, 'EN')", true),
            ("startswith(tagName,'x') and name eq 'ws'", false),
            ("location eq 'local' and name eq 'ws'", true),
            ("name eq 'x' or name eq 'WS'", true),
            ("name ne 'ws'", false),
            ("not (name eq 'ws')", false),
            ("substringof('S', name)", true),
            ("name in ('a','ws')", true),
        ] {
            let filter = ResourceFilter::parse(Some(text).filter(|text| !text.is_empty())).unwrap();
            let resource_type = "Microsoft.Monitor/accounts";
            let seen = Seen { resource_type, name: "ws", group: "g", location: "local", tags: &tagged };
            assert_eq!(filter.takes(seen), taken, "{text}");
        }
    }

    #[test]
    fn what_is_no_filter() {
        for text in ["name", "name eq", "name gt 'ws'", "sku eq 'x'", "endswith(name,'x')", "tags/any(t:t eq 'x')", "ä"]
        {
            assert_eq!(ResourceFilter::parse(Some(text)).unwrap_err().code, "InvalidFilterInQueryString", "{text}");
        }
    }
}
