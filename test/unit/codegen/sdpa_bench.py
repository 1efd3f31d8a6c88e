"""Times PyTorch's scaled_dot_product_attention on the shapes of AttentionBench.

One thread, CPU time, bf16. With grouped heads both enable_gqa and keys
repeated beforehand are timed and the faster is printed. The backward is that
of AttentionBackwardBench, of 5 products.
"""
import statistics
import time

import torch
from torch.nn.functional import scaled_dot_product_attention as attend


def seconds(calls):
    times = []
    for call in calls:
        start = time.thread_time()
        call()
        times.append(time.thread_time() - start)
    return statistics.median(times)


def best(query, states, group, causal, repeats):
    """The faster of grouped and repeated keys; one state after the other."""
    result = []
    for repeat in (False, True) if group > 1 else (True,):
        pairs = [[x.repeat_interleave(group, 1) if repeat else x for x in s]
                 for s in states]
        calls = [lambda k=k, v=v: attend(query, k, v, is_causal=causal,
                                         enable_gqa=not repeat)
                 for k, v in pairs] * repeats
        calls[0]()
        result.append(seconds(calls))
        del pairs
    return min(result)


def backward(heads, key_heads, dims, rows):
    """The faster of grouped and repeated keys, seconds."""
    def random(h):
        return torch.randn(1, h, rows, dims, dtype=torch.bfloat16)

    result = []
    for kept in {key_heads, heads}:
        inputs = [x.requires_grad_() for x in
                  (random(heads), random(kept), random(kept))]
        out = attend(*inputs, is_causal=True, enable_gqa=kept != heads)
        gradient = random(heads)
        calls = [lambda: torch.autograd.grad(out, inputs, gradient,
                                             retain_graph=True)] * 5
        calls[0]()
        result.append(seconds(calls))
    return min(result)


def bench(heads, key_heads, dims):
    def random(h, rows):
        return torch.randn(1, h, rows, dims, dtype=torch.bfloat16)

    group = heads // key_heads
    print(f"torch {torch.__version__}, {heads} heads, {key_heads} key heads x "
          f"{dims}")
    for rows in (512, 2048):
        state = [(random(key_heads, rows), random(key_heads, rows))]
        took = best(random(heads, rows), state, group, True, 7)
        flops = 2 * rows * (rows + 1) * heads * dims
        print(f"  prefill {rows:5}: {took * 1e3:8.2f} ms, "
              f"{flops / took / 1e9:6.1f} GFLOP/s")
        took = backward(heads, key_heads, dims, rows)
        print(f"  backward {rows:4}: {took * 1e3:8.2f} ms, "
              f"{2.5 * flops / took / 1e9:6.1f} GFLOP/s")
    depth = 2048
    size = 4 * depth * key_heads * dims
    states = [(random(key_heads, depth), random(key_heads, depth))
              for _ in range(int(200e6 / size) + 1)]
    took = best(random(heads, 1), states, group, False, 3)
    print(f"  decode at {depth:5}: {took * 1e6:7.1f} us, "
          f"{size / took / 1e9:5.1f} GB/s")


torch.set_num_threads(1)
for shape in ((16, 16, 128), (9, 3, 64), (32, 8, 128), (14, 2, 64)):
    bench(*shape)
