//! The sub-devices that a gateway's session carries (docs/protocol.md 9).

use std::collections::HashMap;
use std::sync::Arc;

use crate::sessions::Move;
use crate::subscriptions::Subscriptions;
use crate::{Closed, DeviceId, Platform, Session, Sessions};

/// The sub-devices of one session, and the platform's knowledge of theirs. Both end with it, whatever ends the
/// task.
pub(crate) struct Carried<P: Platform> {
    platform: Arc<P>,
    sessions: Sessions,
    subs: HashMap<DeviceId, Sub>,
    /// By device name and product key, as in a user name.
    devices: HashMap<Box<str>, DeviceId>,
    why: Closed,
}

/// A sub-device's session.
pub(crate) struct Sub {
    pub(crate) session: Arc<Session>,
    pub(crate) subscriptions: Subscriptions,
}

impl<P: Platform> Carried<P> {
    pub(crate) fn new(platform: Arc<P>, sessions: Sessions) -> Self {
        Self { platform, sessions, subs: HashMap::new(), devices: HashMap::new(), why: Closed::Lost }
    }

    /// Does what happened, and gives the devices whose session has ended.
    pub(crate) fn follow(&mut self, moves: Vec<Move>) -> Vec<DeviceId> {
        let mut ended = Vec::new();
        for change in moves {
            match change {
                Move::Joins(session) => {
                    ended.extend(self.leave(session.device, Closed::TakenOver));
                    self.join(session);
                }
                Move::Leaves(device, epoch, why) => {
                    if self.subs.get(&device).is_some_and(|sub| sub.session.epoch == epoch) {
                        ended.extend(self.leave(device, why));
                    }
                }
            }
        }
        ended
    }

    fn join(&mut self, session: Arc<Session>) {
        note!(session, epoch = session.epoch, gateway = ?session.gateway, "a sub-device was logged in");
        self.devices.insert(key(&session.product_key, &session.device_name), session.device);
        self.platform.connected(&session);
        let sub = Sub { session, subscriptions: Subscriptions::default() };
        self.subs.insert(sub.session.device, sub);
    }

    fn leave(&mut self, device: DeviceId, why: Closed) -> Option<DeviceId> {
        let Sub { session, .. } = self.subs.remove(&device)?;
        self.devices.remove(&key(&session.product_key, &session.device_name));
        self.sessions.leave(device, session.epoch);
        note!(session, epoch = session.epoch, ?why, "a sub-device was logged out");
        self.platform.disconnected(&session, why);
        Some(device)
    }

    /// The sub-device of these names.
    pub(crate) fn named(&self, product_key: &str, device_name: &str) -> Option<&Sub> {
        self.get(self.device(product_key, device_name)?)
    }

    pub(crate) fn named_mut(&mut self, product_key: &str, device_name: &str) -> Option<&mut Sub> {
        let device = self.device(product_key, device_name)?;
        self.subs.get_mut(&device)
    }

    fn device(&self, product_key: &str, device_name: &str) -> Option<DeviceId> {
        // Most sessions carry nobody.
        if self.devices.is_empty() {
            return None;
        }
        self.devices.get(&*key(product_key, device_name)).copied()
    }

    pub(crate) fn get(&self, device: DeviceId) -> Option<&Sub> {
        self.subs.get(&device)
    }

    /// The gateway's session has ended, and with it all of them.
    pub(crate) fn close(mut self, why: Closed) {
        self.why = why;
    }
}

impl<P: Platform> Drop for Carried<P> {
    fn drop(&mut self) {
        let (devices, why): (Vec<DeviceId>, _) = (self.subs.keys().copied().collect(), self.why);
        for device in devices {
            self.leave(device, why);
        }
    }
}

fn key(product_key: &str, device_name: &str) -> Box<str> {
    format!("{device_name}&{product_key}").into()
}
