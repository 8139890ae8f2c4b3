//! Colours and their contrast (WCAG 2.2, success criterion 1.4.3): a tenant may choose any accent, and everybody can
//! still read it.

/// An opaque sRGB colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour {
    /// Red.
    pub red: u8,
    /// Green.
    pub green: u8,
    /// Blue.
    pub blue: u8,
}

/// White.
pub const WHITE: Colour = Colour { red: 255, green: 255, blue: 255 };
/// Black.
pub const BLACK: Colour = Colour { red: 0, green: 0, blue: 0 };

/// What text must reach against its ground.
pub const TEXT: f64 = 4.5;

impl Colour {
    /// Reads `rrggbb`, with or without a leading `#`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').unwrap_or(text);
        if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let part = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        Some(Self { red: part(0)?, green: part(2)?, blue: part(4)? })
    }

    /// As it is written in CSS: `#rrggbb`.
    pub fn css(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }

    /// The contrast with another colour: 1 for none, 21 for black on white.
    pub fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// This colour, moved towards `pole` in steps until it stands out from `ground` by at least `least`.
    #[must_use]
    pub fn readable_on(self, ground: Self, pole: Self, least: f64) -> Self {
        (0..=100).map(|percent| self.mixed(pole, percent)).find(|mixed| mixed.contrast(ground) >= least).unwrap_or(pole)
    }

    /// `percent` of the way to `other`.
    #[must_use]
    pub fn mixed(self, other: Self, percent: u32) -> Self {
        let part = |from: u8, to: u8| {
            let sum = u32::from(from) * (100 - percent) + u32::from(to) * percent;
            u8::try_from(sum / 100).unwrap_or(u8::MAX)
        };
        Self { red: part(self.red, other.red), green: part(self.green, other.green), blue: part(self.blue, other.blue) }
    }

    /// Relative luminance.
    fn luminance(self) -> f64 {
        let part = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(self.red) + 0.7152 * part(self.green) + 0.0722 * part(self.blue)
    }
}

/// The grounds that an accent lies on, in light and in dark: the darkest light one and the lightest dark one of
/// `tokens.css`, so that what is readable there is readable on all of them.
const LIGHT_GROUND: Colour = Colour { red: 0xf1, green: 0xef, blue: 0xec };
const DARK_GROUND: Colour = Colour { red: 0x2e, green: 0x2c, blue: 0x29 };

/// The style sheet that puts a tenant's accent in the place of ours, moved as far as legibility asks.
pub fn accent_sheet(accent: Colour) -> String {
    let light = accent.readable_on(LIGHT_GROUND, BLACK, TEXT);
    let dark = accent.readable_on(DARK_GROUND, WHITE, TEXT);
    let block = |colour: Colour| {
        let on = if colour.contrast(WHITE) >= TEXT { WHITE } else { BLACK };
        let strong = colour.mixed(if on == WHITE { BLACK } else { WHITE }, 14);
        format!(":root{{--accent:{};--accent-strong:{};--on-accent:{}}}", colour.css(), strong.css(), on.css())
    };
    format!("{}\n@media (prefers-color-scheme: dark){{{}}}\n", block(light), block(dark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_is_as_the_standard_reckons_it() {
        assert!((BLACK.contrast(WHITE) - 21.0).abs() < 0.001);
        assert!((WHITE.contrast(WHITE) - 1.0).abs() < 0.001);
        let grey = Colour::parse("#767676").unwrap();
        assert!((grey.contrast(WHITE) - 4.54).abs() < 0.01);
    }

    #[test]
    fn any_accent_becomes_readable_in_light_and_in_dark() {
        for text in ["#ffff00", "#000000", "#ffffff", "#ff0000", "#00ff00", "#0000ff", "#777777", "#0a7c86", "#fedcba"]
        {
            let accent = Colour::parse(text).unwrap();
            for (ground, pole) in [(LIGHT_GROUND, BLACK), (DARK_GROUND, WHITE)] {
                let shown = accent.readable_on(ground, pole, TEXT);
                assert!(shown.contrast(ground) >= TEXT, "{text} on {}", ground.css());
                let label = if shown.contrast(WHITE) >= TEXT { WHITE } else { BLACK };
                assert!(shown.contrast(label) >= TEXT, "a label on {text}");
            }
        }
    }

    #[test]
    fn a_readable_accent_stays_as_it_is() {
        let teal = Colour::parse("#00545c").unwrap();
        assert_eq!(teal.readable_on(LIGHT_GROUND, BLACK, TEXT), teal);
    }

    #[test]
    fn what_is_no_colour_is_refused() {
        for text in ["", "#fff", "#12345", "#12345g", "red", "#1234567", "+1+2+3", "é12345"] {
            assert_eq!(Colour::parse(text), None, "{text}");
        }
    }
}
