#pragma once
// Requests of `weir smoke`: the same GET over a few keep-alive connections, each timed.

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/socket_address.h"

namespace weir::app {

// What came back of all waves together.
struct SmokeAnswers {
  uint32_t complete = 0;                         // Responses that were read to their end.
  std::map<int, uint32_t> statuses;              // How many of each.
  std::vector<std::chrono::microseconds> times;  // From the first byte sent to the last received.
  std::string problem;                           // Why some request has no response; empty: none.
};

// Ownership: owns its connections.
// Threading: one thread at a time.
// Limits: kConnections; a response of at most kBodyBytesMax, within kPatience.
class SmokeLoad {
 public:
  static constexpr uint32_t kConnections = 4;
  static constexpr uint64_t kBodyBytesMax = 64ULL * 1024 * 1024;
  static constexpr std::chrono::seconds kPatience{10};

  SmokeLoad(const net::SocketAddress& address, const std::string& host, const std::string& path,
            const std::string& user_agent);
  ~SmokeLoad();
  SmokeLoad(const SmokeLoad&) = delete;
  SmokeLoad& operator=(const SmokeLoad&) = delete;

  // Sends `count` requests and waits for their responses; a request that fails is not repeated.
  void send(uint32_t count);

  const SmokeAnswers& answers() const { return answers_; }

 private:
  class Connection;
  std::vector<std::unique_ptr<Connection>> connections_;
  SmokeAnswers answers_;
};

}  // namespace weir::app
