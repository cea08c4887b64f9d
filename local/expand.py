"""The template as CloudFormation gets it: expanded, and linted in that form. A warning is a failure.

`python -m local.expand` lints it and writes it to standard output.
"""

from __future__ import annotations

import copy
import json
import logging
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cfnlint
from cfnlint.decode.cfn_yaml import load
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

ROOT = Path(__file__).parent.parent
REGION = "eu-west-2"

# What the packaging would put there; nothing reads it before a deployment.
PACKAGED = {"CodeUri": "s3://artifacts/code.zip", "ContentUri": "s3://artifacts/code.zip"}

RELEASE = "0" * 16
"""Where nothing is released, any will do."""

Template = dict[str, Any]


def source(root: Path = ROOT) -> Template:
    """The template as it is written, with `!Ref x` read as `{"Ref": "x"}`."""
    template: Template = json.loads(json.dumps(load(str(root / "template.yaml"))))
    return template


def expanded(template: Template, release: str = RELEASE) -> Template:
    """What the serverless transform makes of a template."""
    packaged = copy.deepcopy(template)
    for resource in packaged["Resources"].values():
        for place, packed in PACKAGED.items():
            if place in resource.get("Properties", {}):
                resource["Properties"][place] = packed
    # it warns of a feature that AWS has not switched on in general
    logging.getLogger("samtranslator.feature_toggle").setLevel(logging.ERROR)
    # the translator asks for a region to know the partition by; it calls nothing
    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
    translator = Translator({}, Parser())
    translated = translator.translate(packaged, parameter_values={"Release": release})
    result: Template = json.loads(json.dumps(translated))
    return result


def function_of(reference: Mapping[str, Any], resources: Mapping[str, Any]) -> str:
    """The logical id of the function that a `Ref` or a `GetAtt` names, by itself or by its alias."""
    name: str = reference["Ref"] if "Ref" in reference else reference["Fn::GetAtt"][0]
    resource = resources[name]
    if resource["Type"] == "AWS::Lambda::Alias":
        name = resource["Properties"]["FunctionName"]["Ref"]
    return name


def complaints(template: Template) -> list[str]:
    """All that cfn-lint has to say about an expanded template."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.json"
        path.write_text(json.dumps(template, indent=1))
        return [
            f"{match.rule.id} line {match.linenumber}: {match.message}" for match in cfnlint.lint_file(path)
        ]


def main() -> int:
    template = expanded(source())
    print(json.dumps(template, indent=1))
    found = complaints(template)
    for complaint in found:
        print(f"expanded template: {complaint}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
