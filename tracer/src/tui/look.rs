//! How things look: the sixteen colours of the terminal itself, and shapes that say the same without them.

use ratatui::style::{Color, Modifier, Style};

/// What the terminal can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Colours. They never say alone what they say.
    pub color: bool,
    /// Blocks; without it the letters of ASCII.
    pub unicode: bool,
}

/// From here on a pool is nearly full.
const NEARLY_FULL: f64 = 0.9;
/// From here on a pool is on its way.
const HALF: f64 = 0.5;

impl Look {
    fn of(self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }

    /// Something is wrong.
    pub(super) fn bad(self) -> Style {
        self.of(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// All is well.
    pub(super) fn good(self) -> Style {
        self.of(Color::Green)
    }

    /// Something may go wrong.
    pub(super) fn warning(self) -> Style {
        self.of(Color::Yellow)
    }

    /// What the eye may use to find its way.
    pub(super) fn accent(self) -> Style {
        self.of(Color::Cyan)
    }

    /// A listener in a map.
    pub(super) fn listener(self) -> Style {
        self.of(Color::Magenta).add_modifier(Modifier::BOLD)
    }

    /// The word of a verdict: a block of its colour.
    pub(super) fn verdict(self, word: &str) -> Style {
        let style = match word {
            "OK" | "NOT PORT-BOUND" => self.good(),
            "EXHAUSTED" | "CONFLICT" | "PORT-BOUND" => self.bad(),
            _ => self.warning(),
        };
        style.add_modifier(Modifier::BOLD | Modifier::REVERSED)
    }

    /// A severity.
    pub(super) fn severity(self, name: &str) -> Style {
        match name {
            "critical" => self.bad(),
            "warning" => self.warning().add_modifier(Modifier::BOLD),
            _ => Style::new(),
        }
    }

    /// How full something is.
    pub(super) fn fullness(self, share: Option<f64>) -> Style {
        match share {
            Some(share) if share >= NEARLY_FULL => self.bad(),
            Some(share) if share >= HALF => self.warning(),
            Some(_) => self.good(),
            None => dim(),
        }
    }

    /// A bar of so many columns. A share above 0 shows, and one below 1 is never drawn as a whole bar.
    pub(super) fn bar(self, share: f64, width: usize) -> String {
        let (full, rest) = if self.unicode { ('█', '░') } else { ('#', '.') };
        let filled = scaled(share, width);
        let filled = if share > 0.0 { filled.max(1) } else { 0 };
        let filled = if share < 1.0 { filled.min(width.saturating_sub(1)) } else { width };
        (0..width).map(|at| if at < filled { full } else { rest }).collect()
    }

    /// Numbers as a line of little columns, the newest at the right; what is above 0 is never drawn as 0.
    pub(super) fn sparkline(self, numbers: &[u32], width: usize) -> String {
        const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        const LETTERS: [char; 8] = ['_', '.', ':', '-', '=', '+', '*', '#'];
        let steps = if self.unicode { BLOCKS } else { LETTERS };
        let shown = numbers.get(numbers.len().saturating_sub(width)..).unwrap_or_default();
        let most = shown.iter().copied().max().unwrap_or(0);
        let step = |number: u32| match number {
            0 => 0,
            _ => scaled(f64::from(number) / f64::from(most.max(1)), steps.len() - 1).max(1),
        };
        shown.iter().filter_map(|number| steps.get(step(*number))).collect()
    }
}

/// Less important.
pub(super) fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

/// A title.
pub(super) fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// The row under the cursor.
pub(super) fn chosen() -> Style {
    Style::new().add_modifier(Modifier::REVERSED)
}

/// A share of so many steps.
fn scaled(share: f64, steps: usize) -> usize {
    (0..=steps).take_while(|step| ratio(*step, steps) <= share + 1e-9).last().unwrap_or(0)
}

fn ratio(of: usize, over: usize) -> f64 {
    let real = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    real(of) / real(over.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCKS: Look = Look { color: true, unicode: true };
    const PLAIN: Look = Look { color: false, unicode: false };

    #[test]
    fn bars_are_whole_only_when_all_is_held_and_empty_only_when_nothing_is() {
        let bar = |share| PLAIN.bar(share, 4);
        assert_eq!([0.0, 0.001, 0.5, 0.999, 1.0].map(bar), ["....", "#...", "##..", "###.", "####"]);
        assert_eq!((BLOCKS.bar(0.5, 2), BLOCKS.bar(1.0, 0)), ("█░".to_owned(), String::new()));
    }

    #[test]
    fn sparklines_show_the_newest_and_tell_little_from_nothing() {
        assert_eq!(BLOCKS.sparkline(&[9, 0, 1, 1000, 500], 4), "▁▂█▄");
        assert_eq!(PLAIN.sparkline(&[0, 7], 9), "_#");
        assert_eq!(PLAIN.sparkline(&[], 9), "");
    }

    #[test]
    fn without_colour_there_is_none() {
        for style in [PLAIN.bad(), PLAIN.verdict("OK"), PLAIN.warning(), PLAIN.fullness(Some(1.0))] {
            assert!(style.fg.is_none() && style.bg.is_none(), "{style:?}");
        }
        assert!(BLOCKS.verdict("EXHAUSTED").bg.is_none());
    }
}
