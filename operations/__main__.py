"""The command line. Each command says in `--help` what it does; one that changes something says what, and asks."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final

import boto3
import click
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError, NoRegionError

from bookkeeping.adapters import from_environment
from bookkeeping.adapters.tables.pauses import ALL
from bookkeeping.domain.ledger import Pause
from bookkeeping.domain.page_access import COMPANY
from bookkeeping.use_cases.page.retry import NothingToRetry, check, retry, retry_all, stopped_in
from operations import companies, health, launch_key, leaving, ledger, pauses
from operations.stack import NoSuchStack, Stack, open_stack, pauses_in, use_local_system

LOCAL_STACK: Final = "kornit-xero"
EXPECTED: Final = (NoSuchStack, companies.NotKnown, leaving.NotYet, launch_key.RotatedLately, NothingToRetry)
"""What a command may end with. Each says in words what is wrong, and what to do."""


class Company(click.ParamType[str]):
    name = "company"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not COMPANY.fullmatch(str(value)):
            self.fail(f"{value} is no company: give its reference number.", param, ctx)
        return str(value)


class NewFile(click.Path):
    """A file to write. One that is there is not written over: it may be the only copy of a ledger."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if path.is_file():
            self.fail(f"{path} is there already: name another file.", param, ctx)
        return path


COMPANY_REF = Company()
company_argument = click.argument("company", type=COMPANY_REF)
as_json = click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
yes = click.option("--yes", is_flag=True, help="Do not ask.")


def who(command: Callable[..., Any]) -> Callable[..., Any]:
    """A company, or --all of them."""
    command = click.option("--all", "everybody", is_flag=True, help="For all companies, also later ones.")(
        command
    )
    return click.argument("company", type=COMPANY_REF, required=False)(command)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--stack", "name", default=LOCAL_STACK, show_default=True, envvar="STACK", help="The stack's name."
)
@click.option("--region", help="The stack's AWS region. Else that of the profile or the environment.")
@click.option("--profile", help="The AWS profile with the credentials. Else those of the environment.")
@click.option("--local", is_flag=True, help="Use the local system that `make up` or `make demo` runs.")
@click.option(
    "--outputs",
    type=click.Path(path_type=Path),
    default=".local/outputs.json",
    show_default=True,
    help="The local system's file of addresses and keys.",
)
@click.pass_context
def operate(
    context: click.Context, name: str, region: str | None, profile: str | None, local: bool, outputs: Path
) -> None:
    """For whoever runs the stack: how its companies and orders stand, and what to do about it.

    Commands use your AWS credentials; the stack's managed policy OperatorPolicy grants what they need.
    """
    if context.obj is not None:
        return
    with words_for_errors():
        if local:
            use_local_system(outputs)
        else:
            # Lambda's and the SDKs' own variable, which boto3 does not read
            region = region or os.environ.get("AWS_REGION")
            if profile or region:
                boto3.setup_default_session(profile_name=profile, region_name=region)
    # opened by the command: help needs no credentials
    context.obj = Opening(name)


class Opening:
    """The stack, opened when it is first used."""

    def __init__(self, name: str) -> None:
        self.name = name


def stack_of(context: click.Context) -> Stack:
    if isinstance(context.obj, Opening):
        context.obj = open_stack(context.obj.name)
    stack: Stack = context.obj
    return stack


@contextmanager
def words_for_errors() -> Iterator[None]:
    """Errors that are to be expected end the command with words, and with 1."""
    try:
        yield
    except EXPECTED as error:
        raise click.ClickException(str(error)) from error
    except ClientError as error:
        about = error.response["Error"]
        raise click.ClickException(
            f"AWS refused {error.operation_name}: {about.get('Message') or about['Code']}"
        ) from error
    except NoRegionError as error:
        raise click.ClickException("In which region is the stack? Give --region.") from error
    except BotoCoreError as error:
        raise click.ClickException(f"AWS could not be asked: {error}") from error
    except OSError as error:
        # a full disk names no file
        raise click.ClickException(": ".join(filter(None, (error.filename, error.strerror)))) from error


ANSWERS: Final = "operations.answers"


