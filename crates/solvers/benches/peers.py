"""Speed of Python's samplers on the problems of the lab, in row evaluations a second: the yardstick beside `lab throughput`.

    python3 -m venv peers && peers/bin/pip install torch torchdiffeq torchsde scipy tqdm pillow
    peers/bin/pip install --no-deps k-diffusion
    git clone https://github.com/yang-song/score_sde_pytorch
    OMP_NUM_THREADS=1 peers/bin/python crates/solvers/benches/peers.py score_sde_pytorch --threads 1

The score is the exact one of the mixture in PyTorch, in one of two forms. By default as fast as it goes there: one time for all rows,
one batched product a component, no gradient. With `--time-per-row` as a score function that takes what these packages hand to it, a
vector with one time a row, and computes from the noised covariances of each row. What the packages import for other purposes is left
out.
"""

import argparse
import functools
import importlib.util
import math
import pathlib
import sys
import time
import tomllib
import types
import warnings

import torch

LAB = pathlib.Path(__file__).parents[3] / "configs" / "lab"
BETA = (0.1, 20.0)
EPS = 1e-3


def beta(t):
    return BETA[0] + t * (BETA[1] - BETA[0])


def kernel(t):
    """Mean coefficient and variance of VP, at one time or at one a row."""
    integral = BETA[0] * t + 0.5 * t * t * (BETA[1] - BETA[0])
    if isinstance(t, float):
        return math.exp(-0.5 * integral), -math.expm1(-integral)
    return torch.exp(-0.5 * integral), -torch.expm1(-integral)


class Mixture:
    def __init__(self, name, rows, time_per_row):
        with open(LAB / f"{name}.toml", "rb") as file:
            table = tomllib.load(file)["mixture"]
        self.weights = torch.tensor(table["weights"], dtype=torch.float64)
        self.means = torch.tensor(table["means"], dtype=torch.float64)
        self.isotropic = "vars" in table
        self.covs = torch.tensor(table["vars" if self.isotropic else "covs"], dtype=torch.float64)
        self.rows, self.dim, self.time_per_row = rows, self.means.shape[1], time_per_row

    def time(self, t):
        """What the score is given, of a time or of one a row: the first one, or one a row."""
        t = torch.as_tensor(t, dtype=torch.float64).reshape(-1)
        return t.expand(self.rows) if self.time_per_row else float(t[0])

    def score(self, x, mean_coef, var):
        """Of rows `x` under `mean_coef x_0 + sqrt(var) z`."""
        if self.time_per_row:
            return self.score_by_rows(x, mean_coef.float(), var.float())
        if self.isotropic:
            precision = 1.0 / (mean_coef**2 * self.covs + var)
            squares = mean_coef**2 * (self.means**2).sum(1)
            log_weights = self.weights.log() + 0.5 * self.dim * precision.log() - 0.5 * precision * squares
            means, precision = (mean_coef * self.means).float(), precision.float()
            logits = log_weights.float() + x @ (means * precision[:, None]).T
            logits = logits - 0.5 * (x * x).sum(1, keepdim=True) * precision
            shares = torch.softmax(logits, 1) * precision
            return shares @ means - x * shares.sum(1, keepdim=True)
        noised = mean_coef**2 * self.covs + var * torch.eye(self.dim, dtype=torch.float64)
        log_weights = (self.weights.log() - 0.5 * torch.logdet(noised)).float()
        precision = torch.linalg.inv(noised).float()
        centred = x - (mean_coef * self.means).float()[:, None]
        pulled = torch.bmm(centred, precision)
        shares = torch.softmax(log_weights[:, None] - 0.5 * (centred * pulled).sum(-1), 0)
        return -(shares[..., None] * pulled).sum(0)

    def score_by_rows(self, x, mean_coef, var):
        centred = x[:, None] - mean_coef[:, None, None] * self.means.float()
        log_weights = self.weights.log().float()
        if self.isotropic:
            precision = 1.0 / ((mean_coef**2)[:, None] * self.covs.float() + var[:, None])
            pulled = centred * precision[..., None]
            log_weights = log_weights + 0.5 * self.dim * precision.log()
        else:
            noised = (mean_coef**2)[:, None, None, None] * self.covs.float()
            noised = noised + var[:, None, None, None] * torch.eye(self.dim)
            pulled = torch.einsum("rkij,rkj->rki", torch.linalg.inv(noised), centred)
            log_weights = log_weights - 0.5 * torch.logdet(noised)
        shares = torch.softmax(log_weights - 0.5 * (centred * pulled).sum(-1), 1)
        return -(shares[..., None] * pulled).sum(1)


@functools.cache
def score_sde(folder):
    """`sampling` and `sde_lib` of score_sde, without its networks."""
    helpers = types.ModuleType("models.utils")
    helpers.from_flattened_numpy = helpers.to_flattened_numpy = None
    helpers.get_score_fn = lambda sde, model, train=False, continuous=False: model
    models = types.ModuleType("models")
    models.utils = helpers
    sys.modules.update({"models": models, "models.utils": helpers})
    sys.path.insert(0, str(folder))
    import sampling
    import sde_lib

    return sampling, sde_lib


@functools.cache
def k_diffusion():
    """`k_diffusion.sampling`, without the rest of the package."""
    package = types.ModuleType("k_diffusion")
    package.__path__ = list(importlib.util.find_spec("k_diffusion").submodule_search_locations)
    helpers = types.ModuleType("k_diffusion.utils")
    helpers.append_dims = lambda x, dims: x[(...,) + (None,) * (dims - x.ndim)]
    package.utils = helpers
    sys.modules.update({"k_diffusion": package, "k_diffusion.utils": helpers})
    import k_diffusion.sampling

    return k_diffusion.sampling


