//! The control surface `/_sim/…`: the same as the library's `Running`, over HTTP.

use http::Method;
use serde_json::{Value, json};

use super::answer::Answer;
use super::errors::Refusal;
use super::identity::Application;
use super::routes;
use super::script::Script;
use super::settings::Deployment;
use super::simulation::Simulation;

/// Answers a request to `/_sim/{path}`.
pub fn answer(simulation: &Simulation, method: &Method, path: &str, body: &[u8]) -> Answer {
    let deployment = path.strip_prefix("deployments/").filter(|name| !name.is_empty()).map(routes::decode);
    match (method.as_str(), path, deployment.as_deref()) {
        ("GET", "healthz", _) => done(json!({"status": "ok"})),
        ("GET", "requests", _) => done(json!(simulation.log.recorded())),
        ("DELETE", "requests", _) => {
            simulation.log.clear();
            done(json!({"cleared": "requests"}))
        }
        ("GET", "stats", _) => done(json!(simulation.stats())),
        ("POST", "script", _) => script(simulation, body),
        ("DELETE", "script", _) => match simulation.script(&Script::default()) {
            Ok(()) => done(json!({"cleared": "script"})),
            Err(error) => refused(400, &error.to_string()),
        },
        ("GET", "deployments", _) => done(json!(simulation.resource.deployments())),
        ("PUT", _, Some(name)) => put_deployment(simulation, name, body),
        ("PUT", "application", _) => put_application(simulation, body),
        ("DELETE", "tokens", _) => {
            simulation.identity.revoke();
            done(json!({"revoked": "tokens"}))
        }
        ("DELETE", _, Some(name)) => {
            if simulation.resource.remove_deployment(name) {
                done(json!({"removed": name}))
            } else {
                refused(404, &format!("no deployment `{name}`"))
            }
        }
        _ => refused(404, NO_SUCH),
    }
}

const NO_SUCH: &str = "no such control: there are GET healthz, GET and DELETE requests, GET stats, POST and DELETE script, \
    GET deployments, PUT and DELETE deployments/NAME, PUT application, DELETE tokens";

fn script(simulation: &Simulation, body: &[u8]) -> Answer {
    let parsed = std::str::from_utf8(body).map_err(|error| error.to_string());
    let parsed = parsed.and_then(|text| Script::parse(text).map_err(|error| error.to_string()));
    match parsed.and_then(|script| {
        simulation.script(&script).map_err(|error| error.to_string())?;
        Ok(script.rules.len())
    }) {
        Ok(rules) => done(json!({"rules": rules})),
        Err(message) => refused(400, &format!("{message}. {}", super::faults::HELP)),
    }
}

fn put_deployment(simulation: &Simulation, name: &str, body: &[u8]) -> Answer {
    match serde_json::from_slice::<Deployment>(body) {
        Ok(deployment) => {
            let deployment = Deployment { name: name.to_owned(), ..deployment };
            simulation.resource.add_deployment(deployment.clone());
            done(json!(deployment))
        }
        Err(error) => refused(400, &format!("a deployment is `{{\"model\", \"kind\", …}}`: {error}")),
    }
}

fn put_application(simulation: &Simulation, body: &[u8]) -> Answer {
    match serde_json::from_slice::<Application>(body) {
        Ok(application) => {
            simulation.identity.register(application.clone());
            done(json!(application))
        }
        Err(error) => refused(400, &format!("an application is `{{\"id\", \"secrets\", …}}`: {error}")),
    }
}

fn done(value: Value) -> Answer {
    Answer::json(200, value.to_string())
}

fn refused(status: u16, message: &str) -> Answer {
    Answer { status, ..Answer::refused(Refusal::of_simulator(message), None) }
}
