#include "http/field.h"

#include <algorithm>

#include "base/assert.h"
#include "http/internal/bytes.h"

namespace weir::http {
namespace {

constexpr bool in_order() {
  for (size_t i = 0; i < kFieldNames.size(); ++i) {
    if (static_cast<size_t>(kFieldNames[i].id) != i) return false;
  }
  return true;
}
static_assert(in_order());

constexpr std::array<char, 256> kLowerCase = [] {
  std::array<char, 256> table{};
  for (size_t byte = 0; byte < table.size(); ++byte) {
    table[byte] = lower_case(static_cast<char>(byte));
  }
  return table;
}();

constexpr char lower(char byte) {
  return kLowerCase[static_cast<uint8_t>(byte)];
}

// An open-addressed hash table of the known names, built by the compiler. The hash looks at the
// length and three characters only; a hit is always compared in full.
constexpr size_t kBuckets = 512;
constexpr unsigned kHashShift = 32 - 9;  // log2(kBuckets)

constexpr size_t bucket_of(std::string_view name) {
  const auto at = [name](size_t index) {
    return static_cast<size_t>(static_cast<uint8_t>(lower(name[index])));
  };
  const auto mixed = static_cast<uint32_t>(
      name.size() + (at(0) << 6U) + (at(name.size() / 2) << 12U) + (at(name.size() - 1) << 18U));
  return (mixed * 0x9E3779B1U) >> kHashShift;
}

struct Table {
  std::array<FieldName, kBuckets> buckets{};  // `other` is an empty bucket.
  size_t longest_probe = 0;
  size_t longest_name = 0;
};

constexpr Table kTable = [] {
  Table table;
  for (const NamedField& known : kFieldNames) {
    if (known.id == FieldName::other) continue;
    size_t bucket = bucket_of(known.text);
    size_t probe = 1;
    for (; table.buckets[bucket] != FieldName::other; ++probe)
      bucket = (bucket + 1) % kBuckets;
    table.buckets[bucket] = known.id;
    table.longest_probe = std::max(table.longest_probe, probe);
    table.longest_name = std::max(table.longest_name, known.text.size());
  }
  return table;
}();
static_assert(kTable.longest_probe <= 3);

constexpr bool is_space(char byte) {
  return byte == ' ' || byte == '\t';
}

size_t find_unquoted_comma(std::string_view list) {
  bool quoted = false;
  for (size_t at = 0; at < list.size(); ++at) {
    if (list[at] == '"') quoted = !quoted;
    if (list[at] == ',' && !quoted) return at;
    if (list[at] == '\\' && quoted) ++at;
  }
  return std::string_view::npos;
}

}  // namespace

FieldName field_name(std::string_view name) {
  if (name.empty() || name.size() > kTable.longest_name) return FieldName::other;
  for (size_t bucket = bucket_of(name);; bucket = (bucket + 1) % kBuckets) {
    const FieldName id = kTable.buckets[bucket];
    if (id == FieldName::other || equals_ignore_case(text(id), name)) return id;
  }
}

bool equals_ignore_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char byte) {
    return internal::is(byte, internal::kToken);
  });
}

bool is_field_value(std::string_view text) {
  const char* const end = text.data() + text.size();
  const char* at = internal::find_control(text.data(), end);
  while (at != end && *at == '\t')
    at = internal::find_control(at + 1, end);
  return at == end;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front()))
    text.remove_prefix(1);
  while (!text.empty() && is_space(text.back()))
    text.remove_suffix(1);
  return text;
}

bool ListMembers::next() {
  while (!rest_.empty()) {
    const size_t comma = quotes_ == Quotes::plain ? rest_.find(',') : find_unquoted_comma(rest_);
    member_ = trim(rest_.substr(0, comma));
    rest_.remove_prefix(comma == std::string_view::npos ? rest_.size() : comma + 1);
    if (!member_.empty()) return true;
  }
  return false;
}

bool list_has(std::string_view list, std::string_view token) {
  for (ListMembers members{list}; members.next();) {
    if (equals_ignore_case(members.member(), token)) return true;
  }
  return false;
}

const Field* find(Fields fields, FieldName id) {
  WEIR_ASSERT(id != FieldName::other);
  for (const Field& field : fields) {
    if (field.id == id) return &field;
  }
  return nullptr;
}

const Field* find(Fields fields, std::string_view name) {
  const FieldName id = field_name(name);
  if (id != FieldName::other) return find(fields, id);
  for (const Field& field : fields) {
    if (field.id == FieldName::other && equals_ignore_case(field.name, name)) return &field;
  }
  return nullptr;
}

std::string_view value_of(Fields fields, FieldName id) {
  const Field* const field = find(fields, id);
  return field == nullptr ? std::string_view{} : field->value;
}

bool is_hop_by_hop(FieldName id) {
  switch (id) {
    case FieldName::connection:
    case FieldName::keep_alive:
    case FieldName::proxy_connection:
    case FieldName::transfer_encoding:
    case FieldName::te:
    case FieldName::trailer:
    case FieldName::upgrade:
    case FieldName::http2_settings:
    case FieldName::proxy_authenticate:
    case FieldName::proxy_authorization:
    case FieldName::proxy_authentication_info:
      return true;
    default:
      return false;
  }
}

bool connection_names(Fields fields, std::string_view name) {
  switch (field_name(name)) {
    case FieldName::host:
    case FieldName::content_length:
    case FieldName::content_type:
      return false;
    default:
      break;
  }
  for (const Field& field : fields) {
    if (field.id == FieldName::connection && list_has(field.value, name)) return true;
  }
  return false;
}

}  // namespace weir::http
