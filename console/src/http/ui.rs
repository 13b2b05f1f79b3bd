//! The files of the web console. A path without a file is a page of the application, which finds its own way.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Api;
use super::problem::Problem;

/// A file of the web console.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Its content.
    pub bytes: &'static [u8],
    /// Its media type, with the charset where there is one.
    pub content_type: &'static str,
    /// Its entity tag, with quotes.
    pub etag: &'static str,
    /// Whether its name contains the hash of its content, so that it may be kept for ever.
    pub immutable: bool,
}

/// Finds a file by its path without the leading slash. The page itself is `index.html`.
pub type AssetSource = fn(&str) -> Option<Asset>;

/// Answers what no route answers.
pub(super) async fn serve(State(api): State<Api>, request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    // The API and well-known places never fall back to the page: a misspelt route must not look like a success.
    if path == "api" || path.starts_with("api/") || path.starts_with(".well-known/") {
        return Problem::not_found().into_response();
    }
    let has_extension = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    let asset = match (api.assets)(path) {
        None if !has_extension => (api.assets)("index.html"),
        found => found,
    };
    let Some(asset) = asset else {
        return Problem::not_found().into_response();
    };
    let cached =
        request.headers().get(header::IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == asset.etag.as_bytes());
    let keep = if asset.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type)),
        (header::ETAG, HeaderValue::from_static(asset.etag)),
        (header::CACHE_CONTROL, HeaderValue::from_static(keep)),
    ];
    if cached { (StatusCode::NOT_MODIFIED, headers).into_response() } else { (headers, asset.bytes).into_response() }
}
