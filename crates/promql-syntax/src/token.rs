//! Tokens: their kinds, the keywords, and how error texts describe them.

use crate::quote::{quoted, quoted_short};
use crate::{AggregateOp, BinaryOp, PositionRange};

/// One token: a kind and the bytes of the text that it covers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: TokenKind,
    pub(crate) text: &'a str,
    pub(crate) start: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TokenKind {
    EndOfInput,
    Identifier,
    /// An identifier with a colon in it.
    MetricIdentifier,
    Number,
    Duration,
    String,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    /// `=`
    Assign,
    /// `=~`
    RegexMatch,
    /// `!~`
    RegexNoMatch,
    /// `@`
    At,
    Operator(BinaryOp),
    Aggregator(AggregateOp),
    Keyword(Keyword),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Keyword {
    Anchored,
    Bool,
    By,
    Fill,
    FillLeft,
    FillRight,
    GroupLeft,
    GroupRight,
    Ignoring,
    Offset,
    On,
    Smoothed,
    Without,
    // Names of functions that mean something after `@` or inside durations too.
    End,
    MaxOf,
    MinOf,
    Range,
    Start,
    Step,
}

/// The longest word that is looked up; bounds the work of folding its case.
const KEYWORD_BYTES_MAX: usize = 16;

/// The kind of a word that is no plain identifier, whatever its case.
pub(crate) fn keyword(word: &str) -> Option<TokenKind> {
    if word.len() > KEYWORD_BYTES_MAX {
        return None;
    }
    let kind = match word.to_ascii_lowercase().as_str() {
        "and" => TokenKind::Operator(BinaryOp::And),
        "or" => TokenKind::Operator(BinaryOp::Or),
        "unless" => TokenKind::Operator(BinaryOp::Unless),
        "atan2" => TokenKind::Operator(BinaryOp::Atan2),
        "sum" => TokenKind::Aggregator(AggregateOp::Sum),
        "avg" => TokenKind::Aggregator(AggregateOp::Avg),
        "count" => TokenKind::Aggregator(AggregateOp::Count),
        "min" => TokenKind::Aggregator(AggregateOp::Min),
        "max" => TokenKind::Aggregator(AggregateOp::Max),
        "group" => TokenKind::Aggregator(AggregateOp::Group),
        "stddev" => TokenKind::Aggregator(AggregateOp::Stddev),
        "stdvar" => TokenKind::Aggregator(AggregateOp::Stdvar),
        "topk" => TokenKind::Aggregator(AggregateOp::TopK),
        "bottomk" => TokenKind::Aggregator(AggregateOp::BottomK),
        "count_values" => TokenKind::Aggregator(AggregateOp::CountValues),
        "quantile" => TokenKind::Aggregator(AggregateOp::Quantile),
        "limitk" => TokenKind::Aggregator(AggregateOp::LimitK),
        "limit_ratio" => TokenKind::Aggregator(AggregateOp::LimitRatio),
        "offset" => TokenKind::Keyword(Keyword::Offset),
        "smoothed" => TokenKind::Keyword(Keyword::Smoothed),
        "anchored" => TokenKind::Keyword(Keyword::Anchored),
        "by" => TokenKind::Keyword(Keyword::By),
        "without" => TokenKind::Keyword(Keyword::Without),
        "on" => TokenKind::Keyword(Keyword::On),
        "ignoring" => TokenKind::Keyword(Keyword::Ignoring),
        "group_left" => TokenKind::Keyword(Keyword::GroupLeft),
        "group_right" => TokenKind::Keyword(Keyword::GroupRight),
        "fill" => TokenKind::Keyword(Keyword::Fill),
        "fill_left" => TokenKind::Keyword(Keyword::FillLeft),
        "fill_right" => TokenKind::Keyword(Keyword::FillRight),
        "bool" => TokenKind::Keyword(Keyword::Bool),
        "start" => TokenKind::Keyword(Keyword::Start),
        "end" => TokenKind::Keyword(Keyword::End),
        "step" => TokenKind::Keyword(Keyword::Step),
        "range" => TokenKind::Keyword(Keyword::Range),
        "max_of" => TokenKind::Keyword(Keyword::MaxOf),
        "min_of" => TokenKind::Keyword(Keyword::MinOf),
        "inf" | "nan" => TokenKind::Number,
        _ => return None,
    };
    Some(kind)
}

impl Token<'_> {
    pub(crate) fn end(&self) -> u32 {
        self.start + self.text.len() as u32
    }

    pub(crate) fn position(&self) -> PositionRange {
        PositionRange { start: self.start, end: self.end() }
    }

    /// As "unexpected …" names it.
    pub(crate) fn describe(&self) -> String {
        match self.kind {
            TokenKind::EndOfInput => "end of input".to_owned(),
            TokenKind::Identifier => format!("identifier {}", quoted(self.text)),
            TokenKind::MetricIdentifier => format!("metric identifier {}", quoted(self.text)),
            TokenKind::Number => format!("number {}", quoted_short(self.text)),
            TokenKind::Duration => format!("duration {}", quoted_short(self.text)),
            TokenKind::String => format!("string {}", quoted_short(self.text)),
            TokenKind::Operator(_) | TokenKind::RegexMatch | TokenKind::RegexNoMatch | TokenKind::At => {
                format!("<op:{}>", self.text)
            }
            TokenKind::Aggregator(_) => format!("<aggr:{}>", self.text),
            TokenKind::Keyword(keyword) if !keyword.is_function() => format!("<{}>", self.text),
            _ => quoted_short(self.text),
        }
    }

    /// Whether a selector may have this as its metric's name.
    pub(crate) fn is_metric_name(&self) -> bool {
        match self.kind {
            TokenKind::Identifier | TokenKind::MetricIdentifier | TokenKind::Aggregator(_) => true,
            TokenKind::Operator(op) => op.is_set(),
            TokenKind::Keyword(keyword) => !matches!(
                keyword,
                Keyword::Bool | Keyword::GroupLeft | Keyword::GroupRight | Keyword::Ignoring | Keyword::On
            ),
            _ => false,
        }
    }

    /// Whether `by (…)` and its like may name this label without quotes.
    pub(crate) fn is_grouping_label(&self) -> bool {
        match self.kind {
            TokenKind::Identifier
            | TokenKind::MetricIdentifier
            | TokenKind::Aggregator(_)
            | TokenKind::Operator(BinaryOp::Atan2) => true,
            TokenKind::Operator(op) => op.is_set(),
            TokenKind::Keyword(keyword) => keyword != Keyword::Without,
            _ => false,
        }
    }

    /// Whether an expression may begin with this.
    pub(crate) fn starts_expr(&self) -> bool {
        matches!(
            self.kind,
            TokenKind::Number
                | TokenKind::Duration
                | TokenKind::String
                | TokenKind::LeftParen
                | TokenKind::LeftBrace
                | TokenKind::Operator(BinaryOp::Add | BinaryOp::Sub)
        ) || self.is_metric_name()
    }
}

impl Keyword {
    /// Whether it is the name of a function too.
    pub(crate) fn is_function(self) -> bool {
        matches!(self, Self::End | Self::MaxOf | Self::MinOf | Self::Range | Self::Start | Self::Step)
    }
}
