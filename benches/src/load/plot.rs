//! Throughput, latency and memory over time, as an SVG picture.

use super::report::{Report, SeriesSecond};
use std::fmt::Write;

/// Size of the picture and of a panel's plotting area, pixels.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 24.0;
const HEAD: f64 = 78.0;
const PANEL: f64 = 220.0;
/// Room above a panel for its title and legend, and below for its axis.
const ABOVE: f64 = 34.0;
const BELOW: f64 = 58.0;
/// Width of a character, about.
const CHARACTER: f64 = 7.2;
/// Most marks on an axis.
const TICKS_MAX: f64 = 7.0;
/// Colours that people with any kind of sight can tell apart.
const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555", "#000000"];

/// A line: what it shows, and points of time in seconds and value. It is broken where a value is missing.
struct Line {
    name: String,
    points: Vec<(f64, Option<f64>)>,
}

struct Panel {
    title: &'static str,
    unit: &'static str,
    lines: Vec<Line>,
}

/// The time axis: its end, and the measured window on it, seconds.
#[derive(Clone, Copy)]
struct Time {
    end: f64,
    from: f64,
    to: f64,
}

/// Draws a report.
pub fn draw(report: &Report) -> String {
    let panels: Vec<Panel> = [throughput(report), latency(report), memory(report)]
        .into_iter()
        .filter(|panel| panel.lines.iter().any(|line| !line.points.is_empty()))
        .collect();
    let (from, to) = (report.warm_up, report.warm_up + report.seconds);
    let end = f64::max(report.series.len() as f64, to.ceil()).max(1.0);
    let time = Time { end, from, to };
    let height = HEAD + panels.len() as f64 * (ABOVE + PANEL + BELOW);
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="13">
<rect width="100%" height="100%" fill="white"/>
"#
    );
    head(&mut svg, report);
    for (number, panel) in panels.iter().enumerate() {
        let top = HEAD + number as f64 * (ABOVE + PANEL + BELOW) + ABOVE;
        panel.draw(&mut svg, top, time);
    }
    svg.push_str("</svg>\n");
    svg
}

