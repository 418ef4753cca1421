//! Reporting at a place: validators walk the decoded values and the tree side by side, and speak up where they stand.

use std::cell::RefCell;

use super::{
    position::Position,
    tree::{Node, Object, Value, push_index, push_name},
};
use crate::config::problem::Problem;

/// Something to report, before its path is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub at: Position,
    pub spot: Spot,
    pub message: String,
    pub hint: Option<String>,
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// The text as such.
    Text,
    /// A value in the tree.
    Node(u32),
    /// A member of the object with this identifier.
    Member(u32, String),
}

/// Collects what is found.
#[derive(Debug)]
pub struct Report<'a> {
    file: &'a str,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

/// A place in the file, whether something stands there or not.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    report: &'a Report<'a>,
    node: Option<&'a Node>,
    at: Position,
    path: String,
    /// What stood here was wrong and has been reported; conclusions from its absence would be noise.
    mended: bool,
}

impl<'a> Report<'a> {
    pub fn new(file: &'a str) -> Self {
        Self { file, problems: RefCell::default(), warnings: RefCell::default() }
    }

    pub fn add(&self, finding: Finding, root: Option<&Node>) {
        let path = match (&finding.spot, root) {
            (Spot::Node(id), Some(root)) => root.path_to(*id),
            (Spot::Member(id, name), Some(root)) => {
                let mut path = root.path_to(*id);
                push_name(&mut path, name);
                path
            }
            _ => String::new(),
        };
        let problem = self.problem(finding.at, path, finding.message, finding.hint);
        self.problems.borrow_mut().push(problem);
    }

    pub fn root(&'a self, node: &'a Node) -> Place<'a> {
        Place { report: self, node: Some(node), at: node.at, path: String::new(), mended: false }
    }

    /// Problems, then warnings, each in the order of the file.
    pub fn finish(self) -> (Vec<Problem>, Vec<Problem>) {
        let (mut problems, mut warnings) = (self.problems.into_inner(), self.warnings.into_inner());
        for list in [&mut problems, &mut warnings] {
            list.sort_by(|a, b| (a.line, a.column, &a.path).cmp(&(b.line, b.column, &b.path)));
            list.dedup();
        }
        (problems, warnings)
    }

    fn problem(&self, at: Position, path: String, message: String, hint: Option<String>) -> Problem {
        Problem { file: self.file.to_owned(), line: at.line, column: at.column, path, message, hint }
    }
}

impl<'a> Place<'a> {
    /// The place of a member; of one that is absent, its object's position and its own path.
    pub fn member(&self, name: &str) -> Self {
        let object = self.object();
        let member = object.and_then(|object| object.get(name));
        let mut path = self.path.clone();
        push_name(&mut path, name);
        Self {
            report: self.report,
            node: member.map(|member| &member.node),
            at: member.map_or(self.at, |member| member.node.at),
            path,
            mended: self.mended || object.is_some_and(|object| object.dropped.iter().any(|dropped| dropped == name)),
        }
    }

    /// The place of an element, by its index in the decoded list.
    pub fn element(&self, index: usize) -> Self {
        let element = match self.node.map(|node| &node.value) {
            Some(Value::List(list)) => list.elements.get(index),
            _ => None,
        };
        let mut path = self.path.clone();
        push_index(&mut path, element.map_or(index, |element| element.index));
        Self {
            report: self.report,
            node: element.map(|element| &element.node),
            at: element.map_or(self.at, |element| element.node.at),
            path,
            mended: self.mended,
        }
    }

    /// Whether the file says something here.
    pub fn is_present(&self) -> bool {
        self.node.is_some_and(|node| !matches!(node.value, Value::Null))
    }

    /// Whether something stood here that was wrong and has been reported.
    pub fn is_mended(&self) -> bool {
        self.mended
    }

    /// Whether some of what stands in this list or object was wrong and has been reported.
    pub fn has_gaps(&self) -> bool {
        self.mended
            || match self.node.map(|node| &node.value) {
                Some(Value::List(list)) => list.gaps,
                Some(Value::Object(object)) => !object.dropped.is_empty(),
                _ => false,
            }
    }

    /// The text that stands here, references unresolved.
    pub fn text(&self) -> Option<&'a str> {
        match self.node.map(|node| &node.value) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub fn is_list(&self) -> bool {
        matches!(self.node.map(|node| &node.value), Some(Value::List(_)))
    }

    pub fn node(&self) -> Option<&'a Node> {
        self.node
    }

    /// Reports an error: `what is wrong; what would be right`.
    pub fn error(&self, text: impl AsRef<str>) {
        self.put(&self.report.problems, text.as_ref());
    }

    /// Reports something that works and is worth a second look.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.put(&self.report.warnings, text.as_ref());
    }

    /// `line:column`, to point at this place from a message about another.
    pub fn position(&self) -> String {
        format!("{}:{}", self.at.line, self.at.column)
    }

    fn put(&self, list: &RefCell<Vec<Problem>>, text: &str) {
        if self.mended {
            return;
        }
        let (message, hint) = text.split_once("; ").map_or((text, None), |(text, hint)| (text, Some(hint.to_owned())));
        let problem = self.report.problem(self.at, self.path.clone(), message.to_owned(), hint);
        list.borrow_mut().push(problem);
    }

    fn object(&self) -> Option<&'a Object> {
        match self.node.map(|node| &node.value) {
            Some(Value::Object(object)) => Some(object),
            _ => None,
        }
    }
}