@contextmanager
def only_answers(context: click.Context) -> Iterator[None]:
    """Keep standard output for the answer. Logs go to standard error, and metrics, which nobody collects, nowhere."""
    context.meta[ANSWERS] = sys.stdout
    handler: Any = Logger().registered_handler
    before, handler.stream = handler.stream, sys.stderr
    try:
        # Powertools prints a single metric, also where POWERTOOLS_METRICS_DISABLED is set
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            yield
    finally:
        handler.stream = before


def answers() -> IO[str]:
    """Standard output, which is for the answer alone."""
    file: IO[str] = click.get_current_context().meta[ANSWERS]
    return file


class Command(click.Command):
    """A command whose expected errors are words."""

    def invoke(self, ctx: click.Context) -> Any:
        with words_for_errors(), only_answers(ctx):
            return super().invoke(ctx)


operate.command_class = Command


def told(answer: Any, as_json: bool, lines: Callable[[], Iterator[str]]) -> None:
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False, indent=2), file=answers())
        return
    for line in lines():
        click.echo(line, file=answers())


def agreed(stack: Stack, what: str, yes: bool) -> None:
    """Say what will be done and who does it, and ask."""
    click.echo(f"{what}\nStack {stack.name}, as {stack.operator_arn}.", err=True)
    if not yes:
        click.confirm("Go on?", abort=True, err=True)


def chosen(company: str | None, everybody: bool) -> tuple[str, str]:
    """A company, or ALL; and who that is in words."""
    if bool(company) == everybody:
        raise click.UsageError("Give a company, or --all.")
    return (company, f"company {company}") if company else (ALL, "all companies")


