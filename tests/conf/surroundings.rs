//! An environment of a few variables and files.

use std::{collections::HashMap, io, path::Path};

use azgate::config::{Environment, Loaded, Problems, parse};

#[derive(Default)]
pub struct Surroundings {
    variables: HashMap<String, String>,
    files: HashMap<String, String>,
}

impl Surroundings {
    /// The two variables that the samples need.
    pub fn azure() -> Self {
        Self::default()
            .variable("AZURE_ENDPOINT", "https://acme.openai.azure.com")
            .variable("AZURE_API_KEY", "azure-secret")
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }

    pub fn parse(&self, text: &str) -> Result<Loaded, Problems> {
        parse(text, "c.json", self)
    }
}

impl Environment for Surroundings {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn read_file(&self, path: &Path) -> io::Result<String> {
        self.files.get(path.to_str().unwrap()).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
