//! Customer companies, their people and their products.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::guard::Caller;
use super::problem::Problem;
use super::request::{Json, Named, Paging, Params};
use super::tickets::{not_blank, one_line, present};
use super::{Api, Page};
use crate::clock::UnixMillis;
use crate::store::{
    Contact, ContactChange, ContactId, FoundContact, Line, ListedOrganization, NewContact, NewProduct, Organization,
    OrganizationId, Product, ProductId, WholeOrganization,
};
use crate::ticket::Spoken;

/// A company to be made known.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddOrganization {
    /// Its name.
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    name: Line,
    /// The company it belongs to.
    parent: Option<OrganizationId>,
}

/// Changes to a company; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeOrganization {
    /// Another name.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    name: Option<Line>,
    /// The company it belongs to; `null` for none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<i64>)]
    parent: Option<Option<OrganizationId>>,
}

/// Somebody to be made known.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddContact {
    /// The name.
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    name: Line,
    /// Where they are reached: a telephone number, an address of mail.
    #[schema(value_type = Option<String>, max_length = 256)]
    reach: Option<Line>,
    /// The language that they prefer.
    language: Option<Spoken>,
}

/// Changes to what is known of somebody; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeContact {
    /// Another name.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    name: Option<Line>,
    /// Where they are reached; `null` when that is not known.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 256)]
    reach: Option<Option<Line>>,
    /// The language that they prefer; `null` when that is not known.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Spoken>)]
    language: Option<Option<Spoken>>,
}

/// Into whom somebody is merged.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MergeContact {
    /// The one whose other name this is.
    into: ContactId,
}

/// A product to be kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutProduct {
    /// Its name.
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    name: Line,
    /// Which version of it.
    #[schema(value_type = Option<String>, max_length = 256)]
    version: Option<Line>,
    /// What else is to be known of it, as a serial number.
    #[schema(value_type = Option<String>, max_length = 256)]
    note: Option<Line>,
    /// When its licence ends.
    licence_until_ms: Option<UnixMillis>,
}

/// Which companies.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Part {
    /// A part of the name, in any case.
    q: Option<String>,
}

/// Which people.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// A part of the name, or of where they are reached, in any case.
    q: String,
}

impl PutProduct {
    fn into_new(self) -> Result<NewProduct, Problem> {
        not_blank("name", Some(&self.name))?;
        one_line("version", self.version.as_ref())?;
        one_line("note", self.note.as_ref())?;
        let Self { name, version, note, licence_until_ms: licence_until } = self;
        Ok(NewProduct { name, version, note, licence_until })
    }
}

/// Lists customer companies by name.
#[utoipa::path(get, path = "/api/v1/organizations", tag = "people", params(Part, Paging),
    responses((status = 200, body = Page<ListedOrganization>), (status = 422, body = Problem)))]
pub(crate) async fn organizations(
    State(api): State<Api>,
    Params(part): Params<Part>,
    Params(paging): Params<Paging>,
) -> Result<Answer<Page<ListedOrganization>>, Problem> {
    let limit = paging.limit()?;
    let part = part.q.as_deref().map(str::trim).filter(|part| !part.is_empty());
    let found = api.store.list_organizations(part, paging.cursor.as_deref(), limit as u64 + 1).await?;
    Ok(Answer(Page::cut(found, limit, |company| company.organization.name.clone())))
}

/// Makes a company known.
#[utoipa::path(post, path = "/api/v1/organizations", tag = "people", request_body = AddOrganization,
    responses((status = 201, body = Organization), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn add_organization(
    State(api): State<Api>,
    caller: Caller,
    Json { value, .. }: Json<AddOrganization>,
) -> Result<(StatusCode, Answer<Organization>), Problem> {
    not_blank("name", Some(&value.name))?;
    let added = api.store.add_organization(&caller.actor, &value.name, value.parent).await?;
    Ok((StatusCode::CREATED, Answer(added)))
}

/// Shows a company with its people, its products and its place among others.
#[utoipa::path(get, path = "/api/v1/organizations/{id}", tag = "people", params(("id" = i64, Path)),
    responses((status = 200, body = WholeOrganization), (status = 404, body = Problem)))]
pub(crate) async fn organization(
    State(api): State<Api>,
    Named(id): Named<i64>,
) -> Result<Answer<WholeOrganization>, Problem> {
    api.store.organization(OrganizationId(id)).await?.map(Answer).ok_or_else(Problem::not_found)
}

/// Gives a company another name, or another place among others.
#[utoipa::path(patch, path = "/api/v1/organizations/{id}", tag = "people", request_body = ChangeOrganization,
    params(("id" = i64, Path)),
    responses((status = 200, body = Organization), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn change_organization(
    State(api): State<Api>,
    Named(id): Named<i64>,
    caller: Caller,
    Json { value, .. }: Json<ChangeOrganization>,
) -> Result<Answer<Organization>, Problem> {
    not_blank("name", value.name.as_ref())?;
    let id = OrganizationId(id);
    Ok(Answer(api.store.change_organization(&caller.actor, id, value.name.as_ref(), value.parent).await?))
}

/// Finds people by name, or by where they are reached.
#[utoipa::path(get, path = "/api/v1/contacts", tag = "people", params(Wanted, Paging),
    responses((status = 200, body = Vec<FoundContact>), (status = 422, body = Problem)))]
