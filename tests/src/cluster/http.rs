//! Plain HTTP/1 to the programs' own pages.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

/// A whole request; a process that was stopped answers nothing.
const LIMIT: Duration = Duration::from_secs(5);

/// The body of `GET url`; an error unless the status is 2xx.
pub async fn get(url: &str) -> Result<Bytes> {
    success(Method::GET, url).await
}

/// `GET url`, decoded from JSON.
pub async fn get_json(url: &str) -> Result<serde_json::Value> {
    let body = get(url).await?;
    serde_json::from_slice(&body)
        .with_context(|| format!("{url}: no JSON: {}", String::from_utf8_lossy(&body)))
}

/// `DELETE url`; an error unless the status is 2xx.
pub async fn delete(url: &str) -> Result<Bytes> {
    success(Method::DELETE, url).await
}

/// Status and body, whatever they are.
pub async fn request(method: Method, url: &str) -> Result<(StatusCode, Bytes)> {
    let (status, _, body) = send(method, url, "").await?;
    Ok((status, body))
}

/// Status, content type and body of a request with a body.
pub async fn send(method: Method, url: &str, body: &str) -> Result<(StatusCode, String, Bytes)> {
    let answer = whole(method, url, body).await?;
    let kind = answer.headers().get(hyper::header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    Ok((answer.status(), kind, answer.into_body()))
}

/// The whole answer to a request with a body.
pub async fn whole(method: Method, url: &str, body: &str) -> Result<Response<Bytes>> {
    let request = Request::builder()
        .method(method.clone())
        .uri(url)
        .header(hyper::header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))?;
    let exchange = async {
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let (head, body) = client.request(request).await?.into_parts();
        Ok::<_, anyhow::Error>(Response::from_parts(head, body.collect().await?.to_bytes()))
    };
    let done =
        timeout(LIMIT, exchange).await.with_context(|| format!("{method} {url}: no answer in {LIMIT:?}"))?;
    done.with_context(|| format!("{method} {url}"))
}

async fn success(method: Method, url: &str) -> Result<Bytes> {
    let (status, body) = request(method.clone(), url).await?;
    if !status.is_success() {
        bail!("{method} {url}: {status}: {}", String::from_utf8_lossy(&body).trim());
    }
    Ok(body)
}
