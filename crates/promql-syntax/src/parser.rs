//! From tokens to a tree: recursive descent, with binding powers for the binary operators.
//!
//! The grammar is Prometheus' (`promql/parser/generated_parser.y`), where a table-driven parser words its errors by the
//! innermost rule that knows how to. Here that is the stack `contexts`: rules with words of their own push them while they
//! are being read. The first error ends the parse: only the first is ever shown.
//! Syntax alone is decided here, with what upstream decides on the way; types are [`crate::check`]'s.

mod duration;
mod selector;

use model::Matcher;

use crate::ast::{
    AggregateOp, Aggregation, Binary, BinaryOp, Call, Cardinality, Expr, NumberLiteral, Paren, PositionRange,
    StringLiteral, Unary, UnaryOp, VectorMatching,
};
use crate::lexer::Lexer;
use crate::quote::quoted;
use crate::token::{Keyword, Token, TokenKind};
use crate::{DEPTH_MAX, Options, ParseError, QUERY_BYTES_MAX, check, function, literal};

/// Parses and type-checks an expression.
///
/// # Errors
/// The first mistake, worded as Prometheus words it.
pub fn parse_expr(input: &str, options: Options) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(input, options)?;
    if parser.peek()?.kind == TokenKind::EndOfInput {
        return Err(ParseError::new(input, PositionRange::default(), "no expression found in input"));
    }
    let mut expr = parser.expr(LOWEST)?.expr;
    parser.end()?;
    check::check(input, &mut expr)?;
    Ok(*expr)
}

/// Parses a series selector alone, as `match[]` holds it, into its matchers. An empty one (`{}`) is a selector too.
///
/// # Errors
/// The first mistake, worded as Prometheus words it.
pub fn parse_metric_selector(input: &str) -> Result<Vec<Matcher>, ParseError> {
    let mut parser = Parser::new(input, Options::default())?;
    let token = parser.peek()?;
    let selector = match token.kind {
        TokenKind::LeftBrace => parser.selector(None)?,
        _ if token.is_metric_name() => {
            parser.bump()?;
            parser.selector(Some(token))?
        }
        _ => return Err(parser.unexpected(token)),
    };
    parser.end()?;
    Ok(selector.matchers)
}

type Parsed<T> = Result<T, ParseError>;

/// A subtree and its height, which [`DEPTH_MAX`] bounds. Boxed at once, which keeps the frames of the recursion small.
struct Node {
    expr: Box<Expr>,
    height: usize,
}

/// Where an unexpected token stands, and what was expected instead. Either may be empty.
type Context = (&'static str, &'static str);

struct Parser<'a> {
    input: &'a str,
    options: Options,
    lexer: Lexer<'a>,
    /// The token that has been read but not taken.
    peeked: Option<Token<'a>>,
    /// The end of the last token taken.
    end: u32,
    /// How deep calls are nested.
    nesting: usize,
    /// Matchers so far that run an automaton.
    automata: usize,
    contexts: Vec<Context>,
}

/// Binding power of an operator: higher binds tighter.
type Power = u8;
const LOWEST: Power = 1;
const SIGN: Power = 5;
const POWER: Power = 6;

fn power(op: BinaryOp) -> Power {
    use BinaryOp::{Add, And, Atan2, Div, Mod, Mul, Or, Pow, Sub, Unless};
    match op {
        Or => LOWEST,
        And | Unless => 2,
        Add | Sub => 4,
        Mul | Div | Mod | Atan2 => SIGN,
        Pow => POWER,
        _ => 3,
    }
}

/// The least power that may stand on the right of an operator: only `^` groups to the right.
fn power_on_right(op: BinaryOp) -> Power {
    if op == BinaryOp::Pow { POWER } else { power(op) + 1 }
}

