//! The screens of `portscope top`.
//!
//! Data runs one way: a [`View`] is what is known, a [`Ui`] what the person wants to see of it; [`draw`] makes cells
//! of both, and [`Ui::key`] makes of a key another `Ui`, and says what is to be done. None of them does input or
//! output: terminal, clock and kernel are the command line's.

mod batch;
mod filter;
mod keys;
mod look;
mod order;
mod screens;
mod table;
mod ui;
mod view;

pub use batch::frame;
pub use filter::{Filter, FilterError};
pub use look::Look;
pub use order::Order;
pub use screens::draw;
pub use ui::{Action, Prompt, Screen, Ui};
pub use view::{Commanded, EventRow, Picture, Played, PoolId, Rate, Seen, Victim, Victims, View};
