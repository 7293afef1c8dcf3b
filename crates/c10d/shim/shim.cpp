#include "group.hpp"

#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <c10/util/Flags.h>
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

C10_DECLARE_int(caffe2_log_level);

struct c10d_work {
  // What the operation reads and writes stays alive until it is done.
  std::vector<at::Tensor> tensors;
  // For an operation of NCCL; null for one of Gloo.
  std::shared_ptr<Nccl> nccl;
  std::chrono::milliseconds timeout{0};
  c10::intrusive_ptr<c10d::Work> work;
};

namespace {

at::Tensor& tensor_of(c10d_tensor tensor) {
  return *static_cast<at::Tensor*>(tensor);
}

c10::intrusive_ptr<c10d::Store> open_store(const c10d_options& options) {
  const std::chrono::milliseconds timeout(options.timeout_ms);
  c10::intrusive_ptr<c10d::Store> store;
  if (options.host) {
    c10d::TCPStoreOptions tcp;
    tcp.port = options.port;
    tcp.isServer = options.is_server != 0;
    tcp.numWorkers = static_cast<std::size_t>(options.world);
    // The group itself waits for all ranks; a store that an agent serves has other clients, too.
    tcp.waitWorkers = false;
    tcp.timeout = timeout;
    store = c10::make_intrusive<c10d::TCPStore>(options.host, tcp);
  } else {
    store = c10::make_intrusive<c10d::FileStore>(options.path, options.world);
  }
  store->setTimeout(timeout);
  if (options.prefix && *options.prefix) {
    store = c10::make_intrusive<c10d::PrefixStore>(options.prefix, store);
    store->setTimeout(timeout);
  }
  return store;
}

std::string text_at(const c10::intrusive_ptr<c10d::Store>& store, const std::string& key) {
  const auto bytes = store->get(key);
  return std::string(bytes.begin(), bytes.end());
}

// Ranks that do not fit together are told so, instead of waiting for each other.
void check_ranks(const c10::intrusive_ptr<c10d::Store>& store, const c10d_options& options) {
  const std::string rank = std::to_string(options.rank);
  const std::string world = std::to_string(options.world);
  TORCH_CHECK(
      store->add("joined/" + rank, 1) == 1,
      "rank ", rank, " has joined already: two processes have one rank, or the store is left from before");
  if (options.rank == 0) {
    store->set("world", std::vector<uint8_t>(world.begin(), world.end()));
  }
  const std::string first = text_at(store, "world");
  TORCH_CHECK(
      first == world, "rank 0 was started as one of ", first, " ranks, this one as one of ", world);
}

// Starts an operation of the engine that has the tensors' device.
template <class Start>
c10d_work* started(const c10d_group& group, std::vector<at::Tensor> tensors, Start start) {
  const bool of_gpu = tensors.front().is_cuda();
  auto work = std::make_unique<c10d_work>();
  work->tensors = std::move(tensors);
  work->timeout = group.timeout;
  if (!of_gpu) {
    work->work = start(*group.gloo);
    return work.release();
  }
  TORCH_CHECK(group.nccl, "a tensor of a GPU in a group without NCCL");
  TORCH_CHECK(!group.nccl->stopped, "an operation before failed");
  work->nccl = group.nccl;
  // NCCL waits without end for ranks that are gone or late, some of it inside of this call. Gloo does not.
  group.gloo->barrier()->wait();
  try {
    work->work = start(*group.nccl->engine);
  } catch (...) {
    group.nccl->stop();
    throw;
  }
  return work.release();
}

// Waits on the host, so that whatever fails, fails here.
void finish(c10d_work& work) {
  if (!work.nccl) {
    work.work->wait();
    return;
  }
  const auto begin = std::chrono::steady_clock::now();
  try {
    while (!work.nccl->stopped && !work.work->isCompleted()) {
      const auto waited = std::chrono::steady_clock::now() - begin;
      TORCH_CHECK(waited < work.timeout, "NCCL was not done within ", work.timeout.count(), " ms");
      if (waited < std::chrono::milliseconds(2)) {
        std::this_thread::yield();
      } else {
        std::this_thread::sleep_for(std::chrono::microseconds(50));
      }
    }
    // An operation that was stopped looks like one that is done.
    TORCH_CHECK(!work.nccl->stopped, "another operation failed, or the group was left before this one was done");
    if (work.work->exception()) {
      std::rethrow_exception(work.work->exception());
    }
    work.work->wait();
  } catch (...) {
    // Else the operation keeps the GPU.
    work.nccl->stop();
    throw;
  }
}

}  // namespace

