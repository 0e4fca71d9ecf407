// An exchange's way to an upstream: choosing, asking, streaming both ways, failing, trying again.

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "gateway/exchange.h"

namespace weir::gateway {
namespace {

using http::FieldName;
using std::chrono::milliseconds;
using traffic::Outcome;

constexpr milliseconds kRetryDelayFirst{25};
constexpr milliseconds kConnectionPoll{8};

}  // namespace

// ---- Towards the upstream ----

// The next endpoint in turn that is fit to be asked, and has room; none if no one is. A retry goes
// to another one, if there is another.
size_t Exchange::next_endpoint() {
  const RouteTargets& targets = active_->snapshot->targets[entry_->index];
  uint32_t& cursor = active_->cursors[entry_->index];
  const base::Monotonic now = gateway_.context_.loop.now();
  const size_t none = targets.endpoints.size();
  const size_t turns = targets.schedule.size();
  const auto next_such = [&](auto fit) {
    for (size_t i = 0; i < turns; ++i) {
      cursor = cursor + 1 < turns ? cursor + 1 : 0;
      const size_t index = targets.schedule[cursor];
      if (fit(index, *targets.endpoints[index])) return index;
    }
    return none;
  };
  size_t index = next_such([&](size_t at, const net::Endpoint& endpoint) {
    return endpoint.usable(now) && gateway_.pool_.has_room(endpoint) &&
           (attempts_ == 0 || fresh_only_ || at != endpoint_);
  });
  if (index != none) return index;
  index = next_such([&](size_t, const net::Endpoint& endpoint) { return endpoint.usable(now); });
  if (index != none) return index;
  // Ejected by failures, all of them: asking one is better than refusing for sure. Those that a
  // probe found down are not asked.
  return next_such([](size_t, const net::Endpoint& endpoint) { return !endpoint.probed_down(); });
}

void Exchange::ask_upstream() {
  stop_waiting();
  const RouteTargets& targets = active_->snapshot->targets[entry_->index];
  const size_t index = next_endpoint();
  if (index == targets.endpoints.size()) return refuse(kNoUpstream);
  net::Endpoint& endpoint = *targets.endpoints[index];
  const base::Monotonic now = gateway_.context_.loop.now();
  state_ = State::asking;
  endpoint_ = index;
  auto stream = gateway_.pool_.acquire(endpoint, *this, targets.timeouts, fresh_only_);
  if (stream.ok()) {
    ++attempts_;
    waiting_since_ = {};
    return send_to(*stream.value(), index);
  }
  if (stream.error().code == base::ErrorCode::limit_exceeded) {
    if (waiting_since_ == base::Monotonic{}) waiting_since_ = now;
    if (now - waiting_since_ >= targets.timeouts.connect) return refuse(kUpstreamBusy);
    waits_on_ = &endpoint;
    endpoint.add_waiting(1);
    return wait_for(kConnectionPoll);
  }
  ++attempts_;
  ++gateway_.counts_.upstream_failures;
  fresh_only_ = false;
  retry_or_fail(failure_of(net::UpstreamFailure::refused), can_replay(false));
}

void Exchange::send_to(net::ClientStream& client, size_t endpoint) {
  client_ = &client;
  state_ = State::sent;
  asked_ = gateway_.context_.loop.now();
  std::vector<http::Field>& fields = gateway_.fields_scratch_;
  fields.clear();
  std::string_view host = host_;
  if (route_->host_mode == config::HostMode::literal) {
    host = route_->host_literal;
  } else if (route_->host_mode == config::HostMode::upstream || host.empty()) {
    host = active_->snapshot->targets[entry_->index].hosts[endpoint];
  }
  fields.push_back({http::text(FieldName::host), host, FieldName::host});
  fields.insert(fields.end(), store_.fields().begin(), store_.fields().end());
  const net::RequestStart request{.method = method_,
                                  .target = target_,
                                  .fields = fields,
                                  .body = body_kind_,
                                  .content_length = content_length_,
                                  .upgrade = upgrade_};
  client_->send_request(request, body_.view(), body_done_, trailers_.fields());
  // What has been sent stays for a replay only as far as the replay buffer goes.
  if (!keep_for_replay({})) body_.clear();
  if (client_->queued_bytes() < net::kQueuedBytesHigh) {
    server_->resume_body();
  } else {
    server_->pause_body();
  }
}

// Keeps the piece for a replay as long as all fits; once a byte did not, there is none.
bool Exchange::keep_for_replay(std::string_view piece) {
  if (body_overflowed_) return false;
  if (body_.size() + piece.size() > route_->retry_buffer_bytes ||
      attempts_ >= route_->retry_attempts) {
    body_overflowed_ = body_bytes_ > 0;
    return false;
  }
  body_.append(piece);
  return true;
}

void Exchange::on_request_body(std::string_view piece, bool last, http::Fields trailers) {
  if (state_ == State::tunnel) {
    if (client_ == nullptr) return;  // The upstream has ended it, and its last bytes are going out.
    touch_tunnel();
    client_->send_body(piece, last, {});
    if (client_->queued_bytes() >= net::kQueuedBytesHigh) server_->pause_body();
    return;
  }
  body_done_ = last;
  // Still coming in while a refusal, or the last of an early response, goes out.
  if (state_ == State::answered || (state_ == State::responding && client_ == nullptr)) return;
  body_bytes_ += piece.size();
  interim_continue_ = false;
  if (body_bytes_ > route_->body_max_bytes) {
    if (client_ != nullptr) std::exchange(client_, nullptr)->cancel();
    return server_->response_started() ? cut(Outcome::refused) : refuse(kBodyTooLarge);
  }
  if (last && !trailers.empty()) keep_trailers(trailers);
  if (client_ == nullptr) {
    body_.append(piece);
    if (last && state_ == State::asking) return ask_upstream();
    if (body_.size() >= net::kQueuedBytesHigh) server_->pause_body();
    return;
  }
  if (!keep_for_replay(piece)) body_.clear();
  client_->send_body(piece, last, trailers);
  if (client_->queued_bytes() >= net::kQueuedBytesHigh) server_->pause_body();
}

void Exchange::keep_trailers(http::Fields trailers) {
  size_t bytes = 0;
  for (const http::Field& field : trailers)
    bytes += field.name.size() + field.value.size();
  trailers_.reset(bytes);
  for (const http::Field& field : trailers)
    trailers_.copy(field.name, field.value);
}

void Exchange::on_request_pause() {
  if (state_ == State::asking && client_ == nullptr) ask_upstream();
}

void Exchange::on_request_broken(http::Malformed kind) {
  // The response is on its way out in full, and the connection closes.
  if (state_ == State::answered || (state_ == State::responding && client_ == nullptr)) return;
  ++gateway_.counts_.malformed[static_cast<size_t>(kind)];
  if (client_ != nullptr) std::exchange(client_, nullptr)->cancel();
  const bool slow = kind == http::Malformed::incomplete;
  if (server_->response_started()) return cut(slow ? Outcome::timeout : Outcome::client_abort);
  refuse(failure_of(kind));
}

void Exchange::on_upstream_drained() {
  if (server_ != nullptr) server_->resume_body();
}

// ---- The upstream's answer ----

void Exchange::on_interim(const http::ResponseHead& head) {
  if (head.status == 100 && !interim_continue_) return;  // Nobody asked: it would only confuse.
  interim_continue_ = false;
  interim_passed_ = true;
  std::vector<http::Field>& fields = gateway_.fields_scratch_;
  fields.clear();
  for (const http::Field& field : head.fields) {
    if (http::is_hop_by_hop(field.id)) continue;
    if (head.connection_names_fields && http::connection_names(head.fields, field.name)) continue;
    fields.push_back(field);
  }
  server_->interim(head.status, fields);
}

void Exchange::on_response(const http::ResponseHead& head) {
  if (head.status == 101 && !http::equals_ignore_case(head.upgrade, upgrade_)) {
    std::exchange(client_, nullptr)->cancel();  // It switches to what nobody asked for.
    return on_upstream_failure(net::UpstreamFailure::malformed, true, false);
  }
  upstream_us_ = microseconds_between(asked_, gateway_.context_.loop.now());
  status_ = head.status;
  state_ = State::responding;
  if (counted_retrying_) {
    counted_retrying_ = false;
    --gateway_.retrying_;
  }
  body_.clear();
  std::vector<http::Field>& fields = gateway_.fields_scratch_;
  fields.clear();
  pass_response_fields(head, route_->response_headers, request_id_, fields);
  if (route_->cors.enabled) {
    std::erase_if(fields, [](const http::Field& field) {
      return field.id == FieldName::access_control_allow_origin ||
             field.id == FieldName::access_control_allow_credentials;
    });
    add_cors(fields);
  }
  if (route_->proxy_headers) add_proxy_fields(fields);
  std::optional<RateLimitFields> rate_limit;
  if (rate_checked_) {
    std::erase_if(fields, RateLimitFields::replaces);
    rate_limit.emplace(rate_limit_state());
    for (const http::Field& field : rate_limit->fields())
      fields.push_back(field);
  }
  net::ResponseStart start;
  start.status = head.status;
  start.reason = head.reason;
  start.fields = fields;
  start.has_body = head.body != http::BodyKind::none ||
                   (head.has_content_length && !head_request_ && head.status >= 200 &&
                    head.status != 204 && head.status != 304);
  if (head.has_content_length) start.content_length = head.content_length;
  if (head.status == 101) {
    if (gateway_.shared_.tunnels.fetch_add(1, std::memory_order_relaxed) >= gateway_.tunnels_max_) {
      gateway_.shared_.tunnels.fetch_sub(1, std::memory_order_relaxed);
      std::exchange(client_, nullptr)->cancel();
      return refuse(kTooManyTunnels);
    }
    counted_tunnel_ = true;
    state_ = State::tunnel;
    start.upgrade = upgrade_;
    body_done_ = false;
    outcome_ = Outcome::open_ended;
    if (route_->timeouts.tunnel_lifetime.count() > 0) {
      tunnel_end_ = gateway_.context_.loop.now() + route_->timeouts.tunnel_lifetime;
    }
    tunnel_idle_ = route_->timeouts.tunnel_idle;
    total_deadline_ = base::Monotonic::max();
    touch_tunnel();
  }
  server_->respond(start);  // May end this exchange.
  // Not committed: the client was gone before, and its record is still to come.
  if (state_ == State::tunnel && committed_) release_snapshot();
}

// A tunnel may last for days. With its record committed, it needs nothing more of the configuration
// that it began under.
void Exchange::release_snapshot() {
  route_ = nullptr;
  entry_ = nullptr;
  city_ = {};
  gateway_.release(*std::exchange(active_, nullptr));
}

void Exchange::on_response_body(std::string_view piece, bool last, http::Fields trailers) {
  if (state_ == State::tunnel) touch_tunnel();
  server_->send_body(piece);
  if (!last) {
    if (server_->queued_bytes() + piece.size() >= 2 * net::kQueuedBytesHigh) {
      server_->flush();
      if (server_->queued_bytes() >= net::kQueuedBytesHigh) client_->pause_response();
    }
    return;
  }
  client_ = nullptr;
  if (outcome_ != Outcome::open_ended) outcome_ = Outcome::complete;
  server_->finish(trailers);  // May end this exchange: nothing after it.
}

void Exchange::on_response_pause() {
  if (server_ == nullptr || !server_->response_started()) return;
  server_->flush();
  if (server_->queued_bytes() >= net::kQueuedBytesHigh) client_->pause_response();
}

void Exchange::on_drained() {
  if (client_ != nullptr) client_->resume_response();
}

void Exchange::on_upstream_failure(net::UpstreamFailure failure, bool sent, bool reused) {
  client_ = nullptr;
  ++gateway_.counts_.upstream_failures;
  if (state_ == State::tunnel) return server_->finish({});
  if (server_->response_started()) {
    return cut(failure == net::UpstreamFailure::idle_timeout ? Outcome::timeout
                                                             : Outcome::upstream_abort);
  }
  if (interim_passed_) return retry_or_fail(failure_of(failure), false);
  const bool transient = failure == net::UpstreamFailure::refused ||
                         failure == net::UpstreamFailure::connect_timeout ||
                         failure == net::UpstreamFailure::closed;
  // A connection at rest that the upstream closed at this very moment says nothing about the
  // upstream: the next attempt takes a new one, at once.
  fresh_only_ = reused && failure == net::UpstreamFailure::closed;
  retry_or_fail(failure_of(failure), transient && can_replay(sent));
}

// Source: RFC 9110 section 9.2.2; design 5.8.
bool Exchange::can_replay(bool sent) const {
  if (sent && !idempotent_) return false;
  return body_bytes_ == 0 || (!body_overflowed_ && body_.size() == body_bytes_);
}

void Exchange::retry_or_fail(const Failure& failure, bool may_retry) {
  if (!may_retry || attempts_ >= route_->retry_attempts || !gateway_.may_retry()) {
    outcome_ = failure.status == 504 ? Outcome::timeout : Outcome::upstream_abort;
    return refuse(failure);
  }
  ++gateway_.counts_.retries;
  if (!counted_retrying_) {
    counted_retrying_ = true;
    ++gateway_.retrying_;
  }
  if (fresh_only_) return ask_upstream();
  const int64_t base = kRetryDelayFirst.count() << std::min<int>(attempts_ - 1, 6);
  const auto jitter = static_cast<int64_t>(gateway_.random_.below(static_cast<uint64_t>(base)));
  wait_for(milliseconds{base / 2 + jitter});
}

void Exchange::wait_for(milliseconds delay) {
  state_ = State::waiting;
  step_deadline_ = gateway_.context_.loop.now() + delay;
  arm_deadline();
}

void Exchange::stop_waiting() {
  step_deadline_ = base::Monotonic::max();
  if (waits_on_ != nullptr) std::exchange(waits_on_, nullptr)->add_waiting(-1);
}

void Exchange::touch_tunnel() {
  step_deadline_ = gateway_.context_.loop.now() + tunnel_idle_;
  arm_deadline();
}

void Exchange::arm_deadline() {
  const base::Monotonic at = std::min({total_deadline_, step_deadline_, tunnel_end_});
  if (at == base::Monotonic::max() || server_ == nullptr) return;
  const auto delay = std::chrono::ceil<milliseconds>(at - gateway_.context_.loop.now());
  server_->set_deadline(std::max(delay, milliseconds{0}));
}

void Exchange::on_deadline() {
  const base::Monotonic now = gateway_.context_.loop.now();
  if (state_ == State::tunnel) {
    if (now < std::min(step_deadline_, tunnel_end_)) return arm_deadline();
    if (client_ == nullptr) return cut(Outcome::open_ended);  // The client does not take the rest.
    std::exchange(client_, nullptr)->cancel();
    touch_tunnel();
    return server_->finish({});
  }
  if (now >= total_deadline_) {
    total_deadline_ = base::Monotonic::max();
    stop_waiting();
    if (client_ != nullptr) std::exchange(client_, nullptr)->cancel();
    outcome_ = Outcome::timeout;
    return server_->response_started() ? cut(Outcome::timeout) : refuse(kTotalTimeout);
  }
  if (state_ == State::waiting && now >= step_deadline_) {
    ask_upstream();
  } else {
    arm_deadline();
  }
}

}  // namespace weir::gateway
