//! The nearest name, for "did you mean".

/// How alike a name must be to be suggested, from 0 to 1.
const ALIKE: f64 = 0.6;

/// The known name that a written one was probably meant to be.
pub(crate) fn nearest<'n>(written: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    near(written, known).into_iter().next()
}

/// The known names that a written one may have been meant to be, the likeliest first.
pub fn near<'n>(written: &str, known: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    // Case, dashes and underscores are the commonest slips, and cost nothing here.
    let plain =
        |name: &str| name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    let written_plain = plain(written);
    let alike = |name: &str| strsim::normalized_damerau_levenshtein(&written_plain, &plain(name));
    let mut found: Vec<(f64, &str)> = known.into_iter().map(|name| (alike(name), name)).collect();
    found.retain(|(alike, _)| *alike >= ALIKE);
    // Stable: of names that are equally alike the first that was given comes first.
    found.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    found.into_iter().map(|(_, name)| name).collect()
}

/// Names as a sentence lists them: `a, b or c`. Long lists are cut.
pub(crate) fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    const MOST: usize = 14;
    let mut names: Vec<&str> = names.into_iter().collect();
    let more = names.len().saturating_sub(MOST);
    names.truncate(MOST);
    if more > 0 {
        return format!("{} and {more} more", names.join(", "));
    }
    match names.split_last() {
        None => "nothing".to_owned(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, first)) => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["goalId", "revenue", "negative"];
        for slip in ["goalID", "goalld", "goal_id", "goalId ", "gaolId"] {
            assert_eq!(nearest(slip, known), Some("goalId"), "{slip}");
        }
        assert_eq!(nearest("currency", known), None);
        assert_eq!(near("refuse", ["refused", "accepted", "reuse"]), ["refused", "reuse"]);
    }

    #[test]
    fn lists_read_as_sentences() {
        assert_eq!(listed([]), "nothing");
        assert_eq!(listed(["a"]), "a");
        assert_eq!(listed(["a", "b", "c"]), "a, b or c");
        assert!(listed(["x"; 20]).ends_with("and 6 more"));
    }
}
