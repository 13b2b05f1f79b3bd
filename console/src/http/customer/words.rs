//! Everything that the customer's pages say.

use belay_protocol::lang::Phrase;

use super::Done;
use crate::ticket::TicketState;

pub(super) mod ask;
pub(super) mod join;

impl Done {
    /// Its word in the address.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Fixed => "fixed",
            Self::NotFixed => "not-fixed",
            Self::FollowUp => "follow-up",
            Self::Scored => "scored",
            Self::Asked => "asked",
        }
    }

    /// What the page says to it.
    pub(super) const fn phrase(self) -> Phrase {
        match self {
            Self::Written => Phrase { en: "Thank you, we have it.", zh: "谢谢，我们已收到。" },
            Self::Fixed => Phrase {
                en: "Good to hear. The request is closed; should the trouble come back, say so here.",
                zh: "太好了。请求已关闭；如果问题再次出现，请在此告诉我们。",
            },
            Self::NotFixed => Phrase {
                en: "Thank you for telling us. We go on with it.",
                zh: "谢谢您告诉我们。我们会继续处理。",
            },
            Self::FollowUp => Phrase {
                en: "Thank you for telling us. The old request was closed long ago, so this is a new one; please keep \
                     this page's address.",
                zh: "谢谢您告诉我们。原请求早已关闭，因此为您新建了一个；请保存本页网址。",
            },
            Self::Scored => Phrase { en: "Thank you for your opinion.", zh: "感谢您的评价。" },
            Self::Asked => Phrase {
                en: "Thank you, we have it. Please keep this page's address: here you see how it stands, and can write to us.",
                zh: "谢谢，我们已收到。请保存本页网址：您可以在此查看进展并给我们留言。",
            },
        }
    }
}

/// What a state means to the customer.
pub(super) const fn state_phrase(state: TicketState) -> Phrase {
    match state {
        TicketState::New => Phrase {
            en: "We have your request, and somebody will look at it.",
            zh: "我们已收到您的请求，将有人处理。",
        },
        TicketState::Open | TicketState::PendingReminder => {
            Phrase { en: "We are working on it.", zh: "我们正在处理。" }
        }
        TicketState::PendingCustomer => Phrase {
            en: "We need an answer from you: please read what we wrote below and answer there.",
            zh: "我们需要您的答复：请阅读下面的留言并在那里回复。",
        },
        TicketState::PendingVendor => Phrase {
            en: "We are waiting for the answer of a manufacturer or supplier.",
            zh: "我们正在等待厂商或供应商的答复。",
        },
        TicketState::Resolved => Phrase {
            en: "We think that it is fixed. Please tell us whether it is.",
            zh: "我们认为已修复。请告诉我们是否属实。",
        },
        TicketState::Closed => Phrase { en: "This request is closed.", zh: "此请求已关闭。" },
        TicketState::Merged => GOES_ON_ELSEWHERE,
    }
}

pub(super) const STEPS: [Phrase; 4] = [
    Phrase { en: "Received", zh: "已收到" },
    Phrase { en: "In work", zh: "处理中" },
    Phrase { en: "Fixed", zh: "已修复" },
    Phrase { en: "Closed", zh: "已关闭" },
];

pub(super) const OTHER_LANGUAGE: Phrase = Phrase { en: "中文", zh: "English" };
pub(super) const UNTITLED: &Phrase = &Phrase { en: "Your request", zh: "您的请求" };
pub(super) const PROMISED: Phrase =
    Phrase { en: "You will hear from us by {time}.", zh: "我们将在 {time} 前答复您。" };
pub(super) const WHAT_WAS_DONE: &Phrase = &Phrase { en: "What we did", zh: "我们做了什么" };
pub(super) const IS_IT_FIXED: &Phrase = &Phrase { en: "Is it fixed?", zh: "问题解决了吗？" };
pub(super) const YES_FIXED: &Phrase = &Phrase { en: "Yes, it is fixed", zh: "是的，已解决" };
pub(super) const NOT_FIXED: &Phrase = &Phrase { en: "No, it is not", zh: "没有解决" };
pub(super) const NOT_FIXED_WHAT: &Phrase =
    &Phrase { en: "If not: what still happens?", zh: "如果没有：现在还有什么问题？" };
pub(super) const HOW_CONTENT: &Phrase =
    &Phrase { en: "How content are you with our help?", zh: "您对我们的帮助满意吗？" };
pub(super) const SCORE_SCALE: &Phrase =
    &Phrase { en: "From 1 (not at all) to 5 (very)", zh: "从 1（很不满意）到 5（非常满意）" };
pub(super) const COMMENT: &Phrase =
    &Phrase { en: "Anything you want to add (optional)", zh: "您想补充的话（可不填）" };
pub(super) const SEND: &Phrase = &Phrase { en: "Send", zh: "发送" };
pub(super) const WHAT_WAS_SAID: &Phrase = &Phrase { en: "Messages", zh: "留言" };
pub(super) const NOTHING_SAID: &Phrase = &Phrase { en: "No messages yet.", zh: "还没有留言。" };
pub(super) const WRITE_TO_US: &Phrase = &Phrase { en: "Write to us", zh: "给我们留言" };
pub(super) const SESSIONS: &Phrase =
    &Phrase { en: "When we looked at your machine", zh: "我们查看您电脑的记录" };
pub(super) const SESSION_ENDED: Phrase = Phrase {
    en: "{time}: a look that you permitted; it is over.",
    zh: "{time}：经您允许的查看，已结束。",
};
pub(super) const SESSION_OPEN: Phrase = Phrase {
    en: "{time}: a look that you were asked to permit; not over yet.",
    zh: "{time}：请您允许的查看，尚未结束。",
};
pub(super) const YOU: Phrase = Phrase { en: "You", zh: "您" };
pub(super) const LINK_IS_YOURS: &Phrase = &Phrase {
    en: "Whoever has this page's address can read and write here. Give it to nobody else.",
    zh: "任何拥有本页网址的人都能在此阅读和留言。请勿转给他人。",
};
pub(super) const UNKNOWN_LINK: Phrase = Phrase {
    en: "This address is not complete or not valid. Please open the link exactly as you got it.",
    zh: "网址不完整或无效。请按收到的原样打开链接。",
};
pub(super) const GOES_ON_ELSEWHERE: Phrase = Phrase {
    en: "This request goes on together with another one. Please telephone if you need to add something.",
    zh: "此请求已与另一个请求合并处理。如需补充，请致电我们。",
};
pub(super) const TOO_MUCH: Phrase = Phrase {
    en: "A lot was written here within an hour. Please telephone, or come back later.",
    zh: "一小时内的留言过多。请致电我们，或稍后再来。",
};
pub(super) const NOT_RESOLVED: Phrase = Phrase {
    en: "Somebody is working on it again, so there is nothing to confirm at the moment.",
    zh: "我们正在重新处理，目前没有可确认的内容。",
};
pub(super) const SCORED_ALREADY: Phrase =
    Phrase { en: "You have told us already. Thank you.", zh: "您已经评价过了。谢谢。" };
pub(super) const NO_WORDS: Phrase =
    Phrase { en: "Please write a few words, at most about a page.", zh: "请写几句话，最多约一页。" };
pub(super) const NO_SCORE: Phrase =
    Phrase { en: "Please choose a number from 1 to 5.", zh: "请选择 1 到 5 之间的数字。" };
