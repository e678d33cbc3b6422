use crate::Server;
use crate::address::is_loopback;

/// What an order is carried out with, though it is hardly what was meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// Devices cannot reach the platform at its public address.
    #[error(
        "devices are told to fetch the file from {0}, which leads each of them to itself: only what runs on this machine will get it. For others start the platform with --public-url and the address that devices reach it at"
    )]
    PublicUrlLoopback(String),
}

impl Warning {
    /// What a program goes by.
    pub fn code(&self) -> &'static str {
        match self {
            Self::PublicUrlLoopback(_) => "publicUrlLoopback",
        }
    }
}

impl Server {
    /// What is to be said when devices are told of something that they fetch over HTTP.
    pub fn http_warnings(&self) -> Vec<Warning> {
        let url = self.core.writer.public_url.iter();
        url.filter(|url| is_loopback(url)).cloned().map(Warning::PublicUrlLoopback).collect()
    }
}
