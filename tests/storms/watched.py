"""The storm over the alarms: what rings on a day of Xero's worst weather, and how soon after each fault of its own.

The functions' real handlers write their metrics, as log lines in CloudWatch's format. Those of AWS's services are made
from what happens in the environment. `tests/alarms.py` then tells when each alarm of the template rings.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache, partial
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

from aws_lambda_powertools import single_metric
from aws_lambda_powertools.metrics import MetricUnit

from bookkeeping.adapters import from_environment
from bookkeeping.adapters.mail import MailSender
from bookkeeping.adapters.queues import DeadLetterQueue, ProblemsQueue
from bookkeeping.adapters.tables.authorizations import AuthorizationsTable
from bookkeeping.use_cases.intake import Intake, IntakeAdapters
from bookkeeping.use_cases.posting.company_turn import CompanyTurn
from local.expand import expanded, source
from local.xero.identity import PROVIDER_MODELS
from tests.alarms import STACK, Alarm, Metrics, alarms
from tests.integration.one_function import ENVIRONMENT, cold_start
from tests.storms import keeping_alive
from tests.storms.dynamodb import refused
from tests.storms.environment import F1, MINUTE, XERO, Environment, Queue, Weather, _Message
from tests.storms.keeping_alive import CALM, TICK
from tests.storms.lanes import tokens_kept_fresh
from tests.storms.posting import SEED
from tests.storms.scheduler import Killed, Worker
from tests.storms.table import Job, Outcome
from tests.storms.workload import Workload, large

FUNCTIONS: Final = (
    "order_intake",
    "order_posting",
    "posting_sweep",
    "dead_letter_reader",
    "token_refresh",
    "problem_mail",
)
NAMESPACE: Final = f"KornitXero/{STACK}"
XERO_WEATHER: Final = replace(
    F1,
    **dict.fromkeys(
        (
            "crash",
            "pause",
            "throttle",
            "conflict",
            "lost_answer",
            "repeated",
            "lost_message",
            "doubled_message",
        ),
        0.0,
    ),
)
TOLD_WITHIN: Final = 5
"""Minutes from a fault to its alarm."""
LATE: Final = 1
"""Minutes until a metric has arrived."""
WARM: Final = 10
"""Minutes after which every alarm has seen what it looks at."""


@cache
def apps() -> dict[str, Any]:
    """The functions' modules, each with metrics of its own: in one process they would share them."""
    queues = ("POSTING_QUEUE_URL", "BACKLOG_QUEUE_URL", "ORDERS_QUEUE_URL", "ORDERS_DEAD_LETTER_QUEUE_URL")
    given = ENVIRONMENT | dict.fromkeys(queues, "queue") | {"POWERTOOLS_METRICS_NAMESPACE": NAMESPACE}
    given |= {"XERO_IDENTITY_URL": XERO, "AUTHORIZATIONS_TABLE": "AuthorizationsTable"}
    given |= dict.fromkeys(("MAIL_FROM", "MAIL_CONFIGURATION_SET", "PAGE_URL", "PLATFORM_URL"), "")
    given |= {"PROBLEMS_QUEUE_URL": "queue"}
    found: dict[str, Any] = {
        name: cold_start(name, given | {"POWERTOOLS_SERVICE_NAME": name}) for name in FUNCTIONS
    }
    for app in found.values():
        # their turns are interleaved: nobody could note whose call to AWS it is
        app.handler = app.handler.__wrapped__
        app.metrics.provider.metric_set = {}
        app.logger.registered_handler.stream = io.StringIO()
        app.logger.setLevel("ERROR")
    return found


class _Printed(io.TextIOBase):
    """What functions print: their metrics are kept."""

    def __init__(self, environment: Watched) -> None:
        self._environment = environment

    def write(self, text: str) -> int:
        if '"_aws"' in text:
            self._environment.metrics.put_line(self._environment.minute, text)
        return len(text)


class _NoDeadLetters:
    def receive_message(self, **_: Any) -> dict[str, Any]:
        return {}


class _Ses:
    """Takes every mail, or refuses each."""

    def __init__(self) -> None:
        self.refuses = ""

    def send_email(self, **_: Any) -> None:
        if self.refuses:
            raise refused("SendEmail", self.refuses, ResponseMetadata={"HTTPStatusCode": 400})


