"""The all-reduce of PyTorch's torch.distributed (Gloo) between two processes on this machine, by size: of the slower rank."""

import tempfile
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def work(rank: int, path: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=2)
    for size, rounds in [(4, 300), (4_000, 300), (400_000, 100), (4_000_000, 50), (100_000_000, 11)]:
        tensor = torch.ones(size // 4)
        taken = []
        for _ in range(rounds):
            dist.barrier()
            start = time.perf_counter()
            dist.all_reduce(tensor)
            longest = torch.tensor([time.perf_counter() - start])
            dist.all_reduce(longest, op=dist.ReduceOp.MAX)
            taken.append(longest.item())
            tensor.fill_(1.0)
        median = sorted(taken)[len(taken) // 2]
        if rank == 0:
            print(f"all-reduce of {size} bytes, 2 ranks: {1e3 * median:.3f} ms ({1e-9 * size / median:.2f} GB/s)")
    dist.destroy_process_group()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(work, args=(f"{folder}/store",), nprocs=2)
