//! `f64` in JSON without loss: as text that reads back to the same bits, also where it is not finite. Numbers proper
//! may come back one unit in the last place off, and a resumed training would not be the same training.
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Number(#[serde(with = "number")] f64);

pub(crate) mod number {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| D::Error::custom(format!("`{text}` is no number")))
    }
}

pub(crate) mod option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Number;

    pub(crate) fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(Number).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        Ok(Option::<Number>::deserialize(deserializer)?.map(|Number(value)| value))
    }
}

pub(crate) mod list {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Number;

    pub(crate) fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().copied().map(Number))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        Ok(Vec::<Number>::deserialize(deserializer)?.into_iter().map(|Number(value)| value).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Serialize, Deserialize)]
    struct Numbers {
        #[serde(with = "super::number")]
        one: f64,
        #[serde(with = "super::option")]
        perhaps: Option<f64>,
        #[serde(with = "super::list")]
        many: Vec<f64>,
    }

    #[test]
    fn numbers_come_back_to_the_bit() {
        let mut state: u64 = 1;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from_bits(state ^ (state >> 29))
        };
        let special = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 5e-324, f64::MAX];
        for value in special.into_iter().chain((0..10_000).map(|_| random())).filter(|v| !v.is_nan()) {
            let text =
                serde_json::to_string(&Numbers { one: value, perhaps: Some(value), many: vec![value; 2] });
            let back: Numbers = serde_json::from_str(&text.unwrap()).unwrap();
            for found in [back.one, back.perhaps.unwrap(), back.many[0], back.many[1]] {
                assert_eq!(found.to_bits(), value.to_bits(), "{value:e}");
            }
        }
        let nothing = serde_json::to_string(&Numbers { one: f64::NAN, perhaps: None, many: vec![] }).unwrap();
        let back: Numbers = serde_json::from_str(&nothing).unwrap();
        assert!(back.one.is_nan() && back.perhaps.is_none() && back.many.is_empty());
        assert!(serde_json::from_str::<Numbers>(&nothing.replace("NaN", "much")).is_err());
    }
}
