#include "gateway/exchange.h"

#include <algorithm>
#include <chrono>

#include "base/assert.h"
#include "codec/iso_time.h"
#include "http/uri.h"
#include "routing/rewrite.h"
#include "routing/route_table.h"

namespace weir::gateway {
namespace {

using http::FieldName;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using traffic::EventFlag;
using traffic::Outcome;

constexpr std::string_view kMalformedPath = "__malformed__";
constexpr size_t kStoreBytesKept = 16 * 1024;
constexpr milliseconds kRetryDelayFirst{25};
constexpr milliseconds kConnectionPoll{8};

uint64_t microseconds_between(base::Monotonic from, base::Monotonic to) {
  return static_cast<uint64_t>(
      std::max<int64_t>(0, std::chrono::duration_cast<microseconds>(to - from).count()));
}

// The same text as traffic::to_string(), without allocating.
void write_id(const traffic::EventId& id, std::array<char, 34>& out) {
  constexpr std::string_view kHex = "0123456789abcdef";
  uint64_t number = id.unix_ms;
  for (size_t i = 13; i-- > 0; number /= 10)
    out[i] = static_cast<char>('0' + number % 10);
  out[13] = '-';
  for (size_t i = 0; i < id.tail.size(); ++i) {
    out[14 + 2 * i] = kHex[id.tail[i] >> 4U];
    out[15 + 2 * i] = kHex[id.tail[i] & 0xfU];
  }
}

// The request's fields, as the route table asks about them.
class HeaderMatch final : public routing::HeaderLookup {
 public:
  explicit HeaderMatch(http::Fields fields) : fields_(fields) {}
  bool has(std::string_view name, std::string_view value) const override {
    return std::any_of(fields_.begin(), fields_.end(), [&](const http::Field& field) {
      return (value == "*" || field.value == value) && http::equals_ignore_case(field.name, name);
    });
  }

