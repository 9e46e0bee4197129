//! Mistakes in configuration files: collected, sorted, and shown in the manner of rustc.
//!
//! Readers and checks report [`Problem`]s and go on, so that one run shows every mistake. A report prints the source line
//! it is about, with every literal secret of the file masked.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Element, Group, Level, Renderer, Snippet};

use super::mask::mask_secrets;

/// Columns that a report may take: wide enough for a path, narrow enough for a console.
const REPORT_WIDTH: usize = 120;

/// Whether a configuration can be used in spite of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    Error,
    Warning,
}

/// A configuration file, by the order in which it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId(usize);

/// A place in a file, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) file: FileId,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Spot {
    pub(super) fn new(file: FileId, span: Range<usize>) -> Self {
        Self { file, start: span.start, end: span.end }
    }
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) spot: Spot,
}

/// One mistake: what, where, and what to do about it.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    severity: Severity,
    title: String,
    places: Vec<(Spot, String)>,
    help: Option<String>,
}

impl Problem {
    pub(super) fn error(title: impl Into<String>) -> Self {
        Self { severity: Severity::Error, title: title.into(), places: Vec::new(), help: None }
    }

    pub(super) fn warning(title: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(title) }
    }

    /// Adds a place; the first one is where the report points to.
    pub(super) fn at(mut self, spot: Spot, label: impl Into<String>) -> Self {
        self.places.push((spot, label.into()));
        self
    }

    /// The smallest change that makes it right.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The files that were read and what is wrong with them.
#[derive(Default)]
pub(super) struct Problems {
    files: RefCell<Vec<(PathBuf, String)>>,
    list: RefCell<Vec<Problem>>,
}

impl Problems {
    /// Takes note of a file, so that places in it can be shown.
    pub(super) fn add_file(&self, path: &Path, text: &str) -> FileId {
        let mut files = self.files.borrow_mut();
        files.push((path.to_owned(), mask_secrets(text)));
        FileId(files.len() - 1)
    }

    pub(super) fn report(&self, problem: Problem) {
        self.list.borrow_mut().push(problem);
    }

    pub(super) fn has_errors(&self) -> bool {
        self.list.borrow().iter().any(|p| p.severity == Severity::Error)
    }

    /// Every problem: errors first, then by place. `styled` adds colours for a terminal.
    pub(super) fn render(&self, styled: bool) -> String {
        let mut list = self.list.borrow().clone();
        list.sort_by_key(|p| (p.severity, p.places.first().map(|(spot, _)| *spot)));
        list.iter().map(|p| self.render_one(p, styled) + "\n").collect::<Vec<_>>().join("\n")
    }

    /// Number of errors and of warnings.
    pub(super) fn counts(&self) -> (usize, usize) {
        let list = self.list.borrow();
        let errors = list.iter().filter(|p| p.severity == Severity::Error).count();
        (errors, list.len() - errors)
    }

    /// `FILE:LINE:COLUMN: title; help` of every warning.
    pub(super) fn warning_lines(&self) -> Vec<String> {
        let list = self.list.borrow();
        list.iter().filter(|p| p.severity == Severity::Warning).map(|p| self.one_line(p)).collect()
    }

    fn one_line(&self, problem: &Problem) -> String {
        let place = problem.places.first().map(|(spot, _)| format!("{}: ", self.place(*spot))).unwrap_or_default();
        let help = problem.help.as_ref().map(|h| format!("; {h}")).unwrap_or_default();
        format!("{place}{}{help}", problem.title)
    }

    fn place(&self, spot: Spot) -> String {
        let files = self.files.borrow();
        let Some((path, text)) = files.get(spot.file.0) else { return String::new() };
        let before = text.get(..spot.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        format!("{}:{line}:{column}", path.display())
    }

    fn render_one(&self, problem: &Problem, styled: bool) -> String {
        let files = self.files.borrow();
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let snippets = snippets(&files, &problem.places);
        let title = level.primary_title(problem.title.as_str());
        let mut groups = vec![match snippets.is_empty() {
            true => Group::with_title(title),
            false => title.elements(snippets),
        }];
        if let Some(help) = &problem.help {
            groups.push(Group::with_title(Level::HELP.secondary_title(help.as_str())));
        }
        let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
        renderer.decor_style(DecorStyle::Ascii).term_width(REPORT_WIDTH).render(&groups)
    }
}

/// One snippet per file, in the order in which the files are first mentioned.
fn snippets<'a>(files: &'a [(PathBuf, String)], places: &'a [(Spot, String)]) -> Vec<Element<'a>> {
    let mut order: Vec<FileId> = Vec::new();
    for (spot, _) in places {
        if !order.contains(&spot.file) {
            order.push(spot.file);
        }
    }
    let snippet = |id: FileId| {
        let (path, text) = files.get(id.0)?;
        let mut snippet = Snippet::source(text.as_str()).path(path.display().to_string());
        for (n, (spot, label)) in places.iter().enumerate().filter(|(_, (spot, _))| spot.file == id) {
            let kind = if n == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            let annotation = kind.span(spot.start.min(text.len())..spot.end.min(text.len()));
            snippet = snippet.annotation(if label.is_empty() { annotation } else { annotation.label(label.as_str()) });
        }
        Some(Element::from(snippet))
    };
    order.into_iter().filter_map(snippet).collect()
}
