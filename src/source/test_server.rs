//! A server on this machine that gives scripted answers, byte for byte, and remembers what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use url::Url;

use super::{Base, Request, Response, Source, SourceSettings, Token, Unreadable};
use crate::stream::Method;

/// One answer; the connection is closed after it.
#[derive(Clone)]
pub(super) struct Reply {
    bytes: Vec<u8>,
    delay: Duration,
}

impl Reply {
    pub(super) fn json(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self::with_headers(status, &[], body)
    }

    pub(super) fn with_headers(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut head = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        Self::raw([head.as_bytes(), b"connection: close\r\n\r\n", body].concat())
    }

    pub(super) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: bytes.into(),
            delay: Duration::ZERO,
        }
    }

    pub(super) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// What the server was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) head: String,
    pub(super) body: String,
    pub(super) at: Instant,
}

pub(super) struct Server {
    url: Url,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Gives the replies in order; the last one again and again.
    pub(super) async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(serve(listener, replies, asked.clone()));
        Self { url, asked }
    }

    pub(super) fn url(&self) -> Url {
        self.url.clone()
    }

    pub(super) fn source(&self, patience: Duration) -> Source {
        Source::new(SourceSettings {
            patience,
            ..settings(Base::Url(self.url()))
        })
        .unwrap()
    }

    pub(super) fn requests(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(super) fn targets(&self) -> Vec<String> {
        self.requests().into_iter().map(|asked| asked.target).collect()
    }
}

async fn serve(listener: TcpListener, replies: Vec<Reply>, asked: Arc<Mutex<Vec<Asked>>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let Some(request) = read(&mut stream).await else {
            continue;
        };
        let position = {
            let mut asked = asked.lock().unwrap();
            asked.push(request);
            asked.len().min(replies.len()) - 1
        };
        let reply = replies[position].clone();
        tokio::spawn(async move {
            tokio::time::sleep(reply.delay).await;
            // A client may have hung up, which is its right.
            let _ = stream.write_all(&reply.bytes).await;
            let _ = stream.shutdown().await;
        });
    }
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() < length.map_or(0, |length| length.parse().unwrap()) {
            continue;
        }
        let mut words = head.split(' ');
        return Some(Asked {
            method: words.next()?.to_owned(),
            target: words.next()?.to_owned(),
            head: head.to_owned(),
            body: body.to_owned(),
            at: Instant::now(),
        });
    }
}

/// Settings for a test: no limit, a little patience, a key that is easily found where it must not be.
pub(super) fn settings(base: Base) -> SourceSettings {
    SourceSettings {
        token: Token::new("s3cret").unwrap(),
        base,
        rate: 0.0,
        patience: Duration::from_secs(20),
        user_agent: "cio2parquet/test".into(),
    }
}

/// `GET /v1/things?limit=100`
pub(super) fn things() -> Request {
    Request {
        method: Method::Get,
        path: "/v1/things".into(),
        query: Vec::new(),
        body: None,
        limit: Some(100),
        start: None,
    }
}

/// Reads `{"things": N, "next": cursor}`; what ends as it should and cannot be read is content.
pub(super) async fn read_thing(response: Response) -> Result<(u64, Option<String>), Unreadable> {
    let unreadable = |e: serde_json::Error| match response.body.ends_with(b"}") {
        true => Unreadable::Content(e.to_string()),
        false => Unreadable::NotJson(e.to_string()),
    };
    let json: serde_json::Value = serde_json::from_slice(&response.body).map_err(unreadable)?;
    let thing = json["things"].as_u64();
    let thing = thing.ok_or_else(|| Unreadable::Envelope("no things".into()))?;
    Ok((thing, json["next"].as_str().map(str::to_owned)))
}
