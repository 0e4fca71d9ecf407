#pragma once
// The control socket: how commands on the same machine talk to a running server. A Unix socket in
// the data directory, mode 0600: whoever may open it may ask.
//
// One line of JSON in, one line of JSON out, then the end: {"command":"status"}.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "loop/loop.h"
#include "os/fd.h"

namespace weir::app {

inline constexpr std::string_view kControlSocketName = "control.sock";

// Ownership: owns listener and connections; borrows the loop.
// Threading: the control thread.
// Limits: kConnectionsMax at a time, kRequestBytesMax per request, kPatience per connection.
class ControlSocket final : public loop::Task {
 public:
  static constexpr size_t kConnectionsMax = 64;
  static constexpr size_t kRequestBytesMax = 64 * 1024;
  static constexpr std::chrono::milliseconds kPatience{10'000};

  // Answers one request; both are JSON texts without a line end.
  using Answer = std::function<std::string(std::string_view request)>;

  // Errors: those of net::listen_on().
  static base::Result<std::unique_ptr<ControlSocket>> open(loop::Loop& loop,
                                                           const std::string& path, Answer answer);
  ~ControlSocket() override;

 private:
  class Connection;
  ControlSocket(loop::Loop& loop, os::Fd listener, std::string path, Answer answer);
  void on_ready(uint32_t ready) override;

  loop::Loop& loop_;
  os::Fd listener_;
  const std::string path_;
  const Answer answer_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

// The other end: sends `request` to the server of `data_dir` and returns its answer. Blocks for at
// most `patience`. Errors: not_found (no server runs there), timed_out, unavailable.
base::Result<std::string> ask_server(const std::string& data_dir, std::string_view request,
                                     std::chrono::milliseconds patience);

}  // namespace weir::app
