//! The names that `GET /models` shows.

use std::sync::Arc;

use super::resolve::Catalog;

/// One name that a caller may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// As a caller would write it: bare, or with the provider's prefix where the bare name means another provider.
    pub id: String,
    pub provider: Arc<str>,
    /// The bare name.
    pub model: Arc<str>,
}

impl Catalog {
    /// Every configured name, in alphabetical order. Globs in a key's `models` are not names and are not listed.
    pub fn list(&self) -> Vec<Listed> {
        let mut listed: Vec<Listed> = Vec::new();
        for (index, provider) in self.providers.iter().enumerate() {
            for known in provider.known.values() {
                let bare = self.resolve(&known.spelled).is_ok_and(|resolved| resolved.provider == index);
                let name = &provider.names.name;
                let id = if bare { known.spelled.to_string() } else { format!("{name}/{}", known.spelled) };
                listed.push(Listed { id, provider: Arc::clone(name), model: Arc::clone(&known.spelled) });
            }
        }
        listed.sort_by(|a, b| a.id.cmp(&b.id));
        listed
    }
}
