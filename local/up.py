"""The local system without the demonstration; with Xero's addresses from outside where they are set."""

from __future__ import annotations

import sys

from local.system import LocalSystem
from local.terminal import run, say, stay_up


def main() -> int:
    return run(show)


def show(system: LocalSystem) -> int:
    for name, value in sorted(system.outputs.items()):
        say(f"  {name:28} {value}")
    say()
    say(
        f"The platform's page, which opens a company's settings and sends orders: {system.outputs['platform_url']}"
    )
    say(
        f"The mails that offices get:                                             {system.outputs['mails_url']}"
    )
    if system.simulates_xero:
        say(
            f"The simulated Xero, user ada@example.com, password demo:                {system.outputs['xero_url']}"
        )
    say(f"All of the above for programs:                                          {system.outputs_file}")
    stay_up()
    return 0


if __name__ == "__main__":
    sys.exit(main())
