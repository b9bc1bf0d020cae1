//! Literal f64 loops of the equations, the reference of all tests
