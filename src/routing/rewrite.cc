#include "routing/rewrite.h"

#include <algorithm>
#include <cstdint>

#include "base/assert.h"

namespace weir::routing {
namespace {

void append_url_text(std::string& out, std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  constexpr std::string_view kForbidden = "\"<>\\^`{|}";
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte > 0x20 && byte < 0x7f && kForbidden.find(c) == std::string_view::npos) {
      out += c;
    } else {
      out += '%';
      out += kDigits[byte >> 4U];
      out += kDigits[byte & 15U];
    }
  }
}

}  // namespace

std::string_view upstream_path(const Route& route, std::string_view path, std::string& scratch) {
  const std::string& rewrite = route.config->rewrite;
  if (!route.config->strip_prefix && rewrite.empty()) return path;
  const std::string& prefix = route.literal_prefix;
  WEIR_ASSERT(path.starts_with(prefix));
  const std::string_view rest = path.substr(prefix.size());
  if (rewrite.empty()) {
    if (rest.starts_with('/')) return rest;
    // The prefix's own last byte is the missing slash, unless the pattern is the whole path.
    return prefix.ends_with('/') ? path.substr(prefix.size() - 1) : "/";
  }
  scratch.assign(rewrite);
  if (prefix.ends_with('/') && !rewrite.ends_with('/')) scratch += '/';
  scratch += rest;
  return scratch;
}

void redirect_location(const Route& route, const RedirectTarget& target, std::string& out) {
  WEIR_ASSERT(!route.location.empty());
  out.clear();
  for (const config::LocationPart& part : route.location) {
    switch (part.kind) {
      case config::LocationPart::Kind::text:
        out += part.text;
        break;
      case config::LocationPart::Kind::path:
        append_url_text(out, target.path);
        break;
      case config::LocationPart::Kind::query:
        if (target.has_query) out += '?';
        append_url_text(out, target.query);
        break;
    }
  }
  // "//host" only where the configuration says so itself.
  const config::LocationPart& first = route.location.front();
  const bool meant = first.kind == config::LocationPart::Kind::text && first.text.starts_with("//");
  if (meant || !out.starts_with("//")) return;
  const size_t slashes = std::min(out.find_first_not_of('/'), out.size());
  out.erase(0, slashes - 1);
}

}  // namespace weir::routing
