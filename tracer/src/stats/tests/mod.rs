//! Streams of made-up events against models that are too simple to be wrong.

mod bounds;
mod merging;
mod order;
mod parts;
mod sample;
