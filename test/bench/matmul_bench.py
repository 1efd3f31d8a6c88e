#!/usr/bin/env python3
"""Times the matmul family and PyTorch's bf16 products in turns, in one process.

    ninja -C build MatmulBench
    matmul_bench.py build/test/bench/libMatmulBench.so [--threads 1] [--samples 5]

Prints a row for each shape [n, k] of a weight, each number of rows M and each
form: the medians of both and of the ratio of neighbouring samples. `dw` adds
the products of M tokens to an f32 gradient; PyTorch writes one in bf16. `fp8`
is beside PyTorch's product of bf16. With one thread times are of CPU.
"""
import argparse
import ctypes
import statistics
import time

import torch

FORMS = ("linear", "dx", "dw", "fp8")
SHAPES = ((2048, 2048), (5632, 2048))
COPIES = 6  # Of a weight, so that it comes from memory.


def load(path):
    lib = ctypes.CDLL(path)
    lib.ds_bench_create.restype = ctypes.c_void_p
    lib.ds_bench_create.argtypes = [
        ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int64, ctypes.c_int64,
        ctypes.c_int64, ctypes.c_int, ctypes.c_int]
    lib.ds_bench_run.restype = ctypes.c_double
    lib.ds_bench_run.argtypes = [ctypes.c_void_p, ctypes.c_void_p,
                                 ctypes.c_int64, ctypes.c_int, ctypes.c_int]
    lib.ds_bench_destroy.argtypes = [ctypes.c_void_p]
    lib.ds_bench_pool.restype = ctypes.c_void_p
    lib.ds_bench_pool_destroy.argtypes = [ctypes.c_void_p]
    return lib


def peer_of(form, weights, left, right):
    """A function of the sample's number that multiplies with PyTorch."""
    if form == "dw":
        return lambda i: torch.mm(left.t(), right)
    if form == "dx":
        return lambda i: torch.mm(left, weights[i % COPIES])
    return lambda i: torch.mm(right, weights[i % COPIES].t())


def run_ours(lib, bench, rows, copy, threads):
    """Threads wait for work by spinning, so they go before PyTorch's come."""
    if threads == 1:
        return lib.ds_bench_run(bench, None, rows, copy, 1)
    time.sleep(0.005)
    pool = lib.ds_bench_pool(threads)
    lib.ds_bench_run(bench, pool, rows, copy + 1, threads)
    seconds = lib.ds_bench_run(bench, pool, rows, copy, threads)
    lib.ds_bench_pool_destroy(pool)
    return seconds


def measure(lib, form, n, k, rows, args):
    bench = lib.ds_bench_create(form.encode(), b"bf16", n, k, rows, COPIES, -1)
    clock = time.thread_time if args.threads == 1 else time.perf_counter
    weights = [torch.full((n, k), 0.01, dtype=torch.bfloat16)
               for _ in range(COPIES)]
    peer = peer_of(form, weights, torch.full((rows, n), 0.01,
                                             dtype=torch.bfloat16),
                   torch.full((rows, k), 0.01, dtype=torch.bfloat16))
    ours, theirs = [], []
    for i in range(args.samples + 1):
        ours.append(run_ours(lib, bench, rows, i, args.threads))
        start = clock()
        peer(i)
        theirs.append(clock() - start)
    lib.ds_bench_destroy(bench)
    ours, theirs = ours[1:], theirs[1:]
    ratios = [b / a for a, b in zip(ours, theirs)]
    return tuple(map(statistics.median, (ours, theirs, ratios)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--rows", type=int, nargs="+",
                        default=(1, 16, 48, 512))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    lib = load(args.library)
    print(f"PyTorch {torch.__version__}, {args.threads} threads")
    print("| n x k | M | form | us | GFLOP/s | PyTorch us | ratio |")
    print("|---|---|---|---|---|---|---|")
    for n, k in SHAPES:
        for rows in args.rows:
            for form in FORMS:
                ours, theirs, ratio = measure(lib, form, n, k, rows, args)
                rate = 2e-9 * n * k * rows / ours
                print(f"| {n} x {k} | {rows} | {form} | {ours * 1e6:.0f} | "
                      f"{rate:.0f} | {theirs * 1e6:.0f} | {ratio:.2f} |",
                      flush=True)


if __name__ == "__main__":
    main()
