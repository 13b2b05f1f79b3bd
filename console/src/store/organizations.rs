//! Customer companies: which belongs to which, and the products that each has.

use std::collections::BTreeMap;

use sea_orm::{
    ActiveModelTrait as _,
    ActiveValue::Set,
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait as _, ExprTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, Func, LikeExpr},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::entity::{contact, organization, product, ticket};
use super::write::Write;
use super::{Actor, Contact, Line, OrganizationId, ProductId, Store, StoreError, contacts};
use crate::clock::UnixMillis;
use crate::ticket::TicketState;

/// A customer company.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// Its name.
    pub name: String,
    /// The company it belongs to.
    pub parent: Option<OrganizationId>,
    /// Since when the desk knows it.
    pub created_at_ms: UnixMillis,
}

/// A customer company in a list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ListedOrganization {
    /// The company.
    #[serde(flatten)]
    pub organization: Organization,
    /// The name of the company it belongs to.
    pub parent_name: Option<String>,
    /// Its tickets that are not closed.
    pub open_tickets: u64,
}

/// A customer company with all that the desk knows of it, but its tickets and devices.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct WholeOrganization {
    /// The company.
    #[serde(flatten)]
    pub organization: Organization,
    /// The companies above it, the uppermost first.
    pub above: Vec<Organization>,
    /// The companies right below it by name.
    pub below: Vec<Organization>,
    /// Its people by name, those included that were merged into others.
    pub contacts: Vec<Contact>,
    /// Its products by name.
    pub products: Vec<Product>,
}

/// A product that a company has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// Its name.
    pub name: String,
    /// Which version of it.
    pub version: Option<String>,
    /// What else is to be known of it, as a serial number.
    pub note: Option<String>,
    /// When its licence ends; missing when it has no end or that is not known.
    pub licence_until_ms: Option<UnixMillis>,
}

/// A product to be kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewProduct {
    /// Its name.
    pub name: Line,
    /// Which version of it.
    pub version: Option<Line>,
    /// What else is to be known of it.
    pub note: Option<Line>,
    /// When its licence ends.
    pub licence_until: Option<UnixMillis>,
}

