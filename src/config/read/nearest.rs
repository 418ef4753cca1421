//! Guesses what was meant by a misspelt name.

/// The candidate that is close enough to be what was meant: a third of the letters may be wrong, one always.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (name.len().max(candidate.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `did you mean …`, or else all the names there are.
pub fn suggestion(name: &str, candidates: &[&str]) -> String {
    match nearest(name, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("expected {}", listed(candidates)),
    }
}

/// `` `a`, `b` or `c` ``
pub fn listed(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [only] => format!("`{only}`"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|name| format!("`{name}`")).collect();
            format!("{} or `{last}`", first.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_the_nearest_name_or_lists_them_all() {
        let names = ["weight", "weights", "models", "name"];
        assert_eq!(suggestion("wieght", &names), "did you mean `weight`?");
        assert_eq!(suggestion("WEIGHT", &names), "did you mean `weight`?");
        assert_eq!(suggestion("zzz", &names), "expected `weight`, `weights`, `models` or `name`");
        assert_eq!(suggestion("x", &["y"]), "did you mean `y`?");
    }
}
