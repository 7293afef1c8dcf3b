// The C interface to c10d that src/ffi.rs declares once more. Every function returns NULL, or a message that the caller frees with
// c10d_free_message. No exception crosses it.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// A tensor as torch-sys holds it: at::Tensor*.
typedef void* c10d_tensor;
typedef struct c10d_group c10d_group;
typedef struct c10d_work c10d_work;

typedef struct {
  // Host of the TCP store; NULL: a file store at `path`.
  const char* host;
  uint16_t port;
  // Whether this process serves the TCP store.
  int32_t is_server;
  const char* path;
  // Put before every key, so that one store serves several groups.
  const char* prefix;
  // Name of the network interface, or NULL; then `address`, or NULL; then what the host's name resolves to.
  const char* interface;
  const char* address;
  int32_t rank;
  int32_t world;
  int64_t timeout_ms;
} c10d_options;

char* c10d_group_new(const c10d_options* options, c10d_group** out);
void c10d_group_free(c10d_group* group);

// 0: NCCL was not compiled in, and the next two functions return a message; 1: it was, but libtorch with another version; 2: it can be used.
int32_t c10d_nccl_state(void);
// The 16 bytes that a CUDA device has to itself in the whole world.
char* c10d_gpu_identity(int32_t device, uint8_t* out);
// From then on tensors on this CUDA device go by NCCL. Every rank of the group calls it.
char* c10d_group_add_nccl(c10d_group* group, int32_t device);

// op: 0 sum, 1 minimum, 2 maximum.
char* c10d_all_reduce(c10d_group* group, c10d_tensor tensor, int32_t op, c10d_work** out);
char* c10d_broadcast(c10d_group* group, c10d_tensor tensor, int32_t root, c10d_work** out);
// `output` is contiguous and has one more dimension in front, of one entry a rank.
char* c10d_all_gather(c10d_group* group, c10d_tensor output, c10d_tensor input, c10d_work** out);
char* c10d_barrier(c10d_group* group, c10d_work** out);
// Waits until it is done; the work is freed whatever happens.
char* c10d_work_wait(c10d_work* work);

void c10d_free_message(char* message);

#ifdef __cplusplus
}
#endif
