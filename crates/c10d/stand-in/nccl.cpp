// A stand-in for NCCL between ranks of one machine, threads or processes, on tensors of the stand-in for CUDA: each rank writes its
// numbers into a file of /dev/shm that all map. Operations are under way in threads of their own, as NCCL's are on the GPU.
#include "device.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <nccl.h>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <vector>

namespace {

// Bytes of a rank's part of the file, behind the page of the counters.
constexpr std::size_t PAGE = 4096, AREA = std::size_t{64} << 20;
constexpr int MOST = 8;

// How many operations each rank has written its numbers for, and has finished.
struct Counters {
  std::atomic<int> joined;
  std::atomic<long> written[MOST], finished[MOST];
};

enum class Kind { Reduce, Broadcast, Gather };

std::size_t width(ncclDataType_t type) {
  switch (type) {
    case ncclInt8:
    case ncclUint8:
      return 1;
    case ncclFloat32:
    case ncclInt32:
      return 4;
    default:
      return 8;
  }
}

}  // namespace

struct ncclComm {
  int rank, world;
  Counters* counters;
  char* areas;
  long operations = 0;
  JobPointer before{};
  std::atomic<bool> aborted{false};
  std::vector<std::thread> threads{};

  // Waits until all ranks have counted to a number; false if this rank gives up.
  bool all(const std::atomic<long>* counter, long number) const {
    return std::all_of(counter, counter + world, [&](const std::atomic<long>& rank) {
      while (rank < number && !aborted) {
        usleep(LOOK);
      }
      return !aborted;
    });
  }

  template <class Number>
  void reduce(void* out, std::size_t count, ncclRedOp_t op) const {
    for (std::size_t i = 0; i < count; ++i) {
      const auto of_rank = [&](int rank) { return reinterpret_cast<const Number*>(areas + AREA * rank)[i]; };
      Number value = of_rank(0);
      for (int rank = 1; rank < world; ++rank) {
        const Number other = of_rank(rank);
        value = op == ncclSum ? value + other : op == ncclMin ? std::min(value, other) : std::max(value, other);
      }
      static_cast<Number*>(out)[i] = value;
    }
  }
};

namespace {

struct Operation {
  Kind kind;
  const void* from;
  void* to;
  std::size_t count;
  ncclDataType_t type;
  ncclRedOp_t op;
  int root;
};

void perform(ncclComm& comm, const Operation& what, long number) {
  const std::size_t bytes = what.count * width(what.type);
  if (!comm.all(comm.counters->finished, number - 1)) {
    return;
  }
  std::memcpy(comm.areas + AREA * comm.rank, what.from, bytes);
  comm.counters->written[comm.rank] = number;
  if (!comm.all(comm.counters->written, number)) {
    return;
  }
  if (what.kind == Kind::Broadcast) {
    std::memcpy(what.to, comm.areas + AREA * what.root, bytes);
  } else if (what.kind == Kind::Gather) {
    for (int rank = 0; rank < comm.world; ++rank) {
      std::memcpy(static_cast<char*>(what.to) + bytes * rank, comm.areas + AREA * rank, bytes);
    }
  } else if (what.type == ncclFloat32) {
    comm.reduce<float>(what.to, what.count, what.op);
  } else {
    comm.reduce<double>(what.to, what.count, what.op);
  }
  comm.counters->finished[comm.rank] = number;
}

ncclResult_t start(ncclComm_t comm, cudaStream_t stream, const Operation& what) {
  const bool known = what.kind != Kind::Reduce || what.type == ncclFloat32 || what.type == ncclFloat64;
  if (!known || what.count * width(what.type) > AREA) {
    return ncclInvalidArgument;
  }
  const auto before = comm->before;
  const auto job = comm->before = new_job(stream);
  const long number = ++comm->operations;
  comm->threads.emplace_back([=] {
    wait_for(before);
    perform(*comm, what, number);
    job->done = true;
  });
  return ncclSuccess;
}

}  // namespace

EXPORTED ncclResult_t ncclGetVersion(int* out) {
  *out = NCCL_VERSION_CODE;
  return ncclSuccess;
}

EXPORTED const char* ncclGetErrorString(ncclResult_t) {
  return "an error of the stand-in";
}

EXPORTED const char* ncclGetLastError(ncclComm_t) {
  return "";
}

EXPORTED ncclResult_t ncclGroupStart() {
  return ncclSuccess;
}

EXPORTED ncclResult_t ncclGroupEnd() {
  return ncclSuccess;
}

EXPORTED ncclResult_t ncclGetUniqueId(ncclUniqueId* out) {
  *out = {};
  const long long now = std::chrono::steady_clock::now().time_since_epoch().count();
  std::snprintf(out->internal, sizeof out->internal, "/dev/shm/stand-in-%d-%lld", getpid(), now);
  return ncclSuccess;
}

EXPORTED ncclResult_t ncclCommInitRankConfig(
    ncclComm_t* out, int world, ncclUniqueId id, int rank, ncclConfig_t*) {
  const std::size_t size = PAGE + AREA * static_cast<std::size_t>(world);
  const int file = open(id.internal, O_RDWR | O_CREAT, 0600);
  if (world > MOST || file < 0 || ftruncate(file, static_cast<off_t>(size)) != 0) {
    return ncclSystemError;
  }
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (memory == MAP_FAILED) {
    return ncclSystemError;
  }
  auto* counters = static_cast<Counters*>(memory);
  for (++counters->joined; counters->joined < world;) {
    usleep(LOOK);
  }
  unlink(id.internal);
  *out = new ncclComm{rank, world, counters, static_cast<char*>(memory) + PAGE};
  return ncclSuccess;
}

EXPORTED ncclResult_t ncclCommGetAsyncError(ncclComm_t, ncclResult_t* out) {
  *out = ncclSuccess;
  return ncclSuccess;
}

// As NCCL's, nothing for none.
EXPORTED ncclResult_t ncclCommAbort(ncclComm_t comm) {
  if (comm) {
    comm->aborted = true;
    for (auto& thread : comm->threads) {
      thread.join();
    }
    munmap(comm->counters, PAGE + AREA * static_cast<std::size_t>(comm->world));
    delete comm;
  }
  return ncclSuccess;
}

EXPORTED ncclResult_t ncclAllReduce(
    const void* from, void* to, std::size_t count, ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm,
    cudaStream_t stream) {
  return start(comm, stream, {Kind::Reduce, from, to, count, type, op, 0});
}

EXPORTED ncclResult_t ncclBcast(
    void* place, std::size_t count, ncclDataType_t type, int root, ncclComm_t comm, cudaStream_t stream) {
  return start(comm, stream, {Kind::Broadcast, place, place, count, type, ncclSum, root});
}

EXPORTED ncclResult_t ncclAllGather(
    const void* from, void* to, std::size_t count, ncclDataType_t type, ncclComm_t comm, cudaStream_t stream) {
  return start(comm, stream, {Kind::Gather, from, to, count, type, ncclSum, 0});
}