pub(crate) async fn contacts(
    State(api): State<Api>,
    Params(wanted): Params<Wanted>,
    Params(paging): Params<Paging>,
) -> Result<Answer<Vec<FoundContact>>, Problem> {
    let part = wanted.q.trim();
    if part.is_empty() {
        return Err(Problem::field("q", "q must not be empty."));
    }
    Ok(Answer(api.store.find_contacts(part, paging.limit()? as u64).await?))
}

/// Makes somebody of a company known.
#[utoipa::path(post, path = "/api/v1/organizations/{id}/contacts", tag = "people", request_body = AddContact,
    params(("id" = i64, Path)),
    responses((status = 201, body = Contact), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn add_contact(
    State(api): State<Api>,
    Named(id): Named<i64>,
    caller: Caller,
    Json { value, .. }: Json<AddContact>,
) -> Result<(StatusCode, Answer<Contact>), Problem> {
    not_blank("name", Some(&value.name))?;
    one_line("reach", value.reach.as_ref())?;
    let new = NewContact { name: value.name, reach: value.reach, language: value.language };
    let added = api.store.add_contact(&caller.actor, OrganizationId(id), &new).await?;
    Ok((StatusCode::CREATED, Answer(added)))
}

/// Shows somebody.
#[utoipa::path(get, path = "/api/v1/contacts/{id}", tag = "people", params(("id" = i64, Path)),
    responses((status = 200, body = Contact), (status = 404, body = Problem)))]
pub(crate) async fn contact(State(api): State<Api>, Named(id): Named<i64>) -> Result<Answer<Contact>, Problem> {
    api.store.contact(ContactId(id)).await?.map(Answer).ok_or_else(Problem::not_found)
}

/// Changes what is known of somebody.
#[utoipa::path(patch, path = "/api/v1/contacts/{id}", tag = "people", request_body = ChangeContact,
    params(("id" = i64, Path)),
    responses((status = 200, body = Contact), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn change_contact(
    State(api): State<Api>,
    Named(id): Named<i64>,
    caller: Caller,
    Json { value, .. }: Json<ChangeContact>,
) -> Result<Answer<Contact>, Problem> {
    not_blank("name", value.name.as_ref())?;
    one_line("reach", value.reach.as_ref().and_then(Option::as_ref))?;
    let change = ContactChange { name: value.name, reach: value.reach, language: value.language };
    Ok(Answer(api.store.change_contact(&caller.actor, ContactId(id), &change).await?))
}

/// Makes somebody the other name of another person of the company, who gets the tickets; answers with that person.
#[utoipa::path(post, path = "/api/v1/contacts/{id}/merge", tag = "people", request_body = MergeContact,
    params(("id" = i64, Path)),
    responses((status = 200, body = Contact), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn merge_contact(
    State(api): State<Api>,
    Named(id): Named<i64>,
    caller: Caller,
    Json { value, .. }: Json<MergeContact>,
) -> Result<Answer<Contact>, Problem> {
    Ok(Answer(api.store.merge_contacts(&caller.actor, ContactId(id), value.into).await?))
}

/// Undoes a merge: the tickets that went over go back. Answers with whom it was undone for.
#[utoipa::path(delete, path = "/api/v1/contacts/{id}/merge", tag = "people", params(("id" = i64, Path)),
    responses((status = 200, body = Contact), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn undo_merge(
    State(api): State<Api>,
    Named(id): Named<i64>,
    caller: Caller,
) -> Result<Answer<Contact>, Problem> {
    Ok(Answer(api.store.undo_merge(&caller.actor, ContactId(id)).await?))
}

/// Keeps a new product of a company.
#[utoipa::path(post, path = "/api/v1/organizations/{id}/products", tag = "people", request_body = PutProduct,
    params(("id" = i64, Path)),
    responses((status = 201, body = Product), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn add_product(
    State(api): State<Api>,
    Named(id): Named<i64>,
    caller: Caller,
    Json { value, .. }: Json<PutProduct>,
) -> Result<(StatusCode, Answer<Product>), Problem> {
    let added = api.store.keep_product(&caller.actor, OrganizationId(id), None, &value.into_new()?).await?;
    Ok((StatusCode::CREATED, Answer(added)))
}

/// Puts other words about a product in place.
#[utoipa::path(put, path = "/api/v1/organizations/{id}/products/{product}", tag = "people", request_body = PutProduct,
    params(("id" = i64, Path), ("product" = i64, Path)),
    responses((status = 200, body = Product), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn put_product(
    State(api): State<Api>,
    Named((id, product)): Named<(i64, i64)>,
    caller: Caller,
    Json { value, .. }: Json<PutProduct>,
) -> Result<Answer<Product>, Problem> {
    let product = Some(ProductId(product));
    Ok(Answer(api.store.keep_product(&caller.actor, OrganizationId(id), product, &value.into_new()?).await?))
}

/// Forgets a product of a company.
#[utoipa::path(delete, path = "/api/v1/organizations/{id}/products/{product}", tag = "people",
    params(("id" = i64, Path), ("product" = i64, Path)), responses((status = 204), (status = 404, body = Problem)))]
pub(crate) async fn forget_product(
    State(api): State<Api>,
    Named((id, product)): Named<(i64, i64)>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    api.store.forget_product(&caller.actor, OrganizationId(id), ProductId(product)).await?;
    Ok(StatusCode::NO_CONTENT)
}
