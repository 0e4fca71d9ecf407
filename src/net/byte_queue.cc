#include "net/byte_queue.h"

#include <bit>

namespace weir::net {

BlockPool::BlockPool() {
  // So that giving a block back never allocates.
  for (size_t i = 0; i < kSizes; ++i)
    kept_[i].reserve(kKeptBytesMax / (kBlockBytesMin << i));
}

size_t BlockPool::size_class(size_t bytes) {
  if (bytes <= kBlockBytesMin) return 0;
  return static_cast<size_t>(std::bit_width(bytes - 1) - std::bit_width(kBlockBytesMin - 1));
}

BlockPool::Block BlockPool::take(size_t bytes_min) {
  const size_t index = size_class(bytes_min);
  const size_t capacity = kBlockBytesMin << index;
  if (index < kSizes && !kept_[index].empty()) {
    Block block = std::move(kept_[index].back());
    kept_[index].pop_back();
    return block;
  }
  return {std::unique_ptr<char[]>{new char[capacity]}, capacity};  // Not value-initialised.
}

void BlockPool::give(Block block) {
  const size_t index = size_class(block.capacity);
  if (index >= kSizes) return;
  std::vector<Block>& kept = kept_[index];
  if (kept.size() < kept.capacity()) kept.push_back(std::move(block));
}

char* ByteQueue::prepare(size_t bytes_min) {
  if (block_.capacity - end_ < bytes_min) {
    const size_t size = end_ - begin_;
    if (begin_ >= size && block_.capacity - size >= bytes_min) {
      std::memmove(block_.bytes.get(), block_.bytes.get() + begin_, size);  // Amortised by consume.
    } else {
      BlockPool::Block larger = pool_->take(std::max(size + bytes_min, block_.capacity * 2));
      if (size > 0) std::memcpy(larger.bytes.get(), block_.bytes.get() + begin_, size);
      if (block_.capacity != 0) pool_->give(std::move(block_));
      block_ = std::move(larger);
    }
    begin_ = 0;
    end_ = size;
  }
  return block_.bytes.get() + end_;
}

}  // namespace weir::net
