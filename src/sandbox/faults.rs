//! Failures by plan: which requests fail, and how.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::behaviour::Endpoint;
use super::chance::{Dice, Kind};
use super::fault::Fault;

/// The rules in the order in which they are asked; the first that strikes decides.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Faults(pub Vec<FaultRule>);

/// Which requests a fault strikes. A rule counts the requests that match it by itself, from 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Only requests to this endpoint; all of them when none is named.
    #[serde(default)]
    pub endpoint: Option<Endpoint>,
    /// Only requests whose path and query contain this text.
    #[serde(default)]
    pub matching: Option<String>,
    /// The numbers of the requests that fail.
    #[serde(default)]
    pub numbers: Vec<u64>,
    /// From this request on all fail, `count` of them.
    #[serde(default)]
    pub from: Option<u64>,
    /// How many fail from `from` on; all when not said.
    #[serde(default)]
    pub count: Option<u64>,
    /// Besides those, this share of the requests, drawn by seed and number.
    #[serde(default)]
    pub chance: f64,
    /// What happens to them.
    pub fault: Fault,
}

impl FaultRule {
    /// `fault` for the requests of these numbers to `endpoint`.
    pub fn at(endpoint: Endpoint, numbers: impl IntoIterator<Item = u64>, fault: Fault) -> Self {
        Self {
            endpoint: Some(endpoint),
            matching: None,
            numbers: numbers.into_iter().collect(),
            from: None,
            count: None,
            chance: 0.0,
            fault,
        }
    }

    /// `fault` for every request to `endpoint`.
    pub fn always(endpoint: Endpoint, fault: Fault) -> Self {
        Self {
            from: Some(1),
            ..Self::at(endpoint, [], fault)
        }
    }

    fn matches(&self, endpoint: Endpoint, target: &str) -> bool {
        let here = self.endpoint.is_none_or(|wanted| wanted == endpoint);
        here && self.matching.as_ref().is_none_or(|text| target.contains(text.as_str()))
    }

    fn strikes(&self, number: u64, seed: u64) -> bool {
        let after = |from: u64| number >= from && self.count.is_none_or(|count| number - from < count);
        let drawn = Dice::new(seed, Kind::Request, number).below(1_000_000) as f64;
        self.numbers.contains(&number) || self.from.is_some_and(after) || drawn < self.chance * 1_000_000.0
    }
}

/// The rules at work: what they have counted so far.
#[derive(Debug)]
pub(super) struct FaultPlan {
    seed: u64,
    rules: Vec<(FaultRule, AtomicU64)>,
}

impl FaultPlan {
    pub(super) fn new(faults: &Faults, seed: u64) -> Self {
        let rules = faults.0.iter().map(|rule| (rule.clone(), AtomicU64::new(0)));
        Self {
            seed,
            rules: rules.collect(),
        }
    }

    /// What happens to the next request, if anything. Every rule that matches counts it.
    pub(super) fn next(&self, endpoint: Endpoint, target: &str) -> Option<Fault> {
        let mut struck = None;
        for (place, (rule, counted)) in self.rules.iter().enumerate() {
            if !rule.matches(endpoint, target) {
                continue;
            }
            let number = counted.fetch_add(1, Ordering::Relaxed) + 1;
            if struck.is_none() && rule.strikes(number, self.seed ^ place as u64) {
                struck = Some(rule.fault.clone());
            }
        }
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn struck(rule: FaultRule, requests: u64) -> Vec<u64> {
        let plan = FaultPlan::new(&Faults(vec![rule]), 1);
        let hit = |_: &u64| plan.next(Endpoint::Details, "/v1/transactional/5/messages").is_some();
        (1..=requests).filter(hit).collect()
    }

    #[test]
    fn a_rule_counts_the_requests_it_is_about() {
        let rule = FaultRule::at(Endpoint::Details, [2, 4], Fault::CutBefore);
        assert_eq!(struck(rule.clone(), 6), [2, 4]);
        let elsewhere = FaultRule {
            endpoint: Some(Endpoint::Customers),
            ..rule.clone()
        };
        assert!(struck(elsewhere, 6).is_empty());
        let other_message = FaultRule {
            matching: Some("/6/".into()),
            ..rule
        };
        assert!(struck(other_message, 6).is_empty());
    }

    #[test]
    fn a_run_of_failures_ends_after_its_count() {
        let rule = FaultRule {
            count: Some(2),
            from: Some(3),
            ..FaultRule::always(Endpoint::Details, Fault::Html)
        };
        assert_eq!(struck(rule, 9), [3, 4]);
        assert_eq!(struck(FaultRule::always(Endpoint::Details, Fault::Html), 3), [1, 2, 3]);
    }

    #[test]
    fn chance_is_drawn_by_number() {
        let rule = FaultRule {
            chance: 0.2,
            ..FaultRule::at(Endpoint::Details, [], Fault::Empty)
        };
        let first = struck(rule.clone(), 1_000);
        assert!((120..280).contains(&first.len()));
        assert_eq!(first, struck(rule, 1_000));
    }

    #[test]
    fn a_rule_reads_as_json() {
        let text =
            r#"[{"endpoint":"details","numbers":[3],"fault":{"status":{"code":503}}},{"from":1,"fault":"cut_inside"}]"#;
        let faults: Faults = serde_json::from_str(text).unwrap();
        assert_eq!(faults.0[1].fault, Fault::CutInside);
        assert_eq!(
            faults.0[0].fault,
            Fault::Status {
                code: 503,
                retry_after: None
            }
        );
    }
}
