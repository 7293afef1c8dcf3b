"""The networks of the bench `networks` in eager PyTorch, written plainly: images a second beside those of Rust, in f32 and
in autocast to bf16.

    python eager_pytorch.py [THREADS, 2] [SECONDS a figure, 5]

Run it alone on the machine, in turns with `cargo bench -p score-nets --bench networks`. Needs torch; with the
package diffusers it measures its UNet2DModel too.
"""

import math
import resource
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

THREADS = int(sys.argv[1]) if len(sys.argv) > 1 else 2
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 5.0
torch.set_num_threads(THREADS)


def positional(time, size):
    half = size // 2
    frequencies = torch.exp(torch.arange(half) * (-math.log(10_000) / (half - 1)))
    phase = time[:, None] * frequencies
    return torch.cat([phase.sin(), phase.cos()], 1)


def norm(channels, eps):
    return nn.GroupNorm(min(channels // 4, 32), channels, eps)


class BigGanBlock(nn.Module):
    """Song et al. 2021 (arXiv:2011.13456), DDPM++: residual block that may halve or double the resolution."""

    def __init__(self, before, after, embed, change=None):
        super().__init__()
        self.norm_0, self.norm_1 = norm(before, 1e-6), norm(after, 1e-6)
        self.conv_0 = nn.Conv2d(before, after, 3, padding=1)
        self.dense = nn.Linear(embed, after)
        self.conv_1 = nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1) if before != after or change else None
        self.change = change

    def resample(self, x):
        if self.change == "up":
            return F.interpolate(x, scale_factor=2.0, mode="nearest")
        return F.avg_pool2d(x, 2) if self.change == "down" else x

    def forward(self, x, time):
        h = self.conv_0(self.resample(F.silu(self.norm_0(x))))
        h += self.dense(F.silu(time))[:, :, None, None]
        h = self.conv_1(F.silu(self.norm_1(h)))
        x = self.resample(x)
        if self.shortcut is not None:
            x = self.shortcut(x)
        return (x + h) / math.sqrt(2.0)


class SongAttention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = norm(channels, 1e-6)
        self.maps = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x):
        flat = self.norm(x)
        q, k, v = (one(flat).flatten(2) for one in self.maps[:3])
        scores = torch.einsum("bcp,bcq->bpq", q, k) * x.shape[1] ** -0.5
        mixed = torch.einsum("bpq,bcq->bcp", scores.softmax(-1), v)
        return (x + self.maps[3](mixed.view_as(x))) / math.sqrt(2.0)


class DdpmPlusPlus(nn.Module):
    """DDPM++ with nf 32, factors 1 and 2, one block a level, attention at width 8, for 3 x 16 x 16."""

    def __init__(self, nf=32, mults=(1, 2), attention=(8,), width=16, channels=3):
        super().__init__()
        embed, self.nf = 4 * nf, nf
        self.linear_0, self.linear_1 = nn.Linear(nf, embed), nn.Linear(embed, embed)
        self.conv_in = nn.Conv2d(channels, nf, 3, padding=1)
        self.down, self.up, kept, now = nn.ModuleList(), nn.ModuleList(), [nf], nf
        for level, mult in enumerate(mults):
            attend = SongAttention(nf * mult) if width >> level in attention else nn.Identity()
            self.down.append(nn.ModuleList([BigGanBlock(now, nf * mult, embed), attend]))
            now = nf * mult
            kept.append(now)
            if level + 1 < len(mults):
                self.down.append(nn.ModuleList([BigGanBlock(now, now, embed, "down"), nn.Identity()]))
                kept.append(now)
        self.middle = nn.ModuleList([BigGanBlock(now, now, embed), SongAttention(now), BigGanBlock(now, now, embed)])
        for level, mult in reversed(list(enumerate(mults))):
            for _ in range(2):
                self.up.append(nn.ModuleList([BigGanBlock(now + kept.pop(), nf * mult, embed)]))
                now = nf * mult
            if width >> level in attention:
                self.up.append(nn.ModuleList([SongAttention(now), None]))
            if level > 0:
                self.up.append(nn.ModuleList([BigGanBlock(now, now, embed, "up"), None]))
        self.norm_out, self.conv_out = norm(now, 1e-6), nn.Conv2d(now, channels, 3, padding=1)

    def forward(self, x, time):
        time = self.linear_1(F.silu(self.linear_0(positional(time, self.nf))))
        kept = [self.conv_in(x)]
        for block, attend in self.down:
            kept.append(attend(block(kept[-1], time)))
        first, attend, second = self.middle
        h = second(attend(first(kept[-1], time)), time)
        for stage in self.up:
            if len(stage) == 1:
                h = stage[0](torch.cat([h, kept.pop()], 1), time)
            else:
                h = stage[0](h) if isinstance(stage[0], SongAttention) else stage[0](h, time)
        return self.conv_out(F.silu(self.norm_out(h)))


