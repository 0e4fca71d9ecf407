// The answers that an exchange gives by itself: redirects, preflights, refusals.

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "base/assert.h"
#include "gateway/decisions.h"
#include "gateway/exchange.h"
#include "routing/rewrite.h"

namespace weir::gateway {

namespace {
constexpr std::string_view kAllowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
}  // namespace

using http::FieldName;
using traffic::Outcome;

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

bool Exchange::answer_built_in() {
  if (route_->built_in == config::BuiltIn::none) return false;
  std::string& body = gateway_.text_scratch_;
  body = R"({"smoke":"ok","id":")";
  body.append(id_text_.data(), id_text_.size());  // The event's: the row in SQL has the same.
  body += "\"}\n";
  outcome_ = Outcome::complete;
  respond_json(200, body);
  return true;
}

RateLimitState Exchange::rate_limit_state() const {
  return {.policy = told_policy_,
          .room = room_,
          .refused = rate_refused_,
          .client_ip = connection_->client_ip_text(),
          .now = gateway_.context_.loop.wall()};
}

// ---- CORS ----

bool Exchange::answer_preflight(const http::RequestHead& head) {
  if (!is_preflight(*route_, head)) return false;
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

// The founding system's fields. Source: reference/spec.md section 3.3.
void Exchange::add_proxy_fields(std::vector<http::Field>& fields) {
  constexpr std::string_view kPrefix = "x-proxy-";
  std::erase_if(fields, [&](const http::Field& field) {
    return field.name.size() > kPrefix.size() &&
           http::equals_ignore_case(field.name.substr(0, kPrefix.size()), kPrefix);
  });
  const auto milliseconds_of = [](uint64_t us) { return us / 1000; };
  const uint64_t total_us = microseconds_between(arrived_, gateway_.context_.loop.now());
  std::string& text = gateway_.text_scratch_;
  text.clear();
  fmt::format_to(std::back_inserter(text), R"({{"total":{},"upstream":{}}})",
                 milliseconds_of(total_us), milliseconds_of(upstream_us_));
  const size_t timing_bytes = text.size();
  text += "http://";
  text += active_->snapshot->targets[entry_->index].hosts[endpoint_];
  const std::string_view all{text};
  fields.push_back({"x-proxy-by", "api-gateway", FieldName::other});
  fields.push_back({"x-proxy-route", route_->pattern, FieldName::other});
  fields.push_back({"x-proxy-target", all.substr(timing_bytes), FieldName::other});
  fields.push_back({"x-proxy-timing", all.substr(0, timing_bytes), FieldName::other});
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

void Exchange::respond_json(int status, std::string_view body, http::Fields told) {
  const http::Field type{http::text(FieldName::content_type), "application/json",
                         FieldName::content_type};
  respond_fields(status, {&type, 1}, body, told);
}

void Exchange::respond_fields(int status, http::Fields fields, std::string_view body,
                              http::Fields told) {
  WEIR_ASSERT(client_ == nullptr);
  std::optional<RateLimitFields> rate_limit;
  if (rate_checked_ && told.empty()) told = rate_limit.emplace(rate_limit_state()).fields();
  std::array<http::Field, 16> all;  // A preflight's six, the rate limit's eight, and ours.
  WEIR_ASSERT(fields.size() + 4 + told.size() <= all.size());
  size_t count = 0;
  for (const http::Field& field : fields)
    all[count++] = field;
  all[count++] = {http::text(FieldName::date), gateway_.date_.at(gateway_.context_.loop.wall()),
                  FieldName::date};
  all[count++] = {http::text(FieldName::x_request_id), request_id_, FieldName::x_request_id};
  if (status == 503)
    all[count++] = {http::text(FieldName::retry_after), "1", FieldName::retry_after};
  if (status == 405) all[count++] = {http::text(FieldName::allow), kAllowed, FieldName::allow};
  for (const http::Field& field : told)
    all[count++] = field;
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
  if (!committed_) {
    outcome_ = outcome;
    server_->flush();  // What the client may see of it counts as offered.
    record(server_->bytes_in(), server_->bytes_out());
  }
  server_->abort();
  end();
}

}  // namespace weir::gateway
