"""Sends mails with Amazon SES."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError

from bookkeeping.adapters.tables.dynamodb import refused_for
from bookkeeping.domain.errors import MailOutcomeUnknown, MailRefused

# A call that is repeated may send a mail twice, so each is made once.
ONCE: Final = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1})
THROTTLED: Final = frozenset({"TooManyRequestsException", "LimitExceededException", "ThrottlingException"})


def ses() -> Any:
    return boto3.client("sesv2", config=ONCE)


@dataclass(frozen=True)
class Mail:
    """A mail to one address."""

    company: str
    to: str = field(repr=False)
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)
    stop_url: str = field(repr=False)


class MailSender:
    def __init__(self, client: Any, sender: str, configuration_set: str) -> None:
        self._client = client
        self._sender = sender
        self._configuration_set = configuration_set

    def send(self, mail: Mail) -> None:
        """Raises MailRefused and MailOutcomeUnknown."""
        body = {"Text": _utf8(mail.text), "Html": _utf8(mail.html)}
        headers = {
            # mail programs show a button for these; their POST needs no page
            "List-Unsubscribe": f"<{mail.stop_url}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "Auto-Submitted": "auto-generated",
        }
        try:
            self._client.send_email(
                FromEmailAddress=self._sender,
                Destination={"ToAddresses": [mail.to]},
                Content={
                    "Simple": {
                        "Subject": _utf8(mail.subject),
                        "Body": body,
                        "Headers": [{"Name": name, "Value": value} for name, value in headers.items()],
                    }
                },
                # comes back with the news that a mail was not delivered
                EmailTags=[{"Name": "company", "Value": mail.company}],
                ConfigurationSetName=self._configuration_set,
            )
        except ClientError as error:
            code = refused_for(error)
            if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
                raise MailOutcomeUnknown(code) from None
            raise MailRefused(code, throttled=code in THROTTLED) from None
        except HTTPClientError as error:
            raise MailOutcomeUnknown(type(error).__name__) from None


def _utf8(text: str) -> dict[str, str]:
    return {"Data": text, "Charset": "UTF-8"}
