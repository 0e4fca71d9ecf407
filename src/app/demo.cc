#include "app/demo.h"

#include <array>
#include <charconv>
#include <filesystem>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <pthread.h>

#include "http/writer.h"
#include "net/server.h"
#include "net/socket.h"

namespace weir::app {
namespace {

constexpr std::chrono::milliseconds kSlow{300};

// "/status/404" → 404; 0 for other paths.
int wanted_status(std::string_view path) {
  constexpr std::string_view kPrefix = "/status/";
  const size_t at = path.find(kPrefix);
  if (at == std::string_view::npos) return 0;
  int status = 0;
  const std::string_view digits = path.substr(at + kPrefix.size());
  std::from_chars(digits.data(), digits.data() + digits.size(), status);
  return status >= 200 && status <= 599 ? status : 0;
}

}  // namespace

// Everything the loop's thread owns.
class DemoUpstream::Server final : public net::ServerHandler, public net::ProxyTrust {
 public:
  explicit Server(loop::Loop& home) : context_(home), server_(context_, *this, *this, group_, 0) {
    group_.loads = std::make_unique<net::ServerGroup::Load[]>(1);
    group_.servers.push_back(&server_);
  }
  base::Status listen(os::Fd listener) { return server_.listen(std::move(listener), {}); }

 private:
  class Answer;

  void on_request(net::ServerStream& stream, net::ClientConnection& client,
                  const http::RequestHead& head) override;
  void on_malformed(net::ServerStream& stream, net::ClientConnection& client,
                    http::Malformed kind) override;
  bool trusts_proxy(uint32_t /*listener*/, const net::SocketAddress& /*peer*/) const override {
    return false;
  }

  net::LoopContext context_;
  net::ServerGroup group_;
  net::Server server_;
  std::vector<std::unique_ptr<Answer>> answers_;
};

class DemoUpstream::Server::Answer final : public net::ServerStreamHandler {
 public:
  Answer(Server& owner, net::ServerStream& stream, int status, std::string body, bool head_only)
      : owner_(owner),
        stream_(stream),
        status_(status),
        body_(std::move(body)),
        head_only_(head_only) {}

  void send() {
    const http::Field type{http::text(http::FieldName::content_type), "application/json",
                           http::FieldName::content_type};
    const bool has_body = !head_only_ && status_ != 204 && status_ != 304;
    stream_.respond({.status = status_,
                     .fields = {&type, 1},
                     .has_body = has_body,
                     .content_length = body_.size()});
    if (has_body) stream_.send_body(body_);
    stream_.finish({});
  }

 private:
  void on_request_body(std::string_view /*piece*/, bool /*last*/,
                       http::Fields /*trailers*/) override {}
  void on_request_pause() override {}
  void on_request_broken(http::Malformed /*kind*/) override {}
  void on_drained() override {}
  void on_commit(uint64_t /*bytes_out*/, bool /*open_ended*/) override {}
  void on_answered(bool /*aborted_after_commit*/) override { end(); }
  void on_client_gone(bool /*timed_out*/, uint64_t /*in*/, uint64_t /*out*/) override { end(); }
  void on_deadline() override { send(); }

  void end() {
    std::vector<std::unique_ptr<Answer>>& all = owner_.answers_;
    std::erase_if(all, [this](const auto& answer) { return answer.get() == this; });
  }