impl<'a> Parser<'a> {
    fn new(input: &'a str, options: Options) -> Parsed<Self> {
        if input.len() > QUERY_BYTES_MAX {
            let message = format!("expression is {} bytes long, allowed are {QUERY_BYTES_MAX}", input.len());
            return Err(ParseError::new(input, PositionRange::default(), message));
        }
        let lexer = Lexer::new(input);
        Ok(Self { input, options, lexer, peeked: None, end: 0, nesting: 0, automata: 0, contexts: Vec::new() })
    }

    fn expr(&mut self, lowest: Power) -> Parsed<Node> {
        self.nest()?;
        let mut lhs = self.operand()?;
        while let TokenKind::Operator(op) = self.peek()?.kind {
            if power(op) < lowest {
                break;
            }
            self.bump()?;
            let modifiers = self.binary_modifiers()?;
            let rhs = self.expr(power_on_right(op))?;
            lhs = self.binary(op, lhs, rhs, modifiers)?;
        }
        self.nesting -= 1;
        Ok(lhs)
    }

    fn binary(&mut self, op: BinaryOp, lhs: Node, rhs: Node, modifiers: BinaryModifiers) -> Parsed<Node> {
        let position = lhs.expr.position().to(rhs.expr.position());
        let BinaryModifiers { return_bool, matching } = modifiers;
        if !self.options.fill_modifiers && (matching.fill_left.is_some() || matching.fill_right.is_some()) {
            let message = "binop fill modifiers are experimental and not enabled";
            return Err(self.error(position, message).of_experimental("fill modifiers"));
        }
        let height = self.grow(lhs.height.max(rhs.height), position)?;
        let (lhs, rhs, matching) = (lhs.expr, rhs.expr, Some(matching));
        let expr = Expr::Binary(Binary { op, lhs, rhs, return_bool, matching, position });
        Ok(Node::new(expr, height))
    }

    fn operand(&mut self) -> Parsed<Node> {
        let token = self.peek()?;
        let op = match token.kind {
            TokenKind::Operator(BinaryOp::Add) => UnaryOp::Plus,
            TokenKind::Operator(BinaryOp::Sub) => UnaryOp::Minus,
            _ => {
                let node = self.primary(token)?;
                return self.modified(node);
            }
        };
        self.bump()?;
        // A sign binds like `*`, so that `-1^2` is `-(1^2)`.
        let Node { mut expr, height } = self.expr(SIGN + 1)?;
        if let Expr::Number(number) = &mut *expr {
            number.position.start = token.start;
            if op == UnaryOp::Minus {
                number.value = -number.value;
            }
            return Ok(Node { expr, height });
        }
        let position = token.position().to(expr.position());
        let height = self.grow(height, position)?;
        Ok(Node::new(Expr::Unary(Unary { op, expr, position }), height))
    }

    /// An operand without the signs before it and the modifiers after it.
    fn primary(&mut self, token: Token<'a>) -> Parsed<Node> {
        match token.kind {
            TokenKind::Number | TokenKind::Duration => Ok(leaf(Expr::Number(self.number_or_duration()?))),
            TokenKind::String => self.string_literal(token),
            TokenKind::LeftParen => self.paren(token),
            TokenKind::LeftBrace => Ok(leaf(Expr::Vector(self.selector(None)?))),
            _ if token.is_metric_name() => self.named(token),
            _ => Err(self.unexpected(token)),
        }
    }

    /// A name begins a call, an aggregation or a selector: what follows it decides.
    fn named(&mut self, name: Token<'a>) -> Parsed<Node> {
        self.bump()?;
        let next = self.peek()?.kind;
        let is_function = match name.kind {
            TokenKind::Identifier => true,
            TokenKind::Keyword(keyword) => keyword.is_function(),
            _ => false,
        };
        match (name.kind, next) {
            (_, TokenKind::LeftParen) if is_function => self.call(name),
            (TokenKind::Aggregator(op), TokenKind::LeftParen | TokenKind::Keyword(Keyword::By | Keyword::Without)) => {
                self.aggregation(op, name)
            }
            _ => Ok(leaf(Expr::Vector(self.selector(Some(name))?))),
        }
    }

