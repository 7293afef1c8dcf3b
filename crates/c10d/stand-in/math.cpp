// Matrix products that do nothing, and no cuDNN: enough for whole networks to run on the stand-ins, which shows whether all their tensors are
// on one device, and nothing of what they compute.
#include "device.hpp"

#include <cstring>

// As cuBLAS declares them, but for arguments that nobody looks at: those are the caller's matter.
#define DOES_NOTHING(name) \
  EXPORTED int name() {    \
    return 0;              \
  }

DOES_NOTHING(cublasGemmEx)
DOES_NOTHING(cublasGemmStridedBatchedEx)
DOES_NOTHING(cublasLtMatmul)
DOES_NOTHING(cublasLtMatmulDescCreate)
DOES_NOTHING(cublasLtMatmulDescDestroy)
DOES_NOTHING(cublasLtMatmulDescSetAttribute)
DOES_NOTHING(cublasLtMatmulPreferenceCreate)
DOES_NOTHING(cublasLtMatmulPreferenceDestroy)
DOES_NOTHING(cublasLtMatmulPreferenceSetAttribute)
DOES_NOTHING(cublasLtMatrixLayoutCreate)
DOES_NOTHING(cublasLtMatrixLayoutDestroy)
DOES_NOTHING(cublasLtMatrixLayoutSetAttribute)
DOES_NOTHING(cublasSetMathMode)
DOES_NOTHING(cublasSetPointerMode_v2)
DOES_NOTHING(cublasSetStream_v2)
DOES_NOTHING(cublasSetWorkspace_v2)
DOES_NOTHING(cublasSgemm_v2)
DOES_NOTHING(cublasSgemmStridedBatched)

EXPORTED int cublasCreate_v2(void** out) {
  static int handle;
  *out = &handle;
  return 0;
}

EXPORTED int cublasGetMathMode(void*, int* out) {
  *out = 0;
  return 0;
}

// One way to multiply is known.
EXPORTED int cublasLtMatmulAlgoGetHeuristic(
    void*, void*, void*, void*, void*, void*, void*, int, void* results, int* count) {
  std::memset(results, 0, 64);
  *count = 1;
  return 0;
}

// libtorch's question whether it may use cuDNN (`at::Context::userEnabledCuDNN() const`); its own convolutions take matrix products.
EXPORTED bool _ZNK2at7Context16userEnabledCuDNNEv(const void*) {
  return false;
}
