#include "gateway/testing/mux_connection.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "http/request_head.h"

namespace weir::gateway::testing {
namespace {

// Overwrites what a caller of the gateway need not keep any longer.
void spoil(std::string& bytes) {
  std::fill(bytes.begin(), bytes.end(), '\xee');
}

FieldList copy_of(http::Fields fields) {
  FieldList list;
  for (const http::Field& field : fields)
    list.emplace_back(field.name, field.value);
  return list;
}

size_t frame_bytes(const FieldList& fields) {
  size_t bytes = kFrameBytes;
  for (const auto& [name, value] : fields)
    bytes += name.size() + value.size();
  return bytes;
}

}  // namespace

std::string field_in(const FieldList& fields, std::string_view name) {
  std::string found = "(none)";
  for (const auto& [each, value] : fields) {
    if (!http::equals_ignore_case(each, name)) continue;
    found = found == "(none)" ? value : "(several)";
  }
  return found;
}

// ---- The stream, as the gateway sees it ----

MuxStream::MuxStream(MuxConnection& connection, int number)
    : connection_(connection), number_(number) {}

bool MuxStream::may(bool allowed, const char* what) {
  if (allowed && handler_ != nullptr) return true;
  connection_.forbidden_.push_back("stream " + std::to_string(number_) + ": " + what);
  return false;
}

void MuxStream::interim(int status, http::Fields fields) {
  if (!may(!started_ && status >= 100 && status < 200 && status != 101, "interim")) return;
  interims_.push_back({.status = status, .fields = copy_of(fields)});
  bytes_out_ += frame_bytes(interims_.back().fields);
}

void MuxStream::respond(const net::ResponseStart& start) {
  if (!may(!started_ && (start.status == 101 || start.status >= 200), "respond")) return;
  for (const http::Field& field : start.fields) {
    const bool framing =
        http::is_hop_by_hop(field.id) || field.id == http::FieldName::content_length;
    may(!framing, "a field that belongs to the codec");
  }
  started_ = true;
  head_ = {.status = start.status,
           .fields = copy_of(start.fields),
           .content_length = start.content_length,
           .upgrade = std::string{start.upgrade}};
  open_ended_ = start.status == 101;
  has_body_ = start.has_body || open_ended_;
  if (!open_ended_) return;
  body_done_ = false;
  put_out_head();
}

void MuxStream::send_body(std::string_view piece) {
  if (piece.empty()) return;
  if (!may(started_ && !finishing_ && has_body_, "send_body")) return;
  offered_bytes_ += piece.size();
  may(!head_.content_length || offered_bytes_ <= *head_.content_length, "more than announced");
  borrowed_.push_back(piece);
}

void MuxStream::gather() {
  for (const std::string_view piece : borrowed_)
    queued_.append(piece);
  borrowed_.clear();
}

void MuxStream::flush() {
  if (!may(started_ && !finishing_, "flush")) return;
  gather();
  // What is flushed leaves, so the final byte must not be among it.
  may(!needs_no_body(), "flush of a head that is the whole response");
  may(!head_.content_length || offered_bytes_ < *head_.content_length,
      "flush of the final byte before finish");
  put_out();
  if (queued_.size() >= net::kQueuedBytesHigh) above_high_ = true;
}

void MuxStream::finish(http::Fields trailers) {
  if (!may(started_ && !finishing_, "finish")) return;
  may(open_ended_ || !has_body_ || !head_.content_length || offered_bytes_ == *head_.content_length,
      "less than announced");
  gather();
  finishing_ = true;
  trailers_ = copy_of(trailers);
  put_out();
}

void MuxStream::abort() {
  if (!may(true, "abort")) return;
  handler_ = nullptr;
  over(End::reset);
}

size_t MuxStream::queued_bytes() const {
  size_t bytes = queued_.size();
  for (const std::string_view piece : borrowed_)
    bytes += piece.size();
  return bytes;
}

void MuxStream::pause_body() {
  if (may(true, "pause_body")) paused_ = true;
}

void MuxStream::resume_body() {
  if (!may(true, "resume_body") || !paused_) return;
  paused_ = false;
  connection_.loop_.defer(*this);
}

void MuxStream::set_deadline(std::chrono::milliseconds delay) {
  if (may(true, "set_deadline")) connection_.loop_.set_deadline(*this, delay);
}

// ---- Output ----

void MuxStream::put_out_head() {
  head_left_ = true;
  bytes_out_ += frame_bytes(head_.fields);
  if (open_ended_) commit();
  connection_.timeline_.add(Happening::head, number_);
}

void MuxStream::commit() {
  if (std::exchange(committed_, true)) return;
  // The frame that ends the stream counts as offered.
  const uint64_t end_bytes = open_ended_ ? 0 : frame_bytes(trailers_);
  connection_.timeline_.enter(number_);
  handler_->on_commit(bytes_out_ + end_bytes, open_ended_);
  connection_.timeline_.enter(Timeline::kNoStream);
}

void MuxStream::put_out() {
  const size_t bytes = std::min(queued_.size(), window_);
  const bool ends = finishing_ && bytes == queued_.size();
  if (!head_left_ && !needs_no_body()) put_out_head();
  if (bytes > 0) bytes_out_ += kFrameBytes + bytes;
  if (ends) {
    if (!head_left_) {  // Head and end leave together.
      bytes_out_ += frame_bytes(head_.fields);
      head_left_ = true;
    }
    commit();
    bytes_out_ += frame_bytes(trailers_);
  } else if (bytes > 0) {
    connection_.timeline_.add(Happening::data, number_);
  }
  body_.append(queued_, 0, bytes);
  queued_.erase(0, bytes);
  if (window_ != SIZE_MAX) window_ -= bytes;
  if (!ends) return;
  connection_.timeline_.add(Happening::last, number_);
  net::ServerStreamHandler* const handler = std::exchange(handler_, nullptr);
  over(End::complete);
  handler->on_answered(false);
}

void MuxStream::over(End end) {
  end_ = end;
  borrowed_.clear();
  waiting_.clear();
  connection_.loop_.clear_deadline(*this);
  if (end == End::reset) connection_.timeline_.add(Happening::reset, number_);
  if (end == End::gave_up) connection_.timeline_.add(Happening::gone, number_);
}

void MuxStream::on_deadline() {
  if (handler_ == nullptr) return;
  connection_.timeline_.enter(number_);
  handler_->on_deadline();
  connection_.timeline_.enter(Timeline::kNoStream);
}

// ---- The client's end ----

void MuxStream::begin(std::string_view head_text) {
  std::string bytes{head_text};
  if (bytes.find("Host:") == std::string::npos) {
    bytes.insert(bytes.find("\r\n") + 2, "Host: test\r\n");
  }
  http::RequestHead head;
  const auto parsed = http::parse_request_head(bytes, http::RequestLimits{}, head);
  ASSERT_TRUE(parsed.ok()) << http::name(parsed.error()) << ": " << head_text;
  bytes_in_ = bytes.size();
  body_done_ = head.body == http::BodyKind::none;
  connection_.timeline_.add(Happening::arrived, number_);
  connection_.timeline_.enter(number_);
  connection_.handler_.on_request(*this, connection_.client_, head);
  connection_.timeline_.enter(Timeline::kNoStream);
  spoil(bytes);
}

void MuxStream::begin_malformed(http::Malformed kind) {
  connection_.timeline_.add(Happening::arrived, number_);
  connection_.timeline_.enter(number_);
  connection_.handler_.on_malformed(*this, connection_.client_, kind);
  connection_.timeline_.enter(Timeline::kNoStream);
}

void MuxStream::push(std::string_view piece, bool last, FieldList trailers) {
  if (over()) return;
  waiting_.push_back({std::string{piece}, last, std::move(trailers)});
  deliver();
}

void MuxStream::deliver() {
  if (handler_ == nullptr || waiting_.empty()) return;
  connection_.timeline_.enter(number_);
  while (handler_ != nullptr && !paused_ && !waiting_.empty()) {
    Piece piece = std::move(waiting_.front());
    waiting_.erase(waiting_.begin());
    bytes_in_ += piece.bytes.size();
    body_done_ = piece.last;
    std::vector<http::Field> trailers;
    for (const auto& [name, value] : piece.trailers)
      trailers.push_back({name, value, http::field_name(name)});
    handler_->on_request_body(piece.bytes, piece.last, trailers);
    spoil(piece.bytes);
    for (auto& [name, value] : piece.trailers) {
      spoil(name);
      spoil(value);
    }
  }
  if (handler_ != nullptr && !body_done_) handler_->on_request_pause();
  connection_.timeline_.enter(Timeline::kNoStream);
}

void MuxStream::break_body(http::Malformed kind) {
  ASSERT_FALSE(body_done_);
  body_done_ = true;
  waiting_.clear();
  handler_->on_request_broken(kind);
}

size_t MuxStream::waiting_bytes() const {
  size_t bytes = 0;
  for (const Piece& piece : waiting_)
    bytes += piece.bytes.size();
  return bytes;
}

void MuxStream::grant(size_t bytes) {
  window_ += bytes;
  if (!started_ || handler_ == nullptr || (queued_.empty() && !finishing_)) return;
  put_out();
  if (handler_ == nullptr || !above_high_ || queued_.size() > net::kQueuedBytesLow) return;
  above_high_ = false;
  handler_->on_drained();
}

void MuxStream::give_up(bool timed_out) {
  if (handler_ == nullptr) return;
  net::ServerStreamHandler* const handler = std::exchange(handler_, nullptr);
  over(End::gave_up);
  if (committed_) {
    handler->on_answered(!open_ended_);
  } else {
    committed_ = true;
    handler->on_client_gone(timed_out, bytes_in_, bytes_out_);
  }
}

const ReceivedHead& MuxStream::head() const {
  EXPECT_TRUE(head_left_) << "no head has come";
  return head_;
}

// ---- The connection ----

MuxConnection::MuxConnection(loop::Loop& loop, net::ServerHandler& handler, Timeline& timeline)
    : loop_(loop), handler_(handler), timeline_(timeline) {
  client_.peer = net::SocketAddress::parse("192.0.2.7:40000").value();
}

MuxConnection::~MuxConnection() = default;

MuxStream& MuxConnection::add() {
  streams_.push_back(std::make_unique<MuxStream>(*this, static_cast<int>(streams_.size())));
  return *streams_.back();
}

MuxStream& MuxConnection::open(std::string_view head) {
  MuxStream& stream = add();
  stream.begin(head);
  return stream;
}

MuxStream& MuxConnection::open_malformed(http::Malformed kind) {
  MuxStream& stream = add();
  stream.begin_malformed(kind);
  return stream;
}

void MuxConnection::lose() {
  for (size_t i = 0; i < streams_.size(); ++i)
    streams_[i]->give_up();
}

}  // namespace weir::gateway::testing
