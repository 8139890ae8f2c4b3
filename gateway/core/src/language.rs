//! The languages that our pages speak, and which of them a reader is given (RFC 9110 section 12.5.4).

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

/// A language that the pages speak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    /// What every text is written in first.
    #[default]
    #[serde(rename = "en")]
    English,
    /// German.
    #[serde(rename = "de")]
    German,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::English, Self::German];

    /// Its tag (BCP 47), as headers, pages and settings write it.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }
}

/// How many ranges of a header are read. Browsers send a dozen at most; what stands behind these was not meant to be read.
const MOST: usize = 32;

/// What a reader's `Accept-Language` says of our languages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Languages {
    /// Of each of [`Language::ALL`], where it is named.
    named: [Option<Wish>; Language::ALL.len()],
    /// The weight of `*`: of all that are not named.
    others: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wish {
    /// In thousandths.
    weight: u16,
    /// Of ranges that weigh the same, the first was meant first.
    place: Reverse<u8>,
}

impl Languages {
    /// Reads the values of the header. What is no range is passed over: a page in another language is better than none.
    pub fn read<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut wished = Self::default();
        let ranges = values.into_iter().flat_map(|value| value.split(|&byte| byte == b','));
        for (place, range) in (0..).zip(ranges.take(MOST)) {
            if let Some((range, weight)) = weighed(range) {
                wished.add(range, Wish { weight, place: Reverse(place) });
            }
        }
        wished
    }

    /// The language for this reader at a place whose own language is `house`, which decides where the reader does not.
    pub fn choose(&self, house: Language) -> Language {
        let rank = |language: &Language| {
            let named = self.named[*language as usize];
            let weight = named.map(|wish| wish.weight).or(self.others);
            // Unnamed is better than refused.
            let weight = weight.map_or(1, |weight| if weight == 0 { 0 } else { weight + 1 });
            (weight, named.filter(|_| weight > 0).map(|wish| wish.place), *language == house)
        };
        // Backwards: of equals the last counts, and that is to be English.
        Language::ALL.into_iter().rev().max_by_key(rank).unwrap_or(house)
    }

    fn add(&mut self, range: &str, wish: Wish) {
        if range == "*" {
            self.others = self.others.max(Some(wish.weight));
            return;
        }
        // A variety asks for its language (RFC 4647 section 3.4), but refuses only itself: we have none.
        let primary = range.split('-').next().unwrap_or_default();
        if wish.weight == 0 && primary != range {
            return;
        }
        let ours = Language::ALL.iter().zip(&mut self.named).find(|(ours, _)| ours.tag().eq_ignore_ascii_case(primary));
        if let Some((_, named)) = ours
            && named.is_none_or(|had| had.weight < wish.weight)
        {
            *named = Some(wish);
        }
    }
}

/// A range and its weight in thousandths: `de-AT;q=0.8` is (`de-AT`, 800).
fn weighed(range: &[u8]) -> Option<(&str, u16)> {
    let range = std::str::from_utf8(range).ok()?;
    let Some((range, weight)) = range.split_once(';') else { return Some((range.trim(), 1000)) };
    let (name, weight) = weight.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    Some((range.trim(), thousandths(weight.trim())?))
}

/// A weight of at most 1 with at most three places (RFC 9110 section 12.4.2).
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, places) = weight.split_once('.').unwrap_or((weight, ""));
    if places.len() > 3 || !places.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let digits = places.bytes().chain(*b"000").take(3);
    match (whole, digits.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))) {
        ("0", part) => Some(part),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Language::*, *};

    fn chosen(header: &str, house: Language) -> Language {
        Languages::read([header.as_bytes()]).choose(house)
    }

    #[test]
    fn a_reader_gets_the_language_that_they_ask_for_and_else_the_houses() {
        for (header, in_english_house, in_german_house) in [
            // Named, alone and among others; a variety is its language.
            ("de", German, German),
            ("en", English, English),
            ("DE", German, German),
            ("de-AT", German, German),
            ("de-CH-1996, fr;q=0.9", German, German),
            ("en-US,en;q=0.9,de;q=0.8", English, English),
            ("de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7", German, German),
            ("en;q=0.1, de", German, German),
            ("en;q=0.8,de;q=0.81", German, German),
            ("en ; q=0.8 ,\tde;Q=1.000", German, German),
            ("fr-FR, fr;q=0.9, en;q=0.1", English, English),
            // Of equals the first.
            ("en, de", English, English),
            ("de, en", German, German),
            // Nothing that we have: the house's own.
            ("", English, German),
            ("fr", English, German),
            ("den, deu, e", English, German),
            ("*", English, German),
            ("fr, *;q=0.5", English, German),
            // Whatever is not named weighs what `*` does.
            ("en;q=0.1, *", German, German),
            ("en, *;q=0.1", English, English),
            // Refused.
            ("de;q=0", English, English),
            ("en;q=0", German, German),
            ("en;q=0.0, *", German, German),
            ("de, de-AT;q=0", German, German),
            ("de-AT;q=0", English, German),
            ("*;q=0, de;q=0.1", German, German),
            ("de;q=0, en;q=0, *;q=0", English, German),
            // What is no range is passed over.
            ("de;q=2", English, German),
            ("de;q=1.001", English, German),
            ("de;q=0.1234", English, German),
            ("de;q=-1", English, German),
            ("de;q", English, German),
            ("de;level=1", English, German),
            (",,;;q=,=, \u{fc}", English, German),
            (";q=1, de", German, German),
        ] {
            assert_eq!(chosen(header, English), in_english_house, "`{header}` in an English house");
            assert_eq!(chosen(header, German), in_german_house, "`{header}` in a German house");
        }
        assert_eq!(Languages::default().choose(German), German, "absent");
        assert_eq!(Languages::read([&b"fr"[..], b"de;q=0.1"]).choose(English), German, "two headers are one list");
        assert_eq!(Languages::read([&b"\xff\xfe, de"[..]]).choose(English), German, "no text at all");
    }

    #[test]
    fn only_the_first_ranges_are_read_however_long_the_header_is() {
        assert_eq!(chosen(&"x".repeat(10_000), German), German);
        assert_eq!(chosen(&format!("{}de", "fr,".repeat(MOST - 1)), English), German);
        assert_eq!(chosen(&format!("{}de", "fr,".repeat(MOST)), English), English);
    }

    #[test]
    fn a_setting_is_written_as_the_tag() {
        for language in Language::ALL {
            assert_eq!(Language::ALL[language as usize], language);
            assert_eq!(toml::Value::try_from(language).unwrap().as_str(), Some(language.tag()));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_some_language_is_chosen(header in proptest::collection::vec(any::<u8>(), 0..200)) {
            let wished = Languages::read([&header[..]]);
            prop_assert!(Language::ALL.contains(&wished.choose(German)));
        }
    }
}
