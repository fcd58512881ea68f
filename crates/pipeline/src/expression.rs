//! Conditions and last-resort values, in CEL (the Common Expression Language of Kubernetes and Envoy).
//!
//! An expression always ends, has no side effects, and sees the event only. What it sees of it is known when the plan is
//! made: each chain of names and literal indexes that begins with a root (`properties.cart.total`, `context["page"].url`)
//! is a path like any other, is read in the same pass over the event, and takes the place of the chain. So a name that no
//! event can have is found at load, and nothing is built of an event but what an expression compares.
//!
//! There is one way of missing, for every operator: a path that holds nothing makes what uses it fail, `&&` and `||` may
//! still know the answer from their other side, and an expression that fails is false as a condition and nothing as a
//! value. `has(properties.plan)` asks whether something is there; JSON's `null` is there and equals `null`. Nothing is
//! turned into another type: `"12.5"` is no number. A whole number is an `int`, any other a `double`; compared with each
//! other they are numbers.
//!
//! The crate `cel` changes often, so nothing outside of this module names it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::common::types::CelBool;
use cel::common::value::CowVal;
use cel::context::VariableResolver;
use cel::{Context, Env, Program, Value};

use crate::render::Scope;
use crate::value::Got;
use crate::{Path, Slot};

use self::json::{known, write};

mod json;

/// The most bytes of an expression: the parser's cost is not linear in every case.
pub const MAX_EXPRESSION: usize = 4096;

/// How deep brackets of an expression may nest. The parser needs a great deal of stack for each.
const MAX_NESTING: usize = 32;

/// How many levels an expression may have when it is evaluated: a lane does that on an ordinary stack, of which each level takes
/// its share. `a + b + c` has three levels, `&&` and `||` in a row hardly any, a macro such as `exists` about five.
const MAX_LEVELS: usize = 32;

/// The stack on which an expression is read.
const STACK: usize = 256 * 1024 * 1024;

/// The prefixes of the names that stand for paths. No identifier of CEL can begin so.
const VALUE: char = '\u{1}';
const PRESENCE: char = '\u{2}';

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// An expression that was read, whose paths are not yet bound to slots.
#[derive(Clone)]
pub struct Parsed {
    source: Arc<str>,
    expression: Arc<IdedExpr>,
    references: Vec<Referenced>,
}

/// A path that an expression names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referenced {
    /// The path, its root first.
    pub path: Path,
    /// Where it begins in the expression, in bytes.
    pub at: usize,
}

/// What a path of an expression stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Bound {
    /// A value of the event.
    Event(Slot),
    /// A value of the list's element.
    Item(Slot),
    /// JSON that is known already: a setting.
    Constant(Box<str>),
    /// Nothing: an optional setting that is not given, or what the destination's filters take away.
    Nothing,
}

/// An expression, ready to be evaluated.
#[derive(Clone)]
pub struct Expression {
    source: Arc<str>,
    expression: Arc<IdedExpr>,
    bound: Vec<Bound>,
}

/// A text that is no expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionError {
    /// Where, in bytes from its beginning.
    pub at: usize,
    /// What is wrong.
    pub message: String,
}

/// Rewrites chains of names to what stands for them.
struct Rewriter<'r> {
    source: &'r str,
    program: &'r Program,
    references: Vec<Referenced>,
    error: Option<ExpressionError>,
    /// Names that a macro such as `exists` binds: they hide roots.
    hidden: Vec<String>,
}

/// What an evaluation sees.
struct Seen<'s> {
    bound: &'s [Bound],
    scope: Scope<'s>,
}

// === impl Parsed ===

