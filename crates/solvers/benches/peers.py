"""Speed of Python's samplers on the problems of the lab, in row evaluations a second: the yardstick beside `lab throughput`.

    python3 -m venv peers && peers/bin/pip install torch torchdiffeq torchsde scipy tqdm pillow
    peers/bin/pip install --no-deps k-diffusion
    git clone https://github.com/yang-song/score_sde_pytorch
    OMP_NUM_THREADS=1 peers/bin/python crates/solvers/benches/peers.py score_sde_pytorch --threads 1

The score is the exact one of the mixture in PyTorch, written as fast as it goes there: one time for all rows, one batched product a
component, no gradient. What the packages import for other purposes is left out.
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
    """Mean coefficient and variance of VP."""
    integral = BETA[0] * t + 0.5 * t * t * (BETA[1] - BETA[0])
    return math.exp(-0.5 * integral), -math.expm1(-integral)


class Mixture:
    def __init__(self, name, rows):
        with open(LAB / f"{name}.toml", "rb") as file:
            table = tomllib.load(file)["mixture"]
        self.weights = torch.tensor(table["weights"], dtype=torch.float64)
        self.means = torch.tensor(table["means"], dtype=torch.float64)
        self.isotropic = "vars" in table
        self.covs = torch.tensor(table["vars" if self.isotropic else "covs"], dtype=torch.float64)
        self.rows, self.dim = rows, self.means.shape[1]

    def score(self, x, mean_coef, var):
        """Of rows `x` under `mean_coef x_0 + sqrt(var) z`."""
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
    print(f"{name:34} fastest {count / seconds[0]:.3g}  median {count / seconds[rounds // 2]:.3g}", flush=True)


def predictor_corrector(folder, mixture, label, steps, corrected):
    sampling, sde_lib = score_sde(folder)
    shape = (mixture.rows, mixture.dim, 1, 1)

    def model(x, t):
        return mixture.score(x.view(mixture.rows, mixture.dim), *kernel(float(t[0]))).view_as(x)

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
        sigma = float(sigma[0])
        mean_coef = 1.0 / math.sqrt(1.0 + sigma**2)
        scaled, var = x * mean_coef, (sigma * mean_coef) ** 2
        return (scaled + var * mixture.score(scaled, mean_coef, var)) / mean_coef

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
        t = float(t)
        return -0.5 * beta(t) * (x + mixture.score(x, *kernel(t)))

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
            return beta(t) * (0.5 * y + mixture.score(y, *kernel(t)))

        def g(self, s, y):
            return torch.full_like(y, math.sqrt(beta(1.0 - float(s))))

    start, times = torch.randn(mixture.rows, mixture.dim), torch.tensor([0.0, 1.0 - EPS])
    for method in ["euler", "milstein", "srk"]:
        def run(method=method):
            count[0] = 0
            torchsde.sdeint(
                Reverse(), start, times, method=method, adaptive=True, rtol=1e-2, atol=1e-2, dt=1e-2, dt_min=1e-5
            )

        show(f"{label} torchsde {method}, adaptive", lambda: count[0], mixture, run, rounds=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("score_sde", type=pathlib.Path, help="a checkout of score_sde_pytorch")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    plane, wide = Mixture("mixture_vp", 4096), Mixture("mixture64_vp", 1024)
    predictor_corrector(args.score_sde, plane, "2-D", 1000, corrected=False)
    predictor_corrector(args.score_sde, plane, "2-D", 500, corrected=True)
    karras(plane, "2-D", stochastic=False)
    dormand_prince(plane, "2-D")
    predictor_corrector(args.score_sde, wide, "64-D", 1000, corrected=False)
    karras(wide, "64-D", stochastic=True)
    adaptive_sde(wide, "64-D")


if __name__ == "__main__":
    main()
