#pragma once
// Rate limits: never more than `requests` admitted in any window of that length.
//
//   charges of a request ─► locks of their stripes ─► does each have room? ─► all charged, or none
//
// An entry of the table holds the times of what it admitted, as 32-bit ticks of a microsecond (of
// more for windows over 17 minutes). Up to kExactRequestsMax, each request has its own time: exact.
// Above, times are rounded up to the end of one of 128 parts of a window, so that a request counts
// for up to 1/128 of a window too long: refused early, never admitted too much. What is not
// admitted leaves no trace.
//
// What could be a problem and is not: a clock that stalls or steps back (a request's time is the
// later of its own and the entry's newest, taken under the lock), a full table (the expired make
// room; strangers of a full stripe share one entry for each prefix, and whoever gets an own entry
// later takes over what that one holds; live entries stay), no memory for a long log (its times are
// rounded up further).
//
// Source: sliding-window log and counter as in spec 5.1, corrected: keyed by rule and client.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/striped_table.h"

namespace weir::limit {

inline constexpr uint32_t kExactRequestsMax = 128;
inline constexpr uint32_t kRequestsMax = 1'000'000'000;
inline constexpr std::chrono::seconds kWindowMax{86'400 * 31};

// What a rule allows one client.
struct Limit {
  uint32_t requests = 0;           // 1 to kRequestsMax.
  std::chrono::seconds window{0};  // 1 s to kWindowMax.
  bool operator==(const Limit&) const = default;
};

// A rule, as the limiter knows it: what begins the keys of all its clients.
// Threading: immutable after construction.
class Rule {
 public:
  // The same for the same `id`, in every process: what stands in a saved limiter stays found.
  explicit Rule(std::string_view id);

 private:
  friend class Limiter;
  uint64_t hash_;
};

struct Charge {
  base::TableKey key;  // Of Limiter::*_key().
  Limit limit;
};

struct Room {
  uint32_t remaining = 0;  // After this request, when it is admitted.
  // Until one more request would be admitted; 0 when one would now.
  std::chrono::microseconds retry_after{0};
  // Until nothing that was admitted counts any more.
  std::chrono::microseconds reset_after{0};
};

enum class Answer : uint8_t {
  admitted,
  refused,
  no_room,  // Every place, the shared ones too, holds live entries of others: nothing was counted.
};

struct Verdict {
  Answer answer = Answer::admitted;
  size_t refused_by = 0;  // Index of the first charge without room.
};

// Ownership: owns its table.
// Threading: any thread. Never blocks, but for the locks of its stripes: a few microseconds, and
//   some milliseconds once for each stripe that has entries to put back after restore().
// Limits: 5/4 `clients_max` places of 66 bytes, which hold 8 requests each, and 1/2 `clients_max`
//   chunks of 64 bytes for 14 more: 110 MiB for a million. A third as many again for values, which
//   find no place among the others. Memory is taken when first used.
class Limiter {
 public:
  static constexpr size_t kChargesMax = 8;
  static constexpr size_t kIpv4PrefixBits = 24;  // Clients that share an entry when all is full.
  static constexpr size_t kIpv6PrefixBits = 48;

  // `seed`: secret, so that nobody can make keys that collide.
  Limiter(size_t clients_max, uint64_t seed);
  ~Limiter();

  // The entry of one client of a rule. `address` is 16 bytes, IPv4 mapped; an IPv6 address counts
  // by its first `ipv6_bits` (1 to 128).
  base::TableKey address_key(Rule rule, std::span<const uint8_t, 16> address,
                             uint8_t ipv6_bits) const;
  // The same, never shared with strangers, for what nobody may be made to pay for others.
  base::TableKey lone_address_key(Rule rule, std::span<const uint8_t, 16> address,
                                  uint8_t ipv6_bits) const;
  // The entry of one value of a rule: a header's, a key's; an empty one stands for the whole rule.
  base::TableKey value_key(Rule rule, std::string_view value) const;

  // Admits when every charge has room, and charges all of them; else charges none. `rooms`, as long
  // as `charges`, tells of each, whatever the answer (nothing for no_room).
  // Requires 1 to kChargesMax charges of different keys.
  Verdict admit(std::span<const Charge> charges, base::Monotonic now, std::span<Room> rooms);

  // What a client has left, in the entry that its next request would be counted in; nothing is
  // charged.
  Room look(const Charge& charge, base::Monotonic now);
  // Forgets what a client was admitted, and what the strangers of its group were.
  void reset(const base::TableKey& key);

  // Where a pass of save() over the table stands.
  struct SavePlace {
    size_t stripe = 0;
    size_t bucket = 0;
  };
  // Appends entries that changed since they were last appended (`all`: every one in which something
  // counts at `now`, and what changed still has, afterwards) until `out` has `bytes_max` or a few
  // more, or the pass is over: then returns false, and the place is that of a new one. Takes locks
  // for a few microseconds each.
  bool save(SavePlace& place, bool all, base::Monotonic now, size_t bytes_max, std::string& out);
  // Puts back what save() appended; keys are those of a limiter with the same seed. Times are moved
  // by `shift`, none beyond `now`. What finds no place is left out, and so is an entry that save()
  // never writes. Returns how many entries there are. So that a start need not wait for a million
  // of them, each stripe takes its own when somebody first asks for it, under its lock: at the most
  // some milliseconds, once.
  // Requires that no other thread uses the limiter. Errors: corrupt (Origin::storage): the bytes
  // end in the middle of an entry; what stood before it is restored.
  base::Result<size_t> restore(std::string entries, std::chrono::microseconds shift,
                               base::Monotonic now);
  // Does at once what restore() has put off, and frees the memory of its entries.
  void finish_restore();

  struct Counts {
    uint64_t entries = 0;  // Places taken, expired ones included.
    uint64_t shared = 0;   // Requests that were counted in a shared entry.
    uint64_t rounded = 0;  // Logs that were rounded for want of memory.
  };
  Counts counts();

 private:
  struct Stripes;
  const uint64_t seed_;
  const std::unique_ptr<Stripes> stripes_;
};

}  // namespace weir::limit
