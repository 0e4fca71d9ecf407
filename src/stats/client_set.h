#pragma once
// The clients seen on one UTC day, to hold their number at a limit: an open-addressing table of
// 64-bit hashes, 8 bytes a slot, at most half full.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace weir::stats {

// Threading: one thread at a time.
// Limits: grows with what is inserted; the caller bounds that. 16 MiB for 1 M clients.
class ClientSet {
 public:
  bool contains(uint64_t client) const {
    if (client == 0) return has_zero_;
    if (slots_.empty()) return false;
    return slots_[slot_of(client)] == client;
  }

  // No effect on a client that is there.
  void insert(uint64_t client) {
    if (client == 0) {
      size_ += has_zero_ ? 0 : 1;
      has_zero_ = true;
      return;
    }
    if (2 * (size_ + 1) > slots_.size()) grow();
    uint64_t& slot = slots_[slot_of(client)];
    if (slot == client) return;
    slot = client;
    ++size_;
  }

  size_t size() const { return size_; }

 private:
  // The slot that holds `client`, or the free one where it belongs. Hashes are keyed with a secret
  // of the installation, so nobody can choose them to collide.
  size_t slot_of(uint64_t client) const {
    const size_t mask = slots_.size() - 1;
    size_t at = client & mask;
    while (slots_[at] != 0 && slots_[at] != client)
      at = (at + 1) & mask;
    return at;
  }

  void grow() {
    std::vector<uint64_t> old(slots_.empty() ? 1024 : 2 * slots_.size(), 0);
    old.swap(slots_);
    for (const uint64_t client : old) {
      if (client != 0) slots_[slot_of(client)] = client;
    }
  }

  std::vector<uint64_t> slots_;  // 0: free.
  size_t size_ = 0;
  bool has_zero_ = false;
};

}  // namespace weir::stats
