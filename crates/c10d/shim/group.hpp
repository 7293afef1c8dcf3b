// What the sources of the shim share.
#pragma once
#include "shim.h"

#include <chrono>
#include <cstring>
#include <exception>

#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

struct c10d_group {
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
  // For tensors of GPUs; null without.
  c10::intrusive_ptr<c10d::Backend> nccl;
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