def most_groups(channels):
    return next(g for g in range(max(1, min(channels // 4, 32)), 0, -1) if channels % g == 0)


class ResidualBlock(nn.Module):
    """Ho et al. 2020 (arXiv:2006.11239), with the time as scale and shift (Dhariwal and Nichol 2021, arXiv:2105.05233)."""

    def __init__(self, before, after, embed):
        super().__init__()
        self.norm_0, self.norm_1 = nn.GroupNorm(most_groups(before), before), nn.GroupNorm(most_groups(after), after)
        self.conv_0 = nn.Conv2d(before, after, 3, padding=1)
        self.dense = nn.Linear(embed, 2 * after)
        self.conv_1 = nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x, time):
        scale, shift = self.dense(time)[:, :, None, None].chunk(2, 1)
        h = self.norm_1(self.conv_0(F.silu(self.norm_0(x)))) * (1 + scale) + shift
        return self.shortcut(x) + self.conv_1(F.silu(h))


class HeadedAttention(nn.Module):
    def __init__(self, channels, head=32):
        super().__init__()
        self.norm, self.head = nn.GroupNorm(most_groups(channels), channels), head
        self.maps = nn.Conv1d(channels, 3 * channels, 1, bias=False)
        self.out = nn.Conv1d(channels, channels, 1)

    def forward(self, x, _time=None):
        rows, channels, flat = x.shape[0], x.shape[1], self.norm(x).flatten(2)
        heads = self.maps(flat).view(rows, channels // self.head, 3, self.head, -1).transpose(3, 4)
        q, k, v = heads.unbind(2)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(rows, channels, -1)
        return x + self.out(mixed).view_as(x)


class DigitsUnet(nn.Module):
    """The U-Net of configs/digits_vp.toml: factors 1 and 2, one block a level, attention at width 4, for 1 x 8 x 8."""

    def __init__(self, nf=32):
        super().__init__()
        embed, wide, self.nf = 4 * nf, 2 * nf, nf
        self.linear_0, self.linear_1 = nn.Linear(nf, embed), nn.Linear(embed, embed)
        self.conv_in, self.high = nn.Conv2d(1, nf, 3, padding=1), ResidualBlock(nf, nf, embed)
        self.down, self.low = nn.Conv2d(nf, nf, 3, 2, 1), ResidualBlock(nf, wide, embed)
        self.low_attention, self.middle_attention = HeadedAttention(wide), HeadedAttention(wide)
        self.middle = nn.ModuleList(ResidualBlock(wide, wide, embed) for _ in range(2))
        sizes = [(wide + wide, wide), (wide + nf, wide), (wide + nf, nf), (nf + nf, nf)]
        self.ways_up = nn.ModuleList(ResidualBlock(before, after, embed) for before, after in sizes)
        self.up_attention = nn.ModuleList(HeadedAttention(wide) for _ in range(2))
        self.up = nn.Conv2d(wide, wide, 3, padding=1)
        self.norm_out, self.conv_out = nn.GroupNorm(most_groups(nf), nf), nn.Conv2d(nf, 1, 3, padding=1)

    def forward(self, x, time):
        time = F.silu(self.linear_1(F.silu(self.linear_0(positional(time, self.nf)))))
        kept = [self.conv_in(x)]
        kept.append(self.high(kept[-1], time))
        kept.append(self.down(kept[-1]))
        kept.append(self.low_attention(self.low(kept[-1], time)))
        h = self.middle[1](self.middle_attention(self.middle[0](kept[-1], time)), time)
        for block, attention in zip(self.ways_up[:2], self.up_attention):
            h = attention(block(torch.cat([h, kept.pop()], 1), time))
        h = self.up(F.interpolate(h, scale_factor=2.0, mode="nearest"))
        for block in self.ways_up[2:]:
            h = block(torch.cat([h, kept.pop()], 1), time)
        return self.conv_out(F.silu(self.norm_out(h)))


def measure(name, net, shape, batch):
    torch.manual_seed(0)
    x, z, times = torch.randn(batch, *shape), torch.randn(batch, *shape), torch.rand(batch) * 999

    def evaluate(bf16):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return net(x, times)

    def step(bf16):
        ((evaluate(bf16) - z) ** 2).mean().backward()
        with torch.no_grad():
            for p in net.parameters():
                p -= 1e-3 * p.grad
                p.grad = None

    def forward(bf16):
        with torch.no_grad():
            evaluate(bf16)

    count = sum(p.numel() for p in net.parameters())
    for what, run in [("training step", step), ("forward", forward)]:
        seconds, processor = {False: [], True: []}, {False: [], True: []}
        run(False), run(True)
        end = time.perf_counter() + 2 * SECONDS
        # By turns, so that a machine that slows down slows both.
        while time.perf_counter() < end or len(seconds[True]) < 3:
            for bf16 in (False, True):
                start, before = time.perf_counter(), time.thread_time()
                run(bf16)
                seconds[bf16].append(time.perf_counter() - start)
                processor[bf16].append(time.thread_time() - before)
        for bf16 in (False, True):
            taken, own = sorted(seconds[bf16]), sorted(processor[bf16])
            median, best = taken[len(taken) // 2], taken[0]
            print(f"{name} ({count} parameters, batch {batch}, {THREADS} threads) {what}, {'bf16' if bf16 else 'f32'}: "
                  f"{batch / median:.0f} images/s (median {1e3 * median:.1f} ms; best {batch / best:.0f}; processor time "
                  f"of the calling thread {1e3 * own[len(own) // 2]:.1f} ms)", flush=True)


print(f"torch {torch.__version__}, eager")
measure("digits U-Net 1x8x8", DigitsUnet(), (1, 8, 8), 128)
measure("ddpmpp 3x16x16", DdpmPlusPlus(), (3, 16, 16), 64)
try:
    from diffusers import UNet2DModel
except ImportError:
    UNet2DModel = None
if UNet2DModel:

    class Unet2d(UNet2DModel):
        def forward(self, x, time):
            return super().forward(x, time, return_dict=False)[0]

    net = Unet2d(
        block_out_channels=(32, 64),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=8,
    )
    measure("diffusers unet2d 3x16x16", net, (3, 16, 16), 64)
print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
