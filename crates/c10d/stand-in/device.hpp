// What the two halves of the stand-in share: work of a stream that is not done yet.
#pragma once
#include <cuda_runtime_api.h>

#include <atomic>
#include <memory>
#include <unistd.h>

#define EXPORTED extern "C" __attribute__((visibility("default")))

struct Job {
  std::atomic<bool> done{false};
};
using JobPointer = std::shared_ptr<Job>;

// The latest work of a stream, or null.
JobPointer latest_job(cudaStream_t stream);
// New work of a stream; it is the latest from now on.
JobPointer new_job(cudaStream_t stream);

inline bool is_done(const JobPointer& job) {
  return !job || job->done;
}

// How long a thread sleeps between two looks at something, in microseconds.
constexpr unsigned LOOK = 20;

inline void wait_for(const JobPointer& job) {
  while (!is_done(job)) {
    usleep(LOOK);
  }
}
