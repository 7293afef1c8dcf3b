// A stand-in for CUDA's runtime and driver on a machine without a GPU, so that what libtorch's CUDA half does on the host can be tested:
// a device's memory is the host's, copies are copies, and kernels do nothing. STAND_IN_GPUS says how many devices there are.
#include "device.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

namespace {

struct Block {
  std::size_t size;
  int device;
};

std::mutex lock;
std::map<cudaStream_t, JobPointer> streams;
std::map<cudaEvent_t, JobPointer> events;
std::map<const char*, Block> blocks;
thread_local int device = 0;

int count() {
  const char* text = std::getenv("STAND_IN_GPUS");
  return text ? std::atoi(text) : 2;
}

template <class Handle>
cudaError_t make(Handle* handle) {
  *handle = static_cast<Handle>(std::malloc(64));
  return cudaSuccess;
}

cudaError_t allocate(void** place, std::size_t size) {
  const std::size_t whole = (size + 511) / 512 * 512;
  *place = std::aligned_alloc(512, whole);
  if (!*place) {
    return cudaErrorMemoryAllocation;
  }
  // What kernels do not write is the same every time.
  std::memset(*place, 0, whole);
  return cudaSuccess;
}

cudaError_t ready(const JobPointer& job) {
  return is_done(job) ? cudaSuccess : cudaErrorNotReady;
}

JobPointer job_of(cudaEvent_t event) {
  const std::lock_guard guard(lock);
  const auto found = events.find(event);
  return found == events.end() ? nullptr : found->second;
}

}  // namespace

JobPointer latest_job(cudaStream_t stream) {
  const std::lock_guard guard(lock);
  const auto found = streams.find(stream);
  return found == streams.end() ? nullptr : found->second;
}

JobPointer new_job(cudaStream_t stream) {
  auto job = std::make_shared<Job>();
  const std::lock_guard guard(lock);
  return streams[stream] = job;
}

// Devices.

EXPORTED cudaError_t cudaGetDeviceCount(int* out) {
  *out = count();
  return cudaSuccess;
}

