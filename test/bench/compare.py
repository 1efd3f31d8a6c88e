#!/usr/bin/env python3
"""Compares `dsrun bench` with another system, interleaved.

    compare.py --artifact m.so --weights DIR --threads 2 --pairs 5 \\
        --prefill 32,512 --decode 0,2048 --batch 8 \\
        --peer NAME='COMMAND' [--peer ...] [--json FILE]

A pair is one run of dsrun and one of the peer, one after the other. COMMAND
measures the same points and prints a JSON line for each:

    {"what": "prefill" | "decode" | "batch decode", "size": N,
     "value": tokens per second, "others": CPUs that others kept busy}

In COMMAND, {threads}, {prefill}, {decode} and {batch} stand for the lists that
are asked for. The table has the median of each and the median of the ratios of
the pairs. Pairs beside more than --busy CPUs of other work are run again, up
to twice as many in all; what is left says so.
"""
import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys


def run_ours(args):
    command = [args.dsrun, "bench", args.artifact, f"--weights={args.weights}",
               f"--threads={args.threads}", f"--repeat={args.repeat}", "--json"]
    for name in ("prefill", "decode", "batch"):
        command.append(f"--{name}={getattr(args, name)}")
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True).stdout
    points = {}
    for line in json.loads(text):
        if line["sequences"] > 1:
            key = ("batch decode", line["sequences"])
        elif line["rows"] > 1:
            key = ("prefill", line["rows"])
        else:
            key = ("decode", line["past"])
        points[key] = (line["tokens_per_second"], line["others"])
    return points


def run_peer(command, args):
    command = command.format(threads=args.threads, prefill=args.prefill,
                             decode=args.decode, batch=args.batch)
    result = subprocess.run(shlex.split(command), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit(f"compare.py: '{command}' failed:\n{result.stderr[-2000:]}")
    points = {}
    for text in result.stdout.splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and "what" in line and "size" in line:
            points[line["what"], line["size"]] = (line["value"],
                                                  line.get("others", 0.0))
    return points


def compare(name, command, args):
    """Returns for each point the pairs (ours, theirs, others)."""
    pairs, loud = {}, {}
    for _ in range(2 * args.pairs):
        ours, theirs = run_ours(args), run_peer(command, args)
        for key in ours.keys() & theirs.keys():
            others = max(ours[key][1], theirs[key][1])
            table = pairs if others <= args.busy else loud
            table.setdefault(key, []).append(
                (ours[key][0], theirs[key][0], others))
        print(f"{name}: " + ", ".join(
            f"{what} {size}: {len(pairs.get((what, size), []))}"
            for what, size in sorted(ours)), file=sys.stderr)
        if all(len(pairs.get(key, [])) >= args.pairs for key in ours):
            break
    for key, found in loud.items():
        missing = args.pairs - len(pairs.get(key, []))
        if missing > 0:
            pairs.setdefault(key, []).extend(found[:missing])
    return pairs


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dsrun", default="build/bin/dsrun")
    parser.add_argument("--artifact", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--prefill", default="32,512")
    parser.add_argument("--decode", default="0")
    parser.add_argument("--batch", default="8")
    parser.add_argument("--busy", type=float, default=0.12)
    parser.add_argument("--peer", action="append", required=True,
                        metavar="NAME=COMMAND")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    print(f"{args.threads} threads, {args.pairs} pairs\n")
    print("| peer | point | dsrun tok/s | peer tok/s | ratio (range) | others |")
    print("|---|---|---|---|---|---|")
    lines = []
    for peer in args.peer:
        name, command = peer.split("=", 1)
        for (what, size), found in sorted(compare(name, command, args).items()):
            ratios = [ours / theirs for ours, theirs, _ in found]
            line = {"peer": name, "what": what, "size": size,
                    "threads": args.threads, "pairs": found,
                    "ours": statistics.median(p[0] for p in found),
                    "theirs": statistics.median(p[1] for p in found),
                    "ratio": statistics.median(ratios),
                    "others": max(p[2] for p in found)}
            lines.append(line)
            print(f"| {name} | {what} {size} | {line['ours']:.1f} "
                  f"| {line['theirs']:.1f} | {line['ratio']:.2f} "
                  f"({min(ratios):.2f} to {max(ratios):.2f}) "
                  f"| {line['others']:.2f} |", flush=True)
    if args.json:
        temporary = args.json + ".new"
        with open(temporary, "w") as file:
            for line in lines:
                file.write(json.dumps(line) + "\n")
        os.replace(temporary, args.json)


main()
