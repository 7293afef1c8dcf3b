// Tensors of CUDA devices by NCCL, where the build found a libtorch for CUDA and the headers of both.
#include "group.hpp"

#ifdef USE_C10D_NCCL

#include <algorithm>
#include <cstdlib>
#include <future>
#include <thread>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

namespace {

// NCCL waits for ranks that do not come without end; a thread that does is left behind when its time is over.
template <class Body>
void within(std::chrono::milliseconds timeout, Body body) {
  std::packaged_task<void()> task(std::move(body));
  auto done = task.get_future();
  std::thread(std::move(task)).detach();
  TORCH_CHECK(
      done.wait_for(timeout) == std::future_status::ready,
      "NCCL: not all ranks came within ", timeout.count(), " ms");
  done.get();
}

}  // namespace

int32_t c10d_has_nccl(void) {
  return 1;
}

char* c10d_gpu_identity(int32_t device, uint8_t* out) {
  return guarded([&] {
    const auto& uuid = at::cuda::getDeviceProperties(static_cast<c10::DeviceIndex>(device))->uuid;
    static_assert(sizeof(uuid.bytes) == 16, "an identity has 16 bytes");
    std::copy_n(reinterpret_cast<const uint8_t*>(uuid.bytes), sizeof(uuid.bytes), out);
  });
}

char* c10d_group_add_nccl(c10d_group* group, int32_t device) {
  return guarded([&] {
    // The options have the layout of NCCL's header, here and inside of libtorch.
    const auto built = torch::cuda::nccl::version();
    TORCH_CHECK(
        built >> 32 == NCCL_MAJOR && (built >> 16 & 0xffff) == NCCL_MINOR,
        "libtorch was built with NCCL ", built >> 32, ".", built >> 16 & 0xffff, ", this program with the header of ",
        NCCL_MAJOR, ".", NCCL_MINOR);
    // The engine's own threads end the process when an operation is late or fails; here the rank that waits says so. They read
    // these variables when the group is made, and no other thread of this process changes any.
    setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0", 0);
    setenv("TORCH_NCCL_ENABLE_MONITORING", "0", 0);
    auto options = c10d::ProcessGroupNCCL::Options::create();
    // Later than the rank that waits for an operation gives up.
    options->timeout = 2 * group->timeout;
    auto store = c10::make_intrusive<c10d::PrefixStore>("nccl", group->store);
    auto nccl = c10::make_intrusive<c10d::ProcessGroupNCCL>(
        store, group->gloo->getRank(), group->gloo->getSize(), options);
    const at::Device own(at::kCUDA, static_cast<c10::DeviceIndex>(device));
    within(group->timeout, [nccl, own] { nccl->eagerConnectSingleDevice(own); });
    group->nccl = nccl;
  });
}

#else

int32_t c10d_has_nccl(void) {
  return 0;
}

char* c10d_gpu_identity(int32_t, uint8_t*) {
  return message("this program was built without NCCL");
}

char* c10d_group_add_nccl(c10d_group*, int32_t) {
  return message("this program was built without NCCL");
}

#endif
