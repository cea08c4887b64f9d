"""Functions on this machine live and die as they do on AWS: own processes, own role, a time-out, and `kill -9`."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.aws import Ministack
from local.build import build
from local.deploy import Deployed, Places, deploy, plan
from local.functions import invoke, kill, pids

ROOT = Path(__file__).parents[2]
NAME = "ProbeFunction"

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Greeting: {Type: String}
Resources:
  ProbeFunction:
    Type: AWS::Serverless::Function
    Metadata: {BuildMethod: makefile, ContextPath: functions}
    Properties:
      Runtime: python3.13
      Handler: app.handler
      CodeUri: functions/probe/
      AutoPublishAlias: live
      Timeout: 3
      LoggingConfig: {LogFormat: JSON, ApplicationLogLevel: INFO}
      Role: !GetAtt ProbeRole.Arn
      Environment: {Variables: {GREETING: !Ref Greeting, PLACE: AWS, OPEN: !Ref OpenQueue, CLOSED: !Ref ClosedQueue}}
  OpenQueue: {Type: AWS::SQS::Queue}
  ClosedQueue: {Type: AWS::SQS::Queue}
  ProbeRole:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: sts:AssumeRole}]
      Policies:
        - PolicyName: probe
          PolicyDocument:
            Version: "2012-10-17"
            Statement: [{Effect: Allow, Action: sqs:SendMessage, Resource: !GetAtt OpenQueue.Arn}]
"""

APP = """
import logging, os, time
import boto3

def handler(event, context):
    time.sleep(event.get("sleep", 0))
    logging.debug(event.get("think", ""))
    if "import" in event:
        __import__(event["import"])
    if "send_to" in event:
        boto3.client("sqs").send_message(QueueUrl=os.environ[event["send_to"]], MessageBody="hello")
    return {"pid": os.getpid(), "greeting": os.environ["GREETING"],
            "place": os.environ["PLACE"], "other": "OTHER" in os.environ,
            "left": context.get_remaining_time_in_millis()}
"""


@dataclass
class Probe:
    ministack: Ministack
    places: Places
    deployed: Deployed

    def __call__(self, **event: object) -> tuple[bool, dict[str, object]]:
        name = self.deployed.callable[NAME]
        succeeded, answer = invoke(self.ministack.client("lambda"), name, json.dumps(event).encode())
        return succeeded, json.loads(answer)


@pytest.fixture(scope="module")
def probe(ministack: Ministack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    root = tmp_path_factory.mktemp("probe")
    (root / "template.yaml").write_text(TEMPLATE)
    (root / "functions" / "probe").mkdir(parents=True)
    (root / "functions" / "probe" / "app.py").write_text(APP)
    shutil.copy(ROOT / "functions" / "Makefile", root / "functions")
    build(root)
    places = Places(root, root)
    (root / "logs").mkdir()
    planned = plan(root, 1.0, ministack.url, {"OTHER": "not asked for", "PLACE": "here"}, log_level="DEBUG")
    deployed = deploy(ministack, planned, places, {"Greeting": "good morning"})
    yield Probe(ministack, places, deployed)
    kill(places, NAME)


def until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def test_a_function_is_called_by_its_alias(probe: Probe) -> None:
    assert probe.deployed.callable[NAME].endswith(":live")


def test_a_function_answers_from_a_process_that_stays(probe: Probe) -> None:
    first, again = probe(), probe()
    assert first[0]
    assert first[1]["greeting"] == "good morning"
    assert 0 < int(str(first[1]["left"])) <= 3000
    assert first[1]["pid"] == again[1]["pid"]
    assert first[1]["pid"] in pids(probe.places, NAME)


def test_a_variable_that_a_function_has_gets_the_value_it_has_here(probe: Probe) -> None:
    _, answer = probe()
    assert (answer["place"], answer["other"]) == ("here", False)


def test_calls_at_the_same_time_have_a_process_each(probe: Probe) -> None:
    with ThreadPoolExecutor(4) as calls:
        answers = list(calls.map(lambda _: probe(sleep=1), range(4)))
    assert all(succeeded for succeeded, _ in answers)
    assert len({answer["pid"] for _, answer in answers}) == 4


def test_a_killed_process_fails_the_call_it_was_at_and_the_next_call_starts_a_new_one(probe: Probe) -> None:
    probe()
    outcome: list[tuple[bool, dict[str, object]]] = []
    call = threading.Thread(target=lambda: outcome.append(probe(sleep=2)))
    call.start()
    time.sleep(0.5)
    killed = kill(probe.places, NAME)
    call.join()
    assert killed
    assert outcome[0][0] is False
    until(lambda: not set(killed) & set(pids(probe.places, NAME)))
    succeeded, answer = probe()
    assert succeeded
    assert answer["pid"] not in killed


def test_a_call_that_takes_too_long_fails_and_its_process_is_ended(probe: Probe) -> None:
    began = time.monotonic()
    succeeded, answer = probe(sleep=60)
    assert not succeeded
    assert "timed out" in str(answer["errorMessage"])
    assert 2.5 < time.monotonic() - began < 10


def test_a_function_may_do_what_its_role_says_and_nothing_else(probe: Probe) -> None:
    assert probe(send_to="OPEN")[0]
    succeeded, answer = probe(send_to="CLOSED")
    assert not succeeded
    assert "AccessDenied" in str(answer)


@pytest.mark.parametrize("library", ["pydantic", "requests", "pytest", "bookkeeping"])
def test_a_library_that_no_layer_brings_is_not_there(probe: Probe, library: str) -> None:
    succeeded, answer = probe(**{"import": library})
    assert not succeeded
    assert answer["errorType"] == "ModuleNotFoundError"


def test_what_a_function_says_is_in_its_log(probe: Probe) -> None:
    probe(**{"import": "nothing_of_this_name"})
    until(lambda: "nothing_of_this_name" in probe.places.log(NAME).read_text())


def test_what_it_says_at_debug_is_there_where_somebody_asks_for_it(probe: Probe) -> None:
    probe(think="only at DEBUG")
    until(lambda: "only at DEBUG" in probe.places.log(NAME).read_text())