  Server& owner_;
  net::ServerStream& stream_;
  const int status_;
  const std::string body_;
  const bool head_only_;
};

void DemoUpstream::Server::on_request(net::ServerStream& stream, net::ClientConnection& /*client*/,
                                      const http::RequestHead& head) {
  const int wanted = wanted_status(head.path_raw);
  std::string path;
  for (const char c : head.path_raw) {
    if (c != '"' && c != '\\') path += c;
  }
  answers_.push_back(std::make_unique<Answer>(
      *this, stream, wanted == 0 ? 200 : wanted,
      fmt::format(R"({{"upstream":"demo","method":"{}","path":"{}","fields":{}}})", head.method,
                  path, head.fields.size()),
      head.method_id == http::Method::head));
  stream.attach(*answers_.back());
  if (head.path_raw.find("/slow") != std::string_view::npos) return stream.set_deadline(kSlow);
  answers_.back()->send();
}

void DemoUpstream::Server::on_malformed(net::ServerStream& stream,
                                        net::ClientConnection& /*client*/, http::Malformed kind) {
  const int status = kind == http::Malformed::incomplete ? 408 : http::status_of(kind);
  answers_.push_back(std::make_unique<Answer>(*this, stream, status, "{}", false));
  stream.attach(*answers_.back());
  answers_.back()->send();
}

base::Result<std::unique_ptr<DemoUpstream>> DemoUpstream::start(base::Clock& clock) {
  std::unique_ptr<DemoUpstream> demo{new DemoUpstream};  // Private constructor.
  auto loop = loop::Loop::create(clock);
  if (!loop.ok()) return loop.error();
  demo->loop_ = std::move(loop).value();
  demo->server_ = std::make_unique<Server>(*demo->loop_);
  const net::SocketAddress any = WEIR_TRY(net::SocketAddress::parse("127.0.0.1:0"));
  os::Fd listener = WEIR_TRY(net::listen_on(any, net::PortSharing::exclusive));
  demo->port_ = net::local_address(listener.get()).port();
  WEIR_TRY(demo->server_->listen(std::move(listener)));
  demo->thread_ = std::thread([home = demo->loop_.get()] { home->run(); });
  ::pthread_setname_np(demo->thread_.native_handle(), "demo-upstream");
  return demo;
}

DemoUpstream::~DemoUpstream() {
  if (!thread_.joinable()) return;
  loop_->stop();
  thread_.join();
}

std::string demo_configuration(uint16_t upstream_port, const std::string& countries_file) {
  const std::string listener =
      countries_file.empty()
          ? R"("127.0.0.1:8787")"
          : R"({address = "127.0.0.1:8787", client_address = "x-forwarded-for", )"
            R"(trusted_proxies = ["127.0.0.1"]})";
  const std::string countries =
      countries_file.empty() ? std::string{}
                             : fmt::format(R"([geo]
database = "{}"

[[geo_rules]]
id = "europe"
action = "allow"
continents = ["EU"]
paths = ["/kv/europe/*"]

[[geo_rules]]
id = "not-europe"
action = "block"
countries = ["*"]
paths = ["/kv/europe/*"]
priority = 1

)",
                                           std::filesystem::absolute(countries_file).string());
  return countries + fmt::format(R"([listen]
traffic = [{1}]
admin = "127.0.0.1:8788"

[smoke]
enabled = true

[[routes]]
id = "kv"
pattern = "/kv/*"
upstreams = ["http://127.0.0.1:{0}"]

[[routes]]
id = "stripped"
pattern = "/api/v1/*"
upstreams = ["http://127.0.0.1:{0}"]
strip_prefix = true

[[routes]]
id = "moved"
pattern = "/old/*"
redirect = {{ status = 301, location = "/kv$path" }}
)",
                                 upstream_port, listener);
}

std::string demo_guide(const std::string& data_dir, bool knows_countries) {
  constexpr std::string_view kCountries =
      "  curl -i -H 'X-Forwarded-For: 133.11.0.1' http://127.0.0.1:8787/kv/europe/a  # Japan: 403\n"
      "  curl -i -H 'X-Forwarded-For: 193.0.6.139' http://127.0.0.1:8787/kv/europe/a  # passes\n";
  return fmt::format(R"(
Weir is running, with a built-in upstream behind it. Try, in another terminal:

  curl -i http://127.0.0.1:8787/kv/hello          # through the gateway
  curl -i http://127.0.0.1:8787/kv/status/503     # an error of the upstream
  curl -i http://127.0.0.1:8787/nothing           # no route
{1}
  weir smoke --data {0}                           # proves every step of the flow
  weir tail --data {0}                            # what happens, as it happens
  weir sql --data {0} "SELECT path, hour_bucket, requests, errors FROM path_stats_hourly"
  weir sql --data {0} "SELECT COUNT(*) AS total FROM traffic_events"
  weir kv get --data {0} snapshot:latest
  weir status --data {0}
  curl -s http://127.0.0.1:8788/metrics

Ctrl-C ends it.

)",
                     data_dir, knows_countries ? kCountries : "");
}

}  // namespace weir::app
