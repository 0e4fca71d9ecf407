#pragma once
// The control socket: how commands on the same machine talk to a running server. A Unix socket in
// the data directory, mode 0600: whoever may open it may ask.
//
// One line of JSON in, one line of JSON out, then the end: {"command":"status"}. An answer may come
// later, and may be a stream of lines that ends when the other side hangs up.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "base/result.h"
#include "loop/loop.h"
#include "os/fd.h"

namespace weir::app {

inline constexpr std::string_view kControlSocketName = "control.sock";

// Names one connection that waits for its answer. Never used twice.
enum class Ticket : uint64_t {};

// Lines for one connection, for as long as it lives: the connection destroys it when it ends.
// Threading: the control thread.
class LineStream {
 public:
  virtual ~LineStream() = default;
  // The next bytes to send, whole lines; empty: nothing yet, ControlSocket::pump() when there is.
  virtual std::string next() = 0;
};

// Ownership: owns listener and connections; borrows the loop.
// Threading: the control thread.
// Limits: kConnectionsMax at a time, kRequestBytesMax per request. A connection gets kPatience,
//   unless it has a stream: that one waits for a slow reader, with one piece in memory.
class ControlSocket final : public loop::Task {
 public:
  static constexpr size_t kConnectionsMax = 64;
  // A configuration of 8 MiB in base64.
  static constexpr size_t kRequestBytesMax = 12 * 1024 * 1024;
  static constexpr std::chrono::milliseconds kPatience{10'000};

  // Answers one request; both are JSON texts without a line end. Nothing: answer() or stream() is
  // called for the ticket later, or within.
  using Answer = std::function<std::optional<std::string>(std::string_view request, Ticket ticket)>;

  // Errors: those of net::listen_on().
  static base::Result<std::unique_ptr<ControlSocket>> open(loop::Loop& loop,
                                                           const std::string& path, Answer answer);
  ~ControlSocket() override;

  // Who asks, by the operating system; none where the connection is gone.
  std::optional<uid_t> user_of(Ticket ticket);

  // Both have no effect when the connection is gone.
  void answer(Ticket ticket, std::string text);
  void stream(Ticket ticket, std::unique_ptr<LineStream> lines);
  // Some stream may have lines.
  void pump();

 private:
  class Connection;
  ControlSocket(loop::Loop& loop, os::Fd listener, std::string path, Answer answer);
  void on_ready(uint32_t ready) override;
  void on_deadline() override;
  void rest();
  Connection* find(Ticket ticket);

  loop::Loop& loop_;
  os::Fd listener_;
  const std::string path_;
  const Answer answer_;
  uint64_t tickets_ = 0;
  std::vector<std::unique_ptr<Connection>> connections_;
};

// The other end: sends `request` to the server of `data_dir` and returns its answer. Blocks for at
// most `patience`. Errors: not_found (no server runs there), timed_out, unavailable.
base::Result<std::string> ask_server(const std::string& data_dir, std::string_view request,
                                     std::chrono::milliseconds patience);

// The same for a stream of lines: calls `each` with every line, without its end, until it returns
// false or the server ends. Errors: not_found, unavailable.
base::Status follow_server(const std::string& data_dir, std::string_view request,
                           const std::function<bool(std::string_view line)>& each);

}  // namespace weir::app
