#include "counting_allocator.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <new>

#include <execinfo.h>

namespace weir::testing {
namespace {

constexpr size_t kStacksMax = 5;
constexpr int kFramesMax = 24;

struct Stack {
  std::array<void*, kFramesMax> frames;
  std::atomic<int> depth{0};
};

thread_local bool watched = false;
constinit std::atomic<bool> counting{false};
constinit std::atomic<uint64_t> count{0};
std::array<Stack, kStacksMax> noted;

void note() {
  if (!watched || !counting.load(std::memory_order_relaxed)) return;
  const uint64_t before = count.fetch_add(1, std::memory_order_relaxed);
  if (before >= kStacksMax) return;
  watched = false;  // backtrace() may allocate.
  Stack& stack = noted[before];
  stack.depth.store(::backtrace(stack.frames.data(), kFramesMax), std::memory_order_release);
  watched = true;
}

void* allocate(size_t bytes) {
  note();
  void* const memory = std::malloc(std::max<size_t>(bytes, 1));
  if (memory == nullptr) std::abort();
  return memory;
}

void* allocate(size_t bytes, std::align_val_t alignment) {
  note();
  const auto align = static_cast<size_t>(alignment);
  void* const memory = std::aligned_alloc(align, (bytes + align - 1) / align * align);
  if (memory == nullptr) std::abort();
  return memory;
}

}  // namespace

void watch_allocations_of_this_thread() {
  watched = true;
}

AllocationCount::AllocationCount() {
  for (Stack& stack : noted)
    stack.depth = 0;
  count = 0;
  counting = true;
}

AllocationCount::~AllocationCount() {
  counting = false;
}

uint64_t AllocationCount::allocations() const {
  return count;
}

std::string AllocationCount::stacks() const {
  std::string text;
  for (const Stack& stack : noted) {
    const int depth = stack.depth.load(std::memory_order_acquire);
    if (depth == 0) continue;
    char** const names = ::backtrace_symbols(stack.frames.data(), depth);
    for (int i = 0; i < depth; ++i) {
      text += names[i];
      text += '\n';
    }
    text += '\n';
    std::free(static_cast<void*>(names));
  }
  return text;
}

}  // namespace weir::testing

// All of them: the sanitizers' own would be called for those that are left out.
void* operator new(size_t bytes) {
  return weir::testing::allocate(bytes);
}
void* operator new[](size_t bytes) {
  return weir::testing::allocate(bytes);
}
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  return weir::testing::allocate(bytes);
}
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept {
  return weir::testing::allocate(bytes);
}
void* operator new(size_t bytes, std::align_val_t alignment) {
  return weir::testing::allocate(bytes, alignment);
}
void* operator new[](size_t bytes, std::align_val_t alignment) {
  return weir::testing::allocate(bytes, alignment);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, size_t, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}
