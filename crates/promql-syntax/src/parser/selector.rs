//! Selectors and what may follow one: ranges, `offset`, `@`, `anchored`, `smoothed`.

use model::{METRIC_NAME, MatchOp, Matcher, TimestampMs};

use super::{Node, Parsed, Parser};
use crate::AUTOMATA_MAX;
use crate::ast::{
    At, BinaryOp, Duration, Expr, ExtendedRange, MatrixSelector, PositionRange, Subquery, UnaryOp, VectorSelector,
};
use crate::token::{Keyword, Token, TokenKind};

impl<'a> Parser<'a> {
    /// A selector: the name has been taken if there is one, braces follow or not.
    pub(super) fn selector(&mut self, name: Option<Token<'a>>) -> Parsed<VectorSelector> {
        let start = self.peek()?;
        let mut matchers = Vec::new();
        if start.kind == TokenKind::LeftBrace {
            self.bump()?;
            self.label_matchers(&mut matchers)?;
        }
        if let Some(name) = name {
            matchers.push(Matcher::equal(METRIC_NAME, name.text));
        }
        let start = name.map_or(start.start, |name| name.start);
        Ok(VectorSelector {
            name: name.map(|name| name.text.to_owned()),
            matchers,
            offset: Duration::Ms(0),
            at: None,
            extended: None,
            position: PositionRange { start, end: self.end },
        })
    }

    /// Matchers up to the closing brace.
    fn label_matchers(&mut self, matchers: &mut Vec<Matcher>) -> Parsed<()> {
        while !self.take(TokenKind::RightBrace)? {
            matchers.push(self.label_matcher()?);
            if !self.take(TokenKind::Comma)? {
                self.in_context(("label matching", "\",\" or \"}\""), |parser| parser.expect(TokenKind::RightBrace))?;
                break;
            }
        }
        Ok(())
    }

    fn label_matcher(&mut self) -> Parsed<Matcher> {
        let token = self.peek()?;
        let name = match token.kind {
            TokenKind::Identifier => {
                self.bump()?;
                token.text.to_owned()
            }
            TokenKind::String => {
                self.bump()?;
                self.unquote(token)?
            }
            _ => {
                return self
                    .in_context(("label matching", "identifier or \"}\""), |parser| Err(parser.unexpected(token)));
            }
        };
        let op = self.peek()?;
        let op = match op.kind {
            TokenKind::Assign => MatchOp::Equal,
            TokenKind::Operator(BinaryOp::NotEqual) => MatchOp::NotEqual,
            TokenKind::RegexMatch => MatchOp::Regex,
            TokenKind::RegexNoMatch => MatchOp::NotRegex,
            // A quoted name alone is the metric's.
            _ if token.kind == TokenKind::String => return Ok(Matcher::equal(METRIC_NAME, &name)),
            _ => {
                return self
                    .in_context(("label matching", "label matching operator"), |parser| Err(parser.unexpected(op)));
            }
        };
        self.bump()?;
        let value = self.in_context(("label matching", "string"), |parser| parser.expect(TokenKind::String))?;
        let text = self.unquote(value)?;
        let position = token.position().to(value.position());
        let matcher = Matcher::new(op, &name, &text).map_err(|error| self.error(position, error.to_string()))?;
        self.automata += usize::from(matcher.has_automaton());
        if self.automata > AUTOMATA_MAX {
            let message = format!("more than {AUTOMATA_MAX} regular expressions that are not plain alternatives");
            return Err(self.error(position, message));
        }
        Ok(matcher)
    }

    /// Everything that may follow an operand. All of it binds tighter than any operator.
    pub(super) fn modified(&mut self, mut node: Node) -> Parsed<Node> {
        loop {
            let token = self.peek()?;
            match token.kind {
                TokenKind::LeftBracket => node = self.range(token, node)?,
                TokenKind::Keyword(Keyword::Offset) => self.offset(&mut node.expr)?,
                TokenKind::At => self.at(&mut node.expr)?,
                TokenKind::Keyword(Keyword::Anchored) => self.extended(&mut node.expr, ExtendedRange::Anchored)?,
                TokenKind::Keyword(Keyword::Smoothed) => self.extended(&mut node.expr, ExtendedRange::Smoothed)?,
                _ => return Ok(node),
            }
        }
    }

    /// `[5m]` or `[1h:1m]`
    fn range(&mut self, open: Token<'a>, Node { expr, height }: Node) -> Parsed<Node> {
        self.bump()?;
        let expected = ("subquery or range selector", "number, duration, step(), or range()");
        let range = self.in_context(expected, Self::positive_duration)?;
        let start = expr.position().start;
        if !self.take(TokenKind::Colon)? {
            self.in_context(("subquery or range", "\":\" or \"]\""), |parser| parser.expect(TokenKind::RightBracket))?;
            let position = PositionRange { start, end: self.end };
            let selector = self.range_selector(*expr, open)?;
            let height = self.grow(height, position)?;
            return Ok(Node::new(Expr::Matrix(MatrixSelector { selector, range, position }), height));
        }
        let step = if self.take(TokenKind::RightBracket)? {
            None
        } else {
            let expected = ("subquery selector", "number, duration, step(), range(), or \"]\"");
            let step = self.in_context(expected, Self::positive_duration)?;
            self.in_context(("subquery selector", "\"]\""), |parser| parser.expect(TokenKind::RightBracket))?;
            Some(step)
        };
        let position = PositionRange { start, end: self.end };
        let height = self.grow(height, position)?;
        let subquery = Subquery { expr, range, step, offset: Duration::Ms(0), at: None, position };
        Ok(Node::new(Expr::Subquery(subquery), height))
    }

