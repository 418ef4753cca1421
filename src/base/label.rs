//! Label values that stand for configured names: interned when the configuration is built, so that a request refers
//! to a metric by small numbers and never by text.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use crate::base::locks::lock;

static INTERNED: LazyLock<Mutex<HashMap<Arc<str>, u32>>> = LazyLock::new(Mutex::default);

/// A label value. The same text has the same number for the life of the process, reloads included.
#[derive(Debug, Clone)]
pub struct Label {
    id: u32,
    text: Arc<str>,
}

impl Label {
    /// Takes a lock: for configuration time only.
    pub fn new(text: &str) -> Self {
        let mut interned = lock(&INTERNED);
        let next = u32::try_from(interned.len()).unwrap_or(u32::MAX);
        if let Some((text, id)) = interned.get_key_value(text) {
            return Self { id: *id, text: Arc::clone(text) };
        }
        let text: Arc<str> = text.into();
        interned.insert(Arc::clone(&text), next);
        Self { id: next, text }
    }

    /// A number of its own for each text.
    pub fn id(&self) -> u32 {
        self.id
    }

    pub fn text(&self) -> &str {
        &self.text
    }
}
