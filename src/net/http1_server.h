#pragma once
// One client connection that speaks HTTP/1: the codec between a socket and the stages.
//
// A connection holds no buffers while it is idle. Requests are parsed out of the loop's scratch
// memory; only what is incomplete is kept. Responses are written with one system call where they
// fit: head and body piece wait for flush() or finish() and go out together.
//
//            +--------------- exchange complete, keep-alive ---------------+
//            v                                                             |
//   head --request head--> exchange --101 finished--> tunnel               |
//    ^  |                    |     \---------------------------------------+
//    |  +--malformed--> exchange (its answer closes)
//   proxy_header             +--body unread at the end--> lingering --> closed
//
// Source: RFC 9112; closing with an unread body: RFC 9112 section 9.6.

#include <chrono>
#include <cstdint>
#include <functional>
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

// Whoever owns the connections of a loop.
// Threading: home loop only.
class Http1ServerOwner {
 public:
  virtual ~Http1ServerOwner() = default;
  // The connection is closed: forget it and give it to Loop::dispose().
  virtual void on_closed(class Http1ServerConnection& connection) = 0;
  // Whether an address may speak the PROXY protocol on this listener.
  virtual bool trusts_proxy(uint32_t listener, const SocketAddress& peer) const = 0;
};

// Ownership: owns its socket; borrows context, handler and owner.
// Threading: home loop only.
// Limits: input kept while incomplete: one head; output queued: kQueuedBytesHigh plus one read;
//   kRequestsPerTurn pipelined requests, then others run; lingering discards kLingerBytesMax or
//   kLingerTime.
class Http1ServerConnection final : public loop::Task, public ServerStream {
 public:
  static constexpr int kRequestsPerTurn = 16;
  static constexpr int kReadsPerTurn = 4;
  static constexpr size_t kLingerBytesMax = 256 * 1024;
  static constexpr std::chrono::milliseconds kLingerTime{2000};
  // While the loop drains, a connection at rest is closed after this time: enough for a client in
  // use to send one more request, whose answer tells it to close.
  static constexpr std::chrono::milliseconds kDrainRest{500};

  struct Options {
    uint32_t listener = 0;
    bool proxy_protocol = false;
  };

  Http1ServerConnection(LoopContext& context, ServerHandler& handler, Http1ServerOwner& owner,
                        os::Fd socket, const SocketAddress& peer, Options options);
  ~Http1ServerConnection() override;

  uint32_t owner_index = 0;  // The owner's.

  // Watches the socket. Call once. Errors: unavailable.
  base::Status start();

  // The loop drains (LoopContext::draining is set): ends with the first exchange whose answer can
  // still say so, or after kDrainRest without one.
  void drain();

  // ServerStream:
  void attach(ServerStreamHandler& handler) override { exchange_ = &handler; }
  void interim(int status, http::Fields fields) override;
  void respond(const ResponseStart& start) override;
  void send_body(std::string_view piece) override;
  void flush() override;
  void finish(http::Fields trailers) override;
  void abort() override;
  size_t queued_bytes() const override { return output_.size(); }
  void pause_body() override;
  void resume_body() override;
  void set_deadline(std::chrono::milliseconds delay) override;
  uint64_t bytes_in() const override { return bytes_in_; }
  uint64_t bytes_out() const override { return bytes_out_ - output_.size(); }
  bool response_started() const override { return response_started_; }

 private:
  enum class State : uint8_t { proxy_header, head, exchange, tunnel, lingering, closed };
  enum class Framing : uint8_t { none, length, chunked, until_close };

  void on_ready(uint32_t ready) override;
  void on_deadline() override;
  void on_turn() override;

  // Input.
  bool at_rest() const;  // Between exchanges, or waiting for a first one, and nothing has come.
  void read_input();
  bool wants_input() const;
  void process_new(std::string_view fresh);  // Bytes in the scratch memory.
  void process_kept();                       // Bytes in input_.
  size_t process(std::string_view bytes);    // Returns how many are finished with.
  size_t process_proxy_header(std::string_view bytes);
  size_t process_head(std::string_view bytes);
  size_t process_body(std::string_view bytes);
  void begin_exchange(size_t head_bytes);
  void malformed(http::Malformed kind, size_t bytes);
  void on_end_of_stream();

  // Output.
  void append_head(const ResponseStart& start);
  void send_queued();
  void settle();  // After output went out: completes, resumes, or closes.
  void commit(bool open_ended);
  void complete();
  void break_off();  // The socket failed: told to the exchange in the next turn.
  void lose(bool timed_out);
  void linger();
  void close();
  void update_deadline();

  LoopContext& context_;
  ServerHandler& handler_;
  Http1ServerOwner& owner_;
  os::Fd socket_;
  ServerStreamHandler* exchange_ = nullptr;
  ClientConnection client_;

  State state_;
  Framing framing_ = Framing::none;
  bool readable_ = false;
  bool writable_ = true;
  bool peer_closed_ = false;  // The peer said that it will send no more.
  bool processing_ = false;   // Inside process(): completing an exchange must not recurse into it.
  bool body_done_ = true;     // The request is complete.
  bool body_paused_ = false;
  bool keep_alive_ = false;
  bool response_started_ = false;
  bool finishing_ = false;  // finish() was called: what is queued is the end of the response.
  bool committed_ = false;
  bool broken_ = false;      // The socket failed.
  bool above_high_ = false;  // The queue was above its high watermark.
  bool client_is_http_1_0_ = false;
  bool head_started_ = false;  // Some bytes of a head are there.
  bool expects_continue_ = false;
  bool framing_lost_ = false;  // Nobody knows where a next request would begin.
  bool budget_spent_ = false;  // kRequestsPerTurn were served in this turn.
  uint32_t requests_ = 0;
  uint64_t bytes_in_ = 0;
  uint64_t bytes_out_ = 0;  // Offered: sent, or about to be.
  uint64_t body_left_ = 0;  // With Framing::length.
  size_t lingered_bytes_ = 0;
  base::Monotonic exchange_deadline_ = base::Monotonic::max();
  base::Monotonic io_deadline_ = base::Monotonic::max();     // For the client's next bytes.
  base::Monotonic write_deadline_ = base::Monotonic::max();  // For progress of what is queued.

  http::HeadScanner scanner_;
  http::BodyReader body_;
  ByteQueue input_;
  ByteQueue output_;
  std::string_view tail_;  // Borrowed until the next flush: goes out after output_.
};

}  // namespace weir::net
