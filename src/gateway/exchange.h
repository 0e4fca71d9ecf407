#pragma once
// One request and its response: the state between the two streams, and the one event that records
// it.
//
//   begin ──stages──► answered here (refused, redirect, preflight) ───────────────────► answered
//     │                                                                                   ▲
//     └─► asking ──a connection──► sent ──head──► responding ──last piece, finish()───────┤
//           ▲  │                    │  │              │                                   │
//           │  └─ waiting for one   │  └─ failed ─────┼─► 502/503/504, or cut ────────────┤
//           └──────── retry ────────┘                 └─101─► tunnel ─────────────────────┘
//
// P1 lives in on_commit(): the codec calls it immediately before the system call that can complete
// the response, and the event is in the ring when it returns.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "access/geo_rules.h"
#include "access/ip_rules.h"
#include "base/striped_table.h"
#include "gateway/failure.h"
#include "gateway/gateway.h"
#include "gateway/headers.h"
#include "gateway/rate_limit_fields.h"
#include "net/byte_queue.h"
#include "net/exchange_stream.h"
#include "traffic/event.h"

namespace weir::gateway {

// Ownership: the gateway's, which reuses it. Borrows both streams until they say that they are
// gone. Threading: home loop only. Limits: keeps one request head, at most retry_buffer_bytes of
// the body (and, while it has no
//   upstream, net::kQueuedBytesHigh), and no part of the response.
class Exchange final : public net::ServerStreamHandler, public net::ClientStreamHandler {
 public:
  explicit Exchange(Gateway& gateway);
  ~Exchange() override = default;

  void begin(net::ServerStream& server, net::ClientConnection& connection,
             const http::RequestHead& head);
  void begin_malformed(net::ServerStream& server, net::ClientConnection& connection,
                       http::Malformed kind);

 private:
  friend class Gateway;

  static constexpr int kClientGone = 499;  // No final status line was sent.

  enum class State : uint8_t { unused, asking, waiting, sent, responding, tunnel, answered };

  // The stages.
  void start(net::ServerStream& server, net::ClientConnection& connection);
  void run_stages(const http::RequestHead& head);
  bool take_path(const http::RequestHead& head);
  bool answer_health(const http::RequestHead& head);
  void identify_client(const http::RequestHead& head);
  void identify_sender();
  void identify(const config::IpAddress& client);
  void place();
  void hear_country(const http::RequestHead& head);
  bool match_route(const http::RequestHead& head);
  bool check_address();
  bool check_geo_rules();
  bool answer_redirect();
  bool answer_built_in();
  bool answer_preflight(const http::RequestHead& head);
  bool limit_rate(const http::RequestHead& head);
  bool charge_enforced(const RequestRules& rules, const http::RequestHead& head);
  void charge_dry_runs(const RequestRules& rules, const http::RequestHead& head);
  void copy_request(const http::RequestHead& head);
  void copy_fields(const http::RequestHead& head);
  const config::HeaderRules& request_rules() const;

  // Of limit_rate().
  std::optional<base::TableKey> rate_key(const RequestLimit& limit,
                                         const http::RequestHead& head) const;
  // Of throttles, of either kind of rule.
  limit::Verdict charge_throttle(limit::Rule rule, const limit::Limit& limit, limit::Room& room);
  void refuse_throttled(const limit::Limit& limit, const limit::Room& room,
                        const ThrottleText& text, std::string_view reason);
  // The limiter cannot count this one. False: it is refused.
  bool pass_uncounted();
  // Of check_address().
  access::Decision decide_by_ip();
  bool check_bans();
  limit::Verdict charge_ip_rule(const access::Match& match, limit::Room& room);
  void count_dry_run(const access::Decider& decider);
  void refuse_blocked(const access::Match& match);
  bool admit_throttled(const access::Match& match);

  // Of check_bans().
  void refuse_banned(const config::BanRule& rule, const limit::Room& room);
  void count_for_bans();

  // Of check_geo_rules().
  limit::Verdict charge_geo_rule(const access::GeoDecider& decider, limit::Room& room);
  void count_geo_dry_run(const access::GeoDecider& decider);
  void refuse_region(const access::GeoDecider& decider);
  bool admit_region(const access::GeoDecider& decider);

  // Towards the upstream.
  void ask_upstream();
  void send_to(net::ClientStream& client, size_t endpoint);
  size_t next_endpoint();
  bool keep_for_replay(std::string_view piece);
  void keep_trailers(http::Fields trailers);
  void add_proxy_fields(std::vector<http::Field>& fields);
  bool can_replay(bool sent) const;
  void retry_or_fail(const Failure& failure, bool may_retry);
  void wait_for(std::chrono::milliseconds delay);
  void stop_waiting();

