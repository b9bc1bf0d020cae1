//! ε warm-up as written: a number of iterations, or a word.
use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// ε warm-up as written.
#[derive(Clone, Debug)]
pub(crate) enum WarmUpValue {
    /// `150`
    Iterations(usize),
    /// `"auto"`
    Word(String),
}

// By hand: serde's untagged enums lose the place of the mistake.
impl<'de> Deserialize<'de> for WarmUpValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WarmUpVisitor)
    }
}

struct WarmUpVisitor;

impl Visitor<'_> for WarmUpVisitor {
    type Value = WarmUpValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number of iterations, or \"auto\"")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        let wrong = |_| E::custom("iterations are 0 or more");
        usize::try_from(value).map(WarmUpValue::Iterations).map_err(wrong)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        usize::try_from(value).map(WarmUpValue::Iterations).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(WarmUpValue::Word(value.to_owned()))
    }
}
