//! What keys do: those of htop and of pagers.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{
    Action, Filter, PoolId, Prompt, Screen, Ui, View,
    order::pools,
    screens::{most_scroll, page},
};

/// Letters that a filter may have.
const MOST_TYPED: usize = 200;

/// A way to go through lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
}

impl Move {
    fn of(code: KeyCode) -> Option<Self> {
        Some(match code {
            KeyCode::Up | KeyCode::Char('k') => Self::Up,
            KeyCode::Down | KeyCode::Char('j') => Self::Down,
            KeyCode::PageUp => Self::PageUp,
            KeyCode::PageDown => Self::PageDown,
            KeyCode::Home | KeyCode::Char('g') => Self::First,
            KeyCode::End | KeyCode::Char('G') => Self::Last,
            _ => return None,
        })
    }

    /// From one place to another, of `0..=last`.
    fn from(self, at: usize, page: usize, last: usize) -> usize {
        let page = page.max(1);
        let to = match self {
            Self::Up => at.saturating_sub(1),
            Self::Down => at.saturating_add(1),
            Self::PageUp => at.saturating_sub(page),
            Self::PageDown => at.saturating_add(page),
            Self::First => 0,
            Self::Last => last,
        };
        to.min(last)
    }
}

impl Ui {
    /// Takes a key, and says what is to be done.
    pub fn key(&mut self, key: KeyEvent, view: &View) -> Action {
        if key.kind == KeyEventKind::Release {
            return Action::Nothing;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            match key.code {
                KeyCode::Char('c') => return Action::Quit,
                KeyCode::Char('z') => return Action::Suspend,
                KeyCode::Char('l') => return Action::Redraw,
                KeyCode::Char('u') if self.prompt.is_some() => {}
                _ => return Action::Nothing,
            }
        }
        if self.prompt.is_some() {
            return self.typed(key.code, key.modifiers);
        }
        if self.help {
            return self.helped(key.code);
        }
        self.pressed(key.code, view)
    }

    /// A key while a filter is being typed.
    fn typed(&mut self, code: KeyCode, modifiers: KeyModifiers) -> Action {
        let Some(prompt) = &mut self.prompt else { return Action::Nothing };
        match code {
            KeyCode::Esc | KeyCode::F(10) => self.prompt = None,
            KeyCode::Enter => match Filter::parse(&prompt.text) {
                Ok(filter) => {
                    self.filter = filter;
                    self.prompt = None;
                    (self.scroll, self.back) = (0, 0);
                    return Action::Refresh;
                }
                Err(error) => prompt.error = Some(error.to_string()),
            },
            KeyCode::Backspace => {
                prompt.text.pop();
                prompt.error = None;
            }
            KeyCode::Char(_) if modifiers.contains(KeyModifiers::CONTROL) => *prompt = Prompt::default(),
            KeyCode::Char(letter) if prompt.text.chars().count() < MOST_TYPED => {
                prompt.text.push(letter);
                prompt.error = None;
            }
            _ => return Action::Nothing,
        }
        Action::Draw
    }

    /// A key while the keys are shown.
    fn helped(&mut self, code: KeyCode) -> Action {
        match code {
            KeyCode::F(10) => return Action::Quit,
            KeyCode::Esc | KeyCode::Enter | KeyCode::F(1) | KeyCode::Char('h' | '?' | 'q' | ' ') => {
                self.help = false;
            }
            _ => return Action::Nothing,
        }
        Action::Draw
    }

    fn pressed(&mut self, code: KeyCode, view: &View) -> Action {
        match code {
            KeyCode::Char('q') | KeyCode::F(10) => return Action::Quit,
            KeyCode::F(1) | KeyCode::Char('h' | '?') => self.help = true,
            KeyCode::F(3) | KeyCode::Char('/') => {
                self.prompt = Some(Prompt { text: self.filter.to_string(), error: None });
            }
            KeyCode::Char('p' | ' ') => {
                self.paused = !self.paused;
                return if self.paused { Action::Draw } else { Action::Refresh };
            }
            KeyCode::Tab => return self.show(self.screen.step(true)),
            KeyCode::BackTab => return self.show(self.screen.step(false)),
            KeyCode::Char('1') => return self.show(Screen::Overview),
            KeyCode::Char('2') => return self.show(Screen::Pools),
            KeyCode::Char('3') => return self.show(Screen::Events),
            KeyCode::F(6) | KeyCode::Char('>' | '.') => return self.sort(true),
            KeyCode::Char('<' | ',') => return self.sort(false),
            KeyCode::Char('I') if self.sorts() => self.reversed = !self.reversed,
            KeyCode::Enter if self.screen == Screen::Pools && self.opened.is_none() => {
                return self.open(view);
            }
            KeyCode::Char('+' | '=') if view.played.is_some() => return Action::Faster,
            KeyCode::Char('-') if view.played.is_some() => return Action::Slower,
            KeyCode::Right if view.played.is_some() => return Action::Ahead,
            KeyCode::Esc => return self.escape(),
            code => match Move::of(code) {
                Some(by) => return self.go(by, view),
                None => return Action::Nothing,
            },
        }
        Action::Draw
    }

    fn show(&mut self, screen: Screen) -> Action {
        self.opened = None;
        self.screen = screen;
        (self.scroll, self.back) = (0, 0);
        // Events are made into rows only where they are seen.
        Action::Refresh
    }

    fn sorts(&self) -> bool {
        self.screen == Screen::Pools && self.opened.is_none()
    }

    fn sort(&mut self, forward: bool) -> Action {
        if !self.sorts() {
            return Action::Nothing;
        }
        self.order = self.order.step(forward);
        // The cursor stays at the top, where the worst is now.
        self.chosen = None;
        Action::Draw
    }

    fn open(&mut self, view: &View) -> Action {
        let shown = pools(view, &self.filter, self.order, self.reversed);
        let Some(pool) = shown.get(self.cursor(view)) else { return Action::Nothing };
        let pool = PoolId::of(pool);
        self.chosen = Some(pool.clone());
        self.opened = Some(pool);
        self.scroll = 0;
        Action::Refresh
    }

    /// One step back: from a pool to all of them, from scrolled events to the newest, from a filter to none.
    fn escape(&mut self) -> Action {
        if self.opened.take().is_some() {
            self.scroll = 0;
        } else if self.back != 0 {
            self.back = 0;
        } else if !self.filter.is_empty() {
            self.filter = Filter::default();
        } else {
            return Action::Nothing;
        }
        Action::Refresh
    }

    fn go(&mut self, by: Move, view: &View) -> Action {
        let page = page(view, self);
        if self.sorts() {
            let shown = pools(view, &self.filter, self.order, self.reversed);
            let to = by.from(self.cursor(view), page, shown.len().saturating_sub(1));
            self.chosen = shown.get(to).map(|pool| PoolId::of(pool));
        } else if self.screen == Screen::Events {
            // Counted from the newest, which stands at the bottom.
            let last = view.events.len().saturating_sub(page);
            let at = last.saturating_sub(self.back.min(last));
            self.back = last.saturating_sub(by.from(at, page, last));
            return if self.back == 0 { Action::Refresh } else { Action::Draw };
        } else {
            let last = most_scroll(view, self);
            self.scroll = by.from(self.scroll.min(last), page, last);
        }
        Action::Draw
    }
}
