//! Groups, who is in them, and which tickets go to whom.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _,
    IntoActiveModel as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use serde_json::json;

use super::entity::{assignment_rule, group, group_member, sign_in, ticket, user};
use super::write::Write;
use super::{ABSOLUTE_LIFE, Actor, Group, GroupId, IDLE_LIFE, Line, NewTicket, RuleId, Store, StoreError, UserId};
use crate::assignment::{Arriving, AssignmentRule, Member, choose, route};
use crate::clock::UnixMillis;
use crate::policy::Role;
use crate::ticket::{Channel, TicketState};

/// Why a group or the rules were not changed.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// There is no such group.
    #[error("there is no such group")]
    NoGroup,
    /// Another group has this name.
    #[error("another group has this name")]
    NameTaken,
    /// Nobody who works on tickets has this name.
    #[error("nobody who works on tickets is called {0}")]
    NoMember(String),
    /// A desk does not need more.
    #[error("a desk has at most {GROUPS_MAX} groups and {RULES_MAX} rules")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for GroupError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// A rule to be put in place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewAssignmentRule {
    /// The customer company, exactly.
    pub customer: Option<Line>,
    /// How the ticket arrived.
    pub channel: Option<Channel>,
    /// A word in its texts.
    pub word: Option<Line>,
    /// The group's name.
    pub group: Line,
}

impl Store {
    /// All groups, in the order in which they were made; the first takes what no rule sends elsewhere.
    pub async fn list_groups(&self) -> Result<Vec<Group>, StoreError> {
        let groups = group::Entity::find().order_by_asc(group::Column::Id).all(self.reader()).await?;
        let users = user::Entity::find().all(self.reader()).await?;
        let names: BTreeMap<i64, String> = users.into_iter().map(|user| (user.id, user.name)).collect();
        let mut members: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
        for member in group_member::Entity::find().all(self.reader()).await? {
            members.entry(member.group_id).or_default().extend(names.get(&member.user_id).cloned());
        }
        let with_members = groups.into_iter().map(|group| Group {
            id: GroupId(group.id),
            members: members.remove(&group.id).unwrap_or_default().into_iter().collect(),
            name: group.name,
        });
        Ok(with_members.collect())
    }

    /// Makes a group.
    pub async fn add_group(&self, actor: &Actor, name: &Line, members: &[Line]) -> Result<Group, GroupError> {
        let mut write = self.write(actor).await?;
        if group::Entity::find().count(&write.tx).await? >= GROUPS_MAX {
            return Err(GroupError::TooMany);
        }
        if named(&write.tx, name).await?.is_some() {
            return Err(GroupError::NameTaken);
        }
        let row = group::ActiveModel {
            name: Set(name.as_str().to_owned()),
            created_at: Set(write.now.0),
            ..Default::default()
        };
        let row = row.insert(&write.tx).await?;
        let members = replace_members(&write, row.id, members).await?;
        write.audit("group.add", format!("group:{}", row.id), json!({ "members": members.len() })).await?;
        write.commit().await?;
        Ok(Group { id: GroupId(row.id), name: row.name, members })
    }

    /// Renames a group or replaces its members; what is `None` stays.
    pub async fn change_group(
        &self,
        actor: &Actor,
        id: GroupId,
        name: Option<&Line>,
        members: Option<&[Line]>,
    ) -> Result<Group, GroupError> {
        let mut write = self.write(actor).await?;
        let row = group::Entity::find_by_id(id.0).one(&write.tx).await?.ok_or(GroupError::NoGroup)?;
        if let Some(name) = name {
            if named(&write.tx, name).await?.is_some_and(|other| other.id != row.id) {
                return Err(GroupError::NameTaken);
            }
            let mut row = row.clone().into_active_model();
            row.name = Set(name.as_str().to_owned());
            row.update(&write.tx).await?;
        }
        if let Some(members) = members {
            replace_members(&write, row.id, members).await?;
        }
        let touched = json!({ "name": name.is_some(), "members": members.map(<[Line]>::len) });
        write.audit("group.change", format!("group:{id}"), touched).await?;
        write.commit().await?;
        let groups = self.list_groups().await?;
        groups.into_iter().find(|group| group.id == id).ok_or(GroupError::NoGroup)
    }

    /// The rules in their order.
    pub async fn list_assignment_rules(&self) -> Result<Vec<AssignmentRule>, StoreError> {
        Ok(rules(self.reader()).await?)
    }

    /// Puts `new` in place of all rules.
    pub async fn replace_assignment_rules(
        &self,
        actor: &Actor,
        new: &[NewAssignmentRule],
    ) -> Result<Vec<AssignmentRule>, GroupError> {
        if new.len() > RULES_MAX {
            return Err(GroupError::TooMany);
        }
        let mut write = self.write(actor).await?;
        assignment_rule::Entity::delete_many().exec(&write.tx).await?;
        for (position, rule) in (1..).zip(new) {
            let group = named(&write.tx, &rule.group).await?.ok_or(GroupError::NoGroup)?;
            let text = |line: &Option<Line>| line.as_ref().map(|line| line.as_str().to_owned());
            let row = assignment_rule::ActiveModel {
                position: Set(position),
                customer: Set(text(&rule.customer)),
                channel: Set(rule.channel),
                word: Set(text(&rule.word)),
                group_id: Set(group.id),
                ..Default::default()
            };
            row.insert(&write.tx).await?;
        }
        write.audit("assignment.rules", "desk", json!({ "rules": new.len() })).await?;
        let rules = rules(&write.tx).await?;
        write.commit().await?;
        Ok(rules)
    }
}

