use super::*;
use crate::kernel::{InstructionSet, Kernel};

/// A function of every value, and whether all were in range.
#[derive(Clone, Copy)]
enum Function {
    Exp,
    Ln,
    Power,
    InversePower,
}

struct Apply<'a>(Function, &'a [f32], &'a mut Vec<f32>);

impl Kernel for Apply<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self) -> bool {
        let mut seen = S::Singles::nothing_seen();
        for x in self.1.chunks(LANES) {
            let mut tile = [1.0; LANES];
            tile[..x.len()].copy_from_slice(x);
            let of = S::Singles::load(&tile);
            let found = match self.0 {
                Function::Exp => of.exp(),
                Function::Ln => of.ln(),
                Function::Power => of.power(&mut seen),
                Function::InversePower => of.inverse_power(&mut seen),
            };
            self.2.extend(&found.lanes().0[..x.len()]);
        }
        S::Singles::were_in_range(seen)
    }
}

fn apply(set: InstructionSet, function: Function, x: &[f32]) -> (Vec<f32>, bool) {
    let mut found = Vec::new();
    let in_range = set.run(Apply(function, x, &mut found));
    (found, in_range)
}

#[test]
fn exp_is_within_2e_7_of_f64() {
    let x: Vec<f32> = (-870_000..=880_000).map(|k| k as f32 * 1e-4).collect();
    let near: Vec<f32> = x.iter().copied().filter(|x| x.abs() < 44.0).collect();
    for set in InstructionSet::available() {
        // With ln 2 in one part, the error grows with the exponent.
        for (function, x, sign, growth) in [
            (Function::Exp, &x, 1.0, 0.0),
            (Function::Power, &near, 1.0, 3e-9),
            (Function::InversePower, &near, -1.0, 3e-9),
        ] {
            let (found, in_range) = apply(set, function, x);
            assert!(in_range);
            for (x, found) in x.iter().zip(found) {
                let exact = (sign * f64::from(*x)).exp();
                let allowed = (2.3e-7 + growth * f64::from(x.abs())) * exact;
                assert!((f64::from(found) - exact).abs() <= allowed, "{set} {x}: {found:e} {exact:e}");
            }
        }
        let (found, _) = apply(set, Function::Exp, &[0.0, f32::MIN, -87.0, -1e4]);
        assert!(found[0] == 1.0 && found[1] == found[2] && found[3] == found[2], "{set} {found:?}");
    }
}

#[test]
fn ln_is_within_an_ulp_or_two_of_f64() {
    let x = (f32::MIN_POSITIVE.to_bits()..f32::MAX.to_bits()).step_by(1001).map(f32::from_bits);
    let x: Vec<f32> = x.chain([1.0]).collect();
    for set in InstructionSet::available() {
        for (x, found) in x.iter().zip(apply(set, Function::Ln, &x).0) {
            let exact = f64::from(*x).ln();
            let error = (f64::from(found) - exact).abs();
            assert!(error <= 1.5e-7 * exact.abs() + 1e-12, "{set} ln {x}: {found:e} {exact:e}");
        }
    }
}

#[test]
fn one_value_out_of_range_is_seen_wherever_it_is() {
    let far = [45.0, -46.0, 88.0, -89.0, 356.0, 1e9, -1e30, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    for set in InstructionSet::available() {
        for (k, value) in far.into_iter().enumerate() {
            let mut x = [0.5; 3 * LANES];
            x[7 * k % (3 * LANES)] = value;
            assert!(!apply(set, Function::Power, &x).1, "{set} {value}");
            assert!(!apply(set, Function::InversePower, &x).1, "{set} {value}");
        }
    }
}

#[test]
fn no_value_is_shifted_to_0_unseen() {
    let critical = SHIFT / PLACE / std::f32::consts::LOG2_E;
    for set in InstructionSet::available() {
        for step in -5000_i32..=5000 {
            let x = f32::from_bits(critical.to_bits().wrapping_add_signed(step));
            assert!(!apply(set, Function::Power, &[-x]).1, "{set} {x}");
            assert!(!apply(set, Function::InversePower, &[x]).1, "{set} {x}");
        }
    }
}

#[test]
fn lanes_are_counted_and_found() {
    struct Lanes<'a>(&'a [i32; LANES], i32);
    impl Kernel for Lanes<'_> {
        type Output = (u32, Option<usize>, u32);
        #[inline(always)]
        fn run<S: Simd>(self) -> Self::Output {
            let mask = S::Singles::is_class(self.0, self.1);
            let both = S::Singles::either(mask, S::Singles::is_class(self.0, self.1 + 1));
            (S::Singles::count_of(mask), S::Singles::lane_without(mask), S::Singles::count_of(both))
        }
    }
    for set in InstructionSet::available() {
        for bits in 0..1_u32 << LANES {
            // Class 3 where a bit is set, else class 4, or 5 in the last lane.
            let codes: [i32; LANES] =
                std::array::from_fn(|lane| if bits >> lane & 1 == 1 { 3 } else { 4 + i32::from(lane == 15) });
            let (count, without, both) = set.run(Lanes(&codes, 3));
            assert_eq!(count, bits.count_ones(), "{set} {bits:b}");
            assert_eq!(both, LANES as u32 - u32::from(bits >> 15 & 1 == 0), "{set} {bits:b}");
            match without {
                Some(lane) => assert_ne!(codes[lane], 3, "{set} {bits:b}"),
                None => assert_eq!(count, 16, "{set} {bits:b}"),
            }
        }
    }
}

#[test]
fn logarithms_add_up() {
    struct Sum<'a>(&'a [[f32; LANES]], &'a [[i32; LANES]]);
    impl Kernel for Sum<'_> {
        type Output = f64;
        #[inline(always)]
        fn run<S: Simd>(self) -> f64 {
            let mut sum = Logarithms::<S::Singles>::new();
            sum.add_row(self.0, Some(self.1));
            sum.sum()
        }
    }
    let p: Vec<[f32; LANES]> =
        (0..300).map(|k| std::array::from_fn(|lane| (-((k * lane) as f32) / 80.0).exp())).collect();
    let codes: Vec<[i32; LANES]> =
        (0..300).map(|k| std::array::from_fn(|lane| if (k + lane) % 5 == 0 { -1 } else { 2 })).collect();
    let pairs = p.as_flattened().iter().zip(codes.as_flattened());
    let exact: f64 = pairs.filter(|(_, code)| **code >= 0).map(|(p, _)| f64::from(*p).ln()).sum();
    for set in InstructionSet::available() {
        let found = set.run(Sum(&p, &codes));
        assert!((found - exact).abs() <= 1e-7 * exact.abs(), "{set} {found} {exact}");
    }
}
