#pragma once
// Bytes that wait: a head that has not arrived in full, a response the client does not read yet.
//
// Most of the time there are none, so a connection holds no buffer while it is idle: a queue takes
// a block from its loop's pool with the first byte and gives it back with the last.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/thread_annotations.h"

namespace weir::net {

// Blocks of powers of two, kept in last-in-first-out lists: the block that is handed out is the one
// that is most likely still in the processor's cache.
//
// Ownership: owns the blocks at rest; a ByteQueue owns the one it took.
// Threading: home loop only.
// Limits: keeps at most kKeptBytesMax bytes per size at rest; more is given back to the allocator.
class BlockPool {
 public:
  static constexpr size_t kBlockBytesMin = 1024;
  static constexpr size_t kSizes = 9;  // 1 KiB to 256 KiB; larger ones are not kept.
  static constexpr size_t kKeptBytesMax = 4 * 1024 * 1024;

  struct Block {
    std::unique_ptr<char[]> bytes;
    size_t capacity = 0;
  };

  BlockPool();
  Block take(size_t bytes_min);
  void give(Block block);

 private:
  static size_t size_class(size_t bytes);
  std::array<std::vector<Block>, kSizes> kept_;
};

// A queue of bytes, contiguous in memory.
//
// Ownership: owns its block; borrows the pool. Moves of bytes are amortised O(1).
// Threading: home loop only.
// Limits: none of its own; whoever appends watches size() against its watermark.
class ByteQueue {
 public:
  explicit ByteQueue(BlockPool& pool) : pool_(&pool) {}
  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;
  ~ByteQueue() { clear(); }

  bool empty() const { return begin_ == end_; }
  size_t size() const { return end_ - begin_; }
  std::string_view view() const WEIR_LIFETIMEBOUND {
    return {block_.bytes.get() + begin_, end_ - begin_};
  }

  void append(std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(prepare(bytes.size()), bytes.data(), bytes.size());
    commit(bytes.size());
  }

  // Space for at least `bytes_min` more bytes at the end; commit() makes a part of it count.
  char* prepare(size_t bytes_min);
  size_t prepared_bytes() const { return block_.capacity - end_; }
  void commit(size_t bytes) {
    WEIR_ASSERT(bytes <= prepared_bytes());
    end_ += bytes;
  }

  void consume(size_t bytes) {
    WEIR_ASSERT(bytes <= size());
    begin_ += bytes;
    if (begin_ == end_) clear();
  }

  void clear() {
    begin_ = end_ = 0;
    if (block_.capacity != 0) pool_->give(std::exchange(block_, {}));
  }

 private:
  BlockPool* pool_;
  BlockPool::Block block_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace weir::net
