// error: ignoring return(ed)? value of
// A Status that nobody looks at is an error that nobody hears of.

#include "base/result.h"

namespace {

weir::base::Status store() {
  return {};
}

}  // namespace

int main() {
#if defined(WEIR_MUST_FAIL)
  store();
#else
  return store().ok() ? 0 : 1;
#endif
}
