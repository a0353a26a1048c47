//! Keys, and the signals of terminals.

use std::{
    io,
    sync::mpsc::Sender,
    thread::{self, JoinHandle},
};

use ratatui::crossterm::event::{Event, KeyEvent, read};
use tokio::signal::unix::{SignalKind, signal};

use crate::privileges::renounce;

/// What comes from the terminal.
#[derive(Clone, Copy, Debug)]
pub(super) enum Input {
    Key(KeyEvent),
    /// It has another size.
    Resized,
    /// We are to stop.
    Stop,
    /// We were stopped, and go on.
    GoOn,
    /// It is gone.
    Gone,
}

/// Passes on what comes, in the context of a runtime.
pub(super) fn listen(sender: &Sender<Input>) -> io::Result<()> {
    let all = [
        (SignalKind::hangup(), Input::Gone),
        (SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()), Input::Stop),
        (SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()), Input::GoOn),
    ];
    for (kind, input) in all {
        let (mut signals, sender) = (signal(kind)?, sender.clone());
        drop(tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if sender.send(input).is_err() {
                    break;
                }
            }
        }));
    }
    keys(sender.clone()).map(drop)
}

/// Reads keys on a thread of its own, which ends with the process.
fn keys(sender: Sender<Input>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("keys".into()).spawn(move || {
        renounce();
        loop {
            let input = match read() {
                Ok(Event::Key(key)) => Input::Key(key),
                Ok(Event::Resize(..)) => Input::Resized,
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => Input::Gone,
            };
            if sender.send(input).is_err() || matches!(input, Input::Gone) {
                return;
            }
        }
    })
}
