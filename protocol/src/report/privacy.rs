//! Personal data as types: what may stand in a field while it is on the device, and what may leave it.

use std::fmt;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bounded::Text;
use crate::lang::Phrase;

/// A stage in the life of facts. The same structs exist in both stages; the types of their personal fields differ.
pub trait Stage: Clone + fmt::Debug + PartialEq + 'static {
    /// A path of a file, mount point or device.
    type Path: Clone + fmt::Debug + PartialEq;
    /// A machine's name.
    type Host: Clone + fmt::Debug + PartialEq;
    /// An IP or hardware address.
    type Address: Clone + fmt::Debug + PartialEq;
    /// A number that only this machine or one part of it has.
    type Serial: Clone + fmt::Debug + PartialEq;
    /// Free text: the name of a process, a device, an interface, a mount option.
    type Words: Clone + fmt::Debug + PartialEq;
}

/// A stage whose facts have bytes. Only [`Shared`] is one.
pub trait Wire:
    Stage<
        Path: Serialize + DeserializeOwned,
        Host: Serialize + DeserializeOwned,
        Address: Serialize + DeserializeOwned,
        Serial: Serialize + DeserializeOwned,
        Words: Serialize + DeserializeOwned,
    >
{
}

/// Facts as read on the device. They cannot be serialized.
#[derive(Clone, Debug, PartialEq)]
pub enum Raw {}

impl Stage for Raw {
    type Path = Private<UserPath>;
    type Host = Private<Host>;
    type Address = Private<Address>;
    type Serial = Private<Serial>;
    type Words = Private<Words>;
}

/// Facts after redaction.
#[derive(Clone, Debug, PartialEq)]
pub enum Shared {}

impl Stage for Shared {
    type Path = Masked<UserPath>;
    type Host = Masked<Host>;
    type Address = Masked<Address>;
    type Serial = Masked<Serial>;
    type Words = Masked<Words>;
}

impl Wire for Shared {}

/// A path; may hold user and host names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserPath {}
/// The name of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {}
/// The login name of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {}
/// An IPv4, IPv6 or hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {}
/// A number that only this machine or one part of it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serial {}
/// Text written by others, which may hold any of the above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {}

/// Personal data of the kind `K` as it stands on the device. It has no serialized form, and `Debug` hides it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Private<K>(Text, PhantomData<fn() -> K>);

impl<K> Private<K> {
    /// Takes a value read on this machine, cut to the longest that travels.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Text::truncating(value), PhantomData)
    }

    /// The value itself, for the person at this machine and for redaction.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl<K> fmt::Debug for Private<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Private(..)")
    }
}

/// What stands in place of personal data of the kind `K` in a report: an alias, or text with aliases in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Masked<K>(Text, PhantomData<fn() -> K>);

impl<K> Masked<K> {
    /// Vouches that `text` went through redaction.
    pub fn redacted(text: impl Into<String>) -> Self {
        Self(Text::truncating(text), PhantomData)
    }

    /// The alias, or the text with aliases in it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<K> fmt::Debug for Masked<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<K> fmt::Display for Masked<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<K> Serialize for Masked<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, K> Deserialize<'de> for Masked<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Text::deserialize(deserializer).map(|text| Self(text, PhantomData))
    }
}

/// The kinds of personal data that redaction counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrivateKind {
    /// A person's login or full name.
    User,
    /// A machine's or a domain's name.
    Host,
    /// An IPv4 or IPv6 address.
    Address,
    /// A hardware address.
    HardwareAddress,
    /// A serial number or UUID.
    Serial,
    /// A password, key or token; removed, never mapped.
    Secret,
    /// A mail address.
    Mail,
    /// A telephone number.
    Phone,
    /// The name of a wireless network.
    Wifi,
}

impl PrivateKind {
    /// The kind as people read it.
    pub const fn phrase(self) -> Phrase {
        match self {
            Self::User => Phrase { en: "user names", zh: "用户名" },
            Self::Host => Phrase { en: "machine and domain names", zh: "主机名与域名" },
            Self::Address => Phrase { en: "network addresses", zh: "网络地址" },
            Self::HardwareAddress => Phrase { en: "hardware addresses", zh: "硬件地址" },
            Self::Serial => Phrase { en: "serial numbers", zh: "序列号" },
            Self::Secret => Phrase { en: "passwords and keys (removed)", zh: "密码与密钥（已删除）" },
            Self::Mail => Phrase { en: "mail addresses", zh: "邮件地址" },
            Self::Phone => Phrase { en: "telephone numbers", zh: "电话号码" },
            Self::Wifi => Phrase { en: "names of wireless networks", zh: "无线网络名称" },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_what_is_private() {
        assert_eq!(format!("{:?}", Private::<User>::new("alice")), "Private(..)");
    }

    /// A compile-time proof: were `Private` or a raw section serializable, the item below would be ambiguous.
    #[test]
    fn raw_facts_cannot_be_serialized() {
        trait Unserializable<A> {
            fn proof() {}
        }
        impl<T: ?Sized> Unserializable<()> for T {}
        struct Serializable;
        impl<T: ?Sized + Serialize> Unserializable<Serializable> for T {}
        <Private<User> as Unserializable<_>>::proof();
        <crate::report::System<Raw> as Unserializable<_>>::proof();
        <crate::report::Disk<Raw> as Unserializable<_>>::proof();
        <crate::report::Memory<Raw> as Unserializable<_>>::proof();
        <crate::report::Drivers<Raw> as Unserializable<_>>::proof();
        <crate::report::Network<Raw> as Unserializable<_>>::proof();
    }
}
