"""The command: `python -m bench NAME… [--quick] [--output json] [--write docs/benchmarks.md]`."""

import argparse
import asyncio
import importlib
import sys
import time
from pathlib import Path

import msgspec

from bench.options import Options
from bench.report import Result, as_markdown, as_text, write
from bench.support.machine import describe
from bench.support.programs import Failure

BENCHES = {
    "propagation": "a route file is written: when is it live? alone, among 20,000, under churn",
    "churn": "CPU and memory of the control plane at 5,000 routes that change",
    "throughput": "requests per second and CPU per request, beside others",
    "policies": "the same with tokens, CORS, a log and compression, beside Envoy with the same filters by hand",
    "fire": "12 real Envoys under traffic, one rollout after the other, a third of them bad",
    "chaos": "real processes killed at random in random rollouts: the laws that hold all the same",
    "red_button": "1,000 edges go back, also with the history and the manifests gone",
    "fleet": "1,000 edges: one change everywhere, and all of them reconnecting at once",
    "coldstart": "an edge from its own disk, and `seawall up` from nothing",
    "defaults": "what each of our defaults costs a request",
    "quota": "a limit that four edges share: exactness, fairness, and its price beside a service that is asked",
    "failover": "a pod that resets TCP for 22 s and heals, five times: what fails, and how soon is it used again",
    "nack": "what Envoy refuses: how soon its object is named, and whether the next change waits for that",
    "telemetry": "what it costs to know of every request, and what when nobody reads",
    "gates": "how often a good change is thrown back, and how soon a bad one",
    "detect": "how soon the protection machine names an attack, on event time, and whom it touches",
    "protection": "attacks and their benign twins against a real edge: how soon, what leaks, who else is touched",
    "soak": "attacks that change, for half an hour at a real edge: does memory or the disk grow?",
    "verdicts": "how soon a verdict is enforced, and what it costs those whom it does not name",
    "parts": "what each part of the control plane takes for one change, by size",
}
ALL = ("propagation", "churn", "throughput", "fleet", "coldstart", "parts")


def main() -> int:
    """Run what was asked for; exit 1 if a benchmark could not be run."""
    options = _arguments()
    names = ALL if "all" in options.names else tuple(options.names)
    machine = describe()
    print(f"on {machine}", file=sys.stderr)
    results: list[Result] = []
    failed = False
    for name in names:
        print(f"── {name}: {BENCHES[name]}", file=sys.stderr, flush=True)
        wanted = Options(
            quick=options.quick,
            rollouts=options.rollouts,
            seed=options.seed,
            pace=options.pace,
            only=tuple(filter(None, options.only.split(","))),
            peers=options.peers,
            minutes=options.minutes,
        )
        result = _run(name, wanted)
        if result is None:
            failed = True
            continue
        results.append(result)
        if options.output == "text":
            print(as_text(result), flush=True)
        if options.write is not None and not options.quick:
            section = as_markdown(result, str(machine), f"python -m bench {name}{' --peers' if options.peers else ''}")
            if not write(options.write, result.bench, section):
                print(f"{options.write} has no place for {result.bench}: add its two markers.", file=sys.stderr)
    if options.output == "json":
        print(msgspec.json.encode({"machine": machine, "results": results}).decode())
    return 1 if failed else 0


def _run(name: str, options: Options) -> Result | None:
    bench = importlib.import_module(f"bench.{name}")
    begun = time.perf_counter()
    try:
        result: Result = asyncio.run(bench.run(options))
    except Failure as failure:
        print(f"{name} could not be run: {failure}", file=sys.stderr)
        return None
    return msgspec.structs.replace(result, took=time.perf_counter() - begun)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure what Seawall promises in numbers.",
        epilog="\n".join(f"  {name:<12} {what}" for name, what in BENCHES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="+", choices=[*BENCHES, "all"], metavar="NAME", help="which ones, or `all`")
    parser.add_argument("--quick", action="store_true", help="run small and once: do they still work?")
    parser.add_argument("--rollouts", type=int, default=0, help="of `fire`: how many [default: 60]")
    parser.add_argument("--seed", type=int, default=1, help="of `fire`: which changes in which order")
    parser.add_argument(
        "--pace", type=float, default=0.02, help="of `fire`: of the stages' minimum times [default: 0.02]"
    )
    parser.add_argument("--only", default="", metavar="IDS", help="of `protection`: these scenarios, as in A1,B2")
    parser.add_argument("--peers", action="store_true", help="of `protection`: beside HAProxy and nginx")
    parser.add_argument("--minutes", type=float, default=30.0, help="of `soak`: how long [default: 30]")
    parser.add_argument("--output", choices=["text", "json"], default="text")
    parser.add_argument(
        "--write", type=Path, metavar="PAGE", help="put the figures into this page, between its markers"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
