//! Who gets a ticket: the rules name a group, and inside it the least loaded technician who is there.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::UnixMillis;
use crate::store::{GroupId, RuleId, UserId};
use crate::ticket::Channel;

/// A member of a group, as far as an assignment looks at them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// Whether they are at the desk.
    pub is_present: bool,
    /// Tickets they own that are not finished.
    pub load: u64,
    /// When a ticket was last given to them by this group.
    pub last_assigned: Option<UnixMillis>,
}

/// The member who gets the next ticket: of those present the one with the fewest, and among equals the one who has waited
/// longest for one. Nobody when nobody is there: the group then holds it.
pub fn choose(members: &[Member]) -> Option<UserId> {
    let present = members.iter().filter(|member| member.is_present);
    present.min_by_key(|member| (member.load, member.last_assigned, member.user)).map(|member| member.user)
}

/// A rule that sends tickets to a group. What is `None` does not matter to it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AssignmentRule {
    /// Its id.
    pub id: RuleId,
    /// Rules are tried by position, smallest first.
    pub position: i64,
    /// The customer company, exactly.
    pub customer: Option<String>,
    /// How the ticket arrived.
    pub channel: Option<Channel>,
    /// A word in the title, the description or the product, in any case.
    pub word: Option<String>,
    /// Where such tickets go.
    pub group: GroupId,
}

/// What a rule looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arriving<'a> {
    /// The customer company.
    pub customer: &'a str,
    /// How the ticket arrived.
    pub channel: Channel,
    /// Everything that is said about it.
    pub texts: &'a [&'a str],
}

impl AssignmentRule {
    /// Whether the rule is meant for a ticket.
    pub fn fits(&self, arriving: &Arriving<'_>) -> bool {
        let word = self.word.as_ref().map(|word| word.to_lowercase());
        self.customer.as_ref().is_none_or(|customer| customer == arriving.customer)
            && self.channel.is_none_or(|channel| channel == arriving.channel)
            && word.is_none_or(|word| arriving.texts.iter().any(|text| text.to_lowercase().contains(&word)))
    }
}

/// The group of the first rule that fits; `rules` are in their order.
pub fn route(rules: &[AssignmentRule], arriving: &Arriving<'_>) -> Option<GroupId> {
    rules.iter().find(|rule| rule.fits(arriving)).map(|rule| rule.group)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn member(user: i64, is_present: bool, load: u64, last_assigned: Option<i64>) -> Member {
        let last_assigned = match last_assigned {
            Some(at) => Some(UnixMillis(at)),
            None => None,
        };
        Member { user: UserId(user), is_present, load, last_assigned }
    }

    #[test]
    fn the_least_loaded_who_is_present_gets_it() {
        let members = [member(1, true, 4, None), member(2, true, 2, Some(9)), member(3, false, 0, None)];
        assert_eq!(choose(&members), Some(UserId(2)));
        assert_eq!(choose(&[member(3, false, 0, None)]), None);
        assert_eq!(choose(&[]), None);
    }

    #[test]
    fn among_equals_turns_go_round() {
        let mut members = [member(1, true, 1, None), member(2, true, 1, None), member(3, true, 1, None)];
        let mut turns = Vec::new();
        for at in 0..6 {
            let next = choose(&members).unwrap();
            turns.push(next.0);
            members.iter_mut().find(|member| member.user == next).unwrap().last_assigned = Some(UnixMillis(at));
        }
        assert_eq!(turns, [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let any =
            AssignmentRule { id: RuleId(1), position: 1, customer: None, channel: None, word: None, group: GroupId(1) };
        let rules = [
            AssignmentRule { customer: Some("Nordwind".into()), group: GroupId(2), ..any.clone() },
            AssignmentRule { word: Some("Drucker".into()), group: GroupId(3), ..any.clone() },
            AssignmentRule { channel: Some(Channel::Phone), group: GroupId(4), ..any },
        ];
        let arriving = |customer, channel, texts| route(&rules, &Arriving { customer, channel, texts });
        assert_eq!(arriving("Nordwind", Channel::Web, &["der drucker"]), Some(GroupId(2)));
        assert_eq!(arriving("Other", Channel::Web, &["", "Alle DRUCKER stehen"]), Some(GroupId(3)));
        assert_eq!(arriving("Other", Channel::Phone, &["打印机"]), Some(GroupId(4)));
        assert_eq!(arriving("Other", Channel::Web, &["打印机"]), None);
    }
}
