//! What a person wants to see.

use super::{Filter, Look, Order, PoolId, View, order::pools};

/// A screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Screen {
    /// The verdict and what it rests on.
    #[default]
    Overview,
    /// Every pool, and one of them in full.
    Pools,
    /// Events as they happen.
    Events,
}

impl Screen {
    /// All of them, in the order of their keys.
    pub const ALL: [Self; 3] = [Self::Overview, Self::Pools, Self::Events];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Pools => "Pools",
            Self::Events => "Events",
        }
    }

    pub(super) fn step(self, forward: bool) -> Self {
        let at = Self::ALL.iter().position(|one| *one == self).unwrap_or(0);
        let by = if forward { 1 } else { Self::ALL.len() - 1 };
        Self::ALL.get((at + by) % Self::ALL.len()).copied().unwrap_or(self)
    }
}

/// What is to be done after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing changed.
    Nothing,
    /// Something looks different.
    Draw,
    /// Something else is to be looked at.
    Refresh,
    /// Whatever is on the terminal is to be drawn anew.
    Redraw,
    /// Give the terminal back, and stop until the shell says go on.
    Suspend,
    /// Play a recording faster.
    Faster,
    /// Play it slower.
    Slower,
    /// Play 10 s of it at once.
    Ahead,
    /// The end.
    Quit,
}

/// A line that is being typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// What was typed.
    pub text: String,
    /// What is wrong with it.
    pub error: Option<String>,
}

/// The state of the screens.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Ui {
    /// What the terminal can show.
    pub look: Look,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// Text for a log: no keys, no tabs, nothing that the eye alone understands.
    pub plain: bool,
    /// The screen.
    pub screen: Screen,
    /// The keys are shown.
    pub help: bool,
    /// A filter is being typed.
    pub prompt: Option<Prompt>,
    /// What is shown.
    pub filter: Filter,
    /// Nothing moves.
    pub paused: bool,
    /// By what pools are sorted.
    pub order: Order,
    /// The least first.
    pub reversed: bool,
    /// The pool under the cursor; none: the first.
    pub chosen: Option<PoolId>,
    /// The pool that is shown in full.
    pub opened: Option<PoolId>,
    /// Lines that are scrolled away at the top.
    pub scroll: usize,
    /// Events that are scrolled away at the bottom; while there are some, no new ones come.
    pub back: usize,
}

impl Ui {
    /// The first screen.
    #[must_use]
    pub fn new(look: Look, size: (u16, u16)) -> Self {
        Self { look, size, ..Self::default() }
    }

    /// Whether new events are to be shown.
    #[must_use]
    pub const fn follows(&self) -> bool {
        self.back == 0
    }

    /// Where the cursor stands among the pools shown.
    pub(super) fn cursor(&self, view: &View) -> usize {
        let shown = pools(view, &self.filter, self.order, self.reversed);
        let chosen = |chosen: &PoolId| shown.iter().position(|pool| PoolId::of(pool) == *chosen);
        self.chosen.as_ref().and_then(chosen).unwrap_or(0)
    }
}
