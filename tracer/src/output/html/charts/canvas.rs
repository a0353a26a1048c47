//! Axes and what is drawn between them. Its colours stand for classes: the style of the page gives them theirs.

use plotters::{
    coord::ranged1d::Ranged as _,
    prelude::{
        ChartBuilder, Color as _, IntoDrawingArea as _, LineSeries, Polygon, RGBColor, Rectangle, SVGBackend,
        TextStyle,
    },
    style::IntoFont as _,
};

use super::{super::PageError, marks::Marks};
use crate::output::report::grouped;

/// Columns of the drawing.
pub(super) const WIDTH: u32 = 960;
/// Where the axis stands, the same in all charts.
const LEFT: u32 = 64;

const INK: RGBColor = RGBColor(0x10, 0x10, 0x10);
const GRID: RGBColor = RGBColor(0xe0, 0xe0, 0xe0);

/// The colour that stands for a class.
const fn class(number: u8) -> RGBColor {
    RGBColor(0, 1, number)
}

/// A mark that counts.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mark of an axis")]
pub(super) fn count(mark: f64) -> String {
    let count = mark.round().max(0.0) as u64;
    // Longer ones would not fit beside the axis.
    if count < 10_000_000 { grouped(count) } else { format!("{} M", grouped(count / 1_000_000)) }
}

/// Something between the axes.
#[derive(Debug)]
pub(super) enum Shape {
    /// A line through these points.
    Line(u8, Vec<(f64, f64)>),
    /// A rectangle from one corner to the other.
    Bar(u8, (f64, f64), (f64, f64)),
    /// A mark at the top, over this place.
    Hot(f64),
}

/// Axes, what their marks say, and what is drawn.
pub(super) struct Plot<'a> {
    pub(super) height: u32,
    pub(super) across: Marks,
    pub(super) up: Marks,
    pub(super) across_says: &'a dyn Fn(f64) -> String,
    pub(super) up_says: &'a dyn Fn(f64) -> String,
    pub(super) shapes: Vec<Shape>,
}

impl Plot<'_> {
    /// What is inside of an `svg` element.
    pub(super) fn draw(self) -> Result<String, PageError> {
        let mut svg = String::new();
        self.draw_on(&mut svg).map_err(PageError::Chart)?;
        // The page has an element of its own, with its words.
        let inside = svg.split_once("<svg").and_then(|(_, rest)| rest.split_once('>'));
        let inside = inside.and_then(|(_, rest)| rest.rsplit_once("</svg>")).map(|(inside, _)| inside);
        Ok(inside.unwrap_or_default().replace(" opacity=\"1\"", "").replace('\n', ""))
    }

    fn draw_on(self, svg: &mut String) -> Result<(), String> {
        let told = |error: &dyn std::fmt::Display| error.to_string();
        let (across, up) = (self.across.range(), self.up.range());
        let area = SVGBackend::with_string(svg, (WIDTH, self.height)).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin_top(8)
            .margin_right(28)
            .x_label_area_size(24)
            .y_label_area_size(LEFT)
            .build_cartesian_2d(self.across, self.up)
            .map_err(|error| told(&error))?;
        let style = TextStyle::from(("sans-serif", 12).into_font()).color(&INK);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(GRID.mix(0.0))
            .bold_line_style(GRID)
            .axis_style(INK)
            .label_style(style)
            .x_label_formatter(&|value| (self.across_says)(*value))
            .y_label_formatter(&|value| (self.up_says)(*value))
            .draw()
            .map_err(|error| told(&error))?;
        for shape in self.shapes {
            match shape {
                Shape::Line(number, points) => {
                    chart.draw_series(LineSeries::new(points, class(number).stroke_width(2))).map(drop)
                }
                Shape::Bar(number, low, high) => {
                    chart.draw_series([Rectangle::new([low, high], class(number).filled())]).map(drop)
                }
                Shape::Hot(at) => {
                    let (wide, high) = ((across.end - across.start) / 180.0, (up.end - up.start) / 14.0);
                    let corners = [(at - wide, up.end), (at + wide, up.end), (at, up.end - high)];
                    chart.draw_series([Polygon::new(corners, class(1).filled())]).map(drop)
                }
            }
            .map_err(|error| told(&error))?;
        }
        drop(chart);
        area.present().map_err(|error| told(&error))
    }
}
