// error: ignoring return(ed)? value of
// The value of a Result cannot be dropped together with its error.

#include "base/result.h"

namespace {

weir::base::Result<int> count() {
  return 1;
}

}  // namespace

int main() {
#if defined(WEIR_MUST_FAIL)
  count();
#else
  return count().ok() ? 0 : 1;
#endif
}
