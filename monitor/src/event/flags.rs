//! How far a record can be relied upon, in words.

use monitor_common::event::{
    AFTER_THE_FACT, ARGUMENTS_CUT, CARRIED_OUT, COARSE_START, COMPAT, CREATED, NEW_SCOPE, PATH_TOO_DEEP,
    PATH_TOO_LONG, UNRESOLVED,
};

/// Bits of a record's flags and their words.
pub const FLAGS: [(u16, &str); 10] = [
    (PATH_TOO_DEEP, "path-too-deep"),
    (PATH_TOO_LONG, "path-too-long"),
    (ARGUMENTS_CUT, "arguments-cut"),
    (UNRESOLVED, "unresolved"),
    (AFTER_THE_FACT, "after-the-fact"),
    (NEW_SCOPE, "new-scope"),
    (COMPAT, "compat"),
    (CREATED, "created"),
    (CARRIED_OUT, "carried-out"),
    (COARSE_START, "coarse-start"),
];

/// The words for the bits that are set; an unknown bit is `bit-N`, for it must not hide the event.
#[must_use]
pub fn flag_words(flags: u16) -> Vec<String> {
    (0..u16::BITS)
        .filter(|bit| flags & (1 << bit) != 0)
        .map(|bit| {
            let known = FLAGS.iter().find(|(mask, _)| *mask == 1 << bit);
            known.map_or_else(|| format!("bit-{bit}"), |(_, word)| (*word).to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_a_word_and_unknown_ones_stay_visible() {
        assert_eq!(flag_words(0), Vec::<String>::new());
        assert_eq!(flag_words(PATH_TOO_DEEP | COMPAT | 0x8000), ["path-too-deep", "compat", "bit-15"]);
        assert_eq!(FLAGS.iter().fold(0, |all, (mask, _)| all | mask), 0x3ff);
    }
}
