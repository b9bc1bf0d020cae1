//! The WebAssembly file that reports embed says what this source says: a file left behind by a change to the loss
//! fails here, and `cargo xtask wasm` makes a new one.

use dicewise::explain::Preset;
use dicewise_web::*;
use wasmi::{Engine, Instance, Linker, Module, Store, Val as Value};

const WASM: &[u8] = include_bytes!("../../dicewise-report/assets/dicewise.wasm");

struct Browser {
    store: Store<()>,
    instance: Instance,
}

impl Browser {
    fn new() -> Self {
        let engine = Engine::default();
        let module = Module::new(&engine, WASM).expect("the file is a module");
        assert_eq!(module.imports().count(), 0, "the page has nothing to offer to the module");
        let mut store = Store::new(&engine, ());
        let instance = Linker::new(&engine).instantiate_and_start(&mut store, &module).unwrap();
        Self { store, instance }
    }

    fn call(&mut self, name: &str, arguments: &[Value]) -> f64 {
        let function = self.instance.get_func(&self.store, name).expect("the function is exported");
        let mut result = [Value::F64(0.0.into())];
        function.call(&mut self.store, arguments, &mut result).unwrap();
        result[0].f64().unwrap().into()
    }
}

fn int(value: u32) -> Value {
    Value::I32(value as i32)
}

fn float(value: f64) -> Value {
    Value::F64(value.into())
}

/// Equal to 1e-12, relative; or both refused. (Intermediate results are the same; only text formatting differs.)
fn assert_same(found: f64, expected: f64, what: &str) {
    let same = (found - expected).abs() <= 1e-12 * expected.abs() || (found.is_nan() && expected.is_nan());
    assert!(same, "{what}: {found:e} in the file, {expected:e} in the source; run `cargo xtask wasm`");
}

#[test]
fn every_partition_epsilon_and_treatment_is_the_same() {
    let mut browser = Browser::new();
    let mut finite = 0;
    for quantity in 0..QUANTITIES.len() as u32 + 1 {
        for partition in 0..4 {
            for (numerator, denominator) in [(0.0, 1e-7), (1e-5, 1e-5), (400.0, 400.0), (-1.0, 1.0)] {
                for (missing, foreground) in [(0, 0), (1, 0), (2, 0), (3, 1), (4, 0)] {
                    for (batch, classes) in [(1, 3), (2, 3), (2, 1), (5, 2), (0, 2)] {
                        for (inside, outside) in [(0.5, 0.5), (0.9, 1e-4), (1.5, 0.0)] {
                            let (voxels, object) = (4096.0, 400.0);
                            let expected = dicewise_explain(
                                quantity,
                                partition,
                                numerator,
                                denominator,
                                missing,
                                foreground,
                                batch,
                                classes,
                                voxels,
                                object,
                                inside,
                                outside,
                            );
                            let found = browser.call(
                                "dicewise_explain",
                                &[
                                    int(quantity),
                                    int(partition),
                                    float(numerator),
                                    float(denominator),
                                    int(missing),
                                    int(foreground),
                                    int(batch),
                                    int(classes),
                                    float(voxels),
                                    float(object),
                                    float(inside),
                                    float(outside),
                                ],
                            );
                            assert_same(
                                found,
                                expected,
                                QUANTITIES.get(quantity as usize).unwrap_or(&"none"),
                            );
                            finite += usize::from(expected.is_finite());
                        }
                    }
                }
            }
        }
    }
    assert!(finite > 3000, "only {finite} of the cases are not refused");
}

#[test]
fn every_preset_is_the_same() {
    let mut browser = Browser::new();
    for preset in 0..Preset::ALL.len() as u32 + 1 {
        for quantity in 0..QUANTITIES.len() as u32 {
            let expected = dicewise_explain_preset(quantity, preset, 2, 3, 4096.0, 400.0, 0.3, 0.2);
            assert_eq!(expected.is_nan(), preset as usize == Preset::ALL.len());
            let arguments = [quantity, preset, 2, 3].map(int).into_iter();
            let arguments: Vec<Value> = arguments.chain([4096.0, 400.0, 0.3, 0.2].map(float)).collect();
            assert_same(
                browser.call("dicewise_explain_preset", &arguments),
                expected,
                QUANTITIES[quantity as usize],
            );
        }
    }
}

#[test]
fn eq_5_has_the_same_solutions() {
    let mut browser = Browser::new();
    for large in [0, 1] {
        for (overlap, union) in [(0.5, 2.0), (0.3, 2.2), (0.9, 1.95), (0.5, 1.0)] {
            let expected = dicewise_solve_epsilon(large, 400.0, overlap, union);
            let arguments = [int(large), float(400.0), float(overlap), float(union)];
            assert_same(browser.call("dicewise_solve_epsilon", &arguments), expected, "solution of Eq. 5");
        }
    }
}
