//! From a JSON file to a validated, fully typed configuration with its secrets resolved, or to everything that is wrong
//! with it. Does not build what runs (`build`), and acts on nothing.

mod build;
mod environment;
pub mod file;
mod problem;
mod proof;
mod read;
pub mod reference;
mod validate;

use std::path::Path;

pub use build::build;
pub use environment::{Environment, Process};
pub use file::File;
pub use problem::{Problem, Problems};
use read::{Position, Report};
pub use validate::NOT_YET;

/// A configuration that may be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    pub file: File,
    /// What works and is worth a second look.
    pub warnings: Vec<Problem>,
}

/// Reads the configuration from a file, with references into this process's environment.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    let name = path.display().to_string();
    // Read in one go and then checked, so that a directory and a file of another encoding are named as such.
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, &name, &Process),
        Err(error) => {
            let Position { line, column } = Position::START;
            let message = format!("the configuration cannot be read: {}", environment::reason(&error));
            let hint = Some("name a readable JSON file".to_owned());
            Err(Problem { file: name, line, column, path: String::new(), message, hint }.into())
        }
    }
}

/// Reads the configuration from a text; `file_name` stands in problems.
pub fn parse(text: &str, file_name: &str, environment: &dyn Environment) -> Result<Loaded, Problems> {
    let report = Report::new(file_name);
    let file = match read::parse(text) {
        Ok((mut root, findings)) => {
            findings.into_iter().for_each(|finding| report.add(finding, Some(&root)));
            let mut file = read::decode::<File>(&mut root, environment, &report);
            if let Some(file) = &mut file {
                validate::check(file, &report.root(&root));
            }
            file
        }
        Err(finding) => {
            report.add(finding, None);
            None
        }
    };
    let (problems, warnings) = report.finish();
    match file {
        Some(file) if problems.is_empty() => Ok(Loaded { file, warnings }),
        _ => Err(Problems::new(problems)),
    }
}
