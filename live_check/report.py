"""The report of a run: Xero's answers beside the simulated Xero's, in Markdown."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from live_check.books import Answers
from live_check.question import Question
from live_check.simulated import Simulated

SAME, DIFFERS, ONLY_XERO = "same", "DIFFERS", "Xero only"
NOT_ASKED, FAILED = "not asked", "FAILED"


@dataclass
class Result:
    """What came of one question."""

    question: Question
    answers: Answers = field(default_factory=dict)
    simulated: list[Simulated] = field(default_factory=list)
    """As it is, and set up in other ways, up to the first that answers as Xero does."""
    not_asked: str = ""
    failed: str = ""

    @property
    def verdict(self) -> str:
        if self.failed or self.not_asked:
            return FAILED if self.failed else NOT_ASKED
        if not self.simulated:
            return ONLY_XERO
        return SAME if self.answers == self.simulated[0].answers else DIFFERS

    @property
    def remark(self) -> str:
        """Why there is no answer, or which setup of the simulated Xero answers most as Xero does."""
        if self.verdict != DIFFERS:
            return self.failed or self.not_asked or self.question.only_xero
        nearest = min(self.simulated, key=lambda one: len(self._unlike(one)))
        if nearest is self.simulated[0]:
            return "as with no answer of the table"
        unlike = "; ".join(self._unlike(nearest))
        return f"as with {nearest.setup}" + (f", but for: {unlike}" if unlike else "")

    def _unlike(self, one: Simulated) -> list[str]:
        """The tries of which Xero made something else."""
        tried = dict.fromkeys([*self.answers, *one.answers])
        return [name for name in tried if self.answers.get(name) != one.answers.get(name)]

    def rows(self) -> list[tuple[str, str, str]]:
        """What was tried, what Xero made of it, what the simulated Xero made of it."""
        beside = self.simulated[0].answers if self.simulated else {}
        tried = dict.fromkeys([*self.answers, *beside])
        return [(one, self.answers.get(one, "–"), beside.get(one, "–")) for one in tried]


@dataclass
class Report:
    """Everything a run has to tell. It is written anew after each question, so that nothing is lost."""

    run: str
    began_at: datetime
    path: Path
    organisation: str = ""
    results: list[Result] = field(default_factory=list)
    stays: dict[str, str] = field(default_factory=dict)
    ended: str = ""
    """Why it ended before all was asked."""
    by_hand: dict[str, str] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        self.results.append(result)
        self.write()

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.text(), encoding="utf-8")

    @property
    def failed(self) -> bool:
        return bool(self.ended) or any(result.failed for result in self.results)

    def counts(self) -> str:
        verdicts = [result.verdict for result in self.results]
        kinds = (SAME, DIFFERS, ONLY_XERO, NOT_ASKED, FAILED)
        return ", ".join(f"{verdicts.count(kind)} {kind}" for kind in kinds if kind in verdicts)

    def text(self) -> str:
        parts = [
            f"# Live check {self.run}",
            f"{self.began_at:%Y-%m-%d %H:%M} UTC, {self.organisation}: {self.counts() or 'nothing asked'}.",
        ]
        if self.ended:
            parts.append(f"**It ended early:** {self.ended}")
        wrong = [result for result in self.results if result.verdict == DIFFERS]
        if wrong:
            listed = (f"- `{one.question.id}`: {one.remark}" for one in wrong)
            parts.append("## Where the simulated Xero is wrong\n\n" + "\n".join(listed))
        parts += [_section(result) for result in self.results if result.rows()]
        silent = [result for result in self.results if not result.rows()]
        for title, lines in (
            ("Without an answer", [f"`{one.question.id}`, {one.verdict}: {one.remark}" for one in silent]),
            ("Still in Xero", [f"{what}: {why}" for what, why in self.stays.items()]),
            ("What only a person can find out", [f"{name}: {how}" for name, how in self.by_hand.items()]),
        ):
            if lines:
                parts.append(f"## {title}\n\n" + "\n".join(f"- {_plain(line)}" for line in lines))
        return "\n\n".join(parts) + "\n"


def _section(result: Result) -> str:
    question = result.question
    rows_of_facts = ", ".join(f"`{fact}`" for fact in question.facts)
    facts = f" ({rows_of_facts} in `local/xero/unconfirmed.py`)" if question.facts else ""
    remark = f"; {result.remark}" if result.remark else ""
    rows = [
        f"| {_cell(tried)} | {_cell(xero)} | {_cell(simulated)} |" for tried, xero, simulated in result.rows()
    ]
    table = "\n".join(["| tried | Xero | simulated Xero |", "|---|---|---|", *rows])
    return f"## {question.id}: {result.verdict}{remark}\n\n{question.asks}{facts}\n\n{table}"


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")


def _plain(text: str) -> str:
    return " ".join(text.split())
