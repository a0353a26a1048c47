//! The binary interface between the two halves of portscope, and the logic that both compile.
//!
//! Everything here is `no_std` and free of BPF: the programs in `main.rs` write these layouts, the
//! `portscope` library reads them, and the host compiles and tests them like any other crate.
#![no_std]

pub mod abi;
