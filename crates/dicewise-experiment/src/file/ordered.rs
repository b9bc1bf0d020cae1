//! A table whose keys keep the order of the file.
use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use toml::Spanned;

/// Keys and values in the order of the file: the order of `[target] labels` is the order of the classes.
#[derive(Clone, Debug)]
pub(crate) struct Ordered<V>(pub(crate) Vec<(Spanned<String>, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Ordered<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = BTreeMap::<Spanned<String>, V>::deserialize(deserializer)?;
        let mut entries: Vec<_> = table.into_iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        Ok(Self(entries))
    }
}
