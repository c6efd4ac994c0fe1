//! The algebra of complete windows.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::stream::Window;

/// A window that was completely read, but for some transactional messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Covered {
    /// The first instant inside.
    pub from: Timestamp,
    /// The first instant after.
    pub to: Timestamp,
    /// The transactional messages that could not be read in it, in order of id.
    pub unread: Vec<i64>,
}

/// What is complete: windows in order of time that do not overlap; two that meet differ in what is unread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Covered>")]
pub struct Coverage(Vec<Covered>);

impl Coverage {
    /// The windows in order of time.
    pub fn windows(&self) -> &[Covered] {
        &self.0
    }

    /// Whether nothing is covered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Enters `window` as read but for `unread`; what was known of it before is replaced.
    pub fn add(&mut self, window: Window, unread: &[i64]) {
        self.uncover(window);
        self.0.push(Covered::new(window, unread));
        self.normalize();
    }

    /// Takes `window` out, so that it is asked for again.
    pub fn uncover(&mut self, window: Window) {
        self.0 = self.0.iter().flat_map(|covered| covered.outside(window)).collect();
    }

    /// The parts of `window` that are not covered, in order of time.
    pub fn uncovered(&self, window: Window) -> Vec<Window> {
        let mut missing = Vec::new();
        let mut from = window.from;
        for covered in self.0.iter().filter(|c| c.window().intersection(&window).is_some()) {
            missing.extend(Window::new(from, covered.from));
            from = from.max(covered.to);
        }
        missing.extend(Window::new(from, window.to));
        missing
    }

    /// The windows in which transactional messages could not be read, with their ids.
    pub fn unread(&self) -> Vec<(Window, Vec<i64>)> {
        let incomplete = self.0.iter().filter(|covered| !covered.unread.is_empty());
        incomplete
            .map(|covered| (covered.window(), covered.unread.clone()))
            .collect()
    }

    /// Notes that transactional messages were asked for in none of the windows: nobody knew them when those were read.
    pub fn owe(&mut self, ids: &[i64]) {
        for covered in &mut self.0 {
            *covered = Covered::new(covered.window(), &[&covered.unread[..], ids].concat());
        }
        self.normalize();
    }

    /// Notes that transactional messages were read in `window` now; what is not covered stays so.
    pub fn read(&mut self, window: Window, ids: &[i64]) {
        let touched: Vec<Covered> = self.0.iter().filter_map(|covered| covered.within(window)).collect();
        for covered in touched {
            let unread: Vec<i64> = covered.unread.iter().filter(|id| !ids.contains(id)).copied().collect();
            self.add(covered.window(), &unread);
        }
    }

    /// The first instant that is covered.
    pub fn start(&self) -> Option<Timestamp> {
        self.0.first().map(|covered| covered.from)
    }

    /// How far it is covered from `from` on without a hole; `None` when `from` itself is not. Unread messages are no hole.
    pub fn contiguous_end(&self, from: Timestamp) -> Option<Timestamp> {
        let mut end = from;
        for covered in &self.0 {
            if covered.window().contains(end) {
                end = covered.to;
            }
        }
        (end > from).then_some(end)
    }

    /// Whether any part of `window` is covered.
    pub fn intersects(&self, window: Window) -> bool {
        self.0
            .iter()
            .any(|covered| covered.window().intersection(&window).is_some())
    }

    fn normalize(&mut self) {
        self.0.sort_unstable_by_key(|covered| covered.from);
        self.0.dedup_by(|next, last| {
            let joins = last.to == next.from && last.unread == next.unread;
            if joins {
                last.to = next.to;
            }
            joins
        });
    }
}

impl Covered {
    fn new(window: Window, unread: &[i64]) -> Self {
        let mut unread = unread.to_vec();
        unread.sort_unstable();
        unread.dedup();
        Self {
            from: window.from,
            to: window.to,
            unread,
        }
    }

    /// Its interval.
    pub fn window(&self) -> Window {
        Window {
            from: self.from,
            to: self.to,
        }
    }

    fn within(&self, window: Window) -> Option<Self> {
        self.window().intersection(&window).map(|common| self.part(common))
    }

    fn outside(&self, window: Window) -> impl Iterator<Item = Self> + use<> {
        let before = Window::new(self.from, self.to.min(window.from));
        let after = Window::new(self.from.max(window.to), self.to);
        let parts = [before, after].map(|part| part.map(|part| self.part(part)));
        parts.into_iter().flatten()
    }

    fn part(&self, window: Window) -> Self {
        Self {
            from: window.from,
            to: window.to,
            unread: self.unread.clone(),
        }
    }
}

impl TryFrom<Vec<Covered>> for Coverage {
    type Error = String;

