"""What the tests of the whole system work with: a system that runs, its companies, and what was sent to it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests

from local import demo
from local.audit import OPEN, Findings, Row, audit
from local.companies import Company, SimulatedXero, connect
from local.samples import UNTRACKED, Maker, Sample, cost, gross
from local.system import LocalSystem

ACCOUNTS = {
    "sales_account_code": "200",
    "cogs_account_code": "310",
    "inventory_asset_account_code": "630",
    # Britain has several rates of 0 %; only the accountant knows which is meant
    "tax_types": [{"rate": "0", "tax_type": "ZERORATEDOUTPUT"}],
}

A_READ = 100
"""Rows that one call reads at most."""


@dataclass
class Site:
    """A system that runs, its companies, and what was sent to it."""

    system: LocalSystem
    xero: SimulatedXero
    make: Maker = field(default_factory=lambda: Maker(first_id=70000000))
    companies: dict[str, Company] = field(default_factory=dict)
    prefixes: dict[str, str] = field(default_factory=dict)

    def wait_until_open(self, within: float = 120.0) -> None:
        """Return once the popup's first function has started, which on a busy machine outlasts a call."""
        until = time.monotonic() + within
        while not requests.get(f"{self.system.outputs['api_url']}/health", timeout=30).ok:
            assert time.monotonic() < until, "the popup does not open"
            time.sleep(0.25)

    def company(self, ref_id: str, country: str = "UK", **settings: Any) -> None:
        organisation = self.xero.organisation(country, f"Books of {ref_id}")
        prefix = f"C{ref_id}-"
        chosen = ACCOUNTS | {"number_prefix": prefix} | settings
        self.companies[ref_id] = connect(self.system.outputs, self.xero, ref_id, organisation, **chosen)
        self.prefixes[ref_id] = prefix

    def order(self, company: str, place: int, lines: int = 2, **changes: Any) -> dict[str, Any]:
        return self.make.order(UNTRACKED, place, lines, company_ref_id=int(company)) | changes

    def send(self, bodies: Sequence[str], **attributes: Any) -> list[str]:
        """The ids of the messages, in order."""
        sqs, url = self.system.client("sqs"), self.system.outputs["orders_queue_url"]
        ids: list[str] = []
        for start in range(0, len(bodies), 10):
            entries = [
                {"Id": str(place), "MessageBody": body} | attributes
                for place, body in enumerate(bodies[start : start + 10])
            ]
            answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
            assert not answer.get("Failed"), answer
            ids += [one["MessageId"] for one in sorted(answer["Successful"], key=lambda it: int(it["Id"]))]
        return ids

    def rows(self) -> dict[tuple[str, str], Row]:
        return demo.ledger(self.system)

    def states(self, keys: Sequence[str]) -> dict[str, str]:
        """The state of each of these orders that has a row, read as cheaply as can be."""
        client, table = self.system.client("dynamodb"), self.system.outputs["orders_table"]
        found: dict[str, str] = {}
        for start in range(0, len(keys), A_READ):
            wanted = {
                "Keys": [{"key": {"S": key}} for key in keys[start : start + A_READ]],
                "ConsistentRead": True,
                "ProjectionExpression": "#key, #state",
                "ExpressionAttributeNames": {"#key": "key", "#state": "state"},
            }
            answer = client.batch_get_item(RequestItems={table: wanted})
            assert not answer.get("UnprocessedKeys")
            found |= {item["key"]["S"]: item["state"]["S"] for item in answer["Responses"][table]}
        return found

    def settled(self, keys: list[str]) -> bool:
        """Whether all these orders have come to rest; those that have are taken out, up to the first that has not."""
        while not self.undelivered() and keys:
            states = self.states(keys[:A_READ])
            still = [key for key in keys[:A_READ] if states.get(key, "queued") in OPEN]
            keys[:A_READ] = still
            if still:
                break
        return not keys and not self.undelivered()

    def wait_until_settled(self, samples: Iterable[Sample], within: float) -> float:
        """Return once each sample's order has come to rest, or when patience ends; the seconds it took."""
        left = keys_of(samples)
        began = time.monotonic()
        while not self.settled(left) and time.monotonic() - began < within:
            time.sleep(0.5)
        return time.monotonic() - began

    def undelivered(self) -> int:
        return demo.messages(self.system, self.system.outputs["orders_queue_url"])

    def audited(self, samples: Sequence[Sample]) -> Findings:
        """What the auditor has to say about these samples and the organisations of their companies."""
        concerned = {sample.company for sample in samples} & self.companies.keys()
        tenants = {self.companies[company].organisation_id for company in concerned}
        # first the rows: what they call posted must be in a log that is read later
        rows = self.rows()
        log = [entry for entry in self.log() if entry["tenant_id"] in tenants]
        organisations = {name: company.organisation_id for name, company in self.companies.items()}
        return audit(samples, rows, log, self.prefixes, organisations)

    def log(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.xero.control("GET", "log")["entries"]
        return entries

    def calls(self, company: str) -> int:
        """All calls so far to the accounting API for the company's organisation, whoever made them."""
        return demo.calls_of(self.xero, self.companies)[self.companies[company].organisation_id]

    def tokens(self, company: str) -> dict[str, Any]:
        """The company's tokens as they stand in the store."""
        name = f"{self.system.outputs['secrets_prefix']}/{company}/tokens"
        store = self.system.client("secretsmanager")
        held: dict[str, Any] = json.loads(
            store.get_secret_value(SecretId=name, VersionStage="AWSCURRENT")["SecretString"]
        )
        return held

    def connection(self, company: str) -> dict[str, str]:
        """The texts of the company's connection: its status, its app's client id."""
        key = {"pk": {"S": f"connection#{company}"}, "sk": {"S": "connection"}}
        table = self.system.outputs["connections_table"]
        row = self.system.client("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]
        return {name: value["S"] for name, value in row.items() if "S" in value}

    def redrive_orders(self) -> int:
        """Have the orders that were given up sent again, as an operator would; how many were."""
        name = self.system.outputs["dead_letter_reader_function"]
        answer = self.system.client("lambda").invoke(FunctionName=name, Payload=b'{"redrive": true}')
        said = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, said
        return int(said["redriven"])

    def redrive_wake_ups(self) -> int:
        """Send wake-ups that were given up again; how many were."""
        sqs, outputs = self.system.client("sqs"), self.system.outputs
        void_or_deleted, redriven = outputs["posting_dead_letter_queue_url"], 0
        while messages := sqs.receive_message(QueueUrl=void_or_deleted, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in messages:
                sqs.send_message(QueueUrl=outputs["posting_queue_url"], MessageBody=message["Body"])
                sqs.delete_message(QueueUrl=void_or_deleted, ReceiptHandle=message["ReceiptHandle"])
                redriven += 1
        return redriven

    def in_queue(self, queue: str) -> int:
        return demo.messages(self.system, self.system.outputs[f"{queue}_url"])


def plain(what: str, order: dict[str, Any], company: str, *, tracked: bool = False) -> Sample:
    """A sample of an order that must end in the company's books."""
    return Sample(
        what,
        company,
        str(order["id"]),
        (json.dumps(order),),
        invoice=gross(order),
        purchase_order=cost(order) if tracked else None,
    )


def keys_of(samples: Iterable[Sample]) -> list[str]:
    """The keys of the samples' rows in the ledger."""
    return [f"{one.company}#{one.order_id}" for one in samples if one.ends != "no company"]


def bodies(samples: Iterable[Sample]) -> list[str]:
    return [body for sample in samples for body in sample.bodies]


def words(findings: Findings) -> str:
    return "\n".join([str(findings), *findings.all[:20]])
