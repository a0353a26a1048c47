//! The binary interface between the two halves of portscope, and the logic that both compile.
//!
//! Everything here is `no_std` and free of BPF: the programs in `main.rs` write these layouts, the
//! `portscope` library reads them, and the host compiles and tests them like any other crate.
#![no_std]
#![expect(clippy::inline_always, reason = "a function that stays a call costs stack and instructions in BPF")]

pub mod abi;
