#pragma once
// An upstream that does what a test says: a real listener on loopback, on the test's own loop. It
// keeps every byte that came and sends what it is told, when it is told.

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "loop/loop.h"
#include "os/fd.h"

namespace weir::net::testing {

// The upstream's end of one connection.
// Ownership: the ScriptedUpstream's, for the whole test.
// Threading: home loop only.
class UpstreamConnection final : public loop::Task {
 public:
  UpstreamConnection(class ScriptedUpstream& upstream, os::Fd socket);

  const std::string& received() const { return received_; }
  // Heads, as far as they came in full; bodies count as nothing.
  size_t head_count() const;
  // What follows the first head.
  std::string_view body() const;
  // The value of a field of the first head, "(none)" without.
  std::string field(std::string_view name) const;
  std::string request_line() const { return received_.substr(0, received_.find("\r\n")); }
  bool ended() const { return ended_; }  // The gateway will send no more, or has closed.

  void send(std::string_view bytes);  // What the socket does not take waits.
  size_t unsent_bytes() const { return unsent_.size(); }
  void close() { socket_.reset(); }
  void reset();  // Closes with RST.
  void pause_reading() { reading_ = false; }
  void resume_reading();

  size_t answered = 0;  // For whoever answers by itself.

 private:
  void on_ready(uint32_t ready) override;
  void read_all();
  void send_more();

  ScriptedUpstream& upstream_;
  os::Fd socket_;
  std::string received_;
  std::string unsent_;
  bool reading_ = true;
  bool ended_ = false;
};

// Ownership: owns listener and connections; borrows the loop.
// Threading: home loop only.
class ScriptedUpstream final : public loop::Task {
 public:
  explicit ScriptedUpstream(loop::Loop& loop);
  ~ScriptedUpstream() override;

  std::string url() const;
  std::string authority() const;  // "127.0.0.1:PORT"
  // Whoever connects from now on is refused.
  void stop_listening();

  size_t connection_count() const { return connections_.size(); }
  UpstreamConnection& connection(size_t index) { return *connections_.at(index); }

  // Called after bytes, or the end, came on a connection.
  std::function<void(UpstreamConnection&)> on_input;
  // Answers every head as soon as it is there. Not for requests with a body.
  void answer_all(std::string response);

 private:
  friend class UpstreamConnection;

  void on_ready(uint32_t ready) override;

  loop::Loop& loop_;
  os::Fd listener_;
  uint16_t port_ = 0;
  std::vector<std::unique_ptr<UpstreamConnection>> connections_;
};

}  // namespace weir::net::testing
