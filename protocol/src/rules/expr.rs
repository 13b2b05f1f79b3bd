//! The one file that names cel: conditions over facts, with every way of going wrong turned into an error.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use cel::common::ast::{EntryExpr, Expr, IdedEntryExpr, IdedExpr};
use cel::{Context, Env, Program, Value};

use super::catalogue::Shape;
use super::facts::Tree;

/// Bytes of one condition. Long ones are better told as two rules.
pub const EXPRESSION_MAX_BYTES: usize = 512;

/// Loops (`all`, `exists`, `filter` and the like) inside each other. Nothing ends an evaluation that takes too long, and
/// each level multiplies it by the length of a list.
pub(crate) const NESTED_LOOPS_MAX: usize = 2;

/// Why a condition cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// It is longer than [`EXPRESSION_MAX_BYTES`].
    #[error("the condition is {0} bytes long and at most {EXPRESSION_MAX_BYTES} are allowed")]
    TooLong(usize),
    /// It is not CEL.
    #[error("the condition {0:?} is not CEL: {1}")]
    Unparsable(String, String),
    /// Its loops are nested more deeply than two.
    #[error("the condition {0:?} has loops inside loops inside loops, and at most {NESTED_LOOPS_MAX} may be nested")]
    TooDeep(String),
    /// It did not come to true or false on these facts.
    #[error("the condition {0:?} has no outcome: {1}")]
    NoOutcome(String, String),
}

/// A compiled condition or value.
#[derive(Debug)]
pub(crate) struct Expression {
    source: String,
    program: Program,
}

impl Expression {
    pub(crate) fn compile(source: &str) -> Result<Self, ExpressionError> {
        if source.len() > EXPRESSION_MAX_BYTES {
            return Err(ExpressionError::TooLong(source.len()));
        }
        let program = ENVIRONMENT
            .compile(source)
            .map_err(|errors| ExpressionError::Unparsable(source.to_owned(), errors.to_string()))?;
        if nested_loops(program.expression()) > NESTED_LOOPS_MAX {
            return Err(ExpressionError::TooDeep(source.to_owned()));
        }
        Ok(Self { source: source.to_owned(), program })
    }

    /// The condition as it is written.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// The first path in it that leads to no fact, where `item` is what a name stands for beside the facts themselves.
    pub(crate) fn strange_path(&self, facts: &Shape, item: Option<(&str, &Shape)>) -> Option<String> {
        let names = Names { facts, bound: item.into_iter().map(|(name, shape)| (name, Some(shape))).collect() };
        names.shape_of(self.program.expression()).err()
    }

    /// Whether the condition holds; anything but true and false is an error.
    pub(crate) fn holds(&self, scope: &Scope<'_>) -> Result<bool, ExpressionError> {
        match self.program.execute(&scope.0) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => {
                Err(ExpressionError::NoOutcome(self.source.clone(), format!("{} is not a truth", other.type_of())))
            }
            Err(e) => Err(ExpressionError::NoOutcome(self.source.clone(), e.to_string())),
        }
    }

    /// The value as text, or nothing when it has none.
    pub(crate) fn text(&self, scope: &Scope<'_>) -> Option<String> {
        self.program.execute(&scope.0).ok().map(|value| Tree::of(&value).to_text())
    }
}

fn nested_loops(expression: &IdedExpr) -> usize {
    let deepest = |inner: &mut dyn Iterator<Item = &IdedExpr>| inner.map(nested_loops).max().unwrap_or(0);
    let entry = |entry: &IdedEntryExpr| match &entry.expr {
        EntryExpr::StructField(field) => nested_loops(&field.value),
        EntryExpr::MapEntry(pair) => nested_loops(&pair.key).max(nested_loops(&pair.value)),
    };
    match &expression.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => 0,
        Expr::Call(call) => deepest(&mut call.args.iter().chain(call.target.as_deref())),
        Expr::List(list) => deepest(&mut list.elements.iter()),
        Expr::Select(select) => nested_loops(&select.operand),
        Expr::Map(map) => map.entries.iter().map(entry).max().unwrap_or(0),
        Expr::Struct(fields) => fields.entries.iter().map(entry).max().unwrap_or(0),
        Expr::Comprehension(of) => {
            let each = [&of.accu_init, &of.loop_cond, &of.loop_step, &of.result];
            (1 + deepest(&mut each.into_iter())).max(nested_loops(&of.iter_range))
        }
    }
}

/// What names in an expression stand for.
#[derive(Clone)]
struct Names<'a> {
    facts: &'a Shape,
    /// Names that hide those of facts, the innermost last; nothing is known of what is computed.
    bound: Vec<(&'a str, Option<&'a Shape>)>,
}

