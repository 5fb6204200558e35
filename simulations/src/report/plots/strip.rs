//! What befell the world, by kind and time: a row for each kind, a mark for each fault.

use plotters::{
    element::{PathElement, Rectangle, Text},
    style::{
        Color as _,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{Area, Band, Colour, PlotError, Unit, Wrong, dots, draw, letters, ticks};

const WIDTH: u32 = 1120;
const STEP: i32 = 44;
const LEFT: i32 = 180;
const RIGHT: i32 = 36;
const FOOT: i32 = 76;

/// The faults of one kind.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) bands: Vec<Band>,
}

/// Draws faults over so many seconds.
pub(crate) fn strip(about: &str, seconds: f64, rows: &[Row]) -> Result<String, PlotError> {
    let height = STEP * i32::try_from(rows.len()).unwrap_or(1).clamp(1, 40) + FOOT;
    draw(about, (WIDTH, height.unsigned_abs()), |area| paint(area, seconds, rows, height - FOOT))
}

fn paint(area: &Area<'_>, seconds: f64, rows: &[Row], floor: i32) -> Result<(), Wrong> {
    let seconds = seconds.max(1e-6);
    let room = f64::from(WIDTH) - f64::from(LEFT + RIGHT);
    let place = |time: f64| LEFT + dots(room * (time / seconds).clamp(0.0, 1.0));
    for (row, at) in rows.iter().zip(0..) {
        let middle = at * STEP + STEP / 2;
        let line = vec![(LEFT, middle), (place(seconds), middle)];
        area.draw(&PathElement::new(line, Colour::Faint.rgb().stroke_width(2)))?;
        let name = letters(Colour::Ink).pos(Pos::new(HPos::Right, VPos::Center));
        area.draw(&Text::new(row.name.clone(), (LEFT - 16, middle), name))?;
        for band in &row.bands {
            let from = place(band.from);
            let corners = [(from, middle - 11), (place(band.to).max(from + 4), middle + 11)];
            area.draw(&Rectangle::new(corners, Colour::Orange.rgb().mix(0.55).filled()))?;
        }
    }
    let unit = Unit::of(seconds);
    let below = || letters(Colour::Ink).pos(Pos::new(HPos::Center, VPos::Top));
    for tick in ticks(0.0, seconds / unit.seconds, 6) {
        let at = place(tick * unit.seconds);
        area.draw(&PathElement::new(vec![(at, 0), (at, floor)], Colour::Faint.rgb().stroke_width(1)))?;
        area.draw(&Text::new(crate::report::text::three(tick), (at, floor + 6), below()))?;
    }
    area.draw(&Text::new(unit.name, ((LEFT + place(seconds)) / 2, floor + 42), below()))
}
