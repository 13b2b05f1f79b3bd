//! Collections and strings that carry their bound in their type, so that decoding cannot grow past it.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::limits;

/// A value was larger than its type allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{actual} {unit} where at most {limit} are allowed")]
pub struct TooLarge {
    /// What the limit counts: `"items"` or `"bytes"`.
    pub unit: &'static str,
    /// The largest size allowed.
    pub limit: usize,
    /// The size that was found, or the first size past the limit when counting stopped there.
    pub actual: usize,
}

/// A vector of at most `N` items. Decoding refuses a longer one at its announced length, before allocating, and never
/// reserves more than was announced.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct BoundedVec<T, const N: usize>(Vec<T>);

impl<T, const N: usize> BoundedVec<T, N> {
    /// An empty vector.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Appends an item, or returns it when the vector is full.
    pub fn push(&mut self, item: T) -> Result<(), T> {
        if self.0.len() == N {
            return Err(item);
        }
        self.0.push(item);
        Ok(())
    }

    /// Keeps the first `N` items of `items` and says how many were left out.
    pub fn truncating(items: impl IntoIterator<Item = T>) -> (Self, usize) {
        let mut items = items.into_iter();
        let kept: Vec<T> = items.by_ref().take(N).collect();
        (Self(kept), items.count())
    }

    /// The items as a plain vector.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const N: usize> TryFrom<Vec<T>> for BoundedVec<T, N> {
    type Error = TooLarge;

    fn try_from(items: Vec<T>) -> Result<Self, TooLarge> {
        if items.len() > N {
            return Err(TooLarge { unit: "items", limit: N, actual: items.len() });
        }
        Ok(Self(items))
    }
}

impl<T, const N: usize> Default for BoundedVec<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for BoundedVec<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T, const N: usize> Deref for BoundedVec<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const N: usize> IntoIterator for BoundedVec<T, N> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a BoundedVec<T, N> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for BoundedVec<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T, const N: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for Items<T, N> {
            type Value = BoundedVec<T, N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {N} items")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                // A zero-sized item costs no bytes on the wire, so that a short message could ask for endless work.
                const { assert!(size_of::<T>() > 0, "items of a bounded vector must have a size") };
                let announced = seq.size_hint().unwrap_or(0);
                if announced > N {
                    return Err(A::Error::custom(TooLarge { unit: "items", limit: N, actual: announced }));
                }
                let mut items = Vec::with_capacity(announced.min(EAGER_ITEMS));
                while let Some(item) = seq.next_element()? {
                    if items.len() == N {
                        return Err(A::Error::custom(TooLarge { unit: "items", limit: N, actual: N + 1 }));
                    }
                    items.push(item);
                }
                Ok(BoundedVec(items))
            }
        }

        deserializer.deserialize_seq(Items(PhantomData))
    }
}

/// Room is made for this many announced items before the first has arrived; an announcement alone cannot cost more.
const EAGER_ITEMS: usize = 64;

/// A UTF-8 string of at most `N` bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Text<const N: usize = { limits::STRING_MAX_BYTES }>(String);

/// A string for names, titles and ids.
pub type Name = Text<{ limits::NAME_MAX_BYTES }>;

impl<const N: usize> Text<N> {
    /// Takes the longest prefix of `text` that fits in `N` bytes without splitting a character.
    pub fn truncating(text: impl Into<String>) -> Self {
        let mut text: String = text.into();
        if text.len() > N {
            let mut end = N;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
        }
        Self(text)
    }

    /// The string itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The string as an owned `String`.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<const N: usize> TryFrom<String> for Text<N> {
    type Error = TooLarge;

    fn try_from(text: String) -> Result<Self, TooLarge> {
        if text.len() > N {
            return Err(TooLarge { unit: "bytes", limit: N, actual: text.len() });
        }
        Ok(Self(text))
    }
}

impl<const N: usize> TryFrom<&str> for Text<N> {
    type Error = TooLarge;

    fn try_from(text: &str) -> Result<Self, TooLarge> {
        if text.len() > N {
            return Err(TooLarge { unit: "bytes", limit: N, actual: text.len() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl<const N: usize> Deref for Text<N> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> AsRef<str> for Text<N> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Text<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Str<const N: usize>;

        impl<const N: usize> Visitor<'_> for Str<N> {
            type Value = Text<N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a string of at most {N} bytes")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Text<N>, E> {
                Text::try_from(text).map_err(E::custom)
            }

            fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Text<N>, E> {
                Text::try_from(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_string(Str::<N>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(Text::<4>::truncating("磁盘").as_str(), "磁");
        assert_eq!(Text::<6>::truncating("磁盘").as_str(), "磁盘");
        assert_eq!(Text::<0>::truncating("x").as_str(), "");
    }

    #[test]
    fn both_sides_of_the_bound() {
        assert!(BoundedVec::<u8, 2>::try_from(vec![1, 2]).is_ok());
        assert_eq!(BoundedVec::<u8, 2>::try_from(vec![1, 2, 3]), Err(TooLarge { unit: "items", limit: 2, actual: 3 }));
        assert!(Text::<2>::try_from("ab").is_ok());
        assert!(Text::<2>::try_from("abc").is_err());
        let (kept, left_out) = BoundedVec::<u8, 2>::truncating([1, 2, 3, 4]);
        assert_eq!((kept.into_vec(), left_out), (vec![1, 2], 2));
    }
}
