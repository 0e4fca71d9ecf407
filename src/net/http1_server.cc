#include "net/http1_server.h"

#include <algorithm>

#include <sys/socket.h>

#include "base/assert.h"
#include "base/fault_point.h"
#include "http/writer.h"
#include "net/proxy_protocol.h"
#include "net/socket.h"

namespace weir::net {
namespace {

using loop::Ready;

// Pieces up to this size are copied behind the head; larger ones go out from where they are.
constexpr size_t kCopiedBytesMax = 16 * 1024;

size_t bytes_of(http::Fields fields) {
  size_t bytes = 0;
  for (const http::Field& field : fields)
    bytes += field.name.size() + field.value.size() + 4;
  return bytes;
}

}  // namespace

Http1ServerConnection::Http1ServerConnection(LoopContext& context, ServerHandler& handler,
                                             Http1ServerOwner& owner, os::Fd socket,
                                             const SocketAddress& peer, Options options)
    : context_(context),
      handler_(handler),
      owner_(owner),
      socket_(std::move(socket)),
      state_(options.proxy_protocol ? State::proxy_header : State::head),
      scanner_(context.server.head),
      input_(context.blocks),
      output_(context.blocks) {
  client_.peer = peer;
  client_.listener = options.listener;
  ++context_.counts.accepted;
  ++context_.counts.open;
}

Http1ServerConnection::~Http1ServerConnection() {
  if (state_ != State::closed) --context_.counts.open;
}

base::Status Http1ServerConnection::start() {
  io_deadline_ = context_.loop.now() + context_.server.header_timeout;
  update_deadline();
  return context_.loop.watch(socket_.get(), *this);
}

void Http1ServerConnection::drain(bool close_idle) {
  keep_alive_ = false;
  if (close_idle && idle() && !readable_) close();
}

// ---- Input ----

void Http1ServerConnection::on_ready(uint32_t ready) {
  if ((ready & Ready::kWritable) != 0 && !writable_) {
    writable_ = true;
    send_queued();
    settle();
    if (state_ == State::closed) return;
  }
  if ((ready & (Ready::kPeerClosed | Ready::kHangUp | Ready::kError)) != 0) peer_closed_ = true;
  if ((ready & ~Ready::kWritable) != 0) readable_ = true;
  // Nothing will be read that could tell, and nothing can be sent any more.
  if ((ready & (Ready::kHangUp | Ready::kError)) != 0 && !wants_input()) return lose(false);
  read_input();
}

void Http1ServerConnection::on_turn() {
  if (state_ == State::closed) return;
  if (broken_) return lose(false);
  if (!input_.empty()) process_kept();
  if (state_ != State::closed) read_input();
}

bool Http1ServerConnection::wants_input() const {
  switch (state_) {
    case State::proxy_header:
    case State::head:
    case State::lingering:
      return true;
    case State::exchange:
    case State::tunnel:
      return !body_done_ && !body_paused_;
    case State::closed:
      break;
  }
  return false;
}

void Http1ServerConnection::read_input() {
  for (int reads = 0; readable_ && wants_input(); ++reads) {
    if (reads == kReadsPerTurn) return context_.loop.defer(*this);
    const bool fresh = input_.empty();
    char* const into = fresh ? context_.read_scratch->data() : input_.prepare(1024);
    const size_t room = fresh ? LoopContext::kReadBytes
                              : std::min(input_.prepared_bytes(), LoopContext::kReadBytes);
    const Moved moved = read_some(socket_.get(), into, room);
    if (moved.kind == Moved::Kind::would_block) {
      readable_ = false;
      return;
    }
    if (moved.kind == Moved::Kind::failed) return lose(false);
    if (moved.kind == Moved::Kind::end_of_stream) return on_end_of_stream();
    // A short read has emptied the socket: the next byte brings a new edge. After the peer's last
    // byte there is no such edge, so then reading goes on until the end itself is read.
    if (moved.bytes < room && !peer_closed_) readable_ = false;
    if (fresh) {
      process_new({into, moved.bytes});
    } else {
      input_.commit(moved.bytes);
      process_kept();
    }
  }
}

void Http1ServerConnection::process_new(std::string_view fresh) {
  const size_t used = process(fresh);
  if (state_ != State::closed) input_.append(fresh.substr(used));
}

void Http1ServerConnection::process_kept() {
  const size_t used = process(input_.view());
  if (state_ != State::closed && used > 0) input_.consume(used);
}

size_t Http1ServerConnection::process(std::string_view bytes) {
  processing_ = true;
  const uint32_t requests_before = requests_;
  size_t at = 0;
  while (at < bytes.size() && state_ != State::closed) {
    const std::string_view rest = bytes.substr(at);
    size_t used = 0;
    if (state_ == State::head) {
      if (requests_ - requests_before == kRequestsPerTurn) {
        context_.loop.defer(*this);
        break;
      }
      used = process_head(rest);
    } else if (state_ == State::exchange) {
      used = process_body(rest);
    } else if (state_ == State::tunnel) {
      if (body_paused_) break;
      bytes_in_ += rest.size();
      exchange_->on_request_body(rest, false);
      used = rest.size();
    } else if (state_ == State::proxy_header) {
      used = process_proxy_header(rest);
    } else {
      lingered_bytes_ += rest.size();
      if (lingered_bytes_ > kLingerBytesMax) close();
      used = rest.size();
    }
    if (used == 0) break;
    at += used;
  }
  processing_ = false;
  return std::min(at, bytes.size());
}

size_t Http1ServerConnection::process_proxy_header(std::string_view bytes) {
  const auto parsed = parse_proxy_header(bytes);
  // Whoever does not speak it where it is mandatory is not the proxy: no answer, no event.
  if (!parsed.ok() || !owner_.trusts_proxy(client_.listener, client_.peer)) {
    close();
    return 0;
  }
  if (!parsed.value()) return 0;
  client_.announced = parsed.value()->source;
  state_ = State::head;
  return parsed.value()->bytes;
}

size_t Http1ServerConnection::process_head(std::string_view bytes) {
  if (!head_started_) {
    head_started_ = true;
    io_deadline_ = context_.loop.now() + context_.server.header_timeout;
  }
  const auto scanned = scanner_.scan(bytes);
  if (!scanned.ok()) {
    malformed(scanned.error());
    return bytes.size();
  }
  if (!scanned.value()) {
    update_deadline();
    return 0;
  }
  const size_t head_bytes = *scanned.value();
  scanner_.reset();
  head_started_ = false;
  const auto parsed = http::parse_request_head(bytes.substr(0, head_bytes), context_.server.head,
                                               context_.request_head);
  if (!parsed.ok()) {
    malformed(parsed.error());
    return bytes.size();
  }
  begin_exchange(head_bytes);
  return head_bytes;
}

void Http1ServerConnection::begin_exchange(size_t head_bytes) {
  const http::RequestHead& head = context_.request_head;
  ++requests_;
  ++context_.counts.requests;
  const uint32_t requests_max = context_.server.requests_per_connection_max;
  keep_alive_ = head.keep_alive && (requests_max == 0 || requests_ < requests_max);
  client_is_http_1_0_ = head.minor_version == 0;
  body_ = http::BodyReader{head};
  body_done_ = head.body == http::BodyKind::none;
  expects_continue_ = head.expect_continue && !body_done_;
  body_paused_ = response_started_ = finishing_ = committed_ = above_high_ = false;
  framing_ = Framing::none;
  bytes_in_ = head_bytes;
  bytes_out_ = 0;
  state_ = State::exchange;
  exchange_deadline_ = base::Monotonic::max();
  io_deadline_ =
      body_done_ ? base::Monotonic::max() : context_.loop.now() + context_.server.body_timeout;
  update_deadline();
  handler_.on_request(*this, client_, head);
  WEIR_ASSERT(exchange_ != nullptr || state_ != State::exchange);
}

void Http1ServerConnection::malformed(http::Malformed kind) {
  keep_alive_ = false;
  client_is_http_1_0_ = false;
  body_done_ = true;
  body_paused_ = response_started_ = finishing_ = committed_ = above_high_ = false;
  framing_ = Framing::none;
  bytes_in_ = input_.size();
  bytes_out_ = 0;
  state_ = State::exchange;
  exchange_deadline_ = io_deadline_ = base::Monotonic::max();
  ++context_.counts.requests;
  handler_.on_malformed(*this, client_, kind);
}

size_t Http1ServerConnection::process_body(std::string_view bytes) {
  if (body_done_ || body_paused_) return 0;
  const auto step = body_.step(bytes);
  if (!step.ok()) {
    keep_alive_ = false;
    body_done_ = true;
    exchange_->on_request_broken(step.error());
    return 0;
  }
  bytes_in_ += step.value().consumed;
  expects_continue_ = false;
  body_done_ = step.value().done;
  io_deadline_ =
      body_done_ ? base::Monotonic::max() : context_.loop.now() + context_.server.body_timeout;
  update_deadline();
  if (!step.value().body.empty() || body_done_) {
    exchange_->on_request_body(step.value().body, body_done_);
  }
  return step.value().consumed;
}

void Http1ServerConnection::on_end_of_stream() {
  readable_ = false;
  peer_closed_ = true;
  switch (state_) {
    case State::proxy_header:
    case State::head:
    case State::lingering:
      return close();
    case State::exchange:
      return lose(false);  // Only a body that is not complete is read in this state.
    case State::tunnel:
      body_done_ = true;
      return exchange_->on_request_body({}, true);
    case State::closed:
      return;
  }
}

void Http1ServerConnection::pause_body() {
  body_paused_ = true;
  if (output_.empty()) io_deadline_ = base::Monotonic::max();  // The client is not who is slow.
}

void Http1ServerConnection::resume_body() {
  if (!body_paused_) return;
  body_paused_ = false;
  if (!body_done_ && state_ == State::exchange) {
    io_deadline_ = context_.loop.now() + context_.server.body_timeout;
    update_deadline();
  }
  context_.loop.defer(*this);
}

// ---- Output ----

void Http1ServerConnection::interim(int status, http::Fields fields) {
  if (client_is_http_1_0_ || response_started_ || broken_) return;
  const size_t bytes_max = bytes_of(fields) + 256;
  http::Appender out{{output_.prepare(bytes_max), bytes_max}};
  http::append_status_line(out, status);
  for (const http::Field& field : fields)
    http::append_parsed_field(out, field);
  http::append_end_of_head(out);
  WEIR_ASSERT(!out.failed());
  output_.commit(out.size());
  bytes_out_ += out.size();
  if (status == 100 && expects_continue_) {
    expects_continue_ = false;
    io_deadline_ = context_.loop.now() + context_.server.body_timeout;
    update_deadline();
  }
  send_queued();
}

void Http1ServerConnection::respond(const ResponseStart& start) {
  WEIR_ASSERT(!response_started_);
  response_started_ = true;
  // Where the next request would begin is not known while this one's body is still coming.
  if (!body_done_ || context_.draining) keep_alive_ = false;
  if (start.status == 101) {
    framing_ = Framing::until_close;
  } else if (!start.has_body || start.content_length == uint64_t{0}) {
    framing_ = Framing::none;
  } else if (start.content_length) {
    framing_ = Framing::length;
    body_left_ = *start.content_length;
  } else {
    framing_ = client_is_http_1_0_ ? Framing::until_close : Framing::chunked;
  }
  if (framing_ == Framing::until_close) keep_alive_ = false;
  append_head(start);
  if (framing_ == Framing::until_close) commit(true);
  if (start.status == 101) {
    state_ = State::tunnel;
    body_done_ = body_paused_ = false;
    io_deadline_ = base::Monotonic::max();
    update_deadline();
    context_.loop.defer(*this);  // Bytes that came right after the head have waited for this.
  }
}

void Http1ServerConnection::append_head(const ResponseStart& start) {
  const size_t bytes_max =
      bytes_of(start.fields) + start.reason.size() + start.upgrade.size() + 256;
  http::Appender out{{output_.prepare(bytes_max), bytes_max}};
  http::append_status_line(out, start.status, start.reason);
  for (const http::Field& field : start.fields)
    http::append_parsed_field(out, field);
  if (start.status == 101) {
    out.append("Connection: upgrade\r\n");
    http::append_field(out, http::FieldName::upgrade, start.upgrade);
  } else {
    if (framing_ == Framing::chunked) {
      out.append("Transfer-Encoding: chunked\r\n");
    } else if (start.content_length && start.status != 204) {
      http::append_field(out, http::FieldName::content_length, *start.content_length);
    }
    if (!keep_alive_) {
      out.append("Connection: close\r\n");
    } else if (client_is_http_1_0_) {
      out.append("Connection: keep-alive\r\n");
    }
  }
  http::append_end_of_head(out);
  WEIR_ASSERT(!out.failed());
  output_.commit(out.size());
  bytes_out_ += out.size();
}

void Http1ServerConnection::send_body(std::string_view piece) {
  if (piece.empty() || broken_) return;
  output_.append(tail_);
  tail_ = {};
  bytes_out_ += piece.size();
  if (framing_ == Framing::chunked) {
    http::Appender out{{output_.prepare(http::kChunkHeaderBytesMax), http::kChunkHeaderBytesMax}};
    http::append_chunk_header(out, piece.size());
    output_.commit(out.size());
    output_.append(piece);
    output_.append(http::kChunkEnd);
    bytes_out_ += out.size() + http::kChunkEnd.size();
    return;
  }
  if (framing_ == Framing::length) {
    WEIR_ASSERT(piece.size() <= body_left_);
    body_left_ -= piece.size();
  }
  if (piece.size() <= kCopiedBytesMax) {
    output_.append(piece);
  } else {
    tail_ = piece;
  }
}

void Http1ServerConnection::flush() {
  send_queued();
  if (output_.size() >= kQueuedBytesHigh) above_high_ = true;
}

void Http1ServerConnection::finish(http::Fields trailers) {
  WEIR_ASSERT(response_started_ && !finishing_);
  if (framing_ == Framing::chunked && !broken_) {
    const size_t bytes_max = bytes_of(trailers) + 16;
    http::Appender out{{output_.prepare(bytes_max), bytes_max}};
    http::append_last_chunk(out, trailers);
    WEIR_ASSERT(!out.failed());
    output_.commit(out.size());
    bytes_out_ += out.size();
  }
  WEIR_ASSERT(framing_ != Framing::length || body_left_ == 0);
  finishing_ = true;
  base::fault_point("response.before_commit");
#if defined(WEIR_COMMIT_AFTER_SEND)  // The broken build that the exactness tests must catch.
  send_queued();
  base::fault_point("response.after_commit");
  if (!committed_) commit(false);
#else
  if (!committed_) commit(false);
  base::fault_point("response.after_commit");
  send_queued();
#endif
  base::fault_point("response.after_send");
  settle();
}

void Http1ServerConnection::commit(bool open_ended) {
  committed_ = true;
  exchange_->on_commit(bytes_out_, open_ended);
}

void Http1ServerConnection::abort() {
  exchange_ = nullptr;
  send_queued();
  // Without this, the end of a close-delimited response would look like its proper end.
  if (framing_ == Framing::until_close && state_ == State::exchange) reset_on_close(socket_.get());
  close();
}

void Http1ServerConnection::send_queued() {
  while (writable_ && !broken_ && !(output_.empty() && tail_.empty())) {
    iovec pieces[2];
    size_t count = 0;
    const std::string_view queued = output_.view();
    if (!queued.empty()) pieces[count++] = {const_cast<char*>(queued.data()), queued.size()};
    if (!tail_.empty()) pieces[count++] = {const_cast<char*>(tail_.data()), tail_.size()};
    const Moved moved = write_some(socket_.get(), pieces, count);
    if (moved.kind == Moved::Kind::failed) return break_off();
    if (moved.kind == Moved::Kind::would_block || moved.bytes < queued.size() + tail_.size()) {
      writable_ = false;
    }
    const size_t from_queue = std::min(moved.bytes, queued.size());
    if (from_queue > 0) output_.consume(from_queue);
    tail_.remove_prefix(moved.bytes - from_queue);
    if (!writable_) {
      io_deadline_ = context_.loop.now() + context_.server.write_timeout;
      update_deadline();
    }
  }
  output_.append(tail_);
  tail_ = {};
}

// The exchange may be inside its own call to us: it hears of the failure in a turn of its own.
void Http1ServerConnection::break_off() {
  broken_ = true;
  output_.clear();
  tail_ = {};
  context_.loop.defer(*this);
}

void Http1ServerConnection::settle() {
  if (broken_ || state_ == State::closed) return;
  if (output_.empty() && finishing_) return complete();
  if (above_high_ && output_.size() <= kQueuedBytesLow) {
    above_high_ = false;
    if (exchange_ != nullptr) exchange_->on_drained();
  } else if (output_.empty() && writable_ && io_deadline_ != base::Monotonic::max() && body_done_ &&
             state_ == State::exchange) {
    io_deadline_ =
        base::Monotonic::max();  // The write deadline, which no longer waits for anything.
    update_deadline();
  }
}

void Http1ServerConnection::complete() {
  ServerStreamHandler* const exchange = exchange_;
  exchange_ = nullptr;
  finishing_ = false;
  const bool tunnel = state_ == State::tunnel;
  exchange_deadline_ = base::Monotonic::max();
  state_ = State::head;
  if (exchange != nullptr) exchange->on_answered(false);
  if (tunnel || !keep_alive_ || !body_done_) return linger();
  io_deadline_ = context_.loop.now() + context_.server.keep_alive_timeout;
  update_deadline();
  if (!processing_ && (readable_ || !input_.empty())) context_.loop.defer(*this);
}

void Http1ServerConnection::lose(bool timed_out) {
  ServerStreamHandler* const exchange = exchange_;
  exchange_ = nullptr;
  const uint64_t bytes_out = bytes_out_ - std::min<uint64_t>(bytes_out_, output_.size());
  const bool committed = committed_;
  const bool open_ended = framing_ == Framing::until_close;
  close();
  if (exchange == nullptr) return;
  if (committed) {
    if (!open_ended) ++context_.counts.commit_then_abort;
    exchange->on_answered(!open_ended);
  } else {
    exchange->on_client_gone(timed_out, bytes_out);
  }
}

void Http1ServerConnection::linger() {
  const bool nothing_unread = body_done_ && !readable_ && input_.empty();
  if (nothing_unread || (peer_closed_ && body_done_)) return close();
  // Closing with unread bytes makes the kernel send a reset, which can destroy the response before
  // the client has read it. So: say that nothing more comes, and read on for a while.
  state_ = State::lingering;
  lingered_bytes_ = input_.size();
  input_.clear();
  ::shutdown(socket_.get(), SHUT_WR);
  io_deadline_ = context_.loop.now() + kLingerTime;
  update_deadline();
  if (!processing_) context_.loop.defer(*this);
}

void Http1ServerConnection::close() {
  if (state_ == State::closed) return;
  state_ = State::closed;
  --context_.counts.open;
  socket_.reset();
  if (!processing_) input_.clear();
  output_.clear();
  tail_ = {};
  owner_.on_closed(*this);
}

void Http1ServerConnection::set_deadline(std::chrono::milliseconds delay) {
  exchange_deadline_ = context_.loop.now() + delay;
  update_deadline();
}

void Http1ServerConnection::update_deadline() {
  const base::Monotonic at = std::min(exchange_deadline_, io_deadline_);
  if (at == base::Monotonic::max()) {
    context_.loop.clear_deadline(*this);
  } else {
    context_.loop.set_deadline(*this, at);
  }
}

void Http1ServerConnection::on_deadline() {
  const base::Monotonic now = context_.loop.now();
  if (now >= exchange_deadline_ && exchange_ != nullptr) {
    exchange_deadline_ = base::Monotonic::max();
    update_deadline();
    return exchange_->on_deadline();
  }
  if (now < io_deadline_) return update_deadline();
  io_deadline_ = base::Monotonic::max();
  switch (state_) {
    case State::head:
      if (head_started_) return malformed(http::Malformed::incomplete);
      return close();
    case State::proxy_header:
    case State::lingering:
      return close();
    case State::exchange:
    case State::tunnel:
      if (!output_.empty()) return lose(true);
      if (!body_done_) {
        keep_alive_ = false;
        body_done_ = true;
        exchange_->on_request_broken(http::Malformed::incomplete);
      }
      return;
    case State::closed:
      return;
  }
}

}  // namespace weir::net
