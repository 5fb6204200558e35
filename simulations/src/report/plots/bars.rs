//! Bars with names, one below the other.

use plotters::{
    element::{Rectangle, Text},
    style::{
        Color as _,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{Area, Colour, PlotError, Wrong, dots, draw, letters};
use crate::report::text::short;

const WIDTH: u32 = 1120;
/// How much room a bar takes, and how much of that is bar.
const STEP: u32 = 44;
const THICK: i32 = 26;
/// Where bars begin: left of it stand the names.
const LEFT: i32 = 380;
/// How much room there is for figures behind the bars.
const RIGHT: i32 = 210;
/// The most letters of a name: as many as fit.
const NAME: usize = 32;

/// A bar.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) name: String,
    /// Its parts, one behind the other.
    pub(crate) parts: Vec<(Colour, f64)>,
    /// The figure behind it.
    pub(crate) figure: String,
}

/// Draws bars.
pub(crate) fn bars(about: &str, bars: &[Bar]) -> Result<String, PlotError> {
    let height = STEP * u32::try_from(bars.len()).unwrap_or(u32::MAX).clamp(1, 200) + 8;
    draw(about, (WIDTH, height), |area| paint(area, bars))
}

fn paint(area: &Area<'_>, bars: &[Bar]) -> Result<(), Wrong> {
    let sum = |bar: &Bar| bar.parts.iter().map(|(_, value)| value).sum::<f64>();
    let most = bars.iter().map(sum).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let room = f64::from(WIDTH) - f64::from(LEFT + RIGHT);
    for (bar, at) in bars.iter().zip(0..) {
        let middle = 4 + at * dots(STEP.into()) + dots(STEP.into()) / 2;
        let name = letters(Colour::Ink).pos(Pos::new(HPos::Right, VPos::Center));
        area.draw(&Text::new(short(&bar.name, NAME), (LEFT - 16, middle), name))?;
        let mut end = LEFT;
        let mut so_far = 0.0;
        for (colour, value) in &bar.parts {
            so_far += value;
            let next = LEFT + dots(room * so_far / most);
            if next > end {
                let corners = [(end, middle - THICK / 2), (next, middle + THICK / 2)];
                area.draw(&Rectangle::new(corners, colour.rgb().filled()))?;
            }
            end = next;
        }
        let figure = letters(Colour::Ink).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(bar.figure.clone(), (end + 12, middle), figure))?;
    }
    Ok(())
}
