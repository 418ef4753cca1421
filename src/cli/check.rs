//! `azgate check`: validates a configuration and shows what it means.

use serde_json::{Value, json};

use super::{ConfigFile, Failed, print, say};
use crate::config::{self, File, Loaded};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failed> {
    let Loaded { file, warnings } = match config::load(&arguments.config.config) {
        Ok(loaded) => loaded,
        Err(problems) if arguments.json => {
            print(&format!("{:#}\n", json!({"ok": false, "problems": problems, "warnings": []})))?;
            return Err(Failed(String::new()));
        }
        Err(problems) => return Err(Failed(problems.to_string())),
    };
    if arguments.json {
        return print(&format!(
            "{:#}\n",
            json!({"ok": true, "problems": [], "warnings": warnings, "summary": summary(&file)})
        ));
    }
    for warning in &warnings {
        say(&format!("warning: {warning}"));
    }
    print(&table(&file))
}

fn summary(file: &File) -> Value {
    let keys = file.providers.iter().flat_map(|(provider, settings)| {
        settings.keys.iter().map(move |key| {
            json!({
                "provider": provider, "name": key.name, "enabled": key.enabled, "weight": key.weight, "priority": key.priority,
                "endpoint": endpoint(key), "aliases": key.aliases.names().collect::<Vec<_>>(),
            })
        })
    });
    let callers = file.governance.virtual_keys.iter();
    json!({
        "listen": file.server.listen, "admin_listen": file.server.admin.listen,
        "keys": keys.collect::<Vec<_>>(),
        "virtual_keys": callers.map(|key| json!({"name": key.name, "enabled": key.enabled, "expires_at": key.expires_at.map(|at| at.to_string())})).collect::<Vec<_>>(),
    })
}

fn endpoint(key: &config::file::Key) -> Option<String> {
    key.azure_key_config.as_ref()?.endpoint.as_ref().map(ToString::to_string)
}

fn table(file: &File) -> String {
    let mut keys = vec![["PROVIDER KEY".to_owned(), "WEIGHT".into(), "ENDPOINT".into(), "API".into(), "NAMES".into()]];
    for (provider, settings) in file.providers.iter() {
        for key in &settings.keys {
            let version = key.azure_key_config.as_ref().map_or_else(String::new, |azure| azure.api_version.to_string());
            let aliases = key.aliases.iter().map(|(alias, target)| format!("{alias} = {}", target.model_id));
            let names: Vec<String> = aliases.chain(key.models.patterns().iter().cloned()).collect();
            let weight = if key.enabled { key.weight.to_string() } else { "off".to_owned() };
            keys.push([
                format!("{provider}/{}", key.name),
                weight,
                endpoint(key).unwrap_or_default(),
                version,
                names.join(", "),
            ]);
        }
    }
    let mut callers = vec![["VIRTUAL KEY".to_owned(), "STATE".into(), "PROVIDERS".into(), "MODELS".into()]];
    for key in &file.governance.virtual_keys {
        let state = match (key.enabled, key.expires_at) {
            (false, _) => "disabled".to_owned(),
            (true, Some(at)) => format!("until {at}"),
            (true, None) => "enabled".to_owned(),
        };
        callers.push([
            key.name.clone(),
            state,
            key.allowed_providers.patterns().join(", "),
            key.allowed_models.patterns().join(", "),
        ]);
    }
    format!("{}\n{}", aligned(&keys), aligned(&callers))
}

fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}
