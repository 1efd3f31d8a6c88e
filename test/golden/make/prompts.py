"""Draws prompts whose greedy continuation stays far from a tie.

A greedy token is a step function of the logits, so it is of use in a test only
if rounding cannot flip it. The last token of a prompt is drawn again until the
best logit of every step leads by LOGIT_MARGIN, and until a run with
bf16-rounded activations chooses the same tokens.
"""

import torch

from reference import Model

LOGIT_MARGIN = 0.05
ATTEMPTS = 120


class Chooser:
    def __init__(self, config, tensors, seed):
        self.config = config
        self.exact = Model(config, tensors)
        self.coarse = Model(config, tensors, torch.float32, torch.bfloat16)
        self.rng = torch.Generator().manual_seed(seed)

    def token(self):
        shape = (1,)
        vocabulary = self.config["vocab_size"]
        return int(torch.randint(2, vocabulary, shape, generator=self.rng))

    def prompt(self, length):
        return [self.token() for _ in range(length)]

    def continuation(self, ids, steps):
        """Greedy tokens and margins, or None as soon as a step is close."""
        ids, margins = list(ids), []
        for _ in range(steps):
            with torch.no_grad():
                top = self.exact.logits(ids)[-1].topk(2)
            margins.append(float(top.values[0] - top.values[1]))
            if margins[-1] < LOGIT_MARGIN:
                return None
            ids.append(int(top.indices[0]))
        return ids, margins

    def coarse_agrees(self, ids, length):
        """Whether rounded activations choose the same continuation."""
        with torch.no_grad():
            exact = self.exact.logits(ids)[length - 1 :].argmax(-1)
            coarse = self.coarse.logits(ids)[length - 1 :].argmax(-1)
        return torch.equal(exact, coarse)

    def prompt_with_continuation(self, length, steps=16):
        """(ids, greedy tokens, margins, whether bf16 agrees).

        The first half of the attempts asks the coarse run to agree. After
        twenty attempts in vain the whole prompt is drawn again.
        """
        ids, fallback = self.prompt(length), None
        for attempt in range(ATTEMPTS):
            if attempt and attempt % 20 == 0:
                ids = self.prompt(length)
            elif attempt:
                ids[-1] = self.token()
            found = self.continuation(ids, steps)
            if found is None:
                continue
            if self.coarse_agrees(found[0], length):
                return ids, found[0][length:], found[1], True
            fallback = (list(ids), found[0][length:], found[1], False)
            if attempt >= ATTEMPTS // 2:
                return fallback
        if fallback is None:
            raise RuntimeError(f"no safe prompt of length {length}; change the seed")
        return fallback
