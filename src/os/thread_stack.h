#pragma once
// Where another thread of this process is at this moment: it is sent a signal whose handler writes
// down its own stack. For the watchdog, which wants to know what keeps a loop busy.
//
// The handler only unwinds into memory that is there already. glibc (2.35 and later) and libgcc do
// that without locks; install_stack_handler() unwinds once, because the first time loads libgcc.

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <sys/types.h>

namespace weir::os {

// Most frames of one stack; the outer ones beyond it are left out.
inline constexpr size_t kStackFramesMax = 48;

// Takes SIGRTMIN + 1 for the process. Call it before the first stack_of(), once.
// Threading: one thread at a time.
void install_stack_handler();

// The return addresses of thread `tid` of this process, innermost first. Empty if the thread is
// gone, or does not run for `patience`: a thread that waits for a disk takes no signal. Interrupts
// what the thread does: system calls that restart after a handler go on, others return EINTR.
// Blocks for at most `patience`, twice that if an earlier call was not answered in time.
// Threading: one thread at a time.
std::vector<void*> stack_of(pid_t tid, std::chrono::milliseconds patience);

// "innermost < its caller < …": names where the program has them (executables need to export
// theirs), else file and offset. Allocates, and may read the program's file.
std::string describe_stack(std::span<void* const> frames);

pid_t this_thread();

}  // namespace weir::os
