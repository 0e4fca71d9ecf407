#include "config/redirect.h"

namespace weir::config {
namespace {

constexpr base::Error invalid(base::StaticText what) {
  return {base::ErrorCode::invalid_input, base::Origin::self, base::Retry::never, 0, what};
}

// Whether what stands before the first "$" settles the host: a request must never choose it.
bool has_fixed_origin(std::string_view text) {
  for (const std::string_view scheme : {"http://", "https://", "//"}) {
    if (!text.starts_with(scheme)) continue;
    if (text.size() == scheme.size()) return false;
    const char first = text[scheme.size()];
    return first != '/' && first != '$' && first != '?' && first != '#' && first != '\\';
  }
  return text.starts_with('/') || text.starts_with("$path");
}

}  // namespace

base::Result<std::vector<LocationPart>> parse_location(std::string_view text) {
  if (!has_fixed_origin(text)) return invalid("no '/', $path or http://HOST at its beginning");
  if (text.size() > kLocationBytesMax) {
    return base::Error{base::ErrorCode::limit_exceeded, base::Origin::self, base::Retry::never, 0,
                       "more than 2048 bytes"};
  }
  std::vector<LocationPart> parts;
  std::string literal;
  const auto end_literal = [&] {
    if (!literal.empty()) parts.push_back({LocationPart::Kind::text, std::move(literal)});
    literal.clear();
  };
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    const std::string_view rest = text.substr(at);
    if (c <= 0x20 || c >= 0x7f || c == '\\') return invalid("a character that no URL contains");
    if (rest.starts_with("$path")) {
      end_literal();
      parts.push_back({LocationPart::Kind::path, {}});
      at += 5;
    } else if (rest.starts_with("$query")) {
      end_literal();
      parts.push_back({LocationPart::Kind::query, {}});
      at += 6;
    } else if (rest.starts_with("$$")) {
      literal += '$';
      at += 2;
    } else if (c == '$') {
      return invalid("an unknown $name");
    } else {
      literal += c;
      ++at;
    }
  }
  end_literal();
  return parts;
}

}  // namespace weir::config