 private:
  http::Fields fields_;
};

FieldName header_of(config::ClientAddress source) {
  switch (source) {
    case config::ClientAddress::x_forwarded_for:
      return FieldName::x_forwarded_for;
    case config::ClientAddress::forwarded:
      return FieldName::forwarded;
    case config::ClientAddress::cf_connecting_ip:
      return FieldName::cf_connecting_ip;
    case config::ClientAddress::x_real_ip:
      return FieldName::x_real_ip;
    default:
      return FieldName::other;
  }
}

}  // namespace

Exchange::Exchange(Gateway& gateway) : gateway_(gateway), body_(gateway.context_.blocks) {}

// ---- The stages ----

void Exchange::start(net::ServerStream& server, net::ClientConnection& connection) {
  const net::LoopContext& context = gateway_.context_;
  server_ = &server;
  connection_ = &connection;
  client_ = nullptr;
  active_ = gateway_.active_.back().get();
  ++active_->users;
  route_ = nullptr;
  entry_ = nullptr;
  state_ = State::asking;
  recorded_ = body_done_ = true;
  committed_ = head_request_ = idempotent_ = body_overflowed_ = fresh_only_ = false;
  counted_retrying_ = counted_tunnel_ = interim_continue_ = false;
  arrived_at_ = context.loop.wall();
  arrived_ = context.loop.now();
  id_ = gateway_.recorder_.next_id(arrived_at_);
  total_deadline_ = step_deadline_ = tunnel_end_ = base::Monotonic::max();
  status_ = flags_ = attempts_ = 0;
  outcome_ = Outcome::refused;
  upstream_us_ = body_bytes_ = content_length_ = 0;
  body_kind_ = http::BodyKind::none;
  method_ = path_ = target_ = query_ = user_agent_ = request_id_ = upgrade_ = host_ = origin_ = {};
  server.attach(*this);
}

void Exchange::begin_malformed(net::ServerStream& server, net::ClientConnection& connection,
                               http::Malformed kind) {
  start(server, connection);
  ++gateway_.counts_.malformed[static_cast<size_t>(kind)];
  path_ = kMalformedPath;
  flags_ = EventFlag::kMalformed;
  if (!connection_->has_client_hash) identify({connection_->peer.ip().bytes});
  write_id(id_, id_text_);
  request_id_ = {id_text_.data(), id_text_.size()};
  refuse(failure_of(kind));
}

void Exchange::begin(net::ServerStream& server, net::ClientConnection& connection,
                     const http::RequestHead& head) {
  start(server, connection);
  head_request_ = head.method_id == http::Method::head;
  idempotent_ = http::is_idempotent(head.method_id);
  body_kind_ = head.body;
  body_done_ = head.body == http::BodyKind::none;
  content_length_ = head.content_length;
  interim_continue_ = head.expect_continue;
  write_id(id_, id_text_);
  const std::string_view sent_id = head.value(FieldName::x_request_id);
  request_id_ =
      is_request_id(sent_id) ? sent_id : std::string_view{id_text_.data(), id_text_.size()};
  run_stages(head);
}

// The one place that shows the order. Each step answers and returns false, or lets the next one
// try.
void Exchange::run_stages(const http::RequestHead& head) {
  // Collect: whatever happens from here on, on_commit() or on_client_gone() records it.
  identify_client(head);
  if (!take_path(head)) return;
  if (answer_health(head)) return;
  const bool routed = match_route(head);
  copy_request(head);
  if (head.method_id == http::Method::connect || head.method_id == http::Method::trace) {
    return refuse(kMethodNotAllowed);
  }
  // IP rules, then geographic rules.
  if (!routed) return refuse(kNotFound);
  if (route_->timeouts.total.count() > 0) {
    total_deadline_ = arrived_ + route_->timeouts.total;
    arm_deadline();
  }
  if (answer_preflight(head)) return;
  if (answer_redirect()) return;
  // Authenticate, then rate limit, then cache.
  if (head.body == http::BodyKind::length && head.content_length > route_->body_max_bytes) {
    return refuse(kBodyTooLarge);
  }
  // A body's first piece usually came with the head: then both go out together, in
  // on_request_pause() or with the last piece.
  if (body_done_ || head.expect_continue) ask_upstream();
}

bool Exchange::take_path(const http::RequestHead& head) {
  if (head.asterisk_form || head.path_raw.empty()) {
    path_ = head.asterisk_form ? "*" : "/";
    return true;
  }
  const auto path = http::normalise_path(head.path_raw, gateway_.path_scratch_);
  if (path.ok()) {
    path_ = path.value();
    return true;
  }
  ++gateway_.counts_.malformed[static_cast<size_t>(path.error())];
  path_ = kMalformedPath;
  flags_ = EventFlag::kMalformed;
  copy_request(head);
  refuse(failure_of(path.error()));
  return false;
}

bool Exchange::answer_health(const http::RequestHead& head) {
  const std::string& health_path = active_->snapshot->config.health_path;
  if (health_path.empty() || path_ != health_path) return false;
  recorded_ = false;
  copy_request(head);
  std::string& body = gateway_.text_scratch_;
  body = R"({"status":"healthy","timestamp":")";
  codec::append_iso_ms(body, base::unix_ms(arrived_at_));
  body += "\"}";
  respond_json(200, body);
  return true;
}

void Exchange::identify_client(const http::RequestHead& head) {
  identify(
      active_->snapshot->client_addresses[connection_->listener].client_of(*connection_, head));
}

void Exchange::identify(const config::IpAddress& client) {
  if (connection_->has_client_hash && connection_->hashed_ip.bytes == client.bytes) return;
  connection_->hashed_ip.bytes = client.bytes;
  connection_->client_hash = gateway_.identity_.hash(client);
  connection_->has_client_hash = true;
  const std::string text = client == config::IpAddress{} ? "" : config::to_string(client);
  connection_->client_ip_bytes =
      static_cast<uint8_t>(text.copy(connection_->client_ip.data(), connection_->client_ip.size()));
}