impl Parsed {
    /// Reads an expression.
    ///
    /// # Errors
    /// When it is none, or longer than 4 KiB.
    pub fn parse(source: &str) -> Result<Self, ExpressionError> {
        if source.trim().is_empty() {
            return Err(ExpressionError { at: 0, message: "there is no expression".to_owned() });
        }
        if source.len() > MAX_EXPRESSION {
            let message = format!("an expression has at most {MAX_EXPRESSION} bytes");
            return Err(ExpressionError { at: 0, message });
        }
        if nesting(source) > MAX_NESTING {
            let message = format!("an expression nests at most {MAX_NESTING} levels deep");
            return Err(ExpressionError { at: 0, message });
        }
        // On a stack of its own: what is written must not be able to end the process, and the parser of `cel` goes deep.
        let unread = |_| ExpressionError { at: 0, message: "this cannot be read as a CEL expression".to_owned() };
        let read = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("expression".to_owned()).stack_size(STACK);
            thread.spawn_scoped(scope, || Self::read(source)).map(std::thread::ScopedJoinHandle::join)
        });
        match read {
            Ok(read) => read.map_err(unread)?,
            Err(error) => Err(ExpressionError { at: 0, message: format!("there is no memory to read it: {error}") }),
        }
    }

    fn read(source: &str) -> Result<Self, ExpressionError> {
        let program = ENV.compile(source).map_err(|errors| first_error(source, &errors))?;
        let mut rewriter =
            Rewriter { source, program: &program, references: Vec::new(), error: None, hidden: Vec::new() };
        let mut expression = program.expression().clone();
        rewriter.rewrite(&mut expression);
        if let Some(error) = rewriter.error.take() {
            return Err(error);
        }
        if levels(&expression) > MAX_LEVELS {
            let message = format!("an expression has at most {MAX_LEVELS} levels: this one is too long or too deep");
            return Err(ExpressionError { at: 0, message });
        }
        let references = rewriter.references;
        Ok(Self { source: source.into(), expression: Arc::new(expression), references })
    }

    /// The paths that it names.
    #[must_use]
    pub fn references(&self) -> &[Referenced] {
        &self.references
    }

    /// The expression with its paths bound.
    #[must_use]
    pub fn bind(&self, mut to: impl FnMut(&Path) -> Bound) -> Expression {
        let bound = self.references.iter().map(|reference| to(&reference.path)).collect();
        Expression { source: Arc::clone(&self.source), expression: Arc::clone(&self.expression), bound }
    }
}

impl fmt::Debug for Parsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Parsed").field(&self.source).finish()
    }
}

/// How deep the brackets nest, those in texts left out.
fn nesting(source: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut quote = None;
    let mut chars = source.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(_), '\\') => drop(chars.next()),
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
    }
    deepest
}

/// How many levels an expression has.
fn levels(node: &IdedExpr) -> usize {
    let deepest = |nodes: &mut dyn Iterator<Item = &IdedExpr>| nodes.map(levels).max().unwrap_or(0);
    let below = match &node.expr {
        Expr::Select(select) => levels(&select.operand),
        Expr::Call(call) => deepest(&mut call.target.as_deref().into_iter().chain(&call.args)),
        Expr::List(list) => deepest(&mut list.elements.iter()),
        Expr::Map(map) => {
            let entries = map.entries.iter().map(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => levels(&entry.key).max(levels(&entry.value)),
                EntryExpr::StructField(field) => levels(&field.value),
            });
            entries.max().unwrap_or(0)
        }
        Expr::Comprehension(all) => {
            let parts = [&all.iter_range, &all.accu_init, &all.loop_cond, &all.loop_step, &all.result];
            deepest(&mut parts.into_iter())
        }
        Expr::Struct(_) | Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => 0,
    };
    below + 1
}

fn first_error(source: &str, errors: &cel::ParseErrors) -> ExpressionError {
    let Some(error) = errors.errors.first() else {
        return ExpressionError { at: 0, message: "this is no CEL expression".to_owned() };
    };
    let (line, column) = error.pos;
    let line = usize::try_from(line).unwrap_or(1).max(1);
    let column = usize::try_from(column).unwrap_or(1).max(1);
    let begins: usize = source.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let within = source.get(begins..).unwrap_or_default();
    let at = begins + within.char_indices().nth(column - 1).map_or(within.len(), |(at, _)| at);
    // The parser's wording is that of its generator, with the tokens of its grammar; what a person can use is the token.
    let message = error.msg.lines().next().unwrap_or_default();
    let token = message.split_once('\'').and_then(|(_, rest)| rest.split('\'').next());
    let message = match token {
        Some("<EOF>") => "it ends too early".to_owned(),
        Some(token) => format!("`{}` is not expected here", token.trim()),
        None => message.trim_start_matches("Syntax error: ").to_owned(),
    };
    ExpressionError { at: at.min(source.len()), message: format!("this is no CEL expression: {message}") }
}

