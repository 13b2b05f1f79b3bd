//! Every fact that a report can have, told by the types of the report themselves, so that a rule cannot wait for one that
//! nobody ever tells.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use crate::report::{Disk, Drivers, Memory, Network, SectionName, Shared, System};

/// The facts of every section.
pub(super) static CATALOGUE: LazyLock<Shape> = LazyLock::new(|| {
    Shape::Fields(BTreeMap::from([
        (SectionName::System.as_str(), Shape::of::<System<Shared>>()),
        (SectionName::Disk.as_str(), Shape::of::<Disk<Shared>>()),
        (SectionName::Memory.as_str(), Shape::of::<Memory<Shared>>()),
        (SectionName::Drivers.as_str(), Shape::of::<Drivers<Shared>>()),
        (SectionName::Network.as_str(), Shape::of::<Network<Shared>>()),
    ]))
});

/// What a fact consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A single value.
    #[default]
    Value,
    /// Items of one shape.
    List(Box<Shape>),
    /// Facts with names of their own.
    Fields(BTreeMap<&'static str, Shape>),
}

impl Shape {
    /// The shape of a type, as its `Deserialize` asks for it. A fact that may be unknown is what it is when known.
    fn of<T: Deserialize<'static>>() -> Self {
        let mut shape = Self::Value;
        // What is given for the values does not matter, so that a type that refuses some says nothing against its shape.
        let _ = T::deserialize(Tracer(&mut shape));
        shape
    }

    /// The shape of the items, or of the field of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Fields(fields) => fields.get(name),
            Self::Value | Self::List(_) => None,
        }
    }

    /// The shape at the end of a path.
    pub(super) fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, Self::field)
    }

    /// The shape of the items of a list.
    pub(crate) fn item(&self) -> Option<&Self> {
        match self {
            Self::List(item) => Some(item),
            Self::Value | Self::Fields(_) => None,
        }
    }

    /// The path below this shape that `path` was most likely meant to be.
    pub(super) fn nearest(&self, path: &str) -> Option<String> {
        let mut paths = Vec::new();
        self.collect("", &mut paths);
        paths.into_iter().min_by_key(|known| strsim::damerau_levenshtein(known, path))
    }

    /// Every path below this shape, each behind `front`.
    fn collect(&self, front: &str, paths: &mut Vec<String>) {
        if let Self::Fields(fields) = self {
            for (name, shape) in fields {
                let path = if front.is_empty() { (*name).to_owned() } else { format!("{front}.{name}") };
                shape.collect(&path, paths);
                paths.push(path);
            }
        }
    }
}

/// Writes down what a type asks for, and gives it something of the kind.
struct Tracer<'a>(&'a mut Shape);

/// A value that was given is refused.
#[derive(Debug)]
struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a made-up value is refused")
    }
}

impl std::error::Error for Refused {}

impl de::Error for Refused {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// What a type asks for by one of these names is given so.
macro_rules! gives {
    ($($method:ident: $visit:ident($($value:expr)?),)*) => {
        $(fn $method<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, Refused> {
            visitor.$visit($($value)?)
        })*
    };
}

impl Deserializer<'static> for Tracer<'_> {
    type Error = Refused;

    gives! {
        // Numbers of every kind take this one.
        deserialize_any: visit_u64(0),
        deserialize_bool: visit_bool(false),
        deserialize_char: visit_char(' '),
        deserialize_str: visit_borrowed_str(""),
        deserialize_string: visit_borrowed_str(""),
        deserialize_bytes: visit_borrowed_bytes(b""),
        deserialize_byte_buf: visit_borrowed_bytes(b""),
        deserialize_unit: visit_unit(),
        deserialize_ignored_any: visit_unit(),
        deserialize_identifier: visit_borrowed_str(""),
    }

    forward_to_deserialize_any! { <V: Visitor<'static>> i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 }

    fn deserialize_option<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_some(self)
    }

    fn deserialize_unit_struct<V: Visitor<'static>>(self, _: &'static str, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'static>>(self, _: &'static str, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_seq(Items { item: list(self.0), left: 1 })
    }

