#include "admin/admin_server.h"

#include <algorithm>
#include <array>

#include "codec/iso_time.h"

namespace weir::admin {

// One request: its answer is complete from the start and waits for nothing.
class AdminServer::Answer final : public net::ServerStreamHandler {
 public:
  explicit Answer(AdminServer& owner) : owner_(owner) {}

 private:
  void on_request_body(std::string_view /*piece*/, bool /*last*/,
                       http::Fields /*trailers*/) override {}
  void on_request_pause() override {}
  void on_request_broken(http::Malformed /*kind*/) override {}
  void on_drained() override {}
  void on_commit(uint64_t /*bytes_out*/, bool /*open_ended*/) override {}
  void on_answered(bool /*aborted_after_commit*/) override { end(); }
  void on_client_gone(bool /*timed_out*/, uint64_t /*in*/, uint64_t /*out*/) override { end(); }
  void on_deadline() override {}

  void end() {
    std::erase_if(owner_.answers_, [this](const auto& answer) { return answer.get() == this; });
  }

  AdminServer& owner_;
};

AdminServer::AdminServer(net::LoopContext& context, Pages pages)
    : context_(context), pages_(std::move(pages)) {}

AdminServer::~AdminServer() = default;

void AdminServer::on_request(net::ServerStream& stream, net::ClientConnection& /*client*/,
                             const http::RequestHead& head) {
  const bool head_only = head.method_id == http::Method::head;
  if (head.method_id != http::Method::get && !head_only) {
    return answer(stream, 405, "application/json", R"({"error":"Method Not Allowed"})", false);
  }
  if (!pages_.health_path.empty() && head.path_raw == pages_.health_path) {
    std::string body = R"({"status":"healthy","timestamp":")";
    codec::append_iso_ms(body, base::unix_ms(context_.loop.wall()));
    return answer(stream, 200, "application/json", body + "\"}", head_only);
  }
  if (head.path_raw == "/metrics") {
    return answer(stream, 200, "text/plain; version=0.0.4; charset=utf-8", pages_.metrics(),
                  head_only);
  }
  answer(stream, 404, "application/json", R"({"error":"Not Found"})", head_only);
}

void AdminServer::on_malformed(net::ServerStream& stream, net::ClientConnection& /*client*/,
                               http::Malformed kind) {
  const int status = kind == http::Malformed::incomplete ? 408 : http::status_of(kind);
  answer(stream, status, "application/json",
         R"({"error":"Bad Request","code":")" + std::string{http::name(kind)} + "\"}", false);
}

void AdminServer::answer(net::ServerStream& stream, int status, std::string_view type,
                         std::string body, bool head_only) {
  answers_.push_back(std::make_unique<Answer>(*this));
  stream.attach(*answers_.back());
  const std::array fields{
      http::Field{http::text(http::FieldName::content_type), type, http::FieldName::content_type},
      http::Field{http::text(http::FieldName::cache_control), "no-store",
                  http::FieldName::cache_control}};
  stream.respond(
      {.status = status, .fields = fields, .has_body = !head_only, .content_length = body.size()});
  if (!head_only) stream.send_body(body);
  stream.finish({});
}

}  // namespace weir::admin