def show(name, evaluations, mixture, run, rounds=5):
    """Runs once unseen, then `rounds` times; `evaluations` is asked for after a run."""
    run()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    seconds.sort()
    count = evaluations() * mixture.rows
    print(f"{name:53} fastest {count / seconds[0]:.3g}  median {count / seconds[rounds // 2]:.3g}", flush=True)


def predictor_corrector(folder, mixture, label, steps, corrected):
    sampling, sde_lib = score_sde(folder)
    shape = (mixture.rows, mixture.dim, 1, 1)

    def model(x, t):
        return mixture.score(x.view(mixture.rows, mixture.dim), *kernel(mixture.time(t))).view_as(x)

    predictor = sampling.ReverseDiffusionPredictor if corrected else sampling.EulerMaruyamaPredictor
    corrector = sampling.LangevinCorrector if corrected else sampling.NoneCorrector
    sampler = sampling.get_pc_sampler(
        sde_lib.VPSDE(N=steps), shape, predictor, corrector, lambda x: x, snr=0.16, n_steps=1,
        continuous=True, denoise=True, eps=EPS, device="cpu",
    )
    name = "predictor-corrector" if corrected else "Euler-Maruyama"
    evaluations = steps * (2 if corrected else 1)
    show(f"{label} score_sde {name}", lambda: evaluations, mixture, lambda: sampler(model), rounds=3)


def karras(mixture, label, stochastic):
    sampling = k_diffusion()
    sigmas = sampling.get_sigmas_karras(40, 0.0152, 152.0, 7.0)
    start = torch.randn(mixture.rows, mixture.dim) * sigmas[0]
    count = [0]

    def denoiser(x, sigma, **_):
        count[0] += 1
        sigma = mixture.time(sigma)
        mean_coef = 1.0 / (1.0 + sigma**2) ** 0.5
        var = (sigma * mean_coef) ** 2
        shown = (lambda values: values[:, None].float()) if mixture.time_per_row else (lambda value: value)
        scaled = x * shown(mean_coef)
        return (scaled + shown(var) * mixture.score(scaled, mean_coef, var)) / shown(mean_coef)

    names = ["heun", "dpmpp_2m"] + (["dpmpp_2m_sde"] if stochastic else [])
    for name in names:
        def run(method=getattr(sampling, f"sample_{name}")):
            count[0] = 0
            method(denoiser, start, sigmas, disable=True)

        show(f"{label} k-diffusion {name}", lambda: count[0], mixture, run)


def dormand_prince(mixture, label):
    import torchdiffeq

    count = [0]

    def flow(t, x):
        count[0] += 1
        return -0.5 * beta(float(t)) * (x + mixture.score(x, *kernel(mixture.time(t))))

    start, times = torch.randn(mixture.rows, mixture.dim), torch.tensor([1.0, EPS], dtype=torch.float64)

    def run():
        count[0] = 0
        torchdiffeq.odeint(flow, start, times, rtol=1e-5, atol=1e-5, method="dopri5")

    show(f"{label} torchdiffeq dopri5", lambda: count[0], mixture, run)


def adaptive_sde(mixture, label):
    import torchsde

    count = [0]

    class Reverse(torch.nn.Module):
        noise_type, sde_type = "diagonal", "ito"

        def f(self, s, y):
            count[0] += 1
            t = 1.0 - float(s)
            return beta(t) * (0.5 * y + mixture.score(y, *kernel(mixture.time(t))))

        def g(self, s, y):
            return torch.full_like(y, math.sqrt(beta(1.0 - float(s))))

    start, times = torch.randn(mixture.rows, mixture.dim), torch.tensor([0.0, 1.0 - EPS])
    # The tree is what the other side has too; strong order 1.5 (srk) asks for areas, which a tree does not give.
    for method, tree in [("euler", True), ("milstein", True), ("euler", False), ("milstein", False), ("srk", False)]:
        def run(method=method, tree=tree):
            count[0] = 0
            path = torchsde.BrownianTree(t0=0.0, w0=torch.zeros(mixture.rows, mixture.dim), t1=1.0) if tree else None
            torchsde.sdeint(
                Reverse(), start, times, bm=path, method=method, adaptive=True, rtol=1e-2, atol=1e-2, dt=1e-2,
                dt_min=1e-5,
            )

        of = "Brownian tree" if tree else "Brownian interval"
        show(f"{label} torchsde {method}, adaptive, {of}", lambda: count[0], mixture, run, rounds=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("score_sde", type=pathlib.Path, help="a checkout of score_sde_pytorch")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--time-per-row", action="store_true", help="a score that takes one time a row")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    plane, wide = (Mixture(*of, args.time_per_row) for of in [("mixture_vp", 4096), ("mixture64_vp", 1024)])
    predictor_corrector(args.score_sde, plane, "2-D", 1000, corrected=False)
    predictor_corrector(args.score_sde, plane, "2-D", 500, corrected=True)
    karras(plane, "2-D", stochastic=False)
    dormand_prince(plane, "2-D")
    predictor_corrector(args.score_sde, wide, "64-D", 1000, corrected=False)
    karras(wide, "64-D", stochastic=True)
    adaptive_sde(wide, "64-D")


if __name__ == "__main__":
    main()
