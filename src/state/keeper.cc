#include <algorithm>

#include "base/assert.h"
#include "state/state.h"

namespace weir::state {

bool Keeper::is_dirty(const Entry& entry) {
  return entry.kept->generation() != entry.saved_generation;
}

void Keeper::add(Kept& kept) {
  WEIR_ASSERT(!loaded_);
  WEIR_ASSERT(!kept.name().empty() && kept.name().size() <= Store::kNameBytesMax);
  for (const Entry& entry : entries_)
    WEIR_ASSERT(entry.kept->name() != kept.name());
  entries_.push_back({.kept = &kept});
}

base::Result<Keeper::Loaded> Keeper::load() {
  Loaded loaded;
  for (Entry& entry : entries_) {
    const std::optional<std::string> bytes = WEIR_TRY(store_.load(entry.kept->name()));
    if (!bytes) {
      ++loaded.absent;
    } else if (entry.kept->restore(*bytes).ok()) {
      ++loaded.restored;
    } else {
      std::string aside{entry.kept->name()};
      aside += ".refused";
      WEIR_TRY(store_.save(aside, *bytes));
      loaded.refused.emplace_back(entry.kept->name());
    }
    entry.saved_generation = entry.kept->generation();
    entry.due = clock_.monotonic();
  }
  loaded_ = true;
  return loaded;
}

// The bytes written.
base::Result<size_t> Keeper::save_entry(Entry& entry) {
  WEIR_ASSERT(loaded_);
  const Image image = entry.kept->image();
  const base::Status saved = store_.save(entry.kept->name(), image.bytes);
  const base::Monotonic now = clock_.monotonic();
  if (!saved.ok()) {
    ++failures_;
    const uint32_t doublings = std::min<uint32_t>(entry.failures++, 20);
    entry.due = now + std::min(options_.retry_first * (1U << doublings), options_.retry_max);
    return saved.error();
  }
  ++saves_;
  entry.saved_generation = image.generation;
  entry.failures = 0;
  entry.due = now + options_.interval;
  return image.bytes.size();
}

base::Status Keeper::step() {
  WEIR_ASSERT(loaded_);
  base::Status first;
  size_t written = 0;
  for (size_t count = 0; count < entries_.size() && written < options_.step_bytes_max; ++count) {
    Entry& entry = entries_[next_];
    next_ = (next_ + 1) % entries_.size();
    if (!is_dirty(entry) || clock_.monotonic() < entry.due) continue;
    const base::Result<size_t> saved = save_entry(entry);
    if (saved.ok()) {
      written += saved.value();
    } else if (first.ok()) {
      first = saved.error();
    }
  }
  return first;
}

base::Status Keeper::save(Kept& kept) {
  const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& each) { return each.kept == &kept; });
  WEIR_ASSERT(entry != entries_.end());
  if (is_dirty(*entry)) WEIR_TRY(save_entry(*entry));
  return {};
}

base::Status Keeper::flush() {
  base::Status first;
  for (Entry& entry : entries_) {
    if (!is_dirty(entry)) continue;
    const base::Result<size_t> saved = save_entry(entry);
    if (!saved.ok() && first.ok()) first = saved.error();
  }
  return first;
}

Keeper::Report Keeper::report() const {
  const auto dirty = std::count_if(entries_.begin(), entries_.end(), is_dirty);
  return {.saves = saves_, .failures = failures_, .dirty = static_cast<size_t>(dirty)};
}

}  // namespace weir::state
