#pragma once
// Which IP rule decides about an address.
//
// Of the rules that match, the one with the longest prefix decides; of those with the same prefix,
// block before throttle before allow, enforced before not, earlier in the list before later. A rule
// that has expired does not exist: the next one decides. A rule that is not enforced changes no
// decision; it is named beside it where it would have decided, were it enforced.
//
//   10.0.0.0/8 block            ┌ 10.0.0.0/8 ───────────┬ 10.1.2.0/24 ─┬ 10.0.0.0/8 ─┐
//   10.1.2.0/24 allow      ──►  │ block                 │ allow, block │ block       │  segments
//                               └───────────────────────┴──────────────┴─────────────┘
//
// Prefixes nest or are apart, so their ends cut the addresses of a family into at most two segments
// a prefix (and one), in each of which the same rules match: a chain, the first to decide first,
// that goes on from a prefix into the chain of the one around it. A look-up finds the segment by
// its start (internal/segment_map.h), and walks its chain to the first enforced rule that exists.
// Where that is the first one, and it never expires, the segment itself says so and nothing else is
// read: memory is what a look-up waits for.
//
// The obvious alternative, a trie of bits, visits one node for each branching bit, each in a cache
// line of its own, and gets deeper where rules are dense; this one is as fast for any rules.
//
// Here is no limiter and no metric: what a decision means is the gateway's matter.
//
// Source: spec 5.3, corrected (there: the first match in the order of creation, and expiry up to
// five minutes late).

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "access/internal/segment_map.h"
#include "base/clock.h"
#include "base/thread_annotations.h"
#include "config/ip.h"
#include "config/ip_rule.h"

namespace weir::access {

// One prefix of one rule.
struct Match {
  config::Cidr prefix;
  config::IpAction action = config::IpAction::none;
  uint32_t rule = 0;  // Its index in the list.
};

// Who decides: its action, and where IpRules::match() finds the rest.
struct Decider {
  config::IpAction action = config::IpAction::none;  // none: nobody does.
  uint32_t match = 0;

  bool exists() const { return action != config::IpAction::none; }
};

struct Decision {
  Decider enforced;
  // Exists when a rule that is not enforced would have decided in place of `enforced`.
  Decider dry_run;
};

// Ownership: owns copies of all that it needs of the rules.
// Threading: immutable after construction: any thread. decide() never blocks or allocates.
// Limits: up to 2^28 prefixes (a configuration has at most config::kIpMatchesMax), some 65 bytes
//   for each of IPv4 and 90 of IPv6. A chain has the rules of every prefix around an address; a
//   configuration allows three a prefix: at most 99 steps for IPv4 and 387 for IPv6, all but the
//   last of rules that expired or are not enforced.
class IpRules {
 public:
  IpRules() = default;
  // Skips what parse_cidr() refuses, and rules without an action: validate() has named them.
  // O(n log n).
  explicit IpRules(std::span<const config::IpRule> rules);

  // O(log n).
  Decision decide(const config::IpAddress& ip, base::Wall now) const;
  // Requires decider.exists(), of this table.
  const Match& match(const Decider& decider) const WEIR_LIFETIMEBOUND {
    return matches_[decider.match];
  }

  bool empty() const { return entries_.empty(); }
  size_t prefix_count() const { return entries_.size(); }
  size_t bytes() const;

 private:
  // Where a chain goes on: an entry and its action, 29 and 2 bits, and one bit which says that the
  // entry need not be read, because it is enforced and never expires, or because there is none.
  using Link = uint32_t;

  // What decide() reads of a prefix of a rule. `matches_` has the rest, at the same index.
  struct Entry {
    int64_t expires_s;  // Unix time; INT64_MAX: never.
    Link next;
    bool enforce;
  };

  internal::SegmentMap<internal::V4Key, 16> v4_;
  internal::SegmentMap<internal::V6Key, 8> v6_;
  std::vector<Entry> entries_;
  std::vector<Match> matches_;
};

}  // namespace weir::access
