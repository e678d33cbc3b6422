//! Sub-devices that get their secrets through their gateway (docs/protocol.md 9).

use door::{RegistrationRefusal, Session};
use rollout::{EventKind, Id, Ms, RegistrationScheme};
use store::Tx;
use store::devices::Claimant;
use store::registrations::Known;
use wire::message::{GatewayData, SubDevice, SubName};
use wire::topic::GatewayStep;

use super::{
    DISABLED, ITSELF, Refusal, SYSTEM_ERROR, UNKNOWN_DEVICE, WRONG_PARAMETER, WRONG_SIGNATURE,
    check_is_gateway, gateway_name, of, told,
};
use crate::Server;
use crate::counters::Counters;
use crate::ids::IdKind;
use crate::registration::{decide, device_secret, product_secret};

/// Codes that answer nothing else of a gateway's.
const UNKNOWN_PRODUCT: i32 = 6250;
const OFF: i32 = 6288;
const ACTIVATED: i32 = 6289;
const ELSEWHERE: i32 = 6619;

/// A code, with words for the gateway.
type Why = (i32, &'static str);

/// What has come of one sub-device.
pub(super) type Verdict = Result<Registered, Why>;

/// A sub-device whose secret its gateway gets.
pub(super) struct Registered {
    device: Id,
    product: Id,
    secret: String,
    /// Whether it had been activated before.
    again: bool,
    /// Whether this gateway has had its secret: it belongs to it, and has been connected.
    is_known: bool,
}

impl Server {
    /// What has come of each sub-device. Of `sub/register` all get their secrets, or none.
    pub(super) async fn register_subs(
        &self,
        gateway: &Session,
        step: GatewayStep,
        subs: &[SubDevice<'_>],
    ) -> Result<Vec<Verdict>, Refusal> {
        if !gateway.is_private {
            let words = "secrets are sent over TLS only: the gateway has to connect with it";
            return Err(Refusal::Code(WRONG_PARAMETER, words.into()));
        }
        self.check_writable()?;
        let mut tx = self.core.store.read().await?;
        let verdicts = self.judge(&mut tx, gateway, step, subs, self.core.now()).await?;
        drop(tx);
        // Gateways ask for what they have at every start.
        if verdicts.iter().flatten().all(|registered| registered.is_known) {
            return Ok(verdicts);
        }
        let mut unit = self.core.unit().await?;
        let verdicts = self.judge(&mut unit.tx, gateway, step, subs, unit.now).await?;
        let (scheme, name) = (RegistrationScheme::Register, told(gateway_name(gateway)));
        let mut registrations = 0;
        for Registered { device, product, again, .. } in verdicts.iter().flatten().filter(|r| !r.is_known) {
            let kind = EventKind::DeviceRegistered { scheme, again: *again, gateway: Some(name.clone()) };
            unit.told(*product, Some(*device), None, kind);
            registrations += 1;
        }
        unit.commit().await?;
        Counters::add_many(&self.door_counters.registrations, registrations);
        Ok(verdicts)
    }

    async fn judge(
        &self,
        tx: &mut Tx,
        gateway: &Session,
        step: GatewayStep,
        subs: &[SubDevice<'_>],
        now: Ms,
    ) -> Result<Vec<Verdict>, Refusal> {
        check_is_gateway(tx, gateway).await?;
        let applicants: Vec<_> = subs.iter().map(applicant).collect();
        let known = store::registrations::known(tx, &applicants).await?;
        let judged = subs.iter().zip(&known).map(|(sub, known)| {
            let verdict = self.judge_one(gateway, sub, known.as_ref(), now);
            match verdict {
                Err((code, words)) if step == GatewayStep::Register => Err(of(sub, code, words)),
                verdict => Ok(verdict),
            }
        });
        judged.collect()
    }

    fn judge_one(&self, gateway: &Session, sub: &SubDevice<'_>, known: Option<&Known>, now: Ms) -> Verdict {
        let known = known.ok_or(why(RegistrationRefusal::UnknownProduct))?;
        let verdict = decide(false, known, now);
        if verdict == Err(RegistrationRefusal::Off) {
            return Err(why(RegistrationRefusal::Off));
        }
        let SubDevice { product_key, device_name, proof } = *sub;
        // Before it is told whether the device is there.
        if let Some(proof) = proof {
            let secret = product_secret(&self.core, product_key, known).map_err(why)?;
            if !proof.holds(&secret, product_key, device_name) {
                return Err(why(RegistrationRefusal::BadSignature));
            }
        }
        let device = known.device.as_ref().ok_or(why(RegistrationRefusal::UnknownDevice))?;
        let is_own = device.gateway == Some(gateway.device);
        if device.device == gateway.device {
            return Err((ITSELF, "a gateway cannot be its own sub-device"));
        }
        if device.gateway.is_some() && !is_own {
            return Err((
                ELSEWHERE,
                "it belongs to another gateway: take it out of that one's topology first",
            ));
        }
        if let Err(refusal) = verdict
            && !(is_own && refusal == RegistrationRefusal::Activated)
        {
            return Err(why(refusal));
        }
        let again = device.first_online_at.is_some();
        Ok(Registered {
            device: device.device,
            product: known.product,
            secret: device_secret(&self.core, product_key, device_name, device).map_err(why)?,
            again,
            is_known: is_own && again,
        })
    }
}

fn applicant<'a>(sub: &SubDevice<'a>) -> Claimant<'a> {
    Claimant { product_key: sub.product_key, device_name: sub.device_name, client_id: None }
}

fn why(refusal: RegistrationRefusal) -> Why {
    match refusal {
        RegistrationRefusal::UnknownProduct => (UNKNOWN_PRODUCT, "there is no such product"),
        RegistrationRefusal::Off | RegistrationRefusal::OnlyMadeBefore => {
            (OFF, "dynamic registration is off for its product")
        }
        RegistrationRefusal::BadSignature => (WRONG_SIGNATURE, "the signature is wrong"),
        RegistrationRefusal::UnknownDevice => (UNKNOWN_DEVICE, "there is no such device"),
        RegistrationRefusal::Disabled => (DISABLED, "the device is disabled"),
        RegistrationRefusal::Activated | RegistrationRefusal::TooManyTokens => {
            (ACTIVATED, "the device has been connected before, and is not allowed to register again")
        }
        RegistrationRefusal::Unavailable => (SYSTEM_ERROR, "its secret cannot be read at present"),
    }
}

/// Answers with the secrets, and of those that get none with the codes.
pub(super) fn tell(
    step: GatewayStep,
    subs: &[SubDevice<'_>],
    verdicts: &[Verdict],
    answer: impl FnOnce(GatewayData<'_>),
) {
    let number =
        |verdict: &Verdict| verdict.as_ref().map_or(String::new(), |r| IdKind::Device.text(r.device));
    let numbers: Vec<String> = verdicts.iter().map(number).collect();
    let (mut successes, mut failures) = (Vec::new(), Vec::new());
    for ((sub, verdict), number) in subs.iter().zip(verdicts).zip(&numbers) {
        let name = SubName::new(sub.product_key, sub.device_name);
        match verdict {
            Ok(registered) => successes.push(SubName { secret: Some((number, &registered.secret)), ..name }),
            Err((code, _)) => failures.push((name, *code)),
        }
    }
    answer(match step {
        GatewayStep::RegisterByProduct => {
            GatewayData::Registered { successes: &successes, failures: &failures }
        }
        _ => GatewayData::Many(&successes),
    });
}
