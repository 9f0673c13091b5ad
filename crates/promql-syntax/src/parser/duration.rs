//! Durations in ranges, steps and offsets: literals, and expressions over them behind their switch.

use super::{LOWEST, Parsed, Parser, Power, SIGN, power, power_on_right};
use crate::ast::{BinaryOp, Duration, DurationExpr, NumberLiteral, PositionRange, UnaryOp};
use crate::token::{Keyword, Token, TokenKind};

/// Go counts durations as nanoseconds in 64 bits: this many seconds fit.
const SECONDS_MAX: f64 = 9_223_372_036.854_776;

impl<'a> Parser<'a> {
    /// A range or a step: greater than zero as far as that can be seen.
    pub(super) fn positive_duration(&mut self) -> Parsed<Duration> {
        let duration = self.duration_expr(LOWEST)?;
        // What follows comes before what is wrong with the value.
        self.peek()?;
        match duration {
            DurationExpr::Number(number) if number.value <= 0.0 => {
                Err(self.error(number.position, "duration must be greater than 0"))
            }
            duration => Ok(resolved_positive(duration)),
        }
    }

    /// What follows `offset`. A literal ends it, so that `a offset -2^2` is `(a offset -2)^2`.
    pub(super) fn offset_duration(&mut self) -> Parsed<Duration> {
        let first = self.peek()?;
        let sign = self.sign()?;
        let next = self.peek()?.kind;
        let is_group = next == TokenKind::LeftParen;
        if sign.is_some() && matches!(next, TokenKind::Operator(_)) {
            let operand = self.duration_expr(SIGN + 1)?;
            let signed = self.signed(sign, operand)?;
            return Ok(resolved(self.duration_operators(signed, LOWEST)?));
        }
        let operand = match sign {
            Some(_) if is_group => self.duration_paren(false)?,
            _ => self.duration_primary(first.start)?,
        };
        let signed = self.signed(sign, operand)?;
        if first.kind == TokenKind::LeftParen {
            return Ok(resolved(self.duration_operators(signed, LOWEST)?));
        }
        Ok(resolved(signed))
    }

    fn duration_expr(&mut self, lowest: Power) -> Parsed<DurationExpr> {
        self.nest()?;
        let sign = self.sign()?;
        let operand = match sign {
            Some(_) => self.duration_expr(SIGN + 1)?,
            None => {
                let start = self.peek()?.start;
                self.duration_primary(start)?
            }
        };
        let operand = self.signed(sign, operand)?;
        let result = self.duration_operators(operand, lowest)?;
        self.nesting -= 1;
        Ok(result)
    }

    fn duration_operators(&mut self, mut lhs: DurationExpr, lowest: Power) -> Parsed<DurationExpr> {
        // Each operator makes the tree higher by one.
        let mut height = self.nesting;
        loop {
            let token = self.peek()?;
            let op = match token.kind {
                TokenKind::Operator(op) if is_duration_operator(op) && power(op) >= lowest => op,
                _ => return Ok(lhs),
            };
            height = self.grow(height, token.position())?;
            self.bump()?;
            let rhs = self.duration_expr(power_on_right(op))?;
            self.require_duration_expressions(lhs.position())?;
            let is_zero = matches!(&rhs, DurationExpr::Number(number) if number.value == 0.0);
            match op {
                BinaryOp::Div if is_zero => return Err(self.error(token.position(), "division by zero")),
                BinaryOp::Mod if is_zero => return Err(self.error(token.position(), "modulo by zero")),
                _ => {}
            }
            let position = lhs.position().to(rhs.position());
            lhs = DurationExpr::Binary(op, Box::new(lhs), Box::new(rhs), position);
        }
    }

    /// An operand; `start` is where an error about it points.
    fn duration_primary(&mut self, start: u32) -> Parsed<DurationExpr> {
        let token = self.peek()?;
        match token.kind {
            TokenKind::Number | TokenKind::Duration => {
                let number = self.number_or_duration()?;
                if is_out_of_range(number.value) {
                    let position = PositionRange { start, end: number.position.end };
                    return Err(self.error(position, "duration out of range"));
                }
                Ok(DurationExpr::Number(number))
            }
            TokenKind::LeftParen => self.duration_paren(true),
            TokenKind::Keyword(Keyword::Step) => Ok(DurationExpr::Step(self.duration_call(token, start)?)),
            TokenKind::Keyword(Keyword::Range) => Ok(DurationExpr::Range(self.duration_call(token, start)?)),
            TokenKind::Keyword(keyword @ (Keyword::MinOf | Keyword::MaxOf)) => {
                let (left, right, position) = self.duration_pair(token, start)?;
                Ok(if keyword == Keyword::MinOf {
                    DurationExpr::MinOf(left, right, position)
                } else {
                    DurationExpr::MaxOf(left, right, position)
                })
            }
            _ => Err(self.unexpected(token)),
        }
    }

