//! People of customer companies, and two that turn out to be one.

use std::collections::BTreeMap;

use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, ExprTrait as _,
    IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, sea_query::Expr,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use utoipa::ToSchema;

use super::entity::{contact, organization, ticket};
use super::organizations::contains;
use super::tickets::save;
use super::write::Write;
use super::{Actor, ContactId, Line, OrganizationId, Store, StoreError};
use crate::clock::UnixMillis;
use crate::ticket::Spoken;

/// Somebody who asks for help.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Contact {
    /// Its id.
    pub id: ContactId,
    /// The company.
    pub organization: OrganizationId,
    /// The name.
    pub name: String,
    /// Where they are reached: a telephone number, an address of mail.
    pub reach: Option<String>,
    /// The language that they prefer.
    pub language: Option<Spoken>,
    /// Whose second name this turned out to be.
    pub merged_into: Option<ContactId>,
    /// Since when the desk knows them.
    pub created_at_ms: UnixMillis,
}

/// What is known of somebody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewContact {
    /// The name.
    pub name: Line,
    /// Where they are reached.
    pub reach: Option<Line>,
    /// The language that they prefer.
    pub language: Option<Spoken>,
}

/// Changes to what is known of somebody; what is `None` stays.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ContactChange {
    /// Another name.
    pub name: Option<Line>,
    /// Where they are reached, or `Some(None)` when that is not known.
    pub reach: Option<Option<Line>>,
    /// The language that they prefer, or `Some(None)` when that is not known.
    pub language: Option<Option<Spoken>>,
}

/// Somebody with the company, as a search finds them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct FoundContact {
    /// Who.
    #[serde(flatten)]
    pub contact: Contact,
    /// The company's name.
    pub organization_name: String,
}

/// Why what is known of somebody was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ContactError {
    /// There is no such person or company.
    #[error("there is no such person or company")]
    NotThere,
    /// Another one of the company has this name.
    #[error("another person of this company has this name")]
    NameTaken,
    /// Nobody is merged into themselves.
    #[error("nobody is merged into themselves")]
    Same,
    /// They work for different companies.
    #[error("only people of one company are merged")]
    AnotherCompany,
    /// One of them is already somebody else's second name.
    #[error("who was merged into somebody else is changed and merged there, or after the merge was undone")]
    Merged,
    /// There is no merge to be undone.
    #[error("there is no merge to be undone")]
    NotMerged,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for ContactError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// What a merge has changed, for undoing it.
#[derive(Serialize, Deserialize)]
struct Merge {
    /// Ids of the tickets that went over.
    tickets: Vec<i64>,
    /// What the other one did not know and got.
    reach: Option<String>,
    language: Option<Spoken>,
}

impl Store {
    /// At most `limit` people whose name, or where they are reached, holds `part`; not those that were merged.
    pub async fn find_contacts(&self, part: &str, limit: u64) -> Result<Vec<FoundContact>, StoreError> {
        let db = self.reader();
        let rows = contact::Entity::find()
            .filter(contact::Column::MergedIntoId.is_null())
            .filter(contains(contact::Column::Name, part).or(contains(contact::Column::Reach, part)))
            .order_by_asc(contact::Column::Name)
            .order_by_asc(contact::Column::Id)
            .limit(limit)
            .all(db)
            .await?;
        let companies = organization::Column::Id.is_in(rows.iter().map(|row| row.organization_id));
        let companies = organization::Entity::find().filter(companies).all(db).await?;
        let companies: BTreeMap<i64, String> = companies.into_iter().map(|row| (row.id, row.name)).collect();
        let found = rows.into_iter().map(|row| FoundContact {
            organization_name: companies.get(&row.organization_id).cloned().unwrap_or_default(),
            contact: row.into(),
        });
        Ok(found.collect())
    }

    /// Somebody by their id.
    pub async fn contact(&self, id: ContactId) -> Result<Option<Contact>, StoreError> {
        Ok(contact::Entity::find_by_id(id.0).one(self.reader()).await?.map(Contact::from))
    }

