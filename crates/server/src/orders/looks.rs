//! What dry runs found of many devices, kept for a moment: who changes the terms of a job and asks again asks about the
//! same devices.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rollout::{Id, Job, Package};
use store::targets::Alike;
use store::{Selection, Whom};
use tokio::sync::{Mutex, MutexGuard};

/// What was found sooner is not kept: asking again costs little, and tells the present.
const SLOW: Duration = Duration::from_millis(200);
/// For so long what devices report meanwhile is not seen.
const KEPT: Duration = Duration::from_secs(10);

/// Whose turn it is to look, and what was found last. It has 8 bytes for each device.
#[derive(Default)]
pub(crate) struct Looks {
    /// Orders carried out. Whoever has given one sees what came of it.
    orders: AtomicU64,
    last: Mutex<Option<Look>>,
}

struct Look {
    asked: Asked,
    at: Instant,
    found: Arc<[Alike]>,
}

/// What [`store::targets::alike`] is asked.
#[derive(PartialEq, Eq)]
pub(super) struct Asked {
    orders: u64,
    product: Id,
    module: String,
    whom: Whom,
    /// The jobs whose tasks may be in the way, and what decides how.
    jobs: Vec<(Id, bool)>,
    which: bool,
}

/// A turn at looking. Nobody else looks meanwhile, so that one look serves all who wait for the same.
pub(super) struct Turn<'a> {
    orders: u64,
    last: MutexGuard<'a, Option<Look>>,
}

impl Looks {
    /// An order was carried out: what was found before may be different now.
    pub(super) fn ordered(&self) {
        self.orders.fetch_add(1, Ordering::Relaxed);
    }

    /// To be waited for before a transaction is begun: it is then of a later moment than the orders seen here.
    pub(super) async fn turn(&self) -> Turn<'_> {
        let last = self.last.lock().await;
        Turn { orders: self.orders.load(Ordering::Relaxed), last }
    }
}

impl Turn<'_> {
    pub(super) fn asked(&self, package: &Package, whom: &Whom, jobs: &[Job], which: bool) -> Asked {
        Asked {
            orders: self.orders,
            product: package.product_id,
            module: package.module.clone(),
            whom: timeless(whom),
            jobs: jobs.iter().map(|job| (job.id, job.terms.multi_module)).collect(),
            which,
        }
    }

    /// What was found when the same was asked lately.
    pub(super) fn kept(&self, asked: &Asked, now: Instant) -> Option<Arc<[Alike]>> {
        let last = self.last.as_ref()?;
        (last.asked == *asked && now - last.at < KEPT).then(|| Arc::clone(&last.found))
    }

    /// Keeps what was found, if that took long.
    pub(super) fn keep(mut self, asked: Asked, found: &Arc<[Alike]>, at: Instant, took: Duration) {
        *self.last = (took > SLOW).then(|| Look { asked, at, found: Arc::clone(found) });
    }
}

