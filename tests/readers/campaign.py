"""A campaign of kills: a command is struck, looked at, begun again, and must end as if nothing had been."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter import COMPLETE, GAPS, Exporter
from lake import data_files
from manifest import assert_readable, promised
from scenarios import Scenario, rejected_rows
from served import assert_no_wrong_row, assert_objects_only
from strikes import KILLED, AtStep, Strike, struck


@dataclass
class Campaign:
    """The trials so far."""

    folder: Path
    kills: Counter[str] = field(default_factory=Counter)
    """By the name of the step, or `any instant`."""
    unreached: Counter[str] = field(default_factory=Counter)
    """Strikes that the command ended before."""
    resumes: int = 0
    left: int = 0
    """What the dead left on its way."""
    trials: int = 0
    differences: list[str] = field(default_factory=list)
    """What was wrong, with all that is needed to see it again."""

    def trial(self, scenario: Scenario, *strikes: Strike) -> bool:
        """Strike the same command again and again, then let it end; whether every strike hit."""
        self.trials += 1
        name = f"{scenario.name}: {', then '.join(map(str, strikes))}"
        exporter = scenario.begin(self.folder / str(self.trials))
        hits = 0
        for strike in strikes:
            outcome = struck(exporter, strike)
            if outcome.code != KILLED:
                self.unreached[kind(strike)] += 1
                self._expect(name, outcome.code in {COMPLETE, GAPS}, f"exit code {outcome.code}: {outcome.stderr}")
                break
            hits += 1
            self.kills[kind(strike)] += 1
            self.resumes += 1
            self._look(name, scenario, exporter)
        self._finish(name, scenario, exporter)
        return hits == len(strikes)

    def told(self) -> str:
        """The figures, for a person."""
        names = [*self.kills, *(name for name in self.unreached if name not in self.kills)]
        lines = [
            f"{self.kills.total()} kills in {self.trials} trials, {self.resumes} resumed runs, "
            f"{self.left} leftovers swept, {len(self.differences)} differences",
            *(f"  {name:20} {self.kills[name]:5} {self.missed(name)}".rstrip() for name in names),
            *self.differences,
        ]
        return "\n".join(lines)

    def missed(self, name: str) -> str:
        """How often a strike came to nothing."""
        missed = self.unreached[name]
        return f"({missed} more that the command ended before)" if missed else ""

    def _look(self, name: str, scenario: Scenario, exporter: Exporter) -> None:
        """What a reader sees beside the dead run, if that came as far as making the lake."""
        lake = exporter.fetch()
        if not lake.is_dir():
            return
        self.left += len(exporter.left())
        try:
            assert_objects_only(lake)
            assert_readable(lake)
            assert_no_wrong_row(scenario.forms, lake)
        except Exception as wrong:
            self.differences.append(f"{name}: {wrong}")

    def _finish(self, name: str, scenario: Scenario, exporter: Exporter) -> None:
        """The last run ends, and nothing tells that there was more than one."""
        outcome = exporter.run()
        self._expect(name, outcome.code in {COMPLETE, GAPS}, f"exit code {outcome.code}: {outcome.stderr}")
        lake = exporter.fetch()
        known = len(self.differences)
        self._same(name, scenario.whole, data_files(lake))
        self._same(name, scenario.rejected, rejected_rows(lake))
        self._same(f"{name}: manifest", flat(scenario.manifest), flat(promised(lake)))
        left = exporter.left()
        self._expect(name, not left, f"left on its way: {left}")
        if known == len(self.differences):
            exporter.discard()

    def _same(self, name: str, whole: dict[str, Any], now: dict[str, Any]) -> None:
        missing, surplus = sorted(whole.keys() - now.keys()), sorted(now.keys() - whole.keys())
        wrong = sorted(path for path in whole.keys() & now.keys() if whole[path] != now[path])
        text = f"missing {missing[:3]}, surplus {surplus[:3]}, different {wrong[:3]}"
        if wrong:
            text += f": {whole[wrong[0]]!r:.400}, now {now[wrong[0]]!r:.400}"
        self._expect(name, not (missing or surplus or wrong), text)

    def _expect(self, name: str, right: bool, text: str) -> None:
        if not right:
            self.differences.append(f"{name}: {text}")


def kind(strike: Strike) -> str:
    """How a strike is counted."""
    return strike.step if isinstance(strike, AtStep) else "any instant"


def flat(manifest: dict[str, Any]) -> dict[str, Any]:
    """What is said of each table, by `table/field`."""
    return {f"{table}/{name}": value for table, state in manifest.items() for name, value in state.items()}
