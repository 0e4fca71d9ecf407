#pragma once
// What every connection of one loop shares: the loop itself, buffers, and scratch memory that is
// valid within one callback only.

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>

#include "http/head_scanner.h"
#include "http/request_head.h"
#include "http/response_head.h"
#include "http/writer.h"
#include "loop/loop.h"
#include "net/byte_queue.h"

namespace weir::net {

// Times and sizes of the HTTP/1 server side. Source of the defaults: config::Limits.
struct ServerOptions {
  http::RequestLimits head;
  std::chrono::milliseconds header_timeout{10'000};
  std::chrono::milliseconds body_timeout{30'000};
  std::chrono::milliseconds keep_alive_timeout{75'000};
  std::chrono::milliseconds write_timeout{30'000};
  uint32_t requests_per_connection_max = 0;  // 0: no limit.
};

// Counted by one loop, read by it alone; the composition root publishes copies.
struct ConnectionCounts {
  uint64_t accepted = 0;
  uint64_t open = 0;
  uint64_t requests = 0;
  uint64_t upstream_connects = 0;
  uint64_t upstream_reused = 0;
  uint64_t commit_then_abort = 0;
};

// Ownership: owns scratch and pool; borrows the loop.
// Threading: home loop only.
// Limits: one read takes at most kReadBytes.
struct LoopContext {
  static constexpr size_t kReadBytes = 64 * 1024;

  explicit LoopContext(loop::Loop& home)
      : loop(home), read_scratch(std::make_unique<std::array<char, kReadBytes>>()) {}

  loop::Loop& loop;
  ServerOptions server;
  http::ResponseLimits upstream_head;
  BlockPool blocks;
  ConnectionCounts counts;
  bool draining = false;  // Responses say "Connection: close".

  // Valid until the callback that filled them returns.
  std::unique_ptr<std::array<char, kReadBytes>> read_scratch;
  http::RequestHead request_head;
  http::ResponseHead response_head;
};

}  // namespace weir::net
