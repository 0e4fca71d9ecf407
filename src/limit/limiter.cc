#include "limit/limiter.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "codec/seeded_hash.h"
#include "limit/internal/window_log.h"

namespace weir::limit {
namespace {

constexpr size_t kSharedEntries = 16;  // In each stripe.
// With fewer chunks left, each charge looks for expired logs in the next buckets: the first to ask
// for one again may never come.
constexpr size_t kChunksLow = 8;
constexpr size_t kSweptBuckets = 2;

// What a stripe has beside its places.
// Threading: whoever holds the stripe's lock.
struct StripeExtra {
  explicit StripeExtra(size_t chunks) : pool(chunks) {}

  struct Shared {
    uint64_t group = 0;
    WindowLog log{};
  };

  // Entries to be put back before anybody looks.
  struct Restored {
    std::shared_ptr<const std::string> owner;
    std::string_view entries;  // Of it.
    std::chrono::microseconds shift;
  };

  ChunkPool pool;
  std::vector<Restored> restored;
  std::array<Shared, kSharedEntries> shared{};
  bool has_shared = false;  // One of them was ever used.
  size_t sweep_at = 0;      // The bucket to be swept next.
  uint64_t shared_requests = 0;
  uint64_t rounded_logs = 0;
};

using Table = base::StripedTable<WindowLog, StripeExtra>;

// Anybody can invent values, a new one with each request. So they have stripes of their own, the
// first ones: they can fill these and no others.
constexpr size_t kValueStripes = Table::kStripes / 4;
constexpr size_t kAddressStripes = Table::kStripes - kValueStripes;

// A group, of the same hash always the same, in one of `count` stripes from `first` on.
uint64_t group_in(uint64_t hash, size_t first, size_t count) {
  const uint64_t stripe = first + (((hash >> 40U) & 0xffffU) * count >> 16U);
  return (stripe << 56U) | (hash & 0xff'ffff'ffff'ffffU);
}

struct Entry {
  WindowLog* log;
  bool is_shared;
};

// Finds or makes the entries of one request's charges.
// Threading: one thread at a time.
class Finder {
 public:
  explicit Finder(uint64_t now_us) : now_us_(now_us) {}

  Entry entry_of(Table::Stripe& stripe, const base::TableKey& key) {
    Entry entry{stripe.find(key), false};
    if (entry.log == nullptr) entry = new_entry(stripe, key);
    found_[count_++] = entry.log;
    return entry;
  }

  // What a client without an entry of its own may be counted in; nullptr: nothing counts.
  WindowLog* live_shared_entry(StripeExtra& extra, uint64_t group) const {
    if (!extra.has_shared) return nullptr;
    for (StripeExtra::Shared& shared : extra.shared) {
      if (shared.group != group) continue;
      return LogView{shared.log, extra.pool}.expired(now_us_) ? nullptr : &shared.log;
    }
    return nullptr;
  }

  // nullptr: there is no place.
  WindowLog* own_entry(Table::Stripe& stripe, const base::TableKey& key) {
    WindowLog* const log = stripe.find(key);
    if (log != nullptr) return log;
    return inserted(stripe, key);
  }

  // The entry of a group's strangers. nullptr: there is no place.
  WindowLog* shared_entry(StripeExtra& extra, uint64_t group) {
    for (StripeExtra::Shared& shared : extra.shared)
      if (shared.group == group) return &shared.log;
    for (StripeExtra::Shared& shared : extra.shared) {
      if (!vacate(shared.log, extra)) continue;
      shared.group = group;
      extra.has_shared = true;
      return &shared.log;
    }
    return nullptr;
  }

 private:
  // A client that was counted among strangers until now may have been all of them.
  Entry new_entry(Table::Stripe& stripe, const base::TableKey& key) {
    StripeExtra& extra = stripe.extra;
    WindowLog* const log = inserted(stripe, key);
    if (log == nullptr) return {shared_entry(extra, key.group), true};
    if (WindowLog* const shared = live_shared_entry(extra, key.group); shared != nullptr)
      LogView{*log, extra.pool}.copy(LogView{*shared, extra.pool});
    return {log, false};
  }

  WindowLog* inserted(Table::Stripe& stripe, const base::TableKey& key) {
    return stripe.insert(key, [&](WindowLog& other) { return vacate(other, stripe.extra); });
  }

  // True: nothing there counts, and it is clear. What this request found stays, though it is empty.
  bool vacate(WindowLog& log, StripeExtra& extra) {
    LogView view{log, extra.pool};
    if (std::find(found_.begin(), found_.end(), &log) != found_.end()) return false;
    if (!view.expired(now_us_)) return false;
    view.clear();
    return true;
  }

  const uint64_t now_us_;
  std::array<const WindowLog*, Limiter::kChargesMax> found_{};
  size_t count_ = 0;
};

void sweep(Table::Stripe& stripe, uint64_t now_us) {
  StripeExtra& extra = stripe.extra;
  for (size_t nth = 0; nth < kSweptBuckets; ++nth) {
    stripe.each(extra.sweep_at, [&](const base::TableKey&, WindowLog& log) {
      LogView view{log, extra.pool};
      // One without words has nothing to give, and may be about to be charged.
      if (log.words > 0 && view.expired(now_us)) view.clear();
    });
    extra.sweep_at = (extra.sweep_at + 1) % stripe.buckets();
  }
}

// The clock may have begun a moment ago, as on a machine that has just been started, and entries
// from before be older than that: time here begins two windows earlier.
constexpr std::chrono::microseconds kBeginning = 2 * std::chrono::microseconds{kWindowMax};

uint64_t us_of(base::Monotonic now) {
  const auto since = std::chrono::floor<std::chrono::microseconds>(now.time_since_epoch());
  return static_cast<uint64_t>((since + kBeginning).count());
}

// The first `bits` (0 to 128) of it; the others are zero.
std::array<uint64_t, 2> masked(std::span<const uint8_t, 16> address, size_t bits) {
  const auto head = [](size_t count) {  // Of 64 bits, in the order of the network.
    const uint64_t mask = count >= 64 ? ~uint64_t{0} : ~(~uint64_t{0} >> count);
    return std::endian::native == std::endian::little ? __builtin_bswap64(mask) : mask;
  };
  std::array<uint64_t, 2> words;
  std::memcpy(words.data(), address.data(), address.size());
  words[0] &= head(bits);
  words[1] &= head(bits > 64 ? bits - 64 : 0);
  return words;
}

std::string_view bytes_of(const std::array<uint64_t, 2>& words) {
  return {reinterpret_cast<const char*>(words.data()), sizeof words};
}

bool is_ipv4(std::span<const uint8_t, 16> address) {
  constexpr std::array<uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::equal(kMapped.begin(), kMapped.end(), address.begin());
}

constexpr uint64_t kRuleSeed = 0x5765'6972'5275'6c65;  // Of no meaning; never to be changed.

}  // namespace

Rule::Rule(std::string_view id) : hash_(codec::SeededHash{kRuleSeed}(id)) {}

struct Limiter::Stripes {
  Stripes(size_t places, size_t chunks_per_stripe) : table(places, chunks_per_stripe) {}

