#include "config/internal/document.h"

#include <algorithm>
#include <utility>

// toml++ 3.3 asserts (with NDEBUG: assumes) that a key begins like one before it looks, so that
// "[!]" would abort the process or be undefined; without the assertion it reports an error.
// NOLINTBEGIN(readability-identifier-naming): the library's names.
#undef NDEBUG
#define TOML_ASSERT(expression) static_assert(true)
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
// NOLINTEND(readability-identifier-naming)
#include <toml++/toml.h>

#include "config/internal/text.h"

namespace weir::config::internal {
namespace {

Place place_of(const toml::source_region& source) {
  return {source.begin.line, source.begin.column};
}

Problem problem_at(Place place, std::string message, std::string allowed = {}) {
  return {{}, place.line, place.column, {}, std::move(message), std::move(allowed)};
}

// The library's messages repeat text of the file.
std::string printable(std::string_view text) {
  constexpr size_t kBytesMax = 300;
  std::string out{text.substr(0, kBytesMax)};
  for (char& c : out) {
    if (is_control(c)) c = '?';
  }
  return out;
}

// Walks over the text, as far as it is well-formed, and refuses what toml++ 3.3 does not survive:
//   - keys with very many dots: it nests one table per dot without a limit, and destroying them
//     would use up the stack;
//   - bytes above ASCII where it looks for white space (outside strings and comments, where TOML
//   has
//     none, and after a backslash that ends a line): for U+FE66 to U+FEFE that look is undefined.
//
// Threading: one thread at a time.
class Precheck {
 public:
  explicit Precheck(std::string_view text) : text_(text) {
    if (text_.starts_with("\xef\xbb\xbf")) text_.remove_prefix(3);
  }

  // What is wrong first, or null.
  const char* run() {
    size_t dots = 0;
    while (at_ < text_.size() && problem_ == nullptr) {
      const char c = text_[at_];
      if (c == '"' || c == '\'') {
        skip_string(c);
        continue;
      }
      if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
        continue;
      }
      if (static_cast<uint8_t>(c) >= 0x80) return "a character above ASCII outside quotes";
      if (c == '.' && ++dots > kKeyDotsMax) return "a key with more than 16 dots";
      if (c == '\n') ++line_;
      if (c == '\n' || c == '=' || c == ',' || c == '[' || c == '{') dots = 0;
      ++at_;
    }
    return problem_;
  }

  uint32_t line() const { return line_; }  // From 1: where run() stopped.

 private:
  void skip_string(char quote) {
    const bool multi_line = text_.substr(at_).starts_with(quote == '"' ? "\"\"\"" : "\'\'\'");
    at_ += multi_line ? 3 : 1;
    while (at_ < text_.size() && problem_ == nullptr) {
      const char c = text_[at_];
      if (c == '\n') {
        if (!multi_line) return;  // An error that toml++ reports.
        ++line_;
      }
      if (c == '\\' && quote == '"') {
        skip_escape();
        continue;
      }
      if (c == quote && (!multi_line || ends_multi_line(quote))) {
        at_ += multi_line ? 3 : 1;
        while (multi_line && at_ < text_.size() && text_[at_] == quote)
          ++at_;  // Up to two quotes may stand before the closing three.
        return;
      }
      ++at_;
    }
  }

  // A backslash and what it escapes: one character, or white space that holds the line's end.
  void skip_escape() {
    ++at_;
    if (at_ == text_.size()) return;
    constexpr std::string_view kSpace = " \t\r\n\v\f";
    if (kSpace.find(text_[at_]) == std::string_view::npos) {
      const bool ascii = static_cast<uint8_t>(text_[at_]) < 0x80;
      if (!ascii) problem_ = "a character above ASCII after a backslash";
      ++at_;
      return;
    }
    for (; at_ < text_.size() && kSpace.find(text_[at_]) != std::string_view::npos; ++at_) {
      if (text_[at_] == '\n') ++line_;
    }
    if (at_ < text_.size() && static_cast<uint8_t>(text_[at_]) >= 0x80) {
      problem_ = "a character above ASCII after a backslash that ends a line";
    }
  }

