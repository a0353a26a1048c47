//! The keys of `top`.

use portscope::tui::{Action, Filter, Order, PoolId, Screen, Ui, View, frame};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::top::{exhausted, filling, ui};

fn press(ui: &mut Ui, view: &View, code: KeyCode) -> Action {
    ui.key(KeyEvent::from(code), view)
}

fn typed(ui: &mut Ui, view: &View, text: &str) -> Action {
    for letter in text.chars() {
        press(ui, view, KeyCode::Char(letter));
    }
    press(ui, view, KeyCode::Enter)
}

#[test]
fn keys_end_pause_and_help_as_in_htop() {
    let view = exhausted();
    for code in [KeyCode::Char('q'), KeyCode::F(10)] {
        assert_eq!(press(&mut ui(80, 24), &view, code), Action::Quit);
    }
    let control = |letter| ui(80, 24).key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL), &view);
    assert_eq!(
        ['c', 'z', 'l', 'x'].map(control),
        [Action::Quit, Action::Suspend, Action::Redraw, Action::Nothing]
    );
    let mut ui = ui(80, 24);
    for code in [KeyCode::Char('p'), KeyCode::Char(' ')] {
        assert_eq!(press(&mut ui, &view, code), if ui.paused { Action::Draw } else { Action::Refresh });
    }
    assert!(!ui.paused);
    for code in [KeyCode::F(1), KeyCode::Char('?'), KeyCode::Char('h')] {
        press(&mut ui, &view, code);
        assert!(ui.help);
        // A key that closes the help does nothing else.
        assert_eq!(press(&mut ui, &view, KeyCode::Char('q')), Action::Draw);
        assert!(!ui.help);
    }
}

#[test]
fn keys_go_through_the_screens_and_back() {
    let (view, mut ui) = (exhausted(), ui(80, 24));
    let mut seen = Vec::new();
    for code in
        [KeyCode::Tab, KeyCode::Tab, KeyCode::Tab, KeyCode::BackTab, KeyCode::Char('1'), KeyCode::Char('2')]
    {
        assert_eq!(press(&mut ui, &view, code), Action::Refresh);
        seen.push(ui.screen);
    }
    let [overview, pools, events] = Screen::ALL;
    assert_eq!(seen, [pools, events, overview, events, overview, pools]);
    press(&mut ui, &view, KeyCode::Down);
    assert_eq!(press(&mut ui, &view, KeyCode::Enter), Action::Refresh);
    assert_eq!(ui.opened, Some(PoolId::of(&filling())));
    assert_eq!(press(&mut ui, &view, KeyCode::Esc), Action::Refresh);
    assert!(ui.opened.is_none() && ui.chosen == Some(PoolId::of(&filling())));
    assert_eq!(press(&mut ui, &view, KeyCode::Esc), Action::Nothing);
}

#[test]
fn pools_are_sorted_by_each_column_and_turned_round() {
    let (view, mut ui) = (exhausted(), Ui { screen: Screen::Pools, ..ui(120, 40) });
    let first = |ui: &Ui| frame(&view, ui).lines().nth(3).unwrap().split("  ").next().unwrap().to_owned();
    assert_eq!((ui.order, first(&ui).as_str()), (Order::Share, "10.0.3.14 > 10.0.9.2:6379"));
    press(&mut ui, &view, KeyCode::F(6));
    assert_eq!(ui.order, Order::Held);
    assert!(first(&ui).starts_with("2001:db8::17"), "{}", frame(&view, &ui));
    press(&mut ui, &view, KeyCode::Char('I'));
    assert!(first(&ui).starts_with("tcp bind 0.0.0.0"), "{}", frame(&view, &ui));
    for _ in 0..Order::ALL.len() {
        press(&mut ui, &view, KeyCode::Char('>'));
    }
    press(&mut ui, &view, KeyCode::Char('<'));
    assert_eq!(ui.order, Order::Share);
}

#[test]
fn a_filter_that_makes_no_sense_stays_on_the_line_and_one_that_does_narrows() {
    let (view, mut ui) = (exhausted(), Ui { screen: Screen::Pools, ..ui(120, 40) });
    press(&mut ui, &view, KeyCode::Char('/'));
    assert_eq!(typed(&mut ui, &view, "pid=q"), Action::Draw);
    assert!(frame(&view, &ui).contains("'q' is no process id: give a number"), "{}", frame(&view, &ui));
    press(&mut ui, &view, KeyCode::Esc);
    assert!(ui.prompt.is_none() && ui.filter.is_empty());
    press(&mut ui, &view, KeyCode::F(3));
    assert_eq!(typed(&mut ui, &view, "port=443 netns=host"), Action::Refresh);
    let shown = frame(&view, &ui);
    assert!(
        shown.contains("2001:db8::17") && !shown.contains("tcp bind") && shown.contains("shown: port=443"),
        "{shown}"
    );
    for (text, pools) in [
        ("failed", 1),
        ("comm=envoy", 1),
        ("remote=10.0.0.0/8", 1),
        ("netns=shop", 1),
        ("php", 1),
        ("pid=4", 0),
    ] {
        let ui = Ui { filter: Filter::parse(text).unwrap(), screen: Screen::Pools, ..ui.clone() };
        let rows = frame(&view, &ui)
            .lines()
            .filter(|line| line.contains(" > ") || line.contains("tcp bind"))
            .count();
        // The verdict names a pool, too.
        assert_eq!(rows, pools + 1, "{text}: {}", frame(&view, &ui));
    }
    assert_eq!(press(&mut ui, &view, KeyCode::Esc), Action::Refresh);
    assert!(ui.filter.is_empty());
}

#[test]
fn scrolled_events_stand_still_until_the_end_is_reached_again() {
    let (view, mut ui) = (exhausted(), Ui { screen: Screen::Events, ..ui(80, 24) });
    assert!(ui.follows());
    assert_eq!(press(&mut ui, &view, KeyCode::PageUp), Action::Draw);
    assert!(!ui.follows() && frame(&view, &ui).contains("End follows again"));
    press(&mut ui, &view, KeyCode::Home);
    press(&mut ui, &view, KeyCode::Up);
    assert!(ui.back < view.events.len());
    assert_eq!(press(&mut ui, &view, KeyCode::End), Action::Refresh);
    assert!(ui.follows());
}
