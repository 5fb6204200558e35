//! Curves over time, with what befell the world as bands behind them.

use std::ops::Range;

use plotters::{
    chart::ChartBuilder,
    coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged},
    element::{Circle, PathElement, Polygon, Rectangle},
    style::{Color as _, ShapeStyle},
};

use super::{Area, Colour, PlotError, Wrong, dots, draw, letters, ticks};

/// How large such a plot is.
const SIZE: (u32, u32) = (1120, 520);

/// Curves over time.
#[derive(Debug)]
pub(crate) struct Lines {
    /// What it shows.
    pub(crate) about: String,
    /// For how many seconds.
    pub(crate) seconds: f64,
    pub(crate) axis: Axis,
    pub(crate) lines: Vec<Line>,
    pub(crate) bands: Vec<Band>,
}

/// The axis of values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Axis {
    /// How a value is written.
    pub(crate) label: fn(f64) -> String,
    /// The largest value where it is known beforehand.
    pub(crate) most: Option<f64>,
    /// Whether steps are by factors where values differ by much.
    pub(crate) by_factors: bool,
}

/// A curve.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) colour: Colour,
    /// Seconds and values; where there is no value there is a gap.
    pub(crate) points: Vec<(f64, Option<f64>)>,
    /// Whether what is below it is filled, down to the curve before it where that is filled too.
    pub(crate) filled: bool,
}

/// Something that lasted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Band {
    /// From which second on.
    pub(crate) from: f64,
    /// To which.
    pub(crate) to: f64,
}

/// In what a time axis counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Unit {
    pub(crate) seconds: f64,
    pub(crate) name: &'static str,
}

impl Unit {
    /// Returns the one that suits so many seconds.
    pub(crate) fn of(seconds: f64) -> Self {
        match seconds {
            _ if seconds <= 180.0 => Self { seconds: 1.0, name: "seconds" },
            _ if seconds <= 3.0 * 3600.0 => Self { seconds: 60.0, name: "minutes" },
            _ if seconds <= 3.0 * 86_400.0 => Self { seconds: 3600.0, name: "hours" },
            _ => Self { seconds: 86_400.0, name: "days" },
        }
    }
}

/// Draws curves over time.
pub(crate) fn lines(plot: &Lines) -> Result<String, PlotError> {
    draw(&plot.about, SIZE, |area| paint(area, plot))
}

fn paint(area: &Area<'_>, plot: &Lines) -> Result<(), Wrong> {
    let unit = Unit::of(plot.seconds);
    let scale = Scale::of(plot);
    let width = (plot.seconds / unit.seconds).max(1e-6);
    let times = ticks(0.0, width, 6);
    let mut chart = ChartBuilder::on(area)
        .margin_top(18)
        .margin_right(36)
        .margin_bottom(4)
        .x_label_area_size(72)
        .y_label_area_size(112)
        .build_cartesian_2d(
            Marked { range: 0.0..width, marks: times },
            Marked { range: scale.least..scale.most, marks: scale.ticks.clone() },
        )?;
    let band = |band: &Band| {
        let corner = |at: f64| (at / unit.seconds).clamp(0.0, width);
        // A moment is to be seen, too.
        let (from, to) = (corner(band.from), corner(band.to.max(band.from + plot.seconds / 400.0)));
        Rectangle::new([(from, scale.least), (to, scale.most)], Colour::Shade.rgb().mix(0.45).filled())
    };
    chart.draw_series(plot.bands.iter().map(band))?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(Colour::Faint.rgb().mix(0.0))
        .bold_line_style(Colour::Faint.rgb().stroke_width(2))
        .axis_style(Colour::Faint.rgb().stroke_width(2))
        .label_style(letters(Colour::Ink))
        .axis_desc_style(letters(Colour::Ink))
        .x_label_formatter(&|value| crate::report::text::three(*value))
        .y_label_formatter(&|value| (plot.axis.label)(scale.value(*value)))
        .x_desc(unit.name)
        .draw()?;
    let mut below: Option<&Line> = None;
    for line in &plot.lines {
        let at = |(time, value): (f64, f64)| (time / unit.seconds, scale.place(value));
        if line.filled {
            for part in parts(line) {
                let times = || part.iter().rev().map(|(time, _)| *time);
                let floor =
                    |time| below.and_then(|below| value_at(below, time)).map_or(scale.least, |it| scale.place(it));
                let outline = part.iter().copied().map(at);
                let back = times().map(|time| (time / unit.seconds, floor(time)));
                let corners: Vec<_> = outline.chain(back).collect();
                chart.draw_series([Polygon::new(corners, line.colour.rgb().mix(0.25).filled())])?;
            }
            below = Some(line);
        }
        for part in parts(line) {
            let points: Vec<_> = part.iter().copied().map(at).collect();
            let style: ShapeStyle = line.colour.rgb().stroke_width(4);
            if let [point] = points.as_slice() {
                chart.draw_series([Circle::new(*point, 5, line.colour.rgb().filled())])?;
            } else {
                chart.draw_series([PathElement::new(points, style)])?;
            }
        }
    }
    Ok(())
}

/// Returns the stretches of a curve without gaps.
fn parts(line: &Line) -> Vec<Vec<(f64, f64)>> {
    let mut parts = Vec::new();
    let mut part = Vec::new();
    for (time, value) in &line.points {
        match value {
            Some(value) => part.push((*time, *value)),
            None => parts.push(std::mem::take(&mut part)),
        }
    }
    parts.push(part);
    parts.retain(|part| !part.is_empty());
    parts
}

#[allow(clippy::float_cmp, reason = "curves that are piled up have the very same times")]
fn value_at(line: &Line, time: f64) -> Option<f64> {
    line.points.iter().find(|(at, _)| *at == time).and_then(|(_, value)| *value)
}

/// Where values stand on the axis.
#[derive(Debug)]
struct Scale {
    by_factors: bool,
    least: f64,
    most: f64,
    ticks: Vec<f64>,
}

impl Scale {
    fn of(plot: &Lines) -> Self {
        let values = || plot.lines.iter().flat_map(|line| line.points.iter().filter_map(|(_, value)| *value));
        let largest = values().fold(0.0, f64::max);
        let smallest = values().filter(|value| *value > 0.0).fold(largest, f64::min);
        if plot.axis.by_factors && smallest > 0.0 && largest > smallest * 30.0 {
            let (least, most) = (smallest.log10().floor(), largest.log10().ceil());
            let decades = dots_between(least, most);
            return Self { by_factors: true, least, most, ticks: decades };
        }
        let most = plot.axis.most.unwrap_or(largest * 1.08);
        let most = if most > 0.0 { most } else { 1.0 };
        Self { by_factors: false, least: 0.0, most, ticks: ticks(0.0, most, 4) }
    }

    fn place(&self, value: f64) -> f64 {
        if self.by_factors { value.max(1e-9).log10().max(self.least) } else { value.min(self.most) }
    }

    fn value(&self, place: f64) -> f64 {
        if self.by_factors { 10f64.powf(place) } else { place }
    }
}

/// Returns the whole numbers from one to another.
fn dots_between(least: f64, most: f64) -> Vec<f64> {
    (0..40).map(|at| least + f64::from(at)).take_while(|it| *it <= most).collect()
}

/// An axis with marks of our own choice.
#[derive(Debug)]
struct Marked {
    range: Range<f64>,
    marks: Vec<f64>,
}

impl Ranged for Marked {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let (from, to) = (f64::from(limit.0), f64::from(limit.1));
        dots(from + (to - from) * (value - self.range.start) / (self.range.end - self.range.start))
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.marks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}
