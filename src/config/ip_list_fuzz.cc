// A list that is read says the same as CSV and as TOML, and its prefixes are those of a plain list;
// what is refused says where and why.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "config/ip_list.h"
#include "config/ip_rule_set.h"
#include "config/render.h"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::config;  // NOLINT(google-build-using-namespace): a fuzz target only.
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  const IpRule block{.action = IpAction::block};
  for (const IpListFormat format :
       {IpListFormat::automatic, IpListFormat::plain, IpListFormat::csv}) {
    const IpList list = parse_ip_list(input, "f", format, block);
    WEIR_ASSERT(list.problems.size() <= kIpListProblemsMax);
    for (const Problem& problem : list.problems)
      WEIR_ASSERT(!problem.message.empty());
    if (!list.ok()) continue;
    const IpList csv = parse_ip_list(ip_list_to_csv(list.rules), "f", IpListFormat::csv, {});
    const IpList toml = parse_ip_list(ip_rules_to_toml(list.rules), "f", IpListFormat::toml, {});
    WEIR_ASSERT(csv.ok() && toml.ok());
    WEIR_ASSERT(csv.repeated == 0);
    WEIR_ASSERT(toml.rules == list.rules);
    if (format == IpListFormat::automatic) continue;  // TOML's rules may be apart though equal.
    WEIR_ASSERT(csv.rules == list.rules);
    const IpList plain = parse_ip_list(ip_list_to_plain(list.rules, IpAction::block), "f",
                                       IpListFormat::plain, block);
    WEIR_ASSERT(plain.ok());
  }
  return 0;
}