    fn string_literal(&mut self, token: Token<'a>) -> Parsed<Node> {
        self.bump()?;
        let (value, invalid_utf8) = match literal::unquote(token.text) {
            Ok(value) => (value, None),
            Err(error) => (String::from_utf8_lossy(error.as_bytes()).into_owned(), Some(error.into_bytes().into())),
        };
        Ok(leaf(Expr::String(StringLiteral { value, invalid_utf8, position: token.position() })))
    }

    fn paren(&mut self, open: Token<'a>) -> Parsed<Node> {
        self.bump()?;
        let inner = self.expr(LOWEST)?;
        let close = self.expect(TokenKind::RightParen)?;
        let position = open.position().to(close.position());
        let height = self.grow(inner.height, position)?;
        Ok(Node::new(Expr::Paren(Paren { expr: inner.expr, position }), height))
    }

    fn call(&mut self, name: Token<'a>) -> Parsed<Node> {
        let (args, height) = self.args()?;
        let position = PositionRange { start: name.start, end: self.end };
        let Some(function) = function(name.text) else {
            return Err(self.error(name.position(), format!("unknown function with name {}", quoted(name.text))));
        };
        if function.experimental && !self.options.experimental_functions {
            let message = format!("function {} is not enabled", quoted(name.text));
            return Err(self.error(name.position(), message).of_experimental(function.name));
        }
        let height = self.grow(height, position)?;
        Ok(Node::new(Expr::Call(Call { function, args, position }), height))
    }

    fn aggregation(&mut self, op: AggregateOp, name: Token<'a>) -> Parsed<Node> {
        self.contexts.push(("aggregation", ""));
        let mut modifier = self.aggregation_modifier()?;
        let (mut args, height) = self.args()?;
        if modifier.is_none() {
            let end = self.end;
            modifier = self.aggregation_modifier()?;
            if modifier.is_none() {
                self.end = end;
            }
        }
        self.contexts.pop();
        let position = PositionRange { start: name.start, end: self.end };
        self.check_aggregation(op, args.len(), position)?;
        let expr = Box::new(args.pop().expect("the number of arguments has been checked"));
        let param = args.pop().map(Box::new);
        let (grouping, without) = modifier.unwrap_or_default();
        let height = self.grow(height, position)?;
        Ok(Node::new(Expr::Aggregation(Aggregation { op, expr, param, grouping, without, position }), height))
    }

    fn check_aggregation(&self, op: AggregateOp, args: usize, position: PositionRange) -> Parsed<()> {
        if args == 0 {
            return Err(self.error(position, "no arguments for aggregate expression provided"));
        }
        if op.is_experimental() && !self.options.experimental_functions {
            let message = format!(
                "{}() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
                op.as_str()
            );
            return Err(self.error(position, message).of_experimental(op.as_str()));
        }
        let expected = if op.param_type().is_some() { 2 } else { 1 };
        if args != expected {
            let message =
                format!("wrong number of arguments for aggregate expression provided, expected {expected}, got {args}");
            return Err(self.error(position, message));
        }
        Ok(())
    }

    /// `by (…)` or `without (…)`: the labels, and whether it is `without`.
    fn aggregation_modifier(&mut self) -> Parsed<Option<(Vec<String>, bool)>> {
        let without = match self.peek()?.kind {
            TokenKind::Keyword(Keyword::By) => false,
            TokenKind::Keyword(Keyword::Without) => true,
            _ => return Ok(None),
        };
        self.bump()?;
        Ok(Some((self.grouping_labels()?, without)))
    }

    /// Arguments in parentheses, and the height of the highest.
    fn args(&mut self) -> Parsed<(Vec<Expr>, usize)> {
        self.expect(TokenKind::LeftParen)?;
        let mut args = Vec::new();
        let mut height = 0;
        if self.take(TokenKind::RightParen)? {
            return Ok((args, height));
        }
        loop {
            let node = self.expr(LOWEST)?;
            height = height.max(node.height);
            args.push(*node.expr);
            let comma = self.peek()?;
            if comma.kind != TokenKind::Comma {
                self.expect(TokenKind::RightParen)?;
                return Ok((args, height));
            }
            self.bump()?;
            if !self.peek()?.starts_expr() {
                return Err(self.error(comma.position(), "trailing commas not allowed in function call args"));
            }
        }
    }

