#include "net/http1_client.h"

#include <algorithm>

#include <sys/socket.h>

#include "base/assert.h"
#include "base/fault_point.h"
#include "http/writer.h"
#include "net/socket.h"

namespace weir::net {

using loop::Ready;

Http1ClientConnection::Http1ClientConnection(LoopContext& context, Http1ClientOwner& owner,
                                             os::Fd socket, ClientTimeouts timeouts)
    : context_(context),
      owner_(owner),
      socket_(std::move(socket)),
      timeouts_(timeouts),
      scanner_(context.upstream_head),
      input_(context.blocks),
      output_(context.blocks) {
  ++context_.counts.upstream_connects;
}

Http1ClientConnection::~Http1ClientConnection() = default;

base::Status Http1ClientConnection::start() {
  arm(timeouts_.connect);
  return context_.loop.watch(socket_.get(), *this);
}

ClientStream& Http1ClientConnection::begin(ClientStreamHandler& handler, ClientTimeouts timeouts) {
  WEIR_ASSERT(handler_ == nullptr && (state_ == State::idle || state_ == State::connecting));
  handler_ = &handler;
  timeouts_ = timeouts;
  reused_ = state_ == State::idle;
  if (reused_) {
    state_ = State::active;
    ++context_.counts.upstream_reused;
  }
  request_done_ = head_done_ = tunnel_ = sent_ = above_high_ = paused_ = upgrade_asked_ = false;
  interims_ = 0;
  return *this;
}

void Http1ClientConnection::close_idle() {
  WEIR_ASSERT(handler_ == nullptr);
  close(false);
}

// ---- Request ----

void Http1ClientConnection::send_request(const RequestStart& start, std::string_view body,
                                         bool last, http::Fields trailers) {
  WEIR_ASSERT(handler_ != nullptr);
  request_body_ = start.body;
  request_is_head_ = start.method == "HEAD";
  upgrade_asked_ = !start.upgrade.empty();
  size_t bytes_max = start.method.size() + start.target.size() + start.upgrade.size() + 256;
  for (const http::Field& field : start.fields) {
    bytes_max += field.name.size() + field.value.size() + 4;
  }
  http::Appender out{{output_.prepare(bytes_max), bytes_max}};
  http::append_request_line(out, start.method, start.target);
  for (const http::Field& field : start.fields)
    http::append_parsed_field(out, field);
  if (upgrade_asked_) {
    out.append("Connection: upgrade\r\n");
    http::append_field(out, http::FieldName::upgrade, start.upgrade);
  }
  if (start.body == http::BodyKind::chunked) {
    out.append("Transfer-Encoding: chunked\r\n");
  } else if (start.body == http::BodyKind::length ||
             (start.method == "POST" || start.method == "PUT" || start.method == "PATCH")) {
    http::append_field(out, http::FieldName::content_length, start.content_length);
  }
  http::append_end_of_head(out);
  WEIR_ASSERT(!out.failed());
  output_.commit(out.size());
  append_body(body, last, trailers);
  if (state_ != State::active) return;
  arm(last ? timeouts_.first_byte : timeouts_.idle);
  send_queued();
}

void Http1ClientConnection::send_body(std::string_view piece, bool last, http::Fields trailers) {
  append_body(piece, last, trailers);
  if (state_ != State::active) return;
  if (last && !head_done_) arm(timeouts_.first_byte);
  send_queued();
}

void Http1ClientConnection::append_body(std::string_view piece, bool last, http::Fields trailers) {
  WEIR_ASSERT(!request_done_);
  request_done_ = last;
  if (write_failed_) return;
  if (request_body_ == http::BodyKind::chunked && !tunnel_) {
    if (!piece.empty()) {
      http::Appender out{{output_.prepare(http::kChunkHeaderBytesMax), http::kChunkHeaderBytesMax}};
      http::append_chunk_header(out, piece.size());
      output_.commit(out.size());
      output_.append(piece);
      output_.append(http::kChunkEnd);
    }
    if (last) append_last_chunk(trailers);
  } else {
    output_.append(piece);
  }
  if (output_.size() >= kQueuedBytesHigh) above_high_ = true;
}

void Http1ClientConnection::append_last_chunk(http::Fields trailers) {
  size_t bytes_max = http::kLastChunk.size();
  for (const http::Field& field : trailers)
    bytes_max += field.name.size() + field.value.size() + 4;
  http::Appender out{{output_.prepare(bytes_max), bytes_max}};
  http::append_last_chunk(out, trailers);
  WEIR_ASSERT(!out.failed());
  output_.commit(out.size());
}

void Http1ClientConnection::send_queued() {
  while (writable_ && !failing_ && !output_.empty()) {
    const std::string_view queued = output_.view();
    const iovec piece{const_cast<char*>(queued.data()), queued.size()};
    const Moved moved = write_some(socket_.get(), &piece, 1);
    if (moved.kind == Moved::Kind::failed) {
      // The upstream may have answered before it closed: what it sent is read first.
      writable_ = false;
      write_failed_ = true;
      output_.clear();
      if (!readable_ && !peer_closed_) return fail_later(UpstreamFailure::closed);
      return context_.loop.defer(*this);
    }
    if (moved.kind == Moved::Kind::would_block || moved.bytes < queued.size()) writable_ = false;
    if (moved.bytes > 0) {
      sent_ = true;
      output_.consume(moved.bytes);
    }
  }
  if (tunnel_ && request_done_ && output_.empty() && !shut_down_) {
    shut_down_ = true;
    ::shutdown(socket_.get(), SHUT_WR);
  }
}

void Http1ClientConnection::on_writable() {
  const size_t before = output_.size();
  send_queued();
  if (state_ != State::active) return;
  if (output_.size() != before) {
    const bool all_sent = request_done_ && output_.empty();
    arm(all_sent && !head_done_ ? timeouts_.first_byte : timeouts_.idle);
  }
  if (above_high_ && output_.size() <= kQueuedBytesLow) {
    above_high_ = false;
    if (handler_ != nullptr) handler_->on_upstream_drained();
  }
}

// ---- Readiness ----

void Http1ClientConnection::on_ready(uint32_t ready) {
  if (state_ == State::connecting) {
    if (const int error = connect_error(socket_.get()); error != 0) {
      return fail(UpstreamFailure::refused);
    }
    if ((ready & Ready::kWritable) == 0) return;
    writable_ = true;
    owner_.on_established(*this);
    if (handler_ == nullptr) {
      state_ = State::idle;
      arm(timeouts_.keep_alive);
      owner_.on_idle(*this);
    } else {
      state_ = State::active;
      arm(request_done_ ? timeouts_.first_byte : timeouts_.idle);
    }
  }
  if ((ready & (Ready::kPeerClosed | Ready::kHangUp | Ready::kError)) != 0) peer_closed_ = true;
  if ((ready & ~Ready::kWritable) != 0) readable_ = true;
  if ((ready & Ready::kWritable) != 0) {
    writable_ = true;
    on_writable();
  }
  if (state_ == State::idle && readable_)
    return close(false);  // Its end, or bytes nobody asked for.
  if (state_ == State::active) read_input();
}

void Http1ClientConnection::on_turn() {
  if (state_ == State::closed) return;
  if (failing_) return fail(failure_);
  if (state_ != State::active) return;
  if (!input_.empty() && !paused_) process_kept();
  if (state_ == State::active) read_input();
}

void Http1ClientConnection::resume_response() {
  if (!paused_) return;
  paused_ = false;
  context_.loop.defer(*this);
}

void Http1ClientConnection::read_input() {
  for (int reads = 0; readable_ && !paused_ && state_ == State::active; ++reads) {
    if (reads == kReadsPerTurn) return context_.loop.defer(*this);
    const bool fresh = input_.empty();
    char* const into = fresh ? context_.read_scratch->data() : input_.prepare(4096);
    const size_t room = fresh ? LoopContext::kReadBytes
                              : std::min(input_.prepared_bytes(), LoopContext::kReadBytes);
    const Moved moved = read_some(socket_.get(), into, room);
    if (moved.kind == Moved::Kind::would_block) {
      readable_ = false;
      return;
    }
    if (moved.kind == Moved::Kind::failed) {
      return fail(head_done_ ? UpstreamFailure::truncated : UpstreamFailure::closed);
    }
    if (moved.kind == Moved::Kind::end_of_stream) return on_end_of_stream();
    if (moved.bytes < room && !peer_closed_) readable_ = false;
    if (fresh) {
      process_new({into, moved.bytes});
    } else {
      input_.commit(moved.bytes);
      process_kept();
    }
    // After it, because these bytes may have completed the head.
    const bool streaming = state_ == State::active && head_done_ && request_done_;
    if (streaming && output_.empty()) arm(timeouts_.idle);
  }
}

void Http1ClientConnection::process_new(std::string_view fresh) {
  const size_t used = process(fresh);
  if (state_ == State::active && used < fresh.size()) input_.append(fresh.substr(used));
}

void Http1ClientConnection::process_kept() {
  const size_t used = process(input_.view());
  if (state_ == State::active && used > 0) input_.consume(used);
  if (state_ != State::active) input_.clear();
}

size_t Http1ClientConnection::process(std::string_view bytes) {
  processing_ = true;
  size_t at = 0;
  while (at < bytes.size() && state_ == State::active && !paused_) {
    const std::string_view rest = bytes.substr(at);
    const size_t used = head_done_ ? process_body(rest) : process_head(rest);
    if (used == 0) break;
    at += used;
  }
  if (handler_ != nullptr && state_ == State::active) handler_->on_response_pause();
  processing_ = false;
  return at;
}

size_t Http1ClientConnection::process_head(std::string_view bytes) {
  const auto scanned = scanner_.scan(bytes);
  if (!scanned.ok()) {
    fail(UpstreamFailure::malformed);
    return 0;
  }
  if (!scanned.value()) return 0;
  const size_t head_bytes = *scanned.value();
  scanner_.reset();
  http::ResponseHead& head = context_.response_head;
  const auto parsed = http::parse_response_head(bytes.substr(0, head_bytes), request_is_head_,
                                                context_.upstream_head, head);
  const bool switches = parsed.ok() && head.status == 101;
  if (!parsed.ok() || (switches && !upgrade_asked_)) {
    fail(UpstreamFailure::malformed);
    return 0;
  }
  if (head.informational() && !switches) {
    if (++interims_ > kInterimMax) {
      fail(UpstreamFailure::malformed);
      return 0;
    }
    handler_->on_interim(head);
    return head_bytes;
  }
  head_done_ = true;
  tunnel_ = switches;
  if (switches) request_done_ = false;  // From here on "body" means the client's bytes.
  keep_alive_ = head.keep_alive && !switches;
  body_ = switches ? http::BodyReader{http::BodyKind::until_close, 0} : http::BodyReader{head};
  const bool ends_here = body_.done();
  const bool more_bytes = head_bytes < bytes.size();
  handler_->on_response(head);
  if (ends_here && state_ == State::active) end_response({}, more_bytes);
  return head_bytes;
}

size_t Http1ClientConnection::process_body(std::string_view bytes) {
  const auto step = body_.step(bytes);
  if (!step.ok()) {
    fail(UpstreamFailure::truncated);
    return 0;
  }
  const size_t used = step.value().consumed;
  if (step.value().done) {
    end_response(step.value().body, used < bytes.size());
  } else if (!step.value().body.empty()) {
    handler_->on_response_body(step.value().body, false, {});
  }
  return used;
}

void Http1ClientConnection::on_end_of_stream() {
  readable_ = false;
  peer_closed_ = true;
  if (!head_done_)
    return fail(input_.empty() ? UpstreamFailure::closed : UpstreamFailure::malformed);
  if (!body_.end_of_stream().ok()) return fail(UpstreamFailure::truncated);
  keep_alive_ = false;
  end_response({}, false);
}

// The connection is back in its pool before the handler hears of the end, so that whatever the
// handler begins next finds it there.
void Http1ClientConnection::end_response(std::string_view piece, bool bytes_left) {
  ClientStreamHandler* const handler = handler_;
  handler_ = nullptr;
  const bool reusable = keep_alive_ && request_done_ && output_.empty() && !bytes_left &&
                        !peer_closed_ && !failing_ && !write_failed_;
  // Trailers live in the decoder, which a next exchange replaces only after this call.
  const http::Fields trailers = body_.trailers();
  if (reusable) {
    state_ = State::idle;
    head_done_ = false;
    arm(timeouts_.keep_alive);
    owner_.on_idle(*this);
  } else {
    close(false);
  }
  handler->on_response_body(piece, true, trailers);
}

// ---- Ends ----

void Http1ClientConnection::cancel() {
  handler_ = nullptr;
  close(false);
}

void Http1ClientConnection::fail_later(UpstreamFailure failure) {
  failing_ = true;
  failure_ = failure;
  context_.loop.defer(*this);
}

void Http1ClientConnection::fail(UpstreamFailure failure) {
  ClientStreamHandler* const handler = handler_;
  handler_ = nullptr;
  const bool sent = sent_;
  const bool reused = reused_;
  close(state_ == State::connecting);
  if (handler != nullptr) handler->on_upstream_failure(failure, sent, reused);
}

void Http1ClientConnection::close(bool connect_failed) {
  if (state_ == State::closed) return;
  state_ = State::closed;
  socket_.reset();
  if (!processing_) input_.clear();
  output_.clear();
  owner_.on_closed(*this, connect_failed);
}

void Http1ClientConnection::on_deadline() {
  switch (state_) {
    case State::connecting:
      return fail(UpstreamFailure::connect_timeout);
    case State::idle:
      return close(false);
    case State::active:
      if (paused_)
        return arm(timeouts_.idle);  // It is the client who is slow, with its own limits.
      // While the request is still coming, the client's own deadlines watch over it.
      if (!request_done_ && output_.empty()) return arm(timeouts_.idle);
      if (tunnel_) return;  // The exchange watches over tunnels.
      return fail(head_done_ ? UpstreamFailure::idle_timeout : UpstreamFailure::first_byte_timeout);
    case State::closed:
      return;
  }
}

}  // namespace weir::net