/// Why a company was not changed.
#[derive(Debug, thiserror::Error)]
pub enum OrganizationError {
    /// There is no such company or product.
    #[error("there is no such company or product")]
    NotThere,
    /// There is no such company to belong to.
    #[error("there is no such company to belong to")]
    NoParent,
    /// Another company has this name.
    #[error("another company has this name")]
    NameTaken,
    /// It would be above itself.
    #[error("a company cannot belong to itself or to one below it")]
    Circle,
    /// Deeper than any group of companies is.
    #[error("companies stand at most {DEPTH_MAX} deep")]
    TooDeep,
    /// More than anybody looks through.
    #[error("a company has at most {PRODUCTS_MAX} products")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for OrganizationError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// At most `limit` companies by name, behind the one named `after`, with `part` in their names. The one without a name,
    /// of callers who have not said theirs yet, is none.
    pub async fn list_organizations(
        &self,
        part: Option<&str>,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Vec<ListedOrganization>, StoreError> {
        let db = self.reader();
        let named = part.map(|part| contains(organization::Column::Name, part));
        let behind = after.map(|after| organization::Column::Name.gt(after));
        let rows = organization::Entity::find()
            .filter(organization::Column::Name.ne(""))
            .filter(Condition::all().add_option(named).add_option(behind))
            .order_by_asc(organization::Column::Name)
            .limit(limit)
            .all(db)
            .await?;
        let parents = organization::Column::Id.is_in(rows.iter().filter_map(|row| row.parent_id));
        let parents = organization::Entity::find().filter(parents).all(db).await?;
        let parents: BTreeMap<i64, String> = parents.into_iter().map(|row| (row.id, row.name)).collect();
        let open: Vec<(i64, i64)> = ticket::Entity::find()
            .select_only()
            .column(ticket::Column::OrganizationId)
            .column_as(ticket::Column::Id.count(), "open")
            .filter(ticket::Column::OrganizationId.is_in(rows.iter().map(|row| row.id)))
            .filter(ticket::Column::State.ne(TicketState::Closed))
            .group_by(ticket::Column::OrganizationId)
            .into_tuple()
            .all(db)
            .await?;
        let open: BTreeMap<i64, i64> = open.into_iter().collect();
        Ok(rows
            .into_iter()
            .map(|row| ListedOrganization {
                parent_name: row.parent_id.and_then(|id| parents.get(&id).cloned()),
                open_tickets: open.get(&row.id).map_or(0, |count| count.unsigned_abs()),
                organization: row.into(),
            })
            .collect())
    }

    /// A company with its people, its products and its place among others.
    pub async fn organization(&self, id: OrganizationId) -> Result<Option<WholeOrganization>, StoreError> {
        let db = self.reader();
        let Some(row) = organization::Entity::find_by_id(id.0).one(db).await? else { return Ok(None) };
        let mut above = Vec::new();
        let mut next = row.parent_id;
        while let Some(parent) = next.filter(|_| above.len() < DEPTH_MAX)
            && let Some(parent) = organization::Entity::find_by_id(parent).one(db).await?
        {
            next = parent.parent_id;
            above.insert(0, Organization::from(parent));
        }
        let below = organization::Entity::find().filter(organization::Column::ParentId.eq(id.0));
        let below = below.order_by_asc(organization::Column::Name).all(db).await?;
        let people = contact::Entity::find().filter(contact::Column::OrganizationId.eq(id.0));
        let people = people.order_by_asc(contact::Column::Name).all(db).await?;
        let products = product::Entity::find().filter(product::Column::OrganizationId.eq(id.0));
        let products = products.order_by_asc(product::Column::Name).order_by_asc(product::Column::Id).all(db).await?;
        Ok(Some(WholeOrganization {
            organization: row.into(),
            above,
            below: below.into_iter().map(Organization::from).collect(),
            contacts: people.into_iter().map(Contact::from).collect(),
            products: products.into_iter().map(Product::from).collect(),
        }))
    }

    /// Makes a company known.
    pub async fn add_organization(
        &self,
        actor: &Actor,
        name: &Line,
        parent: Option<OrganizationId>,
    ) -> Result<Organization, OrganizationError> {
        let mut write = self.write(actor).await?;
        check_name(&write, name, None).await?;
        if let Some(parent) = parent {
            check_parent(&write.tx, None, parent).await?;
        }
        let row = organization::ActiveModel {
            name: Set(name.as_str().to_owned()),
            parent_id: Set(parent.map(|parent| parent.0)),
            created_at: Set(write.now.0),
            ..Default::default()
        };
        let row = row.insert(&write.tx).await?;
        write.audit("organization.add", subject(row.id), json!({ "parent": row.parent_id })).await?;
        write.commit().await?;
        Ok(row.into())
    }

    /// Gives a company another name, or another place among others. What is `None` stays.
    pub async fn change_organization(
        &self,
        actor: &Actor,
        id: OrganizationId,
        name: Option<&Line>,
        parent: Option<Option<OrganizationId>>,
    ) -> Result<Organization, OrganizationError> {
        let mut write = self.write(actor).await?;
        let old = organization::Entity::find_by_id(id.0).one(&write.tx).await?.ok_or(OrganizationError::NotThere)?;
        let mut row = old.clone();
        if let Some(name) = name {
            check_name(&write, name, Some(id)).await?;
            row.name = name.as_str().to_owned();
        }
        if let Some(parent) = parent {
            if let Some(parent) = parent {
                check_parent(&write.tx, Some(id), parent).await?;
            }
            row.parent_id = parent.map(|parent| parent.0);
        }
        if row == old {
            return Ok(old.into());
        }
        let is_renamed = row.name != old.name;
        let row = row.into_active_model().reset_all().update(&write.tx).await?;
        if is_renamed {
            contacts::reword(&mut write, ticket::Column::OrganizationId.eq(row.id)).await?;
        }
        let details = json!({ "renamed": is_renamed, "parent": [old.parent_id, row.parent_id] });
        write.audit("organization.change", subject(row.id), details).await?;
        write.commit().await?;
        Ok(row.into())
    }

    /// Keeps a product of a company, in place of the one with this id if there is to be one.
    pub async fn keep_product(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        id: Option<ProductId>,
        new: &NewProduct,
    ) -> Result<Product, OrganizationError> {
        let mut write = self.write(actor).await?;
        let known = organization::Entity::find_by_id(organization.0).one(&write.tx).await?;
        known.ok_or(OrganizationError::NotThere)?;
        let of_organization = product::Entity::find().filter(product::Column::OrganizationId.eq(organization.0));
        let mut row = match id {
            Some(id) => {
                let row = of_organization.filter(product::Column::Id.eq(id.0)).one(&write.tx).await?;
                row.ok_or(OrganizationError::NotThere)?.into_active_model()
            }
            None if of_organization.count(&write.tx).await? >= PRODUCTS_MAX => return Err(OrganizationError::TooMany),
            None => product::ActiveModel {
                organization_id: Set(organization.0),
                created_at: Set(write.now.0),
                ..Default::default()
            },
        };
        row.name = Set(new.name.as_str().to_owned());
        row.version = Set(contacts::text(new.version.as_ref()));
        row.note = Set(contacts::text(new.note.as_ref()));
        row.licence_until = Set(new.licence_until.map(|at| at.0));
        let row = if id.is_some() { row.update(&write.tx).await? } else { row.insert(&write.tx).await? };
        let details = json!({ "product": row.id, "licence_until_ms": row.licence_until });
        write.audit("product.keep", subject(organization.0), details).await?;
        write.commit().await?;
        Ok(row.into())
    }

    /// Forgets a product of a company.
    pub async fn forget_product(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        id: ProductId,
    ) -> Result<(), OrganizationError> {
        let mut write = self.write(actor).await?;
        let gone = product::Entity::delete_many()
            .filter(product::Column::Id.eq(id.0))
            .filter(product::Column::OrganizationId.eq(organization.0))
            .exec(&write.tx)
            .await?;
        if gone.rows_affected == 0 {
            return Err(OrganizationError::NotThere);
        }
        write.audit("product.forget", subject(organization.0), json!({ "product": id })).await?;
        write.commit().await?;
        Ok(())
    }
}

/// That a column holds `part`, whatever its case.
pub(super) fn contains(column: impl ColumnTrait, part: &str) -> Expr {
    let escaped = part.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    Expr::expr(Func::lower(Expr::col(column))).like(LikeExpr::new(format!("%{escaped}%")).escape('\\'))
}

/// How the audit names a company.
pub(super) fn subject(id: i64) -> String {
    format!("organization:{id}")
}

async fn check_name(write: &Write, name: &Line, own: Option<OrganizationId>) -> Result<(), OrganizationError> {
    let named = organization::Entity::find().filter(organization::Column::Name.eq(name.as_str()));
    match named.one(&write.tx).await? {
        Some(other) if Some(OrganizationId(other.id)) != own => Err(OrganizationError::NameTaken),
        _ => Ok(()),
    }
}

/// Looks whether a company may belong to `parent`.
async fn check_parent(
    db: &impl ConnectionTrait,
    own: Option<OrganizationId>,
    parent: OrganizationId,
) -> Result<(), OrganizationError> {
    let mut depth = 1;
    let mut next = Some(parent.0);
    while let Some(id) = next {
        if Some(OrganizationId(id)) == own {
            return Err(OrganizationError::Circle);
        }
        let row = organization::Entity::find_by_id(id).one(db).await?.ok_or(OrganizationError::NoParent)?;
        next = row.parent_id;
        depth += 1;
        if depth > DEPTH_MAX {
            return Err(OrganizationError::TooDeep);
        }
    }
    Ok(())
}

impl From<organization::Model> for Organization {
    fn from(row: organization::Model) -> Self {
        Self {
            id: OrganizationId(row.id),
            name: row.name,
            parent: row.parent_id.map(OrganizationId),
            created_at_ms: UnixMillis(row.created_at),
        }
    }
}

impl From<product::Model> for Product {
    fn from(row: product::Model) -> Self {
        Self {
            id: ProductId(row.id),
            name: row.name,
            version: row.version,
            note: row.note,
            licence_until_ms: row.licence_until.map(UnixMillis),
        }
    }
}

/// How deep companies stand below each other.
const DEPTH_MAX: usize = 16;

/// Products of one company.
const PRODUCTS_MAX: u64 = 500;
