"""`python -m local.xero --port 8400 [--seed-file world.json] [--seed 7]`: the simulated Xero on localhost."""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path

from local.xero.clock import WallClock
from local.xero.server import make_server
from local.xero.world import World


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.xero", description=__doc__)
    parser.add_argument("--port", type=int, default=8400)
    parser.add_argument(
        "--seed-file", type=Path, help="JSON: users, organisations, apps, unconfirmed, provider_model"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of everything random: the same seed, the same ids"
    )
    arguments = parser.parse_args()
    world = World(WallClock(), arguments.seed)
    if arguments.seed_file:
        world.load(json.loads(arguments.seed_file.read_text()))
    server = make_server(world, arguments.port)
    print(f"Simulated Xero on http://localhost:{server.port}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
