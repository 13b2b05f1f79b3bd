//! The consent sheet: who asks, for what, and exactly what would be sent.

use std::fmt::Write;

use belay_protocol::Phrase;
use belay_protocol::codec::DecodeError;
use belay_protocol::report::SectionName;

use super::contents::Contents;
use super::{DeskStanding, Request};
use crate::redact::Redacted;
use crate::terminal::{Colour, Style, plain};

/// What a person decides upon.
#[derive(Clone, Debug)]
pub struct Sheet<'a> {
    request: &'a Request,
    contents: Contents,
}

impl<'a> Sheet<'a> {
    /// A sheet about what `redacted` would send.
    pub fn new(request: &'a Request, redacted: &Redacted) -> Result<Self, DecodeError> {
        Ok(Self { request, contents: Contents::new(redacted)? })
    }

    /// The sections that a person can take out, in the order of their numbers.
    pub fn sections(&self) -> Vec<SectionName> {
        self.contents.sections()
    }

    /// The sheet at `now_unix_ms`.
    pub fn render(&self, colour: Colour, now_unix_ms: i64) -> String {
        let mut page = String::new();
        let language = self.request.language;
        self.who(&mut page, colour);
        let _ = writeln!(page, "\n{}", colour.paint(Style::Bold, WANTS.text(language)));
        for grant in &self.request.grants {
            let minutes = (grant.until_unix_ms.saturating_sub(now_unix_ms).max(0) as u64).div_ceil(60_000).to_string();
            let until = FOR_MINUTES.fill(language, &[("minutes", &minutes)]);
            let _ = writeln!(page, "  - {} ({until})", grant.capability.meaning().text(language));
        }
        let _ = write!(page, "\n{}", self.contents.list(language, colour));
        page
    }

    fn who(&self, page: &mut String, colour: Colour) {
        let language = self.request.language;
        let desk = plain(&self.request.desk);
        match &self.request.standing {
            DeskStanding::Verified { domain } => {
                let words = VERIFIED.fill(language, &[("desk", &desk), ("domain", &plain(domain))]);
                let _ = writeln!(page, "{}", colour.paint(Style::Green, words));
            }
            DeskStanding::Unverified { key_words } => {
                let words = UNVERIFIED.fill(language, &[("desk", &desk), ("words", &plain(key_words))]);
                let _ = writeln!(page, "{}", colour.paint(Style::Yellow, words));
            }
        }
        if let Some(technician) = &self.request.technician {
            let _ = writeln!(page, "{}{}", TECHNICIAN.text(language), plain(technician));
        }
        let _ = writeln!(page, "{}{}", TICKET.text(language), plain(&self.request.ticket));
        let phrase = colour.paint(Style::Bold, plain(&self.request.phrase));
        let _ = writeln!(page, "{}{phrase}", COMPARE.text(language));
    }

    /// Every value that would be sent, as it would be sent.
    pub fn render_everything(&self, colour: Colour) -> String {
        self.contents.everything(self.request.language, colour)
    }
}

const VERIFIED: Phrase = Phrase {
    en: "{desk} asks for help with this machine (verified: {domain})",
    zh: "{desk} 请求协助本机（已验证：{domain}）",
};
const UNVERIFIED: Phrase = Phrase {
    en: "UNVERIFIED DESK: it calls itself {desk}, and nobody vouches for that.\nKey words: {words}",
    zh: "未验证的服务台：自称 {desk}，但无人可以证实。\n密钥词组：{words}",
};
const TECHNICIAN: Phrase = Phrase { en: "Technician: ", zh: "技术人员：" };
const TICKET: Phrase = Phrase { en: "Ticket: ", zh: "工单：" };
const COMPARE: Phrase = Phrase {
    en: "Compare these words with the technician on the phone: ",
    zh: "请在电话中与技术人员核对这组词：",
};
const WANTS: Phrase = Phrase { en: "They ask to:", zh: "对方请求：" };
const FOR_MINUTES: Phrase = Phrase { en: "for {minutes} {minutes:minute/minutes}", zh: "{minutes} 分钟内有效" };
