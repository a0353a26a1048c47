//! The pictures of the page, each with a sentence that says what it shows, and its numbers in a table.

mod bars;
mod canvas;
mod course;
mod map;
mod marks;

pub(super) use bars::{ports, searches};
pub(super) use course::course;
