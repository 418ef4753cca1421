//! Walking a JSON Schema: from a field to what it may hold, references resolved.

use serde_json::Value;

/// One field's schema.
#[derive(Clone)]
pub struct Outline<'a> {
    root: &'a Value,
    /// As it stands at the field, with the field's own description and default.
    field: &'a Value,
    /// What the field may hold: its schema, or the alternatives, `null` left out.
    forms: Vec<&'a Value>,
}

impl<'a> Outline<'a> {
    pub fn of(root: &'a Value) -> Self {
        Self { root, field: root, forms: vec![root] }
    }

    /// The schema of a member with this name.
    pub fn property(&self, name: &str) -> Option<Self> {
        self.forms.iter().find_map(|form| form.get("properties")?.get(name)).map(|field| self.below(field))
    }

    /// All members that have names of their own, in the order of the structure.
    pub fn properties(&self) -> Vec<(&'a str, Self)> {
        let objects = self.forms.iter().filter_map(|form| form.get("properties")?.as_object());
        objects.flatten().map(|(name, field)| (name.as_str(), self.below(field))).collect()
    }

    /// The schema of members with names of the operator's choice.
    pub fn values(&self) -> Option<Self> {
        self.forms
            .iter()
            .find_map(|form| form.get("additionalProperties").filter(|v| v.is_object()))
            .map(|f| self.below(f))
    }

    /// The schema of the elements of a list.
    pub fn elements(&self) -> Option<Self> {
        self.forms.iter().find_map(|form| form.get("items")).map(|field| self.below(field))
    }

    pub fn is_required(&self, name: &str) -> bool {
        let required = self.forms.iter().filter_map(|form| form.get("required")?.as_array());
        required.flatten().any(|required| required == name)
    }

    /// Whether the field is there for existing files only.
    pub fn is_deprecated(&self) -> bool {
        self.field.get("deprecated").is_some_and(|deprecated| deprecated == true)
    }

    /// Whether the field has no meaning at all, and may hold anything.
    pub fn is_ignored(&self) -> bool {
        self.is_deprecated() && !["type", "$ref", "anyOf"].iter().any(|keyword| self.field.get(keyword).is_some())
    }

    /// What the field means, as its doc comment says.
    pub fn description(&self) -> &'a str {
        let fields = std::iter::once(&self.field).chain(&self.forms);
        fields.filter_map(|field| field.get("description")?.as_str()).next().unwrap_or_default()
    }

    /// What the structure that the field holds is for.
    pub fn own_description(&self) -> &'a str {
        self.forms.iter().filter_map(|form| form.get("description")?.as_str()).next().unwrap_or_default()
    }

    /// `null` where nothing is the default.
    pub fn default(&self) -> Value {
        self.field.get("default").cloned().unwrap_or_default()
    }

    /// The schemas of what the field may hold.
    pub fn forms(&self) -> &[&'a Value] {
        &self.forms
    }

    fn below(&self, field: &'a Value) -> Self {
        let mut forms = Vec::new();
        self.collect(field, &mut forms);
        Self { root: self.root, field, forms }
    }

    fn collect(&self, schema: &'a Value, forms: &mut Vec<&'a Value>) {
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            if let Some(target) = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)) {
                self.collect(target, forms);
            }
            return;
        }
        match schema.get("anyOf").and_then(Value::as_array) {
            Some(choices) => choices.iter().for_each(|choice| self.collect(choice, forms)),
            None if schema.get("type").is_some_and(|kind| kind == "null") => {}
            None => forms.push(schema),
        }
    }
}
