#include "config/webhook.h"

#include <algorithm>

#include "config/endpoint.h"
#include "config/internal/text.h"

namespace weir::config {
namespace {

constexpr std::string_view kHidden = "/***";

constexpr base::Error bad_url(base::StaticText what) {
  return {base::ErrorCode::invalid_input, base::Origin::self, base::Retry::never, 0, what};
}

// Where the scheme ends; 0: it is neither of the two.
size_t scheme_bytes(std::string_view url) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (url.starts_with(scheme)) return scheme.size();
  }
  return 0;
}

// Source: RFC 3986 section 2; what it excludes, curl would take or change in its own ways.
bool is_url_character(char c) {
  constexpr std::string_view kExcluded = "\"<>\\^`{|}";
  return c > 0x20 && c < 0x7f && kExcluded.find(c) == std::string_view::npos;
}

}  // namespace

base::Status check_webhook_url(std::string_view url) {
  if (url.size() > kWebhookUrlBytesMax) return bad_url("longer than 2048 bytes");
  const size_t scheme = scheme_bytes(url);
  if (scheme == 0) return bad_url("no http:// or https:// at its beginning");
  if (!std::all_of(url.begin(), url.end(), is_url_character)) {
    return bad_url("a character that no URL holds");
  }
  if (url.find('#') != std::string_view::npos) return bad_url("a fragment");
  const std::string_view rest = url.substr(scheme);
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  if (authority.find('@') != std::string_view::npos) return bad_url("a user name or password");
  // The rules for hosts and ports are those of upstreams.
  std::string plain = "http://";
  plain += authority;
  if (!parse_upstream_url(plain).ok()) return bad_url("no valid host and port");
  if (rest.substr(authority.size()) == kHidden) return bad_url("shown without its secret");
  return {};
}

std::string shown_url(std::string_view url) {
  if (url.empty()) return {};
  const size_t scheme = scheme_bytes(url);
  if (scheme == 0) return "***";
  const size_t end = url.find_first_of("/?#", scheme);
  const std::string_view shown = url.substr(0, end);
  if (shown.find('@') != std::string_view::npos) return "***";
  return std::string{shown} + std::string{kHidden};
}

}  // namespace weir::config
