//! A JSON document as a tree that remembers where each value stood, and what was taken out of it.

use super::position::Position;

/// One value. Identifiers ascend in document order, so that a node is found without a search.
#[derive(Clone, Debug)]
pub struct Node {
    pub id: u32,
    pub at: Position,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub enum Value {
    Null,
    Bool(bool),
    /// As written.
    Number(String),
    Text(String),
    List(List),
    Object(Object),
}

#[derive(Clone, Debug, Default)]
pub struct List {
    pub elements: Vec<Element>,
    /// Whether elements were taken out because something is wrong with them.
    pub gaps: bool,
}

/// An element and the index that it has in the file, whatever was taken out before it.
#[derive(Clone, Debug)]
pub struct Element {
    pub index: usize,
    pub node: Node,
}

#[derive(Clone, Debug, Default)]
pub struct Object {
    pub members: Vec<Member>,
    /// Names of members that were taken out because something is wrong with them.
    pub dropped: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Member {
    pub name: String,
    pub at: Position,
    pub node: Node,
}

impl Node {
    /// What the value is, in words; the values of texts are never repeated.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null => "`null`".to_owned(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Number(number) => format!("the number `{number}`"),
            Value::Text(_) => "a string".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Object(_) => "an object".to_owned(),
        }
    }

    /// JSON path of a node below this one.
    pub fn path_to(&self, id: u32) -> String {
        let (mut node, mut path) = (self, String::new());
        while node.id != id {
            match &node.value {
                Value::List(List { elements, .. }) => {
                    let Some(element) = below(elements, id, |element| &element.node) else { break };
                    push_index(&mut path, elements[element].index);
                    node = &elements[element].node;
                }
                Value::Object(object) => {
                    let Some(member) = below(&object.members, id, |member| &member.node) else { break };
                    push_name(&mut path, &object.members[member].name);
                    node = &object.members[member].node;
                }
                _ => break,
            }
        }
        path
    }

    /// Takes a node out of the tree; false when it is the root or not there.
    pub fn remove(&mut self, id: u32) -> bool {
        match &mut self.value {
            Value::List(List { elements, gaps }) => match below(elements, id, |element| &element.node) {
                Some(at) if elements[at].node.id == id => {
                    elements.remove(at);
                    *gaps = true;
                    true
                }
                Some(at) => elements[at].node.remove(id),
                None => false,
            },
            Value::Object(object) => match below(&object.members, id, |member| &member.node) {
                Some(at) if object.members[at].node.id == id => {
                    object.dropped.push(object.members.remove(at).name);
                    true
                }
                Some(at) => object.members[at].node.remove(id),
                None => false,
            },
            _ => false,
        }
    }

    pub fn count(&self) -> usize {
        1 + match &self.value {
            Value::List(list) => list.elements.iter().map(|element| element.node.count()).sum(),
            Value::Object(object) => object.members.iter().map(|member| member.node.count()).sum(),
            _ => 0,
        }
    }
}

impl Object {
    pub fn get(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }
}

pub fn push_index(path: &mut String, index: usize) {
    path.push_str(&format!("[{index}]"));
}

/// Appends a member's name; one that would be misread as several steps is quoted.
pub fn push_name(path: &mut String, name: &str) {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_-$".contains(c));
    if !plain {
        path.push_str(&format!("[{name:?}]"));
        return;
    }
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

/// Index of the child that is or holds the node: the last one whose identifier is not greater.
fn below<T>(children: &[T], id: u32, node: impl Fn(&T) -> &Node) -> Option<usize> {
    children.partition_point(|child| node(child).id <= id).checked_sub(1)
}
