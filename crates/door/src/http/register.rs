//! Dynamic registration over HTTP (docs/protocol.md 2.9).

use std::future::pending;
use std::net::SocketAddr;

use wire::credentials::SignMethod;
use wire::json::RawStr;
use wire::message::RegistrationReply;

use super::answer::Answer;
use super::form::Form;
use super::head::Head;
use crate::counters::count;
use crate::serve::{Channel, Door};
use crate::turned::{Turned, Who, Why};
use crate::unkept::text;
use crate::{Platform, Registration, RegistrationRefusal};

/// A refusal as it travels.
type Refused = (i32, &'static str);

const TOO_OFTEN: Refused = (429, "too often, try again later");
const SERVER_ERROR: Refused = (500, "try again later");

/// Whether a device registers by this request.
pub(super) fn is_asked(head: &Head) -> bool {
    head.method == "POST" && head.path() == "/auth/register/device"
}

impl<P: Platform> Door<P> {
    /// The answer to a form. Whatever comes of it travels with status 200, as official SDKs read no other.
    pub(super) async fn register_by_form(&self, body: &[u8], peer: SocketAddr, channel: Channel) -> Answer {
        match self.register_form(body, peer, channel).await {
            Ok(body) => Answer::json(body),
            Err(refused) => Answer::json(refusal(refused)).last(),
        }
    }

    async fn register_form(
        &self,
        body: &[u8],
        peer: SocketAddr,
        channel: Channel,
    ) -> Result<String, Refused> {
        let form = Form::read(body).map_err(|fault| self.misread(peer, (460, fault)))?;
        let word = form.sign_method.as_deref();
        let sign_method = word.map_or(Some(SignMethod::HmacMd5), SignMethod::parse).ok_or_else(|| {
            self.misread(peer, (6292, "signMethod must be HmacMD5, HmacSHA1 or HmacSHA256"))
        })?;
        let registration = Registration {
            product_key: &form.product_key,
            device_name: &form.device_name,
            random: &form.random,
            sign_method,
            signature: form.sign.as_bytes(),
            client_id: None,
        };
        let granted = self.register(&registration, peer, channel, pending()).await;
        granted.and_then(|granted| self.reply(&registration, &granted)).map_err(|why| {
            let refused = refused(&why);
            let who = Who {
                product_key: Some(&form.product_key),
                device_name: Some(&form.device_name),
                ..Who::default()
            };
            self.turn_away(peer, &Turned { why, who });
            refused
        })
    }

    /// Counts and logs a form that cannot be read.
    fn misread(&self, peer: SocketAddr, refused: Refused) -> Refused {
        count(&self.counters.malformed_connect);
        self.log.refused_request(peer, refused.0, refused.1);
        refused
    }

    fn reply(&self, registration: &Registration<'_>, granted: &crate::Granted) -> Result<String, Why> {
        let body = text(&RegistrationReply::Granted(registration.registered(granted)?));
        count(&self.counters.registrations);
        Ok(body)
    }
}

fn refused(why: &Why) -> Refused {
    match why {
        Why::RegistrationInClear => (460, "registration needs https"),
        Why::Registration(refusal) => match refusal {
            RegistrationRefusal::UnknownProduct => (6250, "product not found"),
            RegistrationRefusal::Off | RegistrationRefusal::OnlyMadeBefore => {
                (6288, "dynamic registration is off")
            }
            RegistrationRefusal::BadSignature => (6600, "wrong signature"),
            RegistrationRefusal::UnknownDevice => (6100, "device not found"),
            RegistrationRefusal::Disabled => (6204, "device is disabled"),
            RegistrationRefusal::Activated | RegistrationRefusal::TooManyTokens => {
                (6289, "device is already active")
            }
            RegistrationRefusal::Unavailable => SERVER_ERROR,
        },
        Why::ThrottleFull => TOO_OFTEN,
        _ => SERVER_ERROR,
    }
}

fn refusal((code, message): Refused) -> String {
    let message = RawStr::plain(message).unwrap_or_default();
    text(&RegistrationReply::Refused { code, message })
}
