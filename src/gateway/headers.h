#pragma once
// What Weir changes in the fields that pass through it: hop-by-hop fields go, the client's address
// and the request's id are stated by us alone, the route's own rules come last. Source: RFC 9110
// sections 7.6.1 and 7.6.3; design 5.3 and 5.7.

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "http/request_head.h"
#include "http/response_head.h"

namespace weir::gateway {

// Strings and the fields that point into them, in memory that is reserved before it is filled, so
// that no view moves. Reused from exchange to exchange.
// Ownership: owns the bytes.
// Threading: home loop only.
class FieldStore {
 public:
  // Forgets all, and makes room for `bytes`.
  void reset(size_t bytes);
  // Requires that the room suffices. The view is valid until reset().
  std::string_view keep(std::string_view text);
  std::string_view keep_joined(std::string_view a, std::string_view b, std::string_view c);
  void copy(std::string_view name, std::string_view value);
  // `name` lives for ever: only the value is copied.
  // A field whose value is kept already.
  void add_kept(http::FieldName name, std::string_view kept) {
    fields_.push_back({http::text(name), kept, name});
  }
  void add(http::FieldName name, std::string_view value) { add_kept(name, keep(value)); }
  // Copies a field of any name.
  void remove(std::string_view name);

  http::Fields fields() const { return fields_; }
  size_t capacity() const { return capacity_; }
  void shrink();

 private:
  std::unique_ptr<char[]> bytes_;
  size_t capacity_ = 0;
  size_t size_ = 0;
  std::vector<http::Field> fields_;
};

struct RequestFacts {
  bool peer_trusted = false;  // By the listener: forwarding headers are believed.
  http::FieldName source_header = http::FieldName::other;  // The one that names the client, if any.
  std::string_view country_header;  // The one that names the country, if any.
  std::string_view peer_ip;         // As text; empty for Unix sockets.
  std::string_view client_ip;       // As text.
  std::string_view host;            // As the client sent it.
  std::string_view request_id;
};

// Bytes that copy_request_fields() may need at most, Host and Upgrade kept beside it included.
size_t request_field_bytes(const http::RequestHead& head, std::string_view request_id,
                           const config::HeaderRules& rules);

// The fields that go to the upstream, without Host and framing, which depend on who is asked.
void copy_request_fields(const http::RequestHead& head, const RequestFacts& facts,
                         const config::HeaderRules& rules, FieldStore& out);

// The fields that go to the client, without framing. Appends to `out`; the views are those of
// `head`, `rules` and `request_id`.
void pass_response_fields(const http::ResponseHead& head, const config::HeaderRules& rules,
                          std::string_view request_id, std::vector<http::Field>& out);

// True for `[A-Za-z0-9._-]{1,128}`.
bool is_request_id(std::string_view text);

void remove_field(std::vector<http::Field>& fields, std::string_view name);

}  // namespace weir::gateway
