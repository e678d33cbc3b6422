//! Events as they happen: in order, without gaps, and again from where one was.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{Method, Request, StatusCode};
use futures_util::StreamExt as _;
use serde_json::Value;

use crate::common::{Platform, request, with};

const PATIENCE: Duration = Duration::from_secs(20);
const STREAM: &str = "/events/stream";

/// A stream that was answered.
pub(crate) struct Following {
    body: BodyDataStream,
    text: String,
}

/// What came in one piece.
#[derive(Debug, Default)]
pub(crate) struct Message {
    pub(crate) id: i64,
    pub(crate) comment: Option<String>,
    pub(crate) data: Value,
}

impl Following {
    pub(crate) async fn of(platform: &Platform, request: Request<Body>) -> Self {
        let response = tower::ServiceExt::oneshot(platform.router.clone(), request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    pub(crate) async fn open(platform: &Platform, path: &str) -> Self {
        Self::of(platform, request(Method::GET, path, "")).await
    }

    /// The next message of any kind; `None` at the end.
    pub(crate) async fn message(&mut self) -> Option<Message> {
        while !self.text.contains("\n\n") {
            let chunk = tokio::time::timeout(PATIENCE, self.body.next()).await.expect("nothing came")?;
            self.text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
        let (message, rest) = self.text.split_once("\n\n").unwrap();
        let mut found = Message::default();
        for line in message.lines() {
            match line.split_once(": ").unwrap() {
                ("id", id) => found.id = id.parse().unwrap(),
                ("data", data) => found.data = serde_json::from_str(data).unwrap(),
                ("", comment) => found.comment = Some(comment.to_owned()),
                _ => panic!("{line}"),
            }
        }
        self.text = rest.to_owned();
        Some(found)
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> Value {
        loop {
            let message = self.message().await.expect("the stream ended");
            if !message.data.is_null() {
                return message.data;
            }
        }
    }

    /// The numbers of the next events.
    async fn numbers(&mut self, n: usize) -> Vec<i64> {
        let mut found = Vec::new();
        while found.len() < n {
            found.push(self.event().await["seq"].as_i64().unwrap());
        }
        found
    }
}

async fn devices(platform: &Platform, from: usize, n: usize) {
    let names: Vec<_> = (from..from + n).map(|i| format!(r#"{{"deviceName":"many-{i:05}"}}"#)).collect();
    let list = format!("[{}]", names.join(","));
    platform.made("/products/a1TestPk001/import-devices", &list).await;
}

#[tokio::test]
async fn what_happens_comes_by_itself() {
    let platform = Platform::with_product().await;
    let mut following = Following::open(&platform, STREAM).await;
    let hello = following.message().await.unwrap();
    assert_eq!((hello.id, hello.comment.as_deref()), (2, Some("following")));
    platform.made("/products/a1TestPk001/modules", r#"{"name":"MCU"}"#).await;
    let event = following.event().await;
    assert_eq!((&event["seq"], &event["code"]), (&3.into(), &"moduleCreated".into()));
    assert_eq!(platform.get("/events").await.json["items"][2], event);
}

#[tokio::test]
async fn who_comes_back_misses_nothing_and_sees_nothing_twice() {
    let platform = Platform::with_product().await;
    // More than two pages.
    devices(&platform, 0, 500).await;
    let mut following = Following::open(&platform, &format!("{STREAM}?after=0")).await;
    assert_eq!(following.numbers(450).await, Vec::from_iter(1..=450));
    drop(following);

    let again = with(request(Method::GET, &format!("{STREAM}?after=0"), ""), "last-event-id", "450");
    let mut following = Following::of(&platform, again).await;
    assert_eq!(following.numbers(52).await, Vec::from_iter(451..=502));
    devices(&platform, 500, 300).await;
    assert_eq!(following.numbers(300).await, Vec::from_iter(503..=802));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_come_while_much_happens_see_all_of_it() {
    const EVENTS: i64 = 1_202;
    let platform = Platform::with_product().await;
    let orders = async {
        for i in 0..40 {
            devices(&platform, i * 30, 30).await;
        }
    };
    let follow = |n: u64| {
        let platform = &platform;
        async move {
            // They come at different moments of it.
            for _ in 0..n * 20 {
                tokio::task::yield_now().await;
            }
            let after = platform.server.last_event().await.unwrap().min(EVENTS - 1);
            let mut following = Following::open(platform, &format!("{STREAM}?after={after}")).await;
            let rest = usize::try_from(EVENTS - after).unwrap();
            assert_eq!(following.numbers(rest).await, Vec::from_iter(after + 1..=EVENTS));
        }
    };
    tokio::join!(orders, futures_util::future::join_all((0..20).map(follow)));
}

#[tokio::test]
async fn a_filter_picks_and_the_place_moves_on_all_the_same() {
    let platform = Platform::with_product().await;
    let path = format!("{STREAM}?productKey=a1TestPk001&deviceName=lamp-1&after=0");
    let mut following = Following::open(&platform, &path).await;
    assert_eq!(following.event().await["code"], "deviceCreated");
    devices(&platform, 0, 3).await;
    platform
        .send(request(Method::PATCH, "/products/a1TestPk001/devices/lamp-1", r#"{"enabled":false}"#))
        .await;
    let event = following.event().await;
    assert_eq!((&event["code"], &event["seq"]), (&"deviceEnabled".into(), &6.into()));

    let mut of_job =
        Following::open(&platform, &format!("{STREAM}?jobId={}&after=1", job(&platform).await)).await;
    assert_eq!(of_job.event().await["code"], "jobCreated");
    let hello = Following::open(&platform, &path).await.message().await.unwrap();
    assert!(hello.id == 0 && hello.comment.is_some(), "{hello:?}");
}

async fn job(platform: &Platform) -> String {
    let package = platform.package().await;
    let body = serde_json::json!({
        "packageId": package, "kind": "STATIC", "scope": {"kind": "named", "deviceNames": ["many-00001"]},
    });
    platform.made("/jobs", &body.to_string()).await["job"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_place_that_cannot_be_gone_on_from_is_refused() {
    let platform = Platform::with_product().await;
    for (query, status, code) in [
        ("?after=3", 422, "badEventId"),
        ("?after=-1", 422, "badEventId"),
        ("?after=x", 400, "badQuery"),
        ("?jobId=x", 422, "badId"),
        ("?deviceName=lamp-1", 422, "filtersExclusive"),
        ("?productKey=nobody", 404, "productNotFound"),
    ] {
        let answer = platform.get(&format!("{STREAM}{query}")).await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (status, code), "{query}");
    }
    let bad = with(request(Method::GET, STREAM, ""), "last-event-id", "tsk_1");
    assert_eq!(platform.send(bad).await.problem(), "badEventId");
    let stranger = with(request(Method::GET, STREAM, ""), "authorization", "Bearer x");
    assert_eq!(platform.send(stranger).await.problem(), "wrongToken");

    let mut tx = platform.store.begin().await.unwrap();
    store::events::drop_oldest(&mut tx, i64::MAX, 1).await.unwrap();
    tx.commit().await.unwrap();
    let dropped = platform.get(&format!("{STREAM}?after=0")).await;
    assert_eq!((dropped.status, dropped.problem()), (StatusCode::GONE, "eventsDropped"));
    assert_eq!(dropped.json["params"]["lastDropped"], 1);
    let mut following = Following::open(&platform, &format!("{STREAM}?after=1")).await;
    assert_eq!(following.event().await["seq"], 2);
}

#[tokio::test]
async fn a_platform_that_stops_lets_its_followers_go() {
    let platform = Platform::with_product().await;
    let mut following = Following::open(&platform, STREAM).await;
    following.message().await.unwrap();
    platform.server.dismiss_followers();
    let last = following.message().await.unwrap();
    assert!(last.id == 2 && last.comment.unwrap().contains("stops"));
    assert!(following.message().await.is_none());
}
