#pragma once
// Where protocols end and the gateway begins: one exchange as the stages see it, whatever carries
// it.
//
// A codec (HTTP/1 here; HTTP/2 and a test codec fit the same place) offers a ServerStream for each
// request of a client, and a ClientStream for each request to an upstream. Both sides speak in
// heads, body pieces and an end. Framing, connections, sockets and TLS stay below this line.
//
//   client ── codec ── ServerStream ◄──► Exchange (gateway) ◄──► ClientStream ── codec ── upstream
//
// Flow control: whoever sends looks at queued_bytes() afterwards. Above kQueuedBytesHigh it pauses
// the other side's source and goes on at on_drained(), which comes when the queue fell to
// kQueuedBytesLow. So at most one high watermark plus one read waits per direction.
//
// Threading: home loop only, all of it.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "http/field.h"
#include "http/malformed.h"
#include "http/request_head.h"
#include "http/response_head.h"
#include "net/socket_address.h"

namespace weir::net {

inline constexpr size_t kQueuedBytesHigh = 64 * 1024;
inline constexpr size_t kQueuedBytesLow = 16 * 1024;

// What a final response, or a 101, looks like. End-to-end fields only: the codec adds the framing.
struct ResponseStart {
  int status = 200;         // 101 or 200 to 599.
  std::string_view reason;  // Empty: the standard phrase.
  std::span<const http::Field> fields;
  bool has_body = true;  // False for HEAD, 204 and 304, whatever content_length says.
  std::optional<uint64_t> content_length;
  std::string_view upgrade;  // With 101 only: the protocol switched to.
};

struct RequestStart {
  std::string_view method;
  std::string_view target;              // origin-form, or "*".
  std::span<const http::Field> fields;  // With Host; without framing.
  http::BodyKind body = http::BodyKind::none;
  uint64_t content_length = 0;
  std::string_view upgrade;  // Empty, or the only protocol that a 101 may switch to.
};

// What a ServerStream tells its exchange. After on_answered() or on_client_gone() the stream is
// gone: it calls no more, and must not be called. Threading: home loop only.
class ServerStreamHandler {
 public:
  virtual ~ServerStreamHandler() = default;

  // A piece of the request's body (of the client's bytes, in a tunnel); `last` ends it. Never while
  // paused. Piece and trailers live until the call returns; trailers come with the last piece only.
  virtual void on_request_body(std::string_view piece, bool last,
                               std::span<const http::Field> trailers) = 0;
  // No more of the body is there at this moment: a good time to send what has gathered.
  virtual void on_request_pause() = 0;
  // The body's framing is broken, or the client took too long over it: it will never end.
  virtual void on_request_broken(http::Malformed kind) = 0;
  // queued_bytes() fell to kQueuedBytesLow after it was above kQueuedBytesHigh.
  virtual void on_drained() = 0;

  // P1: called once, immediately before the first system call that could complete the response for
  // the client. `bytes_out` is what was offered to the client by then, the bytes of that call
  // included. `open_ended` when the end cannot be known (tunnels, close-delimited responses).
  virtual void on_commit(uint64_t bytes_out, bool open_ended) = 0;
  // The whole response was handed to the kernel, or given up after the commit.
  virtual void on_answered(bool aborted_after_commit) = 0;
  // The connection broke, or stopped taking bytes for too long, before the commit.
  virtual void on_client_gone(bool timed_out, uint64_t bytes_in, uint64_t bytes_out) = 0;
  // The deadline of set_deadline() passed.
  virtual void on_deadline() = 0;
};

// One request of a client, and the response to it. Calls happen in this order:
//   attach, interim*, respond, send_body*, finish
// or abort() at any moment. Nothing calls back from inside, with one exception: finish() and
// abort() may call on_commit() and on_answered(); touch nothing after them. Threading: home loop
// only.
class ServerStream {
 public:
  virtual ~ServerStream() = default;

  virtual void attach(ServerStreamHandler& handler) = 0;

  virtual void interim(int status, std::span<const http::Field> fields) = 0;
  virtual void respond(const ResponseStart& start) = 0;
  // `piece` must live until the next flush() or finish(). Pieces must add up to content_length.
  virtual void send_body(std::string_view piece) = 0;
  virtual void flush() = 0;
  virtual void finish(std::span<const http::Field> trailers) = 0;

  // Cuts the response so that the client sees it as incomplete. The caller has recorded the
  // exchange.
  virtual void abort() = 0;

