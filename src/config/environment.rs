//! Where references lead: environment variables, files and systemd credentials. Tests bring their own.

use std::{fmt, io, path::Path};

/// Names the directory of systemd credentials.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// The process's surroundings, as far as a configuration may refer to them.
pub trait Environment {
    fn variable(&self, name: &str) -> Option<String>;

    fn read_file(&self, path: &Path) -> io::Result<String>;
}

/// The surroundings of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process;

impl Environment for Process {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read_file(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }
}

/// A reference that leads nowhere: what is wrong, and what would be right.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {hint}")]
pub struct Unresolved {
    pub message: String,
    pub hint: String,
}

/// Follows `env.NAME`, `file./path` and `cred.NAME`; any other text stands for itself.
pub fn resolve(text: &str, environment: &dyn Environment) -> Result<String, Unresolved> {
    let found = if let Some(name) = text.strip_prefix("env.") {
        variable(name, environment)?
    } else if let Some(path) = text.strip_prefix("file.") {
        if !path.starts_with('/') {
            return Err(unresolved("a `file.` reference needs an absolute path", "write `file./path`"));
        }
        file(Path::new(path), environment)?
    } else if let Some(name) = text.strip_prefix("cred.") {
        credential(name, environment)?
    } else {
        return Ok(text.to_owned());
    };
    if found.trim().is_empty() {
        return Err(unresolved(format_args!("`{text}` is empty"), "give it a value"));
    }
    Ok(found)
}

/// Whether a text refers to a value that stands elsewhere.
pub fn is_reference(text: &str) -> bool {
    ["env.", "file.", "cred."].iter().any(|prefix| text.starts_with(prefix))
}

fn variable(name: &str, environment: &dyn Environment) -> Result<String, Unresolved> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(unresolved("an `env.` reference needs the name of a variable", "write `env.NAME`"));
    }
    environment.variable(name).ok_or_else(|| {
        unresolved(format_args!("environment variable `{name}` is not set"), format_args!("set `{name}`"))
    })
}

fn file(path: &Path, environment: &dyn Environment) -> Result<String, Unresolved> {
    let text = environment.read_file(path).map_err(|error| {
        let path = path.display();
        let hint = match error.kind() {
            io::ErrorKind::NotFound => format!("create `{path}`, or correct the path"),
            io::ErrorKind::PermissionDenied => format!("let the user that runs azgate read `{path}`"),
            _ => "name a readable text file".to_owned(),
        };
        unresolved(format_args!("file `{path}` cannot be read: {}", reason(&error)), hint)
    })?;
    Ok(text.strip_suffix('\n').map_or(text.as_str(), |rest| rest.strip_suffix('\r').unwrap_or(rest)).to_owned())
}

fn credential(name: &str, environment: &dyn Environment) -> Result<String, Unresolved> {
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(unresolved("a `cred.` reference needs the name of a credential", "write `cred.NAME`"));
    }
    let Some(directory) = environment.variable(CREDENTIALS_DIRECTORY) else {
        let message = format_args!("credential `{name}` is not set: there is no `${CREDENTIALS_DIRECTORY}`");
        let hint = format_args!("start azgate from systemd with `LoadCredential={name}:…`");
        return Err(unresolved(message, hint));
    };
    file(&Path::new(&directory).join(name), environment)
}

/// The cause in plain words, without the number that the operating system gives it.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        _ => error.to_string(),
    }
}

fn unresolved(message: impl fmt::Display, hint: impl fmt::Display) -> Unresolved {
    Unresolved { message: message.to_string(), hint: hint.to_string() }
}