def table(rows: list[dict[str, Any]], columns: dict[str, str]) -> Iterator[str]:
    """The rows in columns; key → heading."""
    lines = [list(columns.values()), *([str(row[key]) for key in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


# --- looking ---------------------------------------------------------------------------------------------------------


@operate.command("companies")
@as_json
@click.pass_context
def list_companies(context: click.Context, as_json: bool) -> None:
    """List the companies and how each stands."""
    found = companies.companies(stack_of(context))
    columns = {"company": "company", "state": "state", "waits": "waits for", "organisation": "organisation"}
    rows = [one | {"waits": _waits(one["waits_for"])} for one in found]
    told(found, as_json, lambda: table(rows, columns))


def _waits(waits: dict[str, str] | None) -> str:
    return f"{waits['reason']} until {waits['until']}" if waits else ""


@operate.command("company")
@company_argument
@as_json
@click.pass_context
def show_company(context: click.Context, company: str, as_json: bool) -> None:
    """Show a company: connection, lane, orders in figures, last problems, and what people did."""
    found = companies.company(stack_of(context), company)
    told(found, as_json, lambda: _company_lines(found))


def _company_lines(found: dict[str, Any]) -> Iterator[str]:
    yield f"Company {found['company']}: {found['state']}. {found['words']}"
    if found["fix"]:
        yield f"  {found['fix']}"
    if pause := found["paused"]:
        because = f" ({pause['because']})" if pause["because"] else ""
        yield f"Posting is paused since {pause['since']} by {pause['by']}{because}."
    if found["settings_missing"]:
        yield f"Settings still empty: {', '.join(found['settings_missing'])}"
    yield "Orders: " + ", ".join(
        f"{count} {state.replace('_', ' ')}" for state, count in found["counts"].items()
    )
    if lane := found["lane"]:
        yield f"Lane {lane['key']}: next turn {lane['next_turn_at'] or 'when it is rung'}"
        if waits := lane["waits_for"]:
            yield f"  waits for {_waits(waits)}"
        yield f"  {lane['unsettled_batches']} calls to Xero without an outcome, {lane['orders_in_them']} orders in them"
    for code, count in found["problems"].items():
        yield f"Problem {code}: {count}"
    for one in found["last_problems"]:
        yield f"  {one['at']}  {one['sentence']}"
    yield "History:"
    for act in found["history"]:
        yield f"  {act['at']}  {act['by'] and act['by'] + ': '}{act['what']}"


@operate.command("why")
@click.argument("company")
@click.argument("order")
@as_json
@click.pass_context
def why(context: click.Context, company: str, order: str, as_json: bool) -> None:
    """Say where an ORDER of a COMPANY stands and why, who can put it right, and how.

    COMPANY is `unknown` for a message that names no company; its ORDER is the message's id.
    """
    found = companies.order(stack_of(context), company, order)
    told(found, as_json, lambda: _order_lines(found))


def _order_lines(found: dict[str, Any]) -> Iterator[str]:
    number = f" as {found['number']}" if found["number"] else ""
    yield f"Order {found['id']}{number}: {found['state'].replace('_', ' ')}. {found['words']}"
    if problem := found["problem"]:
        yield f"Problem: {problem['code']}. Who can fix it: the {problem['who']}."
        yield f"How: {problem['fix']}"
        for said in problem["xero_says"]:
            yield f"Xero says: {said}"
    if companies.freed_by_retry(found):
        yield f"What frees it: “{found['retry_label']}” on the Orders page, or the command `retry`."
    for document in found["documents"]:
        amount = f"{document['total']} {document['currency']}"
        yield f"In Xero: {document['kind']} {document['number']}, {document['status']}, {amount}"
        yield from (f"  {note}" for note in document["notes"])
    for change in found["changes"]:
        yield f"Changed since: {change}"
    yield f"Received {found['received_at']}, last changed {found['changed_at']}"
    for act in found["history"]:
        yield f"  {act['at']}  {act['by'] and act['by'] + ': '}{act['what']}"


@operate.command("check")
@as_json
@click.pass_context
def check_stack(context: click.Context, as_json: bool) -> None:
    """Check alarms, connections, concurrency, tables, queues, schedules and more. Ends with 1 if anything is wrong."""
    stack = stack_of(context)
    found = list(health.findings(stack, stack.adapters.now()))

    def lines() -> Iterator[str]:
        for one in found:
            yield f"{'ok   ' if one.ok else 'WRONG'} {one.about}: {one.words}"
            if not one.ok and one.do:
                yield f"      {one.do}"

    told([asdict(one) for one in found], as_json, lines)
    if not all(one.ok for one in found):
        context.exit(1)


@operate.command("export")
@company_argument
@click.option("--format", "kind", type=click.Choice(["csv", "jsonl"]), default="jsonl", show_default=True)
@click.option("--output", type=NewFile(), help="A new file to write. Else standard output.")
@as_json
@click.pass_context
def export(context: click.Context, company: str, kind: str, output: Path | None, as_json: bool) -> None:
    """Write out a COMPANY's whole ledger: for spreadsheets (csv), or in full (jsonl, an order a line).

    --json only concerns what is said at the end, on standard error.
    """
    stack = stack_of(context)
    companies.check_known(stack, company)
    count = _exported(stack, company, kind, output) if output else _write(stack, company, kind, answers())
    about = {"company": company, "orders": count, "file": str(output) if output else None}
    click.echo(json.dumps(about) if as_json else f"{count} orders", err=True)


def _write(stack: Stack, company: str, kind: str, file: IO[str]) -> int:
    rows = ledger.exported(stack.adapters, company)
    return ledger.write_csv(rows, file) if kind == "csv" else ledger.write_lines(rows, file)


def _exported(stack: Stack, company: str, kind: str, output: Path) -> int:
    # a spreadsheet takes a file with this mark for UTF-8
    encoding = "utf-8-sig" if kind == "csv" else "utf-8"
    with output.open("w", encoding=encoding, newline="") as file:
        return _write(stack, company, kind, file)


# --- changing --------------------------------------------------------------------------------------------------------


@operate.command("retry")
@company_argument
@click.argument("order", required=False)
@click.option(
    "--problem", help="Retry all orders of the company that stopped for this reason, such as our_fault."
)
@click.option("--items-as-they-are", is_flag=True, help="Use the order's untracked items as they are.")
@click.option(
    "--no-sale", type=click.Choice(["post", "skip"]), help="What to do with an order that is no sale."
)
@yes
@as_json
@click.pass_context
def retry_orders(
    context: click.Context,
    company: str,
    order: str | None,
    problem: str | None,
    items_as_they_are: bool,
    no_sale: Any,
    yes: bool,
    as_json: bool,
) -> None:
    """Retry an ORDER of a COMPANY, or all that stopped for one --problem: as *Retry* on the Orders page does."""
    if bool(order) == bool(problem):
        raise click.UsageError("Give either an order or --problem.")
    stack = stack_of(context)
    if problem:
        companies.check_known(stack, company)
        stopped_in(problem)
        agreed(stack, f"All orders of company {company} that stopped as {problem} are tried again.", yes)
        freed = retry_all(stack.adapters, stack.person(company), problem)
        more = " The others follow by themselves." if freed["more"] else ""
        told(freed, as_json, lambda: iter([f"{freed['retried']} orders are tried again.{more}"]))
        return
    entry = companies.entry(stack, company, order or "")
    check(entry)
    agreed(stack, f"Order {order} of company {company} is tried again.", yes)
    retry(stack.adapters, stack.person(company), entry, items_as_they_are=items_as_they_are, no_sale=no_sale)
    found = companies.order(stack, company, order or "")
    told(found, as_json, lambda: _order_lines(found))


@operate.command("pause")
@who
@click.option("--because", default="", help="Why, for the company's people: it is shown on the Orders page.")
@click.option("--connections-table", help="A restored table that no stack uses yet; only with --all.")
@yes
@as_json
@click.pass_context
def pause_posting(
    context: click.Context,
    company: str | None,
    everybody: bool,
    because: str,
    connections_table: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Stop the posting of a COMPANY, or of --all.

    Orders are taken in and wait. Calls that are out are still settled. Within some seconds nothing more is sent.
    """
    chosen_one, whose = chosen(company, everybody)
    if connections_table:
        if chosen_one != ALL:
            raise click.UsageError("--connections-table goes with --all.")
        _pause_table(connections_table, because, yes)
        return
    stack = stack_of(context)
    if company:
        companies.check_known(stack, company)
    agreed(stack, f"Posting of {whose} stops until `resume`.", yes)
    pauses.pause(stack.adapters, stack.pauses, chosen_one, stack.operator, because)
    told({"paused": chosen_one}, as_json, lambda: iter([f"Posting of {whose} is paused."]))


def _pause_table(name: str, because: str, yes: bool) -> None:
    arn = str(boto3.client("sts").get_caller_identity()["Arn"])
    click.echo(
        f"Posting stops in every stack that uses the table {name}, until `resume`. As {arn}.", err=True
    )
    if not yes:
        click.confirm("Go on?", abort=True, err=True)
    by = f"{arn.rpartition(':')[2].rpartition('/')[2]} (operator)"
    pauses_in(name).add(ALL, Pause(by, from_environment.now(), because))
    click.echo(f"Paused in {name}.", file=answers())


@operate.command("resume")
@who
@yes
@as_json
@click.pass_context
def resume_posting(
    context: click.Context, company: str | None, everybody: bool, yes: bool, as_json: bool
) -> None:
    """Let the posting of a COMPANY, or of --all, go on: what is due is posted at once."""
    chosen_one, whose = chosen(company, everybody)
    stack = stack_of(context)
    if company:
        companies.check_known(stack, company)
    agreed(stack, f"Posting of {whose} goes on.", yes)
    concerned = stack.adapters.settings.companies() if chosen_one == ALL else [chosen_one]
    rung = pauses.resume(stack.adapters, stack.pauses, chosen_one, stack.operator, concerned)
    left = sorted(stack.pauses.all())
    still = [f"Still paused: {'all companies' if one == ALL else one}." for one in left]
    told(
        {"resumed": chosen_one, "lanes_rung": rung, "still_paused": left},
        as_json,
        lambda: iter([f"Posting of {whose} goes on; {rung} lanes were rung.", *still]),
    )


@operate.command("take-out")
@company_argument
@click.option(
    "--export",
    "output",
    required=True,
    type=NewFile(),
    help="A new file to write its ledger to first (jsonl).",
)
@click.option("--erase", is_flag=True, help="Erase all that is kept of it. It can't be undone.")
@yes
@as_json
@click.pass_context
def take_out(
    context: click.Context, company: str, output: Path, erase: bool, yes: bool, as_json: bool
) -> None:
    """Take a COMPANY out: export its ledger, disconnect it from Xero, and skip its orders from now on.

    Its rows are kept, and `bring-back` lets it be connected again. With --erase they are erased: if the platform
    sends its old orders again later, nobody here knows any more that they were posted.
    """
    stack = stack_of(context)
    companies.check_known(stack, company)
    stays = "Everything kept of it is erased for good." if erase else "Its rows are kept."
    agreed(
        stack,
        f"Company {company} is disconnected from Xero, and its orders are skipped from now on. {stays}\n"
        f"Its ledger is written to {output} first.",
        yes,
    )
    orders = _exported(stack, company, "jsonl", output)
    access = leaving.take_out(stack, company)
    answer: dict[str, Any] = {"company": company, "exported": orders, "access": access, "erased": None}
    if erase:
        # once more, with what came in meanwhile
        answer["exported"] = _exported(stack, company, "jsonl", output)
        answer["erased"] = leaving.erase(stack, company, left=access == "left", sleep=time.sleep)

    def lines() -> Iterator[str]:
        yield f"{answer['exported']} orders are in {output}. Company {company} is taken out."
        if access != "nothing":
            yield leaving.WORDS.get(access, leaving.NOT_YET)
        if erase:
            yield f"{answer['erased']} rows and secrets are erased."

    told(answer, as_json, lines)


@operate.command("bring-back")
@company_argument
@yes
@as_json
@click.pass_context
def bring_back(context: click.Context, company: str, yes: bool, as_json: bool) -> None:
    """Let a COMPANY that was taken out be connected again.

    Orders that came meanwhile stay skipped; once it is connected, `retry --problem taken_out` posts them.
    """
    stack = stack_of(context)
    connection = stack.adapters.connections.connection(company)
    if connection is None or not connection.taken_out:
        raise companies.NotKnown(f"Company {company} was not taken out.")
    agreed(stack, f"Company {company} may be connected to Xero again.", yes)
    leaving.bring_back(stack, company)
    words = f"Company {company} may press Get Access Token in its settings."
    told({"company": company}, as_json, lambda: iter([words]))


@operate.command("redrive")
@yes
@as_json
@click.pass_context
def redrive(context: click.Context, yes: bool, as_json: bool) -> None:
    """Have the orders that intake gave up handled again, with their true times. Mend the cause first."""
    stack = stack_of(context)
    agreed(stack, "The messages in OrdersDeadLetterQueue are handled again.", yes)
    answer = stack.client("lambda").invoke(
        FunctionName=stack.outputs["DeadLetterReaderFunction"], Payload=json.dumps({"redrive": True})
    )
    if "FunctionError" in answer:
        raise click.ClickException(
            "DeadLetterReaderFunction failed; its log says why. Give the command again."
        )
    redriven = json.loads(answer["Payload"].read())["redriven"]
    told({"redriven": redriven}, as_json, lambda: iter([f"{redriven} messages are handled again."]))


@operate.command("rotate-launch-key")
@click.option(
    "--compromised", is_flag=True, help="Others know the key: it is refused at once, and all sessions end."
)
@yes
@as_json
@click.pass_context
def rotate_launch_key(context: click.Context, compromised: bool, yes: bool, as_json: bool) -> None:
    """Make a new key for the platform's launch tokens. The former one holds for 24 hours more.

    Nobody is shown the key: the platform reads it from the secret that the stack's output LaunchKey names.
    """
    stack = stack_of(context)
    client, secret, now = stack.client("secretsmanager"), stack.outputs["LaunchKey"], stack.adapters.now()
    if compromised:
        agreed(
            stack,
            "A new launch key is made. The former one is refused at once: nobody can open the settings until the"
            " platform signs with the new one. Everybody's session ends. It takes a minute.",
            yes,
        )
        ended = launch_key.replace_compromised(client, secret, stack.authorizations, time.sleep)
        words = (
            f"The former key is refused, and {ended} sessions are ended. The platform must now read {secret}."
        )
        told(
            {"secret": secret, "former_holds_until": None, "sessions_ended": ended},
            as_json,
            lambda: iter([words]),
        )
        return
    launch_key.check(client, secret, now)
    agreed(stack, "A new launch key is made. The former one holds for 24 hours more.", yes)
    until = launch_key.rotate(client, secret, now)
    words = f"Until {until:%Y-%m-%d %H:%M} UTC both keys hold. Have the platform read {secret} before then."
    told({"secret": secret, "former_holds_until": until.isoformat()}, as_json, lambda: iter([words]))


if __name__ == "__main__":
    operate(prog_name="operate")