  virtual size_t queued_bytes() const = 0;
  virtual void pause_body() = 0;
  virtual void resume_body() = 0;
  // At most one; replaces an earlier one.
  virtual void set_deadline(std::chrono::milliseconds delay) = 0;

  virtual uint64_t bytes_in() const = 0;   // Of this exchange so far, head included.
  virtual uint64_t bytes_out() const = 0;  // Offered to the client so far.
  virtual bool response_started() const = 0;
};

// Who the client is, as far as the connection knows. Lives as long as the connection.
struct ClientConnection {
  SocketAddress peer;       // The other end of the socket.
  SocketAddress announced;  // By the PROXY protocol; unknown without.
  uint32_t listener = 0;    // Index in the configuration.
  // The last client address hashed on this connection: hashing is the costliest step of an event.
  IpAddress hashed_ip;
  uint64_t client_hash = 0;
  bool has_client_hash = false;
  uint8_t client_ip_bytes = 0;
  std::array<char, 46> client_ip{};  // The same address as text.
  uint8_t recorded_ip_bytes = 0;
  std::array<char, 46> recorded_ip{};  // What of it may be recorded, as text.
  uint8_t recorded_privacy = 0;        // The rule that made recorded_ip.
  // Where hashed_ip is, as the version `placed_by` of the configuration says; 0: none was asked.
  // The city's text lives as long as that version.
  uint64_t placed_by = 0;
  // The version of whose IP rules none is about hashed_ip; 0: none is known.
  uint64_t unruled_by = 0;
  uint8_t country = 0;       // config::Country::number().
  uint32_t city_number = 0;  // access::GeoRules::city().
  std::string_view city;

  std::string_view client_ip_text() const { return {client_ip.data(), client_ip_bytes}; }
  std::string_view recorded_ip_text() const { return {recorded_ip.data(), recorded_ip_bytes}; }
};

// The gateway, as the codecs see it.
// Threading: home loop only.
class ServerHandler {
 public:
  virtual ~ServerHandler() = default;
  // A request's head. Attaches to `stream` before it returns. Views live until it returns; the body
  // follows unless head.body is none.
  virtual void on_request(ServerStream& stream, ClientConnection& client,
                          const http::RequestHead& head) = 0;
  // Bytes that are no request. The answer, which the handler gives like any other, is followed by
  // the end of the connection. Status: http::status_of(kind).
  virtual void on_malformed(ServerStream& stream, ClientConnection& client,
                            http::Malformed kind) = 0;
};

// Why an exchange with an upstream failed.
enum class UpstreamFailure : uint8_t {
  refused,  // No connection: refused, unreachable, out of descriptors.
  connect_timeout,
  closed,  // Reset or closed before the response's head.
  first_byte_timeout,
  idle_timeout,  // Between two pieces.
  malformed,     // Not HTTP, or not an answer to this request.
  truncated,     // Shorter than announced, or reset within the body.
};

// Threading: home loop only.
class ClientStreamHandler {
 public:
  virtual ~ClientStreamHandler() = default;
  virtual void on_interim(const http::ResponseHead& head) = 0;  // 1xx other than 101.
  // A final head, or a 101. Views live until it returns.
  virtual void on_response(const http::ResponseHead& head) = 0;
  // After `last` the stream is gone. Trailers, if any, come with the last piece.
  virtual void on_response_body(std::string_view piece, bool last,
                                std::span<const http::Field> trailers) = 0;
  // No more of the response is there at this moment: a good time to flush.
  virtual void on_response_pause() = 0;
  virtual void on_upstream_drained() = 0;
  // The stream is gone. `sent`: some send on it succeeded. `reused`: it had served another
  // exchange.
  virtual void on_upstream_failure(UpstreamFailure failure, bool sent, bool reused) = 0;
};

// One request to an upstream. Nothing calls back from inside these.
// Threading: home loop only.
class ClientStream {
 public:
  virtual ~ClientStream() = default;
  // `body` is what of the body is there already; `last` if that is all. All is copied or sent on
  // return. Trailers go with the last piece, if the request is chunked.
  virtual void send_request(const RequestStart& start, std::string_view body, bool last,
                            std::span<const http::Field> trailers) = 0;
  virtual void send_body(std::string_view piece, bool last,
                         std::span<const http::Field> trailers) = 0;
  virtual size_t queued_bytes() const = 0;
  virtual void pause_response() = 0;
  virtual void resume_response() = 0;
  // The exchange wants nothing more: the stream is gone, and its connection closed.
  virtual void cancel() = 0;
};

}  // namespace weir::net
