#pragma once
// One connection to an upstream that speaks HTTP/1: the codec between a socket and the stages, for
// one exchange after another.
//
//   connecting --established--> idle --send_request--> active --response complete--> idle
//        |                       |                       |
//        +---- any failure, a byte or an end nobody asked for, an exchange that cannot be
//              followed by another ----> closed
//
// send_request() may be called while connecting: the bytes wait.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>

#include "http/body_reader.h"
#include "http/head_scanner.h"
#include "loop/loop.h"
#include "net/byte_queue.h"
#include "net/exchange_stream.h"
#include "net/loop_context.h"
#include "os/fd.h"

namespace weir::net {

// Where connections go when an exchange is over.
// Threading: home loop only.
class Http1ClientOwner {
 public:
  virtual ~Http1ClientOwner() = default;
  virtual void on_established(class Http1ClientConnection& connection) = 0;
  // The exchange ended well, and the connection can carry another.
  virtual void on_idle(Http1ClientConnection& connection) = 0;
  // The connection is closed: forget it and give it to Loop::dispose(). Called before the handler
  // hears of a failure, so that the handler may ask for another connection at once.
  virtual void on_closed(Http1ClientConnection& connection, bool connect_failed) = 0;
};

struct ClientTimeouts {
  std::chrono::milliseconds connect{2000};
  std::chrono::milliseconds first_byte{30'000};
  std::chrono::milliseconds idle{30'000};        // Between two reads or writes within an exchange.
  std::chrono::milliseconds keep_alive{55'000};  // Between exchanges.
};

// Ownership: owns its socket; borrows context, owner and, during an exchange, the handler.
// Threading: home loop only.
// Limits: input kept while incomplete: one head; output queued: what its user sends, who watches
//   queued_bytes().
class Http1ClientConnection final : public loop::Task, public ClientStream {
 public:
  static constexpr int kReadsPerTurn = 4;
  static constexpr int kInterimMax = 16;  // 1xx heads per exchange.

  Http1ClientConnection(LoopContext& context, Http1ClientOwner& owner, os::Fd socket,
                        ClientTimeouts timeouts);
  ~Http1ClientConnection() override;

  base::Status start();  // Watches the socket. Call once.

  // Begins an exchange. Requires an idle or connecting connection without one.
  ClientStream& begin(ClientStreamHandler& handler, ClientTimeouts timeouts);
  void close_idle();  // Requires no exchange.

  bool connecting() const { return state_ == State::connecting; }
  uint32_t pool_index = 0;  // The owner's.
  uint32_t endpoint_index = 0;

  // ClientStream:
  void send_request(const RequestStart& start, std::string_view body, bool last,
                    http::Fields trailers) override;
  void send_body(std::string_view piece, bool last, http::Fields trailers) override;
  size_t queued_bytes() const override { return output_.size(); }
  void pause_response() override { paused_ = true; }
  void resume_response() override;
  void cancel() override;

 private:
  enum class State : uint8_t { connecting, idle, active, closed };

  void on_ready(uint32_t ready) override;
  void on_deadline() override;
  void on_turn() override;

  void on_writable();
  void read_input();
  void process_new(std::string_view fresh);
  void process_kept();
  size_t process(std::string_view bytes);
  size_t process_head(std::string_view bytes);
  size_t process_body(std::string_view bytes);
  void on_end_of_stream();
  void end_response(std::string_view piece, bool bytes_left);

  void append_body(std::string_view piece, bool last, http::Fields trailers);
  void append_last_chunk(http::Fields trailers);
  void send_queued();
  void fail(UpstreamFailure failure);
  void fail_later(UpstreamFailure failure);
  void close(bool connect_failed);
  void arm(std::chrono::milliseconds timeout) { context_.loop.set_deadline(*this, timeout); }

  LoopContext& context_;
  Http1ClientOwner& owner_;
  os::Fd socket_;
  ClientTimeouts timeouts_;
  ClientStreamHandler* handler_ = nullptr;

  State state_ = State::connecting;
  http::BodyKind request_body_ = http::BodyKind::none;
  bool readable_ = false;
  bool writable_ = false;
  bool peer_closed_ = false;
  bool paused_ = false;
  bool request_done_ = false;  // Its last byte is queued, or sent.
  bool request_is_head_ = false;
  bool upgrade_asked_ = false;
  bool head_done_ = false;  // The final response's head was passed on.
  bool tunnel_ = false;
  bool shut_down_ = false;  // The sending direction of a tunnel is over.
  bool keep_alive_ = false;
  bool sent_ = false;  // Some send of this exchange succeeded.
  bool reused_ = false;
  bool above_high_ = false;
  bool processing_ = false;
  bool write_failed_ = false;  // What is left to send is dropped; what was answered is still read.
  bool failing_ = false;       // fail_later() waits for its turn.
  UpstreamFailure failure_ = UpstreamFailure::closed;
  int interims_ = 0;

  http::HeadScanner scanner_;
  http::BodyReader body_;
  ByteQueue input_;
  ByteQueue output_;
};

}  // namespace weir::net
