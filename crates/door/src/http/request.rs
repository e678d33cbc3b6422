use bytes::{Buf as _, BufMut as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::{Instant, timeout_at};

use super::head::{Bad, Head, MAX_HEAD};

/// Longest body of a request in bytes.
const MAX_BODY: usize = 4 * 1024;

/// Bytes read at once.
const READ: usize = 4 * 1024;

/// A request, whole.
pub(crate) struct Request {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

/// Why there is no request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unread {
    #[error("the connection ended")]
    Ended,
    #[error("the request was not whole in time")]
    Late,
    #[error(transparent)]
    Bad(#[from] Bad),
    #[error("the request's body has {0} bytes, and no more than {MAX_BODY} are taken here")]
    LongBody(u64),
}

/// Reads the next request, which must be whole by `deadline`. What came behind it stays in `input`: no more than
/// one reading takes.
pub(crate) async fn read<S: AsyncRead + Unpin>(
    line: &mut S,
    input: &mut BytesMut,
    deadline: Instant,
) -> Result<Request, Unread> {
    timeout_at(deadline, whole(line, input)).await.unwrap_or(Err(Unread::Late))
}

async fn whole<S: AsyncRead + Unpin>(line: &mut S, input: &mut BytesMut) -> Result<Request, Unread> {
    let mut seen = 0;
    let (head, length) = loop {
        // Looked at only with each line: a head that comes byte by byte would cost too much.
        let is_due = input[seen..].contains(&b'\n') || input.len() >= MAX_HEAD;
        if is_due && let Some(found) = Head::parse(input)? {
            break found;
        }
        seen = input.len();
        more(line, input).await?;
    };
    let fits = usize::try_from(head.body).ok().filter(|body| *body <= MAX_BODY);
    let end = length + fits.ok_or(Unread::LongBody(head.body))?;
    while input.len() < end {
        more(line, input).await?;
    }
    let body = input[length..end].to_vec();
    input.advance(end);
    if input.is_empty() {
        *input = BytesMut::new();
    }
    Ok(Request { head, body })
}

async fn more<S: AsyncRead + Unpin>(line: &mut S, input: &mut BytesMut) -> Result<(), Unread> {
    input.reserve(READ);
    match line.read_buf(&mut input.limit(READ)).await {
        Ok(1..) => Ok(()),
        _ => Err(Unread::Ended),
    }
}
