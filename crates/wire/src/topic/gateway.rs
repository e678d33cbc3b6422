use super::Kind;

/// What a gateway asks for its sub-devices, each on a topic of its own (9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GatewayStep {
    /// Takes sub-devices into its topology.
    AddTopology,
    /// Takes them out of it.
    DeleteTopology,
    /// Asks who is in it.
    GetTopology,
    /// Asks for the secrets of sub-devices.
    Register,
    /// Asks for them with the secret of their product.
    RegisterByProduct,
    /// Logs a sub-device in.
    Login,
    /// Logs several in.
    BatchLogin,
    /// Logs a sub-device out.
    Logout,
    /// Logs several out.
    BatchLogout,
}

/// What the topic of an answer has behind that of its request.
pub(super) const REPLY: &str = "_reply";

impl GatewayStep {
    /// All of them.
    pub const ALL: [GatewayStep; 9] = [
        GatewayStep::AddTopology,
        GatewayStep::DeleteTopology,
        GatewayStep::GetTopology,
        GatewayStep::Register,
        GatewayStep::RegisterByProduct,
        GatewayStep::Login,
        GatewayStep::BatchLogin,
        GatewayStep::Logout,
        GatewayStep::BatchLogout,
    ];

    /// What stands before and behind the gateway's names in the topic of the request.
    pub(super) fn place(self) -> (&'static str, &'static str) {
        match self {
            GatewayStep::AddTopology => ("sys", "thing/topo/add"),
            GatewayStep::DeleteTopology => ("sys", "thing/topo/delete"),
            GatewayStep::GetTopology => ("sys", "thing/topo/get"),
            GatewayStep::Register => ("sys", "thing/sub/register"),
            GatewayStep::RegisterByProduct => ("sys", "thing/proxy/provisioning/product_register"),
            GatewayStep::Login => ("ext/session", "combine/login"),
            GatewayStep::BatchLogin => ("ext/session", "combine/batch_login"),
            GatewayStep::Logout => ("ext/session", "combine/logout"),
            GatewayStep::BatchLogout => ("ext/session", "combine/batch_logout"),
        }
    }
}

/// The kind of a topic with these parts before and behind the names.
pub(super) fn kind(root: &str, tail: &str) -> Option<Kind> {
    let (tail, kind): (_, fn(GatewayStep) -> Kind) = match tail.strip_suffix(REPLY) {
        Some(request) => (request, Kind::GatewayReply),
        None => (tail, Kind::Gateway),
    };
    GatewayStep::ALL.into_iter().find(|step| step.place() == (root, tail)).map(kind)
}
