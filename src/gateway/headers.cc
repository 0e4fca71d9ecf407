#include "gateway/headers.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/assert.h"
#include "config/ip.h"

namespace weir::gateway {
namespace {

using http::Field;
using http::FieldName;

constexpr std::string_view kVia = "1.1 weir";
constexpr size_t kRequestIdBytesMax = 128;

// Fields in which a client, or a proxy before us, says who the client is.
bool names_client(FieldName id) {
  switch (id) {
    case FieldName::x_forwarded_for:
    case FieldName::forwarded:
    case FieldName::x_real_ip:
    case FieldName::x_client_ip:
    case FieldName::x_cluster_client_ip:
    case FieldName::true_client_ip:
    case FieldName::cf_connecting_ip:
    case FieldName::cf_connecting_ipv6:
      return true;
    default:
      return false;
  }
}

// Written by us, whatever came.
bool is_replaced(FieldName id) {
  return id == FieldName::host || id == FieldName::content_length ||
         id == FieldName::x_request_id || id == FieldName::x_forwarded_for;
}

bool keeps_request_field(const http::RequestHead& head, const RequestFacts& facts,
                         const Field& field) {
  if (!facts.peer_trusted && !facts.country_header.empty() &&
      http::equals_ignore_case(field.name, facts.country_header)) {
    return false;
  }
  if (field.id == FieldName::other) {
    return !head.connection_names_fields || !http::connection_names(head.fields, field.name);
  }
  if (is_replaced(field.id) || http::is_hop_by_hop(field.id)) return false;
  // Without a body to wait for, or from HTTP/1.0, it means nothing; the upstream might still wait.
  if (field.id == FieldName::expect) return head.expect_continue;
  if (names_client(field.id)) return facts.peer_trusted && field.id == facts.source_header;
  if (field.id == FieldName::x_forwarded_proto || field.id == FieldName::x_forwarded_host ||
      field.id == FieldName::x_forwarded_port) {
    return facts.peer_trusted;
  }
  return !head.connection_names_fields || !http::connection_names(head.fields, field.name);
}

size_t rule_bytes(const config::HeaderRules& rules) {
  size_t bytes = 0;
  for (const auto& [name, value] : rules.set)
    bytes += name.size() + value.size();
  for (const auto& [name, value] : rules.add)
    bytes += name.size() + value.size();
  return bytes;
}

}  // namespace

void FieldStore::reset(size_t bytes) {
  fields_.clear();
  size_ = 0;
  if (bytes <= capacity_) return;
  capacity_ = std::bit_ceil(bytes);
  bytes_.reset(new char[capacity_]);  // Not value-initialised.
}

std::string_view FieldStore::keep(std::string_view text) {
  WEIR_ASSERT(capacity_ - size_ >= text.size());
  char* const at = bytes_.get() + size_;
  if (!text.empty()) std::memcpy(at, text.data(), text.size());
  size_ += text.size();
  return {at, text.size()};
}

std::string_view FieldStore::keep_joined(std::string_view a, std::string_view b,
                                         std::string_view c) {
  const char* const begin = keep(a).data();
  keep(b);
  keep(c);
  return {begin, a.size() + b.size() + c.size()};
}

void FieldStore::copy(std::string_view name, std::string_view value) {
  const std::string_view kept = keep(name);
  fields_.push_back({kept, keep(value), FieldName::other});
}

void FieldStore::remove(std::string_view name) {
  remove_field(fields_, name);
}

void FieldStore::shrink() {
  bytes_.reset();
  capacity_ = size_ = 0;
  fields_ = {};
}

size_t request_field_bytes(const http::RequestHead& head, std::string_view request_id,
                           const config::HeaderRules& rules) {
  size_t bytes = rule_bytes(rules) + 2 * config::IpText::kBytesMax + 2 * head.host.size() +
                 head.upgrade.size() + request_id.size() + kVia.size() + 64;
  for (const Field& field : head.fields)
    bytes += field.name.size() + field.value.size() + 2;
  return bytes;
}

namespace {

// The chain so far is believed only from a trusted proxy, and always ends with who talks to us.
// Each part is kept once, right behind the one before it.
std::string_view forwarded_for(const http::RequestHead& head, const RequestFacts& facts,
                               FieldStore& out) {
  size_t bytes = 0;
  const char* begin = nullptr;
  const auto append = [&](std::string_view hop) {
    if (hop.empty()) return;
    const std::string_view kept = begin == nullptr ? out.keep(hop) : out.keep_joined(", ", hop, {});
    if (begin == nullptr) begin = kept.data();
    bytes += kept.size();
  };
  if (facts.peer_trusted) {
    for (const Field& field : head.fields) {
      if (field.id == FieldName::x_forwarded_for) append(field.value);
    }
  }
  append(begin != nullptr && !facts.peer_ip.empty() ? facts.peer_ip
         : begin == nullptr                         ? facts.client_ip
                                                    : std::string_view{});
  return {begin, bytes};
}

}  // namespace

void copy_request_fields(const http::RequestHead& head, const RequestFacts& facts,
                         const config::HeaderRules& rules, FieldStore& out) {
  for (const Field& field : head.fields) {
    if (!keeps_request_field(head, facts, field)) continue;
    out.copy(field.name, field.value);
  }
  const std::string_view chain = forwarded_for(head, facts, out);
  if (!chain.empty()) out.add_kept(FieldName::x_forwarded_for, chain);
  if (!facts.peer_trusted || !head.has(FieldName::x_forwarded_proto)) {
    out.add(FieldName::x_forwarded_proto, "http");
  }
  if ((!facts.peer_trusted || !head.has(FieldName::x_forwarded_host)) && !facts.host.empty()) {
    out.add(FieldName::x_forwarded_host, facts.host);
  }
  out.add(FieldName::x_request_id, facts.request_id);
  out.add(FieldName::via, kVia);
  for (const std::string& name : rules.remove)
    out.remove(name);
  for (const auto& [name, value] : rules.set) {
    out.remove(name);
    out.copy(name, value);
  }
  for (const auto& [name, value] : rules.add)
    out.copy(name, value);
}

void pass_response_fields(const http::ResponseHead& head, const config::HeaderRules& rules,
                          std::string_view request_id, std::vector<Field>& out) {
  for (const Field& field : head.fields) {
    if (http::is_hop_by_hop(field.id) || field.id == FieldName::content_length ||
        field.id == FieldName::x_request_id) {
      continue;
    }
    if (head.connection_names_fields && http::connection_names(head.fields, field.name)) continue;
    out.push_back(field);
  }
  out.push_back({http::text(FieldName::via), kVia, FieldName::via});
  out.push_back({http::text(FieldName::x_request_id), request_id, FieldName::x_request_id});
  for (const std::string& name : rules.remove)
    remove_field(out, name);
  for (const auto& [name, value] : rules.set) {
    remove_field(out, name);
    out.push_back({name, value, FieldName::other});
  }
  for (const auto& [name, value] : rules.add)
    out.push_back({name, value, FieldName::other});
}

bool is_request_id(std::string_view text) {
  if (text.empty() || text.size() > kRequestIdBytesMax) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

void remove_field(std::vector<Field>& fields, std::string_view name) {
  std::erase_if(fields,
                [&](const Field& field) { return http::equals_ignore_case(field.name, name); });
}

}  // namespace weir::gateway
