//! The order of resolution, name by name.

use super::super::Api;
use super::*;

fn key(name: &str, aliases: &[(&str, &str)], models: &[&str]) -> KeyNames {
    let target = |(alias, target): &(&str, &str)| {
        (lower(alias).into(), KeyNames::alias(target, None, Api::Responses, alias, None))
    };
    let spelled =
        aliases.iter().map(|(alias, _)| *alias).chain(models.iter().copied().filter(|model| !model.contains('*')));
    KeyNames {
        name: name.into(),
        aliases: aliases.iter().map(target).collect(),
        models: Globs::new(models.iter().copied()),
        spelled: spelled.map(Arc::from).collect(),
        blacklist: Globs::new(Vec::<String>::new()),
        enabled: true,
    }
}

fn catalog() -> Catalog {
    let provider = |name: &str, keys| ProviderNames { name: name.into(), family: None, keys };
    Catalog::new(vec![
        provider("west", vec![key("w", &[("shared", "w-shared"), ("only-west", "w1")], &["literal-west", "gpt-*"])]),
        provider(
            "azure",
            vec![
                key("a", &[("Shared", "a-shared"), ("GPT-4o", "a-4o"), ("bot", "claude-dep")], &["gpt-4o-mini"]),
                key("b", &[("gpt-4o", "b-4o")], &["*"]),
            ],
        ),
        provider("last", vec![key("l", &[("only-last", "l1")], &["zeta-*"])]),
    ])
}

fn resolved(name: &str) -> String {
    let catalog = catalog();
    match catalog.resolve(name) {
        Ok(found) => {
            let provider = &catalog.providers[found.provider].names;
            let deployments = found.keys.iter().map(|key| {
                format!("{}={}", provider.keys[key].name, catalog.deployment(found.provider, key, found.model).name)
            });
            format!("{} {} [{}]", provider.name, deployments.collect::<Vec<_>>().join(" "), found.label.text())
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_prefix_fixes_the_provider() {
    assert_eq!(resolved("west/shared"), "west w=w-shared [shared]");
    assert_eq!(resolved("AZURE/shared"), "azure a=a-shared b=shared [Shared]");
    assert_eq!(resolved("last/zeta-1"), "last l=zeta-1 [other]");
    assert!(resolved("last/gpt-4o").starts_with("provider `last` does not serve model `gpt-4o`"));
    assert!(resolved("last/").starts_with("provider `last` does not serve model ``"));
}

#[test]
fn without_a_prefix_the_provider_that_names_the_model_has_it_and_azure_first() {
    assert_eq!(resolved("shared"), "azure a=a-shared b=shared [Shared]");
    assert_eq!(resolved("only-west"), "west w=w1 [only-west]");
    assert_eq!(resolved("literal-west"), "west w=literal-west [literal-west]");
    assert_eq!(resolved("ONLY-LAST"), "last l=l1 [only-last]");
}

#[test]
fn a_name_that_nobody_spells_out_goes_to_azure_where_azure_takes_it() {
    assert_eq!(resolved("gpt-5"), "azure b=gpt-5 [other]");
    assert_eq!(resolved("zeta-9"), "azure b=zeta-9 [other]");
    assert_eq!(resolved("meta/llama"), "azure b=meta/llama [other]");
}

#[test]
fn else_to_the_first_provider_that_takes_it() {
    let provider = |name: &str, models: &[&str]| ProviderNames {
        name: name.into(),
        family: None,
        keys: vec![key(name, &[], models)],
    };
    let catalog =
        Catalog::new(vec![provider("one", &["a-*"]), provider("two", &["a-*", "b-*"]), provider("azure", &["c-*"])]);
    let of = |name: &str| catalog.resolve(name).map(|found| found.provider).ok();
    assert_eq!([of("a-1"), of("b-1"), of("c-1"), of("d-1"), of("")], [Some(0), Some(1), Some(2), None, None]);
}

#[test]
fn each_key_has_its_own_deployment_for_an_alias_in_any_case() {
    assert_eq!(resolved("gpt-4O"), "azure a=a-4o b=b-4o [GPT-4o]");
    assert_eq!(resolved("gpt-4o-mini"), "azure a=gpt-4o-mini b=gpt-4o-mini [gpt-4o-mini]");
}

#[test]
fn a_deployment_is_offered_by_list_or_as_the_target_of_an_alias() {
    let catalog = catalog();
    let offered =
        |key, name| catalog.offered(1, key, name).map(|deployment| (deployment.name.to_string(), deployment.family));
    assert_eq!(offered(0, "A-4O"), Some(("a-4o".to_owned(), Family::OpenAi)));
    assert_eq!(offered(0, "gpt-4o-mini"), Some(("gpt-4o-mini".to_owned(), Family::OpenAi)));
    assert_eq!(offered(0, "claude-dep"), Some(("claude-dep".to_owned(), Family::Anthropic)));
    assert_eq!(offered(0, "gpt-5"), None);
    assert_eq!(offered(1, "gpt-5"), Some(("gpt-5".to_owned(), Family::OpenAi)));
}

#[test]
fn a_disabled_or_blacklisting_key_does_not_serve() {
    let mut off = key("off", &[("m", "d")], &["*"]);
    off.enabled = false;
    let mut refusing = key("refusing", &[("m", "d")], &["*"]);
    refusing.blacklist = Globs::new(["m", "no-*"]);
    let catalog = Catalog::new(vec![ProviderNames { name: "azure".into(), family: None, keys: vec![off, refusing] }]);
    assert!(catalog.resolve("m").is_err());
    assert!(catalog.resolve("no-1").is_err());
    assert_eq!(catalog.resolve("yes").unwrap().keys, KeySet::from_iter([1]));
    assert!(catalog.list().is_empty());
}
