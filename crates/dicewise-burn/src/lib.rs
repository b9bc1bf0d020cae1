//! The Dice losses as Burn modules, with Eq. 4 as a hand-written backward
