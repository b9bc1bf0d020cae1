//! Changed copies of seeds, the same ones on every machine.
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Numbers at the edges of their types, which parsers get wrong more often than others.
const EDGES: [i64; 12] = [0, 1, -1, 127, 128, 255, 256, 32_767, 32_768, 65_535, i32::MAX as i64, i64::MIN];

/// Draws changed copies of seeds: bits flipped, numbers put in, parts cut, doubled, and taken from another seed.
#[derive(Debug)]
pub struct Mutator {
    seeds: Vec<Vec<u8>>,
    random: ChaCha8Rng,
}

impl Mutator {
    /// A sequence of inputs that depends on the seeds and the number only.
    ///
    /// # Panics
    /// Without seeds.
    pub fn new(seeds: Vec<Vec<u8>>, number: u64) -> Self {
        assert!(!seeds.is_empty(), "something has to be changed");
        Self { seeds, random: ChaCha8Rng::seed_from_u64(number) }
    }

    /// The next input.
    pub fn draw(&mut self) -> Vec<u8> {
        let seed = self.random.random_range(0..self.seeds.len());
        let mut bytes = self.seeds[seed].clone();
        for _ in 0..self.random.random_range(1..=4) {
            self.change(&mut bytes);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let random = &mut self.random;
        if bytes.is_empty() {
            bytes.push(random.random());
            return;
        }
        let at = random.random_range(0..bytes.len());
        let until = random.random_range(at..=bytes.len().min(at + 64));
        match random.random_range(0..8) {
            0 => bytes[at] ^= 1 << random.random_range(0..8),
            1 => bytes[at] = random.random(),
            2 => {
                let edge = EDGES[random.random_range(0..EDGES.len())].to_le_bytes();
                let width = 1 << random.random_range(0..4);
                let width = usize::min(width, bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&edge[..width]);
            }
            3 => drop(bytes.drain(at..until)),
            4 => bytes.truncate(at),
            5 => {
                let part = bytes[at..until].to_vec();
                bytes.splice(at..at, part);
            }
            6 => {
                // A digit in text; the same byte elsewhere is as good as any.
                let digit = bytes[at..].iter().position(u8::is_ascii_digit);
                let at = digit.map_or(at, |digit| at + digit);
                let number = EDGES[random.random_range(0..EDGES.len())].to_string();
                bytes.splice(at..=at, number.into_bytes());
            }
            _ => {
                let other = &self.seeds[random.random_range(0..self.seeds.len())];
                let from = random.random_range(0..=other.len());
                let part = &other[from..other.len().min(from + 64)];
                bytes.splice(at..until, part.iter().copied());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_draws_the_same_inputs_and_another_one_others() {
        let draw = |number| {
            let mut mutator = Mutator::new(vec![b"name = 1".to_vec(), vec![0; 40]], number);
            (0..100).map(|_| mutator.draw()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