fn head(svg: &mut String, report: &Report) {
    let rate = if report.rate == 0 { "as many as are taken".into() } else { format!("{}/s", report.rate) };
    let title = format!("{}: {}, {rate}", report.client, report.workload);
    let l = &report.latency_ms;
    let summary = format!(
        "{} tx/s finalised; from submission to receipt p50 {} ms, p90 {} ms, p99 {} ms; {} lost",
        thousands(report.finalised_per_s),
        thousands(l.p50),
        thousands(l.p90),
        thousands(l.p99),
        report.whole_run.lost
    );
    text(svg, (LEFT, 30.0), r#"font-size="17" font-weight="bold""#, &title);
    text(svg, (LEFT, 53.0), r##"fill="#444""##, &summary);
    let note = "grey: before and after the measured window";
    text(svg, (LEFT, 72.0), r##"fill="#888" font-size="12""##, note);
}

fn throughput(report: &Report) -> Panel {
    let line = |name: &str, value: fn(&SeriesSecond) -> f64| Line {
        name: name.into(),
        points: report.series.iter().map(|second| (middle(second), Some(value(second)))).collect(),
    };
    let mut lines =
        vec![line("finalised", |second| second.finalised), line("offered", |second| second.offered as f64)];
    if report.series.iter().any(|second| second.refused > 0) {
        lines.push(line("refused", |second| second.refused as f64));
    }
    Panel { title: "Throughput", unit: "transactions per second", lines }
}

fn latency(report: &Report) -> Panel {
    let line = |name: &str, value: fn(&SeriesSecond) -> Option<f64>| Line {
        name: name.into(),
        points: report.series.iter().map(|second| (middle(second), value(second))).collect(),
    };
    let lines =
        vec![line("p50", |second| second.latency_p50_ms), line("p99", |second| second.latency_p99_ms)];
    Panel { title: "Latency from submission to receipt", unit: "milliseconds", lines }
}

fn memory(report: &Report) -> Panel {
    let points = |series: &[u32]| {
        series.iter().enumerate().map(|(second, mib)| (second as f64, Some(f64::from(*mib)))).collect()
    };
    let line = |series: &super::report::SeriesOfMemory| Line {
        name: series.name.clone(),
        points: points(&series.rss_mib),
    };
    let lines = report.memory.iter().map(line).collect();
    Panel { title: "Memory (resident)", unit: "MiB", lines }
}

fn middle(second: &SeriesSecond) -> f64 {
    second.second as f64 + 0.5
}

impl Panel {
    fn draw(&self, svg: &mut String, top: f64, time: Time) {
        let values = self.lines.iter().flat_map(|line| &line.points).filter_map(|(_, value)| *value);
        let most = values.fold(0.0, f64::max);
        let step = tick_step(most.max(1.0));
        let most = (most.max(1.0) / step).ceil() * step;
        let x = move |second: f64| LEFT + second.min(time.end) / time.end * (WIDTH - LEFT - RIGHT);
        let y = move |value: f64| top + PANEL - value / most * PANEL;
        shade(svg, top, x(0.0), x(time.from));
        shade(svg, top, x(time.to), x(time.end));
        text(svg, (LEFT, top - 12.0), r#"font-weight="bold""#, self.title);
        self.value_axis(svg, top, step, most, y);
        time_axis(svg, top, time, x);
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            line.draw(svg, colour, x, y);
        }
        self.legend(svg, top);
    }

    fn value_axis(&self, svg: &mut String, top: f64, step: f64, most: f64, y: impl Fn(f64) -> f64) {
        for number in 0..=(most / step).round() as u32 {
            let value = f64::from(number) * step;
            let (at, right) = (y(value), WIDTH - RIGHT);
            let _ = writeln!(
                svg,
                r##"<line x1="{LEFT}" y1="{at:.1}" x2="{right}" y2="{at:.1}" stroke="#ddd"/>"##
            );
            text(svg, (LEFT - 8.0, at + 4.5), r#"text-anchor="end""#, &thousands(value));
        }
        let (x, y) = (20.0, top + PANEL / 2.0);
        let turn = format!(r##"text-anchor="middle" fill="#444" transform="rotate(-90 {x} {y})""##);
        text(svg, (x, y), &turn, self.unit);
    }

    /// From the right, above the panel.
    fn legend(&self, svg: &mut String, top: f64) {
        let mut right = WIDTH - RIGHT;
        for (number, line) in self.lines.iter().enumerate().rev() {
            let colour = COLOURS[number % COLOURS.len()];
            right -= CHARACTER * line.name.chars().count() as f64 + 6.0;
            text(svg, (right + 6.0, top - 12.0), "", &line.name);
            let (left, at) = (right - 20.0, top - 16.5);
            let _ = writeln!(
                svg,
                r#"<line x1="{left:.1}" y1="{at}" x2="{right:.1}" y2="{at}" stroke="{colour}" stroke-width="3"/>"#
            );
            right = left - 16.0;
        }
    }
}

impl Line {
    fn draw(&self, svg: &mut String, colour: &str, x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) {
        for part in self.points.split(|(_, value)| value.is_none()).filter(|part| !part.is_empty()) {
            let points: Vec<(f64, f64)> =
                part.iter().filter_map(|(second, value)| Some((x(*second), y((*value)?)))).collect();
            if let [(x, y)] = points[..] {
                let _ = writeln!(svg, r#"<circle cx="{x:.1}" cy="{y:.1}" r="2.4" fill="{colour}"/>"#);
                continue;
            }
            let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let points = points.join(" ");
            let style = r#"fill="none" stroke-width="1.8" stroke-linejoin="round" stroke-linecap="round""#;
            let _ = writeln!(svg, r#"<polyline points="{points}" stroke="{colour}" {style}/>"#);
        }
    }
}

fn time_axis(svg: &mut String, top: f64, time: Time, x: impl Fn(f64) -> f64) {
    let (bottom, step) = (top + PANEL, tick_step(time.end).max(1.0));
    for number in 0..=(time.end / step) as u32 {
        let second = f64::from(number) * step;
        let at = x(second);
        let low = bottom + 5.0;
        let _ =
            writeln!(svg, r##"<line x1="{at:.1}" y1="{bottom}" x2="{at:.1}" y2="{low}" stroke="#444"/>"##);
        text(svg, (at, bottom + 19.0), r#"text-anchor="middle""#, &thousands(second));
    }
    let right = WIDTH - RIGHT;
    let _ = writeln!(svg, r##"<path d="M{LEFT} {top}V{bottom}H{right}" fill="none" stroke="#444"/>"##);
    let middle = (LEFT + right) / 2.0;
    text(svg, (middle, bottom + 38.0), r##"text-anchor="middle" fill="#444""##, "time, seconds");
}

fn shade(svg: &mut String, top: f64, left: f64, right: f64) {
    if right > left {
        let width = right - left;
        let _ = writeln!(
            svg,
            r##"<rect x="{left:.1}" y="{top}" width="{width:.1}" height="{PANEL}" fill="#f1f1f1"/>"##
        );
    }
}

fn text(svg: &mut String, (x, y): (f64, f64), attributes: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(svg, r#"<text x="{x:.1}" y="{y:.1}" {attributes}>{words}</text>"#);
}

/// 1, 2 or 5 times a power of ten, so that there are few marks up to `most`.
fn tick_step(most: f64) -> f64 {
    let least = most / TICKS_MAX;
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|step| *step >= least)
        .unwrap_or(10.0 * power)
}

/// With commas, and decimals only below one.
fn thousands(value: f64) -> String {
    if value > 0.0 && value < 1.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let first = digits.len() % 3;
    let mut parts: Vec<&str> = Vec::new();
    if first > 0 {
        parts.push(&digits[..first]);
    }
    parts.extend((first..digits.len()).step_by(3).map(|at| &digits[at..at + 3]));
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::SeriesOfMemory;

    #[test]
    fn marks_are_few_and_round() {
        for (most, step) in
            [(1.0, 0.2), (7.0, 1.0), (8.0, 2.0), (60.0, 10.0), (300.0, 50.0), (4_100.0, 1_000.0)]
        {
            assert!((tick_step(most) - step).abs() < 1e-9, "{most}: {}", tick_step(most));
        }
        assert_eq!(
            [0.0, 0.2, 999.0, 1_000.0, 12_345_678.0].map(thousands),
            ["0", "0.2", "999", "1,000", "12,345,678"]
        );
    }

    fn second(second: u64, latency: Option<f64>) -> SeriesSecond {
        SeriesSecond {
            second,
            offered: 100,
            refused: 0,
            finalised: 90.0,
            latency_p50_ms: latency,
            latency_p99_ms: latency,
        }
    }

    #[test]
    fn a_line_is_broken_where_nothing_was_finalised() {
        let latencies = [Some(1.0), Some(2.0), None, Some(3.0), Some(4.0), None, Some(5.0)];
        let series = (0..).zip(latencies).map(|(number, latency)| second(number, latency)).collect();
        let memory = vec![SeriesOfMemory { name: "<node>".into(), rss_mib: vec![5, 6] }];
        let report = Report { series, memory, seconds: 7.0, ..Report::default() };
        let svg = draw(&report);
        // Two lines of throughput, two of latency in two parts and a point each, one of memory.
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (2 + 4 + 1, 2));
        assert!(svg.contains("&lt;node&gt;") && !svg.contains("<node>") && !svg.contains("NaN"));
        assert!(svg.contains("Throughput") && svg.contains("milliseconds") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn an_empty_report_can_be_drawn() {
        assert!(!draw(&Report::default()).contains("NaN"));
    }
}
