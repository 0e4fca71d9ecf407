// The output half of a client connection: heads, body pieces, the end, and what the kernel takes.

#include "base/assert.h"
#include "base/fault_point.h"
#include "http/writer.h"
#include "net/http1_server.h"
#include "net/socket.h"

namespace weir::net {
namespace {

// Pieces up to this size are copied behind the head; larger ones go out from where they are.
constexpr size_t kCopiedBytesMax = 16 * 1024;

size_t bytes_of(http::Fields fields) {
  size_t bytes = 0;
  for (const http::Field& field : fields)
    bytes += field.name.size() + field.value.size() + 4;
  return bytes;
}

}  // namespace

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
  if (framing_ == Framing::until_close && !broken_) commit(true);
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
  WEIR_ASSERT(broken_ || framing_ != Framing::length || body_left_ == 0);
  finishing_ = true;
  base::fault_point("response.before_commit");
  // To a socket that is known to have failed nothing more is offered: lose() tells the exchange.
  if (broken_) return;
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
  if (committed_ && framing_ != Framing::until_close) ++context_.counts.commit_then_abort;
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
      write_deadline_ = context_.loop.now() + context_.server.write_timeout;
      update_deadline();
    }
  }
  output_.append(tail_);
  tail_ = {};
  if (output_.empty()) write_deadline_ = base::Monotonic::max();
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
  }
}

}  // namespace weir::net
