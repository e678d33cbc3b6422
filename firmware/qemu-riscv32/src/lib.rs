//! What bootloader and application share: the machine, its flash, and what lies where in it.
#![no_std]

pub mod card;
pub mod flash;
pub mod layout;
pub mod machine;
pub mod network;
pub mod settings;
