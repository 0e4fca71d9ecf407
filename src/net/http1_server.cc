#include "net/http1_server.h"

#include <algorithm>

#include <sys/socket.h>

#include "base/assert.h"
#include "net/proxy_protocol.h"
#include "net/socket.h"

namespace weir::net {

using loop::Ready;

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

// A response that began before has told the client that the connection stays: it must, for one more
// request. Those that begin later say otherwise in respond().
void Http1ServerConnection::drain() {
  if (!at_rest()) return;
  io_deadline_ = std::min(io_deadline_, context_.loop.now() + kDrainRest);
  update_deadline();
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
  budget_spent_ = false;
  if (!input_.empty()) process_kept();
  if (state_ != State::closed) read_input();
}

bool Http1ServerConnection::wants_input() const {
  switch (state_) {
    case State::proxy_header:
    case State::lingering:
      return true;
    case State::head:
      // Requests that were read wait for their turn: it reads on, and may read the end. And without
      // a budget requests would gather faster than they are served.
      if (!head_started_ && !input_.empty()) return false;
      return !budget_spent_;
    case State::exchange:
    case State::tunnel:
      return !body_done_ && !body_paused_;
    case State::closed:
      break;
  }
  return false;
}

bool Http1ServerConnection::at_rest() const {
  return state_ == State::head && !head_started_ && input_.empty();
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
        budget_spent_ = true;
        context_.loop.defer(*this);
        break;
      }
      used = process_head(rest);
    } else if (state_ == State::exchange) {
      used = process_body(rest);
    } else if (state_ == State::tunnel) {
      if (body_paused_) break;
      bytes_in_ += rest.size();
      exchange_->on_request_body(rest, false, {});
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
  if (exchange_ != nullptr && !body_done_) exchange_->on_request_pause();
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
    malformed(scanned.error(), bytes.size());
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
    malformed(parsed.error(), head_bytes);
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
  write_deadline_ = base::Monotonic::max();
  io_deadline_ =
      body_done_ ? base::Monotonic::max() : context_.loop.now() + context_.server.body_timeout;
  update_deadline();
  handler_.on_request(*this, client_, head);
  WEIR_ASSERT(exchange_ != nullptr || state_ != State::exchange);
}

void Http1ServerConnection::malformed(http::Malformed kind, size_t bytes) {
  keep_alive_ = false;
  client_is_http_1_0_ = false;
  framing_lost_ = true;
  body_done_ = true;
  body_paused_ = response_started_ = finishing_ = committed_ = above_high_ = false;
  framing_ = Framing::none;
  bytes_in_ = bytes;
  bytes_out_ = 0;
  state_ = State::exchange;
  exchange_deadline_ = io_deadline_ = write_deadline_ = base::Monotonic::max();
  ++context_.counts.requests;
  handler_.on_malformed(*this, client_, kind);
}

size_t Http1ServerConnection::process_body(std::string_view bytes) {
  if (body_done_ || body_paused_) return 0;
  const auto step = body_.step(bytes);
  if (!step.ok()) {
    keep_alive_ = false;
    framing_lost_ = body_done_ = true;
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
    exchange_->on_request_body(step.value().body, body_done_,
                               body_done_ ? body_.trailers() : http::Fields{});
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
      // Only a body that is not complete is read in this state. Where its end no longer matters,
      // the client still gets the rest of the response.
      if (!finishing_) return lose(false);
      body_done_ = true;
      return;
    case State::tunnel:
      body_done_ = true;
      return exchange_->on_request_body({}, true, {});
    case State::closed:
      return;
  }
}

void Http1ServerConnection::pause_body() {
  body_paused_ = true;
  io_deadline_ = base::Monotonic::max();  // The client is not who is slow.
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

// ---- Ends ----

void Http1ServerConnection::complete() {
  ServerStreamHandler* const exchange = exchange_;
  exchange_ = nullptr;
  finishing_ = false;
  const bool tunnel = state_ == State::tunnel;
  exchange_deadline_ = base::Monotonic::max();
  state_ = State::head;
  if (exchange != nullptr) exchange->on_answered(false);
  if (tunnel || !keep_alive_ || !body_done_) return linger();
  const std::chrono::milliseconds rest = context_.server.keep_alive_timeout;
  io_deadline_ = context_.loop.now() + (context_.draining ? std::min(rest, kDrainRest) : rest);
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
    exchange->on_client_gone(timed_out, bytes_in_, bytes_out);
  }
}

void Http1ServerConnection::linger() {
  const bool nothing_unread =
      body_done_ && !framing_lost_ && !readable_ && (processing_ || input_.empty());
  if (nothing_unread || (peer_closed_ && body_done_)) return close();
  // Closing with unread bytes makes the kernel send a reset, which can destroy the response before
  // the client has read it. So: say that nothing more comes, and read on for a while.
  state_ = State::lingering;
  lingered_bytes_ = 0;
  if (!processing_)
    input_.clear();  // Else process() is in the middle of it, and discards the rest.
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
  const base::Monotonic at = std::min({exchange_deadline_, io_deadline_, write_deadline_});
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
  if (now >= write_deadline_) return lose(true);
  if (now < io_deadline_) return update_deadline();
  io_deadline_ = base::Monotonic::max();
  switch (state_) {
    case State::head:
      if (head_started_) return malformed(http::Malformed::incomplete, input_.size());
      if (at_rest() && !readable_ && !has_input(socket_.get())) return close();
      // A request that has arrived but was not reported yet is served, not reset.
      io_deadline_ = now + context_.server.header_timeout;
      return update_deadline();
    case State::proxy_header:
    case State::lingering:
      return close();
    case State::exchange:
    case State::tunnel:
      if (!body_done_) {
        keep_alive_ = false;
        framing_lost_ = body_done_ = true;
        exchange_->on_request_broken(http::Malformed::incomplete);
      }
      return;
    case State::closed:
      return;
  }
}

}  // namespace weir::net
