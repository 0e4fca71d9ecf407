#include "config/country.h"

#include <algorithm>

#include "base/assert.h"
#include "config/internal/text.h"

namespace weir::config {
namespace {

// Four letters for each country: its code and its continent's. Sorted.
// clang-format off
constexpr std::string_view kTable =
    "ADEUAEASAFASAGNAAINAALEUAMASAOAFAQANARSAASOCATEUAUOCAWNAAXEU"
    "AZASBAEUBBNABDASBEEUBFAFBGEUBHASBIAFBJAFBLNABMNABNASBOSABQNA"
    "BRSABSNABTASBVANBWAFBYEUBZNACANACCASCDAFCFAFCGAFCHEUCIAFCKOC"
    "CLSACMAFCNASCOSACRNACUNACVAFCWNACXOCCYEUCZEUDEEUDJAFDKEUDMNA"
    "DONADZAFECSAEEEUEGAFEHAFERAFESEUETAFFIEUFJOCFKSAFMOCFOEUFREU"
    "GAAFGBEUGDNAGEASGFSAGGEUGHAFGIEUGLNAGMAFGNAFGPNAGQAFGREUGSAN"
    "GTNAGUOCGWAFGYSAHKASHMANHNNAHREUHTNAHUEUIDASIEEUILASIMEUINAS"
    "IOASIQASIRASISEUITEUJEEUJMNAJOASJPASKEAFKGASKHASKIOCKMAFKNNA"
    "KPASKRASKWASKYNAKZASLAASLBASLCNALIEULKASLRAFLSAFLTEULUEULVEU"
    "LYAFMAAFMCEUMDEUMEEUMFNAMGAFMHOCMKEUMLAFMMASMNASMOASMPOCMQNA"
    "MRAFMSNAMTEUMUAFMVASMWAFMXNAMYASMZAFNAAFNCOCNEAFNFOCNGAFNINA"
    "NLEUNOEUNPASNROCNUOCNZOCOMASPANAPESAPFOCPGOCPHASPKASPLEUPMNA"
    "PNOCPRNAPSASPTEUPWOCPYSAQAASREAFROEURSEURUEURWAFSAASSBOCSCAF"
    "SDAFSEEUSGASSHAFSIEUSJEUSKEUSLAFSMEUSNAFSOAFSRSASSAFSTAFSVNA"
    "SXNASYASSZAFTCNATDAFTFANTGAFTHASTJASTKOCTLOCTMASTNAFTOOCTRAS"
    "TTNATVOCTWASTZAFUAEUUGAFUMOCUSNAUYSAUZASVAEUVCNAVESAVGNAVINA"
    "VNASVUOCWFOCWSOCXKEUYEASYTAFZAAFZMAFZWAF";
// clang-format on

constexpr size_t kRow = 4;
static_assert(kTable.size() == kRow * Country::kKnown);

// What two letters of a code are in an index of all pairs of letters; none: not two letters.
std::optional<size_t> pair_of(std::string_view code) {
  if (code.size() != 2) return std::nullopt;
  size_t pair = 0;
  for (const char c : code) {
    const char letter = internal::lower(c);
    if (letter < 'a' || letter > 'z') return std::nullopt;
    pair = pair * 26 + static_cast<size_t>(letter - 'a');
  }
  return pair;
}

constexpr auto kByPair = [] {
  std::array<uint8_t, 26 * 26> index{};
  for (size_t row = 0; row < Country::kKnown; ++row) {
    const auto first = static_cast<size_t>(kTable[row * kRow] - 'A');
    const auto second = static_cast<size_t>(kTable[row * kRow + 1] - 'A');
    index[first * 26 + second] = static_cast<uint8_t>(row + 1);
  }
  return index;
}();

}  // namespace

std::optional<Continent> parse_continent(std::string_view code) {
  for (size_t i = 0; i < kContinents; ++i) {
    if (pair_of(code) == pair_of(kContinentCodes[i])) return static_cast<Continent>(i);
  }
  return std::nullopt;
}

Country Country::of(std::string_view code) {
  Country country;
  if (const std::optional<size_t> pair = pair_of(code)) country.number_ = kByPair[*pair];
  return country;
}

Country Country::at(size_t number) {
  WEIR_ASSERT(number <= kKnown);
  Country country;
  country.number_ = static_cast<uint8_t>(number);
  return country;
}

std::string_view Country::code() const {
  return is_known() ? kTable.substr((number_ - 1U) * kRow, 2) : std::string_view{};
}

Continent Country::continent() const {
  WEIR_ASSERT(is_known());
  return *parse_continent(kTable.substr((number_ - 1U) * kRow + 2, 2));
}

}  // namespace weir::config
