//! Section `fallbacks`: names on both sides lead to providers that exist.

use crate::config::{
    file::File,
    read::{Place, nearest},
};

pub fn check(file: &File, root: &Place<'_>) {
    if root.member("providers").has_gaps() {
        // What is called unknown might be what could not be read.
        return;
    }
    let place = root.member("fallbacks");
    for (model, targets) in file.fallbacks.iter() {
        let place = place.member(model);
        if let Some((provider, _)) = model.split_once('/') {
            check_provider(file, provider, &place);
        }
        for (index, target) in targets.iter().enumerate() {
            let place = place.element(index);
            match target.split_once('/') {
                Some((provider, rest)) if !rest.is_empty() => check_provider(file, provider, &place),
                _ => place.error("this names no provider; write `provider/model`"),
            }
            if target.eq_ignore_ascii_case(model) {
                place.error("this is the model that has just failed; name another one");
            }
            if targets[..index].contains(target) {
                place.error("this model stands in the list already; remove it");
            }
        }
    }
}

fn check_provider(file: &File, name: &str, place: &Place<'_>) {
    if file.providers.names().any(|known| known.eq_ignore_ascii_case(name)) {
        return;
    }
    let hint = match nearest(name, file.providers.names()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "name one that stands in `providers`".to_owned(),
    };
    place.error(format!("there is no provider `{name}`; {hint}"));
}
