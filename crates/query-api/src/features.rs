//! `/features`: what of the API and of the language is there, by the names that Prometheus gives it.
//!
//! Named is what clients ask a workspace for. Of scraping, rules, templates and the user interface nothing is said: what is not
//! named is not there.

use std::collections::BTreeMap;

use promql::EngineOptions;
use promql_syntax::{AggregateOp, BinaryOp, functions};

use crate::reply::Reply;
use crate::{Settings, answer};

type Features = BTreeMap<&'static str, bool>;

/// The answer.
pub(crate) fn features(settings: &Settings, engine: EngineOptions) -> Reply {
    let all = BTreeMap::from([
        ("api", Features::from(API)),
        ("promql", language(settings, engine)),
        ("promql_functions", known_functions(settings)),
        ("promql_operators", operators(settings)),
        ("tsdb", Features::from(STORAGE)),
    ]);
    Reply::Json(answer::data(&all))
}

fn language(settings: &Settings, engine: EngineOptions) -> Features {
    let syntax = settings.syntax;
    let mut features = Features::from([
        ("anchored", syntax.extended_range_selectors),
        ("smoothed", syntax.extended_range_selectors),
        ("fill", syntax.fill_modifiers),
        ("fill_left", syntax.fill_modifiers),
        ("fill_right", syntax.fill_modifiers),
        ("duration_expr", syntax.duration_expressions),
        ("delayed_name_removal", engine.delayed_name_removal),
        ("type_and_unit_labels", engine.type_and_unit_labels),
        ("per_step_stats", false),
    ]);
    features.extend(ALWAYS.map(|name| (name, true)));
    features
}

fn known_functions(settings: &Settings) -> Features {
    let is_on = |experimental: bool| !experimental || settings.syntax.experimental_functions;
    functions().iter().map(|function| (function.name, is_on(function.experimental))).collect()
}

fn operators(settings: &Settings) -> Features {
    let mut features: Features = BINARY.iter().map(|op| (op.as_str(), true)).collect();
    features.extend(SELECTING.map(|name| (name, true)));
    let is_on = |op: &AggregateOp| !op.is_experimental() || settings.syntax.experimental_functions;
    features.extend(AGGREGATIONS.iter().map(|op| (op.as_str(), is_on(op))));
    features
}

const API: [(&str, bool); 9] = [
    ("admin", true),
    ("exclude_alerts", true),
    ("label_values_match", true),
    ("lifecycle", false),
    ("query_stats", true),
    ("query_warnings", true),
    ("search", false),
    ("time_range_labels", true),
    ("time_range_series", true),
];

const STORAGE: [(&str, bool); 3] = [("exemplar_storage", true), ("isolation", true), ("native_histograms", true)];

/// Keywords, and what has no switch any more.
const ALWAYS: [&str; 12] = [
    "at_modifier",
    "bool",
    "by",
    "group_left",
    "group_right",
    "ignoring",
    "negative_offset",
    "offset",
    "on",
    "per_query_lookback_delta",
    "subqueries",
    "without",
];

/// Operators of selectors.
const SELECTING: [&str; 3] = ["=~", "!~", "@"];

const BINARY: [BinaryOp; 18] = [
    BinaryOp::Add,
    BinaryOp::Sub,
    BinaryOp::Mul,
    BinaryOp::Div,
    BinaryOp::Mod,
    BinaryOp::Pow,
    BinaryOp::Atan2,
    BinaryOp::Equal,
    BinaryOp::NotEqual,
    BinaryOp::Greater,
    BinaryOp::Less,
    BinaryOp::GreaterOrEqual,
    BinaryOp::LessOrEqual,
    BinaryOp::And,
    BinaryOp::Or,
    BinaryOp::Unless,
    BinaryOp::TrimUpper,
    BinaryOp::TrimLower,
];

const AGGREGATIONS: [AggregateOp; 14] = [
    AggregateOp::Avg,
    AggregateOp::BottomK,
    AggregateOp::Count,
    AggregateOp::CountValues,
    AggregateOp::Group,
    AggregateOp::LimitRatio,
    AggregateOp::LimitK,
    AggregateOp::Max,
    AggregateOp::Min,
    AggregateOp::Quantile,
    AggregateOp::Stddev,
    AggregateOp::Stdvar,
    AggregateOp::Sum,
    AggregateOp::TopK,
];