    /// An expression in parentheses. Upstream lets them pass without the switch after a sign.
    fn duration_paren(&mut self, needs_switch: bool) -> Parsed<DurationExpr> {
        let open = self.expect(TokenKind::LeftParen)?;
        let inner = self.duration_expr(LOWEST)?;
        let close = self.expect(TokenKind::RightParen)?;
        if needs_switch {
            self.require_duration_expressions(inner.position())?;
        }
        Ok(match inner {
            DurationExpr::Paren(..) => inner,
            _ => DurationExpr::Paren(Box::new(inner), open.position().to(close.position())),
        })
    }

    /// `step()` or `range()`
    fn duration_call(&mut self, name: Token<'a>, start: u32) -> Parsed<PositionRange> {
        self.bump()?;
        self.expect(TokenKind::LeftParen)?;
        let close = self.expect(TokenKind::RightParen)?;
        let position = name.position().to(close.position());
        self.require_duration_expressions(PositionRange { start, end: position.end })?;
        Ok(position)
    }

    /// The arguments of `min_of` and `max_of`.
    fn duration_pair(
        &mut self,
        name: Token<'a>,
        start: u32,
    ) -> Parsed<(Box<DurationExpr>, Box<DurationExpr>, PositionRange)> {
        self.bump()?;
        self.expect(TokenKind::LeftParen)?;
        let left = self.duration_expr(LOWEST)?;
        self.expect(TokenKind::Comma)?;
        let right = self.duration_expr(LOWEST)?;
        self.expect(TokenKind::RightParen)?;
        // Where it stands is where its arguments do; a sign in front is what an error points at.
        let position = left.position().to(right.position());
        let start = if start < name.start { start } else { position.start };
        self.require_duration_expressions(PositionRange { start, end: position.end })?;
        Ok((Box::new(left), Box::new(right), position))
    }

    /// A sign goes into a number; before anything else `+` means nothing.
    fn signed(&self, sign: Option<(UnaryOp, Token<'a>)>, operand: DurationExpr) -> Parsed<DurationExpr> {
        let Some((op, token)) = sign else {
            return Ok(operand);
        };
        match operand {
            DurationExpr::Number(number) => {
                let value = if op == UnaryOp::Minus { -number.value } else { number.value };
                let position = token.position().to(number.position);
                Ok(DurationExpr::Number(NumberLiteral { value, position, ..number }))
            }
            operand if op == UnaryOp::Minus => {
                let position = token.position().to(operand.position());
                Ok(DurationExpr::Negative(Box::new(operand), position))
            }
            operand => Ok(operand),
        }
    }

    fn require_duration_expressions(&self, position: PositionRange) -> Parsed<()> {
        if self.options.duration_expressions {
            return Ok(());
        }
        let message = "experimental duration expression is not enabled";
        Err(self.error(position, message).of_experimental("duration expressions"))
    }
}

fn is_duration_operator(op: BinaryOp) -> bool {
    use BinaryOp::{Add, Div, Mod, Mul, Pow, Sub};
    matches!(op, Add | Sub | Mul | Div | Mod | Pow)
}

/// Not a number is out of range too: upstream makes some duration or other of it.
fn is_out_of_range(seconds: f64) -> bool {
    seconds.is_nan() || seconds.abs() > SECONDS_MAX
}

/// A literal becomes plain milliseconds, cut as upstream cuts nanoseconds.
fn resolved(duration: DurationExpr) -> Duration {
    match duration {
        DurationExpr::Number(number) => Duration::Ms((number.value * 1e9).round() as i64 / 1_000_000),
        expr => Duration::Expr(Box::new(expr)),
    }
}

/// The same for a range or a step, which stays greater than zero: nothing is shorter than a millisecond.
fn resolved_positive(duration: DurationExpr) -> Duration {
    match resolved(duration) {
        Duration::Ms(ms) => Duration::Ms(ms.max(1)),
        expr => expr,
    }
}