impl<'a> Names<'a> {
    /// The shape of what an expression comes to, as far as it is a fact; the path that leads to none otherwise.
    fn shape_of(&self, expression: &'a IdedExpr) -> Result<Option<&'a Shape>, String> {
        match &expression.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(None),
            Expr::Ident(name) => match self.bound.iter().rev().find(|(bound, _)| bound == name) {
                Some((_, shape)) => Ok(*shape),
                None => self.facts.field(name).map(Some).ok_or_else(|| name.clone()),
            },
            Expr::Select(select) => match self.shape_of(&select.operand)? {
                Some(shape) => {
                    let path = || format!("{}.{}", path_of(&select.operand), select.field);
                    shape.field(&select.field).map(Some).ok_or_else(path)
                }
                None => Ok(None),
            },
            Expr::Call(call) => {
                let mut shapes = Vec::new();
                for part in call.target.as_deref().into_iter().chain(&call.args) {
                    shapes.push(self.shape_of(part)?);
                }
                let list = shapes.first().copied().flatten().filter(|_| call.func_name == INDEX);
                Ok(list.and_then(Shape::item))
            }
            Expr::List(list) => self.all(&list.elements),
            Expr::Map(map) => self.entries(&map.entries),
            Expr::Struct(fields) => self.entries(&fields.entries),
            Expr::Comprehension(of) => {
                let item = self.shape_of(&of.iter_range)?.and_then(Shape::item);
                let mut inner = self.clone();
                let further = of.iter_var2.iter().chain([&of.accu_var]).map(|name| (name.as_str(), None));
                inner.bound.extend([(of.iter_var.as_str(), item)].into_iter().chain(further));
                inner.all([&of.accu_init, &of.loop_cond, &of.loop_step, &of.result])
            }
        }
    }

    fn all(&self, parts: impl IntoIterator<Item = &'a IdedExpr>) -> Result<Option<&'a Shape>, String> {
        parts.into_iter().try_for_each(|part| self.shape_of(part).map(drop)).map(|()| None)
    }

    fn entries(&self, entries: &'a [IdedEntryExpr]) -> Result<Option<&'a Shape>, String> {
        entries.iter().try_fold(None, |_, entry| match &entry.expr {
            EntryExpr::StructField(field) => self.all([&field.value]),
            EntryExpr::MapEntry(pair) => self.all([&pair.key, &pair.value]),
        })
    }
}

/// An expression as it is written, as far as it is a path.
fn path_of(expression: &IdedExpr) -> String {
    match &expression.expr {
        Expr::Ident(name) => name.clone(),
        Expr::Select(select) => format!("{}.{}", path_of(&select.operand), select.field),
        _ => String::new(),
    }
}

/// The function behind `list[0]`.
const INDEX: &str = cel::common::ast::operators::INDEX;

/// The variables that a condition can see.
pub(crate) struct Scope<'p>(Context<'p, 'static>);

impl Scope<'static> {
    pub(crate) fn new(variables: impl IntoIterator<Item = (String, Value)>) -> Self {
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        for (name, value) in variables {
            context.add_variable_from_value(name, value);
        }
        Self(context)
    }
}

impl Scope<'_> {
    /// The same variables and one more.
    pub(crate) fn with<'p>(&'p self, name: &str, item: &Tree) -> Scope<'p> {
        let mut inner = self.0.new_inner_scope();
        if let Some(value) = item.value() {
            inner.add_variable_from_value(name, value);
        }
        Scope(inner)
    }
}

/// CEL's standard functions and nothing of our own.
static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// A value of cel in the form of [`Tree`] and back. Unknown facts have no value: they are left out, so that a condition
/// that reads one has no outcome.
impl Tree {
    pub(crate) fn of(value: &Value) -> Self {
        match value {
            Value::Int(number) => Self::Integer(*number),
            // Facts beyond 2^63 bytes or packets are not facts of this world.
            Value::UInt(number) => Self::Integer(i64::try_from(*number).unwrap_or(i64::MAX)),
            Value::Float(number) => Self::Decimal(*number),
            Value::Bool(truth) => Self::Truth(*truth),
            Value::String(text) => Self::Text(text.as_str().to_owned()),
            Value::List(items) => Self::List(items.iter().map(Self::of).collect()),
            Value::Map(map) => Self::of_fields(map.map.iter().map(|(key, value)| (key.to_string(), Self::of(value)))),
            _ => Self::Nothing,
        }
    }

    pub(crate) fn value(&self) -> Option<Value> {
        Some(match self {
            Self::Unknown(_) => return None,
            Self::Nothing => Value::Null,
            Self::Integer(number) => Value::Int(*number),
            Self::Decimal(number) => Value::Float(*number),
            Self::Truth(truth) => Value::Bool(*truth),
            Self::Text(text) => Value::String(Arc::new(text.clone())),
            Self::List(items) => Value::List(Arc::new(items.iter().filter_map(Self::value).collect())),
            Self::Fields(fields) => {
                let known = fields.iter().filter_map(|(name, field)| Some((name.clone(), field.value()?)));
                Value::from(known.collect::<HashMap<String, Value>>())
            }
        })
    }
}

/// Any serializable facts as a tree.
pub(crate) fn tree_of(facts: &impl serde::Serialize) -> Option<Tree> {
    cel::to_value(facts).ok().map(|value| Tree::of(&value))
}
