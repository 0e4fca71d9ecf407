// The table against the list of ISO 3166-1, typed independently of it.
#include "config/country.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace weir::config {
namespace {

// ISO 3166-1 alpha-2, all officially assigned codes.
constexpr std::string_view kIso =
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ "
    "BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM "
    "DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS "
    "GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN "
    "KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ "
    "MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM "
    "PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV "
    "SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI "
    "VN VU WF WS YE YT ZA ZM ZW";

std::vector<std::string> iso_codes() {
  std::vector<std::string> codes;
  for (size_t at = 0; at < kIso.size(); at += 3)
    codes.emplace_back(kIso.substr(at, 2));
  return codes;
}

// Defect 79: the founding system's map had 59 countries.
TEST(CountryTest, HasAll249CodesOfIso3166AndKosovoEachWithAContinent) {
  const std::vector<std::string> codes = iso_codes();
  ASSERT_EQ(codes.size(), 249U);
  std::set<size_t> numbers;
  for (const std::string& code : codes) {
    const Country country = Country::of(code);
    ASSERT_TRUE(country.is_known()) << code;
    EXPECT_EQ(country.code(), code);
    EXPECT_EQ(Country::at(country.number()), country);
    EXPECT_LT(static_cast<size_t>(country.continent()), kContinents);
    numbers.insert(country.number());
  }
  numbers.insert(Country::of("XK").number());
  EXPECT_EQ(numbers.size(), Country::kKnown);
  EXPECT_EQ(*numbers.begin(), 1U);
  EXPECT_EQ(*numbers.rbegin(), Country::kKnown);
}

TEST(CountryTest, KnowsNoOtherCode) {
  std::set<std::string> known;
  for (char first = 'A'; first <= 'Z'; ++first) {
    for (char second = 'A'; second <= 'Z'; ++second) {
      const std::string code{first, second};
      if (Country::of(code).is_known()) known.insert(code);
    }
  }
  const std::vector<std::string> codes = iso_codes();
  std::set<std::string> expected{codes.begin(), codes.end()};
  expected.insert("XK");
  EXPECT_EQ(known, expected);
  for (const char* code : {"", "D", "DEU", "D ", "1A", "\xc3\x84", "XX", "T1", "EU", "UK"})
    EXPECT_FALSE(Country::of(code).is_known()) << code;
  EXPECT_EQ(Country{}.code(), "");
}

TEST(CountryTest, TakesEitherCase) {
  EXPECT_EQ(Country::of("de"), Country::of("DE"));
  EXPECT_EQ(Country::of("dE").code(), "DE");
}

TEST(CountryTest, CountsTheCountriesOfEachContinent) {
  std::map<Continent, int> counts;
  for (size_t number = 1; number <= Country::kKnown; ++number)
    ++counts[Country::at(number).continent()];
  const std::map<Continent, int> expected{
      {Continent::africa, 58},       {Continent::antarctica, 5},     {Continent::asia, 51},
      {Continent::europe, 53},       {Continent::north_america, 41}, {Continent::oceania, 28},
      {Continent::south_america, 14}};
  EXPECT_EQ(counts, expected);
}

// Those that the founding system missed, and those that two continents claim.
TEST(CountryTest, PlacesCountriesOnTheirContinents) {
  const std::map<std::string, std::string_view> expected{
      {"RU", "EU"}, {"UA", "EU"}, {"TW", "AS"}, {"HK", "AS"}, {"GT", "NA"}, {"CD", "AF"},
      {"AQ", "AN"}, {"TR", "AS"}, {"CY", "EU"}, {"GE", "AS"}, {"EG", "AF"}, {"KZ", "AS"},
      {"XK", "EU"}, {"US", "NA"}, {"UM", "OC"}, {"BR", "SA"}, {"NZ", "OC"}, {"GL", "NA"}};
  for (const auto& [code, continent] : expected) {
    EXPECT_EQ(kContinentCodes[static_cast<size_t>(Country::of(code).continent())], continent)
        << code;
  }
  EXPECT_EQ(parse_continent("eu"), Continent::europe);
  EXPECT_EQ(parse_continent("EUR"), std::nullopt);
  EXPECT_EQ(parse_continent("XX"), std::nullopt);
}

}  // namespace
}  // namespace weir::config
