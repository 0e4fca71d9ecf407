#include "geo/testing/mmdb_writer.h"

#include <gtest/gtest.h>

namespace weir::geo::testing {
namespace {

constexpr unsigned kText = 2;
constexpr unsigned kUint16 = 5;
constexpr unsigned kUint32 = 6;
constexpr unsigned kMap = 7;
constexpr unsigned kUint64 = 9;
constexpr unsigned kArray = 11;
constexpr size_t kSeparatorBytes = 16;

std::string control(unsigned type, size_t size) {
  std::string out;
  const size_t low = size < 29 ? size : 29;
  EXPECT_LT(size, 29U + 256U);
  out += static_cast<char>((type <= 7 ? type << 5U : 0U) | low);
  if (type > 7) out += static_cast<char>(type - 7);
  if (low == 29) out += static_cast<char>(size - 29);
  return out;
}

std::string number_value(unsigned type, uint64_t number) {
  std::string bytes;
  for (; number != 0; number >>= 8U)
    bytes.insert(bytes.begin(), static_cast<char>(number & 0xffU));
  return control(type, bytes.size()) + bytes;
}

}  // namespace

std::string text_value(std::string_view text) {
  return control(kText, text.size()) + std::string{text};
}

std::string map_value(const std::vector<std::pair<std::string, std::string>>& members) {
  std::string out = control(kMap, members.size());
  for (const auto& [name, value] : members)
    out += text_value(name) + value;
  return out;
}

std::string maxmind_record(std::string_view country, std::string_view city) {
  std::vector<std::pair<std::string, std::string>> members{
      {"country", map_value({{"iso_code", text_value(country)}})}};
  if (!city.empty()) {
    members.emplace_back("city", map_value({{"names", map_value({{"en", text_value(city)}})}}));
  }
  return map_value(members);
}

std::string flat_record(std::string_view country, std::string_view city) {
  std::vector<std::pair<std::string, std::string>> members{{"country_code", text_value(country)}};
  if (!city.empty()) members.emplace_back("city", text_value(city));
  return map_value(members);
}

MmdbWriter& MmdbWriter::add(std::string_view prefix, std::string_view record) {
  const auto cidr = config::parse_cidr(prefix);
  if (!cidr) {
    ADD_FAILURE() << prefix;
    return *this;
  }
  std::array<uint8_t, 16> bytes = cidr->network.bytes;
  if (cidr->network.is_v4()) bytes[10] = bytes[11] = 0;  // ::a.b.c.d, not ::ffff:a.b.c.d.
  const unsigned first = ip_version_ == 4 ? 96 : 0;
  const auto offset = static_cast<int64_t>(data_.size());
  data_ += record;
  size_t node = 0;
  for (unsigned bit = first; bit < cidr->prefix_bits; ++bit) {
    const size_t side = uint32_t{bytes[bit / 8U]} >> (7U - bit % 8U) & 1U;
    if (bit + 1U == cidr->prefix_bits) {
      nodes_[node].next[side] = -1 - offset;
      break;
    }
    int64_t next = nodes_[node].next[side];
    if (next <= 0) {  // What was here holds for both halves.
      nodes_.push_back({{next, next}});
      next = static_cast<int64_t>(nodes_.size() - 1);
      nodes_[node].next[side] = next;
    }
    node = static_cast<size_t>(next);
  }
  return *this;
}

std::string MmdbWriter::bytes() const {
  std::string out;
  const auto put = [&](int64_t next) {
    auto record = static_cast<uint64_t>(next);
    if (next == kEmpty) record = nodes_.size();
    if (next < 0) record = nodes_.size() + kSeparatorBytes + static_cast<uint64_t>(-1 - next);
    for (const unsigned shift : {16U, 8U, 0U})
      out += static_cast<char>(record >> shift & 0xffU);
  };
  for (const Node& node : nodes_) {
    put(node.next[0]);
    put(node.next[1]);
  }
  out.append(kSeparatorBytes, '\0');
  out += data_;
  out += "\xab\xcd\xefMaxMind.com";
  out += map_value({{"node_count", number_value(kUint32, nodes_.size())},
                    {"record_size", number_value(kUint16, 24)},
                    {"ip_version", number_value(kUint16, ip_version_)},
                    {"database_type", text_value("Test-Places")},
                    {"languages", control(kArray, 1) + text_value("en")},
                    {"binary_format_major_version", number_value(kUint16, 2)},
                    {"binary_format_minor_version", number_value(kUint16, 0)},
                    {"build_epoch", number_value(kUint64, 1'760'000'000)},
                    {"description", map_value({})}});
  return out;
}

}  // namespace weir::geo::testing
