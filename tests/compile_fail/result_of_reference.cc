// error: return a pointer, or a value
// A Result of a reference would have to say who owns what it refers to.

#include "base/result.h"

#if defined(WEIR_MUST_FAIL)
using Found = weir::base::Result<int&>;
#else
using Found = weir::base::Result<int*>;
#endif

int main() {
  return sizeof(Found) > 0 ? 0 : 1;
}