EXPORTED cudaError_t cudaGetDevice(int* out) {
  *out = device;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaSetDevice(int number) {
  if (number < 0 || number >= count()) {
    return cudaErrorInvalidDevice;
  }
  device = number;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaGetDeviceProperties(cudaDeviceProp* out, int number) {
  *out = {};
  std::snprintf(out->name, sizeof out->name, "stand-in %d", number);
  out->uuid.bytes[0] = 1;
  out->uuid.bytes[15] = static_cast<char>(number);
  out->major = 9;
  out->totalGlobalMem = std::size_t{4} << 30;
  out->multiProcessorCount = 8;
  out->warpSize = 32;
  out->maxThreadsPerBlock = 1024;
  out->maxThreadsPerMultiProcessor = 2048;
  out->sharedMemPerBlock = 48 << 10;
  std::fill_n(out->maxThreadsDim, 3, 1024);
  std::fill_n(out->maxGridSize, 3, 65535);
  return cudaSuccess;
}

EXPORTED cudaError_t cudaDeviceGetAttribute(int* out, cudaDeviceAttr, int) {
  *out = 1;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaDeviceCanAccessPeer(int* out, int, int) {
  *out = 0;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaDriverGetVersion(int* out) {
  *out = CUDART_VERSION;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaDeviceSynchronize() {
  return cudaSuccess;
}

EXPORTED cudaError_t cudaGetLastError() {
  return cudaSuccess;
}

EXPORTED cudaError_t cudaPeekAtLastError() {
  return cudaSuccess;
}

// The driver, which libtorch opens by the name of its file.

EXPORTED int cuInit(unsigned) {
  return 0;
}

EXPORTED int cuCtxGetCurrent(void** out) {
  static int context;
  *out = &context;
  return 0;
}

EXPORTED int cuDevicePrimaryCtxGetState(int, unsigned* flags, int* active) {
  *flags = 0;
  *active = 1;
  return 0;
}

// Memory.

EXPORTED cudaError_t cudaMemGetInfo(std::size_t* available, std::size_t* total) {
  *available = *total = std::size_t{4} << 30;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaMalloc(void** place, std::size_t size) {
  const cudaError_t outcome = allocate(place, size);
  const std::lock_guard guard(lock);
  blocks[static_cast<char*>(*place)] = {size, device};
  return outcome;
}

EXPORTED cudaError_t cudaFree(void* place) {
  const std::lock_guard guard(lock);
  blocks.erase(static_cast<char*>(place));
  std::free(place);
  return cudaSuccess;
}

EXPORTED cudaError_t cudaHostAlloc(void** place, std::size_t size, unsigned) {
  return allocate(place, size);
}

EXPORTED cudaError_t cudaFreeHost(void* place) {
  std::free(place);
  return cudaSuccess;
}

EXPORTED cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* out, const void* place) {
  *out = {};
  const std::lock_guard guard(lock);
  const auto* address = static_cast<const char*>(place);
  auto found = blocks.upper_bound(address);
  if (found == blocks.begin() || address >= (--found)->first + found->second.size) {
    out->type = cudaMemoryTypeUnregistered;
    return cudaSuccess;
  }
  out->type = cudaMemoryTypeDevice;
  out->device = found->second.device;
  out->devicePointer = const_cast<void*>(place);
  return cudaSuccess;
}

// Copies in the order of the stream: at once where it has nothing to do.
EXPORTED cudaError_t cudaMemcpyAsync(
    void* to, const void* from, std::size_t size, cudaMemcpyKind, cudaStream_t stream) {
  const auto before = latest_job(stream);
  if (is_done(before)) {
    std::memmove(to, from, size);
    return cudaSuccess;
  }
  const auto job = new_job(stream);
  std::thread([=] {
    wait_for(before);
    std::memmove(to, from, size);
    job->done = true;
  }).detach();
  return cudaSuccess;
}

EXPORTED cudaError_t cudaMemsetAsync(void* place, int value, std::size_t size, cudaStream_t stream) {
  wait_for(latest_job(stream));
  std::memset(place, value, size);
  return cudaSuccess;
}

// Streams and events.

EXPORTED cudaError_t cudaStreamCreateWithPriority(cudaStream_t* out, unsigned, int) {
  return make(out);
}

EXPORTED cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  wait_for(latest_job(stream));
  return cudaSuccess;
}

EXPORTED cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return ready(latest_job(stream));
}

// Streams wait for events that are past by then.
EXPORTED cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) {
  return cudaSuccess;
}

EXPORTED cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* out) {
  *out = cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaStreamGetCaptureInfo(
    cudaStream_t, cudaStreamCaptureStatus* out, unsigned long long*, cudaGraph_t*, const cudaGraphNode_t**,
    const cudaGraphEdgeData**, std::size_t*) {
  *out = cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode*) {
  return cudaSuccess;
}

EXPORTED cudaError_t cudaEventCreateWithFlags(cudaEvent_t* out, unsigned) {
  return make(out);
}

EXPORTED cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const std::lock_guard guard(lock);
  events.erase(event);
  std::free(event);
  return cudaSuccess;
}

EXPORTED cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const auto job = latest_job(stream);
  const std::lock_guard guard(lock);
  events[event] = job;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned) {
  return cudaEventRecord(event, stream);
}

EXPORTED cudaError_t cudaEventQuery(cudaEvent_t event) {
  return ready(job_of(event));
}

EXPORTED cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  wait_for(job_of(event));
  return cudaSuccess;
}

// Kernels.

EXPORTED cudaError_t __cudaGetKernel(cudaKernel_t* out, const void* function) {
  *out = static_cast<cudaKernel_t>(const_cast<void*>(function));
  return cudaSuccess;
}

EXPORTED cudaError_t __cudaLaunchKernel(cudaKernel_t, dim3, dim3, void**, std::size_t, cudaStream_t) {
  return cudaSuccess;
}