bool Exchange::match_route(const http::RequestHead& head) {
  const HeaderMatch headers{head.fields};
  entry_ = active_->snapshot->routes.match({head.host_name, head.method, path_, headers});
  if (entry_ == nullptr) {
    flags_ |= EventFlag::kUnrouted;
    return false;
  }
  route_ = entry_->config;
  return true;
}

// Everything that outlives this callback, in one piece of memory.
void Exchange::copy_request(const http::RequestHead& head) {
  static const config::HeaderRules kNoRules;
  const config::HeaderRules& rules = route_ != nullptr ? route_->request_headers : kNoRules;
  const ClientAddressRule& address_rule =
      active_->snapshot->client_addresses[connection_->listener];
  // Only who believes the chain appends to it; then the peer is rarely the client.
  std::string peer_ip;
  if (address_rule.trusts(connection_->peer) && connection_->peer.is_ip()) {
    peer_ip = config::to_string(config::IpAddress{connection_->peer.ip().bytes});
  }
  RequestFacts facts;
  facts.peer_trusted = address_rule.trusts(connection_->peer);
  facts.source_header = header_of(address_rule.source());
  facts.client_ip = connection_->client_ip_text();
  facts.peer_ip = peer_ip;
  facts.host = head.host;
  facts.request_id = request_id_;
  const std::string_view rewritten =
      entry_ != nullptr ? routing::upstream_path(*entry_, path_, gateway_.text_scratch_) : path_;
  store_.reset(request_field_bytes(head, facts, rules) + head.method.size() + path_.size() +
               rewritten.size() + 2 * head.query.size() + head.host.size() +
               2 * head.upgrade.size() + request_id_.size() + 64);
  method_ = store_.keep(head.method);
  path_ = store_.keep(path_);
  user_agent_ = store_.keep(head.value(FieldName::user_agent));
  request_id_ = store_.keep(request_id_);
  facts.request_id = request_id_;
  query_ = head.has_query ? store_.keep_joined("?", head.query, {}) : std::string_view{};
  target_ = store_.keep_joined(rewritten, query_, {});
  host_ = store_.keep(head.host);
  if (route_ == nullptr) return;
  origin_ = store_.keep(head.value(FieldName::origin));
  if (head.upgrade_requested && !body_done_) {
    upgrade_ = {};
  } else if (head.upgrade_requested) {
    for (const std::string& allowed : route_->upgrade) {
      if (http::equals_ignore_case(head.upgrade, allowed)) upgrade_ = store_.keep(head.upgrade);
    }
  }
  copy_request_fields(head, facts, rules, store_);
}

bool Exchange::answer_redirect() {
  if (route_->redirect.status == 0) return false;
  std::string& location = gateway_.text_scratch_;
  const bool has_query = !query_.empty();
  routing::redirect_location(*entry_, {path_, has_query ? query_.substr(1) : query_, has_query},
                             location);
  const http::Field field{http::text(FieldName::location), location, FieldName::location};
  outcome_ = Outcome::complete;
  respond_fields(route_->redirect.status, {&field, 1}, {});
  return true;
}

// ---- CORS ----