    fn range_selector(&self, expr: Expr, open: Token<'a>) -> Parsed<VectorSelector> {
        let message = match expr {
            Expr::Vector(selector) if !selector.offset.is_zero() => "no offset modifiers allowed before range",
            Expr::Vector(selector) if selector.at.is_some() => "no @ modifiers allowed before range",
            Expr::Vector(selector) => return Ok(selector),
            _ => "ranges only allowed for vector selectors",
        };
        Err(self.error(PositionRange { start: open.start, end: self.end }, message))
    }

    fn offset(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.bump()?;
        let expected = ("offset", "number, duration, step(), or range()");
        let duration = self.in_context(expected, Self::offset_duration)?;
        let Some(Modifiers { offset, end, .. }) = Modifiers::of(expr) else {
            return Err(self.misplaced(expr, "offset"));
        };
        if !offset.is_zero() {
            return Err(self.error(expr.position(), "offset may not be set multiple times"));
        }
        *offset = duration;
        *end = self.end;
        Ok(())
    }

    fn at(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.bump()?;
        let value = self.in_context(("@", "timestamp"), Self::at_value)?;
        let value = match value {
            AtValue::Seconds(seconds) => At::Timestamp(self.timestamp(expr, seconds)?),
            AtValue::Start => At::Start,
            AtValue::End => At::End,
        };
        let Some(Modifiers { at, end, .. }) = Modifiers::of(expr) else {
            return Err(self.misplaced(expr, "@"));
        };
        if at.is_some() {
            return Err(self.error(expr.position(), "@ <timestamp> may not be set multiple times"));
        }
        *at = Some(value);
        *end = self.end;
        Ok(())
    }

    fn at_value(&mut self) -> Parsed<AtValue> {
        let value = match self.peek()?.kind {
            TokenKind::Keyword(Keyword::Start) => AtValue::Start,
            TokenKind::Keyword(Keyword::End) => AtValue::End,
            _ => {
                let sign = self.sign()?;
                let value = self.number_or_duration()?.value;
                let is_negative = sign.is_some_and(|(op, _)| op == UnaryOp::Minus);
                return Ok(AtValue::Seconds(if is_negative { -value } else { value }));
            }
        };
        self.bump()?;
        self.expect(TokenKind::LeftParen)?;
        self.expect(TokenKind::RightParen)?;
        Ok(value)
    }

    fn timestamp(&self, expr: &Expr, seconds: f64) -> Parsed<TimestampMs> {
        const SECONDS_END: f64 = i64::MAX as f64;
        if !(-SECONDS_END < seconds && seconds < SECONDS_END) {
            let shown = match seconds {
                f64::INFINITY => "+Inf".to_owned(),
                f64::NEG_INFINITY => "-Inf".to_owned(),
                _ => format!("{seconds:.6}"),
            };
            return Err(self.error(expr.position(), format!("timestamp out of bounds for @ modifier: {shown}")));
        }
        Ok(TimestampMs((seconds * 1e3).round() as i64))
    }

    fn extended(&mut self, expr: &mut Expr, wanted: ExtendedRange) -> Parsed<()> {
        self.bump()?;
        let name = wanted.as_str();
        let position = expr.position();
        if !self.options.extended_range_selectors {
            let message = format!("{name} modifier is experimental and not enabled");
            return Err(self.error(position, message).of_experimental(name));
        }
        let selector = match expr {
            Expr::Vector(selector) => selector,
            Expr::Matrix(matrix) => &mut matrix.selector,
            Expr::Subquery(_) => {
                return Err(self.error(position, format!("{name} modifier is not supported for subqueries")));
            }
            _ => return Err(self.error(position, format!("{name} modifier not implemented"))),
        };
        if selector.extended.is_some_and(|set| set != wanted) {
            return Err(self.error(position, "anchored and smoothed modifiers cannot be used together"));
        }
        selector.extended = Some(wanted);
        Ok(())
    }

    fn misplaced(&self, expr: &Expr, modifier: &str) -> crate::ParseError {
        let message = format!(
            "{modifier} modifier must be preceded by an instant vector selector or range vector selector or a subquery"
        );
        self.error(expr.position(), message)
    }
}

enum AtValue {
    Seconds(f64),
    Start,
    End,
}

/// The parts of a selector or subquery that modifiers set.
struct Modifiers<'e> {
    offset: &'e mut Duration,
    at: &'e mut Option<At>,
    end: &'e mut u32,
}

impl<'e> Modifiers<'e> {
    fn of(expr: &'e mut Expr) -> Option<Self> {
        match expr {
            Expr::Vector(VectorSelector { offset, at, position, .. })
            | Expr::Matrix(MatrixSelector { selector: VectorSelector { offset, at, .. }, position, .. })
            | Expr::Subquery(Subquery { offset, at, position, .. }) => {
                Some(Self { offset, at, end: &mut position.end })
            }
            _ => None,
        }
    }
}