  // Towards the client.
  void refuse(const Failure& failure);
  // Every answer of our own. `told`: the fields of a rate limit, where they have been made already.
  void respond_json(int status, std::string_view body, http::Fields told = {});
  void respond_fields(int status, http::Fields fields, std::string_view body,
                      http::Fields told = {});
  void add_cors(std::vector<http::Field>& fields) const;
  RateLimitState rate_limit_state() const;
  void cut(traffic::Outcome outcome);
  void touch_tunnel();
  void release_snapshot();
  void arm_deadline();

  // The record.
  void record(uint64_t bytes_in, uint64_t bytes_out);
  void end();

  // net::ServerStreamHandler:
  void on_request_body(std::string_view piece, bool last, http::Fields trailers) override;
  void on_request_pause() override;
  void on_request_broken(http::Malformed kind) override;
  void on_drained() override;
  void on_commit(uint64_t bytes_out, bool open_ended) override;
  void on_answered(bool aborted_after_commit) override;
  void on_client_gone(bool timed_out, uint64_t bytes_in, uint64_t bytes_out) override;
  void on_deadline() override;

  // net::ClientStreamHandler:
  void on_interim(const http::ResponseHead& head) override;
  void on_response(const http::ResponseHead& head) override;
  void on_response_body(std::string_view piece, bool last, http::Fields trailers) override;
  void on_response_pause() override;
  void on_upstream_drained() override;
  void on_upstream_failure(net::UpstreamFailure failure, bool sent, bool reused) override;

  Gateway& gateway_;
  net::ServerStream* server_ = nullptr;
  net::ClientConnection* connection_ = nullptr;
  net::ClientStream* client_ = nullptr;
  Gateway::Active* active_ = nullptr;  // Null in a tunnel, with the two that follow.
  const config::Route* route_ = nullptr;
  const routing::Route* entry_ = nullptr;  // The route in its table.
  size_t pool_index_ = 0;                  // The gateway's.

  State state_ = State::unused;
  bool recorded_ = true;  // False for what Weir answers about itself.
  bool committed_ = false;
  bool counts_answer_ = false;  // The recorder waits for answered().
  bool head_request_ = false;
  bool idempotent_ = false;
  bool body_done_ = true;
  bool body_overflowed_ = false;  // The replay buffer no longer holds the whole body.
  bool fresh_only_ = false;       // The next attempt takes a new connection.
  bool counted_retrying_ = false;
  bool counted_tunnel_ = false;
  bool rate_checked_ = false;  // room_ is told to the client.
  bool rate_refused_ = false;
  bool denied_ = false;  // By a guard or a limit, a ban aside.
  bool refused_by_ban_ = false;
  bool of_unknown_client_ = false;  // Bytes that are no request, through a proxy.
  bool interim_continue_ = false;   // The client waits for a 100.
  bool interim_passed_ = false;     // A 1xx went to the client: no retry any more.

  traffic::EventId id_;
  base::Wall arrived_at_;
  base::Monotonic arrived_;
  base::Monotonic asked_;  // When the first byte went to the current upstream.
  base::Monotonic total_deadline_ = base::Monotonic::max();
  base::Monotonic step_deadline_ = base::Monotonic::max();  // Waiting for a connection, a retry.
  base::Monotonic tunnel_end_ = base::Monotonic::max();
  std::chrono::milliseconds tunnel_idle_{0};
  base::Monotonic waiting_since_;
  net::Endpoint* waits_on_ = nullptr;
  size_t endpoint_ = 0;  // Index in the route's targets: the one asked last.

  int status_ = 0;
  uint16_t flags_ = 0;
  uint8_t attempts_ = 0;
  traffic::Outcome outcome_ = traffic::Outcome::refused;
  uint64_t upstream_us_ = 0;
  uint64_t body_bytes_ = 0;
  // Where the client is: what a trusted proxy says, else the snapshot's places, into whose memory
  // the city's name points.
  config::Country country_;
  uint32_t city_number_ = 0;  // As rules know it.
  std::string_view city_;
  traffic::GeoAction geo_action_ = traffic::GeoAction::none;
  RateLimitItem told_policy_;  // Of the limit that room_ is of: the route's, or of who refused.
  limit::Room room_;
  http::BodyKind body_kind_ = http::BodyKind::none;
  uint64_t content_length_ = 0;

  // Views into store_.
  FieldStore store_;
  std::string_view method_;
  std::string_view path_;
  std::string_view target_;  // For the upstream: path and query.
  std::string_view query_;   // With its '?', or empty.
  std::string_view user_agent_;
  std::string_view request_id_;
  std::string_view upgrade_;
  std::string_view host_;
  std::string_view origin_;
  std::array<char, traffic::kEventIdTextBytes> id_text_{};

  FieldStore trailers_;  // Of the request, for a first send or a replay.
  net::ByteQueue body_;  // Body bytes for a first send or a replay.
};

// Never negative. For the durations of an event.
uint64_t microseconds_between(base::Monotonic from, base::Monotonic to);

}  // namespace weir::gateway
