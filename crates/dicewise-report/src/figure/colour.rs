//! Colours that can be told apart with any colour vision.

/// An RGB colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(
    /// Red, green, blue.
    pub [u8; 3],
);

/// The palette of Okabe and Ito (2008).
impl Colour {
    /// Black.
    pub const BLACK: Self = Self([0, 0, 0]);
    /// Orange.
    pub const ORANGE: Self = Self([230, 159, 0]);
    /// Sky blue.
    pub const SKY_BLUE: Self = Self([86, 180, 233]);
    /// Bluish green.
    pub const BLUISH_GREEN: Self = Self([0, 158, 115]);
    /// Yellow.
    pub const YELLOW: Self = Self([240, 228, 66]);
    /// Blue.
    pub const BLUE: Self = Self([0, 114, 178]);
    /// Vermillion.
    pub const VERMILLION: Self = Self([213, 94, 0]);
    /// Reddish purple.
    pub const REDDISH_PURPLE: Self = Self([204, 121, 167]);
    pub(crate) const WHITE: Self = Self([255; 3]);
    pub(crate) const TEXT: Self = Self([32; 3]);

    /// `#rrggbb`
    pub(crate) fn hex(self) -> String {
        let [r, g, b] = self.0;
        format!("#{r:02x}{g:02x}{b:02x}")
    }
}
