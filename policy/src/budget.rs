//! How much a set of policies may ask of whoever reads and evaluates it. Every text is measured here before Cedar sees
//! it: Cedar's parser calls itself for every bracket, and a stack that overflows ends the process.
//!
//! INVARIANT: the scan never counts less depth than the parser meets. It skips what the grammar skips (strings and
//! comments, which end at `\n` or `\r`), and a bracket that closes another kind closes nothing.

use std::ops::Range;

use cardea_core::{Diagnostic, resources::PolicyText};
use cedar_policy_core::ast::{ExprKind, PatternElem, Template};

/// Brackets within brackets. Nobody reads a dozen; unoptimised, each takes some 60 KiB of stack.
const NESTING: usize = 24;
/// Operators and brackets on the way to the innermost part of an expression: a list of a hundred comparisons fits. Each may be
/// one more level of the tree that is evaluated, which takes 4 KiB of stack, and some 45 KiB unoptimised.
const OPERATORS: usize = 300;
/// What an `if` counts for: the parser calls itself for it, as it does for a bracket. Seventy fit into one another.
const IF: usize = 4;
/// One policy. The longest of real sets are about 4 KiB.
const POLICY_BYTES: usize = 64 * 1024;
/// All texts of one layer. Twenty thousand policies of 200 bytes.
const SET_BYTES: usize = 4 * 1024 * 1024;
/// Policies of one layer: twice the ten thousand that a tenant is promised.
const POLICIES: usize = 20_000;
/// Wildcards in one pattern.
const WILDCARDS: usize = 4;
/// Characters of one pattern: matching takes as many steps for each character of the text at worst.
const PATTERN_CHARS: usize = 256;
/// Patterns in one policy.
const LIKES: usize = 20;
/// Characters that patterns look for after a wildcard, over all policies of a layer. With a path of [`PATH_BYTES`] that makes
/// 270 million steps at the very worst, some tenths of a second.
const SOUGHT_CHARS: usize = 32 * 1024;
/// The longest path that is decided on, in bytes: patterns are matched against it. RFC 9110 section 4.1 asks for 8000.
pub const PATH_BYTES: usize = 8 * 1024;
/// Mistakes told at once: each is placed by reading the text up to it.
pub(crate) const MISTAKES: usize = 100;

/// What a layer has used of its budgets.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    policies: usize,
    bytes: usize,
    sought: usize,
    refused: bool,
}

impl Spent {
    /// Measures a text before it is parsed, in one pass, and tells where each policy stands. `Err` is the first thing
    /// that is too much.
    pub(crate) fn text(&mut self, source: &str, file: &PolicyText) -> Result<Vec<Range<usize>>, Diagnostic> {
        let text = &file.text;
        self.bytes = self.bytes.saturating_add(text.len());
        if self.bytes > SET_BYTES {
            let found = Diagnostic::new(source, format!("the policies are longer than {SET_BYTES} bytes in all"));
            return Err(found.help("say in one policy with groups what many say one by one"));
        }
        let places = Scan::new(source, text).run()?;
        let left = POLICIES.saturating_sub(self.policies);
        self.policies += places.len();
        match places.get(left) {
            Some(first) => Err(Diagnostic::new(source, format!("there are more than {POLICIES} policies"))
                .at(text, first.start, first.end)
                .help("say in one policy with groups what many say one by one")),
            None => Ok(places),
        }
    }

    /// Measures the patterns of a parsed policy.
    pub(crate) fn patterns(&mut self, source: &str, text: &str, policy: &Template) -> Option<Diagnostic> {
        let mut likes = 0;
        for expr in policy.non_scope_constraints()?.subexpressions() {
            let ExprKind::Like { pattern, .. } = expr.expr_kind() else { continue };
            likes += 1;
            let elems = pattern.get_elems();
            self.sought = self.sought.saturating_add(longest_after_wildcard(elems).max(1));
            let (message, help) = if elems.iter().filter(|elem| is_wildcard(elem)).count() > WILDCARDS {
                let help = "ask with fewer, or for an attribute that a pattern of the app gives";
                (format!("a pattern has more than {WILDCARDS} wildcards"), help)
            } else if elems.len() > PATTERN_CHARS {
                (format!("a pattern is longer than {PATTERN_CHARS} characters"), "ask for its beginning or its end")
            } else if likes > LIKES {
                let help = "split the policy, or list what is meant: `[…].contains(…)`";
                (format!("the policy has more than {LIKES} patterns"), help)
            } else if self.sought > SOUGHT_CHARS && !std::mem::replace(&mut self.refused, true) {
                let help = "compare with `==` or `[…].contains(…)` where the whole text is known";
                (format!("all patterns together look for more than {SOUGHT_CHARS} characters"), help)
            } else {
                continue;
            };
            let (start, end) = expr.source_loc().or(policy.loc()).map_or((0, 0), |loc| (loc.start(), loc.end()));
            return Some(Diagnostic::new(source, message).at(text, start, end).help(help));
        }
        None
    }
}

/// Matching goes back to the last wildcard, so only what stands after one is looked for again and again.
fn longest_after_wildcard(elems: &[PatternElem]) -> usize {
    elems.split(is_wildcard).skip(1).map(<[_]>::len).max().unwrap_or(0)
}

fn is_wildcard(elem: &PatternElem) -> bool {
    *elem == PatternElem::Wildcard
}

