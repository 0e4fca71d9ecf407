#pragma once
// The countries of the world and their continents, as small numbers: what rules and databases of
// addresses name by two letters, the rest of the program compares as one byte.
//
// The table holds the 249 codes of ISO 3166-1 alpha-2, and XK, which ISO leaves to its users and
// which every database of addresses uses for Kosovo: without it, a rule for all countries would
// miss one. Continents are those of GeoNames (which geographers do not all share: Russia and Cyprus
// are in Europe there, Turkey and the Caucasus in Asia).
//
// Source: ISO 3166-1 (2024), GeoNames' countryInfo.txt: facts, no creative work.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace weir::config {

enum class Continent : uint8_t {
  africa,
  antarctica,
  asia,
  europe,
  north_america,
  oceania,
  south_america,
};
inline constexpr size_t kContinents = 7;
// As rules name them, in the order of Continent.
inline constexpr std::array<std::string_view, kContinents> kContinentCodes{"AF", "AN", "AS", "EU",
                                                                           "NA", "OC", "SA"};
// Of exactly these letters, in either case.
std::optional<Continent> parse_continent(std::string_view code);

// A country of the table, or none. Numbers go in the order of the codes.
// Threading: a plain value.
class Country {
 public:
  static constexpr size_t kKnown = 250;  // Of ISO 3166-1: 249.

  constexpr Country() = default;  // None is known.
  // The country with this code, in either case; none where there is no such.
  static Country of(std::string_view code);
  // Requires number <= kKnown.
  static Country at(size_t number);

  bool is_known() const { return number_ != 0; }
  // 1 to kKnown; 0: none is known.
  size_t number() const { return number_; }
  std::string_view code() const;  // "DE"; empty where none is known. A literal.
  // Requires is_known().
  Continent continent() const;

  bool operator==(const Country&) const = default;

 private:
  uint8_t number_ = 0;
};

}  // namespace weir::config
