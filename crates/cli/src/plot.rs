//! Draws the occupancies of an item's labels over time, with the most probable path below.

use ctc_wgpu::decode::Alignment;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::alphabet::Alphabet;
use crate::error::CliError;
use crate::loaded_batch::LoadedBatch;
use ctc_wgpu_npz::escaped;

/// The palette of Okabe and Ito, which is safe for colour-blind readers, without its yellow, which
/// has too little contrast on white.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];
const BLANK: RGBColor = RGBColor(140, 140, 140);
const INK: RGBColor = RGBColor(40, 40, 40);

/// The height of the area below 0, in which the path is drawn.
const PATH_HEIGHT: f64 = 0.16;

/// Returns the plot of one item as SVG.
pub(crate) fn alignment(
    batch: &LoadedBatch,
    alphabet: &Alphabet,
    item: usize,
    alignment: &Alignment,
    occupancies: &[f32],
) -> Result<String, CliError> {
    let frames = alignment.path.len();
    if frames == 0 {
        let reason = format!(
            "item {item} has no path to draw: it has no frames, no valid alignment, or values that \
             are not finite"
        );
        return Err(CliError::Usage(reason));
    }
    let occupancy = |class: u32| {
        let shape = &batch.shape;
        (0..frames).map(move |t| {
            let occupancy = occupancies[shape.row(item, t) + class as usize];
            (t as f64, f64::from(occupancy))
        })
    };
    let width = u32::try_from(frames * 14)
        .unwrap_or(u32::MAX)
        .clamp(720, 6000);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (width, 360)).into_drawing_area();
        draw(&area, alignment, alphabet, item, batch.blank, &occupancy)
            .map_err(|e| CliError::Compute(format!("could not draw the plot: {e}")))?;
    }
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type DrawError<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>;

fn draw<'a, I: Iterator<Item = (f64, f64)> + Clone>(
    area: &Area<'a>,
    alignment: &Alignment,
    alphabet: &Alphabet,
    item: usize,
    blank: usize,
    occupancy: &impl Fn(u32) -> I,
) -> Result<(), DrawError<'a>> {
    area.fill(&WHITE)?;
    let text: Vec<u32> = alignment.spans.iter().map(|span| span.label).collect();
    let title = format!("item {item}: {}", escaped(&alphabet.text(&text)));
    let frames = alignment.path.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .caption(title, ("sans-serif", 18).into_font().color(&INK))
        .x_label_area_size(40)
        .y_label_area_size(52)
        .build_cartesian_2d(-0.5..frames - 0.5, -PATH_HEIGHT..1.0)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .axis_style(INK)
        .label_style(("sans-serif", 13).into_font().color(&INK))
        .x_desc("frame (dashed: the blank)")
        .y_desc("occupancy")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| {
            if *y < 0.0 {
                String::new()
            } else {
                format!("{y:.1}")
            }
        })
        .draw()?;
    let class = u32::try_from(blank).unwrap_or(u32::MAX);
    chart.draw_series(DashedLineSeries::new(
        occupancy(class),
        4,
        4,
        BLANK.stroke_width(1),
    ))?;
    let mut labels = Vec::new();
    for span in &alignment.spans {
        if !labels.contains(&span.label) {
            let colour = COLOURS[labels.len() % COLOURS.len()];
            labels.push(span.label);
            chart.draw_series(LineSeries::new(
                occupancy(span.label),
                colour.stroke_width(2),
            ))?;
        }
    }
    chart.draw_series(std::iter::once(PathElement::new(
        vec![(-0.5, 0.0), (frames - 0.5, 0.0)],
        INK,
    )))?;
    let symbol = ("sans-serif", 15)
        .into_font()
        .color(&INK)
        .pos(Pos::new(HPos::Center, VPos::Center));
    for span in &alignment.spans {
        let colour = COLOURS[labels
            .iter()
            .position(|label| *label == span.label)
            .unwrap_or(0)
            % COLOURS.len()];
        let (from, to) = (span.frames.start as f64 - 0.5, span.frames.end as f64 - 0.5);
        let corners = [(from, -PATH_HEIGHT * 0.42), (to, -PATH_HEIGHT * 0.08)];
        chart.draw_series(std::iter::once(Rectangle::new(corners, colour.filled())))?;
        let middle = (f64::midpoint(from, to), -PATH_HEIGHT * 0.74);
        let name = alphabet.label(span.label);
        chart.draw_series(std::iter::once(Text::new(name, middle, symbol.clone())))?;
    }
    Ok(())
}