    fn try_from(mut windows: Vec<Covered>) -> Result<Self, String> {
        let mut last = Timestamp::MIN;
        for covered in &mut windows {
            covered.unread.sort_unstable();
            if covered.from >= covered.to || covered.from < last {
                return Err(format!("the coverage at {} is empty or out of order", covered.from));
            }
            last = covered.to;
        }
        let mut coverage = Self(windows);
        coverage.normalize();
        Ok(coverage)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    const SECONDS: i64 = 24;

    /// The same thing the simple way: for every covered second the ids that are unread.
    type Model = BTreeMap<i64, BTreeSet<i64>>;

    #[derive(Debug, Clone)]
    enum Step {
        Add(Window, Vec<i64>),
        Uncover(Window),
        Read(Window, Vec<i64>),
        Owe(Vec<i64>),
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn seconds(window: Window) -> std::ops::Range<i64> {
        window.from.as_second()..window.to.as_second()
    }

    fn window() -> impl Strategy<Value = Window> {
        (0..SECONDS, 1..=SECONDS).prop_map(|(from, length)| Window {
            from: second(from),
            to: second((from + length).min(SECONDS)),
        })
    }

    fn ids() -> impl Strategy<Value = Vec<i64>> {
        proptest::collection::vec(1..4i64, 0..3)
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (window(), ids()).prop_map(|(window, ids)| Step::Add(window, ids)),
            window().prop_map(Step::Uncover),
            (window(), ids()).prop_map(|(window, ids)| Step::Read(window, ids)),
            ids().prop_map(Step::Owe),
        ]
    }

    fn apply(steps: &[Step]) -> (Coverage, Model) {
        let (mut coverage, mut model) = (Coverage::default(), Model::new());
        for step in steps {
            match step {
                Step::Add(window, unread) => {
                    coverage.add(*window, unread);
                    model.extend(seconds(*window).map(|s| (s, unread.iter().copied().collect())));
                }
                Step::Uncover(window) => {
                    coverage.uncover(*window);
                    seconds(*window).for_each(|s| drop(model.remove(&s)));
                }
                Step::Owe(ids) => {
                    coverage.owe(ids);
                    model.values_mut().for_each(|unread| unread.extend(ids));
                }
                Step::Read(window, ids) => {
                    coverage.read(*window, ids);
                    for (_, unread) in model.range_mut(seconds(*window)) {
                        unread.retain(|id| !ids.contains(id));
                    }
                }
            }
        }
        (coverage, model)
    }

    fn flatten(coverage: &Coverage) -> Model {
        let each = coverage.windows().iter();
        each.flat_map(|c| seconds(c.window()).map(|s| (s, c.unread.iter().copied().collect())))
            .collect()
    }

    proptest! {
        #[test]
        fn it_is_a_map_from_instants_to_unread_ids(steps in proptest::collection::vec(step(), 0..12)) {
            let (coverage, model) = apply(&steps);
            prop_assert_eq!(flatten(&coverage), model);
        }

        #[test]
        fn it_is_sorted_disjoint_and_joined(steps in proptest::collection::vec(step(), 0..12)) {
            let (coverage, _) = apply(&steps);
            for pair in coverage.windows().windows(2) {
                prop_assert!(pair[0].to <= pair[1].from);
                prop_assert!(pair[0].to < pair[1].from || pair[0].unread != pair[1].unread);
            }
            let text = serde_json::to_string(&coverage).unwrap();
            prop_assert_eq!(serde_json::from_str::<Coverage>(&text).unwrap(), coverage);
        }

        #[test]
        fn what_is_uncovered_is_the_rest(steps in proptest::collection::vec(step(), 0..12), asked in window()) {
            let (mut coverage, model) = apply(&steps);
            let missing = coverage.uncovered(asked);
            let flat: Vec<i64> = missing.iter().flat_map(|w| seconds(*w)).collect();
            let expected: Vec<i64> = seconds(asked).filter(|s| !model.contains_key(s)).collect();
            prop_assert_eq!(flat, expected);
            prop_assert_eq!(coverage.intersects(asked), seconds(asked).any(|s| model.contains_key(&s)));
            for window in missing {
                coverage.add(window, &[]);
            }
            prop_assert_eq!(coverage.uncovered(asked), []);
        }

        #[test]
        fn ends_and_starts(steps in proptest::collection::vec(step(), 0..12), from in 0..SECONDS) {
            let (coverage, model) = apply(&steps);
            let end = (from..).find(|s| !model.contains_key(s)).unwrap();
            prop_assert_eq!(coverage.contiguous_end(second(from)), (end > from).then(|| second(end)));
            prop_assert_eq!(coverage.start(), model.keys().next().map(|s| second(*s)));
            let unread: usize = coverage.unread().iter().map(|(w, ids)| seconds(*w).count() * ids.len()).sum();
            prop_assert_eq!(unread, model.values().map(BTreeSet::len).sum::<usize>());
        }
    }

    #[test]
    fn a_stored_coverage_out_of_order_is_refused() {
        let text = r#"[{"from":"2026-01-02T00:00:00Z","to":"2026-01-03T00:00:00Z","unread":[]},
                       {"from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z","unread":[]}]"#;
        let error = serde_json::from_str::<Coverage>(text).unwrap_err().to_string();
        assert!(error.contains("out of order"), "{error}");
    }
}
