//! What gateways ask for their sub-devices (docs/protocol.md 9).

mod rate;
mod registration;

use std::collections::BTreeMap;
use std::sync::Arc;

use door::{Carrier, Downlink, Session, TooMany};
use rollout::{EventKind, GatewayName, Id, NodeType};
use store::topology::{self, Belonging, DeviceName, SubDevice as Found};
use store::{Owner, Tx};
use tracing::{debug, error};
use wire::credentials::Proof;
use wire::message::{GatewayData, GatewayReply, GatewayRequest, RequestError, SubDevice, SubName};
use wire::topic::{GatewayStep, Kind};

use crate::Server;
use crate::core::Unit;
use crate::counters::Counters;
use crate::downlink::bytes;

pub(crate) use rate::Rates;

/// Codes of answers, in the order of docs/protocol.md 9.
const SUCCESS: i32 = 200;
const NOT_A_GATEWAY: i32 = 403;
const TOO_MANY: i32 = 428;
const TOO_OFTEN: i32 = 429;
const WRONG_PARAMETER: i32 = 460;
const SYSTEM_ERROR: i32 = 500;
const NO_SESSION: i32 = 520;
const DISABLED: i32 = 522;
const UNKNOWN_DEVICE: i32 = 6100;
const WRONG_SIGNATURE: i32 = 6287;
const NO_TOPOLOGY: i32 = 6401;
const ITSELF: i32 = 6402;

/// What has come of a request.
enum Done {
    /// It is done, and this is the topology if that was asked for.
    Listed(Vec<DeviceName>),
    /// What each of its sub-devices has come to.
    Registered(Vec<registration::Verdict>),
}

/// Why nothing of a request is done.
enum Refusal {
    /// With a code and words for the gateway.
    Code(i32, String),
    /// The platform cannot tell at present.
    Failed(store::Error),
}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Self {
        Self::Failed(error)
    }
}

/// A refusal because of one sub-device.
fn of(sub: &SubDevice<'_>, code: i32, words: &str) -> Refusal {
    Refusal::Code(code, format!("{}&{}: {words}", sub.device_name, sub.product_key))
}

/// A gateway, and what people call it.
pub(crate) struct Gateway {
    pub(crate) id: Id,
    pub(crate) name: DeviceName,
}

