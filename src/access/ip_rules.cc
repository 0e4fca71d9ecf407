#include "access/ip_rules.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <tuple>

#include "base/assert.h"

namespace weir::access {
namespace {

using config::Cidr;
using config::IpAddress;
using internal::V4Key;
using internal::V6Key;

uint64_t big_endian(const uint8_t* bytes) {
  static_assert(std::endian::native == std::endian::little);
  uint64_t value = 0;
  std::memcpy(&value, bytes, sizeof value);
  return __builtin_bswap64(value);
}

constexpr unsigned kActionBit = 29;
constexpr unsigned kFinalBit = 31;
constexpr uint32_t kIndexMask = (1U << kActionBit) - 1;

uint32_t make_link(size_t index, config::IpAction action, bool final) {
  return static_cast<uint32_t>(index) | static_cast<uint32_t>(action) << kActionBit |
         static_cast<uint32_t>(final) << kFinalBit;
}
Decider decider_of(uint32_t link) {
  return {static_cast<config::IpAction>(link >> kActionBit & 3U), link & kIndexMask};
}
bool is_final(uint32_t link) {
  return link >> kFinalBit != 0;
}

// What a family of addresses is to a search: its keys, and where a prefix ends.
struct V4 {
  using Key = V4Key;
  static constexpr unsigned kBits = 32;

  static Key key(const IpAddress& ip) {
    return static_cast<Key>(big_endian(ip.bytes.data() + 8));  // The lower half.
  }
};

struct V6 {
  using Key = V6Key;
  static constexpr unsigned kBits = 128;

  static Key key(const IpAddress& ip) {
    return static_cast<Key>(big_endian(ip.bytes.data())) << 64U | big_endian(ip.bytes.data() + 8);
  }
};

template <typename F>
constexpr typename F::Key kHighest = static_cast<typename F::Key>(~typename F::Key{0});

// The last address of a prefix.
template <typename F>
typename F::Key last_of(const Cidr& prefix) {
  const unsigned fixed_bits = prefix.prefix_bits - (128 - F::kBits);
  // One shift by all bits of the key would be undefined.
  const auto host_bits = fixed_bits == F::kBits ? typename F::Key{0} : kHighest<F> >> fixed_bits;
  return F::key(prefix.network) | host_bits;
}

// The segments of one family, made from its prefixes in the order of their begin, outer ones first.
//
// Threading: one thread at a time.
template <typename F>
class Sweep {
 public:
  using Key = typename F::Key;

  Sweep() { begin_segment(Key{0}, none_); }

  // A prefix whose chain begins with `chain`. Returns where that of the prefix around it begins.
  uint32_t enter(const Cidr& prefix, uint32_t chain) {
    const Key begin = F::key(prefix.network);
    while (!open_.empty() && open_.back().last < begin)
      leave();
    const uint32_t around = current();
    open_.push_back({last_of<F>(prefix), chain});
    begin_segment(begin, chain);
    return around;
  }

  template <size_t kFanOut>
  void make(internal::SegmentMap<Key, kFanOut>& map) {
    while (!open_.empty())
      leave();
    map = {starts_, chains_, kHighest<F>};
  }

 private:
  struct Open {
    Key last;
    uint32_t chain;
  };

  uint32_t current() const { return open_.empty() ? none_ : open_.back().chain; }

  void leave() {
    const Key last = open_.back().last;
    open_.pop_back();
    if (last != kHighest<F>) begin_segment(last + 1, current());
  }

  void begin_segment(Key start, uint32_t chain) {
    if (!starts_.empty() && starts_.back() == start) {  // What began here has no address.
      starts_.pop_back();
      chains_.pop_back();
    }
    if (!chains_.empty() && chains_.back() == chain) return;
    starts_.push_back(start);
    chains_.push_back(chain);
  }

  const uint32_t none_ = make_link(0, config::IpAction::none, true);
  std::vector<Open> open_;  // Each inside the one before it.
  std::vector<Key> starts_;
  std::vector<uint32_t> chains_;
};

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

struct Flat {
  Match match;
  int64_t expires_s;
  bool enforce;
};

std::vector<Flat> flatten(std::span<const config::IpRule> rules) {
  std::vector<Flat> flat;
  for (size_t index = 0; index < rules.size(); ++index) {
    const config::IpRule& rule = rules[index];
    if (rule.action == config::IpAction::none) continue;
    const int64_t expires_s = rule.expires ? rule.expires->time_since_epoch().count() : kNever;
    for (const std::string& text : rule.match) {
      const std::optional<Cidr> prefix = config::parse_cidr(text);
      if (!prefix) continue;
      flat.push_back(
          {{*prefix, rule.action, static_cast<uint32_t>(index)}, expires_s, rule.enforce});
    }
  }
  return flat;
}

// Prefixes by family and begin, outer ones before those inside; then who decides first.
bool is_before(const Flat& a, const Flat& b) {
  const auto order = [](const Flat& f) {
    return std::tuple{!f.match.prefix.network.is_v4(),
                      f.match.prefix.network.bytes,
                      f.match.prefix.prefix_bits,
                      f.match.action,
                      !f.enforce,
                      f.match.rule};
  };
  return order(a) < order(b);
}

}  // namespace

IpRules::IpRules(std::span<const config::IpRule> rules) {
  std::vector<Flat> flat = flatten(rules);
  WEIR_ASSERT(flat.size() <= kIndexMask / 2);
  if (flat.empty()) return;
  std::sort(flat.begin(), flat.end(), is_before);
  const auto link_to = [&](size_t at) {
    const bool final = flat[at].enforce && flat[at].expires_s == kNever;
    return make_link(at, flat[at].match.action, final);
  };
  Sweep<V4> v4;
  Sweep<V6> v6;
  entries_.reserve(flat.size());
  matches_.reserve(flat.size());
  for (size_t begin = 0, end = 0; begin < flat.size(); begin = end) {
    const Cidr& prefix = flat[begin].match.prefix;
    while (end < flat.size() && flat[end].match.prefix == prefix)
      ++end;
    const Link chain = link_to(begin);
    const Link around = prefix.network.is_v4() ? v4.enter(prefix, chain) : v6.enter(prefix, chain);
    for (size_t at = begin; at < end; ++at) {
      entries_.push_back(
          {flat[at].expires_s, at + 1 < end ? link_to(at + 1) : around, flat[at].enforce});
      matches_.push_back(flat[at].match);
    }
  }
  v4.make(v4_);
  v6.make(v6_);
}

Decision IpRules::decide(const IpAddress& ip, base::Wall now) const {
  Decision decision;
  if (entries_.empty()) return decision;
  Link link = ip.is_v4() ? v4_.find(V4::key(ip)) : v6_.find(V6::key(ip));
  if (!is_final(link)) {
    const int64_t now_s = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
    do {
      const Entry& entry = entries_[link & kIndexMask];
      if (entry.expires_s > now_s) {
        if (entry.enforce) break;
        if (!decision.dry_run.exists()) decision.dry_run = decider_of(link);
      }
      link = entry.next;
    } while (!is_final(link));
  }
  decision.enforced = decider_of(link);
  return decision;
}

size_t IpRules::bytes() const {
  return v4_.bytes() + v6_.bytes() + entries_.size() * sizeof(Entry) +
         matches_.size() * sizeof(Match);
}

}  // namespace weir::access
