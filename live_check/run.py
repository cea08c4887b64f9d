"""A run: one question after the other, in a Demo Company alone, and the clean-up whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from live_check import clean_up, simulated
from live_check.books import ENDED, Books, FailedError, Json, NotAskedError, StoppedError
from live_check.question import Question
from live_check.report import DIFFERS, Report, Result

LOOKS = 3
"""How often the organisation is asked for before an answer counts as missing."""


class NotADemoCompanyError(Exception):
    """The books are somebody's: nothing is written."""


class Run:
    """Asks the questions. `say` prints a line for the person who waits."""

    def __init__(
        self,
        books: Books,
        report: Report,
        say: Callable[[str], None],
        *,
        after_each: Callable[[], object] | None = None,
        at_the_end: Callable[[], dict[str, str]] | None = None,
    ) -> None:
        self._books = books
        self._report = report
        self._say = say
        self._after_each = after_each or partial(clean_up.remove_documents, books)
        self._at_the_end = at_the_end or partial(clean_up.remove_everything, books)
        self._organisation: object = None

    def ask(self, questions: Sequence[Question]) -> None:
        """Ask all of them, clean up, complete the report. Raises NotADemoCompanyError before anything is written."""
        self._begin()
        try:
            for place, question in enumerate(questions, 1):
                self._check_demo_company()
                result = self._asked(place, question)
                self._say_result(f"{place}/{len(questions)}", result)
                self._report.add(result)
                self._check_demo_company()
                self._after_each()
                if self._books.day_nearly_spent:
                    self._report.ended = "the calls of this day are nearly spent. Go on tomorrow."
                    break
        except StoppedError as stopped:
            self._report.ended = str(stopped)
        except BaseException:
            self._report.ended = "somebody ended it"
            raise
        finally:
            self._end()

    def clean_up(self) -> None:
        """Only take back what an earlier run of this id left."""
        self._begin()
        self._end()

    def _begin(self) -> None:
        facts = self._organisation_now()
        self._report.organisation = f"{facts.get('Name')} ({facts.get('CountryCode')})"
        if facts.get("IsDemoCompany") is not True:
            raise NotADemoCompanyError(str(facts.get("Name")))
        self._organisation = facts.get("OrganisationID")
        self._books.facts = facts

    def _end(self) -> None:
        self._say(f"Cleaning up what run {self._books.run} made ...")
        try:
            self._check_demo_company()
            self._report.stays = self._at_the_end()
        except StoppedError as stopped:
            self._report.ended = self._report.ended or str(stopped)
            self._report.stays = {f"whatever bears {self._books.run}": f"not cleaned up: {stopped}"}
        finally:
            self._report.write()

    def _check_demo_company(self) -> None:
        facts = self._organisation_now()
        if facts.get("IsDemoCompany") is not True or facts.get("OrganisationID") != self._organisation:
            raise StoppedError(f"these are no longer the same Demo Company's books: {ENDED}")

    def _organisation_now(self) -> Json:
        for _ in range(LOOKS - 1):
            try:
                return self._books.organisation()
            except FailedError:
                self._books.clock.sleep(5)
        try:
            return self._books.organisation()
        except FailedError as error:
            raise StoppedError(f"whether these are a Demo Company's books cannot be told: {error}") from error

    def _asked(self, place: int, question: Question) -> Result:
        books = self._books
        books.begin(place)
        result = Result(question)
        try:
            answers = question.ask(books)
            result.answers = {tried: books.masked(answer) for tried, answer in answers.items()}
            currencies = bool(question.only_xero) or question.login or books.may_use_currencies
            for one in simulated.answers(question, books.facts, currencies=currencies, now=books.clock):
                result.simulated.append(one)
                if one.answers == result.answers:
                    break
        except NotAskedError as reason:
            result.not_asked = str(reason)
        except FailedError as error:
            result.failed = books.masked(str(error))
        except StoppedError:
            raise
        except Exception as error:  # noqa: BLE001 an answer nobody foresaw must not keep the others from being asked
            result.failed = books.masked(f"an answer of another shape than foreseen: {error!r}")
        return result

    def _say_result(self, place: str, result: Result) -> None:
        remark = f" ({result.remark})" if result.remark else ""
        self._say(f"{place:>7}  {result.verdict:9}  {result.question.id}{remark}")
        if result.verdict == DIFFERS:
            for tried, xero, beside in result.rows():
                if xero != beside:
                    self._say(f"{'':20}{tried}: Xero {xero!r}, simulated {beside!r}")