/// The same devices, whatever the time is now.
fn timeless(whom: &Whom) -> Whom {
    match whom {
        Whom::Meant(selection) => Whom::Meant(Selection { now: 0, ..selection.clone() }),
        whom => whom.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rollout::{JobKind, Limits, Protocol, SignMethod, Terms};

    use super::*;
    use crate::orders::{NewDevice, NewJob, NewPackage, NewProduct, NewScope};
    use crate::{Clock, Config, Server};

    fn asked(orders: u64, whom: Whom) -> Asked {
        Asked { orders, product: 1, module: "default".into(), whom, jobs: vec![(7, false)], which: false }
    }

    async fn keep(looks: &Looks, at: Instant, took: Duration) {
        let turn = looks.turn().await;
        let asked = asked(turn.orders, Whom::All);
        turn.keep(asked, &Arc::from([]), at, took);
    }

    async fn is_kept(looks: &Looks, asked: &Asked, now: Instant) -> bool {
        looks.turn().await.kept(asked, now).is_some()
    }

    #[tokio::test]
    async fn only_what_took_long_is_kept_and_not_for_long() {
        let (looks, at, all) = (Looks::default(), Instant::now(), asked(0, Whom::All));
        keep(&looks, at, SLOW).await;
        assert!(!is_kept(&looks, &all, at).await);
        keep(&looks, at, SLOW * 2).await;
        assert!(is_kept(&looks, &all, at + KEPT - SLOW).await);
        assert!(!is_kept(&looks, &all, at + KEPT).await);
        keep(&looks, at, SLOW).await;
        assert!(!is_kept(&looks, &all, at).await, "a later look takes the place of the one before");
    }

    #[tokio::test]
    async fn it_serves_only_who_asks_the_same_before_the_next_order() {
        let (looks, at, all) = (Looks::default(), Instant::now(), || asked(0, Whom::All));
        keep(&looks, at, SLOW * 2).await;
        assert!(is_kept(&looks, &all(), at).await);
        for other in [
            asked(0, Whom::Members(3)),
            Asked { module: "MCU".into(), ..all() },
            Asked { jobs: vec![(7, true)], ..all() },
            Asked { product: 2, ..all() },
            Asked { which: true, ..all() },
        ] {
            assert!(!is_kept(&looks, &other, at).await);
        }
        looks.ordered();
        let turn = looks.turn().await;
        assert!(turn.kept(&asked(turn.orders, Whom::All), at).is_none());
    }

    async fn server(folder: &std::path::Path) -> Server {
        let database = "sqlite".into();
        let config = store::Config { data: folder.into(), database, clock: store::Clock::default() };
        let config = Config {
            store: store::Store::open(config).await.unwrap(),
            public_url: None,
            limits: Limits::default(),
            sub_devices: 2_000,
            timezone: "UTC".into(),
            keep_events: None,
            clock: Clock::System,
            door_counters: Arc::default(),
            tls: None,
        };
        Server::start(config).await.unwrap()
    }

    /// With one device, which has never been connected.
    async fn package(server: &Server) -> Package {
        let product_key = Some("a1TestPk001".into());
        server
            .create_product(NewProduct { product_key, name: "x".into(), ..NewProduct::default() })
            .await
            .unwrap();
        let device = NewDevice { device_name: Some("dev001".into()), device_secret: None };
        server.create_device("a1TestPk001", device).await.unwrap();
        let new = NewPackage {
            name: None,
            version: "2".into(),
            module: None,
            sign_method: SignMethod::Md5,
            need_verify: false,
            accept_image_version: false,
            file_name: "firmware.bin".into(),
            src_version: None,
            custom: None,
        };
        let mut upload = server.start_package("a1TestPk001", new).await.unwrap();
        upload.write(bytes::Bytes::from_static(b"x")).await.unwrap();
        upload.finish().await.unwrap()
    }

    #[tokio::test]
    async fn a_dry_run_takes_what_is_kept_and_a_job_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let server = server(folder.path()).await;
        let package = package(&server).await;
        let new = NewJob {
            package: package.id,
            kind: JobKind::Static,
            scope: NewScope::All,
            protocol: Protocol::Mqtt,
            need_push: true,
            timeout_minutes: None,
            rate_per_minute: None,
            terms: Terms::default(),
            allow_large_notice: false,
            allow_sha256_over_mqtt: false,
        };
        let turn = server.core.looks.turn().await;
        let asked = turn.asked(&package, &Whom::All, &[], false);
        let devices = vec![];
        let five =
            Alike { enabled: true, came: true, online: true, version: None, rivals: vec![], n: 5, devices };
        turn.keep(asked, &Arc::from([five]), Instant::now(), SLOW * 2);
        assert_eq!(server.forecast_job(&new).await.unwrap().matched, 5);
        assert_eq!(server.create_job(new.clone()).await.unwrap_err().code, "noDeviceMatched");
        server.set_device_enabled("a1TestPk001", "dev001", false).await.unwrap();
        assert_eq!(server.forecast_job(&new).await.unwrap().matched, 0);
    }
}
