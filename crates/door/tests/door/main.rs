//! The door on real sockets, before a platform that is played.
#![allow(clippy::unwrap_used, missing_docs)]

mod balancer;
mod blocks;
mod common;
mod connect;
mod gateway;
mod http;
mod registration;
mod requests;
mod session;
mod tls;
mod v5;
mod websocket;
