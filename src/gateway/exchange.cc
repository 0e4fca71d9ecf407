#include "gateway/exchange.h"

#include <algorithm>

#include "base/assert.h"
#include "codec/iso_time.h"
#include "gateway/decisions.h"
#include "http/uri.h"
#include "routing/rewrite.h"
#include "routing/route_table.h"

namespace weir::gateway {
namespace {

using http::FieldName;
using traffic::EventFlag;
using traffic::Outcome;

constexpr std::string_view kMalformedPath = "__malformed__";
constexpr size_t kStoreBytesKept = 16 * 1024;

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

uint64_t microseconds_between(base::Monotonic from, base::Monotonic to) {
  const auto passed = std::chrono::duration_cast<std::chrono::microseconds>(to - from);
  return static_cast<uint64_t>(std::max<int64_t>(0, passed.count()));
}

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
  committed_ = counts_answer_ = false;
  head_request_ = idempotent_ = body_overflowed_ = fresh_only_ = false;
  rate_checked_ = rate_refused_ = denied_ = refused_by_ban_ = of_unknown_client_ = false;
  counted_retrying_ = counted_tunnel_ = interim_continue_ = interim_passed_ = false;
  waiting_since_ = {};
  arrived_at_ = context.loop.wall();
  arrived_ = context.loop.now();
  id_ = gateway_.recorder_.next_id(arrived_at_);
  total_deadline_ = step_deadline_ = tunnel_end_ = base::Monotonic::max();
  status_ = flags_ = attempts_ = 0;
  outcome_ = Outcome::refused;
  upstream_us_ = body_bytes_ = content_length_ = 0;
  body_kind_ = http::BodyKind::none;
  geo_action_ = traffic::GeoAction::none;
  method_ = path_ = target_ = query_ = user_agent_ = request_id_ = upgrade_ = host_ = origin_ = {};
  server.attach(*this);
}

void Exchange::begin_malformed(net::ServerStream& server, net::ClientConnection& connection,
                               http::Malformed kind) {
  start(server, connection);
  ++gateway_.counts_.malformed[static_cast<size_t>(kind)];
  path_ = kMalformedPath;
  flags_ = EventFlag::kMalformed;
  identify_sender();
  traffic::write_text(id_, id_text_);
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
  traffic::write_text(id_, id_text_);
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
  const bool routed = match_route(head);
  copy_request(head);
  if (is_refused_method(head)) return refuse(kMethodNotAllowed);
  if (answer_health(head)) return;
  if (!check_address()) return;
  if (!check_geo_rules()) return;
  if (!routed) return refuse(kNotFound);
  if (route_->timeouts.total.count() > 0) {
    total_deadline_ = arrived_ + route_->timeouts.total;
    arm_deadline();
  }
  if (answer_preflight(head)) return;
  // Authenticate.
  if (!limit_rate(head)) return;
  if (answer_redirect()) return;
  if (answer_built_in()) return;
  // Cache.
  if (is_body_too_large(*route_, head)) return refuse(kBodyTooLarge);
  copy_fields(head);
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
  if (!is_health_request(active_->snapshot->config, head, path_)) return false;
  recorded_ = false;
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
  hear_country(head);
}

// Of bytes that are no request. Where a proxy's header says who the client is, nobody knows whose
// they are: they are told as the proxy's, and counted against nobody.
void Exchange::identify_sender() {
  const ClientAddressRule& rule = active_->snapshot->client_addresses[connection_->listener];
  of_unknown_client_ = rule.reads_header_of(connection_->peer);
  identify(rule.sender_of(*connection_));
}

void Exchange::identify(const config::IpAddress& client) {
  const config::ClientIpPrivacy privacy = active_->snapshot->config.client_ip;
  const auto rule = static_cast<uint8_t>(privacy);
  if (connection_->has_client_hash && connection_->hashed_ip.bytes == client.bytes &&
      connection_->recorded_privacy == rule) {
    return place();
  }
  connection_->hashed_ip.bytes = client.bytes;
  connection_->client_hash = gateway_.identity_.hash(client);
  connection_->has_client_hash = true;
  connection_->recorded_privacy = rule;
  config::IpText full;
  config::IpText kept;
  if (client != config::IpAddress{}) {
    full = config::IpText{client};
    kept = recorded_address(client, privacy);
  }
  connection_->client_ip_bytes = static_cast<uint8_t>(
      full.view().copy(connection_->client_ip.data(), connection_->client_ip.size()));
  connection_->recorded_ip_bytes = static_cast<uint8_t>(
      kept.view().copy(connection_->recorded_ip.data(), connection_->recorded_ip.size()));
  connection_->placed_by = connection_->unruled_by = 0;
  place();
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

// What outlives this callback, in one piece of memory: here what answers and the record need, with
// room for what copy_fields() adds for an upstream. Most of what is refused never needs that.
void Exchange::copy_request(const http::RequestHead& head) {
  const std::string_view rewritten =
      entry_ != nullptr ? routing::upstream_path(*entry_, path_, gateway_.text_scratch_) : path_;
  const std::string_view origin =
      route_ != nullptr ? head.value(FieldName::origin) : std::string_view{};
  const std::string_view user_agent = head.value(FieldName::user_agent);
  store_.reset(request_field_bytes(head, request_id_, request_rules()) + head.method.size() +
               path_.size() + user_agent.size() + origin.size() + rewritten.size() +
               2 * head.query.size() + 2 * request_id_.size() + 64);
  method_ = store_.keep(head.method);
  path_ = store_.keep(path_);
  user_agent_ = store_.keep(user_agent);
  request_id_ = store_.keep(request_id_);
  query_ = head.has_query ? store_.keep_joined("?", head.query, {}) : std::string_view{};
  target_ = store_.keep_joined(rewritten, query_, {});
  origin_ = store_.keep(origin);
}

const config::HeaderRules& Exchange::request_rules() const {
  static const config::HeaderRules kNone;
  return route_ != nullptr ? route_->request_headers : kNone;
}

void Exchange::copy_fields(const http::RequestHead& head) {
  const ClientAddressRule& address_rule =
      active_->snapshot->client_addresses[connection_->listener];
  // Only who believes the chain appends to it; then the peer is rarely the client.
  config::IpText peer_ip;
  const bool is_believed = address_rule.believes_fields_of(connection_->peer);
  if (is_believed && connection_->peer.is_ip()) {
    peer_ip = config::IpText{config::IpAddress{connection_->peer.ip().bytes}};
  }
  RequestFacts facts;
  facts.peer_trusted = is_believed;
  facts.country_header = active_->snapshot->config.geo.country_header;
  facts.source_header = header_of(address_rule.source());
  facts.client_ip = connection_->client_ip_text();
  facts.peer_ip = peer_ip.view();
  facts.host = head.host;
  facts.request_id = request_id_;
  host_ = store_.keep(head.host);
  if (head.upgrade_requested && body_done_) {
    const bool allowed = std::any_of(
        route_->upgrade.begin(), route_->upgrade.end(),
        [&](const std::string& token) { return http::equals_ignore_case(head.upgrade, token); });
    if (allowed) upgrade_ = store_.keep(head.upgrade);
  }
  copy_request_fields(head, facts, request_rules(), store_);
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
  if (!recorded_) return;
  count_for_bans();
  if (!snapshot.config.stats.record) return;
  counts_answer_ = true;
  traffic::Event event;
  event.id = id_;
  event.arrival_us = arrived_at_.time_since_epoch().count();
  event.path = path_;
  event.method = method_;
  event.user_agent = user_agent_;
  if (route_ != nullptr) event.route_id = route_->id;
  event.colo = gateway_.options_.node;
  event.country = country_.code();
  event.city = city_;
  event.geo = geo_action_;
  event.client_ip = connection_->recorded_ip_text();
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
  if (state_ != State::responding && state_ != State::answered) status_ = kClientGone;
  record(bytes_in, bytes_out);
  server_ = nullptr;
  end();
}

void Exchange::end() {
  stop_waiting();
  if (client_ != nullptr) std::exchange(client_, nullptr)->cancel();
  if (counted_retrying_) --gateway_.retrying_;
  if (counted_tunnel_) gateway_.shared_.tunnels.fetch_sub(1, std::memory_order_relaxed);
  if (counts_answer_) gateway_.recorder_.answered();
  body_.clear();
  trailers_.reset(0);
  if (store_.capacity() > kStoreBytesKept) store_.shrink();
  server_ = nullptr;
  state_ = State::unused;
  gateway_.give_back(*this);
}

}  // namespace weir::gateway