/// The group of this name.
pub(super) async fn named(db: &impl ConnectionTrait, name: &str) -> Result<Option<group::Model>, DbErr> {
    group::Entity::find().filter(group::Column::Name.eq(name)).one(db).await
}

/// The group that a new ticket goes to.
pub(super) async fn for_new(write: &Write, new: &NewTicket) -> Result<GroupId, StoreError> {
    let product = new.about.product.as_deref().unwrap_or_default();
    let texts = [&*new.title, &*new.description, product];
    let arriving = Arriving { customer: &new.customer, channel: new.channel, texts: &texts };
    match route(&rules(&write.tx).await?, &arriving) {
        Some(group) => Ok(group),
        None => first(write).await,
    }
}

/// The group that the schema begins with.
pub(super) async fn first(write: &Write) -> Result<GroupId, StoreError> {
    let first = group::Entity::find().order_by_asc(group::Column::Id).one(&write.tx).await?;
    first.map(|group| GroupId(group.id)).ok_or_else(|| StoreError::Unreadable("no group at all".to_owned()))
}

/// Puts a new user into the group that everybody who works on tickets is in.
pub(super) async fn join_first(write: &Write, user: UserId) -> Result<(), StoreError> {
    let group = first(write).await?;
    let row = group_member::ActiveModel { group_id: Set(group.0), user_id: Set(user.0), ..Default::default() };
    row.insert(&write.tx).await?;
    Ok(())
}

/// Whose turn it is in a group, noted as given.
pub(super) async fn next_owner(write: &Write, group: GroupId) -> Result<Option<UserId>, DbErr> {
    let rows = group_member::Entity::find().filter(group_member::Column::GroupId.eq(group.0)).all(&write.tx).await?;
    let users = || rows.iter().map(|row| row.user_id);
    let used = sign_in::Entity::find().filter(sign_in::Column::UserId.is_in(users()));
    let used = used.filter(sign_in::Column::EndedAt.is_null());
    let used = used.filter(sign_in::Column::LastUsedAt.gt(write.now.0 - IDLE_LIFE.as_millis() as i64));
    let used = used.filter(sign_in::Column::CreatedAt.gt(write.now.0 - ABSOLUTE_LIFE.as_millis() as i64));
    let present: BTreeSet<i64> = used.all(&write.tx).await?.into_iter().map(|sign_in| sign_in.user_id).collect();
    let owned = ticket::Entity::find().filter(ticket::Column::OwnerId.is_in(present.iter().copied()));
    let owned = owned.filter(ticket::Column::State.is_not_in([
        TicketState::Resolved,
        TicketState::Closed,
        TicketState::Merged,
    ]));
    let counted = owned.select_only().column(ticket::Column::OwnerId).column_as(ticket::Column::Id.count(), "load");
    let loads: Vec<(i64, i64)> = counted.group_by(ticket::Column::OwnerId).into_tuple().all(&write.tx).await?;
    let loads: BTreeMap<i64, i64> = loads.into_iter().collect();
    let members: Vec<Member> = rows
        .iter()
        .map(|row| Member {
            user: UserId(row.user_id),
            is_present: present.contains(&row.user_id),
            load: loads.get(&row.user_id).map_or(0, |load| load.unsigned_abs()),
            last_assigned: row.last_assigned_at.map(UnixMillis),
        })
        .collect();
    let chosen = choose(&members);
    if let Some(row) = rows.into_iter().find(|row| Some(UserId(row.user_id)) == chosen) {
        let mut row = row.into_active_model();
        row.last_assigned_at = Set(Some(write.now.0));
        row.update(&write.tx).await?;
    }
    Ok(chosen)
}

async fn rules(db: &impl ConnectionTrait) -> Result<Vec<AssignmentRule>, DbErr> {
    let rows = assignment_rule::Entity::find().order_by_asc(assignment_rule::Column::Position).all(db).await?;
    let rules = rows.into_iter().map(|row| AssignmentRule {
        id: RuleId(row.id),
        position: row.position,
        customer: row.customer,
        channel: row.channel,
        word: row.word,
        group: GroupId(row.group_id),
    });
    Ok(rules.collect())
}

/// Replaces the members of a group by the users of these names. Who stays keeps their turn.
async fn replace_members(write: &Write, group: i64, names: &[Line]) -> Result<Vec<String>, GroupError> {
    let mut wanted: BTreeMap<i64, String> = BTreeMap::new();
    for name in names {
        let user = user::Entity::find().filter(user::Column::Name.eq(name.as_str())).one(&write.tx).await?;
        let user = user.filter(|user| user.role != Role::Auditor);
        let user = user.ok_or_else(|| GroupError::NoMember(name.as_str().to_owned()))?;
        wanted.insert(user.id, user.name);
    }
    let of_group = || group_member::Column::GroupId.eq(group);
    let known = group_member::Entity::find().filter(of_group()).all(&write.tx).await?;
    let known: BTreeSet<i64> = known.into_iter().map(|member| member.user_id).collect();
    let gone = group_member::Entity::delete_many().filter(of_group());
    gone.filter(group_member::Column::UserId.is_not_in(wanted.keys().copied())).exec(&write.tx).await?;
    for user in wanted.keys().filter(|user| !known.contains(user)) {
        let row = group_member::ActiveModel { group_id: Set(group), user_id: Set(*user), ..Default::default() };
        row.insert(&write.tx).await?;
    }
    let mut names: Vec<String> = wanted.into_values().collect();
    names.sort();
    Ok(names)
}

/// Groups of one desk.
const GROUPS_MAX: u64 = 100;

/// Assignment rules of one desk; every new ticket is tried against them.
const RULES_MAX: usize = 200;