    /// Labels in parentheses after `by`, `on` and their like.
    fn grouping_labels(&mut self) -> Parsed<Vec<String>> {
        self.in_context(("grouping opts", "\"(\""), |parser| parser.expect(TokenKind::LeftParen))?;
        let mut labels = Vec::new();
        if self.take(TokenKind::RightParen)? {
            return Ok(labels);
        }
        loop {
            labels.push(self.in_context(("grouping opts", "label"), Self::grouping_label)?);
            let more = self.take(TokenKind::Comma)?;
            if !more {
                self.in_context(("grouping opts", "\",\" or \")\""), |parser| parser.expect(TokenKind::RightParen))?;
            }
            if !more || self.take(TokenKind::RightParen)? {
                return Ok(labels);
            }
        }
    }

    fn grouping_label(&mut self) -> Parsed<String> {
        let token = self.peek()?;
        let label = match token.kind {
            TokenKind::String => {
                self.bump()?;
                self.unquote(token)?
            }
            _ if token.is_grouping_label() => {
                self.bump()?;
                token.text.to_owned()
            }
            _ => return Err(self.unexpected(token)),
        };
        if label.is_empty() {
            return Err(self.error(token.position(), "invalid label name for grouping: \"\""));
        }
        Ok(label)
    }

    fn binary_modifiers(&mut self) -> Parsed<BinaryModifiers> {
        let mut modifiers = BinaryModifiers::new();
        let matching = &mut modifiers.matching;
        modifiers.return_bool = self.take_keyword(Keyword::Bool)?;
        matching.on = self.take_keyword(Keyword::On)?;
        if matching.on || self.take_keyword(Keyword::Ignoring)? {
            matching.labels = self.grouping_labels()?;
            if self.take_keyword(Keyword::GroupLeft)? {
                matching.cardinality = Cardinality::ManyToOne;
            } else if self.take_keyword(Keyword::GroupRight)? {
                matching.cardinality = Cardinality::OneToMany;
            }
            // Labels may follow; a parenthesis is always theirs. What is neither labels nor an operand is taken for wrong labels.
            let next = self.peek()?;
            let is_labels = next.kind == TokenKind::LeftParen || !next.starts_expr();
            if matching.cardinality != Cardinality::OneToOne && is_labels {
                matching.include = self.grouping_labels()?;
            }
        }
        if self.take_keyword(Keyword::Fill)? {
            matching.fill_left = Some(self.fill_value()?);
            matching.fill_right = matching.fill_left;
        } else if self.take_keyword(Keyword::FillLeft)? {
            matching.fill_left = Some(self.fill_value()?);
            if self.take_keyword(Keyword::FillRight)? {
                matching.fill_right = Some(self.fill_value()?);
            }
        } else if self.take_keyword(Keyword::FillRight)? {
            matching.fill_right = Some(self.fill_value()?);
            if self.take_keyword(Keyword::FillLeft)? {
                matching.fill_left = Some(self.fill_value()?);
            }
        }
        Ok(modifiers)
    }

    fn fill_value(&mut self) -> Parsed<f64> {
        self.expect(TokenKind::LeftParen)?;
        let sign = self.sign()?;
        let value = self.number_or_duration()?.value;
        self.expect(TokenKind::RightParen)?;
        Ok(if sign.is_some_and(|(op, _)| op == UnaryOp::Minus) { -value } else { value })
    }

    /// Takes a sign if there is one.
    fn sign(&mut self) -> Parsed<Option<(UnaryOp, Token<'a>)>> {
        let token = self.peek()?;
        let op = match token.kind {
            TokenKind::Operator(BinaryOp::Add) => UnaryOp::Plus,
            TokenKind::Operator(BinaryOp::Sub) => UnaryOp::Minus,
            _ => return Ok(None),
        };
        self.bump()?;
        Ok(Some((op, token)))
    }