class Watched(Environment):
    """The environment of posting, with the functions' own handlers and their metrics."""

    def __init__(self, seed: object, weather: Weather, connections: int = 4) -> None:
        # one batch at a time: the handler of a batch is not made for others beside it in its process
        super().__init__(seed, weather, intake_workers=1)
        self.metrics = Metrics()
        self.renewals = keeping_alive.Storm(connections, PROVIDER_MODELS[0], SEED, CALM, clock=self.scheduler)
        self.began = self.now()
        self.stopped: set[str] = set()
        """Functions that their schedule does not start any more."""
        self.failing: set[str] = set()
        """Functions that end with an error."""
        self._waiting: dict[str, datetime] = {}
        """When each order message was sent that is in the queue."""
        show = self.orders_queue._show

        def shown(message: _Message, at: datetime) -> None:
            self._waiting[message.id] = message.sent_at
            show(message, at)

        self.orders_queue._show = shown  # type: ignore[method-assign]
        names = "order_intake", "order_posting", "posting_sweep", "dead_letter_reader", "token_refresh"
        intake, posting, sweep, reader, refresh = (apps()[name] for name in names)
        intake.adapters = IntakeAdapters(self.orders, self.settings, self.connections, self.now)
        intake.lanes, intake.wake_ups, intake.bus = self.lanes, self.wake_ups, self.events
        posting.adapters, posting.release_adapters = self.posting, self.page
        sweep.lanes, sweep.releases, sweep.wake_ups = self.lanes, self.releases, self.wake_ups
        reader.dead_letters = DeadLetterQueue(_NoDeadLetters(), "queue", "origin")
        reader.adapters, reader.bus = intake.adapters, self.events
        refresh.adapters = self.renewals.adapters
        self.ses, mail = _Ses(), apps()["problem_mail"]
        mail.adapters = replace(
            mail.adapters,
            queue=ProblemsQueue(_NoDeadLetters(), "queue"),
            mails=self.page.mails,
            settings=self.settings,
            connections=self.connections,
            orders=self.orders,
            authorizations=AuthorizationsTable(self.store, "AuthorizationsTable"),
            sender=MailSender(self.ses, "xero@example.com", "storm"),
            now=self.now,
        )

    @property
    def minute(self) -> int:
        return (self.now() - self.began) // MINUTE

    def watch(self, time: timedelta) -> None:
        """Run the storm for so long, and keep every metric."""
        minutes = time // MINUTE
        for minute in range(minutes + 1):
            self.scheduler.at(self.began + minute * MINUTE, self._each_minute)
        named = {"POWERTOOLS_METRICS_NAMESPACE": NAMESPACE, "POWERTOOLS_SERVICE_NAME": "storm"}
        with (
            patch.dict(os.environ, named),
            patch.object(from_environment, "now", self.now),
            contextlib.redirect_stdout(_Printed(self)),
        ):
            self.weather = self.coming
            for minute in range(1, minutes + 1):
                if "posting_sweep" not in self.stopped and not self._sweeping:
                    self._sweeping = True
                    self.scheduler.start(self._sweep, Worker("sweep", self.now() + timedelta(seconds=30)))
                self.scheduler.run(self.began + minute * MINUTE)

    def _each_minute(self) -> None:
        for message in self.orders_queue.dead:
            self._waiting.pop(message.id, None)
        age = self.now() - min(self._waiting.values(), default=self.now())
        self._aws("SQS", "ApproximateAgeOfOldestMessage", "QueueName", "OrdersQueue", age.total_seconds())
        for name, queues in (
            ("OrdersDeadLetterQueue", (self.orders_queue,)),
            ("PostingDeadLetterQueue", (self.posting_queue, self.backlog_queue)),
        ):
            dead = sum(len(queue.dead) for queue in queues)
            self._aws("SQS", "ApproximateNumberOfMessagesVisible", "QueueName", name, dead)
            self._aws("SQS", "ApproximateNumberOfMessagesNotVisible", "QueueName", name, 0)
        if "dead_letter_reader" not in self.stopped:
            self._start("dead_letter_reader", 45)
        if "problem_mail" not in self.stopped:
            self._start("problem_mail", 60)
        if self.minute % (TICK // MINUTE) == 0 and "token_refresh" not in self.stopped:
            for company in self.renewals.companies:
                self.renewals.adapters.connections.note_work(company, self.now())
            self._start("token_refresh", 360)

    def _aws(self, service: str, metric: str, dimension: str, of: str, *values: float) -> None:
        self.metrics.put(self.minute, f"AWS/{service}", metric, {dimension: of}, *values)

    def _start(self, function: str, time_out: int) -> None:
        def run() -> None:
            with contextlib.suppress(Exception, Killed):
                self._handled(function, {})

        self.scheduler.start(run, Worker(function, self.now() + timedelta(seconds=time_out)))

    def _handled(self, function: str, event: dict[str, Any]) -> Any:
        context = SimpleNamespace(
            function_name=function,
            memory_limit_in_mb=512,
            invoked_function_arn="",
            aws_request_id="",
            get_remaining_time_in_millis=lambda: 10_000,
        )
        with self._counted(function):
            return apps()[function].handler(event, context)

    @contextmanager
    def _counted(self, function: str) -> Iterator[None]:
        """What Lambda counts of an invocation."""
        name = function.title().replace("_", "") + "Function"
        self._aws("Lambda", "Throttles", "FunctionName", name, 0)
        try:
            self._runs(function)
            yield
        except BaseException:
            self._aws("Lambda", "Errors", "FunctionName", name, 1)
            raise
        self._aws("Lambda", "Errors", "FunctionName", name, 0)

    def _runs(self, function: str) -> None:
        if function in self.failing:
            raise MemoryError

    # the functions, by their handlers

    def _intake(self, messages: list[_Message]) -> list[str]:
        records = [
            {
                "messageId": message.id,
                "receiptHandle": message.id,
                "body": message.body,
                "attributes": {
                    "ApproximateReceiveCount": f"{message.receives}",
                    "SentTimestamp": f"{int(message.sent_at.timestamp() * 1000)}",
                },
                "messageAttributes": {},
                "eventSource": "aws:sqs",
            }
            for message in messages
        ]
        answer = self._handled("order_intake", {"Records": records})
        failed = [one["itemIdentifier"] for one in answer["batchItemFailures"]]
        for message in messages:
            if message.id not in failed:
                self._waiting.pop(message.id, None)
        return failed

    def _post(self, messages: list[_Message]) -> list[str]:
        with self._counted("order_posting"):
            return super()._post(messages)

    def _post_one(self, body: str) -> None:
        app = apps()["order_posting"]
        report = app.work(body)
        report()
        app.metrics.flush_metrics()

    def _sweep(self) -> None:
        with contextlib.suppress(Exception, Killed):
            self._handled("posting_sweep", {})
        self._sweeping = False

    # what came of it

    def rang(self, name: str, *, late: int = 0) -> list[int]:
        """The minutes at whose end the alarm began to ring, where metrics arrive so many minutes late."""
        return template_alarms()[name].rang_at(self.metrics, range(WARM, self.minute), late=late)

    def total(self, metric: str, service: str) -> int:
        """The sum of a metric of ours."""
        by_minute = self.metrics.values.get((NAMESPACE, metric, (("service", service),)), {})
        return int(sum(map(sum, by_minute.values())))


@cache
def template_alarms() -> dict[str, Alarm]:
    """The alarms that are sent to somebody."""
    return {alarm.name: alarm for alarm in alarms(expanded(source())) if "AlarmActions" in alarm.properties}


# --- a day


def day_of_xero(orders: int, companies: int, hours: float) -> Outcome:
    """What rings while Xero is at its worst, and nothing of ours is wrong."""
    environment = Watched(f"watched {SEED}", XERO_WEATHER)
    try:
        chance = random.Random(f"watched {SEED}")
        time = timedelta(hours=hours)
        work = large(environment, orders, companies, time.total_seconds(), chance)
        tokens_kept_fresh(environment, work, environment.now() + time)
        environment.faults_of_xero()
        _faults_of_identity(environment)
        environment.watch(time)
        rang = {
            (name, late): at
            for name in template_alarms()
            for late in (0, LATE)
            if (at := environment.rang(name, late=late))
        }
        faults = environment.xero.faults, environment.renewals.xero.faults
        posted = environment.total("OrdersPosted", "order_posting")
        renewed = environment.total("TokensRenewed", "token_refresh")
        bad = [f"seed {SEED}: {name} rang in the minutes {at}" for (name, _), at in rang.items()]
        if posted < orders / 2 or not renewed:
            bad.append(f"seed {SEED}: only {posted} orders posted and {renewed} tokens renewed")
        return Outcome(
            faults=sum(rule.hits for each in faults for rule in each.rules),
            unexpected=len(rang),
            bad=bad,
            figures=Counter({"orders posted": posted, "tokens renewed": renewed}),
            said=[f"{hours:g} hours of Xero's worst weather: {len(rang)} alarms (at most 0)"],
        )
    finally:
        environment.close()


def _faults_of_identity(environment: Watched) -> None:
    weather = environment.coming
    for kind, probability in (
        ("rate_limit_minute", weather.refused),
        ("reply_lost", weather.reply_lost),
        ("maintenance", weather.unavailable),
        ("error_after_commit", weather.error_after_commit),
        ("request_lost", weather.request_lost),
    ):
        rule = {"kind": kind, "path_prefix": "/connect/token", "probability": probability}
        environment.renewals.xero.faults.add(rule | {"seed": environment.chance.getrandbits(32)})


# --- each alarm's own fault


@dataclass(frozen=True)
class Fault:
    """What goes wrong, in words, and how it is brought about in a minute and from then on."""

    words: str
    begin: Callable[[Watched], None]
    after: int = 0
    """Minutes from then until something is wrong that the alarm is about."""


def _stopped(*queues: str) -> Callable[[Watched], None]:
    def stop(environment: Watched) -> None:
        for name in queues:
            queue: Queue = getattr(environment, name)
            queue._concurrency = 0

    return stop


def _off(function: str) -> Callable[[Watched], None]:
    return lambda environment: environment.stopped.add(function)


def _each_minute(environment: Watched, put: Callable[[], None]) -> None:
    for minute in range(10):
        environment.scheduler.at(environment.now() + minute * MINUTE, put)


def _of_aws(service: str, metric: str, dimension: str, of: str, *values: float) -> Callable[[Watched], None]:
    """A metric of a service that has no part in the storm."""
    return lambda environment: _each_minute(
        environment, partial(environment._aws, service, metric, dimension, of, *values)
    )


def _not_to_be_read(environment: Watched) -> None:
    for company in ("412000", "412001"):
        environment.refused.add(("posting", f"kornitx-xero/{company}/tokens"))


def _renewals_without_store(environment: Watched) -> None:
    def choke(call: str, key: str) -> None:
        if call == "get_secret_value":
            raise refused(call, "AccessDeniedException")

    environment.renewals.secrets.before = choke


def _revoked(environment: Watched) -> None:
    connection = environment.connections.connection("412000")
    assert connection is not None
    environment.xero.connections.drop(client_id=connection.client_id, tenant_id=connection.organisation_id)


def _calls_used_up(environment: Watched) -> None:
    for organisation in environment.xero.organisations.values():
        used = sum(entry.tenant_id == organisation.id for entry in environment.xero.log.entries)
        organisation.day_limit = used + 20


def _unknown_row(environment: Watched) -> None:
    def count() -> None:
        with single_metric("UnknownRows", MetricUnit.Count, 1, namespace=NAMESPACE):
            pass

    environment.scheduler.at(environment.now(), count)


def _mails_refused(environment: Watched) -> None:
    environment.ses.refuses = "MessageRejected"
    now, current = environment.now(), environment.settings.current("412000")
    assert current is not None
    settings = current[0].model_copy(update={"errors_email": "accounts@example.com"})
    environment.settings.save("412000", settings, seen=current[1], by="Ada Moore", at=now)
    environment.page.mails.look_at("412000", now)


def _patched(environment: Watched, target: Any, name: str) -> None:
    def bug(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    environment._watch.enter_context(patch.object(target, name, bug))


FAULTS: Final[dict[str, Fault]] = {
    "OrdersDeadLetterAlarm": Fault(
        "intake fails on every message", lambda it: _patched(it, Intake, "_of"), after=3
    ),
    "OrdersUnclaimedAlarm": Fault("a message of nobody", lambda it: it.orders_queue.send("{}")),
    "PostingDeadLetterAlarm": Fault(
        "a wake-up is given up", lambda it: it.posting_queue.dead.append(_Message("{}", it.now(), "given up"))
    ),
    "OurFaultsAlarm": Fault("a bug in posting", lambda it: _patched(it, CompanyTurn, "ready_documents")),
    "UnexpectedAnswersAlarm": Fault("tokens can't be read", _not_to_be_read),
    "OrdersQueueAgeAlarm": Fault("intake does not run", _stopped("orders_queue")),
    "LaneOverdueAlarm": Fault("posting does not run", _stopped("posting_queue", "backlog_queue")),
    "PostingSweepSilentAlarm": Fault("the sweep's schedule is off", _off("posting_sweep")),
    "DeadLetterReaderSilentAlarm": Fault("the reader's schedule is off", _off("dead_letter_reader")),
    "TokenRefreshSilentAlarm": Fault("the renewals' schedule is off", _off("token_refresh"), after=5),
    "RenewalsFailingAlarm": Fault("the role may not read tokens", _renewals_without_store, after=5),
    "ConnectionsLostAlarm": Fault("a person disconnects the app in Xero", _revoked),
    "DayBudgetsNearlyGoneAlarm": Fault("the day's calls are used up", _calls_used_up),
    "UnknownRowsAlarm": Fault("a row of a newer version", _unknown_row),
    "FunctionErrorsAlarm": Fault(
        "the sweep has too little memory", lambda it: it.failing.add("posting_sweep")
    ),
    "ProblemMailSilentAlarm": Fault("the mails' schedule is off", _off("problem_mail")),
    "ProblemsDeadLetterAlarm": Fault(
        "an event for the mails is given up",
        _of_aws("SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "ProblemsDeadLetterQueue", 1),
    ),
    "MailsRefusedAlarm": Fault("the sender is not verified any more", _mails_refused, after=15),
    "FunctionThrottlesAlarm": Fault(
        "the account's functions all run",
        _of_aws("Lambda", "Throttles", "FunctionName", "XeroDeskFunction", 3),
    ),
    "EventsDeadLetterAlarm": Fault(
        "the consumer's bus is gone",
        _of_aws("SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "EventsDeadLetterQueue", 1),
    ),
    "ApiErrorsAlarm": Fault("the popup answers 500", _of_aws("ApiGateway", "5xx", "ApiId", "HttpApi", 1, 1)),
    "ApiLatencyAlarm": Fault(
        "the popup is slow", _of_aws("ApiGateway", "Latency", "ApiId", "HttpApi", *[4000.0] * 10)
    ),
}
"""By alarm."""


def fault_told(name: str) -> Outcome:
    """Whether the alarm rings in time after its own fault, and not before."""
    fault = FAULTS[name]
    environment = Watched(f"fault {SEED}", Weather(lag=10))
    try:
        time = timedelta(minutes=WARM + fault.after + TOLD_WITHIN + 2)
        work = Workload(environment)
        for tracked in (False, True):
            work.company(tracked)
        environment.began = environment.now()
        for place in range(int(time.total_seconds() / 40)):
            work.order(work.companies[place % 2], place, after=40 * place)
        tokens_kept_fresh(environment, work, environment.now() + time)
        environment.scheduler.at(environment.began + WARM * MINUTE, partial(fault.begin, environment))
        environment.watch(time)
        rang = environment.rang(name, late=LATE)
        told = bool(rang) and WARM <= rang[0] < WARM + fault.after + TOLD_WITHIN
        bad = [] if told else [f"{name}, {fault.words} in minute {WARM}: rang {rang or 'never'}"]
        return Outcome(mutants=1, caught=int(told), bad=bad)
    finally:
        environment.close()


def jobs(promise: str) -> list[Job]:
    return [
        Job(promise, "a day of Xero's worst weather", partial(day_of_xero, 6000, 30, 24), 200),
        *(Job(promise, f"the fault of {name}", partial(fault_told, name), 2) for name in FAULTS),
    ]