// === impl Rewriter ===

impl Rewriter<'_> {
    fn rewrite(&mut self, node: &mut IdedExpr) {
        if let Some((steps, ident)) = chain(&node.expr).filter(|(steps, _)| !self.hidden.contains(&steps[0])) {
            let name = self.name(VALUE, steps, ident);
            node.expr = Expr::Ident(name);
            return;
        }
        match &mut node.expr {
            Expr::Select(select) if select.test => match chain(&select.operand.expr) {
                Some((mut steps, ident)) if !self.hidden.contains(&steps[0]) => {
                    steps.push(select.field.clone());
                    let name = self.name(PRESENCE, steps, ident);
                    node.expr = Expr::Ident(name);
                }
                _ => self.rewrite(&mut select.operand),
            },
            Expr::Select(select) => self.rewrite(&mut select.operand),
            Expr::Call(call) => {
                if let Some(target) = &mut call.target {
                    self.rewrite(target);
                }
                call.args.iter_mut().for_each(|argument| self.rewrite(argument));
            }
            Expr::List(list) => list.elements.iter_mut().for_each(|element| self.rewrite(element)),
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    match &mut entry.expr {
                        EntryExpr::MapEntry(entry) => {
                            self.rewrite(&mut entry.key);
                            self.rewrite(&mut entry.value);
                        }
                        EntryExpr::StructField(field) => self.rewrite(&mut field.value),
                    }
                }
            }
            Expr::Struct(_) => self.fail(node.id, "an expression makes no messages: write a map".to_owned()),
            Expr::Comprehension(comprehension) => {
                self.rewrite(&mut comprehension.iter_range);
                self.rewrite(&mut comprehension.accu_init);
                let before = self.hidden.len();
                self.hidden.extend([comprehension.iter_var.clone(), comprehension.accu_var.clone()]);
                self.hidden.extend(comprehension.iter_var2.clone());
                self.rewrite(&mut comprehension.loop_cond);
                self.rewrite(&mut comprehension.loop_step);
                self.rewrite(&mut comprehension.result);
                self.hidden.truncate(before);
            }
            Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        }
    }

    fn name(&mut self, kind: char, steps: Vec<String>, ident: u64) -> String {
        let at = self.offset(ident);
        match Path::of(steps) {
            Ok(path) => {
                self.references.push(Referenced { path, at });
                format!("{kind}{}", self.references.len() - 1)
            }
            Err(error) => {
                self.fail(ident, error.to_string());
                String::new()
            }
        }
    }

    fn fail(&mut self, id: u64, message: String) {
        let at = self.offset(id);
        self.error.get_or_insert(ExpressionError { at, message });
    }

    /// Where a node begins, in bytes; the parser counts characters.
    fn offset(&self, id: u64) -> usize {
        let (start, _) = self.program.source_info().offset_for(id).unwrap_or_default();
        self.source.char_indices().nth(start as usize).map_or(0, |(at, _)| at)
    }
}

/// The names of a chain, and the node of its first.
fn chain(expr: &Expr) -> Option<(Vec<String>, u64)> {
    let mut steps = Vec::new();
    let mut at = expr;
    let mut id = 0;
    loop {
        match at {
            Expr::Ident(name) if !name.starts_with('@') => {
                steps.push(name.trim_start_matches('.').to_owned());
                steps.reverse();
                return Some((steps, id));
            }
            Expr::Select(select) if !select.test => {
                steps.push(select.field.clone());
                (at, id) = (&select.operand.expr, select.operand.id);
            }
            Expr::Call(call) if call.func_name == operators::INDEX && call.args.len() == 2 => {
                steps.push(match &call.args[1].expr {
                    Expr::Literal(LiteralValue::String(key)) => key.inner().to_owned(),
                    Expr::Literal(LiteralValue::Int(place)) if *place.inner() >= 0 => place.inner().to_string(),
                    _ => return None,
                });
                (at, id) = (&call.args[0].expr, call.args[0].id);
            }
            _ => return None,
        }
    }
}

