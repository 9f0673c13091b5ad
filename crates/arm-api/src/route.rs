//! The shape of the route table, and how a path finds its row.
//!
//! A row says everything that is asked before its handler runs: method, path, right, scope, api-versions. Handlers are only
//! reached through rows, so that what the table says is what is asked; a test walks it.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;

use http::Method;
use model::ResourceId;

use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;
use crate::ids;
use crate::path::Path;

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) verb: Verb,
    /// Segments; `{name}` stands for one, `{scope}` in front for a whole scope (none, a subscription, a group, a resource).
    pub(crate) pattern: &'static str,
    /// What the caller must be allowed.
    pub(crate) right: Right,
    /// Versions it is known with in Azure, newest last; any well-formed one is taken. Empty: it takes none.
    pub(crate) versions: &'static [&'static str],
    /// Whose tokens it takes.
    pub(crate) audience: Audience,
    pub(crate) handler: Handler,
}

/// Answers a call whose right was decided already.
pub(crate) type Handler = fn(Call) -> Answering;

/// What a handler returns.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<Answer, ArmError>> + Send>>;

/// Methods that are used here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verb {
    Get,
    Head,
    Put,
    Patch,
    Post,
    Delete,
}

/// Whom a token must be meant for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Audience {
    Management,
    Graph,
}

/// What a caller must be allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Right {
    /// Nothing: everybody may know it, without a token.
    Public,
    /// Nothing but to have a token that counts.
    Token,
    /// To have a role anywhere.
    AnyRole,
    /// A management action there. `{namespace}` in it is the path's parameter of that name.
    Action(&'static str, At),
    /// A management action there, or somewhere below; the handler shows only what [`Call::may_see`] lets it.
    List(&'static str, At),
}

/// Where a right is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum At {
    /// The root scope `/`.
    Root,
    /// The path's subscription.
    Subscription,
    /// The path's resource group.
    Group,
    /// The path itself.
    Path,
    /// The path's `{scope}`.
    Scope,
}

/// Makes a [`Handler`] of an `async fn(Call) -> Result<Answer, ArmError>`.
macro_rules! handler {
    ($function:path) => {
        |call| Box::pin($function(call))
    };
}
pub(crate) use handler;

impl Route {
    /// A row whose tokens are those of management.
    pub(crate) const fn new(
        verb: Verb,
        pattern: &'static str,
        right: Right,
        versions: &'static [&'static str],
        handler: Handler,
    ) -> Self {
        Self { verb, pattern, right, versions, audience: Audience::Management, handler }
    }

    /// The row, with the tokens of Microsoft Graph.
    pub(crate) const fn of_graph(mut self) -> Self {
        self.audience = Audience::Graph;
        self
    }

    /// Its name in metrics: bounded, since patterns are.
    pub(crate) fn name(&self) -> &'static str {
        self.pattern
    }
}

impl Verb {
    pub(crate) fn of(method: &Method) -> Option<Self> {
        Some(match *method {
            Method::GET => Self::Get,
            Method::HEAD => Self::Head,
            Method::PUT => Self::Put,
            Method::PATCH => Self::Patch,
            Method::POST => Self::Post,
            Method::DELETE => Self::Delete,
            _ => return None,
        })
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// What a path says to its row.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Params {
    named: Vec<(&'static str, String)>,
    /// The path's `{scope}`.
    pub(crate) scope: Option<ResourceId>,
    /// The path itself, with the segments that have a fixed name as the table writes them.
    pub(crate) path: Option<ResourceId>,
}

impl Params {
    /// The parameter of this name; the table's patterns say which there are.
    pub(crate) fn get(&self, name: &str) -> &str {
        let found = self.named.iter().find(|(known, _)| *known == name);
        found.map_or("", |(_, value)| value.as_str())
    }
}

/// What a path and a method lead to.
#[derive(Debug)]
pub(crate) enum Found {
    Route(&'static Route, Params),
    /// The path is known with these methods only.
    OtherMethods(Vec<&'static str>),
    Nothing,
}

/// Finds the row of a path. A row with fixed segments goes before one with parameters; a row with `{scope}` comes last.
pub(crate) fn find(verb: Option<Verb>, path: &Path) -> Found {
    let mut best: Option<(&'static Row, Params)> = None;
    let mut methods: Vec<&'static str> = Vec::new();
    for row in rows() {
        let Some(params) = row.matches(path.segments()) else { continue };
        if Some(row.route.verb) != verb {
            if !methods.contains(&row.route.verb.name()) {
                methods.push(row.route.verb.name());
            }
        } else if best.as_ref().is_none_or(|(other, _)| row.rank() > other.rank()) {
            best = Some((row, params));
        }
    }
    match best {
        Some((row, params)) => Found::Route(row.route, params),
        None if methods.is_empty() => Found::Nothing,
        None => Found::OtherMethods(methods),
    }
}

/// Whether the first segment of a path is one that rows begin with.
pub(crate) fn begins_a_route(segment: &str) -> bool {
    rows().iter().any(|row| match row.segments.first() {
        Some(Segment::Fixed(fixed)) => fixed.eq_ignore_ascii_case(segment),
        _ => false,
    })
}

/// Every row of the table.
pub(crate) fn all() -> impl Iterator<Item = &'static Route> {
    crate::table::TABLE.iter().flat_map(|rows| rows.iter())
}

struct Row {
    route: &'static Route,
    scoped: bool,
    segments: Vec<Segment>,
}

#[derive(Debug)]
enum Segment {
    Fixed(&'static str),
    Named(&'static str),
}

impl Row {
    fn of(route: &'static Route) -> Self {
        let (scoped, rest) = match route.pattern.strip_prefix("{scope}") {
            Some(rest) => (true, rest),
            None => (false, route.pattern),
        };
        let segments = rest.split('/').skip(1).map(|segment| {
            match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                Some(name) => Segment::Named(name),
                None => Segment::Fixed(segment),
            }
        });
        Self { route, scoped, segments: segments.collect() }
    }

    fn rank(&self) -> (bool, usize) {
        (!self.scoped, self.segments.iter().filter(|segment| matches!(segment, Segment::Fixed(_))).count())
    }

    fn matches(&self, path: &[String]) -> Option<Params> {
        let split = path.len().checked_sub(self.segments.len())?;
        if split > 0 && !self.scoped {
            return None;
        }
        let (front, back) = path.split_at(split);
        let fits = self.segments.iter().zip(back).all(|(segment, text)| match segment {
            Segment::Fixed(fixed) => fixed.eq_ignore_ascii_case(text),
            Segment::Named(_) => true,
        });
        if !fits {
            return None;
        }
        let scope = if self.scoped { Some(ids::scope(front)?) } else { None };
        let mut text = scope.as_ref().map_or("", |scope| scope.as_str().trim_end_matches('/')).to_owned();
        let mut named = Vec::new();
        for (segment, value) in self.segments.iter().zip(back) {
            text.push('/');
            match segment {
                Segment::Fixed(fixed) => text.push_str(fixed),
                Segment::Named(name) => {
                    // One writing of a subscription's id everywhere: it is a number, not a name.
                    let value = if *name == "subscription" { value.to_ascii_lowercase() } else { value.clone() };
                    text.push_str(&value);
                    named.push((*name, value));
                }
            }
        }
        Some(Params { named, scope, path: text.parse().ok() })
    }
}

fn rows() -> &'static [Row] {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    ROWS.get_or_init(|| all().map(Row::of).collect())
}

#[cfg(test)]
mod tests;
