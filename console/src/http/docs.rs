//! The API's description: OpenAPI 3.1 from the code, and a page that people can read.
//!
//! The page is rendered here from the same description. Ready-made viewers bring scripts that write inline styles, which
//! the content security policy forbids, or are fetched from elsewhere.

use std::fmt::Write as _;

use askama::Template;
use axum::Json as Answer;
use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse};
use serde_json::Value;
use utoipa::openapi::OpenApi;

use super::Api;

/// The page of the API's operations and schemas.
#[derive(Template)]
#[template(path = "docs.html")]
struct Page {
    version: String,
    operations: Vec<Operation>,
    schemas: Vec<Schema>,
}

struct Operation {
    method: String,
    path: String,
    summary: String,
    parameters: Vec<Row>,
    body: Option<String>,
    responses: Vec<Row>,
}

struct Schema {
    name: String,
    about: String,
    fields: Vec<Row>,
}

struct Row {
    name: String,
    kind: String,
    about: String,
}

/// The description as JSON.
pub(super) async fn openapi(State(api): State<Api>) -> impl IntoResponse {
    Answer(api.description.clone())
}

/// The description as a page.
pub(super) async fn page(State(api): State<Api>) -> Html<String> {
    Html(api.docs.to_string())
}

/// The page's style.
pub(super) async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("../../templates/docs.css"))
}

/// Renders the page once; it changes only with the program.
pub(super) fn render(description: &OpenApi) -> String {
    let api = serde_json::to_value(description).unwrap_or_default();
    let mut operations = Vec::new();
    for (path, methods) in api["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            operations.push(read_operation(method, path, operation));
        }
    }
    let schemas = api["components"]["schemas"].as_object().into_iter().flatten();
    let schemas = schemas.map(|(name, schema)| read_schema(name, schema)).collect();
    let page = Page { version: text(&api["info"]["version"]), operations, schemas };
    page.render().unwrap_or_default()
}

fn read_operation(method: &str, path: &str, operation: &Value) -> Operation {
    let parameters = operation["parameters"].as_array().into_iter().flatten().map(|parameter| Row {
        name: text(&parameter["name"]),
        kind: format!("{} {}", text(&parameter["in"]), kind_of(&parameter["schema"])),
        about: text(&parameter["description"]),
    });
    let responses = operation["responses"].as_object().into_iter().flatten().map(|(status, response)| Row {
        name: status.clone(),
        kind: content_kind(response).unwrap_or_default(),
        about: text(&response["description"]),
    });
    Operation {
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(&operation["summary"]),
        parameters: parameters.collect(),
        body: content_kind(&operation["requestBody"]),
        responses: responses.collect(),
    }
}

fn content_kind(body: &Value) -> Option<String> {
    let content = body["content"].as_object()?.values().next()?;
    Some(kind_of(&content["schema"]))
}

fn read_schema(name: &str, schema: &Value) -> Schema {
    let fields = schema["properties"].as_object().into_iter().flatten().map(|(name, field)| Row {
        name: name.clone(),
        kind: kind_of(field),
        about: text(&field["description"]),
    });
    let mut about = text(&schema["description"]);
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> = words.iter().map(text).collect();
        let _ = write!(about, " One of: {}.", words.join(", "));
    }
    Schema { name: name.to_owned(), about, fields: fields.collect() }
}

/// A type in one word or two.
fn kind_of(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.rsplit('/').next().unwrap_or_default().to_owned();
    }
    for several in ["oneOf", "anyOf", "allOf"] {
        if let Some(kinds) = schema[several].as_array() {
            return kinds.iter().map(kind_of).collect::<Vec<_>>().join(" or ");
        }
    }
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(text).collect::<Vec<_>>().join(" or "),
        Value::String(kind) if kind == "array" => format!("list of {}", kind_of(&schema["items"])),
        kind => text(kind),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
