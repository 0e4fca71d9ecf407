// error: ignoring return(ed)? value of
// A mailbox refuses when it is full; whoever sends must say what happens to the letter then.

#include "loop/mailbox.h"

namespace {

[[maybe_unused]] bool send(weir::loop::Mailbox<int>& mailbox) {
#if defined(WEIR_MUST_FAIL)
  mailbox.try_send(1);
  return true;
#else
  return mailbox.try_send(1);
#endif
}

}  // namespace

int main() {}