    fn number_or_duration(&mut self) -> Parsed<NumberLiteral> {
        let token = self.peek()?;
        let (value, is_duration) = match token.kind {
            TokenKind::Number => {
                let value = literal::number(token.text).map_err(|error| format!("error parsing number: {error}"));
                (value, false)
            }
            TokenKind::Duration => (literal::duration_ms(token.text).map(|ms| ms as f64 / 1e3), true),
            _ => return Err(self.unexpected(token)),
        };
        self.bump()?;
        let value = value.map_err(|message| self.error(token.position(), message))?;
        Ok(NumberLiteral { value, is_duration, position: token.position() })
    }

    fn unquote(&self, token: Token<'a>) -> Parsed<String> {
        literal::unquote(token.text).map_err(|_| {
            let text = quoted(token.text);
            self.error(token.position(), format!("error unquoting string {text}: no label is other than valid UTF-8"))
        })
    }

    fn end(&mut self) -> Parsed<()> {
        self.expect(TokenKind::EndOfInput).map(drop)
    }

    fn peek(&mut self) -> Parsed<Token<'a>> {
        match self.peeked {
            Some(token) => Ok(token),
            None => Ok(*self.peeked.insert(self.lexer.next_token()?)),
        }
    }

    fn bump(&mut self) -> Parsed<Token<'a>> {
        let token = self.peek()?;
        self.peeked = None;
        self.end = token.end();
        Ok(token)
    }

    fn take(&mut self, kind: TokenKind) -> Parsed<bool> {
        let found = self.peek()?.kind == kind;
        if found {
            self.bump()?;
        }
        Ok(found)
    }

    fn take_keyword(&mut self, keyword: Keyword) -> Parsed<bool> {
        self.take(TokenKind::Keyword(keyword))
    }

    fn expect(&mut self, kind: TokenKind) -> Parsed<Token<'a>> {
        let token = self.peek()?;
        if token.kind == kind { self.bump() } else { Err(self.unexpected(token)) }
    }

    fn in_context<T>(&mut self, context: Context, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.contexts.push(context);
        let result = parse(self)?;
        self.contexts.pop();
        Ok(result)
    }

    fn unexpected(&self, token: Token<'a>) -> ParseError {
        let (context, expected) = self.contexts.last().copied().unwrap_or_default();
        let mut message = format!("unexpected {}", token.describe());
        if !context.is_empty() {
            message.push_str(" in ");
            message.push_str(context);
        }
        if !expected.is_empty() {
            message.push_str(", expected ");
            message.push_str(expected);
        }
        self.error(token.position(), message)
    }

    fn error(&self, position: PositionRange, message: impl Into<String>) -> ParseError {
        ParseError::new(self.input, position, message)
    }

    /// One level of recursion more.
    fn nest(&mut self) -> Parsed<()> {
        let position = self.peek()?.position();
        self.nesting = self.grow(self.nesting, position)?;
        Ok(())
    }

    /// The height of a node over a subtree of that height.
    fn grow(&self, height: usize, position: PositionRange) -> Parsed<usize> {
        if height >= DEPTH_MAX {
            return Err(self.error(position, format!("expression is nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(height + 1)
    }
}

/// What may stand between a binary operator and its right operand.
struct BinaryModifiers {
    return_bool: bool,
    matching: VectorMatching,
}

impl BinaryModifiers {
    fn new() -> Self {
        let matching = VectorMatching {
            cardinality: Cardinality::OneToOne,
            labels: Vec::new(),
            on: false,
            include: Vec::new(),
            fill_left: None,
            fill_right: None,
        };
        Self { return_bool: false, matching }
    }
}

impl Node {
    fn new(expr: Expr, height: usize) -> Self {
        Self { expr: Box::new(expr), height }
    }
}

fn leaf(expr: Expr) -> Node {
    Node::new(expr, 1)
}

#[cfg(test)]
mod tests;