    /// Makes somebody of a company known.
    pub async fn add_contact(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        new: &NewContact,
    ) -> Result<Contact, ContactError> {
        let mut write = self.write(actor).await?;
        let known = organization::Entity::find_by_id(organization.0).one(&write.tx).await?;
        known.ok_or(ContactError::NotThere)?;
        check_name(&write, organization.0, &new.name, None).await?;
        let row = contact::ActiveModel {
            organization_id: Set(organization.0),
            name: Set(new.name.as_str().to_owned()),
            reach: Set(text(new.reach.as_ref())),
            language: Set(new.language),
            created_at: Set(write.now.0),
            ..Default::default()
        };
        let row = row.insert(&write.tx).await?;
        write.audit("contact.add", subject(row.id), json!({ "organization": organization })).await?;
        write.commit().await?;
        Ok(row.into())
    }

    /// Changes what is known of somebody.
    pub async fn change_contact(
        &self,
        actor: &Actor,
        id: ContactId,
        change: &ContactChange,
    ) -> Result<Contact, ContactError> {
        let mut write = self.write(actor).await?;
        let old = unmerged(&write, id).await?;
        let mut row = old.clone();
        if let Some(name) = &change.name {
            check_name(&write, row.organization_id, name, Some(id)).await?;
            row.name = name.as_str().to_owned();
        }
        row.reach = change.reach.as_ref().map_or(row.reach, |reach| text(reach.as_ref()));
        row.language = change.language.unwrap_or(row.language);
        if row == old {
            return Ok(old.into());
        }
        let is_renamed = row.name != old.name;
        let row = row.into_active_model().reset_all().update(&write.tx).await?;
        if is_renamed {
            reword(&mut write, ticket::Column::ContactId.eq(row.id)).await?;
        }
        write.audit("contact.change", subject(row.id), json!({ "renamed": is_renamed })).await?;
        write.commit().await?;
        Ok(row.into())
    }

    /// Makes `from` another name of `into`: the tickets go over, and what was known of `from` alone is known of `into`.
    pub async fn merge_contacts(
        &self,
        actor: &Actor,
        from: ContactId,
        into: ContactId,
    ) -> Result<Contact, ContactError> {
        if from == into {
            return Err(ContactError::Same);
        }
        let mut write = self.write(actor).await?;
        let (gone, stays) = (unmerged(&write, from).await?, unmerged(&write, into).await?);
        if gone.organization_id != stays.organization_id {
            return Err(ContactError::AnotherCompany);
        }
        let tickets = move_tickets(&mut write, &gone, &stays, None).await?;
        let merge = Merge {
            tickets,
            reach: gone.reach.clone().filter(|_| stays.reach.is_none()),
            language: gone.language.filter(|_| stays.language.is_none()),
        };
        let details = json!({ "into": into, "tickets": merge.tickets.len() });
        let mut row = stays.clone().into_active_model();
        row.reach = Set(stays.reach.or_else(|| merge.reach.clone()));
        row.language = Set(stays.language.or(merge.language));
        let stays = row.update(&write.tx).await?;
        let mut row = gone.into_active_model();
        row.merged_into_id = Set(Some(into.0));
        row.merge = Set(Some(json!(merge).to_string()));
        row.update(&write.tx).await?;
        write.audit("contact.merge", subject(from.0), details).await?;
        write.commit().await?;
        Ok(stays.into())
    }

    /// Undoes a merge: what `id` brought along goes back, as far as nobody has changed it since.
    pub async fn undo_merge(&self, actor: &Actor, id: ContactId) -> Result<Contact, ContactError> {
        let mut write = self.write(actor).await?;
        let back = contact::Entity::find_by_id(id.0).one(&write.tx).await?.ok_or(ContactError::NotThere)?;
        let (into, merge) = back.merged_into_id.zip(back.merge.clone()).ok_or(ContactError::NotMerged)?;
        let merge: Merge = serde_json::from_str(&merge)
            .map_err(|_| StoreError::Unreadable(format!("the merge of contact {}", back.id)))?;
        // What was merged on from there is undone there first.
        let stays = unmerged(&write, ContactId(into)).await?;
        let tickets = move_tickets(&mut write, &stays, &back, Some(&merge.tickets)).await?;
        let mut row = stays.clone().into_active_model();
        row.reach = Set(stays.reach.filter(|reach| merge.reach.as_ref() != Some(reach)));
        row.language = Set(stays.language.filter(|language| merge.language != Some(*language)));
        row.update(&write.tx).await?;
        let mut row = back.into_active_model();
        (row.merged_into_id, row.merge) = (Set(None), Set(None));
        let back = row.update(&write.tx).await?;
        let details = json!({ "into": into, "tickets": tickets.len() });
        write.audit("contact.undo_merge", subject(back.id), details).await?;
        write.commit().await?;
        Ok(back.into())
    }
}

