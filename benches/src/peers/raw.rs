//! Bare TCP: what the kernel and tokio cost when nobody looks at anything. A request says its own
//! length and that of the answer in its first eight bytes.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const LARGEST: usize = 256 * 1024;

pub(crate) fn serve(address: SocketAddr) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        let answer: Arc<[u8]> = vec![0x5a; LARGEST].into();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let answer = answer.clone();
            // A connection ends with an error when the loader leaves.
            tokio::spawn(async move { answer_all(stream, &answer).await.ok() });
        }
    })
}

async fn answer_all(mut stream: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    let mut buffer = [0; 8 * 1024];
    let mut filled = 0;
    loop {
        let received = stream.read(&mut buffer[filled..]).await?;
        if received == 0 {
            return Ok(());
        }
        filled += received;
        let mut at = 0;
        while let Some(request) = whole(&buffer[at..filled]) {
            at += request.length;
            stream.write_all(&answer[..request.answer.min(LARGEST)]).await?;
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
    }
}

struct Request {
    length: usize,
    answer: usize,
}

fn whole(bytes: &[u8]) -> Option<Request> {
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    let request = Request { length: number(0)?.max(8), answer: number(4)? };
    (request.length <= bytes.len()).then_some(request)
}
