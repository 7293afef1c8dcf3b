// What the sources of the shim share.
#pragma once
#include "shim.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <exception>
#include <future>
#include <memory>
#include <thread>

#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

// Does what may wait without end, in a thread that is left behind when the time is over.
template <class Body>
void within(std::chrono::milliseconds timeout, const char* what, Body body) {
  std::packaged_task<void()> task(std::move(body));
  auto done = task.get_future();
  std::thread(std::move(task)).detach();
  TORCH_CHECK(
      done.wait_for(timeout) == std::future_status::ready, what, " was not done within ", timeout.count(), " ms");
  done.get();
}

// NCCL in a group, shared by the group and by what is under way.
struct Nccl {
  c10::intrusive_ptr<c10d::Backend> engine;
  std::atomic<bool> stopped{false};

  // Ends whatever is under way, whose values are of no use then. Not NCCL's orderly end, which waits for ranks that may be gone.
  void stop() noexcept {
    if (stopped.exchange(true)) {
      return;
    }
    try {
      within(std::chrono::seconds(10), "the end of NCCL", [engine = engine] { engine->abort(); });
    } catch (...) {
      // Whoever stops has an error to report already, or nobody to report to.
    }
  }
};

struct c10d_group {
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
  // For tensors of GPUs; null without.
  std::shared_ptr<Nccl> nccl;
  std::chrono::milliseconds timeout{0};
};

inline char* message(const char* text) {
  char* copy = strdup(text);
  return copy ? copy : strdup("no memory for a message");
}

template <class Body>
char* guarded(Body body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const c10::Error& error) {
    return message(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return message(error.what());
  } catch (...) {
    return message("an exception that is no std::exception");
  }
}