char* c10d_group_new(const c10d_options* options, c10d_group** out) {
  return guarded([&] {
    // Failures come back as messages: the engine does not log them with a stack trace besides, unless it is asked to.
    if (!std::getenv("TORCH_CPP_LOG_LEVEL")) {
      FLAGS_caffe2_log_level = 3;
    }
    auto group = std::make_unique<c10d_group>();
    group->store = open_store(*options);
    check_ranks(group->store, *options);
    auto gloo = c10d::ProcessGroupGloo::Options::create(std::chrono::milliseconds(options->timeout_ms));
    if (options->interface) {
      gloo->devices.push_back(c10d::ProcessGroupGloo::createDeviceForInterface(options->interface));
    } else if (options->address) {
      gloo->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(options->address));
    } else {
      gloo->devices.push_back(c10d::ProcessGroupGloo::createDefaultDevice());
    }
    group->gloo =
        c10::make_intrusive<c10d::ProcessGroupGloo>(group->store, options->rank, options->world, gloo);
    group->timeout = std::chrono::milliseconds(options->timeout_ms);
    *out = group.release();
  });
}

void c10d_group_free(c10d_group* group) {
  char* failed = guarded([&] {
    std::unique_ptr<c10d_group> owned(group);
    if (owned->nccl) {
      owned->nccl->stop();
    }
  });
  std::free(failed);
}

char* c10d_all_reduce(c10d_group* group, c10d_tensor tensor, int32_t op, c10d_work** out) {
  return guarded([&] {
    std::vector<at::Tensor> tensors{tensor_of(tensor)};
    c10d::AllreduceOptions options;
    options.reduceOp = op == 1 ? c10d::ReduceOp::MIN : op == 2 ? c10d::ReduceOp::MAX : c10d::ReduceOp::SUM;
    *out = started(*group, tensors, [&](auto& engine) { return engine.allreduce(tensors, options); });
  });
}

char* c10d_broadcast(c10d_group* group, c10d_tensor tensor, int32_t root, c10d_work** out) {
  return guarded([&] {
    std::vector<at::Tensor> tensors{tensor_of(tensor)};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    *out = started(*group, tensors, [&](auto& engine) { return engine.broadcast(tensors, options); });
  });
}

char* c10d_all_gather(c10d_group* group, c10d_tensor output, c10d_tensor input, c10d_work** out) {
  return guarded([&] {
    std::vector<at::Tensor> inputs{tensor_of(input)};
    std::vector<std::vector<at::Tensor>> outputs{tensor_of(output).unbind(0)};
    std::vector<at::Tensor> kept = outputs[0];
    kept.push_back(inputs[0]);
    *out = started(*group, kept, [&](auto& engine) { return engine.allgather(outputs, inputs); });
  });
}

char* c10d_barrier(c10d_group* group, c10d_work** out) {
  return guarded([&] {
    auto work = std::make_unique<c10d_work>();
    work->work = group->gloo->barrier();
    *out = work.release();
  });
}

char* c10d_work_wait(c10d_work* work) {
  return guarded([&] {
    std::unique_ptr<c10d_work> owned(work);
    finish(*owned);
  });
}

void c10d_free_message(char* text) {
  std::free(text);
}
