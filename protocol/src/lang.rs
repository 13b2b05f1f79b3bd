//! The languages people see, and sentences that exist in all of them.

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A language of the user interface.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Language {
    /// English.
    #[default]
    #[serde(rename = "en")]
    English,
    /// Simplified Chinese.
    #[serde(rename = "zh")]
    Chinese,
}

impl Language {
    /// Reads a POSIX locale (`zh_CN.UTF-8`), a BCP 47 tag (`zh-Hans`) or a bare language; anything that does not start
    /// with `zh` is English.
    pub fn from_locale(locale: &str) -> Self {
        locale.parse().unwrap_or_default()
    }

    /// The BCP 47 tag: `en` or `zh-Hans`.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-Hans",
        }
    }
}

/// The text is no language that Belay speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the languages are en and zh")]
pub struct NotSpoken;

/// For who asks for a language by name; [`Language::from_locale`] is for what a system is set to.
impl FromStr for Language {
    type Err = NotSpoken;

    fn from_str(locale: &str) -> Result<Self, NotSpoken> {
        match locale.split(['_', '-', '.', '@']).next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "zh" => Ok(Self::Chinese),
            "en" => Ok(Self::English),
            _ => Err(NotSpoken),
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.tag())
    }
}

/// One sentence in every language. A missing translation does not compile, because every field must be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Phrase {
    /// English.
    pub en: &'static str,
    /// Simplified Chinese.
    pub zh: &'static str,
}

impl Phrase {
    /// The sentence in `language`.
    pub const fn text(&self, language: Language) -> &'static str {
        match language {
            Language::English => self.en,
            Language::Chinese => self.zh,
        }
    }

    /// The sentence in `language` with each `{name}` replaced by its value. Values are inserted as they are and are not
    /// searched for further names.
    pub fn fill(&self, language: Language, values: &[(&str, &str)]) -> String {
        fill(self.text(language), values)
    }
}

/// Replaces each `{name}` in `template` by its value, and each `{name:one/many}` by the first form where that value is 1 and
/// by the second otherwise; a name without a value stays as it is.
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        filled.push_str(&rest[..start]);
        let after = &rest[start + 1..];
        let value = after.find('}').and_then(|end| {
            let (name, forms) = after[..end].split_once(':').unwrap_or((&after[..end], ""));
            let (_, value) = values.iter().find(|(known, _)| *known == name)?;
            let form = forms.split_once('/').map(|(one, many)| if *value == "1" { one } else { many });
            Some((form.unwrap_or(value), end))
        });
        match value {
            Some((value, end)) => {
                filled.push_str(value);
                rest = &after[end + 1..];
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// What the operating system said, in `language`: its own words where that is English, which it may not have otherwise.
pub fn system_error(error: &io::Error, language: Language) -> String {
    if language == Language::English {
        return error.to_string();
    }
    let known = SYSTEM_ERRORS.iter().find(|(kind, _)| *kind == error.kind()).map_or("系统报告错误", |(_, zh)| zh);
    error.raw_os_error().map_or_else(|| known.to_owned(), |number| format!("{known}，错误号 {number}"))
}

/// Kinds of errors in Simplified Chinese.
const SYSTEM_ERRORS: &[(io::ErrorKind, &str)] = &[
    (io::ErrorKind::NotFound, "没有该文件或目录"),
    (io::ErrorKind::PermissionDenied, "没有权限"),
    (io::ErrorKind::AlreadyExists, "已存在"),
    (io::ErrorKind::NotADirectory, "不是目录"),
    (io::ErrorKind::IsADirectory, "是目录"),
    (io::ErrorKind::DirectoryNotEmpty, "目录不为空"),
    (io::ErrorKind::ReadOnlyFilesystem, "文件系统只读"),
    (io::ErrorKind::StorageFull, "磁盘空间不足"),
    (io::ErrorKind::QuotaExceeded, "超出磁盘配额"),
    (io::ErrorKind::FileTooLarge, "文件过大"),
    (io::ErrorKind::ResourceBusy, "正在使用中"),
    (io::ErrorKind::InvalidFilename, "文件名无效"),
    (io::ErrorKind::InvalidInput, "参数无效"),
    (io::ErrorKind::InvalidData, "内容无效"),
    (io::ErrorKind::UnexpectedEof, "内容不完整"),
    (io::ErrorKind::TimedOut, "超时"),
    (io::ErrorKind::BrokenPipe, "管道已关闭"),
    (io::ErrorKind::OutOfMemory, "内存不足"),
    (io::ErrorKind::Unsupported, "系统不支持"),
    (io::ErrorKind::ConnectionRefused, "连接被拒绝"),
    (io::ErrorKind::HostUnreachable, "无法到达主机"),
    (io::ErrorKind::NetworkUnreachable, "无法到达网络"),
    (io::ErrorKind::StaleNetworkFileHandle, "网络文件已失效"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_told_otherwise_than_many() {
        let told = |count| fill("{count} {count:disk is/disks are} full {other:x/y}", &[("count", count)]);
        assert_eq!(told("1"), "1 disk is full {other:x/y}");
        assert_eq!(told("0"), "0 disks are full {other:x/y}");
        assert_eq!(told("21"), "21 disks are full {other:x/y}");
    }

    #[test]
    fn errors_of_the_system_are_told_in_both_languages() {
        let missing = io::Error::from_raw_os_error(2);
        assert_eq!(system_error(&missing, Language::English), missing.to_string());
        assert_eq!(system_error(&missing, Language::Chinese), "没有该文件或目录，错误号 2");
        let other = io::Error::other("in the words of a library");
        assert_eq!(system_error(&other, Language::Chinese), "系统报告错误");
    }

    #[test]
    fn locales_pick_a_language() {
        for (locale, language) in [
            ("zh_CN.UTF-8", Language::Chinese),
            ("zh-Hans", Language::Chinese),
            ("ZH", Language::Chinese),
            ("en_GB.UTF-8", Language::English),
            ("C", Language::English),
            ("", Language::English),
            ("zhx", Language::English),
        ] {
            assert_eq!(Language::from_locale(locale), language, "{locale}");
        }
        assert_eq!("zh-Hans".parse(), Ok(Language::Chinese));
        assert_eq!("EN".parse(), Ok(Language::English));
        for unknown in ["fr", "zz", "", "C", "中文"] {
            assert_eq!(unknown.parse::<Language>(), Err(NotSpoken), "{unknown}");
        }
    }

    #[test]
    fn values_are_filled_in_once() {
        let phrase = Phrase { en: "{name} is {percent} % full", zh: "{name} 已用 {percent} %" };
        let values = [("name", "{percent}"), ("percent", "96")];
        assert_eq!(phrase.fill(Language::English, &values), "{percent} is 96 % full");
        assert_eq!(phrase.fill(Language::Chinese, &values), "{percent} 已用 96 %");
        assert_eq!(fill("{unknown} {", &values), "{unknown} {");
    }
}
