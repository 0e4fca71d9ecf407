#pragma once
// A codec for tests that carries any number of exchanges on one connection, as HTTP/2 will. The
// client's end of it is the test: it opens streams, sends pieces of bodies, takes bytes of
// responses as it likes, and gives up when it likes.
//
// It is as strict as the contract of net/exchange_stream.h lets a codec be:
// - Whatever lives for one call only (heads, pieces, trailers) is overwritten when the call
// returns.
// - A piece that the gateway sends is looked at in flush() or finish(), not before.
// - The commit comes when the final byte is about to leave. With a slow client that is long after
//   finish(): a codec need not offer everything at once.
// - A call that the contract forbids is written down; a test that leaves such a call behind fails.
//
// Sizes are those of a made-up framing: kFrameBytes and the content of each head, piece and end.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/testing/timeline.h"
#include "http/malformed.h"
#include "loop/loop.h"
#include "net/exchange_stream.h"

namespace weir::gateway::testing {

using FieldList = std::vector<std::pair<std::string, std::string>>;

// The value of the only field of this name (case ignored); "(none)", "(several)" otherwise.
std::string field_in(const FieldList& fields, std::string_view name);

struct ReceivedHead {
  int status = 0;
  FieldList fields;
  std::optional<uint64_t> content_length;
  std::string upgrade;

  std::string field(std::string_view name) const { return field_in(fields, name); }
};

// How a response ended, as its client sees it.
enum class End : uint8_t { open, complete, reset, gave_up };

inline constexpr size_t kFrameBytes = 9;

// One stream: above, what the gateway calls; below, what the test calls.
// Ownership: the connection's, for the whole test, so that what came can be looked at afterwards.
// Threading: home loop only.
class MuxStream final : public net::ServerStream, public loop::Task {
 public:
  MuxStream(class MuxConnection& connection, int number);

  // net::ServerStream:
  void attach(net::ServerStreamHandler& handler) override { handler_ = &handler; }
  void interim(int status, http::Fields fields) override;
  void respond(const net::ResponseStart& start) override;
  void send_body(std::string_view piece) override;
  void flush() override;
  void finish(http::Fields trailers) override;
  void abort() override;
  size_t queued_bytes() const override;
  void pause_body() override;
  void resume_body() override;
  void set_deadline(std::chrono::milliseconds delay) override;
  uint64_t bytes_in() const override { return bytes_in_; }
  uint64_t bytes_out() const override { return bytes_out_; }
  bool response_started() const override { return started_; }

  // The request's body. What is sent while the gateway pauses it waits here.
  void send(std::string_view piece) { push(piece, false, {}); }
  void send_last(std::string_view piece, FieldList trailers = {}) {
    push(piece, true, std::move(trailers));
  }
  void break_body(http::Malformed kind);
  bool paused() const { return paused_; }
  size_t waiting_bytes() const;

  // The client takes at most `bytes` of the response's body until grant() allows more.
  void limit_window(size_t bytes) { window_ = bytes; }
  void grant(size_t bytes);
  void give_up(bool timed_out = false);

  // What came.
  int number() const { return number_; }
  const std::vector<ReceivedHead>& interims() const { return interims_; }
  bool has_head() const { return head_left_; }
  const ReceivedHead& head() const;
  const std::string& body() const { return body_; }
  const FieldList& trailers() const { return trailers_; }
  End end() const { return end_; }
  bool over() const { return end_ != End::open; }
  bool open_ended() const { return open_ended_; }
  // Set it for what Weir answers about itself.
  bool recorded() const { return recorded_; }
  void expect_unrecorded() { recorded_ = false; }

 private:
  friend class MuxConnection;

  struct Piece {
    std::string bytes;
    bool last;
    FieldList trailers;
  };

  void on_ready(uint32_t /*ready*/) override {}
  void on_deadline() override;
  void on_turn() override { deliver(); }

  void begin(std::string_view head_text);
  void begin_malformed(http::Malformed kind);
  void push(std::string_view piece, bool last, FieldList trailers);
  void deliver();
  bool may(bool allowed, const char* what);
  void gather();   // Borrowed pieces become queued bytes.
  void put_out();  // Queued bytes leave, as far as the client takes them.
  void put_out_head();
  void commit();
  void over(End end);
  bool needs_no_body() const { return !has_body_ || head_.content_length == uint64_t{0}; }

  MuxConnection& connection_;
  const int number_;
  net::ServerStreamHandler* handler_ = nullptr;

  std::vector<Piece> waiting_;  // Of the request's body.
  bool body_done_ = true;
  bool paused_ = false;
  uint64_t bytes_in_ = 0;

  std::vector<ReceivedHead> interims_;
  ReceivedHead head_;
  std::vector<std::string_view> borrowed_;  // Until the next flush() or finish().
  std::string queued_;
  std::string body_;
  FieldList trailers_;
  size_t window_ = SIZE_MAX;
  uint64_t bytes_out_ = 0;
  uint64_t offered_bytes_ = 0;  // Of the body, by the gateway.
  bool started_ = false;
  bool head_left_ = false;
  bool has_body_ = false;
  bool finishing_ = false;
  bool committed_ = false;
  bool open_ended_ = false;
  bool above_high_ = false;
  bool recorded_ = true;
  End end_ = End::open;
};

// Ownership: owns its streams; borrows loop, handler and timeline.
// Threading: home loop only.
class MuxConnection {
 public:
  MuxConnection(loop::Loop& loop, net::ServerHandler& handler, Timeline& timeline);
  ~MuxConnection();
  MuxConnection(const MuxConnection&) = delete;
  MuxConnection& operator=(const MuxConnection&) = delete;

  // A request. `head` is written as HTTP/1.1 would ("GET /a HTTP/1.1\r\n…\r\n\r\n"), because that
  // is easy to read; its body is what the stream sends. "Host: test" is added if `head` names no
  // host.
  MuxStream& open(std::string_view head);
  MuxStream& open_malformed(http::Malformed kind);
  // The connection breaks: every stream that is open gives up.
  void lose();

  net::ClientConnection& client() { return client_; }
  const std::vector<std::unique_ptr<MuxStream>>& streams() const { return streams_; }
  const std::vector<std::string>& forbidden_calls() const { return forbidden_; }

 private:
  friend class MuxStream;

  MuxStream& add();

  loop::Loop& loop_;
  net::ServerHandler& handler_;
  Timeline& timeline_;
  net::ClientConnection client_;
  std::vector<std::unique_ptr<MuxStream>> streams_;
  std::vector<std::string> forbidden_;
};

}  // namespace weir::gateway::testing