bool Exchange::answer_preflight(const http::RequestHead& head) {
  if (!route_->cors.enabled || head.method_id != http::Method::options) return false;
  if (origin_.empty() || !head.has(FieldName::access_control_request_method)) return false;
  std::vector<http::Field>& fields = gateway_.fields_scratch_;
  fields.clear();
  add_cors(fields);
  std::string& text = gateway_.text_scratch_;
  text.clear();
  const config::Cors& cors = route_->cors;
  for (const std::string& method : cors.methods) {
    if (!text.empty()) text += ", ";
    text += method;
  }
  if (text.empty()) text = "GET, HEAD, POST, PUT, PATCH, DELETE";
  const size_t methods_bytes = text.size();
  for (const std::string& name : cors.headers) {
    if (text.size() > methods_bytes) text += ", ";
    text += name;
  }
  if (cors.headers.empty()) text += head.value(FieldName::access_control_request_headers);
  const size_t headers_bytes = text.size() - methods_bytes;
  text += std::to_string(cors.max_age.count());
  const std::string_view all{text};
  const auto add = [&](FieldName name, std::string_view value) {
    fields.push_back({http::text(name), value, name});
  };
  if (!fields.empty()) {
    add(FieldName::access_control_allow_methods, all.substr(0, methods_bytes));
    if (headers_bytes > 0) {
      add(FieldName::access_control_allow_headers, all.substr(methods_bytes, headers_bytes));
    }
    add(FieldName::access_control_max_age, all.substr(methods_bytes + headers_bytes));
  }
  outcome_ = Outcome::complete;
  respond_fields(204, fields, {});
  return true;
}

// Nothing where the origin is not allowed: the browser then refuses by itself.
void Exchange::add_cors(std::vector<http::Field>& fields) const {
  const config::Cors& cors = route_->cors;
  if (!cors.enabled || origin_.empty()) return;
  const bool any = std::find(cors.origins.begin(), cors.origins.end(), "*") != cors.origins.end();
  const bool listed =
      std::find(cors.origins.begin(), cors.origins.end(), origin_) != cors.origins.end();
  if (!any && !listed) return;
  const bool star = any && !cors.credentials;
  const auto add = [&](FieldName name, std::string_view value) {
    fields.push_back({http::text(name), value, name});
  };
  add(FieldName::access_control_allow_origin, star ? std::string_view{"*"} : origin_);
  if (cors.credentials) add(FieldName::access_control_allow_credentials, "true");
  if (!star) add(FieldName::vary, "Origin");
}

// ---- Towards the upstream ----

// The next endpoint in turn that is fit to be asked; none if no one is.
size_t Exchange::next_endpoint() {
  const RouteTargets& targets = active_->snapshot->targets[entry_->index];
  uint32_t& cursor = active_->cursors[entry_->index];
  const base::Monotonic now = gateway_.context_.loop.now();
  const size_t turns = targets.schedule.size();
  for (size_t i = 0; i < turns; ++i) {
    cursor = cursor + 1 < turns ? cursor + 1 : 0;
    const size_t index = targets.schedule[cursor];
    if (targets.endpoints[index]->usable(now)) return index;
  }
  // Ejected by failures, all of them: asking one is better than refusing for sure. Those that a
  // probe found down are not asked.
  for (size_t i = 0; i < turns; ++i) {
    cursor = cursor + 1 < turns ? cursor + 1 : 0;
    const size_t index = targets.schedule[cursor];
    if (!targets.endpoints[index]->probed_down()) return index;
  }
  return targets.endpoints.size();
}

