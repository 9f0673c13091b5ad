//! The grammar: `or` binds least, then `and`, then `not`; names and keywords compare without regard to case.

use super::{Argument, Comparison, DEPTH_MAX, FILTER_BYTES_MAX, Filter, FilterError, Literal, TERMS_MAX};

pub(super) fn filter(text: &str) -> Result<Filter, FilterError> {
    if text.len() > FILTER_BYTES_MAX {
        return Err(FilterError::TooLong);
    }
    let mut parser = Parser { text, at: 0, terms: 0 };
    let filter = parser.disjunction(0)?;
    match parser.peek()? {
        Token::End => Ok(filter),
        _ => Err(parser.unexpected("`and`, `or` or the end")),
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    terms: usize,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Token<'t> {
    /// A run of characters without quotes, spaces, parentheses, commas or colons in front of a lambda's body.
    Word(&'t str),
    Text(String),
    Mark(char),
    End,
}

impl<'t> Parser<'t> {
    fn disjunction(&mut self, depth: usize) -> Result<Filter, FilterError> {
        let mut terms = vec![self.conjunction(depth)?];
        while self.keyword("or")? {
            terms.push(self.conjunction(depth)?);
        }
        Ok(if terms.len() == 1 { terms.remove(0) } else { Filter::Or(terms) })
    }

    fn conjunction(&mut self, depth: usize) -> Result<Filter, FilterError> {
        let mut terms = vec![self.term(depth)?];
        while self.keyword("and")? {
            terms.push(self.term(depth)?);
        }
        // What stands in parentheses between two `and` is no different from what stands there without.
        let flat = terms.into_iter().flat_map(|term| match term {
            Filter::And(inner) => inner,
            other => vec![other],
        });
        let mut flat: Vec<Filter> = flat.collect();
        Ok(if flat.len() == 1 { flat.remove(0) } else { Filter::And(flat) })
    }

    fn term(&mut self, depth: usize) -> Result<Filter, FilterError> {
        if depth >= DEPTH_MAX {
            return Err(FilterError::TooDeep);
        }
        if self.mark('(')? {
            let inner = self.disjunction(depth + 1)?;
            self.expect(')', "`)`")?;
            return Ok(inner);
        }
        let start = self.at;
        let Token::Word(name) = self.next()? else {
            self.at = start;
            return Err(self.unexpected("a condition"));
        };
        if name.eq_ignore_ascii_case("not") {
            return Ok(Filter::Not(Box::new(self.term(depth + 1)?)));
        }
        self.count()?;
        if self.mark('(')? {
            return match name.rsplit_once('/') {
                Some((collection, any)) if any.eq_ignore_ascii_case("any") => self.any(collection, depth),
                _ => self.call(name),
            };
        }
        self.comparison(name)
    }

    fn any(&mut self, collection: &str, depth: usize) -> Result<Filter, FilterError> {
        let Token::Word(variable) = self.next()? else { return Err(self.unexpected("the name of a variable")) };
        self.expect(':', "`:`")?;
        let condition = Box::new(self.disjunction(depth + 1)?);
        self.expect(')', "`)`")?;
        Ok(Filter::Any { collection: collection.to_owned(), variable: variable.to_owned(), condition })
    }

    fn call(&mut self, name: &str) -> Result<Filter, FilterError> {
        let mut arguments = Vec::new();
        while !self.mark(')')? {
            if !arguments.is_empty() {
                self.expect(',', "`,` or `)`")?;
            }
            self.count()?;
            let start = self.at;
            arguments.push(match self.next()? {
                Token::Text(text) => Argument::Text(text),
                Token::Word(word) => Argument::Word(word.to_owned()),
                Token::Mark(_) | Token::End => {
                    self.at = start;
                    return Err(self.unexpected("an argument"));
                }
            });
        }
        Ok(Filter::Call { name: name.to_owned(), arguments })
    }

    fn comparison(&mut self, field: &str) -> Result<Filter, FilterError> {
        let start = self.at;
        let operator = match self.next()? {
            Token::Word(word) => word.to_ascii_lowercase(),
            _ => String::new(),
        };
        let comparison = match operator.as_str() {
            "eq" => Comparison::Equal,
            "ne" => Comparison::NotEqual,
            "gt" => Comparison::Greater,
            "ge" => Comparison::GreaterOrEqual,
            "lt" => Comparison::Less,
            "le" => Comparison::LessOrEqual,
            "in" => return self.list(field),
            _ => {
                self.at = start;
                return Err(self.unexpected("one of eq, ne, gt, ge, lt, le, in"));
            }
        };
        Ok(Filter::Compare { field: field.to_owned(), comparison, literal: self.literal()? })
    }

    fn list(&mut self, field: &str) -> Result<Filter, FilterError> {
        self.expect('(', "`(`")?;
        let mut literals = vec![self.literal()?];
        while self.mark(',')? {
            self.count()?;
            literals.push(self.literal()?);
        }
        self.expect(')', "`)`")?;
        Ok(Filter::In { field: field.to_owned(), literals })
    }

    fn literal(&mut self) -> Result<Literal, FilterError> {
        let start = self.at;
        match self.next()? {
            Token::Text(text) => Ok(Literal::Text(text)),
            Token::Word(word) => Ok(Literal::Word(word.to_owned())),
            Token::Mark(_) | Token::End => {
                self.at = start;
                Err(self.unexpected("a value"))
            }
        }
    }

    fn count(&mut self) -> Result<(), FilterError> {
        self.terms += 1;
        if self.terms > TERMS_MAX { Err(FilterError::TooManyTerms) } else { Ok(()) }
    }

    fn keyword(&mut self, keyword: &str) -> Result<bool, FilterError> {
        let start = self.at;
        let found = matches!(self.next()?, Token::Word(word) if word.eq_ignore_ascii_case(keyword));
        if !found {
            self.at = start;
        }
        Ok(found)
    }

    fn mark(&mut self, mark: char) -> Result<bool, FilterError> {
        let found = self.peek()? == Token::Mark(mark);
        if found {
            self.next()?;
        }
        Ok(found)
    }

    fn expect(&mut self, mark: char, name: &'static str) -> Result<(), FilterError> {
        if self.mark(mark)? { Ok(()) } else { Err(self.unexpected(name)) }
    }

    fn peek(&mut self) -> Result<Token<'t>, FilterError> {
        let start = self.at;
        let token = self.next();
        self.at = start;
        token
    }

    fn next(&mut self) -> Result<Token<'t>, FilterError> {
        self.at += self.rest().len() - self.rest().trim_start().len();
        let Some(first) = self.rest().chars().next() else { return Ok(Token::End) };
        match first {
            '(' | ')' | ',' => {
                self.at += 1;
                Ok(Token::Mark(first))
            }
            // Only in a lambda; inside a word it belongs to it, as in the times of the activity log.
            ':' => {
                self.at += 1;
                Ok(Token::Mark(':'))
            }
            '\'' => self.text(),
            _ => {
                let word = self.rest();
                let end =
                    word.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '\'')).unwrap_or(word.len());
                // `c:c eq …`: the variable ends at the colon; a time's hours begin with a digit.
                let end = match word[..end].find(':') {
                    Some(colon) if first.is_alphabetic() => colon,
                    _ => end,
                };
                self.at += end;
                Ok(Token::Word(&word[..end]))
            }
        }
    }

    fn text(&mut self) -> Result<Token<'t>, FilterError> {
        let mut text = String::new();
        let mut rest = &self.rest()[1..];
        loop {
            let Some(end) = rest.find('\'') else { return Err(self.unexpected("the quote that ends the text")) };
            text.push_str(&rest[..end]);
            rest = &rest[end + 1..];
            match rest.strip_prefix('\'') {
                Some(after) => {
                    text.push('\'');
                    rest = after;
                }
                None => break,
            }
        }
        self.at = self.text.len() - rest.len();
        Ok(Token::Text(text))
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn unexpected(&self, expected: &'static str) -> FilterError {
        let rest = self.rest().trim_start();
        let found = if rest.is_empty() { None } else { Some(rest.chars().take(SHOWN_CHARS).collect()) };
        FilterError::Unexpected { at: self.text[..self.text.len() - rest.len()].chars().count() + 1, expected, found }
    }
}

const SHOWN_CHARS: usize = 20;