impl Server {
    /// Does what a gateway asks, in the order of its requests, and answers. A payload that cannot be read is
    /// dropped.
    pub(crate) async fn serve_gateway(&self, gateway: &Session, step: GatewayStep, payload: &[u8]) {
        let Some(carrier) = self.core.sessions.carrier(gateway.device, gateway.epoch) else { return };
        let _turn = carrier.turn().await;
        let request = match GatewayRequest::parse(step, payload) {
            Ok(request) => request,
            Err(RequestError::Parameter { id, error }) => {
                let (message, data) = (&*error.to_string(), GatewayData::Nothing);
                let reply = GatewayReply { id, code: WRONG_PARAMETER, message, data };
                return self.answer_gateway(gateway, step, &reply);
            }
            Err(RequestError::Unreadable(error)) => {
                Counters::add(&self.core.counters.bad_messages);
                debug!(product = gateway.product_key, device = gateway.device_name, ?step, %error, "a message was dropped");
                return;
            }
        };
        let subs: Vec<SubDevice<'_>> = request.sub_devices().collect();
        let (code, message, done) = match self.carry_out(gateway, &carrier, step, &subs).await {
            Ok(done) => (SUCCESS, "success".to_owned(), done),
            Err(Refusal::Code(code, words)) => (code, words, Done::Listed(vec![])),
            Err(Refusal::Failed(error)) => {
                error!(%error, device = gateway.device_name, ?step, "what a gateway asked could not be done");
                (
                    SYSTEM_ERROR,
                    "the platform cannot do this at present: try again".into(),
                    Done::Listed(vec![]),
                )
            }
        };
        let answer = |data: GatewayData<'_>| {
            self.answer_gateway(
                gateway,
                step,
                &GatewayReply { id: request.id, code, message: &message, data },
            );
        };
        let listed = match &done {
            Done::Listed(listed) => listed,
            Done::Registered(verdicts) => return registration::tell(step, &subs, verdicts, answer),
        };
        let listed = listed.iter().map(|name| SubName::new(&name.product_key, &name.device_name));
        let asked = subs.iter().map(|sub| SubName::new(sub.product_key, sub.device_name));
        let names: Vec<SubName<'_>> = asked.chain(listed).collect();
        answer(match (step, names.first()) {
            (GatewayStep::Login | GatewayStep::Logout, Some(name)) => GatewayData::One(*name),
            _ => GatewayData::Many(&names),
        });
    }

    async fn carry_out(
        &self,
        gateway: &Session,
        carrier: &Carrier,
        step: GatewayStep,
        subs: &[SubDevice<'_>],
    ) -> Result<Done, Refusal> {
        match step {
            GatewayStep::GetTopology => return self.topology_of(gateway).await.map(Done::Listed),
            GatewayStep::AddTopology => self.add_topology(gateway, subs).await,
            GatewayStep::DeleteTopology => self.delete_topology(gateway, subs).await,
            GatewayStep::Login | GatewayStep::BatchLogin => self.log_in(gateway, carrier, subs).await,
            GatewayStep::Logout | GatewayStep::BatchLogout => self.log_out(carrier, subs).await,
            GatewayStep::Register | GatewayStep::RegisterByProduct => {
                return self.register_subs(gateway, step, subs).await.map(Done::Registered);
            }
        }
        .map(|()| Done::Listed(vec![]))
    }

    fn answer_gateway(&self, gateway: &Session, step: GatewayStep, reply: &GatewayReply<'_>) {
        let downlink = Downlink { kind: Kind::GatewayReply(step), payload: bytes(reply) };
        self.core.sessions.deliver(gateway.device, gateway.epoch, downlink);
    }

    async fn topology_of(&self, gateway: &Session) -> Result<Vec<DeviceName>, Refusal> {
        let mut tx = self.core.store.read().await?;
        let limit = u32::try_from(self.core.sub_devices).unwrap_or(u32::MAX - 1);
        let found = topology::list(&mut tx, gateway.device, None, limit).await?;
        Ok(found.items.into_iter().map(|sub| sub.name).collect())
    }

    /// Who shows a sub-device's signature has it, so it comes here from wherever it was.
    async fn add_topology(&self, gateway: &Session, subs: &[SubDevice<'_>]) -> Result<(), Refusal> {
        let has = |found: &Found| found.gateway == Some(gateway.device);
        let mut tx = self.core.store.read().await?;
        let found = self.proved(&mut tx, gateway, subs).await?;
        drop(tx);
        // Gateways add what they have at every start.
        if found.iter().all(has) {
            return Ok(());
        }
        let mut unit = self.core.unit().await?;
        let found = self.proved(&mut unit.tx, gateway, subs).await?;
        let new = found.iter().filter(|found| !has(found)).count();
        let most = self.core.sub_devices;
        if topology::count(&mut unit.tx, gateway.device).await? + new as i64 > most as i64 {
            let words = format!("a gateway may have {most} sub-devices in its topology");
            return Err(Refusal::Code(TOO_MANY, words));
        }
        let rates = &self.core.topology_rates;
        self.check_rate(rates, gateway, new, "too many new sub-devices in the topology in a short time")?;
        let to = Gateway { id: gateway.device, name: gateway_name(gateway) };
        unit.put_under(Some(&to), &found).await?;
        Ok(unit.commit().await?)
    }

    /// Those that belong to another gateway, or to none, stay as they are.
    async fn delete_topology(&self, gateway: &Session, subs: &[SubDevice<'_>]) -> Result<(), Refusal> {
        let mut unit = self.core.unit().await?;
        let found = self.known(&mut unit.tx, gateway, subs).await?;
        let own: Vec<Found> = found.into_iter().filter(|sub| sub.gateway == Some(gateway.device)).collect();
        unit.put_under(None, &own).await?;
        Ok(unit.commit().await?)
    }

    /// All or none.
    async fn log_in(
        &self,
        gateway: &Session,
        carrier: &Carrier,
        subs: &[SubDevice<'_>],
    ) -> Result<(), Refusal> {
        self.check_writable()?;
        let rates = &self.core.login_rates;
        self.check_rate(rates, gateway, subs.len(), "too many logins of sub-devices in a short time")?;
        // A gateway waits for what its logins before have come to, as others do for their reports.
        let _ = self.queue.flush().await;
        let mut tx = self.core.store.read().await?;
        let found = self.proved(&mut tx, gateway, subs).await?;
        drop(tx);
        check_own(gateway, subs, &found)?;
        let sessions = subs.iter().zip(&found).map(|(sub, found)| {
            Arc::new(Session {
                device: found.device,
                epoch: self.core.next_id(),
                product_key: sub.product_key.into(),
                device_name: sub.device_name.into(),
                gateway: Some(gateway.device),
                client_id: "".into(),
                keep_alive: 0,
                peer: gateway.peer,
                is_private: gateway.is_private,
            })
        });
        let most = self.core.sub_devices;
        carrier.carry(sessions.collect(), most).map_err(|TooMany| {
            Refusal::Code(TOO_MANY, format!("a gateway may have {most} sub-devices logged in"))
        })?;
        // Who took one away before it was carried found nothing to log out.
        self.still_own(gateway, subs).await.inspect_err(|_| {
            for sub in &found {
                carrier.drop_off(sub.device);
            }
        })
    }

    /// Whether those whose signatures were right may be logged in at this moment.
    async fn still_own(&self, gateway: &Session, subs: &[SubDevice<'_>]) -> Result<(), Refusal> {
        let mut tx = self.core.store.read().await?;
        let found = self.known(&mut tx, gateway, subs).await?;
        subs.iter().zip(&found).try_for_each(|(sub, found)| check_enabled(sub, found))?;
        check_own(gateway, subs, &found)
    }

    fn check_rate(&self, rates: &Rates, gateway: &Session, wanted: usize, what: &str) -> Result<(), Refusal> {
        if rates.take(gateway.device, wanted, self.core.now()) {
            return Ok(());
        }
        Err(Refusal::Code(TOO_OFTEN, format!("{what}: try again in a few seconds")))
    }

    fn check_writable(&self) -> Result<(), Refusal> {
        if self.core.takes_logins() {
            return Ok(());
        }
        Err(Refusal::Code(SYSTEM_ERROR, "nothing can be written at present: try again".into()))
    }

    /// Those that are logged in here are logged out, whatever is wrong with the others.
    async fn log_out(&self, carrier: &Carrier, subs: &[SubDevice<'_>]) -> Result<(), Refusal> {
        let mut tx = self.core.store.read().await?;
        let found = topology::find(&mut tx, &names(subs)).await?;
        drop(tx);
        let mut missing = None;
        for (sub, found) in subs.iter().zip(found) {
            if !found.is_some_and(|found| carrier.drop_off(found.device)) {
                missing.get_or_insert(sub);
            }
        }
        missing.map_or(Ok(()), |sub| Err(of(sub, NO_SESSION, "it is not logged in here")))
    }

    /// The sub-devices of a request, all of which there are and none of which is the gateway itself.
    async fn known(
        &self,
        tx: &mut Tx,
        gateway: &Session,
        subs: &[SubDevice<'_>],
    ) -> Result<Vec<Found>, Refusal> {
        check_is_gateway(tx, gateway).await?;
        let found = topology::find(tx, &names(subs)).await?;
        let checked = subs.iter().zip(found).map(|(sub, found)| match found {
            Some(found) if found.device == gateway.device => {
                Err(of(sub, ITSELF, "a gateway cannot be its own sub-device"))
            }
            Some(found) => Ok(found),
            None => Err(of(sub, UNKNOWN_DEVICE, "there is no such device")),
        });
        checked.collect()
    }

    /// As [`Self::known`]; each is enabled, and its signature is right.
    async fn proved(
        &self,
        tx: &mut Tx,
        gateway: &Session,
        subs: &[SubDevice<'_>],
    ) -> Result<Vec<Found>, Refusal> {
        let found = self.known(tx, gateway, subs).await?;
        for (sub, found) in subs.iter().zip(&found) {
            check_enabled(sub, found)?;
            if !self.is_signed(sub, found) {
                return Err(of(sub, WRONG_SIGNATURE, "the signature is wrong"));
            }
        }
        Ok(found)
    }

    fn is_signed(&self, sub: &SubDevice<'_>, found: &Found) -> bool {
        let SubDevice { product_key, device_name, .. } = *sub;
        let holds = |proof: Proof<'_>| {
            let owner = Owner::Device { product_key, device_name };
            match self.core.store.keyring().open(owner, &found.secret) {
                Ok(secret) => proof.holds(&secret, product_key, device_name),
                Err(error) => {
                    error!(%error, product_key, device_name, "a sub-device cannot be checked: its secret does not open");
                    false
                }
            }
        };
        sub.proof.is_some_and(holds)
    }
}

impl Unit {
    /// Puts devices under a gateway, or under none, and tells so. Of those for which that is a change the sessions with
    /// the old one end with the commit.
    pub(crate) async fn put_under(
        &mut self,
        gateway: Option<&Gateway>,
        devices: &[Found],
    ) -> Result<(), store::Error> {
        let to = gateway.map(|gateway| gateway.id);
        let moved: BTreeMap<Id, Id> =
            devices.iter().filter(|sub| sub.gateway != to).map(|sub| (sub.device, sub.product)).collect();
        let ids: Vec<Id> = moved.keys().copied().collect();
        store::devices::lock(&mut self.tx, &ids).await?;
        let mut before = topology::gateways_of(&mut self.tx, &ids).await?;
        match to {
            Some(gateway_id) => {
                let added_at = self.now;
                let row = |device_id: &Id| Belonging { device_id: *device_id, gateway_id, added_at };
                topology::put(&mut self.tx, &ids.iter().map(row).collect::<Vec<_>>()).await?;
            }
            None => topology::remove(&mut self.tx, &ids).await?,
        }
        for (device, product_id) in moved {
            let from = before.remove(&device).map(told);
            let to = gateway.map(|gateway| told(gateway.name.clone()));
            self.told(product_id, Some(device), None, EventKind::GatewayChanged { from, to });
        }
        self.take_off(ids);
        Ok(())
    }
}

async fn check_is_gateway(tx: &mut Tx, gateway: &Session) -> Result<(), Refusal> {
    let product = store::products::find(tx, &gateway.product_key).await?;
    if product.is_some_and(|product| product.node_type == NodeType::Gateway) {
        return Ok(());
    }
    let words = "devices of this product are no gateways: set its node type on the platform";
    Err(Refusal::Code(NOT_A_GATEWAY, words.into()))
}

fn check_enabled(sub: &SubDevice<'_>, found: &Found) -> Result<(), Refusal> {
    if found.enabled { Ok(()) } else { Err(of(sub, DISABLED, "the device is disabled")) }
}

/// Whether all are in the topology of the gateway.
fn check_own(gateway: &Session, subs: &[SubDevice<'_>], found: &[Found]) -> Result<(), Refusal> {
    let foreign = |(_, found): &(_, &Found)| found.gateway != Some(gateway.device);
    match subs.iter().zip(found).find(foreign) {
        Some((sub, _)) => Err(of(sub, NO_TOPOLOGY, "it is not in the topology of this gateway")),
        None => Ok(()),
    }
}

/// The names of a gateway.
fn gateway_name(gateway: &Session) -> DeviceName {
    DeviceName {
        product_key: gateway.product_key.as_ref().into(),
        device_name: gateway.device_name.as_ref().into(),
    }
}

fn told(name: DeviceName) -> GatewayName {
    GatewayName { product_key: name.product_key, device_name: name.device_name }
}

fn names<'a>(subs: &[SubDevice<'a>]) -> Vec<(&'a str, &'a str)> {
    subs.iter().map(|sub| (sub.product_key, sub.device_name)).collect()
}
