#pragma once
// The admin listener: what Weir says about itself over HTTP. For the time being that is the health
// path and /metrics; the API and the dashboard come to the same place.
//
// It speaks through the same codec as traffic, on the control loop, so no request to it can slow a
// data loop down; nothing it serves is an event.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/exchange_stream.h"
#include "net/loop_context.h"
#include "net/server.h"

namespace weir::admin {

// Ownership: owns the exchanges in progress; borrows the context.
// Threading: the control thread.
// Limits: request bodies are read and discarded.
class AdminServer final : public net::ServerHandler, public net::ProxyTrust {
 public:
  struct Pages {
    std::string health_path;               // Empty: off.
    std::function<std::string()> metrics;  // Prometheus text.
  };

  AdminServer(net::LoopContext& context, Pages pages);
  ~AdminServer() override;

  void set_health_path(std::string path) { pages_.health_path = std::move(path); }

  void on_request(net::ServerStream& stream, net::ClientConnection& client,
                  const http::RequestHead& head) override;
  void on_malformed(net::ServerStream& stream, net::ClientConnection& client,
                    http::Malformed kind) override;
  bool trusts_proxy(uint32_t /*listener*/, const net::SocketAddress& /*peer*/) const override {
    return false;
  }

 private:
  class Answer;
  void answer(net::ServerStream& stream, int status, std::string_view type, std::string body,
              bool head_only);

  net::LoopContext& context_;
  Pages pages_;
  std::vector<std::unique_ptr<Answer>> answers_;
};

}  // namespace weir::admin
