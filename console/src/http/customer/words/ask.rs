//! What the page says on which a customer asks for help.

use belay_protocol::lang::Phrase;

pub(in crate::http::customer) const ASK_TITLE: &Phrase = &Phrase { en: "Ask for help", zh: "请求帮助" };
pub(in crate::http::customer) const ASK_INTRO: &Phrase = &Phrase {
    en: "Tell us what is wrong. You get a number at once, and a page on which you see how it stands and can write to us.",
    zh: "请告诉我们出了什么问题。您会立即得到一个编号，以及一个可查看进展并给我们留言的页面。",
};
pub(in crate::http::customer) const YOUR_NAME: &Phrase = &Phrase { en: "Your name", zh: "您的姓名" };
pub(in crate::http::customer) const YOUR_COMPANY: &Phrase =
    &Phrase { en: "Your company (optional)", zh: "您的公司（可不填）" };
pub(in crate::http::customer) const REACH_YOU: &Phrase = &Phrase {
    en: "Telephone or e-mail, should we need to ask (optional)",
    zh: "电话或电子邮箱，便于我们联系您（可不填）",
};
pub(in crate::http::customer) const WHAT_IS_WRONG: &Phrase =
    &Phrase { en: "What is wrong, in one line", zh: "一句话说明问题" };
pub(in crate::http::customer) const TELL_MORE: &Phrase = &Phrase {
    en: "What else helps us: what you did, what happened, the words of an error (optional)",
    zh: "其他有用的信息：您做了什么、发生了什么、错误提示的内容（可不填）",
};
pub(in crate::http::customer) const NO_SECRETS: &Phrase =
    &Phrase { en: "Please write no passwords here.", zh: "请不要在此填写密码。" };
pub(in crate::http::customer) const WHO_IS_AFFECTED: &Phrase =
    &Phrase { en: "Who is affected?", zh: "影响到谁？" };
pub(in crate::http::customer) const AFFECTED: [(&str, Phrase); 3] = [
    ("me", Phrase { en: "Only me", zh: "只有我" }),
    ("several", Phrase { en: "Several of us", zh: "我们中的几个人" }),
    ("everybody", Phrase { en: "All of us", zh: "我们所有人" }),
];
pub(in crate::http::customer) const CAN_YOU_WORK: &Phrase = &Phrase { en: "Can you work?", zh: "还能工作吗？" };
pub(in crate::http::customer) const WORK: [(&str, Phrase); 3] = [
    ("goes", Phrase { en: "Yes", zh: "能" }),
    ("hardly", Phrase { en: "With difficulty", zh: "勉强能" }),
    ("stands", Phrase { en: "No", zh: "不能" }),
];
pub(in crate::http::customer) const SINCE_WHEN: &Phrase =
    &Phrase { en: "Since which day? (optional)", zh: "从哪天开始？（可不填）" };
pub(in crate::http::customer) const WHICH_PRODUCT: &Phrase =
    &Phrase { en: "Which program or machine? (optional)", zh: "哪个程序或设备？（可不填）" };
pub(in crate::http::customer) const LEAVE_EMPTY: &Phrase =
    &Phrase { en: "Leave this field empty", zh: "此项请留空" };
pub(in crate::http::customer) const HAVE_A_CODE: &Phrase = &Phrase {
    en: "Were you told nine digits? Enter them here.",
    zh: "已经告诉您九位数字？请在此输入。",
};
pub(in crate::http::customer) const ASK_US: &Phrase = &Phrase {
    en: "No code, and nobody on the telephone? Ask us here.",
    zh: "没有代码，也没有通电话？请在此向我们求助。",
};
pub(in crate::http::customer) const TOO_LONG: Phrase = Phrase {
    en: "This could not be read. Please write at most about a page.",
    zh: "无法读取内容。请最多写约一页。",
};

/// What to do about a field that cannot be used.
pub(in crate::http::customer) fn wrong(field: &str) -> Phrase {
    match field {
        "name" => Phrase { en: "Please tell us your name, in one line.", zh: "请用一行填写您的姓名。" },
        "title" => {
            Phrase { en: "Please say in one line what is wrong.", zh: "请用一行说明出了什么问题。" }
        }
        "since" => Phrase { en: "Please choose a day, or leave it empty.", zh: "请选择日期，或留空。" },
        "description" => TOO_LONG,
        _ => Phrase { en: "Please make the marked field shorter.", zh: "请缩短标出的内容。" },
    }
}