  // The stripe of a key that is held, with all that was restored.
  Table::Stripe& ready(Table::Held& held, const base::TableKey& key) const {
    Table::Stripe& stripe = held.stripe(key);
    if (!stripe.extra.restored.empty()) put_back(stripe);
    return stripe;
  }

  Table table;
  uint64_t restored_at_us = 0;  // Not changed while other threads are there.

 private:
  void put_back(Table::Stripe& stripe) const {
    Finder finder{restored_at_us};
    LogImage image;
    for (auto& [owner, entries, shift] : std::exchange(stripe.extra.restored, {})) {
      while (!entries.empty()) {
        if (!take_image(entries, image)) continue;
        WindowLog* const log = image.shared ? finder.shared_entry(stripe.extra, image.key.group)
                                            : finder.own_entry(stripe, image.key);
        if (log == nullptr) continue;
        LogView{*log, stripe.extra.pool}.restore(image, shift.count(), restored_at_us);
      }
    }
  }
};

Limiter::Limiter(size_t clients_max, uint64_t seed)
    : seed_(seed),
      // A fifth of the places free, so that two full buckets are rare.
      stripes_(std::make_unique<Stripes>(
          (clients_max + clients_max / 4) * Table::kStripes / kAddressStripes,
          clients_max / 2 / kAddressStripes + 1)) {}

Limiter::~Limiter() = default;

base::TableKey Limiter::address_key(Rule rule, std::span<const uint8_t, 16> address,
                                    uint8_t ipv6_bits) const {
  WEIR_ASSERT(ipv6_bits >= 1 && ipv6_bits <= 128);
  const bool v4 = is_ipv4(address);
  const size_t bits = v4 ? 128 : ipv6_bits;
  const size_t group_bits = v4 ? 96 + kIpv4PrefixBits : std::min<size_t>(bits, kIpv6PrefixBits);
  const uint64_t seed = seed_ ^ rule.hash_;
  const uint64_t hash = codec::SeededHash{seed}(bytes_of(masked(address, group_bits)));
  return {.group = group_in(hash, kValueStripes, kAddressStripes),
          .member = codec::SeededHash{~seed}(bytes_of(masked(address, bits)))};
}

base::TableKey Limiter::lone_address_key(Rule rule, std::span<const uint8_t, 16> address,
                                         uint8_t ipv6_bits) const {
  WEIR_ASSERT(ipv6_bits >= 1 && ipv6_bits <= 128);
  const auto words = masked(address, is_ipv4(address) ? 128 : ipv6_bits);
  base::TableKey key = value_key(rule, bytes_of(words));
  key.group = group_in(key.group, kValueStripes, kAddressStripes);
  return key;
}

base::TableKey Limiter::value_key(Rule rule, std::string_view value) const {
  const uint64_t seed = (seed_ + 1) ^ rule.hash_;
  const uint64_t hash = codec::SeededHash{seed}(value);
  return {.group = value.empty() ? group_in(hash, kValueStripes, kAddressStripes)
                                 : group_in(hash, 0, kValueStripes),
          .member = codec::SeededHash{~seed}(value)};
}

Verdict Limiter::admit(std::span<const Charge> charges, base::Monotonic now,
                       std::span<Room> rooms) {
  WEIR_ASSERT(!charges.empty() && charges.size() <= kChargesMax && rooms.size() == charges.size());
  Table::Held held{stripes_->table, charges, &Charge::key};

  Verdict verdict;
  Finder finder{us_of(now)};
  // Of each charge; set before it is read, so that no request pays for kChargesMax of them.
  std::array<Entry, kChargesMax> entries;
  std::array<uint64_t, kChargesMax> times;
  for (size_t nth = charges.size(); nth-- > 0;) {
    Table::Stripe& stripe = stripes_->ready(held, charges[nth].key);
    entries[nth] = finder.entry_of(stripe, charges[nth].key);
    if (entries[nth].log == nullptr) return {Answer::no_room, nth};
    LogView view{*entries[nth].log, stripe.extra.pool};
    times[nth] = view.prepare(charges[nth].limit, us_of(now));
    if (!view.has_room(charges[nth].limit)) verdict = {Answer::refused, nth};
  }
  for (size_t nth = 0; nth < charges.size(); ++nth) {
    Table::Stripe& stripe = held.stripe(charges[nth].key);
    LogView view{*entries[nth].log, stripe.extra.pool};
    if (verdict.answer == Answer::admitted) {
      if (stripe.extra.pool.left() < kChunksLow) sweep(stripe, us_of(now));
      stripe.extra.rounded_logs += view.charge(charges[nth].limit, times[nth]) ? 0U : 1U;
      stripe.extra.shared_requests += entries[nth].is_shared ? 1U : 0U;
      if (!entries[nth].is_shared) stripe.mark(*entries[nth].log);
    }
    rooms[nth] = view.room(charges[nth].limit, times[nth]);
  }
  return verdict;
}

Room Limiter::look(const Charge& charge, base::Monotonic now) {
  Table::Held held{stripes_->table, {&charge.key, 1}};
  Table::Stripe& stripe = stripes_->ready(held, charge.key);
  WindowLog* log = stripe.find(charge.key);
  if (log == nullptr) log = Finder{us_of(now)}.live_shared_entry(stripe.extra, charge.key.group);
  if (log == nullptr) return {.remaining = charge.limit.requests};
  LogView view{*log, stripe.extra.pool};
  return view.room(charge.limit, view.prepare(charge.limit, us_of(now)));
}

void Limiter::reset(const base::TableKey& key) {
  Table::Held held{stripes_->table, {&key, 1}};
  Table::Stripe& stripe = stripes_->ready(held, key);
  StripeExtra& extra = stripe.extra;
  if (WindowLog* const log = stripe.find(key); log != nullptr) {
    LogView{*log, extra.pool}.clear();
    log->changed = 1;
    stripe.mark(*log);
  }
  for (StripeExtra::Shared& shared : extra.shared) {
    if (shared.group != key.group) continue;
    LogView{shared.log, extra.pool}.clear();
    shared.log.changed = 1;
  }
}

bool Limiter::save(SavePlace& place, bool all, base::Monotonic now, size_t bytes_max,
                   std::string& out) {
  static_assert(kSharedEntries <= Table::kWays);
  constexpr size_t kBucketBytesMax =
      Table::kWays * (LogImage::kHeadBytes + 4 * LogImage::kWordsMax);
  out.reserve(bytes_max + kBucketBytesMax);  // Never grown while a lock is held.
  for (; place.stripe < Table::kStripes; ++place.stripe, place.bucket = 0) {
    const base::TableKey any = Table::key_in(place.stripe);
    for (;; ++place.bucket) {
      if (out.size() >= bytes_max) return true;
      Table::Held held{stripes_->table, {&any, 1}};
      Table::Stripe& stripe = stripes_->ready(held, any);
      if (stripe.used() == 0) place.bucket = stripe.buckets();
      if (!all) place.bucket = stripe.next_mark(place.bucket);
      const auto keep = [&](const base::TableKey& key, bool is_shared, WindowLog& log) {
        const LogView view{log, stripe.extra.pool};
        if (all ? view.expired(us_of(now)) : log.changed == 0) return;
        if (!all) log.changed = 0;
        view.save(key, is_shared, out);
      };
      if (place.bucket >= stripe.buckets()) {
        for (StripeExtra::Shared& shared : stripe.extra.shared)
          keep({.group = shared.group, .member = 0}, /*is_shared=*/true, shared.log);
        break;
      }
      if (!all) stripe.clear_mark(place.bucket);
      stripe.each(place.bucket, [&](const base::TableKey& key, WindowLog& log) {
        keep(key, /*is_shared=*/false, log);
      });
    }
  }
  place = {};
  return false;
}

// Entries of one stripe stand one behind the other, as save() wrote them: only where they begin and
// end is found out here.
base::Result<size_t> Limiter::restore(std::string entries, std::chrono::microseconds shift,
                                      base::Monotonic now) {
  stripes_->restored_at_us = us_of(now);
  const auto owner = std::make_shared<const std::string>(std::move(entries));
  size_t count = 0;
  for (std::string_view rest{*owner}; !rest.empty();) {
    base::TableKey key;
    size_t run = 0;
    for (size_t bytes = 0; (bytes = image_bytes(rest.substr(run))) > 0; run += bytes, ++count) {
      const base::TableKey next{.group = image_group(rest.substr(run)), .member = 0};
      if (run == 0) key = next;
      if (Table::stripe_index(next) != Table::stripe_index(key)) break;
    }
    if (run == 0) {
      return base::Error{base::ErrorCode::corrupt, base::Origin::storage, base::Retry::never, 0,
                         "entry of the limiter"};
    }
    Table::Held held{stripes_->table, {&key, 1}};
    held.stripe(key).extra.restored.push_back({owner, rest.substr(0, run), shift});
    rest.remove_prefix(run);
  }
  return count;
}

void Limiter::finish_restore() {
  counts();  // Comes to every stripe.
}

Limiter::Counts Limiter::counts() {
  Counts sum;
  for (size_t index = 0; index < Table::kStripes; ++index) {
    const base::TableKey key = Table::key_in(index);
    Table::Held held{stripes_->table, {&key, 1}};
    Table::Stripe& stripe = stripes_->ready(held, key);
    sum.entries += stripe.used();
    sum.shared += stripe.extra.shared_requests;
    sum.rounded += stripe.extra.rounded_logs;
  }
  return sum;
}

}  // namespace weir::limit
