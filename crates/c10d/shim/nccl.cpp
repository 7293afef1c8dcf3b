// Tensors of CUDA devices by NCCL, where the build found a libtorch for CUDA and the headers of both.
#include "group.hpp"

#ifdef USE_C10D_NCCL

#include <algorithm>

#include <c10/util/env.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

int32_t c10d_nccl_state(void) {
  // The engine's options have the layout of NCCL's header, here and inside of libtorch.
  const auto of_libtorch = torch::cuda::nccl::version();
  const bool same = of_libtorch >> 32 == NCCL_MAJOR && (of_libtorch >> 16 & 0xffff) == NCCL_MINOR;
  return same ? 2 : 1;
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
    // Otherwise threads of the engine end the process when an operation fails or is late. It asks when it is made.
    c10::utils::set_env("TORCH_NCCL_BLOCKING_WAIT", "1", true);
    // Otherwise NCCL connects in the first call of each algorithm, where nothing can end its waiting for a rank that failed.
    c10::utils::set_env("NCCL_RUNTIME_CONNECT", "0", false);
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = group->timeout;
    auto store = c10::make_intrusive<c10d::PrefixStore>("nccl", group->store);
    auto engine = c10::make_intrusive<c10d::ProcessGroupNCCL>(
        store, group->gloo->getRank(), group->gloo->getSize(), options);
    auto nccl = std::make_shared<Nccl>();
    nccl->engine = engine;
    // Who has come here will come to the meeting of NCCL, too, which waits without end.
    group->gloo->barrier()->wait();
    const at::Device own(at::kCUDA, static_cast<c10::DeviceIndex>(device));
    try {
      within(group->timeout, "the meeting of NCCL", [engine, own] { engine->eagerConnectSingleDevice(own); });
    } catch (...) {
      nccl->stop();
      throw;
    }
    group->nccl = nccl;
  });
}

#else

int32_t c10d_nccl_state(void) {
  return 0;
}

char* c10d_gpu_identity(int32_t, uint8_t*) {
  return message("this program was built without NCCL");
}

char* c10d_group_add_nccl(c10d_group*, int32_t) {
  return message("this program was built without NCCL");
}

#endif