void Exchange::ask_upstream() {
  stop_waiting();
  const RouteTargets& targets = active_->snapshot->targets[entry_->index];
  const size_t index = next_endpoint();
  if (index == targets.endpoints.size()) return refuse(kNoUpstream);
  net::Endpoint& endpoint = *targets.endpoints[index];
  const base::Monotonic now = gateway_.context_.loop.now();
  state_ = State::asking;
  auto stream = gateway_.pool_.acquire(endpoint, *this, targets.timeouts, fresh_only_);
  if (stream.ok()) {
    ++attempts_;
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
  client_->send_request(request, body_.view(), body_done_);
  if (attempts_ >= route_->retry_attempts) body_.clear();
  server_->resume_body();
}

void Exchange::on_request_body(std::string_view piece, bool last) {
  if (state_ == State::answered) return;  // Still coming in while the refusal goes out.
  body_done_ = last;
  body_bytes_ += piece.size();
  interim_continue_ = false;
  if (state_ == State::tunnel) {
    touch_tunnel();
    client_->send_body(piece, last);
    if (client_->queued_bytes() >= net::kQueuedBytesHigh) server_->pause_body();
    return;
  }
  if (body_bytes_ > route_->body_max_bytes) {
    if (client_ != nullptr) std::exchange(client_, nullptr)->cancel();
    return server_->response_started() ? cut(Outcome::refused) : refuse(kBodyTooLarge);
  }
  if (client_ == nullptr) {
    body_.append(piece);
    if (state_ == State::responding) return body_.clear();
    if (last && state_ == State::asking) return ask_upstream();
    if (body_.size() >= net::kQueuedBytesHigh) server_->pause_body();
    return;
  }
  // Kept for a replay as long as it fits; once a byte did not, there is none.
  if (!body_overflowed_ && body_.size() + piece.size() <= route_->retry_buffer_bytes &&
      attempts_ < route_->retry_attempts) {
    body_.append(piece);
  } else {
    body_overflowed_ = true;
    body_.clear();
  }
  client_->send_body(piece, last);
  if (client_->queued_bytes() >= net::kQueuedBytesHigh) server_->pause_body();
}

void Exchange::on_request_pause() {
  if (state_ == State::asking && client_ == nullptr) ask_upstream();
}

void Exchange::on_request_broken(http::Malformed kind) {
  if (committed_) return;  // The response is on its way out in full, and the connection closes.
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
  std::vector<http::Field>& fields = gateway_.fields_scratch_;
  fields.clear();
  for (const http::Field& field : head.fields) {
    if (!http::is_hop_by_hop(field.id)) fields.push_back(field);
  }
  server_->interim(head.status, fields);
}

void Exchange::on_response(const http::ResponseHead& head) {
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
  net::ResponseStart start;
  start.status = head.status;
  start.reason = head.reason;
  start.fields = fields;
  start.has_body = head.body != http::BodyKind::none ||
                   (head.has_content_length && !head_request_ && head.status >= 200 &&
                    head.status != 204 && head.status != 304);
  if (head.has_content_length) start.content_length = head.content_length;
  if (head.status == 101) {
    if (gateway_.node_counts_.tunnels.fetch_add(1, std::memory_order_relaxed) >=
        gateway_.tunnels_max_) {
      gateway_.node_counts_.tunnels.fetch_sub(1, std::memory_order_relaxed);
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
    total_deadline_ = base::Monotonic::max();
    touch_tunnel();
  }
  server_->respond(start);
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
  const bool transient = failure == net::UpstreamFailure::refused ||
                         failure == net::UpstreamFailure::connect_timeout ||
                         failure == net::UpstreamFailure::closed;
  // A connection at rest that the upstream closed at this very moment says nothing about the
  // upstream: the next attempt takes a new one, at once.
  if (reused && failure == net::UpstreamFailure::closed) fresh_only_ = true;
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
  state_ = State::waiting;
  if (fresh_only_) return wait_for(milliseconds{0});
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
  step_deadline_ = gateway_.context_.loop.now() + route_->timeouts.tunnel_idle;
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
  if (state_ == State::tunnel && now >= std::min(step_deadline_, tunnel_end_)) {
    std::exchange(client_, nullptr)->cancel();
    return server_->finish({});
  }
  if (now >= total_deadline_) {
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

// ---- Towards the client ----

void Exchange::refuse(const Failure& failure) {
  stop_waiting();
  std::string& body = gateway_.text_scratch_;
  body.clear();
  append_body(body, failure, request_id_,
              route_ != nullptr ? std::string_view{route_->pattern} : std::string_view{});
  respond_json(failure.status, body);
}

void Exchange::respond_json(int status, std::string_view body) {
  const http::Field type{http::text(FieldName::content_type), "application/json",
                         FieldName::content_type};
  respond_fields(status, {&type, 1}, body);
}

void Exchange::respond_fields(int status, http::Fields fields, std::string_view body) {
  WEIR_ASSERT(client_ == nullptr);
  std::array<http::Field, 16> all;
  WEIR_ASSERT(fields.size() + 4 <= all.size());
  size_t count = 0;
  for (const http::Field& field : fields)
    all[count++] = field;
  all[count++] = {http::text(FieldName::date), gateway_.date_.at(gateway_.context_.loop.wall()),
                  FieldName::date};
  all[count++] = {http::text(FieldName::x_request_id), request_id_, FieldName::x_request_id};
  if (status == 503)
    all[count++] = {http::text(FieldName::retry_after), "1", FieldName::retry_after};
  status_ = status;
  state_ = State::answered;
  const bool has_body = !head_request_ && status != 204 && status != 304;
  server_->respond({.status = status,
                    .fields = {all.data(), count},
                    .has_body = has_body,
                    .content_length = body.size()});
  if (has_body) server_->send_body(body);
  server_->finish({});  // May end this exchange: nothing after it.
}

// The client sees an incomplete response; the record says why.
void Exchange::cut(Outcome outcome) {
  outcome_ = outcome;
  if (!committed_) record(server_->bytes_in(), server_->bytes_out());
  server_->abort();
  end();
}

// ---- The record ----

void Exchange::on_commit(uint64_t bytes_out, bool open_ended) {
  if (open_ended) outcome_ = Outcome::open_ended;
  record(server_->bytes_in(), bytes_out);
}

void Exchange::record(uint64_t bytes_in, uint64_t bytes_out) {
  WEIR_ASSERT(!committed_);
  committed_ = true;
  ++gateway_.counts_.responses_by_class[static_cast<size_t>(status_ / 100)];
  const Snapshot& snapshot = *active_->snapshot;
  if (!recorded_ || !snapshot.config.stats.record) return;
  traffic::Event event;
  event.id = id_;
  event.arrival_us = arrived_at_.time_since_epoch().count();
  event.path = path_;
  event.method = method_;
  event.user_agent = user_agent_;
  if (route_ != nullptr) event.route_id = route_->id;
  event.colo = gateway_.options_.node;
  event.client_ip = connection_->client_ip_text();
  event.client_hash = connection_->client_hash;
  event.duration_us = microseconds_between(arrived_, gateway_.context_.loop.now());
  event.upstream_us = upstream_us_;
  event.bytes_in = bytes_in;
  event.bytes_out = bytes_out;
  event.status = static_cast<uint16_t>(status_);
  event.flags = flags_;
  if (route_ == nullptr && snapshot.config.stats.collect == config::Collect::routes) {
    event.flags |= EventFlag::kTotalsOnly;
  }
  const double rate = snapshot.config.stats.sampling_rate;
  if (rate < 1.0 && static_cast<double>(gateway_.random_.next() >> 11U) * 0x1p-53 >= rate) {
    event.flags |= EventFlag::kSampledOut;
  }
  event.outcome = outcome_;
  event.attempts = attempts_;
  gateway_.recorder_.commit(event);
}

void Exchange::on_answered(bool /*aborted_after_commit*/) {
  server_ = nullptr;
  end();
}

void Exchange::on_client_gone(bool timed_out, uint64_t bytes_in, uint64_t bytes_out) {
  outcome_ = timed_out ? Outcome::timeout : Outcome::client_abort;
  if (state_ != State::responding && state_ != State::answered) status_ = 499;
  record(bytes_in, bytes_out);
  server_ = nullptr;
  end();
}

void Exchange::end() {
  stop_waiting();
  if (client_ != nullptr) std::exchange(client_, nullptr)->cancel();
  if (counted_retrying_) --gateway_.retrying_;
  if (counted_tunnel_) gateway_.node_counts_.tunnels.fetch_sub(1, std::memory_order_relaxed);
  if (recorded_ && active_->snapshot->config.stats.record) gateway_.recorder_.answered();
  body_.clear();
  if (store_.capacity() > kStoreBytesKept) store_.shrink();
  server_ = nullptr;
  state_ = State::unused;
  gateway_.give_back(*this);
}

}  // namespace weir::gateway