  bool ends_multi_line(char quote) const {
    return at_ + 2 < text_.size() && text_[at_ + 1] == quote && text_[at_ + 2] == quote;
  }

  std::string_view text_;
  size_t at_ = 0;
  uint32_t line_ = 1;
  const char* problem_ = nullptr;
};

// Converts toml++'s tree. Recursion is bounded by kDepthMax.
//
// Threading: one thread at a time.
class Converter {
 public:
  // False when something is nested too deep; `place` then says where.
  // NOLINTNEXTLINE(misc-no-recursion): bounded by kDepthMax.
  bool convert(const toml::node& node, size_t depth, Value& out) {
    out.place = place_of(node.source());
    if (depth > kDepthMax) {
      too_deep_ = out.place;
      return false;
    }
    switch (node.type()) {
      case toml::node_type::table:
        return convert_table(*node.as_table(), depth, out);
      case toml::node_type::array:
        return convert_array(*node.as_array(), depth, out);
      case toml::node_type::string:
        out.kind = Value::Kind::text;
        out.text = node.as_string()->get();
        return true;
      case toml::node_type::integer:
        out.kind = Value::Kind::integer;
        out.integer = node.as_integer()->get();
        return true;
      case toml::node_type::floating_point:
        out.kind = Value::Kind::real;
        out.real = node.as_floating_point()->get();
        return true;
      case toml::node_type::boolean:
        out.kind = Value::Kind::boolean;
        out.boolean = node.as_boolean()->get();
        return true;
      default:
        out.kind = Value::Kind::time;
        return true;
    }
  }

  Place too_deep() const { return too_deep_; }

 private:
  // NOLINTNEXTLINE(misc-no-recursion): bounded by kDepthMax.
  bool convert_table(const toml::table& table, size_t depth, Value& out) {
    out.kind = Value::Kind::table;
    for (const auto& [key, node] : table) {
      Member& member = out.members.emplace_back();
      member.key = std::string{key.str()};
      member.place = place_of(key.source());
      if (!convert(node, depth + 1, member.value)) return false;
    }
    return true;
  }

  // NOLINTNEXTLINE(misc-no-recursion): bounded by kDepthMax.
  bool convert_array(const toml::array& array, size_t depth, Value& out) {
    out.kind = Value::Kind::array;
    for (const toml::node& node : array) {
      if (!convert(node, depth + 1, out.items.emplace_back())) return false;
    }
    return true;
  }

  Place too_deep_;
};

}  // namespace

std::string_view kind_name(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::text:
      return "a string";
    case Value::Kind::integer:
      return "an integer";
    case Value::Kind::real:
      return "a number with a fraction";
    case Value::Kind::boolean:
      return "a boolean";
    case Value::Kind::time:
      return "a date or time";
    case Value::Kind::array:
      return "an array";
    case Value::Kind::table:
      return "a table";
  }
  return {};
}

std::variant<Value, Problem> parse_document(std::string_view toml) {
  if (toml.size() > kFileBytesMax) {
    return problem_at({}, "is larger than 1 MiB", "at most 1 MiB");
  }
  Precheck precheck{toml};
  if (const char* problem = precheck.run(); problem != nullptr) {
    return problem_at({precheck.line(), 1}, std::string{"is not valid here: "} + problem);
  }
  const toml::parse_result parsed = toml::parse(toml);
  if (!parsed) {
    return problem_at(place_of(parsed.error().source()),
                      "is not valid TOML: " + printable(parsed.error().description()));
  }
  Value root;
  Converter converter;
  if (!converter.convert(parsed.table(), 0, root)) {
    return problem_at(converter.too_deep(), "is nested too deep", "at most 24 levels");
  }
  return root;
}

}  // namespace weir::config::internal