/// The person with this name at a company, made known if there is none; who was merged is whoever they were merged into.
pub(super) async fn find_or_create(write: &Write, organization_id: i64, name: &str) -> Result<i64, DbErr> {
    let named = contact::Entity::find()
        .filter(contact::Column::OrganizationId.eq(organization_id))
        .filter(contact::Column::Name.eq(name));
    let Some(mut found) = named.one(&write.tx).await? else {
        let row = contact::ActiveModel {
            organization_id: Set(organization_id),
            name: Set(name.to_owned()),
            created_at: Set(write.now.0),
            ..Default::default()
        };
        return Ok(row.insert(&write.tx).await?.id);
    };
    // A merge into somebody merged is refused, and so is one that would close a circle: there is an end.
    while let Some(into) = found.merged_into_id
        && let Some(next) = contact::Entity::find_by_id(into).one(&write.tx).await?
    {
        found = next;
    }
    Ok(found.id)
}

/// Has the words of the tickets that `filter` names written anew.
pub(super) async fn reword(write: &mut Write, filter: Expr) -> Result<(), DbErr> {
    let ids = ticket::Entity::find().select_only().column(ticket::Column::Id).filter(filter);
    let ids: Vec<i64> = ids.into_tuple().all(&write.tx).await?;
    write.reword(ids);
    Ok(())
}

/// What is said, if anything.
pub(super) fn text(said: Option<&Line>) -> Option<String> {
    said.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Somebody who is nobody's second name.
async fn unmerged(write: &Write, id: ContactId) -> Result<contact::Model, ContactError> {
    let row = contact::Entity::find_by_id(id.0).one(&write.tx).await?.ok_or(ContactError::NotThere)?;
    if row.merged_into_id.is_some() { Err(ContactError::Merged) } else { Ok(row) }
}

/// Gives the tickets of one to the other, or those of them alone that are `among`; which they were.
async fn move_tickets(
    write: &mut Write,
    from: &contact::Model,
    to: &contact::Model,
    among: Option<&[i64]>,
) -> Result<Vec<i64>, StoreError> {
    let rows = ticket::Entity::find().filter(ticket::Column::ContactId.eq(from.id));
    let rows = rows.order_by_asc(ticket::Column::Id).all(&write.tx).await?;
    let mut moved = Vec::new();
    for row in rows.into_iter().filter(|row| among.is_none_or(|among| among.contains(&row.id))) {
        moved.push(row.id);
        let differences = Map::from_iter([("contact".to_owned(), json!([from.id, to.id]))]);
        save(write, ticket::Model { contact_id: Some(to.id), ..row }, differences).await?;
    }
    Ok(moved)
}

async fn check_name(
    write: &Write,
    organization_id: i64,
    name: &Line,
    own: Option<ContactId>,
) -> Result<(), ContactError> {
    let named = contact::Entity::find()
        .filter(contact::Column::OrganizationId.eq(organization_id))
        .filter(contact::Column::Name.eq(name.as_str()));
    match named.one(&write.tx).await? {
        Some(other) if Some(ContactId(other.id)) != own => Err(ContactError::NameTaken),
        _ => Ok(()),
    }
}

/// How the audit names somebody.
fn subject(id: i64) -> String {
    format!("contact:{id}")
}

impl From<contact::Model> for Contact {
    fn from(row: contact::Model) -> Self {
        Self {
            id: ContactId(row.id),
            organization: OrganizationId(row.organization_id),
            name: row.name,
            reach: row.reach,
            language: row.language,
            merged_into: row.merged_into_id.map(ContactId),
            created_at_ms: UnixMillis(row.created_at),
        }
    }
}