    fn deserialize_tuple<V: Visitor<'static>>(self, length: usize, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_seq(Items { item: list(self.0), left: length })
    }

    fn deserialize_tuple_struct<V: Visitor<'static>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_struct("", &[], visitor)
    }

    fn deserialize_struct<V: Visitor<'static>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        *self.0 = Shape::Fields(BTreeMap::new());
        visitor.visit_map(Members { shape: self.0, fields: fields.iter() })
    }

    fn deserialize_enum<V: Visitor<'static>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        // The first of a fact that may be unknown is the known one.
        visitor.visit_enum(Variant(variants.first().ok_or(Refused)?, self))
    }
}

/// Makes a list of `shape`, and gives the shape of its items.
fn list(shape: &mut Shape) -> &mut Shape {
    *shape = Shape::List(Box::default());
    match shape {
        Shape::List(item) => item,
        other => other,
    }
}

/// As many items as are asked for, all of one shape.
struct Items<'a> {
    item: &'a mut Shape,
    left: usize,
}

impl SeqAccess<'static> for Items<'_> {
    type Error = Refused;

    fn next_element_seed<T: DeserializeSeed<'static>>(&mut self, seed: T) -> Result<Option<T::Value>, Refused> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(Tracer(self.item)).map(Some)
    }
}

/// The fields of a struct, one after the other.
struct Members<'a> {
    shape: &'a mut Shape,
    fields: std::slice::Iter<'static, &'static str>,
}

impl MapAccess<'static> for Members<'_> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'static>>(&mut self, seed: K) -> Result<Option<K::Value>, Refused> {
        let next = self.fields.as_slice().first();
        next.map(|name| seed.deserialize(BorrowedStrDeserializer::new(name))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'static>>(&mut self, seed: V) -> Result<V::Value, Refused> {
        let name = self.fields.next().ok_or(Refused)?;
        let Shape::Fields(fields) = &mut *self.shape else { return Err(Refused) };
        seed.deserialize(Tracer(fields.entry(name).or_default()))
    }
}

/// A variant of an enum, and what is in it.
struct Variant<'a>(&'static str, Tracer<'a>);

impl<'a> EnumAccess<'static> for Variant<'a> {
    type Error = Refused;
    type Variant = Tracer<'a>;

    fn variant_seed<V: DeserializeSeed<'static>>(self, seed: V) -> Result<(V::Value, Tracer<'a>), Refused> {
        Ok((seed.deserialize(BorrowedStrDeserializer::new(self.0))?, self.1))
    }
}

impl VariantAccess<'static> for Tracer<'_> {
    type Error = Refused;

    fn unit_variant(self) -> Result<(), Refused> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'static>>(self, seed: T) -> Result<T::Value, Refused> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'static>>(self, length: usize, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'static>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.deserialize_struct("", fields, visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;
    use crate::rules::Facts;
    use crate::rules::facts::Tree;

    /// Says of each fact of a report that the catalogue has it.
    fn covers(shape: &Shape, tree: &Tree, path: &str) {
        match tree {
            Tree::Fields(fields) => fields.iter().for_each(|(name, tree)| {
                let path = format!("{path}.{name}");
                covers(shape.field(name).unwrap_or_else(|| panic!("{path} is missing")), tree, &path);
            }),
            Tree::List(items) => {
                let item = shape.item().unwrap_or_else(|| panic!("{path} is no list"));
                items.iter().for_each(|tree| covers(item, tree, path));
            }
            Tree::Unknown(_) | Tree::Nothing => {}
            _ => assert_eq!(*shape, Shape::Value, "{path}"),
        }
    }

    #[test]
    fn the_catalogue_has_every_fact_of_a_report() {
        Facts::of(&sample()).sections().for_each(|(name, tree)| covers(CATALOGUE.field(name).unwrap(), tree, name));
    }

    #[test]
    fn facts_that_no_report_has_are_not_in_it() {
        for path in ["memory.ram.available_percent", "disk.mounts", "network.way_out.physical", "system.upkeep.crashes"]
        {
            assert!(CATALOGUE.at(path).is_some(), "{path}");
        }
        for path in ["memory.ram.availble_percent", "memory.available_percent", "disk.mounts.access", "findings", ""] {
            assert!(CATALOGUE.at(path).is_none(), "{path}");
        }
        let mount = CATALOGUE.at("disk.mounts").and_then(Shape::item).unwrap();
        assert!(mount.at("space.used_percent").is_some() && mount.field("acess").is_none());
        assert_eq!(mount.nearest("acess").unwrap(), "access");
        assert_eq!(CATALOGUE.nearest("memory.ram.availble_percent").unwrap(), "memory.ram.available_percent");
    }
}