/// One pass over a text.
struct Scan<'a> {
    source: &'a str,
    text: &'a str,
    at: usize,
    open: Vec<Bracket>,
    /// Operators since the policy began or the last comma, outside all brackets.
    operators: usize,
    /// The sum of `operators` here and in all open brackets.
    depth: usize,
    /// A bracket that was open where a policy should have ended.
    unclosed: Option<usize>,
    after_dot: bool,
    /// Where policies stand: so many as may be, and one more.
    places: Vec<Range<usize>>,
    /// Where the policy at hand begins.
    start: Option<usize>,
}

struct Bracket {
    at: usize,
    closes: u8,
    operators: usize,
}

impl<'a> Scan<'a> {
    fn new(source: &'a str, text: &'a str) -> Self {
        Self {
            source,
            text,
            at: 0,
            open: Vec::new(),
            operators: 0,
            depth: 0,
            unclosed: None,
            after_dot: false,
            places: Vec::new(),
            start: None,
        }
    }

    fn run(mut self) -> Result<Vec<Range<usize>>, Diagnostic> {
        while let Some(&byte) = self.text.as_bytes().get(self.at) {
            let start = self.at;
            self.at += 1;
            if byte.is_ascii_whitespace() {
                continue;
            }
            if byte == b'/' && self.rest().first() == Some(&b'/') {
                self.skip_while(|byte| !matches!(byte, b'\n' | b'\r'));
                continue;
            }
            self.begin(start)?;
            match byte {
                b'"' => self.skip_string(),
                b'(' | b'[' | b'{' => self.opened(start, byte)?,
                b')' | b']' | b'}' => self.closed(byte),
                b',' => self.restart(),
                b';' => self.ended(),
                b':' | b'@' | b'?' => {}
                _ if byte.is_ascii_alphabetic() || byte == b'_' => self.word(start)?,
                _ if byte.is_ascii_punctuation() => {
                    self.skip_second(byte);
                    self.operators(start, 1)?;
                }
                _ => {}
            }
            self.after_dot = byte == b'.';
        }
        self.finish();
        Ok(self.places)
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        self.at += self.rest().iter().take_while(|byte| wanted(**byte)).count();
    }

    fn skip_string(&mut self) {
        loop {
            self.skip_while(|byte| !matches!(byte, b'"' | b'\\'));
            match self.rest().first() {
                Some(b'\\') => self.at = (self.at + 2).min(self.text.len()),
                Some(_) => return self.at += 1,
                None => return,
            }
        }
    }

    /// The second character of `&&`, `||`, `==` and the like: one operator, not two.
    fn skip_second(&mut self, first: u8) {
        let second = match first {
            b'&' | b'|' => first,
            b'=' | b'!' | b'<' | b'>' => b'=',
            _ => return,
        };
        self.at += usize::from(self.rest().first() == Some(&second));
    }

    /// A policy begins at its first sign.
    fn begin(&mut self, at: usize) -> Result<(), Diagnostic> {
        let start = *self.start.get_or_insert(at);
        if at - start <= POLICY_BYTES {
            return Ok(());
        }
        Err(self.too_much(start, &format!("a policy is longer than {POLICY_BYTES} bytes"), "split it"))
    }

    fn opened(&mut self, at: usize, bracket: u8) -> Result<(), Diagnostic> {
        self.operators(at, 1)?;
        let closes = match bracket {
            b'(' => b')',
            b'[' => b']',
            _ => b'}',
        };
        self.open.push(Bracket { at, closes, operators: 0 });
        if self.open.len() > NESTING {
            let help = "give parts of it to policies of their own; `&&` needs no brackets around its sides";
            return Err(self.too_much(at, &format!("brackets stand more than {NESTING} deep"), help));
        }
        Ok(())
    }

    fn closed(&mut self, bracket: u8) {
        if let Some(last) = self.open.pop_if(|last| last.closes == bracket) {
            self.depth -= last.operators;
        }
    }

    fn restart(&mut self) {
        let here = self.open.last_mut().map_or(&mut self.operators, |last| &mut last.operators);
        self.depth -= std::mem::take(here);
    }

    /// A policy ends at a `;` outside all brackets: there is no other in Cedar's grammar.
    fn ended(&mut self) {
        if let Some(last) = self.open.last() {
            self.unclosed = self.unclosed.or(Some(last.at));
            return;
        }
        self.restart();
        self.finish();
    }

    fn finish(&mut self) {
        let Some(start) = self.start.take() else { return };
        if self.places.len() <= POLICIES {
            self.places.push(start..self.at);
        }
    }

    fn word(&mut self, start: usize) -> Result<(), Diagnostic> {
        self.skip_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        match self.text.get(start..self.at) {
            // After a dot it is the name of an attribute.
            Some("if") if !self.after_dot => self.operators(start, IF),
            Some("in" | "has" | "like" | "is") if !self.after_dot => self.operators(start, 1),
            _ => Ok(()),
        }
    }

    fn operators(&mut self, at: usize, count: usize) -> Result<(), Diagnostic> {
        *self.open.last_mut().map_or(&mut self.operators, |last| &mut last.operators) += count;
        self.depth += count;
        if self.depth > OPERATORS {
            let help = "write a long list as `[…].contains(…)`, or split the policy";
            return Err(self.too_much(at, &format!("more than {OPERATORS} operators hang together"), help));
        }
        Ok(())
    }

    /// What is too much, or the bracket left open that made it seem so.
    fn too_much(&self, at: usize, message: &str, help: &str) -> Diagnostic {
        match self.unclosed {
            Some(open) => Diagnostic::new(self.source, "this bracket is not closed")
                .at(self.text, open, open + 1)
                .help("close it before the `;`"),
            None => Diagnostic::new(self.source, message).at(self.text, at, at + 1).help(help),
        }
    }
}
