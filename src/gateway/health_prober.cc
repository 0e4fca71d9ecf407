#include "gateway/health_prober.h"

#include <array>
#include <string>
#include <utility>

#include "net/http1_client.h"
#include "net/socket.h"

namespace weir::gateway {

using http::FieldName;

// One endpoint's probes, one after the other.
class HealthProber::Probe final : public net::Http1ClientOwner, public net::ClientStreamHandler {
 public:
  Probe(net::LoopContext& context, net::Endpoint& endpoint, std::string host,
        config::HealthCheck check)
      : context_(context),
        endpoint_(endpoint),
        host_(std::move(host)),
        check_(std::move(check)),
        next_(context.loop, [this] { begin(); }),
        limit_(context.loop, [this] { finish(false); }) {
    next_.set(std::chrono::milliseconds{0});
  }
  ~Probe() override { abandon(); }
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  bool is(const std::string& host, const config::HealthCheck& check) const {
    return host_ == host && check_ == check;
  }

 private:
  void begin() {
    next_.set(check_.interval);
    if (connection_ != nullptr) return;  // The last one is not over: its result comes first.
    auto socket = net::connect_to(endpoint_.address());
    if (!socket.ok()) return finish(false);
    const net::ClientTimeouts timeouts{.connect = check_.timeout,
                                       .first_byte = check_.timeout,
                                       .idle = check_.timeout,
                                       .keep_alive = check_.timeout};
    connection_ = std::make_unique<net::Http1ClientConnection>(context_, *this,
                                                               std::move(socket).value(), timeouts);
    if (!connection_->start().ok()) {
      connection_.reset();
      return finish(false);
    }
    limit_.set(check_.timeout);
    const std::array<http::Field, 3> fields{{
        {http::text(FieldName::host), host_, FieldName::host},
        {http::text(FieldName::user_agent), "weir-health", FieldName::user_agent},
        {http::text(FieldName::connection), "close", FieldName::connection},
    }};
    stream_ = &connection_->begin(*this, timeouts);
    stream_->send_request({.method = "GET", .target = check_.path, .fields = fields}, {}, true, {});
  }

  void finish(bool healthy) {
    limit_.cancel();
    abandon();
    if (healthy == !endpoint_.probed_down()) {
      in_a_row_ = 0;
      return;
    }
    if (++in_a_row_ < (healthy ? check_.healthy_after : check_.unhealthy_after)) return;
    in_a_row_ = 0;
    endpoint_.set_probed_down(!healthy);
  }

  void abandon() {
    if (stream_ != nullptr) std::exchange(stream_, nullptr)->cancel();
  }

  // net::Http1ClientOwner:
  void on_established(net::Http1ClientConnection& /*connection*/) override {}
  void on_idle(net::Http1ClientConnection& connection) override { connection.close_idle(); }
  void on_closed(net::Http1ClientConnection& /*connection*/, bool /*connect_failed*/) override {
    context_.loop.dispose(std::move(connection_));
  }

  // net::ClientStreamHandler: the head decides, the body is not waited for.
  void on_interim(const http::ResponseHead& /*head*/) override {}
  void on_response(const http::ResponseHead& head) override {
    finish(head.status >= 200 && head.status < 400);
  }
  void on_response_body(std::string_view /*piece*/, bool /*last*/,
                        http::Fields /*trailers*/) override {}
  void on_response_pause() override {}
  void on_upstream_drained() override {}
  void on_upstream_failure(net::UpstreamFailure /*failure*/, bool /*sent*/,
                           bool /*reused*/) override {
    stream_ = nullptr;
    finish(false);
  }

  net::LoopContext& context_;
  net::Endpoint& endpoint_;
  const std::string host_;
  const config::HealthCheck check_;
  uint32_t in_a_row_ = 0;  // Results that say the opposite of what the endpoint is marked as.
  std::unique_ptr<net::Http1ClientConnection> connection_;
  net::ClientStream* stream_ = nullptr;
  loop::Alarm next_;
  loop::Alarm limit_;
};

HealthProber::HealthProber(net::LoopContext& context) : context_(context) {}
HealthProber::~HealthProber() = default;

void HealthProber::watch(const Snapshot& snapshot) {
  Probes before = std::exchange(probes_, {});
  for (size_t i = 0; i < snapshot.config.routes.size(); ++i) {
    const config::HealthCheck& check = snapshot.config.routes[i].health;
    const RouteTargets& targets = snapshot.targets[i];
    if (check.path.empty()) continue;
    for (size_t j = 0; j < targets.endpoints.size(); ++j) {
      net::Endpoint& endpoint = *targets.endpoints[j];
      std::unique_ptr<Probe>& probe = probes_[&endpoint];
      if (probe != nullptr) continue;  // Twice in a route.
      const auto kept = before.find(&endpoint);
      const bool goes_on = kept != before.end() && kept->second->is(targets.hosts[j], check);
      probe = goes_on ? std::move(kept->second)
                      : std::make_unique<Probe>(context_, endpoint, targets.hosts[j], check);
    }
  }
  for (const auto& [endpoint, gone] : before) {
    if (!probes_.contains(endpoint)) endpoint->set_probed_down(false);
  }
}

}  // namespace weir::gateway
