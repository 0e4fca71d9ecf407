#include "gateway/failure.h"

#include "codec/iso_time.h"

namespace weir::gateway {
namespace {

std::string_view message_of(std::string_view code) {
  struct Message {
    std::string_view code;
    std::string_view text;
  };
  static constexpr Message kMessages[] = {
      {"no_route", "No route matches this request."},
      {"method_not_allowed", "CONNECT and TRACE are not served."},
      {"body_too_large", "The request body is larger than this route allows."},
      {"no_upstream", "No upstream of this route can be reached now."},
      {"upstream_busy", "All connections to the upstream are in use."},
      {"limiter_full", "Requests can be counted for no more clients."},
      {"too_many_tunnels", "The limit of open tunnels is reached."},
      {"total_timeout", "The exchange took longer than this route allows."},
      {"upstream_refused", "The upstream refused the connection."},
      {"upstream_closed", "The upstream closed the connection without an answer."},
      {"upstream_malformed", "The upstream's answer is not valid HTTP."},
      {"upstream_connect_timeout", "The upstream did not accept the connection in time."},
      {"upstream_timeout", "The upstream did not answer in time."},
      {"incomplete", "The request did not arrive in full in time."},
  };
  for (const Message& message : kMessages) {
    if (message.code == code) return message.text;
  }
  return "The request is not valid HTTP, or could be read in two ways.";
}

}  // namespace

Failure failure_of(http::Malformed kind) {
  if (kind == http::Malformed::incomplete) return {408, http::name(kind), "Request Timeout"};
  const int status = http::status_of(kind);
  switch (status) {
    case 413:
      return kBodyTooLarge;
    case 414:
      return {status, http::name(kind), "URI Too Long"};
    case 431:
      return {status, http::name(kind), "Request Header Fields Too Large"};
    case 501:
      return {status, http::name(kind), "Not Implemented"};
    case 505:
      return {status, http::name(kind), "HTTP Version Not Supported"};
    default:
      return {status, http::name(kind), "Bad Request"};
  }
}

Failure failure_of(net::UpstreamFailure failure) {
  constexpr std::string_view kProxyError = "Proxy request failed.";
  switch (failure) {
    case net::UpstreamFailure::refused:
      return {502, "upstream_refused", kProxyError};
    case net::UpstreamFailure::connect_timeout:
      return {504, "upstream_connect_timeout", kProxyError};
    case net::UpstreamFailure::first_byte_timeout:
    case net::UpstreamFailure::idle_timeout:
      return {504, "upstream_timeout", kProxyError};
    case net::UpstreamFailure::malformed:
      return {502, "upstream_malformed", kProxyError};
    case net::UpstreamFailure::closed:
    case net::UpstreamFailure::truncated:
      break;
  }
  return {502, "upstream_closed", kProxyError};
}

void append_body(std::string& out, const Failure& failure, std::string_view request_id,
                 std::string_view route_pattern) {
  const auto member = [&out](std::string_view name, std::string_view value) {
    out += out.back() == '{' ? "\"" : ",\"";
    out += name;
    out += "\":\"";
    append_json(out, value);
    out += '"';
  };
  out += '{';
  member("error", failure.error);
  member("code", failure.code);
  member("message", message_of(failure.code));
  if (!route_pattern.empty()) member("route", route_pattern);
  member("requestId", request_id);
  out += '}';
}

void append_blocked_body(std::string& out, std::string_view reason, std::string_view prefix,
                         std::string_view request_id) {
  out += R"({"error":"Forbidden","message":"Access denied by IP access control","reason":")";
  append_json(out, reason.empty() ? std::string_view{"Your IP has been blocked"} : reason);
  out += R"(","rulePattern":")";
  append_json(out, prefix);
  out += R"(","code":"ip_blocked","requestId":")";
  append_json(out, request_id);
  out += "\"}";
}

void append_banned_body(std::string& out, std::string_view reason, std::string_view retry_after,
                        std::string_view request_id) {
  out += R"({"error":"Forbidden","message":"Too many refused requests or errors from your IP")";
  if (!reason.empty()) {
    out += R"(,"reason":")";
    append_json(out, reason);
    out += '"';
  }
  out += R"(,"retryAfter":)";
  out += retry_after;
  out += R"(,"code":"banned","requestId":")";
  append_json(out, request_id);
  out += "\"}";
}

void append_region_body(std::string& out, const RegionRefusal& refusal,
                        std::string_view request_id) {
  out += R"({"error":")";
  append_json(out, refusal.message);
  out += R"(","country":)";
  if (refusal.country.empty()) {
    out += "null";
  } else {
    out += '"';
    out += refusal.country;
    out += '"';
  }
  out += R"(,"timestamp":")";
  codec::append_iso_ms(out, refusal.unix_ms);
  if (!refusal.reason.empty()) {
    out += R"(","reason":")";
    append_json(out, refusal.reason);
  }
  out += R"(","code":"geo_blocked","requestId":")";
  append_json(out, request_id);
  out += "\"}";
}

void append_json(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  size_t plain = 0;  // Where the bytes begin that need no escape.
  for (size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    out.append(text.substr(plain, at - plain));
    plain = at + 1;
    out += '\\';
    if (byte >= 0x20) {
      out += text[at];
    } else {
      out.append("u00");
      out += kHex[byte >> 4U];
      out += kHex[byte & 0xfU];
    }
  }
  out.append(text.substr(plain));
}

}  // namespace weir::gateway
