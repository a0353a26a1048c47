//! `--map`: how a picture of ports fits where it goes.

use std::io::{self, IsTerminal as _};

use rustix::termios::tcgetwinsize;

use super::{
    Failure,
    options::{Color, Format},
};
use crate::{
    output::map::{Look, MOST_COLUMNS, text},
    stock::PortMap,
};

/// Options of maps.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub(super) struct MapOptions {
    /// Draw the range of the fullest pool, each half by itself: what is free, held, in TIME_WAIT, reserved
    #[arg(long)]
    map: bool,
}

impl MapOptions {
    /// Refuses a map where it cannot be had.
    pub(super) fn check(self, output: Format) -> Result<(), Failure> {
        // A page has the map in any case.
        if self.map && !matches!(output, Format::Text | Format::Html) {
            return Err(Failure::usage("--map draws a picture, for text")
                .hint("`pools` of the JSON have their halves"));
        }
        Ok(())
    }

    /// Whether one is wanted.
    pub(super) const fn is_wanted(self) -> bool {
        self.map
    }

    /// The picture, if there is to be one, with an empty line before it.
    pub(super) fn draw(self, map: Option<(String, PortMap)>, color: Color, to_file: bool) -> String {
        if !self.map {
            return String::new();
        }
        let Some((netns, map)) = map else {
            return "\nno map: the range of no network namespace could be read\n".to_owned();
        };
        format!("\n{}", text(&map, &netns, look(color, to_file)))
    }
}

fn look(color: Color, to_file: bool) -> Look {
    let stdout = io::stdout();
    let columns = if !to_file && stdout.is_terminal() {
        tcgetwinsize(&stdout).ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns != 0)
    } else {
        None
    };
    Look {
        columns: columns.unwrap_or(MOST_COLUMNS),
        unicode: color != Color::Never && speaks_utf8(|name| std::env::var(name).ok()),
        color: !to_file && color.on_stdout(),
    }
}

/// Whether the locale for letters is one of UTF-8: the first of these variables that is set decides (locale(7)).
pub(super) fn speaks_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable).find(|value| !value.is_empty());
    set.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_locale_that_is_set_decides() {
        let speaks = |pairs: &[(&str, &str)]| {
            speaks_utf8(|name| {
                pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(speaks(&[("LANG", "de_DE.UTF-8")]) && speaks(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")]));
        assert!(!speaks(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]) && !speaks(&[]));
    }

    #[test]
    fn json_has_no_picture() {
        assert!(MapOptions { map: true }.check(Format::Json).is_err());
        assert!(MapOptions { map: false }.check(Format::Json).is_ok());
    }
}
