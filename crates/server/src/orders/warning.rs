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
