//! The kinds of plots that there are, drawn by `plotters` into SVG.
//!
//! Everything is drawn at twice its size, since the library places by whole dots. Each colour is a word of a small
//! palette: the page's style gives each another shade where the reader's screen is dark. Legends are the page's, not the
//! plots'.

mod bars;
mod lines;
mod ring;
mod strip;

use plotters::{
    coord::Shift,
    prelude::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea, RGBColor, SVGBackend},
    style::{IntoFont as _, TextStyle},
};

pub(super) use self::{
    bars::{Bar, bars},
    lines::{Axis, Band, Line, Lines, Unit, lines},
    ring::{Place, ring},
    strip::{Row, strip},
};

/// A plot's surface.
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// What can go wrong while one draws into a text: nothing that a reader could mend.
type Wrong = DrawingAreaErrorKind<std::io::Error>;

/// A plot that could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("a plot can not be drawn: {0}")]
pub struct PlotError(String);

/// A colour of the palette (that of Okabe and Ito, which the colour-blind can tell apart, and three for all else).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Ink,
    Faint,
    Shade,
    Blue,
    Orange,
    Red,
    Green,
    Pink,
}

impl Colour {
    const fn rgb(self) -> RGBColor {
        match self {
            Self::Ink => RGBColor(0x3d, 0x44, 0x4d),
            Self::Faint => RGBColor(0xd9, 0xdd, 0xe2),
            Self::Shade => RGBColor(0xe8, 0xd5, 0xa8),
            Self::Blue => RGBColor(0x00, 0x72, 0xb2),
            Self::Orange => RGBColor(0xe6, 0x9f, 0x00),
            Self::Red => RGBColor(0xd5, 0x5e, 0x00),
            Self::Green => RGBColor(0x00, 0x9e, 0x73),
            Self::Pink => RGBColor(0xcc, 0x79, 0xa7),
        }
    }

    /// Returns the class that the page's style gives the same colour.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Ink => "ink",
            Self::Faint => "faint",
            Self::Shade => "shade",
            Self::Blue => "blue",
            Self::Orange => "orange",
            Self::Red => "red",
            Self::Green => "green",
            Self::Pink => "pink",
        }
    }
}

/// How large letters are, in dots of a plot; the library takes a size by its line, which is 1.24 times that.
const LETTER: f64 = 22.0;

fn letters(colour: Colour) -> TextStyle<'static> {
    ("sans-serif", LETTER * 1.24).into_font().color(&colour.rgb())
}

/// Draws a plot of this size; `about` says what it shows to those who can't see it.
fn draw(
    about: &str,
    size: (u32, u32),
    paint: impl FnOnce(&Area<'_>) -> Result<(), Wrong>,
) -> Result<String, PlotError> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        paint(&area).and_then(|()| area.present()).map_err(|error| PlotError(error.to_string()))?;
    }
    let plain = format!("<svg width=\"{}\" height=\"{}\"", size.0, size.1);
    let named = format!("<svg role=\"img\" aria-label=\"{}\"", super::text::escape(about));
    Ok(svg.replacen(&plain, &named, 1))
}

/// Returns about `count` round values from `least` to `most`.
fn ticks(least: f64, most: f64, count: u32) -> Vec<f64> {
    let rough = (most - least) / f64::from(count.max(1));
    if !rough.is_finite() || rough <= 0.0 {
        return vec![least];
    }
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|it| it * power).find(|it| *it >= rough * 0.999);
    let step = step.unwrap_or(10.0 * power);
    let first = (least / step - 1e-9).ceil();
    (0..100).map(|at| (first + f64::from(at)) * step).take_while(|it| *it <= most + step * 1e-6).collect()
}

/// A number of dots.
#[allow(clippy::cast_possible_truncation, reason = "a place on a plot, which is a few thousand dots wide")]
fn dots(value: f64) -> i32 {
    value.round().clamp(-1e6, 1e6) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(ticks(0.0, 10.0, 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(0.0, 1.0, 4), [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(ticks(3.0, 60.0, 6), [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
        assert_eq!(ticks(5.0, 5.0, 6), [5.0]);
    }
}
