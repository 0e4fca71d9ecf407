#pragma once
// Named places where a test may kill the process: immediately before a commit, between a commit and
// the send that follows it, and so on. In builds without WEIR_FAULTS (every release) they are
// empty.
//
// With WEIR_FAULTS, the environment variable WEIR_FAULT="name:n" kills the process with SIGKILL on
// its nth pass (from 1) through the point of that name, counted over all threads, so that nothing
// but what the kernel already holds survives.

namespace weir::base {

#if defined(WEIR_FAULTS)
// Threading: any thread.
void fault_point(const char* name);
#else
inline void fault_point(const char* /*name*/) {}
#endif

}  // namespace weir::base
