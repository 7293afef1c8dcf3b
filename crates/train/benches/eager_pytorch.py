"""The steps of the bench `steps` in eager PyTorch, written plainly: steps a second beside those of Rust.

    python eager_pytorch.py [THREADS, 2] [SECONDS a figure, 5]

Run it alone on the machine, in turns with `cargo bench -p train --bench steps`. Needs torch. Denoising score matching on the VP
SDE with rates 0.1 to 20, points in the plane, the residual MLP with width 256 and four blocks, AdamW, clipping, average.
"""

import copy
import math
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

THREADS = int(sys.argv[1]) if len(sys.argv) > 1 else 2
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 5.0
torch.set_num_threads(THREADS)


class Block(nn.Module):
    def __init__(self, width, time):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear1, self.linear2 = nn.Linear(width, width), nn.Linear(width, width)
        self.time = nn.Linear(time, width) if time else None

    def forward(self, h, time):
        inner = self.linear1(self.norm(h))
        if self.time is not None:
            inner = inner + self.time(time)
        return h + self.linear2(F.silu(inner))


class Mlp(nn.Module):
    """`narrow`: each block has a map of its own of a narrow embedding of the time, as in Rust; else the time enters once, through an
    embedding as wide as the stream."""

    def __init__(self, narrow, width=256, blocks=4, dim=2):
        super().__init__()
        self.size = 64 if narrow else width
        self.time_1, self.time_2 = nn.Linear(self.size, self.size), nn.Linear(self.size, self.size)
        self.x_proj, self.t_proj = nn.Linear(dim, width), nn.Linear(self.size, width)
        self.blocks = nn.ModuleList(Block(width, self.size if narrow else 0) for _ in range(blocks))
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, dim)

    def forward(self, x, t):
        half = self.size // 2
        phase = t[:, None] * torch.exp(torch.arange(half) * (-math.log(10_000) / (half - 1)))
        time = F.silu(self.time_2(F.silu(self.time_1(torch.cat([phase.sin(), phase.cos()], 1)))))
        h = self.x_proj(x) + self.t_proj(time)
        for block in self.blocks:
            h = block(h, time)
        return self.out(F.silu(self.norm(h)))


def measure(narrow, batch):
    net = Mlp(narrow)
    average = copy.deepcopy(net)
    optim = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.0)
    data = torch.randn(10_000, 2)

    def step():
        x0 = data[torch.randint(len(data), (batch,))]
        t = torch.rand(batch) * (1.0 - 1e-5) + 1e-5
        log_mean = -0.25 * t**2 * 19.9 - 0.5 * t * 0.1
        mean_coef, std = log_mean.exp(), (1.0 - (2.0 * log_mean).exp()).sqrt()
        z = torch.randn_like(x0)
        out = net(mean_coef[:, None] * x0 + std[:, None] * z, 999.0 * t)
        loss = (out - z).square().mean()
        optim.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optim.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 1e-3)
        return loss.item()

    step()
    taken, end = [], time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(taken) < 3:
        start = time.perf_counter()
        step()
        taken.append(time.perf_counter() - start)
    taken.sort()
    median = taken[len(taken) // 2]
    what = "the time in every block, narrow" if narrow else "the time once, wide"
    print(f"MLP ({what}), batch {batch}, {THREADS} threads: {1 / median:.1f} steps/s ({1e3 * median:.2f} ms)", flush=True)


for batch in (512, 64):
    for narrow in (True, False):
        measure(narrow, batch)
