#pragma once
// Randomness that nobody can guess: for keys, tokens, salts and the drawn part of event ids.

#include <cstdint>
#include <span>

namespace weir::os {

// Fills `out` from the kernel's generator. Blocks only in the first moments after the machine's
// boot. Aborts when the kernel has no generator (Linux before 3.17): nothing can be served safely.
// Threading: any thread.
void secure_random(std::span<uint8_t> out);
uint64_t secure_random_u64();

}  // namespace weir::os