// === impl Expression ===

/// Two are the same when they are written the same and their paths are bound to the same.
impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.bound == other.bound
    }
}

impl Eq for Expression {}

impl Hash for Expression {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source.hash(state);
        self.bound.hash(state);
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

impl Expression {
    /// The expression as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The places in the event that it looks at.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Slot> {
        self.bound.iter().filter_map(|bound| match bound {
            Bound::Event(slot) => Some(slot),
            Bound::Item(_) | Bound::Constant(_) | Bound::Nothing => None,
        })
    }

    /// What it asks of the list's element.
    pub(crate) fn item_slots(&self) -> impl Iterator<Item = &Slot> {
        self.bound.iter().filter_map(|bound| match bound {
            Bound::Item(slot) => Some(slot),
            Bound::Event(_) | Bound::Constant(_) | Bound::Nothing => None,
        })
    }

    /// Whether the condition holds.
    ///
    /// # Errors
    /// When it fails: something that it needs is missing or of another type. It counts as false then.
    pub(crate) fn holds(&self, scope: Scope<'_>) -> Result<bool, String> {
        match self.evaluate(scope)? {
            Value::Bool(holds) => Ok(holds),
            other => Err(format!("it gives {}, which is neither true nor false", other.type_of())),
        }
    }

    /// The value that it gives.
    ///
    /// # Errors
    /// When it fails, or gives something that JSON does not have.
    pub(crate) fn value(&self, scope: Scope<'_>) -> Result<Got<'static>, String> {
        match self.evaluate(scope)? {
            Value::String(text) => Ok(Got::Text(text.to_string().into())),
            other => {
                let mut out = Vec::new();
                write(&other, &mut out)?;
                Ok(Got::Json(String::from_utf8(out).map_err(|_| "it gives no text".to_owned())?.into()))
            }
        }
    }

    fn evaluate(&self, scope: Scope<'_>) -> Result<Value, String> {
        let seen = Seen { bound: &self.bound, scope };
        let mut context = Context::with_env(Arc::clone(&ENV));
        context.set_variable_resolver(&seen);
        Value::resolve(&self.expression, &context).map_err(|error| self.told(&error.to_string()))
    }

    /// The names that stand for paths are of no use to a person.
    fn told(&self, error: &str) -> String {
        let number = |rest: &str| {
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse::<usize>().ok()
        };
        let place = error.split_once(VALUE).and_then(|(_, rest)| self.bound.get(number(rest)?));
        match place {
            Some(Bound::Event(slot)) => format!("{} is missing", slot.text()),
            Some(Bound::Item(slot)) => format!("{} of the list's element is missing", slot.text()),
            Some(Bound::Constant(_) | Bound::Nothing) => "a setting that it uses is not given".to_owned(),
            None => error.replace("Undeclared reference to", "it does not know"),
        }
    }
}

// === impl Seen ===

impl VariableResolver for Seen<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let asks_presence = variable.starts_with(PRESENCE);
        let index: usize = variable.strip_prefix([VALUE, PRESENCE])?.parse().ok()?;
        let raw = match self.bound.get(index)? {
            Bound::Event(slot) => self.scope.values.get(slot),
            Bound::Item(slot) => self.scope.item.and_then(|item| item.get(slot)),
            Bound::Constant(json) => Some(&**json),
            Bound::Nothing => None,
        };
        if asks_presence { Some(CowVal::owned(CelBool::from(raw.is_some()))) } else { known(raw?) }
    }
}

#[cfg(test)]
mod tests;
