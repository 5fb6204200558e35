//! Domains as a ring, and which of them are partners.

use std::f64::consts::TAU;

use plotters::{
    element::{Circle, PathElement, Text},
    style::{
        Color as _,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{Area, Colour, PlotError, Wrong, dots, draw, letters};
use crate::report::text::short;

const SIZE: (u32, u32) = (1120, 820);
const MIDDLE: (f64, f64) = (560.0, 410.0);
const RADIUS: f64 = 320.0;
/// The most domains that are named; with more, names would lie over one another.
const NAMED: usize = 40;
/// The most letters of a name: as many as fit beside the ring.
const NAME: usize = 18;

/// A domain of the ring.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) name: String,
    /// How many nodes it has: how large it is drawn.
    pub(crate) nodes: u32,
}

/// Draws domains as a ring; `partners` are pairs of their places.
pub(crate) fn ring(about: &str, places: &[Place], partners: &[(u32, u32)]) -> Result<String, PlotError> {
    draw(about, SIZE, |area| paint(area, places, partners))
}

#[allow(clippy::cast_precision_loss, reason = "places on a plot")]
fn paint(area: &Area<'_>, places: &[Place], partners: &[(u32, u32)]) -> Result<(), Wrong> {
    let angle = |at: usize| TAU * at as f64 / places.len().max(1) as f64 - TAU / 4.0;
    let at = |angle: f64, radius: f64| (dots(MIDDLE.0 + radius * angle.cos()), dots(MIDDLE.1 + radius * angle.sin()));
    // The more lines there are, the fainter each is.
    let strength = (60.0 / partners.len().max(1) as f64).clamp(0.06, 0.8);
    for &(one, other) in partners {
        let line = vec![at(angle(one as usize), RADIUS), at(angle(other as usize), RADIUS)];
        area.draw(&PathElement::new(line, Colour::Blue.rgb().mix(strength).stroke_width(2)))?;
    }
    let largest = places.iter().map(|place| place.nodes).max().unwrap_or(1).max(1);
    // Neighbours are not to touch.
    let room = (TAU * RADIUS / places.len().max(1) as f64 / 2.2).min(44.0);
    for (index, place) in places.iter().enumerate() {
        let size = (f64::from(place.nodes) / f64::from(largest)).sqrt() * room;
        let centre = at(angle(index), RADIUS);
        area.draw(&Circle::new(centre, dots(size).max(3), Colour::Blue.rgb().filled()))?;
        if places.len() > NAMED {
            continue;
        }
        let (direction, outside) = (angle(index), at(angle(index), RADIUS + room + 18.0));
        let beside = match direction.cos() {
            x if x > 0.15 => HPos::Left,
            x if x < -0.15 => HPos::Right,
            _ => HPos::Center,
        };
        let style = letters(Colour::Ink).pos(Pos::new(beside, VPos::Center));
        area.draw(&Text::new(short(&place.name, NAME), outside, style))?;
    }
    Ok(())
}
