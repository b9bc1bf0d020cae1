//! ε as written: a number, a word, a number for each class, or a table of these.
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::Ordered;

/// ε as written.
#[derive(Clone, Debug)]
pub(crate) enum EpsilonValue {
    /// `1e-7`
    Number(f64),
    /// `"heuristic"` or `"from-data"`
    Word(String),
    /// `[1e-7, 400.0]`
    PerClass(Vec<f64>),
    /// `{ numerator = 0.0, denominator = 1e-7 }` or `{ full = 12412, partial = 8789 }`
    Table(Ordered<Spanned<EpsilonValue>>),
}

// By hand: serde's untagged enums lose the place of the mistake.
impl<'de> Deserialize<'de> for EpsilonValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EpsilonVisitor)
    }
}

struct EpsilonVisitor;

impl<'de> Visitor<'de> for EpsilonVisitor {
    type Value = EpsilonValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a word, a list of numbers, or a table of these")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(EpsilonValue::Number(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(EpsilonValue::Number(value as f64))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(EpsilonValue::Number(value as f64))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(EpsilonValue::Word(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(EpsilonValue::PerClass(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Ordered::deserialize(MapAccessDeserializer::new(map)).map(EpsilonValue::Table)
    }
}
